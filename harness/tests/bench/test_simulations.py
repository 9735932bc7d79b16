"""Small samples of the simulations whose tables `benchmarks/README.md` shows."""

from __future__ import annotations

import pytest
from family_errors.__main__ import measure_false_statements, measure_power
from interval_coverage.__main__ import contains, list_shapes, measure_coverage

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
    *_, anywhere = measure_false_statements(5, 8, 12)
    assert anywhere <= 3
    speed, _ = measure_power(5, 24, 3)
    assert speed > 0.9
