"""Renders the comparison with official documents as Markdown for an issue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from voicegauge.drift.official.comparison import OfficialComparison, OfficialDriftReport
from voicegauge.drift.report import DriftChange
from voicegauge.outputs import escape_markdown

MAX_ROWS_PER_SECTION = 40
"""Largest number of differences per table, so that the summary of all contracts fits into an issue. JSON has all of
them."""


def render_official_markdown(report: OfficialDriftReport) -> str:
    """Render one section for each contract. Differences from other sources are in a collapsed part.

    The text has no dates and no line numbers of the official documents, so that it changes only if the differences do.
    """
    lines = ["# Contracts and official documents", ""]
    for comparison in report.comparisons:
        lines += _render_comparison(comparison)
    if not report.comparisons:
        lines += ["No contract names an official document.", ""]
    return "\n".join(lines)


def _render_comparison(comparison: OfficialComparison) -> Iterator[str]:
    yield from (f"## {escape_markdown(comparison.provider)}", "")
    if comparison.official_document is None:
        yield from (f"Not compared: {escape_markdown(comparison.unreadable_reason or '')}", "")
        return
    document = comparison.official_document
    title, version = (escape_markdown(text) for text in (document.title, document.version))
    counts = (
        f"{len(comparison.removals)} removed, {len(comparison.changed_values)} changed, "
        f"{len(comparison.additions)} added, {len(comparison.differences_from_other_sources)} from other sources"
    )
    yield from (f"{title} {version} ({escape_markdown(comparison.url)}): {counts}.", "")
    yield from _render_table("Removed: the official document no longer has it", comparison.removals)
    yield from _render_table("Changed: the official document states something else", comparison.changed_values)
    yield from _render_table("Added: the contract does not have it", comparison.additions)
    if comparison.undescribed_operations:
        operations = ", ".join(escape_markdown(name) for name in comparison.undescribed_operations)
        yield from (f"Operations that may produce speech and are not in the contract: {operations}.", "")
    if comparison.differences_from_other_sources:
        yield from ("<details>", "<summary>Stated by the contract from other sources</summary>", "")
        yield from _render_table("", comparison.differences_from_other_sources)
        yield from ("</details>", "")


def _render_table(heading: str, changes: Sequence[DriftChange]) -> Iterator[str]:
    if not changes:
        return
    if heading:
        yield from (f"### {heading}", "")
    yield from ("| Location | Change | Contract |", "|---|---|---|")
    rows = list(dict.fromkeys(map(_render_row, changes)))
    yield from rows[:MAX_ROWS_PER_SECTION]
    if len(rows) > MAX_ROWS_PER_SECTION:
        yield f"| | and {len(rows) - MAX_ROWS_PER_SECTION} more | |"
    yield ""


def _render_row(change: DriftChange) -> str:
    position = change.old_position
    # The folder and the file, which are the same on every machine.
    line = "" if position is None else f"{'/'.join(Path(position.file).parts[-2:])}:{position.line}"
    return f"| {' | '.join(escape_markdown(cell) for cell in (change.qualified_location, change.message, line))} |"
