"""Transcribing the samples of a run and counting recognition errors."""

from voicegauge.bench.scoring.scores import check_asr, score_run

__all__ = [
    "check_asr",
    "score_run",
]
