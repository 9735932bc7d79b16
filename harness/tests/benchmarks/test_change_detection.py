"""The numbers that the benchmark of `compare` computes from its comparisons."""

from __future__ import annotations

import pytest
from change_detection.__main__ import compute_median_detectable_change


@pytest.mark.parametrize(
    ("changes", "median"),
    [
        ([0.3, 0.1, 0.2], 0.2),
        ([None, 0.1, 0.2], 0.2),
        ([0.1, None, 0.2, None, 0.3], 0.3),
        ([0.1, None], None),
        ([None, 0.1, None], None),
    ],
)
def test_a_comparison_that_cannot_detect_any_change_counts_as_above_all_others(
    changes: list[float | None], median: float | None
) -> None:
    assert compute_median_detectable_change(changes) == median
