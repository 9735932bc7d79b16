"""Cases over query, header and path parameters, and requests to operations that speak nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from voicegauge.checks import ExpectedResponse
from voicegauge.client import RequestParts
from voicegauge.conformance.cases.boundary_values import BoundaryValue, list_boundary_values
from voicegauge.conformance.cases.case import ConformanceCase, rejection_statuses
from voicegauge.conformance.cases.sample_values import sample_value
from voicegauge.conformance.cases.valid_requests import minimal_request, text_characters
from voicegauge.contract import MISSING, Operation, Parameter, Target, parse_text_value

_UNKNOWN_IDS = ("no-such-id", "0" * 32, "00000000-0000-4000-8000-000000000000", "0")
"""Ids that nobody gave out; the first one that fits the schema is sent."""


def parameter_cases(operation: Operation, wire: RequestParts, target: Target | None) -> Iterator[ConformanceCase]:
    """Every probe of a query or header parameter with a schema of bounds or choices, and its documented example."""
    for parameter in operation.parameters:
        if parameter.location not in ("query", "header"):
            continue
        pointer = f"{parameter.pointer}/schema"
        for probe in list_boundary_values(
            operation.contract.schemas, parameter.data.get("schema", {}), pointer, (parameter.name,)
        ):
            text = as_text(probe.value)
            if text is None or fits_parameter(parameter, text) is not probe.valid or _names_a_thing(probe):
                continue
            yield _case(operation, _with_parameter(wire, parameter, text), probe, target)
        example = as_text(parameter.data.get("example"))
        if example is not None and not parameter.required and not _is_told(operation, parameter):
            description = f"{parameter.name} {example!r}, as documented"
            probe = BoundaryValue((parameter.name,), example, description, pointer, valid=True)
            yield _case(operation, _with_parameter(wire, parameter, example), probe, target)


def _is_told(operation: Operation, parameter: Parameter) -> bool:
    """Whether the parameter names a URL to be told at: the documented one is somebody else's."""
    urls = operation.webhook.url if operation.webhook is not None else ()
    return any(url.at == f"{parameter.location}.{parameter.name}" for url in urls)


def _names_a_thing(probe: BoundaryValue) -> bool:
    """A valid text that is none of a few choices names something that must exist, or a URL that is called."""
    return probe.valid and isinstance(probe.value, str) and probe.at.rpartition("/")[2] not in ("enum", "const")


def as_text(value: Any) -> str | None:
    """A parameter's value as it goes over the wire; `None` for what cannot."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    printable = isinstance(value, str) and value.isascii() and value.isprintable() and value.strip() == value != ""
    return value if printable else None


def fits_parameter(parameter: Parameter, text: str) -> bool:
    """Whether `text` fits the parameter's schema, read as its type."""
    value = parse_text_value(parameter.contract.schemas, parameter.schema, text)
    return next(iter(parameter.errors(value)), None) is None


def _with_parameter(wire: RequestParts, parameter: Parameter, text: str) -> RequestParts:
    query = {**wire.query, parameter.name: text} if parameter.location == "query" else wire.query
    headers = {**wire.headers, parameter.name: text} if parameter.location == "header" else wire.headers
    return RequestParts(path=wire.path, query=query, headers=headers, body=wire.body, media_type=wire.media_type)


def _case(operation: Operation, wire: RequestParts, probe: BoundaryValue, target: Target | None) -> ConformanceCase:
    return ConformanceCase(
        id=f"{operation.contract.id}/{operation.id}: {probe.description}",
        provider=operation.contract.id,
        operation=operation.id,
        target=target.name if target else None,
        expected=ExpectedResponse(
            verdict="accepted" if probe.valid else "rejected",
            statuses=() if probe.valid else rejection_statuses(operation, "invalid"),
            kind="valid" if probe.valid else "invalid",
            description=probe.description,
            contract_pointer=probe.at,
        ),
        wire=wire,
        text_characters=text_characters(operation, wire),
    )


def other_operation_wire(operation: Operation) -> tuple[RequestParts | None, bool]:
    """A request to an operation that speaks nothing, and whether what it names is there.

    Ids cannot be known beforehand: they are made up. `None` where no value is known for
    a required parameter or field.
    """
    body = minimal_request(operation)
    if body is None:
        return None, False
    path: dict[str, Any] = {}
    query: dict[str, Any] = {}
    known = True
    for parameter in operation.parameters:
        if not parameter.required:
            continue
        value, found = _value(operation, parameter)
        if value is MISSING or parameter.location not in ("path", "query"):
            return None, False
        known = known and found
        (path if parameter.location == "path" else query)[parameter.name] = value
    return RequestParts(path=path, query=query, body=body.body, media_type=body.media_type), known


def _value(operation: Operation, parameter: Parameter) -> tuple[Any, bool]:
    """A value for a required parameter, and whether it means something that is there."""
    if "enum" in parameter.schema or "default" in parameter.schema:
        return sample_value(operation.contract.schemas, parameter.schema), True
    blanked = re.sub("[0-9a-f]", "0", str(parameter.data.get("example", "")))  # in the form of the documented one
    unknown = next((text for text in (*_UNKNOWN_IDS, blanked) if text and fits_parameter(parameter, text)), MISSING)
    return unknown, False
