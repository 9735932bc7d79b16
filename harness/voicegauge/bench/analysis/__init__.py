"""Computes statistics of saved runs: summaries with intervals, costs, and comparisons of two runs."""

from voicegauge.bench.analysis.change_verdicts import ChangeThreshold, ChangeVerdict
from voicegauge.bench.analysis.comparison import (
    PAIRED_CHANGE_NOTE,
    CompareSettings,
    MetricComparison,
    RunComparison,
    compare_runs,
    compare_targets,
)
from voicegauge.bench.analysis.cost import (
    DEFAULT_CHARACTERS_PER_MONTH,
    DEFAULT_TEXT_LENGTH,
    MAX_CHARACTERS_PER_MONTH,
    TargetCost,
    compute_target_cost,
    convert_credits_to_usd,
)
from voicegauge.bench.analysis.drift_spread import DEFAULT_LATENCY_DRIFT, MIN_TIME_FOR_LOGARITHM_MS
from voicegauge.bench.analysis.joint_resamples import DifferenceInterval, JointResamples
from voicegauge.bench.analysis.resampling import FloatArray
from voicegauge.bench.analysis.scipy_library import load_scipy
from voicegauge.bench.analysis.statistics import BoundEstimates, Estimate
from voicegauge.bench.analysis.summary import (
    CategoryErrorRate,
    ErrorRate,
    LanguageErrorRate,
    StreamSummary,
    TargetSummary,
    describe_disturbed_samples,
    get_error_rate,
    get_median_latency_ms,
    summarize_targets,
)
from voicegauge.bench.analysis.target_samples import TargetSamples, group_target_samples, resample_targets

__all__ = [
    "DEFAULT_CHARACTERS_PER_MONTH",
    "DEFAULT_LATENCY_DRIFT",
    "DEFAULT_TEXT_LENGTH",
    "MAX_CHARACTERS_PER_MONTH",
    "MIN_TIME_FOR_LOGARITHM_MS",
    "PAIRED_CHANGE_NOTE",
    "BoundEstimates",
    "CategoryErrorRate",
    "ChangeThreshold",
    "ChangeVerdict",
    "CompareSettings",
    "DifferenceInterval",
    "ErrorRate",
    "Estimate",
    "FloatArray",
    "JointResamples",
    "LanguageErrorRate",
    "MetricComparison",
    "RunComparison",
    "StreamSummary",
    "TargetCost",
    "TargetSamples",
    "TargetSummary",
    "compare_runs",
    "compare_targets",
    "compute_target_cost",
    "convert_credits_to_usd",
    "describe_disturbed_samples",
    "get_error_rate",
    "get_median_latency_ms",
    "group_target_samples",
    "load_scipy",
    "resample_targets",
    "summarize_targets",
]
