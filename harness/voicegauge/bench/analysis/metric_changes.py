"""Describes the change of one metric: its size, and the intervals and p-values that it allows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from voicegauge.bench.analysis.scipy_library import load_scipy

POWER = 0.80
"""Probability with which a change of the smallest detectable size is found."""
MAX_NORMAL_QUANTILE = 8.0
"""Quantile of the normal distribution beyond which all p-values count as equal (below 1e-15)."""


@dataclass(frozen=True, kw_only=True)
class MetricChange(ABC):
    """One metric on two sides.

    `change` is relative for times and prices, and a difference for rates (0.02 is two percentage points).
    """

    baseline_value: float
    run_value: float
    change: float
    n_baseline: int
    """Number of samples of the baseline from which the value was computed."""
    n_run: int
    note: str = ""
    """Why there is no interval, or how the value was computed."""

    @abstractmethod
    def compute_p_value(self) -> float | None:
        """Return the two-sided p-value of "nothing changed"; `None` if there are too few data or nothing to test."""

    @abstractmethod
    def compute_interval(self, tail: float) -> tuple[float, float] | None:
        """Return the interval of the change with the probability `tail` beyond each end; `None` with too few data."""

    @abstractmethod
    def compute_detectable_change(self, tail: float, min_change: float) -> float | None:
        """Return the smallest true worsening that is found with probability `POWER`.

        Args:
            tail: probability of a false alarm at which the change is tested, in one direction.
            min_change: smaller measured changes are ignored.
        """


@dataclass(frozen=True, kw_only=True)
class ExactChange(MetricChange):
    """A change that is known exactly, such as that of a price."""

    def compute_p_value(self) -> float | None:
        """Return `None`: nothing is estimated."""
        return None

    def compute_interval(self, tail: float) -> tuple[float, float] | None:
        """Return the change as both ends."""
        del tail
        return self.change, self.change

    def compute_detectable_change(self, tail: float, min_change: float) -> float | None:
        """Return the size from which a change is not ignored."""
        del tail
        return min_change


@dataclass(frozen=True, kw_only=True)
class EstimatedChange(MetricChange):
    """A change whose difference, divided by its standard error, has a Student t distribution.

    A percentile interval is too short for the eight texts of a small suite: in simulations it caused four times as
    many false alarms as it should.
    """

    difference: float
    """Difference of the logarithms of times; otherwise the change itself."""
    standard_error: float | None
    """Standard error of `difference`; `None` if there are too few data."""
    degrees_of_freedom: float = 1.0
    is_logarithmic: bool = False

    def compute_p_value(self) -> float | None:
        """Return the two-sided p-value of Student's t test."""
        t = load_scipy("stats").t
        if self.standard_error is None:
            return None
        if self.standard_error == 0:
            return 1.0 if self.difference == 0 else 0.0
        return float(2 * t.sf(abs(self.difference) / self.standard_error, self.degrees_of_freedom))

    def compute_interval(self, tail: float) -> tuple[float, float] | None:
        """Return the Student t interval."""
        if self.standard_error is None:
            return None
        margin = compute_student_quantile(tail, self.degrees_of_freedom) * self.standard_error
        return self._convert_difference(self.difference - margin), self._convert_difference(self.difference + margin)

    def compute_detectable_change(self, tail: float, min_change: float) -> float | None:
        """Return the size that is both significant and larger than `min_change` with probability `POWER`."""
        if self.standard_error is None:
            return None
        threshold = max(
            compute_student_quantile(tail, self.degrees_of_freedom) * self.standard_error,
            math.log1p(min_change) if self.is_logarithmic else min_change,
        )
        margin = compute_student_quantile(1 - POWER, self.degrees_of_freedom) * self.standard_error
        return self._convert_difference(threshold + margin)

    def _convert_difference(self, difference: float) -> float:
        return math.expm1(min(difference, 700.0)) if self.is_logarithmic else difference


