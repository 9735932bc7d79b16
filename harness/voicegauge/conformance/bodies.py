"""Cases that change one value of a valid body, and the bodies that the documents print."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.checks import Expected
from voicegauge.client import WireRequest
from voicegauge.conformance.cases import Case, statuses_for
from voicegauge.conformance.matching import find_target, place_reader
from voicegauge.conformance.probes import Probe, probes
from voicegauge.conformance.requests import fits, voice_sample, with_value
from voicegauge.contract import MISSING, MediaType, Target, parse_place
from voicegauge.contract.wire import is_form
from voicegauge.model import UploadedFile

TEXT_LIMIT = 10_000
"""Characters of the longest valid text that is sent: ten minutes of speech, at a price."""


def body_cases(target: Target, wire: WireRequest) -> Iterator[Case]:
    """Every probe of the body's schema, missing required fields, and documented examples."""
    media = target.operation.request_media.get(wire.media_type or "")
    if media is None or not fits(target.operation, wire):
        return
    for probe in probes(target.contract.schemas, media.schema, media.schema_pointer or media.pointer):
        case = probe_case(target, wire, probe)
        if case is not None:
            yield case
    yield from _missing_fields(target, wire, media)
    for media in target.operation.request_media.values():
        yield from _documented(target, media)


def left_out_cases(target: Target, wire: WireRequest) -> Iterator[Case]:
    """The same request as every documented media type, and each time without each field that may be left out."""
    for media in target.operation.request_media.values():
        same = WireRequest(
            path=wire.path, query=wire.query, headers=wire.headers, body=wire.body, media_type=media.name
        )
        if not isinstance(wire.body, dict) or not fits(target.operation, same) or _has_file(media, wire.body):
            continue
        yield _case(target, same, f"the request as {media.name}", media.pointer, valid=True)
        for name in _droppable(target, wire):
            changed = with_value(same, (name,), MISSING)
            if fits(target.operation, changed):
                says = f"{name} left out, as it may be ({media.name})"
                yield _case(target, changed, says, media.schema_pointer or media.pointer, valid=True)


def _has_file(media: MediaType, body: dict[str, Any]) -> bool:
    """Whether a file would have to go where no file can."""
    return media.name != "multipart/form-data" and any(isinstance(value, UploadedFile) for value in body.values())


def _droppable(target: Target, wire: WireRequest) -> list[str]:
    """The fields of `wire` that its target is not about."""
    kept = [
        *target.spec.set,
        *(target.speech.request[word].at for word in target.spec.needs),
        target.speech.request["text"].at,
    ]
    fixed = {parse_place(place).tokens[0] for place in kept if parse_place(place).kind == "body"}
    return [name for name in wire.body if name not in fixed]


def probe_case(target: Target, wire: WireRequest, probe: Probe) -> Case | None:
    """The case of one probe; `None` where its request is not what the probe is meant to make it."""
    if not probe.path or (probe.valid and not is_open(target, probe)):
        return None
    changed = with_value(wire, probe.path, probe.value)
    if changed.body == wire.body or fits(target.operation, changed) is not probe.valid:
        return None
    return _case(target, changed, probe.says, probe.at, valid=probe.valid)


def is_open(target: Target, probe: Probe) -> bool:
    """Whether any value that fits the schema should be accepted at the place of `probe`.

    Not so for what names a thing that must exist (a voice, a model, a URL to fetch), for
    the target's own constants, and for a text longer than a plan allows.
    """
    path = list(probe.path)
    if any(parse_place(place).tokens == path for place in target.spec.set):
        return False
    if probe.at.rpartition("/")[2] in ("enum", "const") or not isinstance(probe.value, str):
        return True
    places = {word: parse_place(slot.at).tokens for word, slot in target.speech.request.items()}
    if path == places.get("text"):
        limits = [plan.text_characters for plan in target.operation.limits.plans.values()]
        return len(probe.value) <= min([TEXT_LIMIT, *(limit for limit in limits if limit is not None)])
    return path == places.get("voice_description")


def _missing_fields(target: Target, wire: WireRequest, media: MediaType) -> Iterator[Case]:
    schema = media.schema if isinstance(media.schema, dict) else {}
    pointer = media.contract.schemas.resolve(media.data.get("schema", {}), media.schema_pointer or "")[1]
    for name in schema.get("required", ()):
        changed = with_value(wire, (name,), MISSING)
        if not fits(target.operation, changed):
            yield _case(target, changed, f"{name} left out", f"{pointer}/required", valid=False)


def _documented(target: Target, media: MediaType) -> Iterator[Case]:
    for example in media.examples:
        body = _with_sample(media, example.value)
        wire = WireRequest(body=body, media_type=media.name)
        if not example.inferred and fits(target.operation, wire):
            says = f"the documented request {example.name!r} ({media.name})"
            meant = find_target(target.operation, place_reader(wire)) or target
            yield _case(meant, wire, says, example.pointer, valid=True)


def _with_sample(media: MediaType, value: Any) -> Any:
    """A printed form has the name of a file where the file goes."""
    if not is_form(media.name) or not isinstance(value, dict):
        return value
    schema = media.schema if isinstance(media.schema, dict) else {}
    return {
        name: _file(str(field)) if is_file_field(media, schema.get("properties", {}).get(name, {})) else field
        for name, field in value.items()
    }


def is_file_field(media: MediaType, schema: Any) -> bool:
    """Whether a form field carries a file."""
    schema, _ = media.contract.schemas.resolve(schema)
    binary = isinstance(schema, dict) and ("contentMediaType" in schema or schema.get("format") == "binary")
    return binary and media.name == "multipart/form-data"


def _file(name: str) -> UploadedFile:
    voice = voice_sample()
    return UploadedFile(filename=name, media_type=voice.media_type, data=voice.data or b"")


def _case(target: Target, wire: WireRequest, says: str, at: str, *, valid: bool) -> Case:
    operation = target.operation
    expected = Expected(
        verdict="accepted" if valid else "refused",
        statuses=() if valid else statuses_for(operation, "invalid"),
        why="valid" if valid else "invalid",
        says=says,
        at=at,
    )
    tokens = parse_place(target.speech.request["text"].at).tokens
    text = wire.body.get(tokens[0]) if isinstance(wire.body, dict) and len(tokens) == 1 else None
    return Case(
        id=f"{operation.contract.id}/{operation.id}: {says}",
        provider=operation.contract.id,
        operation=operation.id,
        target=target.name,
        expected=expected,
        wire=wire,
        text_characters=len(text) if isinstance(text, str) else 0,
    )
