"""Judges what was received for the cases of one service, in the order of the plan."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus

from voicegauge.cases.case import ConformanceCase
from voicegauge.conformance._request_sender import SentCase
from voicegauge.conformance.checked_service import CheckedService
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.emulator.settings import is_emulated
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange
from voicegauge.model.finding import Finding
from voicegauge.rules.call import CheckSubject
from voicegauge.rules.registry import Rule
from voicegauge.rules.subjects import DeliveryPair, SpeechDelivery


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
            collector: gets counts and clips, but no findings.
            delivery_by_case_id: earlier deliveries, by the id of their case, with which later deliveries are compared.
        """
        self._service, self._collector, self._deliveries = service, collector, delivery_by_case_id
        self._checker = service.create_checker(rules)
        self.judged_classes: set[type] = set()
        """Classes of the subjects of the latest case."""
        self.provenances: list[Provenance] = []
        """Provenance of each exchange of the latest case."""
        collector.register_rules(rules.values())
        collector.coverage.add_contract(service.contract, rules)

    def judge_case(
        self, sent_case: SentCase, read_subjects: Callable[[Exchange], Iterable[CheckSubject]] | None = None
    ) -> list[Finding]:
        """Count and judge what was received for one case; return the findings.

        Args:
            sent_case: what was received.
            read_subjects: returns the subjects to judge in place of those of `sent_case`.

        Raises:
            StorageError: the exchanges could not be saved.
        """
        self.judged_classes, self.provenances = set(), []
        self._count_exchanges(sent_case)
        subjects: list[CheckSubject] = sent_case.subjects
        if read_subjects is not None and sent_case.judged_exchange is not None:
            subjects = list(read_subjects(sent_case.judged_exchange))
        return self._judge_subjects([*subjects, *self._build_delivery_pair(sent_case)], sent_case.case)

    def _count_exchanges(self, sent_case: SentCase) -> None:
        if self._checker.provenance is not Provenance.EMULATED and any(map(is_emulated, sent_case.exchanges)):
            # The user's base URL belongs to an emulator, whose traffic must not be reported as live traffic.
            self._checker = replace(self._checker, provenance=Provenance.EMULATED)
        calls = {id(call.exchange): call for call in sent_case.calls}
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
                self._collector.count_rejection_without_credit()
        if self._service.settings.save_exchanges is not None and sent_case.exchanges and sent_case.has_verdict:
            self._service.settings.save_exchanges(sent_case.case, sent_case.exchanges)

    def _judge_subjects(self, subjects: Sequence[CheckSubject], case: ConformanceCase) -> list[Finding]:
        findings: list[Finding] = []
        reproduce = functools.partial(self._build_repeat_command, case)
        subjects = self._collector.deliveries.add_comparisons(self._collector.balances.add_changes(subjects))
        for subject, of_subject in self._checker.iterate_findings_by_subject(
            subjects, case_id=case.id, build_reproduction_command=reproduce
        ):
            self.judged_classes.add(type(subject))
            self._collector.coverage.add_subject(subject, {rule for one in of_subject for rule in one.violated_rules})
            findings += self._collector.clips.add_clips(of_subject, subject)
        return findings

    def _build_repeat_command(self, case: ConformanceCase, exchange: Exchange) -> str | None:
        """Return the command that shows a finding again: the request of a single call, or all requests of `case`."""
        is_single_call = case.speech_request is None and not case.is_lifecycle and case.callback_url_parameter is None
        is_single_call = is_single_call and case.socket_scenario is None
        if is_single_call and exchange.operation == case.operation:
            command = self._service.build_repeat_command(exchange)
            if command is not None:  # otherwise its upload is too large for a command
                return command
        return self._service.settings.reproduction.build_case_command(case)

    def _build_delivery_pair(self, sent_case: SentCase) -> list[DeliveryPair]:
        """Return the pair of the delivery of a case and the earlier delivery with which it is compared.

        The list is empty if there is no such pair, for example because a delivery failed.
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
