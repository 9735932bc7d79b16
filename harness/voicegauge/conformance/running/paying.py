"""What single calls cost: set aside before they are sent, and spent where they are accepted.

Deliveries reserve through the client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass

from voicegauge.client import Ledger, RequestParts, Reservation
from voicegauge.conformance.cases import ConformanceCase, text_characters
from voicegauge.contract import BaseTarget, Contract, Operation, is_billable, quote
from voicegauge.errors import TransportError, UsageError
from voicegauge.model import Exchange

Sold = BaseTarget | Operation
"""What has a price: a model or mode, else the operation itself."""


def sold_in(contract: Contract, case: ConformanceCase) -> Sold | None:
    """What a single call of `case` is paid for, should it be accepted; `None` for what is free."""
    name = case.target or ""
    served = contract.targets.get(name) or contract.intakes.get(name)
    return served or (contract.operation(case.operation) if case.is_billable_operation else None)


def price_name(sold: Sold) -> str:
    """As the user names its price: <provider>/<target or operation>."""
    return f"{sold.contract.id}/{sold.name if isinstance(sold, BaseTarget) else sold.id}"


def dollars(sold: Sold, prices: Mapping[str, float], characters: int, audio_s: float = 0.0) -> float | None:
    """The price of one request in dollars; `None` where nobody says."""
    return quote(sold, characters, audio_s=audio_s or None, usd=prices.get(price_name(sold))).usd


@dataclass(frozen=True)
class Purse:
    """What single calls to one provider are paid from."""

    contract: Contract
    ledger: Ledger | None
    """`None` keeps no books, as at the emulator."""
    prices: Mapping[str, float]
    """Dollars a request by the name of what is sold, as the user named them."""

    def for_case(self, case: ConformanceCase) -> Reservation | None:
        """Money for the one call of `case`; `None` where it is free.

        Raises:
            UsageError: nobody says what it costs.
            BudgetError: less than that is left.
        """
        sold = sold_in(self.contract, case)
        if sold is None or self.ledger is None:
            return None
        return self.ledger.reserve(self._dearest([sold], case.text_characters, case.audio_s))

    def for_step(self, operation: Operation, wire: RequestParts) -> Reservation | None:
        """Money for one call in the life of something that is kept; `None` where it is free.

        Which model a saved voice speaks with is not known: the dearest price counts.

        Raises:
            UsageError: nobody says what it costs.
            BudgetError: less than that is left.
        """
        if self.ledger is None or not is_billable(operation):
            return None
        return self.ledger.reserve(self._dearest(_all_sold(operation), text_characters(operation, wire)))

    def check_uses(self, maker: Operation) -> None:
        """Refuse to make what cannot be used for want of a price: it would be left behind.

        Raises:
            UsageError: nobody says what a use of it costs.
        """
        uses = maker.resource.uses if maker.resource is not None and self.ledger is not None else ()
        for operation in (self.contract.operation(use.operation) for use in uses):
            if is_billable(operation):
                self._dearest(_all_sold(operation), 0)

    def _dearest(self, sold: Sequence[Sold], characters: int, audio_s: float = 0.0) -> float:
        known = [usd for one in sold if (usd := dollars(one, self.prices, characters, audio_s)) is not None]
        if not known:
            name = price_name(sold[0])
            raise UsageError(f"no document says what {name} costs: name it with --price {name}=USD")
        return max(known)


def _all_sold(operation: Operation) -> Sequence[Sold]:
    return list(operation.served) or [operation]


async def paid_with(reservation: Reservation | None, asking: Awaitable[Sequence[Exchange]]) -> Sequence[Exchange]:
    """The answers to one call; what was set aside is spent where the last one accepts, or nobody knows."""
    accepted = True
    try:
        answers = await asking
        accepted = answers[-1].response.status < 300
    except TransportError as error:
        accepted = error.sent
        raise
    finally:
        if reservation is not None and accepted:
            reservation.settle()
        elif reservation is not None:
            reservation.release()
    return answers
