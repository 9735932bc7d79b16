"""Cases that change one value of a valid body, and the bodies that the documents print."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.checks import ExpectedResponse
from voicegauge.client import RequestParts
from voicegauge.conformance.cases.boundary_values import BoundaryValue, list_boundary_values
from voicegauge.conformance.cases.case import ConformanceCase, rejection_statuses
from voicegauge.conformance.cases.valid_requests import (
    is_file_field,
    is_valid_body,
    text_characters,
    voice_sample,
    with_value,
)
from voicegauge.conformance.target_matching import find_target, place_reader
from voicegauge.contract import MISSING, MediaType, Operation, Target
from voicegauge.formats import is_form
from voicegauge.model import UploadedFile

TEXT_LIMIT = 10_000
"""Characters of the longest valid text that is sent: ten minutes of speech, at a price."""


def body_cases(operation: Operation, wire: RequestParts, target: Target | None) -> Iterator[ConformanceCase]:
    """Every probe of the body's schema, missing required fields, and documented examples.

    Args:
        operation: what is called.
        wire: a valid request to it.
        target: what of the operation's is asked for; `None` for one that speaks nothing.
    """
    media = operation.request_media.get(wire.media_type or "")
    if media is None or not is_valid_body(operation, wire):
        return
    schema, pointer = media.data.get("schema", {}), media.schema_pointer or media.pointer
    for probe in list_boundary_values(operation.contract.schemas, schema, pointer):
        case = boundary_case(operation, wire, probe, target)
        if case is not None:
            yield case
    yield from _missing_fields(operation, wire, media, target)
    for media in operation.request_media.values():
        yield from _documented(operation, media, target)


def left_out_cases(target: Target, wire: RequestParts) -> Iterator[ConformanceCase]:
    """The same request as every documented media type, and each time without each field that may be left out."""
    operation = target.operation
    for media in operation.request_media.values():
        same = RequestParts(
            path=wire.path, query=wire.query, headers=wire.headers, body=wire.body, media_type=media.name
        )
        if not isinstance(wire.body, dict) or not is_valid_body(operation, same) or _has_file(media, wire.body):
            continue
        yield _case(operation, same, f"the request as {media.name}", media.pointer, target, valid=True)
        for name in _droppable(target, wire, media):
            changed = with_value(same, (name,), MISSING)
            if is_valid_body(operation, changed):
                description = f"{name} left out, as it may be ({media.name})"
                yield _case(operation, changed, description, media.schema_pointer or media.pointer, target, valid=True)


def _has_file(media: MediaType, body: dict[str, Any]) -> bool:
    """Whether a file would have to go where no file can."""
    return media.name != "multipart/form-data" and any(isinstance(value, UploadedFile) for value in body.values())


def _droppable(target: Target, wire: RequestParts, media: MediaType) -> list[str]:
    """The fields of `wire` that its target is not about, or that say what is meant without them as well."""
    kept = [
        *target.spec.constants,
        *(target.speech.request[word].at for word in target.spec.required_fields),
        target.speech.request["text"].at,
    ]
    fixed = {place.tokens[0] for place in kept if place.kind == "body"}
    properties = media.schema.get("properties", {}) if isinstance(media.schema, dict) else {}
    defaults = {name: target.contract.schemas.resolve(schema)[0] for name, schema in properties.items()}
    return [
        name
        for name, value in wire.body.items()
        if name not in fixed or defaults.get(name, {}).get("default", MISSING) == value
    ]


def boundary_case(
    operation: Operation, wire: RequestParts, probe: BoundaryValue, target: Target | None
) -> ConformanceCase | None:
    """The case of one probe; `None` where its request is not what the probe is meant to make it."""
    opened = accepts_any_valid_value(target, probe) if target is not None else _is_not_an_id(probe)
    if not probe.path or (probe.valid and not opened):
        return None
    changed = with_value(wire, probe.path, probe.value)
    if changed.body == wire.body or is_valid_body(operation, changed) is not probe.valid:
        return None
    return _case(operation, changed, probe.description, probe.at, target, valid=probe.valid)


def _is_not_an_id(probe: BoundaryValue) -> bool:
    """Whether an operation without a target accepts any valid value here; a free text may be the id of a resource."""
    keyword = probe.at.rpartition("/")[2]
    return not isinstance(probe.value, str) or keyword in ("enum", "const", "maxLength")


def accepts_any_valid_value(target: Target, probe: BoundaryValue) -> bool:
    """Whether any value that fits the schema should be accepted at the place of `probe`.

    Not so for what names a thing that must exist (a voice, a model, a URL to fetch), for
    the target's own constants, and for a text longer than a plan allows.
    """
    path = tuple(probe.path)
    if any(place.tokens == path for place in target.spec.constants):
        return False
    if probe.at.rpartition("/")[2] in ("enum", "const") or not isinstance(probe.value, str):
        return True
    places = {word: slot.at.tokens for word, slot in target.speech.request.items()}
    if path == places.get("text"):
        limits = [plan.text_characters for plan in target.operation.limits.plans.values()]
        return len(probe.value) <= min([TEXT_LIMIT, *(limit for limit in limits if limit is not None)])
    return path == places.get("voice_description")


def _missing_fields(
    operation: Operation, wire: RequestParts, media: MediaType, target: Target | None
) -> Iterator[ConformanceCase]:
    schema = media.schema if isinstance(media.schema, dict) else {}
    pointer = media.contract.schemas.resolve(media.data.get("schema", {}), media.schema_pointer or "")[1]
    either = [name for branch in schema.get("anyOf", ()) for name in branch.get("required", ())]
    for name in (*schema.get("required", ()), *(name for name in either if name in wire.body)):
        changed = with_value(wire, (name,), MISSING)
        if not is_valid_body(operation, changed):
            at = f"{pointer}/{'anyOf' if name in either else 'required'}"
            yield _case(operation, changed, f"{name} left out", at, target, valid=False)


def _documented(operation: Operation, media: MediaType, target: Target | None) -> Iterator[ConformanceCase]:
    for example in media.examples:
        body = _with_sample(media, example.value)
        wire = RequestParts(body=body, media_type=media.name)
        if not example.inferred and is_valid_body(operation, wire) and not _names_what_was_made(operation, wire):
            description = f"the documented request {example.name!r} ({media.name})"
            meant = find_target(operation, place_reader(wire)) or target
            yield _case(operation, wire, description, example.pointer, meant, valid=True)


def _names_what_was_made(operation: Operation, wire: RequestParts) -> bool:
    """Whether a printed request names a thing that another call makes: a saved voice is there for its owner alone."""
    read = place_reader(wire)
    uses = (use for maker in operation.contract.operations.values() for use in maker.uses_of(operation))
    return any(read(use.id) is not MISSING for use in uses)


def _with_sample(media: MediaType, value: Any) -> Any:
    """A printed form has the name of a file where the file goes."""
    if not is_form(media.name) or not isinstance(value, dict):
        return value
    schema = media.schema if isinstance(media.schema, dict) else {}
    return {
        name: _file(str(field)) if is_file_field(media, schema.get("properties", {}).get(name, {})) else field
        for name, field in value.items()
    }


def _file(name: str) -> UploadedFile:
    voice = voice_sample()
    return UploadedFile(filename=name, media_type=voice.media_type, data=voice.data or b"")


def _case(
    operation: Operation, wire: RequestParts, description: str, at: str, target: Target | None, *, valid: bool
) -> ConformanceCase:
    expected = ExpectedResponse(
        verdict="accepted" if valid else "rejected",
        statuses=() if valid else rejection_statuses(operation, "invalid"),
        kind="valid" if valid else "invalid",
        description=description,
        contract_pointer=at,
    )
    return ConformanceCase(
        id=f"{operation.contract.id}/{operation.id}: {description}",
        provider=operation.contract.id,
        operation=operation.id,
        target=target.name if target else None,
        expected=expected,
        wire=wire,
        text_characters=text_characters(operation, wire),
    )
