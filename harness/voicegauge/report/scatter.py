"""Latency against error rate, drawn on the server: the geometry, which the template only prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from voicegauge.bench.analysis import Estimate, TargetSummary
from voicegauge.report.labels import PointLabel, Rectangle, place
from voicegauge.report.scales import AxisScale, fitting, linear
from voicegauge.report.text import duration, number, shorten, visible

LABEL_LENGTH = 30
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 14.0, 14.0, 44.0
"""Margins of the plot, in px: room for the ticks and the names of the axes."""
WIDE = (960.0, 460.0)
NARROW = (340.0, 400.0)
"""Width and height in px. Text must not shrink with the picture, so a phone gets one of its own."""


class AxisTick(NamedTuple):
    """A round number on an axis."""

    at: float
    text: str


class ScatterPoint(NamedTuple):
    """A target as a point, with whiskers where its intervals are known."""

    x: float
    y: float
    name: str
    pareto: bool
    says: str
    across: tuple[float, float] | None
    upright: tuple[float, float] | None
    label: PointLabel | None = None


class Scatter(NamedTuple):
    """A picture of `width` by `height` px."""

    width: float
    height: float
    frame: Rectangle
    x_ticks: tuple[AxisTick, ...]
    y_ticks: tuple[AxisTick, ...]
    log: bool
    marks: tuple[ScatterPoint, ...]
    front: str
    """The border of what the Pareto set beats, as an SVG path; empty below two points."""


class ScatterAxes(NamedTuple):
    """Axes that the pictures of several runs share, so that they can be compared by eye."""

    x: AxisScale
    y: AxisScale


def measured(targets: Sequence[TargetSummary]) -> list[tuple[TargetSummary, Estimate, Estimate]]:
    """Those of `targets` that have both a time to file and an error rate, with the two."""
    return [(t, t.total_latency_ms, rate.corpus) for t in targets if t.total_latency_ms and (rate := t.wer or t.cer)]


def shared_axes(targets: Sequence[TargetSummary]) -> ScatterAxes:
    """Axes that all of `targets` fit on."""
    points = measured(targets)
    times = [end for _, time, _ in points for end in (time.value, time.low, time.high) if end is not None]
    rates = [end for _, _, rate in points for end in (rate.value, rate.high) if end is not None]
    return ScatterAxes(fitting(times), linear(rates))


def scatter(targets: Sequence[TargetSummary], axes: ScatterAxes, size: tuple[float, float] = WIDE) -> Scatter:
    """The picture of `targets`; those of the Pareto set get their names first."""
    width, height = size
    frame = Rectangle(_LEFT, _TOP, width - _RIGHT, height - _BOTTOM)
    bare = [_mark(target, time, rate, frame, axes) for target, time, rate in measured(targets)]
    front = _front(bare, frame)
    order = sorted(range(len(bare)), key=lambda i: (not bare[i].pareto, -bare[i].y))
    named = [(mark.x, mark.y, mark.name) for mark in bare]
    best = sum(mark.pareto for mark in bare)
    labels = place(named, frame, order, important=best, lines=_lines(bare, front))
    return Scatter(
        width=width,
        height=height,
        frame=frame,
        x_ticks=_x_ticks(frame, axes),
        y_ticks=tuple(AxisTick(_y(frame, axes, v), f"{v * 100:g}") for v in axes.y.ticks),
        log=axes.x.log,
        marks=tuple(mark._replace(label=label) for mark, label in zip(bare, labels, strict=True)),
        front=_path(front),
    )


def _mark(target: TargetSummary, time: Estimate, rate: Estimate, frame: Rectangle, axes: ScatterAxes) -> ScatterPoint:
    return ScatterPoint(
        x=_x(frame, axes, time.value),
        y=_y(frame, axes, rate.value),
        name=visible(shorten(target.target, LABEL_LENGTH)),
        pareto=target.pareto,
        says=f"{target.target}: {number(time.value)} ms, {number(rate.value * 100, 1)}%",
        across=_ends(time, lambda value: _x(frame, axes, value)),
        upright=_ends(rate, lambda value: _y(frame, axes, value)),
    )


def _x(frame: Rectangle, axes: ScatterAxes, value: float) -> float:
    return frame.left + axes.x.at(value) * (frame.right - frame.left)


def _y(frame: Rectangle, axes: ScatterAxes, value: float) -> float:
    return frame.bottom - axes.y.at(value) * (frame.bottom - frame.top)


def _x_ticks(frame: Rectangle, axes: ScatterAxes) -> tuple[AxisTick, ...]:
    """As many ticks as there is room for: their texts are about 48 px wide."""
    every = -(-len(axes.x.ticks) * 56 // int(frame.right - frame.left)) or 1
    return tuple(AxisTick(_x(frame, axes, value), duration(value)) for value in axes.x.ticks[::every])


def _ends(estimate: Estimate, at: Callable[[float], float]) -> tuple[float, float] | None:
    if estimate.low is None or estimate.high is None:
        return None
    return at(estimate.low), at(estimate.high)


def _front(marks: Sequence[ScatterPoint], frame: Rectangle) -> list[tuple[float, float]]:
    """Steps from the fastest to the most intelligible: whatever lies above and right of them is beaten."""
    best = sorted({(mark.x, mark.y) for mark in marks if mark.pareto})
    if len(best) < 2:
        return []
    corners = [(best[0][0], frame.top)]
    for x, y in best:
        corners += [(x, corners[-1][1]), (x, y)]
    return [*corners, (frame.right, corners[-1][1])]


def _path(corners: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{'L' if i else 'M'}{x:.1f},{y:.1f}" for i, (x, y) in enumerate(corners))


def _lines(marks: Sequence[ScatterPoint], front: Sequence[tuple[float, float]]) -> list[Rectangle]:
    """What names had better not cross: the front and the whiskers."""
    boxes = [Rectangle(min(a, c), min(b, d), max(a, c), max(b, d)) for (a, b), (c, d) in pairwise(front)]
    boxes += [Rectangle(min(m.across), m.y, max(m.across), m.y) for m in marks if m.across]
    boxes += [Rectangle(m.x, min(m.upright), m.x, max(m.upright)) for m in marks if m.upright]
    return boxes
