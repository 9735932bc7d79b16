"""`voicegauge history`: follow saved runs night by night, and find when a level changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import print_escaped, show_result
from voicegauge.cli.options import (
    OutputFile,
    add_change_threshold_options,
    add_json_option,
    reject_outputs_to_same_file,
)
from voicegauge.errors import EXIT_FINDINGS

if TYPE_CHECKING:
    from voicegauge.bench.history import RunHistory


@click.command("history")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("reports"))
@add_change_threshold_options(
    alpha_help="Probability that a night without a change raises any alert.",
    ignored_slowdowns_text="changes of times",
    ignored_error_rates_text="changes of error and failure rates",
)
@click.option(
    "--fail-on",
    type=click.Choice(["regression", "change", "never"]),
    default="regression",
    show_default=True,
    help="Exit with status 1 for a regression that the latest night has confirmed, for any change on that night "
    "(also an improvement, a price or a contract), or never.",
)
@click.option(
    "--html", "html_file", type=OutputFile(path_type=Path), metavar="FILE", help="Write the history as a page to FILE."
)
@add_json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    folder: Path,
    alpha: float,
    min_slowdown: float,
    min_error_rate_change: float,
    fail_on: str,
    html_file: Path | None,
    json_path: str | None,
) -> None:
    """Follow the saved runs in FOLDER night by night, and find when a level changed.

    A night is a calendar day in UTC; its runs are pooled. A change is reported after two nights in
    a row, at the earliest on the eighth night. Changes of prices and contracts are on the same time
    line. Live and emulated runs, regions, suites and loads are never mixed.

    What was read of a run is kept in .voicegauge-history.sqlite in FOLDER, which may be deleted.
    """
    from voicegauge import api
    from voicegauge.cli.history_tables import print_history
    from voicegauge.cli.progress import TerminalProgress

    reject_outputs_to_same_file(json=json_path, html=html_file)
    history = api.read_history(
        folder,
        alpha=alpha,
        min_slowdown=min_slowdown,
        min_error_rate_change=min_error_rate_change,
        progress=TerminalProgress(),
    )
    show_result(history, json_path, lambda: print_history(history))
    if html_file is not None:
        api.write_history_page(history, html_file)
        print_escaped(f"wrote {html_file}", to_stderr=json_path == "-")
    if _has_failed(history, fail_on):
        ctx.exit(EXIT_FINDINGS)


def _has_failed(history: RunHistory, fail_on: str) -> bool:
    if fail_on == "change":
        return history.has_new_change
    return fail_on == "regression" and bool(history.new_regressions)
