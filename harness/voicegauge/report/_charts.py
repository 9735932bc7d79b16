"""Computes the geometry of charts: axes, bars and lines of latency, and the shades of tables of error rates."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from voicegauge.bench.speech_summaries import ErrorRate
from voicegauge.bench.target_summaries import TargetSummary
from voicegauge.model.sample import Latency
from voicegauge.report.text_format import (
    MISSING_TEXT,
    format_duration,
    format_interval,
    format_percent,
)

MIN_LOG_AXIS_RATIO = 8.0
"""Ratio of the largest to the smallest value above which an axis is logarithmic, so that small values stay apart."""


class AxisScale(NamedTuple):
    """An axis from `low` to `high` with `ticks` at round numbers."""

    low: float
    high: float
    ticks: tuple[float, ...]
    is_logarithmic: bool = False

    def compute_position(self, value: float) -> float:
        """Return the position of `value` along the axis, from 0 at `low` to 1 at `high`; other values are clipped."""
        value = min(max(value, self.low), self.high)
        if self.is_logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def build_linear_scale(values: Iterable[float], *, tick_count: int = 5, axis_start: float = 0.0) -> AxisScale:
    """Return a linear axis from `axis_start`, rounded down, to a round number above all `values`.

    Args:
        values: the numbers to fit.
        tick_count: approximate number of ticks.
        axis_start: number at which the axis starts, before it is rounded down to a tick.
    """
    top = max(values, default=axis_start)
    if top <= axis_start:  # an axis without width could not be drawn
        top = axis_start + max(abs(axis_start), 1.0)
    raw_step = (top - axis_start) / tick_count
    power = 10.0 ** math.floor(math.log10(raw_step))
    # 1e-9 tolerates float errors, which would otherwise skip to the next step or add a tick.
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw_step * (1 - 1e-9))
    first, last = math.floor(axis_start / step + 1e-9), math.ceil(top / step - 1e-9)
    positions = tuple(step * i for i in range(first, last + 1))
    return AxisScale(positions[0], positions[-1], positions)


def build_log_scale(values: Iterable[float]) -> AxisScale:
    """Return a logarithmic axis whose ends are 1, 2 or 5 times a power of ten around all `values`."""
    positive = [value for value in values if value > 0] or [1.0]
    bottom, top = (10.0 ** math.floor(math.log10(end)) for end in (min(positive), max(positive)))
    low = max(m * bottom for m in (1, 2, 5) if m * bottom <= min(positive) * 1.001)
    high = min(m * top for m in (1, 2, 5, 10) if m * top >= max(positive) * 0.999)
    high = high if high > low else low * 10
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) <= 3 else (1,)  # beyond three decades, 2 and 5 would be too dense
    positions = (m * 10.0**d for d in decades for m in steps)
    return AxisScale(low, high, tuple(m for m in positions if low * 0.999 <= m <= high * 1.001), is_logarithmic=True)


def build_point_scale(values: Iterable[float]) -> AxisScale:
    """Return an axis for points, which need not begin at zero; it is logarithmic if the values spread widely."""
    positive = [value for value in values if value > 0]
    if not positive:
        return build_linear_scale(())
    is_wide = max(positive) / min(positive) >= MIN_LOG_AXIS_RATIO
    return build_log_scale(positive) if is_wide else build_linear_scale(positive, axis_start=min(positive))


# Builds stacked bars of the total latency of each target, with one segment per phase.


LatencyPhase = Literal[
    "submit",
    "first-byte",
    "queue",
    "queue-or-processing",
    "processing",
    "processing-or-completed",
    "poll-wait",
    "download",
]

PHASE_LABELS: dict[LatencyPhase, str] = {
    "submit": "submit latency",
    "first-byte": "TTFB of a direct response",
    "queue": "queue time",
    "queue-or-processing": "queue or processing: between two polls",
    "processing": "processing time",
    "processing-or-completed": "processing or completed: between two polls",
    "poll-wait": "wait for the poll that saw the end",
    "download": "download",
}
"""Names of the phases in the legend, in the order of a request's phases."""


