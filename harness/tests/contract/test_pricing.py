"""Prices of requests according to contracts."""

from __future__ import annotations

import re

import pytest

from voicegauge.contract.contract import BaseTarget
from voicegauge.contract.price_computation import (
    PriceQuote,
    compute_reported_cost,
    describe_price,
    is_billable,
    is_rounded_amount,
    list_all_claims,
    list_price_sources,
    parse_price_override,
    quote_price,
)
from voicegauge.errors import ContractError, UsageError
from voicegauge.model.price import PriceRange, compute_price_range

PRICE = "x-pricing: {unit: 1k_characters, usd_per_unit: 0.02, source: {document_name: acme.md}}"


@pytest.fixture
def priced(acme, load):
    """Return the target with another price, and with credits of the provider."""

    def target(price: str, money: str = ""):
        text = acme.replace(PRICE, f"x-pricing: {price}" if price else "summary: free")
        return load(
            text.replace("  key_variable: ACME_API_KEY\n", f"  key_variable: ACME_API_KEY\n  {money}\n")
        ).find_target_by_name("swift")

    return target


@pytest.mark.parametrize(
    ("price", "usd", "text"),
    [
        ("{unit: request, usd_per_unit: 0.015}", 0.015, "$0.015 / request"),
        ("{unit: 1k_characters, usd_per_unit: 0.02}", 0.01, "$0.02 / 1,000 characters"),
        ("{unit: 1m_characters, usd_per_unit: 15}", 0.0075, "$15.00 / 1,000,000 characters"),
        ("{unit: minute, usd_per_unit: 0.3}", 0.3 * 500 / 15 / 60, "$0.30 / minute of audio"),
    ],
)
def test_the_price_of_500_characters(priced, price, usd, text) -> None:
    target = priced(price)
    assert quote_price(target, 500).price_usd == pytest.approx(usd)
    assert describe_price(target) == text


def test_a_price_per_minute_applies_to_known_audio(priced) -> None:
    assert quote_price(priced("{unit: second, usd_per_unit: 0.01}"), 500, audio_s=120).price_usd == pytest.approx(1.2)
    assert quote_price(priced("{unit: minute, usd_per_unit: 0.3}"), 500, audio_s=120).price_usd == pytest.approx(0.6)


def find_range(target: BaseTarget, characters: int = 500) -> PriceRange:
    return compute_price_range(
        [one.claim for one in list_all_claims(target)],
        lambda claim, takes_maximum: claim.compute_usd(characters, takes_maximum=takes_maximum),
    )


def test_of_disputed_prices_the_first_of_a_date_counts_and_the_highest_is_reserved(priced) -> None:
    target = priced(
        "{unit: request, alternatives: [{unit: request, usd_per_unit: 0.01}, {unit: 1k_characters, usd_per_unit: 0.1}]}"
    )
    assert quote_price(target, 50) == (0.01, None, 0.01)
    assert quote_price(target, 500) == (0.01, None, 0.05)
    assert describe_price(target) == "$0.01 / request; disputed: $0.10 / 1,000 characters"
    assert find_range(target).describe() == "$0.01 (disputed: $0.05)"


SOURCES = """
    page.md: {title: Pricing page, date: 2026-03-01, publisher: price_page}
    quoted.md: {title: Notes, date: 2026-09-01, publisher: quoted_price_page, is_normative: false}
    blog.md: {title: Blog, date: 2026-10-01, is_normative: false}
    shop.md: {title: Shop, date: 2026-11-01, publisher: reseller, is_normative: false}
"""


@pytest.fixture
def claimed(acme, load):
    """Return the target with claims, each of which is the name of a document and an amount per 1,000 characters."""

    def build(*claims: str, **fields: str):
        prices = [f"{{unit: 1k_characters, {claim}}}" for claim in claims]
        first = prices[0].removesuffix("}")
        price = f"{first}, alternatives: [{', '.join(prices[1:])}]}}"
        text = acme.replace(PRICE, f"x-pricing: {price}").replace("  sources:\n", f"  sources:{SOURCES}")
        return load(text).find_target_by_name("swift")

    return build


