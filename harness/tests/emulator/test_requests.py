"""Requests are parsed and rejected as documented."""

from __future__ import annotations

import re
from typing import Any

import httpx
import numpy as np
import pytest

import voicegauge
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator._error_responses import build_undocumented_operation_response
from voicegauge.emulator.process import SCENARIO_HEADER, SERVER_HEADER_VALUE
from voicegauge.speech.encoding import encode


async def test_an_unknown_path_is_named_with_the_nearest_operations_in_the_documented_shape(start: Any) -> None:
    api = await start()
    response = await api.send("GET", "/voice")
    body = response.json()
    assert (response.status_code, body["code"]) == (404, "not-found")
    assert any("GET /voice: no documented operation" in str(value) for value in body.values()), body
    assert any("the nearest: GET /base/voices" in str(value) for value in body.values()), body


async def test_a_known_path_with_another_method_names_the_methods(start: Any) -> None:
    api = await start()
    response = await api.send("PUT", "/jobs/1")
    assert (response.status_code, response.headers["Allow"]) == (405, "DELETE, GET")
    assert "PUT /jobs/1: the method is not documented here; documented: DELETE, GET" in response.text


def test_the_error_for_an_unknown_path_shows_no_documented_reason_of_any_provider() -> None:
    catalogue = load_catalogue()
    for contract in catalogue:
        for method, path in (("POST", "/v1/speeech"), ("TRACE", "/")):
            response = build_undocumented_operation_response(contract, method, [path])
            text = response.encode_payload().decode()
            assert response.status == 404
            assert f"{method} {path}: no documented operation has this path; the nearest: " in text, contract.id
            assert not re.search("voice_not|model_not|was not found|does not exist", text), contract.id
    openai = build_undocumented_operation_response(catalogue.find_provider("openai"), "POST", ["/x"]).body["error"]
    assert openai.keys() == {"message", "type", "param", "code"}


def test_the_error_about_an_unknown_model_names_that_model_and_no_other() -> None:
    """Also where branches of a choice allow other models, and where one example stands for all that is not found."""
    with voicegauge.emulate(["elevenlabs", "inworld"]) as emulator:
        key = {"xi-api-key": "k", "Authorization": "Basic k"}
        url = f"{emulator.base_url('elevenlabs')}/v1/text-to-speech/JBFqnCBsd6RMkjVDRZzb"
        unknown = httpx.post(url, headers=key, json={"text": "Hello.", "model_id": "no_such"})
        body = {"text": "Hello.", "voiceId": "Ashley", "modelId": "no_such"}
        missing = httpx.post(f"{emulator.base_url('inworld')}/tts/v1/voice", headers=key, json=body)
    message = "model_id: 'no_such' is none of the documented values"
    assert (unknown.status_code, unknown.json()["detail"]["message"]) == (400, message)
    assert (missing.status_code, missing.json()["message"]) == (404, "modelId: no such model: 'no_such'")


async def test_the_path_of_a_server_is_an_optional_prefix(start: Any) -> None:
    api = await start()
    assert (await api.send("GET", "/base/voices")).status_code == 200


async def test_another_path_is_not_found(start: Any) -> None:
    api = await start()
    response = await api.send("GET", f"{api.url}/nobody/x")
    assert (response.status_code, response.json()["code"]) == (404, "not-found")


async def test_a_single_provider_is_also_at_the_root(start: Any) -> None:
    api = await start()
    for path in ("/voices", "/base/voices"):
        response = await api.send("GET", f"{api.url}{path}")
        assert response.status_code == 200
        assert response.json()["voices"][0]["preview"] == f"{api.url}/a.wav"


def test_several_providers_are_not_at_the_root() -> None:
    with voicegauge.emulate(["pixazo", "pixelapi"]) as emulator:
        response = httpx.get(f"{emulator.url}/nobody/x")
    assert (response.status_code, response.text) == (404, "no such provider; here are: /pixazo, /pixelapi\n")


@pytest.mark.parametrize("key", [None, "invalid", "invalid-too"])
async def test_a_missing_or_invalid_key_is_unauthorized(start: Any, key: str | None) -> None:
    api = await start()
    response = await api.submit(key=key)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")


async def test_a_key_of_another_scheme_is_ignored(start: Any) -> None:
    api = await start()
    response = await api.submit(key=None, headers={"Authorization": "Basic a2V5"})
    assert response.status_code == 401


