"""Any combination of optional fields can be left out: the response is documented, and jobs deliver audio."""

from __future__ import annotations

import base64
import functools
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from voicegauge.cases.boundary_values import find_fitting_value
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.loading import load_catalogue
from voicegauge.contract.operation import Operation
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.files import find_bundled_folder
from voicegauge.formats.bodies import is_form, is_json, read_form
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.exchange import UploadedFile
from voicegauge.speech.decoding import decode
from voicegauge.speech.encoding import encode
from voicegauge.transport.body_encoding import encode_body

CONTRACTS = list(load_catalogue())
TEXT = "Hi there."
BASE_URL = "http://emulator.test"
CLOSED_PORT_URL = "http://127.0.0.1:9/"
"""Webhook URL of this machine where nothing listens: callbacks fail at once."""


@functools.cache
def _recording() -> UploadedFile:
    """The first 6 s of the bundled voice sample: long enough for every documented limit."""
    decoded = decode((find_bundled_folder("benchmarks") / "suites" / "voice" / "reference.mp3").read_bytes())
    samples = decoded.samples[: 6 * decoded.sample_rate_hz]
    return UploadedFile(
        filename="voice.wav", media_type="audio/wav", data=encode(samples, decoded.sample_rate_hz, "wav")[0]
    )


class Variant(NamedTuple):
    """An operation with one of the media types of its request body."""

    operation: Operation
    media: MediaType | None

    @property
    def contract(self) -> Contract:
        return self.operation.contract

    def schema(self) -> Any:
        """The schema of the body; of several alternatives the first one."""
        schema = self.media.schema if self.media is not None else {}
        if self.media is not None and "properties" not in schema and "oneOf" in schema:
            schema, _ = self.media.schemas.resolve_reference(schema["oneOf"][0])
        return schema

    def all_fields(self) -> dict[str, Any]:
        """A value for every body field, from examples where there are some; none for ids of stored resources."""
        if self.media is None:
            return {}
        printed: dict[str, Any] = {}
        for example in self.media.examples:
            printed = {**example.value, **printed} if isinstance(example.value, dict) else printed
        return {
            name: self._value(name, schema, printed)
            for name, schema in self.schema().get("properties", {}).items()
            if name not in self._resource_ids()
        }

    def _value(self, name: str, schema: Any, printed: dict[str, Any]) -> Any:
        resolved, _ = self.media.schemas.resolve_reference(schema) if self.media else ({}, "")
        if resolved.get("format") == "binary" or "contentMediaType" in resolved:
            return _recording()
        audio_input = self.operation.audio_input
        audio = audio_input.request_fields["audio"].location.pointer_tokens if audio_input is not None else ()
        if audio and audio[0] == name:  # base64 in JSON, possibly inside of an object
            encoded: Any = base64.b64encode(_recording().data).decode()
            return functools.reduce(lambda inner, token: {token: inner}, reversed(audio[1:]), encoded)
        webhooks = self.operation.webhook.url_fields if self.operation.webhook else ()
        if any(field.location.field_name == name for field in webhooks):
            return CLOSED_PORT_URL
        speech = self.operation.speech
        for word, value in (("text", TEXT), ("language", "en")):
            slot = speech.request_fields.get(word) if speech is not None else None  # type: ignore[call-overload]
            if slot is not None and slot.location.pointer_tokens == (name,):
                return slot.text_template.replace("{}", slot.provider_values.get(value, value))
        value = printed.get(name, MISSING)
        return find_fitting_value(self.media.schemas, schema) if value is MISSING and self.media else value

    def _resource_ids(self) -> set[str]:
        uses = (
            use
            for maker in self.contract.operations.values()
            for use in maker.iterate_uses_of_created_resource(self.operation)
        )
        return {use.id_location.field_name for use in uses}

    def optional_fields(self) -> list[str]:
        required = self.schema().get("required", ())
        fields = [f"body.{name}" for name in self.all_fields() if name not in required]
        return fields + [f"{p.message_part}.{p.name}" for p in self.operation.parameters if not p.is_required]


