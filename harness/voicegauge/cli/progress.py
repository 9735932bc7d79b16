"""A line on a terminal that says how far a plan has come; nothing on a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress(total: int) -> Iterator[Callable[[Any], None] | None]:
    """Show progress over `total` items; the callable is told of each one before it is done.

    `None` where standard error is no terminal.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from voicegauge.cli.output import console

    columns = (SpinnerColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f} {task.description}"))
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def advance(item: Any) -> None:
            bar.update(task, advance=1, description=str(getattr(item, "id", item)).replace("[", r"\["))

        yield advance


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show how many of how many are done; the callable is told both. `None` where there is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from voicegauge.cli.output import console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell
