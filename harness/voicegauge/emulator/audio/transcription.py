"""What a recording says, by the recogniser that the package carries."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from voicegauge.emulator.http import Rejection
from voicegauge.model import Provenance, UploadedFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voicegauge.speech.asr import Asr

    Samples = NDArray[np.float32]

ASR_LANGUAGE = "en"
"""What the recogniser knows, and what is said to be detected."""
UNSUPPORTED_LANGUAGE_TEXT = "EMULATED: the recogniser of the emulator knows English alone"
CACHE_SIZE = 256
"""Transcripts kept: a check sends the same recording many times."""
_cache: OrderedDict[str, str] = OrderedDict()
_one_at_a_time = threading.Lock()
"""The recogniser hears one recording at a time."""


async def transcribe_upload(recording: UploadedFile, field: str, language: str = ASR_LANGUAGE) -> str:
    """The transcript of an uploaded recording.

    Args:
        recording: any audio that can be decoded.
        field: the form field that it came in.
        language: that is spoken, a code such as "en".

    Raises:
        Refusal: it is no audio.
        MissingExtraError: nothing that runs the recogniser is installed.
    """
    from voicegauge.speech.audio import UndecodableAudioError, decode

    try:
        audio = await asyncio.to_thread(decode, recording.data)
    except UndecodableAudioError as error:
        raise Rejection("invalid", field, f"{field} is no audio: {error}") from error
    return await transcribe_samples(audio.samples, audio.sample_rate_hz, language)


async def transcribe_samples(samples: Samples, rate: int, language: str = ASR_LANGUAGE) -> str:
    """What is said in mono `samples`, in a thread; empty for silence.

    Raises:
        MissingExtraError: nothing that runs the recogniser is installed.
    """
    return await asyncio.to_thread(_transcribed, samples, rate, language)


def _transcribed(samples: Samples, rate: int, language: str) -> str:
    from voicegauge.speech.asr import RATE_HZ
    from voicegauge.speech.audio import is_silent, resample

    key = f"{hashlib.sha256(samples.tobytes()).hexdigest()}/{rate}/{language}"
    with _one_at_a_time:
        if key not in _cache:
            if is_silent(samples, rate):
                _cache[key] = ""
            elif not embedded_asr().knows(language):
                _cache[key] = UNSUPPORTED_LANGUAGE_TEXT
            else:
                _cache[key] = embedded_asr().transcribe(resample(samples, rate, RATE_HZ), language)
        while len(_cache) > CACHE_SIZE:
            _cache.popitem(last=False)
        return _cache.get(key, "")


@functools.cache
def embedded_asr() -> Asr:
    """The embedded recogniser, loaded once a process; the one place to exchange it.

    Raises:
        MissingExtraError: nothing that runs it is installed.
    """
    from voicegauge.speech.asr import EMBEDDED, choose_asr

    asr = choose_asr(EMBEDDED, provenance=Provenance.EMULATED, texts=[]).asr
    assert asr is not None, "asked for by name"
    return asr
