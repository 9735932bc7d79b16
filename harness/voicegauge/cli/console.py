"""How commands print: tables and lines for a person, JSON for a program."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from voicegauge.files import write_file

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

PIPE_WIDTH = 160
"""Columns where there is no terminal to ask: wide enough that no table row wraps."""


def console(*, stderr: bool = False) -> Console:
    """A console that honours NO_COLOR, writes plain lines to a pipe, and takes every text as it stands.

    What is printed comes from contracts, recordings and services: `[/]` in it is no markup, and `:key:` no emoji.
    """
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    columns = os.environ.get("COLUMNS", "")
    wanted = int(columns) if columns.isdecimal() and int(columns) > 0 else PIPE_WIDTH
    width = None if stream.isatty() else wanted
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False, markup=False, emoji=False)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table with `columns`: names that stay whole in the first, numbers aligned in those in `right`."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in columns:
        first = name == columns[0]
        made.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=first)
    return made


def emulated(says: str) -> Text:
    """The word that stands in front of every number of the emulator's, and what it means."""
    from rich.text import Text

    return Text.assemble(("EMULATED", "bold yellow"), f": {says}")


def write_json(result: Any, to: str) -> None:
    """Write a record as JSON in UTF-8, whatever the locale, to the file `to`, or to standard output for "-"."""
    text = msgspec.json.format(msgspec.json.encode(result), indent=2)
    if to == "-":
        click.echo(text)
        return
    write_file(Path(to), text + b"\n")
