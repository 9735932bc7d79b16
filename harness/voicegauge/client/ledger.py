"""Reserves the price of each request from a budget, and settles it with what the response charges.

The rule is the same for a delivery and for a single request:

- an accepted request (2xx), a server error (5xx) and a connection lost after sending are spent;
- a rejection (3xx, 4xx) and a failure before anything was sent release the reservation;
- a 503 is a rejection only if the contract documents that such a request is to be sent again;
- a charge that the provider reports replaces the price, and so does the price of the usage that it reports;
- of several charges for one request the largest counts, except for a job that is documented as free in the end;
- a charge that cannot be believed, such as a negative one, leaves the price, and ends the requests at that price.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import NamedTuple, Protocol

from voicegauge.contract.contract import BaseTarget
from voicegauge.contract.extension.provider import CreditSpec, RetryPolicy
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import ParsedExchange, UnreadableCharge, parse_exchange
from voicegauge.contract.price_computation import compute_reported_cost
from voicegauge.errors import BudgetError, OverchargedError, TransportError, UsageError
from voicegauge.formats.locations import Location
from voicegauge.model.base import MAX_NUMBER, MICRO_USD_PER_USD, convert_budget_to_micro_usd, convert_to_micro_usd
from voicegauge.model.exchange import BillingStatus, Exchange
from voicegauge.model.price import format_price_usd

# The ledger reserves money before a request is sent, and settles it when the outcome of the request is known.


MAX_ROUNDING_MICRO_USD = 1
"""Largest excess of a charge over its price, in millionths of a dollar, that is taken for a difference of rounding."""


def is_overcharge(price_micro_usd: int, charged_micro_usd: int) -> bool:
    """Whether a charge exceeds the price by more than rounding explains."""
    return charged_micro_usd > price_micro_usd + MAX_ROUNDING_MICRO_USD


class Reservation:
    """Money held for one request until `settle` is called for the first time."""

    def __init__(
        self,
        ledger: Ledger,
        amount_micro_usd: int,
        price_name: str | None = None,
        on_settled: Callable[[int], None] | None = None,
    ) -> None:
        """Hold `amount_micro_usd` millionths of a dollar. Call `Ledger.reserve` instead of this constructor.

        `price_name` is that of `Ledger.reserve`. `on_settled` is called with the amount that was finally spent, in
        millionths of a dollar; `None` calls nothing.
        """
        self._ledger, self._micro_usd, self._price_name, self._is_open = ledger, amount_micro_usd, price_name, True
        self._on_settled = on_settled

    def settle(
        self, *, may_be_charged: bool, charged_usd: float | None = None, unreadable_charge: str | None = None
    ) -> None:
        """Turn the reservation into spending. Later calls do nothing.

        Args:
            may_be_charged: whether the reserved amount counts as spent; if not, it is released.
            charged_usd: the charge that the provider reported, which counts instead unless it is `None`. If it exceeds
                the reservation and the budget, it counts as spent nevertheless, and nothing more can be reserved.
            unreadable_charge: what is wrong with an implausible charge in the response; at least the reserved amount
                then counts. `None` if there is no such charge.
        """
        # Several layers may end a request: its response, an error, a cancelled task. Only the first counts, or money
        # would be released that a later layer has spent.
        if not self._is_open:
            return
        self._is_open = False
        reserved = self._micro_usd if may_be_charged else 0
        spent = reserved if charged_usd is None else convert_to_micro_usd(charged_usd)
        spent = spent if unreadable_charge is None else max(spent, reserved)
        # In one step and in whole millionths of a dollar. Two steps would let another task reserve in between what is
        # about to be spent, and floating-point sums of many small prices drift from the amount that the user allowed.
        self._ledger.change_amounts(-self._micro_usd, spent)
        if self._on_settled is not None:
            self._on_settled(spent)
        if self._price_name is not None:
            self._ledger.note_charge_micro_usd(self._price_name, self._micro_usd, spent)
            if unreadable_charge is not None:
                self._ledger.note_unreadable_charge(self._price_name, unreadable_charge)


class Ledger:
    """A budget that neither retries nor concurrent requests can overspend.

    No method awaits, so a ledger is safe to share between tasks of one event loop. It is not thread-safe.
    """

    def __init__(
        self, max_cost_usd: float | None = None, *, spent_usd: float = 0.0, budget_option: str = "--max-cost"
    ) -> None:
        """Create a ledger from which nothing is reserved yet.

        Args:
            max_cost_usd: the budget in dollars; `None` counts spending without a limit.
            spent_usd: the part of the budget in dollars that an interrupted run has spent already.
            budget_option: the command option that sets the budget, which error messages name.
        """
        self._budget_option = budget_option
        self._limit = None if max_cost_usd is None else convert_budget_to_micro_usd(max_cost_usd)
        self._spent, self._reserved = convert_to_micro_usd(spent_usd), 0
        self._overcharge_by_price_name: dict[str, str] = {}
        """The error message by the name of each price that a charge exceeded, or whose stated charge is implausible."""

    @property
    def spent_usd(self) -> float:
        """The amount settled so far, in dollars."""
        return self._spent / MICRO_USD_PER_USD

    @property
    def reserved_usd(self) -> float:
        """The amount held for requests in progress, in dollars."""
        return self._reserved / MICRO_USD_PER_USD

    @property
    def remaining_usd(self) -> float:
        """The amount that can still be reserved, in dollars; infinite without a budget."""
        return math.inf if self._limit is None else (self._limit - self._spent - self._reserved) / MICRO_USD_PER_USD

    def reserve(self, amount_usd: float, price_name: str | None = None) -> Reservation:
        """Hold `amount_usd` for one request.

        Args:
            amount_usd: the most that the request may cost.
            price_name: name of the target or operation whose price this is. As soon as a charge exceeds this price,
                nothing more is reserved for it, even without a budget: a wrong price would overspend a budget, and
                makes computed totals wrong. `None` compares no charge with the price.

        Raises:
            BudgetError: less than `amount_usd` is left, or an earlier request of `price_name` was charged more than
                its price, or states a charge that cannot be believed.
        """
        self.require_no_overcharge(price_name)
        micro_usd = convert_to_micro_usd(amount_usd)
        self.require_remaining(micro_usd)
        # Before the amounts here change: if an outer budget has too little left, nothing is to be taken back.
        on_settled = self.reserve_in_outer_budgets(micro_usd)
        self.change_amounts(micro_usd, 0)
        return Reservation(self, micro_usd, price_name, on_settled)

    def reserve_in_outer_budgets(self, amount_micro_usd: int) -> Callable[[int], None] | None:
        """Reserve an amount in the budgets outside of this ledger, such as a daily one, before this ledger does.

        Returns:
            A function that is called with the amount that was finally spent; `None` if there is no outer budget.

        Raises:
            BudgetError: less is left of an outer budget.
        """
        del amount_micro_usd
        return None

    def require_no_overcharge(self, price_name: str | None) -> None:
        """Check that no request of `price_name` was charged more than its price, or stated an implausible charge.

        Nothing is checked for `None`.

        Raises:
            OverchargedError: a request was.
        """
        if price_name in self._overcharge_by_price_name:
            raise OverchargedError(self._overcharge_by_price_name[price_name])

    @property
    def first_overcharge_message(self) -> str | None:
        """The error message about the first request with a charge above its price, or an implausible one.

        It is `None` if there is no such request. It does not depend on whether a later request was stopped because of
        it.
        """
        return next(iter(self._overcharge_by_price_name.values()), None)

    def note_charge(self, price_name: str, price_usd: float, charged_usd: float) -> None:
        """Note the price and the charge of a request of an earlier process, see `note_charge_micro_usd`."""
        self.note_charge_micro_usd(price_name, convert_to_micro_usd(price_usd), convert_to_micro_usd(charged_usd))

    def note_charge_micro_usd(self, price_name: str, reserved_micro_usd: int, charged_micro_usd: int) -> None:
        """Note what was reserved for a request, and what it was charged; `Reservation` calls this.

        A charge above the price ends the requests at that price.
        """
        if not is_overcharge(reserved_micro_usd, charged_micro_usd):
            return
        charged, reserved = charged_micro_usd / MICRO_USD_PER_USD, reserved_micro_usd / MICRO_USD_PER_USD
        self._overcharge_by_price_name[price_name] = (
            f"{price_name} was charged {format_price_usd(charged, is_exact=True)} for a request that should cost "
            f"{format_price_usd(reserved, is_exact=True)}: no more requests are sent to it; "
            f"state what it costs with --price {price_name}={charged:g}"
        )

    def note_unreadable_charge(self, price_name: str, charge_description: str) -> None:
        """Note that a response states an implausible charge, after which nothing more is reserved at its price.

        Args:
            price_name: name of the target or operation.
            charge_description: what the response states, such as "states a charge of -5 USD, which cannot be believed".
        """
        self._overcharge_by_price_name[price_name] = (
            f"a response of {price_name} {charge_description}: no more requests are sent to it; "
            "compare the bill of the provider with what should be charged"
        )

    def require_remaining(self, amount_micro_usd: int) -> None:
        """Check that `amount_micro_usd` millionths of a dollar can be reserved.

        Raises:
            BudgetError: less is left.
        """
        if self._limit is not None and self._spent + self._reserved + amount_micro_usd > self._limit:
            cost, limit, spent, reserved = (
                format_price_usd(micro_usd / MICRO_USD_PER_USD, is_exact=True)
                for micro_usd in (amount_micro_usd, self._limit, self._spent, self._reserved)
            )
            held = f", {reserved} reserved for requests in progress" if self._reserved else ""
            raise BudgetError(
                f"the next request costs {cost}, but of the budget of {limit} {spent} are spent{held}: "
                f"raise {self._budget_option}"
            )

    def reserve_unconditionally(self, amount_usd: float) -> Reservation:
        """Hold an amount for a request that an earlier process sent, even if it exceeds the budget."""
        micro_usd = convert_to_micro_usd(amount_usd)
        self.change_amounts(micro_usd, 0)
        return Reservation(self, micro_usd)

    def change_amounts(self, reserved_change_micro_usd: int, spent_change_micro_usd: int) -> None:
        """Add to the reserved and to the spent amount, in millionths of a dollar; negative amounts are subtracted.

        `Reservation` calls this method when it is settled.
        """
        self._reserved += reserved_change_micro_usd
        self._spent += spent_change_micro_usd


class LedgerShare(Ledger):
    """One user's share of a ledger that several users have in common.

    The common ledger holds the budget and counts the amounts of all shares. A share can also have a budget of its own.
    """

    def __init__(
        self,
        ledger: Ledger,
        max_cost_usd: float | None = None,
        *,
        spent_usd: float = 0.0,
        budget_option: str = "--max-cost",
    ) -> None:
        """Create a share of `ledger`.

        `max_cost_usd` is the budget of the share in dollars; `None` if only the budget of `ledger` limits it.
        `spent_usd` was spent before and is already counted in `ledger`; see `Ledger` for `budget_option`.
        """
        super().__init__(max_cost_usd, spent_usd=spent_usd, budget_option=budget_option)
        self._ledger = ledger

    @property
    def remaining_usd(self) -> float:
        """The amount that this user can still reserve, in dollars; infinite without a budget."""
        return min(self._ledger.remaining_usd, super().remaining_usd)

    def require_remaining(self, amount_micro_usd: int) -> None:
        """Check that this user, and all together, have `amount_micro_usd` left; see `Ledger.require_remaining`."""
        super().require_remaining(amount_micro_usd)
        self._ledger.require_remaining(amount_micro_usd)

    def reserve_in_outer_budgets(self, amount_micro_usd: int) -> Callable[[int], None] | None:
        """Reserve an amount in the outer budgets of the common ledger; return `None` if it has none, see `Ledger`."""
        return self._ledger.reserve_in_outer_budgets(amount_micro_usd)

    def require_no_overcharge(self, price_name: str | None) -> None:
        """Check what all users together were charged; see `Ledger.require_no_overcharge`, also for `None`."""
        self._ledger.require_no_overcharge(price_name)

    @property
    def first_overcharge_message(self) -> str | None:
        """The error message about the first wrong charge of all users; `None` if there is none. See `Ledger`."""
        return self._ledger.first_overcharge_message

    def note_charge_micro_usd(self, price_name: str, reserved_micro_usd: int, charged_micro_usd: int) -> None:
        """Note the charge of a request in the common ledger; see `Ledger.note_charge_micro_usd`."""
        self._ledger.note_charge_micro_usd(price_name, reserved_micro_usd, charged_micro_usd)

    def note_unreadable_charge(self, price_name: str, charge_description: str) -> None:
        """Note an implausible charge in the common ledger; see `Ledger.note_unreadable_charge`."""
        self._ledger.note_unreadable_charge(price_name, charge_description)

    def change_amounts(self, reserved_change_micro_usd: int, spent_change_micro_usd: int) -> None:
        """Add to the reserved and spent amounts of this share and of the common ledger."""
        # The ledger first: it may write a journal before the change takes effect.
        self._ledger.change_amounts(reserved_change_micro_usd, spent_change_micro_usd)
        super().change_amounts(reserved_change_micro_usd, spent_change_micro_usd)


# Settles the price of a request with what its response charges.


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
    """The charge in dollars; `None` if it is in credits without a documented value."""
    credits: float | None
    """The charge in credits; `None` if the provider charges dollars."""

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
            usage_priced_request: the request, if its price depends on the usage that the response reports; else `None`.
        """
        self._priced_request = usage_priced_request
        self.status = BillingStatus.NOT_SENT
        """Whether the request is charged, as far as is known."""
        self.charged_usd: float | None = None
        """The charge that the provider reported, in dollars; `None` if it reported none."""
        self.charged_credits: float | None = None
        """The charge that the provider reported, in its own credits; `None` if it reported none."""
        self.unreadable_charge: str | None = None
        """The implausible charge that a response states, in words; `None` if there is none."""
        self._largest_charge: _ReportedCharge | None = None
        self._is_repeated = False
        """Whether an earlier attempt with the same idempotency key may have been performed."""

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
        """Note what the HTTP status of the response says about the charge."""
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
        # A larger number than a saved run can have, or a negative one, cannot be believed.
        if cost is not None and all(
            one is None or 0 <= one <= MAX_NUMBER for one in (cost.price_usd, cost.price_credits)
        ):
            self.charged_usd, self.charged_credits = cost.price_usd, cost.price_credits


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
        """Note the response to the submit: a job, audio, or a rejection.

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
    """Yield a settlement, and settle `reservation` with it when the block ends, even by an exception.

    Args:
        reservation: the reserved price; `None` if nothing is reserved.
        usage_priced_request: the request, if its price depends on the usage that the response reports; else `None`.
    """
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
        submit_observer: notified before the first attempt and after the last one, unless the request is free;
            `None` notifies nobody.
        idempotency_key: the idempotency key in the request, for the observer; `None` without one.
        repeats_earlier_request: whether an earlier process may have been charged for a request with the same
            idempotency key.
        usage_priced_request: the request, if its price depends on the usage that the response reports; else `None`.

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
