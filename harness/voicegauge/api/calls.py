"""Makes functions of the API from requests, and runs them: in an event loop, until Ctrl-C or the end of the time."""

from __future__ import annotations

import dataclasses
import inspect
import math
import signal
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, ParamSpec, TypeVar, cast

from voicegauge.errors import NothingMeasuredError, TimeLimitError
from voicegauge.options import (
    DeclaredOption,
    OptionRole,
    ValueShape,
    get_group_type,
    list_own_options,
    reject_unknown_keywords,
    validate_request,
)

ResultT = TypeVar("ResultT")
RequestT = TypeVar("RequestT")
ArgumentsT = ParamSpec("ArgumentsT")

# Makes a function whose keywords are the fields of a request.


_DOCSTRING_LINE_WIDTH = 120
"""Width, in characters, of the lines of a generated docstring."""


def create_keyword_function(
    request_type: Callable[ArgumentsT, RequestT], run: Callable[[RequestT], ResultT], *, name: str
) -> Callable[ArgumentsT, ResultT]:
    """Return a function named `name` that takes the fields of a request and calls `run` with the request.

    Editors and type checkers complete the keywords, because the parameters are those of the class. The docstring is
    that of `run`, with a section about the arguments from the declarations.
    """

    def function(*arguments: ArgumentsT.args, **keywords: ArgumentsT.kwargs) -> ResultT:
        reject_unknown_keywords(name, keywords, hint_by_known_name)
        given_request = _convert_whole_floats_to_integers(request_type(*arguments, **keywords))
        validate_request(given_request)
        return run(given_request)

    declared = {one.name: one for one in list_own_options(cast("type[Any]", request_type))}
    signature = inspect.signature(request_type)
    hint_by_known_name = (
        {
            # The name on the command line, such as limit for max_texts.
            one.flag.removeprefix("--").replace("-", "_"): repr(one.name)
            for one in declared.values()
        }
        | {
            inner.name: f"{one.name}={get_group_type(one).__name__}({inner.name}=...)"
            for one in declared.values()
            if one.spec.role is OptionRole.GROUP
            for inner in list_own_options(get_group_type(one))
        }
        | dict.fromkeys(signature.parameters, "")
    )
    parameters = [
        parameter if parameter.default is parameter.empty else parameter.replace(default=declared[key].default)
        for key, parameter in signature.parameters.items()
    ]
    function.__name__ = function.__qualname__ = name
    function.__module__ = run.__module__
    function.__doc__ = _insert_args_section(inspect.getdoc(run) or "", [declared[key] for key in signature.parameters])
    returned = run.__annotations__.get("return", inspect.Signature.empty)
    function.__signature__ = inspect.Signature(parameters, return_annotation=returned)  # type: ignore[attr-defined]
    return function


def _convert_whole_floats_to_integers(given_request: Any) -> Any:
    """Return a request in which whole numbers written as floats, such as 1e6, are integers where the type is `int`."""
    integers: dict[str, int] = {}
    for one in list_own_options(type(given_request)):
        value = getattr(given_request, one.name)
        if isinstance(value, float) and value.is_integer() and one.shape == ValueShape(int):
            integers[one.name] = int(value)
    return dataclasses.replace(given_request, **integers) if integers else given_request


def _insert_args_section(docstring: str, options: Iterable[DeclaredOption]) -> str:
    lines = "\n".join(_document_option(one) for one in options)
    head, mark, tail = docstring.partition("\nReturns:")
    return f"{head.rstrip()}\n\nArgs:\n{lines}\n{mark}{tail}"


def _document_option(declared_option: DeclaredOption) -> str:
    text = f"{declared_option.spec.help} {declared_option.spec.keyword_note}".strip()
    if text[1:2].islower() or text[1:2] == " ":
        text = text[0].lower() + text[1:]
    if declared_option.default is True and declared_option.flag.startswith("--no-"):  # the help says what the flag does
        text = f"with `False`: {text}"
    if declared_option.spec.requires:
        text += f" Only with {' or '.join(f'`{name}`' for name in declared_option.spec.requires)}."
    if declared_option.spec.default_text is not None:
        text += f" Default: {declared_option.spec.default_text}."
    return textwrap.fill(
        f"{declared_option.name}: {text}",
        width=_DOCSTRING_LINE_WIDTH,
        initial_indent=" " * 4,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )


# Ends a command after the time that the user allows (`--max-time`), with what was judged or measured until then.


