"""Clocks: of this machine, and virtual ones."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

# Runs blocking calls, such as writes to disk, in a thread, so that they do not delay the timing of requests.


BlockingParameters = ParamSpec("BlockingParameters")
ResultT = TypeVar("ResultT")


async def run_in_thread(
    function: Callable[BlockingParameters, ResultT], *args: BlockingParameters.args, **kwargs: BlockingParameters.kwargs
) -> ResultT:
    """Call `function` in a thread, and return what it returns.

    If the task is cancelled, the call is completed first, so that a write is never cut short.
    """
    call = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait([call])
        raise


# Clocks for code that waits: the machine's clock, and a virtual clock whose waits take no time.


class Clock(Protocol):
    """A monotonic clock on which tasks can sleep."""

    is_clock_of_exchange_timings: bool
    """Whether the times in `Timing` are measured with this clock, so that they can be compared with `monotonic()`."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary, fixed moment. The value never decreases."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait until `seconds` have passed on this clock."""
        ...


class RealClock:
    """The machine's monotonic clock."""

    is_clock_of_exchange_timings = True

    def monotonic(self) -> float:
        """Return the time in seconds, as `time.perf_counter` does."""
        return time.perf_counter()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` while other tasks run."""
        await asyncio.sleep(seconds)


class VirtualClock:
    """A clock that advances only when a task sleeps on it. A sleep advances the clock at once, without real waiting.

    Tasks that sleep at the same time wake in the order of their deadlines. `sleeps` lists the duration of every
    sleep in seconds, so that a test can check a schedule of waits.
    """

    is_clock_of_exchange_timings = False

    def __init__(self) -> None:
        """Start at 0 seconds."""
        self._now = 0.0
        self._waiting: list[tuple[float, int]] = []
        self._order = itertools.count()
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        """Return the time slept, in seconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Advance the clock by `seconds`, after all tasks whose sleep ends earlier have run."""
        self.sleeps.append(seconds)
        deadline = (self._now + max(seconds, 0.0), next(self._order))
        heapq.heappush(self._waiting, deadline)
        try:
            await asyncio.sleep(0)
            while self._waiting[0] != deadline:  # noqa: ASYNC110 - each pass wakes the task with the earliest deadline
                await asyncio.sleep(0)
            self._now = max(self._now, deadline[0])
        finally:
            self._waiting.remove(deadline)
            heapq.heapify(self._waiting)
