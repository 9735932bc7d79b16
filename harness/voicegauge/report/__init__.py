"""Reports saved runs as one self-contained HTML page, JSON, CSV or Markdown."""

from voicegauge.report.csv_markdown import render_csv, render_markdown
from voicegauge.report.html_page import render_page, write_report
from voicegauge.report.report_data import BenchReport, summarize_runs
from voicegauge.report.scored_clips import MAX_CLIPS

__all__ = [
    "MAX_CLIPS",
    "BenchReport",
    "render_csv",
    "render_markdown",
    "render_page",
    "summarize_runs",
    "write_report",
]
