"""Converts drift reports to the model from which JUnit XML, SARIF and GitHub annotations are written."""

from __future__ import annotations

import datetime as dt

from voicegauge.drift.report import DriftChange, DriftReport, FilePosition
from voicegauge.drift.rule_registry import DRIFT_RULE_BY_ID, DriftLevel
from voicegauge.outputs import ExportedReport, FileLocation, JUnitCase, ReportedFinding, RuleDescription, SarifLevel

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
            "oldValue": change.old_value,
            "newValue": change.new_value,
            "oldPointer": change.old_position.pointer if change.old_position else None,
            "newPointer": change.new_position.pointer if change.new_position else None,
            "otherOperations": list(change.other_operations) or None,
        },
    )


def _build_file_location(position: FilePosition | None) -> FileLocation | None:
    return None if position is None else FileLocation(file=position.file, line=position.line)