class LatencySegment(NamedTuple):
    """One phase of a bar: where it begins and how wide it is, in percent of the axis."""

    phase: LatencyPhase
    left_percent: float
    width_percent: float


class LatencyBar(NamedTuple):
    """A bar of one target, whose segments are the median durations of the phases of a request."""

    target: TargetSummary
    segments: tuple[LatencySegment, ...]


class LatencyChart(NamedTuple):
    """The total latencies of all targets, as bars that share an axis."""

    bars: tuple[LatencyBar, ...]
    ticks: tuple[tuple[float, str], ...]
    """Position of each tick in percent of the axis, and the tick's label."""
    phases: tuple[LatencyPhase, ...]
    """The phases that occur in the bars; the legend shows only these."""


def choose_shared_time_axis(targets: Sequence[TargetSummary]) -> AxisScale:
    """Return an axis that fits the bars of all `targets`."""
    return build_linear_scale([end for t in targets for _, end in _compute_phase_end_times(t)], tick_count=4)


def build_latency_chart(targets: Sequence[TargetSummary], axis: AxisScale) -> LatencyChart:
    """Build a bar for each of `targets` that has a total latency."""
    bars = tuple(LatencyBar(t, _build_segments(t, axis)) for t in targets if t.total_latency_ms)
    seen = {segment.phase for bar in bars for segment in bar.segments}
    return LatencyChart(
        bars=bars,
        ticks=tuple((100 * axis.compute_position(value), format_duration(value)) for value in axis.ticks),
        phases=tuple(phase for phase in PHASE_LABELS if phase in seen),
    )


def _build_segments(target: TargetSummary, axis: AxisScale) -> tuple[LatencySegment, ...]:
    segments, start = [], 0.0
    for phase, end in _compute_phase_end_times(target):
        if end > start:  # medians of single phases need not be in order
            left = 100 * axis.compute_position(start)
            segments.append(
                LatencySegment(phase, left, 100 * (axis.compute_position(end) - axis.compute_position(start)))
            )
            start = end
    return tuple(segments)


def _compute_phase_end_times(target: TargetSummary) -> list[tuple[LatencyPhase, float]]:
    """Return the median end of each phase in ms from the start of the submit; empty if there is no total latency."""
    if target.total_latency_ms is None:
        return []
    if target.completion_ms is None or target.submit_latency_ms is None:
        ttfb_ms = target.ttfb_ms.value if target.ttfb_ms else 0.0
        return [("first-byte", ttfb_ms), ("download", target.total_latency_ms.value)]
    submitted_ms = target.submit_latency_ms.value
    ends: list[tuple[LatencyPhase, float]] = [("submit", submitted_ms)]
    if target.queue_ms:
        ends.append(("queue", target.queue_ms.low.value))
        ends.append(("queue-or-processing", target.queue_ms.high.value))
    ends.append(("processing", target.completion_ms.low.value))
    ends.append(("processing-or-completed", target.completion_ms.high.value))
    download_ms = target.download_ms.value if target.download_ms else 0.0
    # The provider's timestamps may show that the job ended long before the poll.
    ends.append(("poll-wait", target.total_latency_ms.value - download_ms))
    ends.append(("download", target.total_latency_ms.value))
    return ends


# Computes the geometry of the distribution of one target's latency, and of the states of its jobs over time.


CURVE_WIDTH, CURVE_HEIGHT = 520.0, 220.0
"""Size of both charts, in px."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 16.0, 10.0, 30.0
"""Margins of both charts, in px, which leave room for tick labels."""
MAX_CURVE_STEPS = 120
"""Largest number of steps of a curve. If there are more values, the curve shows this number of their quantiles."""
_STATE_CHART_MOMENT_COUNT = 80
"""Number of moments at which the states of the jobs are counted."""


class CurveTick(NamedTuple):
    """A labeled position on an axis."""

    position_px: float
    label: str


class LatencyCurve(NamedTuple):
    """The share of requests that were complete by each time, as an SVG path."""

    svg_path: str
    x_ticks: tuple[CurveTick, ...]
    y_ticks: tuple[CurveTick, ...]


class StateArea(NamedTuple):
    """The share of jobs in one state over time, as an SVG path that is stacked on the areas of earlier states."""

    job_state: LatencyPhase
    svg_path: str


class JobStateChart(NamedTuple):
    """States of a target's jobs over time."""

    areas: tuple[StateArea, ...]
    x_ticks: tuple[CurveTick, ...]
    y_ticks: tuple[CurveTick, ...]


