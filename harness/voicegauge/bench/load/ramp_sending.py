"""Sends the samples of a plan step by step, under the loads that a ramp chooses."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from voicegauge.bench.load.dispatch import ArrivalRate, SampleSender, send_closed_loop, send_open_loop
from voicegauge.bench.load.goal import Goal
from voicegauge.bench.load.load_search import StepMeasurements, search_highest_load
from voicegauge.bench.load.sent_share import compute_sent_share_of_rate, compute_sent_share_of_requests_in_flight
from voicegauge.bench.planning import PlannedSample, SampleRound
from voicegauge.model import RampResult, Sample
from voicegauge.transport import Clock


class RampSettings(NamedTuple):
    """What a ramp raises, the goal that must be met, and the highest load that it tries."""

    load_type: Literal["concurrency", "rate"]
    goal: Goal
    max_load: float
    """The highest load that may be tried."""
    arrival_process: Literal["constant", "poisson"] = "constant"
    """How requests are spaced if the ramp raises a rate; see `ArrivalRate`."""


SampleCollector = Callable[[Sequence[PlannedSample], int], Awaitable[Sequence[Sample]]]
"""Function (planned samples, number of the step) that returns the measured samples, with the duration of their audio.
Planned samples that were not sent are left out."""
RampStepListener = Callable[[int, float], None]
"""Function (number of the step, counted from 1; load of the step) that is called when a step begins."""


async def send_ramp(
    rounds: Sequence[SampleRound],
    settings: RampSettings,
    send_sample: SampleSender,
    collect_samples: SampleCollector,
    *,
    clock: Clock,
    seed: int,
    on_ramp_step: RampStepListener = lambda _number, _load: None,
) -> RampResult:
    """Search the highest load that meets the goal, with as many samples of `rounds` as the search takes.

    Args:
        rounds: the samples.
        settings: what the ramp raises, and the goal.
        send_sample: sends one sample.
        collect_samples: returns the samples of one step.
        clock: the clock of durations.
        seed: seed of the intervals of a Poisson process.
        on_ramp_step: called when a step begins.
    """
    step_numbers = itertools.count(1)
    remaining: Iterator[PlannedSample] = itertools.chain.from_iterable(rounds)

    async def measure_load(load: float, request_count: int) -> StepMeasurements:
        step_number = next(step_numbers)
        on_ramp_step(step_number, load)
        step = list(itertools.islice(remaining, request_count))
        step_rounds: list[SampleRound] = [(planned,) for planned in step]
        due_s_by_id: dict[str, float] = {}
        occupied_s_by_id: dict[str, float] = {}

        async def send_and_note_times(planned_sample: PlannedSample, due_s: float | None) -> None:
            sending_started_s = clock.monotonic()
            await send_sample(planned_sample, due_s)
            occupied_s_by_id[planned_sample.id] = clock.monotonic() - sending_started_s
            due_s_by_id[planned_sample.id] = sending_started_s if due_s is None else due_s

        start_s = clock.monotonic()
        if settings.load_type == "concurrency":
            await send_closed_loop(step_rounds, int(load), send_and_note_times)
        else:
            rate = ArrivalRate(load, settings.arrival_process)
            await send_open_loop(step_rounds, rate, send_and_note_times, clock=clock, seed=seed)
        duration_s = clock.monotonic() - start_s
        samples = await collect_samples(step, step_number)
        if settings.load_type == "concurrency":
            occupied_s = [occupied_s_by_id[sample.id] for sample in samples]
            sent_share = compute_sent_share_of_requests_in_flight(samples, occupied_s, int(load))
        else:
            sent_share = compute_sent_share_of_rate([due_s_by_id[sample.id] for sample in samples], samples)
        return StepMeasurements(samples, duration_s, sent_share)

    return await search_highest_load(
        measure_load,
        settings.goal,
        load_type=settings.load_type,
        first_load=1.0,
        max_load=settings.max_load,
    )
