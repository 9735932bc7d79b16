"""Prints with escaped control characters: tables and lines, JSON, and what `--dry-run` says of budgets."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from voicegauge.errors import EXIT_BUDGET_EXCEEDED, BudgetError, UsageError
from voicegauge.files import write_file
from voicegauge.model.base import MICRO_USD_PER_USD
from voicegauge.model.price import format_price_usd
from voicegauge.printable_text import escape_unprintable, format_count

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.table import Table
    from rich.text import Text

    from voicegauge.model.price import BudgetForecast


NON_TERMINAL_LINE_WIDTH = 160
"""Width of lines, in columns, if the output is not a terminal."""
MAX_NON_TERMINAL_TABLE_WIDTH = 10_000
"""Largest width of a table, in columns, if the output is not a terminal."""
UNLIMITED_WIDTH = 10**9
"""A width, in columns, that no table reaches."""
MAX_UNWRAPPED_CELL_WIDTH = 12
"""Width of a column, in columns of the terminal, up to which its cells are never wrapped."""
MAX_UNBROKEN_WORD_WIDTH = 40
"""Width up to which a word is never broken. Longer ones, such as URLs, are."""
_COMMAND_PATTERN = re.compile(r"\b(voicegauge [a-z]|curl |pip install|VOICEGAUGE_)")
"""Matches what a reader may copy to a command line."""
MIN_WIDE_TERMINAL_WIDTH = 120
"""Width of a terminal, in columns, from which on each value has a table column of its own. In a narrower terminal, a
cell has two values, one below the other."""


@functools.cache
def define_safe_console() -> type[Console]:
    """Return a class of consoles on which texts cannot move the cursor, change colors, or set the title of a terminal.

    It is defined when the first console is needed, because importing rich takes longer than everything else that
    `--help` needs. Colors and cursor movements of rich itself are not part of a text and therefore still work.
    """
    from rich.console import Console
    from rich.text import Text

    class SafeConsole(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            """Print `objects`. On a terminal, sentences are broken between words; elsewhere, each is one line.

            A sentence with a command is broken nowhere: one that is broken by the terminal alone can still be copied.
            With `soft_wrap=False`, sentences are broken everywhere.
            """
            text = " ".join(map(str, objects))
            options.setdefault("soft_wrap", all(isinstance(one, str | Text) for one in objects))
            if options["soft_wrap"] and self.file.isatty() and not _COMMAND_PATTERN.search(text):
                options["soft_wrap"] = any(len(word) > self.width for word in text.split())
            super().print(*objects, **options)

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            """Render an object; control characters in its texts are escaped.

            If `options` is `None`, the options of the console are used.
            """
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=escape_unprintable(segment.text))

    return SafeConsole


def create_console(*, to_stderr: bool = False) -> Console:
    """Return a console that honors NO_COLOR and COLUMNS, and writes plain lines to a pipe.

    Texts come from contracts, recordings and services: markup and emoji codes (`[/]`, `:key:`) are printed as they are,
    and control characters are escaped.
    """
    stream = sys.stderr if to_stderr else sys.stdout
    columns = os.environ.get("COLUMNS", "")
    wanted = int(columns) if columns.isdecimal() and int(columns) > 0 else NON_TERMINAL_LINE_WIDTH
    # rich takes 80 columns for a pipe, and would break lines that other programs read.
    width = None if stream.isatty() else wanted
    return define_safe_console()(stderr=to_stderr, width=width, highlight=False, markup=False, emoji=False)


def print_escaped(text: str, *, to_stderr: bool = False, with_newline: bool = True) -> None:
    """Print a text that may contain untrusted parts; control characters are escaped.

    Args:
        text: one or several lines.
        to_stderr: whether to print to standard error.
        with_newline: whether to add a line break.
    """
    click.echo(escape_unprintable(text), err=to_stderr, nl=with_newline)


def create_table(*column_headings: str, right_aligned_columns: tuple[str, ...] = ()) -> Table:
    """Return an empty table for `print_table`; `right_aligned_columns` are columns of numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    rows = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in column_headings:
        rows.add_column(name, justify="right" if name in right_aligned_columns else "left", overflow="fold")
    return rows


def has_unlimited_width(console: Console) -> bool:
    """Whether tables may be as wide as they need to be: the output is not a terminal, and COLUMNS sets no width."""
    return not console.file.isatty() and not os.environ.get("COLUMNS")


