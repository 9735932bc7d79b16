"""Defines `x-pricing`: what a price is for, how its units are counted, and what a document claims with it."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from voicegauge.contract.extension.provider import NonNegativeFloat, PositiveFloat, SourceDocument, SourceReference
from voicegauge.formats.locations import EventLocation, Location
from voicegauge.model.base import Record
from voicegauge.model.price import Claimant, PlanClaim, PriceClaim, PricePart, round_up_quantity

PriceUnit = Literal["request", "1k_characters", "1m_characters", "1m_tokens", "second", "minute", "compute_second"]
"""The unit of a price. `second` and `minute` are durations of audio; `compute_second` is time of the machine."""
BaseUnit = Literal["request", "character", "token", "audio_second", "compute_second"]
"""What the units of prices consist of."""


class _UnitMeaning(NamedTuple):
    """What a unit of a price stands for."""

    base_unit: BaseUnit
    base_unit_count: float
    """Number of base units."""
    label: str
    """The unit in words, as it is printed after an amount."""


_MEANING_BY_PRICE_UNIT: Mapping[PriceUnit, _UnitMeaning] = {
    "request": _UnitMeaning("request", 1, "request"),
    "1k_characters": _UnitMeaning("character", 1_000, "1,000 characters"),
    "1m_characters": _UnitMeaning("character", 1_000_000, "1,000,000 characters"),
    "1m_tokens": _UnitMeaning("token", 1_000_000, "1,000,000 tokens"),
    "second": _UnitMeaning("audio_second", 1, "second of audio"),
    "minute": _UnitMeaning("audio_second", 60, "minute of audio"),
    "compute_second": _UnitMeaning("compute_second", 1, "second of computing"),
}
ASSUMED_SPEECH_CHARACTERS_PER_S = 15.0
"""Estimated number of characters spoken per second, for prices per minute of audio. English is spoken at about 150
words, or 900 characters, per minute."""
SLOWEST_SPEECH_CHARACTERS_PER_S = ASSUMED_SPEECH_CHARACTERS_PER_S / 2
"""Estimated number of characters per second of slow speech, for the highest price of a text that is charged by time."""
_MARKUP_TAG_PATTERN = re.compile(r"</?([A-Za-z][\w:.-]*)[^<>]*>|<[!?][^<>]*>")
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

    @property
    def states_typical_usage(self) -> bool:
        """Whether a document says what requests typically use."""
        return self.typical_per_request is not None or self.typical_per_character is not None

    def compute_upper_bound(self, character_count: int) -> float:
        """Return the documented upper bound of the tokens or seconds that a text uses."""
        return self.max_per_request + self.max_per_character * character_count


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
            text = _MARKUP_TAG_PATTERN.sub(
                lambda tag: tag[0] if self.counts_tags and tag[1] not in self.uncounted_tag_names else "", text
            )
        if not self.counts_whitespace:
            text = "".join(text.split())
        # A text that cannot be sent, with half of a surrogate pair, has a length nevertheless.
        length = len(text.encode(errors="surrogatepass")) if self.counted_unit == "utf8_byte" else len(text)
        return length if self.characters_counted_twice is None else length + sum(map(self._is_counted_twice, text))

    def _is_counted_twice(self, character: str) -> bool:
        if self.characters_counted_twice == "wide":
            return unicodedata.east_asian_width(character) in ("W", "F")
        return unicodedata.name(character, "").startswith(_UNICODE_NAME_PREFIXES_OF_HAN)


class PlanPrice(Record, frozen=True, kw_only=True):
    """The price for accounts with one plan, in place of the price without a plan."""

    usd_per_unit: NonNegativeFloat | None = None
    """Price of one unit in dollars; `None` if no document states it."""
    credits_per_unit: NonNegativeFloat | None = None
    """Price of one unit in credits; `None` if no document states it."""
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


class CostInUsdAndCredits(NamedTuple):
    """A cost in dollars and in the provider's credits; each is `None` if it is not known."""

    usd: float | None
    credits: float | None


