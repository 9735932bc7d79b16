"""`voicegauge report`, `score` and `history`: read saved runs and show what they say."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from voicegauge.api.local_requests import HistoryRequest, ReportRequest, ScoreRequest
from voicegauge.bench.run_history import MetricSeries, RunHistory, SeriesKey
from voicegauge.cli import create_command_of_requests
from voicegauge.cli._console import (
    build_rehearsal_label,
    create_console,
    create_table,
    print_escaped,
    print_table,
    show_result,
    write_json,
)
from voicegauge.cli._options import (
    FailedWriteCollector,
    JsonOutput,
    SummaryOutputs,
    output_file_option,
    reject_outputs_to_same_file,
)
from voicegauge.errors import EXIT_FINDINGS, EXIT_OK, NothingMeasuredError, UsageError
from voicegauge.files import PAGE_MARK
from voicegauge.model.base import Provenance
from voicegauge.options import PathKind, Trust, option, request
from voicegauge.printable_text import format_count
from voicegauge.report.history_page import (
    METRIC_LABELS,
    NOT_JUDGED_TEXT,
    ConfigurationLabels,
    TimelineEntry,
    build_timeline,
    find_nights,
    label_configurations,
    list_clips_left_out,
    list_provenances,
    name_series,
)
from voicegauge.report.text_format import format_value

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from voicegauge.api.saved_runs import ReportFormat, ScoreResult
    from voicegauge.bench.history_store import HistoryMetric
    from voicegauge.report.report_data import AnalyzedRuns


REPORT_FORMAT_BY_SUFFIX: dict[str, ReportFormat] = {
    "": "html",
    ".html": "html",
    ".htm": "html",
    ".csv": "csv",
    ".md": "markdown",
    ".parquet": "parquet",
}
"""Formats by suffix of the output file; they apply if `--format` is not given."""
DEFAULT_REPORT_FILE_NAME = "report.html"
"""Name of the page in the folder of the first run."""


@request
class ReportOutputs(JsonOutput):
    """What `voicegauge report` writes, and where."""

    out: str | None = output_file_option(
        "Where to write; - for standard output.",
        flag="--out",
        default_text=f"a page goes to {DEFAULT_REPORT_FILE_NAME} in the first run's folder, other formats to standard "
        "output",
    )
    format_name: Literal["html", "csv", "parquet", "markdown"] | None = option(
        default=None,
        flag="--format",
        help="A page, one row per sample (docs/samples.md), or a table of targets.",
        default_text="by the suffix of FILE, else html",
        found_file=Trust.ANY_VALUE,
    )
    check_result_files: Sequence[Path] = option(
        default=(),
        flag="--findings",
        help="Result of `check --json`: the page shows its findings with the targets they concern.",
        metavar="FILE",
        found_file=Trust.PATH_IN_FOLDER,
    )
    drift_result_files: Sequence[Path] = option(
        default=(),
        flag="--changes",
        help="Result of `drift --json`: the page shows what changed at the provider of each target.",
        metavar="FILE",
        found_file=Trust.PATH_IN_FOLDER,
    )
    site_folder: Path | None = option(
        default=None,
        flag="--site",
        help="Write a static site instead: an index, a page for each RUN, and comparisons of consecutive runs.",
        metavar="DIR",
        path=PathKind.OUTPUT_FOLDER,
        excludes=(
            "out",
            "format_name",
            "json_path",
            "check_result_files",
            "drift_result_files",
            "characters_per_month",
            "credit_prices_usd",
        ),
        found_file=Trust.NEW_OUTPUT,
    )
    open_page: bool = option(
        default=False, flag="--open", help="Open the page in the browser.", refusal_reason="it starts another program"
    )


@create_command_of_requests("report", ReportRequest, ReportOutputs, has_time_limit=True)
def report_command(request: ReportRequest, outputs: ReportOutputs) -> None:
    """Write one or several RUNs as one self-contained HTML page. A RUN is the folder of a saved run or its run.json."""
    from voicegauge.api.saved_runs import write_site
    from voicegauge.cli._progress import TerminalProgress

    if outputs.site_folder is None:
        _write_report(request, outputs)
        return
    page = write_site(
        request.runs,
        outputs.site_folder,
        text_length=request.text_length,
        max_clips=request.max_clips,
        progress=TerminalProgress(),
    )
    _announce_page(page, open_page=outputs.open_page)


def _write_report(request: ReportRequest, outputs: ReportOutputs) -> None:
    from voicegauge.api.saved_runs import render_report, run_analyze_runs, write_report
    from voicegauge.api.target_selection import to_path_tuple

    check_result_files, drift_result_files = outputs.check_result_files, outputs.drift_result_files
    has_results = bool(check_result_files or drift_result_files)
    is_only_json = outputs.json_path == "-" and not (
        outputs.out or outputs.format_name or outputs.open_page or has_results
    )
    report_format: ReportFormat = outputs.format_name or _choose_format_by_suffix(outputs.out)
    _reject_contradictory_outputs(
        outputs.out, report_format, outputs.json_path, open_page=outputs.open_page, has_result_files=has_results
    )
    runs = to_path_tuple(request.runs)
    sources: Sequence[Path] | AnalyzedRuns = runs
    is_empty = False
    if outputs.json_path or report_format in ("html", "markdown"):
        analyzed = run_analyze_runs(request)
        is_empty = not any(run.samples for _, run in analyzed.runs)
        if outputs.json_path:
            write_json(analyzed.report, outputs.json_path)
        for damaged in filter(None, (run.damaged_audio for run in analyzed.report.runs)):
            print_escaped(damaged, to_stderr=True)
        if report_format in ("html", "markdown"):
            # The page shows what the JSON has: both are of one analysis, which takes most of the time.
            sources = analyzed
    # `--json -` alone asks for no page.
    if is_only_json:
        return
    if _writes_to_stdout(outputs.out, report_format) and report_format != "parquet":
        text = render_report(
            sources, format=report_format, check_result_files=check_result_files, drift_result_files=drift_result_files
        )
        click.echo(text.encode(), nl=False)
        return
    page = (
        Path(outputs.out)
        if outputs.out
        else (runs[0] if runs[0].is_dir() else runs[0].parent) / DEFAULT_REPORT_FILE_NAME
    )
    write_report(
        sources,
        page,
        format=report_format,
        check_result_files=check_result_files,
        drift_result_files=drift_result_files,
    )
    _announce_page(page, open_page=outputs.open_page, to_stderr=outputs.json_path == "-")
    if is_empty:
        raise NothingMeasuredError("nothing was measured: no request of these runs has a result")


def _reject_contradictory_outputs(
    output_file: str | None,
    report_format: ReportFormat,
    json_path: str | None,
    *,
    open_page: bool,
    has_result_files: bool,
) -> None:
    """Reject options that contradict the output format or the output file.

    `output_file` and `json_path` are the values of `--out` and `--json`; `None` if these are not given.
    """
    suffix = Path(output_file or "").suffix.lower()
    if suffix and REPORT_FORMAT_BY_SUFFIX.get(suffix, report_format) != report_format:
        raise UsageError(
            f"--out {output_file} contradicts --format {report_format}: leave out --format, or rename the file"
        )
    if open_page and (report_format != "html" or output_file == "-"):
        raise UsageError("--open shows a page: choose --format html, and a file with --out")
    if _writes_to_stdout(output_file, report_format) and report_format == "parquet":
        raise UsageError("Parquet is not text: name a file with --out FILE.parquet")
    if has_result_files and report_format != "html":
        raise UsageError("--findings and --changes are shown on a page: choose --format html")
    if json_path == "-" and _writes_to_stdout(output_file, report_format):
        raise UsageError("--json - and the report both write to standard output: give one of them a file")
    reject_outputs_to_same_file(json=json_path, out=output_file)


def _writes_to_stdout(output_file: str | None, report_format: ReportFormat) -> bool:
    return output_file == "-" or (output_file is None and report_format != "html")


def _announce_page(page: Path, *, open_page: bool, to_stderr: bool = False) -> None:
    print_escaped(f"wrote {page}", to_stderr=to_stderr)
    if open_page:
        click.launch(page.resolve().as_uri())


def _choose_format_by_suffix(output_file: str | None) -> ReportFormat:
    suffix = Path(output_file or "").suffix.lower() if output_file != "-" else ""
    if suffix not in REPORT_FORMAT_BY_SUFFIX:
        known = ", ".join(filter(None, REPORT_FORMAT_BY_SUFFIX))
        remedy = f"write --json {output_file}" if suffix == ".json" else "choose one with --format"
        raise UsageError(f"--out {output_file}: no format has the suffix {suffix} (known: {known}): {remedy}")
    return REPORT_FORMAT_BY_SUFFIX[suffix]


@create_command_of_requests("score", ScoreRequest, JsonOutput, has_time_limit=True)
def score_command(request: ScoreRequest, output: JsonOutput) -> None:
    """Listen to the saved RUN (its folder or its run.json), transcribe it and count the errors.

    "auto" uses Whisper if its official weights are installed, otherwise faster-whisper if
    that is installed. Otherwise it uses, for emulated runs only, a bundled recognizer, which
    is made for the bundled suites. A live run is not transcribed without official
    weights; "none" only listens. The scores are saved in the run together with the scores of
    other engines. What was transcribed before --max-time or Ctrl-C is kept: the same command
    goes on.
    """
    from voicegauge.api.saved_runs import run_score
    from voicegauge.cli._progress import TerminalProgress

    result = run_score(dataclasses.replace(request, progress=TerminalProgress()))
    show_result(result, output.json_path, lambda: _print_scores(result))


def _print_scores(result: ScoreResult) -> None:
    from voicegauge.api.saved_runs import load_run
    from voicegauge.bench.target_summaries import summarize_targets
    from voicegauge.cli._bench_tables import print_summaries

    scores = result.scores
    run = load_run(result.run_folder)
    print_summaries(summarize_targets(run, scores), scores, run.manifest, run.describe_counted_ramp_samples())
    out = create_console()
    for errors in scores.reference_speech_errors if scores is not None else ():
        rate = errors.error_count / max(errors.reference_unit_count, 1)
        out.print(
            f"ASR error on reference speech: {errors.language}: {rate:.1%} of {errors.reference_unit_count} "
            f"{errors.unit}s are wrong in reference speech of the same {errors.text_count} texts"
        )


_SPARKLINE_BLOCKS = "▁▂▃▄▅▆▇█"
"""The characters of a trend, from the lowest value to the highest."""
MAX_SPARKLINE_NIGHTS = 24
"""Largest number of nights that the trend of a metric shows; these are the latest ones."""
MAX_TIMELINE_ENTRIES = 20
"""Largest number of entries of the time line that are printed, the latest ones."""
MAX_SKIPPED_RUNS_SHOWN = 10
"""Largest number of skipped runs that are printed with the reason."""
_STYLE_BY_CHANGE_KIND = {"regression": "red", "improvement": "green", "lost": "yellow"}
"""Styles of the entries of the time line; others have none."""


def print_history(history: RunHistory) -> None:
    """Print trends and the time line, live and emulated runs apart, and what was left out."""
    console = create_console()
    for provenance in list_provenances(history):
        _print_history_of_provenance(console, history, provenance)
    for run in history.skipped_runs[:MAX_SKIPPED_RUNS_SHOWN]:
        console.print(f"left out: {run.path}: {run.reason}")
    hidden = len(history.skipped_runs) - MAX_SKIPPED_RUNS_SHOWN
    if hidden > 0:
        console.print(f"left out: {hidden} more; --json lists all")
    if not history.has_series_long_enough:
        console.print(NOT_JUDGED_TEXT)
        return
    alerts = len(history.new_regressions)
    console.print(
        format_count(alerts, "alert") + f" on the latest night, {history.nights[-1]}", style="red" if alerts else ""
    )


def _print_history_of_provenance(console: Console, history: RunHistory, provenance: Provenance) -> None:
    nights = find_nights(history, provenance)
    if provenance is Provenance.LIVE:
        console.print("LIVE", style="bold")
    else:
        console.print(build_rehearsal_label("EMULATED", "these runs measured the emulator, not a provider"))
    console.print(f"{format_count(len(nights), 'night')}, {nights[0]} to {nights[-1]}")
    series = [one for one in history.series if one.key.provenance == provenance]
    configuration_labels = label_configurations(series)
    print_table(console, _build_trend_table(series, configuration_labels))
    if configuration_labels.labels:
        console.print(f"all configurations: {configuration_labels.shared_label}")
    for number, label in enumerate(configuration_labels.labels, 1):
        console.print(f"configuration {number}: {label}")
    for kind, get_origin in _GETTER_BY_ORIGIN_KIND.items():
        origins = list(dict.fromkeys(found for one in series if (found := get_origin(one.key)) is not None))
        if len(origins) > 1:
            print_table(console, _build_origin_table(kind, series, origins, configuration_labels))
    for line in list_clips_left_out(series):
        console.print(line)
    _print_timeline(console, build_timeline(history, provenance))


def _build_trend_table(series: Sequence[MetricSeries], configuration_labels: ConfigurationLabels) -> Table:
    """Return the table of all series. Those of one metric and place stand together, the latest configuration first."""
    latest_night = max(one.nights[-1].night for one in series)
    has_ended = any(one.nights[-1].night < latest_night for one in series)
    heads = ["nights", "trend", "first", "latest", *(["until"] if has_ended else [])]
    table = create_table("target, metric", *heads, right_aligned_columns=("nights", "first", "latest"))
    target = None
    for _, group in itertools.groupby(series, lambda one: (one.key.target, one.key.metric, one.key.origin)):
        for one in sorted(group, key=lambda one: configuration_labels.get_label_number(one.key.configuration) or 0):
            key, values, until = one.key, [night.value for night in one.nights], one.nights[-1].night
            if key.target != target:
                table.add_row(key.target)
                target = key.target
            table.add_row(
                f"  {name_series(key, configuration_labels)}",
                str(len(values)),
                draw_sparkline(values[-MAX_SPARKLINE_NIGHTS:]),
                format_value(key.unit, values[0]),
                format_value(key.unit, values[-1]),
                *([until if until < latest_night else ""] if has_ended else []),
            )
    return table


_GETTER_BY_ORIGIN_KIND: dict[str, Callable[[SeriesKey], str | None]] = {
    "region": lambda key: key.region,
    "place": lambda key: key.place,
}


def _build_origin_table(
    origin_kind: str, series: Sequence[MetricSeries], origins: Sequence[str], configuration_labels: ConfigurationLabels
) -> Table:
    """Return a table with the values of the latest night, in a column for each region or place.

    A value has the number of its configuration. A metric has several rows if it was measured in several configurations
    from one place on that night.
    """
    latest_night = max(one.nights[-1].night for one in series)
    table = create_table(f"latest night, by {origin_kind}", *origins, right_aligned_columns=tuple(origins))
    by_target: dict[str, dict[HistoryMetric, dict[str, list[str]]]] = {}
    for one in series:
        origin = _GETTER_BY_ORIGIN_KIND[origin_kind](one.key)
        if origin is not None and one.nights[-1].night == latest_night:
            number = configuration_labels.get_label_number(one.key.configuration)
            value = f"{format_value(one.key.unit, one.nights[-1].value)}{f' ({number})' if number is not None else ''}"
            by_origin = by_target.setdefault(one.key.target, {}).setdefault(one.key.metric, {})
            by_origin.setdefault(origin, []).append(value)
    for target, metrics in by_target.items():
        table.add_row(target)
        for metric, by_origin in metrics.items():
            for cells in itertools.zip_longest(*(by_origin.get(origin, []) for origin in origins), fillvalue=""):
                table.add_row(f"  {METRIC_LABELS[metric]}", *cells)
    return table


def draw_sparkline(values: Sequence[float]) -> str:
    """Return one block character for each value, whose height is between the lowest and the highest value."""
    low, high = min(values), max(values)
    steps = len(_SPARKLINE_BLOCKS) - 1
    return "".join(
        _SPARKLINE_BLOCKS[round((value - low) / (high - low) * steps) if high > low else 0] for value in values
    )


def _print_timeline(console: Console, entries: Sequence[TimelineEntry]) -> None:
    if not entries:
        console.print("no change of a level, a price or a contract")
        return
    hidden = len(entries) - MAX_TIMELINE_ENTRIES
    if hidden > 0:
        console.print(f"{format_count(hidden, 'earlier change')}: see --json or --html")
    for entry in entries[-MAX_TIMELINE_ENTRIES:]:
        mark = "NEW " if entry.is_new else ""
        console.print(
            f"{entry.night} {mark}{entry.change_kind}: {entry.subject}: {entry.text}",
            style=_STYLE_BY_CHANGE_KIND.get(entry.change_kind),
        )


@request
class HistoryOptions(SummaryOutputs):
    """What `voicegauge history` writes, and when it fails."""

    fail_on: Literal["regression", "change", "never"] = option(
        default="regression",
        help="Exit with status 1 for a regression that the latest night has confirmed, for any change on that night "
        "(also an improvement, a price or a contract), or never.",
        found_file=Trust.ANY_VALUE,
    )
    html_file: Path | None = output_file_option(
        "Write the history as a page to FILE.", flag="--html", replaced_mark=PAGE_MARK
    )


@create_command_of_requests("history", HistoryRequest, HistoryOptions, has_time_limit=True)
def history_command(request: HistoryRequest, options: HistoryOptions) -> int:
    """Follow the saved runs in FOLDER night by night, and find when a level changed.

    A night is a calendar day in UTC; its runs are pooled. A change is reported after two nights in
    a row, at the earliest on the eighth night. Changes of prices and contracts are on the same time
    line. Live and emulated runs, regions, places, suites and loads are never
    mixed.

    What was read of a run is kept in .voicegauge-history.sqlite in FOLDER, which may be deleted.
    """
    from voicegauge.api.result_files import write_history_page
    from voicegauge.api.saved_runs import run_read_history
    from voicegauge.cli._progress import TerminalProgress
    from voicegauge.report.result_summaries import summarize

    options.reject_conflicting_outputs(html=options.html_file)
    history = run_read_history(dataclasses.replace(request, progress=TerminalProgress()))
    show_result(history, options.json_path, lambda: print_history(history))
    if options.html_file is not None:
        write_history_page(history, options.html_file)
        print_escaped(f"wrote {options.html_file}", to_stderr=options.json_path == "-")
    has_failing_change = {
        "regression": bool(history.new_regressions),
        "change": history.has_new_change,
        "never": False,
    }
    fails, failed_writes = has_failing_change[options.fail_on], FailedWriteCollector()
    options.write_summaries(summarize(history, fails=fails), failed_writes)
    failed_writes.raise_collected_errors()
    return EXIT_FINDINGS if fails else EXIT_OK
