"""Says how many nights, targets and texts `compare` needs to find a slowdown of the total latency.

It computes, for plans, the same smallest detectable change that `compare` states for runs: from the spread of requests,
of nights, and of a target beside the other targets, as runs show them or as they are assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from voicegauge.bench._change_estimates import (
    DEFAULT_LATENCY_VARIATION,
    MIN_RUNS_TO_MEASURE_VARIATION,
    PRIOR_DEGREES_OF_FREEDOM,
    EstimatedVariance,
    TimeInSession,
    combine_variances,
    compute_log_median_times_by_session,
    compute_mean_log_median_times,
    estimate_center_of_differences,
    measure_variation,
)
from voicegauge.bench._comparable_runs import check_comparable, check_no_run_is_repeated
from voicegauge.bench._metric_changes import EstimatedChange
from voicegauge.bench._shared_variation import MIN_OTHER_TARGETS_AS_REFERENCE
from voicegauge.bench.comparison import ALPHA_SHARE_OF_PARTS
from voicegauge.bench.comparison_result import CompareSettings
from voicegauge.bench.target_samples import group_target_samples
from voicegauge.errors import DataError
from voicegauge.model.run import Run

ASSUMED_REQUEST_SPREAD = 0.25
"""Standard deviation of the logarithm of the times of one text in one night, if the runs do not show it."""
METRIC_COUNT_OF_LATENCY_FAMILY = 3
"""Number of metrics of a target that are tested in the family of the total latency: this latency, errors, failures."""
PLANNED_NIGHT_COUNTS = (1, 5, 10, 20)
"""Numbers of runs of the baseline, each of another night, for which comparisons are planned."""
PLANNED_TEXT_COUNTS = (8, 24, 100, 400)
"""Numbers of texts for which comparisons are planned."""
PLANNED_TARGET_COUNTS = (1, 8)
"""Numbers of targets for which comparisons are planned."""
NIGHT_COUNT_NOTE = (
    f"with fewer than {MIN_RUNS_TO_MEASURE_VARIATION} nights `compare` assumes the spread between nights, from "
    f"{MIN_RUNS_TO_MEASURE_VARIATION} on it estimates it from the nights: {MIN_RUNS_TO_MEASURE_VARIATION} nights show "
    "it so roughly that the figure for them can be larger than for 1, whose assumption may be wrong"
)
"""Sentence below the plans: why a comparison with a few more nights can find less."""


class LatencySpreads(NamedTuple):
    """Standard deviations of the logarithm of times."""

    request: float
    """Standard deviation between nights of the median time of one text, without the spread of the nights' levels."""
    night: float
    """Standard deviation between nights of the level of a target, without the spread of its requests."""
    night_beside_others: float
    """Standard deviation between nights of the difference between a target's level and the median level of the other
    targets. Equal to `night` if the targets have no variation in common."""
    measured: tuple[str, ...] = ()
    """Names of the spreads above that were measured; the others are assumed."""


class PlannedComparison(NamedTuple):
    """A planned comparison, and the smallest slowdown that it finds in 80% of cases."""

    night_count: int
    target_count: int
    text_count: int
    detectable_slowdown: float | None
    """The smallest relative slowdown that the comparison can detect, such as 0.2 for 20%; `None` if not even a latency
    ten times as long would be detected."""


def measure_spreads(
    runs: Sequence[Run], assumed_night_spread: float = DEFAULT_LATENCY_VARIATION, *, compared_run: Run | None = None
) -> LatencySpreads:
    """Measure the spreads in runs of different nights; what they do not show is assumed.

    The spread of requests needs two runs or sessions. The spread of nights needs `MIN_RUNS_TO_MEASURE_VARIATION` runs,
    and the spread beside other targets needs this number of runs with at least `MIN_OTHER_TARGETS_AS_REFERENCE` + 1
    targets.

    Args:
        runs: runs of different nights without a change of the service.
        assumed_night_spread: spread of nights that is assumed if the runs do not show it.
        compared_run: the run that is compared with `runs`. It must be comparable, but shows no spread, because the
            service may have changed before it.

    Raises:
        DataError: the runs are not comparable, have no text in common, or one is given twice.
    """
    others = runs[1:] if compared_run is None else [*runs[1:], compared_run]
    check_no_run_is_repeated([runs[0], *others])
    for run in others:
        check_comparable(runs[0], run)
    times: dict[str, list[list[TimeInSession]]] = {}
    for run in runs:
        for target, samples in group_target_samples(run, None).items():
            times.setdefault(target, []).append(list(samples.total_latencies))
    complete = {target: nights for target, nights in times.items() if len(nights) == len(runs) and all(nights)}
    requests = [spread for nights in complete.values() if (spread := _measure_text_latency_spread(nights)) is not None]
    request = float(np.sqrt(np.mean(np.square(requests)))) if requests else ASSUMED_REQUEST_SPREAD
    measured = ("request",) if requests else ()
    if len(runs) < MIN_RUNS_TO_MEASURE_VARIATION or not complete:
        return LatencySpreads(request, assumed_night_spread, assumed_night_spread, measured)
    texts = [_find_texts_common_to_nights(nights) for nights in complete.values()]
    if not all(texts):
        raise DataError("not comparable: the runs have no text in common")
    noise = request**2 / max(min(map(len, texts)), 1)
    variation = float(np.mean([measure_variation(nights).variance_between_runs for nights in complete.values()]))
    night = math.sqrt(max(variation - noise, 0.0))
    if len(complete) <= MIN_OTHER_TARGETS_AS_REFERENCE:
        return LatencySpreads(request, night, night, (*measured, "night"))
    levels = np.array(
        [_compute_night_levels(nights, own) for nights, own in zip(complete.values(), texts, strict=True)]
    )
    medians_of_others = [np.median(np.delete(levels, index, axis=0), axis=0) for index in range(len(levels))]
    contrasts = levels - np.array(medians_of_others)
    beside = math.sqrt(max(float(np.mean(np.var(contrasts, axis=1, ddof=1))) - noise, 0.0))
    return LatencySpreads(request, night, min(beside, night), (*measured, "night", "night beside others"))


