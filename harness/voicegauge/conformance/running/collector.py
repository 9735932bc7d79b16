"""Where findings and results gather while a check runs, so that an interruption loses none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from voicegauge.checks import Checker, CheckSubject, Rule
from voicegauge.conformance.cases import ConformanceCase
from voicegauge.conformance.reporting import Account, CaseResult, CheckReport, SpendingTotal, merge_findings
from voicegauge.model import Finding, Provenance, Severity
from voicegauge.version import __version__


class Collector:
    """Gathers what a check finds."""

    def __init__(self, targets: Iterable[str], seed: int) -> None:
        """`targets` are those that were asked for."""
        self._targets, self._seed = tuple(targets), seed
        self._created_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._findings: list[Finding] = []
        self._cases: list[CaseResult] = []
        self._operations: dict[str, None] = {}
        self._exchanges: Counter[Provenance] = Counter()
        self._account = Account()
        self.stopped_by: str | None = None
        self.interrupted = False

    def judge(self, judge: Checker, subjects: Iterable[CheckSubject], case: str | None = None) -> list[Finding]:
        """Judge `subjects` and keep what is found."""
        found = [finding for subject in subjects for finding in judge.findings(subject, case=case)]
        self._findings += found
        return found

    def add(self, findings: Iterable[Finding]) -> None:
        """Keep findings made elsewhere."""
        self._findings += findings

    def saw(self, provenance: Provenance, provider: str, operation: str) -> None:
        """Count one exchange."""
        self._exchanges[provenance] += 1
        self._operations.setdefault(f"{provider}/{operation}")

    def judging(self, rules: Iterable[Rule]) -> None:
        """From now on these rules judge what services answer."""
        self._account.judging(rules)

    def book(self, case: ConformanceCase, spent: SpendingTotal, judged: Iterable[type]) -> None:
        """Keep what a case came to, and which kinds of subject were judged in it."""
        self._account.book(case, spent, judged)

    def case_done(self, case: ConformanceCase, findings: Iterable[Finding], status: int | None) -> None:
        """Keep the result of a case that was answered."""
        bad = any(finding.severity in (Severity.ERROR, Severity.WARNING) for finding in findings)
        self._cases.append(_result(case, "failed" if bad else "passed", status))

    def case_skipped(self, case: ConformanceCase, reason: str, status: int | None = None) -> None:
        """Keep that a case came to no verdict."""
        self._cases.append(_result(case, "skipped", status, reason))

    def not_planned(self, name: str, reason: str) -> None:
        """Keep that something could not be planned."""
        self._cases.append(CaseResult(id=name, operation="", verdict="skipped", reason=reason))

    @property
    def exchanges(self) -> int:
        """How many were counted."""
        return self._exchanges.total()

    def report(self, *, finished: bool = True) -> CheckReport:
        """What was gathered so far."""
        spending = self._account.spending()
        return CheckReport(
            voicegauge=__version__,
            created_at=self._created_at,
            finished=finished and self.stopped_by is None,
            stopped_by=self.stopped_by,
            seed=self._seed,
            targets=self._targets,
            operations=tuple(self._operations),
            exchanges=dict(self._exchanges),
            cases=tuple(self._cases),
            findings=merge_findings(self._findings),
            spent_usd=spending.total.usd,
            spending=spending,
        )


def _result(case: ConformanceCase, verdict: str, status: int | None, reason: str | None = None) -> CaseResult:
    return CaseResult(
        id=case.id,
        operation=f"{case.provider}/{case.operation}",
        target=f"{case.provider}/{case.target}" if case.target else None,
        verdict=verdict,  # type: ignore[arg-type]
        status=status,
        reason=reason,
    )
