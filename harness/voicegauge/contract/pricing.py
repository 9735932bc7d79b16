"""Computes prices of requests."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from voicegauge.contract.contract import BaseTarget, Operation
from voicegauge.contract.extension.pricing import CharacterCounting, PriceSpec, PriceUnit, UsageSpec
from voicegauge.contract.extension.sources import SourceDocument
from voicegauge.errors import UsageError
from voicegauge.model.run import TargetAccountPlan

ASSUMED_SPEECH_CHARACTERS_PER_S = 15.0
"""Estimated number of characters spoken per second, for prices per minute of audio. English is spoken at about 150
words, or 900 characters, per minute."""

MAX_CREDIT_USD = 1_000
"""Highest price of one credit in dollars that the user may set, so that a mistyped number is noticed."""

EXACT_AMOUNT_TOLERANCE = 1e-6
"""Relative tolerance for equal amounts, because sums of decimal fractions are not exact in binary floating point."""
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
    """The price in dollars; `None` if neither a document nor the user states it."""
    price_credits: float | None
    is_disputed: bool
    """Whether documents contradict each other about the price. If the price has no amount, its highest alternative
    counts."""


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
        raise UsageError(f"price of a credit of {provider_id}: is not from $0 to ${MAX_CREDIT_USD:,}")


def _parse_named_amount(text: str, expected_form: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    try:
        usd = float(amount)
    except ValueError:
        usd = math.nan
    if not name or not 0 <= usd < math.inf:
        raise UsageError(f"{text!r}: write {expected_form}")
    return name, usd


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
    price = target.pricing
    if price is None:
        return PriceQuote(user_price_usd, None, is_disputed=False)
    currency = target.contract.provider.credits
    credit_usd = currency.usd_per_credit if currency else None
    prices = price.price_and_alternatives
    stated, *others = (
        _compute_cost(one, credit_usd, lambda price_part: count_units(price_part, character_count, audio_s))
        for one in prices
    )
    credits = _choose_first_or_highest_amount(stated.credits, [other.credits for other in others])
    if user_price_usd is not None:
        return PriceQuote(user_price_usd, credits, is_disputed=False)
    with_amount = sum(one.usd is not None or one.credits is not None for one in (stated, *others))
    return PriceQuote(
        _choose_first_or_highest_amount(stated.usd, [other.usd for other in others]),
        credits,
        is_disputed=with_amount > 1,
    )


def _choose_first_or_highest_amount(
    first_amount: float | None, alternative_amounts: list[float | None]
) -> float | None:
    return (
        first_amount
        if first_amount is not None
        else max((other for other in alternative_amounts if other is not None), default=None)
    )


class _CostInUsdAndCredits(NamedTuple):
    usd: float | None
    credits: float | None


def _compute_cost(
    price: PriceSpec,
    credit_usd: float | None,
    count_units: Callable[[PriceSpec], float],
) -> _CostInUsdAndCredits:
    """Return the cost in dollars and credits. A price in credits alone is converted with the price of one credit."""
    costs = [_compute_part_cost(price_part, credit_usd, count_units(price_part)) for price_part in price.parts]
    return _CostInUsdAndCredits(
        _sum_if_known([cost.usd for cost in costs]), _sum_if_known([cost.credits for cost in costs])
    )


def _sum_if_known(amounts: Sequence[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return math.fsum(known) if len(known) == len(amounts) else None


def _compute_part_cost(price_part: PriceSpec, credit_usd: float | None, unit_count: float) -> _CostInUsdAndCredits:
    credits = None if price_part.credits_per_unit is None else price_part.credits_per_unit * unit_count
    if price_part.usd_per_unit is not None:
        return _CostInUsdAndCredits(price_part.usd_per_unit * unit_count, credits)
    if price_part.credits_per_unit == 0:  # free, even if the price of a credit is unknown
        return _CostInUsdAndCredits(0.0, 0.0)
    return _CostInUsdAndCredits(None if credits is None or credit_usd is None else credits * credit_usd, credits)


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
            counts[id(price_part)] = round_up_quantity(price_part, reported) / get_unit_size(price_part)
        elif price_part.unit == "request":
            counts[id(price_part)] = 1.0
        elif price_part.depends_only_on_text and character_count is not None:
            counts[id(price_part)] = count_units(price_part, character_count, None)
        else:
            return None
    currency = target.contract.provider.credits
    cost = _compute_cost(
        price, currency.usd_per_credit if currency else None, lambda price_part: counts[id(price_part)]
    )
    return PriceQuote(cost.usd, cost.credits, is_disputed=False)


def reports_usage(price: PriceSpec) -> bool:
    """Whether responses report how many tokens or seconds of a part of the price were used."""
    usages = (price_part.usage for price_part in price.parts)
    return any(usage is not None and (usage.reported_usage_location or usage.event_usage_location) for usage in usages)


class UnitPrice(NamedTuple):
    """The price of one unit."""

    amount: float
    unit: CostUnit
    plans: tuple[TargetAccountPlan, ...] = ()
    """The account plans that have a price of their own; empty for a price in credits."""


CostUnit = Literal["request", "character", "minute", "estimated_character"]
"""What a price is for. `minute` is a minute of audio. `estimated_character`: the price depends on
tokens, computing time or the kind of characters; the amount is the most that one character can cost."""

_QuantityKind = Literal["request", "character", "minute", "usage"]
_SIZE_AND_QUANTITY_KIND_BY_PRICE_UNIT: dict[PriceUnit, tuple[float, _QuantityKind]] = {
    "request": (1, "request"),
    "1k_characters": (1_000, "character"),
    "1m_characters": (1_000_000, "character"),
    "1m_tokens": (1_000_000, "usage"),
    "second": (1 / 60, "minute"),
    "minute": (1, "minute"),
    "compute_second": (1, "usage"),
}
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


def round_up_quantity(price_part: PriceSpec, quantity: float) -> float:
    """Return what a request with `quantity` characters, tokens or seconds is charged for, in the same unit."""
    rounded = (
        quantity
        if price_part.rounding_step is None
        else math.ceil(quantity / price_part.rounding_step - EXACT_AMOUNT_TOLERANCE) * price_part.rounding_step
    )
    return max(rounded, price_part.min_charged_quantity)


def count_units(price: PriceSpec, character_count: int, audio_s: float | None) -> float:
    """Return the number of units that a request is charged for; the upper bound if it depends on the response.

    Args:
        price: a part of a price.
        character_count: number of characters in the text, as `Target.count_charged_characters` counts them.
        audio_s: duration of the audio in seconds; `None` estimates it from the number of characters.
    """
    unit = _SIZE_AND_QUANTITY_KIND_BY_PRICE_UNIT[price.unit][1]
    if unit == "request":
        return 1.0
    if unit == "minute" and audio_s is not None:
        quantity = audio_s
    elif price.usage is not None:
        quantity = compute_usage_bound(price.usage, character_count)
    elif unit == "minute":
        quantity = character_count / ASSUMED_SPEECH_CHARACTERS_PER_S
    else:
        quantity = character_count
    return round_up_quantity(price, quantity) / get_unit_size(price)


def compute_usage_bound(usage: UsageSpec, character_count: int) -> float:
    """Return the documented upper bound of the tokens or seconds that a text uses."""
    return usage.max_per_request + usage.max_per_character * character_count


def compute_unit_prices(target: BaseTarget, character_count: int) -> tuple[UnitPrice | None, UnitPrice | None]:
    """Return the unit price of `target` in dollars and the one in credits; each is `None` if it is not documented.

    If the price itself has no amount, the alternative with the highest cost for a text of `character_count` characters
    is returned.
    """
    price = target.pricing
    if price is None:
        return None, None
    currency = target.contract.provider.credits
    credit_usd = currency.usd_per_credit if currency else None
    counts_each_character_once = price.character_counting == CharacterCounting()
    documented_prices = [
        _DocumentedPrice.compute_costs(
            one, credit_usd, character_count, counts_each_character_once=counts_each_character_once
        )
        for one in price.price_and_alternatives
    ]
    return _select_unit_price(documented_prices, "usd"), _select_unit_price(documented_prices, "credits")


class _DocumentedPrice(NamedTuple):
    """A price or one of its disputed alternatives: its unit, what one unit costs, and what a text costs."""

    unit: CostUnit
    unit_cost: _CostInUsdAndCredits
    text_cost: _CostInUsdAndCredits
    plans: tuple[TargetAccountPlan, ...] = ()

    @classmethod
    def compute_costs(
        cls, price: PriceSpec, credit_usd: float | None, character_count: int, *, counts_each_character_once: bool
    ) -> _DocumentedPrice:
        text_cost = _compute_cost(price, credit_usd, lambda price_part: count_units(price_part, character_count, None))
        size, unit = _SIZE_AND_QUANTITY_KIND_BY_PRICE_UNIT[price.unit]
        is_rounded = price.rounding_step is not None or price.min_charged_quantity > 0
        if (
            unit == "usage"
            or price.added_parts
            or (unit == "character" and (is_rounded or not counts_each_character_once))
        ):
            size, unit_cost = max(character_count, 1), text_cost
            return cls("estimated_character", _divide_cost(unit_cost, size), text_cost)
        unit_cost = _divide_cost(_compute_cost(price, credit_usd, lambda _: 1.0), size)
        return cls(unit, unit_cost, text_cost, tuple(_iterate_plan_prices(price, credit_usd, size)))


def _iterate_plan_prices(price: PriceSpec, credit_usd: float | None, unit_size: float) -> Iterator[TargetAccountPlan]:
    for name, plan in price.plan_prices.items():
        usd = plan.usd_per_unit
        if usd is None and plan.credits_per_unit is not None and credit_usd is not None:
            usd = plan.credits_per_unit * credit_usd
        if usd is not None:
            included = None if plan.included_units_per_month is None else plan.included_units_per_month * unit_size
            yield TargetAccountPlan(
                name=name,
                monthly_fee_usd=plan.monthly_fee_usd,
                included_units_per_month=included,
                usd_per_extra_unit=usd / unit_size,
                allows_extra_units=plan.allows_extra_units,
            )


def _divide_cost(cost: _CostInUsdAndCredits, divisor: float) -> _CostInUsdAndCredits:
    return _CostInUsdAndCredits(*(None if amount is None else amount / divisor for amount in cost))


def _select_unit_price(
    documented_prices: Sequence[_DocumentedPrice], currency: Literal["usd", "credits"]
) -> UnitPrice | None:
    """Return the unit price by the first documented price, or by the alternative with the highest cost for the text.

    An alternative counts only if the first price has no amount in `currency`. `None` if no price has one.
    """
    known = [reading for reading in documented_prices if getattr(reading.unit_cost, currency) is not None]
    if not known:
        return None
    is_stated = known[0] is documented_prices[0]
    chosen = known[0] if is_stated else max(known, key=lambda reading: getattr(reading.text_cost, currency))
    return UnitPrice(getattr(chosen.unit_cost, currency), chosen.unit, chosen.plans if currency == "usd" else ())


_LABEL_BY_PRICE_UNIT: dict[PriceUnit, str] = {
    "request": "request",
    "1k_characters": "1,000 characters",
    "1m_characters": "1,000,000 characters",
    "1m_tokens": "1,000,000 tokens",
    "second": "second of audio",
    "minute": "minute of audio",
    "compute_second": "second of computing",
}


def describe_price(target: BaseTarget | Operation, plan_names: Collection[str] = ()) -> str:
    """Return the price as text, including disputed alternatives: "$0.015 / request".

    Args:
        target: the target or the operation that is requested.
        plan_names: names of account plans; without them, the plans with which the contract was loaded count.
    """
    if target.pricing is None:
        return "not documented"
    price = target.pricing.select_plan(plan_names)
    currency = target.contract.provider.credits
    dollars = _format_amounts(price.price_and_alternatives, lambda price_part: price_part.usd_per_unit, "$", "")
    credits = _format_amounts(
        price.price_and_alternatives,
        lambda price_part: price_part.credits_per_unit,
        "",
        f" {currency.name if currency else 'credits'}",
    )
    text = ", ".join(filter(None, (dollars, credits)))
    has_cheaper_plan = any(
        (plan.usd_per_unit, plan.credits_per_unit) != (price_part.usd_per_unit, price_part.credits_per_unit)
        for reading in price.price_and_alternatives
        for price_part in reading.parts
        for plan in price_part.plan_prices.values()
    )
    return f"{text} (at most; depends on --plan)" if has_cheaper_plan else text


def list_price_sources(target: BaseTarget) -> tuple[str, ...]:
    """Return the titles and dates of the documents that state the price, without duplicates."""
    return tuple(dict.fromkeys(f"{document.title}, {document.date}" for document in _list_price_documents(target)))


def is_price_stated_by_provider(target: BaseTarget) -> bool:
    """Whether a normative document states an amount of the price. `True` also if the price names no document."""
    documents = _list_price_documents(target)
    return not documents or any(document.is_normative for document in documents)


def _list_price_documents(target: BaseTarget) -> list[SourceDocument]:
    """Return the documents that state an amount of the price; empty if no price is documented."""
    price = target.pricing
    if price is None:
        return []
    sources = target.contract.provider.sources
    return [
        sources[one.source.document_name] for one in price.price_and_alternatives if one.source and _states_amount(one)
    ]


def _states_amount(price: PriceSpec) -> bool:
    return any(
        price_part.usd_per_unit is not None or price_part.credits_per_unit is not None or price_part.plan_prices
        for price_part in price.parts
    )


def _format_amounts(
    prices: Sequence[PriceSpec],
    get_amount: Callable[[PriceSpec], float | None],
    currency_prefix: str,
    currency_suffix: str,
) -> str:
    """Format amounts of one currency, such as "$0.01 or $0.03 / request (disputed)"; "" if there are no amounts."""

    def format_part(price_part: PriceSpec) -> str:
        return f"{currency_prefix}{get_amount(price_part):,.12g}"

    by_unit: dict[str, dict[str, None]] = {}
    for reading in prices:
        if all(get_amount(price_part) is not None for price_part in reading.parts):
            added = "".join(
                f" + {format_part(price_part)}{currency_suffix} / {_describe_unit(price_part)}"
                for price_part in reading.added_parts
            )
            by_unit.setdefault(f"{_describe_unit(reading)}{added}", {})[format_part(reading)] = None
    texts = [f"{' or '.join(prices)}{currency_suffix} / {unit}" for unit, prices in by_unit.items()]
    disputed = sum(len(prices) for prices in by_unit.values()) > 1
    return " or ".join(texts) + (" (disputed)" if disputed else "")


def _describe_unit(price_part: PriceSpec) -> str:
    unit = _LABEL_BY_PRICE_UNIT[price_part.unit]
    return unit if price_part.part_label is None else f"{unit} ({price_part.part_label})"


def is_billable(operation: Operation) -> bool:
    """Whether accepted requests cost money. Requests for speech do, and so do operations with a price above zero."""
    if operation.speech is not None:
        return True
    prices = [operation.pricing, *(target.pricing for target in operation.targets)]
    return any(
        bool(price_part.usd_per_unit or price_part.credits_per_unit or price_part.alternatives)
        for price in prices
        if price
        for price_part in price.parts
    )
