"""Every bundled contract is emulated with responses that match its schemas, headers and media types."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from voicegauge.cases.valid_requests import build_minimal_request
from voicegauge.contract.contract import Contract, Target
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.loading import load_catalogue
from voicegauge.contract.operation import Operation
from voicegauge.emulator.process import SCENARIO_HEADER, EmulatorSettings, RunningEmulator, running_emulator
from voicegauge.formats.bodies import is_form, is_json
from voicegauge.formats.locations import MISSING
from voicegauge.model.exchange import UploadedFile
from voicegauge.speech.audio_measurement import is_silent
from voicegauge.speech.containers import find_container_of_media_type
from voicegauge.speech.decoding import decode
from voicegauge.speech.encoding import encode
from voicegauge.speech.sound_quality import measure_voice

from ..builders.contracts import build_path_value

CONTRACTS = list(load_catalogue())
TARGETS = [target for contract in CONTRACTS for target in contract.targets.values()]
OPERATIONS = [operation for contract in CONTRACTS for operation in contract.operations.values()]
TEXT = "Good morning, this is a short test."
PITCH_HZ = 96.7
"""Pitch of the voice with which the emulator speaks `TEXT` for all targets, whatever the names of their voices."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[RunningEmulator]:
    settings = EmulatorSettings(clock="per-poll", credits=1e9, enforces_rate_limits=False)
    with running_emulator(CONTRACTS, settings) as running:
        yield running


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        yield client


def _key(contract: Contract, operation: Operation) -> dict[str, Any]:
    """Headers or query with a key, by the first security scheme of the operation."""
    sent: dict[str, Any] = {"headers": {}, "params": {}}
    for name in next(iter(operation.security), {}):
        scheme = contract.security_schemes[name]
        if scheme["type"] == "apiKey":
            key = scheme.get("x-key", {}).get("key_prefix", "") + "k"
            sent["headers" if scheme["in"] == "header" else "params"][scheme["name"]] = key
        else:
            sent["headers"]["Authorization"] = f"{scheme['scheme']} k"
    return sent


def _sample() -> bytes:
    return encode(np.sin(np.arange(6 * 16000) * 0.05).astype(np.float32) * np.float32(0.3), 16000, "wav")[0]


def _request(target: Target) -> dict[str, Any]:
    """A speech request built from the field mapping of the contract."""
    spec, slots = target.target_spec, target.speech.request_fields
    words = {
        "text": TEXT,
        "language": "en",
        "voice": spec.default_voice,
        "format": spec.default_format,
        "voice_description": spec.default_voice_description if "voice_description" in spec.required_fields else None,
        "voice_sample_url": spec.default_voice_sample_url or "https://voices.test/a.wav",
        "voice_sample_upload": _sample() if "voice_sample_upload" in spec.required_fields else None,
    }
    places = dict(spec.request_constants)
    for word, value in words.items():
        if word in slots and value is not None:
            slot = slots[word]  # type: ignore[index]
            value = slot.provider_values.get(value, value) if isinstance(value, str) else value
            places[slot.location] = slot.text_template.replace("{}", value) if isinstance(value, str) else value
    body: Any = {}
    sent = _key(target.contract, target.operation)
    sent["headers"].update(target.operation.required_headers)
    for location, value in places.items():
        kind, key = location.message_part, location.name
        if kind == "body":
            body = location.write_body(body, value)
        else:
            sent["headers" if kind == "header" else "params"][key] = value
    media = spec.request_media_type or next(iter(target.operation.request_media))
    if is_json(media):
        sent["json"] = body
    elif isinstance(body, str):
        sent["content"] = body.encode()
        sent["headers"]["Content-Type"] = media
    else:
        assert is_form(media)
        files = {name: value for name, value in body.items() if isinstance(value, bytes)}
        sent["files"] = {name: ("a.wav", value, "audio/wav") for name, value in files.items()} or None
        sent["data"] = {name: value for name, value in body.items() if name not in files}
    return sent


def streamed(target: Target) -> bool:
    """Whether the audio is streamed in events, which have separate tests."""
    return target.response.audio is not None and target.response.audio.delivery_method == "stream"


def _check(operation: Operation, response: httpx.Response) -> Any:
    """Check a response against the documentation of its operation, and return its body."""
    spec = operation.find_response(response.status_code)
    assert spec is not None, f"{operation.id}: {response.status_code} is not documented: {response.text[:200]}"
    missing = [name for name, header in spec.headers.items() if header.is_required and name not in response.headers]
    assert not missing, f"{operation.id} {response.status_code}: no {missing}"
    if not spec.media_types:
        return None
    media = spec.media_types.get(response.headers["Content-Type"].split(";")[0])
    assert media is not None, f"{operation.id}: {response.headers['Content-Type']} is not documented"
    if not is_json(media.name):
        return response.content
    body = json.loads(response.content)
    assert [error.message for error in media.iterate_violations(body)] == []
    return body


