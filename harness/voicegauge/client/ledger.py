"""Reserves the price of each request from a budget, and limits the rate of requests."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping

from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.provider import PlanLimits
from voicegauge.errors import BudgetError, OverchargedError, UnknownNameError
from voicegauge.model.base import MICRO_USD_PER_USD, convert_budget_to_micro_usd, convert_to_micro_usd
from voicegauge.model.price import format_price_usd
from voicegauge.transport.clock import Clock, RealClock

# The ledger reserves money before a request is sent, and settles it when the outcome of the request is known.


MAX_ROUNDING_MICRO_USD = 1
"""Difference between a reported charge and the reserved price, in millionths of a dollar, that is due to rounding."""


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
        """Hold `amount_micro_usd` millionths of a dollar. Call `Ledger.reserve` instead of this constructor."""
        self._ledger, self._micro_usd, self._price_name, self._is_open = ledger, amount_micro_usd, price_name, True
        self._on_settled = on_settled

    def settle(
        self, *, may_be_charged: bool, charged_usd: float | None = None, unreadable_charge: str | None = None
    ) -> None:
        """Turn the reservation into spending. Later calls do nothing.

        Args:
            may_be_charged: whether the reserved amount counts as spent; if not, it is released.
            charged_usd: the charge that the provider reported, which counts instead. If it exceeds the reservation and
                the budget, it counts as spent nevertheless, and nothing more can be reserved.
            unreadable_charge: what is wrong with an implausible charge in the response; at least the reserved amount
                then counts.
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
        self, max_cost_usd: float | None = None, *, spent_usd: float = 0.0, option: str = "--max-cost"
    ) -> None:
        """Open the ledger.

        Args:
            max_cost_usd: the budget in dollars; `None` counts spending without a limit.
            spent_usd: the part of the budget in dollars that an interrupted run has spent already.
            option: the command option that sets the budget, which error messages name.
        """
        self._option = option
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
                makes computed totals wrong.

        Raises:
            BudgetError: less than `amount_usd` is left, or an earlier request of `price_name` was charged more than
                its price, or states a charge that cannot be believed.
        """
        self.require_no_overcharge(price_name)
        micro_usd = convert_to_micro_usd(amount_usd)
        self.require_remaining(micro_usd)
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
                f"raise {self._option}"
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
        option: str = "--max-cost",
    ) -> None:
        """Create a share of `ledger`.

        `spent_usd` was spent before and is already counted there; see `Ledger` for the other arguments.
        """
        super().__init__(max_cost_usd, spent_usd=spent_usd, option=option)
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
        """Reserve an amount in the outer budgets of the common ledger, as `Ledger.reserve_in_outer_budgets` does."""
        return self._ledger.reserve_in_outer_budgets(amount_micro_usd)

    def require_no_overcharge(self, price_name: str | None) -> None:
        """Check what all users together were charged; see `Ledger.require_no_overcharge`."""
        self._ledger.require_no_overcharge(price_name)

    @property
    def first_overcharge_message(self) -> str | None:
        """The error message about the first wrong charge of all users; see `Ledger.first_overcharge_message`."""
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


# Delays requests to respect the rate limit of an account's plan, in requests per minute.


RATE_LIMIT_WINDOW_S = 60.0
"""Length of the window in seconds, because plans state requests per minute. Providers may count in fixed or sliding
windows; a sliding window satisfies both."""


class RateLimiter:
    """Delays requests so that no window of 60 seconds has more requests than a plan allows.

    A burst up to the limit passes without delay. Requests pass in the order of their arrival. A rate limiter belongs
    to one account and one event loop.
    """

    def __init__(self, requests_per_minute: int, clock: Clock | None = None) -> None:
        """Allow `requests_per_minute`, measured by `clock` (the real clock by default)."""
        self.requests_per_minute = requests_per_minute
        self._clock: Clock = clock or RealClock()
        self._times: deque[float] = deque(maxlen=requests_per_minute)
        """Times of the last requests, at most as many as one window may have."""
        self._queue = asyncio.Lock()

    async def wait_for_request(self) -> None:
        """Wait until one more request may be sent, and count that request."""
        async with self._queue:
            # The lock makes requests pass in order, and it is held during the wait: without it, all that wait would
            # wake at the same time and exceed the limit. The window slides, because a fixed minute allows twice the
            # limit around its end.
            if len(self._times) == self._times.maxlen:
                remaining_s = self._times[0] + RATE_LIMIT_WINDOW_S - self._clock.monotonic()
                if remaining_s > 0:
                    await self._clock.sleep(remaining_s)
            self._times.append(self._clock.monotonic())


def find_account_plan_limits(contracts: Iterable[Contract], plan_names: Collection[str] = ()) -> dict[str, PlanLimits]:
    """Return the limits of the user's plan with each provider, by provider id.

    Args:
        contracts: the contracts of the providers.
        plan_names: names of the user's plans. For a provider without a named plan, the first plan of its contract
            counts.

    Raises:
        UnknownNameError: no contract has a plan of a given name.
    """
    limits = {contract.id: contract.limits for contract in contracts}
    known = {name for spec in limits.values() for name in spec.plan_limits}
    for name in plan_names:
        if name not in known:
            raise UnknownNameError("plan", name, known)
    return {provider: spec.find_plan(plan_names) for provider, spec in limits.items()}


def create_rate_limiter(plan_limits: PlanLimits, base_urls: Mapping[str, str]) -> RateLimiter | None:
    """Return a rate limiter that keeps the documented request rate of an account plan.

    The result is `None` if no rate is documented, or if `base_urls` replaces the URLs of the provider's servers.
    """
    return (
        RateLimiter(plan_limits.max_requests_per_minute)
        if plan_limits.max_requests_per_minute and not base_urls
        else None
    )
