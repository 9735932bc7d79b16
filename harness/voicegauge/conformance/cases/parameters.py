"""Plans cases for query and header parameters, and makes requests to operations that have no target."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from voicegauge.client import RequestParts
from voicegauge.conformance.cases.boundary_values import BoundaryValue, list_boundary_values
from voicegauge.conformance.cases.case import ConformanceCase, build_case, expect_outcome_by_validity
from voicegauge.conformance.cases.fitting_values import find_fitting_value
from voicegauge.conformance.cases.valid_requests import build_minimal_request, count_charged_characters
from voicegauge.contract import MISSING, Operation, Parameter, Target

_CANDIDATE_UNKNOWN_IDS = ("no-such-id", "0" * 32, "00000000-0000-4000-8000-000000000000", "0")
"""Ids that do not exist. The first one that fits the schema is sent, so that its form is not a reason to reject it."""


def plan_parameter_cases(
    operation: Operation, request: RequestParts, target: Target | None
) -> Iterator[ConformanceCase]:
    """Yield a case for each boundary value of a query or header parameter, and for its documented example."""
    for parameter in operation.parameters:
        if parameter.message_part not in ("query", "header"):
            continue
        pointer = f"{parameter.pointer}/schema"
        schema = parameter.part_data.get("schema", {})
        for boundary_value in list_boundary_values(operation.contract.schemas, schema, pointer, (parameter.name,)):
            text = convert_to_parameter_text(boundary_value.value)
            # The schema decides how the text is read: the text "1.5" may be a valid string.
            if (
                text is None
                or not _has_same_validity_as_text(parameter, text, boundary_value)
                or _may_be_id_or_url(boundary_value)
            ):
                continue
            yield _build_parameter_case(operation, _set_parameter(request, parameter, text), boundary_value, target)
        example = convert_to_parameter_text(parameter.part_data.get("example"))
        if example is not None and not parameter.is_required and not takes_webhook_url(operation, parameter):
            description = f"{parameter.name} {example!r}, as documented"
            boundary_value = BoundaryValue((parameter.name,), example, description, pointer, is_valid=True)
            yield _build_parameter_case(operation, _set_parameter(request, parameter, example), boundary_value, target)


def takes_webhook_url(operation: Operation, parameter: Parameter) -> bool:
    """Whether the parameter takes a webhook URL. Its documented example is not sent: the URL is somebody else's."""
    urls = operation.webhook.url_fields if operation.webhook is not None else ()
    return any(
        (url.location.message_part, url.location.name) == (parameter.message_part, parameter.name) for url in urls
    )


def _may_be_id_or_url(boundary_value: BoundaryValue) -> bool:
    """Whether a valid text may have to name an existing resource or a reachable URL, because no enum lists it."""
    return (
        boundary_value.is_valid
        and isinstance(boundary_value.value, str)
        and boundary_value.keyword not in ("enum", "const")
    )


def convert_to_parameter_text(value: Any) -> str | None:
    """Return the text that is sent for the value of a parameter; `None` if the value cannot be sent as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    is_printable = isinstance(value, str) and value.isascii() and value.isprintable() and value.strip() == value != ""
    return value if is_printable else None


def fits_parameter_schema(parameter: Parameter, text: str) -> bool:
    """Whether `text` fits the schema of the parameter after conversion to the type of the parameter."""
    return not parameter.parse_text(text).violations


def _has_same_validity_as_text(parameter: Parameter, text: str, boundary_value: BoundaryValue) -> bool:
    """Whether a boundary value that is sent as text is still valid, or still invalid for the same reason."""
    if boundary_value.is_valid or boundary_value.keyword != "type":
        return fits_parameter_schema(parameter, text) is boundary_value.is_valid
    return any(
        error.keyword_pointer == boundary_value.keyword_pointer for error in parameter.parse_text(text).violations
    )


def _set_parameter(request: RequestParts, parameter: Parameter, parameter_text: str) -> RequestParts:
    query = (
        {**request.query_parameters, parameter.name: parameter_text}
        if parameter.message_part == "query"
        else request.query_parameters
    )
    headers = (
        {**request.headers, parameter.name: parameter_text} if parameter.message_part == "header" else request.headers
    )
    return RequestParts(
        path_parameters=request.path_parameters,
        query_parameters=query,
        headers=headers,
        body=request.body,
        media_type=request.media_type,
    )


def _build_parameter_case(
    operation: Operation, request: RequestParts, boundary_value: BoundaryValue, target: Target | None
) -> ConformanceCase:
    return build_case(
        operation,
        expect_outcome_by_validity(
            operation, boundary_value.description, boundary_value.keyword_pointer, is_valid=boundary_value.is_valid
        ),
        target_name=target.name if target else None,
        request=request,
        text_character_count=count_charged_characters(operation, request),
    )


def build_operation_request(operation: Operation) -> tuple[RequestParts | None, bool]:
    """Return a request to an operation without targets, and whether everything that the request names exists.

    An id of a resource is invented, so it does not exist. The request is `None` if no value is known for a required
    parameter or field.
    """
    body = build_minimal_request(operation)
    if body is None:
        return None, False
    path: dict[str, Any] = {}
    query: dict[str, Any] = {}
    all_exist = True
    for parameter in operation.parameters:
        if not parameter.is_required or parameter.name in operation.required_headers:
            continue
        value, exists = _find_required_parameter_value(operation, parameter)
        if value is MISSING or parameter.message_part not in ("path", "query"):
            return None, False
        all_exist = all_exist and exists
        (path if parameter.message_part == "path" else query)[parameter.name] = value
    return msgspec.structs.replace(body, path_parameters=path, query_parameters=query), all_exist


def _find_required_parameter_value(operation: Operation, parameter: Parameter) -> tuple[Any, bool]:
    """Return a value for a required parameter, and whether the resource that the value names exists."""
    if "enum" in parameter.schema or "default" in parameter.schema:
        return find_fitting_value(operation.contract.schemas, parameter.schema), True
    # The documented id with zeros as digits, for services whose ids have a prefix or a length that no schema states.
    zeros = re.sub("[0-9a-f]", "0", str(parameter.part_data.get("example", "")))
    unknown = next(
        (text for text in (*_CANDIDATE_UNKNOWN_IDS, zeros) if text and fits_parameter_schema(parameter, text)), MISSING
    )
    return unknown, False
