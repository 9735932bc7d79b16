"""Creates and applies baselines of changes that a team has accepted, so that only new changes are reported."""

from __future__ import annotations

import msgspec

from voicegauge.drift.report import DriftChange, DriftReport, count_changes_by_level
from voicegauge.outputs import AcceptedFinding, FindingsBaseline, build_baseline


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
