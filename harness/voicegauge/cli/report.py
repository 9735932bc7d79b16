"""`voicegauge report`: write saved runs as an HTML page, CSV, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from voicegauge.api.local_requests import ReportRequest
from voicegauge.cli._commands import command_of
from voicegauge.cli._options import reject_outputs_to_same_file
from voicegauge.cli._output_options import JsonOutput, output_file_option
from voicegauge.errors import UsageError
from voicegauge.options import PathKind, Trust, option, request

if TYPE_CHECKING:
    from voicegauge.api.saved_runs import ReportFormat
    from voicegauge.report.report_data import AnalyzedRuns


FORMAT_BY_SUFFIX: dict[str, ReportFormat] = {
    "": "html",
    ".html": "html",
    ".htm": "html",
    ".csv": "csv",
    ".md": "markdown",
    ".parquet": "parquet",
}
"""Formats by suffix of the output file; they apply if `--format` is not given."""
DEFAULT_PAGE_NAME = "report.html"


@request
class ReportOutputs(JsonOutput):
    """What the command writes, and where."""

    out: str | None = output_file_option(
        "Where to write; - for standard output.",
        flag="--out",
        default_text=f"a page goes to {DEFAULT_PAGE_NAME} in the first run's folder, other formats to standard output",
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
        default=False,
        flag="--open",
        help="Open the page in the browser.",
        refusal_reason="it starts another program",
    )


@command_of("report", ReportRequest, ReportOutputs, has_time_limit=True)
def command(request: ReportRequest, outputs: ReportOutputs) -> None:
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
    from voicegauge.cli._console import write_json

    check_result_files, drift_result_files = outputs.check_result_files, outputs.drift_result_files
    has_results = bool(check_result_files or drift_result_files)
    is_only_json = outputs.json_path == "-" and not (
        outputs.out or outputs.format_name or outputs.open_page or has_results
    )
    report_format: ReportFormat = outputs.format_name or _choose_format_by_suffix(outputs.out)
    _reject_contradictions(
        outputs.out, report_format, outputs.json_path, open_page=outputs.open_page, has_result_files=has_results
    )
    runs = to_path_tuple(request.runs)
    sources: Sequence[Path] | AnalyzedRuns = runs
    if outputs.json_path or report_format in ("html", "markdown"):
        analyzed = run_analyze_runs(request)
        if outputs.json_path:
            write_json(analyzed.report, outputs.json_path)
        if report_format in ("html", "markdown"):
            sources = analyzed
    if is_only_json:
        return
    if _writes_to_stdout(outputs.out, report_format) and report_format != "parquet":
        text = render_report(
            sources, format=report_format, check_result_files=check_result_files, drift_result_files=drift_result_files
        )
        click.echo(text.encode(), nl=False)
        return
    page = Path(outputs.out) if outputs.out else (runs[0] if runs[0].is_dir() else runs[0].parent) / DEFAULT_PAGE_NAME
    write_report(
        sources,
        page,
        format=report_format,
        check_result_files=check_result_files,
        drift_result_files=drift_result_files,
    )
    _announce_page(page, open_page=outputs.open_page, to_stderr=outputs.json_path == "-")


def _reject_contradictions(
    output_file: str | None,
    report_format: ReportFormat,
    json_path: str | None,
    *,
    open_page: bool,
    has_result_files: bool,
) -> None:
    """Reject options that contradict the output format or the output file."""
    suffix = Path(output_file or "").suffix.lower()
    if suffix and FORMAT_BY_SUFFIX.get(suffix, report_format) != report_format:
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
    from voicegauge.cli._console import print_escaped

    print_escaped(f"wrote {page}", to_stderr=to_stderr)
    if open_page:
        click.launch(page.resolve().as_uri())


def _choose_format_by_suffix(output_file: str | None) -> ReportFormat:
    suffix = Path(output_file or "").suffix.lower() if output_file != "-" else ""
    if suffix not in FORMAT_BY_SUFFIX:
        known = ", ".join(filter(None, FORMAT_BY_SUFFIX))
        remedy = f"write --json {output_file}" if suffix == ".json" else "choose one with --format"
        raise UsageError(f"--out {output_file}: no format has the suffix {suffix} (known: {known}): {remedy}")
    return FORMAT_BY_SUFFIX[suffix]
