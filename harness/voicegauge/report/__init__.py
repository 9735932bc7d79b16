"""Reports saved runs as one self-contained HTML page, JSON, CSV or Markdown."""

from voicegauge.report.csv_markdown import render_csv, render_markdown
from voicegauge.report.html_page import render_page, write_report
from voicegauge.report.report_data import AnalyzedRuns, BenchReport, analyze_runs
from voicegauge.report.scored_clips import DEFAULT_MAX_CLIPS
from voicegauge.report.static_site import write_site
from voicegauge.report.target_checks import SavedResults, load_saved_results

__all__ = [
    "DEFAULT_MAX_CLIPS",
    "AnalyzedRuns",
    "BenchReport",
    "SavedResults",
    "analyze_runs",
    "load_saved_results",
    "render_csv",
    "render_markdown",
    "render_page",
    "write_report",
    "write_site",
]
