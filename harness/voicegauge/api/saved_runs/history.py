"""Reads the history of a folder of saved runs, and writes it as a page."""

from __future__ import annotations

from pathlib import Path

from voicegauge.api.options import PathLike
from voicegauge.api.progress import ProgressListener, report_phase
from voicegauge.bench.history import HistorySettings, RunHistory, read_run_history
from voicegauge.files import write_file
from voicegauge.report.history import render_history_page


def read_history(
    folder: PathLike,
    *,
    alpha: float = 0.01,
    min_slowdown: float = 0.05,
    min_error_rate_change: float = 0.02,
    progress: ProgressListener | None = None,
) -> RunHistory:
    """Follow the metrics of each target over the saved runs of a folder, night by night.

    A night is a calendar day in UTC; its runs are pooled. Runs that differ in provenance, region, suite, load or base
    URL are never mixed. A regression is reported when two nights in a row have shown it. What was read of a run is kept
    in `.voicegauge-history.sqlite` in the folder; the file may be deleted at any time.

    >>> history = voicegauge.read_history(saved_run)
    >>> history.run_count, [series.key.metric for series in history.series][:2], history.new_regressions
    (1, ['total_latency_ms', 'failures'], ())

    Args:
        folder: the folder that contains the folders of runs, at any depth.
        alpha: probability that a night without a change raises any alert.
        min_slowdown: relative changes of times that are smaller are ignored, even if statistically significant.
        min_error_rate_change: changes of error and failure rates that are smaller are ignored (0.02 is two percentage
            points).
        progress: receives progress.

    Returns:
        Series of values by night, changes of levels, changes of prices and contracts, and the runs that were left out.

    Raises:
        DataError: the folder cannot be read, or contains no finished run.
    """
    settings = HistorySettings(alpha=alpha, min_slowdown=min_slowdown, min_rate_change=min_error_rate_change)
    with report_phase(progress or ProgressListener(), "reading runs") as reading:
        return read_run_history(Path(folder), settings, reading.update)


def write_history_page(history: RunHistory, file: PathLike) -> Path:
    """Write a history as one self-contained HTML page, with a chart of each series and the time line.

    Args:
        history: the history returned by `read_history`.
        file: the file to write.

    Returns:
        The path of the file.

    Raises:
        UsageError: the file cannot be written.
    """
    path = Path(file)
    write_file(path, render_history_page(history).encode())
    return path
