"""Computes the cost of a target from its documented price and the charges that the provider reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from msgspec.structs import replace

from voicegauge.bench.defaults import DEFAULT_CHARACTERS_PER_MONTH
from voicegauge.contract.pricing import is_rounded_amount
from voicegauge.model.base import Record
from voicegauge.model.run import AmountPerUnit, Run, TargetAccountPlan, TargetRef
from voicegauge.model.sample import Cost, Sample


class AccountPlanPrice(Record, frozen=True, kw_only=True):
    """The price of one account plan: a monthly fee, the units that it includes, and the price of further units.

    A unit is a request or a character.
    """

    name: str
    monthly_fee_usd: float
    included_units: float
    """Number of units per month that the fee pays for."""
    unit: Literal["request", "character"]
    usd_per_extra_unit: float
    """Price in US dollars of a unit beyond the included ones."""
    allows_extra_units: bool
    """Whether units beyond the included ones can be bought."""

    def compute_monthly_usd(self, request_count: float, character_count: float) -> float | None:
        """Return the price in US dollars of a month with this volume; `None` if the plan does not allow the volume."""
        beyond = max(0.0, (request_count if self.unit == "request" else character_count) - self.included_units)
        return (
            None if beyond and not self.allows_extra_units else self.monthly_fee_usd + beyond * self.usd_per_extra_unit
        )


class MonthlyPrice(NamedTuple):
    """The price of a month in US dollars, and the account plan with which it is reached."""

    usd: float
    account_plan_name: str | None
    """Name of the cheapest account plan that allows the month's volume; `None` if the price has no plans."""


class PriceFunction(Record, frozen=True, kw_only=True):
    """The price of a text as a linear function of the text's length.

    A price per minute of audio is converted to a price per character with the audio durations measured in the run.
    """

    fixed_usd_per_request: float
    """Fixed price of each request in US dollars, in addition to the price for its length."""
    usd_per_character: float
    max_characters: int | None = None
    """Number of characters that one request may have at most; `None` if no document states a limit."""
    account_plans: tuple[AccountPlanPrice, ...] = ()
    """The account plans with a documented fee. The price of a month is that of the cheapest of them."""

    def count_requests(self, character_count: int) -> int:
        """Return the number of requests that a text with this number of characters takes."""
        return max(math.ceil(character_count / self.max_characters), 1) if self.max_characters else 1

    def compute_text_usd(self, character_count: int) -> float:
        """Return the price of a text in US dollars, as if no account plan included any units.

        Args:
            character_count: number of characters of the text.
        """
        return (
            self.fixed_usd_per_request * self.count_requests(character_count) + self.usd_per_character * character_count
        )

    def compute_monthly_price(self, text_length: int, characters_per_month: int) -> MonthlyPrice:
        """Return the price of `characters_per_month` characters that are sent as texts of `text_length` characters.

        It is the price with the cheapest account plan that allows this volume, or without a plan if there is none.
        """
        texts = characters_per_month / text_length
        requests = texts * self.count_requests(text_length)
        with_plans = [
            (plan.compute_monthly_usd(requests, characters_per_month), plan.name) for plan in self.account_plans
        ]
        known = [MonthlyPrice(usd, name) for usd, name in with_plans if usd is not None]
        without_plan = MonthlyPrice(self.compute_text_usd(text_length) * texts, None)
        return min(known, key=lambda month: month.usd, default=without_plan)

    def compute_usd_per_1m_characters(
        self, text_length: int, characters_per_month: int = DEFAULT_CHARACTERS_PER_MONTH
    ) -> float:
        """Return the price in US dollars per million characters, if a month has `characters_per_month` characters."""
        return self.compute_monthly_price(text_length, characters_per_month).usd / characters_per_month * 1_000_000


