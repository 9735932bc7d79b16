"""Creates and applies baselines of changes that a team has accepted, so that only new changes are reported."""

from __future__ import annotations

import msgspec

from voicegauge.drift.report import DriftChange, DriftReport, count_levels
from voicegauge.outputs import AcceptedFinding, FindingsBaseline, build_baseline


def build_drift_baseline(report: DriftReport) -> FindingsBaseline:
    """Create a baseline that accepts every change of `report`, including those that a baseline already accepts."""
    name = report.name
    return build_baseline(_build_accepted_finding(name, change) for change in (*report.changes, *report.accepted))


def _build_accepted_finding(api_name: str, change: DriftChange) -> AcceptedFinding:
    return AcceptedFinding(
        fingerprint=change.fingerprint,
        rule=change.rule,
        provider=api_name,
        operation=change.operation,
        statement=change.location,
        message=change.message,
    )


def apply_baseline(report: DriftReport, baseline: FindingsBaseline) -> DriftReport:
    """Return `report` with the changes that `baseline` accepts moved to `accepted`.

    If another baseline was applied before, `baseline` replaces it.
    """
    every_change = (*report.changes, *report.accepted)
    accepted, found = baseline.fingerprints, {change.fingerprint for change in every_change}
    remaining = tuple(change for change in every_change if change.fingerprint not in accepted)
    return msgspec.structs.replace(
        report,
        counts=count_levels(remaining),
        changes=remaining,
        accepted=tuple(change for change in every_change if change.fingerprint in accepted),
        unused_baseline=tuple(str(entry) for entry in baseline.accepted if entry.fingerprint not in found),
    )
