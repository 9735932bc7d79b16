"""Judges what was received in the order of the plan, saves the judgements, and finds those of an earlier check."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

from voicegauge.cases.case import ConformanceCase
from voicegauge.conformance._case_sender import TRANSIENT_STATUSES
from voicegauge.conformance._resource_tracking import compute_account_checksum
from voicegauge.conformance._sent_case import CaseJudgement, SentCase, convert_to_saved_delivery
from voicegauge.conformance.case_journal import CaseJournal
from voicegauge.conformance.check_settings import CheckedService
from voicegauge.conformance.coverage import CoverageCounter
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.spending import SpendingTotal
from voicegauge.contract.contract import Contract, Target
from voicegauge.emulator.process import is_emulated
from voicegauge.model.base import Finding, Provenance
from voicegauge.model.exchange import Exchange
from voicegauge.recording.quoted_words import mask_undocumented_words
from voicegauge.rules.call import CheckSubject
from voicegauge.rules.checker import Checker
from voicegauge.rules.delivery_groups import DeliveriesOfRun
from voicegauge.rules.registry import Rule
from voicegauge.rules.subjects import DeliveryPair, SpeechDelivery
from voicegauge.version import __version__


def _iterate_statuses_before_repetitions(sent_case: SentCase, contract: Contract) -> Iterator[int]:
    """Yield the status of each response of a busy service after which the same request was sent again."""
    if len(sent_case.exchanges) < 2:
        return
    busy = {*TRANSIENT_STATUSES, *contract.provider.retry_policy.retried_statuses}
    for earlier, later in itertools.pairwise(sent_case.exchanges):
        requests = [(one.request.method, one.request.url, one.request.body) for one in (earlier, later)]
        status = earlier.response.status
        if requests[0] == requests[1] and status in busy and status not in sent_case.case.expected_response.statuses:
            yield status


class CaseJudge:
    """Applies rules to what was received, and counts it in the coverage of the check."""

    def __init__(
        self,
        service: CheckedService,
        rules: Mapping[str, Rule],
        collector: ResultCollector,
        delivery_by_case_id: dict[str, SpeechDelivery],
    ) -> None:
        """Prepare to judge cases.

        Args:
            service: the service to check.
            rules: the rules to apply, by id.
            collector: collects counts and clips, but no findings.
            delivery_by_case_id: earlier deliveries, by the id of their case, with which later deliveries are compared.
        """
        self._service, self._collector, self._deliveries = service, collector, delivery_by_case_id
        self._checker = Checker(
            service.settings.provenance,
            rules,
            service.build_repeat_command,
            service.client.mask_secrets,
            mask_undocumented_words,
        )
        self.judged_classes: set[type] = set()
        """Classes of the subjects of the latest case."""
        self.provenances: list[Provenance] = []
        """Provenance of each exchange of the latest case."""
        collector.spending_account.register_rules(rules.values())
        collector.coverage.add_contract(service.contract, rules)

    def judge_case(
        self, sent_case: SentCase, read_subjects: Callable[[Exchange], Iterable[CheckSubject]] | None = None
    ) -> list[Finding]:
        """Count and judge what was received for one case, and save it if the check records; return the findings.

        Args:
            sent_case: what was received.
            read_subjects: returns the subjects of the exchange of a single call; `None` to judge the subjects of
                `sent_case`.

        Raises:
            StorageError: the exchanges could not be saved.
        """
        self.judged_classes, self.provenances = set(), []
        self._count_exchanges(sent_case)
        subjects: list[CheckSubject] = sent_case.subjects
        if read_subjects is not None and sent_case.judged_exchange is not None:
            subjects = list(read_subjects(sent_case.judged_exchange))
        judged = self._collector.apply_rules(
            self._checker,
            [*subjects, *self._build_delivery_pair(sent_case)],
            case_id=sent_case.case.id,
            build_reproduction_command=functools.partial(self._build_repeat_command, sent_case.case),
        )
        self.judged_classes = {type(subject) for subject, _ in judged}
        return [finding for _, of_subject in judged for finding in of_subject]

    def _count_exchanges(self, sent_case: SentCase) -> None:
        if self._checker.provenance is not Provenance.EMULATED and any(map(is_emulated, sent_case.exchanges)):
            # The user's base URL belongs to an emulator, whose traffic must not be reported as live traffic.
            self._checker = replace(self._checker, provenance=Provenance.EMULATED)
        for status in _iterate_statuses_before_repetitions(sent_case, self._service.contract):
            self._collector.repetition_count_by_status[status] += 1
        calls = {id(call.exchange): call for call in sent_case.calls}  # so that no body is parsed twice
        for exchange in sent_case.exchanges:
            self.provenances.append(self._checker.provenance)
            self._collector.count_exchange(self._checker.provenance, exchange.provider, exchange.operation)
            self._collector.coverage.add_exchange(exchange, calls.get(id(exchange)))
            status = exchange.response.status
            if (
                status == HTTPStatus.PAYMENT_REQUIRED
                and status not in sent_case.case.expected_response.statuses
                and is_emulated(exchange)
            ):
                self._collector.rejection_without_credit_count += 1
        for exchange in sent_case.incomplete_exchanges:  # judged too, but only that their response broke off
            self._collector.count_exchange(self._checker.provenance, exchange.provider, exchange.operation)
        if self._service.settings.save_exchanges is not None and sent_case.exchanges and sent_case.has_verdict:
            self._service.settings.save_exchanges(sent_case.case, sent_case.exchanges)

    def _build_repeat_command(self, case: ConformanceCase, exchange: Exchange) -> str | None:
        """Return the command that shows a finding again; `None` if no command can.

        It sends the one request again if `case` is a single call that fits into a command, else all requests of `case`.
        """
        is_single_call = case.speech_request is None and not case.is_lifecycle and case.callback_url_parameter is None
        is_single_call = is_single_call and case.socket_scenario is None
        if is_single_call and exchange.operation == case.operation:
            command = self._service.build_repeat_command(exchange)
            if command is not None:  # otherwise its upload is too large for a command
                return command
        return self._service.settings.reproduction.build_case_command(case)

    def _build_delivery_pair(self, sent_case: SentCase) -> list[DeliveryPair]:
        """Return the pair of the delivery of a case and the earlier delivery with which it is compared.

        The list is empty if there is no such pair, for example because a delivery failed. A delivery that has not
        failed is kept, so that later ones can be compared with it.
        """
        if sent_case.case.speech_request is None:
            return []
        delivered = find_comparable_delivery(sent_case)
        if delivered is None:
            return []
        comparison = sent_case.case.comparison
        self._deliveries[sent_case.case.id] = delivered
        base = self._deliveries.get(comparison.base_case_id) if comparison is not None else None
        if comparison is None or base is None:
            return []
        return [
            DeliveryPair(
                comparison.compared_parameter,
                base,
                delivered,
                comparison.base_value,
                comparison.changed_value,
                find_companion_delivery(sent_case),
            )
        ]


def find_comparable_delivery(sent_case: SentCase) -> SpeechDelivery | None:
    """Return the delivery of a case with which others can be compared; `None` if there is none, or if it failed."""
    delivered = next((subject for subject in sent_case.subjects if isinstance(subject, SpeechDelivery)), None)
    return None if delivered is None or delivered.delivery.failure is not None else delivered


def find_companion_delivery(sent_case: SentCase) -> SpeechDelivery | None:
    """Return the delivery that was in flight beside that of the case; `None` if there is none, or if it failed."""
    companion = sent_case.case.companion_request
    deliveries = (subject for subject in sent_case.subjects if isinstance(subject, SpeechDelivery))
    found = next((one for one in deliveries if companion is not None and one.speech_request == companion), None)
    return None if found is None or found.delivery.failure is not None else found


class JudgingBasis:
    """Everything but the case that a judgement depends on: the program, the contract, the rules and the account.

    If one of them has changed since an earlier check, the case is sent again instead of reporting what held then.
    """

    def __init__(self, contract: Contract, rules: Mapping[str, Rule], key: str | None) -> None:
        """Collect the parts of the basis.

        Args:
            contract: the contract of the service.
            rules: the rules to apply, by id.
            key: the API key, by whose checksum the account is recognized; `None` if requests have no key.
        """
        parts = [__version__, contract.document.sha256, compute_account_checksum(key)]
        parts += [f"{name}={rule.severity}" for name, rule in sorted(rules.items())]
        self._prefix = "\n".join(parts).encode()

    def compute_digest(self, case: ConformanceCase) -> str:
        """Return a digest of everything that the judgement of `case` depends on: 32 hexadecimal digits."""
        return hashlib.sha256(b"%s\n%s" % (self._prefix, repr(case).encode())).hexdigest()[:32]


class JudgementKeeper:
    """Builds the judgements of one service's cases for its journal, and finds those that an earlier check saved there.

    A recording keeps none: it saves the exchanges themselves, and judges them again.
    """

    def __init__(
        self,
        service: CheckedService,
        rules: Mapping[str, Rule],
        coverage: CoverageCounter,
        deliveries: DeliveriesOfRun,
    ) -> None:
        """Prepare to keep the judgements that `rules` give; `coverage` and `deliveries` are those of the check."""
        self._contract, self._key, self._coverage = service.contract, service.client.key, coverage
        journal = service.case_journal
        keeps_judgements = journal is not None and journal.is_on_disk and service.settings.save_exchanges is None
        self._journal: CaseJournal | None = journal if keeps_judgements else None
        self._rules = rules
        self._base_case_ids: frozenset[str] = frozenset()
        # The rules count in objects that all cases share, so a judgement is the difference from a copy made before it.
        self._counters_before = coverage.copy_counters()
        self._latest_measurements = deliveries.latest_measurements
        self._unjudged_words = deliveries.unjudged_words_count_by_reason
        self._unjudged_words_before = self._unjudged_words.copy()
        self._unjudged_sound = deliveries.unjudged_sound_count_by_reason
        self._unjudged_sound_before = self._unjudged_sound.copy()

    @functools.cached_property
    def _basis(self) -> JudgingBasis:
        return JudgingBasis(self._contract, self._rules, self._key)

    @property
    def keeps_judgements(self) -> bool:
        """Whether judgements are saved."""
        return self._journal is not None

    def set_planned_cases(self, cases: Iterable[ConformanceCase]) -> None:
        """Note the deliveries that must be kept, because later ones of `cases` are compared with them."""
        self._base_case_ids = frozenset(case.comparison.base_case_id for case in cases if case.comparison is not None)

    def find_judgement(self, case: ConformanceCase) -> CaseJudgement | None:
        """Return what an earlier check judged of `case`; `None` if the case is to be sent."""
        return None if self._journal is None else find_earlier_judgement(self._journal, case, self._basis)

    def begin_judging(self) -> None:
        """Note the coverage before a case is judged, so that `build_judgement` finds what the case adds."""
        if self._journal is not None:
            self._counters_before = self._coverage.copy_counters()
            self._unjudged_words_before = self._unjudged_words.copy()
            self._unjudged_sound_before = self._unjudged_sound.copy()
            self._latest_measurements.clear()

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
            unjudged_sound_count_by_reason=dict(self._unjudged_sound - self._unjudged_sound_before),
            measurements=tuple(self._latest_measurements),
            # Audio takes most of the space of a journal, so only that of deliveries with a later comparison is kept.
            delivery=None
            if delivery is None or case.id not in self._base_case_ids
            else convert_to_saved_delivery(delivery, self._key),
        )


def find_earlier_judgement(journal: CaseJournal, case: ConformanceCase, basis: JudgingBasis) -> CaseJudgement | None:
    """Return what an earlier check, whose journal is `journal`, judged of `case`; `None` if it judged nothing."""
    return journal.find_judgement(case.id, basis.compute_digest(case)) if journal.has_judgement(case.id) else None
