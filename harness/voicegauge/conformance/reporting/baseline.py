"""Findings that a team accepts, apart from the others."""

from __future__ import annotations

import msgspec

from voicegauge.checks import RULES
from voicegauge.conformance.reporting.report import CheckReport
from voicegauge.model import Finding, Severity
from voicegauge.outputs import AcceptedFinding, FindingsBaseline, build_baseline

GRAVE = (Severity.ERROR, Severity.WARNING)
"""What a baseline is for: the others do not fail anyway, and are never moved."""


def make_baseline(report: CheckReport) -> FindingsBaseline:
    """A baseline that accepts every error and warning of `report`, and what it accepted already."""
    return build_baseline(map(_accept, (f for f in (*report.findings, *report.accepted) if f.severity in GRAVE)))


def _accept(finding: Finding) -> AcceptedFinding:
    where = finding.where
    return AcceptedFinding(
        fingerprint=finding.fingerprint,
        rule=finding.rule,
        provider=where.provider,
        operation=where.operation,
        statement=where.contract_pointer,
        pointer=where.pointer,
        message=finding.message,
    )


def apply_baseline(report: CheckReport, baseline: FindingsBaseline) -> CheckReport:
    """`report` with the findings apart that `baseline` accepts; what another one accepted is back.

    An entry is unused where its operation was judged to the end by its rule, and the finding did not come.
    """
    rules = report.rules or RULES
    whole = (*report.findings, *report.accepted)
    known = baseline.fingerprints
    accepted = tuple(f for f in whole if f.fingerprint in known and f.severity in GRAVE)
    seen = {finding.fingerprint for finding in whole}
    unused = tuple(
        str(entry)
        for entry in baseline.accepted
        if report.finished
        and entry.fingerprint not in seen
        and entry.rule in rules
        and (f"{entry.provider}/{entry.operation}" in report.operations or entry.operation is None)
    )
    left = tuple(finding for finding in whole if finding not in accepted)
    return msgspec.structs.replace(report, findings=left, accepted=accepted, unused_baseline=unused)
