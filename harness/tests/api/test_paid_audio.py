"""Whatever is paid for is listened to: what `check`, `bench`, `record` and `proxy` find in the audio of a service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

import voicegauge
from voicegauge import cli
from voicegauge.speech.espeak import synthesize

from ..builders.own_server import SAMPLE_RATE_HZ, running_own_server

NAME, TARGET = "openai-compatible", "openai-compatible/speech"
TEXT = "Please take the second door on the left after the stairs."
OTHER = "Nobody remembered who had painted the small yellow boat in the harbour."
Speak = Callable[[str], NDArray[np.float32]]


def _say(text: str) -> NDArray[np.float32]:
    return synthesize(
        text, language="en", voice_variant="klatt3", words_per_minute=165, pitch=50,
        sample_rate_hz=SAMPLE_RATE_HZ, seed=len(text),
    )  # fmt: skip


def _say_other(_text: str) -> NDArray[np.float32]:
    return _say(OTHER)


def _make_noise(text: str) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(len(text)).standard_normal(len(_say(text)))).astype(np.float32)


def _leave_out_end(text: str) -> NDArray[np.float32]:
    samples = _say(text)
    return samples[: int(0.65 * len(samples))]


FAULTS = {"spoken-text-other": _say_other, "audio-not-speech": _make_noise, "spoken-text-incomplete": _leave_out_end}
"""What a server says in place of the text, by the rule that reports it."""
RULES_OF_SOUND = {*FAULTS, "audio-silent", "audio-long-silence", "spoken-text-repeated", "spoken-words-differ"}
faulty = pytest.mark.parametrize(
    ("rule", "speak"),
    [
        (None, _say),
        *(
            pytest.param(rule, speak, marks=pytest.mark.slow if rule == "audio-not-speech" else ())
            for rule, speak in FAULTS.items()
        ),
    ],
)


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)
    monkeypatch.setenv("VOICEGAUGE_STATE", str(tmp_path_factory.mktemp("state")))


def _at(url: str) -> voicegauge.LiveOptions:
    return voicegauge.LiveOptions(base_urls={"": f"{url}/v1"})


def _keep_rules_of_sound(findings: object) -> set[str]:
    return {finding.rule for finding in findings} & RULES_OF_SOUND  # type: ignore[attr-defined]


@faulty
def test_a_check_listens(rule: str | None, speak: Speak) -> None:
    with running_own_server(voices=["zoe"], speak=speak) as url:
        report = voicegauge.check(TARGET, live=_at(url), case_ids=[f"{TARGET}: a full delivery"])
    assert _keep_rules_of_sound(report.findings) == ({rule} if rule else set())


@faulty
def test_a_benchmark_listens(tmp_path: Path, rule: str | None, speak: Speak) -> None:
    with running_own_server(voices=["zoe"], speak=speak) as url:
        result = voicegauge.benchmark(
            TARGET, live=_at(url), max_texts=2, warmup=0, asr="none", out=tmp_path, write_html_report=False
        )
    (target,) = result.targets
    assert target.listening is not None
    found = target.listening.defect_count_by_rule
    assert (result.wrong_sample_count, set(found)) == ((2, {rule}) if rule else (0, set()))


@faulty
def test_a_recording_is_listened_to_twice(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], rule: str | None, speak: Speak
) -> None:
    """When it is made, and whenever it is judged."""
    with running_own_server(voices=["zoe"], speak=speak) as url:
        result = voicegauge.record(TARGET, live=_at(url), out=tmp_path)
    assert set(result.finding_count_by_rule) & RULES_OF_SOUND == ({rule} if rule else set())
    cli.run(["check", TARGET, "--recordings", str(tmp_path), "--json", "-"])
    findings = json.loads(capfd.readouterr().out)["findings"]
    assert {one["rule"] for one in findings} & RULES_OF_SOUND == ({rule} if rule else set())


@faulty
def test_a_proxy_listens(rule: str | None, speak: Speak) -> None:
    with (
        running_own_server(voices=["zoe"], speak=speak) as url,
        voicegauge.proxy(NAME, upstream=f"{url}/v1") as running,
    ):
        body = {"model": "tiny", "voice": "zoe", "input": TEXT, "response_format": "wav"}
        response = httpx.post(f"{running.url}/v1/audio/speech", json=body, timeout=60)
        assert response.status_code == 200
    assert _keep_rules_of_sound(running.report.report.findings) == ({rule} if rule else set())


def test_the_audio_of_a_recorded_job_is_judged_although_its_last_poll_had_a_wrong_key(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The recording of a job ends with a poll that the service rejects, which says nothing about the audio."""
    voicegauge.record("pixelapi/voice-design", emulated=True, out=tmp_path)
    cli.run(["check", "pixelapi/voice-design", "--recordings", str(tmp_path), "--json", "-"])
    report = json.loads(capfd.readouterr().out)
    judged = {one["name"]: one["conforming_count"] for one in report["coverage"] if one["kind"] == "rule"}
    assert judged["spoken-text-other"] == judged["audio-not-speech"] == 1
    assert report["unjudged_words_count_by_reason"] == {}
