"""Documented prices, what is left of budgets, and which cases of a plan the budgets pay for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Literal, TypedDict, Unpack

from voicegauge.model.base import (
    MICRO_USD_PER_USD,
    NonNegativeNumber,
    Record,
    convert_budget_to_micro_usd,
    convert_to_micro_usd,
)

Claimant = Literal["price_page", "quoted_price_page", "provider_text", "third_party", "reseller", "other_model"]
"""Who makes a claim about a price: the provider on its price page; its price page as others quote it; another text of
the provider; a third party; a reseller, at its own price; or anybody about another model or version."""
BINDING_CLAIMANTS: frozenset[Claimant] = frozenset({"price_page", "quoted_price_page", "provider_text"})
"""The claimants whose claims bind the provider, so that the price of a target can be compared."""
COUNTED_CLAIMANTS: frozenset[Claimant] = BINDING_CLAIMANTS | {"third_party"}
"""The claimants whose claims count at all: for the range of a price, and for the budget."""

EXACT_AMOUNT_TOLERANCE = 1e-6
"""Relative tolerance for equal amounts, because sums of decimal fractions are not exact in binary floating point."""
SAME_PRICE_TOLERANCE = 0.005
"""Relative difference up to which two prices are the same one, differently rounded."""
MAX_EXACT_USD = 1e9
"""Amounts of at least this size, such as a charge that a service invents, are not shown exactly."""


def round_up_quantity(quantity: float, rounding_step: float | None, min_charged_quantity: float) -> float:
    """Return the number of characters, tokens or seconds that a request with `quantity` of them is charged for.

    Args:
        quantity: the number that the request uses.
        rounding_step: the number is rounded up to a multiple of this step; `None` if it is not rounded.
        min_charged_quantity: the smallest number that is charged.
    """
    rounded = (
        quantity
        if rounding_step is None
        else math.ceil(quantity / rounding_step - EXACT_AMOUNT_TOLERANCE) * rounding_step
    )
    return max(rounded, min_charged_quantity)


def format_price_usd(usd: float, *, is_exact: bool = False) -> str:
    """Format an amount of dollars, as all outputs show it.

    The text has cents, and below one dollar up to four decimals if these are not zero: $0.96, $0.015, $0.0025. An
    amount too small for four decimals gets two significant digits, so that only zero is shown as zero.

    Args:
        usd: the amount.
        is_exact: whether all decimals of the amount are shown, as in "$15.004, more than $15.00". It is used for
            documented prices, and for amounts that are compared with a budget.
    """
    if is_exact and 0 < usd < MAX_EXACT_USD:
        rounded = Decimal(f"{usd:.12g}")
    elif 0 < usd < 0.001:
        rounded = Decimal(f"{usd:.1e}")
    else:
        rounded = Decimal(f"{usd:.2f}" if usd >= 0.99995 else f"{usd:.4f}")
    # `Decimal`, not `float`: 0.0025 as a float has more digits than anybody stated.
    significant = -int(rounded.normalize().as_tuple().exponent)
    return f"${rounded:,.{max(2, significant)}f}"


class AssumedUsage(TypedDict, total=False):
    """Which number of units a price is computed for, where it is not the documented typical one."""

    takes_maximum: bool
    """Whether the highest number of units counts instead of the typical one."""
    audio_s_per_character: float | None
    """Measured seconds of audio for each character; `None` uses the documented or assumed number."""


class PricePart(Record, frozen=True, kw_only=True):
    """One part of a price: an amount for each request, character, token or second."""

    unit: Literal["request", "character", "token", "audio_second", "compute_second"]
    usd_per_unit: NonNegativeNumber | None = None
    """Price of a unit in US dollars; `None` if it is in credits."""
    credits_per_unit: NonNegativeNumber | None = None
    """Price of a unit in credits; `None` if it is in US dollars."""
    units_per_request: NonNegativeNumber = 0.0
    """Typical number of units for a request without text."""
    units_per_character: NonNegativeNumber = 0.0
    """Typical number of units for each character of the text."""
    max_units_per_request: NonNegativeNumber = 0.0
    """Highest number of units for a request without text."""
    max_units_per_character: NonNegativeNumber = 0.0
    """Highest number of units for each character of the text."""
    rounding_step: NonNegativeNumber | None = None
    """The number of units of each request is rounded up to a multiple of this step; `None` if it is not rounded."""
    min_charged_units: NonNegativeNumber = 0.0
    """Minimum number of units that a request is charged for."""
    counts_each_character_once: bool = True
    """Whether each character of a text counts as one; otherwise the kind of characters matters."""

    def count_units(self, character_count: float, **usage: Unpack[AssumedUsage]) -> float:
        """Return the number of units that a request with a text of `character_count` characters is charged for."""
        audio_s_per_character = usage.get("audio_s_per_character")
        if self.unit == "audio_second" and audio_s_per_character is not None:
            used = audio_s_per_character * character_count
        elif usage.get("takes_maximum"):
            used = self.max_units_per_request + self.max_units_per_character * character_count
        else:
            used = self.units_per_request + self.units_per_character * character_count
        return used if self.unit == "request" else round_up_quantity(used, self.rounding_step, self.min_charged_units)


class PlanClaim(Record, frozen=True, kw_only=True):
    """The price of a target with one account plan, as a document states it."""

    name: str
    """Name of the plan, as the provider writes it."""
    monthly_fee_usd: NonNegativeNumber | None = None
    """Fee of the plan per month in dollars; `None` if no document states it."""
    included_units_per_month: NonNegativeNumber | None = None
    """Number of units per month that the fee pays for, in the unit of the only part of the price."""
    usd_per_extra_unit: NonNegativeNumber
    """Price in US dollars of a unit beyond the included ones."""
    allows_extra_units: bool = True
    """Whether units beyond the included ones can be bought."""

    @property
    def is_free_quota(self) -> bool:
        """Whether the plan includes free units without a fee. Free units are reported separately and lower no price."""
        return self.monthly_fee_usd == 0 and self.included_units_per_month is not None


class MonthlyPrice(Record, frozen=True, kw_only=True):
    """The price of a month in US dollars, and the account plan with which it is reached."""

    usd: float
    account_plan_name: str | None = None
    """Name of the cheapest account plan that allows the month's volume; `None` without a plan."""


