"""Ctrl-C beside C libraries that call Python back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def defer_keyboard_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back inside, and raise it at the end.

    libsndfile reads and writes memory through Python functions; an exception that starts in one of
    them is printed and lost, and what was written is torn. Also a decorator.

    Raises:
        KeyboardInterrupt: Ctrl-C came meanwhile.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # nothing would be raised here
        return
    caught = False

    def note(*_: object) -> None:
        nonlocal caught
        caught = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if caught:
            raise KeyboardInterrupt
