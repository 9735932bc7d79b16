"""Defines `x-pricing`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Any, Literal

import msgspec

from voicegauge.contract.extension.provider import NonNegativeFloat, PositiveFloat, SourceReference
from voicegauge.formats.locations import EventLocation, Location
from voicegauge.model.base import Record

PriceUnit = Literal["request", "1k_characters", "1m_characters", "1m_tokens", "second", "minute", "compute_second"]
"""The unit of a price. `second` and `minute` are durations of audio; `compute_second` is time of the machine."""
UNITS_COUNTED_FROM_TEXT: tuple[PriceUnit, ...] = ("request", "1k_characters", "1m_characters")
"""Units whose number follows from the text of a request."""


_TAG_PATTERN = re.compile(r"</?([A-Za-z][\w:.-]*)[^<>]*>|<[!?][^<>]*>")
"""Matches a tag of markup with its name, or a declaration or processing instruction without one."""
_UNICODE_NAME_PREFIXES_OF_HAN = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH")
"""Beginnings of the Unicode names of Chinese characters."""


class UsageSpec(Record, frozen=True, kw_only=True):
    """Tokens or seconds that a request uses, typically and at most, and where the response reports their number."""

    max_per_request: NonNegativeFloat = 0.0
    """Upper bound for a request without text, in tokens or seconds."""
    max_per_character: NonNegativeFloat = 0.0
    """Upper bound for each character of the text, in tokens or seconds, in addition to `max_per_request`. The price of
    these bounds is reserved before the request is sent."""
    typical_per_request: NonNegativeFloat | None = None
    """Typical number of tokens or seconds for a request without text."""
    typical_per_character: NonNegativeFloat | None = None
    """Typical number of tokens or seconds for each character, in addition to `typical_per_request`. If neither is
    documented, the price is known as an upper bound only, and is not compared with others."""
    reported_usage_location: Location | None = None
    """Location of the number of tokens or seconds in the response, or for a job in the status response."""
    event_usage_location: EventLocation | None = None
    """Location of the number of tokens or seconds in the event that ends a stream."""


class CharacterCounting(Record, frozen=True, kw_only=True):
    """How the characters of a text are counted for its price. By default, each Unicode code point counts as one."""

    counted_unit: Literal["character", "utf8_byte"] = "character"
    """Whether characters are charged, or the bytes of the text in UTF-8."""
    counts_whitespace: bool = True
    """Whether white space in the text is charged."""
    characters_counted_twice: Literal["han", "wide"] | None = None
    """Which characters count twice: Chinese characters, including those in Japanese and Korean (`han`), or all that are
    as wide as two Latin ones, such as kana and Hangul (`wide`)."""
    counts_tags: bool = True
    """For text with markup: whether its tags count."""
    uncounted_tag_names: tuple[str, ...] = ()
    """Names of the tags that do not count although others do."""
    source: SourceReference | None = None

    def count_characters(self, text: str, *, has_markup: bool = False) -> int:
        """Return the number of characters, or bytes, that `text` is charged for.

        Args:
            text: the text as it is sent.
            has_markup: whether the text is in a markup language, such as SSML, so that it may have tags.
        """
        if has_markup:
            text = _TAG_PATTERN.sub(self._remove_uncounted_tag, text)
        if not self.counts_whitespace:
            text = "".join(text.split())
        length = len(text.encode(errors="surrogatepass")) if self.counted_unit == "utf8_byte" else len(text)
        return length if self.characters_counted_twice is None else length + sum(map(self._is_counted_twice, text))

    def _remove_uncounted_tag(self, tag: re.Match[str]) -> str:
        return tag[0] if self.counts_tags and tag[1] not in self.uncounted_tag_names else ""

    def _is_counted_twice(self, character: str) -> bool:
        if self.characters_counted_twice == "wide":
            return unicodedata.east_asian_width(character) in ("W", "F")
        return unicodedata.name(character, "").startswith(_UNICODE_NAME_PREFIXES_OF_HAN)


class PlanPrice(Record, frozen=True, kw_only=True):
    """The price for accounts with one plan, in place of the price without a plan."""

    usd_per_unit: NonNegativeFloat | None = None
    credits_per_unit: NonNegativeFloat | None = None
    included_units_per_month: PositiveFloat | None = None
    """Number of units per month that the fee of the plan includes. The cost of a request is computed as if they were
    used up."""
    monthly_fee_usd: NonNegativeFloat | None = None
    """The fee of the plan per month, in dollars; `None` if no document states it."""
    allows_extra_units: bool = True
    """Whether units beyond the included ones can be bought, at the price of the plan."""
    source: SourceReference | None = None

    @property
    def is_free_quota(self) -> bool:
        """Whether the plan includes free units without a fee. Free units are reported separately and lower no price."""
        return self.monthly_fee_usd == 0 and self.included_units_per_month is not None


class PriceSpec(Record, frozen=True, kw_only=True):
    """`x-pricing` on an operation, or `pricing` of a target."""

    unit: PriceUnit
    """The unit that the price is for."""
    usd_per_unit: NonNegativeFloat | None = None
    """Price of one unit in dollars; `None` if no document states it."""
    credits_per_unit: NonNegativeFloat | None = None
    """Price of one unit in credits; `None` if no document states it."""
    part_label: str | None = None
    """What this part of a price is for, such as "input"."""
    character_counting: CharacterCounting = CharacterCounting()
    """How characters are counted. It applies to all parts and alternatives of a price."""
    rounding_step: PositiveFloat | None = None
    """The number of characters, tokens or seconds of each request is rounded up to a multiple of this step; `None` if
    it is not rounded."""
    min_charged_quantity: NonNegativeFloat = 0.0
    """Minimum number of characters, tokens or seconds that a request is charged for."""
    usage: UsageSpec | None = None
    """The tokens or seconds that a request uses; required for tokens and compute seconds."""
    added_parts: tuple[PriceSpec, ...] = ()
    """Further parts of the price that are added to this one, such as output tokens to input tokens."""
    plan_prices: dict[str, PlanPrice] = {}
    """Prices by account plan (`x-limits.plan_limits`). Without a named plan, the price itself counts, so no plan has a
    higher price."""
    source: SourceReference | None = None
    exactness: Literal["exact", "typical", "upper_bound"] = "exact"
    """Whether the amount is charged, is about what is charged, or is the most that is charged. The number of tokens or
    seconds has bounds of its own in `usage`."""
    is_of_other_model: bool = False
    """Whether the document states the price for another model or version. Such a price never counts."""
    alternatives: tuple[PriceSpec, ...] = ()
    """Claims of other documents. The newest one that binds the provider counts; the highest one is reserved before a
    request is sent. Prices of resellers and of other models never count."""

    @property
    def parts(self) -> tuple[PriceSpec, ...]:
        """All parts of the price, whose sum is charged: this one and `added_parts`."""
        return (self, *self.added_parts)

    @property
    def price_and_alternatives(self) -> tuple[PriceSpec, ...]:
        """This price and its alternatives: the prices that contradicting documents state."""
        return (self, *self.alternatives)

    @property
    def plan_names(self) -> tuple[str, ...]:
        """Names of the plans with prices of their own, in any part or alternative of the price."""
        return tuple(
            dict.fromkeys(
                name for one in self.price_and_alternatives for part in one.parts for name in part.plan_prices
            )
        )

    @property
    def depends_only_on_text(self) -> bool:
        """Whether the price can be computed from the text of the request, before the response."""
        return all(part.unit in UNITS_COUNTED_FROM_TEXT for part in self.parts)

    def select_plan(self, plan_names: Collection[str]) -> PriceSpec:
        """Return the price for accounts with the first documented plan that `plan_names` contains.

        If it contains none, the price is unchanged.
        """
        if not plan_names:
            return self
        selected = next((item for item in self.plan_prices.items() if item[0] in plan_names), None)
        amounts: dict[str, Any] = {}
        if selected is not None:
            name, plan = selected
            amounts = {
                "usd_per_unit": plan.usd_per_unit,
                "credits_per_unit": plan.credits_per_unit,
                "plan_prices": {name: plan},
            }
        return msgspec.structs.replace(
            self,
            added_parts=tuple(part.select_plan(plan_names) for part in self.added_parts),
            alternatives=tuple(reading.select_plan(plan_names) for reading in self.alternatives),
            **amounts,
        )
