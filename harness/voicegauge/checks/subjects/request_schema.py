"""Finds the schema and the default that a contract documents for a part of a request."""

from __future__ import annotations

from typing import Any

from voicegauge.contract import MISSING, Operation
from voicegauge.formats import Location


def request_schema(operation: Operation, location: Location, media_type: str | None = None) -> dict[str, Any]:
    """Return the schema of the value at `location` of requests to `operation`; empty if none is documented.

    Schemas inside `anyOf` and `oneOf` are not read, because other fields decide which branch applies.

    Args:
        operation: the operation.
        location: the location of the value in a request.
        media_type: media type of the request body; the first documented one by default.
    """
    if location.kind != "body":
        wanted = location.name.lower()
        found = (p for p in operation.parameters if p.location == location.kind and p.name.lower() == wanted)
        schema = next((parameter.schema for parameter in found), None)
        return schema if isinstance(schema, dict) else {}
    documented = operation.request_media
    media = documented.get(media_type or "") or next(iter(documented.values()), None)
    schema = media.schema if media is not None else None
    for token in location.tokens:
        schema = operation.contract.schemas.resolve(_member_schema(schema, token))[0]
    return schema if isinstance(schema, dict) else {}


def documented_default(operation: Operation, location: Location, media_type: str | None = None) -> Any:
    """Return the default of the value at `location`; `MISSING` if none is documented.

    The arguments are the same as those of `request_schema`.
    """
    return request_schema(operation, location, media_type).get("default", MISSING)


def _member_schema(schema: Any, token: str) -> Any:
    if not isinstance(schema, dict):
        return {}
    properties = schema.get("properties", {})
    if token not in properties and token.isdecimal():
        return schema.get("items", {})
    return properties.get(token, {})