class TargetCost(Record, frozen=True, kw_only=True):
    """Mean cost of a target's requests, and its prices in comparable units."""

    usd_per_request: float | None
    """Mean documented price of a request in US dollars; `None` if no document states a price."""
    credits_per_request: float | None
    """Mean documented price of a request in the provider's own credits; `None` if no document states one."""
    charged_usd_per_request: float | None
    """Mean charge in US dollars that the provider reported; `None` if it reported no charge."""
    charged_credits_per_request: float | None
    charged_sample_count: int
    """Number of samples for which the provider reported a charge."""
    charge_differs_from_price: bool
    """Whether at least one reported charge differs from the documented price by more than a rounding error."""
    usd_per_1m_characters: float | None
    """Price in US dollars of a million characters, sent as texts of `text_length` characters, with the cheapest account
    plan for `characters_per_month`."""
    usd_per_month: float | None
    """Price in US dollars of `characters_per_month` with the account plan `account_plan_name`."""
    account_plan_name: str | None
    """Name of the cheapest account plan; `None` if no plan with a documented fee is known."""
    usd_per_audio_minute: float | None
    """Price in US dollars per minute of audio; `None` if the price has another unit or no document states a price.

    For a target that takes audio, a price in another unit is divided by the minutes of audio of the samples.
    """
    credits_per_audio_minute: float | None
    text_length: int
    """Text length at which `usd_per_1m_characters` is stated."""
    characters_per_month: int
    """Number of characters of the month for which `usd_per_month` and `usd_per_1m_characters` are stated."""
    price_function: PriceFunction | None
    """Price as a function of the text length; see `estimate_price_function` for when it is `None`."""
    is_price_disputed: bool
    """Whether the documents contradict each other about the price.

    If so, the user's own price is shown, or else the highest documented one.
    """
    is_price_stated_by_provider: bool
    """Whether the price is stated by a document that binds the provider, or by the user; `False` if only third parties
    state it."""
    price_text: str
    """The documented price as text, such as "$0.015 / request"."""
    takes_audio: bool = False
    """Whether the target takes audio, as speech to text does: its prices are stated per minute of audio, and those per
    character, per month and of account plans are `None`."""

    @property
    def comparison_price_usd(self) -> float | None:
        """The price in dollars by which targets are compared; `None` if it is not known.

        It is per minute of audio if the target takes audio, or else per million characters.
        """
        return self.usd_per_audio_minute if self.takes_audio else self.usd_per_1m_characters


def convert_credits_to_usd(run: Run, usd_per_credit_by_provider: Mapping[str, float]) -> Run:
    """Return the run with added prices in dollars, for targets whose documents state prices in credits only.

    Args:
        run: a saved run.
        usd_per_credit_by_provider: price of one credit in dollars, by provider id.
    """
    rates = {
        target.id: usd_per_credit_by_provider[provider]
        for target in run.manifest.targets
        if (provider := target.id.partition("/")[0]) in usd_per_credit_by_provider and target.price.usd is None
    }
    if not rates:
        return run
    targets = tuple(_add_usd_price(one, rates[one.id]) if one.id in rates else one for one in run.manifest.targets)
    samples = tuple(_add_usd_cost(one, rates[one.target]) if one.target in rates else one for one in run.samples)
    return replace(run, manifest=replace(run.manifest, targets=targets), samples=samples)


def _add_usd_price(target: TargetRef, usd_per_credit: float) -> TargetRef:
    credits = target.price.credits
    if credits is None:
        return target
    usd = replace(credits, amount=credits.amount * usd_per_credit)
    description = f"{target.price.description}, at ${usd_per_credit:g} per credit (--credit-rate)"
    return replace(target, price=replace(target.price, usd=usd, description=description))


def _add_usd_cost(sample: Sample, usd_per_credit: float) -> Sample:
    cost = sample.cost
    price, charge = (
        None if amount is None else amount * usd_per_credit for amount in (cost.price_credits, cost.charged_credits)
    )
    return replace(sample, cost=replace(cost, price_usd=price, charged_usd=charge))


def get_sample_audio_duration_s(sample: Sample) -> float | None:
    """Return the duration of a successful sample's audio in seconds; `None` if no audio could be decoded."""
    return sample.audio.audio_duration_s if sample.audio and not sample.failure else None


