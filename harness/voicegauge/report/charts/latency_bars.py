"""Builds stacked bars of the total latency of each target, with one segment per phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from voicegauge.bench.analysis import TargetSummary
from voicegauge.report.charts.axis_scale import AxisScale, build_linear_scale
from voicegauge.report.text_format import format_duration

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
    """One phase of a bar; `left_percent` and `width_percent` are percentages of the axis."""

    phase: LatencyPhase
    left_percent: float
    width_percent: float


class LatencyBar(NamedTuple):
    """A bar of one target, whose segments are the median durations of the phases of a request."""

    target: TargetSummary
    segments: tuple[LatencySegment, ...]


class LatencyChart(NamedTuple):
    """Bars that share an axis."""

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
