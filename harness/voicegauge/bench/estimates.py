"""Estimates the metrics of one run, with confidence intervals that hold for few texts.

The texts of a suite are a sample of all texts that a target could synthesize, and the samples of one text resemble each
other. Every interval therefore counts texts, not samples. Intervals are chosen by their simulated coverage
(`benchmarks/interval_coverage`): percentile bootstrap intervals of 8 or 24 texts cover 75 to 90% instead of 95%.

- Quantiles have intervals between order statistics (Nyblom 1992, "Note on interpolated order statistics"), for the
  number of independent samples that the samples are worth.
- Rates such as WER are ratios of sums (Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR
  performance evaluation"). Their interval is Student's, of the logarithm, from leaving out one text at a time
  (jackknife: Efron and Tibshirani 1993, chapter 11).
- Shares have Wilson's interval (Wilson 1927), for the number of independent samples that the samples are worth (Rao and
  Scott 1992).

With too few samples, an estimate or an end of its interval is `None`, and a note says why.

Polling shows only bounds of the time at which a job ended. The distribution of such times is estimated by nonparametric
maximum likelihood (Turnbull 1976, "The empirical distribution function with arbitrarily grouped, censored and truncated
data"), by the self-consistency iteration of that paper. The package lifelines has this estimator too, but requires
pandas, matplotlib and autograd, and takes a second to import.

This estimator puts all probability into a few short intervals, so that its median varies much from one set of polls to
the next. The median is therefore estimated by the same iteration with smoothing in each step (Silverman, Jones, Wilson
and Nychka 1990, "A smoothed EM approach to indirect estimation problems"), which errs about half as much. Other
quantiles are estimated without smoothing, because it widens the distribution.

The confidence interval of a quantile of such times extends from the lower end of the interval for the lower bounds to
the upper end of the interval for the upper bounds, because every distribution between the bounds is possible. It is
therefore at least as wide as the wait between two polls, and covers more than 95%. If the polls are too far apart to
locate the quantile within this interval, only the interval is shown.
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
    IntegerArray,
    SampledValues,
    ValuesWithTextIds,
)
from voicegauge.model.base import Record

# Estimates quantiles, with intervals between order statistics.


MIN_TEXTS_FOR_INTERVAL = 5
"""Smallest number of texts from which the spread between texts is estimated."""
MIN_TEXTS_FOR_HIGH_QUANTILE = 12
"""Smallest number of texts from which a quantile above 0.9 has a bound: with 8 texts of three samples each, whose
slowest ones are outliers, the bound held in 93% of simulated runs instead of 95%."""
MIN_SAMPLES_FOR_P95 = 20
"""Smallest number of samples for a 95th percentile: of 20 samples, one lies above it."""
MIN_TEXTS_ABOVE_QUANTILE = 3
"""Number of texts that must be expected above a quantile for its interval to have an upper end. For the 95th percentile
that takes 60 texts: more samples of fewer texts do not show how slow the slowest texts are."""
MAX_SAMPLES_FOR_EXACT_INTERVAL = 1000
"""Largest number of samples for which the interval of a quantile is computed from the binomial distribution, and not
from its normal approximation."""
NORMAL_QUANTILE_OF_CONFIDENCE_LEVEL = NormalDist().inv_cdf((1 + CONFIDENCE_LEVEL) / 2)
"""Half the width of an interval at `CONFIDENCE_LEVEL`, in standard deviations of a normal distribution."""


class Estimate(Record, frozen=True, kw_only=True):
    """A number with its confidence interval (95% unless documented otherwise)."""

    value: float
    """The estimated value: a median, percentile, share or rate, depending on the field that holds this estimate."""
    low: float | None
    """Lower end of the interval; `None` if there are too few data."""
    high: float | None
    """Upper end of the interval; `None` if there are too few data. If only this end is missing, `low` is a one-sided
    bound at the same level."""
    sample_count: int
    """Number of samples from which the value was computed."""
    note: str = ""
    """Why an end of the interval is missing, or how the interval was computed; empty for a usual interval."""
    is_range: bool = False
    """Whether polling cannot tell where in the interval the value lies: `value` is then a guess, and the interval is
    what should be shown."""


class BoundEstimates(Record, frozen=True, kw_only=True):
    """Estimates of the lower and the upper bound of a time, such as a median, that is measured only by polling.

    The true time lies between the two estimates; neither of them is the time that the provider takes.
    """

    low: Estimate
    """Median of the lower bounds."""
    high: Estimate
    """Median of the upper bounds."""


def estimate_quantile(values: ValuesWithTextIds | SampledValues, fraction: float) -> Estimate | None:
    """Estimate a quantile of `values`, linearly interpolated.

    Args:
        values: pairs of a text id and a value; or values that were sorted before, for several estimates.
        fraction: 0.5 for the median.

    Returns:
        The estimate; `None` if there are no values, or if `fraction` exceeds 0.9 and there are fewer than
        `MIN_SAMPLES_FOR_P95` values. The interval has no upper end if fewer than `MIN_TEXTS_ABOVE_QUANTILE` texts are
        expected above the quantile.
    """
    if not len(values) or (fraction > 0.9 and len(values) < MIN_SAMPLES_FOR_P95):
        return None
    sampled = values if isinstance(values, SampledValues) else SampledValues(values)
    low, high, note = find_quantile_interval(sampled, sampled, fraction)
    value = sampled.compute_quantile(fraction)
    return Estimate(
        value=value,
        low=None if low is None else min(low, value),
        high=None if high is None else max(high, value),
        sample_count=len(values),
        note=note,
    )


def estimate_median(values: ValuesWithTextIds | SampledValues) -> Estimate | None:
    """Estimate the median of `values`; `None` if there are no values."""
    return estimate_quantile(values, 0.5)


def find_quantile_interval(
    lower_bounds: SampledValues, upper_bounds: SampledValues, fraction: float
) -> tuple[float | None, float | None, str]:
    """Return the ends of the interval of a quantile, and a note on why an end is `None`; empty if neither is.

    Args:
        lower_bounds: a lower bound of the value of each sample; the values themselves if they are known.
        upper_bounds: an upper bound of the value of each sample, in the same way.
        fraction: 0.5 for the median.
    """
    text_count = lower_bounds.text_count
    least = MIN_TEXTS_FOR_HIGH_QUANTILE if fraction > 0.9 else MIN_TEXTS_FOR_INTERVAL
    if text_count < least:
        return None, None, f"no interval from fewer than {least} texts"
    tail = (1 - CONFIDENCE_LEVEL) / 2
    high = _find_end_of_quantile_interval(upper_bounds, fraction, tail, is_upper=True)
    needed = math.ceil(MIN_TEXTS_ABOVE_QUANTILE / (1 - fraction) - 1e-9)
    if fraction > 0.5 and (high is None or text_count < needed):
        low = _find_end_of_quantile_interval(lower_bounds, fraction, 2 * tail, is_upper=False)
        return low, None, f"no upper bound from {text_count} texts; it takes {needed} or more"
    return _find_end_of_quantile_interval(lower_bounds, fraction, tail, is_upper=False), high, ""


def _find_end_of_quantile_interval(
    sampled_values: SampledValues, fraction: float, tail_probability: float, *, is_upper: bool
) -> float | None:
    """Return the lower or the upper end of the interval of a quantile; `None` if there are too few values.

    The median always has one: with fewer than about 6 independent values it ends at the smallest or the largest.

    Args:
        sampled_values: the values, with the text of each.
        fraction: the quantile: 0.5 for the median.
        tail_probability: the probability that the quantile lies beyond this end.
        is_upper: whether the upper end is wanted.
    """
    # How alike the samples of a text are shows in which of them lie below the quantile, whatever outliers there are.
    is_below = sampled_values.values <= sampled_values.compute_quantile(fraction)
    effective = round(
        _estimate_effective_sample_count(
            is_below.astype(np.float64), sampled_values.text_indexes, sampled_values.text_count
        )
    )
    count = len(sampled_values)
    rank = _find_rank_of_lower_end(max(effective, 1), 1 - fraction if is_upper else fraction, tail_probability)
    if rank is None:
        if fraction != 0.5:
            return None
        rank = 1.0
    if is_upper:
        rank = max(effective, 1) + 1 - rank
    # The rank among the independent samples that they are worth, as a position among all samples.
    position = min(max(rank * (count + 1) / (max(effective, 1) + 1), 1.0), float(count))
    return float(np.interp(position, np.arange(1, count + 1), sampled_values.values))


def _find_rank_of_lower_end(sample_count: int, fraction: float, tail_probability: float) -> float | None:
    """Return the interpolated rank, from 1, of the lower end of the interval of a quantile (Nyblom 1992).

    `None` if even the smallest value is above the quantile with a higher probability than `tail_probability`.
    """
    if sample_count > MAX_SAMPLES_FOR_EXACT_INTERVAL:
        deviation = math.sqrt(sample_count * fraction * (1 - fraction))
        return max(sample_count * fraction - NormalDist().inv_cdf(1 - tail_probability) * deviation + 0.5, 1.0)
    # Logarithms, because powers such as 0.05 ** 1000 are 0 as floating-point numbers.
    logs = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, sample_count + 1)))))
    counts = np.arange(sample_count + 1)
    log_masses = logs[-1] - logs - logs[::-1] + counts * math.log(fraction) + counts[::-1] * math.log1p(-fraction)
    # The probability that the value at rank d is above the quantile: that fewer than d values are below it.
    is_above = np.concatenate(([0.0], np.cumsum(np.exp(log_masses))))[: sample_count + 1]
    rank = int(np.searchsorted(is_above, tail_probability, side="right")) - 1
    if rank < 1:
        return None
    if rank >= sample_count:
        return float(sample_count)
    missing, exceeding = tail_probability - float(is_above[rank]), float(is_above[rank + 1]) - tail_probability
    if missing <= 0:
        return float(rank)
    odds = rank * (1 - fraction) * exceeding / ((sample_count - rank) * fraction * missing)
    return rank + 1 / (1 + odds)


def _estimate_effective_sample_count(values: FloatArray, text_indexes: IntegerArray, text_count: int) -> float:
    """Return how many independent samples the samples of some texts are worth, to estimate the mean of `values`.

    It is the number of samples, divided by the design effect (Kish 1965) and by the factor by which Student's quantile
    exceeds the normal one, because the design effect is estimated from `text_count` texts (Korn and Graubard 1998).
    """
    count = len(values)
    variance = float(values.var())
    if count == text_count or text_count < 2 or variance == 0:
        return float(count)
    sums = np.bincount(text_indexes, weights=values - values.mean(), minlength=text_count)
    between = text_count / (text_count - 1) * float(np.sum(sums**2)) / count**2
    effect = min(max(between * count / variance, 1.0), count / text_count)
    if effect < 1.01:  # as good as independent: a correction by Student's quantile would only widen the interval
        return float(count)
    return count / effect * (NORMAL_QUANTILE_OF_CONFIDENCE_LEVEL / approximate_student_quantile(text_count - 1)) ** 2


def approximate_student_quantile(degrees_of_freedom: int) -> float:
    """Return the quantile of Student's t distribution for `CONFIDENCE_LEVEL`, both tails together.

    It is the expansion 26.7.5 of Abramowitz and Stegun, which is exact to 0.3% from 4 degrees of freedom on. SciPy has
    it, but reports are also made where SciPy is not installed.
    """
    z, n = NORMAL_QUANTILE_OF_CONFIDENCE_LEVEL, float(degrees_of_freedom)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


# Estimates shares, means, and ratios of sums such as WER.


POISSON_LOWER_BOUND_BY_EVENT_COUNT = {2: 0.3554, 1: 0.0513}
"""For one or two events, the Poisson mean with which that number or more occur with a probability of 5%: the lower end
of the modified Wilson interval (Brown, Cai and DasGupta 2001, "Interval estimation for a binomial proportion")."""


def estimate_share(values: Iterable[tuple[Hashable, bool]]) -> Estimate | None:
    """Estimate the share of samples with a property, such as a failure, with Wilson's interval.

    Args:
        values: for each sample, the id of its text and whether it has the property.

    Returns:
        The estimate; `None` if there are no samples.
    """
    sampled = SampledValues([(text, float(value)) for text, value in values])
    if not len(sampled):
        return None
    share = float(sampled.values.mean())
    count = _estimate_effective_sample_count(sampled.values, sampled.text_indexes, sampled.text_count)
    squared = NORMAL_QUANTILE_OF_CONFIDENCE_LEVEL**2
    center = (share + squared / (2 * count)) / (1 + squared / count)
    margin = (
        NORMAL_QUANTILE_OF_CONFIDENCE_LEVEL
        / (1 + squared / count)
        * math.sqrt(share * (1 - share) / count + squared / (4 * count**2))
    )
    # Wilson's interval excludes rates near 0 too often if one or two samples have the property, and those near 1 alike.
    low, high = center - margin, center + margin
    for missed, bound in POISSON_LOWER_BOUND_BY_EVENT_COUNT.items():
        if 0 < share * count < missed + 0.5:
            low = min(low, bound / count)
        if 0 < (1 - share) * count < missed + 0.5:
            high = max(high, 1 - bound / count)
    # Rounding leaves 1e-17 where the interval begins at 0 or ends at 1.
    return Estimate(
        value=share,
        low=0.0 if share == 0 else max(low, 0.0),
        high=1.0 if share == 1 else min(high, 1.0),
        sample_count=len(sampled),
    )


def estimate_mean(
    values: ValuesWithTextIds | SampledValues, *, smallest_positive_value: float | None = None
) -> Estimate | None:
    """Estimate the arithmetic mean of values that are never negative; `None` if there are no values.

    Args:
        values: pairs of a text id and a value.
        smallest_positive_value: smallest value above 0 that can occur, such as 1 for counts; `None` if there is none,
            as for times.
    """
    sampled = values if isinstance(values, SampledValues) else SampledValues(values)
    if not len(sampled):
        return None
    sums = sampled.compute_sum_and_count_by_text()
    return _estimate_ratio(sums, float(sampled.values.mean()), len(sampled), smallest_positive_value)


def estimate_ratio_of_sums(fractions: Iterable[tuple[Hashable, float, float]]) -> Estimate | None:
    """Estimate the sum of numerators divided by the sum of denominators, as in corpus WER.

    The interval is Student's, of the logarithm of the ratio, from leaving out one text at a time. Its upper end is at
    least 3 divided by the denominators of one sample of each text ("rule of three": Hanley and Lippman-Hand 1983), also
    if every numerator is 0: further samples of a text say little new, and nothing if they are copies.

    Args:
        fractions: tuples (text id, numerator, denominator), one for each sample. Numerators are counts.

    Returns:
        The estimate; `None` if there are no fractions.
    """
    sums_by_text: dict[Hashable, list[float]] = {}
    n = 0
    for text, numerator, denominator in fractions:
        row = sums_by_text.setdefault(text, [0.0, 0.0, 0.0])
        row[0] += numerator
        row[1] += denominator
        row[2] += 1
        n += 1
    if not sums_by_text:
        return None
    table: FloatArray = np.array(list(sums_by_text.values()), dtype=np.float64)
    numerator, denominator, _ = table.sum(axis=0)
    units_of_texts = float((table[:, 1] / table[:, 2]).sum())
    value = float(numerator) / max(float(denominator), 1.0)
    return _estimate_ratio(table[:, :2], value, n, 1.0, denominator_of_min_upper_end=units_of_texts)


def _estimate_ratio(
    sums_by_text: FloatArray,
    value: float,
    sample_count: int,
    smallest_positive_value: float | None,
    *,
    denominator_of_min_upper_end: float | None = None,
) -> Estimate:
    """Estimate the ratio of two sums.

    Args:
        sums_by_text: for each text, its numerator and its denominator.
        value: the ratio over all texts.
        sample_count: number of samples.
        smallest_positive_value: as in `estimate_mean`; `None` if there is none.
        denominator_of_min_upper_end: denominator of the smallest upper end; `None` for the sum of the denominators.
    """
    text_count = len(sums_by_text)
    if text_count < MIN_TEXTS_FOR_INTERVAL:
        note = f"no interval from fewer than {MIN_TEXTS_FOR_INTERVAL} texts"
        return Estimate(value=value, low=None, high=None, sample_count=sample_count, note=note)
    numerators, denominators = sums_by_text.T
    total, units = float(numerators.sum()), max(float(denominators.sum()), 1.0)
    if total == 0 and smallest_positive_value is None:
        note = f"none in {sample_count}: no upper bound"
        return Estimate(value=0.0, low=0.0, high=None, sample_count=sample_count, note=note)
    # Half the smallest value keeps the logarithm finite if a single text has all errors.
    smallest = (
        smallest_positive_value if smallest_positive_value is not None else float(numerators[numerators > 0].mean())
    )
    known_units = units if denominator_of_min_upper_end is None else denominator_of_min_upper_end
    ceiling = 3 * smallest / max(known_units, 3.0)
    if total == 0:
        note = f"none in {units:g}: the upper end is 3 in {known_units:g}"
        return Estimate(value=0.0, low=0.0, high=ceiling, sample_count=sample_count, note=note)
    left_out = np.log((total - numerators + smallest / 2) / np.maximum(units - denominators, 1.0))
    error = math.sqrt((text_count - 1) / text_count * float(np.sum((left_out - left_out.mean()) ** 2)))
    factor = math.exp(min(approximate_student_quantile(text_count - 1) * error, 700.0))  # above 709, exp overflows
    high = max(value * factor, ceiling)
    return Estimate(value=value, low=value / factor, high=high, sample_count=sample_count)


MAX_ITERATIONS_WITHOUT_SMOOTHING = 400
"""Largest number of iterations of the estimation without smoothing."""
MIN_PROBABILITY_CHANGE = 1e-6
"""Smallest change of the probability of an interval: the iteration ends when every probability changes by less."""
SMOOTHING_WIDTH_PER_POLL_INTERVAL = 0.2
"""Standard deviation of the smoothing, as a share of the typical time between two polls."""
SMOOTHING_CELLS_PER_POLL_INTERVAL = 20
"""Number of cells between two polls; the smoothed probability is constant in each cell."""
ITERATIONS_WITH_SMOOTHING = 200
"""Number of iterations of the estimation with smoothing."""
MAX_RELATIVE_WIDTH_AROUND_QUANTILE = 0.25
"""Largest width, divided by the upper end, of the innermost interval around a quantile at which the estimate is still
shown as a number: where in this interval the quantile lies, the polls do not show."""
MAX_DISTINCT_TIME_BOUNDS = 400
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
        `MAX_RELATIVE_WIDTH_AROUND_QUANTILE` of the value.
    """
    if not times or (fraction > 0.5 and len(times) * (1 - fraction) < 1 - 1e-9):
        return None
    distribution = _CensoredDistribution(times)
    start, end, probability, value = distribution.find_quantile(fraction)
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
    is_range = end - start > MAX_RELATIVE_WIDTH_AROUND_QUANTILE * end
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
        return _CensoredDistribution(times).find_quantile(0.5).value
    start = float(np.quantile(bounds[:, 0], 0.05)) - width
    end = float(np.quantile(bounds[:, 1], 0.95)) + width
    step = max(width / SMOOTHING_CELLS_PER_POLL_INTERVAL, (end - start) / MAX_DISTINCT_TIME_BOUNDS)
    centers = np.arange(start + step / 2, end, step)
    # Far from the median it does not matter where a time lies; equal bounds are counted, which limits memory.
    rounded = np.round((np.clip(bounds, centers[0], centers[-1]) - start) / step * 4) * step / 4 + start
    limited, counts = np.unique(rounded, axis=0, return_counts=True)
    is_inside = (limited[:, :1] - step / 2 <= centers) & (centers <= limited[:, 1:] + step / 2)
    inside = is_inside.astype(np.float64)
    reach = math.ceil(4 * SMOOTHING_WIDTH_PER_POLL_INTERVAL * width / step)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / (SMOOTHING_WIDTH_PER_POLL_INTERVAL * width)) ** 2)
    kernel /= kernel.sum()
    masses: FloatArray = np.full(len(centers), 1 / len(centers))
    # Each step divides every time among the cells of its interval in proportion to the present estimate (E), adds up
    # the shares (M), and smooths them (S). Smoothing the final estimate once would keep the gaps that the iteration has
    # dug. The number of steps is fixed, because with smoothing the likelihood need not increase.
    for _ in range(ITERATIONS_WITH_SMOOTHING):
        masses = masses * ((counts / np.maximum(inside @ masses, 1e-300)) @ inside)
        masses = np.convolve(masses, kernel)[reach : reach + len(centers)]
        masses /= masses.sum()
    totals = np.cumsum(masses)
    index = int(np.searchsorted(totals, 0.5))
    return float(centers[index] + step * ((0.5 - totals[index]) / masses[index] + 0.5))


