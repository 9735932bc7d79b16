"""Computes statistics of saved runs: summaries with intervals, costs, and comparisons of two runs."""

from voicegauge.bench.analysis.change_verdicts import ChangeThreshold, ChangeVerdict
from voicegauge.bench.analysis.comparison import (
    CompareSettings,
    MetricComparison,
    RunComparison,
    compare_runs,
    compare_targets,
)
from voicegauge.bench.analysis.cost import DEFAULT_TEXT_LENGTH_CHARACTERS, TargetCost
from voicegauge.bench.analysis.statistics import Estimate, IntervalEstimate
from voicegauge.bench.analysis.summary import ErrorRate, StreamSummary, TargetSummary, summarize_targets

__all__ = [
    "DEFAULT_TEXT_LENGTH_CHARACTERS",
    "ChangeThreshold",
    "ChangeVerdict",
    "CompareSettings",
    "ErrorRate",
    "Estimate",
    "IntervalEstimate",
    "MetricComparison",
    "RunComparison",
    "StreamSummary",
    "TargetCost",
    "TargetSummary",
    "compare_runs",
    "compare_targets",
    "summarize_targets",
]
