"""Transcribes uploaded audio with the embedded ASR engine."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from voicegauge.emulator.http import Rejection
from voicegauge.model import UploadedFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voicegauge.speech.asr import Asr

    Samples = NDArray[np.float32]

EMBEDDED_ASR_LANGUAGE = "en"
"""The only language of the embedded engine, which is also reported as the detected language."""
UNSUPPORTED_LANGUAGE_TRANSCRIPT = "EMULATED: the ASR engine of the emulator supports only English"
"""Transcript of audio in a language that the embedded ASR engine does not support."""
MAX_CACHED_TRANSCRIPTS = 256
"""Maximum number of cached transcripts. They are cached because a check uploads the same file many times."""
_transcript_cache: OrderedDict[str, str] = OrderedDict()
_transcription_lock = threading.Lock()
"""Protects the cache and the engine, which is not thread-safe."""


async def transcribe_upload(upload: UploadedFile, field_name: str, language: str = EMBEDDED_ASR_LANGUAGE) -> str:
    """Transcribe an uploaded audio file.

    Args:
        upload: audio in any format that can be decoded.
        field_name: the name of the upload's form field, which the rejection mentions.
        language: the code of the spoken language, such as "en".

    Raises:
        Rejection: the upload is not audio.
        MissingExtraError: no runtime for the ASR engine is installed.
    """
    from voicegauge.speech.audio import UndecodableAudioError, decode

    try:
        audio = await asyncio.to_thread(decode, upload.content)
    except UndecodableAudioError as error:
        raise Rejection("invalid", field_name, f"{field_name} is not audio: {error}") from error
    return await transcribe_samples(audio.samples, audio.sample_rate_hz, language)


async def transcribe_samples(samples: Samples, sample_rate_hz: int, language: str = EMBEDDED_ASR_LANGUAGE) -> str:
    """Transcribe mono `samples` in a thread; the transcript of silence is empty.

    Raises:
        MissingExtraError: no runtime for the ASR engine is installed.
    """
    return await asyncio.to_thread(_transcribe_uncached, samples, sample_rate_hz, language)


def _transcribe_uncached(samples: Samples, sample_rate_hz: int, language: str) -> str:
    import numpy as np

    from voicegauge.speech.asr import ASR_SAMPLE_RATE_HZ
    from voicegauge.speech.audio import is_silent, resample

    key = f"{hashlib.sha256(np.ascontiguousarray(samples).data).hexdigest()}/{sample_rate_hz}/{language}"
    with _transcription_lock:
        if key not in _transcript_cache:
            if is_silent(samples, sample_rate_hz):
                _transcript_cache[key] = ""
            elif not load_embedded_asr().supports_language(language):
                _transcript_cache[key] = UNSUPPORTED_LANGUAGE_TRANSCRIPT
            else:
                _transcript_cache[key] = load_embedded_asr().transcribe(
                    resample(samples, sample_rate_hz, ASR_SAMPLE_RATE_HZ), language
                )
        while len(_transcript_cache) > MAX_CACHED_TRANSCRIPTS:
            _transcript_cache.popitem(last=False)
        return _transcript_cache.get(key, "")


@functools.cache
def load_embedded_asr() -> Asr:
    """Return the embedded ASR engine, loaded once per process. Tests replace this function.

    Raises:
        MissingExtraError: no runtime for the ASR engine is installed.
    """
    from voicegauge.speech.asr import create_embedded_asr

    return create_embedded_asr(saves_memory=True)
