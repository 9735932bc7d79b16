"""Renders the history of a folder of runs as one HTML page with charts, and its time line in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal, NamedTuple

from voicegauge.bench.history_store import VOICE_METRICS, HistoryMetric, has_injected_faults
from voicegauge.bench.run_history import (
    MIN_NIGHTS_SINCE_SHIFT,
    HistoryEvent,
    LevelChange,
    MetricSeries,
    NightValue,
    RunHistory,
    SeriesKey,
)
from voicegauge.model.base import Provenance
from voicegauge.printable_text import format_count
from voicegauge.report._plot_geometry import AxisTick, build_linear_scale, build_point_scale
from voicegauge.report.text_format import capitalize_sentence, format_change, format_value, render_template

# Puts changes of levels, prices and contracts on one time line, and formats their numbers.


METRIC_LABELS: dict[HistoryMetric, str] = {
    "total_latency_ms": "total latency p50",
    "ttfa_ms": "TTFA p50",
    "wer": "WER",
    "cer": "CER",
    "failures": "failures",
    "wrong_audio": "wrong audio",
    "letters_per_s": "letters per second",
    "pitch_hz": "pitch",
    "spectral_centroid_hz": "centre of spectrum",
    "voice_similarity": "similarity to voice sample",
    "usd_per_1m_characters": "$/1M characters",
}
"""Names of the metrics on the page and in tables."""


class TimelineEntry(NamedTuple):
    """One change on the time line."""

    night: str
    """The night after which the change was known."""
    change_kind: Literal["regression", "improvement", "price", "contract", "voicegauge", "lost"]
    """What has changed; "lost" for samples without a result."""
    is_new: bool
    """Whether `night` is the latest night of the history."""
    subject: str
    """Target and metric, or only the target, with the region or the place."""
    text: str
    """The change in words, with the values before and after."""


def build_timeline(history: RunHistory, provenance: Provenance) -> list[TimelineEntry]:
    """Return changes of levels, events and lost samples of the runs of one provenance, oldest first."""
    changes = [build_change_entry(change) for change in history.changes if change.series_key.provenance == provenance]
    events = [build_event_entry(event) for event in history.events if event.provenance == provenance]
    lost = [
        TimelineEntry(
            night=one.night,
            change_kind="lost",
            is_new=one.is_new,
            subject=_append_origin_in_brackets(one.target, one.origin),
            text=f"{one.lost_count} of {format_count(one.sent_count, 'sample')} sent without a saved result",
        )
        for one in history.lost_samples
        if one.provenance == provenance
    ]
    return sorted([*changes, *events, *lost], key=lambda entry: entry.night)


def find_nights(history: RunHistory, provenance: Provenance) -> list[str]:
    """Return the nights with a run of `provenance`, oldest first."""
    series = [one for one in history.series if one.key.provenance == provenance]
    return sorted({value.night for one in series for value in one.nights})


def list_provenances(history: RunHistory) -> list[Provenance]:
    """Return the provenances of the runs, live ones first."""
    return list(dict.fromkeys(one.key.provenance for one in history.series))


class ConfigurationLabels(NamedTuple):
    """Labels that tell configurations apart. A configuration is, for example, a suite, a load and faults."""

    shared_label: str
    """What all configurations have in common; empty if there are no labels."""
    label_by_configuration: dict[str, str]
    """The label of each configuration, by its text: the facts that not all configurations have in common. Empty if
    there is only one configuration."""

    @property
    def labels(self) -> list[str]:
        """The different labels, in the order in which they first occur."""
        return list(dict.fromkeys(filter(None, self.label_by_configuration.values())))

    def get_label_number(self, configuration: str) -> int | None:
        """Return the number of the label of a configuration, counted from 1; `None` if there are not several labels."""
        label = self.label_by_configuration.get(configuration)
        return self.labels.index(label) + 1 if label and len(self.labels) > 1 else None


def label_configurations(series: Sequence[MetricSeries]) -> ConfigurationLabels:
    """Return labels of the configurations of `series`, so that a table can tell its rows apart.

    There are labels only if a metric of a target was measured in several configurations, or if faults were injected.
    The configurations of error rates also contain the ASR engine. They are compared only with each other, so that their
    labels equal those of the other metrics. What was measured last comes first.
    """
    by_metric: dict[tuple[str, ...], set[str]] = {}
    latest_nights: dict[str, str] = {}
    for one in series:
        configuration = one.key.configuration
        latest_nights[configuration] = max(latest_nights.get(configuration, ""), one.nights[-1].night)
        by_metric.setdefault((one.key.target, one.key.metric, one.key.origin or ""), set()).add(one.key.configuration)
    if not any(len(found) > 1 or any(map(has_injected_faults, found)) for found in by_metric.values()):
        return ConfigurationLabels("", {})
    label_by_configuration: dict[str, str] = {}
    scored: tuple[HistoryMetric, ...] = ("wer", "cer")
    listened: tuple[HistoryMetric, ...] = ("wrong_audio",)
    voices = tuple(metric for metric in VOICE_METRICS if metric != "voice_similarity")
    plain = tuple(metric for metric in METRIC_LABELS if metric not in (*scored, *listened, *VOICE_METRICS))
    for metrics in (plain, scored, listened, voices, ("voice_similarity",)):
        configurations = sorted({one.key.configuration for one in series if one.key.metric in metrics})
        configurations.sort(key=latest_nights.__getitem__, reverse=True)
        label_by_configuration |= _label_differing_facts(configurations)
    first, *others = (one.key.configuration.split(", ") for one in series)
    shared = [fact for fact in first if all(fact in facts for facts in others) and not has_injected_faults(fact)]
    return ConfigurationLabels(", ".join(shared), label_by_configuration)


def _append_origin_in_brackets(name: str, region_or_place: str | None) -> str:
    """Return a name with the region or the place of its runs, unless that is `None`: "acme/voice [eu]"."""
    return name if region_or_place is None else f"{name} [{region_or_place}]"


def name_series(key: SeriesKey, configuration_labels: ConfigurationLabels) -> str:
    """Return the metric with its region or place and the number of its configuration: "total latency [eu] (2)"."""
    number = configuration_labels.get_label_number(key.configuration)
    named = _append_origin_in_brackets(METRIC_LABELS[key.metric], key.origin)
    return named if number is None else f"{named} ({number})"


def _label_differing_facts(configurations: Sequence[str]) -> dict[str, str]:
    """Return a label for each configuration: its facts that at least one other configuration lacks.

    Injected faults are always part of the label. A configuration without such facts is labeled "without ...", in which
    "injected faults" stands for all of them.
    """
    facts_by_configuration = {configuration: configuration.split(", ") for configuration in configurations}
    differing_facts_by_configuration = {
        configuration: [
            fact
            for fact in facts
            if has_injected_faults(fact) or not all(fact in others for others in facts_by_configuration.values())
        ]
        for configuration, facts in facts_by_configuration.items()
    }
    every = dict.fromkeys(
        "injected faults" if has_injected_faults(fact) else fact
        for facts in differing_facts_by_configuration.values()
        for fact in facts
    )
    without = f"without {', '.join(every)}" if every else ""
    return {
        configuration: ", ".join(facts) or without for configuration, facts in differing_facts_by_configuration.items()
    }


def build_change_entry(change: LevelChange) -> TimelineEntry:
    """Return the entry of the time line about a change of a level."""
    key = change.series_key
    values = f"{format_value(key.unit, change.level_before)} to {format_value(key.unit, change.level_after)}"
    return TimelineEntry(
        night=change.confirmation_night,
        change_kind=change.direction,
        is_new=change.is_new,
        subject=_append_origin_in_brackets(key.target, key.origin),
        text=f"{METRIC_LABELS[key.metric]} {format_change(key.unit, change.change)}, from {values}, "
        f"since {change.first_night}",
    )


def build_event_entry(event: HistoryEvent) -> TimelineEntry:
    """Return the entry of the time line about a change of a price, a contract or voicegauge."""
    return TimelineEntry(
        night=event.night,
        change_kind=event.kind,
        is_new=event.is_new,
        subject=event.target or "voicegauge",
        text=f"{'version' if event.kind == 'voicegauge' else event.kind} from {event.old_value} to {event.new_value}",
    )


def describe_sample_count(night: NightValue) -> str:
    """Return the number of samples of a night as text, with the number of clips that a measure leaves out if any."""
    return f"{night.observation_count}{f' ({night.left_out_count} left out)' if night.left_out_count else ''}"


def list_clips_left_out(series: Sequence[MetricSeries]) -> list[str]:
    """Return for each target how many clips of the latest night do not count in the measures of its voice."""
    latest_night = max((one.nights[-1].night for one in series), default="")
    counts: dict[str, int] = {}
    for one in series:
        if one.nights[-1].night == latest_night and one.nights[-1].left_out_count:
            subject = _append_origin_in_brackets(one.key.target, one.key.origin)
            # The metrics of one voice leave out the same clips.
            counts[subject] = max(counts.get(subject, 0), one.nights[-1].left_out_count)
    return [
        f"{subject}: voice of the latest night without {format_count(count, 'clip')}, wrong ones or copies of another"
        for subject, count in counts.items()
    ]


# Computes the geometry of the chart of one series over the nights, which the template prints as SVG.


CHART_WIDTH_PX, CHART_HEIGHT_PX = 560.0, 206.0
"""Size of a chart, in px."""
PLOT_LEFT_PX, PLOT_RIGHT_PX, PLOT_TOP_PX, PLOT_BOTTOM_PX = 118.0, 548.0, 28.0, 176.0
"""Edges of the area of the points. Left of it there is room for "100,000 ms", also in large type; above it, where no
line is, for the mark of an emulated run."""
MIN_DATE_TICK_DISTANCE_PX = 160.0
"""Smallest distance in px of two dates below the axis of nights, so that they stay apart in the large type that a
narrow screen has."""


class ChartPoint(NamedTuple):
    """The value of one night as a point, in px, with a text that describes it."""

    x: float
    """Distance from the left edge of the chart."""
    y: float
    """Distance from the upper edge of the chart."""
    description: str
    """Night, value and number of samples in words."""


class ChangeLine(NamedTuple):
    """A vertical line at the night of a change, at `x` px."""

    x: float
    timeline_entry: TimelineEntry


class LevelLine(NamedTuple):
    """A horizontal line at the usual value of a metric before or after a change."""

    start_x_px: float
    """Distance of the line's left end from the left edge of the chart."""
    end_x_px: float
    y_px: float
    """Distance of the line from the upper edge of the chart."""


