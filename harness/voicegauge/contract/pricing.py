"""Prices of requests, as contracts document them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from voicegauge.contract.contract import BaseTarget, Operation
from voicegauge.contract.extension import PriceSpec
from voicegauge.errors import UsageError

SPEECH_CHARACTERS_PER_S = 15.0
"""English is spoken at about 150 words, or 900 characters, per minute: the estimate for prices per minute of audio."""


class PriceQuote(NamedTuple):
    """The price of one request."""

    usd: float | None
    """In dollars; `None` if neither a document nor the user states a price."""
    credits: float | None
    disputed: bool
    """The documents contradict each other. An amount that the price itself lacks is the highest alternative."""


def parse_price_override(written: str) -> tuple[str, float]:
    """Parse a price per request in dollars that the user sets for a target: "acme/voice-1=0.02".

    Raises:
        UsageError: the text has another form, or the amount is not a valid number.
    """
    target, _, amount = written.partition("=")
    try:
        usd = float(amount)
    except ValueError:
        usd = -1.0
    if not target or not 0 <= usd < float("inf"):
        raise UsageError(f"{written!r}: write NAME=USD, such as acme=0 or acme/voice-1=0.02")
    return target, usd


def quote_price(
    target: BaseTarget | Operation, characters: int, *, audio_s: float | None = None, usd: float | None = None
) -> PriceQuote:
    """Return the price of one request.

    Args:
        target: a target, or an operation with a price of its own.
        characters: length of the text; 0 for an audio input.
        audio_s: duration of the audio in seconds, if known; by default estimated from the text.
        usd: price of one request that the user set; takes precedence over the contract.
    """
    price = target.pricing
    if price is None:
        return PriceQuote(usd, None, disputed=False)
    money = target.contract.provider.credits
    credit_usd = money.usd if money else None
    readings = (price, *price.alternatives)
    stated, *others = (_cost(p, _units(p, characters, audio_s), credit_usd) for p in readings)
    credits = _first_or_highest(stated.credits, [other.credits for other in others])
    if usd is not None:
        return PriceQuote(usd, credits, disputed=False)
    return PriceQuote(_first_or_highest(stated.usd, [other.usd for other in others]), credits, disputed=bool(others))


def _first_or_highest(stated: float | None, others: list[float | None]) -> float | None:
    return stated if stated is not None else max((other for other in others if other is not None), default=None)


class _Cost(NamedTuple):
    usd: float | None
    credits: float | None


def _cost(price: PriceSpec, units: float, credit_usd: float | None) -> _Cost:
    """Return the cost in dollars and credits; a price in credits alone is converted with the price of a credit."""
    credits = None if price.credits is None else price.credits * units
    if price.usd is not None:
        return _Cost(price.usd * units, credits)
    if price.credits == 0:  # free, even if the price of a credit is unknown
        return _Cost(0.0, 0.0)
    return _Cost(None if credits is None or credit_usd is None else credits * credit_usd, credits)


class UnitPrice(NamedTuple):
    """The price of one unit."""

    amount: float
    unit: Literal["request", "character", "minute"]


_RATES: dict[str, tuple[int, Literal["request", "character", "minute"]]] = {
    "request": (1, "request"),
    "1k_characters": (1_000, "character"),
    "1m_characters": (1_000_000, "character"),
    "minute": (1, "minute"),
}


def _units(price: PriceSpec, characters: int, audio_s: float | None) -> float:
    size, unit = _RATES[price.per]
    if unit == "minute":
        return (audio_s if audio_s is not None else characters / SPEECH_CHARACTERS_PER_S) / 60
    return characters / size if unit == "character" else 1.0


def unit_prices(target: BaseTarget, characters: int) -> tuple[UnitPrice | None, UnitPrice | None]:
    """Return the unit prices of `target` in dollars and in credits; `None` if not documented.

    If the price itself has no amount, it is the alternative with the highest cost for a text of `characters`.
    """
    price = target.pricing
    if price is None:
        return None, None
    money = target.contract.provider.credits
    costs = [(p, _cost(p, 1.0, money.usd if money else None)) for p in (price, *price.alternatives)]
    return (
        _rate([(p, cost.usd) for p, cost in costs], characters),
        _rate([(p, cost.credits) for p, cost in costs], characters),
    )


def _rate(readings: list[tuple[PriceSpec, float | None]], characters: int) -> UnitPrice | None:
    """Select one of the unit prices, of which the first is that of the price itself and the others alternatives."""
    known = [(p, amount) for p, amount in readings if amount is not None]
    if not known:
        return None
    stated = readings[0][1] is not None
    price, amount = known[0] if stated else max(known, key=lambda read: read[1] * _units(read[0], characters, None))
    size, unit = _RATES[price.per]
    return UnitPrice(amount / size, unit)


_UNITS = {
    "request": "request",
    "1k_characters": "1,000 characters",
    "1m_characters": "1,000,000 characters",
    "minute": "minute of audio",
}


def describe_price(target: BaseTarget) -> str:
    """Return the price as text, including disputed alternatives: "$0.015 / request"."""
    price = target.pricing
    if price is None:
        return "not documented"
    money = target.contract.provider.credits
    readings = (price, *price.alternatives)
    dollars = _describe([(p.usd, p.per) for p in readings], "$", "")
    credits = _describe([(p.credits, p.per) for p in readings], "", f" {money.name if money else 'credits'}")
    return ", ".join(filter(None, (dollars, credits))) or "not documented"


def price_sources(target: BaseTarget) -> tuple[str, ...]:
    """Return titles and dates of the documents that state the price, without duplicates."""
    price = target.pricing
    if price is None:
        return ()
    documents = target.contract.provider.sources
    named = (documents[p.source.document] for p in (price, *price.alternatives) if p.source)
    return tuple(dict.fromkeys(f"{document.title}, {document.date}" for document in named))


def _describe(amounts: list[tuple[float | None, str]], before: str, after: str) -> str:
    """Format amounts of one currency, such as "$0.01 or $0.03 / request (disputed)"; empty if there are none."""
    by_unit: dict[str, dict[str, None]] = {}
    for amount, per in amounts:
        if amount is not None:
            by_unit.setdefault(per, {})[f"{before}{amount:,.12g}"] = None
    texts = [f"{' or '.join(readings)}{after} / {_UNITS[per]}" for per, readings in by_unit.items()]
    disputed = sum(len(readings) for readings in by_unit.values()) > 1
    return " or ".join(texts) + (" (disputed)" if disputed else "")


def is_billable(operation: Operation) -> bool:
    """Return whether accepted requests cost money: every speech request, and operations with a price above zero."""
    if operation.speech is not None:
        return True
    prices = [operation.pricing, *(target.pricing for target in operation.targets)]
    return any(price is not None and bool(price.usd or price.credits or price.alternatives) for price in prices)
