"""Resamples the texts of a run once for all of its targets, so that differences between targets have intervals.

Targets are measured with the same texts: a text that is slow or hard to recognize is so for all of them. Each resample
therefore holds the same texts for every target, and differences are computed within a resample (paired bootstrap:
Koehn 2004, "Statistical significance tests for machine translation evaluation").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.bench.analysis.resampling import (
    CONFIDENCE_LEVEL,
    FloatArray,
    SampledValues,
    ValuesWithTextIds,
    draw_text_weights,
)

MIN_SHARED_TEXTS = 5
"""Smallest number of texts from which differences between targets are estimated."""

MAX_SHARE_OF_EMPTY_RESAMPLES = 0.01
"""A target is not compared if at least this share of the resamples contains none of its samples: it has too few
texts."""

SampleErrorCounts = Sequence[tuple[str, float, float]]
"""One tuple for each sample: a text id, a number of errors and a number of units."""


class DifferenceInterval(NamedTuple):
    """Interval of a difference or a ratio at the usual confidence level."""

    low: float
    high: float


class TargetMeasurements(NamedTuple):
    """Total latencies and error counts of one target, each with the id of its text."""

    times_ms: ValuesWithTextIds
    errors: SampleErrorCounts


class JointResamples(NamedTuple):
    """Statistics of each resample (rows) and target (columns); NaN if a resample contains no sample of a target."""

    latency_ms: FloatArray
    """Median total latency in ms."""
    error_rate: FloatArray

    @property
    def has_intervals(self) -> bool:
        """Whether there are enough texts to estimate differences between targets."""
        return len(self.latency_ms) > 0

    def find_clearly_lower_pairs(self, values: FloatArray) -> NDArray[np.bool_]:
        """Return a square matrix whose element (i, j) tells whether target i is clearly lower than target j.

        It is clearly lower if the interval of the difference excludes 0. A target whose samples cover too few of the
        texts is not clearly lower or higher than any other.

        Args:
            values: one of the statistics, such as `latency_ms`.
        """
        count = values.shape[1]
        lower = np.zeros((count, count), dtype=np.bool_)
        if not self.has_intervals:
            return lower
        for i in range(count):
            differences = values[:, [i]] - values
            known = np.isnan(differences).mean(axis=0) < MAX_SHARE_OF_EMPTY_RESAMPLES
            lower[i, known] = np.nanquantile(differences[:, known], (1 + CONFIDENCE_LEVEL) / 2, axis=0) < 0
        return lower

    def estimate_latency_ratio(self, slower: int, faster: int) -> DifferenceInterval | None:
        """Return the interval of the ratio of two targets' latencies; `None` if there are too few texts."""
        return _compute_confidence_interval(self.latency_ms[:, slower] / self.latency_ms[:, faster])

    def estimate_error_difference(self, worse: int, better: int) -> DifferenceInterval | None:
        """Return the interval of the difference of two error rates; `None` if there are too few texts."""
        return _compute_confidence_interval(self.error_rate[:, worse] - self.error_rate[:, better])


def draw_joint_resamples(targets: Sequence[TargetMeasurements], *, seed: int = 0) -> JointResamples:
    """Resample the texts of `targets`.

    Args:
        targets: the measurements of each target.
        seed: seed of the resampling.

    Returns:
        The statistics of each resample; no resamples for fewer than `MIN_SHARED_TEXTS` texts.
    """
    texts = list(dict.fromkeys(text for target in targets for text in _list_texts(target)))
    if len(texts) < MIN_SHARED_TEXTS:
        return JointResamples(*(np.empty((0, len(targets))) for _ in range(2)))
    times = [SampledValues(target.times_ms, texts) for target in targets]
    sums = [_sum_errors_by_text(target.errors, texts) for target in targets]
    latency_ms, error_rate = [], []
    for weights in draw_text_weights(len(texts), seed):
        latency_ms.append(np.stack([_compute_medians(values, weights) for values in times], axis=1))
        error_rate.append(np.stack([_compute_error_rates(weights @ table) for table in sums], axis=1))
    return JointResamples(np.concatenate(latency_ms), np.concatenate(error_rate))


def determine_pareto_membership(is_clearly_lower_by_measure: Sequence[NDArray[np.bool_]]) -> list[bool]:
    """Return for each target whether it is in the Pareto set.

    A target is outside the set if a target in the set is clearly better in one measure and clearly worse in none. A
    target outside the set excludes no other one, because "not clearly worse" is not transitive.

    Args:
        is_clearly_lower_by_measure: for each measure, the result of `JointResamples.find_clearly_lower_pairs`.
    """
    is_better = np.any(is_clearly_lower_by_measure, axis=0)
    dominates = is_better & ~is_better.T
    undecided = set(range(len(dominates)))
    in_set: set[int] = set()
    while undecided:
        free = {i for i in undecided if not any(dominates[j, i] for j in undecided)} or set(undecided)
        in_set |= free
        undecided -= free | {i for i in undecided if any(dominates[j, i] for j in free)}
    return [i in in_set for i in range(len(dominates))]


def find_indistinguishable_from_lowest(
    values: Sequence[float | None], is_clearly_lower: NDArray[np.bool_]
) -> list[bool]:
    """Return for each of `values` whether it is the lowest, or not clearly higher than the lowest.

    `False` for a missing value.

    Args:
        values: the point estimates.
        is_clearly_lower: the result of `JointResamples.find_clearly_lower_pairs`.
    """
    known = [i for i, value in enumerate(values) if value is not None]
    if not known:
        return [False] * len(values)
    lowest = min(known, key=lambda i: values[i] or 0.0)
    return [value is not None and not is_clearly_lower[lowest, i] for i, value in enumerate(values)]


def _list_texts(target: TargetMeasurements) -> list[str]:
    return [str(text) for text, *_ in (*target.times_ms, *target.errors)]


def _sum_errors_by_text(errors: SampleErrorCounts, texts: Sequence[str]) -> FloatArray:
    numbers = {text: number for number, text in enumerate(texts)}
    sums = np.zeros((len(texts), 2))
    for text, count, units in errors:
        sums[numbers[text]] += (count, units)
    return sums


def _compute_medians(values: SampledValues, weights: FloatArray) -> FloatArray:
    if not len(values.values):
        return np.full(len(weights), np.nan)
    return values.compute_weighted_quantiles(weights, 0.5)


def _compute_error_rates(sums: FloatArray) -> FloatArray:
    rates: FloatArray = np.divide(sums[:, 0], sums[:, 1], out=np.full(len(sums), np.nan), where=sums[:, 1] > 0)
    return rates


def _compute_confidence_interval(values: FloatArray) -> DifferenceInterval | None:
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    tail = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(known, (tail, 1 - tail))
    return DifferenceInterval(float(low), float(high))
