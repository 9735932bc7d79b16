"""Statistics over saved runs: summaries with intervals, cost, and comparison of two runs."""

from voicegauge.bench.analysis.comparison import CompareSettings, Comparison, Threshold, Verdict, compare
from voicegauge.bench.analysis.cost import TEXT_LENGTH, TargetCost
from voicegauge.bench.analysis.statistics import Estimate, IntervalEstimate
from voicegauge.bench.analysis.summary import ErrorRate, StreamSummary, TargetSummary, summarise

__all__ = [
    "TEXT_LENGTH",
    "CompareSettings",
    "Comparison",
    "ErrorRate",
    "Estimate",
    "IntervalEstimate",
    "StreamSummary",
    "TargetCost",
    "TargetSummary",
    "Threshold",
    "Verdict",
    "compare",
    "summarise",
]
