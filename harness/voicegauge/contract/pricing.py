"""Computes and describes prices of requests as contracts document them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Literal, NamedTuple

from voicegauge.contract.contract import BaseTarget, Operation
from voicegauge.contract.extension import PriceSpec
from voicegauge.errors import UsageError

ASSUMED_SPEECH_CHARACTERS_PER_S = 15.0
"""Estimated number of characters spoken per second, for prices per minute of audio. English is spoken at about 150
words, or 900 characters, per minute."""


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

    usd: float | None
    """The price in dollars; `None` if neither a document nor the user states it."""
    credits: float | None
    is_disputed: bool
    """Whether the documents contradict each other. If the price has no amount, the highest alternative is used."""


def parse_price_override(text: str) -> tuple[str, float]:
    """Parse a price per request in dollars that the user sets for a target: "acme/voice-1=0.02".

    Raises:
        UsageError: the text does not have that form, or the amount is not a valid number.
    """
    target, _, amount = text.partition("=")
    try:
        usd = float(amount)
    except ValueError:
        usd = math.nan
    if not target or not 0 <= usd < float("inf"):
        raise UsageError(f"{text!r}: write NAME=USD, such as acme=0 or acme/voice-1=0.02")
    return target, usd


def quote_price(
    target: BaseTarget | Operation,
    characters: int,
    *,
    audio_s: float | None = None,
    user_price_usd: float | None = None,
) -> PriceQuote:
    """Return the price of one request.

    Args:
        target: the target or the operation that is requested.
        characters: number of characters in the text; 0 for audio input.
        audio_s: duration of the audio in seconds; `None` estimates it from the number of characters.
        user_price_usd: price of one request in dollars that the user set; it takes precedence over the contract.
    """
    price = target.pricing
    if price is None:
        return PriceQuote(user_price_usd, None, is_disputed=False)
    currency = target.contract.provider.credits
    credit_usd = currency.usd if currency else None
    prices = (price, *price.alternatives)
    stated, *others = (_compute_cost(p, _count_units(p, characters, audio_s), credit_usd) for p in prices)
    credits = _choose_first_or_highest(stated.credits, [other.credits for other in others])
    if user_price_usd is not None:
        return PriceQuote(user_price_usd, credits, is_disputed=False)
    return PriceQuote(
        _choose_first_or_highest(stated.usd, [other.usd for other in others]), credits, is_disputed=bool(others)
    )


def _choose_first_or_highest(first_amount: float | None, alternative_amounts: list[float | None]) -> float | None:
    return (
        first_amount
        if first_amount is not None
        else max((other for other in alternative_amounts if other is not None), default=None)
    )


class _UsdAndCredits(NamedTuple):
    usd: float | None
    credits: float | None


def _compute_cost(price: PriceSpec, unit_count: float, credit_usd: float | None) -> _UsdAndCredits:
    """Return the cost in dollars and credits. A price in credits alone is converted with the price of one credit."""
    credits = None if price.credits is None else price.credits * unit_count
    if price.usd is not None:
        return _UsdAndCredits(price.usd * unit_count, credits)
    if price.credits == 0:  # free, even if the price of a credit is unknown
        return _UsdAndCredits(0.0, 0.0)
    return _UsdAndCredits(None if credits is None or credit_usd is None else credits * credit_usd, credits)


class UnitPrice(NamedTuple):
    """The price of one unit."""

    amount: float
    unit: Literal["request", "character", "minute"]


_UNIT_AND_SIZE_BY_PRICE_UNIT: dict[str, tuple[int, Literal["request", "character", "minute"]]] = {
    "request": (1, "request"),
    "1k_characters": (1_000, "character"),
    "1m_characters": (1_000_000, "character"),
    "minute": (1, "minute"),
}


def _count_units(price: PriceSpec, characters: int, audio_s: float | None) -> float:
    size, unit = _UNIT_AND_SIZE_BY_PRICE_UNIT[price.per]
    if unit == "minute":
        return (audio_s if audio_s is not None else characters / ASSUMED_SPEECH_CHARACTERS_PER_S) / 60
    return characters / size if unit == "character" else 1.0


def compute_unit_prices(target: BaseTarget, characters: int) -> tuple[UnitPrice | None, UnitPrice | None]:
    """Return the unit price of `target` in dollars and the one in credits; each is `None` if it is not documented.

    If the price itself has no amount, the alternative with the highest cost for a text of `characters` characters is
    returned.
    """
    price = target.pricing
    if price is None:
        return None, None
    currency = target.contract.provider.credits
    costs = [(p, _compute_cost(p, 1.0, currency.usd if currency else None)) for p in (price, *price.alternatives)]
    return (
        _select_unit_price([(p, cost.usd) for p, cost in costs], characters),
        _select_unit_price([(p, cost.credits) for p, cost in costs], characters),
    )


def _select_unit_price(priced_amounts: list[tuple[PriceSpec, float | None]], characters: int) -> UnitPrice | None:
    """Select one of the unit prices. The first is that of the price itself, the rest are those of its alternatives."""
    known = [(p, amount) for p, amount in priced_amounts if amount is not None]
    if not known:
        return None
    stated = priced_amounts[0][1] is not None
    price, amount = (
        known[0] if stated else max(known, key=lambda pair: pair[1] * _count_units(pair[0], characters, None))
    )
    size, unit = _UNIT_AND_SIZE_BY_PRICE_UNIT[price.per]
    return UnitPrice(amount / size, unit)


_LABEL_BY_PRICE_UNIT = {
    "request": "request",
    "1k_characters": "1,000 characters",
    "1m_characters": "1,000,000 characters",
    "minute": "minute of audio",
}


def describe_price(target: BaseTarget | Operation) -> str:
    """Return the price as text, including disputed alternatives: "$0.015 / request"."""
    price = target.pricing
    if price is None:
        return "not documented"
    currency = target.contract.provider.credits
    prices = (price, *price.alternatives)
    dollars = _format_amounts([(p.usd, p.per) for p in prices], "$", "")
    credits = _format_amounts([(p.credits, p.per) for p in prices], "", f" {currency.name if currency else 'credits'}")
    return ", ".join(filter(None, (dollars, credits)))


def list_price_sources(target: BaseTarget) -> tuple[str, ...]:
    """Return the titles and dates of the documents that state the price, without duplicates."""
    price = target.pricing
    if price is None:
        return ()
    documents = target.contract.provider.sources
    named = (documents[p.source.document] for p in (price, *price.alternatives) if p.source)
    return tuple(dict.fromkeys(f"{document.title}, {document.date}" for document in named))


def _format_amounts(amounts: list[tuple[float | None, str]], prefix: str, suffix: str) -> str:
    """Format amounts of one currency, such as "$0.01 or $0.03 / request (disputed)"; "" if there are no amounts."""
    by_unit: dict[str, dict[str, None]] = {}
    for amount, per in amounts:
        if amount is not None:
            by_unit.setdefault(per, {})[f"{prefix}{amount:,.12g}"] = None
    texts = [f"{' or '.join(prices)}{suffix} / {_LABEL_BY_PRICE_UNIT[per]}" for per, prices in by_unit.items()]
    disputed = sum(len(prices) for prices in by_unit.values()) > 1
    return " or ".join(texts) + (" (disputed)" if disputed else "")


def is_billable(operation: Operation) -> bool:
    """Whether accepted requests cost money. Requests for speech do, and so do operations with a price above zero."""
    if operation.speech is not None:
        return True
    prices = [operation.pricing, *(target.pricing for target in operation.targets)]
    return any(price is not None and bool(price.usd or price.credits or price.alternatives) for price in prices)
