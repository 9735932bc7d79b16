"""Estimates how much the speed of a service differs from one run to another without any change.

Services are faster or slower for hours at a time. The sessions of a run follow one another and
are mostly equally fast or slow; only several runs, such as those of several nights, show how much
the speed varies. With fewer than `MIN_RUNS_TO_MEASURE_DRIFT` runs, a spread is assumed, as a scaled inverse
chi-squared prior (Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.6), and the runs can only make it
larger. From `MIN_RUNS_TO_MEASURE_DRIFT` runs on, the spread of the runs replaces the assumed one. It is moderated by
the spread of the other targets (Smyth 2004), so that five nights of one target need not carry the estimate alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from voicegauge.bench.analysis.resampling import FloatArray

DEFAULT_LATENCY_DRIFT = 0.10
"""Spread of a service's latency between runs that is assumed by default: standard deviation of log latency."""
PRIOR_DEGREES_OF_FREEDOM = 10.0
"""Weight of the assumed spread, in degrees of freedom; also the largest weight of the spread of other targets."""
MIN_RUNS_TO_MEASURE_DRIFT = 5
"""Smallest number of baseline runs whose measured spread replaces the assumed one."""
MIN_TIME_FOR_LOGARITHM_MS = 1e-3
"""A smaller time is replaced by this value before its logarithm is taken, which is undefined for 0."""


class SessionTime(NamedTuple):
    """One measured time, with the text and the session in which it was measured."""

    text_id: str
    session_number: int
    time_ms: float


class EstimatedVariance(NamedTuple):
    """An estimated variance, with the degrees of freedom of the estimate."""

    variance: float
    degrees_of_freedom: float


class MeasuredDrift(NamedTuple):
    """How much the speed of one target varies without a change of the service, as variances of log times."""

    variance_between_runs: float
    """Variance of the mean log time between runs; 0 for a single run."""
    run_count: int
    variance_between_sessions: float
    """Variance of the mean log time between the sessions of a run; 0 if every run has a single session."""
    session_degrees_of_freedom: int
    """Degrees of freedom of `variance_between_sessions`."""


def measure_drift(times_by_run: Sequence[Sequence[SessionTime]]) -> MeasuredDrift:
    """Measure how much the speed of a target varies between runs, and between the sessions of a run."""
    times_by_run = [run for run in times_by_run if run]
    texts = (
        sorted(set.intersection(*({timed.text_id for timed in run} for run in times_by_run))) if times_by_run else []
    )
    if not texts:
        return MeasuredDrift(0.0, len(times_by_run), 0.0, 0)
    levels = np.array([compute_mean_log_median_times([run], texts) for run in times_by_run])
    deviations = np.nanmedian(levels - np.nanmean(levels, axis=0), axis=1)
    run_variance = float(np.sum(deviations**2)) / (len(times_by_run) - 1) if len(times_by_run) > 1 else 0.0
    squares, freedom = 0.0, 0
    for run in times_by_run:
        table = compute_log_median_times_by_session(run, texts)
        if len(table) > 1:
            squares += float(np.sum(np.nanmedian(table - np.nanmean(table, axis=0), axis=1) ** 2))
            freedom += len(table) - 1
    return MeasuredDrift(run_variance, len(times_by_run), squares / freedom if freedom else 0.0, freedom)


def estimate_drift_variance(
    target_drift: MeasuredDrift, other_target_drifts: Sequence[MeasuredDrift], assumed_drift: float
) -> EstimatedVariance:
    """Estimate the variance that drift adds to the mean log time of one run of a target.

    Args:
        target_drift: the measured drift of the target.
        other_target_drifts: the measured drift of each other target of the comparison.
        assumed_drift: spread that is assumed with fewer than `MIN_RUNS_TO_MEASURE_DRIFT` runs.
    """
    freedom = float(max(target_drift.run_count - 1, 0))
    if target_drift.run_count < MIN_RUNS_TO_MEASURE_DRIFT:
        squares = PRIOR_DEGREES_OF_FREEDOM * assumed_drift**2 + freedom * target_drift.variance_between_runs
        freedom += PRIOR_DEGREES_OF_FREEDOM
        if target_drift.variance_between_sessions > squares / freedom:
            # Sessions can show that a service drifts more than assumed, not that it drifts less.
            squares += target_drift.session_degrees_of_freedom * target_drift.variance_between_sessions
            freedom += target_drift.session_degrees_of_freedom
        return EstimatedVariance(squares / freedom, freedom)
    informative = [other for other in other_target_drifts if other.run_count >= MIN_RUNS_TO_MEASURE_DRIFT]
    weight = min(PRIOR_DEGREES_OF_FREEDOM, float(sum(other.run_count - 1 for other in informative)))
    typical = float(np.mean([other.variance_between_runs for other in informative])) if informative else 0.0
    variance = (weight * typical + freedom * target_drift.variance_between_runs) / (weight + freedom)
    return EstimatedVariance(variance, weight + freedom)


def combine_variances(first_variance: EstimatedVariance, second_variance: EstimatedVariance) -> EstimatedVariance:
    """Return the sum of two independent estimated variances, with its degrees of freedom (Satterthwaite 1946)."""
    total = first_variance[0] + second_variance[0]
    weights = sum(variance**2 / freedom for variance, freedom in (first_variance, second_variance))
    freedom = total**2 / weights if weights > 0 else min(first_variance[1], second_variance[1])
    return EstimatedVariance(total, freedom)


def compute_mean_log_median_times(times_by_run: Sequence[Sequence[SessionTime]], text_ids: Sequence[str]) -> FloatArray:
    """Return the mean log median time of each text over all runs and sessions; NaN if the text was never timed."""
    run_levels = [
        _average_columns_ignoring_nan(compute_log_median_times_by_session(run, text_ids)) for run in times_by_run
    ]
    return _average_columns_ignoring_nan(np.array(run_levels).reshape(len(times_by_run), len(text_ids)))


def compute_log_median_times_by_session(run_times: Sequence[SessionTime], text_ids: Sequence[str]) -> FloatArray:
    """Return the logarithm of the median time of each text in each session of one run.

    Returns:
        One row per session and one column per text; NaN for a text that a session lacks.
    """
    columns = {text: column for column, text in enumerate(text_ids)}
    timed = [(one.session_number, columns[one.text_id], one.time_ms) for one in run_times if one.text_id in columns]
    if not timed:
        return np.full((0, len(text_ids)), math.nan)
    sessions, text_numbers, times_ms = np.array(timed).T
    session_ids, rows = np.unique(sessions, return_inverse=True)
    cells = rows * len(text_ids) + text_numbers.astype(np.int64)
    order = np.lexsort((times_ms, cells))
    logs = np.log(np.maximum(times_ms[order], MIN_TIME_FOR_LOGARITHM_MS))
    filled, starts, counts = np.unique(cells[order], return_index=True, return_counts=True)
    levels = np.full(len(session_ids) * len(text_ids), math.nan)
    levels[filled] = (logs[starts + (counts - 1) // 2] + logs[starts + counts // 2]) / 2
    return levels.reshape(len(session_ids), len(text_ids))


def _average_columns_ignoring_nan(log_times: FloatArray) -> FloatArray:
    """Return the mean of each column, ignoring NaN; NaN for a column that contains only NaN."""
    is_known = np.isfinite(log_times)
    counts = is_known.sum(axis=0)
    sums = np.where(is_known, log_times, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), math.nan)
