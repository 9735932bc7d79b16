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
from voicegauge.bench.analysis.joint_resamples import DifferenceInterval, JointResamples
from voicegauge.bench.analysis.resampling import FloatArray
from voicegauge.bench.analysis.statistics import Estimate, IntervalEstimate
from voicegauge.bench.analysis.summary import (
    CategoryErrorRate,
    ErrorRate,
    LanguageErrorRate,
    StreamSummary,
    TargetSummary,
    get_error_rate,
    get_median_latency_ms,
    summarize_targets,
)
from voicegauge.bench.analysis.target_samples import resample_targets

__all__ = [
    "DEFAULT_TEXT_LENGTH_CHARACTERS",
    "CategoryErrorRate",
    "ChangeThreshold",
    "ChangeVerdict",
    "CompareSettings",
    "DifferenceInterval",
    "ErrorRate",
    "Estimate",
    "FloatArray",
    "IntervalEstimate",
    "JointResamples",
    "LanguageErrorRate",
    "MetricComparison",
    "RunComparison",
    "StreamSummary",
    "TargetCost",
    "TargetSummary",
    "compare_runs",
    "compare_targets",
    "get_error_rate",
    "get_median_latency_ms",
    "resample_targets",
    "summarize_targets",
]
