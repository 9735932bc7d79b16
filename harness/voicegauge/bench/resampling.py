"""Resamples the texts of a comparison to find how far a 95th percentile would differ with other texts.

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
MAX_RESAMPLED_TEXTS_PER_BATCH = 1_000_000
"""Largest product of the number of texts and the number of resamples drawn at a time, which limits memory to about
30 MB."""
MAX_EXACT_FLOAT32_INTEGER = 2**24
"""Largest number up to which a 32-bit floating-point number represents every whole number exactly."""
MAX_QUANTILE_SEARCH_BLOCKS = 1000
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
        block_count = min(max(math.isqrt(800 * len(self.values) // self.text_count), 1), MAX_QUANTILE_SEARCH_BLOCKS)
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
    batch = max(1, MAX_RESAMPLED_TEXTS_PER_BATCH // text_count)
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