@pytest.mark.parametrize(
    ("claims", "text", "reserved_usd"),
    [
        (["page 10"], "$10.00", 10),
        (["page 10", "blog 35"], "$10.00 (third party: $35.00)", 35),
        (["page 10", "blog 35", "blog 5"], "$10.00 (third parties: $5.00 to $35.00)", 35),
        (["page 10", "blog 10"], "$10.00", 10),
        (["page 10", "shop 35"], "$10.00", 10),
        (["shop 35", "page 10"], "$10.00", 10),
        (["page 10", "quoted 12"], "$12.00 (quoted, disputed: $10.00)", 12),
        (["quoted 12", "page 10"], "$12.00 (quoted, disputed: $10.00)", 12),
        (["blog 15", "blog 46"], "($15.00 to $46.00, third parties)", 46),
        (["blog 15"], "($15.00, third party)", 15),
        (["shop 15"], "", None),
        (["page 10 is_of_other_model: true", "blog 15"], "($15.00, third party)", 15),
        (["page 77 exactness: upper_bound"], "at most $77.00", 77),
        (["page 77 exactness: upper_bound", "blog 15"], "($15.00, third party, at most $77.00)", 77),
    ],
)
def test_the_newest_claim_that_binds_the_provider_counts_and_others_are_shown_beside_it(
    claimed, claims, text, reserved_usd
) -> None:
    fields = []
    for claim in claims:
        name, amount, *others = claim.split(" ", 2)
        own = "".join(f", {other}" for other in others)
        fields.append(f"usd_per_unit: {amount}, source: {{document_name: {name}.md}}{own}")
    target = claimed(*fields)
    assert find_range(target, 1_000).describe() == text
    assert quote_price(target, 1_000).reserved_usd == reserved_usd


def test_dollars_and_credits_may_be_of_different_claims(priced) -> None:
    target = priced("{unit: minute, credits_per_unit: 9, alternatives: [{unit: request, usd_per_unit: 0.02}]}")
    assert quote_price(target, 900) == (0.02, 9, 0.02)


def test_a_stated_price_takes_precedence_over_alternatives(priced) -> None:
    target = priced(
        "{unit: request, credits_per_unit: 2, alternatives: [{unit: request, credits_per_unit: 9}]}",
        "credits: {usd_per_credit: 0.5}",
    )
    assert quote_price(target, 1) == (1.0, 2.0, 4.5)
    assert describe_price(target) == "2 credits / request; disputed: 9 credits / request"


def test_credits_are_converted_with_the_documented_price(priced) -> None:
    assert quote_price(priced("{unit: request, credits_per_unit: 50}", "credits: {usd_per_credit: 0.001}"), 1) == (
        0.05,
        50,
        0.05,
    )
    assert quote_price(priced("{unit: request, credits_per_unit: 50}"), 1) == (None, 50, None)
    assert quote_price(
        priced("{unit: 1k_characters, credits_per_unit: 50}", "credits: {usd_per_credit: 0.01}"), 500
    ) == (0.25, 25, 0.25)
    target = priced(
        "{unit: request, usd_per_unit: 0.1, credits_per_unit: 50}", "credits: {name: coins, usd_per_credit: 1}"
    )
    assert quote_price(target, 1) == (0.1, 50, 0.1)
    assert describe_price(target) == "$0.10 / request, 50 coins / request"


def test_the_price_of_the_user_takes_precedence(priced) -> None:
    disputed = priced(
        "{unit: request, alternatives: [{unit: request, usd_per_unit: 0.01}, {unit: request, usd_per_unit: 0.03}]}"
    )
    assert quote_price(disputed, 1, user_usd_per_request=0.02) == (0.02, None, 0.02)
    assert quote_price(priced("{unit: request, credits_per_unit: 50}"), 1, user_usd_per_request=0.02) == (
        0.02,
        50,
        0.02,
    )


