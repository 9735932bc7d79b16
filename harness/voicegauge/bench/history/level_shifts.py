"""Finds the nights on which the level of a metric shifted.

The nights are examined one after the other, each together with the nights before it only, as a nightly job would do.

Each night, the nights since the last shift are segmented by penalized least squares (PELT: Killick,
Fearnhead and Eckley 2012, "Optimal detection of changepoints with a linear computational cost"), by
the implementation of ruptures. Values far from the usual level are clipped first, which bounds the
influence of a single night (compare Fearnhead and Rigaill 2019, "Changepoint detection in the
presence of outliers"): it takes two nights in a row to raise an alert. The penalty is the square of
a quantile of Student's t distribution, because the spread is estimated too. It is estimated from the
differences of consecutive nights (Rice 1984), which a shift hardly influences. As long as there are
few nights, the estimate also depends on an assumed spread.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from voicegauge.bench.analysis import FloatArray, load_scipy
from voicegauge.errors import MissingExtraError

MIN_NIGHTS_SINCE_SHIFT = 8
"""Number of nights, from the first one at the present level, below which no further shift is searched for."""
MIN_NIGHTS_BEFORE_SHIFT = 4
"""Smallest number of nights at the old level, before a shift."""
MAX_SEGMENTED_NIGHTS = 60
"""Largest number of nights that are segmented, so that the chance of a false alert does not grow with the history."""
NIGHTS_TO_CONFIRM_SHIFT = 2
"""Number of nights at the new level before an alert."""
_PRIOR_DEGREES_OF_FREEDOM = 3.0
"""Weight of the assumed spread, in degrees of freedom, beside the spread that is measured."""
_INDEPENDENT_TESTS_PER_NIGHT = 3.0
"""Number of independent tests that each night counts as. A shift is looked for at every earlier night, but the tests
resemble each other: together they raise as many false alerts as about three independent ones, as the benchmark
`history_alerts` measures."""
_CLIP_LIMIT_PER_THRESHOLD = 0.9
"""Limit at which values are clipped, divided by the threshold of a shift. Below 1, so that one night cannot exceed the
threshold, but two nights in a row can."""


class LevelShift(NamedTuple):
    """A lasting change of the level of a series, with the indices of its first night and of its confirmation."""

    first_night_index: int
    confirmation_night_index: int


class SpreadAssumption(NamedTuple):
    """What is assumed about the spread of a series between nights before enough nights are measured."""

    assumed_spread: float
    """Standard deviation that is assumed until enough nights show it."""
    min_spread: float
    """Lower limit of the standard deviation, because the samples of one night already differ by chance; 0 for none."""


def find_level_shifts(
    transformed_values: Sequence[float],
    sample_counts: Sequence[int],
    spread_assumption: SpreadAssumption,
    *,
    alpha: float,
    is_difference_relevant: Callable[[range, range], bool],
) -> list[LevelShift]:
    """Return the shifts of a series. Each one is found without the nights after its confirmation.

    Args:
        transformed_values: the value of each night, oldest first, transformed so that large values spread no more than
            small ones.
        sample_counts: number of samples of each night; nights with fewer than usual count as less certain.
        spread_assumption: what is assumed about the spread.
        alpha: probability that a night falsely confirms a shift.
        is_difference_relevant: function (range of nights before a shift, range since the shift) that returns whether
            the levels differ by enough to matter.
    """
    shifts: list[LevelShift] = []
    values, counts = np.asarray(transformed_values, dtype=np.float64), np.asarray(sample_counts, dtype=np.float64)
    start = 0
    for night in range(len(values)):
        start = max(start, night + 1 - MAX_SEGMENTED_NIGHTS)
        if night + 1 - start < MIN_NIGHTS_SINCE_SHIFT:
            continue
        first_night_index = _find_latest_shift(
            values[: night + 1], counts[: night + 1], start, spread_assumption, alpha
        )
        if first_night_index is not None and is_difference_relevant(
            range(start, first_night_index), range(first_night_index, night + 1)
        ):
            shifts.append(LevelShift(first_night_index, night))
            start = first_night_index
    return shifts


def _find_latest_shift(
    transformed_values: FloatArray,
    sample_counts: FloatArray,
    start_index: int,
    spread_assumption: SpreadAssumption,
    alpha: float,
) -> int | None:
    """Divide the nights from `start_index` into segments, and return the index of the first night of the latest one.

    Return `None` if there is only one segment, so that the level has not shifted.
    """
    spread, degrees_of_freedom = _estimate_spread(transformed_values, spread_assumption)
    threshold = _compute_threshold(alpha / _INDEPENDENT_TESTS_PER_NIGHT, round(degrees_of_freedom))
    usual_level = np.median(transformed_values[start_index:-NIGHTS_TO_CONFIRM_SHIFT])
    uncertainty = np.sqrt(
        np.maximum(1.0, np.median(sample_counts[start_index:]) / np.maximum(sample_counts[start_index:], 1.0))
    )
    scores = np.clip(
        (transformed_values[start_index:] - usual_level) / (spread * uncertainty),
        -_CLIP_LIMIT_PER_THRESHOLD * threshold,
        _CLIP_LIMIT_PER_THRESHOLD * threshold,
    )
    segmentation = (
        load_ruptures().KernelCPD(kernel="linear", min_size=NIGHTS_TO_CONFIRM_SHIFT).fit(scores.reshape(-1, 1))
    )
    *shifts, _end = segmentation.predict(pen=threshold**2)
    return start_index + int(shifts[-1]) if shifts and shifts[-1] >= MIN_NIGHTS_BEFORE_SHIFT else None


def _estimate_spread(transformed_values: FloatArray, spread_assumption: SpreadAssumption) -> tuple[float, float]:
    """Return the standard deviation between nights without a shift, and its degrees of freedom."""
    differences = np.diff(transformed_values)
    limit = 3 * 1.4826 * np.median(np.abs(differences))  # three standard deviations, estimated robustly
    variance = float(np.mean(np.clip(differences, -limit, limit) ** 2)) / 2
    freedom = 0.6 * len(differences)  # neighboring differences share a night
    total = freedom + _PRIOR_DEGREES_OF_FREEDOM
    pooled = (_PRIOR_DEGREES_OF_FREEDOM * spread_assumption.assumed_spread**2 + freedom * variance) / total
    return max(pooled**0.5, spread_assumption.min_spread), total


@cache
def _compute_threshold(alpha: float, degrees_of_freedom: int) -> float:
    """Return the number of standard deviations that chance exceeds, in either direction, with probability `alpha`."""
    return float(load_scipy("stats").t.isf(alpha / 2, degrees_of_freedom))


@cache
def load_ruptures() -> Any:
    """Import and return the module ruptures.

    Raises:
        MissingExtraError: ruptures is not installed.
    """
    try:
        return importlib.import_module("ruptures")
    except ModuleNotFoundError as error:
        raise MissingExtraError("ruptures, which finds changes of a history,", "bench") from error
