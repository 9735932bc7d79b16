"""Renders the result of a check as an SVG badge."""

from __future__ import annotations

from voicegauge.conformance.reporting.report import CheckReport
from voicegauge.model import Provenance, Severity
from voicegauge.outputs import BadgeVerdict, format_badge_svg
from voicegauge.printable_text import format_count

_MAX_NAMED_PROVIDERS = 3
"""Maximum number of providers that a badge names."""


def render_check_badge(report: CheckReport, *, fail_on_warnings: bool = False) -> str:
    """Return an SVG image such as "acme contract | 0 findings, LIVE 2026-11-23".

    Args:
        report: the report of the check.
        fail_on_warnings: whether warnings are failures.
    """
    providers = sorted({name.partition("/")[0] for name in (*report.targets, *report.operations)})
    more = f" and {len(providers) - _MAX_NAMED_PROVIDERS} more" if len(providers) > _MAX_NAMED_PROVIDERS else ""
    label = f"{', '.join(providers[:_MAX_NAMED_PROVIDERS])}{more} contract{'' if len(providers) == 1 else 's'}"
    verdict = _determine_verdict(report, fail_on_warnings=fail_on_warnings)
    date = report.created_at[:10]
    return format_badge_svg(label, f"{_describe_findings(report)}, {_describe_provenance(report)} {date}", verdict)


def _determine_verdict(report: CheckReport, *, fail_on_warnings: bool) -> BadgeVerdict:
    failing = (Severity.ERROR, Severity.WARNING) if fail_on_warnings else (Severity.ERROR,)
    if report.count_findings(*failing):
        return "failed"
    is_judged = report.is_finished and report.exchange_count_by_provenance and report.no_verdict_reason is None
    return "passed" if is_judged else "not-judged"


def _describe_findings(report: CheckReport) -> str:
    counts = {severity: report.count_findings(severity) for severity in Severity}
    found = [
        format_count(count, severity.value) if severity in (Severity.ERROR, Severity.WARNING) else f"{count} {severity}"
        for severity, count in counts.items()
        if count
    ]
    if not found:
        is_judged = report.exchange_count_by_provenance and report.no_verdict_reason is None
        found = ["0 findings" if is_judged else "not judged"]
    return ", ".join([*found, *([] if report.is_finished else ["incomplete"])])


def _describe_provenance(report: CheckReport) -> str:
    order = (Provenance.LIVE, Provenance.EMULATED, Provenance.RECORDED, Provenance.DOCUMENTED)
    return " + ".join(one.upper() for one in order if one in report.exchange_count_by_provenance) or "nothing sent"
