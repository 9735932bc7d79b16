"""Transcription of encoded audio: decoding, silence detection, resampling and recognition."""

from __future__ import annotations

from typing import NamedTuple

from voicegauge.speech.asr.base import RATE_HZ, Asr
from voicegauge.speech.audio import EncodedAudio, resample
from voicegauge.speech.transcripts import AudioContent

TRANSCRIPTION_VERSION = 1
"""Raised when decoding, silence detection or resampling change, which invalidates cached transcripts."""


class Transcription(NamedTuple):
    """The transcript of a piece of audio, or why there is none."""

    content: AudioContent
    transcript: str
    """Empty unless `content` is "speech"."""


def transcribe_audio(asr: Asr, audio: EncodedAudio, language: str) -> Transcription:
    """Decode `audio`, resample it and transcribe it.

    Silence is not passed to the recognizer, because speech recognizers produce words from it.
    """
    decoded = audio.decoded
    if decoded is None:
        return Transcription("undecodable", "")
    if audio.is_silent:
        return Transcription("silence", "")
    samples = resample(decoded.samples, decoded.sample_rate_hz, RATE_HZ)
    return Transcription("speech", asr.transcribe(samples, language))
