"""A line on a terminal that says how far something has come; nothing on a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """How far it has come."""

    def __init__(self, shown: Progress | None = None, task: TaskID | None = None) -> None:
        """Nothing is shown without `shown`."""
        self._shown, self._task = shown, task

    def advance(self, item: object = None) -> None:
        """One more is done, or, where `item` is named, begun: its `id` or itself is shown."""
        label = "" if item is None else str(getattr(item, "id", item))
        if self._shown is not None and self._task is not None:
            self._shown.update(self._task, advance=1, item=label)

    def at(self, done: int, total: int) -> None:
        """So many of so many are done."""
        if self._shown is not None and self._task is not None:
            self._shown.update(self._task, completed=done, total=total)


@contextmanager
def progress(what: str, total: int | None = None, done: int = 0) -> Iterator[Bar]:
    """Show a bar while `what` is under way, where standard error is a terminal.

    Args:
        what: a word or two in front of it.
        total: of all there is to do; `None` while unknown.
        done: of that before it began.
    """
    if not sys.stderr.isatty():
        yield Bar()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from voicegauge.cli.console import console

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[item]}", markup=False),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as shown:
        yield Bar(shown, shown.add_task(what, total=total, completed=done, item=""))
