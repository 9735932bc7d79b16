"""Prices of every provider at 100, 500 and 2,000 characters, beside figures that were found and worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from voicegauge.contract.loading import load_catalogue
from voicegauge.contract.price_computation import quote_price

LENGTHS = (100, 500, 2_000)


PAGE = Path(__file__).resolve().parents[3] / "docs" / "prices.md"


class PriceRow(NamedTuple):
    """A row of the table of independent figures in docs/prices.md."""

    target_id: str
    source: str
    """Where the figure was found, and how it was worked out."""
    usd: tuple[float, ...] | None
    """Dollars for each length, from what binds the provider; `None` if only third parties state dollars."""
    highest_usd: tuple[float, ...] | None
    """Dollars that a budget reserves, from the highest claim."""
    credits: tuple[float, ...] | None


def _read_rows() -> list[PriceRow]:
    table = PAGE.read_text(encoding="utf-8").split("## ")[1]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]
    return [PriceRow(row[0], row[1], *map(_read_amounts, row[2:])) for row in cells if row[1:] and "/" in row[0]]


def _read_amounts(cell: str) -> tuple[float, ...] | None:
    return None if cell == "-" else tuple(map(float, cell.split(" / ")))


PRICE_ROWS = _read_rows()


@pytest.mark.parametrize("row", PRICE_ROWS, ids=lambda row: row.target_id)
def test_prices_are_those_that_were_found_independently(row: PriceRow) -> None:
    (target,) = load_catalogue().select_targets([row.target_id])
    quotes = [quote_price(target, length) for length in LENGTHS]
    assert [quote.price_usd for quote in quotes] == _about(row.usd)
    assert [quote.reserved_usd for quote in quotes] == _about(row.highest_usd)
    assert [quote.price_credits for quote in quotes] == _about(row.credits)


def _about(amounts: tuple[float, ...] | None) -> list[object]:
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
