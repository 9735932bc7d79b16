"""Reports the progress of functions of the API to their caller, and shows it and results in a notebook.

A notebook has a kernel of IPython, which displays HTML and replaces what it has displayed. Where a function is called
without a listener, its progress and notices are shown below the cell in a notebook, and nowhere else. Functions that
return results import this module, so that a notebook shows a result as its summary.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from voicegauge.api.calls import CommandDeadline
from voicegauge.outputs.result_summary import ResultSummary, SummarizedResult, escape_html
from voicegauge.printable_text import escape_unprintable

if TYPE_CHECKING:
    from voicegauge.model.sample import Sample


class ProgressListener:
    """Receives progress and notices while a function runs.

    Subclass it and override what you need: every method does nothing by default. Methods are called from the thread
    that runs the function's event loop.
    """

    def phase_started(self, name: str, total_count: int | None, done_count: int = 0) -> None:
        """Called when a phase begins, for example "sending requests".

        Args:
            name: name of the phase.
            total_count: number of items; `None` if it is not known yet.
            done_count: number of items that an earlier, interrupted call has finished.
        """

    def phase_progressed(self, done_count: int, total_count: int | None, item_name: str = "") -> None:
        """Called when `done_count` of `total_count` items are finished; `item_name` names the last of them.

        `total_count` is `None` if it is not known yet.
        """

    def phase_ended(self) -> None:
        """Called when the phase is over, or was aborted by an error."""

    def samples_planned(self, sample_count_by_target: Mapping[str, int]) -> None:
        """Called when a benchmark is about to send requests.

        Args:
            sample_count_by_target: number of planned samples by target id, with warm-up; 0 if the number depends on
                the results.
        """

    def sample_finished(self, sample: Sample) -> None:
        """Called when a sample of a benchmark is finished, now or by an earlier, interrupted call."""

    def ramp_step_started(self, step_number: int, load_description: str) -> None:
        """Called when a step of a ramp begins.

        Args:
            step_number: number of the step, from 1.
            load_description: load of the step, such as "4 requests in flight".
        """

    def notice(self, message: str) -> None:
        """Called with one line for the user, such as the cost of a plan, a rate limit, or the run that is resumed."""


class PhaseProgress:
    """The progress of one phase, reported to a listener."""

    def __init__(self, listener: ProgressListener, total_count: int | None, done_count: int) -> None:
        """Count from `done_count` to `total_count`, or without a known end if that is `None`, and tell `listener`."""
        self._listener, self._total_count, self._done_count = listener, total_count, done_count

    def advance(self, finished_item: object = None) -> None:
        """Count one more finished item, and report the new number to the listener.

        The item is named by its `id`, or by the item as text if it has no attribute `id`; without an item, the name is
        empty.
        """
        self._done_count += 1
        self._listener.phase_progressed(
            self._done_count,
            self._total_count,
            "" if finished_item is None else str(getattr(finished_item, "id", finished_item)),
        )

    def update(self, done_count: int, total_count: int) -> None:
        """Report that `done_count` of `total_count` items of the phase are finished."""
        self._done_count, self._total_count = done_count, total_count
        self._listener.phase_progressed(done_count, total_count)


@contextmanager
def report_phase(
    listener: ProgressListener, name: str, total_count: int | None = None, done_count: int = 0
) -> Iterator[PhaseProgress]:
    """Report a phase to `listener` while the context lasts.

    See `ProgressListener.phase_started` for the arguments; `total_count` is `None` if it is not known yet.
    """
    listener.phase_started(name, total_count, done_count)
    try:
        yield PhaseProgress(listener, total_count, done_count)
    finally:
        listener.phase_ended()


@contextmanager
def report_phase_until(
    deadline: CommandDeadline, listener: ProgressListener, name: str
) -> Iterator[Callable[[int, int], None]]:
    """Report a phase while the context lasts; yield the function that reports its progress (items done, all items).

    Raises:
        TimeLimitError: raised by the yielded function if the time of the command is over.
    """
    with report_phase(listener, name) as phase:

        def report_progress(done_count: int, total_count: int) -> None:
            phase.update(done_count, total_count)
            deadline.require_time()

        yield report_progress


# Shows progress in a notebook, without a library of widgets.


NOTEBOOK_UPDATE_INTERVAL_S = 0.2
"""Shortest time, in seconds, between two updates of a bar: each is a message to the browser."""


class NotebookDisplay(Protocol):
    """Something that a notebook shows and can replace, such as IPython's `DisplayHandle`."""

    def update(self, content: dict[str, str], *, raw: bool) -> None:
        """Show `content`, texts by media type, in place of what is shown."""


