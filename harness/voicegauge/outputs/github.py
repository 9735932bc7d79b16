"""GitHub Actions: annotations through workflow commands, and the job summary.

Workflow commands escape %, CR and LF in their message, and : and , as well in their properties. GitHub shows only the
first ten annotations per level and step; the summary lists up to `MAX_ROWS` findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voicegauge.outputs.exported_report import ExportedReport, ReportedFinding, ResultLevel
from voicegauge.outputs.markdown import escape_markdown

COMMANDS = {ResultLevel.ERROR: "error", ResultLevel.WARNING: "warning", ResultLevel.NOTE: "notice"}
MAX_ROWS = 200
"""Findings in a summary: GitHub rejects summaries of more than 1 MiB, and a row can have some kilobytes."""


def workflow_commands(report: ExportedReport, root: Path) -> str:
    """One workflow command per finding, one per line, most severe first.

    Args:
        report: the findings.
        root: the checkout; a file outside it is named only in the message, because GitHub cannot show it.
    """
    return "".join(f"{_annotation(finding, root)}\n" for finding in report.findings)


def _annotation(finding: ReportedFinding, root: Path) -> str:
    properties = {"title": f"{finding.rule} {finding.subject}"}
    location = finding.location
    file = location.relative_to(root) if location else None
    if file is not None:
        line = {} if location is None or location.line is None else {"line": str(location.line)}
        properties = {"file": file, **line, **properties}
    encoded = ",".join(f"{name}={_escape_property(value)}" for name, value in properties.items())
    return f"::{COMMANDS[finding.level]} {encoded}::{_escape_message(finding.details)}"


def _escape_message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_message(text).replace(":", "%3A").replace(",", "%2C")


def step_summary(report: ExportedReport, headline: str) -> str:
    """The job summary in GitHub's Markdown: a headline and a table of findings.

    Args:
        report: the findings.
        headline: one line that sums up the report.
    """
    return "\n".join(["## voicegauge", "", escape_markdown(headline), "", *_table(report.findings), ""])


def _table(findings: tuple[ReportedFinding, ...]) -> Iterator[str]:
    if not findings:
        return
    yield "| severity | rule | operation | observed |"
    yield "|---|---|---|---|"
    for finding in findings[:MAX_ROWS]:
        cells = (finding.severity, finding.rule, finding.subject, finding.message)
        yield f"| {' | '.join(map(escape_markdown, cells))} |"
    if len(findings) > MAX_ROWS:
        yield f"\nand {len(findings) - MAX_ROWS} more"
