"""Recorded traffic is judged like live traffic."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import re

import msgspec
import pytest

from voicegauge import cli
from voicegauge.client.client import Client
from voicegauge.conformance.recording_judging import (
    RecordingContent,
    adapt_to_recorded_models_and_voices,
    plan_cases_by_id,
)
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.errors import DataError
from voicegauge.files import find_bundled_folder
from voicegauge.model.base import Provenance, SpeechRequest
from voicegauge.model.exchange import Exchange, Request, Response, Timing
from voicegauge.recording.har_files import load_har, save_har
from voicegauge.recording.recorded_exchanges import Recording
from voicegauge.recording.redaction import RedactionSettings
from voicegauge.rules.checker import Checker
from voicegauge.rules.subjects import SpeechDelivery
from voicegauge.speech.encoding import encode
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from ..builders.acme import DOCUMENT
from ..builders.audio import make_changing_noise
from ..builders.contracts import load_trusted


@pytest.fixture
def record(voicegauge_catalogue, voicegauge_emulator, tmp_path, inject_faults):
    """Record one delivery of a target with injected `faults`; returns the folder."""

    def make(target_id: str, *faults: str):
        inject_faults(*faults)
        (target,) = voicegauge_catalogue.select_targets([target_id])
        contract = target.contract

        async def speak():
            async with Transport() as transport:
                base_urls = {"": voicegauge_emulator.base_url(contract.id)}
                client = Client(contract, transport, base_urls=base_urls, key="test-key", clock=VirtualClock())
                return await client.speak(target, SpeechRequest(text="Good morning, everybody."))

        delivery = asyncio.run(speak())
        path = tmp_path / contract.id / "speech.har"
        save_har(
            path,
            delivery.exchanges,
            provenance=Provenance.EMULATED,
            contract=contract,
            redaction=RedactionSettings(secrets=("test-key",)),
        )
        return tmp_path

    return make


def _check(folder, target, capfd):
    provider = target.partition("/")[0]
    status = cli.run(["check", provider, "--recordings", str(folder), "--json", "-"])
    report = json.loads(capfd.readouterr().out)
    rules = {finding["rule"] for finding in report["findings"] if finding["provenance"] == "emulated"}
    return status, rules, report


@pytest.mark.parametrize("target", ["pixazo/chatterbox", "pixelapi/voice-design", "ttsai/kokoro", "ttsai/kokoro-sync"])
def test_a_recording_of_a_correct_service_has_no_findings(record, capfd, target) -> None:
    status, rules, report = _check(record(target), target, capfd)
    assert (status, rules) == (0, set())
    assert set(report["exchange_count_by_provenance"]) == {"documented", "emulated"}


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("silent-audio", "audio-silent"),
        ("backwards-transition", "job-transition-illegal"),
        ("id-changed", "job-id-changed"),
        ("missing-field", "response-schema"),
    ],
)
def test_a_fault_is_found_in_a_recording(record, capfd, fault, rule) -> None:
    status, rules, _ = _check(record("pixazo/chatterbox", fault), "pixazo/chatterbox", capfd)
    assert status == 1
    assert rule in rules


@pytest.fixture(scope="module")
def one_minute(tmp_path_factory):
    """A contract whose jobs are queued for one minute at most."""
    document = copy.deepcopy(DOCUMENT)
    document["paths"]["/jobs/{job_id}"]["get"]["x-job"]["states"]["queued"]["max_duration_s"] = 60
    path = tmp_path_factory.mktemp("acme") / "openapi.json"
    path.write_text(json.dumps(document))
    return load_trusted(path)


def _exchange(operation, at_s, answer, model="small"):
    timing = Timing(
        started_at=1.7e9 + at_s,
        started_ms=5_000 + 1000 * at_s,
        connection_wait_ms=0,
        connect_ms=None,
        tls_ms=None,
        send_ms=1,
        ttfb_ms=100,
        receive_ms=1,
        total_ms=102,
    )
    method, path = ("POST", "speech") if operation == "submit" else ("GET", f"jobs/{answer['id']}")
    request = Request(
        method=method,
        url=f"https://api.acme.test/base/{path}",
        headers=(("Content-Type", "application/json"),),
        body=json.dumps({"text": "Good morning.", "model": model}).encode() if operation == "submit" else b"",
    )
    headers, body = (("Content-Type", "application/json"), ("X-Limit", "5")), json.dumps(answer).encode()
    response = Response(status=202 if operation == "submit" else 200, headers=headers, body=body)
    return Exchange(
        provider="acme", operation=operation, request=request, response=response, timing=timing, conversation_id="one"
    )


@pytest.mark.parametrize(("asked_s", "rules"), [(60, set()), (62, {"job-state-too-long"})])
def test_the_duration_of_a_state_is_read_from_the_times_of_a_recording(one_minute, tmp_path, asked_s, rules) -> None:
    job = {"id": "job-1", "state": "queued", "cost": 30}
    later = {"id": "job-1", "model": "model-small", "created": "2026-05-22 13:19:23"}
    exchanges = [
        _exchange("submit", 0, job),
        _exchange("status", 20, {**later, "state": "queued"}),
        _exchange("status", asked_s, {**later, "state": "queued"}),
    ]
    path = tmp_path / "speech.har"
    save_har(path, exchanges, provenance=Provenance.RECORDED, contract=one_minute)
    judge = Checker(Provenance.RECORDED)
    subjects = RecordingContent(one_minute, load_har(path)).iterate_subjects()
    assert {finding.rule for subject in subjects for finding in judge.iterate_findings(subject)} == rules


def test_requests_and_jobs_of_no_target_are_reported_instead_of_judged(one_minute, tmp_path, capfd) -> None:
    image = {"id": "job-7", "state": "queued", "model": "pictures", "output": ["https://cdn.acme.test/a.png"]}
    described = {"id": "job-1", "state": "queued", "cost": 30}
    exchanges = [
        _exchange("submit", 0, image, model="pictures"),
        _exchange("status", 2, image),
        _exchange("submit", 3, described),
        _exchange("status", 5, {"id": "job-1", "state": "unheard-of"}),
    ]
    save_har(tmp_path / "speech.har", exchanges, provenance=Provenance.RECORDED, contract=one_minute)
    judge = Checker(Provenance.RECORDED)
    subjects = list(RecordingContent(one_minute, load_har(tmp_path / "speech.har")).iterate_subjects())
    found = [finding for subject in subjects for finding in judge.iterate_findings(subject)]
    assert found
    assert not [finding for finding in found if "job-7" in finding.message or "pictures" in finding.message]
    options = ["--contracts", str(one_minute.document.path), "--recordings", str(tmp_path), "--json", "-"]
    cli.run(["check", "acme", *options])
    reasons = json.loads(capfd.readouterr().out)["unmatched_request_reason_by_name"]
    assert reasons["acme/speech.har: submit"].startswith(
        '1 accepted submit of no target: body#/model "pictures"; targets: '
    )
    assert reasons["acme/speech.har: status"] == "1 accepted request for a job of no target"


@pytest.mark.parametrize("operation", ["other", "(other)"])
def test_an_operation_that_the_contract_lacks_is_named_with_its_file(one_minute, tmp_path, operation) -> None:
    exchange = msgspec.structs.replace(_exchange("submit", 0, {"id": "job-1"}), operation=operation)
    save_har(tmp_path / "speech.har", [exchange], provenance=Provenance.RECORDED, contract=one_minute)
    with pytest.raises(DataError, match=rf"'{re.escape(operation)}', which \S+openapi\.json does not have: add it"):
        list(RecordingContent(one_minute, load_har(tmp_path / "speech.har")).iterate_subjects())


@pytest.mark.parametrize(
    ("operation", "method", "path", "named"),
    [
        ("submit", "GET", "speech", "GET /base/speech has the operation 'submit', which is POST /speech: "),
        ("submit", "POST", "jobs/7", "POST /base/jobs/7 has the operation 'submit', which is POST /speech: "),
        ("status", "GET", "other/7", "GET /base/other/7 has the operation 'status', which is GET /jobs/{job_id}: "),
    ],
)
def test_an_exchange_of_another_operation_is_named_with_its_recording(
    one_minute, tmp_path, capfd, operation, method, path, named
) -> None:
    exchange = _exchange(operation, 0, {"id": "job-1", "state": "queued", "cost": 30})
    request = msgspec.structs.replace(exchange.request, method=method, url=f"https://api.acme.test/base/{path}")
    file = tmp_path / "speech.har"
    save_har(
        file,
        [msgspec.structs.replace(exchange, request=request)],
        provenance=Provenance.RECORDED,
        contract=one_minute,
    )
    options = ["--contracts", str(one_minute.document.path), "--recordings", str(file)]
    assert cli.run(["check", "acme", *options]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"{file}: the exchange {named}" in line


SPOKEN = "Good morning. This is a short test of a long story."


@pytest.mark.parametrize(
    ("target_id", "body"),
    [
        ("openai/tts-1", {"model": "tts-1", "input": SPOKEN, "voice": "alloy", "speed": 10**400}),
        (
            "google/neural2",
            {
                "input": {"text": SPOKEN},
                "voice": {"languageCode": "en-US", "name": "en-US-Neural2-A"},
                "audioConfig": "LINEAR16",
            },
        ),
    ],
)
def test_a_delivery_of_an_invalid_request_is_judged(voicegauge_catalogue, target_id, body) -> None:
    (target,) = voicegauge_catalogue.select_targets([target_id])
    audio, _ = encode(make_changing_noise(3.0, 24_000), 24_000, "wav")
    content, media_type = audio, "audio/wav"
    if target.response.audio.delivery_method == "base64":
        content = json.dumps({"audioContent": base64.b64encode(audio).decode()}).encode()
        media_type = "application/json"
    exchange = Exchange(
        provider=target.contract.id,
        operation=target.operation.id,
        request=Request(
            method="POST",
            url=f"{target.operation.server.url}{target.operation.path}",
            headers=(("Content-Type", "application/json"),),
            body=json.dumps(body).encode(),
        ),
        response=Response(status=200, headers=(("Content-Type", media_type),), body=content),
    )
    subjects = list(RecordingContent(target.contract, _record(target.contract, exchange)).iterate_subjects())
    assert [one.speech_request.text for one in subjects if isinstance(one, SpeechDelivery)] == [SPOKEN]
    findings = ResultCollector((), 0).judge_subjects(Checker(Provenance.RECORDED), subjects)
    assert "request-schema" in {finding.rule for finding in findings}


@pytest.mark.slow
@pytest.mark.parametrize("value", [10**400, "text", [], {"a": 1}], ids=["number", "text", "list", "object"])
def test_a_wrong_value_anywhere_in_a_request_or_response_ends_no_judging(voicegauge_catalogue, value) -> None:
    tried = set()
    for path in sorted(find_bundled_folder("fixtures").glob("*/*.har")):
        recording = load_har(path)
        contract = voicegauge_catalogue.find_provider(recording.provider)
        for exchange in recording.exchanges:
            for part in ("request", "response"):
                message = getattr(exchange, part)
                content = _read_small_json(message.body)
                for pointer, body in _replace_each_value(content, value) if content is not None else ():
                    key = (recording.provider, exchange.operation, part, pointer)
                    if key in tried:
                        continue
                    tried.add(key)
                    wrong = msgspec.structs.replace(message, body=json.dumps(body).encode())
                    changed = msgspec.structs.replace(exchange, **{part: wrong})
                    others = [one for one in recording.exchanges if one.conversation_id == exchange.conversation_id]
                    exchanges = [changed if one is exchange else one for one in others]
                    subjects = RecordingContent(contract, _record(contract, *exchanges)).iterate_subjects()
                    ResultCollector((), 0).judge_subjects(Checker(Provenance.RECORDED), list(subjects))
    assert len(tried) > 2000


def _read_small_json(body):
    try:
        return json.loads(body) if len(body) < 100_000 else None
    except ValueError:
        return None


def _replace_each_value(body, value, pointer=()):
    """Yield each place in JSON, without the indices of lists, and the JSON with `value` in this place."""
    yield pointer, value
    items = body.items() if isinstance(body, dict) else enumerate(body[:1]) if isinstance(body, list) else ()
    for key, inner in items:
        name = key if isinstance(body, dict) else "*"
        for found, replaced in _replace_each_value(inner, value, (*pointer, name)):
            changed = copy.copy(body)
            changed[key] = replaced
            yield found, changed


def test_an_invalid_recording_is_reported_in_one_line(tmp_path, capfd) -> None:
    (tmp_path / "broken.har").write_text("{")
    assert cli.run(["check", "--recordings", str(tmp_path)]) == 2
    assert len(capfd.readouterr().err.splitlines()) == 1


def _record_list(contract, operation_id: str, body: object) -> Recording:
    """Return a recording in which the service lists what it has."""
    operation = contract.find_operation(operation_id)
    exchange = Exchange(
        provider=contract.id,
        operation=operation_id,
        request=Request(method="GET", url=f"https://own.example{operation.path}"),
        response=Response(status=200, headers=(("Content-Type", "application/json"),), body=json.dumps(body).encode()),
    )
    return _record(contract, exchange)


def _record(contract, *exchanges):
    return Recording(
        provider=contract.id,
        provenance=Provenance.RECORDED,
        contract_version="1",
        contract_sha256="0" * 64,
        recorded_at="2026-11-01T12:00:00Z",
        exchanges=exchanges,
    )


@pytest.mark.parametrize(
    ("provider", "operation_id", "body", "voice"),
    [
        pytest.param("elevenlabs", "listAllVoices", {"voices": [{"voice_id": "mine"}]}, "mine", marks=pytest.mark.slow),
        ("elevenlabs", "listAllVoices", {"voices": []}, None),
        ("openai-compatible", "listVoices", {"voices": ["zoe", "max"]}, "zoe"),
        ("openai-compatible", "listVoices", {"voices": "none"}, None),
    ],
)
def test_a_recording_is_judged_with_the_voices_that_it_lists(
    voicegauge_catalogue, provider, operation_id, body, voice
) -> None:
    contract = voicegauge_catalogue.find_provider(provider)
    adapted = adapt_to_recorded_models_and_voices(contract, _record_list(contract, operation_id, body))
    voices = {target.target_spec.default_voice for target in adapted.targets.values()}
    if voice is None:
        assert adapted is contract
    else:
        assert voices == {voice}
        assert {case.speech_request is not None for case in plan_cases_by_id(adapted).values()} == {True, False}


def test_a_reason_of_many_recordings_is_named_once() -> None:
    collector = ResultCollector((), 0)
    for reason in ("PyAV is not installed", "PyAV is not installed", "it has no exchanges"):
        collector.add_unjudged_item("recordings of acme", reason)
    expected = {"recordings of acme": "PyAV is not installed; it has no exchanges"}
    assert collector.build_report().not_judged_reason_by_name == expected
