"""Runs coroutines from synchronous functions, and ends them after Ctrl-C or when the time of the command is over."""

from __future__ import annotations

import asyncio
import math
import signal
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from voicegauge.errors import NothingMeasuredError, TimeLimitError

# Ends a command after the time that the user allows (`--max-time`), with what was judged or measured until then.


CLEANUP_S = 10.0
"""Seconds that a command may take after its time limit to cancel jobs and to delete the resources that it created. The
next command deletes what is left after that."""

_SHORTEST_TIMER_S = 1e-6
_COMMAND_START_S: ContextVar[float | None] = ContextVar("command start", default=None)


@contextmanager
def count_time_since(started_s: float) -> Iterator[None]:
    """Let the limits that are created in this context begin at `started_s` of the monotonic clock.

    The command line calls this, because importing modules and reading contracts take part of the time of a command.
    """
    token = _COMMAND_START_S.set(started_s)
    try:
        yield
    finally:
        _COMMAND_START_S.reset(token)


class CommandDeadline:
    """The time that one command may take, which begins when the deadline is created, or as `count_time_since` says."""

    def __init__(self, max_time_s: float | None) -> None:
        """Allow `max_time_s` seconds; `None` for as long as it takes."""
        command_start_s = _COMMAND_START_S.get()
        self._max_time_s = max_time_s
        self._started_s = time.monotonic() if command_start_s is None else command_start_s

    @property
    def remaining_s(self) -> float:
        """Seconds that are left; 0 if the time is over, infinite without a limit."""
        if self._max_time_s is None:
            return math.inf
        return max(self._started_s + self._max_time_s - time.monotonic(), 0.0)

    def require_time(self) -> None:
        """Check that there is time left.

        Raises:
            TimeLimitError: the time is over.
        """
        if not self.remaining_s:
            raise TimeLimitError(f"--max-time {self._max_time_s:g} was over")

    @contextmanager
    def cancel_when_over(self) -> Iterator[None]:
        """Cancel the task that is in this context when the time is over, and again if it goes on for `CLEANUP_S` more.

        Raises:
            TimeLimitError: the time was over.
        """
        if self._max_time_s is None:
            yield
            return
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None, "a coroutine runs in a task"
        timer: asyncio.TimerHandle | None = None

        def cancel() -> None:
            nonlocal timer
            task.cancel()
            timer = loop.call_later(CLEANUP_S, cancel)

        timer = loop.call_later(self.remaining_s, cancel)
        try:
            yield
        except asyncio.CancelledError:
            self.require_time()
            raise
        finally:
            timer.cancel()

    @contextmanager
    def interrupt(self) -> Iterator[None]:
        """Interrupt what runs in this context as Ctrl-C does when the time is over, and every `CLEANUP_S` after that.

        Only the main thread can be interrupted: in another one, the context has no effect.

        Raises:
            TimeLimitError: the time was over.
        """
        if self._max_time_s is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        handler = signal.signal(signal.SIGALRM, self._interrupt_main_thread)
        try:
            # A timer of 0 s would never expire.
            signal.setitimer(signal.ITIMER_REAL, max(self.remaining_s, _SHORTEST_TIMER_S), CLEANUP_S)
            yield
        except KeyboardInterrupt:
            self.require_time()
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)

    @contextmanager
    def interrupt_preparation(self) -> Iterator[None]:
        """Interrupt what runs in this context as `interrupt` does, and before which nothing can be judged or measured.

        Raises:
            NothingMeasuredError: the time was over.
        """
        try:
            with self.interrupt():
                yield
        except TimeLimitError as error:
            raise NothingMeasuredError(
                f"{error} while the command was prepared: nothing was judged or measured"
            ) from None

    def _interrupt_main_thread(self, *_: object) -> None:
        # The handler of Ctrl-C decides: an event loop cancels its task, and the start of a process is not interrupted.
        if not callable(signal.getsignal(signal.SIGINT)):  # ignored, as in a background job of a shell
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)


# Runs coroutines from synchronous functions, whether or not the calling thread runs an event loop.


ResultT = TypeVar("ResultT")


def run_coroutine(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run `coroutine` in a new event loop and return its result.

    Inside a running event loop (a notebook, an async service) the new loop runs in a second thread while the caller
    waits. Ctrl-C cancels the coroutine before `KeyboardInterrupt` is raised, so that no request is sent after that.
    """
    if not is_loop_running():
        return asyncio.run(coroutine)
    return _EventLoopThread(coroutine).run_to_result()


@contextmanager
def restore_interrupt_handler() -> Iterator[None]:
    """When the context ends, restore the handler of Ctrl-C, which `ignore_interrupts` replaces."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def ignore_interrupts() -> None:
    """Ignore Ctrl-C until `restore_interrupt_handler` ends.

    Call this as soon as a first Ctrl-C has stopped the requests: a second one must not lose the result.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, lambda *_: None)


def is_loop_running() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _EventLoopThread(Generic[ResultT]):
    """A thread that runs one coroutine in a new event loop."""

    def __init__(self, coroutine: Coroutine[Any, Any, ResultT]) -> None:
        self._coroutine = coroutine
        self._runner = asyncio.Runner()
        self._task: asyncio.Task[Any] | None = None
        self._outcome: Future[ResultT] = Future()
        self._thread = threading.Thread(target=self._run_and_store_result, name="voicegauge", daemon=True)

    def run_to_result(self) -> ResultT:
        """Run the coroutine to its end; return the coroutine's result or raise its error."""
        # Not `Thread.join`: before Python 3.13, Ctrl-C during a join marks a running thread as ended.
        self._thread.start()
        try:
            return self._outcome.result()
        except KeyboardInterrupt:
            if self._task is not None and not self._outcome.done():
                self._runner.get_loop().call_soon_threadsafe(self._task.cancel)
                wait([self._outcome])
            raise

    def _run_and_store_result(self) -> None:
        try:
            with self._runner:
                self._outcome.set_result(self._runner.run(self._await_coroutine()))
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            self._outcome.set_exception(error)

    async def _await_coroutine(self) -> ResultT:
        self._task = asyncio.current_task()
        return await self._coroutine
