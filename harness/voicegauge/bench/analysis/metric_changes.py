"""Estimates the difference of one metric between two runs, with an interval that covers texts and sessions.

Texts are paired, so that each text is compared with itself. Two things make the paired
difference uncertain. The first is the choice of texts in the suite; to account for it, the
texts are resampled. The second is the session: services are faster or slower for hours at a
time, and a run measures only a few such periods. A single session cannot show the spread
between sessions, so `DEFAULT_SESSION_DRIFT` is assumed. With more sessions, the data outweigh this
assumption. It is a scaled inverse chi-squared prior (Gelman et al., Bayesian Data Analysis,
3rd ed., section 2.6), which makes the interval a Student t interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from voicegauge.bench.analysis.statistics import (
    FloatArray,
    ValuesByText,
    build_table_by_text,
    compute_quantiles,
    resample_texts,
)

DEFAULT_SESSION_DRIFT = 0.10
"""Assumed spread of a service's latency between sessions: standard deviation of its logarithm."""
PRIOR_DEGREES_OF_FREEDOM = 10
"""Weight of `DEFAULT_SESSION_DRIFT`, in degrees of freedom: it weighs as much as ten sessions beyond the first."""
MIN_TEXTS = 5
"""Smallest number of texts from which the spread between texts is estimated."""
MIN_P95_SAMPLES = 200
"""Number of samples that each run needs for a comparison of 95th percentiles; ten samples then lie above it."""
MIN_COMPARED_TIME_MS = 1e-3
"""Smaller times are replaced by this value before taking the logarithm, which is undefined for 0."""


class TimedSample(NamedTuple):
    """One measured time with its session and its text; times of the same text are paired."""

    text_id: str
    session: int
    ms: float


class MetricChange(NamedTuple):
    """One metric in two runs.

    `change` is relative for times, and a difference for rates (0.02 is two percentage points).
    """

    baseline_value: float
    run_value: float
    change: float
    low: float | None
    """Lower end of the interval of `change`; `None` if there are too few data."""
    high: float | None
    n_baseline: int
    """Number of samples of the baseline from which the value was computed."""
    n_run: int
    note: str = ""
    """Why there is no interval, or how the value was computed."""


class IntervalSettings(NamedTuple):
    """Error probability, assumed session drift and seed for computing intervals."""

    alpha: float
    """Probability that the interval does not contain the true change, for both ends together."""
    session_drift: float = DEFAULT_SESSION_DRIFT
    seed: int = 0


def estimate_typical_time_change(
    baseline: Sequence[TimedSample], run: Sequence[TimedSample], settings: IntervalSettings
) -> MetricChange | None:
    """Estimate the relative change of the time of a typical text.

    The change is the median over texts of the difference of log times, converted to a ratio.

    Returns:
        The change; `None` if no text was timed in both runs.
    """
    texts, old, new = _select_common_texts(baseline, run)
    if not texts:
        return None
    before, after = _compute_log_median_times(old, texts), _compute_log_median_times(new, texts)
    shift = np.nanmean(after, axis=0) - np.nanmean(before, axis=0)
    spread = resample_texts(shift[:, None], lambda rows: np.median(rows[..., 0], axis=-1), seed=settings.seed)
    medians = float(np.median([t.ms for t in old])), float(np.median([t.ms for t in new]))
    error = spread.standard_error if spread and len(texts) >= MIN_TEXTS else None
    return _build_relative_change(
        medians, float(np.median(shift)), error, (before, after), (len(old), len(new)), settings
    )


