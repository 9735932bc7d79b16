"""Faults of status codes, headers and the connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.contract import Operation, Target
from voicegauge.emulator.http import ParsedRequest, schemas_at
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.model import UploadedFile

_UNUSUAL = (203, 206, 226)
"""Codes of success that no speech API documents."""
_BOUNDS = ("minimum", "maximum")


def undocumented_status(response: EmulatedResponse) -> None:
    """Success under a code that the operation does not document."""
    code = _surprise(response.operation) if response.operation is not None else None
    if code is not None and 200 <= response.status < 300:
        response.status = code


def can_surprise(target: Target) -> bool:
    """Whether some code of success is not documented."""
    return _surprise(target.operation) is not None


def _surprise(operation: Operation) -> int | None:
    return next((code for code in _UNUSUAL if operation.response(code) is None), None)


def missing_retry_after(response: EmulatedResponse) -> None:
    """No Retry-After."""
    _drop(response, lambda name: name == "retry-after")


def documents_retry_after(target: Target) -> bool:
    """Whether some answer of the target's operation documents Retry-After."""
    return any(name.lower() == "retry-after" for spec in target.operation.responses.values() for name in spec.headers)


def missing_header(response: EmulatedResponse) -> None:
    """None of the documented headers but Retry-After."""
    documented = {name.lower() for name in response.spec.headers} if response.spec is not None else set()
    _drop(response, lambda name: name != "retry-after" and name in documented)


def documents_headers(target: Target) -> bool:
    """Whether the target's operation documents a required header, Retry-After aside."""
    return any(
        header.required and name.lower() != "retry-after"
        for spec in target.operation.responses.values()
        for name, header in spec.headers.items()
    )


def _drop(response: EmulatedResponse, wanted: Any) -> None:
    response.headers = {name: value for name, value in response.headers.items() if not wanted(name.lower())}


def drop(response: EmulatedResponse) -> None:
    """Half of the body, and the end of the connection."""
    response.cut = True


def flaky(request: ParsedRequest, number: int) -> str | None:
    """Busy, every second time."""
    return "busy" if request.operation.speech is not None and number % 2 == 1 else None


def error_at_boundary(request: ParsedRequest, _number: int) -> str | None:
    """An internal error where a number or a length lies exactly on its bound."""
    if not isinstance(request.body, dict) or request.media is None:
        return None
    for name, value in request.body.items():
        for schema in schemas_at(request.operation.contract.schemas, request.media.schema, [name]):
            if _on_bound(schema, value):
                return "internal"
    return None


def _on_bound(schema: dict[str, Any], value: Any) -> bool:
    if isinstance(value, bool | UploadedFile):
        return False
    if isinstance(value, int | float):
        return any(schema.get(bound) == value for bound in _BOUNDS)
    return isinstance(value, str) and schema.get("maxLength") == len(value)


def has_bounds(target: Target) -> bool:
    """Whether a field of the request has a documented bound."""
    return any(_bounded(target))


def _bounded(target: Target) -> Iterator[bool]:
    schemas = target.contract.schemas
    for media in target.operation.request_media.values():
        for part in schemas_at(schemas, media.schema, []):
            for name in part.get("properties", {}):
                for schema in schemas_at(schemas, media.schema, [name]):
                    yield any(bound in schema for bound in (*_BOUNDS, "maxLength"))
