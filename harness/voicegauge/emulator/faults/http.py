"""Implements the faults of status codes, headers and connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from voicegauge.contract import Operation, Target
from voicegauge.emulator.faults.fault import Fault
from voicegauge.emulator.http import ParsedRequest, iterate_schemas_at
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.model import UploadedFile

_UNUSUAL_STATUS_CODES = (203, 206, 226)
"""Success status codes that speech APIs do not document."""
_BOUND_KEYWORDS = ("minimum", "maximum")
"""Keywords of JSON Schema that state a bound of a number."""

SLOW_RESPONSE_DELAY_S = 3.0
"""Delay of the fault of slow responses, in seconds. It exceeds every emulated duration, but tests can wait for it."""


def change_success_status(response: EmulatedResponse) -> None:
    """Replace a success status code by an undocumented one."""
    code = _find_undocumented_unusual_status(response.operation) if response.operation is not None else None
    if code is not None and 200 <= response.status < 300:
        response.status = code


def leaves_unusual_status_undocumented(target: Target) -> bool:
    """Whether the operation leaves one of the unusual status codes undocumented."""
    return _find_undocumented_unusual_status(target.operation) is not None


def _find_undocumented_unusual_status(operation: Operation) -> int | None:
    return next((code for code in _UNUSUAL_STATUS_CODES if operation.find_response(code) is None), None)


def remove_retry_after(response: EmulatedResponse) -> None:
    """Remove the header Retry-After."""
    _remove_headers(response, lambda name: name == "retry-after")


def documents_retry_after(target: Target) -> bool:
    """Whether some response of the operation documents Retry-After."""
    return any(name.lower() == "retry-after" for spec in target.operation.responses.values() for name in spec.headers)


def remove_documented_headers(response: EmulatedResponse) -> None:
    """Remove all documented headers except Retry-After, which has a fault of its own."""
    documented = (
        {name.lower() for name in response.response_spec.headers} if response.response_spec is not None else set()
    )
    _remove_headers(response, lambda name: name != "retry-after" and name in documented)


def has_required_response_headers(target: Target) -> bool:
    """Whether the operation documents a required header other than Retry-After."""
    return any(
        header.is_required and name.lower() != "retry-after"
        for spec in target.operation.responses.values()
        for name, header in spec.headers.items()
    )


def _remove_headers(response: EmulatedResponse, must_remove: Callable[[str], bool]) -> None:
    response.headers = {name: value for name, value in response.headers.items() if not must_remove(name.lower())}


def cut_connection(response: EmulatedResponse) -> None:
    """Close the connection after half of the body."""
    response.is_connection_cut = True


def cut_unauthorized_response(response: EmulatedResponse) -> None:
    """Close the connection after half of the body if the request had no valid key."""
    response.is_connection_cut = response.is_connection_cut or response.status == HTTPStatus.UNAUTHORIZED


def reject_every_second_request(request: ParsedRequest, request_count: int) -> str | None:
    """Return the rejection reason "busy" for every second speech request."""
    return "busy" if request.operation.speech is not None and request_count % 2 == 1 else None


def fail_at_documented_bound(request: ParsedRequest, _request_count: int) -> str | None:
    """Return the rejection reason "internal" if a number or the length of a text equals a documented bound."""
    if not isinstance(request.body, dict) or request.documented_media_type is None:
        return None
    for name, value in request.body.items():
        for schema in iterate_schemas_at(
            request.operation.contract.schemas, request.documented_media_type.schema, [name]
        ):
            if _is_value_at_bound(schema, value):
                return "internal"
    return None


def _is_value_at_bound(schema: dict[str, Any], value: Any) -> bool:
    if isinstance(value, bool | UploadedFile):
        return False
    if isinstance(value, int | float):
        return any(schema.get(bound) == value for bound in _BOUND_KEYWORDS)
    return isinstance(value, str) and schema.get("maxLength") == len(value)


def has_bounded_request_field(target: Target) -> bool:
    """Whether some field of the request has a documented bound."""
    field_schemas = _iterate_request_field_schemas(target)
    return any(keyword in schema for schema in field_schemas for keyword in (*_BOUND_KEYWORDS, "maxLength"))


def _iterate_request_field_schemas(target: Target) -> Iterator[dict[str, Any]]:
    schemas = target.contract.schemas
    for media in target.operation.request_media.values():
        for part in iterate_schemas_at(schemas, media.schema, []):
            for name in part.get("properties", {}):
                yield from iterate_schemas_at(schemas, media.schema, [name])


FAULTS = (
    Fault(
        id="server-error-at-boundary",
        description="A value at the limit of its documented range causes status 500.",
        find_rejection_reason=fail_at_documented_bound,
        applies_to=has_bounded_request_field,
    ),
    Fault(
        id="flaky-503",
        description="Every second speech request gets status 503.",
        find_rejection_reason=reject_every_second_request,
    ),
    Fault(
        id="unauthorized-cut-off",
        description="The connection is closed in the middle of every response with status 401.",
        change_response=cut_unauthorized_response,
        applies_to=lambda target: target.needs_key,
    ),
    Fault(
        id="drops-connection",
        description="The connection is closed in the middle of every response.",
        change_response=cut_connection,
    ),
    Fault(
        id="slow",
        description=f"Every response is {SLOW_RESPONSE_DELAY_S:g} s late.",
        response_delay_s=SLOW_RESPONSE_DELAY_S,
    ),
    Fault(
        id="ignored-key",
        description="Requests with a missing or invalid key are accepted.",
        skipped_check="key",
        applies_to=lambda target: target.needs_key,
    ),
    Fault(
        id="missing-retry-after",
        description="A documented Retry-After header is missing.",
        change_response=remove_retry_after,
        applies_to=documents_retry_after,
    ),
    Fault(
        id="missing-header",
        description="Documented headers are missing.",
        change_response=remove_documented_headers,
        applies_to=has_required_response_headers,
    ),
    Fault(
        id="undocumented-status",
        description="Successful responses have an undocumented status code.",
        change_response=change_success_status,
        applies_to=leaves_unusual_status_undocumented,
    ),
)
