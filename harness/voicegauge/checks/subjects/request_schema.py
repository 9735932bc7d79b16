"""Finds the schema and the default that a contract documents for a part of a request."""

from __future__ import annotations

from typing import Any

from voicegauge.contract import MISSING, Operation
from voicegauge.formats import Location


def find_request_schema(operation: Operation, location: Location, media_type: str | None = None) -> dict[str, Any]:
    """Return the schema of the value at `location` of requests to `operation`; empty if none is documented.

    Schemas inside `anyOf` and `oneOf` are not read, because other fields decide which branch applies.

    Args:
        operation: the operation.
        location: the location of the value in a request.
        media_type: media type of the request body; the first documented one by default.
    """
    if location.message_part != "body":
        wanted = location.name.lower()
        found = (
            p for p in operation.parameters if p.message_part == location.message_part and p.name.lower() == wanted
        )
        schema = next((parameter.schema for parameter in found), None)
        return schema if isinstance(schema, dict) else {}
    documented = operation.request_media
    media = documented.get(media_type or "") or next(iter(documented.values()), None)
    schema = media.schema if media is not None else None
    for token in location.pointer_tokens:
        schema = operation.contract.schemas.resolve_reference(_find_member_schema(schema, token))[0]
    return schema if isinstance(schema, dict) else {}


def find_documented_default(operation: Operation, location: Location, media_type: str | None = None) -> Any:
    """Return the default of the value at `location`; `MISSING` if none is documented.

    The arguments are the same as those of `find_request_schema`.
    """
    return find_request_schema(operation, location, media_type).get("default", MISSING)


def _find_member_schema(schema: Any, member_name: str) -> Any:
    if not isinstance(schema, dict):
        return {}
    properties = schema.get("properties", {})
    if member_name not in properties and member_name.isdecimal():
        return schema.get("items", {})
    return properties.get(member_name, {})
