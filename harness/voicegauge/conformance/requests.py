"""Valid requests to start from: what a case then breaks in one place."""

from __future__ import annotations

import copy
from typing import Any

from voicegauge.client import WireRequest, to_wire
from voicegauge.conformance.samples import sample
from voicegauge.contract import MISSING, MediaType, Operation, Target, fit_text, write_pointer
from voicegauge.contract.places import read_pointer
from voicegauge.contract.wire import is_form
from voicegauge.data import data_dir
from voicegauge.errors import UsageError
from voicegauge.model import SpeechRequest, UploadedFile, VoiceSample

TEXT = "Good morning. This is a short test of a long story."
"""Two sentences: long enough that a voice must say something, and cheap."""


def base_speech(target: Target, *, text: str = TEXT) -> SpeechRequest:
    """A request for speech that `target` must accept.

    Raises:
        UsageError: a parameter is required that neither the contract nor its examples give a value for.
    """
    uploads = "voice_sample_upload" in target.spec.needs
    speech = SpeechRequest(text=text, voice_sample=voice_sample() if uploads else None)
    wire = to_wire(target, speech)
    extra = _missing_parameters(target.operation, wire) | _missing_fields(target.operation, wire)
    return SpeechRequest(text=text, voice_sample=speech.voice_sample, extra=extra)


def voice_sample() -> VoiceSample:
    """The bundled recording of a voice: twelve seconds, for targets that clone one."""
    path = data_dir("benchmarks") / "suites" / "voice" / "reference.mp3"
    return VoiceSample(data=path.read_bytes(), filename=path.name, media_type="audio/mpeg")


def _missing_parameters(operation: Operation, wire: WireRequest) -> dict[str, Any]:
    given = {"path": wire.path, "query": wire.query, "header": wire.headers, "cookie": {}}
    extra = {}
    for parameter in operation.parameters:
        if parameter.required and parameter.name not in given[parameter.place] and parameter.place != "cookie":
            value = parameter.data.get("example", sample(operation.contract.schemas, parameter.data.get("schema", {})))
            if value is MISSING:
                raise UsageError(f"{operation.id}: no value is known for the parameter {parameter.name}")
            extra[f"{parameter.place}.{parameter.name}"] = value
    return extra


def _missing_fields(operation: Operation, wire: WireRequest) -> dict[str, Any]:
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
            value = sample(schemas, schema.get("properties", {}).get(name, {}))
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
            value[name] = fit_text(schemas, properties.get(name, {}), _field_text(field))
    return value


def _field_text(value: Any) -> str:
    from voicegauge.transport import encode_body

    return value if isinstance(value, str) else encode_body("application/json", value)[1].decode()


def fits(operation: Operation, wire: WireRequest) -> bool:
    """Whether the body of `wire` fits the documented schema."""
    media = operation.request_media.get(wire.media_type or "")
    return media is None or next(iter(media.errors(body_value(media, wire.body))), None) is None


def with_value(wire: WireRequest, path: tuple[str, ...], value: Any) -> WireRequest:
    """`wire` with `value` at `path` of its body; `MISSING` takes away what is there."""
    body = copy.deepcopy(wire.body)
    if value is MISSING:
        parent = read_pointer(body, list(path[:-1]))
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
    else:
        body = write_pointer(body, list(path), value)
    return WireRequest(path=wire.path, query=wire.query, headers=wire.headers, body=body, media_type=wire.media_type)


def with_headers(wire: WireRequest, headers: dict[str, str]) -> WireRequest:
    """`wire` with more headers."""
    return WireRequest(
        path=wire.path,
        query=wire.query,
        headers={**wire.headers, **headers},
        body=wire.body,
        media_type=wire.media_type,
    )
