"""Builds the page of findings of a check."""

from __future__ import annotations

import base64
from collections import defaultdict

from voicegauge.conformance import CheckReport, CoverageEntry, export_check_report
from voicegauge.model import FindingClip, Provenance
from voicegauge.outputs import ReportedFinding, RuleDescription, SarifLevel
from voicegauge.printable_text import format_count
from voicegauge.report.findings.findings_page import (
    CoverageRow,
    FindingPlayer,
    FindingsPage,
    PageFinding,
    build_anchor,
    format_location,
    read_source_lines,
)

_URGENCY_BY_SEVERITY = {
    "error": "Fix first: the API breaks its contract",
    "warning": "Then look at: probably wrong",
    "disputed": "Decide: the documents contradict each other",
    "info": "Good to know",
}
"""Titles of the groups of findings by severity; the most urgent group comes first."""
_MAX_UNTRIED_STATEMENTS_SHOWN = 12
"""Largest number of untested properties (such as a status or state) that are listed for each operation."""


def build_check_page(report: CheckReport, *, fail_on_warnings: bool = False) -> FindingsPage:
    """Return the content of the page about a check.

    Args:
        report: the report of the check.
        fail_on_warnings: whether warnings are failures.
    """
    exported = export_check_report(report, fail_on_warnings=fail_on_warnings)
    rules = {rule.id: rule for rule in exported.rules}
    players = {
        (one.fingerprint, one.severity.value): _build_finding_player(one.clip) for one in report.findings if one.clip
    }
    order = list(_URGENCY_BY_SEVERITY)
    findings = sorted(exported.findings, key=lambda one: (order.index(one.severity), -one.occurrence_count))
    return FindingsPage(
        title=f"Check of {', '.join(report.targets[:3])}{' and others' if len(report.targets) > 3 else ''}",
        headline=_describe_result(report, findings),
        subtitle=f"{sum(report.exchange_count_by_provenance.values()):,} exchanges · {report.created_at[:10]}",
        is_emulated=Provenance.EMULATED in report.exchange_count_by_provenance
        and Provenance.LIVE not in report.exchange_count_by_provenance,
        cautions=tuple(
            filter(
                None,
                (
                    report.stop_message,
                    report.doubt_reason,
                    _describe_missing_judgements(report),
                    report.emulator_notice,
                ),
            )
        ),
        findings=tuple(
            _build_page_finding(one, rules[one.rule], number)._replace(
                player=players.get((one.fingerprint, one.severity))
            )
            for number, one in enumerate(findings)
        ),
        accepted_finding_count=len(report.accepted_findings),
        coverage=_summarize_coverage(report.coverage),
        unjudged_cases_and_inputs=(
            *report.not_judged_reason_by_name.items(),
            *report.unmatched_request_reason_by_name.items(),
            *(
                (case.id, case.not_judged_reason or "no verdict")
                for case in report.case_results
                if case.verdict == "skipped"
            ),
        ),
    )


def _describe_result(report: CheckReport, findings: list[ReportedFinding]) -> str:
    counts = {level: sum(one.level is level for one in findings) for level in SarifLevel}
    count = len(report.contract_operations)
    operations = f"{count:,} operation{'' if count == 1 else 's'}"
    tried = _describe_coverage(report.coverage)
    if not findings:
        return f"No finding in {operations}.{tried}"
    parts = [
        f"{count} {name}{'' if count == 1 else 's'}"
        for name, count in (
            ("error", counts[SarifLevel.ERROR]),
            ("warning", counts[SarifLevel.WARNING]),
            ("note", counts[SarifLevel.NOTE]),
        )
        if count
    ]
    return f"{', '.join(parts)} in {operations}.{tried}"


def _describe_missing_judgements(report: CheckReport) -> str:
    """Return a sentence about an input or case of which nothing was judged; empty if there is none."""
    return (report.no_verdict_reason or "").replace("see --json", "listed below")


def _describe_coverage(entries: tuple[CoverageEntry, ...]) -> str:
    applied = [entry for entry in entries if entry.is_applicable]
    total = sum(entry.goal_count for entry in applied)
    if not total:
        return ""
    tried = sum(entry.reached_goal_count for entry in applied)
    return f" {tried:,} of {format_count(total, 'statement')} of the contracts and rules were tried."


def _build_page_finding(finding: ReportedFinding, rule: RuleDescription, finding_number: int) -> PageFinding:
    seen = finding.sarif_properties
    summary, _, basis = rule.explanation.partition("\n\nBased on: ")
    facts = (
        ("Expected and received", finding.message),
        ("Evidence", seen.get("evidence")),
        ("Where in the traffic", seen.get("pointer")),
        ("The other reading", seen.get("reading")),
        ("Case", seen.get("case")),
    )
    return PageFinding(
        anchor=build_anchor(finding, finding_number),
        finding=finding,
        urgency=_URGENCY_BY_SEVERITY[finding.severity],
        requirement=summary,
        rule_basis=basis,
        facts=tuple((label, str(text)) for label, text in facts if text),
        location=format_location(finding.location),
        source_lines=read_source_lines(finding.location),
        reproduction_command=str(seen.get("reproduce") or ""),
    )


def _build_finding_player(clip: FindingClip) -> FindingPlayer:
    return FindingPlayer(
        data_uri=f"data:audio/mpeg;base64,{base64.b64encode(clip.data).decode()}",
        note=f"Re-encoded as MP3, at most the first 5 s; the audio has {clip.audio_duration_s:g} s.",
    )


def _summarize_coverage(entries: tuple[CoverageEntry, ...]) -> tuple[CoverageRow, ...]:
    by_operation: dict[str, list[CoverageEntry]] = defaultdict(list)
    for entry in entries:
        if entry.is_applicable:
            by_operation["" if entry.kind == "rule" else entry.operation_or_provider].append(entry)
    rules = by_operation.pop("", [])
    rows = [_build_coverage_row(operation, group) for operation, group in sorted(by_operation.items())]
    if rules:
        rows.append(_build_coverage_row("rules", rules))
    return tuple(rows)


def _build_coverage_row(operation: str, entries: list[CoverageEntry]) -> CoverageRow:
    missing = [f"{entry.kind} {entry.name}: {entry.untried_reason}" for entry in entries if entry.untried_reason]
    return CoverageRow(
        operation=operation,
        tried_count=sum(entry.reached_goal_count for entry in entries),
        total_count=sum(entry.goal_count for entry in entries),
        untried_statements=tuple(missing[:_MAX_UNTRIED_STATEMENTS_SHOWN]),
    )