def build_latency_curve(latencies_ms: Sequence[float]) -> LatencyCurve | None:
    """Return the curve of the share of `latencies_ms` up to each time; `None` for fewer than two values."""
    values = sorted(latencies_ms)
    if len(values) < 2:
        return None
    axis = build_linear_scale(values)
    count = len(values)
    chosen = (
        range(count)
        if count <= MAX_CURVE_STEPS
        else [round(i * (count - 1) / (MAX_CURVE_STEPS - 1)) for i in range(MAX_CURVE_STEPS)]
    )
    steps = [f"H{_compute_x_px(axis, values[i]):.1f}V{_compute_y_px((i + 1) / count):.1f}" for i in chosen]
    path = "".join(
        [f"M{_compute_x_px(axis, 0.0):.1f},{_compute_y_px(0.0):.1f}", *steps, f"H{CURVE_WIDTH - _RIGHT:.1f}"]
    )
    return LatencyCurve(path, _build_time_ticks(axis), _build_percentage_ticks())


def build_job_state_chart(latencies: Sequence[Latency]) -> JobStateChart | None:
    """Return the chart of the states of jobs over time; `None` if no sample is a job.

    A job's state is known only when it is polled, so that between two polls it may be in either of two states.
    """
    job_latencies = [latency for latency in latencies if latency.completion_ms]
    if not job_latencies:
        return None
    ends = _collect_state_end_times(job_latencies)
    axis = build_linear_scale(ends["processing-or-completed"])
    moments = [axis.high * i / _STATE_CHART_MOMENT_COUNT for i in range(_STATE_CHART_MOMENT_COUNT + 1)]
    begins = dict(zip(ends, ([0.0] * len(job_latencies), *ends.values()), strict=False))
    below = [0.0] * len(moments)
    areas = []
    for phase in reversed(ends):  # from the bottom up: the last to end is at the bottom
        shares = [(bisect_right(begins[phase], t) - bisect_right(ends[phase], t)) / len(job_latencies) for t in moments]
        if not any(shares):
            continue
        above = [low + share for low, share in zip(below, shares, strict=True)]
        areas.append(StateArea(phase, _format_area_path(axis, moments, below, above)))
        below = above
    return JobStateChart(tuple(areas), _build_time_ticks(axis), _build_percentage_ticks())


def _collect_state_end_times(job_latencies: Sequence[Latency]) -> dict[LatencyPhase, list[float]]:
    """Return for each state, in order of time, when it ended in each job: sorted times in ms from the submit."""
    ends: dict[LatencyPhase, list[float]] = {
        "submit": [],
        "queue": [],
        "queue-or-processing": [],
        "processing": [],
        "processing-or-completed": [],
    }
    for latency in job_latencies:
        reached_ms = 0.0
        for phase, end_ms in zip(ends, _find_state_end_times(latency), strict=True):
            reached_ms = max(reached_ms, end_ms)  # a state that a job skips ends when it begins
            ends[phase].append(reached_ms)
    return {phase: sorted(values) for phase, values in ends.items()}


def _find_state_end_times(latency: Latency) -> tuple[float, ...]:
    submitted_ms, queue, completion = latency.submit_latency_ms, latency.queue_ms, latency.completion_ms
    return (
        submitted_ms,
        submitted_ms + queue.low_ms if queue else 0.0,
        submitted_ms + queue.high_ms if queue else 0.0,
        completion.low_ms if completion else 0.0,
        completion.high_ms if completion else 0.0,
    )


def _format_area_path(
    axis: AxisScale, times_ms: Sequence[float], lower_shares: Sequence[float], upper_shares: Sequence[float]
) -> str:
    upper, lower = (
        [
            f"{_compute_x_px(axis, moment):.1f},{_compute_y_px(share):.1f}"
            for moment, share in zip(times_ms, shares, strict=True)
        ]
        for shares in (upper_shares, lower_shares)
    )
    return f"M{'L'.join([*upper, *lower[::-1]])}Z"


