from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.bench import resampling
from voicegauge.bench.estimates import (
    MIN_SAMPLES_FOR_P95,
    MIN_TEXTS_FOR_INTERVAL,
    estimate_mean,
    estimate_median,
    estimate_quantile,
    estimate_ratio_of_sums,
    estimate_share,
)
from voicegauge.bench.resampling import SampledValues

VALUES = st.lists(st.tuples(st.integers(0, 6), st.floats(0.1, 1e4, allow_nan=False)), min_size=1, max_size=40)


@given(values=VALUES, q=st.sampled_from([0.1, 0.5, 0.85]))
def test_a_quantile_is_numpys_and_its_interval_lies_within_the_values(
    values: list[tuple[int, float]], q: float
) -> None:
    plain = [value for _, value in values]
    found = estimate_quantile(values, q)
    assert found is not None
    assert found.value == pytest.approx(float(np.quantile(plain, q)))
    assert found.sample_count == len(values)
    for end in (found.low, found.high):
        assert end is None or min(plain) * (1 - 1e-9) <= end <= max(plain) * (1 + 1e-9)
    if found.low is not None and found.high is not None:
        assert found.low <= found.high


def test_without_values_there_is_no_estimate() -> None:
    assert estimate_median([]) is None
    assert estimate_mean([]) is None
    assert estimate_ratio_of_sums([]) is None


def test_fewer_than_five_texts_give_no_interval_and_a_note() -> None:
    found = estimate_median([(1, 5.0), (1, 7.0)])
    assert found is not None
    assert (found.value, found.low, found.high) == (6.0, None, None)
    assert found.note == "no interval from fewer than 5 texts"
    for estimate in (estimate_mean, estimate_median):
        few, enough = (
            estimate([(text, float(text)) for text in range(n)])
            for n in (MIN_TEXTS_FOR_INTERVAL - 1, MIN_TEXTS_FOR_INTERVAL)
        )
        assert few is not None
        assert few.low is None
        assert enough is not None
        assert enough.low is not None


def test_a_95th_percentile_of_fewer_than_20_samples_is_withheld() -> None:
    assert estimate_quantile([(i, float(i)) for i in range(MIN_SAMPLES_FOR_P95 - 1)], 0.95) is None
    assert estimate_quantile([(i, float(i)) for i in range(MIN_SAMPLES_FOR_P95)], 0.95) is not None


def test_an_error_rate_without_errors_has_an_upper_end() -> None:
    found = estimate_ratio_of_sums([(text, 0, 10) for text in range(6)])
    assert found is not None
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.05)
    assert found.note == "none in 60: the upper end is 3 in 60"
    repeated = estimate_ratio_of_sums([(text, 0, 10) for text in range(6)] * 5)
    assert repeated is not None
    assert (repeated.high, repeated.note) == (0.05, "none in 300: the upper end is 3 in 60")
    few = estimate_ratio_of_sums([(text, 0, 10) for text in range(3)])
    assert few is not None
    assert (few.low, few.high) == (None, None)


@given(
    values=VALUES,
    weights=st.lists(st.integers(0, 3), min_size=7, max_size=7).filter(any),
    q=st.sampled_from([0.05, 0.5, 0.95]),
)
def test_a_weighted_quantile_is_that_of_repeated_values(
    values: list[tuple[int, float]], weights: list[int], q: float
) -> None:
    texts = [text for text in range(7) if weights[text]]
    values = [*values, *((text, 1.0) for text in texts)]
    repeated = [value for text, value in values for _ in range(weights[text])]
    found = SampledValues(values, range(7)).compute_weighted_quantiles(np.array([weights], dtype=float), q)
    assert found[0] == pytest.approx(float(np.quantile(repeated, q)))


def test_weighted_quantiles_of_many_values_are_those_of_repeating_them() -> None:
    draw = np.random.default_rng(3)
    texts, times_ms = draw.integers(0, 30, 3000), np.sort(draw.lognormal(6, 0.5, 3000))
    (weights,) = resampling.draw_text_weights(30, seed=0)
    found = SampledValues(list(zip(texts, times_ms, strict=True)), range(30)).compute_weighted_quantiles(weights, 0.95)
    repeated = [np.repeat(times_ms, row[texts].astype(int)) for row in weights[:50]]
    assert found[:50] == pytest.approx([np.quantile(one, 0.95) for one in repeated])


