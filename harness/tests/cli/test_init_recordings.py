"""`voicegauge init` from recordings: a whole contract is proposed, in which everything is inferred."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

import voicegauge
from voicegauge.api import documents
from voicegauge.cli import run
from voicegauge.files import find_bundled_folder

KEY = "sk-never-written-0123456789"
TEXT = "A private sentence."
VOICE = "21m00Tcm4TlvDq8ikWAM"


def entry(method: str, url: str, body: Any, status: int, response: Any, media_type: str = "application/json") -> Any:
    headers = [{"name": "xi-api-key", "value": KEY}, {"name": "Content-Type", "value": "application/json"}]
    request: dict[str, Any] = {"method": method, "url": url, "headers": headers}
    if body is not None:
        request["postData"] = {"mimeType": "application/json", "text": json.dumps(body)}
    content: dict[str, Any] = {"mimeType": media_type}
    if isinstance(response, bytes):
        content |= {"text": base64.b64encode(response).decode(), "encoding": "base64"}
    else:
        content["text"] = json.dumps(response)
    return {"request": request, "response": {"status": status, "headers": [], "content": content}}


def write_har(path: Path, *entries: Any) -> Path:
    path.write_text(json.dumps({"log": {"version": "1.2", "creator": {"name": "a proxy"}, "entries": entries}}))
    return path


SPEECH = f"https://api.acme.test/v1/text-to-speech/{VOICE}"
SYNCHRONOUS = entry("POST", SPEECH, {"text": TEXT, "model_id": "swift"}, 200, b"RIFF", "audio/wav")


def test_a_request_that_audio_responds_to_is_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    other = entry("GET", "https://api.acme.test/v1/user", None, 200, {"plan": "free"})
    write_har(tmp_path / "traffic.har", other, SYNCHRONOUS)
    assert run(["init", "traffic.har"]) == 0
    contract = voicegauge.load_contracts(["openapi.yaml"]).find_provider("acme")
    (operation,) = contract.operations.values()
    assert (operation.method, operation.path) == ("POST", "/v1/text-to-speech/{voice_id}")
    assert operation.speech is not None
    assert {name: str(mapping.location) for name, mapping in operation.speech.request_fields.items()} == {
        "text": "body#/text",
        "voice": "path.voice_id",
    }
    (target,) = contract.targets.values()
    assert (
        target.target_spec.default_voice,
        {str(at): value for at, value in target.target_spec.request_constants.items()},
    ) == (
        VOICE,
        {"body#/model_id": "swift"},
    )
    assert contract.security_schemes == {"key": {"type": "apiKey", "in": "header", "name": "xi-api-key"}}
    text = Path("openapi.yaml").read_text()
    assert "is_inferred: true" in text
    assert "usd" not in text
    assert voicegauge.check(["acme"], emulated=True, contracts=["openapi.yaml"]).findings == ()


def test_neither_keys_nor_texts_are_written(tmp_path: Path) -> None:
    leaked = entry("POST", f"{SPEECH}?api_key={KEY}", {"text": TEXT, "token": KEY}, 200, {"audio": KEY})
    write_har(tmp_path / "traffic.har", SYNCHRONOUS, leaked)
    proposal = documents.propose_contract(tmp_path).overlay
    assert KEY not in proposal
    assert TEXT not in proposal


def test_a_job_is_proposed_from_its_polls(tmp_path: Path) -> None:
    status = "https://api.acme.test/jobs/status/job-123456"
    write_har(
        tmp_path / "one.har",
        entry("POST", "https://api.acme.test/say", {"input": TEXT}, 202, {"job_id": "job-123456", "state": "queued"}),
        entry("GET", status, None, 200, {"job_id": "job-123456", "state": "rendering", "audio_url": None}),
        entry("GET", status, None, 200, {"state": "done", "audio_url": "https://cdn.acme.test/a.mp3"}),
        entry("GET", "https://cdn.acme.test/a.mp3", None, 200, b"ID3", "audio/mpeg"),
    )
    out = tmp_path / "contract.yaml"
    assert run(["init", str(tmp_path), "--out", str(out), "--provider", "mine"]) == 0
    contract = voicegauge.load_contracts([out]).find_provider("mine")
    (status_operation,) = [operation for operation in contract.operations.values() if operation.job is not None]
    assert status_operation.path == "/jobs/status/{job_id}"
    job = status_operation.job
    assert job is not None
    assert {name: state.successor_names or state.terminal_outcome for name, state in job.states.items()} == {
        "queued": ("rendering",),
        "rendering": ("done",),
        "done": "success",
    }
    assert (str(job.audio.location), job.audio.delivery_method) == ("body#/audio_url", "url")
    assert "# - the other states of /jobs/status/{job_id}: only examples are known" in out.read_text()


@pytest.mark.parametrize("provider", [pytest.param("pixazo", marks=pytest.mark.slow), "pixelapi"])
def test_a_contract_from_bundled_recordings_is_kept_by_its_emulator(tmp_path: Path, provider: str) -> None:
    out = tmp_path / "openapi.yaml"
    assert run(["init", str(find_bundled_folder("fixtures") / provider), "--out", str(out), "--provider", "mine"]) == 0
    assert voicegauge.check(["mine"], emulated=True, contracts=[out], max_calls=10).findings == ()


def test_what_is_left_out_is_printed_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voices = entry("GET", "https://api.acme.test/v1/voices", None, 200, {"voices": []})
    polled = entry("POST", "https://api.acme.test/v1/jobs", {"text": TEXT}, 200, {"state": "queued"})
    other = entry("POST", "https://api.other.test/say", {"text": TEXT}, 200, b"RIFF", "audio/wav")
    write_har(tmp_path / "traffic.har", SYNCHRONOUS, voices, polled, polled, other)
    (tmp_path / "broken.har").write_text("{")
    assert run(["init", str(tmp_path), "--out", str(tmp_path / "openapi.yaml")]) == 0
    output = capsys.readouterr().out
    left_out = output[output.index("left out:") : output.index("next:")]
    assert str(tmp_path / "broken.har") in left_out
    assert (
        "https://api.other.test: exchanges: 1; speech: POST /say; only https://api.acme.test is proposed; --host"
        in left_out
    )
    assert "POST /v1/jobs: exchanges: 2; a text in the request, but no audio" in left_out
    assert "GET /v1/voices: exchanges: 1; no text and audio" in left_out
    assert TEXT not in output


def test_a_job_whose_id_is_in_the_query_is_proposed(tmp_path: Path) -> None:
    status = "https://api.acme.test/v1/results?uuid=job-123456"
    write_har(
        tmp_path / "one.har",
        entry("POST", "https://api.acme.test/v1/say", {"text": TEXT}, 200, {"uuid": "job-123456", "status": "queued"}),
        entry("GET", status, None, 200, {"uuid": "job-123456", "status": "queued"}),
        entry("GET", status, None, 200, {"status": "completed", "result_url": "https://cdn.acme.test/a.mp3"}),
    )
    out = tmp_path / "openapi.yaml"
    assert run(["init", str(tmp_path), "--out", str(out), "--provider", "mine"]) == 0
    contract = voicegauge.load_contracts([out]).find_provider("mine")
    (status_operation,) = [operation for operation in contract.operations.values() if operation.job is not None]
    (parameter,) = status_operation.parameters
    assert (status_operation.path, parameter.name, parameter.is_required) == ("/v1/results", "uuid", True)
    assert voicegauge.check(["mine"], emulated=True, contracts=[out], max_calls=10).findings == ()


def test_another_recorded_host_is_proposed_if_it_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = entry("POST", "https://api.other.test/say", {"text": TEXT}, 200, b"RIFF", "audio/wav")
    write_har(tmp_path / "traffic.har", SYNCHRONOUS, other)
    out = tmp_path / "openapi.yaml"
    assert run(["init", str(tmp_path), "--host", "api.other.test", "--out", str(out)]) == 0
    assert voicegauge.load_contracts([out]).find_provider("other").targets
    assert run(["init", str(tmp_path), "--host", "api.third.test", "--out", str(tmp_path / "third.yaml")]) == 2
    hosts = "https://api.acme.test, https://api.other.test"
    assert f"no recorded speech request to api.third.test; there are some to: {hosts}" in capsys.readouterr().err


def test_nothing_is_left_out_of_complete_recordings(tmp_path: Path) -> None:
    assert documents.propose_contract(write_har(tmp_path / "traffic.har", SYNCHRONOUS)).left_out == ()


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([], "contains no recording"),
        ([entry("GET", "https://api.acme.test/user", None, 200, {"id": 1})], "none of 1 recorded exchanges has a text"),
    ],
)
def test_recordings_without_speech_are_refused_in_one_line(
    tmp_path: Path, entries: list[Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_har(tmp_path / "traffic.har", *entries)
    assert run(["init", str(tmp_path), "--out", str(tmp_path / "openapi.yaml")]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


def test_recordings_of_a_bundled_provider_are_proposed_with_an_id_of_their_own(tmp_path: Path) -> None:
    speech = SPEECH.replace("api.acme.test", "api.elevenlabs.io")
    recorded = entry("POST", speech, {"text": TEXT, "model_id": "swift"}, 200, b"RIFF", "audio/wav")
    write_har(tmp_path / "traffic.har", recorded)
    assert documents.propose_contract(tmp_path).provider == "my-elevenlabs"
