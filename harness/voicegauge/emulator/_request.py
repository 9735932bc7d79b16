"""A received request, and its validation against the contract."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voicegauge.contract.contract import BaseTarget
from voicegauge.contract.document_parts import MediaType, Parameter
from voicegauge.contract.extension.speech import FieldMapping
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import SchemaViolation, parse_field_value
from voicegauge.emulator._schema_values import iterate_body_schemas, iterate_schemas_at
from voicegauge.formats.bodies import (
    Form,
    MultipartReader,
    UnreadableBodyError,
    is_form,
    is_json,
    is_text,
    read_form,
    read_json,
    read_text,
)
from voicegauge.formats.located_yaml import split_json_pointer
from voicegauge.formats.locations import MISSING, Location, read_pointer
from voicegauge.model.exchange import UploadedFile

# Reads and writes values of response bodies at locations such as "body#/data/0/url".


def read_value_at(body: Any, location: Location | None) -> Any:
    """Return the value at `location`; `MISSING` without a value, or if `location` is `None` or not in the body."""
    return MISSING if location is None else location.read_body(body)


def write_value_at(body: Any, location: Location, value: Any) -> Any:
    """Write `value` at `location` of `body`, and return the changed body.

    Missing parents are created, and a scalar in the place of a parent is replaced.
    """
    return _write_value_at_tokens(body, location.pointer_tokens, value)


def _write_value_at_tokens(body: Any, pointer_tokens: Sequence[str], value: Any) -> Any:
    """Write a value at a path below `body`, and return the changed body, which may be another object."""
    if not pointer_tokens:
        return value
    token, rest = pointer_tokens[0], pointer_tokens[1:]
    if isinstance(body, list) and token.isdecimal():
        index = int(token)  # of a list that may be shorter: items before it stay null
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
    """Whether `body` has a value at `location`, or its documented schema allows one there.

    `media_spec` describes the body; `None` if it is not documented, and then the result is false.
    """
    if media_spec is None or not location.is_in_body:
        return False
    return read_pointer(body, location.pointer_tokens) is not MISSING or is_location_documented(media_spec, location)


def is_location_documented(media_spec: MediaType, location: Location) -> bool:
    """Whether the documented schema of `media_spec` allows a value at a location in the body."""
    return location.is_in_body and next(iterate_body_schemas(media_spec, location.pointer_tokens), None) is not None


# Defines incoming requests, before and after they are parsed according to the contract.


class Rejection(Exception):  # noqa: N818 - part of normal operation: it selects the error response
    """Raised for a request that must be answered with an error response."""

    def __init__(
        self,
        reason: str,
        field_name: str | None,
        detail: str,
        *,
        schema_keyword: str | None = None,
        is_requested: bool = False,
    ) -> None:
        """Store why the request is rejected.

        Args:
            reason: the rejection reason, for example "invalid" or "not-found".
            field_name: name of the field or parameter that caused the rejection; `None` if none did.
            detail: one sentence about what is wrong, which names the field and its value.
            schema_keyword: the JSON Schema keyword that is violated, for example "type"; `None` if none is.
            is_requested: whether a fault or the scenario header asks for the error, so that no part of the request is
                its cause.
        """
        super().__init__(detail)
        self.reason, self.field_name, self.detail = reason, field_name, detail
        self.schema_keyword, self.is_requested = schema_keyword, is_requested


@dataclass
class IncomingRequest:
    """A request as it was received."""

    method: str
    """The HTTP method, in capital letters."""
    path: str
    """Path below the provider's prefix, with its percent-escapes."""
    query: Mapping[str, str]
    """Query parameters by name, decoded; of one that is repeated, the last."""
    headers: Mapping[str, str]
    """Headers of the request, with names in lower case."""
    body: bytes
    """The body; empty for a form that `form_reader` parsed, and after `parse_request`, to free memory."""
    base_url: str
    """The provider's URL in this emulator, such as "http://host:port/provider", built from the Host header."""
    client_address: str
    """Network address of the client."""
    raw_query: str = ""
    """The query as it was received, with its percent-escapes."""
    body_size_bytes: int = 0
    """Size of the body that was received."""
    form_reader: MultipartReader | None = None
    """Reader that parsed a form while it was received; `None` for another kind of body, and after `parse_request`."""

    def find_header(self, name: str) -> str | None:
        """Return the value of the header `name` in any letter case; `None` if the request has no such header."""
        return self.headers.get(name.lower())


