"""Computes what a month costs with each plan of an account."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, NamedTuple

from voicegauge.contract.contract import BaseTarget, Target
from voicegauge.contract.extension.pricing import UNITS_COUNTED_FROM_TEXT, PriceSpec
from voicegauge.contract.pricing import count_units, get_unit_size, round_up_quantity

_CENT_USD = Decimal("0.01")
_EXACT_USD_DECIMALS = 9
"""Number of decimals to which a computed amount in dollars is exact in spite of binary floating point."""


UsageBasis = Literal["exact", "estimated_duration", "upper_bound"]
"""How the number of charged units is known: exactly, from an estimated duration of the audio, or only as a documented
upper bound."""
_USAGE_BASES_FROM_BEST_TO_WORST: tuple[UsageBasis, ...] = ("exact", "estimated_duration", "upper_bound")
"""All values of `UsageBasis`, the most certain one first."""


class RequestGroup(NamedTuple):
    """Requests of a month that are charged the same."""

    request_count: float
    """Number of requests. It has a fraction if texts are repeated until a number of characters is reached."""
    characters_per_request: int
    """Number of characters in the text of each request, as the provider counts them."""
    audio_s_per_request: float | None = None
    """Duration of the audio of each request, in seconds; `None` estimates it from the number of characters."""
    usage_per_request: Mapping[str, float] = {}
    """Number of tokens or compute seconds that each request uses, by the label of the part of the price ("" without a
    label); for parts that are missing, the documented upper bound counts."""


def build_request_groups(
    target: Target, texts: Sequence[str], repetitions_per_month: float, plan_names: Collection[str] = ()
) -> tuple[RequestGroup, ...]:
    """Return the requests with which texts are spoken.

    A text that is longer than the documented limit of a request takes several. A recommended length is not a limit.

    Args:
        target: the requested target.
        texts: texts to speak; empty ones are left out.
        repetitions_per_month: number of times that each text is spoken in a month.
        plan_names: names of the account plans whose limits apply.
    """
    limit = target.find_text_limit(plan_names)
    return tuple(
        RequestGroup(repetitions_per_month, target.count_charged_characters(text[start : start + (limit or len(text))]))
        for text in texts
        if text
        for start in range(0, len(text), limit or len(text))
    )


class MonthlyBill(NamedTuple):
    """What an account is charged for a month."""

    plan_name: str | None
    """Name of the account plan; `None` if the price has no plans."""
    fee_usd: float | None
    """Fee of the plan; `None` if there is no plan, or no document states the fee."""
    total_usd: float | None
    """The fee and the price of all units beyond the included ones, rounded to the cent; `None` if the price is not
    known in dollars, or if the plan does not allow as much."""
    total_credits: float | None
    """Number of credits that all requests use; `None` if the price has none."""
    exceeds_plan: bool
    """Whether the requests need more units than the plan includes, although no more can be bought."""
    usage_basis: UsageBasis
    """How the number of units is known."""
    is_disputed: bool
    """Whether documents contradict each other about the price. If the price has no amount, its highest alternative
    counts."""


def round_to_cents(amount_usd: float) -> float:
    """Round an amount to whole cents as invoices do: half a cent is rounded up."""
    return float(Decimal(repr(round(amount_usd, _EXACT_USD_DECIMALS))).quantize(_CENT_USD, ROUND_HALF_UP))


def compute_monthly_bills(target: BaseTarget, request_groups: Sequence[RequestGroup]) -> tuple[MonthlyBill, ...]:
    """Return the bill of a month for each account plan of the price, or a single one without plans.

    If the contract was loaded with account plans, and the price has one of them, it is the only one.

    Args:
        target: the requested target.
        request_groups: the requests of the month.

    Returns:
        The bills in the order in which the contract lists the plans; empty if no price is documented.
    """
    price = target.pricing
    if price is None:
        return ()
    currency = target.contract.provider.credits
    credit_usd = currency.usd_per_credit if currency else None
    own_plans = [name for name in price.plan_names if name in target.contract.account_plans]
    plan_names: list[str | None] = [*(own_plans or price.plan_names)] or [None]
    return tuple(_choose_bill_by_price_or_alternative(price, request_groups, name, credit_usd) for name in plan_names)


def _choose_bill_by_price_or_alternative(
    price: PriceSpec, request_groups: Sequence[RequestGroup], plan_name: str | None, credit_usd: float | None
) -> MonthlyBill:
    """Return the bill by the price itself if its dollar amount is known, else the highest bill by an alternative."""
    stated, *others = (
        compute_monthly_bill(reading, request_groups, plan_name, credit_usd) for reading in price.price_and_alternatives
    )
    known = [bill for bill in others if bill.total_usd is not None or bill.exceeds_plan]
    chosen = stated
    if stated.total_usd is None and not stated.exceeds_plan and known:
        chosen = max(known, key=lambda bill: math.inf if bill.total_usd is None else bill.total_usd)
    credits = stated.total_credits if stated.total_credits is not None else chosen.total_credits
    with_amount = sum(bill.total_usd is not None or bill.total_credits is not None for bill in (stated, *others))
    return chosen._replace(total_credits=credits, is_disputed=with_amount > 1)


def compute_monthly_bill(
    price: PriceSpec,
    request_groups: Sequence[RequestGroup],
    plan_name: str | None = None,
    credit_usd: float | None = None,
) -> MonthlyBill:
    """Return the bill of a month by the price itself, without its disputed alternatives.

    Args:
        price: the price, or one of the alternatives to it. Its own alternatives are ignored.
        request_groups: the requests of the month.
        plan_name: name of the account plan. Parts of the price that have no price for this plan have the usual price.
        credit_usd: price of one credit in dollars; `None` if it is unknown.
    """
    fees: list[float] = []
    dollars: list[float | None] = []
    credits: list[float | None] = []
    exceeds_plan = False
    for price_part in price.parts:
        units = math.fsum(
            request_group.request_count * _count_units_per_request(price_part, request_group)
            for request_group in request_groups
        )
        plan = price_part.plan_prices.get(plan_name) if plan_name is not None else None
        unit_usd, unit_credits = (
            (price_part.usd_per_unit, price_part.credits_per_unit)
            if plan is None
            else (plan.usd_per_unit, plan.credits_per_unit)
        )
        credits.append(None if unit_credits is None else unit_credits * units)
        if unit_usd is None and unit_credits is not None:
            unit_usd = 0.0 if unit_credits == 0 else None if credit_usd is None else unit_credits * credit_usd
        if (
            plan is not None
            and plan.included_units_per_month is not None
            and (plan.monthly_fee_usd is not None or not plan.allows_extra_units)
        ):
            # Without a documented fee, included units would seem to be free, so they are charged.
            units = max(0.0, units - plan.included_units_per_month)
            exceeds_plan |= not plan.allows_extra_units and units > 0
        if plan is not None and plan.monthly_fee_usd is not None:
            fees.append(plan.monthly_fee_usd)
        dollars.append(None if unit_usd is None else unit_usd * units)
    known_usd = [usd for usd in dollars if usd is not None]
    known_credits = [amount for amount in credits if amount is not None]
    is_known = len(known_usd) == len(dollars) and not exceeds_plan
    return MonthlyBill(
        plan_name=plan_name,
        fee_usd=math.fsum(fees) if fees else None,
        total_usd=round_to_cents(math.fsum([*fees, *known_usd])) if is_known else None,
        total_credits=math.fsum(known_credits) if len(known_credits) == len(credits) else None,
        exceeds_plan=exceeds_plan,
        usage_basis=max(
            (
                _determine_usage_basis(price_part, request_group)
                for price_part in price.parts
                for request_group in request_groups
            ),
            key=_USAGE_BASES_FROM_BEST_TO_WORST.index,
        ),
        is_disputed=False,
    )


def _count_units_per_request(price_part: PriceSpec, request_group: RequestGroup) -> float:
    """Return the number of units that one request of the group is charged for."""
    used = request_group.usage_per_request.get(price_part.part_label or "") if price_part.usage is not None else None
    if used is not None:
        return round_up_quantity(price_part, used) / get_unit_size(price_part)
    return count_units(price_part, request_group.characters_per_request, request_group.audio_s_per_request)


def _determine_usage_basis(price_part: PriceSpec, request_group: RequestGroup) -> UsageBasis:
    if price_part.unit in UNITS_COUNTED_FROM_TEXT:
        return "exact"
    if price_part.unit in ("second", "minute") and request_group.audio_s_per_request is not None:
        return "exact"
    if price_part.usage is None:
        return "estimated_duration"
    return "exact" if (price_part.part_label or "") in request_group.usage_per_request else "upper_bound"