def _at(body: Any, location: str) -> Any:
    found = location.read_body(body)
    assert found is not MISSING, location
    return found


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(target, marks=pytest.mark.slow if number % 4 else (), id=target.id)
        for number, target in enumerate(target for target in TARGETS if not streamed(target))
    ],
)
def test_every_target_delivers_speech(target: Target, emulator: RunningEmulator, http: httpx.Client) -> None:
    base = emulator.base_url(target.contract.id)
    operation = target.operation
    path = operation.path.replace("{voice_id}", target.target_spec.default_voice or "")
    response = http.request(operation.method, base + path, **_request(target))
    body = _check(operation, response)
    if target.response.status_operation_id is None:
        assert target.response.audio is not None
        data, declared = response.content, response.headers["Content-Type"]
        if target.response.audio.delivery_method == "base64":
            data, declared = base64.b64decode(_at(body, target.response.audio.location)), None
        elif target.response.audio.delivery_method == "url":
            audio_file = http.get(_at(body, target.response.audio.location))
            data, declared = audio_file.content, audio_file.headers["Content-Type"]
    else:
        data, declared = _follow(target, body, base, http)
    audio = decode(data)
    assert declared is None or audio.container == find_container_of_media_type(declared)
    assert not is_silent(audio.samples, audio.sample_rate_hz)
    assert 1 < audio.duration_s < 6
    pitch_hz = measure_voice(audio.samples, audio.sample_rate_hz).pitch_hz
    assert pitch_hz == pytest.approx(PITCH_HZ, rel=0.04), "its voice differs from that of other targets"


def _poll(status: Operation, job: str) -> tuple[str, dict[str, Any]]:
    """Path and arguments of a poll."""
    sent, path = _key(status.contract, status), status.path
    for parameter in status.parameters:
        if parameter.message_part == "path":
            path = path.replace(f"{{{parameter.name}}}", job)
        elif parameter.is_required:
            sent["params"][parameter.name] = job
    return path, sent


def _state(job: JobSpec, body: Any) -> str:
    return str(job.read_state(lambda location: location.read_body(body)))


def _follow(target: Target, submitted: Any, base: str, http: httpx.Client) -> tuple[bytes, str]:
    status = target.job_operation
    assert status is not None
    assert status.job is not None
    spec = status.job
    job = _at(submitted, spec.submit_response.job_id_location)
    path, sent = _poll(status, job)
    if spec.submit_response.polling_url_location is not None:
        assert _at(submitted, spec.submit_response.polling_url_location).startswith(base)
    seen = []
    for _ in range(len(spec.states) + 1):
        body = _check(status, http.request(status.method, base + path, **sent))
        seen.append(_state(spec, body))
        if spec.job_id_location is not None:
            assert _at(body, spec.job_id_location) == job
        if spec.states[seen[-1]].terminal_outcome:
            break
    assert spec.states[seen[-1]].terminal_outcome == "success"
    for earlier, later in itertools.pairwise(seen):
        assert later in spec.states[earlier].successor_names
    for location in spec.states[seen[-1]].required_locations:
        assert _at(body, location)
    url = _at(body, spec.audio.location)
    assert url.startswith(emulated := base.rpartition("/")[0]), f"{url} leaves {emulated}"
    audio = http.get(url)
    return audio.content, audio.headers["Content-Type"]


@pytest.mark.parametrize("target", [t for t in TARGETS if t.job_operation], ids=lambda target: target.id)
def test_every_terminal_state_can_be_reached_and_matches_its_schema(
    target: Target, emulator: RunningEmulator, http: httpx.Client
) -> None:
    status = target.job_operation
    assert status is not None
    assert status.job is not None
    base = emulator.base_url(target.contract.id)
    for name, state in status.job.states.items():
        if state.terminal_outcome != "failure":
            continue
        request = _request(target)
        request["headers"][SCENARIO_HEADER] = f"state:{name}"
        submitted = http.request(target.operation.method, base + target.operation.path, **request).json()
        path, sent = _poll(status, _at(submitted, status.job.submit_response.job_id_location))
        for _ in status.job.states:
            body = _check(status, http.request(status.method, base + path, **sent))
        assert _state(status.job, body) == name
        if status.job.failure_reason_location is not None:
            assert _at(body, status.job.failure_reason_location)


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(
            operation, marks=pytest.mark.slow if number % 4 else (), id=f"{operation.contract.id}-{operation.id}"
        )
        for number, operation in enumerate(OPERATIONS)
    ],
)
def test_every_documented_error_is_returned_as_in_its_example(
    operation: Operation, emulator: RunningEmulator, http: httpx.Client
) -> None:
    base = emulator.base_url(operation.contract.id)
    path = operation.path
    for parameter in operation.parameters:
        path = path.replace(f"{{{parameter.name}}}", build_path_value(parameter, "x"))
    for status, spec in operation.responses.items():
        for media in spec.media_types.values():
            for example in media.examples:
                if example.rejection_reason is None or status.startswith("2"):
                    continue
                response = http.request(
                    operation.method, base + path, headers={SCENARIO_HEADER: example.rejection_reason}
                )
                _check(operation, response)
                printed = {
                    code: [
                        e.value
                        for m in other.media_types.values()
                        for e in m.examples
                        if e.rejection_reason == example.rejection_reason
                    ]
                    for code, other in operation.responses.items()
                }
                is_text = bool(response.content) and not is_json(response.headers["Content-Type"])
                shown = response.text if is_text else response.json()
                assert shown in printed[str(response.status_code)]


