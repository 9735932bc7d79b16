"""Computes prices of requests."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from voicegauge.contract.contract import BaseTarget, SocketTarget
from voicegauge.contract.extension.pricing import CharacterCounting, PriceSpec, PriceUnit, UsageSpec
from voicegauge.contract.extension.provider import SourceDocument
from voicegauge.contract.operation import Operation
from voicegauge.errors import UsageError
from voicegauge.model.price import (
    BINDING_CLAIMANTS,
    COUNTED_CLAIMANTS,
    EXACT_AMOUNT_TOLERANCE,
    Claimant,
    PlanClaim,
    PriceClaim,
    PricePart,
    find_best_claim,
    format_price_usd,
    round_up_quantity,
)

ASSUMED_SPEECH_CHARACTERS_PER_S = 15.0
"""Estimated number of characters spoken per second, for prices per minute of audio. English is spoken at about 150
words, or 900 characters, per minute."""

MAX_CREDIT_USD = 1_000
"""Highest price of one credit in dollars that the user may set, so that a mistyped number is noticed."""

SLOWEST_SPEECH_CHARACTERS_PER_S = ASSUMED_SPEECH_CHARACTERS_PER_S / 2
"""Estimated number of characters per second of slow speech, for the highest price of a text that is charged by time."""

ROUNDED_AMOUNT_TOLERANCE = 0.01
"""Largest relative difference that is taken for rounding. A larger difference is another price."""


def is_rounded_amount(charged_amount: float, documented_amount: float) -> bool:
    """Whether a charge is the documented amount, or that amount rounded to the number of decimals of the charge.

    104.2847 credits may be reported as 104.285, 104.28 or 104 credits, but not as 104.29.
    """
    difference = abs(charged_amount - documented_amount)
    if difference <= EXACT_AMOUNT_TOLERANCE * max(abs(charged_amount), abs(documented_amount)):
        return True
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
    target: BaseTarget, characters: int, *, user_price_usd: float | None, interrupts: bool
) -> PriceQuote:
    """Return the price of a turn over a WebSocket, and of an interrupted one with the same text before it.

    Args:
        target: the target; `interrupts` has no effect on one that cannot be interrupted.
        characters: number of characters of the text that are charged.
        user_price_usd: the user's own price of a turn in dollars; `None` for the contract's.
        interrupts: whether an interrupted turn precedes, which is charged as if it were spoken.
    """
    quote = quote_price(target, characters, user_price_usd=user_price_usd)
    if not interrupts or not isinstance(target, SocketTarget) or not target.can_be_interrupted:
        return quote
    return PriceQuote(*(None if value is None else 2 * value for value in quote))


@functools.lru_cache(maxsize=64)  # few, since each entry keeps a target and its contract in memory
def quote_price(
    target: BaseTarget | Operation,
    character_count: int,
    *,
    audio_s: float | None = None,
    user_price_usd: float | None = None,
) -> PriceQuote:
    """Return the price of one request.

    Args:
        target: the target or the operation that is requested.
        character_count: number of characters in the text, as `Target.count_charged_characters` counts them; 0 for audio
            input.
        audio_s: duration of the audio in seconds; `None` estimates it from the number of characters.
        user_price_usd: price of one request in dollars that the user set; it takes precedence over the contract.
    """
    claims = list_priced_claims(target)
    typical, highest = (
        {id(one): one.compute_cost(character_count, audio_s, takes_maximum=takes_maximum) for one in claims}
        for takes_maximum in (False, True)
    )
    credits = [cost.credits for cost in typical.values() if cost.credits is not None]
    best_credits = _find_best_priced_claim(claims, lambda one: typical[id(one)].credits is not None)
    price_credits = typical[id(best_credits)].credits if best_credits is not None else max(credits, default=None)
    if user_price_usd is not None:
        return PriceQuote(user_price_usd, price_credits, user_price_usd)
    best = _find_best_priced_claim(claims, lambda one: typical[id(one)].usd is not None)
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
        """Return what a request costs; the most that it costs if `takes_maximum` is true."""
        return _compute_cost(
            self.price,
            self.credit_usd,
            lambda part: count_units(part, character_count, audio_s, takes_maximum=takes_maximum),
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
        if _states_any_amount(one)
    ]


def _find_best_priced_claim(
    claims: Sequence[PricedClaim], has_amount: Callable[[PricedClaim], bool]
) -> PricedClaim | None:
    """Return the newest claim with an amount that binds the provider; `None` if there is none."""
    usable = {id(one.claim): one for one in claims if has_amount(one)}
    best = find_best_claim([one.claim for one in usable.values()], lambda _: True)
    return None if best is None else usable[id(best)]


class CostInUsdAndCredits(NamedTuple):
    """A cost in dollars and in the provider's credits; each is `None` if it is not known."""

    usd: float | None
    credits: float | None


