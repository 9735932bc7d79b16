"""Computes the cost of a target from its documented price and the charges that the provider reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from voicegauge.contract import is_rounded_amount
from voicegauge.model import AmountPerUnit, Cost, Record, Sample, TargetRef

DEFAULT_TEXT_LENGTH_CHARACTERS = 500
"""Default text length, in characters, at which the price per million characters is stated.

It is the length of a paragraph, and the lowest text limit that the bundled contracts document. The
length matters because a price per request becomes cheaper per character the longer the text is.
"""


DEFAULT_MONTHLY_CHARACTERS = 10_000_000
"""Default number of characters spoken in a month, at which the monthly price is stated."""


class CostLine(Record, frozen=True, kw_only=True):
    """The price of a text as a linear function of the text's length.

    A price per minute of audio is converted to a price per character with the audio durations measured in the run.
    """

    fixed_usd: float
    """Fixed price of each request, in addition to the price for its length."""
    usd_per_character: float
    max_characters: int | None = None
    """Number of characters that one request may have at most; `None` if no document states a limit."""

    def compute_request_usd(self, characters: int) -> float:
        """Return the price of a text with this number of characters, split into as many requests as necessary."""
        requests = math.ceil(characters / self.max_characters) if self.max_characters else 1
        return self.fixed_usd * max(requests, 1) + self.usd_per_character * characters

    def compute_usd_per_1m_characters(self, text_length_characters: int) -> float:
        """Return the price of a million characters that are sent as texts with this number of characters."""
        return self.compute_request_usd(text_length_characters) / text_length_characters * 1_000_000


class TargetCost(Record, frozen=True, kw_only=True):
    """Mean cost of a target's requests, and its prices in comparable units."""

    usd_per_request: float | None
    """Mean documented price of the samples in dollars; `None` if no document states a price."""
    credits_per_request: float | None
    """Mean documented price of the samples in the provider's own credits."""
    charged_usd_per_request: float | None
    """Mean charge that the provider reported; `None` if it reported no charge."""
    charged_credits_per_request: float | None
    charged_samples: int
    """Number of samples for which the provider reported a charge."""
    charge_differs: bool
    """Whether at least one charge differs from the documented price by more than rounding."""
    usd_per_1m_characters: float | None
    """Price of a million characters, sent as texts of `characters` characters."""
    usd_per_audio_minute: float | None
    """Price per minute of audio; `None` if the price has another unit or no document states a price."""
    credits_per_audio_minute: float | None
    characters: int
    """Text length at which `usd_per_1m_characters` is stated."""
    line: CostLine | None
    """Price as a function of the text length; see `estimate_cost_line` for when it is `None`."""
    disputed: bool
    """Whether the documents contradict each other about the price.

    If so, the user's own price is shown, or else the highest documented one.
    """
    price: str
    """The documented price in words."""


def get_sample_audio_s(sample: Sample) -> float | None:
    """Return the duration of a successful sample's audio; `None` if there is no audio that could be decoded."""
    return sample.audio.audio_s if sample.audio and not sample.failure else None


def compute_target_cost(target: TargetRef, samples: Sequence[Sample], text_length_characters: int) -> TargetCost:
    """Compute the mean cost of `samples` and the price of texts of `text_length_characters` characters."""

    def compute_average_of_samples(select_value: Callable[[Sample], float | None]) -> float | None:
        known = [found for sample in samples if (found := select_value(sample)) is not None]
        return sum(known) / len(known) if known else None

    charged = [s for s in samples if s.cost.charged_usd is not None or s.cost.charged_credits is not None]
    line = estimate_cost_line(target, samples)
    return TargetCost(
        usd_per_request=compute_average_of_samples(lambda s: s.cost.price_usd),
        credits_per_request=compute_average_of_samples(lambda s: s.cost.price_credits),
        charged_usd_per_request=compute_average_of_samples(lambda s: s.cost.charged_usd),
        charged_credits_per_request=compute_average_of_samples(lambda s: s.cost.charged_credits),
        charged_samples=len(charged),
        charge_differs=any(_charge_differs(s.cost) for s in charged),
        usd_per_1m_characters=line.compute_usd_per_1m_characters(text_length_characters) if line else None,
        usd_per_audio_minute=_compute_amount_per_audio_minute(target.price.usd),
        credits_per_audio_minute=_compute_amount_per_audio_minute(target.price.credits),
        characters=text_length_characters,
        line=line,
        disputed=target.price.disputed,
        price=target.price.description,
    )


def _compute_amount_per_audio_minute(price: AmountPerUnit | None) -> float | None:
    return price.amount if price is not None and price.unit == "minute" else None


def _charge_differs(cost: Cost) -> bool:
    pairs = ((cost.price_usd, cost.charged_usd), (cost.price_credits, cost.charged_credits))
    return any(
        price is not None and charged is not None and not is_rounded_amount(charged, price) for price, charged in pairs
    )


def estimate_cost_line(target: TargetRef, samples: Sequence[Sample]) -> CostLine | None:
    """Return the target's price as a function of text length.

    Args:
        target: the target with its price.
        samples: samples of the target; for a price per minute, they show the minutes of audio per character, and for a
            price that depends on tokens or seconds of computing, the price per character.

    Returns:
        The price; `None` if no document states a price in dollars, or if a price per minute
        cannot be converted because no sample has audio.
    """
    price = target.price.usd
    if price is None:
        return None
    fixed_usd, usd_per_character = 0.0, 0.0
    match price.unit:
        case "request":
            fixed_usd = price.amount
        case "character":
            usd_per_character = price.amount
        case "minute":
            minutes = _estimate_audio_minutes_per_character(samples)
            if minutes is None:
                return None
            usd_per_character = price.amount * minutes
        case "estimated_character":
            measured = _average_usd_per_character(samples)
            usd_per_character = price.amount if measured is None else measured
    return CostLine(fixed_usd=fixed_usd, usd_per_character=usd_per_character, max_characters=target.max_characters)


def _average_usd_per_character(samples: Sequence[Sample]) -> float | None:
    """Return the price per character of the measured samples; `None` if no sample has a price."""
    prices = [(len(s.text), s.cost.price_usd) for s in samples if s.cost.price_usd is not None]
    characters = sum(length for length, _ in prices)
    return math.fsum(price for _, price in prices) / characters if characters else None


def _estimate_audio_minutes_per_character(samples: Sequence[Sample]) -> float | None:
    durations = [(len(s.text), audio_s) for s in samples if (audio_s := get_sample_audio_s(s)) is not None]
    characters = sum(length for length, _ in durations)
    return sum(audio_s for _, audio_s in durations) / 60 / characters if characters else None
