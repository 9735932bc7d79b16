"""Renders the findings of `check` and the changes of `drift` as one self-contained HTML page."""

from voicegauge.report.findings.check_page import build_check_page
from voicegauge.report.findings.drift_page import build_drift_page
from voicegauge.report.findings.findings_page import CoverageRow, FindingsPage, PageFinding, render_findings_page

__all__ = [
    "CoverageRow",
    "FindingsPage",
    "PageFinding",
    "build_check_page",
    "build_drift_page",
    "render_findings_page",
]
