"""Decides when each planned request is sent: as soon as an earlier one ends, or at a fixed rate.

In both cases the targets take turns, so that whatever else changes with time changes for all of them.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from voicegauge.bench.planning import PlannedSample, Round
from voicegauge.transport import Clock

MIN_LEAD_REQUESTS = 4
"""Number of requests by which a fast target may be ahead of the slowest one, at least."""

SendSample = Callable[[PlannedSample, float | None], Awaitable[None]]
"""Sends a sample and waits for its end; the second argument is when it was due, in seconds of the clock, if at all."""


class ArrivalRate(NamedTuple):
    """Requests per second that are sent to each target, whether earlier ones have ended or not."""

    requests_per_s: float
    arrivals: Literal["constant", "poisson"] = "constant"
    """Whether requests are sent in equal intervals or as a Poisson process."""


async def send_closed_loop(rounds: Iterable[Round], concurrency: int, send_sample: SendSample) -> None:
    """Send all samples, each target with an equal share of `concurrency` requests in flight, and at least one.

    A target that is ahead of the slowest one by twice its share waits.

    Args:
        rounds: the samples.
        concurrency: number of requests in flight; `send_sample` limits it if there are more targets.
        send_sample: sends one sample.
    """
    queues: dict[str, deque[PlannedSample]] = {}
    for planned in (one for row in rounds for one in row):
        queues.setdefault(planned.target, deque()).append(planned)
    if not queues:
        return
    lanes = max(concurrency // len(queues), 1)
    progress = _Progress({target: len(queue) for target, queue in queues.items()}, max(2 * lanes, MIN_LEAD_REQUESTS))

    async def send_in_turn(target: str) -> None:
        queue = queues[target]
        while queue:
            await progress.wait_for_others(target)
            if not queue:
                return
            planned = queue.popleft()
            progress.note_started(target)
            await send_sample(planned, None)
            await progress.note_ended(target)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(lanes):
            for target in queues:
                tasks.create_task(send_in_turn(target))


class _Progress:
    """Keeps fast targets from running ahead of slow ones."""

    def __init__(self, planned_counts: dict[str, int], max_lead_requests: int) -> None:
        self._planned, self._max_lead = planned_counts, max_lead_requests
        self._started = dict.fromkeys(planned_counts, 0)
        self._ended = dict.fromkeys(planned_counts, 0)
        self._changed = asyncio.Condition()

    async def wait_for_others(self, target: str) -> None:
        """Return when `target` may send its next sample."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._started[target] < self._find_slowest() + self._max_lead)

    def note_started(self, target: str) -> None:
        """Note that `target` sends a sample."""
        self._started[target] += 1

    async def note_ended(self, target: str) -> None:
        """Note that a sample of `target` has ended."""
        self._ended[target] += 1
        async with self._changed:
            self._changed.notify_all()

    def _find_slowest(self) -> float:
        """Return the smallest number of ended samples of the targets that have not ended."""
        unfinished = (ended for target, ended in self._ended.items() if ended < self._planned[target])
        return min(unfinished, default=float("inf"))


async def send_open_loop(
    rounds: Iterable[Round], rate: ArrivalRate, send_sample: SendSample, *, clock: Clock, seed: int
) -> None:
    """Send each sample when it is due, however many are in flight.

    Args:
        rounds: the samples.
        rate: requests per second to each target.
        send_sample: sends one sample.
        clock: the clock of the due times.
        seed: seed of the intervals of a Poisson process.
    """
    schedule = schedule_arrivals([list(row) for row in rounds], rate, seed=seed)
    start_s = clock.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for after_s, planned in schedule:
            wait_s = start_s + after_s - clock.monotonic()
            if wait_s > 0:
                await clock.sleep(wait_s)
            tasks.create_task(_await(send_sample(planned, start_s + after_s)))


async def _await(sending: Awaitable[None]) -> None:
    await sending


def schedule_arrivals(
    rounds: Sequence[Sequence[PlannedSample]], rate: ArrivalRate, *, seed: int
) -> list[tuple[float, PlannedSample]]:
    """Return when each sample is due, in seconds from the start, in the order of time.

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
            at_s += gaps.expovariate(rate.requests_per_s) if rate.arrivals == "poisson" else interval_s
    return sorted(due, key=lambda one: one[0])
