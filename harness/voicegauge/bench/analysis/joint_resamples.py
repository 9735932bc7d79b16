"""Resamples the texts of a run once for all of its targets, to compute intervals of differences between targets.

All targets are measured with the same texts, and a text that is slow or hard to recognize is so for all of them. Each
resample therefore holds the same texts for every target, and differences are computed within a resample (paired
bootstrap: Koehn 2004, "Statistical significance tests for machine translation evaluation").
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
"""A target has too few texts to be compared if at least this share of the resamples contains none of its samples."""

SampleErrorCounts = Sequence[tuple[str, float, float]]
"""One tuple for each sample: a text id, a number of errors, and a number of reference words or characters."""


class DifferenceInterval(NamedTuple):
    """Lower and upper end of the interval of a difference or a ratio, at `CONFIDENCE_LEVEL`."""

    low: float
    high: float


class TargetMeasurements(NamedTuple):
    """Total latencies and error counts of one target, each with the id of its text."""

    latencies_ms: ValuesWithTextIds
    error_counts: SampleErrorCounts


class JointResamples(NamedTuple):
    """Statistics of each resample (rows) and target (columns); NaN if a resample contains no sample of a target."""

    median_latencies_ms: FloatArray
    """Median total latency in ms."""
    error_rates: FloatArray
    """Number of errors divided by the number of reference words or characters."""

    @property
    def has_enough_texts(self) -> bool:
        """Whether there are enough texts to estimate differences between targets."""
        return len(self.median_latencies_ms) > 0

    def compute_clearly_lower_matrix(self, resampled_statistics: FloatArray) -> NDArray[np.bool_]:
        """Return a square matrix whose element (i, j) is true if target i has a clearly lower statistic than target j.

        It is clearly lower if the interval of the difference excludes 0. No element is true for a target whose samples
        cover too few of the texts.

        Args:
            resampled_statistics: one of the statistics, such as `median_latencies_ms`.
        """
        count = resampled_statistics.shape[1]
        lower = np.zeros((count, count), dtype=np.bool_)
        if not self.has_enough_texts:
            return lower
        for i in range(count):
            differences = resampled_statistics[:, [i]] - resampled_statistics
            known = np.isnan(differences).mean(axis=0) < MAX_SHARE_OF_EMPTY_RESAMPLES
            lower[i, known] = np.nanquantile(differences[:, known], (1 + CONFIDENCE_LEVEL) / 2, axis=0) < 0
        return lower

    def estimate_latency_ratio(self, slower_target_index: int, faster_target_index: int) -> DifferenceInterval | None:
        """Return the interval of the slower target's median latency divided by that of the faster target.

        Return `None` if there are too few texts.
        """
        return _compute_confidence_interval(
            self.median_latencies_ms[:, slower_target_index] / self.median_latencies_ms[:, faster_target_index]
        )

    def estimate_error_rate_difference(
        self, worse_target_index: int, better_target_index: int
    ) -> DifferenceInterval | None:
        """Return the interval of the worse target's error rate minus that of the better target.

        Return `None` if there are too few texts.
        """
        return _compute_confidence_interval(
            self.error_rates[:, worse_target_index] - self.error_rates[:, better_target_index]
        )


def draw_joint_resamples(targets: Sequence[TargetMeasurements], *, seed: int = 0) -> JointResamples:
    """Resample the texts of `targets`.

    Args:
        targets: the measurements of each target.
        seed: seed of the resampling.

    Returns:
        The statistics of each resample; no resamples for fewer than `MIN_SHARED_TEXTS` texts.
    """
    texts = list(dict.fromkeys(text for target in targets for text in _list_text_ids(target)))
    if len(texts) < MIN_SHARED_TEXTS:
        return JointResamples(*(np.empty((0, len(targets))) for _ in range(2)))
    times = [SampledValues(target.latencies_ms, texts) for target in targets]
    sums = [_sum_errors_by_text(target.error_counts, texts) for target in targets]
    latency_ms, error_rate = [], []
    for weights in draw_text_weights(len(texts), seed):
        latency_ms.append(np.stack([_compute_resampled_medians(values, weights) for values in times], axis=1))
        error_rate.append(np.stack([_compute_error_rates(weights @ table) for table in sums], axis=1))
    return JointResamples(np.concatenate(latency_ms), np.concatenate(error_rate))


def determine_pareto_membership(clearly_lower_matrix_by_measure: Sequence[NDArray[np.bool_]]) -> list[bool]:
    """Return for each target whether it is in the Pareto set.

    A target is outside the set if a target in the set is clearly better in one measure and clearly worse in none. A
    target outside the set excludes no other one, because "not clearly worse" is not transitive.

    Args:
        clearly_lower_matrix_by_measure: for each measure, the result of `JointResamples.compute_clearly_lower_matrix`.
    """
    is_better = np.any(clearly_lower_matrix_by_measure, axis=0)
    dominates = is_better & ~is_better.T
    undecided = set(range(len(dominates)))
    in_set: set[int] = set()
    while undecided:
        free = {i for i in undecided if not any(dominates[j, i] for j in undecided)} or set(undecided)
        in_set |= free
        undecided -= free | {i for i in undecided if any(dominates[j, i] for j in free)}
    return [i in in_set for i in range(len(dominates))]


def flag_indistinguishable_from_lowest(
    point_estimates: Sequence[float | None], clearly_lower_matrix: NDArray[np.bool_]
) -> list[bool]:
    """Return for each point estimate whether it is the lowest, or not clearly higher than the lowest.

    `False` for a missing value.

    Args:
        point_estimates: the point estimates.
        clearly_lower_matrix: the result of `JointResamples.compute_clearly_lower_matrix`.
    """
    known = [i for i, value in enumerate(point_estimates) if value is not None]
    if not known:
        return [False] * len(point_estimates)
    lowest = min(known, key=lambda i: point_estimates[i] or 0.0)
    return [value is not None and not clearly_lower_matrix[lowest, i] for i, value in enumerate(point_estimates)]


def _list_text_ids(target: TargetMeasurements) -> list[str]:
    return [str(text) for text, *_ in (*target.latencies_ms, *target.error_counts)]


def _sum_errors_by_text(error_counts: SampleErrorCounts, text_ids: Sequence[str]) -> FloatArray:
    numbers = {text: number for number, text in enumerate(text_ids)}
    sums = np.zeros((len(text_ids), 2))
    for text, count, units in error_counts:
        sums[numbers[text]] += (count, units)
    return sums


def _compute_resampled_medians(sampled_values: SampledValues, text_weights: FloatArray) -> FloatArray:
    if not len(sampled_values.values):
        return np.full(len(text_weights), np.nan)
    return sampled_values.compute_weighted_quantiles(text_weights, 0.5)


def _compute_error_rates(error_and_unit_sums: FloatArray) -> FloatArray:
    rates: FloatArray = np.divide(
        error_and_unit_sums[:, 0],
        error_and_unit_sums[:, 1],
        out=np.full(len(error_and_unit_sums), np.nan),
        where=error_and_unit_sums[:, 1] > 0,
    )
    return rates


def _compute_confidence_interval(resampled_values: FloatArray) -> DifferenceInterval | None:
    known = resampled_values[~np.isnan(resampled_values)]
    if not len(known):
        return None
    tail = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(known, (tail, 1 - tail))
    return DifferenceInterval(float(low), float(high))
