"""Decides when requests are sent: in closed or open loops, or in a ramp that searches the highest load.

In both cases the targets take turns, so that whatever else changes with time changes for all of them.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Literal, NamedTuple

from voicegauge.bench.benchmark_plan import PlannedSample, SampleRound
from voicegauge.bench.target_samples import find_audio_ready_bounds
from voicegauge.errors import UsageError
from voicegauge.model.base import Record
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
        rounds: the samples, in the order of sending.
        concurrency: number of requests in flight.
        send_sample: sends one sample.
        limit_by_target: the limit of each target's provider, by target id; targets without a limit are absent.
    """
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


REQUEST_PREPARATION_S = 0.02
"""Time before a request is due at which it is prepared, in seconds: its price is reserved, its purchase is written to
the journal, and its body is built, which takes a few milliseconds."""


def find_preparation_s(clock: Clock) -> float:
    """Return how long before it is due a request is prepared; 0 with a clock that requests cannot wait for."""
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


# Goals that the samples under one load must meet, such as "success>=0.99,ttfa:p95<=500ms,rtf:p95<=1".


_SUCCESS_METRIC = "success"
_TIME_METRICS = ("ttfb", "ttfa", "total")
_RTF_METRIC = "rtf"
_CONDITION_PATTERN = re.compile(
    r"(?P<metric>[a-z]+)(?::p(?P<percentile>\d{1,2}(?:\.\d+)?))?(?P<comparison>>=|<=)(?P<limit>\d+(?:\.\d+)?)(?P<unit>ms|s|%)?"
)
"""Matches a condition of a goal, such as `ttfb:p95<=500ms`."""


class GoalCondition(Record, frozen=True, kw_only=True):
    """One condition of a goal, such as that 95% of requests have their first byte within 300 ms."""

    metric: Literal["success", "ttfb", "ttfa", "total", "rtf"]
    """The metric that the condition limits. `success` is the share of requests that succeed at the first attempt, so
    that a 429 counts against it; the others are times and the real-time factor of requests that succeed."""
    percentile: float | None
    """The percentile that must stay within the limit; `None` for `success`."""
    limit: float
    """The limit: a share for `success`, a factor for `rtf`, otherwise milliseconds."""


class Goal(Record, frozen=True, kw_only=True):
    """A goal of a ramp: conditions that must all be met."""

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
    match = _CONDITION_PATTERN.fullmatch(text.replace(" ", ""))
    known_metrics = (_SUCCESS_METRIC, *_TIME_METRICS, _RTF_METRIC)
    if match is None or match["metric"] not in known_metrics:
        raise UsageError(
            f"--goal: {text!r} is not a condition: write success>=0.99, rtf:p95<=1, or a time such as ttfa:p95<=500ms "
            f"(metrics: {', '.join(known_metrics)})"
        )
    metric, unit, limit = match["metric"], match["unit"], float(match["limit"])
    expected = ">=" if metric == _SUCCESS_METRIC else "<="
    units = {_SUCCESS_METRIC: (None, "%"), _RTF_METRIC: (None,)}.get(metric, ("ms", "s"))
    if match["comparison"] != expected or unit not in units or (metric == _SUCCESS_METRIC and match["percentile"]):
        example = {_SUCCESS_METRIC: "success>=0.99", _RTF_METRIC: "rtf:p95<=1"}.get(metric, f"{metric}:p95<=500ms")
        raise UsageError(f"--goal: {text!r} cannot be read: write it like {example}")
    factor = {"s": 1000.0, "%": 0.01}.get(unit or "", 1.0)
    if metric == _SUCCESS_METRIC and limit * factor > 1:
        raise UsageError(f"--goal: {text!r} asks for a share above 1, which is impossible: write it like success>=0.99")
    percentile = None if metric == _SUCCESS_METRIC else float(match["percentile"] or 50)
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
        samples: the samples; those that failed are left out.
    """
    values = sorted(
        value
        for sample in samples
        if succeeded_at_first_attempt(sample) and (value := _get_metric_value(metric, sample)) is not None
    )
    return values[max(math.ceil(len(values) * percentile / 100) - 1, 0)] if values else None


def _get_metric_value(metric: str, sample: Sample) -> float | None:
    """Return a time or factor of a sample; `None` if it does not have it."""
    latency = sample.latency
    if latency is None:
        return None
    if metric == _RTF_METRIC:
        audio_s = sample.audio.audio_duration_s if sample.audio is not None else None
        ready = find_audio_ready_bounds(latency)  # as in summaries: without the wait for the poll that saw a job's end
        return ready.high_ms / 1000 / audio_s if audio_s and ready is not None else None
    return {"ttfb": latency.ttfb_ms, "ttfa": latency.ttfa_ms, "total": latency.total_latency_ms}[metric]