class PriceClaim(Record, frozen=True, kw_only=True):
    """What one document states about the price of a target."""

    claimant: Claimant
    """Who states the price."""
    exactness: Literal["exact", "typical", "upper_bound"] = "exact"
    """Whether the amount is what a request costs, what it usually costs, or only the most that it costs."""
    parts: tuple[PricePart, ...]
    """The parts whose sum is charged."""
    plans: tuple[PlanClaim, ...] = ()
    """Account plans with prices of their own; empty for a price of several parts."""
    title: str = ""
    """Title of the document; empty if the contract names none."""
    date: str = ""
    """The date of the document, or the date when it was read: YYYY-MM-DD; empty if it is not known."""
    url: str | None = None
    """Address of the document; `None` if the contract names none."""
    note: str | None = None
    """What the document says, or how the price follows from it."""

    @property
    def is_comparable(self) -> bool:
        """Whether the claim binds the provider and says what a request costs, not only what it costs at most."""
        return self.claimant in BINDING_CLAIMANTS and self.exactness != "upper_bound"

    def compute_usd(self, character_count: float, **usage: Unpack[AssumedUsage]) -> float | None:
        """Return the price of a request in US dollars, without a plan; `None` if it is not known in dollars."""
        if self.exactness == "upper_bound":
            usage["takes_maximum"] = True
        return self._sum_amounts_of_parts([part.usd_per_unit for part in self.parts], character_count, usage)

    def compute_credits(self, character_count: float, **usage: Unpack[AssumedUsage]) -> float | None:
        """Return the price of a request in the provider's credits; `None` if no price in credits is documented."""
        return self._sum_amounts_of_parts([part.credits_per_unit for part in self.parts], character_count, usage)

    def _sum_amounts_of_parts(
        self, unit_prices: Sequence[float | None], character_count: float, usage: AssumedUsage
    ) -> float | None:
        if not unit_prices or None in unit_prices:
            return None
        return math.fsum(
            (unit_price or 0.0) * part.count_units(character_count, **usage)
            for part, unit_price in zip(self.parts, unit_prices, strict=True)
        )

    def compute_text_usd(
        self, text_length: float, max_characters: int | None = None, **usage: Unpack[AssumedUsage]
    ) -> float | None:
        """Return the price of a text in US dollars; `None` if it is not known in dollars.

        A text that is longer than `max_characters` takes several requests.
        """
        return _sum_over_requests_of_text(text_length, max_characters, lambda length: self.compute_usd(length, **usage))

    def compute_monthly_price(
        self,
        text_length: float,
        characters_per_month: float,
        max_characters: int | None = None,
        **usage: Unpack[AssumedUsage],
    ) -> MonthlyPrice | None:
        """Return the price of `characters_per_month` characters that are sent as texts of `text_length` characters.

        It is the price with the cheapest account plan that allows this volume, or without a plan if there is none. Free
        quotas are not subtracted. A longer text than `max_characters` takes several requests; `None` for no limit.

        Returns:
            The price; `None` if it is not known in dollars.
        """
        texts = characters_per_month / text_length
        if self.exactness == "upper_bound":
            usage["takes_maximum"] = True
        text_usd = self.compute_text_usd(text_length, max_characters, **usage)
        candidates = [MonthlyPrice(usd=text_usd * texts)] if text_usd is not None else []
        paid = [plan for plan in self.plans if not plan.is_free_quota and plan.monthly_fee_usd is not None]
        if len(self.parts) == 1 and paid:

            def count_units(length: float) -> float:
                return self.parts[0].count_units(length, **usage)

            units = texts * (_sum_over_requests_of_text(text_length, max_characters, count_units) or 0.0)
            with_plans = [_compute_plan_price(plan, units) for plan in paid]
            candidates = [month for month in with_plans if month is not None] or candidates
        return min(candidates, key=lambda month: month.usd, default=None)