def _compute_cost(
    price: PriceSpec,
    credit_usd: float | None,
    count_units: Callable[[PriceSpec], float],
) -> CostInUsdAndCredits:
    """Return the cost in dollars and credits. A price in credits alone is converted with the price of one credit."""
    costs = [_compute_part_cost(price_part, credit_usd, count_units(price_part)) for price_part in price.parts]
    return CostInUsdAndCredits(
        _sum_if_known([cost.usd for cost in costs]), _sum_if_known([cost.credits for cost in costs])
    )


def _sum_if_known(amounts: Sequence[float | None]) -> float | None:
    """Return the sum; `None` if one of the amounts is not known."""
    known = [amount for amount in amounts if amount is not None]
    return math.fsum(known) if len(known) == len(amounts) else None


def _compute_part_cost(price_part: PriceSpec, credit_usd: float | None, unit_count: float) -> CostInUsdAndCredits:
    credits = None if price_part.credits_per_unit is None else price_part.credits_per_unit * unit_count
    if price_part.usd_per_unit is not None:
        return CostInUsdAndCredits(price_part.usd_per_unit * unit_count, credits)
    if price_part.credits_per_unit == 0:  # free, even if the price of a credit is unknown
        return CostInUsdAndCredits(0.0, 0.0)
    return CostInUsdAndCredits(None if credits is None or credit_usd is None else credits * credit_usd, credits)


def compute_claimed_cost(target: BaseTarget | Operation, price: PriceSpec, character_count: int) -> CostInUsdAndCredits:
    """Return what a text costs by one claim alone.

    Args:
        target: the requested target.
        price: its price, or one of the alternatives. Its own alternatives are ignored.
        character_count: number of characters in the text, as `Target.count_charged_characters` counts them.
    """
    return _compute_cost(
        price, target.contract.provider.credit_usd, lambda part: count_units(part, character_count, None)
    )


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
    if price is None or not reports_usage(price):
        return None
    counts: dict[int, float] = {}
    for price_part in price.parts:
        reported = read_usage(price_part.usage) if price_part.usage is not None else None
        if reported is not None:
            counts[id(price_part)] = round_up_units(price_part, reported) / get_unit_size(price_part)
        elif price_part.unit == "request":
            counts[id(price_part)] = 1.0
        elif price_part.depends_only_on_text and character_count is not None:
            counts[id(price_part)] = count_units(price_part, character_count, None)
        else:
            return None
    cost = _compute_cost(price, target.contract.provider.credit_usd, lambda price_part: counts[id(price_part)])
    return PriceQuote(cost.usd, cost.credits, cost.usd)


def reports_usage(price: PriceSpec) -> bool:
    """Whether responses report how many tokens or seconds of a part of the price were used."""
    usages = (price_part.usage for price_part in price.parts)
    return any(usage is not None and (usage.reported_usage_location or usage.event_usage_location) for usage in usages)


_QuantityKind = Literal["request", "character", "minute", "usage"]
_QUANTITY_KIND_BY_PRICE_UNIT: dict[PriceUnit, _QuantityKind] = {
    "request": "request",
    "1k_characters": "character",
    "1m_characters": "character",
    "1m_tokens": "usage",
    "second": "minute",
    "minute": "minute",
    "compute_second": "usage",
}
"""What is counted for the price of a request, by the unit of the price."""
_SIZE_BY_PRICE_UNIT: dict[PriceUnit, float] = {
    "request": 1,
    "1k_characters": 1_000,
    "1m_characters": 1_000_000,
    "1m_tokens": 1_000_000,
    "second": 1,
    "minute": 60,
    "compute_second": 1,
}
"""Number of characters, tokens or seconds that one unit of a price stands for; 1 for a price per request."""


