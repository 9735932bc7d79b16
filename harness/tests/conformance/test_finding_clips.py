"""Findings about audio keep a clip of it, the first time each is found, and all clips have a limit."""

from __future__ import annotations

import msgspec
import pytest

import voicegauge
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.result_collector import MAX_TOTAL_CLIP_BYTES
from voicegauge.speech.decoding import decode


@pytest.fixture(scope="module")
def report() -> CheckReport:
    """A check whose speech is cut off and silent."""
    return voicegauge.check(
        "pixelapi/voice-design", emulated=True, faults=["silent-audio"], max_calls=3, select=["audio-silent"]
    )


def test_a_finding_about_audio_has_a_clip_that_can_be_decoded(report: CheckReport) -> None:
    clips = [finding.clip for finding in report.findings if finding.rule.startswith("audio-")]
    assert clips
    assert clips[0]
    decoded = decode(clips[0].data)
    assert (decoded.container, decoded.sample_rate_hz) == ("mp3", 32_000)
    assert 0.5 < decoded.duration_s < 5.5


def test_clips_survive_json_and_are_limited(report: CheckReport) -> None:
    again = msgspec.json.decode(msgspec.json.encode(report), type=CheckReport)
    assert again == report
    assert 0 < sum(len(finding.clip.data) for finding in report.findings if finding.clip) <= MAX_TOTAL_CLIP_BYTES


def test_silence_is_named_instead_of_an_infinite_level(report: CheckReport) -> None:
    (silent,) = report.findings
    assert silent.message.endswith("s of digital silence for the text")
    assert "s of digital silence; requested: " in (silent.evidence or "")
