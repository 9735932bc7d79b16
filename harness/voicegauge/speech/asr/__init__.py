"""Recognisers: what was said, as text."""

from voicegauge.speech.asr.base import RATE_HZ, Asr
from voicegauge.speech.asr.cache import TranscriptCache
from voicegauge.speech.asr.embedded import EMBEDDED
from voicegauge.speech.asr.faster_whisper import cached_models
from voicegauge.speech.asr.selection import PREFERRED, Choice, Spoken, choose_asr
from voicegauge.speech.asr.transcribe import Hearing, hear
from voicegauge.speech.asr.weights import cached_weights, install

__all__ = [
    "EMBEDDED",
    "PREFERRED",
    "RATE_HZ",
    "Asr",
    "Choice",
    "Hearing",
    "Spoken",
    "TranscriptCache",
    "cached_models",
    "cached_weights",
    "choose_asr",
    "hear",
    "install",
]