ESPEAK_VARIANTS = [
    Variant(operation, media)
    for contract in CONTRACTS
    for operation in contract.operations.values()
    for media in (list(operation.request_media.values()) or [None])
    if media is None or is_json(media.name) or is_form(media.name)
]


@pytest.fixture
async def http(variant: Variant) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an emulator of the operation's contract, in this process."""
    settings = EmulatorSettings(
        clock="per-poll", credits=1e12, enforces_rate_limits=False, accepts_http_webhook_urls=True
    )
    transport = httpx.ASGITransport(create_app([variant.contract], settings))
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
        yield client


VARIED_CONTRACTS = {"pixazo", "pixelapi", "ttsai"}
"""Contracts with many operations, jobs and kinds of parameters, of which each field is left out alone."""


def _few(variant: Variant) -> Iterator[frozenset[str]]:
    """Combinations to leave out: none, all, and in varied contracts each alone, and all but each."""
    optional = variant.optional_fields()
    everything = frozenset(optional)
    if variant.contract.id not in VARIED_CONTRACTS:
        yield from dict.fromkeys([frozenset(), everything])
        return
    singles = [frozenset({name}) for name in optional]
    yield from dict.fromkeys([frozenset(), everything, *singles, *(everything - single for single in singles)])


def _every(optional: list[str]) -> Iterator[frozenset[str]]:
    """Every combination to leave out; of more than six fields at most two are left out, or at most two are kept."""
    size = len(optional)
    for count in range(size + 1) if size <= 6 else (0, 1, 2, size - 2, size - 1, size):
        yield from map(frozenset, itertools.combinations(optional, count))


def _key(operation: Operation) -> tuple[dict[str, str], dict[str, Any]]:
    """Headers and query with a key, by the first security scheme."""
    headers: dict[str, str] = {}
    query: dict[str, Any] = {}
    for name in next(iter(operation.security), {}):
        scheme = operation.contract.security_schemes[name]
        if scheme["type"] == "apiKey":
            key = scheme.get("x-key", {}).get("key_prefix", "") + "k"
            (headers if scheme["in"] == "header" else query)[scheme["name"]] = key
        else:
            headers["Authorization"] = f"{scheme['scheme']} k"
    return headers, query


async def _send(http: httpx.AsyncClient, variant: Variant, left_out: frozenset[str]) -> tuple[httpx.Response, bool]:
    """Send a request without some fields; returns the response, and whether the request is valid."""
    operation = variant.operation
    headers, query = _key(operation)
    path = operation.path
    exists = True
    for parameter in operation.parameters:
        if f"{parameter.message_part}.{parameter.name}" in left_out:
            continue
        if operation.pagination is not None and str(operation.pagination.cursor_location) == f"query.{parameter.name}":
            continue  # only a response names the next page
        value = parameter.part_data.get(
            "example", find_fitting_value(parameter.schemas, parameter.part_data.get("schema", {}))
        )
        if any(
            field.location.field_name == parameter.name
            for field in (operation.webhook.url_fields if operation.webhook else ())
        ):
            value = CLOSED_PORT_URL
        if parameter.message_part == "path":
            path = path.replace(f"{{{parameter.name}}}", str(value))
        elif isinstance(value, list):
            query[parameter.name] = value  # repeated for each item
        else:
            (headers if parameter.message_part == "header" else query)[parameter.name] = str(value)
        exists = exists and not parameter.is_required
    valid, content = exists, b""
    if variant.media is not None:
        body = {name: value for name, value in variant.all_fields().items() if f"body.{name}" not in left_out}
        headers["Content-Type"], content = encode_body(variant.media.name, body)
        valid = valid and variant.media.is_valid(_as_json(variant.media, headers["Content-Type"], content, body))
    url = f"/{variant.contract.id}{path}"
    return await http.request(operation.method, url, headers=headers, params=query, content=content), valid


def _as_json(media: MediaType, content_type: str, content: bytes, body: dict[str, Any]) -> Any:
    if is_json(media.name):
        return body
    files = read_form(content_type, content).files
    return {name: "file" if name in files else value for name, value in body.items()}


def _read_location(body: Any, location: Location) -> Any:
    return location.read_body(body)


