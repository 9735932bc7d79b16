"""Computes and describes prices: of requests, before and after them, and of a month with each plan of an account."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, NamedTuple

import msgspec

from voicegauge.contract.contract import BaseTarget, SocketTarget, Target
from voicegauge.contract.extension.pricing import (
    CostInUsdAndCredits,
    PriceSpec,
    UsageSpec,
    build_price_claim,
    compute_cost_of_units,
    sum_if_known,
)
from voicegauge.contract.operation import Operation
from voicegauge.errors import UsageError
from voicegauge.model.price import (
    BINDING_CLAIMANTS,
    COUNTED_CLAIMANTS,
    EXACT_AMOUNT_TOLERANCE,
    Claimant,
    PriceClaim,
    PriceRange,
    compute_price_range,
    find_best_claim,
    format_price_usd,
)

MAX_CREDIT_USD = 1_000
"""Highest price of one credit in dollars that the user may set, so that a mistyped number is noticed."""

ROUNDED_AMOUNT_TOLERANCE = 0.01
"""Largest relative difference that is taken for rounding. A larger difference is another price."""


def is_rounded_amount(charged_amount: float, documented_amount: float) -> bool:
    """Whether a charge is the documented amount, or that amount rounded to the number of decimals of the charge.

    104.2847 credits may be reported as 104.285, 104.28 or 104 credits, but not as 104.29.
    """
    difference = abs(charged_amount - documented_amount)
    if difference <= EXACT_AMOUNT_TOLERANCE * max(abs(charged_amount), abs(documented_amount)):
        return True
    # `repr` gives the shortest digits of the float, which are those of the response; without trailing zeros. Whole
    # numbers are not taken for tens or hundreds (`min` with 0).
    last_digit = 10.0 ** min(int(Decimal(repr(charged_amount)).normalize().as_tuple().exponent), 0)
    return difference <= min(
        last_digit / 2 * (1 + EXACT_AMOUNT_TOLERANCE), ROUNDED_AMOUNT_TOLERANCE * abs(documented_amount)
    )


class PriceQuote(NamedTuple):
    """The price of one request."""

    price_usd: float | None
    """The price in dollars by the newest claim that binds the provider, with typical usage, or as the user states it;
    `None` if there is neither."""
    price_credits: float | None
    """The same price in the provider's credits; `None` if no document states a price in credits."""
    reserved_usd: float | None
    """The highest price in dollars that a claim leads to, with the highest usage: what a budget reserves. `None` if
    nobody states a price in dollars."""


def parse_price_override(text: str) -> tuple[str, float]:
    """Parse a price per request in dollars that the user sets for a target: "acme/voice-1=0.02".

    Raises:
        UsageError: the text does not have that form, or the amount is not a valid number.
    """
    return _parse_named_amount(text, "NAME=USD, such as acme=0 or acme/voice-1=0.02")


def parse_credit_price(text: str) -> tuple[str, float]:
    """Parse the price of one credit in dollars that the user sets for a provider: "acme=0.001".

    Raises:
        UsageError: the text does not have that form, or the amount is not a valid price of a credit.
    """
    provider_id, credit_usd = _parse_named_amount(text, "PROVIDER=USD, such as acme=0.001")
    check_credit_price(provider_id, credit_usd)
    return provider_id, credit_usd


def check_credit_price(provider_id: str, credit_usd: float) -> None:
    """Check the price of one credit in dollars that the user sets for a provider.

    Raises:
        UsageError: it is not a number from 0 to `MAX_CREDIT_USD`.
    """
    if not isinstance(credit_usd, int | float) or not 0 <= credit_usd <= MAX_CREDIT_USD:
        raise UsageError(f"price of a credit of {provider_id}: is not from 0 to {format_price_usd(MAX_CREDIT_USD)}")