class TimeSeriesChart(NamedTuple):
    """The points, lines and labels of the chart of one series."""

    points: tuple[ChartPoint, ...]
    level_lines: tuple[LevelLine, ...]
    change_lines: tuple[ChangeLine, ...]
    value_ticks: tuple[AxisTick, ...]
    """Labels of the vertical axis."""
    date_ticks: tuple[AxisTick, ...]


def build_time_series_chart(
    series: MetricSeries,
    changes: Sequence[LevelChange],
    events: Sequence[HistoryEvent],
    all_nights: Sequence[str],
) -> TimeSeriesChart:
    """Return the chart of a series with its changes and the events of its target.

    Args:
        series: the values of one metric of one target.
        changes: the changes of the level of the series.
        events: changes of price, contract and voicegauge that concern it.
        all_nights: nights of the whole history, so that the charts of a page have the same axis.
    """
    unit = series.key.unit
    values = [night.value for night in series.nights]
    # Rates are near zero, and an axis that begins elsewhere would make small changes look large.
    is_far_from_zero = unit in ("ms", "letters/s", "hz")
    scale = build_point_scale(values) if is_far_from_zero else build_linear_scale(values, tick_count=4)
    first, last = (date.fromisoformat(night).toordinal() for night in (all_nights[0], all_nights[-1]))

    def compute_night_x(night: str) -> float:
        # A single night is in the middle of the axis.
        share = (date.fromisoformat(night).toordinal() - first) / (last - first) if last > first else 0.5
        return PLOT_LEFT_PX + share * (PLOT_RIGHT_PX - PLOT_LEFT_PX)

    def compute_value_y(value: float) -> float:
        return PLOT_BOTTOM_PX - scale.compute_position(value) * (PLOT_BOTTOM_PX - PLOT_TOP_PX)

    levels = [
        level
        for change in changes
        for level in (
            LevelLine(PLOT_LEFT_PX, compute_night_x(change.first_night), compute_value_y(change.level_before)),
            LevelLine(compute_night_x(change.first_night), PLOT_RIGHT_PX, compute_value_y(change.level_after)),
        )
    ]
    marks = [
        *(ChangeLine(compute_night_x(change.first_night), build_change_entry(change)) for change in changes),
        *(ChangeLine(compute_night_x(event.night), build_event_entry(event)) for event in events),
    ]
    return TimeSeriesChart(
        points=tuple(
            ChartPoint(
                compute_night_x(night.night),
                compute_value_y(night.value),
                f"{night.night}: {format_value(unit, night.value)}, n = {describe_sample_count(night)}",
            )
            for night in series.nights
        ),
        level_lines=_remove_level_line_overlaps(levels),
        change_lines=tuple(marks),
        value_ticks=tuple(AxisTick(compute_value_y(tick), format_value(unit, tick)) for tick in scale.ticks),
        date_ticks=_choose_date_ticks([AxisTick(compute_night_x(night), night) for night in all_nights]),
    )


