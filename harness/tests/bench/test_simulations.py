"""Small samples of the simulations whose tables `benchmarks/README.md` shows."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from family_errors.__main__ import has_clear_difference, measure_false_statements, measure_power
from interval_coverage.__main__ import contains, list_shapes, measure_coverage
from ramp.__main__ import ramp, run_in_virtual_time
from ramp.cases import LOOSE, Case, contains_truth, find_load

from voicegauge.bench.resampling import compare_column_pairs

SHAPES = {f"{shape.number}, {shape.title}": shape for shape in list_shapes()}


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("median of times, lognormal, 1 per text", 8),
        ("95th percentile of times, outliers, 1 per text", 100),
        ("WER, 2.0% of words, spread 0.5 between texts", 8),
        ("failures, 10%, 3 per text", 24),
        ("underruns per stream, mean 0.5", 24),
        ("completion of jobs, polled every second, median 0.2 s", 8),
    ],
)
def test_an_interval_contains_the_truth_about_as_often_as_it_says(name: str, texts: int) -> None:
    found = measure_coverage(SHAPES[name], texts, 80)
    assert found.without_interval < 0.05
    assert found.covered >= 0.88  # of 80 with 95%, fewer have a probability of 0.5%


def test_a_missing_end_is_no_limit() -> None:
    assert contains((None, 2.0), 1.0)
    assert contains((0.5, None), 9.0)
    assert not contains((1.5, None), 1.0)


def test_few_runs_of_equal_targets_have_a_false_statement_and_unequal_ones_are_distinguished() -> None:
    assert measure_false_statements(5, 8, range(12)).anywhere <= 3
    speed, _ = measure_power(5, 24, 3)
    assert speed > 0.9


@pytest.mark.parametrize(("targets", "texts"), [(2, 8), (5, 5), pytest.param(10, 8, marks=pytest.mark.slow)])
def test_whether_a_pair_differs_is_found_with_fewer_permutations_as_with_all(targets: int, texts: int) -> None:
    """The slowest columns differ by as much as the limit, so that the decision is close in both directions."""
    decisions = set()
    for seed in range(24):
        table = np.random.default_rng([seed, targets, texts]).normal(0.0, 1.0, (texts, targets))
        table[:, 0] += 0.15 * seed
        decided = bool(compare_column_pairs(table, 0.025).is_clearly_lower.any())
        assert has_clear_difference(table, 0.025) == decided
        decisions.add(decided)
    assert texts == 5 or decisions == {True, False}


@pytest.mark.parametrize("goal", [LOOSE, f"{LOOSE},total:p95<=600ms"], ids=["loose", "tight"])
@pytest.mark.parametrize("load_type", ["concurrency", "rate"])
def test_a_ramp_finds_the_capacity_of_a_server_that_queues(
    load_type: Literal["concurrency", "rate"], goal: str
) -> None:
    """Without a limit on times, a queue never misses the goal: its growth is what shows the capacity."""
    case = Case("queues", load_type, 8, 100.0, goal)
    found = run_in_virtual_time(ramp(case, 1))
    assert found.is_conclusive
    assert find_load(found) == pytest.approx(case.true_load, rel=0.1)
    assert contains_truth(found, case.true_load)
    assert found.highest_load is not None
    assert found.highest_load == pytest.approx(case.true_load, rel=0.1)
    assert "the capacity is " in found.describe()
    assert any(step.verdict == "saturated" for step in found.steps)
    loaded = [step for step in found.steps if step.load > 1]
    assert all(step.duration_s > 3.9 or load_type == "concurrency" for step in loaded)
