"""The benchmark of hostile responses serves them, measures what they cost, and reports what exceeds a limit."""

from __future__ import annotations

import math
import os
import sys

import pytest
from hostile_input.__main__ import MAX_MIB, format_row, hostile_responses, measure

pytestmark = pytest.mark.slow  # each starts a process that measures


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the measuring process import what this process can import."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


RESPONSES = {response.name: response for response in hostile_responses()}


@pytest.mark.parametrize(
    ("name", "deadline_s", "outcome"),
    [
        ("JSON: gzip twice", 3600.0, "the response to the submit has no usable job id"),
        ("JSON: one byte of a status at a time", 3.0, "a delivery may take 3 s"),
        ("WebSocket: pings", 3600.0, "the service sent more than voicegauge accepts"),
        ("WebSocket: a frame of 63 MiB", 3600.0, "the service sent more than voicegauge accepts"),
        ("streamed recording: transcripts of 4 MB", 3600.0, "the service sent more than voicegauge accepts"),
    ],
)
def test_a_hostile_response_ends_within_the_limits(name: str, deadline_s: float, outcome: str) -> None:
    measured = measure(RESPONSES[name], deadline_s=deadline_s)
    assert outcome in measured.outcome
    assert 10 < measured.peak_mib < MAX_MIB
    assert not measured.exceeds(measured.peak_mib, measured.cpu_s)
    assert measured.exceeds(measured.peak_mib / 2, math.inf)
    assert measured.exceeds(math.inf, measured.cpu_s / 2)
    assert f"{measured.peak_mib:.0f}" in format_row(RESPONSES[name], measured, exceeds=False)


def test_a_response_that_does_not_end_exceeds_every_limit() -> None:
    measured = measure(RESPONSES["audio: one byte at a time"], max_s=1.0, deadline_s=3600.0)
    assert measured.outcome == "did not end in 1 s"
    assert measured.exceeds(1e9, 1e9)