@pytest.mark.parametrize("location", ["header", "query"])
async def test_an_api_key_is_read_from_the_documented_location(start: Any, location: str) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["components"]["securitySchemes"]["key"] = {"type": "apiKey", "in": location, "name": "X-Key"}

    api = await start(edit=edit)
    assert (await api.submit()).status_code == 401
    sent = {"headers": {"X-Key": "k"}} if location == "header" else {"params": {"X-Key": "k"}}
    assert (await api.send("POST", "/speech", json={"text": "Hello"}, key=None, **sent)).status_code == 202
    journal = await api.control("GET", "/journal")
    assert '"k"' not in str(journal).replace("'", '"')


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid:text"),
        ({"text": ""}, 422, "invalid:text"),
        ({"text": " \n"}, 422, "invalid:text"),
        ({"text": 5}, 422, "invalid:text"),
        ({"text": "x" * 61}, 422, "invalid:text"),
        ({"text": "x" * 101}, 422, "invalid:text"),
        ({"text": "Hi", "speed": 3}, 400, "invalid"),
        ({"text": "Hi", "format": "aac"}, 400, "invalid"),
        ({"text": "Hi", "lang": "zzz"}, 400, "invalid"),
        (["text"], 400, "invalid"),
    ],
)
async def test_a_broken_body_gets_the_error_that_fits_best(start: Any, body: Any, status: int, code: str) -> None:
    api = await start()
    response = await api.send("POST", "/speech", json=body)
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_invalid_json_or_another_media_type_is_invalid(start: Any) -> None:
    api = await start()
    half_a_pair = b'{"text": "Hi \\ud800"}'
    for content, media_type in (
        (b"{", "application/json"),
        (b"text=Hi", "text/plain"),
        (b"", "application/json"),
        (half_a_pair, "application/json"),
        (b'{"text": "Hi", "speed": 1e999}', "application/json"),
        (b'{"text": "Hi", "seed": ' + b"9" * 6000 + b"}", "application/json"),
    ):
        response = await api.send("POST", "/speech", content=content, headers={"Content-Type": media_type})
        assert response.status_code in (400, 422)


async def test_parameters_are_converted_by_their_schema(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["paths"]["/voices"]["get"]["parameters"].append(
            {"name": "page", "in": "query", "required": True, "schema": {"type": "integer", "minimum": 1}}
        )

    api = await start(edit=edit)
    assert (await api.send("GET", "/voices", params={"page": "2"})).status_code == 200
    for page in ("0", "two"):
        assert (await api.send("GET", "/voices", params={"page": page})).status_code == 400
    assert (await api.send("GET", "/voices")).status_code == 400


def _tone(seconds: float = 2.0, rate: int = 16000, name: str = "wav") -> bytes:
    samples = np.sin(np.arange(int(seconds * rate)) * 0.05).astype(np.float32) * np.float32(0.3)
    return encode(samples, rate, name)[0]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (_tone(), 200),
        (_tone(name="mp3"), 200),
        (_tone(name="flac"), 400),
        (_tone(seconds=0.5), 400),
        (_tone(rate=8000), 400),
        (b"no audio at all", 400),
        (_tone(seconds=7), 413),
    ],
    ids=["wav", "mp3", "another-format", "too-short", "low-rate", "no-audio", "too-large"],
)
async def test_uploads_are_checked_against_their_limits(start: Any, data: bytes, status: int) -> None:
    api = await start()
    response = await api.send("POST", "/clone", data={"text": "Hello"}, files={"sample": ("a.wav", data, "audio/wav")})
    assert response.status_code == status, response.text


async def test_form_fields_are_converted_by_their_schema(start: Any) -> None:
    api = await start()
    files = {"sample": ("a.wav", _tone(), "audio/wav")}
    for strength, status in (("9", 200), ("10", 400), ("much", 400)):
        response = await api.send("POST", "/clone", data={"text": "Hello", "strength": strength}, files=files)
        assert response.status_code == status
    files["text"] = ("t.txt", b"Hello", "text/plain")
    assert (await api.send("POST", "/clone", files=files)).status_code == 400
    assert (await api.send("POST", "/clone", files={"text": (None, "Hi"), "sample": (None, "x")})).status_code == 400