WRONG = "no-such-4711"


def _broken_requests(operation: Operation) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield a field, its wrong value and a request, for every field of an operation that speaks or takes audio."""
    targets = [target for target in operation.contract.targets.values() if target.operation is operation]
    valid = _request(targets[0]) if targets else _key(operation.contract, operation)
    minimal = build_minimal_request(operation) if not targets else None
    if minimal is not None:
        files = {name: value for name, value in minimal.body.items() if isinstance(value, UploadedFile)}
        valid["files"] = {name: (file.filename, file.data, file.media_type) for name, file in files.items()}
        valid["data"] = {name: value for name, value in minimal.body.items() if name not in files}
        valid["headers"] |= operation.required_headers
    if "content" in valid:
        yield "body", WRONG, {**valid, "content": f"<speak>{WRONG}".encode()}
        return
    body = valid.get("json") or valid.get("data") or {}
    resolve = operation.contract.schemas.resolve_reference
    documented, _ = resolve(next(iter(operation.request_media.values())).schema)
    schemas = {name: resolve(one)[0] for name, one in documented.get("properties", {}).items()}
    for name in sorted({*body, *schemas}):
        schema = schemas.get(name, {})
        if "json" in valid:
            is_text = schema.get("type") == "string" or isinstance(body.get(name), str)
            yield name, "4711" if is_text else WRONG, {**valid, "json": body | {name: 4711 if is_text else WRONG}}
        elif schema.get("type") in ("integer", "number") or "enum" in schema:
            yield name, WRONG, {**valid, "data": body | {name: WRONG}}


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.id)
def test_every_error_of_a_wrong_value_names_field_and_value(
    contract: Contract, emulator: RunningEmulator, http: httpx.Client
) -> None:
    named = set()
    for operation in contract.operations.values():
        if not (operation.speech or operation.audio_input) or not operation.request_media:
            continue
        path = operation.path
        for parameter in operation.parameters:
            path = path.replace(f"{{{parameter.name}}}", build_path_value(parameter, "x"))
        for field, value, request in _broken_requests(operation):
            response = http.request(operation.method, emulator.base_url(contract.id) + path, **request)
            if response.is_success:
                continue
            _check(operation, response)
            assert field in response.text, (operation.id, field)
            assert value in response.text, (operation.id, field)
            named.add(field)
    assert named


@pytest.mark.parametrize(
    "operation",
    [o for o in OPERATIONS if o.speech is None and o.job is None and o.method == "GET" and "{" not in o.path],
    ids=lambda operation: f"{operation.contract.id}-{operation.id}",
)
def test_every_simple_get_succeeds(operation: Operation, emulator: RunningEmulator, http: httpx.Client) -> None:
    url = emulator.base_url(operation.contract.id) + operation.path
    sent = _key(operation.contract, operation)
    required = {
        one.name: one.schema["enum"][0] for one in operation.parameters if one.is_required and "enum" in one.schema
    }  # such as the version of the API
    response = http.get(url, params=sent["params"] | required, headers=sent["headers"] | operation.required_headers)
    assert response.status_code == 200
    _check(operation, response)


def test_speech_without_a_required_key_is_rejected(emulator: RunningEmulator, http: httpx.Client) -> None:
    for target in TARGETS:
        request = _request(target)
        request["headers"] = target.operation.required_headers | _media_type_of(request)
        request["params"] = {}
        url = emulator.base_url(target.contract.id) + target.operation.path
        response = http.request(target.operation.method, url, **request)
        assert (response.status_code in _unauthorized_statuses(target.operation)) == target.needs_key, target.id


def _media_type_of(request: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in request["headers"].items() if name == "Content-Type"}


def _unauthorized_statuses(operation: Operation) -> set[int]:
    """The statuses whose examples are rejections of a key."""
    return {
        int(status)
        for status, spec in operation.responses.items()
        for media in spec.media_types.values()
        if any(example.rejection_reason == "unauthorized" for example in media.examples)
    } or {401}


def test_a_model_of_a_documented_family_speaks_and_another_is_refused(emulator, http) -> None:
    def speak(model: str) -> httpx.Response:
        body = {"model": model, "input": TEXT, "voice": "alloy", "response_format": "wav"}
        url = f"{emulator.base_url('openai')}/audio/speech"
        return http.post(url, json=body, headers={"Authorization": "Bearer k"})

    accepted, refused = speak("tts-1-1106"), speak("no-such-model")
    assert accepted.status_code == 200
    assert len(decode(accepted.content).samples) > 0
    assert refused.status_code == 404
