"""Delays Ctrl-C during calls to C libraries that call back into Python."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def defer_keyboard_interrupt() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block. This function can also be used as a decorator.

    libsndfile reads and writes memory through Python callbacks. If a callback raises an exception, the exception is
    printed and lost, and the file that was being written is incomplete.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed during the block.
    """
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not is_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # Ctrl-C raises no exception here, so there is nothing to delay
        return
    interrupted = False

    def remember_interrupt(*_signal_arguments: object) -> None:
        nonlocal interrupted
        interrupted = True

    signal.signal(signal.SIGINT, remember_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if interrupted:
            raise KeyboardInterrupt
