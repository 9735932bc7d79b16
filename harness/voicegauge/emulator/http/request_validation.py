"""Parses requests as the contract documents them, and rejects invalid ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from voicegauge.contract import MISSING, MediaType, Operation, Parameter, SchemaViolation, parse_text_value
from voicegauge.emulator.http.request import IncomingRequest, ParsedRequest, Rejection
from voicegauge.emulator.http.schema_values import iterate_schemas_at
from voicegauge.formats import (
    Form,
    UnreadableBodyError,
    is_form,
    is_json,
    is_text,
    read_form,
    read_json,
    read_text,
    unescape_pointer_token,
)
from voicegauge.model import UploadedFile

_REQUIRED_FIELD_ERROR_PATTERN = re.compile(r'^"(.+)" is a required property')


def parse_request(
    incoming_request: IncomingRequest,
    operation: Operation,
    path_parameters: Mapping[str, str],
    *,
    rejects_unsupported_values: bool = True,
    ignored_keywords: tuple[str, ...] = (),
) -> ParsedRequest:
    """Parse `incoming_request` as a request to `operation`, and then empty its body, to free memory.

    Args:
            incoming_request: the request as received.
            operation: the operation it was routed to.
            path_parameters: path parameters as text.
            rejects_unsupported_values: whether requests that violate the contract are rejected; unreadable bodies
                always are.
            ignored_keywords: JSON Schema keywords of the body that are not enforced.

    Raises:
            Rejection: a parameter or the body is not as documented.
    """
    values: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    sources = {"path": path_parameters, "query": incoming_request.query, "header": incoming_request.headers}
    values["query"].update(incoming_request.query)
    values["header"].update(incoming_request.headers)
    values["path"].update(path_parameters)
    for parameter in operation.parameters:
        if parameter.message_part in sources:
            key = parameter.name.lower() if parameter.message_part == "header" else parameter.name
            values[parameter.message_part].update(
                _read_parameter(parameter, sources[parameter.message_part], key, rejects_unsupported_values)
            )
    media, body = _read_body(incoming_request, operation)
    incoming_request.body, incoming_request.form_reader = b"", None
    if rejects_unsupported_values and media is not None and body is not MISSING:
        _check_body(media, body, ignored_keywords)
    return ParsedRequest(incoming_request, operation, values["path"], values["query"], values["header"], body, media)


def _read_parameter(
    parameter: Parameter, text_by_parameter: Mapping[str, str], parameter_key: str, rejects_unsupported_values: bool
) -> dict[str, Any]:
    if parameter_key not in text_by_parameter:
        if rejects_unsupported_values and parameter.is_required:
            raise Rejection(
                "invalid", parameter.name, f"{parameter.message_part} parameter {parameter.name} is missing"
            )
        return {}
    value, errors = parameter.parse_text(text_by_parameter[parameter_key])
    if rejects_unsupported_values and errors:
        raise Rejection("invalid", parameter.name, f"{parameter.name}: {errors[0].message}")
    return {parameter_key: value}


def _read_body(incoming_request: IncomingRequest, operation: Operation) -> tuple[MediaType | None, Any]:
    documented = operation.request_media
    if not documented:
        return None, MISSING
    if not incoming_request.body_size_bytes:
        if _is_body_required(operation):
            raise Rejection("invalid", _find_first_required_field(documented), "the request has no body")
        return None, MISSING
    content_type = incoming_request.find_header("content-type") or ""
    name = content_type.split(";")[0].strip().lower()
    media = documented.get(name) or next((m for m in documented.values() if is_json(name) and is_json(m.name)), None)
    if media is None:
        raise Rejection("invalid", None, f"the body must be {' or '.join(documented)}, not {name or 'without a type'}")
    try:
        if is_json(media.name):
            return media, read_json(incoming_request.body)
        if is_form(media.name):
            return media, _parse_form(media, _read_form(incoming_request))
        if is_text(media.name):
            return media, read_text(incoming_request.body)
    except UnreadableBodyError as error:
        raise Rejection("invalid", None, f"the body {error}") from error
    return media, incoming_request.body


def _find_first_required_field(media_by_name: Mapping[str, MediaType]) -> str | None:
    """Return the name of the first required field; `None` if no field is required.

    The error for an empty body usually names that field.
    """
    for media in media_by_name.values():
        if isinstance(media.schema, dict) and media.schema.get("required"):
            return str(media.schema["required"][0])
    return None


def _is_body_required(operation: Operation) -> bool:
    body, _ = operation.contract.schemas.resolve_reference(operation.part_data["requestBody"])
    return bool(body.get("required", False))


def _read_form(incoming_request: IncomingRequest) -> Form:
    if incoming_request.form_reader is not None:
        return incoming_request.form_reader.finish()
    return read_form(incoming_request.find_header("content-type") or "", incoming_request.body)


def _parse_form(media_spec: MediaType, form: Form) -> dict[str, Any]:
    schemas = media_spec.schemas
    values: dict[str, Any] = {}
    for name, text in form.fields.items():
        found = next(iterate_schemas_at(schemas, media_spec.schema, [name]), {})
        values[name] = parse_text_value(schemas, found, text)
    return {**values, **form.files}


def _check_body(media_spec: MediaType, body: Any, ignored_keywords: tuple[str, ...]) -> None:
    if isinstance(body, dict) and is_form(media_spec.name):
        body = {name: _convert_to_json_value(media_spec, name, value) for name, value in body.items()}
    for error in media_spec.iterate_violations(body):
        if error.keyword in ignored_keywords:
            continue
        field = _find_outermost_field(error)
        raise Rejection("invalid", field, f"{field or 'body'}: {error.message}")


def _convert_to_json_value(media_spec: MediaType, field_name: str, value: Any) -> Any:
    """Return the JSON value that is validated in place of the value of a form field.

    JSON has no files. Therefore a text stands for a file if the schema requires one, else an object that is invalid.

    Raises:
        Rejection: the schema requires a file, but the field is a text.
    """
    takes_file = any(
        schema.get("format") == "binary" or "contentMediaType" in schema
        for schema in iterate_schemas_at(media_spec.schemas, media_spec.schema, [field_name])
    )
    if isinstance(value, UploadedFile):
        return "file" if takes_file else {"filename": value.filename}
    if takes_file and isinstance(value, str):
        raise Rejection("invalid", field_name, f"{field_name} must be an uploaded file")
    return value


def _find_outermost_field(schema_violation: SchemaViolation) -> str | None:
    """Return the name of the outermost field that is invalid or missing; `None` if the violation is about no field.

    Documented errors name that field.
    """
    pointer_tokens = [unescape_pointer_token(token) for token in schema_violation.value_pointer.split("/")[1:]]
    if pointer_tokens:
        return pointer_tokens[0]
    found = (
        _REQUIRED_FIELD_ERROR_PATTERN.match(schema_violation.message)
        if schema_violation.keyword == "required"
        else None
    )
    return found.group(1) if found else None


def iterate_uploaded_files(body: Any) -> Iterator[tuple[str, UploadedFile]]:
    """Yield the field name and the file of every upload in a form."""
    if isinstance(body, dict):
        yield from ((name, value) for name, value in body.items() if isinstance(value, UploadedFile))
