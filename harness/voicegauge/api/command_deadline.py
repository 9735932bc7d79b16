"""Ends a command after the time that the user allows (`--max-time`), with what was judged or measured until then."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

from voicegauge.errors import NothingMeasuredError, TimeLimitError

CLEANUP_S = 10.0
"""Seconds that a command may take after its time limit to cancel jobs and to delete the resources that it created. The
next command deletes what is left after that."""

_SHORTEST_TIMER_S = 1e-6
"""Shortest duration of a timer, in seconds: 0 would switch the timer off."""
_COMMAND_START_S: ContextVar[float | None] = ContextVar("command start", default=None)
"""Start of the command on the monotonic clock, in seconds; `None` outside of `count_time_since`."""


@contextmanager
def count_time_since(started_s: float) -> Iterator[None]:
    """Let the deadlines that are created in this context count from `started_s` of the monotonic clock.

    The command line calls this, because importing modules and reading contracts take part of the time of a command.
    """
    token = _COMMAND_START_S.set(started_s)
    try:
        yield
    finally:
        _COMMAND_START_S.reset(token)


class CommandDeadline:
    """The time that one command may take. It begins when the deadline is created, or as `count_time_since` says."""

    def __init__(self, max_time_s: float | None) -> None:
        """Allow the command `max_time_s` seconds; `None` for no limit."""
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
        import asyncio  # a fifth of the time of `--help`

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
        handler = signal.signal(signal.SIGALRM, _interrupt_main_thread)
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
        """Interrupt, as `interrupt` does, the preparation of a command, during which nothing is judged or measured.

        Raises:
            NothingMeasuredError: the time was over.
            KeyboardInterrupt: Ctrl-C was pressed; its text says that nothing that costs money was sent.
        """
        try:
            with self.interrupt():
                yield
        except TimeLimitError as error:
            raise NothingMeasuredError(
                f"{error} while the command was prepared: nothing was judged or measured"
            ) from None
        except KeyboardInterrupt:
            # What may have been sent, such as a question for the models of the user's own server, is free.
            raise KeyboardInterrupt(
                "while the command was prepared, before anything that costs money was sent"
            ) from None


@contextmanager
def interrupt_on_termination() -> Iterator[None]:
    """Interrupt what runs in this context on SIGTERM as on Ctrl-C, because supervisors stop commands with it.

    The context has no effect in another thread than the main one, and where the caller handles or ignores SIGTERM.
    """
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not is_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _interrupt_main_thread)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt_main_thread(_number: int, frame: FrameType | None) -> None:
    # The handler of Ctrl-C decides: an event loop cancels its task, and the start of a process is not interrupted.
    if callable(signal.getsignal(signal.SIGINT)):
        signal.raise_signal(signal.SIGINT)
    else:  # ignored, as in a background job of a shell; the handler of the command also waits for the end of imports
        signal.default_int_handler(signal.SIGINT, frame)
