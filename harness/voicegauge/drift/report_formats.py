"""Renders drift reports as Markdown, exports them for other tools, and applies baselines of accepted changes."""

from __future__ import annotations

import datetime as dt
from itertools import groupby

import msgspec

from voicegauge.drift.report import (
    DRIFT_RULE_BY_ID,
    ComparedInput,
    DriftChange,
    DriftLevel,
    DriftReport,
    FilePosition,
    count_changes_by_level,
)
from voicegauge.outputs.baseline import AcceptedFinding, FindingsBaseline, build_baseline
from voicegauge.outputs.exported_report import (
    ExportedReport,
    FileLocation,
    JUnitCase,
    ReportedFinding,
    RuleDescription,
    SarifLevel,
    escape_markdown,
)

# Creates and applies baselines of changes that a team has accepted, so that only new changes are reported.


def build_drift_baseline(report: DriftReport) -> FindingsBaseline:
    """Create a baseline that accepts every change of `report`, including those that a baseline already accepts."""
    name = report.name
    return build_baseline(
        _build_accepted_finding(name, change) for change in (*report.changes, *report.accepted_changes)
    )


def _build_accepted_finding(api_name: str, change: DriftChange) -> AcceptedFinding:
    return AcceptedFinding(
        fingerprint=change.fingerprint,
        rule=change.rule,
        provider=api_name,
        operation=change.operation,
        contract_pointer=change.location,
        message=change.message,
    )


def apply_baseline(report: DriftReport, baseline: FindingsBaseline) -> DriftReport:
    """Return a copy of `report` in which the changes that `baseline` accepts are listed as accepted changes.

    `baseline` replaces a baseline that was applied to the report before.
    """
    every_change = (*report.changes, *report.accepted_changes)
    accepted, found = baseline.fingerprints, {change.fingerprint for change in every_change}
    remaining = tuple(change for change in every_change if change.fingerprint not in accepted)
    return msgspec.structs.replace(
        report,
        count_by_level=count_changes_by_level(remaining),
        changes=remaining,
        accepted_changes=tuple(change for change in every_change if change.fingerprint in accepted),
        unused_baseline_entries=tuple(
            str(entry) for entry in baseline.accepted_findings if entry.fingerprint not in found
        ),
    )


# Renders drift reports as Markdown for a pull request or an issue.


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


# Converts drift reports to the model from which JUnit XML, SARIF and GitHub annotations are written.


RESULT_LEVEL_BY_DRIFT_LEVEL = {
    DriftLevel.BREAKING: SarifLevel.ERROR,
    DriftLevel.POSSIBLY_BREAKING: SarifLevel.WARNING,
    DriftLevel.COMPATIBLE: SarifLevel.NOTE,
}


def export_drift_report(report: DriftReport, fail_on: DriftLevel = DriftLevel.BREAKING) -> ExportedReport:
    """Convert `report`. The title of the API becomes the name of the test suite.

    A report without changes becomes one passed case, because CI servers treat a test suite without cases as an error.

    Args:
        report: the drift report.
        fail_on: the level from which changes count as failures. Worse levels count too.
    """
    suite_name = report.name
    unchanged = JUnitCase(api_name=suite_name, subject=suite_name, case_name="nothing has changed")
    return ExportedReport(
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        findings=tuple(
            _build_reported_finding(change, suite_name, fails_command=change.level.is_at_least_as_bad_as(fail_on))
            for change in report.changes
        ),
        accepted_findings=tuple(
            _build_reported_finding(change, suite_name, fails_command=False) for change in report.accepted_changes
        ),
        cases=() if report.changes else (unchanged,),
        rules=tuple(
            RuleDescription(
                id=rule.id,
                default_level=RESULT_LEVEL_BY_DRIFT_LEVEL[rule.level],
                summary=rule.description,
                explanation=rule.description,
            )
            for rule in DRIFT_RULE_BY_ID.values()
        ),
    )


def _build_reported_finding(change: DriftChange, test_suite_name: str, *, fails_command: bool) -> ReportedFinding:
    # A position with a line comes first, because annotations need a line. Contracts have lines, recordings do not.
    positions = [position for position in (change.new_position, change.old_position) if position is not None]
    positions.sort(key=lambda position: position.line is None)
    first, second = (*positions, None, None)[:2]
    return ReportedFinding(
        rule=change.rule,
        level=RESULT_LEVEL_BY_DRIFT_LEVEL[change.level],
        severity=change.level.value,
        message=f"{change.qualified_location}: {change.message}",
        api_name=test_suite_name,
        operation=change.operation,
        location=_build_file_location(first),
        related_location=_build_file_location(second),
        extra_lines=(change.formatted_positions,) if change.formatted_positions else (),
        fingerprint=change.fingerprint,
        fails_command=fails_command,
        sarif_properties={
            "location": change.location,
            "old_value": change.old_value,
            "new_value": change.new_value,
            "old_pointer": change.old_position.pointer if change.old_position else None,
            "new_pointer": change.new_position.pointer if change.new_position else None,
            "other_operations": list(change.other_operations) or None,
        },
    )


def _build_file_location(position: FilePosition | None) -> FileLocation | None:
    return None if position is None else FileLocation(file=position.file, line=position.line)