def test_an_undocumented_price_is_described_as_such(priced) -> None:
    target = priced("")
    assert quote_price(target, 500) == (None, None, None)
    assert quote_price(target, 500, user_usd_per_request=0.2).price_usd == 0.2
    assert describe_price(target) == "not documented"


def test_the_price_of_a_target_takes_precedence_over_its_operation(acme, load) -> None:
    own = acme.replace("            default_voice: anna\n", "            pricing: {unit: request, usd_per_unit: 3}\n")
    assert quote_price(load(own).find_target_by_name("swift"), 500).price_usd == 3


@pytest.mark.parametrize(
    ("charged", "price", "same"),
    [
        (104.285, 104.2847, True),
        (104.28, 104.2847, True),
        (104.0, 104.2847, True),
        (104.29, 104.2847, False),
        (104.2851, 104.2847, False),
        (103.0, 104.2847, False),
        (0.3, 0.1 + 0.2, True),
        (1_000_000.0, 999_999.0, True),  # just within the relative tolerance of floating point
        (1_000_000.0, 999_998.0, False),
        (1_000_000.5, 1_000_000.0, True),  # within the relative tolerance of floating point
        (-5.0, 5.0, False),
        (0.0, 0.0, True),
        (0.0, 0.4, False),  # to the nearest whole amount that is a rounding, but not for a price this small
        (1.0, 0.6, False),
        (50.0, 50.5, True),
        (50.0, 49.51, True),
        (50.0, 50.51, False),
        (1.7, 1.7171717171717171, True),  # one per cent
        (40.0, 40.45, False),  # more than one per cent
        (1500.0, 1500.5, True),
        (1000.0, 1004.0, False),  # a whole number is exact to one, not to its zeros
    ],
)
def test_an_amount_may_be_rounded_to_the_decimals_that_it_shows(charged, price, same) -> None:
    assert is_rounded_amount(charged, price) is same


@pytest.mark.parametrize(
    ("text", "override"), [("acme=0", ("acme", 0.0)), ("acme/voice-1=0.02", ("acme/voice-1", 0.02))]
)
def test_a_price_of_the_user_is_parsed(text, override) -> None:
    assert parse_price_override(text) == override


@pytest.mark.parametrize("text", ["acme", "acme=", "=1", "acme=x", "acme=-0.1", "acme=inf", "acme=nan", "acme=b=1"])
def test_a_malformed_price_of_the_user_is_quoted(text) -> None:
    with pytest.raises(UsageError) as caught:
        parse_price_override(text)
    assert str(caught.value) == f"{text!r}: write NAME=USD, such as acme=0 or acme/voice-1=0.02"


def test_what_costs_no_credits_is_free_although_the_price_of_a_credit_is_not_known(priced) -> None:
    assert quote_price(priced("{unit: request, credits_per_unit: 0}"), 500) == (0.0, 0.0, 0.0)


def test_an_alternative_without_an_amount_in_a_currency_is_left_out(priced) -> None:
    target = priced(
        "{unit: request, alternatives: [{unit: request, credits_per_unit: 2}, {unit: request, usd_per_unit: 0.5}]}"
    )
    assert quote_price(target, 1) == (0.5, 2.0, 0.5)
    assert describe_price(target) == "$0.50 / request; disputed: 2 credits / request"


def test_large_amounts_are_described_with_separators(priced) -> None:
    assert (
        describe_price(priced("{unit: 1m_characters, credits_per_unit: 1234567.5}"))
        == "1,234,567.5 credits / 1,000,000 characters"
    )


def test_one_price_beside_a_document_without_any_is_not_disputed(priced) -> None:
    target = priced(
        "{unit: request, source: {document_name: acme.md}, alternatives: [{unit: request, usd_per_unit: 2}]}"
    )
    assert quote_price(target, 500) == (2, None, 2)
    assert list_price_sources(target) == ()  # acme.md states no amount


