"""An event loop whose time passes only while every task waits: waits are exact, and take no time.

Clients and servers of one loop talk over real sockets. Bytes on the loopback interface arrive at once, so the time
advances to the next timer only if no socket is ready and no thread of the loop is at work.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
EPOCH_S = 1_767_225_600.0
"""Unix time at which a loop starts: 2026-01-01T00:00:00Z."""
THREAD_WAIT_S = 0.01


class _Selector(selectors.DefaultSelector):
    """Advances the time of its loop instead of waiting for it."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self.loop.threads_at_work:
            return super().select(THREAD_WAIT_S)
        self.loop.now_s += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The event loop; `now_s` is the number of seconds since it started."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop, self.now_s, self.threads_at_work = self, 0.0, 0
        super().__init__(selector)
        self._clock_resolution = 1e-6  # sums of floating-point numbers may fall short of a timer by less

    def time(self) -> float:
        return self.now_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self.threads_at_work += 1
        future.add_done_callback(self._thread_ended)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - its own
        # Python 3.12 and newer wait for threads for five minutes, which pass at once here.
        await super().shutdown_default_executor()

    def _thread_ended(self, _future: object) -> None:
        self.threads_at_work -= 1


def run_in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop of virtual time, which the functions of `time` tell as well."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        # The operating system says that packets arrive later than this, so they count as arriving when they are read.
        patch.setattr(time, "time", lambda: EPOCH_S + loop.time())
        patch.setattr(time, "time_ns", lambda: round((EPOCH_S + loop.time()) * 1e9))
        for name in ("monotonic", "perf_counter"):
            patch.setattr(time, name, loop.time)
        return runner.run(main)


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Decorate a test that is a coroutine, to run it in virtual time. Its fixtures must not be asynchronous."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_in_virtual_time(test(*args, **kwargs))

    return run
