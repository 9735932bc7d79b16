"""The default that a contract documents for an optional part of a request."""

from __future__ import annotations

from typing import Any

from voicegauge.contract import MISSING, Operation
from voicegauge.formats import Location


def documented_default(operation: Operation, location: Location, media_type: str | None = None) -> Any:
    """Return the default of the value at `location` of requests to `operation`; `MISSING` if none is documented.

    Defaults inside the branches of `anyOf` and `oneOf` are not read: which branch applies depends on other fields.

    Args:
        operation: the operation.
        location: where the value is in a request.
        media_type: media type of the request body; the first documented one by default.
    """
    schemas = operation.contract.schemas
    if location.kind != "body":
        wanted = location.name.lower()
        found = (p for p in operation.parameters if p.location == location.kind and p.name.lower() == wanted)
        schema = next((parameter.schema for parameter in found), None)
    else:
        documented = operation.request_media
        media = documented.get(media_type or "") or next(iter(documented.values()), None)
        schema = media.schema if media is not None else None
        for token in location.tokens:
            properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
            schema = schemas.resolve(properties.get(token, {}))[0]
    return schema.get("default", MISSING) if isinstance(schema, dict) else MISSING
