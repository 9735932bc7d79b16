"""Estimates quantiles of times that are known only between two bounds, such as the end of a polled job.

The distribution is estimated by nonparametric maximum likelihood (Turnbull 1976, "The empirical distribution function
with arbitrarily grouped, censored and truncated data"), by the self-consistency iteration of that paper. The package
lifelines has this estimator too, but requires pandas, matplotlib and autograd, and takes a second to import.

This estimator puts all probability into a few short intervals, so that its median varies much from one set of polls to
the next. The median is therefore estimated by the same iteration with smoothing in each step (Silverman, Jones, Wilson
and Nychka 1990, "A smoothed EM approach to indirect estimation problems"), which errs about half as much. Other
quantiles are estimated without smoothing, because it widens the distribution.

The interval of a quantile begins where that of the lower bounds begins, and ends where that of the upper bounds ends:
every distribution between the bounds is possible. It is therefore as wide as the wait between two polls at least, and
covers more than 95%. Where the polls cannot tell within this interval, there is no better number than the interval.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from voicegauge.bench.estimates import Estimate, find_quantile_interval
from voicegauge.bench.resampling import FloatArray, SampledValues

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
MAX_OPEN_SHARE = 0.25
"""Largest width of the interval that the estimator cannot look into, relative to its end, with which an estimate is
still shown as a number."""
MAX_DISTINCT_BOUNDS = 400
"""Largest number of distinct bounds. If there are more, intervals are widened until at most this number remains."""


class CensoredTime(NamedTuple):
    """Lower and upper bound of a time of one sample, in milliseconds; both are equal if the time is known exactly."""

    text_id: Hashable
    low_ms: float
    high_ms: float


def estimate_censored_quantile(times: Sequence[CensoredTime], fraction: float) -> Estimate | None:
    """Estimate a quantile of `times`, with a 95% interval that holds wherever the times lie between their bounds.

    Args:
        times: the bounds of each time.
        fraction: 0.5 for the median.

    Returns:
        The estimate; `None` if there are no times, or if `fraction` is above 0.5 and less than one time is expected to
        lie above the quantile. `Estimate.is_range` is set if the polls leave open more than
        `MAX_OPEN_SHARE` of the value.
    """
    if not times or (fraction > 0.5 and len(times) * (1 - fraction) < 1 - 1e-9):
        return None
    distribution = _CensoredDistribution(times)
    start, end, probability = distribution.find_innermost_interval(fraction)
    value = distribution.find_quantile(fraction)
    if fraction == 0.5:
        value = estimate_smoothed_median(times)
        if probability >= fraction:  # equal times: smoothing would only move the median out of the interval
            value = min(max(value, start), end)
    lows = SampledValues([(time.text_id, time.low_ms) for time in times])
    highs = SampledValues([(time.text_id, max(time.high_ms, time.low_ms)) for time in times])
    # Ranks of the bounds instead of resampling: the estimator converges with the cube root of the number of samples
    # (Groeneboom and Wellner 1992), and for estimators of this kind the ordinary bootstrap fails (Sen, Banerjee and
    # Woodroofe 2010).
    low, high, note = find_quantile_interval(lows, highs, fraction)
    is_range = end - start > MAX_OPEN_SHARE * end
    if is_range:
        # Without an interval over texts, what the polls leave open is all that can be shown.
        low, high = start if low is None else low, end if high is None and not note.startswith("no upper") else high
        note = "; ".join(filter(None, (note, "between two polls: the time itself was not seen")))
    return Estimate(
        value=value,
        low=None if low is None else min(low, value),
        high=None if high is None else max(high, value),
        sample_count=len(times),
        note=note,
        is_range=is_range,
    )


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

    def find_innermost_interval(self, fraction: float) -> tuple[float, float, float]:
        """Return the start and the end, in milliseconds, and the probability of the interval with a quantile."""
        index = min(int(np.searchsorted(np.cumsum(self._masses), fraction - 1e-9)), len(self._masses) - 1)
        return float(self._starts[index]), float(self._ends[index]), float(self._masses[index])

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
