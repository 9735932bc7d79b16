"""Computes the geometry of the chart of one series over the nights, which the template prints as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from voicegauge.bench.history import HistoryEvent, LevelChange, MetricSeries, NightValue
from voicegauge.report.charts import AxisScale, build_linear_scale, build_point_scale
from voicegauge.report.history.timeline import TimelineEntry, describe_change, describe_event, format_value

WIDTH, HEIGHT = 560.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 548.0, 12.0, 160.0
"""Edges of the area of the points."""
MAX_DATE_TICKS = 5
"""Largest number of dates below the axis of nights."""


class ChartTick(NamedTuple):
    """A label of an axis, with its position along the axis."""

    position_px: float
    label: str


class ChartPoint(NamedTuple):
    """The value of one night as a point, in px, with a text that describes it."""

    x: float
    y: float
    description: str


class ChangeLine(NamedTuple):
    """A vertical line at the night of a change, at `x` px."""

    x: float
    timeline_entry: TimelineEntry


class LevelLine(NamedTuple):
    """A horizontal line at the usual value of a metric before or after a change; coordinates in px."""

    x_start: float
    x_end: float
    y: float


class TimeSeriesChart(NamedTuple):
    """The points, lines and labels of the chart of one series."""

    points: tuple[ChartPoint, ...]
    level_lines: tuple[LevelLine, ...]
    change_lines: tuple[ChangeLine, ...]
    value_ticks: tuple[ChartTick, ...]
    """Labels of the vertical axis."""
    date_ticks: tuple[ChartTick, ...]


def build_time_series_chart(
    series: MetricSeries,
    changes: Sequence[LevelChange],
    events: Sequence[HistoryEvent],
    all_nights: Sequence[str],
) -> TimeSeriesChart:
    """Return the chart of a series with its changes and the events of its target.

    Args:
        series: the series.
        changes: the changes of the level of the series.
        events: changes of price, contract and voicegauge that concern it.
        all_nights: nights of the whole history, so that the charts of a page have the same axis.
    """
    unit = series.key.unit
    scale = _choose_value_scale(series)
    first, last = (date.fromisoformat(night).toordinal() for night in (all_nights[0], all_nights[-1]))

    def compute_night_x(night: str) -> float:
        share = (date.fromisoformat(night).toordinal() - first) / (last - first) if last > first else 0.5
        return LEFT + share * (RIGHT - LEFT)

    def compute_value_y(value: float) -> float:
        return BOTTOM - scale.compute_position(value) * (BOTTOM - TOP)

    def describe_night_value(night: NightValue) -> str:
        return f"{night.night}: {format_value(unit, night.value)}, n = {night.observation_count}"

    levels = [
        level
        for change in changes
        for level in (
            LevelLine(LEFT, compute_night_x(change.first_night), compute_value_y(change.level_before)),
            LevelLine(compute_night_x(change.first_night), RIGHT, compute_value_y(change.level_after)),
        )
    ]
    marks = [
        *(ChangeLine(compute_night_x(change.first_night), describe_change(change)) for change in changes),
        *(ChangeLine(compute_night_x(event.night), describe_event(event)) for event in events),
    ]
    return TimeSeriesChart(
        points=tuple(
            ChartPoint(compute_night_x(night.night), compute_value_y(night.value), describe_night_value(night))
            for night in series.nights
        ),
        level_lines=_remove_level_line_overlaps(levels),
        change_lines=tuple(marks),
        value_ticks=tuple(ChartTick(compute_value_y(tick), format_value(unit, tick)) for tick in scale.ticks),
        date_ticks=tuple(ChartTick(compute_night_x(night), night) for night in _choose_labeled_nights(all_nights)),
    )


def _choose_value_scale(series: MetricSeries) -> AxisScale:
    values = [night.value for night in series.nights]
    return build_point_scale(values) if series.key.unit == "ms" else build_linear_scale(values, tick_count=4)


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
            cut[-1] = cut[-1]._replace(x_end=before.x_end)
        else:
            cut.append(before)
        cut.append(after)
    return tuple(cut)


def _choose_labeled_nights(nights: Sequence[str]) -> Sequence[str]:
    """Return up to `MAX_DATE_TICKS` nights at about equal distances, among them the first and the last one."""
    if len(nights) <= MAX_DATE_TICKS:
        return nights
    step = (len(nights) - 1) / (MAX_DATE_TICKS - 1)
    return [nights[round(step * index)] for index in range(MAX_DATE_TICKS)]
