"""Findings on a terminal: grouped, with where they stand and how to see them again."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from voicegauge.cli.console import console
from voicegauge.cli.money import print_spending
from voicegauge.model import Finding, Severity

if TYPE_CHECKING:
    from rich.console import Console

    from voicegauge.conformance import CheckReport

PLACES = 3
"""Findings of one rule at one operation that are shown; --json has all."""
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.DISPUTED, Severity.INFO)
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.DISPUTED: "cyan", Severity.INFO: "dim"}


def print_report(report: CheckReport) -> None:
    """Print the findings and one line that sums up."""
    out = console()
    ordered = sorted(report.findings, key=lambda f: (_ORDER.index(f.severity), f.rule, _operation(f)))
    for _, group in groupby(ordered, key=lambda f: (f.severity, f.rule, _operation(f))):
        _print_group(out, list(group))
    _print_skipped(out, report)
    for entry in report.unused_baseline:
        out.print(f"no longer found, take it out of the baseline: {entry}", style="dim", soft_wrap=True)
    print_spending(out, report)
    out.print(summary_line(report), style="bold", soft_wrap=True)


def _operation(finding: Finding) -> str:
    return f"{finding.where.provider}/{finding.where.operation or ''}"


def _print_group(out: Console, findings: list[Finding]) -> None:
    from rich.text import Text

    first = findings[0]
    title = Text.assemble(
        (first.severity.value, _STYLES[first.severity]), f" {first.rule}  ", (_operation(first), "bold")
    )
    out.print(title, soft_wrap=True)
    for finding in findings[:PLACES]:
        _print_finding(out, finding)
    if len(findings) > PLACES:
        out.print(f"  ... and at {len(findings) - PLACES} more places (--json has all)", style="dim")
    out.print()


def _print_finding(out: Console, finding: Finding) -> None:
    times = f"  ({finding.occurrences} times)" if finding.occurrences > 1 else ""
    lines = [
        ("", f"{finding.message}{times}"),
        ("at ", _place(finding)),
        ("case ", finding.case),
        ("seen ", finding.evidence),
        ("disputed: ", finding.reading),
        ("", finding.reproduce),
    ]
    for label, text in lines:
        if text:
            out.print(f"  {label}{text}", style="dim" if label else None, soft_wrap=True)


def _place(finding: Finding) -> str:
    where = finding.where
    if where.file is None:
        return ""
    path = Path(where.file)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}:{where.line}" if where.line else str(shown)


def _print_skipped(out: Console, report: CheckReport) -> None:
    reasons: dict[str, int] = {}
    for case in report.cases:
        if case.verdict == "skipped":
            reasons[case.reason or ""] = reasons.get(case.reason or "", 0) + 1
    for reason, count in reasons.items():
        out.print(f"no verdict in {count} case{_s(count)}: {reason}", style="dim", soft_wrap=True)


def summary_line(report: CheckReport) -> str:
    """What was judged, what was found and what was spent, in one line."""
    seen = " + ".join(f"{provenance.upper()} {count}" for provenance, count in report.exchanges.items())
    counts = [_count(report, severity) for severity in _ORDER]
    verdict = ", ".join(count for count in counts if count) or "nothing found"
    parts = [f"{seen or 'no'} exchange{_s(sum(report.exchanges.values()))}"]
    if report.cases:
        parts.append(f"{len(report.cases)} cases")
    parts.append(f"{len(report.operations)} operations: {verdict}")
    if report.accepted:
        parts.append(f"{len(report.accepted)} accepted by the baseline")
    if report.spent_usd:
        parts.append(f"${report.spent_usd:.4g} spent")
    line = ", ".join(parts)
    return f"{line}. Stopped early: {report.stopped_by}" if report.stopped_by else line


def _count(report: CheckReport, severity: Severity) -> str:
    count = report.count(severity)
    if not count:
        return ""
    return f"{count} disputed" if severity is Severity.DISPUTED else f"{count} {severity.value}{_s(count)}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
