"""Sends single requests of a case, reserves what they may cost, and keeps what was received."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voicegauge.cases.audio_input_cases import build_padded_request
from voicegauge.cases.case import ApiKeyValidity, ConformanceCase, should_retry
from voicegauge.client.client import RequestToRepeat
from voicegauge.client.connection import USE_CLIENT_KEY, ApiKeyOrSentinel
from voicegauge.client.exchange_log import MAX_RETRY_AFTER_S, get_retry_after_s, iterate_retry_waits_s
from voicegauge.client.http_request import add_idempotency_key, create_idempotency_key
from voicegauge.client.ledger import Reservation, SubmitObserver, UsagePricedRequest, settle_request
from voicegauge.client.speech_request import RequestParts
from voicegauge.conformance._resource_lifecycle import CallingAccount
from voicegauge.conformance.case_journal import CaseJudgement
from voicegauge.conformance.checked_service import CheckedService
from voicegauge.conformance.plan_prices import compute_case_price_usd, compute_lifecycle_step_price_usd
from voicegauge.contract.operation import Operation
from voicegauge.contract.targets import Target
from voicegauge.errors import BudgetError, TransportError
from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import Exchange, Interruption, Request, Response
from voicegauge.model.job import Delivery
from voicegauge.recording.credentials import INVALID_API_KEY
from voicegauge.rules.call import Call, CheckSubject

OTHER_ACCOUNT_API_KEY = "another-emulated-key"
"""The key of a second account. It is only sent to the emulator, which accepts any key."""
TRANSIENT_STATUSES = (429, 502, 503)
"""Statuses that say nothing about the contract if the same request gets another status a moment later."""
TRANSIENT_PAUSE_S = 1.0
"""Seconds before a request is sent again after one of `TRANSIENT_STATUSES` without Retry-After."""
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
        with settle_request(
            self._reserve_price(price_usd, f"{case.provider}/{case.target_name or operation.id}"),
            operation,
            self._create_submit_recorder(case, price_usd),
            idempotency_key,
            repeats_earlier_request=earlier_key is not None,
            usage_priced_request=self._build_priced_request(case, target),
        ) as exchanges:
            waits_s = self._iterate_retry_waits_s()
            may_send = True
            while may_send:
                exchanges.append(await self._client.send_operation(operation, parts, key=key))
                may_send = await self._wait_for_retry(case, exchanges[-1].response, waits_s)
        return exchanges

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
            compute_lifecycle_step_price_usd(operation, request, self._service.settings.price_usd_by_name)
            if has_budget
            else None
        )
        idempotency_key = create_idempotency_key(operation)
        parts = add_idempotency_key(operation, request, idempotency_key)
        reservation = self._reserve_price(price_usd, f"{self._contract.id}/{operation.id}")
        recorder = self._create_submit_recorder(case, price_usd)
        with settle_request(reservation, operation, recorder, idempotency_key) as exchanges:
            waits_s = self._iterate_retry_waits_s()
            may_send = True
            while may_send:
                exchanges.append(await self._client.send_operation(operation, parts, key=key, server_name=server_name))
                may_send = await self._wait_for_retry(case, exchanges[-1].response, waits_s)
        return exchanges

    def deliver(
        self, case: ConformanceCase, target: Target, speech_request: SpeechRequest
    ) -> Coroutine[Any, Any, Delivery]:
        """Request the speech of a case, and follow it to its end.

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

    def _iterate_retry_waits_s(self) -> Iterator[float]:
        return iterate_retry_waits_s(self._contract.provider.retry_policy, self._client.retry_random)

    async def _wait_for_retry(self, case: ConformanceCase, response: Response, waits_s: Iterator[float]) -> bool:
        """Wait if `response` asks to retry later; return whether to send the request again.

        `waits_s` has the documented waits that are left. No wait is longer than `MAX_RETRY_AFTER_S` or than a delivery
        may take.
        """
        wait_s = next(waits_s, None)
        if wait_s is None or not should_retry(case, response.status, self._contract):
            return False
        requested_s = get_retry_after_s(response)
        wait_s = wait_s if requested_s is None else requested_s
        max_wait_s = MAX_RETRY_AFTER_S if self._client.max_wait_s is None else self._client.max_wait_s
        if wait_s > min(MAX_RETRY_AFTER_S, max_wait_s):
            return False
        await self._client.clock.sleep(wait_s)
        return True

    async def pause_after_transient_status(self, case: ConformanceCase, response: Response) -> bool:
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
        requested_s = get_retry_after_s(response)
        wait_s = TRANSIENT_PAUSE_S if requested_s is None else requested_s
        max_wait_s = MAX_RETRY_AFTER_S if self._client.max_wait_s is None else self._client.max_wait_s
        if wait_s > min(MAX_RETRY_AFTER_S, max_wait_s):
            return False
        await self._client.clock.sleep(wait_s)
        return True

    def _compute_price_usd(self, case: ConformanceCase) -> float | None:
        """Return the price of a case; `None` if it is free, or if there is no budget, as for the emulator."""
        has_budget = self._service.ledger is not None
        return (
            compute_case_price_usd(self._contract, case, self._service.settings.price_usd_by_name)
            if has_budget
            else None
        )

    def _reserve_price(self, price_usd: float | None, price_name: str) -> Reservation | None:
        """Reserve the price of a request. Return `None` if it is free, or if there is no budget, as for the emulator.

        Raises:
            BudgetError: the price is more than is left in the budget.
        """
        ledger = self._service.ledger
        return ledger.reserve(price_usd, price_name) if ledger is not None and price_usd is not None else None

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

    def _build_priced_request(self, case: ConformanceCase, target: Target | None) -> UsagePricedRequest | None:
        """Return what is needed, besides the usage that a response reports, to compute the charge for a case.

        This is the target and the number of characters in the text.

        Return `None` if the user set the price of a request, or if the case has no target.
        """
        if target is None or target.id in self._service.settings.price_usd_by_name:
            return None
        return UsagePricedRequest(target, case.text_character_count)