@dataclass(frozen=True)
class ParsedRequest:
    """A request parsed as one of the contract's operations."""

    incoming_request: IncomingRequest
    operation: Operation
    path_parameters: Mapping[str, Any]
    """Values of the path parameters by name, as the types that the contract documents."""
    query_parameters: Mapping[str, Any] = field(default_factory=dict)
    """Values of the query parameters by name; undocumented ones are texts."""
    headers: Mapping[str, Any] = field(default_factory=dict)
    """Headers of the request, with names in lower case."""
    body: Any = MISSING
    """JSON value, form fields by name, text or bytes; `MISSING` if the request has no documented body."""
    documented_media_type: MediaType | None = None
    """Documented media type that matches the Content-Type; `None` if the request has no documented body."""
    rejects_unsupported_values: bool = True
    """Whether the request is rejected if it has a value that the contract or the emulator does not support. Otherwise,
    as a fault demands, a default replaces the value."""

    def read_value(self, location: Location) -> Any:
        """Return the value at `location`, for example "body#/text"; `MISSING` if there is none."""
        return location.read_request(self)


# Finds the default and other values that a contract documents for one location of a request.


def find_default_value(request: ParsedRequest, location: Location) -> Any:
    """Return the documented default of the value at `location`; `MISSING` if none is documented."""
    return _find_documented_default(request.operation, request.documented_media_type, location)


def read_value_or_default(request: ParsedRequest, location: Location) -> Any:
    """Return the value at `location`, else its documented default; `MISSING` if there is neither."""
    value = request.read_value(location)
    return find_default_value(request, location) if value is MISSING else value


def has_default_value(operation: Operation, location: Location) -> bool:
    """Whether a default of the value at `location` is documented, for any media type of requests."""
    bodies = (None, *operation.request_media.values())
    return any(_find_documented_default(operation, media_spec, location) is not MISSING for media_spec in bodies)


@functools.lru_cache(maxsize=256)
def find_documented_maximum(operation: Operation, location: Location) -> float | None:
    """Return the documented `maximum` of the value at `location`; `None` without one, also if a bound is exclusive."""
    found = _find_schemas(operation, next(iter(operation.request_media.values()), None), location)
    return next((schema["maximum"] for schema in found if "maximum" in schema), None)


def _find_documented_default(operation: Operation, media_spec: MediaType | None, location: Location) -> Any:
    found = _find_schemas(operation, media_spec, location)
    return next((schema["default"] for schema in found if "default" in schema), MISSING)


def reject_undocumented_value(
    request: ParsedRequest, field_mapping: FieldMapping, value: str, known_values: Iterable[str], reason: str
) -> None:
    """Reject a value that the emulator does not support, unless the contract documents it, or the request must pass.

    Args:
        request: the request.
        field_mapping: the field that has the value.
        value: the value, which the emulator does not support.
        known_values: further values that the contract documents.
        reason: what the emulator does not do, as in "the emulator does not speak".

    Raises:
        Rejection: the value is not documented, and unsupported values are rejected.
    """
    location = field_mapping.location
    documented = _collect_documented_values(request.operation, request.documented_media_type, location)
    is_known = value in (*known_values, *field_mapping.provider_values) or value in documented
    if request.rejects_unsupported_values and not is_known:
        detail = f"{location.field_name}: {reason} {value!r:.80}"
        raise Rejection("invalid", location.field_name, detail, schema_keyword="enum")


@functools.lru_cache(maxsize=256)
def _collect_documented_values(
    operation: Operation, media_spec: MediaType | None, location: Location
) -> frozenset[str]:
    """Return the enumerated values, constants, defaults and examples that the schema at `location` has as texts.

    `media_spec` describes the body of the request; `None` if the operation documents none.
    """
    found: set[str] = set()
    for schema in _find_schemas(operation, media_spec, location):
        listed: list[Any] = [schema.get(key) for key in ("const", "default", "example")]
        for key in ("enum", "examples"):
            values = schema.get(key)
            listed += values if isinstance(values, list) else []
        found.update(value for value in listed if isinstance(value, str))
    return frozenset(found)


def _find_schemas(operation: Operation, media_spec: MediaType | None, location: Location) -> Iterator[dict[str, Any]]:
    if location.message_part == "body":
        yield from iterate_body_schemas(media_spec, location.pointer_tokens)
        return
    for parameter in operation.parameters:
        if parameter.message_part == location.message_part and parameter.name.lower() == location.name.lower():
            yield from iterate_schemas_at(operation.contract.schemas, parameter.schema, ())
            if "example" in parameter.part_data:
                yield {"example": parameter.part_data["example"]}


# Parses requests as the contract documents them, and rejects invalid ones.


