"""GitHub Actions: annotations by workflow commands, and the summary of a step.

A command's data escapes %, CR and LF; its properties escape : and , as well. GitHub
shows the first ten annotations of each kind of a step; the summary has all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voicegauge.conformance.outputs.wording import details, operation_of, path_in
from voicegauge.conformance.result import CheckReport
from voicegauge.model import Finding, Severity

COMMANDS = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.DISPUTED: "notice",
    Severity.INFO: "notice",
}
MAX_ROWS = 200
"""Findings in a summary: GitHub refuses one of more than a mebibyte."""


def workflow_commands(report: CheckReport, root: Path) -> str:
    """A workflow command for each finding, the worst first, a line each.

    Args:
        report: what was found.
        root: the checkout; a document outside it is named in the message alone.
    """
    ordered = sorted(report.findings, key=lambda finding: list(COMMANDS).index(finding.severity))
    return "".join(f"{_annotation(finding, root)}\n" for finding in ordered)


def _annotation(finding: Finding, root: Path) -> str:
    properties = {"title": f"{finding.rule} {operation_of(finding)}"}
    inside = path_in(finding, root)
    if inside is not None:
        line = {} if finding.where.line is None else {"line": str(finding.where.line)}
        properties = {"file": inside, **line, **properties}
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{COMMANDS[finding.severity]} {written}::{_data(details(finding))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def step_summary(report: CheckReport, line: str) -> str:
    """The report in GitHub's Markdown.

    Args:
        report: what was found.
        line: what sums it up.
    """
    return "\n".join(["## voicegauge", "", _cell(line), "", *_rows(report), ""])


def _rows(report: CheckReport) -> Iterator[str]:
    if not report.findings:
        return
    yield "| severity | rule | operation | what was seen |"
    yield "|---|---|---|---|"
    ordered = sorted(report.findings, key=lambda finding: list(COMMANDS).index(finding.severity))
    for finding in ordered[:MAX_ROWS]:
        cells = (finding.severity.value, finding.rule, operation_of(finding), finding.message)
        yield f"| {' | '.join(map(_cell, cells))} |"
    if len(ordered) > MAX_ROWS:
        yield f"\nand {len(ordered) - MAX_ROWS} more"


def _cell(text: str) -> str:
    """Words from outside as text: no markup, no mention, no new cell."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_[]|@#!~$":
        plain = plain.replace(mark, f"\\{mark}" if mark != "@" else "@\u200b")
    return plain
