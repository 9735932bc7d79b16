"""Facts about audio and about prices, which several extensions document."""

from __future__ import annotations

from voicegauge.drift.contracts.extension_facts.extension_fact import (
    B,
    C,
    ExtensionFact,
    P,
    build_flag_fact,
    build_names_fact,
    build_number_fact,
    build_optional_number_fact,
    build_optional_value_fact,
    build_presence_fact,
    build_required_value_fact,
)


def build_price_facts(fact_path: str) -> tuple[ExtensionFact, ...]:
    """Return the facts about a price. `fact_path` is the path of the price in a record; empty for the record itself."""
    prefix = f"{fact_path}/" if fact_path else ""
    return (
        build_presence_fact(fact_path, "price", "The price", (P, P)),
        build_optional_number_fact(f"{prefix}usd", "price-usd", "The price in US dollars", (P, C, P, P)),
        build_optional_number_fact(f"{prefix}credits", "price-credits", "The price in credits", (P, C, P, P)),
        build_required_value_fact(f"{prefix}per", "price-unit", "The unit that the price is for", P),
        build_names_fact(
            f"{prefix}alternatives", "price-reading", "An alternative price from another document", (P, C)
        ),
        build_required_value_fact(f"{prefix}count/unit", "price-count", "What is counted for the price", P),
        build_flag_fact(
            f"{prefix}count/whitespace", "price-white-space", "White space {} counts for the price", (P, C)
        ),
        build_optional_value_fact(
            f"{prefix}count/doubled",
            "price-doubled-characters",
            "Which characters count twice for the price",
            (P, C, P),
        ),
        build_flag_fact(f"{prefix}count/tags", "price-tags", "Tags {} count for the price", (P, C)),
        build_names_fact(
            f"{prefix}count/free_tags", "price-free-tag", "A tag that does not count for the price", (C, P)
        ),
        build_optional_number_fact(
            f"{prefix}step", "price-rounding", "The step to which a request is rounded up", (P, C, P, C)
        ),
        build_number_fact(f"{prefix}minimum", "price-rounding", "What a request is charged for at least", (P, C)),
        build_names_fact(f"{prefix}plus", "price-part", "A further part of the price", (P, C)),
        build_presence_fact(f"{prefix}usage", "price-usage", "The usage that a request is charged at most", (P, P)),
        build_number_fact(
            f"{prefix}usage/max_per_request",
            "price-usage",
            "The usage that a request without text is charged at most",
            (P, C),
        ),
        build_number_fact(
            f"{prefix}usage/max_per_character",
            "price-usage-per-character",
            "The usage that a character is charged at most",
            (P, C),
        ),
        build_optional_value_fact(
            f"{prefix}usage/reported", "price-usage-location", "The location of the usage", (C, P, P)
        ),
        build_optional_value_fact(
            f"{prefix}usage/reported_in_event", "price-usage-location", "The location of the usage", (C, P, P)
        ),
        build_names_fact(f"{prefix}plans", "price-plan", "An account plan with a price of its own", (C, P)),
        build_optional_number_fact(f"{prefix}plans/*/usd", "price-usd", "The price in US dollars", (P, C, P, P)),
        build_optional_number_fact(f"{prefix}plans/*/credits", "price-credits", "The price in credits", (P, C, P, P)),
        build_optional_number_fact(
            f"{prefix}plans/*/included", "price-included", "The usage that the fee of a plan includes", (C, P, C, P)
        ),
        build_optional_number_fact(
            f"{prefix}plans/*/monthly_fee_usd", "price-fee", "The monthly fee of a plan", (P, C, P, C)
        ),
        build_flag_fact(
            f"{prefix}plans/*/overage", "price-overage", "More than a plan includes {} can be bought", (C, P)
        ),
    )


def build_audio_facts(fact_path: str, rule_id_prefix: str) -> tuple[ExtensionFact, ...]:
    """Return the facts about audio at `fact_path` in a record; the ids of their rules begin with `rule_id_prefix`."""
    return (
        build_required_value_fact(f"{fact_path}/at", f"{rule_id_prefix}-place", "The location of the audio", B),
        build_required_value_fact(
            f"{fact_path}/delivered", f"{rule_id_prefix}-delivery", "The way in which the audio is delivered", B
        ),
        build_optional_value_fact(
            f"{fact_path}/format", f"{rule_id_prefix}-format", "The only format of the audio", (C, P, B)
        ),
        build_optional_value_fact(
            f"{fact_path}/media_type",
            f"{rule_id_prefix}-media-type-place",
            "The location of the audio's media type",
            (C, P, B),
        ),
        build_optional_value_fact(
            f"{fact_path}/sample_rate_hz", f"{rule_id_prefix}-sample-rate", "The sample rate of raw audio", (C, B, B)
        ),
        build_required_value_fact(
            f"{fact_path}/channels", f"{rule_id_prefix}-channels", "The number of channels of raw audio", B
        ),
        build_names_fact(
            f"{fact_path}/timestamps", f"{rule_id_prefix}-timestamps", "The timestamps of characters or words", (C, B)
        ),
        build_optional_value_fact(
            f"{fact_path}/download",
            f"{rule_id_prefix}-download",
            "The operation that the audio URL belongs to",
            (C, P, P),
        ),
    )


PRICING_FACTS = build_price_facts("")
