"""Changes that a team accepts, apart from the others."""

from __future__ import annotations

import msgspec

from voicegauge.drift.report import Change, DriftReport, count_levels
from voicegauge.outputs import AcceptedFinding, FindingsBaseline, build_baseline


def make_baseline(report: DriftReport) -> FindingsBaseline:
    """A baseline that accepts every change of `report`, and what it accepted already."""
    name = report.name
    return build_baseline(_accept(name, change) for change in (*report.changes, *report.accepted))


def _accept(name: str, change: Change) -> AcceptedFinding:
    return AcceptedFinding(
        fingerprint=change.fingerprint,
        rule=change.rule,
        provider=name,
        operation=change.operation,
        statement=change.at,
        message=change.message,
    )


def apply_baseline(report: DriftReport, baseline: FindingsBaseline) -> DriftReport:
    """`report` with the changes apart that `baseline` accepts; what another one accepted is back."""
    whole = (*report.changes, *report.accepted)
    known, seen = baseline.fingerprints, {change.fingerprint for change in whole}
    left = tuple(change for change in whole if change.fingerprint not in known)
    return msgspec.structs.replace(
        report,
        counts=count_levels(left),
        changes=left,
        accepted=tuple(change for change in whole if change.fingerprint in known),
        unused_baseline=tuple(str(entry) for entry in baseline.accepted if entry.fingerprint not in seen),
    )
