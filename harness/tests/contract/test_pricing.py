"""What a request costs by the contract's price."""

from __future__ import annotations

import pytest

from voicegauge.contract.pricing import UnitPrice, describe_price, quote_price, unit_prices

PRICE = "x-pricing: {per: 1k_characters, usd: 0.02, source: {document: acme.md}}"


@pytest.fixture
def priced(acme, load):
    """The target with another price, and with money of the provider's own."""

    def target(price: str, money: str = ""):
        text = acme.replace(PRICE, f"x-pricing: {price}" if price else "summary: free")
        return load(text.replace("  key_env: ACME_API_KEY\n", f"  key_env: ACME_API_KEY\n  {money}\n")).target("swift")

    return target


@pytest.mark.parametrize(
    ("price", "usd", "says"),
    [
        ("{per: request, usd: 0.015}", 0.015, "$0.015 / request"),
        ("{per: 1k_characters, usd: 0.02}", 0.01, "$0.02 / 1,000 characters"),
        ("{per: 1m_characters, usd: 15}", 0.0075, "$15 / 1,000,000 characters"),
        ("{per: minute, usd: 0.3}", 0.3 * 500 / 15 / 60, "$0.3 / minute of audio"),
    ],
)
def test_five_hundred_characters_cost(priced, price, usd, says) -> None:
    target = priced(price)
    assert quote_price(target, 500).usd == pytest.approx(usd)
    assert not quote_price(target, 500).disputed
    assert describe_price(target) == says


def test_a_price_a_minute_counts_the_audio_where_it_is_known(priced) -> None:
    assert quote_price(priced("{per: minute, usd: 0.3}"), 500, audio_s=120).usd == pytest.approx(0.6)


def test_of_disputed_prices_the_highest_is_reserved(priced) -> None:
    target = priced("{per: request, alternatives: [{per: request, usd: 0.01}, {per: 1k_characters, usd: 0.1}]}")
    assert quote_price(target, 50) == (0.01, None, True)
    assert quote_price(target, 500) == (0.05, None, True)
    assert describe_price(target) == "$0.01 / request or $0.1 / 1,000 characters (disputed)"


@pytest.mark.parametrize(
    ("characters", "usd"), [(50, UnitPrice(0.01, "request")), (500, UnitPrice(0.0001, "character"))]
)
def test_the_highest_of_readings_in_several_units_keeps_its_own(priced, characters, usd) -> None:
    target = priced("{per: request, alternatives: [{per: request, usd: 0.01}, {per: 1k_characters, usd: 0.1}]}")
    assert unit_prices(target, characters) == (usd, None)


def test_dollars_and_credits_each_have_their_unit(priced) -> None:
    target = priced("{per: minute, credits: 9, alternatives: [{per: request, usd: 0.02}]}")
    assert unit_prices(target, 500) == (UnitPrice(0.02, "request"), UnitPrice(9, "minute"))
    assert unit_prices(priced("{per: 1m_characters, credits: 5}", "credits: {usd: 2}"), 500) == (
        UnitPrice(1e-5, "character"),
        UnitPrice(5e-6, "character"),
    )
    assert unit_prices(priced(""), 500) == (None, None)


def test_a_stated_price_wins_over_other_readings(priced) -> None:
    target = priced("{per: request, credits: 2, alternatives: [{per: request, credits: 9}]}", "credits: {usd: 0.5}")
    assert quote_price(target, 1) == (1.0, 2.0, True)
    assert describe_price(target) == "2 or 9 credits / request (disputed)"


def test_credits_are_worth_what_the_contract_says(priced) -> None:
    assert quote_price(priced("{per: request, credits: 50}", "credits: {usd: 0.001}"), 1) == (0.05, 50, False)
    assert quote_price(priced("{per: request, credits: 50}"), 1) == (None, 50, False)
    target = priced("{per: request, usd: 0.1, credits: 50}", "credits: {name: coins, usd: 1}")
    assert quote_price(target, 1) == (0.1, 50, False)
    assert describe_price(target) == "$0.1 / request, 50 coins / request"


def test_the_users_price_wins(priced) -> None:
    disputed = priced("{per: request, alternatives: [{per: request, usd: 0.01}, {per: request, usd: 0.03}]}")
    assert quote_price(disputed, 1, usd=0.02) == (0.02, None, False)


def test_nothing_is_said_where_no_document_does(priced) -> None:
    target = priced("")
    assert quote_price(target, 500) == (None, None, False)
    assert quote_price(target, 500, usd=0.2).usd == 0.2
    assert describe_price(target) == "not documented"


def test_a_targets_own_price_wins_over_its_operations(acme, load) -> None:
    own = acme.replace("            voice: anna\n", "            pricing: {per: request, usd: 3}\n")
    assert quote_price(load(own).target("swift"), 500).usd == 3
