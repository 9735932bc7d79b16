"""The ledger reserves money before a request is sent, and settles it when the outcome of the request is known."""

from __future__ import annotations

import math

from voicegauge.errors import BudgetError

MICRO_USD_PER_USD = 1_000_000
"""Number of millionths in a dollar. Amounts are counted in whole millionths of a dollar, because sums of binary floats
would drift from the budget."""


def _convert_to_micro_usd(amount_usd: float) -> int:
    """Convert dollars to millionths and round up, so that a reservation is never smaller than the price."""
    if not math.isfinite(amount_usd) or amount_usd < 0:
        raise ValueError(f"{amount_usd} is not a valid price: it must be a finite number of dollars, zero or more")
    # Rounded to thousandths first: 0.000123 * 1e6 is 123.00000000000001, which must not become 124.
    return math.ceil(round(amount_usd * MICRO_USD_PER_USD, 3))


class Reservation:
    """Money held for one request until `settle` is called for the first time."""

    def __init__(self, ledger: Ledger, amount_micro_usd: int) -> None:
        """Hold `amount_micro_usd` millionths of a dollar. Call `Ledger.reserve` instead of this constructor."""
        self._ledger, self._micro_usd, self._is_open = ledger, amount_micro_usd, True

    def settle(self, *, may_be_charged: bool, charged_usd: float | None = None) -> None:
        """Turn the reservation into spending. Later calls do nothing.

        Args:
            may_be_charged: whether the reserved amount counts as spent; if not, it is released.
            charged_usd: the charge that the provider reported, which counts instead. If it exceeds the reservation and
                the budget, it counts as spent nevertheless, and nothing more can be reserved.
        """
        if not self._is_open:
            return
        self._is_open = False
        spent = self._micro_usd if may_be_charged else 0
        spent = spent if charged_usd is None else _convert_to_micro_usd(charged_usd)
        self._ledger.change_amounts(-self._micro_usd, spent)


class Ledger:
    """A budget that neither retries nor concurrent requests can overspend.

    No method awaits, so a ledger is safe to share between tasks of one event loop. It is not thread-safe.
    """

    def __init__(self, max_cost_usd: float | None = None, *, spent_usd: float = 0.0) -> None:
        """Open the ledger.

        Args:
            max_cost_usd: the budget in dollars; `None` counts spending without a limit.
            spent_usd: the part of the budget in dollars that an interrupted run has spent already.
        """
        self._limit = None if max_cost_usd is None else math.floor(round(max_cost_usd * MICRO_USD_PER_USD, 3))
        self._spent, self._reserved = _convert_to_micro_usd(spent_usd), 0

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

    def reserve(self, amount_usd: float) -> Reservation:
        """Hold `amount_usd` for one request.

        Raises:
            BudgetError: less than `amount_usd` is left.
        """
        micro_usd = _convert_to_micro_usd(amount_usd)
        self.require_remaining(micro_usd)
        self.change_amounts(micro_usd, 0)
        return Reservation(self, micro_usd)

    def require_remaining(self, amount_micro_usd: int) -> None:
        """Check that `amount_micro_usd` millionths of a dollar can be reserved.

        Raises:
            BudgetError: less is left.
        """
        if self._limit is not None and self._spent + self._reserved + amount_micro_usd > self._limit:
            held = f", ${self.reserved_usd:g} reserved for requests in progress" if self._reserved else ""
            raise BudgetError(
                f"the next request costs ${amount_micro_usd / MICRO_USD_PER_USD:g}, but of the budget of "
                f"${self._limit / MICRO_USD_PER_USD:g} "
                f"${self.spent_usd:g} are spent{held}: raise --max-cost"
            )

    def reserve_unconditionally(self, amount_usd: float) -> Reservation:
        """Hold an amount for a request that an earlier process sent, even if it exceeds the budget."""
        micro_usd = _convert_to_micro_usd(amount_usd)
        self.change_amounts(micro_usd, 0)
        return Reservation(self, micro_usd)

    def change_amounts(self, reserved_change_micro_usd: int, spent_change_micro_usd: int) -> None:
        """Add to the reserved and to the spent amount, in millionths of a dollar; negative amounts are subtracted.

        `Reservation` calls this method when it is settled.
        """
        self._reserved += reserved_change_micro_usd
        self._spent += spent_change_micro_usd


class LedgerShare(Ledger):
    """Counts what one of several users of a ledger reserves and spends.

    The ledger has the budget, and counts the amounts of all its shares too.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Start with nothing spent from `ledger`."""
        super().__init__()
        self._ledger = ledger

    @property
    def remaining_usd(self) -> float:
        """The amount that all users together can still reserve, in dollars; infinite without a budget."""
        return self._ledger.remaining_usd

    def require_remaining(self, amount_micro_usd: int) -> None:
        """Check that all users together have `amount_micro_usd` left; see `Ledger.require_remaining`."""
        self._ledger.require_remaining(amount_micro_usd)

    def change_amounts(self, reserved_change_micro_usd: int, spent_change_micro_usd: int) -> None:
        """Change the amounts of this share and of the ledger."""
        # The ledger first: it may write a journal before the change takes effect.
        self._ledger.change_amounts(reserved_change_micro_usd, spent_change_micro_usd)
        super().change_amounts(reserved_change_micro_usd, spent_change_micro_usd)
