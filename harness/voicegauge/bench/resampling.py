"""Resamples the texts of a run to find how far its statistics would differ with other texts.

The texts of a suite are a sample of all texts that a target could synthesize, and the samples
of one text resemble each other. Therefore whole texts are resampled, each with all its samples
(cluster bootstrap: Davison and Hinkley 1997, section 3.8; percentile interval: Efron and
Tibshirani 1993, section 13.3).

A resample is described by the number of times that it contains each text. A statistic is then
computed from these weights without copying or sorting values again, and a quantile without
reading every value for every resample, which makes 100,000 samples affordable.

SciPy's `bootstrap` does not resample groups: a statistic of whole texts would be computed from text numbers, once for
each resample, in 1.8 s instead of 0.05 s of CPU time for the median of 100,000 samples of 1,000 texts. With a statistic
that converts text numbers to weights it is as fast, but then only the loop over batches is SciPy's. Reports also have
intervals where SciPy is not installed, because only the extra `bench` installs it.

All targets are measured with the same texts, and a text that is slow or hard to recognize is so for all of them. Each
resample therefore holds the same texts for every target, and differences are computed within a resample (paired
bootstrap: Koehn 2004, "Statistical significance tests for machine translation evaluation").
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.errors import MissingExtraError

# Resamples the texts of a suite to find how far a statistic would differ with other texts.


FloatArray = NDArray[np.float64]
IntegerArray = NDArray[np.int64]
ValuesWithTextIds = Sequence[tuple[Hashable, float]]
"""Pairs of a text id and a value measured on a sample of that text."""

CONFIDENCE_LEVEL = 0.95
RESAMPLE_COUNT = 2000
"""Number of resamples. With it, the ends of a 95% interval differ by less than 2% of its width between seeds."""
MIN_RESAMPLE_COUNT = 400
"""Smallest number of resamples, used for many texts; the standard error then differs by 4% between seeds."""
MAX_RESAMPLED_TEXTS = 8_000_000
"""Largest product of the number of texts and the number of resamples. If a suite has many texts, fewer resamples are
drawn, but at least `MIN_RESAMPLE_COUNT`."""
MAX_TEXTS_PER_BATCH = 1_000_000
"""Number of texts resampled at a time, which limits memory to about 30 MB."""
MAX_EXACT_FLOAT32_INTEGER = 2**24
"""Largest number up to which a 32-bit floating-point number represents every whole number exactly."""
MAX_BLOCKS_OF_VALUES = 1000
"""Largest number of blocks into which the sorted values are divided to find a quantile."""


class ResampledSpread(NamedTuple):
    """Percentile interval at `CONFIDENCE_LEVEL` and standard error of a statistic over resampled texts."""

    low: float
    high: float
    standard_error: float


class SampledValues:
    """Values of samples in ascending order, each with the number of its text."""

    def __init__(self, values: ValuesWithTextIds, text_ids: Sequence[Hashable] | None = None) -> None:
        """Sort `values`.

        Args:
            values: pairs of a text id and a value.
            text_ids: ids of all texts, in the order in which they are numbered; by default in order of appearance.
        """
        text_id_by_value = [text_id for text_id, _ in values]
        numbers = {text: number for number, text in enumerate(dict.fromkeys(text_ids or text_id_by_value))}
        unsorted = np.array([value for _, value in values], dtype=np.float64)
        order = np.argsort(unsorted, kind="stable")
        self.values: FloatArray = unsorted[order]
        text_numbers = np.fromiter(map(numbers.__getitem__, text_id_by_value), np.int64, len(values))
        self.text_numbers: IntegerArray = text_numbers[order]
        self.text_count = len(numbers)

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self.values)

    def compute_quantile(self, fraction: float) -> float:
        """Return the linearly interpolated quantile (Hyndman and Fan 1996, type 7)."""
        return float(np.quantile(self.values, fraction))

    def compute_weighted_quantiles(self, text_weights: FloatArray, fraction: float) -> FloatArray:
        """Return the quantile of each resample; NaN for a resample that contains none of the values.

        Args:
            text_weights: one row per resample with the number of times that it contains each text.
            fraction: 0.5 for the median.
        """
        # Counts are whole numbers, which 32 bits hold exactly up to this limit, in half of the time.
        is_small = len(self.values) * text_weights.max(initial=0.0) < MAX_EXACT_FLOAT32_INTEGER
        text_weights = text_weights.astype(np.float32 if is_small else np.float64)
        counts_to_block_end = text_weights @ self._cumulative_counts_by_text_and_block.astype(text_weights.dtype)
        total = counts_to_block_end[:, -1].astype(np.float64)
        position = np.maximum(total - 1, 0.0) * fraction
        rank = np.floor(position)
        below, count_to_below = self._find_values_at_ranks(text_weights, counts_to_block_end, rank)
        share = position - rank
        # The next value is another one only where the resample contains no more values equal to this one.
        is_between = (share > 0) & (count_to_below <= rank + 1)
        above = below.copy()
        if is_between.any():
            rows = np.flatnonzero(is_between)
            above[rows], _ = self._find_values_at_ranks(text_weights[rows], counts_to_block_end[rows], rank[rows] + 1)
        return np.where(total > 0, below + (above - below) * share, np.nan)

    @cached_property
    def _values_per_block(self) -> int:
        """Number of values per block, chosen so that finding a block takes about as long as finding a value in it."""
        block_count = min(max(math.isqrt(800 * len(self.values) // self.text_count), 1), MAX_BLOCKS_OF_VALUES)
        return math.ceil(len(self.values) / block_count)

    @cached_property
    def _cumulative_counts_by_text_and_block(self) -> FloatArray:
        """For each text (rows), the number of its values up to the end of each block (columns)."""
        size = self._values_per_block
        block_count = math.ceil(len(self.values) / size)
        cells = self.text_numbers * block_count + np.arange(len(self.values)) // size
        counts = np.bincount(cells, minlength=self.text_count * block_count)
        return np.cumsum(counts.reshape(self.text_count, block_count), axis=1).astype(np.float64)

    def _find_values_at_ranks(
        self, text_weights: FloatArray, cumulative_counts_by_block: FloatArray, ranks: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the value at the given rank of each resample, and how many values of the resample are not above it."""
        size, last = self._values_per_block, len(self.values) - 1
        block_count = cumulative_counts_by_block.shape[1]
        blocks = np.minimum((cumulative_counts_by_block <= ranks[:, None]).sum(axis=1), block_count - 1)
        rows = np.arange(len(ranks))
        counts_before = np.where(blocks > 0, cumulative_counts_by_block[rows, blocks - 1], 0.0)
        indexes = blocks[:, None] * size + np.arange(size)
        weights = np.where(
            indexes <= last, text_weights[rows[:, None], self.text_numbers[np.minimum(indexes, last)]], 0
        )
        counts = counts_before[:, None] + np.cumsum(weights, axis=1)
        offsets = np.minimum((counts <= ranks[:, None]).sum(axis=1), size - 1)
        return self.values[np.minimum(blocks * size + offsets, last)], counts[rows, offsets]

    def compute_sum_and_count_by_text(self) -> FloatArray:
        """Return, for each text, the sum of its values and their number."""
        sums = np.bincount(self.text_numbers, weights=self.values, minlength=self.text_count)
        return np.stack((sums, np.bincount(self.text_numbers, minlength=self.text_count)), axis=1)


