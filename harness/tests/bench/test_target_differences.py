"""What is said about differences between targets holds for all of them together."""

from __future__ import annotations

import numpy as np
import pytest

from voicegauge.bench.resampling import (
    FloatArray,
    TargetMeasurements,
    compare_all_targets,
    compare_column_pairs,
    flag_targets_not_clearly_higher,
)


def draw_log_times(seed: int, texts: int, targets: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    drawn: FloatArray = rng.normal(0, 0.43, (texts, 1)) + rng.normal(0, 0.25, (texts, targets))
    return drawn


@pytest.mark.slow
@pytest.mark.parametrize(("texts", "targets", "runs"), [(8, 10, 100), (24, 5, 100)])
def test_of_runs_of_equal_targets_few_tell_any_apart(texts: int, targets: int, runs: int) -> None:
    found = [
        compare_column_pairs(draw_log_times(seed, texts, targets), 0.05, seed=seed).is_clearly_lower.any()
        for seed in range(runs)
    ]
    assert sum(found) <= 12  # of 100 with a probability of 5%, more have a probability of 0.15%


def test_targets_that_take_twice_as_long_are_distinguished_and_the_interval_holds() -> None:
    table = draw_log_times(1, 24, 10)
    table[:, 5:] += np.log(2)
    found = compare_column_pairs(table, 0.05)
    assert found.is_clearly_lower[:5, 5:].all()
    assert not found.is_clearly_lower[:5, :5].any()
    interval = found.find_interval(7, 2)
    assert interval is not None
    assert interval.low < np.log(2) < interval.high


def test_the_result_is_that_of_a_loop_over_pairs_also_with_missing_values() -> None:
    table = draw_log_times(2, 12, 4)
    table[[0, 3, 3], [1, 2, 3]] = np.nan
    found = compare_column_pairs(table, 0.05)
    for i in range(4):
        for j in range(4):
            differences = table[:, i] - table[:, j]
            assert found.means[i, j] == pytest.approx(np.nanmean(differences), abs=1e-12)
    assert np.allclose(found.means, -found.means.T)
    assert np.allclose(found.standard_errors, found.standard_errors.T)


def test_too_few_common_texts_tell_nothing_apart() -> None:
    table = draw_log_times(3, 8, 3)
    table[:, 1] += 5.0
    table[4:, 2] = np.nan
    found = compare_column_pairs(table, 0.05)
    assert found.is_clearly_lower[0, 1]
    assert np.isnan(found.means[0, 2])
    assert not found.is_clearly_lower[[0, 2], [2, 0]].any()
    assert flag_targets_not_clearly_higher([1.0, 9.0, None], found) == [True, False, False]
    assert not compare_column_pairs(table[:4], 0.05).is_clearly_lower.any()


def test_equal_targets_have_no_difference_and_no_division_by_zero() -> None:
    found = compare_column_pairs(np.tile(np.arange(9.0)[:, None], (1, 3)), 0.05)
    assert not found.is_clearly_lower.any()
    assert (found.means == 0).all()


def test_the_same_seed_gives_the_same_limit() -> None:
    table = draw_log_times(4, 10, 6)
    assert (
        compare_column_pairs(table, 0.05, seed=1).critical_value
        == compare_column_pairs(table, 0.05, seed=1).critical_value
    )
    assert (
        compare_column_pairs(table, 0.05, seed=1).critical_value
        != compare_column_pairs(table, 0.05, seed=2).critical_value
    )


def test_error_rates_are_weighted_by_the_length_of_the_texts() -> None:
    units = [10.0, 30.0, 20.0, 20.0, 20.0]
    errors = {"a": [1, 3, 2, 2, 2], "b": [2, 9, 4, 5, 4]}
    targets = [
        TargetMeasurements([], [(str(text), count, units[text]) for text, count in enumerate(counts)])
        for counts in errors.values()
    ]
    found = compare_all_targets(targets).error_rate
    assert found.means[1, 0] == pytest.approx((24 - 10) / 100)
