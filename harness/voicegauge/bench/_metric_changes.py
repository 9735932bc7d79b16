"""Computes the interval and the p-value of a change of a metric, in a way of its own for each class of change."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from voicegauge.bench.estimates import MIN_TEXTS_FOR_INTERVAL
from voicegauge.bench.resampling import FloatArray, load_scipy

REQUIRED_POWER = 0.80
"""Power of the test: probability with which a true change of the size called detectable is found."""
RELATIVE_PRECISION_OF_DETECTABLE_CHANGE = 0.002
"""Relative precision of the smallest detectable change."""
MAX_DETECTABLE_SLOWDOWN = 10.0
"""Largest relative slowdown that is given as the detectable change (10 is 1000%); a larger one is given as `None`."""
ESTIMATE_DISTRIBUTION_PROBABILITIES = (np.arange(64) + 0.5) / 64
"""Probabilities at which the distribution of an estimate is evaluated to compute the power of a test."""
TOO_FEW_TEXTS_NOTE = f"fewer than {MIN_TEXTS_FOR_INTERVAL} texts on both sides"
"""Note of a change that has no interval for this reason."""
MAX_NORMAL_QUANTILE = 8.0
"""Quantile of the normal distribution beyond which all p-values count as equal (below 1e-15)."""


@dataclass(frozen=True, kw_only=True)
class MetricChange(ABC):
    """The change of one metric between the two sides of a comparison.

    `change` is relative for times and prices, and a difference for rates (0.02 is two percentage points).
    """

    baseline_value: float
    """Value of the metric in the baseline."""
    run_value: float
    """Value of the metric in the new run."""
    change: float
    """Change from the baseline to the run."""
    baseline_sample_count: int
    """Number of samples of the baseline from which the value was computed."""
    run_sample_count: int
    """Number of samples of the run from which the value was computed."""
    note: str = ""
    """Why there is no interval, or how the change was computed; empty if there is nothing to explain."""

    def get_common_fields(self) -> dict[str, Any]:
        """Return the fields of `MetricChange` by name, to build another change with the same values."""
        return {one.name: getattr(self, one.name) for one in fields(MetricChange)}

    @abstractmethod
    def compute_p_value(self) -> float | None:
        """Return the two-sided p-value of "nothing changed"; `None` if there are too few data or nothing to test."""

    @abstractmethod
    def compute_interval(self, tail_probability: float) -> tuple[float, float] | None:
        """Return the lower and the upper end of the confidence interval of `change`; `None` with too few data.

        Args:
            tail_probability: the probability of one tail: 0.025 for a 95% interval.
        """

    @abstractmethod
    def compute_detectable_change(self, tail_probability: float, min_change: float) -> float | None:
        """Return the smallest true worsening of the metric that is found with probability `REQUIRED_POWER`.

        It is stated as `change` is; `None` with too few data, or if no worsening would be found. That probability is
        computed for the test that is made, with an estimated standard error, and not for a normal approximation.

        Args:
            tail_probability: probability of a false alarm at which the change is tested, in one direction.
            min_change: smaller measured changes are ignored; stated as `change` is.
        """


@dataclass(frozen=True, kw_only=True)
class BoundedChange(MetricChange):
    """A change of which bounds are known for certain, such as that of a price.

    Both bounds equal `change` if it is known exactly; they differ if the price depends on usage that is estimated.
    """

    smallest_change: float
    """Lower bound of `change`."""
    largest_change: float
    """Upper bound of `change`; infinite if nothing bounds it."""

    def compute_p_value(self) -> float | None:
        """Return `None`, because the bounds do not come from samples."""
        return None

    def compute_interval(self, tail_probability: float) -> tuple[float, float]:
        """Return the bounds of the change, which are certain, whatever the probability of a tail."""
        del tail_probability
        return self.smallest_change, self.largest_change

    def compute_detectable_change(self, tail_probability: float, min_change: float) -> float | None:
        """Return `min_change` if the change is known exactly; else `None`: no number of samples narrows the bounds."""
        del tail_probability
        return min_change if self.smallest_change == self.largest_change else None


@dataclass(frozen=True, kw_only=True)
class EstimatedChange(MetricChange):
    """A change whose difference, divided by its standard error, has a Student t distribution.

    Student's t distribution is used because a bootstrap percentile interval is too short for the eight texts of a small
    suite: in simulations it caused four times as many false alarms as it should.
    """

    difference: float
    """Estimated difference of the run from the baseline: of logarithms if `is_logarithmic`, else of the values
    themselves."""
    standard_error: float | None
    """Standard error of `difference`; `None` if there are too few data."""
    degrees_of_freedom: float = 1.0
    is_logarithmic: bool = False
    """Whether `difference` is a difference of logarithms, from which the relative `change` is computed."""
    predict_standard_error: Callable[[float], float] | None = None
    """Function that returns the standard error for a given true difference; `None` if the standard error is the same
    for every difference."""

    @classmethod
    def of_difference(
        cls,
        values: tuple[float, float],
        sample_counts: tuple[int, int],
        difference: float,
        standard_error: float | None,
        degrees_of_freedom: float = 1.0,
        *,
        is_logarithmic: bool = False,
        note: str = "",
        predict_standard_error: Callable[[float], float] | None = None,
    ) -> Self:
        """Return a change that was estimated as a difference.

        Args:
            values: value of the metric in the baseline and in the run.
            sample_counts: number of samples of both.
            difference: as the field of the same name.
            standard_error: `None` with too few texts; the change then has a note that says so, unless `note` is given.
            degrees_of_freedom: of the standard error.
            is_logarithmic: whether the difference is one of logarithms.
            note: how the change was computed, or why it has no standard error.
            predict_standard_error: predicts the standard error for another true difference.
        """
        return cls(
            baseline_value=values[0],
            run_value=values[1],
            change=math.expm1(difference) if is_logarithmic else difference,
            baseline_sample_count=sample_counts[0],
            run_sample_count=sample_counts[1],
            note=note or ("" if standard_error is not None else TOO_FEW_TEXTS_NOTE),
            difference=difference,
            standard_error=standard_error,
            degrees_of_freedom=degrees_of_freedom,
            is_logarithmic=is_logarithmic,
            predict_standard_error=predict_standard_error,
        )

    def compute_p_value(self) -> float | None:
        """Return the two-sided p-value of Student's t test; `None` if the standard error is unknown."""
        t = load_scipy("stats").t
        if self.standard_error is None:
            return None
        # Every text changed by the same amount, so that the test statistic cannot be computed.
        if self.standard_error == 0:
            return 1.0 if self.difference == 0 else 0.0
        return float(2 * t.sf(abs(self.difference) / self.standard_error, self.degrees_of_freedom))

    def compute_interval(self, tail_probability: float) -> tuple[float, float] | None:
        """Return the confidence interval of `change` by Student's t distribution; `None` with too few data.

        Args:
            tail_probability: the probability of one tail: 0.025 for a 95% interval.
        """
        if self.standard_error is None:
            return None
        margin = compute_student_quantile(tail_probability, self.degrees_of_freedom) * self.standard_error
        low, high = self.difference - margin, self.difference + margin
        return self._convert_difference_to_change(low), self._convert_difference_to_change(high)

    def compute_detectable_change(self, tail_probability: float, min_change: float) -> float | None:
        """Return the smallest worsening whose estimate is significant, and above `min_change`, with `REQUIRED_POWER`.

        `None` with too few data, or if not even a slowdown by `MAX_DETECTABLE_SLOWDOWN` would be found, or a rate that
        is higher by 1 (or by ten times `min_change`, if that is more).
        """
        standard_error, predict = self.standard_error, self.predict_standard_error
        if standard_error is None:
            return None
        threshold = math.log1p(min_change) if self.is_logarithmic else min_change
        critical = compute_student_quantile(tail_probability, self.degrees_of_freedom)
        chi2, ndtr = load_scipy("stats").chi2, load_scipy("special").ndtr
        spread = np.sqrt(
            chi2.ppf(ESTIMATE_DISTRIBUTION_PROBABILITIES, self.degrees_of_freedom) / self.degrees_of_freedom
        )
        # An estimated standard error is too small more often than too large: half of the time it is below this share.
        typical_share = math.sqrt(float(chi2.median(self.degrees_of_freedom)) / self.degrees_of_freedom)

        def compute_power(difference: float) -> float:
            error = (predict(difference) if predict is not None else standard_error) / typical_share
            if error == 0:
                return float(difference >= threshold)
            # The test divides by an estimated error, which varies by `spread`; the change must pass the threshold too.
            limits = np.maximum(critical * error * spread, threshold)
            return float(np.mean(ndtr((difference - limits) / error)))

        largest = math.log1p(MAX_DETECTABLE_SLOWDOWN) if self.is_logarithmic else max(1.0, 10 * min_change)
        size = _find_change_with_power(compute_power, threshold or 1e-3, largest)
        return None if size is None else self._convert_difference_to_change(size)

    def _convert_difference_to_change(self, difference: float) -> float:
        # The exponential of more than 709 overflows.
        return math.expm1(min(difference, 700.0)) if self.is_logarithmic else difference


