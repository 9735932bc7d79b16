"""Searches the highest load that a target sustains: a ramp.

A step sends requests under one load for a minimum duration (`MIN_STEP_DURATION_S`) and for many times the latency,
because a queue grows slowly: a service that is sent 5% more than it can do delays each request by 5% of the time since
the step began.
A load is too high if the goal is missed, or if the service is saturated:

- At a rate, the latency rises during the step, or fewer requests end than are sent. The slope of the latency is what is
  sent beyond the capacity: if requests that are sent at 84/s take longer by 50 ms each second, the service ends
  84 / 1.05 = 80 of them in a second. A step whose latencies vary too much to see such a slope says nothing, and so does
  one whose latency rises by no more than this machine was late with a request: those that it sends all at once after a
  pause wait for each other.
- With a number of requests in flight, the throughput does not rise any more. The capacity is then the number at which
  they would be in flight without a queue: the highest throughput, multiplied by the latency under low load (Denning and
  Buzen 1978, "The operational analysis of queueing network models").

The capacity has an interval, and is tried itself in the last step.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from voicegauge.bench.benchmark_plan import PlannedSample, SampleRound
from voicegauge.bench.load import (
    ArrivalRate,
    Goal,
    SampleSender,
    find_preparation_s,
    find_time_percentile,
    send_closed_loop,
    send_open_loop,
    succeeded_at_first_attempt,
)
from voicegauge.model.ramp import LoadCapacity, RampResult, RampStep
from voicegauge.model.sample import Sample
from voicegauge.transport.clock import Clock

# Computes how much of the planned load this machine sent, because a busy machine sends less than planned.


MIN_SENT_LOAD_SHARE = 0.75
"""Smallest share of the planned load that a step of a ramp must send. A step that sends less is invalid, because it
says nothing about the planned load."""
FULL_LOAD_SHARE = 0.95
"""A step that sends less than this share of the planned load is judged as a step under the load that it achieved."""


def compute_sent_share_of_requests_in_flight(
    samples: Sequence[Sample], starts_s: Sequence[float], concurrency: int
) -> float | None:
    """Return the share of the planned concurrency that was in flight.

    By Little's law, it is the mean latency multiplied by the number of requests that began in a second, divided by the
    concurrency. The first requests are left out, because they begin all at once.

    Args:
        samples: the samples of one step, in the order in which they were sent.
        starts_s: when each sample was sent, in seconds.
        concurrency: planned number of requests in flight.

    Returns:
        The share, at most 1; `None` if the latency of a request is not known, or if there are too few requests.
    """
    latencies_s = [_get_latency_s(sample) for sample in samples[concurrency:]]
    throughput = _measure_throughput(starts_s, concurrency)
    if None in latencies_s or not latencies_s or throughput is None:
        return None
    mean_s = sum(latency_s for latency_s in latencies_s if latency_s is not None) / len(latencies_s)
    return min(mean_s * throughput / concurrency, 1.0)


def _measure_throughput(starts_s: Sequence[float], concurrency: int) -> float | None:
    """Return the requests per second of a closed loop, in which a request starts when an earlier one ends.

    The first `concurrency` requests, which start at once, are left out. `None` if fewer than two remain.
    """
    later = sorted(starts_s)[concurrency:]
    if len(later) < 2 or later[-1] <= later[0]:
        return None
    return (len(later) - 1) / (later[-1] - later[0])


def _get_latency_s(sample: Sample) -> float | None:
    latency = sample.latency
    if latency is None:
        return None
    return (latency.submit_latency_ms if latency.total_latency_ms is None else latency.total_latency_ms) / 1000


def compute_sent_share_of_rate(due_times_s: Sequence[float], starts_s: Sequence[float]) -> float | None:
    """Return the share of the planned rate at which this machine sent requests.

    A rate is the slope of a line through the times of the requests, so that a single late one changes little; or the
    number of requests over the time from the first to the last one, so that a pause that is made up for counts too.

    Args:
        due_times_s: when each request was due, in seconds.
        starts_s: when this machine was ready to send each of them, in the same order, in seconds.

    Returns:
        The smaller of both, at most 1; `None` if there are fewer than three requests.
    """
    if len(due_times_s) < 3 or len(set(due_times_s)) < 2:
        return None
    slope = statistics.linear_regression(due_times_s, starts_s).slope
    stretch = (max(starts_s) - min(starts_s)) / (max(due_times_s) - min(due_times_s))
    return min(1 / max(slope, stretch, 1e-9), 1.0)


# Limits how many requests are in flight, apart from how many are prepared or saved.


class LoadGate:
    """Lets a number of requests through at a time, and notes when each of them begins.

    Between two requests a slot prepares one and saves another, and sends nothing. There are therefore more slots than
    requests in flight: the next request is prepared and waits here when one ends.
    """

    def __init__(self, slot_count: int) -> None:
        """Let any number of requests through. `slot_count` requests can be in flight in any step."""
        self.slot_count = slot_count
        self._semaphore: asyncio.Semaphore | None = None
        self.prepare_connections: Callable[[int], Awaitable[None]] | None = None
        """Opens connections for a number of requests in flight, before a step that has as many."""
        self.start_s_by_id: dict[str, float] = {}
        self.slot_wait_s_by_id: dict[str, float] = {}
        """How long each request waited because as many as allowed were in flight, in seconds."""

    @property
    def is_full(self) -> bool:
        """Whether a request has to wait until another one ends."""
        return self._semaphore is not None and self._semaphore.locked()

    def set_limit(self, requests_in_flight: int | None) -> None:
        """Begin a step with this number of requests in flight; `None` for any number."""
        self._semaphore = None if requests_in_flight is None else asyncio.Semaphore(requests_in_flight)
        self.start_s_by_id, self.slot_wait_s_by_id = {}, {}

    @contextlib.asynccontextmanager
    async def hold(self, sample_id: str, clock: Clock) -> AsyncIterator[None]:
        """Wait until a request may be sent; it counts as in flight as long as the context lasts."""
        async with self._semaphore or contextlib.nullcontext():
            self.start_s_by_id[sample_id] = clock.monotonic()
            yield


# Measures whether a service is saturated by the load of a step.


MAX_LATENCY_GROWTH = 0.03
"""Largest growth of the latency, in seconds for each second of a step, with which a service keeps up with a rate."""
MAX_UNCERTAIN_LATENCY_GROWTH = 0.25
"""Growth of the latency that a step must exclude (by two standard errors) to show that the service is not saturated."""
MIN_COMPLETED_SHARE = 0.95
"""Smallest share of the sent rate at which requests end if the service keeps up."""
MIN_THROUGHPUT_GAIN = 0.5
"""Smallest share of additional requests in flight that must become additional throughput."""
MIN_LATENCY_RISE = 1.15
"""Smallest factor by which the mean latency of a saturated service exceeds that under lower load."""
STANDARD_ERRORS_OF_INTERVAL = 2.3
"""Half the width of a 95% interval in standard errors, which are estimated from ten parts of a step."""
MIN_RELATIVE_ERROR = 0.005
"""Smallest standard error of a throughput, relative to the throughput: equal parts of a step may be equal by chance."""
THROUGHPUT_BATCH_COUNT = 10
"""Number of parts of a step whose throughputs are compared to estimate its precision."""


class StepMeasurements(NamedTuple):
    """The measurements of one step of a ramp."""

    samples: Sequence[Sample]
    duration_s: float
    """Duration of the step, from its first request to the end of its last one, in seconds."""
    sent_load_share: float | None = None
    """Share of the planned load that this machine sent; `None` if it is not known."""
    starts_s: Sequence[float] = ()
    """When the latency of each sample begins, in seconds; empty if it is not known."""
    max_start_delay_s: float | None = None
    """The longest time by which this machine sent a request later than it was due; `None` if none was due."""
    has_late_slots: bool = False
    """Whether requests waited for others whose responses this machine had received, but not yet read."""


class EstimateWithError(NamedTuple):
    """An estimated number with its standard error."""

    value: float
    standard_error: float


def measure_latency_growth(step_measurements: StepMeasurements) -> EstimateWithError | None:
    """Return the slope of the latency over the time of sending, in seconds per second; `None` if it is not known.

    The requests of the first and the last seconds count alike. Failed requests are left out.
    """
    pairs = [
        (start_s, latency_s)
        for start_s, sample in zip(step_measurements.starts_s, step_measurements.samples, strict=False)
        if sample.failure is None and (latency_s := _get_latency_s(sample)) is not None
    ]
    if len(pairs) < 10:
        return None
    times_s, latencies_s = np.array(pairs).T
    centered = times_s - times_s.mean()
    squares = float(centered @ centered)
    if squares == 0:
        return None
    slope = float(centered @ latencies_s) / squares
    residuals = latencies_s - latencies_s.mean() - slope * centered
    # Waits in a queue resemble each other: the error is that of the means of batches.
    batches = [part.mean() for part in np.array_split(residuals, min(THROUGHPUT_BATCH_COUNT, len(pairs) // 5 or 1))]
    spread = float(np.var(batches, ddof=1)) * len(pairs) / len(batches) if len(batches) > 1 else float(residuals.var())
    return EstimateWithError(slope, math.sqrt(max(spread, float(residuals.var())) / squares))


def is_rise_due_to_late_requests(latency_growth: float, step_measurements: StepMeasurements) -> bool:
    """Whether the latency of a step rose, but by no more than this machine was late with a request."""
    rise_s = latency_growth * step_measurements.duration_s
    return latency_growth >= MAX_LATENCY_GROWTH and rise_s <= (step_measurements.max_start_delay_s or 0.0)


MIN_SHARE_OF_SLOTS = 0.25
"""Share of the slots that the service must have kept busy on average if requests waited for a slot because of it."""


def has_late_slots(
    samples: Sequence[Sample], slot_waits_s: Mapping[str, float], duration_s: float, slot_count: int
) -> bool:
    """Whether requests of a step waited for a slot while far fewer than all slots were waiting for the service.

    Args:
        samples: the samples of the step.
        slot_waits_s: how long each waited for a slot, in seconds, by sample id.
        duration_s: duration of the step, in seconds.
        slot_count: number of slots.
    """
    if not any(slot_waits_s.get(sample.id) for sample in samples):
        return False
    at_service_s = sum((_get_latency_s(sample) or 0.0) - slot_waits_s.get(sample.id, 0.0) for sample in samples)
    return at_service_s < MIN_SHARE_OF_SLOTS * slot_count * duration_s  # Little's law


def _compute_mean_latency_s(samples: Sequence[Sample]) -> float:
    latencies_s = [latency_s for sample in samples if (latency_s := _get_latency_s(sample)) is not None]
    return sum(latencies_s) / len(latencies_s) if latencies_s else 0.0


def measure_closed_loop_throughput(step_measurements: StepMeasurements, concurrency: float) -> EstimateWithError:
    """Return the requests per second of a step with a number of requests in flight."""
    later = sorted(step_measurements.starts_s)[round(concurrency) :]
    if len(later) < 2 * THROUGHPUT_BATCH_COUNT or later[-1] <= later[0]:
        value = len(step_measurements.samples) / max(step_measurements.duration_s, 1e-9)
        return EstimateWithError(value, value / math.sqrt(max(len(step_measurements.samples), 1)))
    return _measure_event_rate(later)


def measure_completion_rate(step_measurements: StepMeasurements) -> EstimateWithError:
    """Return the requests per second that a saturated service ends."""
    return _measure_event_rate(
        _drop_first_and_last(
            start_s + latency_s
            for start_s, sample in zip(step_measurements.starts_s, step_measurements.samples, strict=False)
            if sample.failure is None and (latency_s := _get_latency_s(sample)) is not None
        )
    )


def _drop_first_and_last(times_s: Iterable[float]) -> Sequence[float]:
    """Return times in ascending order, without the first quarter and the last tenth.

    At the beginning of a step the queue is not full yet, and its last requests do not keep the whole service busy.
    """
    ordered = sorted(times_s)
    return ordered[len(ordered) // 4 : len(ordered) - len(ordered) // 10]


def completes_less_than_sent(step_measurements: StepMeasurements) -> bool:
    """Whether requests end at a lower rate than they are sent, by more than chance explains."""
    if len(step_measurements.starts_s) < MIN_REQUESTS_PER_STEP:
        return False
    sent = _measure_event_rate(_drop_first_and_last(step_measurements.starts_s))
    completed = measure_completion_rate(step_measurements)
    difference = MIN_COMPLETED_SHARE * sent.value - completed.value
    return difference > STANDARD_ERRORS_OF_INTERVAL * math.hypot(sent.standard_error, completed.standard_error)


def _measure_event_rate(times_s: Sequence[float]) -> EstimateWithError:
    """Return the number of events per second, with an error estimated from parts with equally many events."""
    last = len(times_s) - 1
    value = last / max(times_s[-1] - times_s[0], 1e-9)
    edges = [times_s[index * last // THROUGHPUT_BATCH_COUNT] for index in range(THROUGHPUT_BATCH_COUNT + 1)]
    durations = np.diff(edges)
    relative = float(durations.std(ddof=1) / max(durations.mean(), 1e-9)) / math.sqrt(THROUGHPUT_BATCH_COUNT)
    return EstimateWithError(value, value * max(relative, MIN_RELATIVE_ERROR))


# Searches the highest load (concurrency or rate) that meets a goal by doubling, and then by bisection.


MIN_REQUESTS_PER_STEP = 40
"""Smallest number of requests of one step."""
STEP_REQUESTS_PER_REQUEST_IN_FLIGHT = 4
"""A step sends at least this number of requests, multiplied by the number of requests in flight."""
MIN_STEP_DURATION_S = {"rate": 4.0, "concurrency": 1.0}
"""Shortest time for which a step sends requests, in seconds: at a rate, a queue must have time to grow."""
LATENCIES_PER_STEP = 8
"""A step sends requests for at least this number of median latencies."""
MAX_REQUESTS_PER_STEP = 2000
"""Largest number of requests of one step."""
RELATIVE_LOAD_RESOLUTION = 0.05
"""The search stops at this relative distance between the highest load that met the goal and the lowest that missed it.
"""
TRIED_SHARE_OF_CAPACITY = 0.96
"""Share of the estimated capacity that is tried as a rate: at the capacity itself, a queue has no mean length."""
MIN_GAIN_OF_SENT_LOAD = 1.1
"""Factor by which this machine must send more at a load than at lower loads, or it has reached its own limit."""
MAX_LOADS_AT_LIMIT_OF_MACHINE = 2
"""Number of loads at which this machine may send no more than at lower loads before the search ends: further steps
would only repeat it."""
MAX_STEPS_PER_LOAD = 2
"""Largest number of steps under one load that was sent. If the first step misses the goal, a second one decides."""
MAX_STEPS_OF_BUSY_MACHINE = 4
"""Largest number of steps under one load, if this machine sent less than planned although the service was not
saturated: other programs use it for seconds at a time."""
MAX_CAPACITY_ERROR = 0.1
"""Half the width of the interval of a capacity, relative to it, above which the load that saturated the service is
tried again: parts of the step differ by more than they do at a service that is left alone."""
MAX_EXTRA_STEPS = 6
"""Largest number of steps of a search beyond `MAX_STEPS_PER_LOAD`: they are paid for, too."""


LoadMeasurer = Callable[[float, int], Awaitable[StepMeasurements]]
"""Function (load, number of requests) that sends this number of requests under a load and returns the measurements."""


RampResultListener = Callable[[RampResult], None]
"""Function that is called before the first step of a ramp and after each step with what was found so far."""


async def search_highest_load(
    measure_load: LoadMeasurer,
    goal: Goal,
    *,
    load_type: Literal["concurrency", "rate"],
    first_load: float,
    max_load: float,
    on_step_result: RampResultListener = lambda _unfinished: None,
) -> RampResult:
    """Search the highest load that meets `goal` and does not saturate the service.

    Args:
        measure_load: sends the requests of one step.
        goal: what the samples of a step must meet.
        load_type: "concurrency" if the load is a number of requests in flight, which is a whole number; "rate" if it
            is a number of requests per second.
        first_load: the load of the first step.
        max_load: the highest load that may be tried, such as the limit of the account's plan.
        on_step_result: called before the first step and after each step with what was found so far.
    """
    search = _LoadSearch(measure_load, goal, load_type, max_load, on_step_result)
    on_step_result(search.build_result(is_search_complete=False))
    load: float | None = min(first_load, max_load)
    while load is not None and search.has_sent_requests_in_last_step:
        await search.try_load(load)
        load = search.choose_next_load()
    return search.build_result(is_search_complete=search.has_sent_requests_in_last_step)


class _LoadSearch:
    """State of a search: the steps so far, and between which loads the result lies."""

    def __init__(
        self,
        measure_load: LoadMeasurer,
        goal: Goal,
        load_type: Literal["concurrency", "rate"],
        max_load: float,
        on_step_result: RampResultListener,
    ) -> None:
        self._measure_load, self._goal, self._load_type, self._max_load = measure_load, goal, load_type, max_load
        self._on_step_result = on_step_result
        self._steps: list[RampStep] = []
        self._highest_met_load: float | None = None
        """The highest load that met the goal: what this machine sent, which may be less than what was planned."""
        self._planned_load_of_highest_met: float | None = None
        """The load that was planned for the step that sent `_highest_met_load`."""
        self._lowest_missed_load: float | None = None
        self._extra_step_count = 0
        self._loads_at_limit_of_machine = 0
        """Number of loads at which this machine sent no more than at a lower planned load."""
        self._capacity: LoadCapacity | None = None
        self._tried_capacity = False
        self._base_latencies_s: list[float] = []
        """Latencies of the steps that did not saturate the service."""
        self._best_throughput: tuple[float, EstimateWithError] | None = None
        """The load and the throughput of the highest load that did not saturate the service."""
        self._typical_latency_s: float | None = None

    @property
    def has_sent_requests_in_last_step(self) -> bool:
        """Whether the last step sent a request; true if there is no step. A step sends none if the run was stopped."""
        return not self._steps or self._steps[-1].request_count > 0

    async def try_load(self, load: float) -> None:
        """Send a step, and a second one if the first misses the goal; more if this machine sent less than planned."""
        self._tried_capacity |= self._capacity is not None
        sent_before = max((step.achieved_load or step.load for step in self._steps if step.load < load), default=0.0)
        for step_count in itertools.count(1):
            step_measurements = await self._measure_load(load, self._choose_request_count(load))
            step = self._judge_step(load, step_measurements)
            self._steps.append(step)
            if (
                step.meets_goal
                and step.achieved_load is not None
                and step.achieved_load > (self._highest_met_load or 0)
            ):
                self._highest_met_load, self._planned_load_of_highest_met = step.achieved_load, load
            self._on_step_result(self.build_result(is_search_complete=False))
            if step.meets_goal and step.is_fully_sent:
                return
            if not step_measurements.samples or (step.is_saturated and self._is_capacity_precise()):
                break
            if step_count >= MAX_STEPS_PER_LOAD:
                is_at_limit = step_count >= MAX_STEPS_OF_BUSY_MACHINE or self._extra_step_count >= MAX_EXTRA_STEPS
                if (step.is_fully_sent and step.is_valid) or is_at_limit:
                    break
                self._extra_step_count += 1
        if self._planned_load_of_highest_met != load:
            self._lowest_missed_load = load
        sent = max(step.achieved_load or step.load for step in self._steps if step.load == load)
        is_short = not any(step.is_saturated or step.is_fully_sent for step in self._steps if step.load == load)
        self._loads_at_limit_of_machine += is_short and sent < MIN_GAIN_OF_SENT_LOAD * sent_before

    def _choose_request_count(self, load: float) -> int:
        minimum = MIN_REQUESTS_PER_STEP
        if self._load_type == "concurrency":
            minimum = max(minimum, round(STEP_REQUESTS_PER_REQUEST_IN_FLIGHT * load))
        if self._typical_latency_s is None:
            return minimum
        duration_s = max(MIN_STEP_DURATION_S[self._load_type], LATENCIES_PER_STEP * self._typical_latency_s)
        rate = load / max(self._typical_latency_s, 1e-3) if self._load_type == "concurrency" else load
        return max(minimum, min(math.ceil(rate * duration_s), MAX_REQUESTS_PER_STEP))

    def _judge_step(self, load: float, step_measurements: StepMeasurements) -> RampStep:
        samples, share = step_measurements.samples, step_measurements.sent_load_share
        is_sent = share is None or share >= MIN_SENT_LOAD_SHARE
        achieved_load = load if share is None or share >= FULL_LOAD_SHARE else load * share
        latency_growth = measure_latency_growth(step_measurements) if self._load_type == "rate" else None
        is_late = step_measurements.has_late_slots or (
            latency_growth is not None and is_rise_due_to_late_requests(latency_growth.value, step_measurements)
        )
        is_saturated = (
            is_sent
            and bool(samples)
            and not is_late
            and self._detect_saturation(achieved_load, step_measurements, latency_growth)
        )
        is_clear = not is_late and (
            latency_growth is None
            or latency_growth.value + 2 * latency_growth.standard_error <= MAX_UNCERTAIN_LATENCY_GROWTH
        )
        is_valid = is_sent and (is_saturated or is_clear)
        is_met = is_valid and bool(samples) and not is_saturated and self._goal.is_met(samples)
        if is_met:
            self._record_unsaturated_step(achieved_load, step_measurements)
        return RampStep(
            load=load,
            achieved_load=achieved_load,
            request_count=len(samples),
            duration_s=step_measurements.duration_s,
            requests_per_s=len(samples) / max(step_measurements.duration_s, 1e-9),
            goodput_per_s=self._goal.count_samples_meeting_goal(samples) / max(step_measurements.duration_s, 1e-9),
            success_rate=sum(map(succeeded_at_first_attempt, samples)) / len(samples) if samples else None,
            ttfa_p95_ms=find_time_percentile("ttfa", 95.0, samples),
            total_latency_p95_ms=find_time_percentile("total", 95.0, samples),
            value_by_condition=self._goal.measure_conditions(samples),
            meets_goal=is_met,
            is_saturated=is_saturated,
            latency_growth=None if latency_growth is None else latency_growth.value,
            sent_load_share=share,
            max_start_delay_s=step_measurements.max_start_delay_s,
            is_valid=is_valid,
        )

    def _record_unsaturated_step(self, achieved_load: float, step_measurements: StepMeasurements) -> None:
        latencies_s = [one for sample in step_measurements.samples if (one := _get_latency_s(sample)) is not None]
        self._base_latencies_s += latencies_s
        if latencies_s:
            self._typical_latency_s = statistics.median(latencies_s)
        if self._load_type == "concurrency":
            throughput = measure_closed_loop_throughput(step_measurements, achieved_load)
            if self._best_throughput is None or achieved_load > self._best_throughput[0]:
                self._best_throughput = achieved_load, throughput

    def _detect_saturation(
        self, achieved_load: float, step_measurements: StepMeasurements, latency_growth: EstimateWithError | None
    ) -> bool:
        """Return whether the service is saturated under a load; if so, estimate its capacity."""
        if self._load_type == "rate":
            if latency_growth is None or latency_growth.value < MAX_LATENCY_GROWTH:
                return False
            is_certain = latency_growth.value >= 3 * latency_growth.standard_error
            if not is_certain and not completes_less_than_sent(step_measurements):
                return False
            throughput = measure_completion_rate(step_measurements)
            margin = STANDARD_ERRORS_OF_INTERVAL * throughput.standard_error
            self._record_capacity(throughput.value, throughput.value - margin, throughput.value + margin)
            return True
        if self._best_throughput is None or achieved_load <= self._best_throughput[0]:
            return False
        best_load, best_throughput = self._best_throughput
        throughput = measure_closed_loop_throughput(step_measurements, achieved_load)
        has_failures = not all(map(succeeded_at_first_attempt, step_measurements.samples))
        ratio = throughput.value / best_throughput.value
        gain = (ratio - 1) / (achieved_load / best_load - 1)
        relative_error = math.hypot(
            throughput.standard_error / throughput.value, best_throughput.standard_error / best_throughput.value
        )
        gain_error = ratio * relative_error / (achieved_load / best_load - 1)
        latencies_s = np.array(self._base_latencies_s)
        base_latency_s = float(latencies_s.mean())
        # A throughput that does not rise while requests take as long as before is the limit of this machine.
        is_slower = _compute_mean_latency_s(step_measurements.samples) > MIN_LATENCY_RISE * base_latency_s
        if has_failures or gain + gain_error >= MIN_THROUGHPUT_GAIN or not is_slower:
            return False
        relative_load_error = math.hypot(
            throughput.standard_error / throughput.value,
            float(latencies_s.std()) / base_latency_s / math.sqrt(len(latencies_s)),
        )
        capacity = throughput.value * base_latency_s
        margin = max(STANDARD_ERRORS_OF_INTERVAL * relative_load_error * capacity, 0.5)
        self._record_capacity(capacity, capacity - margin, capacity + margin)
        return True

    def _is_capacity_precise(self) -> bool:
        known = self._capacity
        return known is not None and (known.high - known.low) / 2 <= max(MAX_CAPACITY_ERROR * known.load, 0.5)

    def _record_capacity(self, load: float, low: float, high: float) -> None:
        """Store an estimate of the capacity if it is more precise than the one so far."""
        known = self._capacity
        if known is None or high - low < known.high - known.low:
            self._capacity = LoadCapacity(load=load, low=max(low, 0.0), high=high)

    def choose_next_load(self) -> float | None:
        """Return the next load to try; `None` if the search is over."""
        met, missed = self._planned_load_of_highest_met, self._lowest_missed_load
        if met is None or self._loads_at_limit_of_machine >= MAX_LOADS_AT_LIMIT_OF_MACHINE:
            return None
        if missed is None:
            return None if met >= self._max_load else min(met * 2, self._max_load)
        if self._capacity is not None and not self._tried_capacity:
            load = self._choose_load_of_capacity(self._capacity)
            if met < load < missed:
                return load
        is_whole = self._load_type == "concurrency"
        if (
            self._capacity is not None
            and self._highest_met_load is not None
            and self._highest_met_load >= 0.9 * self._capacity.load
        ):
            return None
        if missed - met <= (1 if is_whole else RELATIVE_LOAD_RESOLUTION * met):
            return None
        return float((met + missed) // 2) if is_whole else (met + missed) / 2

    def _choose_load_of_capacity(self, capacity: LoadCapacity) -> float:
        load = capacity.load if self._load_type == "concurrency" else TRIED_SHARE_OF_CAPACITY * capacity.load
        return float(max(round(load), 1)) if self._load_type == "concurrency" else load

    def build_result(self, *, is_search_complete: bool) -> RampResult:
        """Return the result of the search so far: all steps, and the highest load that met the goal."""
        result = RampResult(
            load_type=self._load_type,
            goal=self._goal.text,
            highest_load=self._highest_met_load,
            lowest_missed_load=self._find_lowest_load_of_valid_miss(),
            capacity=self._capacity,
            meets_goal_at_max_load=self._highest_met_load is not None and self._highest_met_load >= self._max_load,
            is_search_complete=is_search_complete,
            steps=tuple(self._steps),
        )
        return msgspec.structs.replace(result, outcome=result.find_outcome(), outcome_reason=result.describe())

    def _find_lowest_load_of_valid_miss(self) -> float | None:
        """Return the lowest load above the highest one that met the goal at which a valid step missed it."""
        highest_met = self._planned_load_of_highest_met or 0.0
        missed = (step for step in self._steps if step.is_valid and step.request_count and not step.meets_goal)
        return min((step.load for step in missed if step.load > highest_met), default=None)


# Sends the samples of a plan step by step, under the loads that a ramp chooses.


MIN_SPARE_SLOTS = 4
"""Smallest number of slots for requests that are prepared or saved, in addition to the requests in flight."""


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
    load_gate: LoadGate | None = None,
    on_ramp_step: RampStepListener = lambda _number, _load: None,
    on_step_result: RampResultListener = lambda _unfinished: None,
) -> RampResult:
    """Search the highest load that meets the goal, with as many samples of `rounds` as the search takes.

    Args:
        rounds: the samples that may be sent, in their order.
        settings: what the ramp raises, and the goal.
        send_sample: sends one sample.
        collect_samples: returns the samples of one step.
        clock: the clock of durations.
        seed: seed of the intervals of a Poisson process.
        load_gate: the gate through which `send_sample` sends each request; `None` if it has none.
        on_ramp_step: called when a step begins.
        on_step_result: called before the first step and after each step with what was found so far.
    """
    runner = _RampStepRunner(
        settings,
        send_sample,
        collect_samples,
        clock=clock,
        seed=seed,
        load_gate=load_gate,
        on_ramp_step=on_ramp_step,
        remaining=itertools.chain.from_iterable(rounds),
    )
    return await search_highest_load(
        runner.measure_load,
        settings.goal,
        load_type=settings.load_type,
        first_load=1.0,
        max_load=settings.max_load,
        on_step_result=on_step_result,
    )


@dataclass(kw_only=True)
class _SentStep:
    """The samples of the step that is being sent: when each was due and when it began, in seconds of the clock."""

    samples: list[PlannedSample]
    due_s_by_id: dict[str, float] = field(default_factory=dict)
    """When each sample was due, by sample id."""
    start_s_by_id: dict[str, float] = field(default_factory=dict)
    """When each sample began, by sample id."""


class _RampStepRunner:
    """Sends the steps of a ramp, one after another."""

    def __init__(
        self,
        settings: RampSettings,
        send_sample: SampleSender,
        collect_samples: SampleCollector,
        *,
        clock: Clock,
        seed: int,
        load_gate: LoadGate | None,
        on_ramp_step: RampStepListener,
        remaining: Iterator[PlannedSample],
    ) -> None:
        self._settings, self._send_sample, self._collect_samples = settings, send_sample, collect_samples
        self._clock, self._seed, self._load_gate, self._on_ramp_step = clock, seed, load_gate, on_ramp_step
        self._remaining = remaining
        self._step_number = 0
        self._longest_latency_s = 0.0
        """The longest latency of the previous step."""

    async def measure_load(self, load: float, request_count: int) -> StepMeasurements:
        """Send `request_count` samples under a load, and return what was measured."""
        self._step_number += 1
        self._on_ramp_step(self._step_number, load)
        step = _SentStep(samples=list(itertools.islice(self._remaining, request_count)))
        await self._prepare_connections(load)
        start_s = self._clock.monotonic()
        await self._send_step(step, load)
        duration_s = self._clock.monotonic() - start_s
        samples = await self._collect_samples(step.samples, self._step_number)
        latencies_ms = [one.latency.total_latency_ms or 0.0 for one in samples if one.latency is not None]
        self._longest_latency_s = max(latencies_ms, default=0.0) / 1000
        step.start_s_by_id |= self._load_gate.start_s_by_id if self._load_gate is not None else {}
        if self._settings.load_type == "concurrency":
            starts_s = [step.start_s_by_id[sample.id] for sample in samples]
            sent_share = compute_sent_share_of_requests_in_flight(samples, starts_s, int(load))
            return StepMeasurements(samples, duration_s, sent_share, starts_s)
        starts_s = [self._find_start_s(step, sample) for sample in samples]
        due_s = [step.due_s_by_id[sample.id] for sample in samples]
        latest_s = max((start - due for start, due in zip(starts_s, due_s, strict=True)), default=0.0)
        sent_share = compute_sent_share_of_rate(due_s, starts_s)
        gate = self._load_gate
        late = gate is not None and has_late_slots(samples, gate.slot_wait_s_by_id, duration_s, gate.slot_count)
        return StepMeasurements(samples, duration_s, sent_share, starts_s, max(latest_s, 0.0), late)

    async def _prepare_connections(self, load: float) -> None:
        if self._load_gate is not None and self._load_gate.prepare_connections is not None:
            # At a rate, as many requests are in flight as come during a latency (Little's law).
            is_rate = self._settings.load_type == "rate"
            count = math.ceil(load * self._longest_latency_s) + 1 if is_rate else int(load)
            await self._load_gate.prepare_connections(count)

    async def _send_step(self, step: _SentStep, load: float) -> None:
        async def send_and_record_times(planned_sample: PlannedSample, due_s: float | None) -> None:
            start_s = self._clock.monotonic()
            step.start_s_by_id[planned_sample.id] = start_s
            step.due_s_by_id[planned_sample.id] = start_s if due_s is None else due_s
            await self._send_sample(planned_sample, due_s)

        rounds: list[SampleRound] = [(planned,) for planned in step.samples]
        is_closed_loop = self._settings.load_type == "concurrency"
        if self._load_gate is not None:
            self._load_gate.set_limit(int(load) if is_closed_loop else None)
        if is_closed_loop:
            spare = 0 if self._load_gate is None else max(int(load), MIN_SPARE_SLOTS)
            await send_closed_loop(rounds, int(load) + spare, send_and_record_times)
        else:
            await send_open_loop(
                rounds,
                ArrivalRate(load, self._settings.arrival_process),
                send_and_record_times,
                clock=self._clock,
                seed=self._seed,
                preparation_s=find_preparation_s(self._clock),
            )

    def _find_start_s(self, step: _SentStep, sample: Sample) -> float:
        """Return when a request at a rate was sent; if it had to wait for a slot, when its latency begins."""
        if sample.latency is None or sample.latency.start_delay_ms is None:
            return step.start_s_by_id[sample.id]
        # Its latency begins when it had to wait for a slot, which is the service's doing.
        waits_s = self._load_gate.slot_wait_s_by_id if self._load_gate is not None else {}
        return step.due_s_by_id[sample.id] + sample.latency.start_delay_ms / 1000 - waits_s.get(sample.id, 0.0)