def resample_texts(
    text_count: int,
    compute_statistic: Callable[[FloatArray], FloatArray],
    *,
    seed: int = 0,
) -> ResampledSpread | None:
    """Compute the spread of a statistic over resampled texts.

    Args:
        text_count: number of texts.
        compute_statistic: computes one number for each row of weights; a row has the number of times that the resample
            contains each text.
        seed: seed of the resampling.

    Returns:
        The interval and the standard error; `None` for fewer than two texts.
    """
    if text_count < 2:
        return None
    resamples = np.concatenate([compute_statistic(weights) for weights in draw_text_weights(text_count, seed)])
    tail = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(resamples, (tail, 1 - tail))
    return ResampledSpread(float(low), float(high), float(np.std(resamples, ddof=1)))


def draw_text_weights(text_count: int, seed: int) -> Iterator[FloatArray]:
    """Yield resamples in batches: one row per resample with the number of times that it contains each text.

    The resamples do not depend on the size of the batches.
    """
    count = max(MIN_RESAMPLE_COUNT, min(RESAMPLE_COUNT, MAX_RESAMPLED_TEXTS // text_count))
    batch = max(1, MAX_TEXTS_PER_BATCH // text_count)
    if count <= batch:
        yield _draw_all_text_weights(text_count, count, seed)
        return
    rng = np.random.default_rng(seed)
    for start in range(0, count, batch):
        yield _draw_batch_of_text_weights(rng, text_count, min(batch, count - start))


@lru_cache(maxsize=4)  # every metric of a run resamples the same texts
def _draw_all_text_weights(text_count: int, resample_count: int, seed: int) -> FloatArray:
    weights = _draw_batch_of_text_weights(np.random.default_rng(seed), text_count, resample_count)
    weights.setflags(write=False)
    return weights


def _draw_batch_of_text_weights(rng: np.random.Generator, text_count: int, resample_count: int) -> FloatArray:
    drawn = rng.integers(0, text_count, (resample_count, text_count)) + text_count * np.arange(resample_count)[:, None]
    weights = np.bincount(drawn.ravel(), minlength=resample_count * text_count)
    return weights.reshape(resample_count, text_count).astype(np.float64)


# Resamples the texts of a run once for all of its targets, to compute intervals of differences between targets.


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


# Loads SciPy, which only comparisons of runs need.


def load_scipy(submodule: str) -> Any:
    """Import a submodule of SciPy, such as "stats".

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    try:
        return importlib.import_module(f"scipy.{submodule}")
    except ModuleNotFoundError as error:
        raise MissingExtraError("SciPy, which compares runs,", "bench") from error