def _compute_x_px(axis: AxisScale, time_ms: float) -> float:
    return _LEFT + axis.compute_position(time_ms) * (CURVE_WIDTH - _LEFT - _RIGHT)


def _compute_y_px(share: float) -> float:
    return CURVE_HEIGHT - _BOTTOM - share * (CURVE_HEIGHT - _BOTTOM - _TOP)


def _build_time_ticks(axis: AxisScale) -> tuple[CurveTick, ...]:
    return tuple(CurveTick(_compute_x_px(axis, value), format_duration(value)) for value in axis.ticks)


def _build_percentage_ticks() -> tuple[CurveTick, ...]:
    return tuple(CurveTick(_compute_y_px(share), f"{share * 100:.0f}%") for share in (0.0, 0.5, 1.0))


ERROR_RATE_SHADE_THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Error rates from which a cell has the next darker shade, from barely noticeable to unintelligible."""


class HeatCell(NamedTuple):
    """The error rate of one target in one column, formatted."""

    rate_text: str
    interval_text: str
    """The interval of the error rate as text; empty if there is none."""
    shade: int | None
    """Number of the shade, from 0 to `len(ERROR_RATE_SHADE_THRESHOLDS)`; `None` if nothing was scored."""
    tooltip: str
    """The number of words or characters, and of texts, from which the error rate was computed; "not scored" if there is
    no error rate."""


class HeatTable(NamedTuple):
    """Error rates with targets as rows and categories or languages as columns."""

    title: str
    column_labels: tuple[str, ...]
    rate_names: tuple[str, ...]
    """"WER" or "CER" for each column."""
    rows: tuple[tuple[TargetSummary, tuple[HeatCell, ...]], ...]


def build_heat_tables(targets: Sequence[TargetSummary]) -> tuple[HeatTable, ...]:
    """Return a table by language if there are several languages, and tables by category.

    There is a table by category for each language with several categories.
    """
    languages = list(dict.fromkeys(one.language for t in targets for one in t.error_rates_by_category))
    tables = []
    if len(languages) > 1:
        by_language = [{one.language: one.error_rate for one in t.error_rates_by_language} for t in targets]
        tables.append(_build_heat_table("By language", targets, languages, by_language))
    for language in languages:
        by_category = [
            {one.category: one.error_rate for one in t.error_rates_by_category if one.language == language}
            for t in targets
        ]
        categories = list(dict.fromkeys(category for rates in by_category for category in rates))
        if len(categories) > 1 or len(languages) == 1:
            tables.append(_build_heat_table(f"By category, {language}", targets, categories, by_category))
    return tuple(tables)


def _build_heat_table(
    title: str,
    targets: Sequence[TargetSummary],
    column_labels: Sequence[str],
    error_rates: Sequence[Mapping[str, ErrorRate]],
) -> HeatTable:
    """Return a table; `error_rates` has for each target the error rate of each column that it was measured for."""
    in_characters = {column for rates in error_rates for column in rates if rates[column].unit == "character"}
    return HeatTable(
        title=title,
        column_labels=tuple(column_labels),
        rate_names=tuple("CER" if column in in_characters else "WER" for column in column_labels),
        rows=tuple(
            (target, tuple(_build_heat_cell(rates.get(column)) for column in column_labels))
            for target, rates in zip(targets, error_rates, strict=True)
        ),
    )


def _build_heat_cell(error_rate: ErrorRate | None) -> HeatCell:
    if error_rate is None:
        return HeatCell(MISSING_TEXT, "", None, "not scored")
    shade = sum(error_rate.corpus_rate.value >= step for step in ERROR_RATE_SHADE_THRESHOLDS)
    note = f"{error_rate.reference_units} {error_rate.unit}s in {error_rate.text_count} texts"
    return HeatCell(
        format_percent(error_rate.corpus_rate.value), format_interval(error_rate.corpus_rate, 100, 1), shade, note
    )
