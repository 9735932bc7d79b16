"""Reads and writes values of response bodies at locations such as "body#/data/0/url"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voicegauge.contract import MISSING, MediaType, read_pointer
from voicegauge.emulator.http.schema_values import iterate_schemas_at
from voicegauge.formats import Location


def read_value_at(body: Any, location: Location | None) -> Any:
    """Return the value at `location`; `MISSING` if there is no value, or if `location` is not a body location."""
    return MISSING if location is None else location.read_body(body)


def write_value_at(body: Any, location: Location, value: Any) -> Any:
    """Write `value` at `location` of `body`, and return the changed body.

    Missing parents are created, and a scalar in the place of a parent is replaced.
    """
    return _write_value_at_tokens(body, location.pointer_tokens, value)


def _write_value_at_tokens(body: Any, pointer_tokens: Sequence[str], value: Any) -> Any:
    if not pointer_tokens:
        return value
    token, rest = pointer_tokens[0], pointer_tokens[1:]
    if isinstance(body, list) and token.isdecimal():
        index = int(token)
        body.extend(None for _ in range(index + 1 - len(body)))
        body[index] = _write_value_at_tokens(body[index], rest, value)
        return body
    if not isinstance(body, dict):
        if token.isdecimal():
            return _write_value_at_tokens([], pointer_tokens, value)
        body = {}
    body[token] = _write_value_at_tokens(body.get(token), rest, value)
    return body


def can_have_value_at(media_spec: MediaType | None, body: Any, location: Location) -> bool:
    """Whether `body` has a value at `location`, or its documented schema allows one there."""
    if media_spec is None or not location.is_in_body:
        return False
    return read_pointer(body, location.pointer_tokens) is not MISSING or is_location_documented(media_spec, location)


def is_location_documented(media_spec: MediaType, location: Location) -> bool:
    """Whether the documented schema of `media_spec` allows a value at a location in the body."""
    if not location.is_in_body:
        return False
    return next(iterate_schemas_at(media_spec.schemas, media_spec.schema, location.pointer_tokens), None) is not None
