"""What is heard in a piece of audio: speech and its transcript, silence, or nothing decodable."""

from __future__ import annotations

from typing import NamedTuple

from voicegauge.model import AudioFacts
from voicegauge.speech.asr.base import RATE_HZ, Asr
from voicegauge.speech.audio import UndecodableAudioError, decode_saved, is_silent, resample
from voicegauge.speech.transcripts import AudioContent

TRANSCRIPTION_VERSION = 1
"""Raised when the way from bytes to the recogniser changes: transcripts kept before do not count."""


class Transcription(NamedTuple):
    """What was heard."""

    heard: AudioContent
    transcript: str
    """Empty but for speech."""


def transcribe_audio(asr: Asr, data: bytes, known: AudioFacts, language: str) -> Transcription:
    """Decode audio, gate silence, resample, transcribe.

    Silence never reaches the recogniser, which may hear words in it.

    Args:
        asr: the recogniser.
        data: the audio as it was received.
        known: what was measured on it then.
        language: of the speech.
    """
    try:
        decoded = decode_saved(data, known)
    except UndecodableAudioError:
        return Transcription("undecodable", "")
    if is_silent(decoded.samples, decoded.sample_rate_hz):
        return Transcription("silence", "")
    samples = resample(decoded.samples, decoded.sample_rate_hz, RATE_HZ)
    return Transcription("speech", asr.transcribe(samples, language))
