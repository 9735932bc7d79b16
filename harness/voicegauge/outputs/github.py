"""Writes findings for GitHub Actions: as annotations, which workflow commands create, and as a job summary.

In the message of a workflow command, %, CR and LF are escaped. In its properties, ":" and "," are escaped too.
GitHub shows only the first ten annotations of each level in a step. The summary lists up to `MAX_SUMMARY_ROWS`
findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voicegauge.outputs.exported_report import ExportedReport, ReportedFinding, SarifLevel
from voicegauge.outputs.markdown import escape_markdown

_WORKFLOW_COMMAND_BY_LEVEL = {SarifLevel.ERROR: "error", SarifLevel.WARNING: "warning", SarifLevel.NOTE: "notice"}
"""Names of the workflow commands that create annotations, by the level of the finding."""
MAX_SUMMARY_ROWS = 200
"""Largest number of findings in a summary. GitHub rejects summaries above 1 MiB, and a row can have some kilobytes."""


def format_workflow_commands(report: ExportedReport, repository_folder: Path) -> str:
    """Return one workflow command per finding, each on its own line, most severe first.

    Args:
        report: the report with the findings.
        repository_folder: the folder of the checkout. GitHub cannot show files outside of it, so only the message
            names them.
    """
    return "".join(f"{_format_annotation(finding, repository_folder)}\n" for finding in report.findings)


def _format_annotation(finding: ReportedFinding, repository_folder: Path) -> str:
    properties = {"title": f"{finding.rule} {finding.operation_path}"}
    location = finding.location
    file = location.make_path_relative_to(repository_folder) if location else None
    if file is not None:
        line = {} if location is None or location.line is None else {"line": str(location.line)}
        properties = {"file": file, **line, **properties}
    encoded = ",".join(f"{name}={_escape_command_property(value)}" for name, value in properties.items())
    return f"::{_WORKFLOW_COMMAND_BY_LEVEL[finding.level]} {encoded}::{_escape_command_message(finding.detailed_text)}"


def _escape_command_message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_command_property(text: str) -> str:
    return _escape_command_message(text).replace(":", "%3A").replace(",", "%2C")


def format_step_summary(report: ExportedReport, headline: str) -> str:
    """Return the job summary in GitHub's Markdown, with a headline and a table of findings.

    Args:
        report: the report with the findings.
        headline: one line that sums up the report.
    """
    return "\n".join(["## voicegauge", "", escape_markdown(headline), "", *_format_findings_table(report.findings), ""])


def _format_findings_table(findings: tuple[ReportedFinding, ...]) -> Iterator[str]:
    if not findings:
        return
    yield "| severity | rule | operation | observed |"
    yield "|---|---|---|---|"
    for finding in findings[:MAX_SUMMARY_ROWS]:
        message = "; ".join((finding.message, *finding.other_messages))
        cells = (finding.severity, finding.rule, finding.operation_path, message)
        yield f"| {' | '.join(map(escape_markdown, cells))} |"
    if len(findings) > MAX_SUMMARY_ROWS:
        yield f"\nand {len(findings) - MAX_SUMMARY_ROWS} more"
