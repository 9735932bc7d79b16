"""Costs of a month: invoices worked by hand, and how characters are counted."""

from __future__ import annotations

import pytest
from invoices import InvoiceCase, PriceCase, load_cases, load_price_cases

from voicegauge.contract.extension.pricing import CharacterCounting, PlanPrice, PriceSpec
from voicegauge.contract.loading import Catalogue
from voicegauge.contract.price_computation import (
    RequestGroup,
    build_request_groups,
    compute_monthly_bill,
    round_to_cents,
)


@pytest.mark.parametrize("case", load_cases(), ids=lambda case: case.name)
def test_an_invoice_is_right_to_the_cent(case: InvoiceCase, voicegauge_catalogue: Catalogue) -> None:
    assert case.compute_invoice_usd(voicegauge_catalogue) == case.invoice_usd


@pytest.mark.parametrize("case", load_price_cases(), ids=lambda case: case.target)
def test_a_price_at_three_text_lengths_is_what_follows_by_hand(
    case: PriceCase, voicegauge_catalogue: Catalogue
) -> None:
    assert case.compute_prices(voicegauge_catalogue) == case.prices


def test_prices_of_every_provider_are_worked_by_hand(voicegauge_catalogue: Catalogue) -> None:
    speaking = {target.contract.id for target in voicegauge_catalogue.targets.values()}
    assert {case.target.partition("/")[0] for case in load_price_cases()} == speaking


@pytest.mark.parametrize(
    ("count", "text", "characters"),
    [
        (CharacterCounting(), "a b\n漢", 5),
        (CharacterCounting(counts_whitespace=False), " a b\n漢\u3000", 3),
        (CharacterCounting(characters_counted_twice="han"), "漢字かな。한A", 9),
        (CharacterCounting(characters_counted_twice="wide"), "漢字かな。한A", 13),
        (
            CharacterCounting(characters_counted_twice="han"),
            "㐀𠀀豈々",
            7,
        ),  # extensions and compatibility ideographs; the mark 々 is not one
        (CharacterCounting(counted_unit="utf8_byte"), "é漢", 5),
    ],
)
def test_characters_are_counted_as_the_provider_does(count: CharacterCounting, text: str, characters: int) -> None:
    assert count.count_characters(text) == characters


@pytest.mark.parametrize(
    ("count", "characters"),
    [
        (CharacterCounting(), 53),
        (CharacterCounting(counts_tags=False), 5),
        (CharacterCounting(uncounted_tag_names=("speak", "voice")), 23),
    ],
)
def test_tags_are_counted_as_the_provider_does(count: CharacterCounting, characters: int) -> None:
    text = "<speak><voice><break time='1s'/>a < b</voice></speak>"
    assert count.count_characters(text, has_markup=True) == characters


def test_text_without_markup_has_no_tags() -> None:
    assert CharacterCounting(counts_tags=False).count_characters("<b>") == 3


@pytest.mark.parametrize(("usd", "cents"), [(1.005, 1.01), (2.675, 2.68), (0.1 + 0.2, 0.3), (0.004999, 0.0), (0, 0)])
def test_half_a_cent_is_rounded_up(usd: float, cents: float) -> None:
    assert round_to_cents(usd) == cents


def test_a_plan_without_overage_includes_no_more_than_its_units() -> None:
    free = PlanPrice(usd_per_unit=0, included_units_per_month=1, monthly_fee_usd=0, allows_extra_units=False)
    price = PriceSpec(
        unit="1k_characters",
        usd_per_unit=2,
        plan_prices={"free": free, "paid": PlanPrice(usd_per_unit=1, included_units_per_month=5)},
    )
    assert compute_monthly_bill(price, [RequestGroup(2, 500)], "free").total_usd == 0
    bill = compute_monthly_bill(price, [RequestGroup(2, 501)], "free")
    assert (bill.total_usd, bill.exceeds_plan) == (None, True)
    # The fee of the other plan is not known, so what it includes is charged.
    assert compute_monthly_bill(price, [RequestGroup(2, 500)], "paid").total_usd == 1


def test_each_request_is_rounded_up_and_charged_a_minimum() -> None:
    price = PriceSpec(unit="1k_characters", usd_per_unit=1, rounding_step=100, min_charged_quantity=300)
    assert [compute_monthly_bill(price, [RequestGroup(10, length)]).total_usd for length in (1, 300, 301)] == [3, 3, 4]


def test_units_that_are_not_known_beforehand_are_named() -> None:
    minute = PriceSpec(unit="minute", usd_per_unit=0.06)
    bill = compute_monthly_bill(minute, [RequestGroup(100, 150)])
    assert (bill.total_usd, bill.usage_basis) == (1.0, "estimated_duration")
    assert compute_monthly_bill(minute, [RequestGroup(100, 150, 20.0)]).usage_basis == "exact"


def test_a_recommended_length_is_not_a_limit_of_a_request(voicegauge_catalogue: Catalogue) -> None:
    advised = voicegauge_catalogue.targets["pixazo/xtts-v2"]
    assert advised.target_spec.recommended_max_characters == 500
    assert build_request_groups(advised, ["a" * 1200], 3) == (RequestGroup(3, 1200),)
    limited = voicegauge_catalogue.targets["pixelapi/voice-design"]
    assert [group.characters_per_request for group in build_request_groups(limited, ["a" * 1200], 3)] == [500, 500, 200]


def test_the_plan_of_the_account_decides_how_long_a_request_may_be(voicegauge_catalogue: Catalogue) -> None:
    target = voicegauge_catalogue.targets["ttsai/kokoro"]
    assert [target.find_text_limit(plans) for plans in ((), ("free",), ("business-plus",))] == [100_000, 500, 50_000]