def _remove_level_line_overlaps(level_lines: Sequence[LevelLine]) -> tuple[LevelLine, ...]:
    """Return one line for each level, without overlaps: each line ends where the next one begins.

    Between two changes, two of the given lines overlap. The line that begins at the first change is shortened to the
    second change. The line that ends at the second change is left out.

    Args:
        level_lines: two lines for each change, oldest change first: one from the left edge of the chart to the change,
            and one from the change to the right edge.
    """
    cut: list[LevelLine] = []
    for index in range(0, len(level_lines), 2):
        before, after = level_lines[index], level_lines[index + 1]
        if cut:
            cut[-1] = cut[-1]._replace(end_x_px=before.end_x_px)
        else:
            cut.append(before)
        cut.append(after)
    return tuple(cut)


def _choose_date_ticks(ticks: Sequence[AxisTick]) -> tuple[AxisTick, ...]:
    """Return the first and the last of `ticks`, and those between them that are far enough from every other."""
    chosen, last = [ticks[0]], ticks[-1]
    for tick in ticks[1:-1]:
        if (
            min(tick.position_px - chosen[-1].position_px, last.position_px - tick.position_px)
            >= MIN_DATE_TICK_DISTANCE_PX
        ):
            chosen.append(tick)
    return (*chosen, last) if len(ticks) > 1 else tuple(chosen)