def _sum_over_requests_of_text(
    text_length: float, max_characters: int | None, compute_request_amount: Callable[[float], float | None]
) -> float | None:
    """Return the sum of an amount over the requests that a text takes; `None` if the amount is not known.

    A request takes at most `max_characters`; any number if `None`.
    """
    if max_characters is None or text_length <= max_characters:
        return compute_request_amount(text_length)
    whole, rest = divmod(text_length, max_characters)
    # Each request is charged on its own, so that rounding and minimum amounts count once per request.
    amounts = [compute_request_amount(max_characters), compute_request_amount(rest) if rest else 0.0]
    if amounts[0] is None or amounts[1] is None:
        return None
    return amounts[0] * whole + amounts[1]


def _compute_plan_price(plan: PlanClaim, units: float) -> MonthlyPrice | None:
    """Return the price of a month with a plan; `None` if the plan does not allow `units`."""
    beyond = max(0.0, units - (plan.included_units_per_month or 0.0))
    if beyond and not plan.allows_extra_units:
        return None
    usd = (plan.monthly_fee_usd or 0.0) + beyond * plan.usd_per_extra_unit
    return MonthlyPrice(usd=usd, account_plan_name=plan.name)


def find_best_claim(
    claims: Sequence[PriceClaim], has_amount: Callable[[PriceClaim], bool] | None = None
) -> PriceClaim | None:
    """Return the newest claim that binds the provider and says what a request costs; `None` if there is none.

    Args:
        claims: the claims in the order of the contract, which counts for claims of the same date.
        has_amount: whether a claim is considered; `None` considers those with a price in dollars.
    """
    has_amount = has_amount or (lambda claim: claim.compute_usd(1) is not None)
    usable = [claim for claim in claims if claim.is_comparable and has_amount(claim)]
    # A claim without a date is in a contract that names no documents: then the order of the contract counts.
    return max(usable, key=lambda claim: claim.date or "9999", default=None)


