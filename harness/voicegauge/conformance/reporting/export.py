"""Converts a check report to the common form of the output formats (JUnit, SARIF, GitHub annotations).

Errors and warnings keep their level. Disputed findings and those of severity info become notes.
"""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.checks import RULE_BY_ID, Rule
from voicegauge.conformance.reporting.report import CheckReport
from voicegauge.model import Finding, Severity
from voicegauge.outputs import ExportedReport, FileLocation, JUnitCase, ReportedFinding, RuleDescription, SarifLevel

RESULT_LEVEL_BY_SEVERITY = {
    Severity.ERROR: SarifLevel.ERROR,
    Severity.WARNING: SarifLevel.WARNING,
    Severity.DISPUTED: SarifLevel.NOTE,
    Severity.INFO: SarifLevel.NOTE,
}
"""The level that output formats show for each severity, most severe first."""


def export_check_report(report: CheckReport, *, fail_on_warnings: bool = False) -> ExportedReport:
    """Return `report` in the form that output formats read.

    JUnit lists passed and skipped tests besides the findings: each judged operation without a finding is passed; each
    case without a verdict, and each target, recording or group of recorded requests that was not judged, is skipped.

    Args:
        report: the report to convert.
        fail_on_warnings: whether warnings fail as well.
    """
    failing = (Severity.ERROR, Severity.WARNING) if fail_on_warnings else (Severity.ERROR,)
    ordered = sorted(report.findings, key=lambda finding: list(RESULT_LEVEL_BY_SEVERITY).index(finding.severity))
    return ExportedReport(
        created_at=report.created_at,
        is_finished=report.is_finished,
        findings=tuple(_build_reported_finding(finding, failing) for finding in ordered),
        accepted_findings=tuple(_build_reported_finding(finding, ()) for finding in report.accepted_findings),
        cases=tuple(_iterate_junit_cases(report)),
        rules=tuple(map(_build_rule_description, RULE_BY_ID.values())),
    )


def _build_reported_finding(finding: Finding, failing_severities: tuple[Severity, ...]) -> ReportedFinding:
    where = finding.where
    details = (
        *(("also ", f"{rule}: {message}") for rule, message in finding.same_cause_messages.items()),
        ("case ", finding.case_id),
        ("seen ", finding.evidence),
        ("disputed: ", finding.satisfied_claim),
        ("", finding.reproduction_command),
    )
    return ReportedFinding(
        rule=finding.rule,
        level=RESULT_LEVEL_BY_SEVERITY[finding.severity],
        severity=finding.severity.value,
        message=finding.message,
        other_messages=tuple(
            f"{message} ({count} times)" if count > 1 else message
            for message, count in finding.message_counts.items()
            if message != finding.message
        ),
        api_name=where.provider,
        operation=where.operation,
        location=None
        if where.contract_file is None
        else FileLocation(file=where.contract_file, line=where.contract_line),
        extra_lines=tuple(f"{label}{text}" for label, text in details if text),
        occurrence_count=finding.occurrence_count,
        fingerprint=finding.fingerprint,
        fails_command=finding.severity in failing_severities,
        sarif_properties={
            "provenance": finding.provenance.value,
            "target": where.target,
            "pointer": where.traffic_pointer,
            "statement": where.contract_pointer,
            "case": finding.case_id,
            "evidence": finding.evidence,
            "messages": finding.message_counts or None,
            "effects": finding.same_cause_messages or None,
            "reading": finding.satisfied_claim,
            "reproduce": finding.reproduction_command,
        },
    )


def _iterate_junit_cases(report: CheckReport) -> Iterator[JUnitCase]:
    with_findings = {(finding.where.provider, finding.where.operation) for finding in report.findings}
    for operation in report.operations:
        provider, _, name = operation.partition("/")
        if (provider, name) not in with_findings:
            yield JUnitCase(api_name=provider, subject=operation, case_name="follows its contract")
    for name, reason in (*report.not_judged_reason_by_name.items(), *report.unmatched_request_reason_by_name.items()):
        yield JUnitCase(api_name=name.partition("/")[0], subject=name, case_name="was judged", skip_reason=reason)
    for case in report.case_results:
        if case.verdict == "skipped":
            provider = case.id.partition("/")[0]
            reason = case.not_judged_reason or "no verdict"
            yield JUnitCase(api_name=provider, subject=case.operation or case.id, case_name=case.id, skip_reason=reason)


def _build_rule_description(rule: Rule) -> RuleDescription:
    explanation = f"{rule.description}\n\nBased on: {rule.contract_condition}"
    return RuleDescription(
        id=rule.id,
        default_level=RESULT_LEVEL_BY_SEVERITY[rule.severity],
        summary=rule.description,
        explanation=explanation,
    )