class _CensoredQuantile(NamedTuple):
    """A quantile of censored times, and the innermost interval in which it lies, in milliseconds."""

    start_ms: float
    end_ms: float
    probability: float
    """Probability of the interval."""
    value: float
    """The quantile, which may lie anywhere in the interval."""


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

        self._masses = self._estimate_probabilities()

    def find_quantile(self, fraction: float) -> _CensoredQuantile:
        """Return a quantile, interpolated linearly within its innermost interval."""
        totals = np.cumsum(self._masses)
        index = min(int(np.searchsorted(totals, fraction - 1e-9)), len(totals) - 1)
        start_ms, end_ms, mass = (float(column[index]) for column in (self._starts, self._ends, self._masses))
        share = min(max((fraction - float(totals[index]) + mass) / max(mass, 1e-12), 0.0), 1.0)
        return _CensoredQuantile(start_ms, end_ms, mass, start_ms + share * (end_ms - start_ms))

    def _estimate_probabilities(self) -> FloatArray:
        """Return the probability of each innermost interval."""
        count, inside = len(self._ends), self._is_inside
        # It begins with equal probabilities: an interval that begins with 0 would keep 0 in every step.
        masses: FloatArray = np.full(count, 1 / count)
        for _ in range(MAX_ITERATIONS_WITHOUT_SMOOTHING):
            likelihoods = np.maximum(inside @ masses, 1e-300)
            updated: FloatArray = masses * ((1 / likelihoods) @ inside) / len(inside)
            change = float(np.abs(updated - masses).max())
            masses = updated
            if change < MIN_PROBABILITY_CHANGE:
                break
        return masses


def _widen_to_distinct_bounds(low_ms: FloatArray, high_ms: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the bounds, in ms, widened where needed so that at most `MAX_DISTINCT_TIME_BOUNDS` are distinct."""
    bounds = np.unique(np.concatenate((low_ms, high_ms)))
    if len(bounds) <= MAX_DISTINCT_TIME_BOUNDS:
        return low_ms, high_ms
    grid = np.quantile(bounds, np.linspace(0, 1, MAX_DISTINCT_TIME_BOUNDS))
    lower = grid[np.maximum(np.searchsorted(grid, low_ms, side="right") - 1, 0)]
    upper = grid[np.minimum(np.searchsorted(grid, high_ms, side="left"), len(grid) - 1)]
    return lower, upper
