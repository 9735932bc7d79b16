"""A check's report as the outputs see it.

An error is an error and a warning a warning; what is disputed or info is a note.
"""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.checks import RULES, Rule
from voicegauge.conformance.reporting.report import CheckReport
from voicegauge.model import Finding, Severity
from voicegauge.outputs import ExportedReport, FileLocation, JUnitCase, ReportedFinding, ResultLevel, RuleDescription

GRADES = {
    Severity.ERROR: ResultLevel.ERROR,
    Severity.WARNING: ResultLevel.WARNING,
    Severity.DISPUTED: ResultLevel.NOTE,
    Severity.INFO: ResultLevel.NOTE,
}
"""The worst first."""


def check_results(report: CheckReport, *, strict: bool = False) -> ExportedReport:
    """`report` as the outputs see it.

    A suite is a provider; its cases are the operations that were judged, and the planned
    cases that came to no verdict.

    Args:
        report: what was found.
        strict: whether warnings fail too.
    """
    failing = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
    ordered = sorted(report.findings, key=lambda finding: list(GRADES).index(finding.severity))
    return ExportedReport(
        created_at=report.created_at,
        finished=report.finished,
        findings=tuple(_item(finding, failing) for finding in ordered),
        accepted=tuple(_item(finding, ()) for finding in report.accepted),
        cases=tuple(_cases(report)),
        rules=tuple(map(_text, RULES.values())),
    )


def _item(finding: Finding, failing: tuple[Severity, ...]) -> ReportedFinding:
    where = finding.where
    labelled = (
        ("case ", finding.case),
        ("seen ", finding.evidence),
        ("disputed: ", finding.reading),
        ("", finding.reproduce),
    )
    return ReportedFinding(
        rule=finding.rule,
        level=GRADES[finding.severity],
        severity=finding.severity.value,
        message=finding.message,
        suite=where.provider,
        operation=where.operation,
        location=None if where.file is None else FileLocation(file=where.file, line=where.line),
        extra_lines=tuple(f"{label}{text}" for label, text in labelled if text),
        occurrences=finding.occurrences,
        fingerprint=finding.fingerprint,
        fails=finding.severity in failing,
        properties={
            "provenance": finding.provenance.value,
            "target": where.target,
            "pointer": where.pointer,
            "statement": where.contract_pointer,
            "case": finding.case,
            "evidence": finding.evidence,
            "reading": finding.reading,
            "reproduce": finding.reproduce,
        },
    )


def _cases(report: CheckReport) -> Iterator[JUnitCase]:
    broken = {(finding.where.provider, finding.where.operation) for finding in report.findings}
    for operation in report.operations:
        provider, _, name = operation.partition("/")
        if (provider, name) not in broken:
            yield JUnitCase(suite=provider, subject=operation, name="keeps its contract")
    for case in report.cases:
        if case.verdict == "skipped":
            provider = case.id.partition("/")[0]
            reason = case.reason or "no verdict"
            yield JUnitCase(suite=provider, subject=case.operation or case.id, name=case.id, skipped=reason)


def _text(rule: Rule) -> RuleDescription:
    said = f"{rule.description}\n\nBased on: {rule.basis}"
    return RuleDescription(id=rule.id, level=GRADES[rule.severity], summary=rule.description, help=said)
