"""Normalizes transcripts and counts recognition errors."""

from voicegauge.speech.transcripts.error_counts import AudioContent, score_transcript
from voicegauge.speech.transcripts.text_normalizer import choose_normalizer, get_base_language

__all__ = [
    "AudioContent",
    "choose_normalizer",
    "get_base_language",
    "score_transcript",
]
