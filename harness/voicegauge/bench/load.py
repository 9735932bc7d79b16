"""Sends the rounds of a run under its load: in a closed loop, at a fixed rate, or step by step as a ramp.

In all cases the targets take turns, so that whatever else changes with time changes for all of them. A busy machine
sends less than planned, or late: both are measured here for each step of a ramp.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
import statistics
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from voicegauge.bench.benchmark_plan import PlannedSample, SampleRound
from voicegauge.bench.ramp import (
    RampResultListener,
    StepMeasurements,
    get_latency_s,
    search_highest_load,
)
from voicegauge.bench.run_config import ArrivalRate, RampSettings, RunConfig
from voicegauge.model.ramp import RampResult
from voicegauge.model.sample import Sample
from voicegauge.transport.timing import Clock

# Decides when each planned request is sent: as soon as an earlier one ends, or at a fixed rate.


MAX_LEAD_ROUNDS = 4
"""Maximum number of rounds by which other targets may be ahead of a target that waits, because its provider has the
maximum number of requests in flight."""

SampleSender = Callable[[PlannedSample, float | None], Awaitable[None]]
"""Function (planned sample, due time) that sends a sample and waits for its end. The due time is in seconds of the
clock; `None` if the sample is not due at a fixed time."""


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
    """Send all samples in their order, with `concurrency` requests in flight, and wait until all have ended.

    A slow target has more requests in flight than a fast one, so that both are at nearly the same text and nothing
    waits for the slowest target of a round. While a provider has as many requests in flight as it accepts,
    requests are sent to the other providers, which get ahead of it by at most `MAX_LEAD_ROUNDS` rounds.

    Args:
        rounds: the samples, in the order of sending.
        concurrency: number of requests in flight.
        send_sample: sends one sample.
        limit_by_target: the limit of each target's provider, by target id; targets without a limit are absent. `None`
            if no provider has a limit.
    """
    # A task for each request, not one for each slot: which sample is next depends on whose request has ended.
    turns = _SampleQueue(rounds, limit_by_target or {})
    in_flight: dict[asyncio.Task[None], PlannedSample] = {}
    async with asyncio.TaskGroup() as tasks:
        while turns.has_unsent_samples or in_flight:
            while len(in_flight) < concurrency and (planned := turns.take_next()) is not None:
                in_flight[tasks.create_task(_await_as_coroutine(send_sample(planned, None)))] = planned
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
        """Whether samples of the plan have not been sent yet."""
        return bool(self._rounds)

    def take_next(self) -> PlannedSample | None:
        """Remove and return the first sample whose provider accepts a request now.

        It counts as in flight until `record_request_end` is called. Only the samples of the next rounds are considered;
        the result is `None` if all of them have to wait, or there are none left.
        """
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
                # An empty round further back stays: it still counts in how far ahead a target may get.
                while self._rounds and not self._rounds[0]:
                    self._rounds.popleft()
                return planned
        return None

    def record_request_end(self, planned_sample: PlannedSample) -> None:
        """Record that the request of a sample has ended, so that its provider accepts another one."""
        if (limit := self._limit_by_target.get(planned_sample.target)) is not None:
            self._in_flight[limit.provider] -= 1


REQUEST_PREPARATION_S = 0.02
"""Time before a request is due at which it is prepared, in seconds: its price is reserved, its purchase is written to
the journal, and its body is built, which takes a few milliseconds."""


def find_request_preparation_s(clock: Clock) -> float:
    """Return how many seconds before it is due a request is prepared; 0 with a clock that requests cannot wait for."""
    return REQUEST_PREPARATION_S if clock.is_clock_of_exchange_timings else 0.0


async def send_open_loop(
    rounds: Iterable[SampleRound],
    rate: ArrivalRate,
    send_sample: SampleSender,
    *,
    clock: Clock,
    seed: int,
    should_stop_sending: Callable[[], bool] = lambda: False,
    preparation_s: float = 0.0,
) -> None:
    """Send each sample when it is due, however many are in flight.

    Args:
        rounds: the samples, in the order of sending.
        rate: requests per second to each target.
        send_sample: sends one sample.
        clock: the clock of the due times.
        seed: seed of the intervals of a Poisson process.
        should_stop_sending: returns whether no further sample is to be sent; called before each sample.
        preparation_s: how long before a sample is due `send_sample` is called with it, in seconds. `send_sample` has to
            wait until the sample is due.
    """
    schedule = compute_due_times([list(row) for row in rounds], rate, seed=seed)
    start_s = clock.monotonic() + preparation_s
    async with asyncio.TaskGroup() as tasks:
        for after_s, planned in schedule:
            wait_s = start_s + after_s - preparation_s - clock.monotonic()
            if wait_s > 0:
                await clock.sleep(wait_s)
            if should_stop_sending():
                return
            # A request is sent when it is due, whether or not earlier ones have ended. If it has to wait because too
            # many are in flight, its latency counts from then on: counting from the sending would hide the wait
            # (coordinated omission: Gil Tene, "How NOT to measure latency"). That this machine is late is not the
            # service's time: it is `start_delay_ms`.
            tasks.create_task(_await_as_coroutine(send_sample(planned, start_s + after_s)))


async def _await_as_coroutine(request_awaitable: Awaitable[None]) -> None:
    """Await any awaitable: tasks can be created from coroutines only."""
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


# Measures what was sent of the load of a step, and how late, beside a limit of the requests in flight.


class LoadGate:
    """Lets a number of requests through at a time, and notes when each of them begins.

    Between two requests, a task saves the result of one and prepares the next, and has nothing in flight. There are
    therefore more tasks than requests in flight: the next request is prepared and waits here when one ends.
    """

    def __init__(self, slot_count: int) -> None:
        """Let any number of requests through until `set_limit` is called; at most `slot_count` can be in flight."""
        self.slot_count = slot_count
        self._semaphore: asyncio.Semaphore | None = None
        self.prepare_connections: Callable[[int], Awaitable[None]] | None = None
        """Opens connections for a number of requests in flight, before a step that has as many."""
        self.start_s_by_id: dict[str, float] = {}
        """When each request was let through, by sample id, in seconds of the clock."""
        self.slot_wait_s_by_id: dict[str, float] = {}
        """How long each request waited because as many as allowed were in flight, in seconds; set by the caller of
        `hold`."""

    @property
    def is_full(self) -> bool:
        """Whether as many requests are in flight as allowed, so that the next one waits until one of them ends."""
        return self._semaphore is not None and self._semaphore.locked()

    def set_limit(self, requests_in_flight: int | None) -> None:
        """Begin a step with this many requests in flight (`None`: any number), and clear the recorded times."""
        self._semaphore = None if requests_in_flight is None else asyncio.Semaphore(requests_in_flight)
        self.start_s_by_id, self.slot_wait_s_by_id = {}, {}

    @contextlib.asynccontextmanager
    async def hold(self, sample_id: str, clock: Clock) -> AsyncIterator[None]:
        """Wait until a request may be sent, and record when; it counts as in flight as long as the context lasts."""
        async with self._semaphore or contextlib.nullcontext():
            self.start_s_by_id[sample_id] = clock.monotonic()
            yield


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
    latencies_s = [get_latency_s(sample) for sample in samples[concurrency:]]
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


MIN_SHARE_OF_BUSY_SLOTS = 0.25
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
    at_service_s = sum((get_latency_s(sample) or 0.0) - slot_waits_s.get(sample.id, 0.0) for sample in samples)
    return at_service_s < MIN_SHARE_OF_BUSY_SLOTS * slot_count * duration_s  # Little's law


# Sends the samples of a plan step by step, under the loads that a ramp chooses.


MIN_SPARE_SLOTS = 4
"""Smallest number of slots for requests that are prepared or saved, in addition to the requests in flight."""


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
    should_stop_sending: Callable[[], bool] = lambda: False,
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
        should_stop_sending: returns whether no further sample is to be sent.
        load_gate: the gate through which `send_sample` sends each request; `None` if it has none.
        on_ramp_step: called when a step begins.
        on_step_result: called before the first step and after each step with what was found so far.
    """
    runner = _RampStepRunner(
        settings=settings,
        send_sample=send_sample,
        collect_samples=collect_samples,
        clock=clock,
        seed=seed,
        should_stop_sending=should_stop_sending,
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
    """The planned samples of the step, in the order of sending."""
    due_s_by_id: dict[str, float] = field(default_factory=dict)
    """When each sample was due, by sample id."""
    start_s_by_id: dict[str, float] = field(default_factory=dict)
    """When each sample began, by sample id."""


@dataclass(kw_only=True)
class _RampStepRunner:
    """Sends the steps of a ramp, one after another."""

    settings: RampSettings
    send_sample: SampleSender
    collect_samples: SampleCollector
    clock: Clock
    seed: int
    should_stop_sending: Callable[[], bool]
    load_gate: LoadGate | None
    on_ramp_step: RampStepListener
    remaining: Iterator[PlannedSample]
    """The samples that were not sent yet."""
    step_number: int = 0
    """Number of the present step, counted from 1."""
    longest_latency_s: float = 0.0
    """The longest latency of the previous step."""

    async def measure_load(self, load: float, request_count: int) -> StepMeasurements:
        """Send `request_count` samples under a load, and return what was measured."""
        self.step_number += 1
        self.on_ramp_step(self.step_number, load)
        step = _SentStep(samples=list(itertools.islice(self.remaining, request_count)))
        await self._prepare_connections(load)
        start_s = self.clock.monotonic()
        await self._send_step(step, load)
        duration_s = self.clock.monotonic() - start_s
        samples = await self.collect_samples(step.samples, self.step_number)
        self.longest_latency_s = max((get_latency_s(one) or 0.0 for one in samples), default=0.0)
        step.start_s_by_id |= self.load_gate.start_s_by_id if self.load_gate is not None else {}
        if self.settings.load_type == "concurrency":
            starts_s = [step.start_s_by_id[sample.id] for sample in samples]
            sent_share = compute_sent_share_of_requests_in_flight(samples, starts_s, int(load))
            return StepMeasurements(samples, duration_s, sent_share, starts_s)
        starts_s = [self._find_start_s(step, sample) for sample in samples]
        due_s = [step.due_s_by_id[sample.id] for sample in samples]
        latest_s = max((start - due for start, due in zip(starts_s, due_s, strict=True)), default=0.0)
        sent_share = compute_sent_share_of_rate(due_s, starts_s)
        gate = self.load_gate
        late = gate is not None and has_late_slots(samples, gate.slot_wait_s_by_id, duration_s, gate.slot_count)
        return StepMeasurements(samples, duration_s, sent_share, starts_s, max(latest_s, 0.0), late)

    async def _prepare_connections(self, load: float) -> None:
        if self.load_gate is not None and self.load_gate.prepare_connections is not None:
            # At a rate, as many requests are in flight as come during a latency (Little's law).
            is_rate = self.settings.load_type == "rate"
            count = math.ceil(load * self.longest_latency_s) + 1 if is_rate else int(load)
            await self.load_gate.prepare_connections(count)

    async def _send_step(self, step: _SentStep, load: float) -> None:
        async def send_and_record_times(planned_sample: PlannedSample, due_s: float | None) -> None:
            start_s = self.clock.monotonic()
            step.start_s_by_id[planned_sample.id] = start_s
            step.due_s_by_id[planned_sample.id] = start_s if due_s is None else due_s
            await self.send_sample(planned_sample, due_s)

        # Each sample is a round: a step may begin and end within a round of the plan, and its order is what matters.
        rounds: list[SampleRound] = [(planned,) for planned in step.samples]
        is_closed_loop = self.settings.load_type == "concurrency"
        if self.load_gate is not None:
            self.load_gate.set_limit(int(load) if is_closed_loop else None)
        if is_closed_loop:
            spare = 0 if self.load_gate is None else max(int(load), MIN_SPARE_SLOTS)
            await send_closed_loop(rounds, int(load) + spare, send_and_record_times)
        else:
            await send_open_loop(
                rounds,
                ArrivalRate(load, self.settings.arrival_process),
                send_and_record_times,
                clock=self.clock,
                seed=self.seed,
                should_stop_sending=self.should_stop_sending,
                preparation_s=find_request_preparation_s(self.clock),
            )

    def _find_start_s(self, step: _SentStep, sample: Sample) -> float:
        """Return when a request at a rate was sent; if it had to wait for a slot, when its latency begins."""
        if sample.latency is None or sample.latency.start_delay_ms is None:
            return step.start_s_by_id[sample.id]
        # Its latency begins when it had to wait for a slot, which is the service's doing.
        waits_s = self.load_gate.slot_wait_s_by_id if self.load_gate is not None else {}
        return step.due_s_by_id[sample.id] + sample.latency.start_delay_ms / 1000 - waits_s.get(sample.id, 0.0)


# Sends all rounds of a session as its run is configured.


async def send_rounds(
    rounds: Sequence[SampleRound],
    config: RunConfig,
    send_sample: SampleSender,
    collect_samples: SampleCollector,
    *,
    clock: Clock,
    should_stop_sending: Callable[[], bool],
    load_gate: LoadGate,
    on_ramp_step: RampStepListener,
    on_step_result: RampResultListener,
) -> None:
    """Send all rounds with the load that `config` defines: closed loop, open loop or a ramp.

    Args:
        rounds: the samples that remain.
        config: the configuration of the run.
        send_sample: sends one sample.
        collect_samples: returns the samples of one step of a ramp.
        clock: the clock of due times and durations.
        should_stop_sending: returns whether no further sample is to be sent.
        load_gate: the gate through which `send_sample` sends each request.
        on_ramp_step: called when a step of a ramp begins.
        on_step_result: called with what a ramp found so far before the first step and after each, and with its result.
    """
    seed = config.plan.settings.seed
    if config.ramp_settings is not None:
        result = await send_ramp(
            rounds,
            config.ramp_settings,
            send_sample,
            collect_samples,
            clock=clock,
            seed=seed,
            should_stop_sending=should_stop_sending,
            load_gate=load_gate,
            on_ramp_step=on_ramp_step,
            on_step_result=on_step_result,
        )
        on_step_result(result)
    elif config.arrival_rate is None:
        await send_with_concurrency(rounds, config, send_sample)
    else:
        await send_open_loop(
            rounds,
            config.arrival_rate,
            send_sample,
            clock=clock,
            seed=seed,
            should_stop_sending=should_stop_sending,
            preparation_s=find_request_preparation_s(clock),
        )


async def send_with_concurrency(rounds: Sequence[SampleRound], config: RunConfig, send_sample: SampleSender) -> None:
    """Send rounds with as many requests in flight as `config` says, within the limits of account plans."""
    limit_by_target = {
        target.id: ProviderLimit(target.contract.id, limit)
        for target in config.targets.values()
        if (limit := config.access_by_provider[target.contract.id].max_concurrency) is not None
    }
    await send_closed_loop(rounds, config.concurrency, send_sample, limit_by_target=limit_by_target)
