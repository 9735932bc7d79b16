"""Renders a history as one HTML page, which needs no other file, no network and no JavaScript."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from voicegauge.bench.history import MIN_NIGHTS_SINCE_SHIFT, MetricSeries, RunHistory
from voicegauge.model import Provenance
from voicegauge.printable_text import format_count
from voicegauge.report.history.time_series_chart import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    TimeSeriesChart,
    build_time_series_chart,
)
from voicegauge.report.history.timeline import (
    METRIC_LABELS,
    ConfigurationLabels,
    TimelineEntry,
    build_timeline,
    find_nights,
    format_value,
    label_configurations,
    list_provenances,
)
from voicegauge.report.page_assets import create_template_environment, load_assets
from voicegauge.report.text_format import capitalize_sentence

NOT_JUDGED_TEXT = f"nothing can be judged before night {MIN_NIGHTS_SINCE_SHIFT}, counted for each series on its own"
"""Text shown instead of the number of regressions while there are too few nights."""
STYLE_SHEET_FILES = ("base.css", "verdict.css", "tables.css", "charts.css", "history.css", "media.css")


class ChartedSeries(NamedTuple):
    """The chart and the table of one series."""

    title: str
    """Name of the metric, followed by the region if the runs name one."""
    configuration_label: str
    """Configuration of the runs, such as suite and load; empty if the runs of the page have only one."""
    chart: TimeSeriesChart
    latest_value_text: str
    table_rows: tuple[tuple[str, str, int, int], ...]
    """For each night, the latest first: night, value, number of samples, number of runs."""


class TargetHistory(NamedTuple):
    """The series of one target, sorted by metric and then by region."""

    target: str
    series: tuple[ChartedSeries, ...]


class ProvenanceHistory(NamedTuple):
    """The history of the live runs or of the emulated ones, which are never mixed."""

    is_emulated: bool
    nights: tuple[str, ...]
    """The nights with a run of this provenance, oldest first: dates, ISO 8601."""
    timeline: tuple[TimelineEntry, ...]
    """The changes, the latest first."""
    targets: tuple[TargetHistory, ...]


def render_history_page(history: RunHistory) -> str:
    """Return the page of a history as HTML."""
    assets = load_assets(STYLE_SHEET_FILES, ())
    return (
        create_template_environment()
        .get_template("history.html.j2")
        .render(
            history=history,
            headline=_build_headline(history),
            parts=[_build_provenance_history(history, provenance) for provenance in list_provenances(history)],
            size=(WIDTH, HEIGHT),
            edges=(LEFT, RIGHT, TOP, BOTTOM),
            style=assets.style,
            policy=assets.content_security_policy,
        )
    )


def _build_headline(history: RunHistory) -> str:
    alerts = history.new_regressions
    if not history.has_series_long_enough:
        return capitalize_sentence(f"{NOT_JUDGED_TEXT}.")
    if not alerts:
        return f"No new regression on the latest night, {history.nights[-1]}."
    targets = ", ".join(dict.fromkeys(change.series_key.target for change in alerts))
    return f"{format_count(len(alerts), 'new regression')} on the latest night, {history.nights[-1]}: {targets}."


def _build_provenance_history(history: RunHistory, provenance: Provenance) -> ProvenanceHistory:
    series = [one for one in history.series if one.key.provenance == provenance]
    nights = find_nights(history, provenance)
    configuration_labels = label_configurations(series)
    by_target: dict[str, list[ChartedSeries]] = {}
    for one in series:
        by_target.setdefault(one.key.target, []).append(
            _build_charted_series(history, one, nights, configuration_labels)
        )
    return ProvenanceHistory(
        is_emulated=provenance is not Provenance.LIVE,
        nights=tuple(nights),
        timeline=tuple(reversed(build_timeline(history, provenance))),
        targets=tuple(TargetHistory(target, tuple(charted)) for target, charted in by_target.items()),
    )


def _build_charted_series(
    history: RunHistory, series: MetricSeries, nights: Sequence[str], configuration_labels: ConfigurationLabels
) -> ChartedSeries:
    key = series.key
    region = f" · {key.region}" if key.region is not None else ""
    events = [
        event for event in history.events if event.provenance == key.provenance and event.target in (key.target, None)
    ]
    return ChartedSeries(
        title=f"{METRIC_LABELS[key.metric]}{region}",
        configuration_label=configuration_labels.label_by_configuration.get(key.configuration, ""),
        chart=build_time_series_chart(
            series, [change for change in history.changes if change.series_key == key], events, nights
        ),
        latest_value_text=format_value(key.unit, series.nights[-1].value),
        table_rows=tuple(
            (one.night, format_value(key.unit, one.value), one.observation_count, one.run_count)
            for one in reversed(series.nights)
        ),
    )
