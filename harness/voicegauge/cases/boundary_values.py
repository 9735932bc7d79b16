"""Chooses values at and beyond the bounds of a schema, and values that fit it.

Each value is marked as valid or invalid for the schema that it tests. The caller must still validate the whole request,
because a value that breaks one branch of `oneOf` may fit another branch.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from voicegauge.contract.proposed_parts import SPEECH_FIELD_NAMES
from voicegauge.contract.schemas import Schemas
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import MISSING

# Finds one value that fits a schema: the documented example or default if there is one, else an invented value.


_TEXT_FOR_SCHEMA_WITHOUT_FORMAT = "Good morning"
"""The text for a schema of texts that has no `format`."""
_TEXT_BY_FORMAT_KEYWORD = {
    "uri": "https://example.com/voice.wav",
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "email": "someone@example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
"""A text for each value of the keyword `format`."""


def find_fitting_value(schemas: Schemas, schema: Any, field_name: str = "") -> Any:
    """Return a value that fits `schema`, or `MISSING` if none is found. A text for a field named `language` is "en".

    A generated value satisfies bounds, enumerations and required properties. For a schema with `pattern`, only its
    documented values (example, default, `const`, `enum`) are tried: no value is generated from a pattern.
    """
    schema, _ = schemas.resolve_reference(schema)
    value = _find_fitting_value(schemas, schema)
    is_language = value == _TEXT_FOR_SCHEMA_WITHOUT_FORMAT and field_name.lower() in SPEECH_FIELD_NAMES["language"]
    return "en" if is_language else value


def _find_fitting_value(schemas: Schemas, schema: Any) -> Any:
    # What the document shows comes before what is invented: an id or a URL in an example may exist.
    if not isinstance(schema, dict):
        return _TEXT_FOR_SCHEMA_WITHOUT_FORMAT
    for key in ("example", "default", "const"):
        if schema.get(key) is not None:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("oneOf", "anyOf"):
        for branch in schema.get(key, ()):
            value = find_fitting_value(schemas, branch)
            if value is not MISSING:
                return value
    types = schema.get("type", "object" if "properties" in schema else "string")
    json_type = types if isinstance(types, str) else types[0]
    return _build_value_of_type(schemas, schema, json_type)


def _build_value_of_type(schemas: Schemas, schema: dict[str, Any], json_type: str) -> Any:
    """Return an invented value of a JSON type that fits `schema`; `MISSING` if none is found."""
    value: Any = MISSING
    match json_type:
        case "string":
            value = _build_text_fitting_schema(schema)
        case "integer" | "number":
            value = _build_number_fitting_schema(schema)
        case "boolean":
            value = True
        case "null":
            value = None
        case "array":  # as short as allowed, because each item may cost money
            items = [find_fitting_value(schemas, schema.get("items", {})) for _ in range(schema.get("minItems", 0))]
            value = MISSING if MISSING in items else items
        case "object":
            properties, names = schema.get("properties", {}), schema.get("required", ())
            fields = {name: find_fitting_value(schemas, properties.get(name, {}), name) for name in names}
            value = MISSING if MISSING in fields.values() else fields
    return value


def _build_text_fitting_schema(schema: dict[str, Any]) -> Any:
    if "pattern" in schema:
        return MISSING
    text = _TEXT_BY_FORMAT_KEYWORD.get(schema.get("format", ""), _TEXT_FOR_SCHEMA_WITHOUT_FORMAT)
    text = text.ljust(schema.get("minLength", 0), "a")
    return text[: schema.get("maxLength", len(text))]


def _build_number_fitting_schema(schema: dict[str, Any]) -> Any:
    if "minimum" in schema:
        return schema["minimum"]
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + 1
    return min(1, schema.get("maximum", 1))


# Lists values at, just inside and just outside the bounds of a schema.


MAX_TEXT_CHARACTERS = 200_000
"""Length of the longest text that is listed as a boundary value: twice the largest `maxLength` in the bundled
contracts."""
MAX_LIST_ITEMS = 1_000
"""Number of items in the longest list that is listed as a boundary value."""
MAX_SCHEMA_DEPTH = 3
"""Maximum depth of nested objects and lists for whose values boundary values are listed."""
_MAX_EXACT_INTEGER = 2**53
"""Largest number up to which a float of 64 bits represents every integer exactly."""
_FILLER_SENTENCE = "The quick brown fox jumps over the lazy dog. "
_TEXT_OUTSIDE_ENUM = "no-such-value"
_WRONG_TYPE_VALUE_BY_JSON_TYPE: dict[str, Any] = {
    "string": 12,
    "integer": "twelve",
    "number": "twelve",
    "boolean": "perhaps",
    "array": "no list",
    "object": "no object",
    "null": "something",
}
"""For each JSON type, a value of another type. No service can read the texts as numbers or booleans."""


class BoundaryValue(NamedTuple):
    """A value to send at one path of a body."""

    body_path: tuple[str, ...]
    """Keys and indexes of the path at which the value is sent, outermost first."""
    value: Any
    """The JSON value to send; in a form, the value of the field before it is converted to text."""
    description: str
    """The field and the value in words: "text of 501 characters"."""
    keyword_pointer: str
    """JSON pointer into the contract, to the schema keyword that the value tests."""
    is_valid: bool
    """Whether the value fits the keyword that it tests."""

    @property
    def keyword(self) -> str:
        """The schema keyword that the value tests, such as "maxLength"."""
        return self.keyword_pointer.rpartition("/")[2]


def build_readable_text(character_count: int) -> str:
    """Return a readable text of exactly `character_count` characters that does not begin or end with a space."""
    text = (_FILLER_SENTENCE * (character_count // len(_FILLER_SENTENCE) + 1))[:character_count]
    return f"{text[:-1]}." if text.endswith(" ") else text


def list_boundary_values(
    schemas: Schemas, schema: Any, schema_pointer: str, body_path: tuple[str, ...] = ()
) -> Iterator[BoundaryValue]:
    """Yield the boundary values of a schema and of the schemas inside it.

    Args:
        schemas: the schemas of the contract, which resolve references.
        schema: the schema of the value at `body_path`.
        schema_pointer: JSON pointer to the schema in the contract.
        body_path: keys and indexes of the value in the body, outermost first; empty for the whole body.
    """
    schema, schema_pointer = schemas.resolve_reference(schema, schema_pointer)
    if not isinstance(schema, dict):
        return
    name = _describe_field(body_path)
    yield from _list_enum_boundary_values(schema, schema_pointer, body_path, name)
    yield from _list_values_excluded_by_not(schema, schema_pointer, body_path, name)
    yield from _list_max_items_boundary_values(schemas, schema, schema_pointer, body_path, name)
    for json_type in _list_json_types(schema):
        yield from _list_boundary_values_of_type(schema, schema_pointer, body_path, name, json_type)
    yield from _list_wrong_type_values(schema, schema_pointer, body_path, name)
    for keyword in ("oneOf", "anyOf", "allOf"):
        for index, branch in enumerate(schema.get(keyword, ())):
            yield from list_boundary_values(schemas, branch, f"{schema_pointer}/{keyword}/{index}", body_path)
    if len(body_path) < MAX_SCHEMA_DEPTH:
        yield from _list_nested_boundary_values(schemas, schema, schema_pointer, body_path)


def _list_boundary_values_of_type(
    schema: dict[str, Any], schema_pointer: str, body_path: tuple[str, ...], name: str, json_type: str
) -> Iterator[BoundaryValue]:
    match json_type:
        case "string":
            yield from _list_string_boundary_values(schema, schema_pointer, body_path, name)
        case "integer" | "number":
            yield from _list_number_boundary_values(schema, schema_pointer, body_path, name)
        case "boolean":
            for value in (True, False):
                description = f"{name} {json.dumps(value)}"
                yield BoundaryValue(body_path, value, description, f"{schema_pointer}/type", is_valid=True)
        case "array" if schema.get("minItems", 0) > 0:
            keyword_pointer = f"{schema_pointer}/minItems"
            yield BoundaryValue(body_path, [], f"{name} without items", keyword_pointer, is_valid=False)


def _describe_field(body_path: tuple[str, ...]) -> str:
    """Return the name of the innermost field, with the index of an item of a list, such as "tags[0]"."""
    if not body_path:
        return "body"
    return f"{body_path[-2]}[{body_path[-1]}]" if body_path[-1].isdecimal() and len(body_path) > 1 else body_path[-1]


def _list_nested_boundary_values(
    schemas: Schemas, schema: dict[str, Any], schema_pointer: str, body_path: tuple[str, ...]
) -> Iterator[BoundaryValue]:
    """Yield the boundary values of properties and items of a schema, except an invalid null for an optional property.

    Args:
        schemas: resolves the references in the schema.
        schema: the schema of the value at `body_path` of a request body.
        schema_pointer: JSON pointer to the schema.
        body_path: keys and indexes that lead from the body to the value.
    """
    for key, inner in schema.get("properties", {}).items():
        inner_path = (*body_path, key)
        is_required = key in schema.get("required", ())
        for boundary_value in list_boundary_values(
            schemas, inner, f"{schema_pointer}/properties/{escape_pointer_token(key)}", inner_path
        ):
            # A service may treat null as an optional field left out. No document forbids that, so it is not tested.
            is_null_of_optional = (
                boundary_value.value is None and boundary_value.body_path == inner_path and not is_required
            )
            if boundary_value.is_valid or not is_null_of_optional:
                yield boundary_value
    if isinstance(schema.get("items"), dict):
        yield from list_boundary_values(schemas, schema["items"], f"{schema_pointer}/items", (*body_path, "0"))


def _list_json_types(schema: dict[str, Any]) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _list_enum_boundary_values(
    schema: dict[str, Any], schema_pointer: str, body_path: tuple[str, ...], field_name: str
) -> Iterator[BoundaryValue]:
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    keyword = f"{schema_pointer}/{'enum' if 'enum' in schema else 'const'}"
    for value in values:
        yield BoundaryValue(
            body_path, value, f"{field_name} {json.dumps(value, ensure_ascii=False)}", keyword, is_valid=True
        )
    if values:
        # Of the same type, so that it is not rejected for its type.
        other = (
            next(number for number in itertools.count(min(values)) if number not in values)
            if all(type(value) is int for value in values)
            else _TEXT_OUTSIDE_ENUM
        )
        yield BoundaryValue(body_path, other, f"{field_name} {other!r}, not one of its values", keyword, is_valid=False)
        if schema.get("x-source", {}).get("is_inferred"):
            return  # whether case matters is not known
        capitals = [value.upper() for value in values if isinstance(value, str) and value.upper() not in values]
        for value in capitals[:1]:
            description = f"{field_name} {value!r}, a value in capital letters"
            yield BoundaryValue(body_path, value, description, keyword, is_valid=False)


def _list_wrong_type_values(
    schema: dict[str, Any], schema_pointer: str, body_path: tuple[str, ...], field_name: str
) -> Iterator[BoundaryValue]:
    types = _list_json_types(schema)
    if not types or not body_path:
        return
    wrong = _WRONG_TYPE_VALUE_BY_JSON_TYPE.get(types[0])
    description = f"{field_name} {json.dumps(wrong)}, not {' or '.join(types)}"
    yield BoundaryValue(body_path, wrong, description, f"{schema_pointer}/type", is_valid=False)
    if "null" not in types:
        yield BoundaryValue(body_path, None, f"{field_name} null", f"{schema_pointer}/type", is_valid=False)


def _list_string_boundary_values(
    schema: dict[str, Any], schema_pointer: str, body_path: tuple[str, ...], field_name: str
) -> Iterator[BoundaryValue]:
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
    if "enum" in schema or "const" in schema:
        return  # a text of a certain length would break the list too, so that nothing follows about the length

    def build_text_value(character_count: int, keyword: str, *, is_valid: bool) -> BoundaryValue:
        description = f"{field_name} of {character_count} characters"
        return BoundaryValue(
            body_path,
            build_readable_text(character_count),
            description,
            f"{schema_pointer}/{keyword}",
            is_valid=is_valid,
        )

    if longest is not None and longest < MAX_TEXT_CHARACTERS:
        # One character less than the longest text costs as much, and whatever rejects it rejects the longest text too.
        for length, is_valid in ((longest, True), (longest + 1, False)):
            if length >= max(shortest, 1):
                yield build_text_value(length, "maxLength", is_valid=is_valid)
    if shortest > 0:
        yield build_text_value(shortest, "minLength", is_valid=True)
        yield build_text_value(shortest - 1, "minLength", is_valid=False)
    if "pattern" in schema:
        for text, kind in (("   ", "of only spaces"), ("", "empty"), ("\t~!\n", "of unusual characters")):
            yield BoundaryValue(body_path, text, f"{field_name} {kind}", f"{schema_pointer}/pattern", is_valid=False)
    if schema.get("format") == "uri":
        yield BoundaryValue(body_path, "no url", f"{field_name} 'no url'", f"{schema_pointer}/format", is_valid=False)


def _list_number_boundary_values(
    schema: dict[str, Any], schema_pointer: str, body_path: tuple[str, ...], field_name: str
) -> Iterator[BoundaryValue]:
    is_integer = "integer" in _list_json_types(schema) and "number" not in _list_json_types(schema)
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    for keyword, sign, is_exclusive in (
        ("minimum", 1, False),
        ("exclusiveMinimum", 1, True),
        ("maximum", -1, False),
        ("exclusiveMaximum", -1, True),
    ):
        bound = schema.get(keyword)
        if bound is None:
            continue
        # Next to a bound that has no decimals as a float, 0.01 more is the same number, or too large for one.
        step = 1 if is_integer or abs(bound) > _MAX_EXACT_INTEGER else 0.01
        for value, is_valid in (
            (bound + sign * step, True),
            (bound, not is_exclusive),
            (bound - sign * step, False),
        ):
            rounded = value if isinstance(value, int) else round(value, 6)  # 0.1 + 0.01 would be sent with 17 digits
            if is_valid and not low < rounded < high and rounded != bound:
                continue  # the range is narrower than a step
            if value is not bound and rounded == bound:
                continue  # the bound is a float so large that a step does not change it
            yield BoundaryValue(
                body_path, rounded, f"{field_name} {rounded}", f"{schema_pointer}/{keyword}", is_valid=is_valid
            )
    if is_integer:
        yield BoundaryValue(
            body_path, 1.5, f"{field_name} 1.5, not a whole number", f"{schema_pointer}/type", is_valid=False
        )


def _list_max_items_boundary_values(
    schemas: Schemas, schema: dict[str, Any], schema_pointer: str, body_path: tuple[str, ...], field_name: str
) -> Iterator[BoundaryValue]:
    """Yield lists with the largest allowed number of items, with one item less and with one item more."""
    item, longest = find_fitting_value(schemas, schema.get("items", {})), schema.get("maxItems")
    if longest is None or item is MISSING or longest > MAX_LIST_ITEMS:
        return
    for count, is_valid in ((longest - 1, True), (longest, True), (longest + 1, False)):
        if count >= max(schema.get("minItems", 0), 1):
            items = [copy.deepcopy(item) for _ in range(count)]  # so that setting a value in one changes one
            yield BoundaryValue(
                body_path, items, f"{field_name} of {count} items", f"{schema_pointer}/maxItems", is_valid=is_valid
            )


def _list_values_excluded_by_not(
    schema: dict[str, Any], schema_pointer: str, body_path: tuple[str, ...], field_name: str
) -> Iterator[BoundaryValue]:
    excluded = schema.get("not")
    for value in excluded.get("enum", ()) if isinstance(excluded, dict) else ():
        description = f"{field_name} {json.dumps(value, ensure_ascii=False)}, which is excluded"
        yield BoundaryValue(body_path, value, description, f"{schema_pointer}/not", is_valid=False)