class PriceRange(Record, frozen=True, kw_only=True):
    """A price in US dollars with its bounds, and with the prices of other claims that differ."""

    usd: float | None = None
    """The price by the newest binding claim, with typical usage; `None` if there is none, so that the price cannot be
    compared."""
    low_usd: float | None = None
    """The lowest price among the claims that count; `None` if they state only upper bounds."""
    high_usd: float | None = None
    """The highest price among the claims that count, with the highest usage: the amount that a budget reserves."""
    max_usd: float | None = None
    """The price with the highest usage, by the claim that gives `usd`; without such a claim, by the claims that state
    only an upper bound; `None` if it is not higher than `usd`."""
    is_quoted: bool = False
    """Whether the price is from quotations of the provider's price page, not from the page itself."""
    disputed_usd: tuple[float, ...] = ()
    """The prices that documents of the provider state and that differ from `usd`."""
    third_party_usd: tuple[float, ...] = ()
    """The prices that third parties state and that differ from `usd`."""

    @property
    def is_disputed(self) -> bool:
        """Whether documents of the provider contradict each other."""
        return bool(self.disputed_usd)

    def is_surely_below(self, other: PriceRange) -> bool:
        """Whether this price is lower than the other one, whichever claim and amount of usage applies."""
        return self.high_usd is not None and other.low_usd is not None and self.high_usd < other.low_usd

    def format_amount(self, format_usd: Callable[[float], str] = format_price_usd) -> str:
        """Return the price as text: "$16.70"; "at most $77.00"; of third parties alone, "($15.00 to $46.00)"."""
        if self.usd is not None:
            return format_usd(self.usd)
        if self.third_party_usd:
            return f"({_format_range(self.third_party_usd, format_usd)})"
        return f"at most {format_usd(self.max_usd)}" if self.max_usd is not None else ""

    def format_remark(self, format_usd: Callable[[float], str] = format_price_usd) -> str:
        """Return the remark beside the price, such as "at most $77.00" or "third party: $35.00"; empty without one."""
        remarks = [f"at most {format_usd(self.max_usd)}"] if self.max_usd is not None else []
        if self.usd is None:
            if not self.third_party_usd:
                return ""
            return ", ".join(["third party" if len(self.third_party_usd) == 1 else "third parties", *remarks])
        remarks += ["quoted"] if self.is_quoted else []
        for name, names, amounts in (
            ("disputed", "disputed", self.disputed_usd),
            ("third party", "third parties", self.third_party_usd),
        ):
            if amounts:
                label = name if len(amounts) == 1 else names
                remarks.append(f"{label}: {_format_range(amounts, format_usd)}")
        return ", ".join(remarks)

    def describe(self, format_usd: Callable[[float], str] = format_price_usd) -> str:
        """Return price and remark: "$16.70 (at most $77.00)", "($15.00 to $46.00, third parties)"."""
        amount, remark = self.format_amount(format_usd), self.format_remark(format_usd)
        if not remark:
            return amount
        return f"{amount} ({remark})" if self.usd is not None else f"{amount[:-1]}, {remark})"

    def scale(self, factor: float) -> PriceRange:
        """Return the range with all amounts multiplied by `factor`."""

        def multiply(amount: float | None) -> float | None:
            return None if amount is None else amount * factor

        return PriceRange(
            usd=multiply(self.usd),
            low_usd=multiply(self.low_usd),
            high_usd=multiply(self.high_usd),
            max_usd=multiply(self.max_usd),
            is_quoted=self.is_quoted,
            disputed_usd=tuple(amount * factor for amount in self.disputed_usd),
            third_party_usd=tuple(amount * factor for amount in self.third_party_usd),
        )


