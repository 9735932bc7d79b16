"""Saved runs as one self-contained HTML page, JSON, CSV or Markdown."""

from voicegauge.report.clips import CLIPS
from voicegauge.report.gather import Report, gather
from voicegauge.report.page import render_page
from voicegauge.report.tabular import render_csv, render_markdown
from voicegauge.report.writing import write_report

__all__ = [
    "CLIPS",
    "Report",
    "gather",
    "render_csv",
    "render_markdown",
    "render_page",
    "write_report",
]
