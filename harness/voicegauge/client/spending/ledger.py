"""Money: reserved before a request is sent, settled when it is known what it cost."""

from __future__ import annotations

import math

from voicegauge.errors import BudgetError

_MICRO = 1_000_000
"""Sums are kept in whole millionths of a dollar, so that a thousand cents are ten dollars exactly."""


def _micro_dollars(usd: float) -> int:
    """Round up: a reservation must not be smaller than the price."""
    if not math.isfinite(usd) or usd < 0:
        raise ValueError(f"{usd} is no price")
    return math.ceil(round(usd * _MICRO, 3))


class Reservation:
    """Money set aside for one request; closed by `settle` or `release`, once."""

    def __init__(self, ledger: Ledger, micro: int) -> None:
        """Made by `Ledger.reserve`."""
        self._ledger, self._micro, self._open = ledger, micro, True

    @property
    def usd(self) -> float:
        """What was set aside, in dollars."""
        return self._micro / _MICRO

    def settle(self, actual_usd: float | None = None) -> None:
        """The request was paid for: `actual_usd`, or all that was set aside where nobody says.

        A provider may charge more than was set aside. That is spent too, even past the
        budget; nothing more can be reserved then.
        """
        self._close(self._micro if actual_usd is None else _micro_dollars(actual_usd))

    def release(self) -> None:
        """The request cost nothing."""
        self._close(0)

    def _close(self, spent: int) -> None:
        if self._open:
            self._open = False
            self._ledger.close(self._micro, spent)


class Ledger:
    """A budget that neither retries nor concurrency can overspend.

    Every method runs to its end without giving way to other tasks, so it is safe under
    asyncio; it is not meant for threads.
    """

    def __init__(self, max_cost_usd: float | None = None, *, spent_usd: float = 0.0) -> None:
        """Open the ledger.

        Args:
            max_cost_usd: the budget; `None` keeps the sums and refuses nothing.
            spent_usd: what an interrupted run has spent of it already.
        """
        self._limit = None if max_cost_usd is None else math.floor(round(max_cost_usd * _MICRO, 3))
        self._spent, self._reserved = _micro_dollars(spent_usd), 0

    @property
    def spent_usd(self) -> float:
        """Settled so far, in dollars."""
        return self._spent / _MICRO

    @property
    def reserved_usd(self) -> float:
        """Set aside for requests under way, in dollars."""
        return self._reserved / _MICRO

    @property
    def left_usd(self) -> float:
        """What can still be reserved, in dollars; infinite without a budget."""
        return math.inf if self._limit is None else (self._limit - self._spent - self._reserved) / _MICRO

    def reserve(self, usd: float) -> Reservation:
        """Set `usd` aside.

        Raises:
            BudgetError: less than that is left.
        """
        micro = _micro_dollars(usd)
        if self._limit is not None and self._spent + self._reserved + micro > self._limit:
            held = f", ${self.reserved_usd:g} held for requests under way" if self._reserved else ""
            raise BudgetError(
                f"the next request costs ${usd:g}, but of the budget of ${self._limit / _MICRO:g} "
                f"${self.spent_usd:g} are spent{held}: raise --max-cost"
            )
        self._reserved += micro
        return Reservation(self, micro)

    def close(self, reserved: int, spent: int) -> None:
        """End a reservation of `reserved` of which `spent` was paid, in micro-dollars.

        Called by `Reservation`.
        """
        self._reserved -= reserved
        self._spent += spent
