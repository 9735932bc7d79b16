"""What one request costs by the contract's price."""

from __future__ import annotations

from typing import Literal, NamedTuple

from voicegauge.contract.contract import Target
from voicegauge.contract.extension import Price

SPEECH_CHARACTERS_PER_S = 15.0
"""English is read at about 150 words, or 900 characters, a minute: the guess for a price per minute."""


class Quote(NamedTuple):
    """The price of one request."""

    usd: float | None
    """`None` where neither a document nor the user says."""
    credits: float | None
    disputed: bool
    """The documents disagree; `usd` is then the dearest reading."""


def quote(target: Target, characters: int, *, audio_s: float | None = None, usd: float | None = None) -> Quote:
    """The price of a request of `characters` to `target`.

    Args:
        target: whose price counts.
        characters: length of the text.
        audio_s: length of the audio, where it is known; guessed from the text otherwise.
        usd: a price for one request that the user named; wins over the contract's.
    """
    price = target.pricing
    if price is None:
        return Quote(usd, None, disputed=False)
    readings = [price.usd] if price.usd is not None else [a.get("usd") for a in price.alternatives]
    known = [float(amount) for amount in readings if amount is not None]
    units = _units(price, characters, audio_s)
    credit = None if price.credits is None else price.credits * units
    if usd is not None:
        return Quote(usd, credit, disputed=False)
    if known:
        return Quote(max(known) * units, credit, disputed=price.usd is None)
    money = target.contract.provider.credits
    if credit is not None and money is not None and money.usd is not None:
        return Quote(credit * money.usd, credit, disputed=False)
    return Quote(None, credit, disputed=bool(price.alternatives))


def _units(price: Price, characters: int, audio_s: float | None) -> float:
    if price.per == "1k_characters":
        return characters / 1_000
    if price.per == "1m_characters":
        return characters / 1_000_000
    if price.per == "minute":
        return (audio_s if audio_s is not None else characters / SPEECH_CHARACTERS_PER_S) / 60
    return 1.0


_UNITS = {
    "request": "request",
    "1k_characters": "1,000 characters",
    "1m_characters": "1,000,000 characters",
    "minute": "minute of audio",
}


def describe_price(target: Target) -> str:
    """The price in words, with what is disputed about it: "$0.015 / request"."""
    price = target.pricing
    if price is None:
        return "not said"
    unit = _UNITS[price.per]
    credits = target.contract.provider.credits
    name = credits.name if credits else "credits"
    moneys: tuple[tuple[Literal["usd", "credits"], str, str], ...] = (("usd", "$", ""), ("credits", "", f" {name}"))
    parts = []
    for key, before, after in moneys:
        stated, others = getattr(price, key), [other[key] for other in price.alternatives if key in other]
        readings = [f"{before}{float(amount):,g}" for amount in (stated, *others) if amount is not None]
        if readings:
            amounts = " or ".join(dict.fromkeys(readings))
            parts.append(f"{amounts}{after} / {unit}{' (disputed)' if others else ''}")
    return ", ".join(parts) or "not said"
