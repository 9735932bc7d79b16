"""Computes the cost of a target from its documented price and the charges that were reported, and changes of prices."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from voicegauge.bench import DEFAULT_CHARACTERS_PER_MONTH, DEFAULT_TEXT_LENGTH
from voicegauge.bench._metric_changes import BoundedChange
from voicegauge.contract.price_computation import is_rounded_amount
from voicegauge.model.base import Record
from voicegauge.model.price import (
    BINDING_CLAIMANTS,
    COUNTED_CLAIMANTS,
    MonthlyPrice,
    PlanClaim,
    PriceClaim,
    PricePart,
    PriceRange,
    compute_price_range,
    find_best_claim,
    format_price_usd,
)
from voicegauge.model.run import MeasuredTarget, Run, TargetPrice
from voicegauge.model.sample import Cost, Sample


class PriceFunction(Record, frozen=True, kw_only=True):
    """The price of a text as a function of its length, by every claim that counts."""

    claims: tuple[PriceClaim, ...]
    max_characters: int | None = None
    """Number of characters that one request may have at most; `None` if no document states a limit."""
    audio_s_per_character: float | None = None
    """Seconds of audio for each character, as measured in the run; `None` to use the assumed number."""

    @property
    def has_account_plans(self) -> bool:
        """Whether a claim has plans with a monthly fee, so that the price of a character depends on the volume."""
        return any(
            not plan.is_free_quota and plan.monthly_fee_usd is not None for claim in self.claims for plan in claim.plans
        )

    def compute_price_range_of_text(self, text_length: int) -> PriceRange:
        """Return the price of a text of `text_length` characters, without a plan."""
        return compute_price_range(
            self.claims,
            lambda claim, takes_maximum: claim.compute_text_usd(
                text_length,
                self.max_characters,
                takes_maximum=takes_maximum,
                audio_s_per_character=self.audio_s_per_character,
            ),
        )

    def compute_monthly_price_range(self, text_length: int, characters_per_month: int) -> PriceRange:
        """Return the price of `characters_per_month` characters that are sent as texts of `text_length` characters.

        By each claim, it is the price with the cheapest plan that allows this volume, or without plans.
        """

        def compute_usd(claim: PriceClaim, takes_maximum: bool) -> float | None:
            month = self._compute_price_of_month(claim, text_length, characters_per_month, takes_maximum=takes_maximum)
            return None if month is None else month.usd

        return compute_price_range(self.claims, compute_usd)

    def find_cheapest_account_plan(self, text_length: int, characters_per_month: int) -> PlanClaim | None:
        """Return the cheapest plan by the claim that counts; `None` without a plan.

        If no claim binds the provider, it is the plan that is the cheapest by every claim; `None` if they differ.
        """
        best = find_best_claim(self.claims)
        found: list[PlanClaim | None] = []
        for claim in self.claims if best is None else (best,):
            month = self._compute_price_of_month(claim, text_length, characters_per_month)
            name = None if month is None else month.account_plan_name
            found.append(next((plan for plan in claim.plans if plan.name == name), None))
        return found[0] if len({plan and plan.name for plan in found}) == 1 else None

    def compute_price_range_per_1m_characters(
        self, text_length: int, characters_per_month: int = DEFAULT_CHARACTERS_PER_MONTH
    ) -> PriceRange:
        """Return the price of a million characters, if a month has `characters_per_month` characters."""
        return self.compute_monthly_price_range(text_length, characters_per_month).scale(
            1_000_000 / characters_per_month
        )

    def _compute_price_of_month(
        self, claim: PriceClaim, text_length: int, characters_per_month: int, *, takes_maximum: bool = False
    ) -> MonthlyPrice | None:
        return claim.compute_monthly_price(
            text_length,
            characters_per_month,
            self.max_characters,
            takes_maximum=takes_maximum,
            audio_s_per_character=self.audio_s_per_character,
        )


class TargetCost(Record, frozen=True, kw_only=True):
    """Mean cost of a target's requests, and its prices in comparable units."""

    credits_per_request: float | None
    """Mean documented price of a request in the provider's own credits; `None` if no document states one."""
    charged_usd_per_request: float | None
    """Mean charge in US dollars that the provider reported; `None` if it reported no charge."""
    charged_credits_per_request: float | None
    """Mean charge in credits that the provider reported; `None` if it reported no charge."""
    charged_sample_count: int
    """Number of samples for which the provider reported a charge."""
    charge_differs_from_price: bool
    """Whether at least one reported charge differs from the documented price by more than a rounding error."""
    price_per_request: PriceRange
    """Mean price of a request in US dollars, with its lowest and its highest value by all claims."""
    price_per_1m_characters: PriceRange
    """Price in US dollars of a million characters, sent as texts of `text_length` characters, with the cheapest account
    plan for `characters_per_month`."""
    price_per_month: PriceRange
    """Price in US dollars of `characters_per_month` with the account plan `account_plan_name`."""
    price_per_audio_minute: PriceRange
    """Price in US dollars per minute of audio; without amounts if the price has another unit or nobody states one. For
    a target that takes audio, a price in another unit is divided by the minutes of audio of the samples."""
    account_plan_name: str | None
    """Name of the cheapest account plan; `None` if no plan with a documented fee is known."""
    account_plan_text: str
    """The plan `account_plan_name` in words, such as "pro: $49.00 per month, 1,250,000 characters included, then
    $0.045 / 1,000 characters"; empty without a plan."""
    credits_per_audio_minute: float | None
    """Price in credits per minute of audio; `None` if no document states one."""
    text_length: int
    """Text length at which `price_per_1m_characters` is stated."""
    characters_per_month: int
    """Number of characters of the month for which `price_per_month` and `price_per_1m_characters` are stated."""
    price_function: PriceFunction | None
    """Price as a function of the text length; `None` if no claim that counts states one in dollars."""
    free_quotas: tuple[str, ...]
    """What accounts get without a fee, such as "1,000,000 characters per month (default)". They lower none of the
    prices."""
    price_text: str
    """The documented price as text, such as "$0.015 / request"."""
    takes_audio: bool = False
    """Whether the target takes audio, as speech to text does: its prices are stated per minute of audio, and those per
    character, per month and of account plans are `None`."""

    @property
    def comparison_price(self) -> PriceRange:
        """The price by which targets are compared.

        It is per minute of audio if the target takes audio, or else per million characters.
        """
        return self.price_per_audio_minute if self.takes_audio else self.price_per_1m_characters

    @property
    def has_account_plans(self) -> bool:
        """Whether the price of a character depends on the characters of the month, because there are account plans."""
        return self.price_function is not None and self.price_function.has_account_plans

    @property
    def comparison_price_usd(self) -> float | None:
        """The price in dollars by which targets are ranked; `None` if no claim that binds the provider states one."""
        return self.comparison_price.usd

    @property
    def usd_per_1m_characters(self) -> float | None:
        """The price of a million characters in US dollars; `None` if no claim that binds the provider states one."""
        return self.price_per_1m_characters.usd


