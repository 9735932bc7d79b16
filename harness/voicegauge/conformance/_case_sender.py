"""Sends the requests of one case, and reserves what they may cost.

A single call goes to `ProviderConnection.send` (`client/connection.py`). A delivery is left to the client, which
submits, polls and downloads (`client/client.py`) over the same connection.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from voicegauge.cases.audio_input_cases import build_padded_request
from voicegauge.cases.case import (
    ConformanceCase,
    explain_missing_verdict,
    explain_rejected_account,
)
from voicegauge.client.client import RequestToRepeat
from voicegauge.client.connection import USE_CLIENT_KEY, ApiKeyOrSentinel
from voicegauge.client.exchange_log import (
    MAX_RETRY_AFTER_S,
    DeliveryInterruptedError,
    get_retry_after_s,
    iterate_retry_waits_s,
)
from voicegauge.client.http_request import add_idempotency_key, create_idempotency_key
from voicegauge.client.ledger import SubmitObserver, UsagePricedRequest, settle_request, should_send_again
from voicegauge.client.speech_request import RequestParts
from voicegauge.conformance._resource_lifecycle import (
    CallingAccount,
    ResourceLifecycle,
    follow_batch,
    follow_job,
    poll_after_end,
    poll_without_key,
)
from voicegauge.conformance._sent_case import (
    API_KEY_BY_VALIDITY,
    SentCase,
    fetch_audio_of_call,
    iterate_delivery_subjects,
    read_response_delivery,
    read_speech_request,
)
from voicegauge.conformance.check_settings import CheckedService
from voicegauge.conformance.received_callbacks import WebhookCaseReceiver
from voicegauge.conformance.spending import (
    compute_case_price_usd,
    compute_lifecycle_step_price_usd,
    require_resource_use_prices,
)
from voicegauge.contract.contract import Target
from voicegauge.contract.operation import Operation
from voicegauge.errors import (
    BudgetError,
    IncompleteResponseError,
    TimedOutError,
    UnreachableError,
    VoicegaugeError,
)
from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import BillingStatus, Delivery, Exchange, Failure, Response
from voicegauge.rules.call import Call, CaseOutcome, CheckSubject, IncompleteResponse, RequestIntent
from voicegauge.rules.subjects import SpeechDelivery
from voicegauge.speech.spoken_text import is_ordinary_text

OTHER_ACCOUNT_API_KEY = "another-emulated-key"
"""The key of a second account. It is only sent to the emulator, which accepts any key."""
TRANSIENT_STATUSES = (429, 502, 503)
"""Statuses that say nothing about the contract if the same request gets another status a moment later."""
TRANSIENT_PAUSE_S = 1.0
"""Seconds before a request is sent again after one of `TRANSIENT_STATUSES` without Retry-After."""


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
        self._should_repeat_incomplete_response = should_repeat_incomplete_response

    async def send_case(
        self, case: ConformanceCase, earlier_result: SentCase | None = None, *, is_paid: bool = False
    ) -> SentCase:
        """Send all requests of a case, and return what was received.

        An error of the tool or of the network and a cancellation of the task are not raised: `SentCase.error` has them.

        Args:
            case: the case to send.
            earlier_result: the known result of the case, which is returned without sending; `None` if it is not known.
            is_paid: whether the case may cost money, so that Ctrl-C waits for its responses.
        """
        if earlier_result is not None:
            return earlier_result
        ledger, sent_case = self._service.ledger, SentCase(case)
        before_usd = ledger.spent_usd if ledger is not None else 0.0
        try:
            with self._service.settings.interruption.note_paid_case(case.id) if is_paid else nullcontext():
                await self._choose_sender(case)(case, sent_case)
        except (VoicegaugeError, asyncio.CancelledError) as error:
            sent_case.error = error
        sent_case.spent_usd = ledger.spent_usd - before_usd if ledger is not None else 0.0
        return sent_case

    def _choose_sender(self, case: ConformanceCase) -> Callable[[ConformanceCase, SentCase], Awaitable[None]]:
        """Return the method that sends all requests of `case`, and adds what is received to a `SentCase`."""
        if case.socket_scenario is not None:
            return self._send_socket_case
        if case.callback_url_parameter is not None:
            return self._send_webhook_case
        if case.is_lifecycle:
            return self._send_lifecycle
        return self._send_call if case.speech_request is None else self._send_delivery

    async def _send_socket_case(self, case: ConformanceCase, sent_case: SentCase) -> None:
        """Carry out the WebSocket scenario of a case, and add the connections and turns to `sent_case`."""
        if self._service.settings.emulator_app is not None:
            sent_case.no_verdict_reason = "an application in this process has no sockets"
            return
        # Imported here because the library of WebSockets takes a tenth of a second to import.
        from voicegauge.conformance._socket_sender import SpeechSocketSender, TranscriptionSocketSender

        transcribing = self._contract.transcription_socket_targets.get(case.target_name or "")
        if transcribing is not None:
            await TranscriptionSocketSender(self._service, case, transcribing, sent_case).send()
            return
        target = self._contract.socket_targets[case.target_name or ""]
        await SpeechSocketSender(self._service, case, target, sent_case).send()

    async def _send_call(self, case: ConformanceCase, sent_case: SentCase) -> None:
        """Send a single call, and again after an incomplete response. A response that is incomplete twice is a defect.

        To a server of the user's own it is also sent again if the connection is lost before a response.

        Raises:
            TransportError: the second error differs from the first, or the budget does not allow another request.
        """
        target = self._find_target(case)
        first_error: IncompleteResponseError | None = None
        transient: Sequence[Exchange] = ()
        was_lost = False
        while True:
            try:
                exchanges = await self._send_request_of_call(case, target)
            except BudgetError as error:
                if not transient:
                    raise (first_error or error) from None
                await self._note_call(case, sent_case, transient)
                return
            except IncompleteResponseError as error:
                if first_error is None and self._should_repeat_incomplete_response(case):
                    first_error = error
                    continue
                if first_error is not None and error.status != first_error.status:
                    raise
                self._note_incomplete_response(case, sent_case, error, attempt_count=1 + (first_error is not None))
                return
            except UnreachableError as error:
                # Servers of the user's own close a connection after an error without saying so, and cost nothing.
                is_own = self._contract.provider.self_hosted is not None
                may_repeat = is_own and error.request_was_sent and self._should_repeat_incomplete_response(case)
                if was_lost or not may_repeat:
                    raise
                was_lost = True
                continue
            if not transient and await self._pause_after_transient_status(case, exchanges[-1].response):
                transient = exchanges
                continue
            await self._note_call(case, sent_case, [*transient, *exchanges])
            return

    def _note_incomplete_response(
        self, case: ConformanceCase, sent_case: SentCase, error: IncompleteResponseError, attempt_count: int
    ) -> None:
        operation = self._contract.find_operation(case.operation)
        exchange = Exchange(
            provider=case.provider,
            operation=case.operation,
            request=self._client.build_request(
                operation, _build_request_of_call(case), key=API_KEY_BY_VALIDITY[case.api_key_validity]
            ),
            response=Response(status=error.status, headers=error.headers),
        )
        # The body is lost, so the exchange is made from the error. Each attempt may have been charged, so all count.
        sent_case.incomplete_exchanges = (exchange,) * attempt_count
        call = Call(operation, exchange, self._find_target(case))
        sent_case.subjects.append(IncompleteResponse(call, str(error), attempt_count))
        sent_case.status, sent_case.no_verdict_reason, sent_case.no_response_error = (
            error.status,
            str(error),
            error,
        )

    async def _note_call(self, case: ConformanceCase, sent_case: SentCase, exchanges: Sequence[Exchange]) -> None:
        """Add the exchanges of a single call and what is judged to `sent_case`, with audio that a response links to."""
        operation, target = self._contract.find_operation(case.operation), self._find_target(case)
        *retried, exchange = exchanges
        acceptance = case.expected_response.acceptance
        # A request that may be accepted or rejected may break a schema on purpose, which is not the provider's mistake.
        intent: RequestIntent = "valid" if acceptance == "accepted" else "invalid"
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
            if acceptance != "rejected" and not skipped
            else None
        )
        sent_case.subjects += [delivered] if delivered is not None else []
        is_judged = acceptance != "rejected" and not skipped and not case.is_fuzzed
        if delivered is None and target is not None and is_judged:
            await self._fetch_submitted_audio(sent_case, call, target)
        operations = self._contract.operations
        sent_case.subjects += [
            Call(operations[other.operation], other) for other in fetched if other.operation in operations
        ]

    async def _fetch_submitted_audio(self, sent_case: SentCase, call: Call, target: Target) -> None:
        """Follow an accepted speech request to its audio, which was paid for, if other requests fetch it.

        A batch of texts is not followed. If the response itself has the link, a parameter of the request may have
        selected another way to deliver the audio, so that its absence is not judged.
        """
        audio = target.response.audio
        if not call.is_accepted or (audio is not None and audio.delivery_method != "url") or target.operation.batch:
            return
        speech_request = read_speech_request(call, target)
        try:
            delivery = await self._client.fetch_submitted(target, call.exchange)
        except DeliveryInterruptedError as error:
            sent_case.exchanges += error.delivery.exchanges[1:]
            raise
        sent_case.exchanges += delivery.exchanges[1:]
        is_valid = sent_case.case.expected_response.case_kind == "valid"
        for subject in iterate_delivery_subjects(target, speech_request, delivery):
            if isinstance(subject, SpeechDelivery):
                if delivery.failure is not None and target.job_operation is None:
                    continue
                subject = replace(subject, has_ordinary_text=is_valid and is_ordinary_text(speech_request.text))
            if isinstance(subject, Call | CaseOutcome) and subject.exchange is call.exchange:
                continue  # judged already, as what the case expects
            sent_case.subjects.append(subject)

    def _explain_missing_verdict(self, case: ConformanceCase, exchange: Exchange) -> str | None:
        """Return why there is no verdict; `None` if there is one.

        There is always a verdict if the emulator responds to a case that should be rejected.
        """
        if self._service.is_emulated and case.expected_response.acceptance == "rejected":
            return None
        operation = self._contract.find_operation(case.operation)
        return explain_missing_verdict(case, operation, exchange.response.status)

    async def _send_lifecycle(self, case: ConformanceCase, sent_case: SentCase) -> None:
        """Send the lifecycle of what a case creates, and note its steps, also those before an interruption."""
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

        Each step is sent only when the caller asks for its subjects.
        """

        async def send_step(
            operation: Operation, request: RequestParts, calling_account: CallingAccount, server_name: str | None
        ) -> Exchange:
            self._service.settings.interruption.raise_if_interrupted()
            prices = self._service.settings.price_usd_by_name
            attempts = await self._send_request(
                case,
                operation,
                request,
                key=OTHER_ACCOUNT_API_KEY if calling_account == "other" else USE_CLIENT_KEY,
                server_name=server_name,
                price_usd=compute_lifecycle_step_price_usd(operation, request, prices)
                if self._service.ledger is not None
                else None,
            )
            sent_case.exchanges.extend(attempts)
            return attempts[-1]

        assert case.request is not None, "a lifecycle begins with a request"
        operation, target = self._contract.find_operation(case.operation), self._find_target(case)
        if target is not None:
            return follow_batch(target, case.request, send_step, self._client)
        if operation.submit is not None:
            return follow_job(operation, case.request, send_step, self._client, "a job")
        if self._service.ledger is not None:
            require_resource_use_prices(operation, self._service.settings.price_usd_by_name)
        return ResourceLifecycle(
            operation,
            send_step,
            can_use_other_account=self._service.is_emulated,
            varies_requests_that_use_resource=case.varies_requests_that_use_resource,
        ).iterate_subjects(case.request)

    def _add_completed_steps(self, sent_case: SentCase, step_subjects: list[CheckSubject]) -> None:
        """Add the completed steps of a lifecycle to the subjects to judge, without steps that prove nothing."""
        reasons = [
            explain_rejected_account(one.operation, one.call.status) if isinstance(one, CaseOutcome) else None
            for one in step_subjects
        ]
        sent_case.no_verdict_reason = next(filter(None, reasons), None)
        sent_case.status = sent_case.exchanges[0].response.status if sent_case.exchanges else None
        sent_case.subjects += [
            subject for subject, reason in zip(step_subjects, reasons, strict=True) if reason is None
        ]

    async def _send_webhook_case(self, case: ConformanceCase, sent_case: SentCase) -> None:
        session = WebhookCaseReceiver(
            case, self._service.settings.callback_receiver, is_emulated=self._service.is_emulated
        )
        await self._choose_sender(session.case)(session.case, sent_case)
        callbacks = await session.collect_callbacks(
            self._contract.find_operation(case.operation), sent_case.calls, self._client.max_wait_s
        )
        if callbacks is not None:
            sent_case.subjects += [*callbacks.callback_subjects, callbacks]

    async def _send_delivery(self, case: ConformanceCase, sent_case: SentCase) -> None:
        target, speech = self._find_target(case), case.speech_request
        assert target is not None, "a delivery has a target"
        assert speech is not None, "a delivery has speech"
        limit = self._service.settings.max_concurrency_by_provider.get(self._contract.id)
        if case.companion_request is not None and limit == 1:
            sent_case.no_verdict_reason = "the plan of the account allows one request at a time"
            return
        try:
            if case.companion_request is None:
                delivery, companion = await self._deliver(case, target, speech), None
            else:
                delivery, companion = await self._deliver_together(case, target, speech, case.companion_request)
            index = delivery.submit_exchange_index
            if index is not None and await self._pause_after_transient_status(case, delivery.exchanges[index].response):
                # Reserved and paid for as another request, since the service may have charged the first.
                sent_case.exchanges += delivery.exchanges
                sent_case.subjects += [Call(target.operation, delivery.exchanges[index], target)]
                delivery = await self._deliver(case, target, speech)
        except DeliveryInterruptedError as error:
            sent_case.exchanges += error.delivery.exchanges
            sent_case.no_verdict_reason = self._explain_missing_delivery(error.delivery, case)
            sent_case.subjects += iterate_delivery_subjects(target, speech, error.delivery)
            raise
        sent_case.exchanges += delivery.exchanges
        if not delivery.exchanges and delivery.failure is not None:
            error_class = TimedOutError if delivery.failure.kind == "timeout" else UnreachableError
            sent_case.no_response_error = error_class(
                delivery.failure.message, request_was_sent=delivery.billing_status is not BillingStatus.NOT_SENT
            )
        polls = await poll_after_end(self._client, target, delivery)
        without_key = await poll_without_key(self._client, target, polls)
        sent_case.exchanges += [*polls, *(outcome.exchange for outcome in without_key)]
        sent_case.no_verdict_reason = self._explain_missing_delivery(delivery, case)
        sent_case.subjects += iterate_delivery_subjects(target, speech, delivery, polls)
        sent_case.subjects += [subject for outcome in without_key for subject in (outcome.call, outcome)]
        if companion is not None and case.companion_request is not None:
            sent_case.exchanges += companion.exchanges
            sent_case.subjects += iterate_delivery_subjects(target, case.companion_request, companion)
        index = delivery.submit_exchange_index
        sent_case.status = None if index is None else delivery.exchanges[index].response.status

    async def _deliver_together(
        self, case: ConformanceCase, target: Target, speech: SpeechRequest, companion_request: SpeechRequest
    ) -> tuple[Delivery, Delivery | None]:
        """Return the delivery of a case, and that of its companion, which was requested at the same moment.

        The companion is `None` if its delivery was interrupted.
        """
        other = asyncio.create_task(self._deliver(case, target, companion_request))
        # Not a TaskGroup: a companion that fails must not cancel the delivery of the case, which is judged without it.
        try:
            delivery = await self._deliver(case, target, speech)
        except BaseException:
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)
            raise
        (companion,) = await asyncio.gather(other, return_exceptions=True)
        return delivery, None if isinstance(companion, BaseException) else companion

    def _explain_missing_delivery(self, delivery: Delivery, case: ConformanceCase) -> str | None:
        """Return why a delivery has no verdict; `None` if audio was delivered, or if the job failed as it should."""
        failure = delivery.failure
        if failure is None or (failure.kind == "failed" and case.expects_job_failure):
            return None
        if self._service.settings.save_exchanges is not None and delivery.exchanges:
            return _describe_failure_without_quotation(failure, delivery.exchanges[-1].response.status)
        return f"{failure.kind}: {failure.message}"

    # Single requests: what they may cost is reserved, and they are sent until the response does not ask to retry later.

    def _send_request_of_call(
        self, case: ConformanceCase, target: Target | None
    ) -> Coroutine[Any, Any, Sequence[Exchange]]:
        """Send the request of a single call to `target`, `None` if it addresses no target; see `_send_request`."""
        earlier_key = self._find_reusable_idempotency_key(case)
        is_priced_by_usage = target is not None and target.id not in self._service.settings.price_usd_by_name
        return self._send_request(
            case,
            self._contract.find_operation(case.operation),
            _build_request_of_call(case),
            key=API_KEY_BY_VALIDITY[case.api_key_validity],
            price_usd=self._compute_price_usd(case),
            earlier_idempotency_key=earlier_key,
            usage_priced_request=UsagePricedRequest(target, case.text_character_count)
            if target is not None and is_priced_by_usage
            else None,
        )

    async def _send_request(
        self,
        case: ConformanceCase,
        operation: Operation,
        request_parts: RequestParts,
        *,
        key: ApiKeyOrSentinel,
        price_usd: float | None,
        server_name: str | None = None,
        earlier_idempotency_key: str | None = None,
        usage_priced_request: UsagePricedRequest | None = None,
    ) -> Sequence[Exchange]:
        """Send one request of a case until the response does not ask to retry later.

        Args:
            case: the case.
            operation: the operation to call.
            request_parts: the request to it.
            key: the key to send; `None` for none.
            price_usd: the price in dollars; `None` if the request is free, or if there is no budget.
            server_name: name (`x-name`) of another server than that of the operation; `None` for that of the operation.
            earlier_idempotency_key: the idempotency key of an earlier request that this one repeats; `None` for a new
                request.
            usage_priced_request: the request, if its price depends on the usage that the response reports; else `None`.

        Returns:
            All exchanges. The one to judge is the last.

        Raises:
            UsageError: a value cannot be sent.
            TransportError: the service did not respond.
            BudgetError: the request costs more than is left in the budget.
        """
        ledger, client, retry_policy = self._service.ledger, self._client, self._contract.provider.retry_policy
        idempotency_key = earlier_idempotency_key or create_idempotency_key(operation)
        parts = add_idempotency_key(operation, request_parts, idempotency_key)
        request = client.build_request(operation, parts, key=key, server_name=server_name)
        price_name = case.target_name if operation.id == case.operation and case.target_name else operation.id
        reservation = None
        if ledger is not None and price_usd is not None:
            reservation = ledger.reserve(price_usd, f"{case.provider}/{price_name}")
        with settle_request(
            reservation,
            operation,
            self._create_submit_recorder(case, price_usd),
            idempotency_key,
            repeats_earlier_request=earlier_idempotency_key is not None,
            usage_priced_request=usage_priced_request,
        ) as exchanges:
            for wait_s in itertools.chain(iterate_retry_waits_s(retry_policy, client.retry_random), (None,)):
                await client.wait_for_rate_limit(operation)
                exchanges.append(await client.send(request, operation.id))
                response = exchanges[-1].response
                # A case that tests exactly this response would otherwise send it until its retries are used up.
                is_expected = response.status in case.expected_response.statuses
                if wait_s is None or is_expected or not should_send_again(response.status, retry_policy):
                    break
                if not await self._wait_as_requested(response, wait_s):
                    break
        return exchanges

    def _deliver(
        self, case: ConformanceCase, target: Target, speech_request: SpeechRequest
    ) -> Coroutine[Any, Any, Delivery]:
        """Request the speech of a case, and follow it to its end. The client reserves the price.

        Raises:
            DeliveryInterruptedError: Ctrl-C, with what was observed until then.
            TransportError: the service did not respond.
            BudgetError: the request costs more than is left in the budget.
        """
        is_companion = speech_request is case.companion_request
        earlier_key = None if is_companion else self._find_reusable_idempotency_key(case)
        price_usd = self._compute_price_usd(case)
        return self._client.speak(
            target,
            speech_request,
            submit_observer=self._create_submit_recorder(
                case,
                None if price_usd is None else price_usd / case.charged_request_count,
                is_companion=is_companion,
            ),
            price_usd=self._service.settings.price_usd_by_name.get(target.id),
            request_to_repeat=RequestToRepeat(earlier_key, reservation=None) if earlier_key is not None else None,
            # A recording should have the whole job, and the next state may be one that all documents name.
            stop_at_undocumented_state=self._service.settings.save_exchanges is None
            and not (target.job_operation is not None and target.job_operation.has_disputed_job_states),
        )

    async def _pause_after_transient_status(self, case: ConformanceCase, response: Response) -> bool:
        """Wait after a status that a busy service or a proxy sends now and then; return whether to send again.

        Return false at once after other statuses, and after those for which the contract documents retries, which were
        sent already. The wait is that of Retry-After, if it is short enough, or a second.
        """
        status = response.status
        if self._service.settings.interruption.is_requested:
            return False
        if status not in TRANSIENT_STATUSES or status in case.expected_response.statuses:
            return False
        if status in self._contract.provider.retry_policy.retried_statuses:
            return False
        return await self._wait_as_requested(response, TRANSIENT_PAUSE_S)

    async def _wait_as_requested(self, response: Response, default_wait_s: float) -> bool:
        """Wait as long as `Retry-After` asks, or `default_wait_s` without that header, and return true.

        Return false at once if the wait is longer than `MAX_RETRY_AFTER_S` or than a delivery may take.
        """
        requested_s, max_wait_s = get_retry_after_s(response), self._client.max_wait_s
        wait_s = default_wait_s if requested_s is None else requested_s
        if wait_s > (MAX_RETRY_AFTER_S if max_wait_s is None else min(MAX_RETRY_AFTER_S, max_wait_s)):
            return False
        await self._client.clock.sleep(wait_s)
        return True

    def _compute_price_usd(self, case: ConformanceCase) -> float | None:
        """Return the price of a case; `None` if it is free, or if there is no budget, as for the emulator."""
        if self._service.ledger is None:
            return None
        return compute_case_price_usd(self._contract, case, self._service.settings.price_usd_by_name)

    def _create_submit_recorder(
        self, case: ConformanceCase, price_usd: float | None, *, is_companion: bool = False
    ) -> SubmitObserver | None:
        journal = self._service.case_journal
        if journal is None:
            return None
        return journal.create_submit_recorder(case.id, price_usd, is_companion=is_companion)

    def _find_reusable_idempotency_key(self, case: ConformanceCase) -> str | None:
        """Return the idempotency key with which `case` repeats an earlier request; `None` if it repeats none."""
        journal = self._service.case_journal
        return journal.find_reusable_idempotency_key(case) if journal is not None else None

    def _find_target(self, case: ConformanceCase) -> Target | None:
        return self._contract.targets.get(case.target_name) if case.target_name else None


def _build_request_of_call(case: ConformanceCase) -> RequestParts:
    """Return the request of a case that is a single call."""
    request = build_padded_request(case)
    assert request is not None, "a single call has a request"
    return request


def _describe_failure_without_quotation(failure: Failure, http_status: int) -> str:
    """Return the kind and the HTTP status of a failure, and what is wrong with a response that breaks its protocol.

    The text contains nothing that the message of the failure quotes from the response, in quotation marks or after a
    colon: the output of `record` is often published beside a recording, in which undocumented values are masked.
    """
    problem = re.sub(r"(['\"]).*\1", "[...]", failure.message.partition(": ")[0], flags=re.DOTALL)
    if failure.kind != "protocol" or problem == f"HTTP {http_status}":
        return f"{failure.kind}: HTTP {http_status}"
    return f"{failure.kind}: {problem} (HTTP {http_status})"
