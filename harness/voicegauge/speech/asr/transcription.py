"""Transcribes encoded audio: decodes it, detects silence, resamples it and recognizes the speech."""

from __future__ import annotations

from typing import NamedTuple

from voicegauge.speech.asr.base import ASR_SAMPLE_RATE_HZ, Asr
from voicegauge.speech.audio import EncodedAudio, resample
from voicegauge.speech.transcripts import AudioContent

TRANSCRIPTION_VERSION = 1
"""Version of the transcription. It is increased when decoding, silence detection or resampling change, so that cached
transcripts are no longer used."""


class Transcription(NamedTuple):
    """The transcript of a piece of audio, or the reason why there is no transcript."""

    content: AudioContent
    transcript: str
    """The recognized text. It is empty if `content` is not "speech"."""


def transcribe_audio(asr: Asr, audio: EncodedAudio, language: str) -> Transcription:
    """Decode `audio`, resample it and transcribe it.

    Silence is not passed to the recognizer, because speech recognizers make up words for it.
    """
    decoded = audio.decoded
    if decoded is None:
        return Transcription("undecodable", "")
    if audio.is_silent:
        return Transcription("silence", "")
    samples = resample(decoded.samples, decoded.sample_rate_hz, ASR_SAMPLE_RATE_HZ)
    return Transcription("speech", asr.transcribe(samples, language))
