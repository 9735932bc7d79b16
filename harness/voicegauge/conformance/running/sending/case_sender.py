"""Sends whole cases: single calls, deliveries, lifecycles, and requests with a webhook URL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from voicegauge.checks import (
    Call,
    CaseOutcome,
    CheckSubject,
    IncompleteResponse,
    RequestIntent,
)
from voicegauge.client import DeliveryInterruptedError, RequestParts
from voicegauge.conformance.cases import ConformanceCase, explain_inconclusive_status, explain_missing_verdict
from voicegauge.conformance.running.call_prices import require_resource_use_prices
from voicegauge.conformance.running.checked_service import CheckedService
from voicegauge.conformance.running.delivery_subjects import iterate_delivery_subjects
from voicegauge.conformance.running.response_audio import read_response_delivery
from voicegauge.conformance.running.sending.audio_input_call import fetch_audio_of_call
from voicegauge.conformance.running.sending.batch_lifecycle import follow_batch, follow_job
from voicegauge.conformance.running.sending.polls_after_end import poll_after_end, poll_without_key
from voicegauge.conformance.running.sending.request_sender import RequestSender
from voicegauge.conformance.running.sending.resource_lifecycle import CallingAccount, ResourceLifecycle
from voicegauge.conformance.running.sending.sent_case import SentCase
from voicegauge.conformance.running.webhook_session import WebhookSession
from voicegauge.contract import Operation, Target
from voicegauge.errors import BudgetError, IncompleteResponseError, VoicegaugeError
from voicegauge.model import Delivery, Exchange, Response


class CaseSender:
    """Sends the cases of one service. Nothing is judged, so that several cases can be in flight at once."""

    def __init__(
        self,
        service: CheckedService,
        should_repeat_incomplete_response: Callable[[ConformanceCase], bool] = lambda _: False,
    ) -> None:
        """Prepare to send cases.

        Args:
            service: the service; its ledger must not be used by other cases at the same time.
            should_repeat_incomplete_response: whether a single call is sent again if its response is incomplete.
        """
        self._service, self._client, self._contract = service, service.client, service.contract
        self._requests = RequestSender(service)
        self._should_repeat_incomplete_response = should_repeat_incomplete_response

    async def send_case(self, case: ConformanceCase) -> SentCase:
        """Send all requests of a case, and return what was received.

        An error of the tool or of the network and a cancellation of the task are not raised: `SentCase.error` has them.
        """
        ledger, sent_case = self._service.ledger, SentCase(case)
        before_usd = ledger.spent_usd if ledger is not None else 0.0
        try:
            await self._send_requests_of_case(case, sent_case)
        except (VoicegaugeError, asyncio.CancelledError) as error:
            sent_case.error = error
        sent_case.spent_usd = ledger.spent_usd - before_usd if ledger is not None else 0.0
        return sent_case

    async def _send_requests_of_case(self, case: ConformanceCase, sent_case: SentCase) -> None:
        """Send all requests of `case`, and add what is received to `sent_case`."""
        if case.callback_url_parameter is not None:
            await self._send_webhook_case(case, sent_case)
        elif case.is_lifecycle:
            await self._send_lifecycle(case, sent_case)
        elif case.speech_request is not None:
            await self._send_delivery(case, sent_case)
        else:
            await self._send_call_with_repetition(case, sent_case)

    async def _send_call_with_repetition(self, case: ConformanceCase, sent_case: SentCase) -> None:
        try:
            await self._send_call_once(case, sent_case)
        except IncompleteResponseError as error:
            if not self._should_repeat_incomplete_response(case):
                raise
            await self._send_call_again(case, sent_case, error)

    async def _send_call_again(
        self, case: ConformanceCase, sent_case: SentCase, first_error: IncompleteResponseError
    ) -> None:
        """Send a single call again after an incomplete response. A response that is incomplete twice shows a defect.

        Raises:
            TransportError: the second error differs from the first, or the budget does not allow another request.
        """
        try:
            await self._send_call_once(case, sent_case)
        except BudgetError:
            raise first_error from None
        except IncompleteResponseError as error:
            if error.status != first_error.status:
                raise
            operation = self._contract.find_operation(case.operation)
            exchange = Exchange(
                provider=case.provider,
                operation=case.operation,
                request=self._requests.build_case_request(case),
                response=Response(status=error.status, headers=error.headers),
            )
            # Both attempts may have been charged, so both count among the requests of the case.
            sent_case.incomplete_exchanges = (exchange, exchange)
            call = Call(operation, exchange, self._find_target(case))
            sent_case.subjects.append(IncompleteResponse(call, str(error), attempt_count=2))
            sent_case.status, sent_case.no_verdict_reason, sent_case.incomplete_response_error = (
                error.status,
                str(error),
                error,
            )

    async def _send_call_once(self, case: ConformanceCase, sent_case: SentCase) -> None:
        """Send a single call, and fetch the audio that the response to an upload of audio links to."""
        operation, target = self._contract.find_operation(case.operation), self._find_target(case)
        *retried, exchange = await self._requests.send_call(case, target)
        intent: RequestIntent = "invalid" if case.expected_response.acceptance == "rejected" else "valid"
        call = Call(operation, exchange, target, request_intent=intent)
        skipped, fetched = self._explain_missing_verdict(case, exchange), list[Exchange]()
        audio_input = self._contract.audio_input_targets.get(case.target_name or "")
        if audio_input is not None and call.is_accepted:
            call, fetched = await fetch_audio_of_call(self._client, audio_input, case, call)
        skipped = skipped or call.unread_body_reason
        sent_case.exchanges += [*retried, exchange, *fetched]
        sent_case.status, sent_case.no_verdict_reason, sent_case.judged_exchange = (
            exchange.response.status,
            skipped,
            exchange,
        )
        sent_case.subjects += [Call(operation, earlier, target, request_intent=intent) for earlier in retried]
        sent_case.subjects += [call] if skipped else [call, CaseOutcome(call, case.expected_response)]
        delivered = (
            read_response_delivery(call, has_documented_text=case.expected_response.case_kind == "valid")
            if intent == "valid" and not skipped
            else None
        )
        sent_case.subjects += [delivered] if delivered is not None else []
        operations = self._contract.operations
        sent_case.subjects += [
            Call(operations[other.operation], other) for other in fetched if other.operation in operations
        ]

    def _explain_missing_verdict(self, case: ConformanceCase, exchange: Exchange) -> str | None:
        """Return why there is no verdict; `None` if there is one.

        There is always a verdict if the emulator responds to a case that should be rejected.
        """
        if self._service.is_emulated and case.expected_response.acceptance == "rejected":
            return None
        return explain_missing_verdict(case, exchange.response.status)

    async def _send_lifecycle(self, case: ConformanceCase, sent_case: SentCase) -> None:
        subjects: list[CheckSubject] = []
        try:
            async for subject in self._send_lifecycle_steps(case, sent_case):
                subjects.append(subject)  # noqa: PERF401 - keeps the subjects before an interruption
        except asyncio.CancelledError:
            self._add_completed_steps(sent_case, subjects)
            sent_case.no_verdict_reason = "interrupted before the last step"
            raise
        self._add_completed_steps(sent_case, subjects)

    def _send_lifecycle_steps(self, case: ConformanceCase, sent_case: SentCase) -> AsyncIterator[CheckSubject]:
        """Follow the batch, job or resource that the request of `case` creates to its end, and yield the subjects.

        Each step is sent when the iterator gets to it.
        """

        async def send_step(
            operation: Operation, request: RequestParts, calling_account: CallingAccount, server_name: str | None
        ) -> Exchange:
            attempts = await self._requests.send_step(case, operation, request, calling_account, server_name)
            sent_case.exchanges.extend(attempts)
            return attempts[-1]

        assert case.request is not None, "a lifecycle begins with a request"
        operation, target = self._contract.find_operation(case.operation), self._find_target(case)
        if target is not None:
            return follow_batch(target, case.request, send_step, self._client)
        if operation.submit is not None:
            return follow_job(operation, case.request, send_step, self._client, "a job")
        if self._service.ledger is not None:
            require_resource_use_prices(operation, self._service.price_usd_by_name)
        return ResourceLifecycle(
            operation,
            send_step,
            can_use_other_account=self._service.is_emulated,
            varies_requests_that_use_resource=case.varies_requests_that_use_resource,
        ).iterate_subjects(case.request)

    def _add_completed_steps(self, sent_case: SentCase, step_subjects: list[CheckSubject]) -> None:
        """Add the completed steps of a lifecycle to the subjects to judge, without steps that prove nothing."""
        reasons = [_explain_inconclusive_step(subject) for subject in step_subjects]
        sent_case.no_verdict_reason = next(filter(None, reasons), None)
        sent_case.status = sent_case.exchanges[0].response.status if sent_case.exchanges else None
        sent_case.subjects += [
            subject for subject, reason in zip(step_subjects, reasons, strict=True) if reason is None
        ]

    async def _send_webhook_case(self, case: ConformanceCase, sent_case: SentCase) -> None:
        session = WebhookSession(case, self._service.callback_receiver, is_emulated=self._service.is_emulated)
        await self._send_requests_of_case(session.case, sent_case)
        callbacks = await session.collect_callbacks(
            self._contract.find_operation(case.operation), sent_case.calls, self._client.max_wait_s
        )
        if callbacks is not None:
            sent_case.subjects += [*callbacks.callback_subjects, callbacks]

    async def _send_delivery(self, case: ConformanceCase, sent_case: SentCase) -> None:
        target, speech = self._find_target(case), case.speech_request
        assert target is not None, "a delivery has a target"
        assert speech is not None, "a delivery has speech"
        try:
            delivery = await self._requests.deliver(case, target, speech)
        except DeliveryInterruptedError as error:
            sent_case.exchanges += error.delivery.exchanges
            sent_case.no_verdict_reason = _explain_missing_delivery(error.delivery, case)
            sent_case.subjects += iterate_delivery_subjects(target, speech, error.delivery)
            raise
        sent_case.exchanges += delivery.exchanges
        polls = await poll_after_end(self._client, target, delivery)
        without_key = await poll_without_key(self._client, target, polls)
        sent_case.exchanges += [*polls, *(outcome.exchange for outcome in without_key)]
        sent_case.no_verdict_reason = _explain_missing_delivery(delivery, case)
        sent_case.subjects += iterate_delivery_subjects(target, speech, delivery, polls)
        sent_case.subjects += [subject for outcome in without_key for subject in (outcome.call, outcome)]
        index = delivery.submit_exchange_index
        sent_case.status = None if index is None else delivery.exchanges[index].response.status

    def _find_target(self, case: ConformanceCase) -> Target | None:
        return self._contract.targets.get(case.target_name) if case.target_name else None


def _explain_inconclusive_step(subject: CheckSubject) -> str | None:
    """Return why a step of a lifecycle proves nothing about the contract; `None` if it can prove something."""
    return explain_inconclusive_status(subject.call.status) if isinstance(subject, CaseOutcome) else None


def _explain_missing_delivery(delivery: Delivery, case: ConformanceCase) -> str | None:
    """Return why a delivery has no verdict; `None` if audio was delivered, or if the job failed as it should."""
    failure = delivery.failure
    if failure is None or (failure.kind == "failed" and case.expects_job_failure):
        return None
    return f"{failure.kind}: {failure.message}"