class NotebookProgress(ProgressListener):
    """Shows notices as lines below the cell, and the progress of each phase as a bar that becomes a line at its end."""

    def __init__(
        self, display: Callable[[dict[str, str]], NotebookDisplay], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Create a listener that has shown nothing yet.

        Args:
            display: shows texts by media type, and returns what replaces them.
            clock: current time in seconds.
        """
        self._display, self._clock = display, clock
        self._bar: NotebookDisplay | None = None
        self._name = ""
        self._done_count = 0
        self._total_count: int | None = None
        self._started_s = self._updated_s = 0.0

    def phase_started(self, name: str, total_count: int | None, done_count: int = 0) -> None:
        """Show a bar for a phase; its end is open if `total_count` is `None`."""
        self._name, self._done_count, self._total_count = name, done_count, total_count
        self._started_s = self._updated_s = self._clock()
        self._bar = self._display(self._render_progress_bar())

    def phase_progressed(self, done_count: int, total_count: int | None, item_name: str = "") -> None:
        """Move the bar, unless it was moved less than `NOTEBOOK_UPDATE_INTERVAL_S` ago.

        Its end is open if `total_count` is `None`.
        """
        self._done_count, self._total_count = done_count, total_count
        now_s = self._clock()
        if self._bar is not None and now_s - self._updated_s >= NOTEBOOK_UPDATE_INTERVAL_S:
            self._updated_s = now_s
            self._bar.update(self._render_progress_bar(item_name), raw=True)

    def phase_ended(self) -> None:
        """Replace the bar by a line with the number of items and the time that they took."""
        if self._bar is not None:
            line = f"{self._describe_phase_progress()} in {self._clock() - self._started_s:.1f} s"
            self._bar.update(_render_line(line), raw=True)
        self._bar = None

    def notice(self, message: str) -> None:
        """Show `message` as a line of its own."""
        self._display(_render_line(message))

    def _describe_phase_progress(self) -> str:
        """Return the name of the phase with the number of finished items and of all."""
        counts = "" if self._total_count is None else f" of {self._total_count}"
        return f"{self._name}: {self._done_count}{counts}"

    def _render_progress_bar(self, item_name: str = "") -> dict[str, str]:
        # Without a value, browsers show that something is going on.
        state = "" if self._total_count is None else f' max="{max(self._total_count, 1)}" value="{self._done_count}"'
        line = f"{self._describe_phase_progress()} {item_name}".rstrip()
        return {"text/plain": line, "text/html": f"<div><progress{state}></progress> {escape_html(line)}</div>"}


def _render_line(text: str) -> dict[str, str]:
    return {"text/plain": escape_unprintable(text), "text/html": f"<div>{escape_html(text)}</div>"}


def choose_progress_listener(passed_listener: ProgressListener | None) -> ProgressListener:
    """Return the listener that the caller passed.

    For `None`, return a listener that shows progress bars in a notebook, and prints nothing outside of notebooks. To
    silence a notebook, pass a plain `ProgressListener`, whose methods do nothing.
    """
    if passed_listener is not None:
        return passed_listener
    display = _find_notebook_display()
    return ProgressListener() if display is None else NotebookProgress(display)


def _find_notebook_display() -> Callable[[dict[str, str]], NotebookDisplay] | None:
    """Return how to display texts by media type in the notebook that runs this code; `None` outside of notebooks."""
    # Code in a notebook runs with IPython imported; elsewhere it need not be installed.
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is None:  # IPython on a terminal has none
        return None

    def display(content: dict[str, str]) -> NotebookDisplay:
        handle: NotebookDisplay = ipython.display.display(content, raw=True, display_id=True)
        return handle

    return display


def _summarize_for_notebook(result: Any) -> ResultSummary:
    # What builds summaries knows every kind of result, and takes as long to import as a check: a command that prints
    # no summary does not wait for it.
    from voicegauge.report.result_summaries import summarize

    return summarize(result)


SummarizedResult.summarize = staticmethod(_summarize_for_notebook)
