"""Error rates by category and by language, shaded by how bad they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from voicegauge.bench.analysis import ErrorRate, TargetSummary
from voicegauge.report.text import NONE, interval, percent

STEPS = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Error rates at which the shade changes: from what a listener hardly notices to what is not understood."""


class HeatCell(NamedTuple):
    """One error rate; `shade` is 0 to `len(STEPS)`, `None` where nothing was scored."""

    text: str
    detail: str
    shade: int | None
    note: str


class HeatTable(NamedTuple):
    """Targets down, categories or languages across."""

    title: str
    columns: tuple[str, ...]
    units: tuple[str, ...]
    """"WER" or "CER" by column."""
    rows: tuple[tuple[TargetSummary, tuple[HeatCell, ...]], ...]


def heat_tables(targets: Sequence[TargetSummary]) -> tuple[HeatTable, ...]:
    """Languages against each other where there are several, and categories within each that has several."""
    languages = list(dict.fromkeys(s.language for t in targets for s in t.categories))
    tables = [_by_language(targets, languages)] if len(languages) > 1 else []
    for language in languages:
        categories = list(dict.fromkeys(s.category for t in targets for s in t.categories if s.language == language))
        if len(categories) > 1 or len(languages) == 1:
            tables.append(_by_category(targets, language, categories))
    return tuple(tables)


def _by_category(targets: Sequence[TargetSummary], language: str, categories: Sequence[str]) -> HeatTable:
    found = {(t.target, s.category): s.rate for t in targets for s in t.categories if s.language == language}
    return _table(f"By category, {language}", targets, categories, found)


def _by_language(targets: Sequence[TargetSummary], languages: Sequence[str]) -> HeatTable:
    found = {(t.target, language.language): language.rate for t in targets for language in t.languages}
    return _table("By language", targets, languages, found)


def _table(
    title: str,
    targets: Sequence[TargetSummary],
    keys: Sequence[str],
    found: dict[tuple[str, str], ErrorRate],
) -> HeatTable:
    def unit(key: str) -> str:
        units = {found[t.target, key].unit for t in targets if (t.target, key) in found}
        return "CER" if "character" in units else "WER"

    return HeatTable(
        title=title,
        columns=tuple(keys),
        units=tuple(unit(key) for key in keys),
        rows=tuple((t, tuple(_cell(found.get((t.target, key))) for key in keys)) for t in targets),
    )


def _cell(rate: ErrorRate | None) -> HeatCell:
    if rate is None:
        return HeatCell(NONE, "", None, "nothing scored")
    shade = sum(rate.corpus.value >= step for step in STEPS)
    counted = f"{rate.units} {rate.unit}s in {rate.texts} texts"
    return HeatCell(percent(rate.corpus.value), interval(rate.corpus, 100, 1), shade, counted)
