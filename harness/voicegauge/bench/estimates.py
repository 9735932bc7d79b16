"""Estimates metrics with confidence intervals, also from times that are known only between two bounds.

The errors and the reference words (or characters) of a text stay together, so that a resampled error rate is still a
ratio of sums (Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
evaluation"). With too few samples, an estimate or an end of its interval is `None`, and a note says why.

The distribution is estimated by nonparametric maximum likelihood (Turnbull 1976, "The empirical distribution function
with arbitrarily grouped, censored and truncated data"), by the self-consistency iteration of that paper. The package
lifelines has this estimator too, but requires pandas, matplotlib and autograd, and takes a second to import.

This estimator puts all probability into a few short intervals, so that its median varies much from one set of polls to
the next. The median is therefore estimated by the same iteration with smoothing in each step (Silverman, Jones, Wilson
and Nychka 1990, "A smoothed EM approach to indirect estimation problems"), which errs about half as much. Other
quantiles are estimated without smoothing, because it widens the distribution.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from voicegauge.bench.resampling import (
    CONFIDENCE_LEVEL,
    FloatArray,
    ResampledSpread,
    SampledValues,
    ValuesWithTextIds,
    resample_texts,
)
from voicegauge.model.base import Record

# Estimates the metrics of one run, with confidence intervals over resampled texts.


MIN_TEXTS_FOR_INTERVAL = 5
"""Smallest number of texts from which the spread between texts is estimated."""
MIN_P95_SAMPLES = 20
"""Smallest number of samples for a 95th percentile: of 20 samples, one lies above it."""
MIN_P95_UPPER_BOUND_SAMPLES = 100
"""Smallest number of samples for an upper bound of the 95th percentile: of 100 samples, five lie above it."""


class Estimate(Record, frozen=True, kw_only=True):
    """A number with its confidence interval (95% unless documented otherwise)."""

    value: float
    low: float | None
    """Lower end of the interval; `None` if there are too few data."""
    high: float | None
    """Upper end of the interval; `None` if there are too few data."""
    sample_count: int
    """Number of samples from which the value was computed."""
    note: str = ""
    """Why an end of the interval is missing, or how it was computed; empty if it is the usual one."""


class BoundEstimates(Record, frozen=True, kw_only=True):
    """Estimates of the lower and the upper bound of a time, such as a median, that is measured only by polling.

    The true time lies between the two estimates; neither of them is the time that the provider takes.
    """

    low: Estimate
    high: Estimate


def estimate_quantile(values: ValuesWithTextIds | SampledValues, fraction: float, *, seed: int = 0) -> Estimate | None:
    """Estimate a quantile of `values`, linearly interpolated.

    Args:
        values: pairs of a text id and a value; or values that were sorted before, for several estimates.
        fraction: 0.5 for the median.
        seed: seed of the resampling.

    Returns:
        The estimate; `None` if there are no values, or if `fraction` exceeds 0.9 and there are fewer than
        `MIN_P95_SAMPLES` values. With fewer than `MIN_P95_UPPER_BOUND_SAMPLES`, the interval has no upper end.
    """
    is_upper_tail = fraction > 0.9
    if not len(values) or (is_upper_tail and len(values) < MIN_P95_SAMPLES):
        return None
    sampled = values if isinstance(values, SampledValues) else SampledValues(values)
    spread = resample_texts(
        sampled.text_count,
        lambda weights: sampled.compute_weighted_quantiles(weights, fraction),
        seed=seed,
    )
    estimate = _build_estimate(sampled.compute_quantile(fraction), spread, sampled.text_count, len(values))
    if is_upper_tail and len(values) < MIN_P95_UPPER_BOUND_SAMPLES and estimate.high is not None:
        note = f"no upper bound from {len(values)} samples; it takes {MIN_P95_UPPER_BOUND_SAMPLES}"
        return Estimate(
            value=estimate.value, low=estimate.low, high=None, sample_count=estimate.sample_count, note=note
        )
    return estimate


def estimate_median(values: ValuesWithTextIds | SampledValues, *, seed: int = 0) -> Estimate | None:
    """Estimate the median of `values`; `None` if there are no values."""
    return estimate_quantile(values, 0.5, seed=seed)


def estimate_mean(values: ValuesWithTextIds | SampledValues, *, seed: int = 0) -> Estimate | None:
    """Estimate the arithmetic mean of `values`; `None` if there are no values."""
    if not len(values):
        return None
    sampled = values if isinstance(values, SampledValues) else SampledValues(values)
    sums = sampled.compute_sum_and_count_by_text()
    spread = resample_texts(sampled.text_count, lambda weights: _divide_sums(weights @ sums), seed=seed)
    return _build_estimate(float(sampled.values.mean()), spread, sampled.text_count, len(values))


def estimate_ratio_of_sums(fractions: Iterable[tuple[Hashable, float, float]], *, seed: int = 0) -> Estimate | None:
    """Estimate the sum of numerators divided by the sum of denominators, as in corpus WER.

    If every numerator is 0, resampling finds no spread. The upper end is then 3 divided by the sum of denominators
    ("rule of three": Hanley and Lippman-Hand 1983).

    Args:
        fractions: tuples (text id, numerator, denominator), one for each sample; samples of one text are resampled
            together.
        seed: seed of the resampling.

    Returns:
        The estimate; `None` if there are no fractions.
    """
    sums_by_text: dict[Hashable, list[float]] = {}
    n = 0
    for text, numerator, denominator in fractions:
        row = sums_by_text.setdefault(text, [0.0, 0.0])
        row[0] += numerator
        row[1] += denominator
        n += 1
    if not sums_by_text:
        return None
    table: FloatArray = np.array(list(sums_by_text.values()), dtype=np.float64)
    total = table.sum(axis=0)

    def compute_ratios(weights: FloatArray) -> FloatArray:
        return _divide_sums(weights @ table)

    estimate = _build_estimate(
        float(_divide_sums(total)), resample_texts(len(table), compute_ratios, seed=seed), len(table), n
    )
    if total[0] or estimate.high is None:
        return estimate
    high, note = 3 / max(total[1], 3.0), f"none in {total[1]:g}: the upper end is 3 in {total[1]:g}"
    return Estimate(value=0.0, low=0.0, high=high, sample_count=n, note=note)


def _divide_sums(numerator_and_denominator_sums: FloatArray) -> FloatArray:
    # A denominator of at least 1 keeps a resample of empty references finite.
    quotient: FloatArray = numerator_and_denominator_sums[..., 0] / np.maximum(
        numerator_and_denominator_sums[..., 1], 1.0
    )
    return quotient


def _build_estimate(value: float, spread: ResampledSpread | None, text_count: int, sample_count: int) -> Estimate:
    if spread is None or text_count < MIN_TEXTS_FOR_INTERVAL:
        return Estimate(
            value=value,
            low=None,
            high=None,
            sample_count=sample_count,
            note=f"no interval from fewer than {MIN_TEXTS_FOR_INTERVAL} texts",
        )
    return Estimate(value=value, low=spread.low, high=spread.high, sample_count=sample_count)


# Estimates quantiles of times that are known only between two bounds, such as the end of a polled job.


MAX_ITERATIONS = 400
"""Largest number of iterations of the estimation without smoothing."""
MIN_PROBABILITY_CHANGE = 1e-6
"""Smallest change of the probability of an interval: the iteration ends when every probability changes by less."""
RELATIVE_SMOOTHING_WIDTH = 0.2
"""Standard deviation of the smoothing, relative to the typical time between two polls."""
CELLS_PER_POLL_INTERVAL = 20
"""Number of cells between two polls; the smoothed probability is constant in each cell."""
SMOOTHING_ITERATIONS = 200
"""Number of iterations of the estimation with smoothing."""
MAX_DISTINCT_BOUNDS = 400
"""Largest number of distinct bounds. If there are more, intervals are widened until at most this number remains."""


class CensoredTime(NamedTuple):
    """Lower and upper bound of a time of one sample, in milliseconds; both are equal if the time is known exactly."""

    text_id: Hashable
    low_ms: float
    high_ms: float


def estimate_censored_quantile(times: Sequence[CensoredTime], fraction: float) -> Estimate | None:
    """Estimate a quantile of `times`, with a 95% interval that is computed from ranks (Conover 1999, section 3.2).

    Args:
        times: the bounds of each time.
        fraction: 0.5 for the median.

    Returns:
        The estimate; `None` if there are no times, or if `fraction` is above 0.5 and less than one time is expected to
        lie above the quantile.
    """
    is_upper_tail = fraction > 0.9
    if not times or (fraction > 0.5 and len(times) * (1 - fraction) < 1 - 1e-9):
        return None
    distribution = _CensoredDistribution(times)
    value = estimate_smoothed_median(times) if fraction == 0.5 else distribution.find_quantile(fraction)
    text_count = len({time.text_id for time in times})
    if text_count < MIN_TEXTS_FOR_INTERVAL:
        note = f"no interval from fewer than {MIN_TEXTS_FOR_INTERVAL} texts"
        return Estimate(value=value, low=None, high=None, sample_count=len(times), note=note)
    # Ranks instead of resampling: the estimator converges with the cube root of the number of samples (Groeneboom and
    # Wellner 1992), and for estimators of this kind the ordinary bootstrap fails (Sen, Banerjee and Woodroofe 2010).
    # The number of texts counts, not that of samples, because the samples of one text resemble each other; this errs on
    # the side of a wide interval.
    error = NormalDist().inv_cdf((1 + CONFIDENCE_LEVEL) / 2) * math.sqrt(fraction * (1 - fraction) / text_count)
    low, high = (distribution.find_quantile(min(max(fraction + sign * error, 0.0), 1.0)) for sign in (-1, 1))
    low, high = min(low, value), max(high, value)
    if is_upper_tail and len(times) < MIN_P95_UPPER_BOUND_SAMPLES:
        note = f"no upper bound from {len(times)} samples; it takes {MIN_P95_UPPER_BOUND_SAMPLES}"
        return Estimate(value=value, low=low, high=None, sample_count=len(times), note=note)
    return Estimate(value=value, low=low, high=high, sample_count=len(times))


def estimate_smoothed_median(times: Sequence[CensoredTime]) -> float:
    """Return the median in ms, estimated with smoothing; the ordinary median if most times are known exactly."""
    bounds = np.array([(time.low_ms, max(time.high_ms, time.low_ms)) for time in times])
    width = float(np.median(bounds[:, 1] - bounds[:, 0]))
    if width == 0:
        return _CensoredDistribution(times).find_quantile(0.5)
    start = float(np.quantile(bounds[:, 0], 0.05)) - width
    end = float(np.quantile(bounds[:, 1], 0.95)) + width
    step = max(width / CELLS_PER_POLL_INTERVAL, (end - start) / MAX_DISTINCT_BOUNDS)
    centers = np.arange(start + step / 2, end, step)
    # Far from the median it does not matter where a time lies; equal bounds are counted, which limits memory.
    rounded = np.round((np.clip(bounds, centers[0], centers[-1]) - start) / step * 4) * step / 4 + start
    limited, counts = np.unique(rounded, axis=0, return_counts=True)
    is_inside = (limited[:, :1] - step / 2 <= centers) & (centers <= limited[:, 1:] + step / 2)
    inside = is_inside.astype(np.float64)
    reach = math.ceil(4 * RELATIVE_SMOOTHING_WIDTH * width / step)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / (RELATIVE_SMOOTHING_WIDTH * width)) ** 2)
    kernel /= kernel.sum()
    masses: FloatArray = np.full(len(centers), 1 / len(centers))
    # Each step divides every time among the cells of its interval in proportion to the present estimate (E), adds up
    # the shares (M), and smooths them (S). Smoothing the final estimate once would keep the gaps that the iteration has
    # dug. The number of steps is fixed, because with smoothing the likelihood need not increase.
    for _ in range(SMOOTHING_ITERATIONS):
        masses = masses * ((counts / np.maximum(inside @ masses, 1e-300)) @ inside)
        masses = np.convolve(masses, kernel)[reach : reach + len(centers)]
        masses /= masses.sum()
    totals = np.cumsum(masses)
    index = int(np.searchsorted(totals, 0.5))
    return float(centers[index] + step * ((0.5 - totals[index]) / masses[index] + 0.5))


class _CensoredDistribution:
    """The estimated distribution of censored times: all its probability lies in the innermost intervals.

    An innermost interval extends from a lower bound to an upper bound, and contains no other bound of any time.
    """

    def __init__(self, times: Sequence[CensoredTime]) -> None:
        low_ms = np.array([time.low_ms for time in times])
        high_ms = np.maximum([time.high_ms for time in times], low_ms)
        low_ms, high_ms = _widen_to_distinct_bounds(low_ms, high_ms)
        # A time lies after its lower bound, unless both are equal.
        # Intervals are open below and closed above: at the time of the earlier poll the job was seen running. Closed
        # intervals would touch at every poll, and the estimator would put probability on the poll itself.
        low_ms = np.where(low_ms < high_ms, np.nextafter(low_ms, np.inf), low_ms)
        ends = np.unique(high_ms)
        # For each upper bound, the nearest lower bound: an interval with no other bound inside.
        starts = np.unique(low_ms)
        nearest = starts[np.maximum(np.searchsorted(starts, ends, side="right") - 1, 0)]
        previous_ends = np.concatenate(([-np.inf], ends[:-1]))
        is_innermost = nearest >= previous_ends
        self._starts, self._ends = nearest[is_innermost], ends[is_innermost]
        self._is_inside = (
            (low_ms[:, None] <= self._starts[None, :]) & (self._ends[None, :] <= high_ms[:, None])
        ).astype(np.float64)

        self._masses = self._fit()

    def find_quantile(self, fraction: float) -> float:
        """Return a quantile in milliseconds, interpolated linearly within its innermost interval."""
        totals = np.cumsum(self._masses)
        index = min(int(np.searchsorted(totals, fraction - 1e-9)), len(totals) - 1)
        mass = float(self._masses[index])
        share = min(max((fraction - float(totals[index]) + mass) / max(mass, 1e-12), 0.0), 1.0)
        return float(self._starts[index] + share * (self._ends[index] - self._starts[index]))

    def _fit(self) -> FloatArray:
        """Return the probability of each innermost interval."""
        count, inside = len(self._ends), self._is_inside
        # It begins with equal probabilities: an interval that begins with 0 would keep 0 in every step.
        masses: FloatArray = np.full(count, 1 / count)
        for _ in range(MAX_ITERATIONS):
            likelihoods = np.maximum(inside @ masses, 1e-300)
            updated: FloatArray = masses * ((1 / likelihoods) @ inside) / len(inside)
            change = float(np.abs(updated - masses).max())
            masses = updated
            if change < MIN_PROBABILITY_CHANGE:
                break
        return masses


def _widen_to_distinct_bounds(low_ms: FloatArray, high_ms: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the bounds, in milliseconds, widened where needed so that at most `MAX_DISTINCT_BOUNDS` are distinct."""
    bounds = np.unique(np.concatenate((low_ms, high_ms)))
    if len(bounds) <= MAX_DISTINCT_BOUNDS:
        return low_ms, high_ms
    grid = np.quantile(bounds, np.linspace(0, 1, MAX_DISTINCT_BOUNDS))
    lower = grid[np.maximum(np.searchsorted(grid, low_ms, side="right") - 1, 0)]
    upper = grid[np.minimum(np.searchsorted(grid, high_ms, side="left"), len(grid) - 1)]
    return lower, upper