def get_unit_size(price_part: PriceSpec) -> float:
    """Return how many characters, tokens or seconds one unit of the price has; 1 for a price per request."""
    return _SIZE_BY_PRICE_UNIT[price_part.unit]


def round_up_units(price_part: PriceSpec, quantity: float) -> float:
    """Return what a request with `quantity` characters, tokens or seconds is charged for, in the same unit."""
    return round_up_quantity(quantity, price_part.rounding_step, price_part.min_charged_quantity)


def count_units(price: PriceSpec, character_count: int, audio_s: float | None, *, takes_maximum: bool = False) -> float:
    """Return the number of units that a request is charged for.

    Args:
        price: a part of a price.
        character_count: number of characters in the text, as `Target.count_charged_characters` counts them.
        audio_s: duration of the audio in seconds; `None` estimates it from the number of characters.
        takes_maximum: if the number of units depends on the response, whether to return the highest number instead of
            the typical one. If no typical number is documented, the highest one is returned in any case.
    """
    unit = _QUANTITY_KIND_BY_PRICE_UNIT[price.unit]
    if unit == "request":
        return 1.0
    quantity: float = character_count
    if unit == "minute" and audio_s is not None:
        quantity = audio_s
    elif unit != "character":
        per_request, per_character = _find_units_of_response(price, takes_maximum=takes_maximum)
        quantity = per_request + per_character * character_count
    return round_up_units(price, quantity) / get_unit_size(price)


def _find_units_of_response(price: PriceSpec, *, takes_maximum: bool) -> tuple[float, float]:
    """Return the tokens or seconds of a request without text, and those of each character in addition."""
    usage = price.usage
    if usage is None:
        speed = SLOWEST_SPEECH_CHARACTERS_PER_S if takes_maximum else ASSUMED_SPEECH_CHARACTERS_PER_S
        return 0.0, 1 / speed
    if takes_maximum or not has_typical_usage(usage):
        return usage.max_per_request, usage.max_per_character
    return usage.typical_per_request or 0.0, usage.typical_per_character or 0.0


def has_typical_usage(usage: UsageSpec) -> bool:
    """Whether a document says what requests typically use."""
    return usage.typical_per_request is not None or usage.typical_per_character is not None


def compute_usage_bound(usage: UsageSpec, character_count: int) -> float:
    """Return the documented upper bound of the tokens or seconds that a text uses."""
    return usage.max_per_request + usage.max_per_character * character_count


def build_price_claim(
    price: PriceSpec,
    sources: Mapping[str, SourceDocument],
    credit_usd: float | None = None,
    counting: CharacterCounting | None = None,
) -> PriceClaim:
    """Return what one document states about a price, in the form in which runs save it.

    Args:
        price: the price, or one of the alternatives to it. Its own alternatives are ignored.
        sources: the documents of the contract, by file name.
        credit_usd: price of one credit in dollars; `None` if it is unknown.
        counting: how characters are counted; by default, as the price itself says.
    """
    counts_once = (counting or price.character_counting) == CharacterCounting()
    document = sources.get(price.source.document_name) if price.source is not None else None
    parts = tuple(_build_price_part(part, credit_usd, counts_each_character_once=counts_once) for part in price.parts)
    has_only_bounds = any(part.usage is not None and not has_typical_usage(part.usage) for part in price.parts)
    is_about = any(part.unit in ("minute", "second") or part.usage is not None for part in price.parts)
    return PriceClaim(
        claimant=_find_claimant(price, document),
        exactness="upper_bound" if has_only_bounds else "typical" if is_about else price.exactness,
        parts=parts,
        plans=tuple(_iterate_plan_claims(price, credit_usd)) if len(parts) == 1 else (),
        title="" if document is None else document.title,
        date="" if document is None else document.date,
        url=None if document is None else document.url,
        note=price.source.note if price.source is not None else None,
    )


def _find_claimant(price: PriceSpec, document: SourceDocument | None) -> Claimant:
    if price.is_of_other_model:
        return "other_model"
    if document is None:
        return "provider_text"
    publisher = document.publisher or ("provider" if document.is_normative else "third_party")
    return "provider_text" if publisher == "provider" else publisher


