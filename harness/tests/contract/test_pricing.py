"""Prices of requests according to contracts."""

from __future__ import annotations

import pytest

from voicegauge.contract.pricing import UnitPrice, describe_price, quote_price, unit_prices

PRICE = "x-pricing: {per: 1k_characters, usd: 0.02, source: {document: acme.md}}"


@pytest.fixture
def priced(acme, load):
    """Return the target with another price, and with credits of the provider."""

    def target(price: str, money: str = ""):
        text = acme.replace(PRICE, f"x-pricing: {price}" if price else "summary: free")
        return load(text.replace("  key_env: ACME_API_KEY\n", f"  key_env: ACME_API_KEY\n  {money}\n")).target("swift")

    return target


@pytest.mark.parametrize(
    ("price", "usd", "text"),
    [
        ("{per: request, usd: 0.015}", 0.015, "$0.015 / request"),
        ("{per: 1k_characters, usd: 0.02}", 0.01, "$0.02 / 1,000 characters"),
        ("{per: 1m_characters, usd: 15}", 0.0075, "$15 / 1,000,000 characters"),
        ("{per: minute, usd: 0.3}", 0.3 * 500 / 15 / 60, "$0.3 / minute of audio"),
    ],
)
def test_the_price_of_500_characters(priced, price, usd, text) -> None:
    target = priced(price)
    assert quote_price(target, 500).usd == pytest.approx(usd)
    assert not quote_price(target, 500).disputed
    assert describe_price(target) == text


def test_a_price_per_minute_applies_to_known_audio(priced) -> None:
    assert quote_price(priced("{per: minute, usd: 0.3}"), 500, audio_s=120).usd == pytest.approx(0.6)


def test_of_disputed_prices_the_highest_is_reserved(priced) -> None:
    target = priced("{per: request, alternatives: [{per: request, usd: 0.01}, {per: 1k_characters, usd: 0.1}]}")
    assert quote_price(target, 50) == (0.01, None, True)
    assert quote_price(target, 500) == (0.05, None, True)
    assert describe_price(target) == "$0.01 / request or $0.1 / 1,000 characters (disputed)"


@pytest.mark.parametrize(
    ("characters", "usd"), [(50, UnitPrice(0.01, "request")), (500, UnitPrice(0.0001, "character"))]
)
def test_the_highest_alternative_keeps_its_unit(priced, characters, usd) -> None:
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


def test_a_stated_price_takes_precedence_over_alternatives(priced) -> None:
    target = priced("{per: request, credits: 2, alternatives: [{per: request, credits: 9}]}", "credits: {usd: 0.5}")
    assert quote_price(target, 1) == (1.0, 2.0, True)
    assert describe_price(target) == "2 or 9 credits / request (disputed)"


def test_credits_are_converted_with_the_documented_price(priced) -> None:
    assert quote_price(priced("{per: request, credits: 50}", "credits: {usd: 0.001}"), 1) == (0.05, 50, False)
    assert quote_price(priced("{per: request, credits: 50}"), 1) == (None, 50, False)
    target = priced("{per: request, usd: 0.1, credits: 50}", "credits: {name: coins, usd: 1}")
    assert quote_price(target, 1) == (0.1, 50, False)
    assert describe_price(target) == "$0.1 / request, 50 coins / request"


def test_the_price_of_the_user_takes_precedence(priced) -> None:
    disputed = priced("{per: request, alternatives: [{per: request, usd: 0.01}, {per: request, usd: 0.03}]}")
    assert quote_price(disputed, 1, usd=0.02) == (0.02, None, False)


def test_an_undocumented_price_is_described_as_such(priced) -> None:
    target = priced("")
    assert quote_price(target, 500) == (None, None, False)
    assert quote_price(target, 500, usd=0.2).usd == 0.2
    assert describe_price(target) == "not documented"


def test_the_price_of_a_target_takes_precedence_over_its_operation(acme, load) -> None:
    own = acme.replace("            voice: anna\n", "            pricing: {per: request, usd: 3}\n")
    assert quote_price(load(own).target("swift"), 500).usd == 3
