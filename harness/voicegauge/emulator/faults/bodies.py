"""Faults of bodies: fields of another type, name or value, and no body at all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from voicegauge.contract import MediaType, Target
from voicegauge.emulator.responses import Reply, plain_draft
from voicegauge.formats import parse_location, read_pointer

_Change = Callable[[Any, str], None]
"""Spoils one member of a mapping."""


def wrong_type(reply: Reply) -> None:
    """A text becomes a number, anything else a mapping."""

    def change(parent: Any, key: str) -> None:
        parent[key] = 12345 if isinstance(parent[key], str) else {"value": parent[key]}

    _break(reply, change)


def missing_field(reply: Reply) -> None:
    """A field is gone."""
    _break(reply, lambda parent, key: parent.pop(key))


def renamed_field(reply: Reply) -> None:
    """A field has an underscore too many."""

    def change(parent: Any, key: str) -> None:
        parent[f"{key}_"] = parent.pop(key)

    _break(reply, change)


def null_field(reply: Reply) -> None:
    """A field is null."""

    def change(parent: Any, key: str) -> None:
        parent[key] = None

    _break(reply, change)


def _break(reply: Reply, change: _Change) -> None:
    if reply.kind == "error" or reply.media is None or not reply.is_json:
        return
    reply.body = broken(reply.media, reply.body, change, _vital(reply))


def broken(media: MediaType, body: Any, change: _Change, vital: frozenset[tuple[str, ...]]) -> Any:
    """`body` with the first change to one of its fields that its schema objects to.

    Fields at `vital` places are spoiled last, so that whoever follows a job can go on where
    possible. The body as it was where the schema objects to no change.
    """
    fields = sorted(_fields(body, ()), key=lambda path: path in vital)
    for path in fields:
        spoiled = copy.deepcopy(body)
        change(read_pointer(spoiled, list(path[:-1])), path[-1])
        if next(media.errors(spoiled), None) is not None:
            return spoiled
    return body


def _fields(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from _fields(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:1]):
            yield from _fields(item, (*path, str(index)))


def _vital(reply: Reply) -> frozenset[tuple[str, ...]]:
    """The fields that a job is followed by."""
    target = reply.target
    spec = target.job_operation.job if target is not None and target.job_operation is not None else None
    if spec is None:
        return frozenset()
    places = [spec.id, spec.state, spec.audio.at, spec.submit.id, spec.submit.state, spec.submit.url]
    return frozenset(tuple(parse_location(place).tokens) for place in places if place and place.startswith("body"))


def can_break(fault: Callable[[Reply], None]) -> Callable[[Target], bool]:
    """Whether the schema of some answer objects to what `fault` does."""

    def applies(target: Target) -> bool:
        operations = [target.operation, *([target.job_operation] if target.job_operation else [])]
        for operation in operations:
            for media in operation.success.media.values():
                body = plain_draft(media).value
                reply = Reply("other", 200, copy.deepcopy(body), media.name, media=media, operation=operation)
                fault(reply)
                if reply.body != body:
                    return True
        return False

    return applies


def wrong_error_shape(reply: Reply) -> None:
    """A list with a text in it."""
    if reply.kind == "error":
        reply.body, reply.media_type = ["something went wrong"], reply.media_type or "application/json"


def documents_errors(target: Target) -> bool:
    """Whether the body of some error is documented."""
    return any(
        media.schema_pointer is not None
        for status, spec in target.operation.responses.items()
        if not status.startswith("2")
        for media in spec.media.values()
    )


def empty_body(reply: Reply) -> None:
    """Nothing where something is documented."""
    if reply.kind != "error":
        reply.raw = b""


def wrong_content_type(reply: Reply) -> None:
    """Plain text, whatever it is."""
    if reply.kind != "error":
        reply.media_type = "text/plain"
