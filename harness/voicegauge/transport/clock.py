"""Clocks that a client waits by: the real one, and one whose waits cost no time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """What a client measures and waits by."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed on this clock."""
        ...


class RealClock:
    """The machine's monotonic clock."""

    def monotonic(self) -> float:
        """Seconds, from `time.perf_counter`."""
        return time.perf_counter()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`, giving way to other tasks."""
        await asyncio.sleep(seconds)


class VirtualClock:
    """A clock that moves only when somebody sleeps on it, and then at once.

    Tasks that sleep at the same time wake in the order of their hours. `sleeps` keeps
    every wait in seconds, so that a schedule can be read off.
    """

    def __init__(self, start: float = 0.0) -> None:
        """`start` is the first reading, in seconds."""
        self._now = start
        self._waiting: list[tuple[float, int]] = []
        self._order = itertools.count()
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        """Seconds: `start` and all that was slept through."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Give way to other tasks, then move the clock on to the hour of waking."""
        self.sleeps.append(seconds)
        hour = (self._now + max(seconds, 0.0), next(self._order))
        heapq.heappush(self._waiting, hour)
        try:
            await asyncio.sleep(0)
            while self._waiting[0] != hour:  # noqa: ASYNC110 - each turn wakes the first of them
                await asyncio.sleep(0)
            self._now = max(self._now, hour[0])
        finally:
            self._waiting.remove(hour)
            heapq.heapify(self._waiting)
