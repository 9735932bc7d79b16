"""Invoices of a month that were worked by hand from public price pages, and what voicegauge computes for them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import yaml

import voicegauge
from voicegauge.contract.extension.pricing import PriceSpec
from voicegauge.contract.loading import Catalogue
from voicegauge.contract.price_computation import (
    RequestGroup,
    build_request_groups,
    compute_monthly_bill,
    compute_monthly_bills,
)
from voicegauge.model.base import Record

CASES_FILE = Path(__file__).parent / "cases.yaml"


class EqualTexts(Record, frozen=True, kw_only=True):
    """Texts of one length, which take several requests each if they are longer than the provider allows."""

    number: int
    characters: int


class EqualRequests(Record, frozen=True, kw_only=True):
    """Requests that are charged the same."""

    requests: int
    characters: int = 0
    """Number of characters in the text of each request; `text` has them as well."""
    text: str | None = None
    audio_s: float | None = None
    usage: dict[str, float] = {}


class InvoiceCase(Record, frozen=True, kw_only=True):
    """One invoice: what was used, and the amount in dollars that the price pages lead to."""

    name: str
    target: str | None = None
    price: PriceSpec | None = None
    """The price, for a provider without a bundled contract."""
    has_markup: bool = False
    """Whether the texts are SSML, for a provider without a bundled contract."""
    texts: EqualTexts | None = None
    requests: tuple[EqualRequests, ...] = ()
    plan: str | None = None
    credit_usd: float | None = None
    invoice_usd: float
    sources: tuple[dict[str, Any], ...]

    @property
    def is_normative(self) -> bool:
        """Whether every figure is from the provider itself."""
        return all(source.get("normative", True) for source in self.sources)

    def compute_invoice_usd(self, catalogue: Catalogue) -> float | None:
        """Return the amount that voicegauge computes, in dollars; `None` if the price is not known in dollars."""
        if self.price is not None:
            groups = [self._build_group(one, self.price) for one in self.requests]
            return compute_monthly_bill(self.price, groups, self.plan, self.credit_usd).total_usd
        assert self.target is not None
        plans = [self.plan] if self.plan is not None else []
        contract = catalogue.find_provider(self.target.partition("/")[0]).select_account_plans(plans)
        if self.credit_usd is not None:
            contract = contract.replace_credit_price(self.credit_usd)
        target = contract.find_target_by_name(self.target.partition("/")[2])
        groups = [
            RequestGroup(
                one.requests,
                target.count_charged_characters(one.text or "a" * one.characters),
                one.audio_s,
                one.usage,
            )
            for one in self.requests
        ]
        if self.texts is not None:
            groups += build_request_groups(target, ["a" * self.texts.characters], self.texts.number, plans)
        (bill,) = compute_monthly_bills(target, groups)
        # Of prices that only third parties state, the case is about the lowest.
        return bill.price.usd if bill.price.usd is not None else bill.price.low_usd

    def _build_group(self, one: EqualRequests, price: PriceSpec) -> RequestGroup:
        characters = (
            one.characters
            if one.text is None
            else price.character_counting.count_characters(one.text, has_markup=self.has_markup)
        )
        return RequestGroup(one.requests, characters, one.audio_s, one.usage)


def load_cases() -> tuple[InvoiceCase, ...]:
    """Read the cases in `cases.yaml`."""
    return msgspec.convert(yaml.safe_load(CASES_FILE.read_text(encoding="utf-8")), tuple[InvoiceCase, ...])


PRICES_FILE = Path(__file__).parent / "prices.yaml"
PRICED_CHARACTERS_PER_MONTH = 1_000_000
"""Number of characters of the month whose price `prices.yaml` states."""


class FoundPrice(Record, frozen=True, kw_only=True):
    """A price of a million characters that was found independently of the contracts."""

    usd: float
    source: str
    date: dt.date


class PriceCase(Record, frozen=True, kw_only=True):
    """The price of a million characters with one target, worked by hand."""

    target: str
    prices: dict[int, str]
    """What must be shown, by the number of characters of each text."""
    worked: str
    """How the prices follow from the documents."""
    found: tuple[FoundPrice, ...]

    def compute_prices(self, catalogue: Catalogue) -> dict[int, str]:
        """Return what `voicegauge cost` shows, by the number of characters of each text."""
        return {length: self._compute_price(catalogue, length) for length in self.prices}

    def _compute_price(self, catalogue: Catalogue, text_length: int) -> str:
        estimate = voicegauge.estimate_cost(
            self.target,
            text_length=text_length,
            characters_per_month=PRICED_CHARACTERS_PER_MONTH,
            contracts=catalogue,
        )
        (cost,) = [one for one in estimate.costs if one.is_cheapest_plan]
        return cost.price_per_1m_characters.describe()


def load_price_cases() -> tuple[PriceCase, ...]:
    """Read the cases in `prices.yaml`."""
    return msgspec.convert(yaml.safe_load(PRICES_FILE.read_text(encoding="utf-8")), tuple[PriceCase, ...])
