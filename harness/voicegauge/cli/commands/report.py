"""`voicegauge report`: write saved runs as an HTML page, CSV, Markdown or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli.options import (
    CharacterCountType,
    OutputFile,
    OutputFolder,
    add_credit_rate_option,
    add_json_option,
    reject_outputs_to_same_file,
)
from voicegauge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicegauge.api import ReportFormat
    from voicegauge.report import AnalyzedRuns

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


@click.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=OutputFile(),
    metavar="FILE",
    help=f"Where to write; - for standard output.  [default: a page goes to {DEFAULT_PAGE_NAME} in the first "
    "run's folder, other formats to standard output]",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["html", "csv", "parquet", "markdown"]),
    help="A page, one row per sample (docs/samples.md), or a table of targets.  [default: by the suffix of FILE, else "
    "html]",
)
@click.option(
    "--text-length",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="Text length for which prices per million characters are stated.  [default: 500]",
)
@click.option(
    "--characters-per-month",
    type=CharacterCountType(),
    metavar="N",
    help="Number of characters of the month for which prices are stated, with the cheapest plan: 2M.  [default: 10M]",
)
@add_credit_rate_option
@click.option(
    "--clips",
    "max_clips",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of the worst clips of each run to include, besides one at random for each target; they make up most "
    "of a page's size.  [default: 24]",
)
@click.option(
    "--findings",
    "check_result_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Result of `check --json`: the page shows its findings with the targets they concern. May be repeated.",
)
@click.option(
    "--changes",
    "drift_result_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Result of `drift --json`: the page shows what changed at the provider of each target. May be repeated.",
)
@click.option(
    "--site",
    "site_folder",
    type=OutputFolder(),
    metavar="DIR",
    help="Write a static site instead: an index, a page for each RUN, and comparisons of consecutive runs.",
)
@add_json_option
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
def command(
    *,
    runs: tuple[Path, ...],
    out: str | None,
    format_name: ReportFormat | None,
    text_length: int | None,
    characters_per_month: int | None,
    credit_prices_usd: dict[str, float],
    max_clips: int | None,
    check_result_files: tuple[Path, ...],
    drift_result_files: tuple[Path, ...],
    site_folder: Path | None,
    json_path: str | None,
    open_page: bool,
) -> None:
    """Write one or several RUNs as one self-contained HTML page. A RUN is the folder of a saved run or its run.json."""
    from voicegauge import api
    from voicegauge.cli.console import write_json
    from voicegauge.cli.progress import TerminalProgress

    if site_folder is not None:
        if any(
            (
                out,
                format_name,
                json_path,
                check_result_files,
                drift_result_files,
                characters_per_month,
                credit_prices_usd,
            )
        ):
            raise UsageError(
                "--site writes pages of its own: leave out --out, --format, --json, --findings, --changes, "
                "--characters-per-month and --credit-rate"
            )
        page = api.write_site(
            runs, site_folder, text_length=text_length, max_clips=max_clips, progress=TerminalProgress()
        )
        _announce_page(page, open_page=open_page)
        return
    only_json = json_path == "-" and not (out or format_name or open_page or check_result_files or drift_result_files)
    report_format = format_name or _choose_format_by_suffix(out)
    has_results = bool(check_result_files or drift_result_files)
    _reject_contradictions(out, report_format, json_path, open_page=open_page, has_result_files=has_results)
    sources: Sequence[Path] | AnalyzedRuns = runs
    if json_path or report_format in ("html", "markdown"):
        analyzed = api.analyze_runs(
            runs,
            text_length=text_length,
            characters_per_month=characters_per_month,
            credit_prices_usd=credit_prices_usd,
            max_clips=max_clips,
        )
        if json_path:
            write_json(analyzed.report, json_path)
        if report_format in ("html", "markdown"):
            sources = analyzed
    if only_json:
        return
    if _writes_to_stdout(out, report_format) and report_format != "parquet":
        text = api.render_report(
            sources, format=report_format, check_result_files=check_result_files, drift_result_files=drift_result_files
        )
        click.echo(text.encode(), nl=False)
        return
    page = Path(out) if out else (runs[0] if runs[0].is_dir() else runs[0].parent) / DEFAULT_PAGE_NAME
    api.write_report(
        sources,
        page,
        format=report_format,
        check_result_files=check_result_files,
        drift_result_files=drift_result_files,
    )
    _announce_page(page, open_page=open_page, to_stderr=json_path == "-")


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
    from voicegauge.cli.console import print_escaped

    print_escaped(f"wrote {page}", to_stderr=to_stderr)
    if open_page:
        click.launch(page.resolve().as_uri())


def _choose_format_by_suffix(output_file: str | None) -> ReportFormat:
    suffix = Path(output_file or "").suffix.lower() if output_file != "-" else ""
    if suffix not in FORMAT_BY_SUFFIX:
        known = ", ".join(filter(None, FORMAT_BY_SUFFIX))
        raise UsageError(
            f"--out {output_file}: no format has the suffix {suffix} (known: {known}): choose one with --format"
        )
    return FORMAT_BY_SUFFIX[suffix]
