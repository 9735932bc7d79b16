"""Normalizes transcripts and counts recognition errors."""

from voicegauge.speech.transcripts.error_counts import AudioContent, score_transcript
from voicegauge.speech.transcripts.text_normalizer import base_language, normalizer_for

__all__ = [
    "AudioContent",
    "base_language",
    "normalizer_for",
    "score_transcript",
]
