"""Computes the geometry of the distribution of one target's latency, and of the states of its jobs over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from voicegauge.model import Latency
from voicegauge.report.charts.axis_scale import AxisScale, build_linear_scale
from voicegauge.report.charts.latency_bars import LatencyPhase
from voicegauge.report.text_format import format_duration

CURVE_WIDTH, CURVE_HEIGHT = 520.0, 220.0
"""Size of both charts, in px."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 16.0, 10.0, 30.0
MAX_STEPS = 120
"""Number of steps of a curve; of more values, only as many quantiles are drawn."""
_MOMENTS = 80
"""Number of moments at which the states of the jobs are counted."""


class CurveTick(NamedTuple):
    """A labeled position on an axis."""

    position_px: float
    text: str


class LatencyCurve(NamedTuple):
    """The share of requests that were complete by each time, as an SVG path."""

    path: str
    x_ticks: tuple[CurveTick, ...]
    y_ticks: tuple[CurveTick, ...]


class StateArea(NamedTuple):
    """The share of jobs in one state at each time, as an SVG path; stacked on the areas before it."""

    phase: LatencyPhase
    path: str


class JobStateChart(NamedTuple):
    """States of a target's jobs over time."""

    areas: tuple[StateArea, ...]
    x_ticks: tuple[CurveTick, ...]
    y_ticks: tuple[CurveTick, ...]


def build_latency_curve(latencies_ms: Sequence[float]) -> LatencyCurve | None:
    """Return the empirical distribution of `latencies_ms`; `None` for fewer than two values."""
    values = sorted(latencies_ms)
    if len(values) < 2:
        return None
    axis = build_linear_scale(values)
    count = len(values)
    chosen = (
        range(count) if count <= MAX_STEPS else [round(i * (count - 1) / (MAX_STEPS - 1)) for i in range(MAX_STEPS)]
    )
    steps = [f"H{_x(axis, values[i]):.1f}V{_y((i + 1) / count):.1f}" for i in chosen]
    path = "".join([f"M{_x(axis, 0.0):.1f},{_y(0.0):.1f}", *steps, f"H{CURVE_WIDTH - _RIGHT:.1f}"])
    return LatencyCurve(path, _build_time_ticks(axis), _build_share_ticks())


def build_job_states(latencies: Sequence[Latency]) -> JobStateChart | None:
    """Return the states of jobs over time; `None` if no sample is a job.

    A job's state is known only when it is polled, so that between two polls it may be in either of two states.
    """
    jobs = [ends for latency in latencies if (ends := _find_state_ends(latency))]
    if not jobs:
        return None
    axis = build_linear_scale([ends[-1][1] for ends in jobs])
    moments = [axis.high * i / _MOMENTS for i in range(_MOMENTS + 1)]
    below = [0.0] * len(moments)
    areas = []
    for phase in _STATES:
        shares = [_compute_share(jobs, phase, moment) for moment in moments]
        if not any(shares):
            continue
        above = [low + share for low, share in zip(below, shares, strict=True)]
        areas.append(StateArea(phase, _format_area(axis, moments, below, above)))
        below = above
    return JobStateChart(tuple(areas), _build_time_ticks(axis), _build_share_ticks())


_STATES: tuple[LatencyPhase, ...] = (
    "processing-or-completed",
    "processing",
    "queue-or-processing",
    "queue",
    "submit",
)
"""States that are drawn, from the bottom up: the last to end is at the bottom."""


def _find_state_ends(latency: Latency) -> list[tuple[LatencyPhase, float]]:
    """Return the end of each state of a job in ms after the start of the submit; empty if there is no job."""
    if latency.completion_ms is None:
        return []
    submitted_ms = latency.submit_latency_ms
    ends: list[tuple[LatencyPhase, float]] = [("submit", submitted_ms)]
    if latency.queue_ms:
        ends.append(("queue", submitted_ms + latency.queue_ms.low_ms))
        ends.append(("queue-or-processing", submitted_ms + latency.queue_ms.high_ms))
    ends.append(("processing", latency.completion_ms.low_ms))
    ends.append(("processing-or-completed", latency.completion_ms.high_ms))
    return ends


def _compute_share(jobs: Sequence[Sequence[tuple[LatencyPhase, float]]], phase: LatencyPhase, at_ms: float) -> float:
    """Return the share of jobs that are in a state at a moment."""
    return sum(_find_state(ends, at_ms) == phase for ends in jobs) / len(jobs)


def _find_state(ends: Sequence[tuple[LatencyPhase, float]], at_ms: float) -> LatencyPhase | None:
    return next((phase for phase, end_ms in ends if at_ms < end_ms), None)


def _format_area(axis: AxisScale, moments: Sequence[float], below: Sequence[float], above: Sequence[float]) -> str:
    def format_points(shares: Sequence[float], *, is_backwards: bool) -> list[str]:
        points = [f"{_x(axis, moment):.1f},{_y(share):.1f}" for moment, share in zip(moments, shares, strict=True)]
        return points[::-1] if is_backwards else points

    return f"M{'L'.join([*format_points(above, is_backwards=False), *format_points(below, is_backwards=True)])}Z"


def _x(axis: AxisScale, ms: float) -> float:
    return _LEFT + axis.compute_position(ms) * (CURVE_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return CURVE_HEIGHT - _BOTTOM - share * (CURVE_HEIGHT - _BOTTOM - _TOP)


def _build_time_ticks(axis: AxisScale) -> tuple[CurveTick, ...]:
    return tuple(CurveTick(_x(axis, value), format_duration(value)) for value in axis.ticks)


def _build_share_ticks() -> tuple[CurveTick, ...]:
    return tuple(CurveTick(_y(share), f"{share * 100:.0f}%") for share in (0.0, 0.5, 1.0))
