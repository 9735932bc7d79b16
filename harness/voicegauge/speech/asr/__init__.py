"""Recognizes speech: engines, installation of their weights, and a cache of transcripts."""

from voicegauge.speech.asr.base import RATE_HZ, Asr
from voicegauge.speech.asr.cache import TranscriptCache
from voicegauge.speech.asr.embedded import EMBEDDED
from voicegauge.speech.asr.faster_whisper import cached_models
from voicegauge.speech.asr.selection import PREFERRED_MODELS, AsrChoice, SpokenText, choose_asr
from voicegauge.speech.asr.transcription import Transcription, transcribe_audio
from voicegauge.speech.asr.weights import find_cached_weights, install_weights

__all__ = [
    "EMBEDDED",
    "PREFERRED_MODELS",
    "RATE_HZ",
    "Asr",
    "AsrChoice",
    "SpokenText",
    "TranscriptCache",
    "Transcription",
    "cached_models",
    "choose_asr",
    "find_cached_weights",
    "install_weights",
    "transcribe_audio",
]
