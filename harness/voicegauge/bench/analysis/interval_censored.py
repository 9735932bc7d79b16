"""Estimates quantiles of times that are known only between two bounds, such as the end of a polled job.

The nonparametric maximum-likelihood estimator of the distribution (Turnbull 1976, "The empirical distribution function
with arbitrarily grouped, censored and truncated data"), found by its self-consistency iteration. lifelines has it too,
but brings pandas, matplotlib and autograd, and takes a second to import.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from voicegauge.bench.analysis.resampling import CONFIDENCE_LEVEL, FloatArray
from voicegauge.bench.analysis.statistics import MIN_P95_BOUND_SAMPLES, MIN_TEXTS, Estimate

MAX_ITERATIONS = 400
MIN_MASS_CHANGE = 1e-6
"""Change of the probability of an interval below which the iteration ends."""
MAX_DISTINCT_BOUNDS = 400
"""Number of bounds above which they are rounded outwards to so many values."""


class CensoredTime(NamedTuple):
    """Lower and upper bound of a time of one sample, in milliseconds; both are equal if the time is known exactly."""

    text_id: Hashable
    low_ms: float
    high_ms: float


def estimate_censored_quantile(times: Sequence[CensoredTime], fraction: float) -> Estimate | None:
    """Estimate a quantile of `times`, with the 95% interval of its rank (Conover 1999, section 3.2).

    Args:
        times: the bounds of each time.
        fraction: 0.5 for the median.

    Returns:
        The estimate; `None` if less than one time is expected above an upper quantile.
    """
    is_upper_tail = fraction > 0.9
    if not times or (fraction > 0.5 and len(times) * (1 - fraction) < 1 - 1e-9):
        return None
    distribution = _CensoredDistribution(times)
    value = distribution.find_quantile(fraction)
    text_count = len({time.text_id for time in times})
    if text_count < MIN_TEXTS:
        note = f"no interval from fewer than {MIN_TEXTS} texts"
        return Estimate(value=value, low=None, high=None, n=len(times), note=note)
    error = NormalDist().inv_cdf((1 + CONFIDENCE_LEVEL) / 2) * math.sqrt(fraction * (1 - fraction) / text_count)
    low, high = (distribution.find_quantile(min(max(fraction + sign * error, 0.0), 1.0)) for sign in (-1, 1))
    if is_upper_tail and len(times) < MIN_P95_BOUND_SAMPLES:
        note = f"no upper bound from {len(times)} samples; it takes {MIN_P95_BOUND_SAMPLES}"
        return Estimate(value=value, low=low, high=None, n=len(times), note=note)
    return Estimate(value=value, low=low, high=high, n=len(times))


class _CensoredDistribution:
    """The innermost intervals of censored times, which alone can have a probability."""

    def __init__(self, times: Sequence[CensoredTime]) -> None:
        low_ms = np.array([time.low_ms for time in times])
        high_ms = np.maximum([time.high_ms for time in times], low_ms)
        low_ms, high_ms = _round_outwards(low_ms, high_ms)
        # A time lies after its lower bound, unless both are equal.
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
        """Return a quantile, interpolated within its innermost interval."""
        totals = np.cumsum(self._masses)
        index = min(int(np.searchsorted(totals, fraction - 1e-9)), len(totals) - 1)
        mass = float(self._masses[index])
        share = min(max((fraction - float(totals[index]) + mass) / max(mass, 1e-12), 0.0), 1.0)
        return float(self._starts[index] + share * (self._ends[index] - self._starts[index]))

    def _fit(self) -> FloatArray:
        """Return the probability of each innermost interval."""
        count, inside = len(self._ends), self._is_inside
        masses: FloatArray = np.full(count, 1 / count)
        for _ in range(MAX_ITERATIONS):
            likelihoods = np.maximum(inside @ masses, 1e-300)
            updated: FloatArray = masses * ((1 / likelihoods) @ inside) / len(inside)
            change = float(np.abs(updated - masses).max())
            masses = updated
            if change < MIN_MASS_CHANGE:
                break
        return masses


def _round_outwards(low_ms: FloatArray, high_ms: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the bounds, in milliseconds, widened where needed so that at most `MAX_DISTINCT_BOUNDS` are distinct."""
    bounds = np.unique(np.concatenate((low_ms, high_ms)))
    if len(bounds) <= MAX_DISTINCT_BOUNDS:
        return low_ms, high_ms
    grid = np.quantile(bounds, np.linspace(0, 1, MAX_DISTINCT_BOUNDS))
    lower = grid[np.maximum(np.searchsorted(grid, low_ms, side="right") - 1, 0)]
    upper = grid[np.minimum(np.searchsorted(grid, high_ms, side="left"), len(grid) - 1)]
    return lower, upper
