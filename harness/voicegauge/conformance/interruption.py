"""Ends a check or recording after Ctrl-C: what was paid for is waited for, and nothing more is sent."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from voicegauge.printable_text import format_count

INTERRUPT_WAIT_S = 5.0
"""Seconds for which the first Ctrl-C waits for responses that cost money."""


class CheckInterruption:
    """Whether a check was interrupted, and which of its cases in flight cost money."""

    def __init__(self) -> None:
        """Begin without an interruption."""
        self.is_requested = False
        """Whether the check was interrupted: no further request is sent."""
        self._paid_cases: Counter[str] = Counter()

    @property
    def paid_case_ids(self) -> list[str]:
        """Ids of the cases in flight that cost money, in the order of sending."""
        return list(self._paid_cases.elements())

    @contextmanager
    def note_paid_case(self, case_id: str) -> Iterator[None]:
        """Note that a case which costs money is in flight while the context lasts."""
        self._paid_cases[case_id] += 1
        try:
            yield
        finally:
            self._paid_cases[case_id] -= 1

    def require_none(self) -> None:
        """Send nothing more after an interruption.

        Raises:
            CancelledError: the check was interrupted.
        """
        if self.is_requested:
            raise asyncio.CancelledError


@contextmanager
def end_on_interrupt(interruption: CheckInterruption, announce: Callable[[str], None]) -> Iterator[None]:
    """End the check in this context, if Ctrl-C is pressed, when the requests in flight that cost money have ended.

    They are waited for at most `INTERRUPT_WAIT_S` seconds, and not any more after a second Ctrl-C. Without such
    requests, the first Ctrl-C ends the check at once. Signals reach the main thread only: in another one, the caller
    cancels the task.

    Args:
        interruption: tells whether the check was interrupted: the check looks at it before it sends a case, and the
            caller after the context.
        announce: is called with one line about what is waited for.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    timers: list[asyncio.TimerHandle] = []

    def on_interrupt() -> None:
        waits = not interruption.is_requested and bool(interruption.paid_case_ids)
        interruption.is_requested = True
        if not waits:
            task.cancel()
            return
        ids = interruption.paid_case_ids
        more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        responses = format_count(len(ids), "response")
        announce(
            f"stopping: waiting up to {INTERRUPT_WAIT_S:g} s for {responses} that may cost money ({ids[0]}{more}); "
            "Ctrl-C again to stop at once"
        )
        timers.append(loop.call_later(INTERRUPT_WAIT_S, task.cancel))

    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if not interruption.is_requested:
            raise
        while task.uncancel():  # the interruption was handled here
            pass
    finally:
        for timer in timers:
            timer.cancel()
        loop.remove_signal_handler(signal.SIGINT)
