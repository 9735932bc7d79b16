"""Searches the highest load (concurrency or rate) that meets a goal by doubling, and then by bisection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from voicegauge.bench.load.goal import Goal, find_time_percentile, succeeded_at_first_attempt
from voicegauge.bench.load.sent_share import MIN_SENT_LOAD_SHARE
from voicegauge.model import RampResult, RampStep, Sample

MIN_REQUESTS_PER_STEP = 40
"""Smallest number of requests of one step."""
STEP_REQUESTS_PER_REQUEST_IN_FLIGHT = 4
"""A step sends at least this number of requests, multiplied by the number of requests in flight."""
RELATIVE_LOAD_RESOLUTION = 0.05
"""The search stops at this relative distance between the highest level that met the goal and the lowest that missed it.
"""
MAX_STEPS_PER_LOAD_LEVEL = 2
"""Largest number of steps at one level. If the first step at a level misses the goal or is invalid, a second one
decides."""


class StepMeasurements(NamedTuple):
    """The measurements of one step of a ramp."""

    samples: Sequence[Sample]
    duration_s: float
    sent_share: float | None = None
    """Share of the planned load that this machine sent; `None` if it is not known."""


LoadLevelMeasurer = Callable[[float, int], Awaitable[StepMeasurements]]
"""Function (level, number of requests) that sends this number of requests at a level and returns the measurements."""


async def search_highest_load_level(
    measure_load_level: LoadLevelMeasurer,
    goal: Goal,
    *,
    load_unit: Literal["concurrency", "rate"],
    first_load_level: float,
    max_load_level: float,
) -> RampResult:
    """Search the highest level of load that meets `goal`, and return the steps of the search.

    Args:
        measure_load_level: sends the requests of one step.
        goal: what the samples of a step must meet.
        load_unit: what a level counts; levels of concurrency are whole numbers.
        first_load_level: the lowest level.
        max_load_level: the highest level that may be tried, such as the limit of the account's plan.
    """
    steps: list[RampStep] = []
    met: float | None = None
    missed: float | None = None
    level: float | None = min(first_load_level, max_load_level)
    while level is not None and _has_last_step_requests(steps):
        if await _run_steps_and_judge_goal(measure_load_level, goal, level, steps, load_unit=load_unit):
            met = level
        else:
            missed = level
        level = _choose_next_load_level(met, missed, max_load_level, is_whole_number=load_unit == "concurrency")
    return RampResult(
        load_type=load_unit,
        goal=goal.text,
        highest_load=met,
        meets_goal_at_max_load=met == max_load_level,
        is_search_complete=_has_last_step_requests(steps),
        steps=tuple(steps),
    )


def _has_last_step_requests(steps: Sequence[RampStep]) -> bool:
    """Whether the last step sent a request. A step sends none if the run was stopped."""
    return not steps or steps[-1].request_count > 0


async def _run_steps_and_judge_goal(
    measure_load_level: LoadLevelMeasurer, goal: Goal, load_level: float, steps: list[RampStep], *, load_unit: str
) -> bool:
    in_flight = load_level if load_unit == "concurrency" else 0.0
    requests = max(MIN_REQUESTS_PER_STEP, round(STEP_REQUESTS_PER_REQUEST_IN_FLIGHT * in_flight))
    for _ in range(MAX_STEPS_PER_LOAD_LEVEL):
        samples, duration_s, sent_share = await measure_load_level(load_level, requests)
        is_valid = sent_share is None or sent_share >= MIN_SENT_LOAD_SHARE
        is_met = is_valid and bool(samples) and goal.is_met(samples)
        steps.append(
            RampStep(
                load=load_level,
                request_count=len(samples),
                duration_s=duration_s,
                requests_per_s=len(samples) / max(duration_s, 1e-9),
                goodput_per_s=goal.count_samples_meeting_goal(samples) / max(duration_s, 1e-9),
                success_rate=sum(map(succeeded_at_first_attempt, samples)) / len(samples) if samples else None,
                ttfa_p95_ms=find_time_percentile("ttfa", 95.0, samples),
                total_latency_p95_ms=find_time_percentile("total", 95.0, samples),
                value_by_condition=goal.measure_conditions(samples),
                meets_goal=is_met,
                sent_load_share=sent_share,
                is_valid=is_valid,
            )
        )
        if is_met or not samples:
            return is_met
    return False


def _choose_next_load_level(
    highest_met_level: float | None, lowest_missed_level: float | None, max_load_level: float, *, is_whole_number: bool
) -> float | None:
    """Return the next level to try; `None` if the search is over."""
    if lowest_missed_level is None:
        return (
            None
            if highest_met_level is None or highest_met_level >= max_load_level
            else min(highest_met_level * 2, max_load_level)
        )
    if highest_met_level is None:
        return None
    level = (
        float((highest_met_level + lowest_missed_level) // 2)
        if is_whole_number
        else (highest_met_level + lowest_missed_level) / 2
    )
    is_close = lowest_missed_level - highest_met_level <= (
        1 if is_whole_number else RELATIVE_LOAD_RESOLUTION * highest_met_level
    )
    return None if is_close else level
