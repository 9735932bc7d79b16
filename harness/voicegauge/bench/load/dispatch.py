"""Decides when each planned request is sent: as soon as an earlier one ends, or at a fixed rate.

In both cases the targets take turns, so that whatever else changes with time changes for all of them.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Literal, NamedTuple

from voicegauge.bench.planning import PlannedSample, SampleRound
from voicegauge.transport import Clock

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
