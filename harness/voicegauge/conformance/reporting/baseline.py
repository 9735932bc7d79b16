"""Makes and applies the baseline of a check, which lists the findings that a team has accepted."""

from __future__ import annotations

import msgspec

from voicegauge.checks import RULE_BY_ID
from voicegauge.conformance.reporting.report import CheckReport
from voicegauge.model import Finding, Severity
from voicegauge.outputs import AcceptedFinding, FindingsBaseline, build_baseline

ACCEPTABLE_SEVERITIES = (Severity.ERROR, Severity.WARNING)
"""Severities that a baseline can accept. Findings of other severities never fail a check, so hiding them has no use."""


def build_check_baseline(report: CheckReport) -> FindingsBaseline:
    """Return a baseline that accepts every error and warning of `report`, and the findings already accepted there."""
    return build_baseline(
        map(
            _build_accepted_finding,
            (f for f in (*report.findings, *report.accepted_findings) if f.severity in ACCEPTABLE_SEVERITIES),
        )
    )


def _build_accepted_finding(finding: Finding) -> AcceptedFinding:
    where = finding.where
    return AcceptedFinding(
        fingerprint=finding.fingerprint,
        rule=finding.rule,
        provider=where.provider,
        operation=where.operation,
        contract_pointer=where.contract_pointer,
        body_pointer=where.traffic_pointer,
        message=finding.message,
    )


def apply_baseline(report: CheckReport, baseline: FindingsBaseline) -> CheckReport:
    """Return `report` with the findings that `baseline` accepts moved from `findings` to `accepted_findings`.

    Findings that only an earlier baseline accepted are moved back. An entry of the baseline counts as unused only if
    its rule was applied to its operation in a check that ran to its end. Otherwise the finding may still exist.
    """
    rules = report.rules or RULE_BY_ID
    findings = (*report.findings, *report.accepted_findings)
    accepted = tuple(
        f for f in findings if f.fingerprint in baseline.fingerprints and f.severity in ACCEPTABLE_SEVERITIES
    )
    seen = {finding.fingerprint for finding in findings}
    unused = tuple(
        str(entry)
        for entry in baseline.accepted_findings
        if report.is_finished
        and entry.fingerprint not in seen
        and entry.rule in rules
        and (f"{entry.provider}/{entry.operation}" in report.operations or entry.operation is None)
    )
    others = tuple(finding for finding in findings if finding not in accepted)
    return msgspec.structs.replace(report, findings=others, accepted_findings=accepted, unused_baseline_entries=unused)
