"""Estimates the metrics of one run, with confidence intervals over resampled texts.

The errors and the reference words (or characters) of a text stay together, so that a resampled error rate is still a
ratio of sums (Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
evaluation"). With too few samples, an estimate or an end of its interval is `None`, and a note says why.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import msgspec
import numpy as np

from voicegauge.bench.analysis.resampling import (
    FloatArray,
    ResampledSpread,
    SampledValues,
    ValuesWithTextIds,
    resample_texts,
)
from voicegauge.model import Record

MIN_TEXTS_FOR_INTERVAL = 5
"""Smallest number of texts from which the spread between texts is estimated."""
MIN_P95_SAMPLES = 20
"""Smallest number of samples for a 95th percentile: of 20 samples, one lies above it."""
MIN_P95_UPPER_BOUND_SAMPLES = 100
"""Smallest number of samples for an upper bound of the 95th percentile: of 100 samples, five lie above it."""


class Estimate(Record, frozen=True, kw_only=True):
    """A number with its confidence interval (95% unless documented otherwise)."""

    value: float
    low: float | None
    """Lower end of the interval; `None` if there are too few data."""
    high: float | None
    """Upper end of the interval; `None` if there are too few data."""
    sample_count: int = msgspec.field(name="n")
    """Number of samples from which the value was computed."""
    note: str = ""
    """Why an end of the interval is missing, or how it was computed; empty if it is the usual one."""


class BoundEstimates(Record, frozen=True, kw_only=True):
    """Estimates of the lower and the upper bound of a time, such as a median, that is measured only by polling.

    The true time lies between the two estimates; neither of them is the time that the provider takes.
    """

    low: Estimate
    high: Estimate


def estimate_quantile(values: ValuesWithTextIds | SampledValues, fraction: float, *, seed: int = 0) -> Estimate | None:
    """Estimate a quantile of `values`, linearly interpolated.

    Args:
        values: pairs of a text id and a value; or values that were sorted before, for several estimates.
        fraction: 0.5 for the median.
        seed: seed of the resampling.

    Returns:
        The estimate; `None` if there are no values, or if `fraction` exceeds 0.9 and there are fewer than
        `MIN_P95_SAMPLES` values. With fewer than `MIN_P95_UPPER_BOUND_SAMPLES`, the interval has no upper end.
    """
    is_upper_tail = fraction > 0.9
    if not len(values) or (is_upper_tail and len(values) < MIN_P95_SAMPLES):
        return None
    sampled = values if isinstance(values, SampledValues) else SampledValues(values)
    spread = resample_texts(
        sampled.text_count,
        lambda weights: sampled.compute_weighted_quantiles(weights, fraction),
        seed=seed,
    )
    estimate = _build_estimate(sampled.compute_quantile(fraction), spread, sampled.text_count, len(values))
    if is_upper_tail and len(values) < MIN_P95_UPPER_BOUND_SAMPLES and estimate.high is not None:
        note = f"no upper bound from {len(values)} samples; it takes {MIN_P95_UPPER_BOUND_SAMPLES}"
        return Estimate(
            value=estimate.value, low=estimate.low, high=None, sample_count=estimate.sample_count, note=note
        )
    return estimate


def estimate_median(values: ValuesWithTextIds | SampledValues, *, seed: int = 0) -> Estimate | None:
    """Estimate the median of `values`; `None` if there are no values."""
    return estimate_quantile(values, 0.5, seed=seed)


def estimate_mean(values: ValuesWithTextIds | SampledValues, *, seed: int = 0) -> Estimate | None:
    """Estimate the arithmetic mean of `values`; `None` if there are no values."""
    if not len(values):
        return None
    sampled = values if isinstance(values, SampledValues) else SampledValues(values)
    sums = sampled.compute_sum_and_count_by_text()
    spread = resample_texts(sampled.text_count, lambda weights: _divide_sums(weights @ sums), seed=seed)
    return _build_estimate(float(sampled.values.mean()), spread, sampled.text_count, len(values))


def estimate_ratio_of_sums(fractions: Iterable[tuple[Hashable, float, float]], *, seed: int = 0) -> Estimate | None:
    """Estimate the sum of numerators divided by the sum of denominators, as in corpus WER.

    If every numerator is 0, resampling finds no spread. The upper end is then 3 divided by the sum of denominators
    ("rule of three": Hanley and Lippman-Hand 1983).

    Args:
        fractions: tuples (text id, numerator, denominator), one for each sample; samples of one text are resampled
            together.
        seed: seed of the resampling.

    Returns:
        The estimate; `None` if there are no fractions.
    """
    sums_by_text: dict[Hashable, list[float]] = {}
    n = 0
    for text, numerator, denominator in fractions:
        row = sums_by_text.setdefault(text, [0.0, 0.0])
        row[0] += numerator
        row[1] += denominator
        n += 1
    if not sums_by_text:
        return None
    table: FloatArray = np.array(list(sums_by_text.values()), dtype=np.float64)
    total = table.sum(axis=0)

    def compute_ratios(weights: FloatArray) -> FloatArray:
        return _divide_sums(weights @ table)

    estimate = _build_estimate(
        float(_divide_sums(total)), resample_texts(len(table), compute_ratios, seed=seed), len(table), n
    )
    if total[0] or estimate.high is None:
        return estimate
    high, note = 3 / max(total[1], 3.0), f"none in {total[1]:g}: the upper end is 3 in {total[1]:g}"
    return Estimate(value=0.0, low=0.0, high=high, sample_count=n, note=note)


def _divide_sums(numerator_and_denominator_sums: FloatArray) -> FloatArray:
    # A denominator of at least 1 keeps a resample of empty references finite.
    quotient: FloatArray = numerator_and_denominator_sums[..., 0] / np.maximum(
        numerator_and_denominator_sums[..., 1], 1.0
    )
    return quotient


def _build_estimate(value: float, spread: ResampledSpread | None, text_count: int, sample_count: int) -> Estimate:
    if spread is None or text_count < MIN_TEXTS_FOR_INTERVAL:
        return Estimate(
            value=value,
            low=None,
            high=None,
            sample_count=sample_count,
            note=f"no interval from fewer than {MIN_TEXTS_FOR_INTERVAL} texts",
        )
    return Estimate(value=value, low=spread.low, high=spread.high, sample_count=sample_count)
