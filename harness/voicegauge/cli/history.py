"""`voicegauge history`: follow saved runs night by night, and find when a level changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from voicegauge.api.local_requests import HistoryRequest
from voicegauge.cli._commands import command_of
from voicegauge.cli._console import print_escaped, show_result
from voicegauge.cli._output_options import FailedWriteCollector, SummaryOutputs, output_file_option
from voicegauge.errors import EXIT_FINDINGS, EXIT_OK
from voicegauge.options import Trust, option, request

if TYPE_CHECKING:
    from voicegauge.bench.run_history import RunHistory


@request
class HistoryOptions(SummaryOutputs):
    """What the command writes, and when it fails."""

    fail_on: Literal["regression", "change", "never"] = option(
        default="regression",
        help="Exit with status 1 for a regression that the latest night has confirmed, for any change on that night "
        "(also an improvement, a price or a contract), or never.",
        found_file=Trust.ANY_VALUE,
    )
    html_file: Path | None = output_file_option("Write the history as a page to FILE.", flag="--html")


@command_of("history", HistoryRequest, HistoryOptions, has_time_limit=True)
def command(request: HistoryRequest, options: HistoryOptions) -> int:
    """Follow the saved runs in FOLDER night by night, and find when a level changed.

    A night is a calendar day in UTC; its runs are pooled. A change is reported after two nights in
    a row, at the earliest on the eighth night. Changes of prices and contracts are on the same time
    line. Live and emulated runs, regions, places, suites and loads are never
    mixed.

    What was read of a run is kept in .voicegauge-history.sqlite in FOLDER, which may be deleted.
    """
    from voicegauge.api.saved_runs import run_history, write_history_page
    from voicegauge.cli._history_tables import print_history
    from voicegauge.cli._progress import TerminalProgress
    from voicegauge.report.result_summaries import summarize

    options.reject_conflicting_outputs(html=options.html_file)
    history = run_history(dataclasses.replace(request, progress=TerminalProgress()))
    show_result(history, options.json_path, lambda: print_history(history))
    if options.html_file is not None:
        write_history_page(history, options.html_file)
        print_escaped(f"wrote {options.html_file}", to_stderr=options.json_path == "-")
    fails, failed_writes = _has_failed(history, options.fail_on), FailedWriteCollector()
    options.write_summaries(summarize(history, fails=fails), failed_writes)
    failed_writes.raise_collected_errors()
    return EXIT_FINDINGS if fails else EXIT_OK


def _has_failed(history: RunHistory, fail_on: str) -> bool:
    if fail_on == "change":
        return history.has_new_change
    return fail_on == "regression" and bool(history.new_regressions)
