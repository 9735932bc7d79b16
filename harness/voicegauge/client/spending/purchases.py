"""Reads from a journal what each submit cost and whether it brought a result."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from voicegauge.client.spending.ledger import Ledger
from voicegauge.contract import Operation
from voicegauge.model import AmbiguousRequest, BillingStatus

_AMBIGUOUS_STATUS = BillingStatus.AMBIGUOUS


@dataclass
class Purchase:
    """One submit, and what the journal says about its price and its result."""

    submitted_at: str
    """Time of the submit: UTC, ISO 8601."""
    price_usd: float | None
    """The price in dollars; `None` if it is not known."""
    billing_status: BillingStatus = BillingStatus.AMBIGUOUS
    http_status: int | None = None
    """HTTP status of the response; `None` if no response was received."""
    job_id: str | None = None
    """Id with which the submit's job can be polled; `None` if there is no such job."""
    is_job_resumable: bool = True
    """Whether a later command can resume the job; if not, its result is lost when voicegauge is stopped."""
    charged_usd: float | None = None
    """The charge in dollars that the provider reported; `None` if it reported none."""
    has_saved_result: bool = False
    """Whether the result of the submit is known and saved."""
    missing_result_reason: str | None = None
    """Why the submit brought no result; `None` if the journal does not say why."""
    idempotency_key: str | None = None
    """The idempotency key in the request; `None` without one."""

    @property
    def awaits_job_result(self) -> bool:
        """Whether the submit started a job that can be resumed and whose result is not saved yet."""
        return self.job_id is not None and self.is_job_resumable and not self.has_saved_result

    @property
    def is_ambiguous(self) -> bool:
        """Whether the price counts as spent although the result is unknown or was not saved.

        A free submit is never ambiguous: it can be sent again at no cost.
        """
        if self.charge_or_price_usd == 0:
            return False
        if self.has_saved_result or self.billing_status is not BillingStatus.ACCEPTED:
            return self.billing_status is BillingStatus.AMBIGUOUS
        return not self.awaits_job_result

    def can_be_repeated_without_charge(self, operation: Operation, now: datetime) -> bool:
        """Whether the submit is ambiguous and would not be charged again with its idempotency key.

        The provider remembers the key for the time that the contract documents.
        """
        spec = operation.idempotency
        if not self.is_ambiguous or self.idempotency_key is None or spec is None or spec.key_lifetime_s is None:
            return False
        return (now - datetime.fromisoformat(self.submitted_at)).total_seconds() < spec.key_lifetime_s

    @property
    def charge_or_price_usd(self) -> float | None:
        """The reported charge in dollars, or else the price; `None` if neither is known."""
        return self.price_usd if self.charged_usd is None else self.charged_usd

    @property
    def ambiguous_reason(self) -> str:
        """Why the result of an ambiguous submit is unknown or was not saved."""
        if self.missing_result_reason is not None:
            return self.missing_result_reason
        if self.http_status is None:
            return "voicegauge was stopped before a response arrived"
        if self.billing_status is BillingStatus.ACCEPTED:
            if self.job_id is not None:
                return "the job was not finished when voicegauge was stopped"
            return f"the response (HTTP {self.http_status}) arrived and could not be saved"
        return f"the service may have performed the request before it failed (HTTP {self.http_status})"

    def add_to_ledger(self, ledger: Ledger) -> None:
        """Add what the submit cost to `ledger`, by the rule that applies to requests of this process."""
        ledger.reserve_unconditionally(self.price_usd or 0.0).settle(
            may_be_charged=self.billing_status.may_be_charged, charged_usd=self.charged_usd
        )