def print_table(console: Console, table: Table) -> None:
    """Print a table so that every cell can be read, whatever the width of the console.

    Numbers and short cells are never wrapped; longer texts are, between words. If not even their longest words fit side
    by side, each row becomes a block of lines, `heading: value`. If `has_unlimited_width(console)` is true, the table
    is instead as wide as it needs to be, up to `MAX_NON_TERMINAL_TABLE_WIDTH`, so that no line is broken.
    """
    from rich.measure import Measurement

    word_widths, cell_widths = _measure_columns(console, table)
    _set_column_widths(table, cell_widths)
    needed_width = Measurement.get(console, console.options.update(max_width=UNLIMITED_WIDTH), table).maximum
    if not has_unlimited_width(console):
        widths = _divide_width_among_columns(
            console.width - (needed_width - sum(cell_widths)), table, word_widths, cell_widths
        )
        if widths is None:
            _print_rows_as_blocks(console, table)
        else:
            _set_column_widths(table, widths)
            console.print(table)
        return
    if needed_width > MAX_NON_TERMINAL_TABLE_WIDTH:
        _set_column_widths(table, [None] * len(cell_widths))  # rich never narrows a column whose width is set
    width = console.width
    console.width = max(width, min(needed_width, MAX_NON_TERMINAL_TABLE_WIDTH))
    console.print(table)
    console.width = width


def _measure_columns(console: Console, table: Table) -> tuple[list[int], list[int]]:
    """Return the width of the longest word and of the longest cell of each column, headings included.

    Every cell is measured only once. rich would measure all cells of columns without a width each time it is asked for
    the width of the table and each time it prints, which took most of the time of a table with 8,000 rows.
    """
    from rich.measure import Measurement

    options = console.options.update(max_width=MAX_NON_TERMINAL_TABLE_WIDTH)
    word_widths, cell_widths = [], []
    for column in table.columns:
        cells = [Measurement.get(console, options, cell) for cell in (column.header, *column.cells)]
        word_widths.append(min(max(cell.minimum for cell in cells), MAX_UNBROKEN_WORD_WIDTH))
        cell_widths.append(max(cell.maximum for cell in cells))
    return word_widths, cell_widths


def _set_column_widths(table: Table, widths: Sequence[int | None]) -> None:
    for column, width in zip(table.columns, widths, strict=True):
        column.width, column.no_wrap, column.min_width, column.max_width = width, False, None, None