def _find_texts_common_to_nights(nights: Sequence[Sequence[TimeInSession]]) -> list[str]:
    return sorted(set.intersection(*({timed.text_id for timed in night} for night in nights)))


def _compute_night_levels(nights: Sequence[Sequence[TimeInSession]], texts: Sequence[str]) -> list[float]:
    table = np.array([compute_mean_log_median_times([night], texts) for night in nights])
    return [estimate_center_of_differences(row - table.mean(axis=0))[0] for row in table]


def _measure_text_latency_spread(nights: Sequence[Sequence[TimeInSession]]) -> float | None:
    """Return the spread of the median times of a text between nights or sessions; `None` with a single one."""
    texts = _find_texts_common_to_nights(nights)
    tables = np.vstack([compute_log_median_times_by_session(night, texts) for night in nights])
    complete = tables[:, np.isfinite(tables).all(axis=0)]
    if len(complete) < 2 or complete.shape[1] < 2:
        return None
    # Of a difference of two nights: twice the variance of one, divided by the number of texts.
    errors = [
        estimate_center_of_differences(complete[first] - complete[second])[1]
        for first, second in list(combinations(range(len(complete)), 2))[:20]
    ]
    return math.sqrt(float(np.mean(np.square(errors))) * complete.shape[1] / 2)


def plan_comparison(
    spreads: LatencySpreads, night_count: int, target_count: int, text_count: int, settings: CompareSettings
) -> PlannedComparison:
    """Return the smallest slowdown of one target that a comparison finds in 80% of cases.

    Args:
        spreads: how much times vary between requests and between nights.
        night_count: runs of the baseline, each of another night; one further run is compared with them.
        target_count: targets of each run.
        text_count: texts of each run, each sent once to each target.
        settings: the statistical settings of the comparison.
    """
    scale = 1 + 1 / night_count
    noise = spreads.request**2 / text_count
    family_alpha = settings.alpha * (1 - ALPHA_SHARE_OF_PARTS) / (METRIC_COUNT_OF_LATENCY_FAMILY * target_count)
    is_measured = night_count >= MIN_RUNS_TO_MEASURE_VARIATION
    others = min(PRIOR_DEGREES_OF_FREEDOM, (target_count - 1) * (night_count - 1))
    freedom = night_count - 1 + (others if is_measured else PRIOR_DEGREES_OF_FREEDOM)
    # Alone, the errors of the texts are estimated beside the variation, which contains them too if it was measured.
    variation = EstimatedVariance(scale * (spreads.night**2 + (noise if is_measured else 0.0)), freedom)
    tests = [combine_variances(EstimatedVariance(scale * noise, text_count - 1.0), variation)]
    if is_measured and target_count > MIN_OTHER_TARGETS_AS_REFERENCE:
        # The median of the others varies by about pi / 2 times as much as their mean.
        reference = 1 + math.pi / 2 / (target_count - 1)
        tests.append(EstimatedVariance(scale * (spreads.night_beside_others**2 + noise * reference), freedom))
    sizes = [
        _build_estimate_without_change(*estimated).compute_detectable_change(
            family_alpha / len(tests), settings.latency_threshold.min_change
        )
        for estimated in tests
    ]
    found = min((size for size in sizes if size is not None), default=None)
    return PlannedComparison(night_count, target_count, text_count, found)


def _build_estimate_without_change(variance: float, degrees_of_freedom: float) -> EstimatedChange:
    return EstimatedChange(
        baseline_value=1.0,
        run_value=1.0,
        change=0.0,
        baseline_sample_count=1,
        run_sample_count=1,
        difference=0.0,
        standard_error=math.sqrt(variance),
        degrees_of_freedom=degrees_of_freedom,
        is_logarithmic=True,
    )


def plan_comparisons(spreads: LatencySpreads, settings: CompareSettings) -> list[PlannedComparison]:
    """Return the smallest slowdowns for usual numbers of nights, targets and texts."""
    return [
        plan_comparison(spreads, nights, targets, texts, settings)
        for targets in PLANNED_TARGET_COUNTS
        for nights in PLANNED_NIGHT_COUNTS
        for texts in PLANNED_TEXT_COUNTS
    ]
