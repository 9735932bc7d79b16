"""Finds the default and other values that a contract documents for one location of a request."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

from voicegauge.contract import MISSING, MediaType, Operation
from voicegauge.emulator.http.request import ParsedRequest
from voicegauge.emulator.http.schema_values import iterate_schemas_at
from voicegauge.formats import Location


def find_default_value(request: ParsedRequest, location: Location) -> Any:
    """Return the documented default of the value at `location`; `MISSING` if none is documented."""
    return _find_documented_default(request.operation, request.documented_media_type, location)


def has_default_value(operation: Operation, location: Location) -> bool:
    """Whether a default of the value at `location` is documented, for any media type of requests."""
    bodies = (None, *operation.request_media.values())
    return any(_find_documented_default(operation, media_spec, location) is not MISSING for media_spec in bodies)


@functools.lru_cache(maxsize=256)
def _find_documented_default(operation: Operation, media_spec: MediaType | None, location: Location) -> Any:
    found = _find_schemas(operation, media_spec, location)
    return next((schema["default"] for schema in found if "default" in schema), MISSING)


def is_documented_value(request: ParsedRequest, location: Location, value: str) -> bool:
    """Whether `value` is an enumerated value, a constant, a default or an example of the schema at `location`."""
    return value in _collect_documented_values(request.operation, request.documented_media_type, location)


@functools.lru_cache(maxsize=256)
def _collect_documented_values(
    operation: Operation, media_spec: MediaType | None, location: Location
) -> frozenset[str]:
    found: set[str] = set()
    for schema in _find_schemas(operation, media_spec, location):
        listed: list[Any] = [schema.get(key) for key in ("const", "default", "example")]
        for key in ("enum", "examples"):
            values = schema.get(key)
            listed += values if isinstance(values, list) else []
        found.update(value for value in listed if isinstance(value, str))
    return frozenset(found)


def _find_schemas(operation: Operation, media_spec: MediaType | None, location: Location) -> Iterable[dict[str, Any]]:
    if location.message_part == "body":
        return (
            ()
            if media_spec is None
            else iterate_schemas_at(operation.contract.schemas, media_spec.schema, location.pointer_tokens)
        )
    return _find_parameter_schemas(operation, location)


def _find_parameter_schemas(operation: Operation, location: Location) -> Iterator[dict[str, Any]]:
    for parameter in operation.parameters:
        if parameter.message_part == location.message_part and parameter.name.lower() == location.name.lower():
            yield from iterate_schemas_at(operation.contract.schemas, parameter.schema, ())
            if "example" in parameter.part_data:
                yield {"example": parameter.part_data["example"]}
