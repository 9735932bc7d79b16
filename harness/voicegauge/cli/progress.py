"""Shows progress and notices of the API on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from voicegauge.api import ProgressListener
from voicegauge.cli.console import create_console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


PLAIN_LINE_INTERVAL_S = 30.0
"""Time, in seconds, between two lines of progress on a pipe, or on a terminal that cannot move its cursor."""


class TerminalProgress(ProgressListener):
    """Prints notices and the progress of each phase on standard error, with the time that the phase will still take.

    The progress is a bar, or a line from time to time if standard error is not a terminal.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._lines: _ProgressLines | None = None
        self._clock = clock

    def phase_started(self, name: str, total_count: int | None, done_count: int = 0) -> None:
        """Show a progress bar."""
        console = create_console(to_stderr=True)
        if not sys.stderr.isatty() or console.is_dumb_terminal:
            self._lines = _ProgressLines(name, done_count, self._clock)
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[item]}", markup=False),
        )
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task(name, total=total_count, completed=done_count, item="")
        self._bar.start()

    def phase_progressed(self, done_count: int, total_count: int | None, item_name: str = "") -> None:
        """Move the progress bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done_count, total=total_count, item=item_name)
        elif self._lines is not None and (line := self._lines.describe_if_due(done_count, total_count)):
            self.notice(line)

    def phase_ended(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = self._lines = None

    def notice(self, message: str) -> None:
        """Print a line above the progress bar."""
        out = self._bar.console if self._bar is not None else create_console(to_stderr=True)
        out.print(message, soft_wrap=True)


class _ProgressLines:
    """Describes the progress of a phase every `PLAIN_LINE_INTERVAL_S`."""

    def __init__(self, phase_name: str, done_count: int, clock: Callable[[], float]) -> None:
        self._name, self._first_done_count, self._clock = phase_name, done_count, clock
        self._started_s = self._last_s = clock()

    def describe_if_due(self, done_count: int, total_count: int | None) -> str:
        """Return the next line if it is time for one, otherwise an empty text."""
        now_s = self._clock()
        if now_s - self._last_s < PLAIN_LINE_INTERVAL_S:
            return ""
        self._last_s = now_s
        if total_count is None:
            return f"{self._name}: {done_count}"
        finished = done_count - self._first_done_count
        left_s = (now_s - self._started_s) / finished * (total_count - done_count) if finished else None
        return f"{self._name}: {done_count} of {total_count}" + (
            f", about {format_duration(left_s)} left" if left_s else ""
        )


def format_duration(seconds: float) -> str:
    """Return a duration that is estimated, such as "1 min 30 s" or "25 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min" if minutes >= 10 else f"{minutes} min {rest} s"
