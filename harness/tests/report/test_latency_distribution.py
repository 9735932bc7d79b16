from __future__ import annotations

import re

import pytest

from voicegauge.model.sample import Interval, Latency
from voicegauge.report.target_sections import build_job_state_chart, build_latency_curve


def heights(path: str) -> list[float]:
    return [float(y) for _, y in re.findall(r"([\d.]+),([\d.]+)", path)]


def test_the_curve_rises_from_0_to_100_percent_with_a_step_for_each_request() -> None:
    curve = build_latency_curve([300.0, 100.0, 200.0, 200.0])
    assert curve
    steps = [float(y) for y in re.findall(r"V([\d.]+)", curve.svg_path)]
    bottom, _, top = (tick.position_px for tick in curve.y_ticks)
    expected = [bottom + (top - bottom) * share for share in (0.25, 0.5, 0.75, 1.0)]
    assert steps == [pytest.approx(y, abs=0.1) for y in expected]
    assert build_latency_curve([100.0]) is None


def test_every_job_is_in_one_state_until_it_is_complete() -> None:
    jobs = [
        Latency(
            submit_latency_ms=100.0,
            queue_ms=Interval(low_ms=100.0, high_ms=300.0),
            completion_ms=Interval(low_ms=900.0, high_ms=1_000.0),
        ),
        Latency(submit_latency_ms=50.0, completion_ms=Interval(low_ms=0.0, high_ms=1_000.0)),
    ]
    chart = build_job_state_chart(jobs)
    assert chart
    assert [area.job_state for area in chart.areas] == [
        "processing-or-completed",
        "processing",
        "queue-or-processing",
        "queue",
        "submit",
    ]
    top = chart.y_ticks[-1].position_px
    outline = chart.areas[-1].svg_path  # the sum of all states
    assert heights(outline)[:80] == [pytest.approx(top, abs=0.1)] * 80
    assert build_job_state_chart([Latency(submit_latency_ms=1.0)]) is None
