"""What a recording says, by the recogniser that the package carries."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from voicegauge.emulator.incoming import Refusal
from voicegauge.model import UploadedFile

if TYPE_CHECKING:
    from voicegauge.speech.asr import Asr


async def hear(recording: UploadedFile, field: str, language: str = "en") -> str:
    """The transcript of an uploaded recording.

    Args:
        recording: any audio that can be decoded.
        field: the form field that it came in.
        language: that is spoken, a code such as "en".

    Raises:
        Refusal: it is no audio.
        MissingExtraError: nothing that runs the recogniser is installed.
    """
    return await asyncio.to_thread(_transcript, recording.data, field, language)


def _transcript(data: bytes, field: str, language: str) -> str:
    from voicegauge.speech.asr import RATE_HZ
    from voicegauge.speech.audio import UndecodableAudioError, decode, resample

    try:
        audio = decode(data)
    except UndecodableAudioError as error:
        raise Refusal("invalid", field, f"{field} is no audio: {error}") from error
    return _asr().transcribe(resample(audio.samples, audio.sample_rate_hz, RATE_HZ), language)


@functools.cache
def _asr() -> Asr:
    from voicegauge.speech.asr.embedded import embedded_asr

    return embedded_asr()
