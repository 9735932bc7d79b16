"""What a check came to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from voicegauge.conformance.reporting.spending import Spending
from voicegauge.model import Finding, Provenance, Record, Severity, StopReason


class CaseResult(Record, frozen=True, kw_only=True):
    """What became of one planned case."""

    id: str
    operation: str
    target: str | None = None
    verdict: Literal["passed", "failed", "skipped"]
    """Whether the contract was kept; `skipped` where no verdict was possible."""
    status: int | None = None
    """The HTTP status of its first answer."""
    reason: str | None = None
    """Why it was skipped."""


class CheckReport(Record, frozen=True, kw_only=True):
    """All that `voicegauge check --json` writes."""

    schema: str = "voicegauge/check/2"
    voicegauge: str
    created_at: str
    """UTC, ISO 8601."""
    finished: bool
    """False where it was interrupted, or stopped by the budget."""
    stopped_by: str | None = None
    """What stopped it, in one line."""
    stop_reason: StopReason | None = None
    """The kind of event that stopped it; `None` for a check that ran to its end."""
    seed: int
    targets: tuple[str, ...]
    rules: tuple[str, ...] = ()
    """Ids of the rules that were applied; empty if all were."""
    operations: tuple[str, ...] = ()
    """Those with at least one exchange."""
    exchanges: dict[Provenance, int] = {}
    """How many were judged, by where they came from."""
    cases: tuple[CaseResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Each rule and place once; `occurrences` counts."""
    accepted: tuple[Finding, ...] = ()
    """Those that the baseline accepts; they are not among `findings`."""
    unused_baseline: tuple[str, ...] = ()
    """What the baseline accepts and nothing broke any more, a line each."""
    spent_usd: float = 0.0
    spending: Spending = Spending()
    """What requests and money went to; empty where nothing was sent."""

    def count(self, *severities: Severity) -> int:
        """How many findings have one of `severities`."""
        return sum(finding.severity in severities for finding in self.findings)

    @property
    def no_verdict_reason(self) -> str | None:
        """Why no case at all reached a verdict, in one line; `None` if at least one did or no case was planned."""
        if not self.cases or any(case.verdict != "skipped" for case in self.cases):
            return None
        return f"no case came to a verdict; the first: {self.cases[0].reason}"


def merge_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding for each fingerprint, with how often it was seen.

    What is disputed in one answer and an error in another stays two.
    """
    merged: dict[tuple[str, Severity], Finding] = {}
    for finding in findings:
        key = (finding.fingerprint, finding.severity)
        first = merged.get(key)
        times = finding.occurrences + (first.occurrences if first else 0)
        merged[key] = msgspec.structs.replace(first or finding, occurrences=times)
    return tuple(merged.values())
