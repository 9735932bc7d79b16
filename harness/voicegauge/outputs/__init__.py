"""Writes findings as JUnit XML, SARIF, GitHub annotations and badges, and handles baselines of accepted findings.

`ExportedReport` is the common input of all writers. Each command converts its own report to an `ExportedReport`. The
writers are pure functions that return text.
"""

from voicegauge.outputs.badge import BadgeVerdict, format_badge_svg
from voicegauge.outputs.baseline import AcceptedFinding, FindingsBaseline, build_baseline, load_baseline
from voicegauge.outputs.exported_report import (
    ExportedReport,
    FileLocation,
    JUnitCase,
    ReportedFinding,
    RuleDescription,
    SarifLevel,
)
from voicegauge.outputs.github import format_step_summary, format_workflow_commands
from voicegauge.outputs.junit import format_junit_xml
from voicegauge.outputs.markdown import escape_markdown
from voicegauge.outputs.sarif import format_sarif_json

__all__ = [
    "AcceptedFinding",
    "BadgeVerdict",
    "ExportedReport",
    "FileLocation",
    "FindingsBaseline",
    "JUnitCase",
    "ReportedFinding",
    "RuleDescription",
    "SarifLevel",
    "build_baseline",
    "escape_markdown",
    "format_badge_svg",
    "format_junit_xml",
    "format_sarif_json",
    "format_step_summary",
    "format_workflow_commands",
    "load_baseline",
]
