"""Tables of error rates by category and by language, which are shaded like a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from voicegauge.bench.error_rates import ErrorRate
from voicegauge.bench.target_summaries import TargetSummary
from voicegauge.report._text_format import (
    MISSING_TEXT,
    format_interval,
    format_percent,
)

SHADE_THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Error rates from which a cell has the next darker shade, from barely noticeable to unintelligible."""


class HeatCell(NamedTuple):
    """The error rate of one target in one column, formatted."""

    rate_text: str
    interval_text: str
    """The interval of the error rate as text; empty if there is none."""
    shade: int | None
    """Number of the shade, from 0 to `len(SHADE_THRESHOLDS)`; `None` if nothing was scored."""
    tooltip: str
    """The number of words or characters, and of texts, from which the error rate was computed; "not scored" if there is
    no error rate."""


class HeatTable(NamedTuple):
    """Error rates with targets as rows and categories or languages as columns."""

    title: str
    column_labels: tuple[str, ...]
    unit_labels: tuple[str, ...]
    """"WER" or "CER" for each column."""
    rows: tuple[tuple[TargetSummary, tuple[HeatCell, ...]], ...]


def build_heat_tables(targets: Sequence[TargetSummary]) -> tuple[HeatTable, ...]:
    """Return a table by language if there are several languages, and tables by category.

    There is a table by category for each language with several categories.
    """
    languages = list(dict.fromkeys(s.language for t in targets for s in t.error_rates_by_category))
    tables = [_build_table_by_language(targets, languages)] if len(languages) > 1 else []
    for language in languages:
        categories = list(
            dict.fromkeys(s.category for t in targets for s in t.error_rates_by_category if s.language == language)
        )
        if len(categories) > 1 or len(languages) == 1:
            tables.append(_build_table_by_category(targets, language, categories))
    return tuple(tables)


def _build_table_by_category(targets: Sequence[TargetSummary], language: str, categories: Sequence[str]) -> HeatTable:
    rates = {
        (t.target, s.category): s.error_rate
        for t in targets
        for s in t.error_rates_by_category
        if s.language == language
    }
    return _build_heat_table(f"By category, {language}", targets, categories, rates)


def _build_table_by_language(targets: Sequence[TargetSummary], languages: Sequence[str]) -> HeatTable:
    rates = {
        (t.target, language.language): language.error_rate for t in targets for language in t.error_rates_by_language
    }
    return _build_heat_table("By language", targets, languages, rates)


def _build_heat_table(
    title: str,
    targets: Sequence[TargetSummary],
    column_labels: Sequence[str],
    error_rate_by_target_and_column: dict[tuple[str, str], ErrorRate],
) -> HeatTable:
    def get_unit_label(column: str) -> str:
        units = {
            error_rate_by_target_and_column[t.target, column].unit
            for t in targets
            if (t.target, column) in error_rate_by_target_and_column
        }
        return "CER" if "character" in units else "WER"

    return HeatTable(
        title=title,
        column_labels=tuple(column_labels),
        unit_labels=tuple(get_unit_label(column) for column in column_labels),
        rows=tuple(
            (
                t,
                tuple(
                    _build_heat_cell(error_rate_by_target_and_column.get((t.target, column)))
                    for column in column_labels
                ),
            )
            for t in targets
        ),
    )


def _build_heat_cell(error_rate: ErrorRate | None) -> HeatCell:
    if error_rate is None:
        return HeatCell(MISSING_TEXT, "", None, "not scored")
    shade = sum(error_rate.corpus_rate.value >= step for step in SHADE_THRESHOLDS)
    note = f"{error_rate.reference_units} {error_rate.unit}s in {error_rate.text_count} texts"
    return HeatCell(
        format_percent(error_rate.corpus_rate.value), format_interval(error_rate.corpus_rate, 100, 1), shade, note
    )