async def _audio_of_job(http: httpx.AsyncClient, operation: Operation, submitted: Any) -> bytes:
    """Poll a job until it ends in success, and download its audio."""
    assert operation.speech is not None
    status = operation.contract.find_operation(str(operation.speech.response.status_operation_id))
    assert status.job is not None
    headers, query = _key(status)
    path = status.path
    job = str(status.job.submit_response.job_id_location.read_body(submitted))
    for parameter in status.parameters:
        if parameter.message_part == "path":
            path = path.replace(f"{{{parameter.name}}}", job)
        elif parameter.is_required:
            query[parameter.name] = job
    for _ in status.job.states:
        response = await http.request(status.method, f"/{operation.contract.id}{path}", headers=headers, params=query)
        assert response.status_code == 200, response.text
        body = response.json()
        state = status.job.find_state(functools.partial(_read_location, body))
        assert state is not None, response.text
        if state.terminal_outcome:
            break
    url = status.job.audio.location.read_body(body)
    audio = await http.get(url, headers=headers)
    assert audio.status_code == 200, audio.text
    return audio.content


async def _read_audio(http: httpx.AsyncClient, operation: Operation, response: httpx.Response) -> bytes:
    """Return the audio of a response: the body itself, or base64 or a URL in it."""
    audio = next(operation.response_audio_variants)
    if audio.delivery_method == "bytes":
        return response.content
    value = audio.location.read_body(response.json())
    return (await http.get(value)).content if audio.delivery_method == "url" else base64.b64decode(value)


async def _check(http: httpx.AsyncClient, variant: Variant, left_out: frozenset[str]) -> bool:
    """Check one request, and return whether it was accepted."""
    operation, shown = variant.operation, f"without {', '.join(sorted(left_out)) or 'leaving anything out'}"
    response, valid = await _send(http, variant, left_out)
    spec = operation.find_response(response.status_code)
    assert spec is not None, f"{shown}: {response.status_code} {response.text[:200]}"
    assert "voicegauge-emulator.invalid" not in response.text
    if spec.media_types:
        name = response.headers["Content-Type"].partition(";")[0]
        media = spec.media_types.get(name, spec.media_types.get(f"{name.partition('/')[0]}/*"))
        assert media is not None, f"{shown}: {response.headers['Content-Type']}"
        if is_json(media.name) and (operation.stream is None or not response.is_success):
            assert [error.message for error in media.iterate_violations(response.json())] == [], shown
    assert not valid or response.is_success, f"{shown}: {response.status_code} {response.text[:200]}"
    if operation.speech is None or not response.is_success:
        return bool(response.is_success)
    if operation.speech.response.status_operation_id is not None:
        assert decode(await _audio_of_job(http, operation, response.json())).duration_s > 0.2, shown
    elif operation.stream is None:
        assert decode(await _read_audio(http, operation, response)).duration_s > 0.2, shown
    return True


def _needs_id(variant: Variant) -> bool:
    """Whether requests name something in the account, such as a voice; an invented id is rejected."""
    operations = variant.contract.operations.values()
    return any(list(one.iterate_uses_of_created_resource(variant.operation)) for one in operations)


def _name(variant: Variant) -> str:
    form = "-form" if variant.media is not None and not is_json(variant.media.name) else ""
    return f"{variant.contract.id}-{variant.operation.id}{form}"


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(variant, marks=pytest.mark.slow if number % 6 else (), id=_name(variant))
        for number, variant in enumerate(ESPEAK_VARIANTS)
    ],
)
async def test_optional_fields_can_be_left_out(variant: Variant, http: httpx.AsyncClient) -> None:
    accepted = [await _check(http, variant, left_out) for left_out in _few(variant)]
    if not any(parameter.is_required for parameter in variant.operation.parameters) and not _needs_id(variant):
        assert any(accepted)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ESPEAK_VARIANTS, ids=_name)
async def test_any_combination_of_optional_fields_can_be_left_out(variant: Variant, http: httpx.AsyncClient) -> None:
    for left_out in _every(variant.optional_fields()):
        await _check(http, variant, left_out)