@dataclass(frozen=True, kw_only=True)
class TwiceTestedChange(MetricChange):
    """A change that is estimated and tested in two ways, each at half the significance level (Bonferroni).

    `change` and the interval are those of the estimate with the smaller p-value, `chosen_estimate`.
    """

    chosen_estimate: EstimatedChange
    """The estimate with the smaller p-value."""
    other_estimate: EstimatedChange
    """The estimate with the larger p-value."""

    @classmethod
    def combine(cls, first: EstimatedChange, second: EstimatedChange) -> Self:
        """Return a change that is tested by both of two estimates, each of which has a standard error."""
        chosen, other = sorted((first, second), key=lambda one: one.compute_p_value() or 0.0)
        return cls(**chosen.get_common_fields(), chosen_estimate=chosen, other_estimate=other)

    def compute_p_value(self) -> float | None:
        """Return twice the smaller p-value of the two tests, at most 1; `None` with too few data."""
        p_value = self.chosen_estimate.compute_p_value()
        return None if p_value is None else min(2 * p_value, 1.0)

    def compute_interval(self, tail_probability: float) -> tuple[float, float] | None:
        """Return the interval of `chosen_estimate` at half of `tail_probability`; `None` with too few data."""
        return self.chosen_estimate.compute_interval(tail_probability / 2)

    def compute_detectable_change(self, tail_probability: float, min_change: float) -> float | None:
        """Return the smaller detectable change of the two tests, each at half of `tail_probability`.

        `None` if neither test would find a change.
        """
        sizes = [
            one.compute_detectable_change(tail_probability / 2, min_change)
            for one in (self.chosen_estimate, self.other_estimate)
        ]
        return min((size for size in sizes if size is not None), default=None)