def estimate_slow_time_change(
    baseline: Sequence[TimedSample], run: Sequence[TimedSample], settings: IntervalSettings
) -> MetricChange | None:
    """Estimate the relative change of the 95th percentile over all samples of the texts that both runs have.

    Returns:
        The change; `None` if no text was timed in both runs. The change has no interval if a run has fewer than
        `MIN_P95_SAMPLES` samples.
    """
    texts, *sides = _select_common_texts(baseline, run)
    if not texts:
        return None
    tables = [_order_by_text([(t.text_id, t.ms) for t in side], texts) for side in sides]
    width = tables[0].shape[1]

    def compute_log_ratio(rows: FloatArray) -> FloatArray:
        before, after = compute_quantiles(rows[..., :width], 0.95), compute_quantiles(rows[..., width:], 0.95)
        return np.asarray(np.log(after / before))

    joined = np.concatenate(tables, axis=1)  # one row per text, so that both runs are resampled together
    has_enough = min(len(side) for side in sides) >= MIN_P95_SAMPLES
    spread = (
        resample_texts(joined, compute_log_ratio, seed=settings.seed)
        if has_enough and len(texts) >= MIN_TEXTS
        else None
    )
    change = _build_relative_change(
        (float(compute_quantiles(tables[0], 0.95)), float(compute_quantiles(tables[1], 0.95))),
        float(compute_log_ratio(joined)),
        spread and spread.standard_error,
        (_compute_log_median_times(sides[0], texts), _compute_log_median_times(sides[1], texts)),
        (len(sides[0]), len(sides[1])),
        settings,
    )
    return (
        change if has_enough else change._replace(note=f"a 95th percentile needs {MIN_P95_SAMPLES} samples in each run")
    )


def _build_relative_change(
    compared_values: tuple[float, float],
    log_difference: float,
    standard_error: float | None,
    log_times_by_session: tuple[FloatArray, FloatArray],
    sample_counts: tuple[int, int],
    settings: IntervalSettings,
) -> MetricChange:
    """Build a relative change from a difference of logarithms.

    Args:
        compared_values: the metric in the baseline and in the run.
        log_difference: difference of the logarithms.
        standard_error: standard error of `log_difference` over texts; `None` if there are too few texts.
        log_times_by_session: log times of both runs, one row per session and one column per text.
        sample_counts: numbers of samples of both runs.
        settings: settings of the interval.
    """
    change = math.expm1(log_difference)
    if standard_error is None:
        return MetricChange(*compared_values, change, None, None, *sample_counts, _format_few_texts_note())
    variance, freedom = _estimate_session_variance(log_times_by_session, settings.session_drift)
    margin = _compute_student_quantile(settings.alpha, freedom) * math.sqrt(standard_error**2 + variance)
    return MetricChange(
        *compared_values,
        change,
        math.expm1(log_difference - margin),
        math.expm1(log_difference + margin),
        *sample_counts,
    )


def _format_few_texts_note() -> str:
    return f"fewer than {MIN_TEXTS} texts in both runs"


def _estimate_session_variance(log_times_by_session: tuple[FloatArray, FloatArray], drift: float) -> tuple[float, int]:
    """Return the variance that session drift adds to the difference, and the variance's degrees of freedom."""
    squares, freedom = PRIOR_DEGREES_OF_FREEDOM * drift**2, PRIOR_DEGREES_OF_FREEDOM
    for side in log_times_by_session:
        if len(side) > 1:
            drifts = np.nanmedian(side - np.nanmean(side, axis=0), axis=1)
            squares += float(np.sum(drifts**2))
            freedom += len(side) - 1
    return squares / freedom * sum(1 / len(side) for side in log_times_by_session), freedom


def _select_common_texts(
    baseline: Sequence[TimedSample], run: Sequence[TimedSample]
) -> tuple[list[str], list[TimedSample], list[TimedSample]]:
    """Return the texts that both runs have, and the samples of these texts in each run."""
    texts = {t.text_id for t in baseline} & {t.text_id for t in run}
    old, new = ([t for t in side if t.text_id in texts] for side in (baseline, run))
    return sorted(texts), old, new