def convert_credits_to_usd(run: Run, usd_per_credit_by_provider: Mapping[str, float]) -> Run:
    """Return the run with added prices in dollars, for targets whose documents state prices in credits only.

    Args:
        run: a saved run.
        usd_per_credit_by_provider: price of one credit in dollars, by provider id.
    """
    rates = {
        target.id: usd_per_credit_by_provider[provider]
        for target in run.manifest.targets
        if (provider := target.id.partition("/")[0]) in usd_per_credit_by_provider
        and any(claim.compute_usd(1) is None for claim in target.price.claims)
    }
    if not rates:
        return run
    targets = tuple(_add_usd_price(one, rates[one.id]) if one.id in rates else one for one in run.manifest.targets)
    samples = tuple(
        _add_usd_amounts_to_sample(one, rates[one.target]) if one.target in rates else one for one in run.samples
    )
    return replace(run, manifest=replace(run.manifest, targets=targets), samples=samples)


def _add_usd_price(target: MeasuredTarget, usd_per_credit: float) -> MeasuredTarget:
    claims = tuple(_convert_price_claim(claim, usd_per_credit) for claim in target.price.claims)
    usd = format_price_usd(usd_per_credit, is_exact=True)
    description = f"{target.price.description}, at {usd} per credit (--credit-rate)"
    return replace(target, price=replace(target.price, claims=claims, description=description))