_EXPLANATION_BY_REMARK = {
    "at most": "with the highest usage; a price without it is for typical or measured usage",
    "quoted": "the provider's price page was not read itself, but as others quote it",
    "disputed": "documents of the provider contradict each other; the newest one counts",
    "third party": "what others state; in parentheses, nothing else is known, and it is compared with no other price",
}
"""Explanations of the remarks beside prices, by remark."""


def explain_price_remarks(prices: Sequence[PriceRange]) -> list[str]:
    """Return a sentence for each kind of remark that occurs beside `prices`."""
    shown = " ".join(price.describe() for price in prices).replace("third parties", "third party")
    return [f"{word}: {meaning}" for word, meaning in _EXPLANATION_BY_REMARK.items() if word in shown]


def _format_range(amounts: Sequence[float], format_usd: Callable[[float], str]) -> str:
    low, high = format_usd(min(amounts)), format_usd(max(amounts))
    return low if low == high else f"{low} to {high}"


def compute_price_range(
    claims: Sequence[PriceClaim], compute_usd: Callable[[PriceClaim, bool], float | None]
) -> PriceRange:
    """Return the price by the best claim, with the range of all claims that count.

    Args:
        claims: the claims about the price.
        compute_usd: function that returns the amount by a claim, with the highest usage if the second argument is true;
            `None` if it is not known in dollars.
    """
    counted = [claim for claim in claims if claim.claimant in COUNTED_CLAIMANTS]
    # By identity, because two documents may state equal claims.
    typical = {id(claim): usd for claim in counted if (usd := compute_usd(claim, False)) is not None}
    highest = {id(claim): usd for claim in counted if (usd := compute_usd(claim, True)) is not None}
    known = [claim for claim in counted if id(claim) in typical and id(claim) in highest]
    if not known:
        return PriceRange()
    best = find_best_claim(known, lambda _: True)
    binding = [claim for claim in known if claim.claimant in BINDING_CLAIMANTS and claim is not best]
    others = [typical[id(claim)] for claim in known if claim.claimant not in BINDING_CLAIMANTS]
    usd = typical[id(best)] if best is not None else None
    at_most = highest[id(best)] if best is not None else max((highest[id(c)] for c in binding), default=None)
    if at_most is not None and usd is not None and _is_same_price(at_most, usd):
        at_most = None
    return PriceRange(
        usd=usd,
        low_usd=min((typical[id(claim)] for claim in known if claim.exactness != "upper_bound"), default=None),
        high_usd=max(*highest.values(), *typical.values()),
        max_usd=at_most,
        is_quoted=best is not None and best.claimant == "quoted_price_page",
        disputed_usd=_list_differing_amounts(
            [typical[id(claim)] for claim in binding if claim.exactness != "upper_bound"], usd
        ),
        third_party_usd=_list_differing_amounts(others, usd),
    )


def _list_differing_amounts(amounts: Sequence[float], usd: float | None) -> tuple[float, ...]:
    """Return the amounts that are not `usd`, each once, lowest first; all of them if `usd` is `None`."""
    if usd is None:
        return tuple(sorted(set(amounts)))
    return tuple(sorted({amount for amount in amounts if not _is_same_price(amount, usd)}))


def _is_same_price(first_usd: float, second_usd: float) -> bool:
    return abs(first_usd - second_usd) <= SAME_PRICE_TOLERANCE * max(first_usd, second_usd)


MAX_COST_FLAG = "--max-cost"
"""The option with the budget of one command, for all providers or for one."""
MAX_COST_PER_DAY_FLAG = "--max-cost-per-day"
"""The option with the budget for each provider that all commands of one day (UTC) share."""