# Renders a history as one HTML page, which needs no other file, no network and no JavaScript.


NOT_JUDGED_TEXT = f"nothing can be judged before night {MIN_NIGHTS_SINCE_SHIFT}, counted for each series on its own"
"""Text shown instead of the number of regressions while there are too few nights."""
STYLE_SHEET_FILES = ("base.css", "verdict.css", "tables.css", "charts.css", "history.css", "media.css")
"""Files of the style sheet of the page, in order."""


class ChartedSeries(NamedTuple):
    """The chart and the table of one series."""

    title: str
    """Name of the metric, followed by the region or the place if the runs have one."""
    configuration_label: str
    """Configuration of the runs, such as suite and load; empty if the runs of the page have only one."""
    chart: TimeSeriesChart
    latest_value_text: str
    table_rows: tuple[tuple[str, str, str, int], ...]
    """For each night, the latest first: night, value, number of samples, number of runs."""


class TargetHistory(NamedTuple):
    """The series of one target, sorted by metric, region and place."""

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
    return render_template(
        "history.html.j2",
        STYLE_SHEET_FILES,
        history=history,
        headline=_build_headline(history),
        parts=[_build_provenance_history(history, provenance) for provenance in list_provenances(history)],
        size=(CHART_WIDTH_PX, CHART_HEIGHT_PX),
        edges=(PLOT_LEFT_PX, PLOT_RIGHT_PX, PLOT_TOP_PX, PLOT_BOTTOM_PX),
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
    origin = f" · {key.origin}" if key.origin is not None else ""
    events = [
        event for event in history.events if event.provenance == key.provenance and event.target in (key.target, None)
    ]
    return ChartedSeries(
        title=f"{METRIC_LABELS[key.metric]}{origin}",
        configuration_label=configuration_labels.label_by_configuration.get(key.configuration, ""),
        chart=build_time_series_chart(
            series, [change for change in history.changes if change.series_key == key], events, nights
        ),
        latest_value_text=format_value(key.unit, series.nights[-1].value),
        table_rows=tuple(
            (one.night, format_value(key.unit, one.value), describe_sample_count(one), one.run_count)
            for one in reversed(series.nights)
        ),
    )
