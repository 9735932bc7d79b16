"""Watches how late the event loop is, because a busy event loop makes measured times too long."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator

LAG_CHECK_INTERVAL_S = 0.005
"""Time between two checks of the event loop, in seconds."""
MAX_LAG_MS = 10.0
"""Lag of the event loop above which a sample is marked as disturbed."""
MAX_LAG_SHARE = 0.01
"""Lag of the event loop, as a share of the sample's latency, above which a sample is marked as disturbed: during a job
of an hour, some lag has no consequences."""
MIN_RECORDED_LAG_MS = 1.0
"""Shortest lag that is recorded; shorter ones count as no lag."""
THREAD_SWITCH_INTERVAL_S = 0.0005
"""Time for which a thread may keep the interpreter while the event loop waits; Python's default is ten times that."""
_MAX_OBJECTS_FROZEN_BY_PYTHON = 10_000
"""Number of objects that may be frozen in a process that has frozen none itself: Python 3.12 freezes some hundred."""


class EventLoopLag:
    """The lags of the running event loop, in the order of time."""

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._lags_ms: list[float] = []

    def find_max_lag_ms(self, start_s: float, end_s: float) -> float:
        """Return the longest lag between two moments of the event loop's time, in milliseconds."""
        first = bisect_left(self._times_s, start_s)  # a lag is noted when it ends
        lags = zip(self._times_s[first:], self._lags_ms[first:], strict=True)
        return max((lag_ms for noted_s, lag_ms in lags if noted_s - lag_ms / 1000 <= end_s), default=0.0)

    @contextlib.asynccontextmanager
    async def measure_lag(self) -> AsyncIterator[None]:
        """Record the lags of the running event loop as long as the context lasts."""
        watcher = asyncio.create_task(self._measure_continuously())
        try:
            yield
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def _measure_continuously(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + LAG_CHECK_INTERVAL_S
            await asyncio.sleep(LAG_CHECK_INTERVAL_S)
            lag_ms = (loop.time() - due_s) * 1000
            if lag_ms >= MIN_RECORDED_LAG_MS:
                self._times_s.append(loop.time())
                self._lags_ms.append(lag_ms)


def is_timing_disturbed(max_lag_ms: float, latency_ms: float | None) -> bool:
    """Whether a lag is too long for a sample with this latency."""
    return max_lag_ms > max(MAX_LAG_MS, (latency_ms or 0.0) * MAX_LAG_SHARE)


@contextlib.contextmanager
def reduce_event_loop_delays() -> Iterator[None]:
    """Keep the garbage collector and other threads from delaying the event loop.

    Objects that exist already, such as the contracts, are frozen: the garbage collector skips them, which saves tens of
    milliseconds in each collection. If the calling program has frozen objects itself, nothing is frozen or unfrozen,
    because only all objects together can be unfrozen.
    """
    switch_interval_s = sys.getswitchinterval()
    sys.setswitchinterval(THREAD_SWITCH_INTERVAL_S)
    freezes_objects = not _has_objects_exempt_from_gc()
    if freezes_objects:
        gc.collect()
        gc.freeze()
    try:
        yield
    finally:
        if freezes_objects:
            gc.unfreeze()
        sys.setswitchinterval(switch_interval_s)


def _has_objects_exempt_from_gc() -> bool:
    """Whether this process has exempted objects from garbage collection, as `gc.freeze` does."""
    return gc.get_freeze_count() > _MAX_OBJECTS_FROZEN_BY_PYTHON
