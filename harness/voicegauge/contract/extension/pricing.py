"""Defines `x-pricing`: the price of a request, by text, tokens, seconds or account plan."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import msgspec

from voicegauge.contract.extension.sources import NonNegativeFloat, PositiveFloat, SourceReference
from voicegauge.formats import EventLocation, Location
from voicegauge.model import Record

PriceUnit = Literal["request", "1k_characters", "1m_characters", "1m_tokens", "second", "minute", "compute_second"]
"""What a price is for. `second` and `minute` are of audio, `compute_second` is of the machine that computes it."""


class PriceUsage(Record, frozen=True, kw_only=True):
    """How many tokens or seconds a request uses. Neither is known before the response."""

    max_per_request: NonNegativeFloat = 0.0
    """Upper bound for a request without text, in tokens or seconds."""
    max_per_character: NonNegativeFloat = 0.0
    """Upper bound for each character of the text, in tokens or seconds, in addition to `max_per_request`. The price of
    these bounds is reserved before the request is sent."""
    reported: Location | None = None
    """Location of the number in the response, or for a job in the status response."""
    reported_in_event: EventLocation | None = None
    """Location of the number in the event that ends a stream."""


class PlanPrice(Record, frozen=True, kw_only=True):
    """The price for accounts with one plan."""

    usd: NonNegativeFloat | None = None
    credits: NonNegativeFloat | None = None
    included: PositiveFloat | None = None
    """Number of units per month that the fee of the plan includes. Costs are computed as if it were used up."""
    source: SourceReference | None = None


class PriceSpec(Record, frozen=True, kw_only=True):
    """`x-pricing` on an operation, or `pricing` of a target."""

    per: PriceUnit
    usd: NonNegativeFloat | None = None
    credits: NonNegativeFloat | None = None
    label: str | None = None
    """What this part of a price is for, such as "input"."""
    usage: PriceUsage | None = None
    """The tokens or seconds that a request uses; required for tokens and compute seconds."""
    plus: tuple[PriceSpec, ...] = ()
    """Further parts of the price, which are added: output tokens in addition to input tokens."""
    plans: dict[str, PlanPrice] = {}
    """Prices by account plan (`x-limits.plans`). Without a named plan, `usd` and `credits` count, so no plan has a
    higher price."""
    source: SourceReference | None = None
    alternatives: tuple[PriceSpec, ...] = ()
    """Prices that other documents state. If the price itself has no amount, the highest of them is reserved."""

    @property
    def parts(self) -> tuple[PriceSpec, ...]:
        """The parts that are added: this one, and those in `plus`."""
        return (self, *self.plus)

    @property
    def readings(self) -> tuple[PriceSpec, ...]:
        """This price, and those that other documents state instead."""
        return (self, *self.alternatives)

    @property
    def depends_on_text_alone(self) -> bool:
        """Whether the amount can be computed from the text of the request."""
        return all(part.per in ("request", "1k_characters", "1m_characters") for part in self.parts)

    def select_plan(self, plan_names: Collection[str]) -> PriceSpec:
        """Return the price for accounts with the first documented plan that `plan_names` contains.

        If it contains none, the price is unchanged.
        """
        if not plan_names:
            return self
        plan = next((plan for name, plan in self.plans.items() if name in plan_names), None)
        amounts: dict[str, Any] = {} if plan is None else {"usd": plan.usd, "credits": plan.credits, "plans": {}}
        return msgspec.structs.replace(
            self,
            plus=tuple(part.select_plan(plan_names) for part in self.plus),
            alternatives=tuple(reading.select_plan(plan_names) for reading in self.alternatives),
            **amounts,
        )