# Defines what was sent and received for one case, before it is judged.


@dataclass
class SentCase:
    """What was sent and received for one case. It is filled while the case is sent."""

    case: ConformanceCase
    exchanges: list[Exchange] = field(default_factory=list)
    """All complete exchanges, in the order of sending."""
    incomplete_exchanges: Sequence[Exchange] = ()
    """Attempts whose response was incomplete. They may have been charged."""
    subjects: list[CheckSubject] = field(default_factory=list)
    """The subjects that the rules judge."""
    status: int | None = None
    """HTTP status of the response that is judged; `None` if no response is judged."""
    no_verdict_reason: str | None = None
    """Why there is no verdict; `None` if there is one."""
    judged_exchange: Exchange | None = None
    """The exchange that is judged; `None` if the case is not a single call."""
    no_response_error: TransportError | None = None
    """The error of the last attempt, if no attempt got a complete response; of a delivery, if no response arrived."""
    error: BaseException | None = None
    """What ended the case early: an error of the tool or of the network, or a cancellation; `None` if nothing did."""
    spent_usd: float = 0.0
    """Dollars that were charged to the budget."""
    is_skipped: bool = False
    """Whether the case was not sent at all; `no_verdict_reason` says why."""
    interruptions: Sequence[Interruption] = ()
    """How the service reacted to each interruption of the case."""
    earlier_judgement: CaseJudgement | None = None
    """What an earlier check judged of the case. If there is such a judgement, the case is not sent again."""

    @property
    def calls(self) -> list[Call]:
        """The calls among the subjects."""
        return [subject for subject in self.subjects if isinstance(subject, Call)]

    @property
    def has_verdict(self) -> bool:
        """Whether everything could be judged."""
        return self.no_verdict_reason is None and self.error is None

    @property
    def exceeds_budget(self) -> bool:
        """Whether nothing was sent because less is left of the budget than the case costs."""
        return isinstance(self.error, BudgetError) and not self.exchanges
