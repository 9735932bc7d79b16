"""Searches the highest concurrency or rate at which a goal is met: doubling until it is missed, then halving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from voicegauge.bench.load.goal import Goal, find_time_percentile, is_success
from voicegauge.model import RampResult, RampStep, Sample

REQUESTS_PER_STEP = 40
"""Smallest number of requests of one step."""
REQUESTS_PER_CONCURRENCY = 4
"""Requests of one step for each request in flight, if that is more."""
RESOLUTION = 0.05
"""Relative distance between the highest level that met the goal and the lowest that missed it, at which to stop."""
MAX_CONFIRMATIONS = 2
"""Number of steps at one level. A level at which the first step misses the goal gets a second one."""


class MeasuredLevel(NamedTuple):
    """The samples of one step."""

    samples: Sequence[Sample]
    duration_s: float


MeasureLevel = Callable[[float, int], Awaitable[MeasuredLevel]]
"""Sends so many requests (second argument) at a level (first argument)."""


async def search_highest_level(
    measure_level: MeasureLevel, goal: Goal, *, by: Literal["concurrency", "rate"], first_level: float, max_level: float
) -> RampResult:
    """Search the highest level that meets `goal`.

    Args:
        measure_level: sends the requests of one step.
        goal: what the samples of a step must meet.
        by: what a level is; levels of concurrency are whole numbers.
        first_level: the lowest level.
        max_level: the highest level that may be tried, such as the limit of the account's plan.
    """
    steps: list[RampStep] = []
    met: float | None = None
    missed: float | None = None
    level: float | None = min(first_level, max_level)
    while level is not None and _has_requests(steps):
        if await _is_goal_met(measure_level, goal, level, steps, by=by):
            met = level
        else:
            missed = level
        level = _choose_next_level(met, missed, max_level, is_whole=by == "concurrency")
    return RampResult(
        by=by,
        goal=goal.text,
        highest_level=met,
        is_limited=met == max_level,
        is_complete=_has_requests(steps),
        steps=tuple(steps),
    )


def _has_requests(steps: Sequence[RampStep]) -> bool:
    """Whether the last step sent anything; it does not if the run is stopped."""
    return not steps or steps[-1].requests > 0


async def _is_goal_met(
    measure_level: MeasureLevel, goal: Goal, level: float, steps: list[RampStep], *, by: str
) -> bool:
    in_flight = level if by == "concurrency" else 0.0
    requests = max(REQUESTS_PER_STEP, round(REQUESTS_PER_CONCURRENCY * in_flight))
    for _ in range(MAX_CONFIRMATIONS):
        samples, duration_s = await measure_level(level, requests)
        is_met = bool(samples) and goal.is_met(samples)
        steps.append(
            RampStep(
                level=level,
                requests=len(samples),
                duration_s=duration_s,
                requests_per_s=len(samples) / max(duration_s, 1e-9),
                goodput_per_s=goal.count_good(samples) / max(duration_s, 1e-9),
                success=sum(map(is_success, samples)) / len(samples) if samples else None,
                ttfa_p95_ms=find_time_percentile("ttfa", 95.0, samples),
                total_latency_p95_ms=find_time_percentile("total", 95.0, samples),
                values=goal.measure(samples),
                is_met=is_met,
            )
        )
        if is_met or not samples:
            return is_met
    return False


def _choose_next_level(met: float | None, missed: float | None, max_level: float, *, is_whole: bool) -> float | None:
    """Return the next level to try; `None` if the search is over."""
    if missed is None:
        return None if met is None or met >= max_level else min(met * 2, max_level)
    if met is None:
        return None
    level = float((met + missed) // 2) if is_whole else (met + missed) / 2
    is_close = missed - met <= (1 if is_whole else RESOLUTION * met)
    return None if is_close else level