def _divide_width_among_columns(
    available_width: int, table: Table, word_widths: list[int], cell_widths: list[int]
) -> list[int] | None:
    """Divide the width of the console between the columns; `None` if the table does not fit.

    rich shrinks columns in proportion to their widths, down to one letter for a column that is short already. Here the
    space that numbers and short cells leave is given to the longer texts, the shortest of them first. If numbers and
    short cells do not fit in one line, they are wrapped between words as well.

    Args:
        available_width: width of the console without borders and padding.
        table: the table whose columns share the width.
        word_widths: width of the longest word of each column.
        cell_widths: width of the longest cell of each column.
    """
    preferred = [
        cell_width if column.justify == "right" or cell_width <= MAX_UNWRAPPED_CELL_WIDTH else word_width
        for column, word_width, cell_width in zip(table.columns, word_widths, cell_widths, strict=True)
    ]
    widths = next((one for one in (preferred, word_widths) if sum(one) <= available_width), None)
    if widths is None:
        return None
    available_width -= sum(widths)
    widths = list(widths)
    by_demand = sorted(range(len(widths)), key=lambda index: cell_widths[index] - widths[index])
    for position, index in enumerate(by_demand):
        share = min(cell_widths[index] - widths[index], available_width // (len(by_demand) - position))
        widths[index] += share
        available_width -= share
    return widths


def _print_rows_as_blocks(console: Console, table: Table) -> None:
    """Print each row as lines: its first cell, then the heading and value of each other cell that is not empty."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    headings = [str(column.header).replace("\n", " ") for column in table.columns]
    for first, *cells in zip(*(column.cells for column in table.columns), strict=True):
        lines: list[RenderableType] = [first.copy() if isinstance(first, Text) else Text(str(first))]
        for heading, cell in zip(headings[1:], cells, strict=True):
            value = cell.copy() if isinstance(cell, Text) else Text(str(cell).replace("\n", " ").strip())
            if value.plain:
                line = Text.assemble((f"{heading}: ", "dim"), value) if heading else value
                lines.append(Padding(line, (0, 0, 0, 2)))
        console.print(Group(*lines), overflow="fold")
    console.print()


def build_rehearsal_label(label: str, explanation: str) -> Text:
    """Return the line that precedes all numbers of a rehearsal.

    Args:
        label: `Manifest.rehearsal_label`, such as "EMULATED".
        explanation: what the numbers are, and what they are not.
    """
    from rich.text import Text

    return Text.assemble((label, "bold yellow"), f": {explanation}")


def show_result(result: Any, json_path: str | None, print_result: Callable[[], None]) -> None:
    """Print the result of a command unless its JSON goes to standard output; write the JSON if `--json` is given.

    Args:
        result: the record that a function of the API returned.
        json_path: the value of `--json`; `None` if it is not given.
        print_result: function that prints the result for a person.

    Raises:
        StorageError: the file cannot be written. The record was printed.
    """
    if json_path != "-":
        print_result()
    if json_path:
        write_json(result, json_path)


def write_json(result: Any, file_or_dash: str) -> None:
    """Write a result as JSON to a file, in UTF-8 in every locale, or to standard output if `file_or_dash` is "-"."""
    text = msgspec.json.format(msgspec.json.encode(result), indent=2)
    if file_or_dash == "-":
        # In JSON, control characters are in strings only, where the escapes mean the same. Bytes are not recoded.
        click.echo(escape_unprintable(text.decode()).encode())
        return
    write_file(Path(file_or_dash), text + b"\n")


MAX_UNSENT_CASES_SHOWN = 3
"""Largest number of cases named that will not be sent; --json has all."""


def raise_error_of_refused_plan(forecast: BudgetForecast | None) -> None:
    """Raise the error with which the command refuses a plan that was printed; return if it does not refuse it.

    `forecast` is `None` if nothing is paid: such a plan is not refused.

    Raises:
        BudgetError: the plan costs more than is left of a budget.
        UsageError: something else is missing, such as a price.
    """
    if forecast is not None and forecast.refusal_reason is not None:
        is_over_budget = forecast.refusal_exit_status == EXIT_BUDGET_EXCEEDED
        raise (BudgetError if is_over_budget else UsageError)(f"this would be refused: {forecast.refusal_reason}")


def print_budget_forecast(
    terminal: Console, forecast: BudgetForecast, *, limits_billable_requests: bool = False
) -> None:
    """Print what is left of each budget, and what will not be sent because of it.

    The reason for a refusal is not printed, but raised by `raise_error_of_refused_plan`.

    Args:
        terminal: the console to print on.
        forecast: the budgets, and the requests that they do not allow.
        limits_billable_requests: whether the user limited the number of billable requests. If so, the
            check does not fail when only requests with an expected cost of zero are left out.
    """
    for budget in forecast.budgets:
        if budget.spent_usd:
            left_usd = format_price_usd(budget.left_micro_usd / MICRO_USD_PER_USD, is_exact=True)
            terminal.print(f"{left_usd} left of {budget.describe()}")
    if forecast.refusal_reason is not None:
        return
    expected = forecast.unaffordable_cases
    for case in expected[:MAX_UNSENT_CASES_SHOWN]:
        left = f"more than is left of {case.budget_name}"
        reserved = format_price_usd(case.reserved_usd, is_exact=True)
        line = f"will not be sent: {case.id}: it reserves {reserved}, {left}"
        terminal.print(line, style="yellow")
    if len(expected) > MAX_UNSENT_CASES_SHOWN:
        more = len(expected) - MAX_UNSENT_CASES_SHOWN
        terminal.print(f"will not be sent: {more} more (--json has all)", style="yellow")
    if expected:
        enough = " ".join(forecast.sufficient_limits)
        is_failing = not limits_billable_requests or any(case.expected_usd for case in expected)
        effect = ", so the exit status will not be 0" if is_failing else ""
        line = f"what is not sent is not judged{effect}; {enough} pays for all of it"
        terminal.print(line)
    names = {case.id for case in expected}
    at_worst = [case for case in forecast.unaffordable_cases_at_worst if case.id not in names]
    if at_worst:
        requests = format_count(len(at_worst), "more request" if expected else "request")
        line = f"if the service charges all that it may, {requests} will not be sent, the first: {at_worst[0].id}"
        terminal.print(line, style="yellow")
