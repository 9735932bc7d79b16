"""What a target costs: by the contract's price, and by what the provider said it charged."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from voicegauge.model import Cost, Record, Sample, TargetRef

TEXT_LENGTH = 500
"""Characters of the text at which a price for a million characters is stated, unless asked otherwise.

A paragraph, and the shortest limit of a request that the bundled contracts document.
"""


class CostLine(Record, frozen=True, kw_only=True):
    """The price of a text as a straight line over its length.

    A price a minute of audio stands as a price a character, by the audio measured in the run.
    """

    fixed_usd: float
    """Of each request, whatever its length."""
    usd_per_character: float
    max_characters: int | None = None
    """A longer text takes several requests; `None` where no document says."""

    def request_usd(self, characters: int) -> float:
        """The price of a text of `characters`, in as many requests as it takes."""
        requests = math.ceil(characters / self.max_characters) if self.max_characters else 1
        return self.fixed_usd * max(requests, 1) + self.usd_per_character * characters

    def usd_per_1m_characters(self, characters: int) -> float:
        """The price of a million characters, sent as texts of `characters`."""
        return self.request_usd(characters) / characters * 1_000_000


class TargetCost(Record, frozen=True, kw_only=True):
    """What a request cost, by the contract's price and by what the provider said it charged."""

    usd_per_request: float | None
    """Mean price of the samples' texts; `None` where no document says."""
    credits_per_request: float | None
    """Mean price in the provider's own credits."""
    charged_usd_per_request: float | None
    """Mean of what was said to be charged; `None` where the provider never said."""
    charged_credits_per_request: float | None
    charged_samples: int
    """Samples whose answer said what was charged."""
    charge_differs: bool
    """What was charged is not the contract's price for at least one sample."""
    usd_per_1m_characters: float | None
    """Price of a million characters sent as texts of `characters` characters."""
    usd_per_audio_minute: float | None
    """Price of a minute of audio; `None` where the price is by another measure, or no document says."""
    credits_per_audio_minute: float | None
    characters: int
    """The text length at which `usd_per_1m_characters` is stated."""
    line: CostLine | None
    """For any other text length; `None` where no document says the price."""
    disputed: bool
    """The documents disagree about the price; shown is the price itself, else the dearest reading."""
    price: str
    """In words, as the contract has it."""


def sample_audio_s(sample: Sample) -> float | None:
    """The length of a sample's audio; `None` where there is none or it could not be decoded."""
    return sample.audio.audio_s if sample.audio and not sample.failure else None


def target_cost(target: TargetRef, samples: Sequence[Sample], characters: int) -> TargetCost:
    """What the `samples` of `target` cost, and what texts of `characters` characters would."""

    def average(value: Callable[[Sample], float | None]) -> float | None:
        known = [found for sample in samples if (found := value(sample)) is not None]
        return sum(known) / len(known) if known else None

    charged = [s for s in samples if s.cost.charged_usd is not None or s.cost.charged_credits is not None]
    line = cost_line(target, samples)
    return TargetCost(
        usd_per_request=average(lambda s: s.cost.price_usd),
        credits_per_request=average(lambda s: s.cost.price_credits),
        charged_usd_per_request=average(lambda s: s.cost.charged_usd),
        charged_credits_per_request=average(lambda s: s.cost.charged_credits),
        charged_samples=len(charged),
        charge_differs=any(_differs(s.cost) for s in charged),
        usd_per_1m_characters=line.usd_per_1m_characters(characters) if line else None,
        usd_per_audio_minute=target.usd_per_minute,
        credits_per_audio_minute=target.credits_per_minute,
        characters=characters,
        line=line,
        disputed=target.price_disputed,
        price=target.price,
    )


def _differs(cost: Cost) -> bool:
    pairs = ((cost.price_usd, cost.charged_usd), (cost.price_credits, cost.charged_credits))
    return any(
        price is not None and charged is not None and not math.isclose(price, charged, rel_tol=1e-6, abs_tol=1e-9)
        for price, charged in pairs
    )


def cost_line(target: TargetRef, samples: Sequence[Sample]) -> CostLine | None:
    """The target's price over the text's length.

    `None` where no document says, or where a price a minute meets no audio to tell the minutes.
    """
    a_character = target.usd_per_character
    if target.usd_per_minute is not None:
        minutes = _minutes_per_character(samples)
        if minutes is None:
            return None
        a_character = (a_character or 0.0) + target.usd_per_minute * minutes
    if a_character is None and target.usd_per_request is None:
        return None
    return CostLine(
        fixed_usd=target.usd_per_request or 0.0,
        usd_per_character=a_character or 0.0,
        max_characters=target.max_characters,
    )


def _minutes_per_character(samples: Sequence[Sample]) -> float | None:
    spoken = [(len(s.text), length) for s in samples if (length := sample_audio_s(s)) is not None]
    characters = sum(count for count, _ in spoken)
    return sum(length for _, length in spoken) / 60 / characters if characters else None