@dataclass(frozen=True, kw_only=True)
class PolledTimeChange(MetricChange):
    """Change of a time that is known only between two polls.

    The true time lies anywhere between two polls, so the true change lies anywhere between `smallest` and `largest`.
    """

    smallest: EstimatedChange
    """Change from the upper bounds of the baseline to the lower bounds of the run."""
    largest: EstimatedChange
    """Change from the lower bounds of the baseline to the upper bounds of the run."""

    def compute_p_value(self) -> float | None:
        """Return the p-value of the bound that is nearest to "nothing changed"."""
        if self.smallest.difference > 0:
            return self.smallest.compute_p_value()
        if self.largest.difference < 0:
            return self.largest.compute_p_value()
        return None if self.smallest.standard_error is None else 1.0

    def compute_interval(self, tail: float) -> tuple[float, float] | None:
        """Return the interval from the lower end of the smallest change to the upper end of the largest one."""
        low, high = self.smallest.compute_interval(tail), self.largest.compute_interval(tail)
        return (low[0], high[1]) if low and high else None

    def compute_detectable_change(self, tail: float, min_change: float) -> float | None:
        """Return the size that is found although polls make the smallest possible change smaller than the true one."""
        size = self.smallest.compute_detectable_change(tail, min_change)
        return None if size is None else (1 + size) * (1 + self.change) / (1 + self.smallest.change) - 1


@dataclass(frozen=True, kw_only=True)
class FailureRateChange(MetricChange):
    """Change of the share of failed samples.

    The interval is computed from two Wilson intervals (Newcombe 1998, method 10). It is valid for small numbers of
    samples, and if no sample failed.
    """

    def compute_p_value(self) -> float | None:
        """Return the probability for which the interval just reaches 0."""
        brentq, norm = load_scipy("optimize").brentq, load_scipy("stats").norm
        if self.change == 0:
            return 1.0

        def compute_distance(normal_quantile: float) -> float:
            low, high = self._compute_newcombe_interval(normal_quantile)
            return low if self.change > 0 else -high

        if compute_distance(MAX_NORMAL_QUANTILE) > 0:
            return float(2 * norm.sf(MAX_NORMAL_QUANTILE))
        return float(2 * norm.sf(brentq(compute_distance, 0.0, MAX_NORMAL_QUANTILE)))

    def compute_interval(self, tail: float) -> tuple[float, float] | None:
        """Return the Newcombe interval."""
        return self._compute_newcombe_interval(_compute_normal_quantile(tail))

    def compute_detectable_change(self, tail: float, min_change: float) -> float | None:
        """Return the size of the change by the normal approximation, from the baseline's rate with one failure more."""
        before = (self.baseline_value * self.n_baseline + 1) / (self.n_baseline + 2)
        size = 0.0
        for _ in range(20):  # the variance depends on the size; the equation is solved by iteration
            after = min(before + size, 0.5 if before < 0.5 else 1.0)
            standard_error = math.sqrt(
                before * (1 - before) / self.n_baseline + max(after * (1 - after), 1e-9) / self.n_run
            )
            threshold = max(_compute_normal_quantile(tail) * standard_error, min_change)
            size = threshold + _compute_normal_quantile(1 - POWER) * standard_error
        return min(size, 1.0)

    def _compute_newcombe_interval(self, normal_quantile: float) -> tuple[float, float]:
        before, after = self.baseline_value, self.run_value
        old_low, old_high = _compute_wilson_interval(before, self.n_baseline, normal_quantile)
        new_low, new_high = _compute_wilson_interval(after, self.n_run, normal_quantile)
        return (
            self.change - math.hypot(after - new_low, old_high - before),
            self.change + math.hypot(new_high - after, before - old_low),
        )


def _compute_wilson_interval(rate: float, count: int, normal_quantile: float) -> tuple[float, float]:
    """Return the score interval of a binomial proportion (Wilson 1927)."""
    squared = normal_quantile**2
    center = (rate + squared / (2 * count)) / (1 + squared / count)
    margin = normal_quantile / (1 + squared / count) * math.sqrt(rate * (1 - rate) / count + squared / (4 * count**2))
    return max(center - margin, 0.0), min(center + margin, 1.0)


def compute_student_quantile(tail: float, degrees_of_freedom: float) -> float:
    """Return the quantile of the Student t distribution that is exceeded with the probability `tail`."""
    return float(load_scipy("stats").t.isf(tail, degrees_of_freedom))


def _compute_normal_quantile(tail: float) -> float:
    return float(load_scipy("stats").norm.isf(tail))
