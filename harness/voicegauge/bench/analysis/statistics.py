"""Estimates with confidence intervals, by resampling texts.

The texts of a suite are a sample of all texts that could be spoken, and samples
of one text resemble each other, so it is the texts that are drawn anew, each with
all its samples (cluster bootstrap: Davison and Hinkley 1997, section 3.8; percentile
interval: Efron and Tibshirani 1993, section 13.3). A text keeps its errors and its
units together, so the ratio of sums stays one (Bisani and Ney 2004, "Bootstrap
estimates for confidence intervals in ASR performance evaluation").
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.model import Record

Floats = NDArray[np.float64]
Grouped = Sequence[tuple[Hashable, float]]
"""Values with the text that each belongs to."""

CONFIDENCE = 0.95
RESAMPLES = 2000
"""Enough for the ends of a 95% interval to move by under 2% of its width from seed to seed."""
BATCH_VALUES = 2_000_000
"""Values drawn at a time: 16 MB."""
P95_SAMPLES = 100
"""Fewer samples give no usable upper bound of the 95th percentile: hardly any lie above it."""


class Estimate(Record, frozen=True, kw_only=True):
    """A number with its confidence interval (95% unless said otherwise)."""

    value: float
    low: float | None
    """Lower end of the interval; `None` where the data give none."""
    high: float | None
    """Upper end of the interval; `None` where the data give none."""
    n: int
    """Samples that the value was computed from."""
    note: str = ""
    """Why an end is missing, or what else to know."""


class IntervalEstimate(Record, frozen=True, kw_only=True):
    """A time known only between two polls: the estimate for either end.

    The truth lies between `low` (the last poll that did not see it) and `high`
    (the first poll that did); neither is the provider's speed.
    """

    low: Estimate
    high: Estimate


def quantile(values: Grouped, q: float, *, seed: int = 0) -> Estimate | None:
    """The quantile `q` of `values`, linearly interpolated; `None` without values.

    The upper end is left out for q > 0.9 with fewer than `P95_SAMPLES` values.
    """
    if not values:
        return None
    table = by_text(values)
    found = _estimate(
        float(quantiles(table, q)), resample(table, lambda rows: quantiles(rows, q), seed=seed), len(values)
    )
    if q > 0.9 and len(values) < P95_SAMPLES:
        note = f"{len(values)} samples give no upper bound; {P95_SAMPLES} do"
        return Estimate(value=found.value, low=found.low, high=None, n=found.n, note=note)
    return found


def median(values: Grouped, *, seed: int = 0) -> Estimate | None:
    """The median of `values`; `None` without values."""
    return quantile(values, 0.5, seed=seed)


def mean(values: Grouped, *, seed: int = 0) -> Estimate | None:
    """The arithmetic mean of `values`; `None` without values."""
    if not values:
        return None
    table = by_text(values)
    found = resample(table, lambda rows: np.nanmean(rows, axis=(-2, -1)), seed=seed)
    return _estimate(float(np.nanmean(table)), found, len(values))


def ratio_of_sums(pairs: Iterable[tuple[Hashable, float, float]], *, seed: int = 0) -> Estimate | None:
    """The sum of parts over the sum of wholes, as corpus WER is; `None` without pairs.

    Args:
        pairs: (text, part, whole); samples of one text are drawn together.
        seed: of the resampling.
    """
    sums: dict[Hashable, list[float]] = {}
    n = 0
    for text, part, whole in pairs:
        row = sums.setdefault(text, [0.0, 0.0])
        row[0] += part
        row[1] += whole
        n += 1
    if not sums:
        return None
    table = np.array(list(sums.values()), dtype=np.float64)
    found = resample(table, lambda rows: _ratio(rows.sum(axis=-2)), seed=seed)
    return _estimate(float(_ratio(table.sum(axis=0))), found, n)


def _ratio(sums: Floats) -> Floats:
    found: Floats = sums[..., 0] / np.maximum(sums[..., 1], 1.0)
    return found


def by_text(values: Grouped) -> Floats:
    """A table with one row a text, padded with NaN where texts have different numbers of samples."""
    rows: dict[Hashable, list[float]] = {}
    for text, value in values:
        rows.setdefault(text, []).append(value)
    width = max(len(row) for row in rows.values())
    return np.array([row + [np.nan] * (width - len(row)) for row in rows.values()], dtype=np.float64)


def quantiles(rows: Floats, q: float) -> Floats:
    """Linear-interpolated quantile (Hyndman and Fan 1996, type 7) over the last two axes, without NaN.

    `numpy.nanquantile` does the same, but one row at a time.
    """
    flat = np.sort(rows.reshape(*rows.shape[:-2], -1), axis=-1)
    position = (np.isfinite(flat).sum(axis=-1) - 1) * q
    below = np.floor(position).astype(int)
    above = np.ceil(position).astype(int)
    low = np.take_along_axis(flat, below[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(flat, above[..., None], axis=-1)[..., 0]
    found: Floats = low + (high - low) * (position - below)
    return found


class Resampled(NamedTuple):
    """How a statistic varies when texts are drawn anew."""

    low: float
    high: float
    standard_error: float


def resample(
    table: Floats, statistic: Callable[[Floats], Floats], *, seed: int = 0, confidence: float = CONFIDENCE
) -> Resampled | None:
    """The percentile interval and standard error of `statistic` over drawn rows of `table`.

    Args:
        table: one row a text, of any shape.
        statistic: takes drawn rows, shape (..., texts, *row), to one number each, shape (...).
        seed: of the draws.
        confidence: of the interval.

    Returns:
        `None` where there are fewer than two texts.
    """
    if len(table) < 2:
        return None
    from scipy.stats import bootstrap

    def of_drawn(drawn: NDArray[np.int64], axis: int) -> Floats:
        del axis  # always the last one, as SciPy's default is
        return statistic(table[drawn])

    result = bootstrap(
        (np.arange(len(table)),),
        of_drawn,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, BATCH_VALUES // table.size),
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    ends = result.confidence_interval
    return Resampled(float(ends.low), float(ends.high), float(result.standard_error))


def _estimate(value: float, found: Resampled | None, n: int) -> Estimate:
    if found is None:
        return Estimate(value=value, low=None, high=None, n=n, note="one text: no interval")
    return Estimate(value=value, low=found.low, high=found.high, n=n)