@pytest.mark.parametrize(
    ("scenario", "status", "code"),
    [
        ("rate-limited", 429, "rate-limited"),
        ("busy", 503, "busy"),
        ("no-credit", 402, "no-credit"),
        ("invalid", 400, "invalid"),
        ("invalid:text", 422, "invalid:text"),
    ],
)
async def test_a_scenario_gets_the_documented_response(start: Any, scenario: str, status: int, code: str) -> None:
    api = await start()
    response = await api.submit(headers={SCENARIO_HEADER: scenario})
    assert (response.status_code, response.json()["code"]) == (status, code)
    if status in (429, 503):
        assert int(response.headers["Retry-After"]) >= 1


async def test_an_error_without_an_example_follows_its_schema(start: Any) -> None:
    def edit(document: dict[str, Any]) -> None:
        media = document["paths"]["/speech"]["post"]["responses"]["401"]["content"]["application/json"]
        media["schema"] = {
            "type": "object",
            "required": ["why", "n"],
            "properties": {"n": {"type": "integer", "minimum": 3}},
        }
        del media["examples"]

    api = await start(edit=edit)
    response = await api.submit(key=None)
    assert response.status_code == 401
    assert set(response.json()) == {"why", "n"}
    assert response.json()["n"] >= 3


async def test_every_response_is_marked_as_emulated(start: Any) -> None:
    api = await start()
    for response in (await api.submit(), await api.send("GET", "/nowhere"), await api.submit(key=None)):
        assert SERVER_HEADER_VALUE in response.headers["Server"]


async def test_an_unknown_model_is_rejected_and_not_found_if_documented(start: Any) -> None:
    api = await start()
    assert (await api.submit(model="huge")).status_code == 400

    def edit(document: dict[str, Any]) -> None:
        responses = document["paths"]["/speech"]["post"]["responses"]
        responses["404"] = document["paths"]["/jobs/{job_id}"]["get"]["responses"]["404"]

    api = await start(edit=edit)
    assert (await api.submit(model="huge")).status_code == 404
    assert (await api.submit(model="large")).status_code == 202


async def test_lists_are_filtered_by_fields_of_their_items(start: Any) -> None:
    api = await start()
    listed = (await api.send("GET", "/voices", params={"gender": "f"})).json()
    assert [voice["id"] for voice in listed["voices"]] == ["a"]
    assert listed["total"] == 1
    assert listed["voices"][0]["preview"] == f"{api.url}/acme/a.wav"


async def test_the_journal_has_every_request_and_no_secret(start: Any) -> None:
    api = await start()
    await api.submit(key="very-secret")
    await api.send("GET", "/nowhere", key="very-secret")
    journal = await api.control("GET", "/journal")
    assert [(entry["operation"], entry["status"]) for entry in journal] == [("submit", 202), (None, 404)]
    assert journal[0]["target"] == "acme/small"
    assert "very-secret" not in str(journal)


def _with_idempotency(document: dict[str, Any]) -> None:
    document["paths"]["/speech"]["post"]["x-idempotency"] = {"header_name": "Idempotency-Key", "key_lifetime_s": 3600}


async def test_a_request_with_the_same_idempotency_key_is_performed_and_charged_once(start: Any) -> None:
    api = await start(edit=_with_idempotency)
    first, again, other, without = [
        (await api.submit(headers=headers)).json()
        for headers in ({"Idempotency-Key": "a"}, {"idempotency-key": "a"}, {"Idempotency-Key": "b"}, {})
    ]
    assert again == first
    assert len({one["id"] for one in (first, other, without)}) == 3
    assert first["left"] - without["left"] == 2 * first["cost"]


async def test_another_account_does_not_share_idempotency_keys(start: Any) -> None:
    api = await start(edit=_with_idempotency)
    headers = {"Idempotency-Key": "a"}
    assert (await api.submit(headers=headers)).json() != (await api.submit(headers=headers, key="other")).json()


async def test_an_idempotency_key_is_forgotten_after_the_documented_time(start: Any) -> None:
    api = await start(edit=_with_idempotency)
    headers = {"Idempotency-Key": "a"}
    first = (await api.submit(headers=headers)).json()
    await api.control("POST", "/clock", {"advance_s": 3601})
    assert (await api.submit(headers=headers)).json()["id"] != first["id"]


async def test_a_rejected_request_may_be_sent_again_with_its_idempotency_key(start: Any) -> None:
    api = await start(edit=_with_idempotency)
    headers = {"Idempotency-Key": "a"}
    assert (await api.submit(headers={**headers, SCENARIO_HEADER: "busy"})).status_code == 503
    assert (await api.submit(headers=headers)).status_code == 202
