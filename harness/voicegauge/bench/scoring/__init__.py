"""Scores a run: transcribes its samples and counts recognition errors."""

from voicegauge.bench.scoring.scores import choose_scoring_asr, score_run

__all__ = [
    "choose_scoring_asr",
    "score_run",
]