_UNIT_OF_PART_BY_PRICE_UNIT: dict[
    PriceUnit, Literal["request", "character", "token", "audio_second", "compute_second"]
] = {
    "request": "request",
    "1k_characters": "character",
    "1m_characters": "character",
    "1m_tokens": "token",
    "second": "audio_second",
    "minute": "audio_second",
    "compute_second": "compute_second",
}
"""The unit of a `PricePart`, by the unit of the price in the contract."""


def _build_price_part(
    price_part: PriceSpec, credit_usd: float | None, *, counts_each_character_once: bool
) -> PricePart:
    cost = _compute_part_cost(price_part, credit_usd, 1 / get_unit_size(price_part))
    unit = _UNIT_OF_PART_BY_PRICE_UNIT[price_part.unit]
    typical, highest = (
        (1.0, 0.0)
        if unit == "request"
        else (0.0, 1.0)
        if unit == "character"
        else _find_units_of_response(price_part, takes_maximum=takes_maximum)
        for takes_maximum in (False, True)
    )
    return PricePart(
        unit=unit,
        usd_per_unit=cost.usd,
        credits_per_unit=cost.credits,
        units_per_request=typical[0],
        units_per_character=typical[1],
        max_units_per_request=highest[0],
        max_units_per_character=highest[1],
        rounding_step=price_part.rounding_step,
        min_charged_units=price_part.min_charged_quantity,
        counts_each_character_once=counts_each_character_once or unit != "character",
    )


def _iterate_plan_claims(price: PriceSpec, credit_usd: float | None) -> Iterator[PlanClaim]:
    size = get_unit_size(price)
    for name, plan in price.plan_prices.items():
        usd = plan.usd_per_unit
        if usd is None and plan.credits_per_unit is not None and credit_usd is not None:
            usd = plan.credits_per_unit * credit_usd
        if usd is not None:
            included = None if plan.included_units_per_month is None else plan.included_units_per_month * size
            yield PlanClaim(
                name=name,
                monthly_fee_usd=plan.monthly_fee_usd,
                included_units_per_month=included,
                usd_per_extra_unit=usd / size,
                allows_extra_units=plan.allows_extra_units,
            )


_LABEL_BY_PRICE_UNIT: dict[PriceUnit, str] = {
    "request": "request",
    "1k_characters": "1,000 characters",
    "1m_characters": "1,000,000 characters",
    "1m_tokens": "1,000,000 tokens",
    "second": "second of audio",
    "minute": "minute of audio",
    "compute_second": "second of computing",
}
"""The unit of a price in words, as it is printed after the amount."""


_CLAIMANT_LABELS: dict[Claimant, str] = {
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
    first = _find_best_priced_claim(claims, lambda one: one.states_usd) or _find_best_priced_claim(
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
    label = _CLAIMANT_LABELS[claim.claimant]
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


def _states_any_amount(price: PriceSpec) -> bool:
    """Whether any part of a price has an amount, in dollars, in credits or for a plan."""
    return any(
        price_part.usd_per_unit is not None or price_part.credits_per_unit is not None or price_part.plan_prices
        for price_part in price.parts
    )


def _format_amounts(
    price: PriceSpec, get_amount: Callable[[PriceSpec], float | None], format_amount: Callable[[float], str]
) -> str:
    """Format the amounts of one currency, such as "$0.60 / 1,000,000 tokens"; "" if there are none."""
    amounts = [amount for price_part in price.parts if (amount := get_amount(price_part)) is not None]
    if len(amounts) < len(price.parts):
        return ""
    return " + ".join(
        f"{format_amount(amount)} / {_describe_unit(price_part)}"
        for amount, price_part in zip(amounts, price.parts, strict=True)
    )


def _describe_unit(price_part: PriceSpec) -> str:
    unit = _LABEL_BY_PRICE_UNIT[price_part.unit]
    return unit if price_part.part_label is None else f"{unit} ({price_part.part_label})"


def is_billable(operation: Operation) -> bool:
    """Whether accepted requests cost money: those for speech, those with a price above zero, and jobs without a price.

    A job without audio is work that the service does, such as the transcription of a long recording: without a document
    that says so, it is not free.
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
