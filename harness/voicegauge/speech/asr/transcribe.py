"""What is heard in a piece of audio: speech and its transcript, silence, or nothing decodable."""

from __future__ import annotations

from typing import NamedTuple

from voicegauge.speech.asr.base import RATE_HZ, Asr
from voicegauge.speech.audio import EncodedAudio, resample
from voicegauge.speech.transcripts import AudioContent

TRANSCRIPTION_VERSION = 1
"""Raised when the way from bytes to the recogniser changes: transcripts kept before do not count."""


class Transcription(NamedTuple):
    """What was heard."""

    content: AudioContent
    transcript: str
    """Empty but for speech."""


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
