"""Scoring a run: transcribing its samples and counting recognition errors."""

from voicegauge.bench.scoring.scores import choose_scoring_asr, score_run

__all__ = [
    "choose_scoring_asr",
    "score_run",
]
