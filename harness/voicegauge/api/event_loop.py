"""Runs coroutines from synchronous functions, in an event loop or not, and handles Ctrl-C around them."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

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