_REQUIRED_FIELD_ERROR_PATTERN = re.compile(r'^"(.+)" is a required property')
"""Matches the message about a missing field, whose name the validator states only there."""


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
        rejects_unsupported_values: whether requests that violate the contract are rejected; those with a body that is
            missing, unreadable or of an undocumented type always are.
        ignored_keywords: JSON Schema keywords of the body that are not enforced.

    Raises:
        Rejection: a parameter or the body is not as documented.
    """
    sources = {"path": path_parameters, "query": incoming_request.query, "header": incoming_request.headers}
    # Undocumented parameters stay as they are: as texts.
    values: dict[str, dict[str, Any]] = {part: dict(texts) for part, texts in sources.items()}
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
    return ParsedRequest(
        incoming_request,
        operation,
        values["path"],
        values["query"],
        values["header"],
        body,
        media,
        rejects_unsupported_values,
    )


def _read_parameter(
    parameter: Parameter, text_by_parameter: Mapping[str, str], parameter_key: str, rejects_unsupported_values: bool
) -> dict[str, Any]:
    if parameter_key not in text_by_parameter:
        if rejects_unsupported_values and parameter.is_required:
            detail = f"{parameter.message_part} parameter {parameter.name} is missing"
            raise Rejection("invalid", parameter.name, detail, schema_keyword="required")
        return {}
    value, errors = parameter.parse_text(text_by_parameter[parameter_key])
    if rejects_unsupported_values and errors:
        raise Rejection(
            "invalid", parameter.name, f"{parameter.name}: {errors[0].message}", schema_keyword=errors[0].keyword
        )
    return {parameter_key: value}


def _read_body(incoming_request: IncomingRequest, operation: Operation) -> tuple[MediaType | None, Any]:
    documented = operation.request_media
    if not documented:
        return None, MISSING
    if not incoming_request.body_size_bytes:
        request_body, _ = operation.contract.schemas.resolve_reference(operation.part_data["requestBody"])
        if request_body.get("required"):
            field = _find_first_required_field(documented)
            missing = f", and {field} is required" if field else ""
            raise Rejection("invalid", field, f"the request has no body{missing}", schema_keyword="required")
        return None, MISSING
    content_type = incoming_request.find_header("content-type") or ""
    name = content_type.split(";")[0].strip().lower()
    # A document with application/json means every kind of JSON, such as application/vnd.acme+json.
    media = operation.find_request_media(name) or next(
        (m for m in documented.values() if is_json(name) and is_json(m.name)), None
    )
    if media is None:
        raise Rejection("invalid", None, f"the body must be {' or '.join(documented)}, not {name or 'without a type'}")
    try:
        if is_json(media.name):
            return media, read_json(incoming_request.body)
        if is_form(media.name):
            reader = incoming_request.form_reader
            form = read_form(content_type, incoming_request.body) if reader is None else reader.finish()
            return media, _parse_form(media, form)
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


def _parse_form(media_spec: MediaType, form: Form) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in form.fields.items():
        schema = next(iterate_body_schemas(media_spec, [name]), {})
        values[name] = parse_field_value(media_spec.schemas, schema, text, media_spec.separator_by_list_field.get(name))
    return {**values, **form.files}


def _check_body(media_spec: MediaType, body: Any, ignored_keywords: tuple[str, ...]) -> None:
    if isinstance(body, dict) and is_form(media_spec.name):
        body = {name: _convert_to_json_value(media_spec, name, value) for name, value in body.items()}
    for error in media_spec.iterate_violations(body):  # the first one decides: documented errors name one field
        if error.keyword in ignored_keywords:
            continue
        is_choice = error.keyword in ("anyOf", "oneOf")
        if is_choice:
            error = _find_violation_of_nearest_branch(media_spec, error, body) or error
        field = _find_outermost_field(error)
        tokens = split_json_pointer(error.value_pointer)
        path, message, sent = ".".join(tokens), error.message, f"{read_pointer(body, tokens)!r:.80}"
        if is_choice and error.keyword in ("const", "enum"):
            message = f"{sent} is none of the documented values"  # its own message has the values of one branch only
        elif error.keyword == "const":
            message += f", not {sent}"  # its own message has the expected value only
        raise Rejection("invalid", field, f"{path or field or 'body'}: {message}", schema_keyword=error.keyword)


def _find_violation_of_nearest_branch(
    media_spec: MediaType, schema_violation: SchemaViolation, body: Any
) -> SchemaViolation | None:
    """Return the violation by that branch of a choice (`anyOf`, `oneOf`) which the body violates least.

    The violation of the choice itself names no field, but services name the field that is wrong. Return `None` if the
    choice is about a field and not about the whole body, or if branches are violated equally little for different
    reasons.
    """
    if schema_violation.value_pointer:
        return None
    pointer = schema_violation.keyword_pointer
    tokens = split_json_pointer(pointer)
    branches = read_pointer(media_spec.schemas.document.data, tokens)
    if not isinstance(branches, list):
        return None
    found = [list(media_spec.schemas.iterate_violations(f"{pointer}/{index}", body)) for index in range(len(branches))]
    fewest = min(map(len, found))
    # Branches that fit as little, for another field each, do not say which one the client meant.
    nearest = [violations[0] for violations in found if violations and len(violations) == fewest]
    return nearest[0] if len({_find_outermost_field(violation) for violation in nearest}) == 1 else None


def _convert_to_json_value(media_spec: MediaType, field_name: str, value: Any) -> Any:
    """Return the JSON value that is validated in place of the value of a form field.

    JSON has no files. Therefore a text stands for a file if the schema requires one, else an object that is invalid.

    Raises:
        Rejection: the schema requires a file, but the field is a text.
    """
    takes_file = any(
        schema.get("format") == "binary" or "contentMediaType" in schema
        for schema in iterate_body_schemas(media_spec, [field_name])
    )
    if isinstance(value, UploadedFile):
        return "file" if takes_file else {"filename": value.filename}
    if takes_file and isinstance(value, str):
        detail = f"{field_name} must be an uploaded file, not {value!r:.80}"
        raise Rejection("invalid", field_name, detail, schema_keyword="type")
    return value


def _find_outermost_field(schema_violation: SchemaViolation) -> str | None:
    """Return the name of the outermost field that is invalid or missing; `None` if the violation is about no field.

    Documented errors name that field.
    """
    pointer_tokens = split_json_pointer(schema_violation.value_pointer)
    if pointer_tokens:
        return pointer_tokens[0]
    is_missing = schema_violation.keyword == "required"
    found = _REQUIRED_FIELD_ERROR_PATTERN.match(schema_violation.message) if is_missing else None
    return found.group(1) if found else None


def iterate_uploaded_files(body: Any) -> Iterator[tuple[str, UploadedFile]]:
    """Yield the field name and the file of every upload in a form."""
    if isinstance(body, dict):
        yield from ((name, value) for name, value in body.items() if isinstance(value, UploadedFile))


# Rejects models that no target has.


def reject_unknown_model(
    request: ParsedRequest, targets: Sequence[BaseTarget], *, rejects_every_other_value: bool = False
) -> None:
    """Reject a request that selects none of the `targets` of its operation, if the contract documents such an error.

    Args:
        request: the request, which contradicts a constant of every target.
        targets: the targets of its operation.
        rejects_every_other_value: whether a request is also rejected if the value that selects no target is another one
            than the name of a model.

    Raises:
        Rejection: the request selects none of them, and such an error is documented.
    """
    unknown_model = _find_unknown_model(request, targets)
    field = next(str(location.field_name) for target in targets for location in target.target_spec.request_constants)
    detail = f"{field}: no such model" if unknown_model is None else f"{field}: no such model: {unknown_model!r:.80}"
    if has_not_found_example(request.operation) and (rejects_every_other_value or unknown_model is not None):
        raise Rejection("not-found", field, detail)
    # Without such a documented error, a rejection would be a finding that no client has caused.
    if unknown_model is not None and {"400", "422", "4XX"} & request.operation.responses.keys():
        raise Rejection("invalid", field, detail, schema_keyword="enum")


def has_not_found_example(operation: Operation) -> bool:
    """Whether an example of an error of `operation` is marked as the one for what does not exist."""
    return any(
        (example.rejection_reason or "").partition(":")[0] == "not-found"
        for response in operation.responses.values()
        for media_spec in response.media_types.values()
        for example in media_spec.examples
    )


def _find_unknown_model(request: ParsedRequest, targets: Sequence[BaseTarget]) -> str | None:
    """Return the text, such as the name of a model, that should select a target but selects none; `None` if none."""
    specs = [target.target_spec for target in targets]
    for location in specs[0].request_constants:
        names = [spec.request_constants.get(location) for spec in specs]
        has_patterns = any(location in spec.request_patterns for spec in specs)
        is_choice = location.message_part == "body" and (has_patterns or len(set(map(str, names))) > 1)
        if is_choice and all(isinstance(name, str) for name in names):
            value = request.read_value(location)
            if isinstance(value, str) and not any(spec.allows_value(location, value) for spec in specs):
                return value
    return None