def _convert_price_claim(claim: PriceClaim, usd_per_credit: float) -> PriceClaim:
    if claim.compute_usd(1) is not None:
        return claim
    parts = tuple(
        replace(part, usd_per_unit=part.credits_per_unit * usd_per_credit)
        if part.usd_per_unit is None and part.credits_per_unit is not None
        else part
        for part in claim.parts
    )
    return replace(claim, parts=parts)


def _add_usd_amounts_to_sample(sample: Sample, usd_per_credit: float) -> Sample:
    cost = sample.cost
    if cost.price_usd is not None:
        return sample
    price, charge = (
        None if amount is None else amount * usd_per_credit for amount in (cost.price_credits, cost.charged_credits)
    )
    return replace(sample, cost=replace(cost, price_usd=price, charged_usd=charge))


def get_sample_audio_duration_s(sample: Sample) -> float | None:
    """Return the duration of a successful sample's audio in seconds; `None` if no audio could be decoded."""
    return sample.audio.audio_duration_s if sample.audio and not sample.failure else None


def compute_target_cost(
    target: MeasuredTarget,
    samples: Sequence[Sample],
    text_length: int,
    characters_per_month: int = DEFAULT_CHARACTERS_PER_MONTH,
    *,
    takes_audio: bool = False,
    uses_measurements: bool = False,
) -> TargetCost:
    """Compute the cost of a target from the costs of its samples.

    Args:
        target: the target with its price.
        samples: samples of the target.
        text_length: text length at which the price per million characters is stated.
        characters_per_month: number of characters of a month.
        takes_audio: whether audio is sent to the target.
        uses_measurements: whether the samples are real, so that their audio and usage count; see
            `build_price_function`.
    """

    def average_over_samples(select_value: Callable[[Sample], float | None]) -> float | None:
        known = [found for sample in samples if (found := select_value(sample)) is not None]
        return sum(known) / len(known) if known else None

    charged = [s for s in samples if s.cost.charged_usd is not None or s.cost.charged_credits is not None]
    price_function = None if takes_audio else build_price_function(target, samples, uses_measurements=uses_measurements)
    month = (
        price_function.compute_monthly_price_range(text_length, characters_per_month)
        if price_function
        else PriceRange()
    )
    usd_per_request = average_over_samples(lambda s: s.cost.price_usd)
    plan = price_function.find_cheapest_account_plan(text_length, characters_per_month) if price_function else None
    return TargetCost(
        credits_per_request=average_over_samples(lambda s: s.cost.price_credits),
        charged_usd_per_request=average_over_samples(lambda s: s.cost.charged_usd),
        charged_credits_per_request=average_over_samples(lambda s: s.cost.charged_credits),
        charged_sample_count=len(charged),
        charge_differs_from_price=any(_charge_differs_from_price(s.cost) for s in charged),
        price_per_request=_compute_price_range_per_request(target.price.claims, samples, usd_per_request),
        price_per_1m_characters=month.scale(1_000_000 / characters_per_month),
        price_per_month=month,
        price_per_audio_minute=_compute_price_range_per_audio_minute(
            target.price.claims, samples, takes_audio=takes_audio
        ),
        account_plan_name=plan.name if plan else None,
        account_plan_text=_describe_account_plan(plan, price_function.claims[0].parts[0].unit)
        if plan and price_function
        else "",
        credits_per_audio_minute=_compute_credits_per_audio_minute(
            target.price.claims, samples, takes_audio=takes_audio
        ),
        text_length=text_length,
        characters_per_month=characters_per_month,
        price_function=price_function,
        # Quotas are documented in characters; those in other units are stated without one.
        free_quotas=tuple(
            f"{plan.included_units_per_month or 0:,.0f} characters per month ({plan.name})"
            for plan in target.price.free_quotas
        ),
        price_text=target.price.description,
        takes_audio=takes_audio,
    )


_WORDS_BY_PRICE_UNIT: dict[str, tuple[int, str, int, str]] = {
    "request": (1, "request", 1, "requests"),
    "character": (1_000, "1,000 characters", 1, "characters"),
    "token": (1_000_000, "1,000,000 tokens", 1, "tokens"),
    "audio_second": (60, "minute of audio", 60, "minutes of audio"),
    "compute_second": (1, "second of computing", 1, "seconds of computing"),
}
"""By unit of a plan's price: the number of units for which the price is stated, and these in words; then the number by
which the included units are divided before they are shown, and the word for the result."""


