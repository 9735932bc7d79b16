"""The report of a check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from voicegauge.conformance.reporting.coverage import CoverageEntry
from voicegauge.conformance.reporting.spending import Spending
from voicegauge.model import Finding, Provenance, Record, Severity, StopReason


class CaseResult(Record, frozen=True, kw_only=True):
    """The result of one planned case."""

    id: str
    operation: str
    target: str | None = None
    verdict: Literal["passed", "failed", "skipped"]
    """`failed` if it has an error or a warning; `skipped` if no verdict was possible."""
    status: int | None = None
    """Status code of the response that was judged."""
    reason: str | None = None
    """Why nothing, or not everything, was judged: the reason why it was skipped, or why a failed delivery broke off."""
    is_delivery: bool = False
    """Whether it should deliver audio, from submit to download."""


class CheckReport(Record, frozen=True, kw_only=True):
    """The JSON that `voicegauge check --json` writes."""

    schema: str = "voicegauge/check/2"
    voicegauge: str
    created_at: str
    """Start of the check in UTC, ISO 8601."""
    finished: bool
    """False if it was interrupted, or stopped by the budget."""
    stopped_by: str | None = None
    """What stopped it, in one line; `None` if nothing did."""
    stop_reason: StopReason | None = None
    """The kind of event that stopped it; `None` for a check that ran to its end."""
    seed: int
    targets: tuple[str, ...]
    rules: tuple[str, ...] = ()
    """Ids of the rules that were applied; empty if all were."""
    operations: tuple[str, ...] = ()
    """Operations with at least one exchange: <provider>/<operation>."""
    exchanges: dict[Provenance, int] = {}
    """Number of exchanges that were judged, by provenance."""
    cases: tuple[CaseResult, ...] = ()
    not_judged: dict[str, str] = {}
    """Targets, recordings and folders that should have been judged and were not, with the reason. A check with such
    entries proves nothing about them, so it does not pass."""
    notice: str | None = None
    """What makes the whole check doubtful, such as a wrong key, in one line."""
    coverage: tuple[CoverageEntry, ...] = ()
    """What was tried of the contracts, and what was not and why; documented examples are not counted, because they
    are never sent."""
    coverage_percent: float | None = None
    """The tried share of everything in `coverage` that applies; `None` if nothing was sent or read."""
    findings: tuple[Finding, ...] = ()
    """One finding per rule and location; `occurrences` counts how often it was seen."""
    accepted: tuple[Finding, ...] = ()
    """Findings that the baseline accepts; they are not among `findings`."""
    unused_baseline: tuple[str, ...] = ()
    """Entries of the baseline without a finding, one line each."""
    spent_usd: float = 0.0
    spending: Spending = Spending()
    """Requests and money by purpose; empty if nothing was sent."""

    def count(self, *severities: Severity) -> int:
        """Return the number of findings of the given severities."""
        return sum(finding.severity in severities for finding in self.findings)

    @property
    def no_verdict_reason(self) -> str | None:
        """Why the check does not pass although nothing may have been found, in one line; `None` if it can pass.

        No case came to a verdict, or something in `not_judged` was to be judged.
        """
        if self.cases and all(case.verdict == "skipped" for case in self.cases):
            return f"no case came to a verdict; the first: {self.cases[0].reason}"
        if not self.not_judged:
            return None
        name, reason = next(iter(self.not_judged.items()))
        more = len(self.not_judged) - 1
        return f"nothing was judged of {name}: {reason}{f' (and of {more} more: see --json)' if more else ''}"


def doubtful_statuses(statuses: Mapping[int, int]) -> str | None:
    """Return a notice if nine of ten responses, or more, have status 401 or 404; `None` for fewer than ten responses.

    Then the key or the base URL is wrong, and hardly anything of the contract was tried.
    """
    total = sum(statuses.values())
    doubtful = statuses.get(401, 0) + statuses.get(404, 0)
    if total < 10 or doubtful < 0.9 * total:
        return None
    return f"{doubtful} of {total} responses have status 401 or 404: check the key and the base URL first"


def targets_not_judged(targets: Iterable[str], cases: Iterable[CaseResult]) -> dict[str, str]:
    """Return the targets that have planned deliveries but none that was judged, with the reason of the first one.

    A target without a planned delivery (`--max-calls`) is not among them.
    """
    deliveries = [case for case in cases if case.is_delivery]
    reasons: dict[str, str] = {}
    for target in targets:
        of_target = [case for case in deliveries if case.target == target]
        if of_target and all(case.reason is not None for case in of_target):
            reasons[target] = f"no delivery was judged; the first: {of_target[0].reason}"
    return reasons


def merge_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return one finding per fingerprint and severity, with the number of its occurrences.

    The severity is part of the key: a finding may be disputed in one response and an error in another.
    """
    merged: dict[tuple[str, Severity], Finding] = {}
    for finding in findings:
        key = (finding.fingerprint, finding.severity)
        first = merged.get(key)
        occurrences = finding.occurrences + (first.occurrences if first else 0)
        merged[key] = msgspec.structs.replace(first or finding, occurrences=occurrences)
    return tuple(merged.values())