@dataclass(frozen=True, kw_only=True)
class PolledTimeChange(MetricChange):
    """Change of a time of which only bounds are known, because the end of a job is seen only by polling.

    The true change lies anywhere between `smallest_change` and `largest_change`.
    """

    smallest_change: EstimatedChange
    """Change if every time of the baseline is at its upper bound, and every time of the run at its lower bound."""
    largest_change: EstimatedChange
    """Change if every time of the baseline is at its lower bound, and every time of the run at its upper bound."""

    def compute_p_value(self) -> float | None:
        """Return the p-value of the possible change that is nearest to "nothing changed"; 1 if the change may be 0.

        `None` with too few data.
        """
        if self.smallest_change.difference > 0:
            return self.smallest_change.compute_p_value()
        if self.largest_change.difference < 0:
            return self.largest_change.compute_p_value()
        return None if self.smallest_change.standard_error is None else 1.0

    def compute_interval(self, tail_probability: float) -> tuple[float, float] | None:
        """Return an interval that contains the confidence intervals of the smallest and of the largest change.

        `None` with too few data.

        Args:
            tail_probability: the probability of one tail: 0.025 for a 95% interval.
        """
        smallest = self.smallest_change.compute_interval(tail_probability)
        largest = self.largest_change.compute_interval(tail_probability)
        return (smallest[0], largest[1]) if smallest and largest else None

    def compute_detectable_change(self, tail_probability: float, min_change: float) -> float | None:
        """Return the smallest worsening that is found with `REQUIRED_POWER`, wherever between the polls jobs ended.

        It is relative, as `change` is; `None` with too few data, or if no worsening would be found.

        Args:
            tail_probability: as in `MetricChange`.
            min_change: as in `MetricChange`.
        """
        # The smallest change is what is tested, and the change that is shown is larger by a constant ratio.
        size = self.smallest_change.compute_detectable_change(tail_probability, min_change)
        return None if size is None else (1 + size) * (1 + self.change) / (1 + self.smallest_change.change) - 1


