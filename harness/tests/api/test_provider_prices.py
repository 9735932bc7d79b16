"""Prices of every provider at 100, 500 and 2,000 characters, beside figures that were found and worked out by hand."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from voicegauge.contract.catalogue import load_catalogue
from voicegauge.contract.price_computation import quote_price

LENGTHS = (100, 500, 2_000)


class PriceRow(NamedTuple):
    """What a text of each length costs by an independent figure."""

    target_id: str
    source: str
    """Where the figure was found, and how it was worked out."""
    usd: tuple[float, float, float] | None = None
    """Dollars for each length, from what binds the provider; `None` if only third parties state dollars."""
    highest_usd: tuple[float, float, float] | None = None
    """Dollars that a budget reserves, from the highest claim; by default `usd`."""
    credits: tuple[float, float, float] | None = None


PRICE_ROWS = (
    PriceRow("azure/neural", "Simon 1.1.0: $16 per million; LiteLLM: $15", highest_usd=(0.0016, 0.008, 0.032)),
    PriceRow(
        "cartesia/sonic-3.5",
        "docs.cartesia.ai/pricing: 1 credit per character; apio.sh: $5 for 100,000 credits",
        highest_usd=(0.005, 0.025, 0.1),
        credits=(100, 500, 2_000),
    ),
    PriceRow("deepgram/aura-2", "API Evangelist and syftly, of deepgram.com/pricing: $30", (0.003, 0.015, 0.06)),
    PriceRow(
        "elevenlabs/multilingual-v2",
        "inference.sh: $80 per million; syftly, of the page until summer 2026: $100",
        (0.008, 0.04, 0.16),
        highest_usd=(0.01, 0.05, 0.2),
        credits=(100, 500, 2_000),
    ),
    PriceRow(
        "elevenlabs/flash-v2-5",
        "half of the above: 1 credit for 2 characters; syftly: $50",
        (0.004, 0.02, 0.08),
        highest_usd=(0.005, 0.025, 0.1),
        credits=(50, 250, 1_000),
    ),
    PriceRow(
        "google/standard", "cloud.google.com/text-to-speech/pricing: $4 after the free ones", (0.0004, 0.002, 0.008)
    ),
    PriceRow("google/chirp-3-hd", "cloud.google.com/text-to-speech/pricing: $30", (0.003, 0.015, 0.06)),
    PriceRow(
        "inworld/tts-1-5-max",
        "docs.inworld.ai, billing: $10; API Evangelist and inference.sh: $35",
        (0.001, 0.005, 0.02),
        highest_usd=(0.0035, 0.0175, 0.07),
    ),
    PriceRow("lmnt/blizzard", "API Evangelist: $10 for 200,000 characters", highest_usd=(0.005, 0.025, 0.1)),
    PriceRow("mistral/voxtral-mini-tts-2603", "the model's card: $16 per million", (0.0016, 0.008, 0.032)),
    PriceRow("murf/gen2", "help.murf.ai: $0.03 per 1,000 characters", (0.003, 0.015, 0.06)),
    PriceRow("openai/tts-1", "the model's page: $15 per million", (0.0015, 0.0075, 0.03)),
    PriceRow("openai/tts-1-hd", "the model's page: $30 per million", (0.003, 0.015, 0.06)),
    PriceRow("openai-compatible/speech", "a server of one's own", (0, 0, 0)),
    PriceRow("pixazo/xtts-v2", "the model's page: $0.015 per request", (0.015, 0.015, 0.015)),
    PriceRow(
        "pixazo/chatterbox",
        "the model's page: $0.01 per request; a list of models: $0.03",
        (0.01, 0.01, 0.01),
        highest_usd=(0.03, 0.03, 0.03),
    ),
    PriceRow(
        "pixelapi/voice-design",
        "the documentation: $0.05 and 50 credits per request",
        (0.05, 0.05, 0.05),
        credits=(50, 50, 50),
    ),
    PriceRow("replicate/chatterbox-official", "the model's page: $0.025 per 1,000 characters", (0.0025, 0.0125, 0.05)),
    PriceRow(
        "rime/coda", "docs.rime.ai, introduction: $0.05 per 1,000 characters in the Starter plan", (0.005, 0.025, 0.1)
    ),
    PriceRow("ttsai/kokoro", "the table of tiers: 2 credits per character, no dollars", credits=(200, 1_000, 4_000)),
    PriceRow(
        "xai/tts",
        "notes of a client and openrouter.ai: $15 per million; $4.20 was the price of April 2026",
        (0.0015, 0.0075, 0.03),
    ),
)


@pytest.mark.parametrize("row", PRICE_ROWS, ids=lambda row: row.target_id)
def test_prices_are_those_that_were_found_independently(row: PriceRow) -> None:
    (target,) = load_catalogue().select_targets([row.target_id])
    quotes = [quote_price(target, length) for length in LENGTHS]
    assert [quote.price_usd for quote in quotes] == _about(row.usd)
    highest = row.highest_usd if row.highest_usd is not None else row.usd
    assert [quote.reserved_usd for quote in quotes] == _about(highest)
    assert [quote.price_credits for quote in quotes] == _about(row.credits)


def _about(amounts: tuple[float, float, float] | None) -> list[object]:
    return [None] * 3 if amounts is None else [pytest.approx(amount) for amount in amounts]


def test_a_price_by_tokens_is_near_that_by_the_minute() -> None:
    """OpenAI states $0.015 a minute for gpt-4o-mini-tts; a minute of speech has about 900 characters."""
    (target,) = load_catalogue().select_targets(["openai/gpt-4o-mini-tts"])
    for length in LENGTHS:
        quote = quote_price(target, length)
        assert quote.price_usd == pytest.approx(0.015 * length / 900, rel=0.05)
        assert quote.reserved_usd is not None
        assert quote.price_usd is not None
        assert quote.price_usd < quote.reserved_usd


def test_every_provider_of_speech_has_a_row() -> None:
    providers = {target.contract.id for target in load_catalogue().targets.values()}
    assert {row.target_id.partition("/")[0] for row in PRICE_ROWS} == providers