def test_the_documents_that_state_a_price_are_named_once(priced) -> None:
    stated = (
        "{unit: request, usd_per_unit: 1, source: {document_name: acme.md}, "
        "alternatives: [{unit: request, usd_per_unit: 2"
    )
    assert list_price_sources(priced(f"{stated}, source: {{document_name: acme.md}}}}]}}")) == (
        "Acme speech API, 2026-11-21, https://acme.example/docs",
    )
    assert len(list_price_sources(priced(f"{stated}}}]}}"))) == 1
    assert list_price_sources(priced("{unit: request, usd_per_unit: 1}")) == ()
    assert list_price_sources(priced("")) == ()


@pytest.mark.parametrize(
    ("price", "billable"),
    [
        ("", False),
        ("x-pricing: {unit: request, usd_per_unit: 0}", False),
        ("x-pricing: {unit: request, credits_per_unit: 0}", False),
        ("x-pricing: {unit: request, usd_per_unit: 0.1}", True),
        ("x-pricing: {unit: request, credits_per_unit: 1}", True),
        ("x-pricing: {unit: request, alternatives: [{unit: request, usd_per_unit: 1}]}", True),
    ],
)
def test_an_operation_without_speech_is_billable_if_it_has_a_price(acme, load, price, billable) -> None:
    voices = f"""\
  /voices:
    get:
      operationId: voices
      {price or "summary: free"}
      responses: {{"200": {{description: Voices}}}}
"""
    contract = load(acme.replace("paths:\n", f"paths:\n{voices}"))
    assert is_billable(contract.find_operation("voices")) is billable


def test_speech_is_billable_even_without_a_documented_price(priced) -> None:
    assert is_billable(priced("").operation)


TOKENS = "{unit: 1m_tokens, usd_per_unit: 0.6, part_label: input, usage: {max_per_character: 1}, added_parts: [%s]}"
OUTPUT = "{unit: 1m_tokens, usd_per_unit: 12, part_label: output, usage: {max_per_character: 2, max_per_request: 100}}"


@pytest.mark.parametrize(
    ("price", "usd", "text"),
    [
        (
            TOKENS % OUTPUT,
            (500 * 0.6 + 1100 * 12) / 1_000_000,
            "$0.60 / 1,000,000 tokens (input) + $12.00 / 1,000,000 tokens (output)",
        ),
        ("{unit: second, usd_per_unit: 0.01}", 0.01 * 500 / 15, "$0.01 / second of audio"),
        ("{unit: minute, usd_per_unit: 0.6, usage: {max_per_character: 0.1}}", 0.5, "$0.60 / minute of audio"),
        (
            "{unit: compute_second, usd_per_unit: 0.001, usage: {max_per_request: 30}}",
            0.03,
            "$0.001 / second of computing",
        ),
    ],
)
def test_the_upper_bound_of_a_price_that_depends_on_the_response(priced, price, usd, text) -> None:
    target = priced(price)
    quote = quote_price(target, 500)
    assert quote.price_usd == (pytest.approx(usd) if "usage" not in price else None)
    assert quote.reserved_usd == pytest.approx(usd * (1 if "usage" in price else 2))  # slow speech takes twice the time
    assert describe_price(target) == text
    (claimed,) = list_all_claims(target)
    assert claimed.claim.exactness == ("upper_bound" if "usage" in price else "typical")
    assert claimed.claim.compute_usd(500, takes_maximum=True) == pytest.approx(quote.reserved_usd)


def test_typical_usage_makes_a_price_that_can_be_compared(priced) -> None:
    target = priced(
        "{unit: 1m_tokens, usd_per_unit: 12, "
        "usage: {max_per_request: 200, max_per_character: 6, typical_per_request: 10, typical_per_character: 1.5}}"
    )
    quote = quote_price(target, 1_000)
    assert (quote.price_usd, quote.reserved_usd) == (pytest.approx(1_510 * 12e-6), pytest.approx(6_200 * 12e-6))
    assert find_range(target, 1_000).scale(1_000).describe() == "$18.12 (at most $74.40)"


REPORTED = "usage: {max_per_character: 1, reported_usage_location: body#/id}"


