"""Text normalization and recognition error counts."""

from voicegauge.speech.transcripts.metrics import Heard, score
from voicegauge.speech.transcripts.normalizer import base_language, normaliser_for

__all__ = [
    "Heard",
    "base_language",
    "normaliser_for",
    "score",
]
