"""GitHub Actions: annotations by workflow commands, and the summary of a step.

A command's data escapes %, CR and LF; its properties escape : and , as well. GitHub
shows the first ten annotations of each kind of a step; the summary has all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voicegauge.outputs.markdown import as_text
from voicegauge.outputs.results import ExportedReport, ReportedFinding, ResultLevel

COMMANDS = {ResultLevel.ERROR: "error", ResultLevel.WARNING: "warning", ResultLevel.NOTE: "notice"}
MAX_ROWS = 200
"""Items in a summary: GitHub refuses one of more than a mebibyte."""


def workflow_commands(results: ExportedReport, root: Path) -> str:
    """A workflow command for each item, the worst first, a line each.

    Args:
        results: what was found.
        root: the checkout; a file outside it is named in the message alone.
    """
    return "".join(f"{_annotation(item, root)}\n" for item in results.items)


def _annotation(item: ReportedFinding, root: Path) -> str:
    properties = {"title": f"{item.rule} {item.subject}"}
    inside = item.place.below(root) if item.place else None
    if inside is not None:
        line = {} if item.place is None or item.place.line is None else {"line": str(item.place.line)}
        properties = {"file": inside, **line, **properties}
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{COMMANDS[item.grade]} {written}::{_data(item.details)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def step_summary(results: ExportedReport, line: str) -> str:
    """The results in GitHub's Markdown.

    Args:
        results: what was found.
        line: what sums it up.
    """
    return "\n".join(["## voicegauge", "", as_text(line), "", *_rows(results.items), ""])


def _rows(items: tuple[ReportedFinding, ...]) -> Iterator[str]:
    if not items:
        return
    yield "| severity | rule | operation | what was seen |"
    yield "|---|---|---|---|"
    for item in items[:MAX_ROWS]:
        yield f"| {' | '.join(map(as_text, (item.severity, item.rule, item.subject, item.message)))} |"
    if len(items) > MAX_ROWS:
        yield f"\nand {len(items) - MAX_ROWS} more"
