"""Prices of single requests. Deliveries are priced and reserved by the client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voicegauge.client import RequestParts
from voicegauge.conformance.cases import ConformanceCase, text_characters
from voicegauge.contract import BaseTarget, Contract, Operation, is_billable, quote_price
from voicegauge.errors import UsageError

PricedItem = BaseTarget | Operation
"""A target with its price, or an operation that is priced itself."""


def priced_item(contract: Contract, case: ConformanceCase) -> PricedItem | None:
    """Return the target or operation that is charged if `case` is accepted; `None` if the case is free."""
    name = case.target or ""
    target = contract.targets.get(name) or contract.audio_input_targets.get(name)
    return target or (contract.operation(case.operation) if case.is_billable_operation else None)


def price_name(item: PricedItem) -> str:
    """Return the name by which the user gives a price: <provider>/<target or operation>."""
    return f"{item.contract.id}/{item.name if isinstance(item, BaseTarget) else item.id}"


def price_usd(item: PricedItem, prices: Mapping[str, float], characters: int, audio_s: float = 0.0) -> float | None:
    """Return the price of one request in dollars; `None` if it is unknown.

    Args:
        item: what is charged.
        prices: given by the user, in dollars per request by `price_name`; they replace those of the contract.
        characters: of the text.
        audio_s: duration of an upload in seconds; 0 without one.
    """
    return quote_price(item, characters, audio_s=audio_s or None, usd=prices.get(price_name(item))).usd


def case_price_usd(contract: Contract, case: ConformanceCase, prices: Mapping[str, float]) -> float | None:
    """Return what to reserve for the request of `case`, in dollars; `None` if nothing.

    A request that should be rejected is free. Its price is reserved all the same, because a faulty service may accept
    it, but need not be known.

    Raises:
        UsageError: the price of a request that may be accepted is unknown.
    """
    item = priced_item(contract, case)
    if item is None:
        return None
    if not case.is_billable:
        return price_usd(item, prices, case.text_characters, case.audio_s)
    return _highest_price([item], prices, case.text_characters, case.audio_s)


def step_price_usd(operation: Operation, request: RequestParts, prices: Mapping[str, float]) -> float | None:
    """Return the price of one request in the lifecycle of a resource, in dollars; `None` if it is free.

    The model that a saved voice speaks with is unknown, so the most expensive target of the operation counts.

    Raises:
        UsageError: the price is unknown.
    """
    if not is_billable(operation):
        return None
    return _highest_price(_items(operation), prices, text_characters(operation, request))


def require_use_prices(creator: Operation, prices: Mapping[str, float]) -> None:
    """Check that every use of a resource has a price, before it is created and would be left behind in the account.

    Raises:
        UsageError: the price of a use is unknown.
    """
    uses = creator.resource.uses if creator.resource is not None else ()
    for operation in (creator.contract.operation(use.operation) for use in uses):
        if is_billable(operation):
            _highest_price(_items(operation), prices, 0)


def _items(operation: Operation) -> Sequence[PricedItem]:
    return list(operation.targets) or [operation]


def _highest_price(
    items: Sequence[PricedItem], prices: Mapping[str, float], characters: int, audio_s: float = 0.0
) -> float:
    known = [usd for item in items if (usd := price_usd(item, prices, characters, audio_s)) is not None]
    if not known:
        name = price_name(items[0])
        raise UsageError(f"no document states the price of {name}: give it with --price {name}=USD")
    return max(known)
