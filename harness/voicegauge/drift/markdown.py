"""A report as Markdown, fit for a pull request or an issue."""

from __future__ import annotations

from itertools import groupby

from voicegauge.drift.registry import Level
from voicegauge.drift.report import Change, DriftReport
from voicegauge.outputs import as_text

MAX_ROWS = 200
"""Of one level; GitHub refuses comments above 65,536 characters. The JSON has all."""
_HEADINGS = {
    Level.BREAKING: "Breaking",
    Level.POSSIBLY_BREAKING: "Possibly breaking",
    Level.SAFE: "Safe",
}


def render_markdown(report: DriftReport) -> str:
    """One table for each level that has changes; the safe ones are folded."""
    counts = ", ".join(f"{report.counts[level]} {level.value}" for level in Level)
    lines = ["# API drift", "", f"{_side(report, old=True)} → {_side(report, old=False)}: {counts}.", ""]
    for level, changes in groupby(report.changes, key=lambda change: change.level):
        lines += _section(level, list(changes))
    if report.accepted:
        lines += [f"{len(report.accepted)} more are accepted by the baseline.", ""]
    if not report.changes:
        lines += ["Nothing else has changed." if report.accepted else "Nothing has changed.", ""]
    return "\n".join(lines)


def _side(report: DriftReport, *, old: bool) -> str:
    side = report.old if old else report.new
    return f"{as_text(side.title)} {as_text(side.version)} (`{side.file}`)".strip()


def _section(level: Level, changes: list[Change]) -> list[str]:
    heading = f"{_HEADINGS[level]} ({len(changes)})"
    rows = [_row(change) for change in changes[:MAX_ROWS]]
    if len(changes) > MAX_ROWS:
        rows.append(f"| | | and {len(changes) - MAX_ROWS} more | |")
    table = ["| Where | Rule | What | Stands at |", "|---|---|---|---|", *rows, ""]
    if level is Level.SAFE:
        return ["<details>", f"<summary>{heading}</summary>", "", *table, "</details>", ""]
    return [f"## {heading}", "", *table]


def _row(change: Change) -> str:
    cells = (as_text(change.where), f"`{change.rule}`", as_text(change.message), as_text(change.spots))
    return f"| {' | '.join(cells)} |"
