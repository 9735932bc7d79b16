"""Computes statistics of saved runs: summaries with intervals, costs, and comparisons of two runs."""

from voicegauge.bench.analysis.comparison import (
    ChangeThreshold,
    CompareSettings,
    MetricComparison,
    RunComparison,
    compare_runs,
)
from voicegauge.bench.analysis.cost import TEXT_LENGTH, TargetCost
from voicegauge.bench.analysis.statistics import Estimate, IntervalEstimate
from voicegauge.bench.analysis.summary import ErrorRate, StreamSummary, TargetSummary, summarize

__all__ = [
    "TEXT_LENGTH",
    "ChangeThreshold",
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
    "summarize",
]
