"""Saves what a live check judges, case by case, and finds what an earlier check judged before it ended early."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from voicegauge.cases.case import ConformanceCase
from voicegauge.conformance._resource_tracking import compute_account_checksum
from voicegauge.conformance.case_journal import CaseJournal, CaseJudgement, KeptDelivery, keep_delivery
from voicegauge.conformance.checked_service import CheckedService
from voicegauge.conformance.coverage import CoverageCounter
from voicegauge.conformance.spending import SpendingTotal
from voicegauge.contract.contract import Contract
from voicegauge.contract.targets import Target
from voicegauge.model.base import Provenance
from voicegauge.model.finding import Finding
from voicegauge.rules.deliveries_of_run import DeliveriesOfRun
from voicegauge.rules.registry import Rule
from voicegauge.rules.subjects import SpeechDelivery
from voicegauge.version import __version__


class JudgingBasis:
    """Everything but the case that a judgement depends on: the program, the contract, the rules and the account."""

    def __init__(self, contract: Contract, rules: Mapping[str, Rule], key: str | None) -> None:
        """Collect the parts of the basis; the account is recognized by a checksum of `key`."""
        parts = [__version__, contract.document.sha256, compute_account_checksum(key)]
        parts += [f"{name}={rule.severity}" for name, rule in sorted(rules.items())]
        self._prefix = "\n".join(parts).encode()

    def compute_digest(self, case: ConformanceCase) -> str:
        """Return the digest of the basis of the judgement of `case`: 32 hexadecimal digits."""
        return hashlib.sha256(b"%s\n%s" % (self._prefix, repr(case).encode())).hexdigest()[:32]


class JudgementKeeper:
    """Saves the judgements of one service in its journal, and finds those that are there already.

    A recording keeps none: it saves the exchanges themselves, and judges them again.
    """

    def __init__(
        self,
        service: CheckedService,
        rules: Mapping[str, Rule],
        coverage: CoverageCounter,
        deliveries: DeliveriesOfRun,
    ) -> None:
        """Prepare to keep the judgements of cases, which `rules` make and `coverage` and `deliveries` count."""
        self._contract, self._key, self._coverage = service.contract, service.client.key, coverage
        journal = service.case_journal
        keeps_judgements = journal is not None and journal.is_on_disk and service.settings.save_exchanges is None
        self._journal: CaseJournal | None = journal if keeps_judgements else None
        self._basis = JudgingBasis(service.contract, rules, self._key)
        self._base_case_ids: frozenset[str] = frozenset()
        self._counters_before = coverage.copy_counters()
        self._unjudged_words = deliveries.unjudged_words_count_by_reason
        self._unjudged_words_before = self._unjudged_words.copy()

    def set_planned_cases(self, cases: Iterable[ConformanceCase]) -> None:
        """Note which deliveries later cases are compared with."""
        self._base_case_ids = frozenset(case.comparison.base_case_id for case in cases if case.comparison is not None)

    def find_judgement(self, case: ConformanceCase) -> CaseJudgement | None:
        """Return what an earlier check judged of `case`; `None` if the case is to be sent."""
        return None if self._journal is None else find_earlier_judgement(self._journal, case, self._basis)

    def restore_delivery(self, judgement: CaseJudgement) -> SpeechDelivery | None:
        """Return the delivery of a judged case with which later cases are compared; `None` if there is none."""
        return judgement.delivery.restore(self._contract) if judgement.delivery is not None else None

    def begin_judging(self) -> None:
        """Note what the coverage is before a case is judged."""
        if self._journal is not None:
            self._counters_before = self._coverage.copy_counters()
            self._unjudged_words_before = self._unjudged_words.copy()

    def build_judgement(
        self,
        case: ConformanceCase,
        findings: Sequence[Finding],
        operations: Sequence[tuple[Provenance, str]],
        spending: SpendingTotal,
        *,
        status: int | None = None,
        no_verdict_reason: str | None = None,
        has_no_result: bool = False,
        target: Target | None = None,
        delivery: SpeechDelivery | None = None,
    ) -> CaseJudgement | None:
        """Return what was judged of `case` since `begin_judging`; `None` if judgements are not kept.

        Args:
            case: the case.
            findings: its findings.
            operations: provenance and operation of each judged exchange.
            spending: the requests of the case.
            status: HTTP status of the response that was judged; `None` if no response was judged.
            no_verdict_reason: why there is no verdict; `None` if there is one.
            has_no_result: whether an error of the network ended the case before anything could be judged.
            target: the target that the request addresses; `None` if it addresses none, or if there are no findings.
            delivery: the delivery, if it could be compared with others.
        """
        if self._journal is None:
            return None
        by_provenance: dict[Provenance, tuple[str, ...]] = {}
        for provenance, operation in operations:
            by_provenance[provenance] = (*by_provenance.get(provenance, ()), operation)
        return CaseJudgement(
            basis=self._basis.compute_digest(case),
            judged_at=datetime.now(UTC).isoformat(timespec="seconds"),
            findings=tuple(findings),
            status=status,
            no_verdict_reason=no_verdict_reason,
            has_no_result=has_no_result,
            addressed_target_name=target.name if target is not None else None,
            billable_request_count=spending.billable_request_count,
            operations_by_provenance=by_provenance,
            coverage=self._coverage.build_counts_since(self._counters_before),
            unjudged_words_count_by_reason=dict(self._unjudged_words - self._unjudged_words_before),
            delivery=self._keep_delivery(case, delivery),
        )

    def _keep_delivery(self, case: ConformanceCase, delivery: SpeechDelivery | None) -> KeptDelivery | None:
        if delivery is None or case.id not in self._base_case_ids:
            return None
        return keep_delivery(delivery, self._key)


def find_earlier_judgement(journal: CaseJournal, case: ConformanceCase, basis: JudgingBasis) -> CaseJudgement | None:
    """Return what an earlier check, whose journal is `journal`, judged of `case`; `None` if it judged nothing."""
    return journal.find_judgement(case.id, basis.compute_digest(case)) if journal.has_judgement(case.id) else None
