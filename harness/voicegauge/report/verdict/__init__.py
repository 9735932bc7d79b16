"""States the results of a run in words, and ranks its targets."""

from voicegauge.report.verdict.intelligibility import has_errors_within_asr_floor
from voicegauge.report.verdict.ranking import (
    RankedTarget,
    Ranking,
    RankingWeights,
    ResampledPoints,
    compute_resampled_points,
    rank_targets,
)
from voicegauge.report.verdict.run_verdict import build_run_verdict
from voicegauge.report.verdict.statements import MeasuredRun, RunVerdict, VerdictStatement

__all__ = [
    "MeasuredRun",
    "RankedTarget",
    "Ranking",
    "RankingWeights",
    "ResampledPoints",
    "RunVerdict",
    "VerdictStatement",
    "build_run_verdict",
    "compute_resampled_points",
    "has_errors_within_asr_floor",
    "rank_targets",
]