MAX_CLEANUP_S = 10.0
"""Seconds that a command may take after its time limit to cancel jobs and to delete the resources that it created. The
next command deletes what is left after that."""

_MIN_TIMER_DURATION_S = 1e-6
"""Shortest duration of a timer, in seconds: 0 would switch the timer off."""
_COMMAND_STARTED_AT_S: ContextVar[float | None] = ContextVar("command start", default=None)
"""Start of the command on the monotonic clock, in seconds; `None` outside of `count_time_since`."""


@contextmanager
def count_time_since(started_s: float) -> Iterator[None]:
    """Let the deadlines that are created in this context count from `started_s` of the monotonic clock.

    The command line calls this, because importing modules and reading contracts take part of the time of a command.
    """
    token = _COMMAND_STARTED_AT_S.set(started_s)
    try:
        yield
    finally:
        _COMMAND_STARTED_AT_S.reset(token)


class CommandDeadline:
    """The time that one command may take. It begins when the deadline is created, or as `count_time_since` says."""

    def __init__(self, max_time_s: float | None) -> None:
        """Allow the command `max_time_s` seconds; `None` for no limit."""
        command_start_s = _COMMAND_STARTED_AT_S.get()
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
    def cancel_task_when_time_is_over(self) -> Iterator[None]:
        """Cancel the task in this context when the time is over, and again if it goes on for `MAX_CLEANUP_S` more.

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
            timer = loop.call_later(MAX_CLEANUP_S, cancel)

        timer = loop.call_later(self.remaining_s, cancel)
        try:
            yield
        except asyncio.CancelledError:
            self.require_time()
            raise
        finally:
            timer.cancel()

    @contextmanager
    def interrupt_when_time_is_over(self) -> Iterator[None]:
        """Interrupt this context as Ctrl-C does when the time is over, and every `MAX_CLEANUP_S` after that.

        Only the main thread can be interrupted: in another one, the context has no effect.

        Raises:
            TimeLimitError: the time was over.
        """
        if self._max_time_s is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        # A signal, because what runs here is not in an event loop: nothing else ends a search or a file that is being
        # read.
        handler = signal.signal(signal.SIGALRM, _interrupt_main_thread)
        try:
            # A timer of 0 s would never expire.
            signal.setitimer(signal.ITIMER_REAL, max(self.remaining_s, _MIN_TIMER_DURATION_S), MAX_CLEANUP_S)
            yield
        except KeyboardInterrupt:
            self.require_time()
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)

    @contextmanager
    def interrupt_preparation_when_time_is_over(self) -> Iterator[None]:
        """Interrupt the preparation of a command, which judges and measures nothing, when the time is over.

        Raises:
            NothingMeasuredError: the time was over.
            KeyboardInterrupt: Ctrl-C was pressed; its text says that nothing that costs money was sent.
        """
        try:
            with self.interrupt_when_time_is_over():
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


# Runs coroutines from synchronous functions, in an event loop or not, and handles Ctrl-C around them.


def run_coroutine(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run `coroutine` in a new event loop and return its result.

    Inside a running event loop (a notebook, an async service) the new loop runs in a second thread while the caller
    waits. Ctrl-C cancels the coroutine before `KeyboardInterrupt` is raised, so that no request is sent after that.
    """
    import asyncio  # a fifth of the time of `--help`

    return _run_in_thread(coroutine) if is_loop_running() else asyncio.run(coroutine)


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
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_in_thread(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine in a new event loop in a second thread; return its result or raise its error."""
    import asyncio
    from concurrent.futures import Future, wait

    runner, outcome = asyncio.Runner(), Future[ResultT]()
    tasks: list[asyncio.Task[Any] | None] = []

    async def await_coroutine() -> ResultT:
        tasks.append(asyncio.current_task())
        return await coroutine

    def run_and_store_result() -> None:
        try:
            with runner:
                outcome.set_result(runner.run(await_coroutine()))
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            outcome.set_exception(error)

    # Not `Thread.join`: before Python 3.13, Ctrl-C during a join marks a running thread as ended.
    threading.Thread(target=run_and_store_result, name="voicegauge", daemon=True).start()
    try:
        return outcome.result()
    except KeyboardInterrupt:
        if tasks and tasks[0] is not None and not outcome.done():
            runner.get_loop().call_soon_threadsafe(tasks[0].cancel)
            # The coroutine first ends what it does: it may receive a response that was paid for.
            wait([outcome])
        raise
