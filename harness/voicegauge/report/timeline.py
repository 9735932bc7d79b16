"""Where the time to file goes, target by target, with what polling leaves open shown as open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from voicegauge.bench.analysis import TargetSummary
from voicegauge.report.scales import AxisScale, linear
from voicegauge.report.text import duration

Part = Literal["accept", "queue", "queue-or-work", "work", "work-or-done", "rest", "first-byte", "transfer"]

PARTS: dict[Part, str] = {
    "accept": "accept: until the submit was answered",
    "first-byte": "until the first byte of a direct answer",
    "queue": "queued",
    "queue-or-work": "queued or being worked on: between two polls",
    "work": "being worked on",
    "work-or-done": "worked on or done already: between two polls",
    "rest": "in none of the parts: their medians need not add up",
    "transfer": "download",
}
"""What each part is, in the order of a request's life."""


class LatencySegment(NamedTuple):
    """A part of a bar; `left` and `width` in percent of the axis."""

    part: Part
    left: float
    width: float


class LatencyBar(NamedTuple):
    """The medians of one target along the axis."""

    target: TargetSummary
    segments: tuple[LatencySegment, ...]


class LatencyChart(NamedTuple):
    """Bars on one axis."""

    bars: tuple[LatencyBar, ...]
    ticks: tuple[tuple[float, str], ...]
    """Percent of the axis, and the time that stands there."""
    parts: tuple[Part, ...]
    """Those that occur, for the legend."""


def shared_axis(targets: Sequence[TargetSummary]) -> AxisScale:
    """An axis that all of `targets` fit on."""
    return linear([end for t in targets for _, end in _boundaries(t)], ticks=4)


def timeline(targets: Sequence[TargetSummary], axis: AxisScale) -> LatencyChart:
    """One bar for each of `targets` that has a time to file."""
    bars = tuple(LatencyBar(t, _segments(t, axis)) for t in targets if t.total_latency_ms)
    seen = {segment.part for bar in bars for segment in bar.segments}
    return LatencyChart(
        bars=bars,
        ticks=tuple((100 * axis.at(value), duration(value)) for value in axis.ticks),
        parts=tuple(part for part in PARTS if part in seen),
    )


def _segments(target: TargetSummary, axis: AxisScale) -> tuple[LatencySegment, ...]:
    made, start = [], 0.0
    for part, end in _boundaries(target):
        if end > start:
            made.append(LatencySegment(part, 100 * axis.at(start), 100 * (axis.at(end) - axis.at(start))))
            start = end
    return tuple(made)


def _boundaries(target: TargetSummary) -> list[tuple[Part, float]]:
    """When each part ended, in ms. Medians of each boundary, so their order is seen to by the caller."""
    if target.total_latency_ms is None:
        return []
    if target.completion_ms is None or target.submit_latency_ms is None:
        first = target.ttfb_ms.value if target.ttfb_ms else 0.0
        return [("first-byte", first), ("transfer", target.total_latency_ms.value)]
    accepted = target.submit_latency_ms.value
    ends: list[tuple[Part, float]] = [("accept", accepted)]
    if target.queue_ms:
        ends.append(("queue", accepted + target.queue_ms.low.value))
        ends.append(("queue-or-work", accepted + target.queue_ms.high.value))
    ends.append(("work", target.completion_ms.low.value))
    ends.append(("work-or-done", target.completion_ms.high.value))
    fetched = target.download_ms.value if target.download_ms else 0.0
    ends.append(("rest", target.total_latency_ms.value - fetched))
    ends.append(("transfer", target.total_latency_ms.value))
    return ends
