"""Defines `x-pricing`: the price of a request, by text, tokens, seconds or account plan."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Any, Literal

import msgspec

from voicegauge.contract.extension.sources import NonNegativeFloat, PositiveFloat, SourceReference
from voicegauge.formats import EventLocation, Location
from voicegauge.model import Record

PriceUnit = Literal["request", "1k_characters", "1m_characters", "1m_tokens", "second", "minute", "compute_second"]
"""What a price is for. `second` and `minute` are of audio, `compute_second` is of the machine that computes it."""
TEXT_UNITS: tuple[PriceUnit, ...] = ("request", "1k_characters", "1m_characters")
"""Units whose number follows from the text of a request."""


_TAG_PATTERN = re.compile(r"</?([A-Za-z][\w:.-]*)[^<>]*>|<[!?][^<>]*>")
_UNICODE_NAME_PREFIXES_OF_HAN = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH")


class PriceUsage(Record, frozen=True, kw_only=True):
    """How many tokens or seconds a request uses, which is not known before the response."""

    max_per_request: NonNegativeFloat = 0.0
    """Upper bound for a request without text, in tokens or seconds."""
    max_per_character: NonNegativeFloat = 0.0
    """Upper bound for each character of the text, in tokens or seconds, in addition to `max_per_request`. The price of
    these bounds is reserved before the request is sent."""
    reported: Location | None = None
    """Location of the number in the response, or for a job in the status response."""
    reported_in_event: EventLocation | None = None
    """Location of the number in the event that ends a stream."""


class CharacterCount(Record, frozen=True, kw_only=True):
    """How the characters of a text are counted for its price. By default, each Unicode code point counts as one."""

    unit: Literal["character", "utf8_byte"] = "character"
    """Whether characters are charged, or the bytes of the text in UTF-8."""
    whitespace: bool = True
    """Whether white space counts."""
    doubled: Literal["han", "wide"] | None = None
    """Which characters count twice: Chinese characters, in Japanese and Korean as well (`han`), or all that are as wide
    as two Latin ones, such as kana and Hangul (`wide`)."""
    tags: bool = True
    """For text with markup: whether its tags count."""
    free_tags: tuple[str, ...] = ()
    """Names of the tags that do not count although others do."""
    source: SourceReference | None = None

    def count(self, text: str, *, has_markup: bool = False) -> int:
        """Return the number of characters, or bytes, that `text` is charged for.

        Args:
            text: the text as it is sent.
            has_markup: whether the text is in a markup language, such as SSML, so that it may have tags.
        """
        if has_markup:
            text = _TAG_PATTERN.sub(self._remove_uncharged_tag, text)
        if not self.whitespace:
            text = "".join(text.split())
        length = len(text.encode(errors="surrogatepass")) if self.unit == "utf8_byte" else len(text)
        return length if self.doubled is None else length + sum(map(self._is_counted_twice, text))

    def _remove_uncharged_tag(self, tag: re.Match[str]) -> str:
        return tag[0] if self.tags and tag[1] not in self.free_tags else ""

    def _is_counted_twice(self, character: str) -> bool:
        if self.doubled == "wide":
            return unicodedata.east_asian_width(character) in ("W", "F")
        return unicodedata.name(character, "").startswith(_UNICODE_NAME_PREFIXES_OF_HAN)


class PlanPrice(Record, frozen=True, kw_only=True):
    """The price for accounts with one plan."""

    usd: NonNegativeFloat | None = None
    credits: NonNegativeFloat | None = None
    included: PositiveFloat | None = None
    """Number of units per month that the fee of the plan includes. The cost of a request is computed as if they were
    used up."""
    monthly_fee_usd: NonNegativeFloat | None = None
    """The fee of the plan per month, in dollars; `None` if no document states it."""
    overage: bool = True
    """Whether units beyond the included ones can be bought, at the price of the plan."""
    source: SourceReference | None = None


class PriceSpec(Record, frozen=True, kw_only=True):
    """`x-pricing` on an operation, or `pricing` of a target."""

    per: PriceUnit
    """The unit that the price is for."""
    usd: NonNegativeFloat | None = None
    """Price of one unit in dollars; `None` if no document states it."""
    credits: NonNegativeFloat | None = None
    """Price of one unit in credits; `None` if no document states it."""
    label: str | None = None
    """What this part of a price is for, such as "input"."""
    count: CharacterCount = CharacterCount()
    """How characters are counted. It applies to all parts and alternatives of a price."""
    step: PositiveFloat | None = None
    """Each request is rounded up to a multiple of this number of characters, tokens or seconds; `None`: no rounding."""
    minimum: NonNegativeFloat = 0.0
    """Minimum number of characters, tokens or seconds that a request is charged for."""
    usage: PriceUsage | None = None
    """The tokens or seconds that a request uses; required for tokens and compute seconds."""
    plus: tuple[PriceSpec, ...] = ()
    """Further parts of the price that are added to this one, such as output tokens to input tokens."""
    plans: dict[str, PlanPrice] = {}
    """Prices by account plan (`x-limits.plans`). Without a named plan, `usd` and `credits` count, so no plan has a
    higher price."""
    source: SourceReference | None = None
    alternatives: tuple[PriceSpec, ...] = ()
    """Prices that other documents state. If the price itself has no amount, the highest of them is reserved."""

    @property
    def parts(self) -> tuple[PriceSpec, ...]:
        """All parts of the price, whose sum is charged: this one and those in `plus`."""
        return (self, *self.plus)

    @property
    def readings(self) -> tuple[PriceSpec, ...]:
        """This price and its alternatives: the prices that contradicting documents state."""
        return (self, *self.alternatives)

    @property
    def plan_names(self) -> tuple[str, ...]:
        """Names of the plans with prices of their own, in any part or reading."""
        return tuple(dict.fromkeys(name for one in self.readings for part in one.parts for name in part.plans))

    @property
    def depends_only_on_text(self) -> bool:
        """Whether the price can be computed from the text of the request, before the response."""
        return all(part.per in TEXT_UNITS for part in self.parts)

    def select_plan(self, plan_names: Collection[str]) -> PriceSpec:
        """Return the price for accounts with the first documented plan that `plan_names` contains.

        If it contains none, the price is unchanged.
        """
        if not plan_names:
            return self
        selected = next((item for item in self.plans.items() if item[0] in plan_names), None)
        amounts: dict[str, Any] = {}
        if selected is not None:
            name, plan = selected
            amounts = {"usd": plan.usd, "credits": plan.credits, "plans": {name: plan}}
        return msgspec.structs.replace(
            self,
            plus=tuple(part.select_plan(plan_names) for part in self.plus),
            alternatives=tuple(reading.select_plan(plan_names) for reading in self.alternatives),
            **amounts,
        )
