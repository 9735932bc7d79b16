"""Shows progress and notices of the API on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from voicegauge.api import ProgressListener
from voicegauge.cli.console import create_console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class TerminalProgress(ProgressListener):
    """Shows a progress bar if standard error is a terminal, and prints notices in any case."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def phase_started(self, name: str, total: int | None, done: int = 0) -> None:
        """Show a progress bar."""
        console = create_console(to_stderr=True)
        if not sys.stderr.isatty() or console.is_dumb_terminal:
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[item]}", markup=False),
        )
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task(name, total=total, completed=done, item="")
        self._bar.start()

    def phase_progressed(self, done: int, total: int | None, item_name: str = "") -> None:
        """Move the progress bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, item=item_name)

    def phase_ended(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None

    def notice(self, message: str) -> None:
        """Print a line above the progress bar."""
        out = self._bar.console if self._bar is not None else create_console(to_stderr=True)
        out.print(message, soft_wrap=True)