@dataclass
class PurchaseHistory:
    """The submits for one sample or case, in the order of sending."""

    sample_or_case_id: str
    purchases: list[Purchase] = field(default_factory=list)

    def record_submit(self, submitted_at: str, price_usd: float | None, idempotency_key: str | None = None) -> None:
        """Note that another submit begins, or that the last one is repeated with its idempotency key."""
        last = self.purchases[-1] if self.purchases else None
        if last is not None and idempotency_key is not None and last.idempotency_key == idempotency_key:
            last.billing_status, last.http_status, last.job_id, last.has_saved_result, last.missing_result_reason = (
                _AMBIGUOUS_STATUS,
                None,
                None,
                False,
                None,
            )
        else:
            self.purchases.append(Purchase(submitted_at, price_usd, idempotency_key=idempotency_key))

    def record_submit_not_sent(self) -> None:
        """Note that the last submit never left this machine."""
        if self.purchases:
            self.purchases[-1].billing_status = BillingStatus.NOT_SENT

    def record_response(
        self, http_status: int, billing_status: BillingStatus, job_id: str | None, charged_usd: float | None
    ) -> None:
        """Note the response to the last submit."""
        if self.purchases:
            last = self.purchases[-1]
            last.http_status, last.billing_status, last.job_id, last.charged_usd = (
                http_status,
                billing_status,
                job_id,
                charged_usd,
            )

    @property
    def is_last_request_ambiguous(self) -> bool:
        """Whether the last request for the sample or case may have been charged although its result is unknown."""
        return bool(self.purchases) and self.purchases[-1].is_ambiguous

    @property
    def attempt_count(self) -> int:
        """Number of submits of the last delivery: the last submit and the rejected ones immediately before it."""
        rejected = itertools.takewhile(lambda one: not one.billing_status.may_be_charged, reversed(self.purchases[:-1]))
        return 1 + sum(1 for _ in rejected)

    @property
    def ambiguous_requests(self) -> list[AmbiguousRequest]:
        """The ambiguous requests for the sample or case, oldest first."""
        return [
            AmbiguousRequest(
                sample_or_case_id=self.sample_or_case_id,
                sent_at=one.submitted_at,
                counted_usd=one.charge_or_price_usd,
                reason=one.ambiguous_reason,
                was_sent_again=index < len(self.purchases) - 1,
            )
            for index, one in enumerate(self.purchases)
            if one.is_ambiguous
        ]


HistoryT = TypeVar("HistoryT", bound=PurchaseHistory)


class PurchaseAccount(Generic[HistoryT]):
    """The submits of all samples or cases, as read from a journal."""

    def __init__(self, history_by_id: Mapping[str, HistoryT] | None = None) -> None:
        """Start with the history of each sample or case, by its id; `None` for an empty account."""
        self.histories: Mapping[str, HistoryT] = {} if history_by_id is None else history_by_id

    @functools.cached_property
    def ids_with_ambiguous_last_request(self) -> frozenset[str]:
        """Ids of the samples or cases whose last request is ambiguous, whether they are finished or not."""
        return frozenset(name for name, one in self.histories.items() if one.is_last_request_ambiguous)

    @functools.cached_property
    def ambiguous_requests(self) -> tuple[AmbiguousRequest, ...]:
        """All ambiguous requests, oldest first."""
        return tuple(
            sorted((a for one in self.histories.values() for a in one.ambiguous_requests), key=lambda one: one.sent_at)
        )

    @property
    def spent_usd(self) -> float:
        """Dollars that were or may have been charged, including open jobs and ambiguous requests."""
        return self.sum_spent_usd_except_last_requests(())

    def sum_spent_usd_except_last_requests(self, pending_ids: Collection[str]) -> float:
        """Return `spent_usd` without what the last request for each sample or case in `pending_ids` cost."""
        ledger = Ledger()
        for name, one in self.histories.items():
            for purchase in one.purchases[: -1 if name in pending_ids else None]:
                purchase.add_to_ledger(ledger)
        return ledger.spent_usd

    @property
    def is_empty(self) -> bool:
        """Whether no request has been sent."""
        return not self.histories

    @property
    def may_have_been_charged(self) -> bool:
        """Whether any request may have been charged, so that sending all of them again would pay for it twice."""
        return any(
            purchase.billing_status.may_be_charged for one in self.histories.values() for purchase in one.purchases
        )