def _parse_named_amount(text: str, expected_form: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    try:
        usd = float(amount)
    except ValueError:
        usd = math.nan
    if not name or not 0 <= usd < math.inf:
        raise UsageError(f"{text!r}: write {expected_form}")
    return name, usd


def quote_turn_price(
    target: BaseTarget, character_count: int, *, user_usd_per_request: float | None, interrupts: bool
) -> PriceQuote:
    """Return the price of a turn over a WebSocket, and of an interrupted one with the same text before it.

    Args:
        target: the target; `interrupts` has no effect on one that cannot be interrupted.
        character_count: number of characters of the text that are charged.
        user_usd_per_request: the user's own price of a turn in dollars; `None` for the contract's.
        interrupts: whether an interrupted turn precedes, which is charged as if it were spoken.
    """
    quote = quote_price(target, character_count, user_usd_per_request=user_usd_per_request)
    if not interrupts or not isinstance(target, SocketTarget) or not target.can_be_interrupted:
        return quote
    # The interrupted turn has the same text, and how much of it a provider charges is not documented anywhere: all of
    # it counts.
    return PriceQuote(*(None if value is None else 2 * value for value in quote))


@functools.lru_cache(maxsize=64)  # few, since each entry keeps a target and its contract in memory
def quote_price(
    target: BaseTarget | Operation,
    character_count: int,
    *,
    audio_s: float | None = None,
    user_usd_per_request: float | None = None,
) -> PriceQuote:
    """Return the price of one request.

    Args:
        target: the target or the operation that is requested.
        character_count: number of characters in the text, as `Target.count_charged_characters` counts them; 0 for audio
            input.
        audio_s: duration of the audio in seconds; `None` estimates it from the number of characters.
        user_usd_per_request: dollars per request that the user set instead of the contract; `None` if not set.
    """
    claims = list_priced_claims(target)
    # By identity: two documents may claim the same, and are two claims.
    typical, highest = (
        {id(one): one.compute_cost(character_count, audio_s, takes_maximum=takes_maximum) for one in claims}
        for takes_maximum in (False, True)
    )
    credits = [cost.credits for cost in typical.values() if cost.credits is not None]
    best_credits = _find_newest_binding_claim(claims, lambda one: typical[id(one)].credits is not None)
    price_credits = typical[id(best_credits)].credits if best_credits is not None else max(credits, default=None)
    if user_usd_per_request is not None:
        return PriceQuote(user_usd_per_request, price_credits, user_usd_per_request)
    best = _find_newest_binding_claim(claims, lambda one: typical[id(one)].usd is not None)
    reserved = [cost.usd for costs in (typical, highest) for cost in costs.values() if cost.usd is not None]
    return PriceQuote(typical[id(best)].usd if best is not None else None, price_credits, max(reserved, default=None))


class PricedClaim(NamedTuple):
    """One claim about the price of a target: the price as the contract has it, and the claim as runs save it."""

    price: PriceSpec
    """The price of the contract, or one of its alternatives."""
    claim: PriceClaim
    credit_usd: float | None
    """Price of one credit in dollars; `None` if it is unknown."""

    @property
    def states_usd(self) -> bool:
        """Whether the price is known in dollars."""
        return self.compute_cost(1).usd is not None

    def compute_cost(
        self, character_count: int, audio_s: float | None = None, *, takes_maximum: bool = False
    ) -> CostInUsdAndCredits:
        """Return what a request costs; the most if `takes_maximum`. If `audio_s` is `None`, it is estimated."""
        return self.price.compute_cost(
            self.credit_usd, lambda part: part.count_units(character_count, audio_s, takes_maximum=takes_maximum)
        )


def list_priced_claims(target: BaseTarget | Operation) -> list[PricedClaim]:
    """Return the claims about the price of a target that count, in the order of the contract."""
    return [one for one in list_all_claims(target) if one.claim.claimant in COUNTED_CLAIMANTS]


def list_all_claims(target: BaseTarget | Operation, plan_names: Collection[str] = ()) -> list[PricedClaim]:
    """Return every claim about the price of a target, also those of resellers and about other models.

    Args:
        target: the target or the operation that is requested.
        plan_names: names of account plans; without them, the plans with which the contract was loaded count.
    """
    if target.pricing is None:
        return []
    price, contract = target.pricing.select_plan(plan_names), target.contract
    credit_usd = contract.provider.credit_usd
    return [
        PricedClaim(
            one,
            build_price_claim(one, contract.provider.sources, credit_usd, price.character_counting),
            credit_usd,
        )
        for one in price.price_and_alternatives
        if one.states_any_amount
    ]


def _find_newest_binding_claim(
    claims: Sequence[PricedClaim], has_amount: Callable[[PricedClaim], bool]
) -> PricedClaim | None:
    """Return the newest claim with an amount that binds the provider; `None` if there is none."""
    usable = {id(one.claim): one for one in claims if has_amount(one)}
    best = find_best_claim([one.claim for one in usable.values()], lambda _: True)
    return None if best is None else usable[id(best)]


def compute_reported_cost(
    target: BaseTarget, character_count: int | None, read_usage: Callable[[UsageSpec], float | None]
) -> PriceQuote | None:
    """Return the cost of the usage that a response reports; `None` if the reported usage does not determine the cost.

    Args:
        target: the requested target.
        character_count: number of characters in the text; `None` if it is not known any more.
        read_usage: function that returns the reported number of tokens or seconds, `None` if none is reported.
    """
    price = target.pricing
    if price is None or not price.reports_usage:
        return None
    counts: dict[int, float] = {}
    for price_part in price.parts:
        reported = read_usage(price_part.usage) if price_part.usage is not None else None
        if reported is not None:
            counts[id(price_part)] = price_part.convert_to_charged_units(reported)
        elif price_part.unit == "request":
            counts[id(price_part)] = 1.0
        elif price_part.depends_only_on_text and character_count is not None:
            counts[id(price_part)] = price_part.count_units(character_count)
        else:
            return None
    cost = price.compute_cost(target.contract.provider.credit_usd, lambda price_part: counts[id(price_part)])
    return PriceQuote(cost.usd, cost.credits, cost.usd)


_LABEL_BY_CLAIMANT: dict[Claimant, str] = {
    "price_page": "",
    "quoted_price_page": "quoted",
    "provider_text": "",
    "third_party": "third party",
    "reseller": "reseller, not counted",
    "other_model": "another model, not counted",
}
"""The words that stand beside a claim about a price, by who makes the claim."""


def describe_price(target: BaseTarget | Operation, plan_names: Collection[str] = ()) -> str:
    """Return the price as text, with who states it: "$0.08 / 1,000 characters (quoted)".

    The claim that counts comes first. If no claim counts, for example because only third parties state a price, all
    claims are in parentheses.

    Args:
        target: the target or the operation that is requested.
        plan_names: names of account plans; without them, the plans with which the contract was loaded count.
    """
    claims = list_all_claims(target, plan_names)
    if not claims:
        return "not documented"
    currency = target.contract.provider.credits
    credits_name = currency.name if currency else "credits"
    binding = [one for one in claims if one.claim.claimant in BINDING_CLAIMANTS]
    first = _find_newest_binding_claim(claims, lambda one: one.states_usd) or _find_newest_binding_claim(
        claims, lambda _: True
    )
    first = first or next(iter(binding), None)
    texts = [] if first is None else [_describe_claim(first, credits_name, is_first=True)]
    others = [text for one in claims if one is not first and (text := _describe_claim(one, credits_name))]
    text = "; ".join(dict.fromkeys([*texts, *others]))
    if first is None:
        text = f"({text})"
    has_cheaper_plan = any(
        (plan.usd_per_unit, plan.credits_per_unit) != (price_part.usd_per_unit, price_part.credits_per_unit)
        for one in claims
        for price_part in one.price.parts
        for plan in price_part.plan_prices.values()
        if not plan.is_free_quota
    )
    return f"{text} (at most; depends on --plan)" if has_cheaper_plan else text


def _describe_claim(priced_claim: PricedClaim, credits_name: str, *, is_first: bool = False) -> str:
    """Return a claim as text: "$0.08 / 1,000 characters (quoted)", or "third party: $0.10 / 1,000 characters"."""
    price, claim = priced_claim.price, priced_claim.claim
    dollars = _format_amounts(price, lambda one: one.usd_per_unit, lambda usd: format_price_usd(usd, is_exact=True))
    credits = _format_amounts(price, lambda one: one.credits_per_unit, lambda amount: f"{amount:,.12g} {credits_name}")
    amounts = ", ".join(filter(None, (dollars, credits)))
    label = _LABEL_BY_CLAIMANT[claim.claimant]
    if claim.exactness == "upper_bound" and price.exactness == "upper_bound":
        amounts = f"at most {amounts}"
    if is_first:
        return f"{amounts} ({label})" if label else amounts
    return f"{label or 'disputed'}: {amounts}" if amounts else ""


def list_price_sources(target: BaseTarget) -> tuple[str, ...]:
    """Return the titles, dates and addresses of the documents that state the price, without duplicates."""
    return tuple(
        dict.fromkeys(
            ", ".join(filter(None, (one.claim.title, one.claim.date, one.claim.url)))
            for one in list_all_claims(target)
            if one.claim.title
        )
    )


def _format_amounts(
    price: PriceSpec, get_amount: Callable[[PriceSpec], float | None], format_amount: Callable[[float], str]
) -> str:
    """Format the amounts of one currency, such as "$0.60 / 1,000,000 tokens"; "" if there are none."""
    amounts = [amount for price_part in price.parts if (amount := get_amount(price_part)) is not None]
    if len(amounts) < len(price.parts):
        return ""
    return " + ".join(
        f"{format_amount(amount)} / {price_part.unit_label}"
        for amount, price_part in zip(amounts, price.parts, strict=True)
    )


def is_billable(operation: Operation) -> bool:
    """Whether accepted requests cost money: those for speech, those with a price above zero, and jobs without a price.

    A job without audio is work that the service does, such as the transcription of a long recording: without a document
    that says so, it is not free, unless users run the server themselves.
    """
    starts_unpriced_job = operation.submit is not None and operation.pricing is None
    if operation.speech is not None or (starts_unpriced_job and operation.contract.provider.self_hosted is None):
        return True
    prices = [operation.pricing, *(target.pricing for target in operation.targets)]
    return any(
        bool(price_part.usd_per_unit or price_part.credits_per_unit or price_part.alternatives)
        for price in prices
        if price
        for price_part in price.parts
    )


# Computes what a month costs with each plan of an account.


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
    """Return the bill by the claim that counts, with the range of those with the plan (`None`: of all claims)."""
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
    return priced_claim._replace(claim=msgspec.structs.replace(priced_claim.claim, exactness="exact"))


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
        plan_name: account plan; `None` for no plan. Parts of the price without a price for it have the usual one.
        credit_usd: price of one credit in dollars; `None` if it is unknown.
        takes_maximum: whether the highest usage counts instead of the typical one, where it is not known.
    """
    parts = [
        _bill_price_part(part, request_groups, plan_name, credit_usd, takes_maximum=takes_maximum)
        for part in price.parts
    ]
    fees = [one.fee_usd for one in parts if one.fee_usd is not None]
    usd = sum_if_known(one.usd for one in parts)
    exceeds_plan = any(one.exceeds_plan for one in parts)
    # Rounded once, at the end: an invoice rounds its total, not each request.
    total_usd = None if usd is None or exceeds_plan else round_to_cents(math.fsum([*fees, usd]))
    bases = (_determine_usage_basis(part, group) for part in price.parts for group in request_groups)
    return MonthlyBill(
        plan_name=plan_name,
        fee_usd=math.fsum(fees) if fees else None,
        price=PriceRange(usd=total_usd, low_usd=total_usd, high_usd=total_usd),
        total_credits=sum_if_known(one.credits for one in parts),
        exceeds_plan=exceeds_plan,
        usage_basis=max(bases, key=_USAGE_BASES_FROM_BEST_TO_WORST.index),
    )


class _PartOfBill(NamedTuple):
    """What one part of a price adds to the bill of a month."""

    fee_usd: float | None
    usd: float | None
    """Price of the units that the fee does not include."""
    credits: float | None
    """Number of credits for all units, also those that the fee includes."""
    exceeds_plan: bool


def _bill_price_part(
    price_part: PriceSpec,
    request_groups: Sequence[RequestGroup],
    plan_name: str | None,
    credit_usd: float | None,
    *,
    takes_maximum: bool,
) -> _PartOfBill:
    units = math.fsum(
        group.request_count * _count_units_per_request(price_part, group, takes_maximum=takes_maximum)
        for group in request_groups
    )
    plan = price_part.plan_prices.get(plan_name) if plan_name is not None else None
    cost = compute_cost_of_units(plan or price_part, credit_usd, units)
    # Without a documented fee, included units would seem to be free, so they are charged.
    if (
        plan is None
        or plan.included_units_per_month is None
        or (plan.monthly_fee_usd is None and plan.allows_extra_units)
    ):
        return _PartOfBill(plan.monthly_fee_usd if plan is not None else None, *cost, exceeds_plan=False)
    extra_units = max(0.0, units - plan.included_units_per_month)
    extra_usd = compute_cost_of_units(plan, credit_usd, extra_units).usd
    exceeds_plan = not plan.allows_extra_units and extra_units > 0
    # Credits are counted before the included units are subtracted: they say what is used, not what is paid.
    return _PartOfBill(plan.monthly_fee_usd, extra_usd, cost.credits, exceeds_plan)


def _count_units_per_request(price_part: PriceSpec, request_group: RequestGroup, *, takes_maximum: bool) -> float:
    """Return the number of units that one request of the group is charged for."""
    used = request_group.usage_per_request.get(price_part.part_label or "") if price_part.usage is not None else None
    if used is not None:
        return price_part.convert_to_charged_units(used)
    return price_part.count_units(
        request_group.characters_per_request, request_group.audio_s_per_request, takes_maximum=takes_maximum
    )


def _determine_usage_basis(price_part: PriceSpec, request_group: RequestGroup) -> UsageBasis:
    if price_part.base_unit in ("request", "character"):
        return "exact"
    if price_part.base_unit == "audio_second" and request_group.audio_s_per_request is not None:
        return "exact"
    if price_part.usage is None:
        return "estimated_duration"
    if (price_part.part_label or "") in request_group.usage_per_request:
        return "exact"
    return "typical" if price_part.usage.states_typical_usage else "upper_bound"