def compute_target_cost(
    target: TargetRef,
    samples: Sequence[Sample],
    text_length: int,
    characters_per_month: int = DEFAULT_CHARACTERS_PER_MONTH,
    *,
    takes_audio: bool = False,
) -> TargetCost:
    """Compute the cost of a target from the costs of its samples.

    Args:
        target: the target with its price.
        samples: samples of the target.
        text_length: text length at which the price per million characters is stated.
        characters_per_month: number of characters of a month.
        takes_audio: whether audio is sent to the target.
    """

    def average_over_samples(select_value: Callable[[Sample], float | None]) -> float | None:
        known = [found for sample in samples if (found := select_value(sample)) is not None]
        return sum(known) / len(known) if known else None

    def compute_amount_per_audio_minute(
        price: AmountPerUnit | None, get_amount: Callable[[Cost], float | None]
    ) -> float | None:
        if price is not None and price.unit == "minute":
            return price.amount
        return _average_amount_per_audio_minute(samples, get_amount) if takes_audio else None

    charged = [s for s in samples if s.cost.charged_usd is not None or s.cost.charged_credits is not None]
    line = None if takes_audio else estimate_price_function(target, samples)
    month = line.compute_monthly_price(text_length, characters_per_month) if line else None
    return TargetCost(
        usd_per_request=average_over_samples(lambda s: s.cost.price_usd),
        credits_per_request=average_over_samples(lambda s: s.cost.price_credits),
        charged_usd_per_request=average_over_samples(lambda s: s.cost.charged_usd),
        charged_credits_per_request=average_over_samples(lambda s: s.cost.charged_credits),
        charged_sample_count=len(charged),
        charge_differs_from_price=any(_charge_differs_from_price(s.cost) for s in charged),
        usd_per_1m_characters=month.usd / characters_per_month * 1_000_000 if month else None,
        usd_per_month=month.usd if month else None,
        account_plan_name=month.account_plan_name if month else None,
        usd_per_audio_minute=compute_amount_per_audio_minute(target.price.usd, lambda cost: cost.price_usd),
        credits_per_audio_minute=compute_amount_per_audio_minute(target.price.credits, lambda cost: cost.price_credits),
        text_length=text_length,
        characters_per_month=characters_per_month,
        price_function=line,
        is_price_disputed=target.price.is_disputed,
        is_price_stated_by_provider=target.price.is_stated_by_provider,
        price_text=target.price.description,
        takes_audio=takes_audio,
    )


def _average_amount_per_audio_minute(
    samples: Sequence[Sample], get_amount: Callable[[Cost], float | None]
) -> float | None:
    """Return the total price of the samples per minute of their audio; `None` if a price or a duration is not known."""
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


def estimate_price_function(target: TargetRef, samples: Sequence[Sample]) -> PriceFunction | None:
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
    fixed_usd, usd_per_character, units_per_character = 0.0, 0.0, 1.0
    match price.unit:
        case "request":
            fixed_usd = price.amount
        case "character":
            usd_per_character = price.amount
        case "minute":
            minutes = _estimate_audio_minutes_per_character(samples)
            if minutes is None:
                return None
            usd_per_character, units_per_character = price.amount * minutes, minutes
        case "estimated_character":
            measured = _average_usd_per_character(samples)
            usd_per_character = price.amount if measured is None else measured
    unit: Literal["request", "character"] = "request" if price.unit == "request" else "character"
    return PriceFunction(
        fixed_usd_per_request=fixed_usd,
        usd_per_character=usd_per_character,
        max_characters=target.max_characters,
        account_plans=tuple(_iterate_account_plan_prices(target.price.account_plans, unit, units_per_character)),
    )


def _iterate_account_plan_prices(
    account_plans: Sequence[TargetAccountPlan], unit: Literal["request", "character"], units_per_character: float
) -> Iterator[AccountPlanPrice]:
    """Yield the price of each account plan whose fee is documented, per request or per character.

    Args:
        account_plans: the account plans.
        unit: the unit of the yielded prices. A plan that charges for something else, such as minutes of audio, is
            converted to characters.
        units_per_character: what one character takes of what the plans charge for, such as 0.001 minutes of audio; 1
            if `unit` is "request".
    """
    for plan in account_plans:
        if plan.monthly_fee_usd is not None and units_per_character > 0:
            yield AccountPlanPrice(
                name=plan.name,
                monthly_fee_usd=plan.monthly_fee_usd,
                included_units=(plan.included_units_per_month or 0.0) / units_per_character,
                unit=unit,
                usd_per_extra_unit=plan.usd_per_extra_unit * units_per_character,
                allows_extra_units=plan.allows_extra_units,
            )


def _average_usd_per_character(samples: Sequence[Sample]) -> float | None:
    """Return the price per character of the samples in US dollars; `None` if no sample has a price."""
    prices = [(len(s.text), s.cost.price_usd) for s in samples if s.cost.price_usd is not None]
    characters = sum(length for length, _ in prices)
    return math.fsum(price for _, price in prices) / characters if characters else None


def _estimate_audio_minutes_per_character(samples: Sequence[Sample]) -> float | None:
    durations = [(len(s.text), audio_s) for s in samples if (audio_s := get_sample_audio_duration_s(s)) is not None]
    characters = sum(length for length, _ in durations)
    return sum(audio_s for _, audio_s in durations) / 60 / characters if characters else None