def _describe_account_plan(plan: PlanClaim, unit: str) -> str:
    """Return the fee of a plan, what it includes, and the price of what exceeds that, as text."""
    size, unit_text, included_size, included_text = _WORDS_BY_PRICE_UNIT[unit]
    fee = f"{format_price_usd(plan.monthly_fee_usd)} per month" if plan.monthly_fee_usd else "no fee"
    # 12 digits leave out the error of dividing and multiplying by the number of units.
    usd = format_price_usd(float(f"{plan.usd_per_extra_unit * size:.12g}"), is_exact=True)
    price = f"{usd} / {unit_text}"
    if plan.included_units_per_month is None:
        return f"{plan.name}: {fee}, {price}"
    included = f"{plan.included_units_per_month / included_size:,.12g} {included_text} included"
    return f"{plan.name}: {fee}, {included}, then {price if plan.allows_extra_units else 'no more'}"


def _compute_price_range_per_request(
    claims: Sequence[PriceClaim], samples: Sequence[Sample], usd_per_request: float | None
) -> PriceRange:
    """Return the range of the mean price of delivered samples by all claims, in dollars per request.

    By the best claim, the price is `usd_per_request` unless that is `None`.
    """
    delivered = [sample for sample in samples if not sample.failure]
    if not delivered:
        return PriceRange()

    def compute_usd(claim: PriceClaim, takes_maximum: bool) -> float | None:
        amounts = []
        for sample in delivered:
            length = max(len(sample.text), 1)
            audio_s = get_sample_audio_duration_s(sample)
            per_character = None if audio_s is None else audio_s / length
            usd = claim.compute_usd(length, takes_maximum=takes_maximum, audio_s_per_character=per_character)
            turn_count = 2 if sample.interruption is not None else 1  # an interrupted turn is charged too
            amounts.append(None if usd is None else turn_count * usd)
        known = [amount for amount in amounts if amount is not None]
        return sum(known) / len(known) if known else None

    found = compute_price_range(claims, compute_usd)
    return found if usd_per_request is None else replace(found, usd=usd_per_request)


def _compute_price_range_per_audio_minute(
    claims: Sequence[PriceClaim], samples: Sequence[Sample], *, takes_audio: bool
) -> PriceRange:
    """Return the price of a minute of audio in US dollars, by each claim that charges by duration.

    If none does and the target takes audio, it is the average of `samples`. The amounts are `None` if none is known.
    """

    def compute_usd(claim: PriceClaim, _takes_maximum: bool) -> float | None:
        if all(part.unit == "audio_second" for part in claim.parts):
            return claim.compute_usd(60, audio_s_per_character=1.0)
        return None

    found = compute_price_range(claims, compute_usd)
    if found.high_usd is not None or not takes_audio:
        return found
    measured = _average_amount_per_audio_minute(samples, lambda cost: cost.price_usd)
    return PriceRange(usd=measured, low_usd=measured, high_usd=measured)


def _compute_credits_per_audio_minute(
    claims: Sequence[PriceClaim], samples: Sequence[Sample], *, takes_audio: bool
) -> float | None:
    for claim in claims:
        if all(part.unit == "audio_second" for part in claim.parts):
            credits = claim.compute_credits(60, audio_s_per_character=1.0)
            if credits is not None:
                return float(f"{credits:.12g}")  # 2,000 a minute, without the error of 60 times a sixtieth
    return _average_amount_per_audio_minute(samples, lambda cost: cost.price_credits) if takes_audio else None


def _average_amount_per_audio_minute(
    samples: Sequence[Sample], get_amount: Callable[[Cost], float | None]
) -> float | None:
    """Return the price per minute of audio of the samples that have a price and a duration; `None` if none has."""
    pairs = [
        (amount, audio_s)
        for sample in samples
        if (audio_s := get_sample_audio_duration_s(sample)) is not None
        and (amount := get_amount(sample.cost)) is not None
    ]
    minutes = sum(audio_s for _, audio_s in pairs) / 60
    return math.fsum(amount for amount, _ in pairs) / minutes if minutes else None


