"""Audio that cannot be used is a failed sample, whether or not anything is transcribed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import voicegauge
from voicegauge.bench.audio_measurement import (
    count_samples_with_unknown_encoding,
    describe_unexpected_formats,
    measure_audio,
)
from voicegauge.bench.run_store import save_audio
from voicegauge.contract.contract import Target
from voicegauge.errors import DataError
from voicegauge.model.sample import AudioFacts, Latency, Sample
from voicegauge.speech.encoding import encode

from ..builders.contracts import load_text
from ..builders.documents import changed_yaml
from ..builders.runs import FAILED, build_sample
from .conftest import ACME
from .test_interruptions import Bench, bench, out, provider, speech, url  # noqa: F401 - fixtures

RATE = 24_000
SPEECH = encode(np.sin(np.arange(RATE // 2) * 0.05).astype(np.float32) * 0.3, RATE, "wav")[0]
HTML = b"<html><body>502 Bad Gateway</body></html>"


def measured(folder: Path, audio: bytes, media_type: str | None = "audio/wav") -> Sample:
    digest, file = save_audio(folder, audio)
    facts = AudioFacts(sha256=digest, file_path=file, size_bytes=len(audio), media_type=media_type, container=None)
    (found,) = measure_audio(folder, [msgspec.structs.replace(build_sample(), audio=facts)], {})
    return found


def test_audio_that_decodes_is_no_failure(tmp_path: Path) -> None:
    found = measured(tmp_path, SPEECH)
    assert found.failure is None
    assert found.audio is not None
    assert found.audio.audio_duration_s == pytest.approx(0.5)


def test_speech_begins_after_the_silence_at_the_begin_of_the_audio(tmp_path: Path) -> None:
    silence = np.zeros(RATE // 2, np.float32)
    audio = encode(np.concatenate([silence, np.full(RATE, 0.3, np.float32) * np.tile([1, -1], RATE // 2)]), RATE, "wav")
    digest, file = save_audio(tmp_path, audio[0])
    facts = AudioFacts(sha256=digest, file_path=file, size_bytes=len(audio[0]), media_type=None, container=None)
    sample = msgspec.structs.replace(build_sample(), audio=facts, latency=Latency(submit_latency_ms=90, ttfa_ms=100))
    (found,) = measure_audio(tmp_path, [sample], {})
    assert found.latency == Latency(submit_latency_ms=90, ttfa_ms=100, ttfs_ms=600)


@pytest.mark.parametrize(
    ("audio", "media_type", "message"),
    [
        (HTML, "text/html", "41 bytes: not a known audio container (declared as text/html)"),
        (HTML, "audio/mpeg", "declared as audio/mpeg"),
        (HTML, "audio/pcm", "declared as audio/pcm"),
        (HTML, None, "not a known audio container"),
        (SPEECH[:40], "audio/wav", "wav"),
        (b"{}", "application/json", "declared as application/json"),
    ],
)
def test_what_does_not_decode_is_a_failure(tmp_path: Path, audio: bytes, media_type: str | None, message: str) -> None:
    found = measured(tmp_path, audio, media_type)
    assert found.failure is not None
    assert found.failure.kind == "audio"
    assert message in found.failure.message
    assert "\n" not in found.failure.message
    assert found.audio is not None, "the bytes stay in the run, to be looked at"


def test_audio_beyond_the_length_limit_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicegauge.speech.decoding.MAX_AUDIO_DURATION_S", 0.25)
    found = measured(tmp_path, SPEECH)
    assert found.failure is not None
    assert "longer than" in found.failure.message


def test_an_earlier_failure_stays(tmp_path: Path) -> None:
    digest, file = save_audio(tmp_path, HTML)
    facts = AudioFacts(sha256=digest, file_path=file, size_bytes=len(HTML), media_type=None, container=None)
    (found,) = measure_audio(tmp_path, [msgspec.structs.replace(build_sample(failure=FAILED), audio=facts)], {})
    assert found.failure == FAILED


def test_raw_samples_of_an_unknown_encoding_are_no_failure_and_pointed_out(tmp_path: Path) -> None:
    assert measured(tmp_path, bytes(2_000), "audio/pcm").failure is None
    found = measured(tmp_path, np.arange(-9_000, 9_000, dtype=np.int16).tobytes(), "audio/pcm")
    assert found.failure is None
    assert count_samples_with_unknown_encoding([found]) == {found.target: 1}
    assert count_samples_with_unknown_encoding([measured(tmp_path, SPEECH)]) == {}


def test_audio_of_another_format_than_documented_is_pointed_out(tmp_path: Path) -> None:
    target = voicegauge.load_contracts().find_provider("openai-compatible").targets["speech"]
    sample = msgspec.structs.replace(measured(tmp_path, SPEECH, "audio/mpeg"), target=target.id)
    described = describe_unexpected_formats([sample, sample], {target.id: target})
    assert described == {target.id: "2 clips of wav, not mp3"}
    mp3 = encode(np.zeros(RATE, np.float32), RATE, "mp3")[0]
    right = msgspec.structs.replace(measured(tmp_path, mp3, "audio/mpeg"), target=target.id)
    assert describe_unexpected_formats([right], {target.id: target}) == {}


@pytest.mark.parametrize("asr", ["none", "embedded"])
def test_unusable_audio_is_counted_as_failed_with_and_without_an_asr(
    bench: Bench,  # noqa: F811 - a fixture
    provider,  # type: ignore[no-untyped-def]  # noqa: F811
    out: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    asr: str,
) -> None:
    monkeypatch.setattr("voicegauge.speech.decoding.MAX_AUDIO_DURATION_S", 2.0)
    too_long = encode(np.full(5 * 24_000, 0.3, np.float32), 24_000, "wav")[0]
    bodies = iter([HTML, b"RIFF\0\0\0\0WAVEfmt ", too_long] * 2)
    provider.speak = lambda _: next(bodies)
    unusable = tmp_path / "unusable.json"
    assert bench("sync", "queued", more=("--asr", asr, "--no-report", "--json", str(unusable))) == 3
    assert "every request failed" in capsys.readouterr().err
    found = json.loads(unusable.read_bytes())
    assert [(one["sample_count"], one["failure_count"], one["failure_count_by_kind"]) for one in found["targets"]] == [
        (3, 3, {"audio": 3})
    ] * 2

    provider.speak = lambda text: HTML if "kettle" in text else SPEECH
    result = tmp_path / "result.json"
    assert bench("sync", "queued", more=("--asr", asr, "--json", str(result))) == 5, "only 4 of 6 were measured"
    found = json.loads(result.read_bytes())
    assert [(one["sample_count"], one["failure_count"], one["failure_count_by_kind"]) for one in found["targets"]] == [
        (3, 1, {"audio": 1})
    ] * 2
    assert "1 of 3 failed (1 audio)" in capsys.readouterr().out


@pytest.fixture
def raw_targets(tmp_path: Path) -> dict[str, Target]:
    """Targets by id; audio of `now` in the response and of `job` in the job is raw, in different encodings."""
    return load_changed(
        tmp_path,
        {
            f"{NOW_AUDIO}/format": "pcm_s16le",
            f"{NOW_AUDIO}/sample_rate_hz": 8000,
            f"{NOW_AUDIO}/channels": 1,
            f"{JOB_AUDIO}/format": "pcm_s16le",
            f"{JOB_AUDIO}/sample_rate_hz": 16000,
            f"{JOB_AUDIO}/channels": 2,
        },
    )


NOW = "/paths/~1now/post"
NOW_AUDIO = f"{NOW}/x-speech/response/audio"
NOW_PROPERTIES = f"{NOW}/requestBody/content/application~1json/schema/properties"
JOB_AUDIO = "/paths/~1jobs~1{id}/get/x-job/audio"


def load_changed(folder: Path, changes: Mapping[str, Any]) -> dict[str, Target]:
    """Return the targets of the contract with `changes`, by name."""
    return dict(load_text(folder, changed_yaml(ACME, changes)).targets)


SAMPLES = (np.sin(np.arange(8_000) * 0.3) * 9_000).astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("target", "rate_hz", "channels", "audio_s"),
    [("acme/now", 8_000, 1, 1.0), ("acme/job", 16_000, 2, 0.25), ("acme/none", None, None, None)],
)
def test_raw_audio_is_read_as_the_contract_documents(
    tmp_path: Path,
    raw_targets: dict[str, Target],
    target: str,
    rate_hz: int | None,
    channels: int | None,
    audio_s: float | None,
) -> None:
    digest, file = save_audio(tmp_path, SAMPLES)
    facts = AudioFacts(sha256=digest, file_path=file, size_bytes=len(SAMPLES), media_type="audio/pcm", container=None)
    made = msgspec.structs.replace(build_sample(), audio=facts, target=target)
    targets = {one.id: one for one in raw_targets.values()}
    calls: list[int] = []
    (found, again) = measure_audio(tmp_path, [made, made], targets, lambda: calls.append(1))
    assert found == again
    assert found.failure is None
    assert found.audio is not None
    assert (found.audio.sample_rate_hz, found.audio.channels, found.audio.audio_duration_s) == (
        rate_hz,
        channels,
        audio_s,
    )
    assert len(calls) == 2


FORMATS = {
    f"{NOW}/x-speech/formats": {
        "PCM": {"codec": "pcm_s16le", "sample_rate_hz": 8000},
        "wide": {"codec": "pcm_s16le", "sample_rate_hz": 16000, "channels": 2},
        "law": {"codec": "mulaw", "sample_rate_hz": 16000},
        "mp3": {"codec": "mp3"},
    },
    f"{NOW}/x-speech/request_fields/format": {"location": "body#/format", "provider_values": {"raw": "PCM"}},
}


def test_raw_audio_is_read_as_the_default_format_of_the_targets_media_type(tmp_path: Path) -> None:
    form = {"schema": {"type": "object", "properties": {"text": {}, "format": {"default": "PCM"}}}}
    changed = load_changed(
        tmp_path,
        {
            **FORMATS,
            f"{NOW_PROPERTIES}/format": {"default": "wide"},
            f"{NOW}/requestBody/content/multipart~1form-data": form,
            f"{NOW}/x-speech/targets/now/request_media_type": "multipart/form-data",
        },
    )
    targets = {one.id: one for one in changed.values()}
    digest, file = save_audio(tmp_path, SAMPLES)
    facts = AudioFacts(sha256=digest, file_path=file, size_bytes=len(SAMPLES), media_type="audio/pcm", container=None)
    sample = msgspec.structs.replace(build_sample(), audio=facts, target="acme/now")
    (found,) = measure_audio(tmp_path, [sample], targets)
    assert found.audio is not None
    assert found.audio.sample_rate_hz == 8_000


@pytest.mark.parametrize(
    ("target_format", "default", "rate_hz", "channels"),
    [
        ("raw", "wide", 8_000, 1),  # as the contract translates it
        ("wide", "PCM", 16_000, 2),
        ("law", "PCM", 16_000, 1),
        (None, "PCM", 8_000, 1),
        (None, None, 32_000, 1),  # as responses are documented
        ("mp3", "PCM", 32_000, 1),
    ],
)
def test_raw_audio_is_read_as_the_format_of_the_target_or_the_default_is_documented(
    tmp_path: Path, target_format: str | None, default: str | None, rate_hz: int, channels: int
) -> None:
    changes = {
        **FORMATS,
        f"{NOW_AUDIO}/format": "pcm_s16le",
        f"{NOW_AUDIO}/sample_rate_hz": 32000,
        f"{NOW_PROPERTIES}/format": {"type": "string", "default": default} if default else {"type": "string"},
    }
    if target_format is not None:
        changes[f"{NOW}/x-speech/targets/now/default_format"] = target_format
    target = load_changed(tmp_path, changes)["now"]
    digest, file = save_audio(tmp_path, SAMPLES)
    facts = AudioFacts(sha256=digest, file_path=file, size_bytes=len(SAMPLES), media_type="audio/pcm", container=None)
    (found,) = measure_audio(
        tmp_path, [msgspec.structs.replace(build_sample(), audio=facts, target=target.id)], {target.id: target}
    )
    assert found.audio is not None
    codec = "mulaw" if target_format == "law" else "pcm_s16le"
    assert (found.audio.sample_rate_hz, found.audio.channels, found.audio.raw_format) == (rate_hz, channels, codec)


CONVERSION = {
    "operationId": "convert",
    "x-conversion": {
        "purpose": "voice",
        "request_fields": {"audio": "body#/file"},
        "response": {
            "audio": {"location": "body", "delivery_method": "bytes", "format": "mulaw", "sample_rate_hz": 8000}
        },
        "targets": {"clean": {"title": "Clean"}},
    },
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
                }
            }
        },
    },
    "responses": {
        "200": {"description": "audio", "content": {"audio/basic": {}}},
        "401": {"description": "no key"},
    },
}


def test_raw_audio_of_a_conversion_is_read_as_the_contract_documents(tmp_path: Path) -> None:
    contract = load_text(tmp_path, changed_yaml(ACME, {"/paths/~1convert": {"post": CONVERSION}}))
    targets = {one.id: one for one in contract.audio_input_targets.values()}
    digest, file = save_audio(tmp_path, SAMPLES)
    facts = AudioFacts(sha256=digest, file_path=file, size_bytes=len(SAMPLES), media_type="audio/basic", container=None)
    sample = msgspec.structs.replace(build_sample(), audio=facts, target="acme/clean")
    (found,) = measure_audio(tmp_path, [sample], targets)
    assert found.audio is not None
    assert (found.audio.raw_format, found.audio.sample_rate_hz, found.audio.audio_duration_s) == ("mulaw", 8_000, 2.0)


def test_a_missing_audio_file_is_one_line(tmp_path: Path) -> None:
    facts = AudioFacts(sha256="0" * 64, file_path="audio/lost.wav", size_bytes=1, media_type=None, container=None)
    with pytest.raises(DataError) as caught:
        measure_audio(tmp_path, [msgspec.structs.replace(build_sample(), audio=facts)], {})
    assert str(caught.value) == f"{tmp_path / 'audio/lost.wav'}: cannot be read: No such file or directory"


def test_a_sample_without_audio_stays_as_it_is(tmp_path: Path) -> None:
    failed = build_sample(failure=FAILED)
    assert measure_audio(tmp_path, [failed], {}) == (failed,)


def test_an_unknown_container_is_described_without_a_media_type(tmp_path: Path) -> None:
    found = measured(tmp_path, HTML, None)
    assert found.failure is not None
    assert found.failure.message == "the audio cannot be decoded: 41 bytes: not a known audio container"
    found = measured(tmp_path, HTML, "text/html")
    assert found.failure is not None
    assert found.failure.message.endswith("not a known audio container (declared as text/html)")
