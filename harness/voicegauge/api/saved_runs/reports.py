"""Summarizes saved runs, and writes them as reports and static sites."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from voicegauge.api.options import PathLike
from voicegauge.api.progress import ProgressListener, report_phase
from voicegauge.api.saved_runs.loading import load_run, pause_garbage_collection
from voicegauge.api.target_selection import to_path_tuple
from voicegauge.bench.analysis import DEFAULT_CHARACTERS_PER_MONTH, DEFAULT_TEXT_LENGTH, convert_credits_to_usd
from voicegauge.bench.running import find_run_folder
from voicegauge.contract import check_credit_price
from voicegauge.errors import DataError, UnknownNameError
from voicegauge.files import write_file
from voicegauge.model import Run, write_parquet
from voicegauge.report import (
    DEFAULT_MAX_CLIPS,
    AnalyzedRuns,
    BenchReport,
    load_saved_results,
    render_csv,
    render_markdown,
    render_page,
)
from voicegauge.report import analyze_runs as analyze_saved_runs
from voicegauge.report import write_site as write_site_of_runs

TextReportFormat = Literal["html", "csv", "markdown"]
ReportFormat = Literal["html", "csv", "markdown", "parquet"]


@pause_garbage_collection()
def analyze_runs(
    runs: PathLike | Sequence[PathLike],
    *,
    text_length: int | None = None,
    characters_per_month: int | None = None,
    credit_prices_usd: Mapping[str, float] | None = None,
    max_clips: int | None = None,
) -> AnalyzedRuns:
    """Load and summarize one or several saved runs, so that reports in several formats can be written from the result.

    >>> analyzed = voicegauge.analyze_runs(saved_run, text_length=200)
    >>> voicegauge.write_report(analyzed, f"{folder}/short-texts.html").name
    'short-texts.html'

    Args:
        runs: folders of runs.
        text_length: number of characters of the text for which prices per million characters are stated; by default
            500.
        characters_per_month: number of characters of the month for which prices are stated, with the cheapest account
            plan for them; by default 10 million.
        credit_prices_usd: price of one credit in dollars by provider, for prices that are documented in credits alone.
        max_clips: number of clips with the highest error rates to list for each run; by default 24.

    Returns:
        The runs, with prices in dollars where `credit_prices_usd` has the price of a credit. The attribute `report` has
        all numbers that a report shows.

    Raises:
        DataError: a run cannot be read, or is given twice.
        UnknownNameError: no run has a target of a provider in `credit_prices_usd`.
        UsageError: the price of a credit is out of range.
    """
    for provider, usd in (credit_prices_usd or {}).items():
        check_credit_price(provider, usd)
    loaded = [(folder, convert_credits_to_usd(run, credit_prices_usd or {})) for folder, run in _load_runs(runs)]
    known = {target.id.partition("/")[0] for _, run in loaded for target in run.manifest.targets}
    for provider in credit_prices_usd or {}:
        if provider not in known:
            raise UnknownNameError("provider in the runs", provider, known)
    return analyze_saved_runs(
        loaded,
        text_length=text_length or DEFAULT_TEXT_LENGTH,
        characters_per_month=characters_per_month or DEFAULT_CHARACTERS_PER_MONTH,
        max_clips=max_clips or DEFAULT_MAX_CLIPS,
    )


def build_report(
    runs: PathLike | Sequence[PathLike],
    *,
    text_length: int | None = None,
    characters_per_month: int | None = None,
    credit_prices_usd: Mapping[str, float] | None = None,
    max_clips: int | None = None,
) -> BenchReport:
    """Summarize one or several saved runs.

    >>> report = voicegauge.build_report(saved_run)
    >>> [target.target for target in report.runs[0].targets]
    ['pixelapi/voice-design']

    Args:
        runs: folders of runs.
        text_length: see `analyze_runs`.
        characters_per_month: see `analyze_runs`.
        credit_prices_usd: see `analyze_runs`.
        max_clips: see `analyze_runs`.

    Returns:
        All numbers that a report shows.

    Raises:
        DataError: a run cannot be read, or is given twice.
        UnknownNameError: no run has a target of a provider in `credit_prices_usd`.
        UsageError: the price of a credit is out of range.
    """
    return analyze_runs(
        runs,
        text_length=text_length,
        characters_per_month=characters_per_month,
        credit_prices_usd=credit_prices_usd,
        max_clips=max_clips,
    ).report


@pause_garbage_collection()
def render_report(
    runs: PathLike | Sequence[PathLike] | AnalyzedRuns,
    *,
    format: TextReportFormat = "html",
    check_result_files: Sequence[PathLike] = (),
    drift_result_files: Sequence[PathLike] = (),
) -> str:
    """Render saved runs as a self-contained HTML page, as CSV or as Markdown.

    Args:
        runs: folders of runs, which are analyzed with default settings; or the result of `analyze_runs`.
        format: "html" for a page with players, "csv" for one row per sample, "markdown" for a table.
        check_result_files: files that `check --json` has written; an HTML page shows each finding with the targets that
            it concerns.
        drift_result_files: files that `drift --json` has written; an HTML page shows the changes with the targets of
            the provider.

    Returns:
        The content of the page, CSV file or Markdown file.

    Raises:
        DataError: a run or a result cannot be read.
    """
    results = load_saved_results(to_path_tuple(check_result_files), to_path_tuple(drift_result_files))
    if format == "csv":
        return render_csv(_load_runs(runs))
    analyzed = runs if isinstance(runs, AnalyzedRuns) else analyze_runs(runs)
    return render_markdown(analyzed) if format == "markdown" else render_page(analyzed, saved_results=results)


def _load_runs(runs: PathLike | Sequence[PathLike] | AnalyzedRuns) -> Sequence[tuple[Path, Run]]:
    """Return each run with its folder."""
    if isinstance(runs, AnalyzedRuns):
        return runs.runs
    loaded = [(find_run_folder(path), load_run(path)) for path in to_path_tuple(runs)]
    _reject_repeated_runs(loaded)
    return loaded


def _reject_repeated_runs(runs: Sequence[tuple[Path, Run]]) -> None:
    for number, (folder, run) in enumerate(runs):
        first = next((other for other, same in runs[:number] if same.manifest == run.manifest and same == run), None)
        if first is not None:
            copied = "is given twice" if first.resolve() == folder.resolve() else f"is a copy of {first}"
            raise DataError(f"{folder}: {copied}: name each run once")


def write_report(
    runs: PathLike | Sequence[PathLike] | AnalyzedRuns,
    file: PathLike,
    *,
    format: ReportFormat = "html",
    check_result_files: Sequence[PathLike] = (),
    drift_result_files: Sequence[PathLike] = (),
) -> Path:
    """Write a report of saved runs to a file.

    >>> page = voicegauge.write_report(saved_run, f"{folder}/page.html")
    >>> page.suffix
    '.html'

    Args:
        runs: see `render_report`.
        file: the file to write.
        format: see `render_report`; "parquet" for one row per sample as a Parquet file, which needs the extra `data`.
        check_result_files: see `render_report`.
        drift_result_files: see `render_report`.

    Returns:
        The path of the file.

    Raises:
        DataError: a run cannot be read.
        UsageError: the file cannot be written.
        MissingExtraError: the extra `data` is not installed.
    """
    path = Path(file)
    if format == "parquet":
        content = io.BytesIO()
        write_parquet((row for _, run in _load_runs(runs) for row in run.iterate_sample_rows()), content)
        write_file(path, content.getvalue())
    else:
        text = render_report(
            runs, format=format, check_result_files=check_result_files, drift_result_files=drift_result_files
        )
        write_file(path, text.encode())
    return path


def write_site(
    runs: PathLike | Sequence[PathLike],
    folder: PathLike,
    *,
    text_length: int | None = None,
    max_clips: int | None = None,
    progress: ProgressListener | None = None,
) -> Path:
    """Write saved runs as a static site: an index, a page for each run, and comparisons of consecutive runs.

    >>> voicegauge.write_site(saved_run, f"{folder}/site").name
    'index.html'

    Args:
        runs: folders of runs; one that is named twice is written once.
        folder: the folder of the site. If it contains `history.html`, the index links to it.
        text_length: number of characters of the text for which prices are stated; by default 500.
        max_clips: number of the worst clips on the page of each run; by default 24.
        progress: receives progress.

    Returns:
        The path of the index.

    Raises:
        DataError: a run cannot be read.
        UsageError: a file cannot be written.
    """
    folders = dict.fromkeys(find_run_folder(path).resolve() for path in to_path_tuple(runs))
    loaded = _load_runs(list(folders))
    with report_phase(progress or ProgressListener(), "writing pages", len(loaded)) as writing:
        return write_site_of_runs(
            loaded,
            Path(folder),
            text_length=text_length or DEFAULT_TEXT_LENGTH,
            max_clips=max_clips or DEFAULT_MAX_CLIPS,
            on_page_written=writing.update,
        )