def test_the_95th_percentile_has_an_upper_bound_from_many_texts_only() -> None:
    """More samples of few texts do not show how slow the slowest texts are."""
    draw = random.Random(1)
    few = estimate_quantile([(i % 24, draw.random()) for i in range(240)], 0.95)
    fewer = estimate_quantile([(i % 11, draw.random()) for i in range(240)], 0.95)
    many = estimate_quantile([(i, draw.random()) for i in range(100)], 0.95)
    assert few is not None
    assert many is not None
    assert fewer is not None
    assert (fewer.low, fewer.high, fewer.note) == (None, None, "no interval from fewer than 12 texts")
    assert few.high is None
    assert few.note == "no upper bound from 24 texts; it takes 60 or more"
    assert few.low is not None
    assert many.high is not None


def test_the_median_of_eight_texts_lies_between_the_second_smallest_and_the_second_largest() -> None:
    """Nyblom's interpolated order statistics; the exact interval of ranks 2 to 7 has a level of 93%."""
    found = estimate_median([(i, float(i)) for i in range(1, 9)])
    assert found is not None
    assert found.low == pytest.approx(1.936, abs=0.002)
    assert found.high == pytest.approx(7.064, abs=0.002)


def test_samples_of_one_text_do_not_count_as_so_many_texts() -> None:
    draw = random.Random(3)
    texts = [(text, draw.gauss(0, 1)) for text in range(24)]
    repeated = [(text, value + draw.gauss(0, 0.01)) for text, value in texts for _ in range(10)]
    once, often = estimate_median(texts), estimate_median(repeated)
    for found in (once, often):
        assert found is not None
        assert found.low is not None
        assert found.high is not None
    assert (often.high - often.low) > 0.9 * (once.high - once.low)  # type: ignore[operator, union-attr]


@pytest.mark.parametrize(
    ("failed", "count", "low", "high"),
    [(0, 16, 0.0, 0.1936), (2, 16, 0.0222, 0.3602), (1, 8, 0.0064, 0.4709), (16, 16, 0.8064, 1.0)],
)
def test_a_share_has_wilsons_interval(failed: int, count: int, low: float, high: float) -> None:
    found = estimate_share((text, text < failed) for text in range(count))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_no_underrun_in_few_streams_does_not_exclude_some() -> None:
    found = estimate_mean([(text, 0.0) for text in range(8)], smallest_positive_value=1.0)
    assert found is not None
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.375)
    stalled = estimate_mean([(text, 0.0) for text in range(8)])
    assert stalled is not None
    assert (stalled.low, stalled.high) == (0.0, None)


def test_corpus_wer_weighs_texts_by_their_length() -> None:
    found = estimate_ratio_of_sums([("short", 2, 2), ("long", 0, 18)])
    assert found is not None
    assert found.value == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("pairs", "value"),
    [
        ([("a", 3, 0), ("b", 1, 0)], 4.0),  # references without units: insertions alone
        ([("a", 1, 1)], 1.0),
        ([("a", 1, 2)], 0.5),
        ([("a", 0, 0)], 0.0),
    ],
)
def test_a_ratio_divides_by_at_least_one_unit(pairs: list[tuple[str, int, int]], value: float) -> None:
    found = estimate_ratio_of_sums(pairs)
    assert found is not None
    assert found.value == pytest.approx(value)
    assert found.low is None or (np.isfinite(found.low) and np.isfinite(found.high))


def test_texts_with_different_numbers_of_samples_lose_none() -> None:
    found = estimate_mean([("a", 1.0), ("b", 2.0), ("b", 3.0), ("b", 4.0)])
    assert found is not None
    assert (found.value, found.sample_count) == (2.5, 4)


def test_repeating_the_same_samples_does_not_narrow_the_interval() -> None:
    draw = random.Random(2)
    once = [(text, draw.lognormvariate(5, 1)) for text in range(12)]
    thrice = once * 3
    one, three = estimate_mean(once), estimate_mean(thrice)
    assert one is not None
    assert three is not None
    assert (one.low, one.high) == pytest.approx((three.low, three.high))


def test_the_interval_of_an_error_rate_is_that_of_a_student_jackknife_of_the_logarithm() -> None:
    """Worked out by hand for five texts of ten words; Student's quantile for 4 degrees of freedom is 2.776."""
    errors = [1, 2, 3, 4, 5]
    logs = np.log([(15 - count + 0.5) / 40 for count in errors])
    error = float(np.sqrt(4 / 5 * np.sum((logs - logs.mean()) ** 2)))
    found = estimate_ratio_of_sums([(text, count, 10) for text, count in enumerate(errors)])
    assert found is not None
    assert found.value == pytest.approx(0.3)
    assert found.low == pytest.approx(0.3 * np.exp(-2.776 * error), rel=0.01)
    assert found.high == pytest.approx(0.3 * np.exp(2.776 * error), rel=0.01)
