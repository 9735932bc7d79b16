"""What a contract documents works, however it documents it: optional fields, enumerated values, media types, ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voicegauge.cases.plan import plan_cases
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import build_emulator_check_settings, build_emulator_settings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.contract import Contract
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import RunningEmulator
from voicegauge.emulator.server import running_app
from voicegauge.model.base import Severity
from voicegauge.speech.containers import find_container_of_media_type
from voicegauge.speech.decoding import RawAudioFormat, decode

from ..builders.in_process_check import run_to_the_end

FORMATS = ("wav", "mp3", "flac", "ogg", "opus", "aac", "m4a", "webm", "aiff", "pcm", "mulaw", "ulaw", "alaw", "amr")


def _fields(document: dict[str, Any], path: str = "/speech") -> Any:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    return next(iter(content.values()))["schema"]["properties"]


def _status(document: dict[str, Any]) -> Any:
    return document["paths"]["/jobs/{job_id}"]["get"]["responses"]["200"]["content"]["application/json"]


def _target(document: dict[str, Any], name: str = "small") -> Any:
    return document["paths"]["/speech"]["post"]["x-speech"]["targets"][name]


def _enumerate_formats(document: dict[str, Any]) -> None:
    _fields(document)["format"] = {"enum": [*FORMATS, "mp3_44100_128", "pcm_16000"]}


async def _job_audio(api: Any, **body: Any) -> Any:
    submitted = await api.submit(**body)
    assert submitted.status_code == 202, submitted.text
    job = submitted.json()["id"]
    await api.states(job, 2)
    done = (await api.send("GET", f"/jobs/{job}")).json()
    response = await api.send("GET", done["audio"])
    assert response.status_code == 200, response.text
    return response


async def test_a_target_with_automatic_language_speaks_if_the_request_names_none(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        _target(document)["default_language"] = "auto"

    api = await start(edit=edit, credits=1e9)
    assert decode((await _job_audio(api)).content).duration_s > 0.5
    assert decode((await _job_audio(api, text="Привет, как дела")).content).duration_s > 0.5


async def test_a_required_rate_limit_header_is_sent_without_a_documented_limit(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        del document["x-limits"]["plan_limits"]

    api = await start(edit=edit)
    assert int((await api.submit()).headers["X-Limit"]) >= 0


@pytest.mark.parametrize("document_it", ["map", "enum", "examples", "languages", "default"])
async def test_a_documented_language_is_spoken_even_without_a_voice_for_it(start: Any, document_it: str) -> None:
    def edit(document: dict[str, Any]) -> None:
        language: dict[str, Any] = {"type": "string"}
        document["paths"]["/speech"]["post"]["x-speech"]["request_fields"]["language"] = {"location": "body#/lang"}
        if document_it == "map":
            document["paths"]["/speech"]["post"]["x-speech"]["request_fields"]["language"]["provider_values"] = {
                "xx": "tlh"
            }
        elif document_it == "languages":
            _target(document)["supported_languages"] = ["en", "tlh"]
        elif document_it == "default":
            language["default"] = "tlh"
        else:
            language[document_it] = ["en", "tlh"]
        _fields(document)["lang"] = language

    api = await start(edit=edit, credits=1e9)
    assert decode((await _job_audio(api, lang="tlh")).content).duration_s > 0.5
    if document_it == "default":
        assert decode((await _job_audio(api)).content).duration_s > 0.5
    assert (await api.submit(lang="zzz")).status_code in (400, 422), "a language that no document names"


@pytest.mark.parametrize("name", [*FORMATS, "mp3_44100_128", "pcm_16000"])
async def test_every_documented_format_is_delivered(start: Any, name: str) -> None:
    api = await start(edit=_enumerate_formats, credits=1e9)
    response = await _job_audio(api, format=name)
    media_type = response.headers["Content-Type"]
    raw = {"mulaw": "mulaw", "ulaw": "mulaw", "alaw": "alaw"}.get(name, "pcm_s16le")
    audio = decode(response.content, declared_format=RawAudioFormat(format=raw, sample_rate_hz=24_000))
    assert 0.5 < audio.duration_s < 4
    assert audio.container == find_container_of_media_type(media_type)


async def test_an_undocumented_format_is_rejected(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        _fields(document)["format"] = {"type": "string"}

    api = await start(edit=edit)
    assert (await api.submit(format="amr")).status_code == 400
    assert (await api.submit(format="alaw")).status_code == 202


@pytest.mark.parametrize("encoding", ["pcm_s16be", "pcm_s24le", "pcm_f32le", "pcm_u8", "mulaw", "alaw"])
async def test_raw_audio_has_the_fixed_encoding_of_the_contract(start: Any, encoding: str) -> None:
    def edit(document: dict[str, Any]) -> None:
        now = document["paths"]["/now"]["post"]
        now["x-speech"]["response"]["audio"] |= {"format": encoding, "sample_rate_hz": 8000}
        now["responses"]["200"]["content"] = {"application/octet-stream": {}}

    api = await start(edit=edit)
    response = await api.send("POST", "/now", data={"text": "Hello there"})
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/octet-stream")
    audio = decode(response.content, declared_format=RawAudioFormat(format=encoding, sample_rate_hz=8000))
    assert 0.5 < audio.duration_s < 3
    assert 0.001 < float(abs(audio.samples).mean()) < 0.4, "speech, not noise"


@pytest.mark.parametrize(
    ("name", "documented", "expected"),
    [
        ("pcm", ["audio/mpeg", "audio/L16"], "audio/l16"),
        ("pcm", ["audio/mpeg", "audio/L16;rate=24000"], "audio/l16"),
        ("pcm", ["audio/mpeg", "application/octet-stream"], "application/octet-stream"),
        ("pcm", ["audio/mpeg", "audio/vnd.acme.linear"], "audio/vnd.acme.linear"),
        ("pcm", ["audio/mpeg", "audio/wav"], "audio/wav"),
        ("mulaw", ["audio/pcm", "audio/basic"], "audio/basic"),
        ("mulaw", ["audio/pcm", "audio/x-mulaw"], "audio/x-mulaw"),
        ("alaw", ["audio/pcm", "audio/PCMU", "audio/PCMA"], "audio/pcma"),
        ("aac", ["audio/mpeg", "audio/aac"], "audio/aac"),
        ("aac", ["audio/mpeg", "audio/mp4"], "audio/mp4"),
        ("opus", ["audio/mpeg", "audio/opus"], "audio/opus"),
        ("opus", ["audio/ogg", "audio/opus"], "audio/opus"),
        ("ogg", ["audio/opus", "audio/ogg"], "audio/ogg"),
        ("opus", ["audio/mpeg", "audio/webm"], "audio/webm"),
        ("wav", ["audio/*"], "audio/wav"),
    ],
)
async def test_audio_has_a_documented_media_type(start: Any, name: str, documented: list[str], expected: str) -> None:
    def edit(document: dict[str, Any]) -> None:
        now = document["paths"]["/now"]["post"]
        now["parameters"][0]["schema"] = {"enum": ["mp3", name]}
        now["responses"]["200"]["content"] = {media_type: {} for media_type in documented}

    api = await start(edit=edit)
    response = await api.send("POST", "/now", data={"text": "Hello there"}, params={"format": name})
    assert (response.status_code, response.headers["Content-Type"]) == (200, expected)
    raw = {"mulaw": "mulaw", "alaw": "alaw"}.get(name, "pcm_s16le")
    audio = decode(response.content, declared_format=RawAudioFormat(format=raw, sample_rate_hz=24_000))
    container = find_container_of_media_type(expected)
    assert 0.5 < audio.duration_s < 3
    assert container is None or container == audio.container


@pytest.mark.parametrize(
    ("schema", "name", "expected"),
    [
        ({"enum": ["audio/mpeg", "audio/L16"]}, "pcm", "audio/L16"),
        ({"enum": ["audio/mpeg", "audio/x-wav"]}, "wav", "audio/x-wav"),
        ({"enum": ["mp3", "wav", "pcm"]}, "pcm", "pcm"),
        ({"enum": ["MP3", "LINEAR16"]}, "pcm", "LINEAR16"),
        ({"type": "string"}, "pcm", "audio/pcm"),
    ],
)
async def test_a_reported_media_type_is_one_of_the_documented_values(
    start: Any, schema: Any, name: str, expected: str
) -> None:
    def edit(document: dict[str, Any]) -> None:
        _fields(document)["format"] = {"enum": ["mp3", "wav", "pcm"]}
        _status(document)["schema"]["properties"]["type"] = schema
        del _status(document)["examples"]

    api = await start(edit=edit)
    job = (await api.submit(format=name)).json()["id"]
    await api.states(job, 2)
    assert (await api.send("GET", f"/jobs/{job}")).json()["type"] == expected


@pytest.mark.parametrize("has_example", [True, False])
async def test_a_cancellation_reports_the_cancelled_job(start: Any, has_example: bool) -> None:
    def edit(document: dict[str, Any]) -> None:
        schema = {
            "type": "object",
            "required": ["id", "state", "detail", "links"],
            "properties": {
                "id": {"type": "string"},
                "job_id": {"type": "string"},
                "state": {"enum": ["queued", "working", "done", "failed", "void"]},
                "detail": {"type": "string"},
                "links": {"type": "object", "properties": {"self": {"type": "string"}}},
            },
        }
        value = {
            "id": "job_11111111",
            "job_id": "job_11111111",
            "state": "void",
            "detail": "job_11111111 was cancelled",
            "links": {"self": "https://api.acme.test/base/jobs/job_11111111"},
        }
        content = {"schema": schema, **({"examples": {"one": {"value": value}}} if has_example else {})}
        cancel = document["paths"]["/jobs/{job_id}"]["delete"]
        cancel["responses"]["200"] = {"description": "cancelled", "content": {"application/json": content}}
        del cancel["responses"]["204"]

    api = await start(edit=edit)
    first, second = [(await api.submit()).json()["id"] for _ in range(2)]
    await api.states(second, 3)
    for job, state in ((first, "void"), (second, "done")):
        body = (await api.send("DELETE", f"/jobs/{job}")).json()
        assert (body["id"], body["state"]) == (job, state), "a job that has ended keeps its state"
        if has_example:
            assert (body["job_id"], body["links"]) == (job, {"self": f"{api.url}/acme/jobs/{job}"})
            assert body["detail"] == f"{job} was cancelled"


async def test_a_cancellation_after_the_end_is_the_status_of_the_ended_job(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        one_state = {"then": {"required": ["audio"]}, "if": {"properties": {"state": {"const": "done"}}}}
        _status(document)["schema"]["allOf"] = [one_state]
        example = {"value": {"id": "job_11111111", "state": "void"}}
        content = {"schema": _status(document)["schema"], "examples": {"void": example}}
        cancel = document["paths"]["/jobs/{job_id}"]["delete"]["responses"]
        cancel["200"] = {"description": "the job", "content": {"application/json": content}}
        del cancel["204"]

    api = await start(edit=edit)
    first, second = [(await api.submit()).json()["id"] for _ in range(2)]
    await api.states(second, 3)
    bodies = [(await api.send("DELETE", f"/jobs/{job}")).json() for job in (first, second)]
    assert [(body["id"], body["state"]) for body in bodies] == [(first, "void"), (second, "done")]
    assert bodies[1]["audio"].startswith(api.url)


async def test_states_without_an_example_link_to_the_emulator(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        schema = _status(document)["schema"]
        url = {"type": "string", "format": "uri"}
        schema["properties"] |= {"poll": url, "dashboard": url, "audio": url}
        schema["required"] += ["poll", "dashboard", "audio"]
        del _status(document)["examples"]

    api = await start(edit=edit)
    for state in ("done", "failed", "void"):
        job = (await api.submit(headers={"X-Voicegauge-Scenario": f"state:{state}"})).json()["id"]
        for _ in range(3):
            body = (await api.send("GET", f"/jobs/{job}")).json()
            assert "invalid" not in str(body)
            assert body["poll"] == f"{api.url}/acme/jobs/{job}"
            assert body["dashboard"].startswith(f"{api.url}/")
            assert job in body["audio"]
            status = (await api.send("GET", body["audio"])).status_code
            assert status == (200 if body["state"] == "done" else 404)


def _describe_voices(document: dict[str, Any]) -> None:
    """Add an operation that returns one of the listed voices, and documents 404."""
    document["paths"]["/voices/{voice}"] = {
        "get": {
            "operationId": "voice",
            "security": [],
            "parameters": [{"name": "voice", "in": "path", "required": True, "schema": {"type": "string"}}],
            "responses": {
                "200": {
                    "description": "a voice",
                    "content": {"application/json": {"example": {"id": "a", "gender": "f"}}},
                },
                "404": {"description": "unknown", "content": {"application/json": {"schema": {"type": "object"}}}},
            },
        }
    }


async def test_an_id_that_no_document_names_is_not_found(start: Any) -> None:
    api = await start(edit=_describe_voices)
    assert (await api.send("GET", "/voices/a")).json() == {"id": "a", "gender": "f"}
    assert (await api.send("GET", "/voices/b")).json()["id"] == "b", "the list of voices names it"
    assert (await api.send("GET", "/voices/no-such-id")).status_code == 404


async def test_any_id_is_accepted_if_no_404_is_documented(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        _describe_voices(document)
        del document["paths"]["/voices/{voice}"]["get"]["responses"]["404"]

    api = await start(edit=edit)
    assert (await api.send("GET", "/voices/no-such-id")).status_code == 200


def _check(contract: Contract) -> CheckReport:
    """Check the emulator of a contract with every planned case, as `check --emulated` does."""
    targets = list(contract.targets.values())
    with running_app(create_app([contract], build_emulator_settings())) as url:
        port = int(url.rpartition(":")[2])
        settings = build_emulator_check_settings(RunningEmulator("127.0.0.1", port, (contract.id,)), targets)
        collector = ResultCollector([target.id for target in targets], 0)
        plan = plan_cases(targets, is_emulated=True, include_all_billable_cases=True)
        run_to_the_end(collector, check_service(targets, plan, settings, collector))
        return collector.build_report()


@pytest.mark.slow
def test_a_check_of_documented_variants_finds_nothing(tmp_path: Path, acme: Callable[..., Contract]) -> None:
    def edit(document: dict[str, Any]) -> None:
        _describe_voices(document)
        _enumerate_formats(document)
        _target(document)["default_language"] = "auto"
        _fields(document)["lang"] = {"enum": ["auto", "en", "english", "tlh"]}
        now = document["paths"]["/now"]["post"]
        now["parameters"][0]["schema"] = {"enum": ["mp3", "wav", "aac", "alaw", "pcm"]}
        media_types = ("audio/mpeg", "audio/wav", "audio/aac", "audio/PCMA")
        now["responses"]["200"]["content"] = {media_type: {} for media_type in media_types}
        del document["x-limits"]["plan_limits"]
        for method, path in (("post", "/clone"), ("get", "/jobs/{job_id}"), ("delete", "/jobs/{job_id}")):
            operation = document["paths"][path][method]
            operation["responses"]["401"] = document["paths"]["/speech"]["post"]["responses"]["401"]

    report = _check(acme(edit))
    errors = [f"{f.rule}: {f.message}" for f in report.findings if f.severity is Severity.ERROR]
    assert len(report.case_results) > 100
    assert "\n".join(errors) == ""
