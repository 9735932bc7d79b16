"""Computes the prices of single requests. The client computes and reserves the prices of deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voicegauge.client import RequestParts
from voicegauge.conformance.cases import ConformanceCase, count_charged_characters
from voicegauge.contract import BaseTarget, Contract, Operation, is_billable, quote_price
from voicegauge.errors import UsageError

PricedItem = BaseTarget | Operation
"""A target that has a price, or an operation that has a price of its own."""


def find_priced_item(contract: Contract, case: ConformanceCase) -> PricedItem | None:
    """Return the target or operation that is charged if `case` is accepted; `None` if the case is free."""
    name = case.target_name or ""
    target = contract.targets.get(name) or contract.audio_input_targets.get(name)
    return target or (contract.find_operation(case.operation) if case.calls_billable_operation else None)


def build_price_name(priced_item: PricedItem) -> str:
    """Return the name under which a user sets the price of a target or operation: <provider>/<target or operation>."""
    return f"{priced_item.contract.id}/{priced_item.name if isinstance(priced_item, BaseTarget) else priced_item.id}"


def compute_price_usd(
    priced_item: PricedItem, price_usd_by_name: Mapping[str, float], character_count: int, audio_duration_s: float = 0.0
) -> float | None:
    """Return the price of one request in dollars; `None` if it is unknown.

    Args:
        priced_item: the target or operation that is charged.
        price_usd_by_name: prices that the user gave, in dollars per request, by the name that `build_price_name`
            returns. They replace prices in the contract.
        character_count: number of characters in the text.
        audio_duration_s: duration of the uploaded audio in seconds; 0 if none is uploaded.
    """
    return quote_price(
        priced_item,
        character_count,
        audio_s=audio_duration_s or None,
        user_price_usd=price_usd_by_name.get(build_price_name(priced_item)),
    ).price_usd


def compute_case_price_usd(
    contract: Contract, case: ConformanceCase, price_usd_by_name: Mapping[str, float]
) -> float | None:
    """Return the dollars to reserve for the request of `case`; `None` if nothing must be reserved.

    A request that should be rejected is free. If its price is known, it is reserved nevertheless, because a faulty
    service may accept the request.

    Raises:
        UsageError: the price of a request that may be accepted is unknown.
    """
    item = find_priced_item(contract, case)
    if item is None:
        return None
    if not case.is_billable:
        return compute_price_usd(item, price_usd_by_name, case.text_character_count, case.audio_duration_s)
    return _compute_highest_price_usd([item], price_usd_by_name, case.text_character_count, case.audio_duration_s)


def compute_lifecycle_step_price_usd(
    operation: Operation, request: RequestParts, price_usd_by_name: Mapping[str, float]
) -> float | None:
    """Return the price of one request in the lifecycle of a resource, in dollars; `None` if it is free.

    The model that a saved voice uses is unknown, so the price is that of the most expensive target of the operation.

    Raises:
        UsageError: the price is unknown.
    """
    if not is_billable(operation):
        return None
    return _compute_highest_price_usd(
        _list_priced_items(operation), price_usd_by_name, count_charged_characters(operation, request)
    )


def require_resource_use_prices(creating_operation: Operation, price_usd_by_name: Mapping[str, float]) -> None:
    """Require that every request that uses a created resource has a known price.

    Call this before the resource is created. A lifecycle with an unknown price would have to stop before the deletion.

    Raises:
        UsageError: the price of a use is unknown.
    """
    uses = creating_operation.resource.uses if creating_operation.resource is not None else ()
    for operation in (creating_operation.contract.find_operation(use.operation_id) for use in uses):
        if is_billable(operation):
            _compute_highest_price_usd(_list_priced_items(operation), price_usd_by_name, 0)


def _list_priced_items(operation: Operation) -> Sequence[PricedItem]:
    return list(operation.targets) or [operation]


def _compute_highest_price_usd(
    priced_items: Sequence[PricedItem],
    price_usd_by_name: Mapping[str, float],
    character_count: int,
    audio_duration_s: float = 0.0,
) -> float:
    known = [
        usd
        for item in priced_items
        if (usd := compute_price_usd(item, price_usd_by_name, character_count, audio_duration_s)) is not None
    ]
    if not known:
        name = build_price_name(priced_items[0])
        contract = priced_items[0].contract
        rate = f", or that of a credit with --credit-rate {contract.id}=USD" if contract.provider.credits else ""
        raise UsageError(f"no document states the price of {name} in dollars: give it with --price {name}=USD{rate}")
    return max(known)