class RemainingBudget(Record, frozen=True, kw_only=True):
    """A budget, and how much of it earlier commands have spent."""

    flag: str
    """The option that sets the budget: "--max-cost" or "--max-cost-per-day"."""
    provider: str | None = None
    """The provider that the budget is for; `None` if it is for all providers together."""
    limit_usd: float
    """The budget in dollars."""
    spent_usd: float
    """Dollars of the budget that earlier commands have or may have spent; for a daily budget, today (UTC)."""

    @property
    def left_micro_usd(self) -> float:
        """Millionths of a dollar that are left, at least 0."""
        left = convert_budget_to_micro_usd(self.limit_usd) - convert_to_micro_usd(self.spent_usd)
        return max(0, left)

    def applies_to(self, provider: str) -> bool:
        """Whether the budget is for requests to `provider`, which may have a version: "acme@staging.example"."""
        return self.provider in (None, provider) or (
            self.flag == MAX_COST_FLAG and self.provider == provider.partition("@")[0]
        )

    def describe_sufficient_budget(self, price_usd: float) -> str:
        """Return the option with the smallest value that leaves room for `price_usd`: "--max-cost acme=1.2"."""
        # In whole millionths, as the budget is counted: a limit that was suggested must not be refused for a rounding
        # error.
        usd = (convert_to_micro_usd(self.spent_usd) + convert_to_micro_usd(price_usd)) / MICRO_USD_PER_USD
        provider = "" if self.provider is None or self.flag != MAX_COST_FLAG else f"{self.provider}="
        return f"{self.flag} {provider}{f'{usd:.6f}'.rstrip('0').rstrip('.')}"

    @property
    def name(self) -> str:
        """The option with its value: "--max-cost 1", "--max-cost acme=1" or "--max-cost-per-day 1 of acme"."""
        if self.flag != MAX_COST_FLAG:
            return f"{self.flag} {self.limit_usd:g} of {self.provider}"
        return f"{self.flag} {'' if self.provider is None else f'{self.provider}='}{self.limit_usd:g}"

    def describe(self) -> str:
        """Return the option with its value and the spent amount: "--max-cost 1 less $0.20 that ..."."""
        spent = "an earlier command has spent" if self.flag == MAX_COST_FLAG else "was spent today (UTC)"
        return (
            f"{self.name} less {format_price_usd(self.spent_usd, is_exact=True)} that {spent}"
            if self.spent_usd
            else self.name
        )


class UnaffordableCase(Record, frozen=True, kw_only=True):
    """A planned case or sample that will not be sent because too little is left of a budget."""

    id: str
    """Id of the case or sample."""
    expected_usd: float
    """Dollars that the case or sample costs if its response is as expected: 0 for what should be rejected."""
    reserved_usd: float
    """Dollars that must be left of the budget before the case or sample is sent."""
    flag: str
    """The option that sets the budget."""
    budget_name: str
    """The option with its value, and the provider that the budget is for: "--max-cost acme=1"."""


class BudgetForecast(Record, frozen=True, kw_only=True):
    """Which cases of a plan the remaining budgets pay for."""

    budgets: tuple[RemainingBudget, ...] = ()
    refusal_reason: str | None = None
    """Why the command would send nothing, in one line; `None` if it would send something."""
    refusal_exit_status: int | None = None
    """The exit status of a command that would send nothing; `None` if it would send something."""
    unaffordable_cases: tuple[UnaffordableCase, ...] = ()
    """Cases or samples that will not be sent even if every response is as expected, in the order of the plan."""
    sufficient_limits: tuple[str, ...] = ()
    """The options with which every case would be sent, such as "--max-cost 2.5"; empty if all cases will be sent."""
    unaffordable_cases_at_worst: tuple[UnaffordableCase, ...] = ()
    """Cases that will not be sent if the service accepts, and charges for, the requests that it should reject."""
