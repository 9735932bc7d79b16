"""Recognizes speech: engines, installation of their weights, and a cache of transcripts."""

from voicegauge.speech.asr.embedded import EMBEDDED_ENGINE, count_unknown_words, create_embedded_asr
from voicegauge.speech.asr.engine_interface import ASR_SAMPLE_RATE_HZ, Asr
from voicegauge.speech.asr.engine_selection import PREFERRED_MODELS, AsrChoice, SpokenText, choose_asr
from voicegauge.speech.asr.faster_whisper import list_cached_models
from voicegauge.speech.asr.transcript_cache import TranscriptCache
from voicegauge.speech.asr.transcription import Transcription, transcribe_audio_batch
from voicegauge.speech.asr.weights import get_weights_cache_path, install_weights
from voicegauge.speech.asr.whisper import is_gpu_available, move_to_gpu

__all__ = [
    "ASR_SAMPLE_RATE_HZ",
    "EMBEDDED_ENGINE",
    "PREFERRED_MODELS",
    "Asr",
    "AsrChoice",
    "SpokenText",
    "TranscriptCache",
    "Transcription",
    "choose_asr",
    "count_unknown_words",
    "create_embedded_asr",
    "get_weights_cache_path",
    "install_weights",
    "is_gpu_available",
    "list_cached_models",
    "move_to_gpu",
    "transcribe_audio_batch",
]
