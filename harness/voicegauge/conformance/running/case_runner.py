"""Sends planned cases to a service and judges the responses."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from voicegauge.checks import (
    Call,
    CaseOutcome,
    CheckSubject,
    IncompleteResponse,
    RequestOrigin,
    ResponsePair,
    Rule,
    SpeechDelivery,
)
from voicegauge.client import DeliveryInterruptedError, RequestParts
from voicegauge.conformance.cases import (
    ConformanceCase,
    explain_inconclusive_status,
    explain_missing_verdict,
)
from voicegauge.conformance.reporting import BillableLimit, count_spending
from voicegauge.conformance.running.audio_input_call import fetch_audio_input_call
from voicegauge.conformance.running.batch_lifecycle import follow_batch, follow_job
from voicegauge.conformance.running.call_prices import compute_price_usd, find_priced_item, require_use_prices
from voicegauge.conformance.running.case_sender import CaseSender
from voicegauge.conformance.running.collector import Collector
from voicegauge.conformance.running.delivery_subjects import iterate_delivery_subjects
from voicegauge.conformance.running.polls_after_end import poll_after_end, poll_without_key
from voicegauge.conformance.running.resource_lifecycle import CallingAccount, ResourceLifecycle
from voicegauge.conformance.running.response_audio import read_response_delivery
from voicegauge.conformance.running.service import CheckedService
from voicegauge.conformance.running.webhook_session import WebhookSession
from voicegauge.conformance.target_matching import find_request_target
from voicegauge.contract import Operation, Target
from voicegauge.emulator import is_emulated
from voicegauge.errors import (
    BudgetError,
    IncompleteResponseError,
    StorageError,
    TimedOutError,
    TransportError,
    UnreachableError,
    UsageError,
)
from voicegauge.model import Delivery, Exchange, Finding, Provenance, Response, SpeechRequest

MAX_UNREACHABLE_REQUESTS = 3
"""Number of consecutive requests without a connection, or without a response in time, after which the check stops."""


class JudgedCase(NamedTuple):
    """The result of one case."""

    findings: list[Finding]
    status: int | None
    """HTTP status of the response that was judged; `None` if no response was judged."""
    no_verdict_reason: str | None = None
    """Why there is no verdict; `None` if there is one."""
    exchange: Exchange | None = None
    """The exchange that was judged; `None` if the case is not a single call."""
    error: TransportError | None = None
    """The error that was judged instead of a response, because the response was incomplete in every attempt."""


@dataclass
class _RunningCase:
    """The exchanges and judged subjects of a case while it runs."""

    exchanges: list[Exchange] = field(default_factory=list)
    judged_calls: list[Call] = field(default_factory=list)
    """The exchanges that were judged, as calls."""
    subject_classes: set[type] = field(default_factory=set)
    """Classes of the subjects that were judged."""


class CaseRunner:
    """Runs cases against one service, one after the other."""

    def __init__(
        self,
        service: CheckedService,
        rules: Mapping[str, Rule],
        collector: Collector,
        billable_limit: BillableLimit | None = None,
        delivery_by_case_id: dict[str, SpeechDelivery] | None = None,
    ) -> None:
        """Prepare to run cases.

        Args:
            service: the service to check.
            rules: the rules to apply, by id.
            collector: gets findings, results and spending.
            billable_limit: the number of billable requests that `run` may send; unlimited by default.
            delivery_by_case_id: earlier deliveries, by the id of their case, with which later deliveries are compared.
                More than one runner of the same service may share them.
        """
        self.service, self._collector, self._limit = service, collector, billable_limit or BillableLimit(None)
        self._client, self._contract = service.client, service.contract
        self._checker = service.create_checker(rules)
        self._sender = CaseSender(service)
        self._unreachable_requests = 0
        self._deliveries = {} if delivery_by_case_id is None else delivery_by_case_id
        self._running = _RunningCase()
        collector.register_rules(rules.values())
        collector.coverage.add_contract(service.contract, rules)

    async def run_cases(
        self, cases: Sequence[ConformanceCase], on_case_started: Callable[[ConformanceCase], None] | None = None
    ) -> None:
        """Run `cases` in order, and call `on_case_started` before each of them.

        Raises:
            UnreachableError: the service cannot be reached.
            TimedOutError: the service accepts connections but does not respond.
            BudgetError: the next case costs more than is left in the budget.
            StorageError: what is paid for or received could not be saved.
        """
        for case in cases:
            if on_case_started is not None:
                on_case_started(case)
            reason = self._limit.find_skip_reason(self._contract, case) or self._find_reason_not_to_repeat(case)
            if reason is not None:
                self._collector.add_skipped(case, reason)
                continue
            try:
                with self._record_spending(case):
                    judged = await self.judge_case(case)
            except StorageError:
                raise
            except (TransportError, UsageError) as error:
                self._record_case_finished(case, str(error))
                if self.must_stop_after_error(error):
                    raise
                self._collector.add_skipped(case, str(error))
                continue
            self._record_case_finished(case, judged.no_verdict_reason)
            target = self._find_addressed_target(case)
            self._collector.add_result(case, judged.findings, judged.status, judged.no_verdict_reason, target)
            if judged.error is None:
                self._unreachable_requests = 0
            elif self.must_stop_after_error(judged.error):
                raise judged.error

    def _find_reason_not_to_repeat(self, case: ConformanceCase) -> str | None:
        """Return why `case` is not sent, because of a request of an earlier command; `None` if it is sent."""
        return self.service.case_journal.find_skip_reason(case) if self.service.case_journal is not None else None

    def _record_case_finished(self, case: ConformanceCase, no_verdict_reason: str | None) -> None:
        """Note in the journal that the results of all requests of `case` are known."""
        if self.service.case_journal is not None:
            self.service.case_journal.record_case_finished(case.id, no_verdict_reason)

    def must_stop_after_error(self, error: Exception) -> bool:
        """Whether to stop, because `error` and the errors just before it mean that the service does not respond."""
        is_unreachable = isinstance(error, UnreachableError | TimedOutError)
        self._unreachable_requests = self._unreachable_requests + 1 if is_unreachable else 0
        return self._unreachable_requests >= MAX_UNREACHABLE_REQUESTS

    @contextmanager
    def _record_spending(self, case: ConformanceCase) -> Iterator[None]:
        """Record what `case` sends and spends while the context is active. Only one case may be active at a time."""
        ledger, self._running = self.service.ledger, _RunningCase()
        before_usd = ledger.spent_usd if ledger is not None else 0.0
        try:
            yield
        finally:
            usd = ledger.spent_usd - before_usd if ledger is not None else 0.0
            spent = count_spending(self._contract, self._running.exchanges, usd)
            self._limit.count_case(spent)
            if self._is_free(case):
                spent = msgspec.structs.replace(spent, billable=0)
            self._collector.add_spending(case, spent, self._running.subject_classes)
            self._running = _RunningCase()

    def _is_free(self, case: ConformanceCase) -> bool:
        """Whether the price of a live request is known to be 0, as that of a server of the user's own."""
        item = find_priced_item(self._contract, case)
        if self.service.is_emulated or item is None:
            return False
        return compute_price_usd(item, self.service.prices, case.text_characters, case.audio_s) == 0

    async def judge_case(self, case: ConformanceCase) -> JudgedCase:
        """Send one case, judge the responses and collect the findings.

        Raises:
            TransportError: the service did not respond.
            BudgetError: the case costs more than is left in the budget.
        """
        if case.callback_url is not None:
            return await self._judge_webhook(case)
        if case.is_lifecycle:
            return await self._judge_lifecycle(case)
        return await (self._judge_delivery(case) if case.speech_request is not None else self._judge_call(case))

    async def send_and_judge(
        self, case: ConformanceCase, read_subjects: Callable[[Exchange], Iterable[CheckSubject]] | None = None
    ) -> JudgedCase:
        """Send one single call and judge it, but do not collect the findings, so that a search can shrink them first.

        Args:
            case: the case to send.
            read_subjects: returns the subjects of the exchange if there is a verdict; by default the call and its
                outcome.

        Raises:
            TransportError: the service did not respond.
            BudgetError: the case costs more than is left in the budget.
        """
        with self._record_spending(case):
            try:
                subjects, exchange, skipped = await self._send_call(case)
            except TransportError as error:
                self._record_case_finished(case, str(error))
                raise
            self._record_case_finished(case, skipped)
            self._unreachable_requests = 0
            if read_subjects is not None and skipped is None:
                subjects = list(read_subjects(exchange))
            return JudgedCase(self._judge_subjects(subjects, case), exchange.response.status, skipped, exchange)

    def collect_findings(self, findings: Sequence[Finding]) -> None:
        """Collect findings that `send_and_judge` returned."""
        self._collector.add_findings(findings)

    def _judge_subjects(self, subjects: Iterable[CheckSubject], case: ConformanceCase) -> list[Finding]:
        findings: list[Finding] = []
        reproduce = functools.partial(self._build_repeat_command, case)
        for subject, of_subject in self._checker.iterate_findings_by_subject(
            subjects, case_id=case.id, build_reproduction_command=reproduce
        ):
            self._running.subject_classes.add(type(subject))
            self._running.judged_calls += [subject] if isinstance(subject, Call) else []
            self._collector.coverage.add_subject(subject, {rule for one in of_subject for rule in one.violated_rules})
            findings += self._collector.clips.add_clips(of_subject, subject)
        return findings

    def _build_repeat_command(self, case: ConformanceCase, exchange: Exchange) -> str | None:
        """Return the command that shows a finding again: the request of a single call, or all requests of `case`."""
        is_single_call = case.speech_request is None and not case.is_lifecycle and case.callback_url is None
        if is_single_call and exchange.operation == case.operation:
            command = self.service.build_repeat_command(exchange)
            if command is not None:  # otherwise its upload is too large for a command
                return command
        return self.service.reproduction.build_case_command(case)

    def _judge_and_collect(self, subjects: Iterable[CheckSubject], case: ConformanceCase) -> list[Finding]:
        findings = self._judge_subjects(subjects, case)
        self._collector.add_findings(findings)
        return findings

    def _find_target(self, case: ConformanceCase) -> Target | None:
        return self._contract.targets.get(case.target_name) if case.target_name else None

    def _find_addressed_target(self, case: ConformanceCase) -> Target | None:
        """Return the target that the request of a case addresses, which may be another one than that of the case."""
        if case.request is None:
            return self._find_target(case)
        return find_request_target(self._contract.find_operation(case.operation), case.request)

    async def _judge_call(self, case: ConformanceCase) -> JudgedCase:
        try:
            subjects, exchange, skipped = await self._send_call(case)
        except IncompleteResponseError as error:
            is_recording = self.service.save_exchanges is not None
            if is_recording or (case.is_billable and self._limit.is_limited):
                raise  # only a check has use for the second response, and it must not exceed the number of requests
            return await self._judge_again(case, error)
        return JudgedCase(self._judge_and_collect(subjects, case), exchange.response.status, skipped, exchange)

    async def _judge_again(self, case: ConformanceCase, first_error: IncompleteResponseError) -> JudgedCase:
        """Send a single call with an incomplete response again, because only a defect makes it incomplete every time.

        Raises:
            TransportError: the second error differs from the first, or the budget does not allow another request.
        """
        try:
            subjects, exchange, skipped = await self._send_call(case)
        except BudgetError:
            raise first_error from None
        except IncompleteResponseError as error:
            if error.status != first_error.status:
                raise
            subjects = [self._build_incomplete_response(case, error)]
            findings = self._judge_and_collect(subjects, case)
            return JudgedCase(findings, error.status, str(error), error=error)
        return JudgedCase(self._judge_and_collect(subjects, case), exchange.response.status, skipped, exchange)

    def _build_incomplete_response(self, case: ConformanceCase, error: IncompleteResponseError) -> IncompleteResponse:
        operation = self._contract.find_operation(case.operation)
        exchange = Exchange(
            provider=case.provider,
            operation=case.operation,
            request=self._sender.build_case_request(case),
            response=Response(status=error.status, headers=error.headers),
        )
        # Both attempts may have been charged, so both count among the requests of the case.
        self._running.exchanges += [exchange, exchange]
        return IncompleteResponse(Call(operation, exchange, self._find_target(case)), str(error), attempts=2)

    async def _send_call(self, case: ConformanceCase) -> tuple[list[CheckSubject], Exchange, str | None]:
        """Send a single call; return its subjects, the exchange to judge, and why there is no verdict."""
        operation, target = self._contract.find_operation(case.operation), self._find_target(case)
        *retried, exchange = await self._sender.send_call(case, target)
        origin: RequestOrigin = "invalid" if case.expected.verdict == "rejected" else "sent"
        call = Call(operation, exchange, target, request_origin=origin)
        skipped, fetched = self._explain_missing_verdict(case, exchange), list[Exchange]()
        audio_input = self._contract.audio_input_targets.get(case.target_name or "")
        if audio_input is not None and call.is_accepted:
            call, fetched = await fetch_audio_input_call(self._client, audio_input, case, call)
        skipped = skipped or call.unread_body_reason
        self._add_exchanges(case, [*retried, exchange, *fetched], skipped)
        subjects: list[CheckSubject] = [Call(operation, earlier, target, request_origin=origin) for earlier in retried]
        subjects += [call] if skipped else [call, CaseOutcome(call, case.expected)]
        has_documented_text = case.expected.case_kind == "valid"
        delivered = (
            read_response_delivery(call, has_documented_text=has_documented_text)
            if origin == "sent" and not skipped
            else None
        )
        subjects += [delivered] if delivered is not None else []
        operations = self._contract.operations
        subjects += [Call(operations[other.operation], other) for other in fetched if other.operation in operations]
        return subjects, exchange, skipped

    def _explain_missing_verdict(self, case: ConformanceCase, exchange: Exchange) -> str | None:
        """Return why there is no verdict; `None` for the emulator, which always judges the request."""
        if self.service.is_emulated and case.expected.verdict == "rejected":
            return None
        return explain_missing_verdict(case, exchange.response.status)

    async def _judge_lifecycle(self, case: ConformanceCase) -> JudgedCase:
        exchanges: list[Exchange] = []

        async def send(
            operation: Operation, request: RequestParts, calling_account: CallingAccount, server: str | None
        ) -> Exchange:
            attempts = await self._sender.send_step(case, operation, request, calling_account, server)
            exchanges.extend(attempts)
            return attempts[-1]

        assert case.request is not None, "a lifecycle begins with a request"
        operation, target = self._contract.find_operation(case.operation), self._find_target(case)
        if target is not None:
            steps = follow_batch(target, case.request, send, self._client)
        elif operation.submit is not None:
            steps = follow_job(operation, case.request, send, self._client, "a job")
        else:
            if self.service.ledger is not None:
                require_use_prices(operation, self.service.prices)
            steps = ResourceLifecycle(
                operation,
                send,
                has_other_account=self.service.is_emulated,
                varies_other_fields=case.varies_other_fields,
            ).iterate_subjects(case.request)
        subjects: list[CheckSubject] = []
        try:
            async for subject in steps:
                subjects.append(subject)  # noqa: PERF401 - keeps the subjects before an interruption
        except asyncio.CancelledError:
            judged = self._judge_steps(case, subjects, exchanges)
            self._collector.add_result(case, judged.findings, judged.status, "interrupted before the last step")
            raise
        except Exception:
            self._add_exchanges(case, exchanges)  # they were sent and may have been charged
            raise
        return self._judge_steps(case, subjects, exchanges)

    def _judge_steps(
        self, case: ConformanceCase, step_subjects: Sequence[CheckSubject], exchanges: Sequence[Exchange]
    ) -> JudgedCase:
        """Judge the steps of a lifecycle that were completed."""
        skipped = next(filter(None, map(_explain_inconclusive_step, step_subjects)), None)
        self._add_exchanges(case, exchanges, skipped)
        conclusive = (subject for subject in step_subjects if _explain_inconclusive_step(subject) is None)
        status = exchanges[0].response.status if exchanges else None
        return JudgedCase(self._judge_and_collect(conclusive, case), status, skipped)

    async def _judge_webhook(self, case: ConformanceCase) -> JudgedCase:
        session = WebhookSession(case, self.service.receiver, is_emulated=self.service.is_emulated)
        judged = await self.judge_case(session.case)
        callbacks = await session.collect_callbacks(
            self._contract.find_operation(case.operation), self._running.judged_calls, self._client.max_wait_s
        )
        if callbacks is None:
            return judged
        findings = self._judge_and_collect([*callbacks.callback_subjects, callbacks], case)
        return judged._replace(findings=[*judged.findings, *findings])

    async def _judge_delivery(self, case: ConformanceCase) -> JudgedCase:
        target, speech = self._find_target(case), case.speech_request
        assert target is not None, "a delivery has a target"
        assert speech is not None, "a delivery has speech"
        try:
            delivery = await self._sender.deliver(case, target, speech)
        except DeliveryInterruptedError as error:
            self._judge_interrupted_delivery(case, target, speech, error.delivery)
            raise
        polls = await poll_after_end(self._client, target, delivery)
        without_key = await poll_without_key(self._client, target, polls)
        skipped = _explain_missing_delivery(delivery, case)
        self._add_exchanges(
            case, [*delivery.exchanges, *polls, *(outcome.exchange for outcome in without_key)], skipped
        )
        subjects = [*iterate_delivery_subjects(target, speech, delivery, polls)]
        subjects += [subject for outcome in without_key for subject in (outcome.call, outcome)]
        subjects += self._build_related_pair(case, subjects)
        findings = self._judge_and_collect(subjects, case)
        index = delivery.submit_exchange_index
        status = None if index is None else delivery.exchanges[index].response.status
        return JudgedCase(findings, status, skipped)

    def _judge_interrupted_delivery(
        self, case: ConformanceCase, target: Target, speech_request: SpeechRequest, delivery: Delivery
    ) -> None:
        """Judge what was observed of a delivery before Ctrl-C, and collect the result."""
        skipped = _explain_missing_delivery(delivery, case)
        self._add_exchanges(case, delivery.exchanges, skipped)
        findings = self._judge_and_collect(iterate_delivery_subjects(target, speech_request, delivery), case)
        self._collector.add_result(case, findings, None, skipped)

    def _build_related_pair(self, case: ConformanceCase, subjects: Sequence[CheckSubject]) -> list[ResponsePair]:
        """Return the delivery of `case` paired with the earlier one that it is compared with; empty without one."""
        delivered = next((subject for subject in subjects if isinstance(subject, SpeechDelivery)), None)
        if delivered is None or delivered.delivery.failure is not None:
            return []
        relation = case.relation
        self._deliveries[case.id] = delivered
        if relation is None:
            return []
        base = self._deliveries.get(relation.base_case_id)
        if base is None:
            return []
        return [ResponsePair(relation.parameter, base, delivered, relation.base_value, relation.changed_value)]

    def _add_exchanges(
        self, case: ConformanceCase, exchanges: Sequence[Exchange], skip_reason: str | None = None
    ) -> None:
        if self._checker.provenance is not Provenance.EMULATED and any(map(is_emulated, exchanges)):
            # The user's base URL belongs to an emulator, whose traffic must not be reported as live traffic.
            self._checker = replace(self._checker, provenance=Provenance.EMULATED)
        self._running.exchanges += exchanges
        for exchange in exchanges:
            self._collector.count_exchange(self._checker.provenance, exchange.provider, exchange.operation)
            self._collector.coverage.add_exchange(exchange)
            status = exchange.response.status
            if status == HTTPStatus.PAYMENT_REQUIRED and status not in case.expected.statuses and is_emulated(exchange):
                self._collector.count_rejection_without_credit()
        if self.service.save_exchanges is not None and skip_reason is None:
            self.service.save_exchanges(case, exchanges)


def _explain_inconclusive_step(subject: CheckSubject) -> str | None:
    """Return why a step of a lifecycle proves nothing about the contract; `None` if it can prove something."""
    return explain_inconclusive_status(subject.call.status) if isinstance(subject, CaseOutcome) else None


def _explain_missing_delivery(delivery: Delivery, case: ConformanceCase) -> str | None:
    """Return why a delivery has no verdict; `None` if audio was delivered, or if the job failed as it should."""
    failure = delivery.failure
    if failure is None or (failure.kind == "failed" and case.expects_failure):
        return None
    return f"{failure.kind}: {failure.message}"
