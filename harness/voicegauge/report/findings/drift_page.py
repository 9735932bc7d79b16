"""Builds the page of changes of a comparison with `drift`."""

from __future__ import annotations

from voicegauge.drift import ComparedInput, DriftLevel, DriftReport, export_drift_report
from voicegauge.outputs import ReportedFinding, RuleDescription
from voicegauge.report.findings.findings_page import (
    FindingsPage,
    PageFinding,
    build_anchor,
    format_location,
    read_source_lines,
)

_URGENCY_BY_LEVEL = {
    DriftLevel.BREAKING.value: "Adapt first: breaks clients",
    DriftLevel.POSSIBLY_BREAKING.value: "Then look at: may break clients",
    DriftLevel.COMPATIBLE.value: "Good to know: clients keep working",
}


def build_drift_page(report: DriftReport, *, fail_on: DriftLevel = DriftLevel.BREAKING) -> FindingsPage:
    """Return the content of the page about a comparison by `drift`.

    Args:
        report: the report of the comparison.
        fail_on: the mildest level that is a failure.
    """
    exported = export_drift_report(report, fail_on)
    rules = {rule.id: rule for rule in exported.rules}
    return FindingsPage(
        title=f"Changes of {report.name}",
        headline=_describe_result(report),
        subtitle=f"{_describe_input(report.old_input)} → {_describe_input(report.new_input)}",
        is_emulated=False,
        cautions=(),
        findings=tuple(
            _build_change_finding(one, rules[one.rule], number) for number, one in enumerate(exported.findings)
        ),
        accepted_finding_count=len(report.accepted_changes),
        coverage=(),
        unjudged_cases_and_inputs=(),
    )


def _describe_input(compared_input: ComparedInput) -> str:
    return f"{compared_input.file} ({compared_input.version})"


def _describe_result(report: DriftReport) -> str:
    found = [(level, count) for level, count in report.count_by_level.items() if count]
    if not found:
        return "Nothing has changed."
    counts = [f"{count} {level.value.replace('-', ' ').replace('_', ' ')}" for level, count in found]
    return f"{', '.join(counts)} change{'' if found[-1][1] == 1 else 's'}."


def _build_change_finding(finding: ReportedFinding, rule: RuleDescription, finding_number: int) -> PageFinding:
    facts = (
        ("Change", finding.message),
        ("Before", finding.sarif_properties.get("oldValue")),
        ("Now", finding.sarif_properties.get("newValue")),
        ("Before, in", finding.related_location and str(finding.related_location)),
        *(("Note", line) for line in finding.extra_lines if line != finding.message and "->" not in line),
    )
    return PageFinding(
        anchor=build_anchor(finding, finding_number),
        finding=finding,
        urgency=_URGENCY_BY_LEVEL[finding.severity],
        requirement=rule.summary,
        rule_basis="",
        facts=tuple((label, str(text)) for label, text in facts if text),
        location=format_location(finding.location),
        source_lines=read_source_lines(finding.location),
        reproduction_command="",
    )