class PriceSpec(Record, frozen=True, kw_only=True):
    """What a request costs, as a document states it: `x-pricing` on an operation, or `pricing` of a target."""

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
        return all(part.base_unit in ("request", "character") for part in self.parts)

    @property
    def reports_usage(self) -> bool:
        """Whether responses report how many tokens or seconds of a part of the price were used."""
        usages = (part.usage for part in self.parts)
        return any(
            usage is not None and (usage.reported_usage_location or usage.event_usage_location) for usage in usages
        )

    @property
    def states_any_amount(self) -> bool:
        """Whether any part of the price has an amount, in dollars, in credits or for a plan."""
        return any(
            part.usd_per_unit is not None or part.credits_per_unit is not None or part.plan_prices
            for part in self.parts
        )

    def compute_cost(self, credit_usd: float | None, count_units: Callable[[PriceSpec], float]) -> CostInUsdAndCredits:
        """Return the cost of a request by this price, without its alternatives.

        Args:
            credit_usd: price of one credit in dollars; `None` if it is unknown.
            count_units: returns the number of units of a part of the price.
        """
        costs = [compute_cost_of_units(part, credit_usd, count_units(part)) for part in self.parts]
        return CostInUsdAndCredits(sum_if_known(one.usd for one in costs), sum_if_known(one.credits for one in costs))

    @property
    def base_unit(self) -> BaseUnit:
        """What one unit of the price consists of."""
        return _MEANING_BY_PRICE_UNIT[self.unit].base_unit

    @property
    def unit_size(self) -> float:
        """Number of characters, tokens or seconds in one unit of the price; 1 for a price per request."""
        return _MEANING_BY_PRICE_UNIT[self.unit].base_unit_count

    @property
    def unit_label(self) -> str:
        """The unit in words, and what this part of the price is for: "1,000,000 tokens (input)"."""
        label = _MEANING_BY_PRICE_UNIT[self.unit].label
        return label if self.part_label is None else f"{label} ({self.part_label})"

    def convert_to_charged_units(self, quantity: float) -> float:
        """Return the number of units that a request with `quantity` characters, tokens or seconds is charged for."""
        return round_up_quantity(quantity, self.rounding_step, self.min_charged_quantity) / self.unit_size

    def count_units(self, character_count: int, audio_s: float | None = None, *, takes_maximum: bool = False) -> float:
        """Return the number of units that a request is charged for by this part of a price.

        Args:
            character_count: number of characters in the text, as `Target.count_charged_characters` counts them.
            audio_s: duration of the audio in seconds; `None` estimates it from the number of characters.
            takes_maximum: if the number of units depends on the response, whether to return the highest number instead
                of the typical one. If no typical number is documented, the highest one is returned in any case.
        """
        if self.base_unit == "request":
            return 1.0
        if self.base_unit == "audio_second" and audio_s is not None:
            return self.convert_to_charged_units(audio_s)
        per_request, per_character = self.estimate_base_units(takes_maximum=takes_maximum)
        return self.convert_to_charged_units(per_request + per_character * character_count)

    def estimate_base_units(self, *, takes_maximum: bool) -> tuple[float, float]:
        """Return how many base units a request without text has, and how many each character adds.

        Args:
            takes_maximum: whether the highest numbers are returned instead of the typical ones; of a usage without
                typical numbers, they are returned in any case.
        """
        if self.base_unit in ("request", "character"):
            return (1.0, 0.0) if self.base_unit == "request" else (0.0, 1.0)
        if self.usage is None:
            return 0.0, 1 / (SLOWEST_SPEECH_CHARACTERS_PER_S if takes_maximum else ASSUMED_SPEECH_CHARACTERS_PER_S)
        if takes_maximum or not self.usage.states_typical_usage:
            return self.usage.max_per_request, self.usage.max_per_character
        return self.usage.typical_per_request or 0.0, self.usage.typical_per_character or 0.0

    def select_plan(self, plan_names: Collection[str]) -> PriceSpec:
        """Return the price for accounts with the first documented plan that `plan_names` contains.

        If it contains none, the price is unchanged.
        """
        if not plan_names:
            return self
        # The first in the order of the document, not of `plan_names`, which are a set for a contract.
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


def sum_if_known(amounts: Iterable[float | None]) -> float | None:
    """Return the sum; `None` if one of the amounts is not known."""
    listed = list(amounts)
    known = [amount for amount in listed if amount is not None]
    # `fsum`: sums of prices such as 0.1 and 0.2 dollars are compared with charges to the last digit.
    return math.fsum(known) if len(known) == len(listed) else None


def compute_cost_of_units(
    amounts: PriceSpec | PlanPrice, credit_usd: float | None, unit_count: float
) -> CostInUsdAndCredits:
    """Return the cost of a number of units, by the amounts per unit of a part of a price or of a plan.

    Args:
        amounts: the part or the plan. If it has an amount in credits alone, the cost in dollars follows from it.
        credit_usd: price of one credit in dollars; `None` if it is unknown.
        unit_count: number of units.
    """
    credits = None if amounts.credits_per_unit is None else amounts.credits_per_unit * unit_count
    if amounts.usd_per_unit is not None:
        return CostInUsdAndCredits(amounts.usd_per_unit * unit_count, credits)
    if amounts.credits_per_unit == 0:  # free, even if the price of a credit is unknown
        return CostInUsdAndCredits(0.0, 0.0)
    return CostInUsdAndCredits(None if credits is None or credit_usd is None else credits * credit_usd, credits)


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
        counting: how characters are counted; `None` for how the price itself says.
    """
    # A run saves prices without texts. Where characters count once, its report can compute the price of another length.
    counts_once = (counting or price.character_counting) == CharacterCounting()
    document = sources.get(price.source.document_name) if price.source is not None else None
    parts = tuple(_build_price_part(part, credit_usd, counts_each_character_once=counts_once) for part in price.parts)
    has_only_bounds = any(part.usage is not None and not part.usage.states_typical_usage for part in price.parts)
    is_about = any(part.base_unit == "audio_second" or part.usage is not None for part in price.parts)
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


def _build_price_part(
    price_part: PriceSpec, credit_usd: float | None, *, counts_each_character_once: bool
) -> PricePart:
    cost = compute_cost_of_units(price_part, credit_usd, 1 / price_part.unit_size)
    typical = price_part.estimate_base_units(takes_maximum=False)
    highest = price_part.estimate_base_units(takes_maximum=True)
    return PricePart(
        unit=price_part.base_unit,
        usd_per_unit=cost.usd,
        credits_per_unit=cost.credits,
        units_per_request=typical[0],
        units_per_character=typical[1],
        max_units_per_request=highest[0],
        max_units_per_character=highest[1],
        rounding_step=price_part.rounding_step,
        min_charged_units=price_part.min_charged_quantity,
        counts_each_character_once=counts_each_character_once or price_part.base_unit != "character",
    )


def _iterate_plan_claims(price: PriceSpec, credit_usd: float | None) -> Iterator[PlanClaim]:
    size = price.unit_size
    for name, plan in price.plan_prices.items():
        usd = compute_cost_of_units(plan, credit_usd, 1).usd
        if usd is not None:
            included = None if plan.included_units_per_month is None else plan.included_units_per_month * size
            yield PlanClaim(
                name=name,
                monthly_fee_usd=plan.monthly_fee_usd,
                included_units_per_month=included,
                usd_per_extra_unit=usd / size,
                allows_extra_units=plan.allows_extra_units,
            )
