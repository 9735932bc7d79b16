"""Tests the change of one target relative to the other targets of the same runs.

Targets of one run are measured in the same minutes, so that much of what makes a night slow (the network, this
machine, a cloud that several providers use) is common to them. The difference between the change of a target and the
median change of the others varies less from night to night than the target's own speed, so that smaller changes are
found in it. How much it varies is measured in the nights of the baseline. A change that all targets share is found only
in the target's own speed, which is tested too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from voicegauge.bench._change_estimates import (
    MIN_RUNS_TO_MEASURE_VARIATION,
    EstimatedVariance,
    MeasuredVariation,
    TimeInSession,
    compute_mean_log_median_times,
    estimate_center_of_differences,
    estimate_variation_variance,
)
from voicegauge.bench._metric_changes import EstimatedChange, TwiceTestedChange
from voicegauge.bench.estimates import MIN_TEXTS_FOR_INTERVAL
from voicegauge.bench.resampling import FloatArray

MIN_OTHER_TARGETS_AS_REFERENCE = 3
"""Smallest number of other targets: the median change of only two would depend too much on either of them."""


class TargetTimes(NamedTuple):
    """The total latencies of one target in the runs of a comparison."""

    target: str
    baseline: Sequence[Sequence[TimeInSession]]
    """The times of each run of the baseline."""
    run: Sequence[TimeInSession]
    """The times of the new run."""


class _NightLevel(NamedTuple):
    """How much slower a target was in one run than on average in the baseline, as a difference of log times."""

    center: float
    """Typical difference of log times over the texts."""
    standard_error: float
    """Standard error of `center`."""


class SharedVariation:
    """Separates the change of each target's total latency from the variation that it shares with the other targets."""

    def __init__(self, targets: Sequence[TargetTimes]) -> None:
        """Measure how the targets varied relative to each other in the runs of the baseline.

        Args:
            targets: the targets that were measured in every run of the baseline and in the new run.
        """
        run_count = max((len(one.baseline) for one in targets), default=0)
        complete = [
            one
            for one in targets
            if len(one.baseline) == run_count and len(_find_common_texts(one)) >= MIN_TEXTS_FOR_INTERVAL
        ]
        self._run_count = run_count
        self._contrasts: dict[str, FloatArray] = {}
        """For each target, its level relative to the median of the others, in each run of the baseline and the new one.
        """
        self._common_change: dict[str, float] = {}
        self._text_errors: dict[str, float] = {}
        if run_count < MIN_RUNS_TO_MEASURE_VARIATION or len(complete) <= MIN_OTHER_TARGETS_AS_REFERENCE:
            return
        nights = {one.target: _measure_night_levels(one) for one in complete}
        levels = {target: np.array([night.center for night in row]) for target, row in nights.items()}
        for target, own in levels.items():
            others = np.median([other for name, other in levels.items() if name != target], axis=0)
            contrast = own - others
            self._contrasts[target] = contrast - contrast[:-1].mean()
            self._common_change[target] = math.expm1(float(others[-1] - others[:-1].mean()))
            self._text_errors[target] = nights[target][-1].standard_error

    def add_test_against_other_targets(
        self, target: str, change: EstimatedChange
    ) -> EstimatedChange | TwiceTestedChange:
        """Return `change` with a second test, which compares the target's change with that of the other targets.

        `change` is returned unchanged if the other targets provide no reference, or if it has no standard error.
        """
        contrast = self._contrasts.get(target)
        if contrast is None or change.standard_error is None:
            return change
        variance = self._estimate_variance(target)
        error = math.sqrt(max(variance.variance * (1 + 1 / self._run_count), self._text_errors[target] ** 2))
        difference = float(contrast[-1])
        common = f"{self._common_change[target]:+.0%}"
        beside_others = EstimatedChange(
            baseline_value=change.baseline_value,
            run_value=change.run_value,
            change=math.expm1(difference),
            baseline_sample_count=change.baseline_sample_count,
            run_sample_count=change.run_sample_count,
            note=f"beside the other targets of the runs, whose times changed by {common}",
            difference=difference,
            standard_error=error,
            degrees_of_freedom=variance.degrees_of_freedom,
            is_logarithmic=True,
        )
        return TwiceTestedChange.combine(change, beside_others)

    def _estimate_variance(self, target: str) -> EstimatedVariance:
        varies = {
            name: MeasuredVariation(float(np.sum(row[:-1] ** 2)) / (self._run_count - 1), self._run_count, 0.0, 0)
            for name, row in self._contrasts.items()
        }
        own = varies.pop(target)
        return estimate_variation_variance(own, list(varies.values()), 0.0)


def _find_common_texts(times: TargetTimes) -> list[str]:
    return sorted(set.intersection(*({one.text_id for one in run} for run in (*times.baseline, times.run))))


def _measure_night_levels(times: TargetTimes) -> list[_NightLevel]:
    """Return how slow a target was in each run of the baseline and in the new run, as typical differences of texts."""
    texts = _find_common_texts(times)
    levels = np.array([compute_mean_log_median_times([run], texts) for run in (*times.baseline, times.run)])
    typical = levels[:-1].mean(axis=0)
    return [_NightLevel(*estimate_center_of_differences(row - typical)) for row in levels]
