"""Checks `x-source`, `x-advice` and prices."""

from __future__ import annotations

import re

from voicegauge.contract.consistency.locations import check_response_location
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.contract.document_walk import walk_objects
from voicegauge.contract.extension import CharacterCounting, PriceSpec, SourceReference
from voicegauge.contract.record_reader import convert_record
from voicegauge.formats import escape_pointer_token

_MISPLACED_COUNTING_REASON = "count belongs to the price itself: it applies to all of its parts and alternatives"
_SOURCE_DOCUMENT_POINTER_PATTERN = re.compile(r"/(x-source|source|disputed/\d+)$")


def check_sources(contract: Contract) -> None:
    """Check that every named source document is listed in `x-provider.sources`.

    Raises:
        ContractError: a document is not listed, or an `x-source` or `x-advice` is malformed.
    """
    document, sources = contract.document, contract.provider.sources
    for pointer, node in walk_objects(document.data):
        if "x-source" in node:
            convert_record(document, node["x-source"], f"{pointer}/x-source", SourceReference)
        if "x-advice" in node and not isinstance(node["x-advice"], dict):
            raise document.build_error(f"{pointer}/x-advice", "x-advice must be a mapping of JSON Schema keywords")
        named = node.get("document")
        if isinstance(named, str) and named not in sources and _SOURCE_DOCUMENT_POINTER_PATTERN.search(pointer):
            known = ", ".join(sources)
            raise document.build_error(f"{pointer}/document", f"{named!r} is not among x-provider.sources: {known}")


def check_price(contract: Contract, pointer: str, price: PriceSpec | None) -> None:
    """Check a price, its parts, and the alternatives that contradicting documents state. `None` is accepted.

    Raises:
        ContractError: neither the price nor an alternative has an amount, a part with tokens or compute seconds has no
            upper bound, or the price of a plan is higher than the price without a plan.
    """
    if price is None:
        return
    if all(
        reading.usd_per_unit is None and reading.credits_per_unit is None for reading in price.price_and_alternatives
    ):
        raise contract.document.build_error(pointer, "a price needs usd, credits or alternatives that have them")
    for index, reading in enumerate(price.alternatives):
        if reading.character_counting != CharacterCounting():
            raise contract.document.build_error(f"{pointer}/alternatives/{index}/count", _MISPLACED_COUNTING_REASON)
        _check_price_parts(contract, f"{pointer}/alternatives/{index}", reading)
    _check_price_parts(contract, pointer, price)


def check_usage_locations(target: BaseTarget) -> None:
    """Check that responses have a value at each location from which the price of a target reads tokens or seconds.

    Raises:
        ContractError: a location is not documented.
    """
    status = target.job_operation
    result = status.job.result_operation_id if status is not None and status.job is not None else None
    reporting = target.contract.find_operation(result) if result is not None else status or target.operation
    own = target.target_spec.pricing
    pointer = f"{target.pointer}/pricing" if own is not None else f"{target.operation.pointer}/x-pricing"
    price = own or target.operation.pricing
    for index, price_part in enumerate(price.parts if price is not None else ()):
        if price_part.usage is not None:
            at = f"{pointer}/plus/{index - 1}" if index else pointer
            check_response_location(reporting, f"{at}/usage/reported", price_part.usage.reported_usage_location)


def _check_price_parts(contract: Contract, pointer: str, price: PriceSpec) -> None:
    _check_price_part(contract, pointer, price)
    for index, price_part in enumerate(price.added_parts):
        at = f"{pointer}/plus/{index}"
        if price_part.character_counting != CharacterCounting():
            raise contract.document.build_error(f"{at}/count", _MISPLACED_COUNTING_REASON)
        if price_part.added_parts or price_part.alternatives:
            raise contract.document.build_error(at, "a part of a price has neither plus nor alternatives of its own")
        if (price_part.usd_per_unit is None, price_part.credits_per_unit is None) != (
            price.usd_per_unit is None,
            price.credits_per_unit is None,
        ):
            raise contract.document.build_error(
                at, "all parts of a price have the same currencies: usd, credits or both"
            )
        _check_price_part(contract, at, price_part)


def _check_price_part(contract: Contract, pointer: str, price_part: PriceSpec) -> None:
    document, usage = contract.document, price_part.usage
    if price_part.unit in ("1m_tokens", "compute_second") and usage is None:
        reason = f"a price per {price_part.unit} needs usage, with an upper bound that is reserved before the request"
        raise document.build_error(pointer, reason)
    if usage is not None:
        if price_part.unit in ("request", "1k_characters", "1m_characters"):
            raise document.build_error(
                f"{pointer}/usage", f"a price per {price_part.unit} has no usage: the text determines it"
            )
        if not usage.max_per_request and not usage.max_per_character:
            reason = "usage needs max_per_request or max_per_character, which are reserved before the request"
            raise document.build_error(f"{pointer}/usage", reason)
    if price_part.unit == "request" and (price_part.rounding_step is not None or price_part.min_charged_quantity):
        raise document.build_error(pointer, "a price per request has neither step nor minimum: its unit is the request")
    for name in price_part.plan_prices:
        _check_plan(contract, f"{pointer}/plans/{escape_pointer_token(name)}", name, price_part)


def _check_plan(contract: Contract, pointer: str, plan_name: str, price_part: PriceSpec) -> None:
    document, plan = contract.document, price_part.plan_prices[plan_name]
    limits = (contract.limits, *(operation.limits for operation in contract.operations.values()))
    plans = dict.fromkeys(plan_name for one in limits for plan_name in one.plan_limits)
    if plan_name not in plans:
        raise document.build_error(
            pointer, f"{plan_name!r} is not a plan in x-limits.plans; known: {', '.join(plans) or 'none'}"
        )
    if not plan.allows_extra_units and plan.included_units_per_month is None:
        raise document.build_error(f"{pointer}/overage", "a plan without overage needs included, the units of a month")
    for currency in ("usd", "credits"):
        amount, highest = plan.get_by_key(currency), price_part.get_by_key(currency)
        if (amount is None) != (highest is None):
            raise document.build_error(pointer, f"the price of a plan has the same currencies as the price: {currency}")
        if amount is not None and amount > highest:
            reason = f"{currency} {amount:g} is more than {highest:g}, the price that counts without a named plan"
            raise document.build_error(pointer, reason)