def _compute_log_median_times(samples: Sequence[TimedSample], texts: Sequence[str]) -> FloatArray:
    """Return logs of median times, with one row per session and one column per text; NaN if a session lacks a text."""
    groups: dict[tuple[int, str], list[float]] = {}
    for timed in samples:
        groups.setdefault((timed.session, timed.text_id), []).append(math.log(max(timed.ms, MIN_COMPARED_TIME_MS)))
    sessions = sorted({session for session, _ in groups})
    return np.array(
        [[float(np.median(groups.get((session, text), [np.nan]))) for text in texts] for session in sessions]
    )


def _order_by_text(values: ValuesByText, texts: Sequence[str]) -> FloatArray:
    """Return the table that `build_table_by_text` makes of `values`, with its rows in the order of `texts`."""
    order = {text: index for index, text in enumerate(texts)}
    return build_table_by_text(sorted(values, key=lambda pair: order[str(pair[0])]))


class ErrorCount(NamedTuple):
    """Recognition errors and reference units of one sample."""

    text_id: str
    errors: int
    units: int


def estimate_error_rate_change(
    baseline: Sequence[ErrorCount], run: Sequence[ErrorCount], settings: IntervalSettings
) -> MetricChange | None:
    """Estimate the change of the corpus error rate over the texts that both runs have (paired bootstrap by text).

    Returns:
        The change; `None` if the runs have no text in common.
    """
    texts = sorted({c.text_id for c in baseline} & {c.text_id for c in run})
    if not texts:
        return None
    row = {text: index for index, text in enumerate(texts)}
    table = np.zeros((len(texts), 2, 2))  # by text, run, and errors or units
    counts = [0, 0]
    for side, error_counts in enumerate((baseline, run)):
        for text, errors, units in error_counts:
            if text in row:
                table[row[text], side] += errors, units
                counts[side] += 1

    def compute_error_rates(rows: FloatArray) -> FloatArray:
        sums = rows.sum(axis=-3)
        return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1.0))

    before, after = (float(rate) for rate in compute_error_rates(table))
    change = after - before
    spread = resample_texts(
        table, lambda rows: compute_error_rates(rows)[..., 1] - compute_error_rates(rows)[..., 0], seed=settings.seed
    )
    if spread is None or len(texts) < MIN_TEXTS:
        return MetricChange(before, after, change, None, None, counts[0], counts[1], _format_few_texts_note())
    margin = _compute_student_quantile(settings.alpha, len(texts) - 1) * spread.standard_error
    return MetricChange(before, after, change, change - margin, change + margin, counts[0], counts[1])


def _compute_student_quantile(alpha: float, degrees_of_freedom: int) -> float:
    """Return half the width of a two-sided Student t interval, in standard errors.

    A percentile interval is too short for the eight texts of a small suite. In simulations,
    it caused four times as many false alarms as it should.
    """
    from scipy.stats import t

    return float(t.ppf(1 - alpha / 2, degrees_of_freedom))


def estimate_failure_rate_change(
    baseline: tuple[int, int], run: tuple[int, int], settings: IntervalSettings
) -> MetricChange | None:
    """Estimate the change of the share of failed samples.

    The interval is computed from two Wilson intervals (Newcombe 1998, method 10). It is valid
    for small numbers of samples, and if no sample failed.

    Args:
        baseline: number of failures and number of samples of the baseline.
        run: number of failures and number of samples of the run.
        settings: only `alpha` is used; session drift is not part of the interval.

    Returns:
        The change; `None` if a run has no samples.
    """
    if not baseline[1] or not run[1]:
        return None
    from scipy.stats import binomtest

    before, after = (binomtest(*side) for side in (baseline, run))
    old, new = (test.proportion_ci(1 - settings.alpha, method="wilson") for test in (before, after))
    change = after.statistic - before.statistic
    low = change - math.hypot(after.statistic - new.low, old.high - before.statistic)
    high = change + math.hypot(new.high - after.statistic, before.statistic - old.low)
    return MetricChange(before.statistic, after.statistic, change, low, high, baseline[1], run[1])
