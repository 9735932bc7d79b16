"""Sends the requests of cases, and reserves what they may cost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from voicegauge.client import (
    MAX_RETRY_AFTER_S,
    USE_CLIENT_KEY,
    ApiKeyOrSentinel,
    RequestParts,
    RequestToRepeat,
    Reservation,
    SubmitObserver,
    UsagePricedRequest,
    add_idempotency_key,
    create_idempotency_key,
    get_retry_after_s,
    iterate_retry_waits_s,
    send_and_settle,
)
from voicegauge.conformance.cases import ApiKeyValidity, ConformanceCase, build_padded_request, should_retry
from voicegauge.conformance.running.call_prices import compute_case_price_usd, compute_lifecycle_step_price_usd
from voicegauge.conformance.running.checked_service import CheckedService
from voicegauge.conformance.running.sending.resource_lifecycle import CallingAccount
from voicegauge.contract import Operation, Target
from voicegauge.model import Delivery, Exchange, Request, SpeechRequest
from voicegauge.recording import INVALID_API_KEY

OTHER_ACCOUNT_API_KEY = "another-emulated-key"
"""The key of a second account. It is only sent to the emulator, which accepts any key."""
API_KEY_BY_VALIDITY: Mapping[ApiKeyValidity, ApiKeyOrSentinel] = {
    "valid": USE_CLIENT_KEY,
    "missing": None,
    "wrong": INVALID_API_KEY,
}
"""The key that is sent for each value of `ConformanceCase.api_key_validity`."""


class RequestSender:
    """Sends single requests of cases to one service."""

    def __init__(self, service: CheckedService) -> None:
        """Prepare to send requests to `service`."""
        self._service, self._client, self._contract = service, service.client, service.contract

    def build_case_request(self, case: ConformanceCase) -> Request:
        """Return the HTTP request of a case that is a single call."""
        operation, request = self._contract.find_operation(case.operation), build_padded_request(case)
        assert request is not None, "a single call has a request"
        return self._client.build_request(operation, request, key=API_KEY_BY_VALIDITY[case.api_key_validity])

    async def send_call(self, case: ConformanceCase, target: Target | None) -> Sequence[Exchange]:
        """Send the request of a case until the response does not ask to retry later.

        Args:
            case: a case that is a single call.
            target: the target of the request; `None` if it has none.

        Returns:
            All exchanges. The one to judge is the last.

        Raises:
            TransportError: the service did not respond.
            BudgetError: the request costs more than is left in the budget.
        """
        operation, request = self._contract.find_operation(case.operation), build_padded_request(case)
        assert request is not None, "a single call has a request"
        price_usd = self._compute_price_usd(case)
        earlier_key = self._find_reusable_idempotency_key(case)
        idempotency_key = earlier_key or create_idempotency_key(operation)
        parts = add_idempotency_key(operation, request, idempotency_key)
        key = API_KEY_BY_VALIDITY[case.api_key_validity]
        return await send_and_settle(
            self._reserve_price(price_usd),
            operation,
            lambda: self._send_with_retries(case, lambda: self._client.send_operation(operation, parts, key=key)),
            self._create_submit_recorder(case, price_usd),
            idempotency_key,
            repeats_earlier_request=earlier_key is not None,
            usage_priced_request=self._build_priced_request(case, target),
        )

    async def send_step(
        self,
        case: ConformanceCase,
        operation: Operation,
        request: RequestParts,
        calling_account: CallingAccount,
        server_name: str | None,
    ) -> Sequence[Exchange]:
        """Send one request of a lifecycle until the response does not ask to retry later.

        Args:
            case: the case of the lifecycle.
            operation: the operation to call.
            request: the request to it.
            calling_account: the account whose key is sent.
            server_name: name (`x-name`) of another server than that of the operation; `None` for that of the operation.

        Returns:
            All exchanges. The one to judge is the last.

        Raises:
            TransportError: the service did not respond.
            BudgetError: the request costs more than is left in the budget.
        """
        key: ApiKeyOrSentinel = OTHER_ACCOUNT_API_KEY if calling_account == "other" else USE_CLIENT_KEY
        has_budget = self._service.ledger is not None
        price_usd = (
            compute_lifecycle_step_price_usd(operation, request, self._service.price_usd_by_name)
            if has_budget
            else None
        )
        idempotency_key = create_idempotency_key(operation)
        parts = add_idempotency_key(operation, request, idempotency_key)
        return await send_and_settle(
            self._reserve_price(price_usd),
            operation,
            lambda: self._send_with_retries(
                case, lambda: self._client.send_operation(operation, parts, key=key, server_name=server_name)
            ),
            self._create_submit_recorder(case, price_usd),
            idempotency_key,
        )

    async def deliver(self, case: ConformanceCase, target: Target, speech_request: SpeechRequest) -> Delivery:
        """Request the speech of a case, and follow it to its end.

        Raises:
            DeliveryInterruptedError: Ctrl-C, with what was observed until then.
            TransportError: the service did not respond.
            BudgetError: the request costs more than is left in the budget.
        """
        earlier_key = self._find_reusable_idempotency_key(case)
        return await self._client.speak(
            target,
            speech_request,
            submit_observer=self._create_submit_recorder(case, self._compute_price_usd(case)),
            price_usd=self._service.price_usd_by_name.get(target.id),
            request_to_repeat=RequestToRepeat(earlier_key, reservation=None) if earlier_key is not None else None,
            # A recording should have the whole job.
            stop_at_undocumented_state=self._service.save_exchanges is None,
        )

    async def _send_with_retries(
        self, case: ConformanceCase, send_request: Callable[[], Awaitable[Exchange]]
    ) -> Sequence[Exchange]:
        """Send until the response does not ask to retry later; return all exchanges, with the one to judge last."""
        waits_s = iterate_retry_waits_s(self._contract.provider.retry_policy, self._client.retry_random)
        exchanges: list[Exchange] = []
        max_wait_s = MAX_RETRY_AFTER_S if self._client.max_wait_s is None else self._client.max_wait_s
        while True:
            exchanges.append(await send_request())
            wait_s = next(waits_s, None)
            if wait_s is None or not should_retry(case, exchanges[-1].response.status, self._contract):
                return exchanges
            requested_s = get_retry_after_s(exchanges[-1].response)
            wait_s = wait_s if requested_s is None else requested_s
            if wait_s > min(MAX_RETRY_AFTER_S, max_wait_s):
                return exchanges
            await self._client.clock.sleep(wait_s)

    def _compute_price_usd(self, case: ConformanceCase) -> float | None:
        """Return the price of a case; `None` if it is free, or if there is no budget, as for the emulator."""
        has_budget = self._service.ledger is not None
        return compute_case_price_usd(self._contract, case, self._service.price_usd_by_name) if has_budget else None

    def _reserve_price(self, price_usd: float | None) -> Reservation | None:
        """Reserve the price of a request. Return `None` if it is free, or if there is no budget, as for the emulator.

        Raises:
            BudgetError: the price is more than is left in the budget.
        """
        ledger = self._service.ledger
        return ledger.reserve(price_usd) if ledger is not None and price_usd is not None else None

    def _create_submit_recorder(self, case: ConformanceCase, price_usd: float | None) -> SubmitObserver | None:
        journal = self._service.case_journal
        return journal.create_submit_recorder(case.id, price_usd) if journal is not None else None

    def _find_reusable_idempotency_key(self, case: ConformanceCase) -> str | None:
        """Return the idempotency key with which `case` repeats an earlier request; `None` if it repeats none."""
        journal = self._service.case_journal
        return journal.find_reusable_idempotency_key(case) if journal is not None else None

    def _build_priced_request(self, case: ConformanceCase, target: Target | None) -> UsagePricedRequest | None:
        """Return what is needed, besides the usage that a response reports, to compute the charge for a case.

        This is the target and the number of characters in the text.

        Return `None` if the user set the price of a request, or if the case has no target.
        """
        if target is None or target.id in self._service.price_usd_by_name:
            return None
        return UsagePricedRequest(target, case.text_character_count)