@dataclass(frozen=True, kw_only=True)
class FailureRateChange(MetricChange):
    """Change of the share of samples that failed, or of those with wrong audio.

    The interval is computed from two Wilson intervals (Newcombe 1998, method 10). It is valid for small numbers of
    samples, and if no sample failed or was wrong. If the sides have very different numbers of samples, such as one
    night beside ten, the interval excludes 0 four to eight times as often as it should. A change is therefore
    significant only if it is so by Fisher's exact test with mid-p (Lancaster 1961), too.
    """

    @classmethod
    def of_counts(cls, baseline_counts: tuple[int, int], run_counts: tuple[int, int]) -> Self | None:
        """Return the change between two sides, each given as its numbers of failures and of samples.

        `None` if a side has no samples.
        """
        (baseline_failures, baseline_samples), (run_failures, run_samples) = baseline_counts, run_counts
        if not baseline_samples or not run_samples:
            return None
        before, after = baseline_failures / baseline_samples, run_failures / run_samples
        return cls(
            baseline_value=before,
            run_value=after,
            change=after - before,
            baseline_sample_count=baseline_samples,
            run_sample_count=run_samples,
        )

    def compute_p_value(self) -> float:
        """Return the larger of two p-values: that of Newcombe's interval and that of Fisher's exact test."""
        return 1.0 if self.change == 0 else max(self._compute_newcombe_p_value(), 2 * self._compute_mid_p_value())

    def _compute_mid_p_value(self) -> float:
        """Return the one-sided p-value of Fisher's exact test with mid-p, in the direction of the change."""
        # The product of a share and its number of samples need not be exactly the whole number that it came from.
        counts = round(self.baseline_value * self.baseline_sample_count), round(self.run_value * self.run_sample_count)
        sizes = self.baseline_sample_count, self.run_sample_count
        if self.change < 0:
            counts, sizes = counts[::-1], sizes[::-1]
        return float(_compute_mid_p_values(np.array(counts[0]), np.array(counts[1]), *sizes))

    def _compute_newcombe_p_value(self) -> float:
        """Return the two-sided p-value at which Newcombe's interval just reaches 0."""
        brentq, norm = load_scipy("optimize").brentq, load_scipy("stats").norm

        def compute_distance_from_zero(normal_quantile: float) -> float:
            low, high = self._compute_newcombe_interval(normal_quantile)
            return low if self.change > 0 else -high

        # The interval grows with the quantile, so that its end meets 0 once, or beyond the largest quantile.
        if compute_distance_from_zero(MAX_NORMAL_QUANTILE) > 0:
            return float(2 * norm.sf(MAX_NORMAL_QUANTILE))
        return float(2 * norm.sf(brentq(compute_distance_from_zero, 0.0, MAX_NORMAL_QUANTILE)))

    def compute_interval(self, tail_probability: float) -> tuple[float, float]:
        """Return Newcombe's confidence interval of `change`.

        It is extended to 0 if it excludes 0 although the exact test is not significant.

        Args:
            tail_probability: the probability of one tail: 0.025 for a 95% interval.
        """
        low, high = self._compute_newcombe_interval(_compute_normal_quantile(tail_probability))
        # An interval without 0 says that there is a change, so both tests must agree on it.
        if (low > 0 or high < 0) and self._compute_mid_p_value() >= tail_probability:
            return min(low, 0.0), max(high, 0.0)
        return low, high

    def compute_detectable_change(self, tail_probability: float, min_change: float) -> float | None:
        """Return the smallest increase of the failure rate that is found with `REQUIRED_POWER`.

        Half a failure is added to the number of failures in the baseline, which may be 0. The result is `None` if not
        even the failure of all requests would be found.
        """
        before = (self.baseline_value * self.baseline_sample_count + 0.5) / (self.baseline_sample_count + 1)
        normal_quantile = _compute_normal_quantile(tail_probability)
        binom = load_scipy("stats").binom
        old_failure_counts = binom.ppf(ESTIMATE_DISTRIBUTION_PROBABILITIES, self.baseline_sample_count, before)
        significant_counts = _find_significant_failure_counts(
            old_failure_counts, self.baseline_sample_count, self.run_sample_count, tail_probability
        )[:, None]
        old_rates = old_failure_counts[:, None] / self.baseline_sample_count
        _, old_highs = _compute_wilson_intervals(old_rates, self.baseline_sample_count, normal_quantile)

        def compute_power(rate_increase: float) -> float:
            new_failure_counts = binom.ppf(
                ESTIMATE_DISTRIBUTION_PROBABILITIES, self.run_sample_count, min(before + rate_increase, 1.0)
            )[None, :]
            new_rates = new_failure_counts / self.run_sample_count
            new_lows, _ = _compute_wilson_intervals(new_rates, self.run_sample_count, normal_quantile)
            changes = new_rates - old_rates
            lows = changes - np.hypot(new_rates - new_lows, old_highs - old_rates)
            return float(np.mean((lows > 0) & (changes >= min_change) & (new_failure_counts >= significant_counts)))

        return _find_change_with_power(compute_power, max(min_change, 1e-3), 1.0)

    def _compute_newcombe_interval(self, normal_quantile: float) -> tuple[float, float]:
        before, after = self.baseline_value, self.run_value
        old_low, old_high = _compute_wilson_intervals(np.array(before), self.baseline_sample_count, normal_quantile)
        new_low, new_high = _compute_wilson_intervals(np.array(after), self.run_sample_count, normal_quantile)
        return (
            self.change - math.hypot(after - new_low, old_high - before),
            self.change + math.hypot(new_high - after, before - old_low),
        )


