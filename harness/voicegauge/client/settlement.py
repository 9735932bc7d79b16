"""Settles the price of a request with what its response charges.

The rule is the same for a delivery and for a single request:

- an accepted request (2xx), a server error (5xx) and a connection lost after sending are spent;
- a rejection (3xx, 4xx) and a failure before anything was sent release the reservation;
- a 503 is a rejection only if the contract documents that such a request is to be sent again;
- a charge that the provider reports replaces the price, and so does the price of the usage that it reports;
- of several charges for one request the largest counts, except for a job that is documented as free in the end;
- a charge that cannot be believed, such as a negative one, leaves the price, and ends the requests at that price.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import NamedTuple, Protocol

from voicegauge.client.ledger import Reservation
from voicegauge.contract.extension.provider import CreditSpec, RetryPolicy
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import ParsedExchange, UnreadableCharge, parse_exchange
from voicegauge.contract.price_computation import compute_reported_cost
from voicegauge.contract.targets import BaseTarget
from voicegauge.errors import TransportError, UsageError
from voicegauge.formats.locations import Location
from voicegauge.model.base import MAX_NUMBER
from voicegauge.model.exchange import Exchange
from voicegauge.model.job import BillingStatus


def classify_billing_status(http_status: int, retry_policy: RetryPolicy) -> BillingStatus:
    """Return what an HTTP status says about the charge for a request.

    503 means that the server does not handle the request for now (RFC 9110, section 15.6.4), such as "queue full" or
    "model is loading". It is a rejection if the provider documents a retry for it. If not, the 503 may come
    from a gateway whose upstream server has performed the request. Any other server error may occur after the request
    was performed, even if a document recommends a retry. A redirect asks for another request before this one is
    performed (section 15.4), and none is followed.
    """
    if 200 <= http_status < 300:
        return BillingStatus.ACCEPTED
    # Counting every 5xx as free would overspend the budget when a gateway times out after the model has run; counting
    # every 5xx as charged would end a run after a few "model is loading". The documents decide about 503 alone.
    is_refused = http_status == HTTPStatus.SERVICE_UNAVAILABLE and http_status in retry_policy.retried_statuses
    return BillingStatus.AMBIGUOUS if http_status >= 500 and not is_refused else BillingStatus.REJECTED


def should_send_again(http_status: int, retry_policy: RetryPolicy) -> bool:
    """Whether to send a billable request again after a response.

    The contract must document a retry for the status, and a request with that status must not be charged.
    """
    return (
        http_status in retry_policy.retried_statuses
        and not classify_billing_status(http_status, retry_policy).may_be_charged
    )


class UsagePricedRequest(NamedTuple):
    """A request whose price depends on the usage that the response reports, such as a number of tokens."""

    target: BaseTarget
    character_count: int | None
    """Number of characters in the text; `None` if an earlier process sent the request."""


class _ReportedCharge(NamedTuple):
    """A charge that the provider reported, in dollars, in credits, or in both."""

    usd: float | None
    credits: float | None

    def exceeds(self, other: _ReportedCharge) -> bool:
        """Whether this charge is known to exceed the other one."""
        if self.credits is not None and other.credits is not None:
            return self.credits > other.credits
        return self.usd is not None and other.usd is not None and self.usd > other.usd


class Settlement:
    """What is known so far about the charge for one request."""

    def __init__(self, usage_priced_request: UsagePricedRequest | None = None) -> None:
        """Create a settlement for a request that was not sent yet.

        Args:
            usage_priced_request: the request, if its price depends on the usage that the response reports.
        """
        self._priced_request = usage_priced_request
        self.status = BillingStatus.NOT_SENT
        self.charged_usd: float | None = None
        """The charge that the provider reported, in dollars."""
        self.charged_credits: float | None = None
        """The charge that the provider reported, in its own credits."""
        self.unreadable_charge: str | None = None
        """The implausible charge that a response states, in words; `None` if there is none."""
        self._largest_charge: _ReportedCharge | None = None
        self._is_repeated = False

    @property
    def reported_charge(self) -> tuple[float | None, str | None]:
        """The reported charge in dollars, and what is wrong with an implausible charge; each may be `None`."""
        return self.charged_usd, self.unreadable_charge

    def note_sending(self) -> None:
        """Note that the request is about to be sent, for the first time or again. From now on it may be charged.

        An ambiguous request is only sent again with its idempotency key. It then stays ambiguous until it is accepted,
        because a rejection of the later attempt says nothing about the earlier one.
        """
        self._is_repeated = self.status is BillingStatus.AMBIGUOUS
        self.status, self.charged_usd, self.charged_credits = BillingStatus.AMBIGUOUS, None, None
        self._largest_charge = None

    def note_status(self, http_status: int, retry_policy: RetryPolicy) -> None:
        """Note the HTTP status of the response."""
        self._update_billing_status(classify_billing_status(http_status, retry_policy))

    def note_failure(self, transport_error: TransportError) -> None:
        """Note that no response arrived. `transport_error` says whether the request was sent."""
        self._update_billing_status(
            BillingStatus.AMBIGUOUS if transport_error.request_was_sent else BillingStatus.NOT_SENT
        )

    def _update_billing_status(self, billing_status: BillingStatus) -> None:
        # If the connection of the first attempt was lost, it may have been performed. A rejection of the second
        # attempt, such as "too many requests", is then no proof that nothing was charged, so that the doubt stays.
        if not self._is_repeated or billing_status.may_be_charged:
            self.status = billing_status

    def note_earlier_charge(self, charged_usd: float | None) -> None:
        """Note the charge in dollars that an earlier process read; `None` if it read none."""
        self.charged_usd = charged_usd
        self._largest_charge = None if charged_usd is None else _ReportedCharge(charged_usd, None)

    def note_charge(
        self,
        exchange: ParsedExchange,
        charge_location: Location | None,
        credit_spec: CreditSpec | None,
        *,
        is_documented_as_free: bool = False,
    ) -> None:
        """Note the charge reported in a response, if there is one. The largest reported charge counts.

        Args:
            exchange: the exchange whose response is read.
            charge_location: where the response has the charge, as the contract documents; `None` if it has none.
            credit_spec: what the contract states about the provider's credits; `None` if the provider charges dollars.
            is_documented_as_free: whether the response says that the request is not charged in the end, so that its
                charge replaces a larger one that was reported before.
        """
        amount = exchange.read_charge(charge_location)
        # The response is the provider's: a negative charge would refill the budget, and NaN would make every comparison
        # with it false. The reserved price then stays.
        if isinstance(amount, UnreadableCharge):
            unit = "USD" if credit_spec is None else credit_spec.name
            self.unreadable_charge = self.unreadable_charge or amount.describe(unit)
            return
        if amount is None:
            return
        charge = _ReportedCharge(amount, None)
        if credit_spec is not None:
            rate = credit_spec.usd_per_credit
            charge = _ReportedCharge(None if rate is None else amount * rate, amount)
        # A service that states two charges for one request has charged one of them: only the larger one is safe.
        if self._largest_charge is None or is_documented_as_free or not self._largest_charge.exceeds(charge):
            self._largest_charge = charge
        self.charged_usd, self.charged_credits = self._largest_charge

    def note_usage(self, exchange: ParsedExchange) -> None:
        """Note the charge for the tokens or seconds that a response reports, if it reports them."""
        if self._priced_request is None:
            return
        target, character_count = self._priced_request
        stream_spec = target.operation.stream
        cost = compute_reported_cost(target, character_count, lambda usage: exchange.read_usage(usage, stream_spec))
        if cost is not None and all(
            one is None or _is_plausible_charge(one) for one in (cost.price_usd, cost.price_credits)
        ):
            self.charged_usd, self.charged_credits = cost.price_usd, cost.price_credits


def _is_plausible_charge(charge: float) -> bool:
    """Whether a reported charge, in dollars or credits, is from 0 to the largest number in a saved run."""
    return 0 <= charge <= MAX_NUMBER


class SubmitObserver(Protocol):
    """Is notified of every submit, so that a journal knows of a possible charge even after a crash.

    `before_submit` is followed by `on_submit_not_sent` or `after_submit`. If the connection was lost after sending,
    neither follows, because it is unknown whether that request was charged.
    """

    @property
    def waits_for_disk(self) -> bool:
        """Whether the methods wait until what they note is on disk; an event loop calls them in a thread then."""
        ...

    def before_submit(self, idempotency_key: str | None = None) -> None:
        """Note that a request is about to be sent. From now on it may be charged.

        Args:
            idempotency_key: the idempotency key in the request; `None` without one. Requests with the same key are
                charged once.
        """
        ...

    def on_submit_not_sent(self) -> None:
        """Note that the request never left this machine, so it cannot be charged."""
        ...

    def after_submit(self, http_status: int, settlement: Settlement, job_id: str | None) -> None:
        """Note the response: a job, audio, or a rejection.

        Called again if a later response, such as a status of the job, states another charge.

        Args:
            http_status: HTTP status of the response.
            settlement: what the response says about the charge.
            job_id: id with which the job can be polled; `None` if the response accepted no job, or the job cannot be
                polled with its id alone.
        """
        ...


@contextmanager
def settle_when_done(
    reservation: Reservation | None, usage_priced_request: UsagePricedRequest | None = None
) -> Iterator[Settlement]:
    """Yield a settlement, and settle `reservation` with it when the block ends, even by an exception."""
    settlement = Settlement(usage_priced_request)
    try:
        yield settlement
    finally:
        if reservation is not None:
            reservation.settle(
                may_be_charged=settlement.status.may_be_charged,
                charged_usd=settlement.charged_usd,
                unreadable_charge=settlement.unreadable_charge,
            )


def find_charge_location(operation: Operation) -> Location | None:
    """Return where a response to `operation` reports the charge; `None` if the contract does not document it."""
    if operation.chat is not None:
        return operation.chat.charge_location
    if operation.speech is not None:
        return operation.speech.response.charge_location
    if operation.audio_input is not None:
        return operation.audio_input.response.charge_location
    return operation.job.charge_location if operation.job is not None else None


@contextmanager
def settle_request(
    reservation: Reservation | None,
    operation: Operation,
    submit_observer: SubmitObserver | None = None,
    idempotency_key: str | None = None,
    *,
    repeats_earlier_request: bool = False,
    usage_priced_request: UsagePricedRequest | None = None,
) -> Iterator[list[Exchange]]:
    """Settle the reservation of a single request when the block ends that sends it, with its retries.

    Args:
        reservation: the reserved price; `None` for a free request.
        operation: the operation that is called.
        submit_observer: notified before the first attempt and after the last one, unless the request is free.
        idempotency_key: the idempotency key in the request, for the observer; `None` without one.
        repeats_earlier_request: whether an earlier process may have been charged for a request with the same
            idempotency key.
        usage_priced_request: the request, if its price depends on the usage that the response reports.

    Yields:
        A list, to which the block adds the exchanges of the request. All except the last were rejected.

    Raises:
        TransportError: there was no response to the last attempt.
        UsageError: the request could not be built, so nothing was sent.
        StorageError: the observer could not note the request.
    """
    exchanges: list[Exchange] = []
    if reservation is None:
        yield exchanges
        return
    provider = operation.contract.provider
    with settle_when_done(reservation, usage_priced_request) as settlement:
        # The earlier process was killed before it saw a response. It counts as charged until this request with the same
        # key is accepted, which the provider then charges once.
        if repeats_earlier_request:
            settlement.status = BillingStatus.AMBIGUOUS
        if submit_observer is not None:
            submit_observer.before_submit(idempotency_key)
        settlement.note_sending()
        try:
            yield exchanges
        except TransportError as error:
            settlement.note_failure(error)
            if submit_observer is not None and settlement.status is BillingStatus.NOT_SENT:
                submit_observer.on_submit_not_sent()
            raise
        except UsageError:
            settlement.status = BillingStatus.NOT_SENT
            if submit_observer is not None:
                submit_observer.on_submit_not_sent()
            raise
        last = exchanges[-1]
        settlement.note_status(last.response.status, provider.retry_policy)
        if settlement.status is BillingStatus.ACCEPTED:
            settlement.note_usage(parse_exchange(last))
        settlement.note_charge(parse_exchange(last), find_charge_location(operation), provider.credits)
        if submit_observer is not None:
            submit_observer.after_submit(last.response.status, settlement, None)
