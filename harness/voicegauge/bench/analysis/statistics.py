"""Computes estimates with confidence intervals by resampling the texts of a suite.

The texts of a suite are a sample of all texts that a target could synthesize, and the samples
of one text resemble each other. Therefore whole texts are resampled, each with all its samples
(cluster bootstrap: Davison and Hinkley 1997, section 3.8; percentile interval: Efron and
Tibshirani 1993, section 13.3). The errors and units of a text stay together, so that the
resampled error rate is still a ratio of sums (Bisani and Ney 2004, "Bootstrap estimates for
confidence intervals in ASR performance evaluation").
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.model import Record

FloatArray = NDArray[np.float64]
ValuesByText = Sequence[tuple[Hashable, float]]
"""Pairs of a text id and a value measured on a sample of that text."""

CONFIDENCE_LEVEL = 0.95
RESAMPLE_COUNT = 2000
"""Number of resamples. With it, the ends of a 95% interval differ by less than 2% of its width between seeds."""
MAX_VALUES_PER_BATCH = 2_000_000
"""Number of values resampled at a time, which limits memory to 16 MB per batch."""
MIN_P95_BOUND_SAMPLES = 100
"""Smallest number of samples for an upper bound of the 95th percentile; with fewer, under five lie above it."""


class Estimate(Record, frozen=True, kw_only=True):
    """A number with its confidence interval (95% unless documented otherwise)."""

    value: float
    low: float | None
    """Lower end of the interval; `None` if there are too few data."""
    high: float | None
    """Upper end of the interval; `None` if there are too few data."""
    n: int
    """Number of samples from which the value was computed."""
    note: str = ""
    """Why an end of the interval is missing; empty if both ends are given."""


class IntervalEstimate(Record, frozen=True, kw_only=True):
    """Estimates of the lower and upper bound of a time that is known only between two polls (see `Interval`).

    The true value lies between the two estimates; neither of them is the provider's speed.
    """

    low: Estimate
    high: Estimate


def estimate_quantile(values: ValuesByText, fraction: float, *, seed: int = 0) -> Estimate | None:
    """Estimate a quantile of `values`, linearly interpolated; `None` if there are no values.

    `fraction` is 0.5 for the median. If it exceeds 0.9 and there are fewer than `MIN_P95_BOUND_SAMPLES` values, the
    interval has no upper end.
    """
    if not values:
        return None
    table = build_table_by_text(values)
    spread = resample_texts(table, lambda rows: compute_quantiles(rows, fraction), seed=seed)
    estimate = _build_estimate(float(compute_quantiles(table, fraction)), spread, len(values))
    if fraction > 0.9 and len(values) < MIN_P95_BOUND_SAMPLES:
        note = f"no upper bound from {len(values)} samples; it takes {MIN_P95_BOUND_SAMPLES}"
        return Estimate(value=estimate.value, low=estimate.low, high=None, n=estimate.n, note=note)
    return estimate


def estimate_median(values: ValuesByText, *, seed: int = 0) -> Estimate | None:
    """Estimate the median of `values`; `None` if there are no values."""
    return estimate_quantile(values, 0.5, seed=seed)


def estimate_mean(values: ValuesByText, *, seed: int = 0) -> Estimate | None:
    """Estimate the arithmetic mean of `values`; `None` if there are no values."""
    if not values:
        return None
    table = build_table_by_text(values)
    resampled = resample_texts(table, lambda rows: np.nanmean(rows, axis=(-2, -1)), seed=seed)
    return _build_estimate(float(np.nanmean(table)), resampled, len(values))


def estimate_ratio_of_sums(terms: Iterable[tuple[Hashable, float, float]], *, seed: int = 0) -> Estimate | None:
    """Estimate the sum of numerators divided by the sum of denominators, as in corpus WER.

    Args:
        terms: tuples (text id, numerator, denominator), one for each sample; samples of one text are resampled
            together.
        seed: seed of the resampling.

    Returns:
        The estimate; `None` if there are no terms.
    """
    sums: dict[Hashable, list[float]] = {}
    n = 0
    for text, numerator, denominator in terms:
        row = sums.setdefault(text, [0.0, 0.0])
        row[0] += numerator
        row[1] += denominator
        n += 1
    if not sums:
        return None
    table = np.array(list(sums.values()), dtype=np.float64)
    resampled = resample_texts(table, lambda rows: _divide_sums(rows.sum(axis=-2)), seed=seed)
    return _build_estimate(float(_divide_sums(table.sum(axis=0))), resampled, n)


def _divide_sums(sums: FloatArray) -> FloatArray:
    # A denominator of at least 1 keeps a resample of empty references finite.
    quotient: FloatArray = sums[..., 0] / np.maximum(sums[..., 1], 1.0)
    return quotient


def build_table_by_text(values: ValuesByText) -> FloatArray:
    """Return a table with one row per text; rows of texts with fewer samples are padded with NaN."""
    rows: dict[Hashable, list[float]] = {}
    for text, value in values:
        rows.setdefault(text, []).append(value)
    width = max(len(row) for row in rows.values())
    return np.array([row + [np.nan] * (width - len(row)) for row in rows.values()], dtype=np.float64)


def compute_quantiles(rows: FloatArray, fraction: float) -> FloatArray:
    """Return the linearly interpolated quantile (Hyndman and Fan 1996, type 7) over the last two axes, ignoring NaN.

    `numpy.nanquantile` gives the same result, but it loops over rows in Python, which is too slow for thousands of
    resamples.
    """
    flat = np.sort(rows.reshape(*rows.shape[:-2], -1), axis=-1)  # NaN is sorted last
    position = (np.isfinite(flat).sum(axis=-1) - 1) * fraction
    below = np.floor(position).astype(int)
    above = np.ceil(position).astype(int)
    low = np.take_along_axis(flat, below[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(flat, above[..., None], axis=-1)[..., 0]
    interpolated: FloatArray = low + (high - low) * (position - below)
    return interpolated


class ResampledSpread(NamedTuple):
    """Percentile interval and standard error of a statistic over resampled texts."""

    low: float
    high: float
    standard_error: float


def resample_texts(
    table: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    *,
    seed: int = 0,
    confidence: float = CONFIDENCE_LEVEL,
) -> ResampledSpread | None:
    """Compute the percentile interval and standard error of `statistic` over resampled rows of `table`.

    Args:
        table: one row per text, of any shape.
        statistic: reduces resampled rows, of shape (..., texts, *row), to one number each, of shape (...).
        seed: seed of the resampling.
        confidence: confidence level of the interval.

    Returns:
        The interval and the standard error; `None` for fewer than two texts.
    """
    if len(table) < 2:
        return None
    from scipy.stats import bootstrap

    def compute_statistic_of_rows(row_numbers: NDArray[np.int64], axis: int) -> FloatArray:
        del axis  # SciPy passes its default, the last axis
        return statistic(table[row_numbers])

    result = bootstrap(
        (np.arange(len(table)),),
        compute_statistic_of_rows,
        vectorized=True,
        n_resamples=RESAMPLE_COUNT,
        batch=max(1, MAX_VALUES_PER_BATCH // table.size),
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    ends = result.confidence_interval
    return ResampledSpread(float(ends.low), float(ends.high), float(result.standard_error))


def _build_estimate(value: float, spread: ResampledSpread | None, sample_count: int) -> Estimate:
    if spread is None:
        return Estimate(value=value, low=None, high=None, n=sample_count, note="one text only: no interval")
    return Estimate(value=value, low=spread.low, high=spread.high, n=sample_count)
