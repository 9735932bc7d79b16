"""Compares saved runs, or the targets of one."""

from __future__ import annotations

import os
from collections.abc import Sequence

from voicegauge.api.options import PathLike
from voicegauge.api.saved_runs.loading import load_run, pause_garbage_collection
from voicegauge.bench.analysis import ChangeThreshold, CompareSettings, RunComparison, compare_runs
from voicegauge.bench.analysis import compare_targets as compare_targets_of_run
from voicegauge.errors import UsageError
from voicegauge.model import Run

REQUIRED_DETECTABLE_SLOWDOWN = 0.30
"""Slowdown that a comparison must be able to detect (0.3 is 30%); otherwise the verdict is "underpowered"."""
REQUIRED_DETECTABLE_ERROR_RATE = 0.05
"""Difference of error rates that a comparison must be able to detect; otherwise the verdict is "underpowered"."""


@pause_garbage_collection()
def compare(
    baseline: PathLike | Run | Sequence[PathLike | Run],
    run: PathLike | Run,
    *,
    alpha: float = 0.01,
    min_slowdown: float = 0.05,
    min_error_rate_change: float = 0.02,
    assumed_speed_drift: float = 0.10,
    seed: int = 0,
) -> RunComparison:
    """Tell regressions from noise by comparing a run with one or several earlier runs.

    >>> comparison = voicegauge.compare(saved_run, later_run)
    >>> comparison.regressions
    ()

    Args:
        baseline: an earlier run or its folder, or several. From five or more, such as those of several nights, the
            drift of speed is computed, and `assumed_speed_drift` has no effect.
        run: the new run, or the path of its folder.
        alpha: probability that any metric of any target is falsely called a regression.
        min_slowdown: relative slowdowns smaller than this are ignored, even if statistically significant.
        min_error_rate_change: differences of error rates smaller than this are ignored (0.02 is two percentage points).
        assumed_speed_drift: how much times differ between runs without a change of the service, as a relative standard
            deviation. It is used if the baseline has fewer than five runs.
        seed: seed of the resampling.

    Returns:
        A verdict for each metric of each target.

    Raises:
        DataError: a run cannot be read, or the runs are not comparable because they differ in suite, provenance, ASR
            engine, normalizer or load, have no target or no text in common, or because one is given twice.
        UsageError: the baseline has no run.
    """
    settings = _build_compare_settings(alpha, min_slowdown, min_error_rate_change, assumed_speed_drift, seed)
    baselines = [baseline] if isinstance(baseline, (Run, str, os.PathLike)) else list(baseline)
    if not baselines:
        raise UsageError("the baseline has no run: name at least one")
    return compare_runs([_load_run_unless_loaded(one) for one in baselines], _load_run_unless_loaded(run), settings)


@pause_garbage_collection()
def compare_targets(
    run: PathLike | Run,
    baseline_target: str,
    *,
    alpha: float = 0.01,
    min_slowdown: float = 0.05,
    min_error_rate_change: float = 0.02,
    seed: int = 0,
) -> RunComparison:
    """Compare the other targets of a run with one of its targets, paired by text and session.

    The targets of a run are measured in turn, so drift that they share cancels out: much smaller differences are found
    than between runs of different days.

    Args:
        run: a run of at least two targets, or the path of its folder.
        baseline_target: id of the target that the others are compared with.
        alpha: probability that any metric of any target is falsely called a regression.
        min_slowdown: relative slowdowns smaller than this are ignored, even if statistically significant.
        min_error_rate_change: differences of error rates smaller than this are ignored (0.02 is two percentage points).
        seed: seed of the resampling.

    Returns:
        A verdict for each metric of each other target; "regression" means worse than `baseline_target`.

    Raises:
        DataError: the run cannot be read, has no such target, or no other one.
    """
    settings = _build_compare_settings(alpha, min_slowdown, min_error_rate_change, 0.0, seed)
    return compare_targets_of_run(_load_run_unless_loaded(run), baseline_target, settings)


def _load_run_unless_loaded(run: PathLike | Run) -> Run:
    return run if isinstance(run, Run) else load_run(run)


def _build_compare_settings(
    alpha: float, min_slowdown: float, min_error_rate_change: float, assumed_speed_drift: float, seed: int
) -> CompareSettings:
    return CompareSettings(
        alpha=alpha,
        assumed_drift=assumed_speed_drift,
        # The detectable effect must stay well above the ignored one, or every verdict would be "underpowered".
        latency_threshold=ChangeThreshold(
            min_change=min_slowdown, required_detectable_change=max(REQUIRED_DETECTABLE_SLOWDOWN, 3 * min_slowdown)
        ),
        error_rate_threshold=ChangeThreshold(
            min_change=min_error_rate_change,
            required_detectable_change=max(REQUIRED_DETECTABLE_ERROR_RATE, 2.5 * min_error_rate_change),
        ),
        seed=seed,
    )