def _compute_mid_p_values(
    baseline_failure_counts: FloatArray,
    run_failure_counts: FloatArray,
    baseline_sample_count: int,
    run_sample_count: int,
) -> FloatArray:
    """Return one-sided mid-p values of Fisher's exact test, for pairs of numbers of failures in baseline and run.

    Given the total number of failures, a value is the probability that the run has more of them than were counted,
    plus half of the probability that it has exactly as many.
    """
    hypergeom = load_scipy("stats").hypergeom
    drawn = baseline_sample_count + run_sample_count, baseline_failure_counts + run_failure_counts, run_sample_count
    values: FloatArray = hypergeom.sf(run_failure_counts, *drawn) + hypergeom.pmf(run_failure_counts, *drawn) / 2
    return values


def _find_significant_failure_counts(
    baseline_failure_counts: FloatArray, baseline_sample_count: int, run_sample_count: int, tail_probability: float
) -> FloatArray:
    """Return, for each number of failures in the baseline, the smallest significantly higher number in the run."""
    # The numbers come from a distribution and repeat; each one needs a search of its own.
    distinct, positions = np.unique(baseline_failure_counts, return_inverse=True)
    low, high = np.zeros_like(distinct), np.full_like(distinct, run_sample_count)
    while (high - low > 1).any():
        middle = (low + high) // 2
        is_significant = (
            _compute_mid_p_values(distinct, middle, baseline_sample_count, run_sample_count) < tail_probability
        )
        low, high = np.where(is_significant, low, middle), np.where(is_significant, middle, high)
    found: FloatArray = high[positions]
    return found


def _find_change_with_power(
    compute_power: Callable[[float], float], first_change: float, max_change: float
) -> float | None:
    """Return the smallest change with `REQUIRED_POWER`; `None` if it is above `max_change`.

    Args:
        compute_power: returns the power for a change; it grows with the change.
        first_change: change at which the search begins.
        max_change: largest change that is tried.
    """
    # Doubled until the power suffices, then bisected: the power grows with the change, whose size may be anything.
    low, high = 0.0, min(first_change, max_change)
    while compute_power(high) < REQUIRED_POWER:
        if high >= max_change:
            return None
        low, high = high, min(high * 2, max_change)
    while high - low > RELATIVE_PRECISION_OF_DETECTABLE_CHANGE * high:
        middle = (low + high) / 2
        low, high = (low, middle) if compute_power(middle) >= REQUIRED_POWER else (middle, high)
    return high


def _compute_wilson_intervals(
    failure_rates: FloatArray, sample_count: int, normal_quantile: float
) -> tuple[FloatArray, FloatArray]:
    """Return the score intervals of binomial proportions (Wilson 1927)."""
    squared = normal_quantile**2
    centers = (failure_rates + squared / (2 * sample_count)) / (1 + squared / sample_count)
    margins = (
        normal_quantile
        / (1 + squared / sample_count)
        * np.sqrt(failure_rates * (1 - failure_rates) / sample_count + squared / (4 * sample_count**2))
    )
    return np.maximum(centers - margins, 0.0), np.minimum(centers + margins, 1.0)


@functools.lru_cache(maxsize=1024)
def compute_student_quantile(tail_probability: float, degrees_of_freedom: float) -> float:
    """Return the quantile of the Student t distribution that is exceeded with the probability `tail_probability`."""
    return float(load_scipy("stats").t.isf(tail_probability, degrees_of_freedom))


@functools.lru_cache(maxsize=1024)
def _compute_normal_quantile(tail_probability: float) -> float:
    return float(load_scipy("stats").norm.isf(tail_probability))
