"""Estimates how much the speed of a service differs from one run to another without any change.

Services are faster or slower for hours at a time. The sessions of a run follow one another and
mostly share this state; only several runs, such as those of several nights, show how much it
varies. With fewer than `MIN_RUNS`, a spread is assumed, as a scaled inverse chi-squared prior
(Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.6), and the runs can only make it
larger. From `MIN_RUNS` on, the runs' own spread replaces it; it is moderated by that of the other
targets (Smyth 2004), so that five nights of one target need not carry the estimate alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from voicegauge.bench.analysis.resampling import FloatArray

DEFAULT_DRIFT = 0.10
"""Assumed spread of a service's latency between runs: standard deviation of its logarithm."""
PRIOR_DEGREES_OF_FREEDOM = 10.0
"""Weight of the assumed spread, and the largest weight of the other targets' spread, in degrees of freedom."""
MIN_RUNS = 5
"""Smallest number of baseline runs whose measured spread replaces the assumed one."""
MIN_COMPARED_TIME_MS = 1e-3
"""Lower limit in milliseconds: smaller times are replaced by it before taking the logarithm, which is undefined for
0."""


class SessionTime(NamedTuple):
    """One measured time with its session and its text; times of the same text are paired."""

    text_id: str
    session: int
    time_ms: float


class DriftSpread(NamedTuple):
    """Variance of the logarithm of a run's level, and the degrees of freedom of this estimate."""

    variance: float
    degrees_of_freedom: float


class MeasuredDrift(NamedTuple):
    """The drift of one target, measured in the runs of a baseline, as variances of the logarithm of times."""

    run_variance: float
    """Variance of the level between runs; 0 for a single run."""
    run_count: int
    session_variance: float
    """Variance of the level between the sessions of a run; 0 if every run has a single session."""
    session_degrees_of_freedom: int


def measure_drift(runs: Sequence[Sequence[SessionTime]]) -> MeasuredDrift:
    """Measure how much the level of a target differs between runs, and between sessions of a run."""
    runs = [run for run in runs if run]
    texts = sorted(set.intersection(*({timed.text_id for timed in run} for run in runs))) if runs else []
    if not texts:
        return MeasuredDrift(0.0, len(runs), 0.0, 0)
    levels = np.array([compute_text_levels([run], texts) for run in runs])
    deviations = np.nanmedian(levels - np.nanmean(levels, axis=0), axis=1)
    run_variance = float(np.sum(deviations**2)) / (len(runs) - 1) if len(runs) > 1 else 0.0
    squares, freedom = 0.0, 0
    for run in runs:
        table = compute_session_levels(run, texts)
        if len(table) > 1:
            squares += float(np.sum(np.nanmedian(table - np.nanmean(table, axis=0), axis=1) ** 2))
            freedom += len(table) - 1
    return MeasuredDrift(run_variance, len(runs), squares / freedom if freedom else 0.0, freedom)


def estimate_drift(target: MeasuredDrift, other_targets: Sequence[MeasuredDrift], assumed_drift: float) -> DriftSpread:
    """Estimate the variance that drift adds to the level of one run of a target.

    Args:
        target: the measured drift of the target.
        other_targets: the measured drift of each other target of the comparison.
        assumed_drift: spread that is assumed with fewer than `MIN_RUNS` runs.
    """
    freedom = float(max(target.run_count - 1, 0))
    if target.run_count < MIN_RUNS:
        squares = PRIOR_DEGREES_OF_FREEDOM * assumed_drift**2 + freedom * target.run_variance
        freedom += PRIOR_DEGREES_OF_FREEDOM
        if target.session_variance > squares / freedom:
            # Sessions can show that a service drifts more than assumed, not that it drifts less.
            squares += target.session_degrees_of_freedom * target.session_variance
            freedom += target.session_degrees_of_freedom
        return DriftSpread(squares / freedom, freedom)
    informative = [other for other in other_targets if other.run_count >= MIN_RUNS]
    weight = min(PRIOR_DEGREES_OF_FREEDOM, float(sum(other.run_count - 1 for other in informative)))
    typical = float(np.mean([other.run_variance for other in informative])) if informative else 0.0
    variance = (weight * typical + freedom * target.run_variance) / (weight + freedom)
    return DriftSpread(variance, weight + freedom)


def combine_variances(first_variance: tuple[float, float], second_variance: tuple[float, float]) -> tuple[float, float]:
    """Return the sum of two independent estimated variances and its degrees of freedom (Satterthwaite 1946).

    Args:
        first_variance: variance and its degrees of freedom.
        second_variance: variance and its degrees of freedom.
    """
    total = first_variance[0] + second_variance[0]
    weights = sum(variance**2 / freedom for variance, freedom in (first_variance, second_variance))
    return total, total**2 / weights if weights > 0 else min(first_variance[1], second_variance[1])


def compute_text_levels(runs: Sequence[Sequence[SessionTime]], texts: Sequence[str]) -> FloatArray:
    """Return the mean over runs and sessions of the log of the median time of each text; NaN if it was never timed."""
    run_levels = [_average_sessions(compute_session_levels(run, texts)) for run in runs]
    return _average_sessions(np.array(run_levels).reshape(len(runs), len(texts)))


def compute_session_levels(run: Sequence[SessionTime], texts: Sequence[str]) -> FloatArray:
    """Return the log of the median time of each text in each session of one run.

    Returns:
        One row per session and one column per text; NaN for a text that a session lacks.
    """
    columns = {text: column for column, text in enumerate(texts)}
    timed = [(one.session, columns[one.text_id], one.time_ms) for one in run if one.text_id in columns]
    if not timed:
        return np.full((0, len(texts)), math.nan)
    sessions, text_numbers, times_ms = np.array(timed).T
    session_ids, rows = np.unique(sessions, return_inverse=True)
    cells = rows * len(texts) + text_numbers.astype(np.int64)
    order = np.lexsort((times_ms, cells))
    logs = np.log(np.maximum(times_ms[order], MIN_COMPARED_TIME_MS))
    filled, starts, counts = np.unique(cells[order], return_index=True, return_counts=True)
    levels = np.full(len(session_ids) * len(texts), math.nan)
    levels[filled] = (logs[starts + (counts - 1) // 2] + logs[starts + counts // 2]) / 2
    return levels.reshape(len(session_ids), len(texts))


def _average_sessions(levels: FloatArray) -> FloatArray:
    """Return the mean of each column, ignoring NaN; NaN for a column that contains only NaN."""
    is_known = np.isfinite(levels)
    counts = is_known.sum(axis=0)
    sums = np.where(is_known, levels, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), math.nan)