@pytest.mark.parametrize(
    ("price", "characters", "cost"),
    [
        (f"{{unit: 1m_tokens, usd_per_unit: 2, {REPORTED}}}", None, (0.002, None)),
        (f"{{unit: compute_second, usd_per_unit: 0.01, {REPORTED}}}", None, (10.0, None)),
        (f"{{unit: second, usd_per_unit: 0.01, {REPORTED}}}", None, (10.0, None)),
        (f"{{unit: minute, usd_per_unit: 0.6, {REPORTED}}}", None, (10.0, None)),
        (f"{{unit: 1m_tokens, credits_per_unit: 2000, {REPORTED}}}", None, (0.5, 2.0)),
        (f"{{unit: 1m_tokens, usd_per_unit: 1, credits_per_unit: 2000, {REPORTED}}}", None, (0.001, 2.0)),
        (
            f"{{unit: 1m_tokens, usd_per_unit: 2, {REPORTED}, added_parts: [{{unit: request, usd_per_unit: 0.5}}]}}",
            None,
            (0.502, None),
        ),
        (
            f"{{unit: request, usd_per_unit: 0.5, added_parts: [{{unit: 1m_tokens, usd_per_unit: 2, {REPORTED}}}]}}",
            None,
            (0.502, None),
        ),
        (
            (
                f"{{unit: 1m_tokens, usd_per_unit: 2, {REPORTED}, "
                "added_parts: [{unit: 1k_characters, usd_per_unit: 3}]}"
            ),
            500,
            (1.502, None),
        ),
        (
            (
                f"{{unit: 1m_tokens, usd_per_unit: 2, {REPORTED}, "
                "added_parts: [{unit: 1k_characters, usd_per_unit: 3}]}"
            ),
            None,
            None,
        ),
        (
            f"{{unit: 1m_tokens, usd_per_unit: 2, {REPORTED}, added_parts: [{{unit: minute, usd_per_unit: 3}}]}}",
            500,
            None,
        ),
        ("{unit: 1m_tokens, usd_per_unit: 2, usage: {max_per_character: 1}}", 500, None),
        ("{unit: request, usd_per_unit: 2}", 500, None),
        ("", 500, None),
    ],
)
def test_what_a_response_reports_has_a_cost(priced, price, characters, cost) -> None:
    """1,000 tokens or seconds are reported, wherever the contract documents that a number of them is."""
    target = priced(price, "credits: {usd_per_credit: 0.25}")
    quote = compute_reported_cost(target, characters, lambda usage: 1000 if usage.reported_usage_location else None)
    assert quote == (None if cost is None else PriceQuote(pytest.approx(cost[0]), cost[1], pytest.approx(cost[0])))
    assert compute_reported_cost(target, characters, lambda _: None) is None


@pytest.mark.parametrize(("characters", "usd"), [(10, 0.1), (1000, 1.0)])
def test_the_highest_claim_may_be_an_upper_bound(priced, characters, usd) -> None:
    tokens = "{unit: 1m_tokens, usd_per_unit: 1000, usage: {max_per_character: 1}}"
    target = priced(f"{{unit: request, alternatives: [{tokens}, {{unit: request, usd_per_unit: 0.1}}]}}")
    assert quote_price(target, characters) == (0.1, None, pytest.approx(usd))


def test_a_price_of_several_parts_is_described_in_each_currency(priced) -> None:
    target = priced(
        "{unit: 1m_tokens, usd_per_unit: 1, credits_per_unit: 20, usage: {max_per_request: 5, typical_per_request: 5}, "
        "added_parts: [{unit: request, part_label: call, usd_per_unit: 0.25, credits_per_unit: 2}, "
        "{unit: request, usd_per_unit: 0.25, credits_per_unit: 0}], "
        "alternatives: [{unit: request, usd_per_unit: 3}]}"
    )
    assert describe_price(target) == (
        "$1.00 / 1,000,000 tokens + $0.25 / request (call) + $0.25 / request, "
        "20 credits / 1,000,000 tokens + 2 credits / request (call) + 0 credits / request; disputed: $3.00 / request"
    )
    assert quote_price(target, 50) == (pytest.approx(0.500005), pytest.approx(2.0001), 3)


