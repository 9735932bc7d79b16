"""Renders drift reports as Markdown for a pull request or an issue."""

from __future__ import annotations

from itertools import groupby

from voicegauge.drift.report import ComparedInput, DriftChange, DriftReport
from voicegauge.drift.rule_registry import DriftLevel
from voicegauge.outputs import escape_markdown

MAX_ROWS_PER_TABLE = 200
"""Largest number of rows per level, because GitHub rejects comments above 65,536 characters. JSON has all changes."""
_HEADING_BY_LEVEL = {
    DriftLevel.BREAKING: "Breaking",
    DriftLevel.POSSIBLY_BREAKING: "Possibly breaking",
    DriftLevel.COMPATIBLE: "Compatible",
}


def render_markdown(report: DriftReport) -> str:
    """Render one table for each level that has changes. The table of compatible changes is collapsed."""
    counts = ", ".join(f"{report.count_by_level[level]} {level.value}" for level in DriftLevel)
    lines = [
        "# API drift",
        "",
        f"{_describe_input(report.old_input)} → {_describe_input(report.new_input)}: {counts}.",
        "",
    ]
    for level, changes in groupby(report.changes, key=lambda change: change.level):
        lines += _render_section(level, list(changes))
    if report.accepted_changes:
        lines += [f"{len(report.accepted_changes)} more are accepted by the baseline.", ""]
    if not report.changes:
        lines += ["Nothing else has changed." if report.accepted_changes else "Nothing has changed.", ""]
    return "\n".join(lines)


def _describe_input(compared_input: ComparedInput) -> str:
    title, version = escape_markdown(compared_input.title), escape_markdown(compared_input.version)
    return f"{title} {version} (`{compared_input.file}`)".strip()


def _render_section(level: DriftLevel, changes: list[DriftChange]) -> list[str]:
    heading = f"{_HEADING_BY_LEVEL[level]} ({len(changes)})"
    rows = [_render_row(change) for change in changes[:MAX_ROWS_PER_TABLE]]
    if len(changes) > MAX_ROWS_PER_TABLE:
        rows.append(f"| | | and {len(changes) - MAX_ROWS_PER_TABLE} more | |")
    table = ["| Location | Rule | Change | File |", "|---|---|---|---|", *rows, ""]
    if level is DriftLevel.COMPATIBLE:
        return ["<details>", f"<summary>{heading}</summary>", "", *table, "</details>", ""]
    return [f"## {heading}", "", *table]


def _render_row(change: DriftChange) -> str:
    cells = (
        escape_markdown(change.qualified_location),
        f"`{change.rule}`",
        escape_markdown(change.message),
        escape_markdown(change.formatted_positions),
    )
    return f"| {' | '.join(cells)} |"
