"""Faults of what is accepted: enumerations, bounds, required fields, pairs of parameters, keys."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mutation.mutant import Mutant, at
from voicegauge.contract import MISSING, Operation
from voicegauge.contract.walking import walk_objects
from voicegauge.emulator import Fault
from voicegauge.emulator.http import ParsedRequest
from voicegauge.formats.located_yaml import escape

ACCEPTS = frozenset({"accepts-invalid"})
REFUSES = frozenset({"refuses-valid"})
STEP = 0.05
"""By which the bound of a number is moved; a whole number's is moved by one."""
PAIRS = 12
"""Two-parameter faults of one operation."""
MAX_LENGTH = 200_000
"""A longer text is not sent by anybody."""


class Field(NamedTuple):
    """A field of a body or a query parameter, with its schema."""

    name: str
    schema: dict[str, Any]
    pointer: str
    """Of the schema."""
    constant: bool = False
    """Whether it chooses the target."""
    text: bool = False
    """Whether it is what is spoken: the emulator refuses a blank one whatever the schema says."""
    required: bool = False
    media: str = ""
    """Its media type, where the operation takes several."""


def request_mutants(operation: Operation) -> Iterator[Mutant]:
    """Every fault of what one operation accepts."""
    fields = list(_fields(operation))
    for field in fields:
        for says, kind, rules, edit in _edits(field):
            says = f"{field.name} {says}{f' ({field.media})' if field.media else ''}"
            yield _edited(operation, kind, says, rules, field.pointer, edit)
    yield from _required_mutants(operation)
    yield from _pair_mutants(operation, fields)
    yield from _upload_mutants(operation)
    if operation.needs_key:
        yield Mutant(
            kind="authentication dropped",
            id=f"{operation.contract.id}/{operation.id}: no key is asked for",
            operation=operation.id,
            # Where an id is asked for that nobody gave out, it shows as the status of an unknown id.
            rules=frozenset({"auth-not-enforced", *(["wrong-error-status"] if _asks_for_one(operation) else [])}),
            contract=operation.contract,
            planted=(f"ignored-key@{operation.contract.id}/{operation.id}",),
        )


def _fields(operation: Operation) -> Iterator[Field]:
    schemas = operation.contract.schemas
    speech = operation.speech
    constants = {place for spec in speech.targets.values() for place in spec.constants} if speech else set()
    seen: set[str] = set()
    for media in operation.request_media.values():
        schema, pointer = schemas.resolve(media.data.get("schema", {}), media.schema_pointer or "")
        for name, inner in schema.get("properties", {}).items():
            inner, place = schemas.resolve(inner, f"{pointer}/properties/{escape(name)}")
            if isinstance(inner, dict) and place not in seen:
                seen.add(place)
                body = f"body#/{name}"
                text = speech is not None and speech.request["text"].at == body
                required = name in schema.get("required", ())
                told = media.name if len(operation.request_media) > 1 else ""
                yield Field(name, inner, place, body in constants, text, required, told)
    for parameter in operation.parameters:
        if parameter.location == "query":
            inner, place = schemas.resolve(parameter.data.get("schema", {}), f"{parameter.pointer}/schema")
            if place not in seen:
                seen.add(place)
                yield Field(parameter.name, inner, place)


def _edited(
    operation: Operation, kind: str, says: str, rules: frozenset[str], pointer: str, edit: Callable[[Any], None]
) -> Mutant:
    contract = operation.contract
    return Mutant(
        kind=kind,
        id=f"{contract.id}/{operation.id}: {says}",
        operation=operation.id,
        rules=rules,
        contract=contract,
        edit=lambda data: _edit_all(data, pointer, edit),
    )


def _edit_all(data: Any, pointer: str, edit: Callable[[Any], None]) -> None:
    """Change the schema, and take away the plans' limits on texts: they would stand in for its own."""
    edit(at(data, pointer))
    for _, node in walk_objects(data):
        if "text_characters" in node and "requests_per_minute" in node:
            del node["text_characters"]


Edit = tuple[str, str, frozenset[str], Callable[[Any], None]]
"""What is wrong, the class of fault, the rules that fit, the change of the schema."""


def _edits(field: Field) -> Iterator[Edit]:
    yield from _enum_edits(field)
    yield from _bound_edits(field)
    if field.schema.get("type") in ("integer", "boolean") and "enum" not in field.schema:
        yield "of any type is accepted", "type not checked", ACCEPTS, lambda schema: schema.clear()
    if "pattern" in field.schema and not field.text:
        yield "is not held to its pattern", "bound moved", ACCEPTS, lambda schema: schema.pop("pattern")


def _enum_edits(field: Field) -> Iterator[Edit]:
    values = field.schema.get("enum")
    if not values:
        return

    def drop(schema: Any) -> None:
        del schema["enum"]

    def any_case(schema: Any) -> None:
        schema["enum"] = [*values, *(value.upper() for value in values if isinstance(value, str))]

    if not field.constant:  # a target that is not there cannot be played
        yield "takes any value", "enumeration value added", ACCEPTS, drop
    if any(isinstance(value, str) and value != value.upper() for value in values):
        # What chooses the target is then refused as a target that is not there.
        rules = ACCEPTS | {"wrong-error-status"} if field.constant else ACCEPTS
        yield "takes capital letters", "enumeration value added", rules, any_case
    for value in values if len(values) > 1 else ():
        yield f"refuses {value!r}", "enumeration value changed", REFUSES, _without_value(value)


def _without_value(value: Any) -> Callable[[Any], None]:
    def edit(schema: Any) -> None:
        schema["enum"] = [known for known in schema["enum"] if known != value]

    return edit


