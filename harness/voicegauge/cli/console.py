"""Prints the results of commands: tables and lines for a person, JSON for a program."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from voicegauge.files import write_file
from voicegauge.printable import escape_unprintable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

PIPE_WIDTH = 160
"""Width of tables, in columns, if the output is not a terminal; wide enough that no table row is wrapped."""


def console(*, stderr: bool = False) -> Console:
    """Return a console that honors NO_COLOR and COLUMNS, and writes plain lines to a pipe.

    Texts come from contracts, recordings and services: markup and emoji codes (`[/]`, `:key:`) are printed as they are,
    and control characters are escaped.
    """
    from voicegauge.cli.safe_console import SafeConsole

    stream = sys.stderr if stderr else sys.stdout
    columns = os.environ.get("COLUMNS", "")
    wanted = int(columns) if columns.isdecimal() and int(columns) > 0 else PIPE_WIDTH
    width = None if stream.isatty() else wanted
    return SafeConsole(stderr=stderr, width=width, highlight=False, soft_wrap=False, markup=False, emoji=False)


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text that may contain names or texts of strangers; control characters are escaped.

    Args:
        text: one or several lines.
        err: whether to print to standard error.
        nl: whether to add a line break.
    """
    click.echo(escape_unprintable(text), err=err, nl=nl)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Return an empty table. Cells of the first column are not wrapped; columns named in `right` are right-aligned."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    rows = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in columns:
        first = name == columns[0]
        rows.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=first)
    return rows


def emulated_label(explanation: str) -> Text:
    """Return the label that precedes all numbers measured on the emulator, with an explanation."""
    from rich.text import Text

    return Text.assemble(("EMULATED", "bold yellow"), f": {explanation}")


def show(record: Any, json_path: str | None, print_record: Callable[[], None]) -> None:
    """Print a record unless its JSON goes to standard output, and write it as JSON if wanted.

    Args:
        record: the result of a command.
        json_path: the value of `--json`.
        print_record: function that prints the record for a person.

    Raises:
        StorageError: the file cannot be written. The record was printed.
    """
    if json_path != "-":
        print_record()
    if json_path:
        write_json(record, json_path)


def write_json(record: Any, to: str) -> None:
    """Write a record as JSON, in UTF-8 in every locale, to the file `to`, or to standard output if `to` is "-"."""
    text = msgspec.json.format(msgspec.json.encode(record), indent=2)
    if to == "-":
        # In JSON, control characters are in strings only, where the escapes mean the same. Bytes are not recoded.
        click.echo(escape_unprintable(text.decode()).encode())
        return
    write_file(Path(to), text + b"\n")
