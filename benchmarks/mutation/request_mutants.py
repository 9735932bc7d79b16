"""Faults in accepting requests: enums, limits, required fields, pairs of parameters, keys."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mutation.mutant import Mutant, value_at
from voicegauge.contract.document_parts import walk_objects
from voicegauge.contract.operation import Operation
from voicegauge.emulator._output import Fault
from voicegauge.emulator._request import ParsedRequest
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING

ACCEPTED_RULES = frozenset({"accepts-invalid"})
REJECTED_RULES = frozenset({"rejects-valid"})
STEP = 0.05
"""Step by which the limit of a number is moved; that of an integer is moved by one."""
PAIRS = 12
"""Two-parameter faults per operation."""
MAX_LENGTH = 200_000
"""Limits of longer texts are not tested, since no case sends such a text."""


class Field(NamedTuple):
    """A field of a body or a query parameter, with its schema."""

    name: str
    schema: dict[str, Any]
    pointer: str
    """Pointer of the schema."""
    constant: bool = False
    """Whether the field selects the target."""
    text: bool = False
    """Whether the field has the text to synthesize: the emulator rejects a blank text, whatever the schema allows."""
    required: bool = False
    media: str = ""
    """Media type of the body with the field, if the operation accepts several media types."""


def request_mutants(operation: Operation) -> Iterator[Mutant]:
    """Iterate over the faults in accepting requests of one operation.

    A provider that differs from what only a client library states has no fault.
    """
    fields = list(_fields(operation))
    for field in fields:
        for description, kind, rules, edit in _edits(field):
            description = f"{field.name} {description}{f' ({field.media})' if field.media else ''}"
            yield _edited(operation, kind, description, rules, field.pointer, edit)
    yield from _required_mutants(operation)
    yield from _pair_mutants(operation, fields)
    yield from _upload_mutants(operation)
    if operation.needs_key:
        yield Mutant(
            kind="authentication dropped",
            id=f"{operation.contract.id}/{operation.id}: no key is required",
            operation=operation.id,
            # For a request with an id, the fault may show as the status of an unknown id.
            rules=frozenset({"auth-not-enforced", *(["wrong-error-status"] if _requires_id(operation) else [])}),
            contract=operation.contract,
            emulator_faults=(f"ignored-key@{operation.contract.id}/{operation.id}",),
        )


def _fields(operation: Operation) -> Iterator[Field]:
    schemas = operation.contract.schemas
    speech = operation.speech
    constants = (
        {str(location) for spec in speech.targets.values() for location in spec.request_constants} if speech else set()
    )
    seen: set[str] = set()
    for media in operation.request_media.values():
        schema, pointer = schemas.resolve_reference(media.part_data.get("schema", {}), media.schema_pointer or "")
        for name, inner in schema.get("properties", {}).items():
            inner, place = schemas.resolve_reference(inner, f"{pointer}/properties/{escape_pointer_token(name)}")
            if isinstance(inner, dict) and place not in seen and operation.contract.has_normative_source(place):
                seen.add(place)
                body = f"body#/{name}"
                text = speech is not None and str(speech.request_fields["text"].location) == body
                required = name in schema.get("required", ())
                media_name = media.name if len(operation.request_media) > 1 else ""
                yield Field(name, inner, place, body in constants, text, required, media_name)
    for parameter in operation.parameters:
        if parameter.message_part == "query":
            inner, place = schemas.resolve_reference(
                parameter.part_data.get("schema", {}), f"{parameter.pointer}/schema"
            )
            if place not in seen:
                seen.add(place)
                yield Field(parameter.name, inner, place)


def _edited(
    operation: Operation, kind: str, description: str, rules: frozenset[str], pointer: str, edit: Callable[[Any], None]
) -> Mutant:
    contract = operation.contract
    return Mutant(
        kind=kind,
        id=f"{contract.id}/{operation.id}: {description}",
        operation=operation.id,
        rules=rules,
        contract=contract,
        edit=lambda data: _edit_all(data, pointer, edit),
    )


def _edit_all(data: Any, pointer: str, edit: Callable[[Any], None]) -> None:
    """Change the schema, and remove the text limits of plans, which would hide a changed limit of the schema."""
    edit(value_at(data, pointer))
    for _, node in walk_objects(data):
        if "max_text_characters" in node and "max_requests_per_minute" in node:
            del node["max_text_characters"]


SchemaEdit = tuple[str, str, frozenset[str], Callable[[Any], None]]
"""Description, class of fault, suitable rules, and the change of the schema."""


def _edits(field: Field) -> Iterator[SchemaEdit]:
    yield from _enum_edits(field)
    yield from _bound_edits(field)
    if field.schema.get("type") in ("integer", "boolean") and "enum" not in field.schema:
        yield "of any type is accepted", "type not checked", ACCEPTED_RULES, lambda schema: schema.clear()
    if "pattern" in field.schema and not field.text:
        yield "is not checked by its pattern", "bound moved", ACCEPTED_RULES, lambda schema: schema.pop("pattern")


def _enum_edits(field: Field) -> Iterator[SchemaEdit]:
    values = field.schema.get("enum")
    if not values:
        return

    def drop(schema: Any) -> None:
        del schema["enum"]

    def any_case(schema: Any) -> None:
        schema["enum"] = [*values, *(value.upper() for value in values if isinstance(value, str))]

    if not field.constant:  # an unknown target cannot be emulated
        yield "takes any value", "enumeration value added", ACCEPTED_RULES, drop
    if any(isinstance(value, str) and value != value.upper() for value in values):
        # A field that selects the target is then rejected as an unknown target.
        rules = ACCEPTED_RULES | {"wrong-error-status"} if field.constant else ACCEPTED_RULES
        yield "takes capital letters", "enumeration value added", rules, any_case
    for value in values if len(values) > 1 else ():
        yield f"rejects {value!r}", "enumeration value changed", REJECTED_RULES, _without_value(value)


def _without_value(value: Any) -> Callable[[Any], None]:
    def edit(schema: Any) -> None:
        schema["enum"] = [known for known in schema["enum"] if known != value]

    return edit


def _bound_edits(field: Field) -> Iterator[SchemaEdit]:
    whole = "number" not in field.schema.get("type", "")
    for keyword, outwards in (("minimum", -1), ("maximum", 1), ("minLength", -1), ("maxLength", 1)):
        bound = field.schema.get(keyword)
        if bound is None or bound > MAX_LENGTH:
            continue
        step = 1 if whole or keyword.endswith("Length") else STEP
        for sign, rules in ((outwards, ACCEPTED_RULES), (-outwards, REJECTED_RULES)):
            moved = round(bound + sign * step, 6)
            if not (keyword == "minLength" and (moved < 0 or (field.text and moved < bound))):
                yield f"has {keyword} {moved} for {bound}", "bound moved", rules, _with(keyword, moved)
        if keyword in ("minimum", "maximum"):
            exclusive = f"exclusive{keyword.capitalize()}"
            yield f"has {exclusive} {bound}", "bound moved", REJECTED_RULES, _with(exclusive, bound)


def _with(keyword: str, value: Any) -> Callable[[Any], None]:
    def edit(schema: Any) -> None:
        schema[keyword] = value

    return edit


def _required_mutants(operation: Operation) -> Iterator[Mutant]:
    schemas = operation.contract.schemas
    subject = _subject_fields(operation)
    for media in operation.request_media.values():
        schema, pointer = schemas.resolve_reference(media.part_data.get("schema", {}), media.schema_pointer or "")
        if not operation.contract.has_normative_source(pointer):
            continue
        for name in schema.get("properties", {}):
            required = name in schema.get("required", ())
            if name in subject:
                continue  # no provider can work without it
            description = f"{name} {'is optional' if required else 'is required'} ({media.name})"
            rules = ACCEPTED_RULES if required else REJECTED_RULES
            yield _edited(operation, "required changed", description, rules, pointer, _toggled(name, required=required))


def _subject_fields(operation: Operation) -> set[str]:
    """Return the fields that an operation works on: a text, the items of a batch, audio input or a chat message."""
    places = [operation.speech.request_fields["text"].location] if operation.speech else []
    places += [operation.batch.requests_location] if operation.batch else []
    places += [operation.audio_input.request_fields["audio"].location] if operation.audio_input else []
    places += [operation.chat.text_location] if operation.chat else []
    return {place.pointer_tokens[0] for place in places if place.message_part == "body" and place.pointer_tokens}


def _requires_id(operation: Operation) -> bool:
    return any(
        parameter.is_required and parameter.message_part in ("path", "query") for parameter in operation.parameters
    )


def _toggled(name: str, *, required: bool) -> Callable[[Any], None]:
    def edit(schema: Any) -> None:
        names = schema.get("required", [])
        schema["required"] = [known for known in names if known != name] if required else [*names, name]

    return edit


def _upload_mutants(operation: Operation) -> Iterator[Mutant]:
    """Iterate over upload limits that are not enforced."""
    uploads = (
        operation.limits.upload_limits if operation.speech and "multipart/form-data" in operation.request_media else {}
    )
    for field, upload in uploads.items():
        for limit in ("max_bytes", "min_duration_s", "min_sample_rate_hz", "accepted_formats"):
            if getattr(upload, limit):
                description = f"{field} is not checked by {limit}"
                yield _edited(
                    operation, "upload limit dropped", description, ACCEPTED_RULES, "", _unlimited(field, limit)
                )


def _unlimited(field: str, limit: str) -> Callable[[Any], None]:
    def edit(data: Any) -> None:
        for _, node in walk_objects(data):
            if isinstance(node.get("upload_limits"), dict):
                node["upload_limits"].get(field, {}).pop(limit, None)

    return edit


# Faults that need two parameters at once


class Condition(NamedTuple):
    """A parameter with a value of one class."""

    field: str
    description: str
    holds: Callable[[Any], bool]


def _pair_mutants(operation: Operation, fields: list[Field]) -> Iterator[Mutant]:
    if operation.speech is None:
        return
    classes = [
        list(_conditions(field, _listed_formats(operation, field)))
        for field in fields
        if not field.constant and not field.text
    ]
    pairs = [pair for one, two in itertools.combinations(classes, 2) for pair in itertools.product(one, two)]
    stride = max(1, len(pairs) // PAIRS)
    for one, two in pairs[::stride]:
        yield Mutant(
            kind="two parameters",
            id=f"{operation.contract.id}/{operation.id}: fails where {one.description} and {two.description}",
            operation=operation.id,
            rules=frozenset({"server-error"}),
            contract=operation.contract,
            faults=(
                Fault(
                    id="mutant",
                    description="two parameters",
                    find_rejection_reason=_both_hold(operation, one, two),
                ),
            ),
        )


def _both_hold(operation: Operation, one: Condition, two: Condition) -> Callable[[ParsedRequest, int], str | None]:
    def reject(request: ParsedRequest, _number: int) -> str | None:
        if request.operation.id != operation.id or not isinstance(request.body, dict):
            return None
        sent = {**request.body, **request.query_parameters}
        both = all(condition.holds(sent.get(condition.field, MISSING)) for condition in (one, two))
        return "internal" if both else None

    return reject


def _listed_formats(operation: Operation, field: Field) -> set[Any] | None:
    """Return the formats that targets list if `field` is the format, else `None`.

    Which model offers the other formats of the operation is not documented.
    """
    assert operation.speech is not None, "only speech operations have faults of two parameters"
    mapping = operation.speech.request_fields.get("format")
    if mapping is None or field.name not in (mapping.location.name, *mapping.location.pointer_tokens):
        return None
    listed = {name for target in operation.speech.targets.values() for name in target.supported_formats}
    return {value for name in listed if isinstance(value := mapping.provider_values.get(name, name), str)} or None


def _conditions(field: Field, only_values: set[Any] | None) -> Iterator[Condition]:
    schema = field.schema
    for value in schema.get("enum", ()):
        if only_values is not None and value not in only_values:
            continue
        yield Condition(field.name, f"{field.name} is {value!r}", functools.partial(operator.eq, value))
    if schema.get("type") == "boolean":
        yield Condition(field.name, f"{field.name} is true", lambda sent: sent is True)
        yield Condition(field.name, f"{field.name} is false", lambda sent: sent is False)
    for keyword in ("minimum", "maximum"):
        if keyword in schema:
            bound = schema[keyword]
            yield Condition(field.name, f"{field.name} is {bound}", functools.partial(operator.eq, bound))
    if "enum" not in schema:
        yield Condition(field.name, f"{field.name} is sent", lambda sent: sent is not MISSING)
        if not field.required:
            yield Condition(field.name, f"{field.name} is missing", lambda sent: sent is MISSING)