def _charge_differs_from_price(cost: Cost) -> bool:
    pairs = ((cost.price_usd, cost.charged_usd), (cost.price_credits, cost.charged_credits))
    return any(
        price is not None and charged is not None and not is_rounded_amount(charged, price) for price, charged in pairs
    )


def build_price_function(
    target: MeasuredTarget, samples: Sequence[Sample], *, uses_measurements: bool
) -> PriceFunction | None:
    """Return the target's price as a function of text length.

    Args:
        target: the target with its price.
        samples: samples of the target. They show the seconds of audio for each character, and for a price by tokens or
            seconds of computing, what a character costs.
        uses_measurements: whether the samples are real. What an emulator speaks and reports is made up, so that the
            assumed and documented numbers count instead.

    Returns:
        The price; `None` if no document states a price in dollars.
    """
    claims = [claim for claim in target.price.claims if claim.claimant in COUNTED_CLAIMANTS]
    if uses_measurements:
        claims = [_set_typical_price_as_measured(claim, samples) for claim in claims]
    claims = [_set_billed_characters_as_counted(claim, claims, samples) for claim in claims]
    priced = tuple(
        # Title, address and note of the documents are in the manifest.
        replace(claim, title="", url=None, note=None)
        for claim in claims
        if claim.compute_usd(1) is not None
    )
    if not priced:
        return None
    return PriceFunction(
        claims=priced,
        max_characters=target.max_characters,
        audio_s_per_character=_measure_audio_s_per_character(samples) if uses_measurements else None,
    )


def _set_typical_price_as_measured(claim: PriceClaim, samples: Sequence[Sample]) -> PriceClaim:
    """Return the claim with the measured price of a character as its typical one, if it depends on reported usage."""
    if claim.claimant not in BINDING_CLAIMANTS or not any(
        part.unit in ("token", "compute_second") for part in claim.parts
    ):
        return claim
    prices = [(len(s.text), s.cost.price_usd) for s in samples if s.cost.price_usd is not None]
    characters = sum(length for length, _ in prices)
    if not characters:
        return claim
    measured = math.fsum(price for _, price in prices) / characters
    # These keep their largest usage, which is the upper end of the price; what is typical was measured.
    bounds = tuple(replace(part, units_per_request=0.0, units_per_character=0.0) for part in claim.parts)
    typical = PricePart(unit="character", usd_per_unit=measured, units_per_character=1.0)
    return replace(claim, exactness="typical", parts=(typical, *bounds))


def _set_billed_characters_as_counted(
    claim: PriceClaim, claims: Sequence[PriceClaim], samples: Sequence[Sample]
) -> PriceClaim:
    """Return `claim` with the billed characters per character of text as they are on average in the run.

    It is returned unchanged if the price counts each character once.
    """
    best = find_best_claim(claims)
    if best is None or all(part.counts_each_character_once for part in claim.parts):
        return claim
    priced = [sample for sample in samples if sample.cost.price_usd is not None]
    expected_usd = math.fsum(best.compute_usd(len(sample.text)) or 0.0 for sample in priced)
    if not expected_usd:
        return claim
    factor = math.fsum(sample.cost.price_usd or 0.0 for sample in priced) / expected_usd
    parts = tuple(
        part
        if part.counts_each_character_once
        else replace(
            part,
            units_per_character=part.units_per_character * factor,
            max_units_per_character=part.max_units_per_character * factor,
        )
        for part in claim.parts
    )
    return replace(claim, parts=parts)


def _measure_audio_s_per_character(samples: Sequence[Sample]) -> float | None:
    durations = [(len(s.text), audio_s) for s in samples if (audio_s := get_sample_audio_duration_s(s)) is not None]
    characters = sum(length for length, _ in durations)
    return sum(audio_s for _, audio_s in durations) / characters if characters else None


# Compares prices on two sides, such as a baseline and a new run.


