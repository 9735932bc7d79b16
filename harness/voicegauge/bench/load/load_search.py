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
"""The search stops at this relative distance between the highest load that met the goal and the lowest that missed it.
"""
MAX_STEPS_PER_LOAD = 2
"""Largest number of steps under one load. If the first step misses the goal or is invalid, a second one decides."""


class StepMeasurements(NamedTuple):
    """The measurements of one step of a ramp."""

    samples: Sequence[Sample]
    duration_s: float
    """Duration of the step, from its first request to the end of its last one, in seconds."""
    sent_load_share: float | None = None
    """Share of the planned load that this machine sent; `None` if it is not known."""


LoadMeasurer = Callable[[float, int], Awaitable[StepMeasurements]]
"""Function (load, number of requests) that sends this number of requests under a load and returns the measurements."""


async def search_highest_load(
    measure_load: LoadMeasurer,
    goal: Goal,
    *,
    load_type: Literal["concurrency", "rate"],
    first_load: float,
    max_load: float,
) -> RampResult:
    """Search the highest load that meets `goal`, and return this load with the steps of the search.

    Args:
        measure_load: sends the requests of one step.
        goal: what the samples of a step must meet.
        load_type: "concurrency" if the load is a number of requests in flight, which is a whole number; "rate" if it
            is a number of requests per second.
        first_load: the load of the first step.
        max_load: the highest load that may be tried, such as the limit of the account's plan.
    """
    steps: list[RampStep] = []
    met: float | None = None
    missed: float | None = None
    load: float | None = min(first_load, max_load)
    while load is not None and _has_sent_requests_in_last_step(steps):
        if await _run_steps_and_judge_goal(measure_load, goal, load, steps, load_type=load_type):
            met = load
        else:
            missed = load
        load = _choose_next_load(met, missed, max_load, allows_only_whole_numbers=load_type == "concurrency")
    return RampResult(
        load_type=load_type,
        goal=goal.text,
        highest_load=met,
        meets_goal_at_max_load=met == max_load,
        is_search_complete=_has_sent_requests_in_last_step(steps),
        steps=tuple(steps),
    )


def _has_sent_requests_in_last_step(steps: Sequence[RampStep]) -> bool:
    """Whether the last step sent a request; true if there is no step. A step sends none if the run was stopped."""
    return not steps or steps[-1].request_count > 0


async def _run_steps_and_judge_goal(
    measure_load: LoadMeasurer, goal: Goal, load: float, steps: list[RampStep], *, load_type: str
) -> bool:
    in_flight = load if load_type == "concurrency" else 0.0
    requests = max(MIN_REQUESTS_PER_STEP, round(STEP_REQUESTS_PER_REQUEST_IN_FLIGHT * in_flight))
    for _ in range(MAX_STEPS_PER_LOAD):
        samples, duration_s, sent_share = await measure_load(load, requests)
        is_valid = sent_share is None or sent_share >= MIN_SENT_LOAD_SHARE
        is_met = is_valid and bool(samples) and goal.is_met(samples)
        steps.append(
            RampStep(
                load=load,
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


def _choose_next_load(
    highest_load_meeting_goal: float | None,
    lowest_load_missing_goal: float | None,
    max_load: float,
    *,
    allows_only_whole_numbers: bool,
) -> float | None:
    """Return the next load to try; `None` if the search is over."""
    if lowest_load_missing_goal is None:
        return (
            None
            if highest_load_meeting_goal is None or highest_load_meeting_goal >= max_load
            else min(highest_load_meeting_goal * 2, max_load)
        )
    if highest_load_meeting_goal is None:
        return None
    next_load = (
        float((highest_load_meeting_goal + lowest_load_missing_goal) // 2)
        if allows_only_whole_numbers
        else (highest_load_meeting_goal + lowest_load_missing_goal) / 2
    )
    is_close = lowest_load_missing_goal - highest_load_meeting_goal <= (
        1 if allows_only_whole_numbers else RELATIVE_LOAD_RESOLUTION * highest_load_meeting_goal
    )
    return None if is_close else next_load