PLANS = "x-limits: {plan_limits: {free: {}, pro: {}}}\nx-provider:"
BY_PLAN = (
    "{unit: 1k_characters, usd_per_unit: 0.3, plan_prices: {pro: {usd_per_unit: 0.1, included_units_per_month: 1000}}}"
)


@pytest.fixture
def planned(acme, load):
    """Return the contract with another price, and with the plans free and pro."""
    return lambda price: load(acme.replace(PRICE, f"x-pricing: {price}").replace("x-provider:", PLANS))


def test_a_plan_has_its_own_price_and_the_highest_one_is_the_default(planned) -> None:
    contract = planned(BY_PLAN)
    assert (
        describe_price(contract.find_target_by_name("swift")) == "$0.30 / 1,000 characters (at most; depends on --plan)"
    )
    assert quote_price(contract.find_target_by_name("swift"), 1000).price_usd == 0.3
    named = contract.select_account_plans(["pro", "a plan of someone else"]).find_target_by_name("swift")
    assert quote_price(named, 1000).price_usd == 0.1
    assert describe_price(named) == "$0.10 / 1,000 characters"
    assert quote_price(contract.select_account_plans(["free"]).find_target_by_name("swift"), 1000).price_usd == 0.3


@pytest.mark.parametrize(
    ("price", "message"),
    [
        ("{unit: 1m_tokens, usd_per_unit: 1}", "needs usage, with an upper bound"),
        ("{unit: request, usd_per_unit: 1, usage: {max_per_request: 2}}", "has no usage: the text determines it"),
        (
            "{unit: 1m_tokens, usd_per_unit: 1, usage: {max_per_request: 1, reported_usage_location: body#/spent}}",
            "is not in the documented",
        ),
        (
            "{unit: 1m_tokens, usd_per_unit: 1, usage: {reported_usage_location: body#/id}}",
            "needs max_per_request or max_per_character",
        ),
        (
            "{unit: request, usd_per_unit: 1, added_parts: [{unit: request, credits_per_unit: 1}]}",
            "have the same currencies",
        ),
        (
            (
                "{unit: request, usd_per_unit: 1, added_parts: "
                "[{unit: request, usd_per_unit: 1, added_parts: [{unit: request, usd_per_unit: 1}]}]}"
            ),
            "of its own",
        ),
        ("{unit: request, usd_per_unit: 1, plan_prices: {pro: {usd_per_unit: 2}}}", "usd_per_unit 2 is more than 1"),
        (
            "{unit: request, usd_per_unit: 1, plan_prices: {gold: {usd_per_unit: 1}}}",
            "is not a plan in x-limits.plan_limits; known: free, pro",
        ),
        (
            "{unit: request, usd_per_unit: 1, plan_prices: {pro: {credits_per_unit: 1}}}",
            "the same currencies as the price",
        ),
        (
            "{unit: request, usd_per_unit: 1, plan_prices: {pro: {usd_per_unit: 1, allows_extra_units: false}}}",
            "without extra units needs included_units_per_month",
        ),
        ("{unit: request, usd_per_unit: 1, rounding_step: 5}", "has neither rounding_step nor min_charged_quantity"),
        (
            (
                "{unit: request, usd_per_unit: 1, added_parts: "
                "[{unit: request, usd_per_unit: 1, character_counting: {characters_counted_twice: han}}]}"
            ),
            "character_counting belongs to the price",
        ),
        (
            (
                "{unit: request, usd_per_unit: 1, alternatives: "
                "[{unit: second, usd_per_unit: 1, character_counting: {counts_tags: false}}]}"
            ),
            "character_counting belongs to",
        ),
    ],
)
def test_a_price_that_contradicts_itself_is_rejected(planned, price, message) -> None:
    with pytest.raises(ContractError, match=re.escape(message)):
        planned(price)
