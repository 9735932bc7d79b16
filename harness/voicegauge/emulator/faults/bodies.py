"""Faults of bodies: fields of another type, name or value, and no body at all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from voicegauge.contract import MediaType, Target
from voicegauge.emulator.responses import EmulatedResponse, default_body
from voicegauge.formats import parse_location, read_pointer

_Change = Callable[[Any, str], None]
"""Spoils one member of a mapping."""


def wrong_type(response: EmulatedResponse) -> None:
    """A text becomes a number, anything else a mapping."""

    def change(parent: Any, key: str) -> None:
        parent[key] = 12345 if isinstance(parent[key], str) else {"value": parent[key]}

    _break(response, change)


def missing_field(response: EmulatedResponse) -> None:
    """A field is gone."""
    _break(response, lambda parent, key: parent.pop(key))


def renamed_field(response: EmulatedResponse) -> None:
    """A field has an underscore too many."""

    def change(parent: Any, key: str) -> None:
        parent[f"{key}_"] = parent.pop(key)

    _break(response, change)


def null_field(response: EmulatedResponse) -> None:
    """A field is null."""

    def change(parent: Any, key: str) -> None:
        parent[key] = None

    _break(response, change)


def _break(response: EmulatedResponse, change: _Change) -> None:
    if response.kind == "error" or response.media is None or not response.is_json:
        return
    response.body = broken(response.media, response.body, change, _essential_fields(response))


def broken(media: MediaType, body: Any, change: _Change, essential_fields: frozenset[tuple[str, ...]]) -> Any:
    """`body` with the first change to one of its fields that its schema objects to.

    Fields at `essential_fields` places are spoiled last, so that whoever follows a job can go on where
    possible. The body as it was where the schema objects to no change.
    """
    fields = sorted(_fields(body, ()), key=lambda path: path in essential_fields)
    for path in fields:
        corrupt = copy.deepcopy(body)
        change(read_pointer(corrupt, list(path[:-1])), path[-1])
        if next(media.errors(corrupt), None) is not None:
            return corrupt
    return body


def _fields(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from _fields(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:1]):
            yield from _fields(item, (*path, str(index)))


def _essential_fields(response: EmulatedResponse) -> frozenset[tuple[str, ...]]:
    """The fields that a job is followed by."""
    target = response.target
    spec = target.job_operation.job if target is not None and target.job_operation is not None else None
    if spec is None:
        return frozenset()
    locations = [spec.id, spec.state, spec.audio.at, spec.submit.id, spec.submit.state, spec.submit.url]
    return frozenset(
        tuple(parse_location(location).tokens) for location in locations if location and location.startswith("body")
    )


def can_break(fault: Callable[[EmulatedResponse], None]) -> Callable[[Target], bool]:
    """Whether the schema of some answer objects to what `fault` does."""

    def applies(target: Target) -> bool:
        operations = [target.operation, *([target.job_operation] if target.job_operation else [])]
        for operation in operations:
            for media in operation.success.media.values():
                body = default_body(media).value
                response = EmulatedResponse(
                    "other", 200, copy.deepcopy(body), media.name, media=media, operation=operation
                )
                fault(response)
                if response.body != body:
                    return True
        return False

    return applies


def wrong_error_shape(response: EmulatedResponse) -> None:
    """A list with a text in it."""
    if response.kind == "error":
        response.body, response.media_type = ["something went wrong"], response.media_type or "application/json"


def documents_errors(target: Target) -> bool:
    """Whether the body of some error is documented."""
    return any(
        media.schema_pointer is not None
        for status, spec in target.operation.responses.items()
        if not status.startswith("2")
        for media in spec.media.values()
    )


def empty_body(response: EmulatedResponse) -> None:
    """Nothing where something is documented."""
    if response.kind != "error":
        response.raw = b""


def wrong_content_type(response: EmulatedResponse) -> None:
    """Plain text, whatever it is."""
    if response.kind != "error":
        response.media_type = "text/plain"
