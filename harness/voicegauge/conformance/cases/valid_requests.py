"""Valid requests to start from: what a case then breaks in one place."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from voicegauge.client import RequestParts, map_speech_request
from voicegauge.conformance.cases.sample_values import sample_value
from voicegauge.contract import MISSING, MediaType, Operation, Target, parse_text_value, write_pointer
from voicegauge.data import data_dir
from voicegauge.errors import UsageError
from voicegauge.formats import is_form, read_pointer
from voicegauge.model import SpeechRequest, UploadedFile, VoiceSample

SENTENCE_S = 3.0
"""Into the pause behind the first sentence of the bundled recording."""
TEXT = "Good morning. This is a short test of a long story."
"""Two sentences: long enough that a voice must say something, and cheap."""


def valid_speech_request(target: Target, *, text: str = TEXT) -> SpeechRequest:
    """A request for speech that `target` must accept.

    Raises:
        UsageError: a parameter is required that neither the contract nor its examples give a value for.
    """
    uploads = "voice_sample_upload" in target.spec.required_fields
    speech = SpeechRequest(text=text, voice_sample=voice_sample() if uploads else None)
    wire = map_speech_request(target, speech)
    extra = _missing_parameters(target.operation, wire) | _missing_fields(target.operation, wire)
    return SpeechRequest(text=text, voice_sample=speech.voice_sample, extra=extra)


def voice_sample() -> VoiceSample:
    """The bundled recording of a voice: fourteen seconds, for targets that clone one."""
    path = data_dir("benchmarks") / "suites" / "voice" / "reference.mp3"
    return VoiceSample(data=path.read_bytes(), filename=path.name, media_type="audio/mpeg")


class SpokenSentence(NamedTuple):
    """A recording and what it says."""

    file: UploadedFile
    text: str
    audio_s: float


@functools.cache
def spoken_sentence(name: str = "wav") -> SpokenSentence:
    """The first sentence of the bundled recording, in the format `name`: enough to hear, and quickly sent."""
    from voicegauge.speech.audio import decode, encode_at_bitrate, media_type_of

    whole = (data_dir("benchmarks") / "suites" / "voice" / "reference.txt").read_text(encoding="utf-8")
    decoded = decode(voice_sample().data or b"")
    samples = decoded.samples[: round(SENTENCE_S * decoded.sample_rate_hz)]
    data = encode_at_bitrate(samples, decoded.sample_rate_hz, name)
    file = UploadedFile(filename=f"sentence.{name}", media_type=media_type_of(name), data=data)
    return SpokenSentence(file, f"{whole.split('.')[0]}.", len(samples) / decoded.sample_rate_hz)


def minimal_request(operation: Operation, media: MediaType | None = None) -> RequestParts | None:
    """The least body that an operation without a target must accept: required fields, and a voice for each file.

    `None` where no value is known for one of them.
    """
    media = media or next(iter(operation.request_media.values()), None)
    if media is None:
        return RequestParts()
    wire = RequestParts(body={}, media_type=media.name)
    for name in _required(operation, media.schema):
        inner = media.schema.get("properties", {}).get(name, {})
        value = _uploaded() if is_file_field(media, inner) else sample_value(operation.contract.schemas, inner)
        if value is MISSING:
            return None
        wire = with_value(wire, (name,), value)
    return wire if is_valid_body(operation, wire) else None


def _required(operation: Operation, schema: Any) -> Iterator[str]:
    """The fields that a body must have; of several ways that a schema leaves open, the first."""
    schema, _ = operation.contract.schemas.resolve(schema)
    if not isinstance(schema, dict):
        return
    yield from schema.get("required", ())
    for keyword in ("anyOf", "oneOf"):
        yield from _required(operation, next(iter(schema.get(keyword, ())), None))


def is_file_field(media: MediaType, schema: Any) -> bool:
    """Whether a form field carries a file."""
    schema, _ = media.contract.schemas.resolve(schema)
    binary = isinstance(schema, dict) and ("contentMediaType" in schema or schema.get("format") == "binary")
    return binary and media.name == "multipart/form-data"


def _uploaded() -> UploadedFile:
    voice = voice_sample()
    return UploadedFile(filename=voice.filename, media_type=voice.media_type, data=voice.data or b"")


def text_characters(operation: Operation, wire: RequestParts) -> int:
    """The length of what `wire` asks to be spoken, for its price: every text of a batch, 0 where nothing is."""
    if operation.speech is None:
        return 0
    tokens = operation.speech.request["text"].at.tokens
    texts = [read_pointer(wire.body, tokens)]
    if operation.batch is not None:
        items = operation.batch.items.tokens
        listed = read_pointer(wire.body, items)
        texts = [read_pointer(item, tokens[len(items) + 1 :]) for item in listed] if isinstance(listed, list) else []
    return sum(len(text) for text in texts if isinstance(text, str))


def _missing_parameters(operation: Operation, wire: RequestParts) -> dict[str, Any]:
    given = {"path": wire.path, "query": wire.query, "header": wire.headers, "cookie": {}}
    extra = {}
    for parameter in operation.parameters:
        if parameter.required and parameter.name not in given[parameter.location] and parameter.location != "cookie":
            value = parameter.data.get(
                "example", sample_value(operation.contract.schemas, parameter.data.get("schema", {}))
            )
            if value is MISSING:
                raise UsageError(f"{operation.id}: no value is known for the parameter {parameter.name}")
            extra[f"{parameter.location}.{parameter.name}"] = value
    return extra


def with_required(operation: Operation, wire: RequestParts) -> RequestParts:
    """`wire` with a value for each required field that it lacks.

    Raises:
        UsageError: no value is known for one.
    """
    return msgspec.structs.replace(
        wire,
        body={
            **wire.body,
            **{place.partition("#/")[2]: value for place, value in _missing_fields(operation, wire).items()},
        },
    )


def _missing_fields(operation: Operation, wire: RequestParts) -> dict[str, Any]:
    """Required properties of the body, one level deep, that no neutral word fills."""
    media = operation.request_media.get(wire.media_type or "")
    schema = media.schema if media else None
    if not isinstance(schema, dict):
        return {}
    extra = {}
    schemas = operation.contract.schemas
    body = wire.body if isinstance(wire.body, dict) else {}
    for name in schema.get("required", ()):
        if name not in body:
            value = sample_value(schemas, schema.get("properties", {}).get(name, {}))
            if value is MISSING:
                raise UsageError(f"{operation.id}: no value is known for the required field {name}")
            extra[f"body#/{name}"] = value
    return extra


def body_value(media: MediaType, body: Any) -> Any:
    """A body as the JSON value that its schema judges: form fields as they are read on the other side."""
    if not is_form(media.name) or not isinstance(body, dict):
        return body
    schema = media.schema if isinstance(media.schema, dict) else {}
    properties = schema.get("properties", {})
    schemas = media.contract.schemas
    value = {}
    for name, field in body.items():
        if isinstance(field, UploadedFile):
            value[name] = field.data.decode("latin-1")
        else:
            value[name] = parse_text_value(schemas, properties.get(name, {}), _field_text(field))
    return value


def _field_text(value: Any) -> str:
    from voicegauge.transport import encode_body

    return value if isinstance(value, str) else encode_body("application/json", value)[1].decode()


def is_valid_body(operation: Operation, wire: RequestParts) -> bool:
    """Whether the body of `wire` fits the documented schema."""
    media = operation.request_media.get(wire.media_type or "")
    return media is None or media.fits(body_value(media, wire.body))


def with_value(wire: RequestParts, path: tuple[str, ...], value: Any) -> RequestParts:
    """`wire` with `value` at `path` of its body; `MISSING` takes away what is there."""
    body = copy.deepcopy(wire.body)
    if value is MISSING:
        parent = read_pointer(body, list(path[:-1]))
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
    else:
        body = write_pointer(body, list(path), value)
    return RequestParts(path=wire.path, query=wire.query, headers=wire.headers, body=body, media_type=wire.media_type)


def with_headers(wire: RequestParts, headers: dict[str, str]) -> RequestParts:
    """`wire` with more headers."""
    return RequestParts(
        path=wire.path,
        query=wire.query,
        headers={**wire.headers, **headers},
        body=wire.body,
        media_type=wire.media_type,
    )
