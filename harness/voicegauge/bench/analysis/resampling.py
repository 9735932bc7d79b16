"""Resamples the texts of a suite to find how far a statistic would differ with other texts.

The texts of a suite are a sample of all texts that a target could synthesize, and the samples
of one text resemble each other. Therefore whole texts are resampled, each with all its samples
(cluster bootstrap: Davison and Hinkley 1997, section 3.8; percentile interval: Efron and
Tibshirani 1993, section 13.3).

A resample is described by the number of times that it contains each text. A statistic is then
computed from these weights without copying or sorting values again, which makes 100,000 samples
affordable.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntegerArray = NDArray[np.int64]
ValuesByText = Sequence[tuple[Hashable, float]]
"""Pairs of a text id and a value measured on a sample of that text."""

CONFIDENCE_LEVEL = 0.95
RESAMPLE_COUNT = 2000
"""Number of resamples. With it, the ends of a 95% interval differ by less than 2% of its width between seeds."""
MIN_RESAMPLE_COUNT = 400
"""Number of resamples of many values; the standard error then differs by 4% between seeds."""
MAX_RESAMPLED_VALUES = 8_000_000
"""Number of values in all resamples from which fewer resamples are drawn, down to `MIN_RESAMPLE_COUNT`."""
MAX_VALUES_PER_BATCH = 1_000_000
"""Number of values resampled at a time, which limits memory to about 30 MB."""


class ResampledSpread(NamedTuple):
    """Percentile interval at `CONFIDENCE_LEVEL` and standard error of a statistic over resampled texts."""

    low: float
    high: float
    standard_error: float


class SampledValues:
    """Values of samples in ascending order, each with the number of its text."""

    def __init__(self, values: ValuesByText, texts: Sequence[Hashable] | None = None) -> None:
        """Sort `values`.

        Args:
            values: pairs of a text id and a value.
            texts: ids of all texts, in the order in which they are numbered; by default in order of appearance.
        """
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts or (text for text, _ in values)))}
        unsorted = np.array([value for _, value in values], dtype=np.float64)
        order = np.argsort(unsorted, kind="stable")
        self.values: FloatArray = unsorted[order]
        self.text_numbers: IntegerArray = np.array([numbers[text] for text, _ in values], dtype=np.int64)[order]
        self.text_count = len(numbers)

    def compute_quantile(self, fraction: float) -> float:
        """Return the linearly interpolated quantile (Hyndman and Fan 1996, type 7)."""
        return float(np.quantile(self.values, fraction))

    def compute_weighted_quantiles(self, text_weights: IntegerArray, fraction: float) -> FloatArray:
        """Return the quantile of each resample.

        Args:
            text_weights: one row per resample with the number of times that it contains each text.
            fraction: 0.5 for the median.
        """
        totals = text_weights @ np.bincount(self.text_numbers, minlength=self.text_count)
        position = (totals - 1) * fraction
        # For an upper quantile, the highest values suffice.
        first = max(round(len(self.values) * (3 * fraction - 2)) - 50, 0)
        counts = self._count_up_to(text_weights, totals, first)
        if first and (np.floor(position) < counts[:, 0]).any():
            first, counts = 0, self._count_up_to(text_weights, totals, 0)
        below, above = (
            self.values[np.minimum(first + (counts <= rank[:, None]).sum(axis=1), len(self.values) - 1)]
            for rank in (np.floor(position), np.ceil(position))
        )
        interpolated: FloatArray = below + (above - below) * (position - np.floor(position))
        return interpolated

    def _count_up_to(self, text_weights: IntegerArray, totals: IntegerArray, first: int) -> IntegerArray:
        """Return how many values each resample has up to each value from number `first` on."""
        counts = np.cumsum(text_weights[:, self.text_numbers[first:]], axis=1, dtype=np.int32)
        return counts + (totals - counts[:, -1])[:, None]

    def compute_sums(self) -> FloatArray:
        """Return for each text the sum of its values and their number."""
        sums = np.bincount(self.text_numbers, weights=self.values, minlength=self.text_count)
        return np.stack((sums, np.bincount(self.text_numbers, minlength=self.text_count)), axis=1)


def resample_texts(
    text_count: int,
    statistic: Callable[[IntegerArray], FloatArray],
    *,
    value_count: int | None = None,
    seed: int = 0,
) -> ResampledSpread | None:
    """Compute the spread of a statistic over resampled texts.

    Args:
        text_count: number of texts.
        statistic: computes one number for each row of weights; a row has the number of times that the resample
            contains each text.
        value_count: number of values that `statistic` reads for one resample; by default the number of texts.
        seed: seed of the resampling.

    Returns:
        The interval and the standard error; `None` for fewer than two texts.
    """
    if text_count < 2:
        return None
    value_count = value_count or text_count
    resamples = np.concatenate([statistic(weights) for weights in draw_text_weights(text_count, value_count, seed)])
    tail = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(resamples, (tail, 1 - tail))
    return ResampledSpread(float(low), float(high), float(np.std(resamples, ddof=1)))


def draw_text_weights(text_count: int, value_count: int, seed: int) -> Iterator[IntegerArray]:
    """Yield batches of resamples; the resamples do not depend on the size of the batches."""
    rng = np.random.default_rng(seed)
    remaining = max(MIN_RESAMPLE_COUNT, min(RESAMPLE_COUNT, MAX_RESAMPLED_VALUES // value_count))
    batch = max(1, MAX_VALUES_PER_BATCH // max(value_count, text_count))
    while remaining:
        count = min(batch, remaining)
        remaining -= count
        drawn = rng.integers(0, text_count, (count, text_count)) + text_count * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * text_count).reshape(count, text_count)
