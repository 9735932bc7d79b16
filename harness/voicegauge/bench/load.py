"""Decides when requests are sent: in closed or open loops, or in a ramp that searches the highest load.

In both cases the targets take turns, so that whatever else changes with time changes for all of them.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import re
import statistics
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, NamedTuple

from voicegauge.bench.benchmark_plan import PlannedSample, SampleRound
from voicegauge.bench.target_samples import find_audio_ready_bounds
from voicegauge.errors import UsageError
from voicegauge.model.base import Record
from voicegauge.model.run import RampResult, RampStep
from voicegauge.model.sample import Sample
from voicegauge.transport.clock import Clock

# Decides when each planned request is sent: as soon as an earlier one ends, or at a fixed rate.


MAX_LEAD_ROUNDS = 4
"""Maximum number of rounds by which other targets may be ahead of a target that waits, because its provider has the
maximum number of requests in flight."""

SampleSender = Callable[[PlannedSample, float | None], Awaitable[None]]
"""Function (planned sample, due time) that sends a sample and waits for its end. The due time is in seconds of the
clock; `None` if the sample is not due at a fixed time."""


class ArrivalRate(NamedTuple):
    """The rate at which requests are sent to each target, even if earlier requests have not ended."""

    requests_per_s: float
    arrival_process: Literal["constant", "poisson"] = "constant"
    """Whether requests are sent in equal intervals or as a Poisson process."""


class ProviderLimit(NamedTuple):
    """A provider, and how many requests it accepts at a time."""

    provider: str
    max_in_flight: int
    """Number of requests that the provider accepts at a time; at least 1."""


async def send_closed_loop(
    rounds: Iterable[SampleRound],
    concurrency: int,
    send_sample: SampleSender,
    *,
    limit_by_target: Mapping[str, ProviderLimit] | None = None,
) -> None:
    """Send all samples in their order, with `concurrency` requests in flight.

    A slow target has more requests in flight than a fast one, so that both are at nearly the same text and nothing
    waits for the slowest target of a round. While a provider has as many requests in flight as it accepts,
    requests are sent to the other providers, which get ahead of it by at most `MAX_LEAD_ROUNDS` rounds.

    Args:
        rounds: the samples.
        concurrency: number of requests in flight.
        send_sample: sends one sample.
        limit_by_target: the limit of each target's provider, by target id; targets without a limit are absent.
    """
    turns = _SampleQueue(rounds, limit_by_target or {})
    in_flight: dict[asyncio.Task[None], PlannedSample] = {}
    async with asyncio.TaskGroup() as tasks:
        while turns.has_unsent_samples or in_flight:
            while len(in_flight) < concurrency and (planned := turns.take_next()) is not None:
                in_flight[tasks.create_task(_await_to_end(send_sample(planned, None)))] = planned
            ended, _ = await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                turns.record_request_end(in_flight.pop(task))


class _SampleQueue:
    """A queue of the samples that are not sent yet, which observes the limits of providers."""

    def __init__(self, rounds: Iterable[SampleRound], limit_by_target: Mapping[str, ProviderLimit]) -> None:
        self._limit_by_target = limit_by_target
        self._rounds = deque(list(row) for row in rounds if row)
        self._in_flight: Counter[str] = Counter()

    @property
    def has_unsent_samples(self) -> bool:
        """Whether there are samples to send."""
        return bool(self._rounds)

    def take_next(self) -> PlannedSample | None:
        """Return the first sample whose provider accepts a request now; `None` if all of them have to wait."""
        # Targets of a provider that is at its limit are passed over, but only for a few rounds. Without a bound, the
        # fast providers would be finished in the first minutes, and differences between targets could be differences
        # between hours.
        for row in islice(self._rounds, MAX_LEAD_ROUNDS + 1):
            for index, planned in enumerate(row):
                limit = self._limit_by_target.get(planned.target)
                if limit is not None:
                    if self._in_flight[limit.provider] >= limit.max_in_flight:
                        continue
                    self._in_flight[limit.provider] += 1
                del row[index]
                while self._rounds and not self._rounds[0]:
                    self._rounds.popleft()
                return planned
        return None

    def record_request_end(self, planned_sample: PlannedSample) -> None:
        """Record that the request of a sample has ended, so that its provider accepts another one."""
        if (limit := self._limit_by_target.get(planned_sample.target)) is not None:
            self._in_flight[limit.provider] -= 1


async def send_open_loop(
    rounds: Iterable[SampleRound],
    rate: ArrivalRate,
    send_sample: SampleSender,
    *,
    clock: Clock,
    seed: int,
    should_stop_sending: Callable[[], bool] = lambda: False,
) -> None:
    """Send each sample when it is due, however many are in flight.

    Args:
        rounds: the samples.
        rate: requests per second to each target.
        send_sample: sends one sample.
        clock: the clock of the due times.
        seed: seed of the intervals of a Poisson process.
        should_stop_sending: returns whether no further sample is to be sent; asked when one is due.
    """
    schedule = compute_due_times([list(row) for row in rounds], rate, seed=seed)
    start_s = clock.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for after_s, planned in schedule:
            wait_s = start_s + after_s - clock.monotonic()
            if wait_s > 0:
                await clock.sleep(wait_s)
            if should_stop_sending():
                return
            # Latency counts from the time at which the request was due, not at which it was sent. Counting from the
            # sending hides the wait whenever this machine or the service is late (coordinated omission: Gil Tene, "How
            # NOT to measure latency").
            tasks.create_task(_await_to_end(send_sample(planned, start_s + after_s)))


async def _await_to_end(request_awaitable: Awaitable[None]) -> None:
    await request_awaitable


def compute_due_times(
    rounds: Sequence[Sequence[PlannedSample]], rate: ArrivalRate, *, seed: int
) -> list[tuple[float, PlannedSample]]:
    """Return each sample with the time at which it is due, in seconds from the start, in ascending order.

    The targets begin one after the other, spread over the first interval.
    """
    queues: dict[str, list[PlannedSample]] = {}
    for planned in (one for row in rounds for one in row):
        queues.setdefault(planned.target, []).append(planned)
    interval_s = 1 / rate.requests_per_s
    due: list[tuple[float, PlannedSample]] = []
    for index, (target, samples) in enumerate(queues.items()):
        gaps = random.Random(f"{seed}/{target}")  # noqa: S311 - a reproducible schedule, not a secret
        at_s = index * interval_s / len(queues)
        for planned in samples:
            due.append((at_s, planned))
            at_s += gaps.expovariate(rate.requests_per_s) if rate.arrival_process == "poisson" else interval_s
    return sorted(due, key=lambda one: one[0])


# Goals that the samples under one load must meet, such as "success>=0.99,ttfa:p95<=500ms,rtf:p95<=1".


_SUCCESS_METRIC = "success"
_TIME_METRICS = ("ttfb", "ttfa", "total")
_RTF_METRIC = "rtf"
_CONDITION_PATTERN = re.compile(
    r"(?P<metric>[a-z]+)(?::p(?P<percentile>\d{1,2}(?:\.\d+)?))?(?P<comparison>>=|<=)(?P<limit>\d+(?:\.\d+)?)(?P<unit>ms|s|%)?"
)


class GoalCondition(Record, frozen=True, kw_only=True):
    """One condition of a goal."""

    metric: Literal["success", "ttfb", "ttfa", "total", "rtf"]
    """The metric that the condition limits. `success` is the share of requests that succeed at the first attempt, so
    that a 429 counts against it; the others are times and the real-time factor of requests that succeed."""
    percentile: float | None
    """The percentile that must stay within the limit; `None` for `success`."""
    limit: float
    """The limit: a share for `success`, a factor for `rtf`, otherwise milliseconds."""


class Goal(Record, frozen=True, kw_only=True):
    """Conditions that must all be met."""

    text: str
    """The goal as the user gave it."""
    conditions: tuple[GoalCondition, ...]

    def measure_conditions(self, samples: Sequence[Sample]) -> dict[str, float | None]:
        """Return the measured value of each condition, by its text; `None` as the value if no request succeeded."""
        return {_format_condition_name(one): _measure_condition(one, samples) for one in self.conditions}

    def is_met(self, samples: Sequence[Sample]) -> bool:
        """Whether `samples` meet every condition."""
        return all(_meets_condition(one, _measure_condition(one, samples)) for one in self.conditions)

    def count_samples_meeting_goal(self, samples: Sequence[Sample]) -> int:
        """Return the number of requests that succeeded at the first attempt and met every limit on their own times."""
        limits = [one for one in self.conditions if one.metric != _SUCCESS_METRIC]
        return sum(
            succeeded_at_first_attempt(sample)
            and all(_meets_condition(one, _get_metric_value(one.metric, sample)) for one in limits)
            for sample in samples
        )


def parse_goal(text: str) -> Goal:
    """Parse a goal.

    Args:
        text: conditions separated by commas: `success>=SHARE`, or `METRIC:pN<=LIMIT` with the metric `ttfb`, `ttfa`,
            `total` (in `ms` or `s`) or `rtf`, and the percentile N, 50 by default.

    Raises:
        UsageError: a condition cannot be read.
    """
    return Goal(text=text, conditions=tuple(_parse_condition(part.strip()) for part in text.split(",")))


def _parse_condition(text: str) -> GoalCondition:
    found = _CONDITION_PATTERN.fullmatch(text.replace(" ", ""))
    known = (_SUCCESS_METRIC, *_TIME_METRICS, _RTF_METRIC)
    if found is None or found["metric"] not in known:
        raise UsageError(
            f"--goal: {text!r} is not a condition: write success>=0.99, rtf:p95<=1, or a time such as ttfa:p95<=500ms "
            f"(metrics: {', '.join(known)})"
        )
    metric, unit, limit = found["metric"], found["unit"], float(found["limit"])
    expected = ">=" if metric == _SUCCESS_METRIC else "<="
    units = {_SUCCESS_METRIC: (None, "%"), _RTF_METRIC: (None,)}.get(metric, ("ms", "s"))
    if found["comparison"] != expected or unit not in units or (metric == _SUCCESS_METRIC and found["percentile"]):
        example = {_SUCCESS_METRIC: "success>=0.99", _RTF_METRIC: "rtf:p95<=1"}.get(metric, f"{metric}:p95<=500ms")
        raise UsageError(f"--goal: {text!r} cannot be read: write it like {example}")
    factor = {"s": 1000.0, "%": 0.01}.get(unit or "", 1.0)
    if metric == _SUCCESS_METRIC and limit * factor > 1:
        raise UsageError(f"--goal: {text!r} asks for a share above 1, which is impossible: write it like success>=0.99")
    percentile = None if metric == _SUCCESS_METRIC else float(found["percentile"] or 50)
    return GoalCondition(metric=metric, percentile=percentile, limit=limit * factor)  # type: ignore[arg-type]  # checked


def succeeded_at_first_attempt(sample: Sample) -> bool:
    """Whether a request succeeded at the first attempt: a rejection that a retry overcomes shows too much load."""
    return sample.failure is None and sample.submit_count == 1


def _format_condition_name(condition: GoalCondition) -> str:
    return condition.metric if condition.percentile is None else f"{condition.metric}:p{condition.percentile:g}"


def _meets_condition(condition: GoalCondition, value: float | None) -> bool:
    if value is None:
        return False
    return value >= condition.limit if condition.metric == _SUCCESS_METRIC else value <= condition.limit


def _measure_condition(condition: GoalCondition, samples: Sequence[Sample]) -> float | None:
    if condition.metric == _SUCCESS_METRIC:
        return sum(map(succeeded_at_first_attempt, samples)) / len(samples) if samples else None
    return (
        None if condition.percentile is None else find_time_percentile(condition.metric, condition.percentile, samples)
    )


def find_time_percentile(metric: str, percentile: float, samples: Sequence[Sample]) -> float | None:
    """Return a percentile, as the nearest rank, of a time or factor of the requests that succeeded; `None` if none did.

    Args:
        metric: a metric of goals other than `success`.
        percentile: 95 for the 95th percentile.
        samples: the samples.
    """
    values = sorted(
        value
        for sample in samples
        if succeeded_at_first_attempt(sample) and (value := _get_metric_value(metric, sample)) is not None
    )
    return values[max(math.ceil(len(values) * percentile / 100) - 1, 0)] if values else None


def _get_metric_value(metric: str, sample: Sample) -> float | None:
    latency = sample.latency
    if latency is None:
        return None
    if metric == _RTF_METRIC:
        audio_s = sample.audio.audio_duration_s if sample.audio is not None else None
        ready = find_audio_ready_bounds(latency)  # as in summaries: without the wait for the poll that saw a job's end
        return ready.high_ms / 1000 / audio_s if audio_s and ready is not None else None
    return {"ttfb": latency.ttfb_ms, "ttfa": latency.ttfa_ms, "total": latency.total_latency_ms}[metric]


# Computes how much of the planned load this machine sent, because a busy machine sends less than planned.


MIN_SENT_LOAD_SHARE = 0.95
"""Smallest share of the planned load that a step of a ramp must send. A step that sends less is invalid, because it
says nothing about the planned load."""


def compute_sent_share_of_requests_in_flight(
    samples: Sequence[Sample], slot_times_s: Sequence[float], concurrency: int
) -> float | None:
    """Return the share of the planned concurrency that was in flight.

    There are `concurrency` slots for requests in flight. A request occupies a slot from the decision to send it until
    its result is saved, but is in flight only during its latency. The first request of each slot is left out, because
    the first requests cannot all begin at once.

    Args:
        samples: the samples of one step, in the order in which they were sent.
        slot_times_s: for each sample, the time for which it occupied its slot, in seconds.
        concurrency: number of slots.

    Returns:
        The share, at most 1; `None` if the latency of a request is not known.
    """
    latencies_s = [_get_latency_s(sample) for sample in samples[concurrency:]]
    total_s = sum(slot_times_s[concurrency:])
    if None in latencies_s or total_s <= 0:
        return None
    return min(sum(latency_s for latency_s in latencies_s if latency_s is not None) / total_s, 1.0)


def _get_latency_s(sample: Sample) -> float | None:
    latency = sample.latency
    if latency is None:
        return None
    return (latency.submit_latency_ms if latency.total_latency_ms is None else latency.total_latency_ms) / 1000


def compute_sent_share_of_rate(due_times_s: Iterable[float], samples: Iterable[Sample]) -> float | None:
    """Return the share of the planned rate at which requests were sent.

    A rate is the slope of a line through the times of the requests, so that a single late one changes little.

    Args:
        due_times_s: when each sample was due, in seconds.
        samples: the samples, in the same order.

    Returns:
        The share, at most 1; `None` if fewer than three requests were timed.
    """
    due_and_sent = [
        (due, due + sample.latency.start_delay_ms / 1000)
        for due, sample in zip(due_times_s, samples, strict=True)
        if sample.latency is not None and sample.latency.start_delay_ms is not None
    ]
    if len(due_and_sent) < 3 or len({due for due, _ in due_and_sent}) < 2:
        return None
    slope = statistics.linear_regression(*zip(*due_and_sent, strict=True)).slope
    return min(1 / slope, 1.0) if slope > 0 else 1.0


# Searches the highest load (concurrency or rate) that meets a goal by doubling, and then by bisection.


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


# Sends the samples of a plan step by step, under the loads that a ramp chooses.


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