def _bound_edits(field: Field) -> Iterator[Edit]:
    whole = "number" not in field.schema.get("type", "")
    for keyword, outwards in (("minimum", -1), ("maximum", 1), ("minLength", -1), ("maxLength", 1)):
        bound = field.schema.get(keyword)
        if bound is None or bound > MAX_LENGTH:
            continue
        step = 1 if whole or keyword.endswith("Length") else STEP
        for sign, rules in ((outwards, ACCEPTS), (-outwards, REFUSES)):
            moved = round(bound + sign * step, 6)
            if not (keyword == "minLength" and (moved < 0 or (field.text and moved < bound))):
                yield f"has {keyword} {moved} for {bound}", "bound moved", rules, _with(keyword, moved)
        if keyword in ("minimum", "maximum"):
            exclusive = f"exclusive{keyword.capitalize()}"
            yield f"has {exclusive} {bound}", "bound moved", REFUSES, _with(exclusive, bound)


def _with(keyword: str, value: Any) -> Callable[[Any], None]:
    def edit(schema: Any) -> None:
        schema[keyword] = value

    return edit


def _required_mutants(operation: Operation) -> Iterator[Mutant]:
    schemas = operation.contract.schemas
    subject = _worked_on(operation)
    for media in operation.request_media.values():
        schema, pointer = schemas.resolve(media.data.get("schema", {}), media.schema_pointer or "")
        for name in schema.get("properties", {}):
            required = name in schema.get("required", ())
            if name in subject:
                continue  # nothing can be done without it, so that no provider takes a request that leaves it out
            says = f"{name} {'may be left out' if required else 'must be there'} ({media.name})"
            rules = ACCEPTS if required else REFUSES
            yield _edited(operation, "required changed", says, rules, pointer, _toggled(name, required=required))


def _worked_on(operation: Operation) -> set[str]:
    """The fields of what an operation works on: a text to be spoken, the items of a batch, audio or words taken in."""
    places = [operation.speech.request["text"].at] if operation.speech else []
    places += [operation.batch.items] if operation.batch else []
    places += [operation.audio_input.request["audio"].at] if operation.audio_input else []
    places += [operation.chat.text] if operation.chat else []
    return {place.tokens[0] for place in places if place.kind == "body"}


def _asks_for_one(operation: Operation) -> bool:
    return any(parameter.required and parameter.location in ("path", "query") for parameter in operation.parameters)


def _toggled(name: str, *, required: bool) -> Callable[[Any], None]:
    def edit(schema: Any) -> None:
        names = schema.get("required", [])
        schema["required"] = [known for known in names if known != name] if required else [*names, name]

    return edit


def _upload_mutants(operation: Operation) -> Iterator[Mutant]:
    """A limit of uploads that is not kept."""
    uploads = operation.limits.uploads if operation.speech and "multipart/form-data" in operation.request_media else {}
    for field, upload in uploads.items():
        for limit in ("max_bytes", "min_s", "min_sample_rate_hz", "formats"):
            if getattr(upload, limit):
                says = f"{field} is not held to {limit}"
                yield _edited(operation, "upload limit dropped", says, ACCEPTS, "", _unlimited(field, limit))


def _unlimited(field: str, limit: str) -> Callable[[Any], None]:
    def edit(data: Any) -> None:
        for _, node in walk_objects(data):
            if isinstance(node.get("uploads"), dict):
                node["uploads"].get(field, {}).pop(limit, None)

    return edit


# Faults that need two parameters at once


class Condition(NamedTuple):
    """A parameter in one of its classes of values."""

    field: str
    says: str
    holds: Callable[[Any], bool]


def _pair_mutants(operation: Operation, fields: list[Field]) -> Iterator[Mutant]:
    if operation.speech is None:
        return
    classes = [list(_conditions(field)) for field in fields if not field.constant and not field.text]
    pairs = [pair for one, two in itertools.combinations(classes, 2) for pair in itertools.product(one, two)]
    stride = max(1, len(pairs) // PAIRS)
    for one, two in pairs[::stride]:
        yield Mutant(
            kind="two parameters",
            id=f"{operation.contract.id}/{operation.id}: fails where {one.says} and {two.says}",
            operation=operation.id,
            rules=frozenset({"server-error"}),
            contract=operation.contract,
            faults=(Fault(id="mutant", description="two parameters", reject=_met(operation, one, two)),),
        )


def _met(operation: Operation, one: Condition, two: Condition) -> Callable[[ParsedRequest, int], str | None]:
    def meets(request: ParsedRequest, _number: int) -> str | None:
        if request.operation.id != operation.id or not isinstance(request.body, dict):
            return None
        sent = {**request.body, **request.query}
        both = all(condition.holds(sent.get(condition.field, MISSING)) for condition in (one, two))
        return "internal" if both else None

    return meets


def _conditions(field: Field) -> Iterator[Condition]:
    schema = field.schema
    for value in schema.get("enum", ()):
        yield Condition(field.name, f"{field.name} is {value!r}", lambda sent, value=value: sent == value)
    if schema.get("type") == "boolean":
        yield Condition(field.name, f"{field.name} is true", lambda sent: sent is True)
        yield Condition(field.name, f"{field.name} is false", lambda sent: sent is False)
    for keyword in ("minimum", "maximum"):
        if keyword in schema:
            bound = schema[keyword]
            yield Condition(field.name, f"{field.name} is {bound}", lambda sent, bound=bound: sent == bound)
    if "enum" not in schema:
        yield Condition(field.name, f"{field.name} is sent", lambda sent: sent is not MISSING)
        if not field.required:
            yield Condition(field.name, f"{field.name} is left out", lambda sent: sent is MISSING)