class _TextPrice(NamedTuple):
    """The price of a text of `DEFAULT_TEXT_LENGTH` characters, with typical usage and its bounds."""

    typical: float
    """The price by the claim that counts, with typical usage."""
    low: float
    """The lowest price by any claim; 0 if it depends on usage, because no document states the least usage."""
    high: float
    """The highest price by any claim, with the highest usage."""
    usage: tuple[PricePart, ...]
    """How many units are charged, without their prices."""


def compare_prices(
    sides: tuple[MeasuredTarget, MeasuredTarget],
    compute_amount: Callable[..., float | None],
    format_amount: Callable[[float], str],
) -> BoundedChange | None:
    """Return the change of the price of a text; `None` if a side has no price in this unit.

    What one target uses for a text is the same on both sides, so the change of its price is known exactly. The usage of
    two targets is not: unless both prices are the same for every usage, only bounds of the difference are known.

    Args:
        sides: the target in the baseline and in the run.
        compute_amount: a method of a claim that returns its amount in one unit, such as `PriceClaim.compute_usd`.
        format_amount: returns an amount as text.
    """
    before, after = (_compute_text_price(side.price, compute_amount) for side in sides)
    if before is None or after is None:
        return None
    note = f"price of a text of {DEFAULT_TEXT_LENGTH} characters"
    exact = build_exact_change(before.typical, after.typical, note)
    old_name, new_name = (side.id.partition("/")[2] for side in sides)
    # One target needs as many units for a text on both sides, if they count the same units.
    has_same_usage = old_name == new_name and before.usage == after.usage
    if exact is None or has_same_usage or all(one.low == one.high for one in (before, after)):
        return exact
    bounds = (
        f"{label} {format_amount(one.low)} to {format_amount(one.high)}"
        if one.low
        else f"{label} at most {format_amount(one.high)}"
        for label, one in (("baseline", before), ("run", after))
        if one.low != one.high
    )
    return dataclasses.replace(
        exact,
        note=f"{note}; {', '.join(bounds)}",
        smallest_change=_compute_relative_change(before.high, after.low),
        largest_change=_compute_relative_change(before.low, after.high) if before.low else math.inf,
    )


def _compute_text_price(price: TargetPrice, compute_amount: Callable[..., float | None]) -> _TextPrice | None:
    """Return the price of a text of `DEFAULT_TEXT_LENGTH` characters by the claim that counts; `None` if unknown.

    For a price per minute, the duration of the audio is estimated from the number of characters.
    """

    def compute_by_claim(claim: PriceClaim, *, takes_maximum: bool = False) -> float | None:
        return compute_amount(claim, DEFAULT_TEXT_LENGTH, takes_maximum=takes_maximum)

    best_claim = find_best_claim(price.claims, lambda claim: compute_by_claim(claim) is not None)
    typical = None if best_claim is None else compute_by_claim(best_claim)
    if best_claim is None or typical is None:
        return None
    counted_claims = [claim for claim in price.claims if claim.claimant in COUNTED_CLAIMANTS]
    amounts = [
        (claim, compute_by_claim(claim), compute_by_claim(claim, takes_maximum=True)) for claim in counted_claims
    ]
    known_amounts = [(claim, low, high) for claim, low, high in amounts if low is not None and high is not None]
    is_estimated = any(claim.exactness != "exact" or low < high for claim, low, high in known_amounts)
    return _TextPrice(
        typical=typical,
        low=0.0 if is_estimated else min(low for _, low, _ in known_amounts),
        high=max(high for _, _, high in known_amounts),
        usage=tuple(replace(part, usd_per_unit=None, credits_per_unit=None) for part in best_claim.parts),
    )


def build_exact_change(baseline_value: float | None, run_value: float | None, note: str) -> BoundedChange | None:
    """Return the relative change of an amount that is known exactly; `None` if a side has no amount (`None`)."""
    if baseline_value is None or run_value is None:
        return None
    change = _compute_relative_change(baseline_value, run_value)
    return BoundedChange(
        baseline_value=baseline_value,
        run_value=run_value,
        change=change,
        baseline_sample_count=1,
        run_sample_count=1,
        note=note,
        smallest_change=change,
        largest_change=change,
    )


def _compute_relative_change(before: float, after: float) -> float:
    # From 0 there is no ratio: any price above it counts as an increase of 100%.
    return after / before - 1 if before else float(after > 0)
