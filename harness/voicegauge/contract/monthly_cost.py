"""Computes what a month costs with each plan of an account."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, NamedTuple

from msgspec.structs import replace

from voicegauge.contract.contract import BaseTarget, SocketTarget, Target
from voicegauge.contract.extension.pricing import UNITS_COUNTED_FROM_TEXT, PriceSpec
from voicegauge.contract.price_computation import (
    PricedClaim,
    count_units,
    get_unit_size,
    has_typical_usage,
    list_priced_claims,
    round_up_units,
)
from voicegauge.model.price import PriceRange, compute_price_range, find_best_claim

_CENT_USD = Decimal("0.01")
_EXACT_USD_DECIMALS = 9
"""Number of decimals to which a computed amount in dollars is exact in spite of binary floating point."""


UsageBasis = Literal["exact", "estimated_duration", "typical", "upper_bound"]
"""How the number of charged units is known: exactly, from an estimated duration of the audio, as a typical number, or
only as a documented upper bound."""
_USAGE_BASES_FROM_BEST_TO_WORST: tuple[UsageBasis, ...] = ("exact", "estimated_duration", "typical", "upper_bound")
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
    target: Target | SocketTarget, texts: Sequence[str], repetitions_per_month: float, plan_names: Collection[str] = ()
) -> tuple[RequestGroup, ...]:
    """Return the requests with which texts are spoken.

    A text that is longer than the documented limit of a request takes several. A recommended length is not a limit.

    Args:
        target: the requested target.
        texts: texts to speak; empty ones are left out.
        repetitions_per_month: number of times that each text is spoken in a month.
        plan_names: names of the account plans whose limits apply.
    """
    # The text of a turn may be sent in any number of messages.
    limit = target.find_text_limit(plan_names) if isinstance(target, Target) else None
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
    price: PriceRange
    """The fee and the price of all units beyond the included ones, rounded to the cent, by each claim; without amounts
    if no price is known in dollars, or if the plan does not allow as much."""
    total_credits: float | None
    """Number of credits that all requests use; `None` if the price has none."""
    exceeds_plan: bool
    """Whether the requests need more units than the plan includes, although no more can be bought."""
    usage_basis: UsageBasis
    """How certain the number of charged units is."""

    @property
    def total_usd(self) -> float | None:
        """The bill by the claim that counts; `None` if no claim that binds the provider has an amount in dollars."""
        return self.price.usd


def round_to_cents(amount_usd: float) -> float:
    """Round an amount to whole cents as invoices do: half a cent is rounded up."""
    return float(Decimal(repr(round(amount_usd, _EXACT_USD_DECIMALS))).quantize(_CENT_USD, ROUND_HALF_UP))


def compute_bill_without_plan(target: BaseTarget, request_groups: Sequence[RequestGroup]) -> MonthlyBill | None:
    """Return the bill of a month by the price itself, without any account plan; `None` if no price is documented."""
    claims = list_priced_claims(target)
    return _build_bill(claims, request_groups, None) if claims else None


def compute_monthly_bills(target: BaseTarget, request_groups: Sequence[RequestGroup]) -> tuple[MonthlyBill, ...]:
    """Return the bill of a month for each account plan of the price, or a single one without plans.

    If the contract was loaded with account plans, and the price has one of them, it is the only one.

    Args:
        target: the requested target.
        request_groups: the requests of the month.

    Returns:
        The bills in the order in which the contract lists the plans; empty if no price is documented.
    """
    claims = list_priced_claims(target)
    if not claims:
        return ()
    best = find_best_claim([one.claim for one in claims])
    # Plans that only a third party states do not change the price that the provider states.
    with_plans = [one for one in claims if best is None or one.claim is best]
    names = list(dict.fromkeys(name for one in with_plans for part in one.price.parts for name in part.plan_prices))
    own_plans = [name for name in names if name in target.contract.account_plans]
    plan_names: list[str | None] = [*(own_plans or names)] or [None]
    return tuple(_build_bill(claims, request_groups, name) for name in plan_names)


def _build_bill(
    claims: Sequence[PricedClaim], request_groups: Sequence[RequestGroup], plan_name: str | None
) -> MonthlyBill:
    """Return the bill by the claim that counts, with the range of the others. Claims without the plan do not count."""
    claims = [_mark_exact_if_usage_known(one, request_groups) for one in claims]
    is_of_plan = [plan_name is None or any(plan_name in part.plan_prices for part in one.price.parts) for one in claims]
    with_plan = [one for one, is_chosen in zip(claims, is_of_plan, strict=True) if is_chosen] or list(claims)
    bills = {
        (id(one.claim), takes_maximum): compute_monthly_bill(
            one.price, request_groups, plan_name, one.credit_usd, takes_maximum=takes_maximum
        )
        for one in with_plan
        for takes_maximum in (False, True)
    }
    by_claim = [bills[id(one.claim), False] for one in with_plan]
    price = compute_price_range(
        [one.claim for one in with_plan], lambda claim, takes_maximum: bills[id(claim), takes_maximum].total_usd
    )
    best = find_best_claim(
        [one.claim for one in with_plan], lambda claim: bills[id(claim), False].total_usd is not None
    )
    chosen = by_claim[0] if best is None else bills[id(best), False]
    credits = [bill.total_credits for bill in by_claim if bill.total_credits is not None]
    return chosen._replace(
        price=price,
        total_credits=chosen.total_credits if chosen.total_credits is not None else next(iter(credits), None),
        fee_usd=next((bill.fee_usd for bill in (chosen, *by_claim) if bill.fee_usd is not None), None),
        exceeds_plan=all(bill.exceeds_plan for bill in by_claim),
    )


def _mark_exact_if_usage_known(priced_claim: PricedClaim, request_groups: Sequence[RequestGroup]) -> PricedClaim:
    """Return the claim, marked as exact if the requests state how many tokens or seconds they use."""
    parts = [part for part in priced_claim.price.parts if part.usage is not None]
    known = all(_determine_usage_basis(part, group) == "exact" for part in parts for group in request_groups)
    if not parts or not known:
        return priced_claim
    return priced_claim._replace(claim=replace(priced_claim.claim, exactness="exact"))


def compute_monthly_bill(
    price: PriceSpec,
    request_groups: Sequence[RequestGroup],
    plan_name: str | None = None,
    credit_usd: float | None = None,
    *,
    takes_maximum: bool = False,
) -> MonthlyBill:
    """Return the bill of a month by the price itself, without its disputed alternatives.

    Args:
        price: the price, or one of the alternatives to it. Its own alternatives are ignored.
        request_groups: the requests of the month.
        plan_name: name of the account plan. Parts of the price that have no price for this plan have the usual price.
        credit_usd: price of one credit in dollars; `None` if it is unknown.
        takes_maximum: whether the highest usage counts instead of the typical one, where it is not known.
    """
    fees: list[float] = []
    dollars: list[float | None] = []
    credits: list[float | None] = []
    exceeds_plan = False
    for price_part in price.parts:
        units = math.fsum(
            request_group.request_count
            * _count_units_per_request(price_part, request_group, takes_maximum=takes_maximum)
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
    total_usd = round_to_cents(math.fsum([*fees, *known_usd])) if is_known else None
    return MonthlyBill(
        plan_name=plan_name,
        fee_usd=math.fsum(fees) if fees else None,
        price=PriceRange(usd=total_usd, low_usd=total_usd, high_usd=total_usd),
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
    )


def _count_units_per_request(price_part: PriceSpec, request_group: RequestGroup, *, takes_maximum: bool) -> float:
    """Return the number of units that one request of the group is charged for."""
    used = request_group.usage_per_request.get(price_part.part_label or "") if price_part.usage is not None else None
    if used is not None:
        return round_up_units(price_part, used) / get_unit_size(price_part)
    return count_units(
        price_part, request_group.characters_per_request, request_group.audio_s_per_request, takes_maximum=takes_maximum
    )


def _determine_usage_basis(price_part: PriceSpec, request_group: RequestGroup) -> UsageBasis:
    if price_part.unit in UNITS_COUNTED_FROM_TEXT:
        return "exact"
    if price_part.unit in ("second", "minute") and request_group.audio_s_per_request is not None:
        return "exact"
    if price_part.usage is None:
        return "estimated_duration"
    if (price_part.part_label or "") in request_group.usage_per_request:
        return "exact"
    return "typical" if has_typical_usage(price_part.usage) else "upper_bound"
