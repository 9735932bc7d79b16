"""Keeps native libraries from disturbing this process: their Ctrl-C handling and their standard error.

Decoders written in C print directly to file descriptor 2, without using Python's `sys.stderr`.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

# Delays Ctrl-C during calls to C libraries that call back into Python.


@contextmanager
def defer_keyboard_interrupt() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block. This function can also be used as a decorator.

    SIGTERM and SIGALRM are delayed too if they have a handler, which may raise the same exception. libsndfile reads and
    writes memory through Python callbacks. If a callback raises an exception, the exception is printed and lost, and
    the file that was being written is incomplete.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed during the block, or raised by another handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled in the main thread
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    if handlers[signal.SIGINT] is not signal.default_int_handler:
        del handlers[signal.SIGINT]  # Ctrl-C raises no exception here, so there is nothing to delay
    delayed = {number: handler for number, handler in handlers.items() if callable(handler)}
    received: list[int] = []
    for number in delayed:
        signal.signal(number, lambda number, _frame: received.append(number))
    try:
        yield
    finally:
        for number, handler in delayed.items():
            signal.signal(number, handler)
        for received_number in received:
            signal.raise_signal(received_number)


# Suppresses messages that audio decoders print about damaged files.


_STDERR_FD = 2


def suppress_decoder_stderr() -> None:
    """Discard everything that C libraries write to standard error from now on; Python's messages are still printed.

    This function is only for processes of voicegauge that do nothing but decode untrusted audio.
    """
    sys.stderr = os.fdopen(os.dup(_STDERR_FD), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STDERR_FD)


class _StderrSwitch:
    """Redirects file descriptor 2 to the null device while at least one thread discards messages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._original_fd: int | None = None
        self._devnull_fd: int | None = None
        self._replaced: TextIO | None = None
        self._replacement: TextIO | None = None
        self._is_redirected = False

    def start_redirecting(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                with contextlib.suppress(OSError):  # without a standard error there is nothing to redirect
                    self._redirect_stderr()

    def stop_redirecting(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._restore_stderr()

    def _redirect_stderr(self) -> None:
        # The descriptors are kept open: a thread may still hold the replacement of sys.stderr after the end.
        if self._original_fd is None or self._devnull_fd is None:
            self._original_fd, self._devnull_fd = os.dup(_STDERR_FD), os.open(os.devnull, os.O_WRONLY)
        else:
            os.dup2(_STDERR_FD, self._original_fd, inheritable=False)
        if _writes_to_stderr_fd(sys.stderr):
            sys.stderr.flush()
            self._replaced = sys.stderr
            self._replacement = sys.stderr = _open_text_stream(self._original_fd, original_stream=sys.stderr)
        os.dup2(self._devnull_fd, _STDERR_FD)
        self._is_redirected = True

    def _restore_stderr(self) -> None:
        if self._original_fd is None or not self._is_redirected:
            return
        self._is_redirected = False
        os.dup2(self._original_fd, _STDERR_FD)
        if self._replaced is not None and sys.stderr is self._replacement:
            sys.stderr = self._replaced
        self._replaced = self._replacement = None


_stderr_switch = _StderrSwitch()


@contextlib.contextmanager
def discard_decoder_messages() -> Iterator[None]:
    """Discard what C libraries write to standard error during the block. Messages of Python are still printed."""
    _stderr_switch.start_redirecting()
    try:
        yield
    finally:
        _stderr_switch.stop_redirecting()


def _writes_to_stderr_fd(stream: TextIO | None) -> bool:
    """Whether `stream` writes to file descriptor 2. Streams of test runners and terminals often do not."""
    try:
        return stream is not None and stream.fileno() == _STDERR_FD
    except (OSError, ValueError, AttributeError):
        return False


def _open_text_stream(file_descriptor: int, original_stream: TextIO) -> TextIO:
    raw = open(file_descriptor, "wb", buffering=0, closefd=False)  # noqa: SIM115 - stays open, see above
    return io.TextIOWrapper(raw, encoding=original_stream.encoding, errors=original_stream.errors, write_through=True)
