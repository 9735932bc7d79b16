"""Scores, compares and reports saved benchmark runs, and follows them over time."""

from __future__ import annotations

from voicegauge.api.saved_runs.comparisons import compare, compare_targets
from voicegauge.api.saved_runs.history import read_history, write_history_page
from voicegauge.api.saved_runs.loading import load_run
from voicegauge.api.saved_runs.reports import (
    ReportFormat,
    analyze_runs,
    build_report,
    render_report,
    write_report,
    write_site,
)
from voicegauge.api.saved_runs.scoring import ScoreResult, score

__all__ = [
    "ReportFormat",
    "ScoreResult",
    "analyze_runs",
    "build_report",
    "compare",
    "compare_targets",
    "load_run",
    "read_history",
    "render_report",
    "score",
    "write_history_page",
    "write_report",
    "write_site",
]
