"""Text normalization and recognition error counts."""

from voicegauge.speech.transcripts.metrics import AudioContent, score
from voicegauge.speech.transcripts.normalizer import base_language, normalizer_for

__all__ = [
    "AudioContent",
    "base_language",
    "normalizer_for",
    "score",
]
