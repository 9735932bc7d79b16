"""Values at, just inside and just outside what a schema allows.

A probe only says what it tries. Whether the whole request is then valid is asked of
the schema itself, so that an expectation is never guessed.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from voicegauge.conformance.cases.sample_values import sample_value
from voicegauge.contract import MISSING, Schemas
from voicegauge.formats import escape

MAX_TEXT = 200_000
"""Characters of the longest text that is made: twice the longest documented bound known to us."""
MAX_ITEMS = 1_000
"""Items of the longest list that is made."""
MAX_DEPTH = 3
"""Objects and lists inside a body that are looked into."""
_FILLER = "The quick brown fox jumps over the lazy dog. "
_OUTSIDE_ENUM = "no-such-value"
_WRONG_TYPE: dict[str, Any] = {
    "string": 12,
    "integer": "twelve",
    "number": "twelve",
    "boolean": "perhaps",
    "array": "no list",
    "object": "no object",
    "null": "something",
}


class BoundaryValue(NamedTuple):
    """One value to try at one place of a body."""

    path: tuple[str, ...]
    """Keys and indexes, outermost first."""
    value: Any
    description: str
    """What is tried: "text of 501 characters"."""
    at: str
    """JSON pointer into the contract, at the keyword that it tests."""
    valid: bool
    """What it is meant to be."""


def text_of(length: int) -> str:
    """A readable text of exactly `length` characters, without blanks at its ends."""
    text = (_FILLER * (length // len(_FILLER) + 1))[:length]
    return f"{text[:-1]}." if text.endswith(" ") else text


def list_boundary_values(
    schemas: Schemas, schema: Any, pointer: str, path: tuple[str, ...] = ()
) -> Iterator[BoundaryValue]:
    """Every probe of the value at `path`, whose schema stands at `pointer`.

    Args:
        schemas: resolves references.
        schema: the value's schema.
        pointer: where it stands in the contract.
        path: where the value stands in the body.
    """
    schema, pointer = schemas.resolve(schema, pointer)
    if not isinstance(schema, dict):
        return
    name = path[-1] if path else "body"
    yield from _enum_probes(schema, pointer, path, name)
    yield from _excluded_probes(schema, pointer, path, name)
    yield from _length_probes(schemas, schema, pointer, path, name)
    for kind in _types(schema):
        yield from _BY_TYPE.get(kind, _no_probes)(schema, pointer, path, name)
    yield from _type_probes(schema, pointer, path, name)
    for keyword in ("oneOf", "anyOf", "allOf"):
        for index, branch in enumerate(schema.get(keyword, ())):
            yield from list_boundary_values(schemas, branch, f"{pointer}/{keyword}/{index}", path)
    if len(path) < MAX_DEPTH:
        yield from _inner_probes(schemas, schema, pointer, path)


def _inner_probes(
    schemas: Schemas, schema: dict[str, Any], pointer: str, path: tuple[str, ...]
) -> Iterator[BoundaryValue]:
    for key, inner in schema.get("properties", {}).items():
        place = (*path, key)
        for probe in list_boundary_values(schemas, inner, f"{pointer}/properties/{escape(key)}", place):
            # A service may well take null for "left out"; no document says that it must not.
            if probe.value is not None or probe.valid or probe.path != place or key in schema.get("required", ()):
                yield probe
    if isinstance(schema.get("items"), dict):
        yield from list_boundary_values(schemas, schema["items"], f"{pointer}/items", (*path, "0"))


def _types(schema: dict[str, Any]) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _no_probes(schema: dict[str, Any], pointer: str, path: tuple[str, ...], name: str) -> Iterator[BoundaryValue]:
    del schema, pointer, path, name
    yield from ()


def _enum_probes(schema: dict[str, Any], pointer: str, path: tuple[str, ...], name: str) -> Iterator[BoundaryValue]:
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    keyword = f"{pointer}/{'enum' if 'enum' in schema else 'const'}"
    for value in values:
        yield BoundaryValue(path, value, f"{name} {json.dumps(value, ensure_ascii=False)}", keyword, valid=True)
    if values:
        other = _outside(values)
        yield BoundaryValue(path, other, f"{name} {other!r}, not one of its values", keyword, valid=False)
        capitals = [value.upper() for value in values if isinstance(value, str) and value.upper() not in values]
        for value in capitals[:1]:
            yield BoundaryValue(path, value, f"{name} {value!r}, a value in capital letters", keyword, valid=False)


def _outside(values: list[Any]) -> Any:
    """A value of the same type as `values` and none of them: one of another type would be refused for that."""
    if all(type(value) is int for value in values):
        return next(number for number in itertools.count(min(values)) if number not in values)
    return _OUTSIDE_ENUM


def _type_probes(schema: dict[str, Any], pointer: str, path: tuple[str, ...], name: str) -> Iterator[BoundaryValue]:
    types = _types(schema)
    if not types or not path:
        return
    wrong = _WRONG_TYPE.get(types[0])
    yield BoundaryValue(
        path, wrong, f"{name} {json.dumps(wrong)}, not {' or '.join(types)}", f"{pointer}/type", valid=False
    )
    if "null" not in types:
        yield BoundaryValue(path, None, f"{name} null", f"{pointer}/type", valid=False)


def _string_probes(schema: dict[str, Any], pointer: str, path: tuple[str, ...], name: str) -> Iterator[BoundaryValue]:
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if "enum" in schema or "const" in schema:
        return
    if high is not None and high < MAX_TEXT:
        for length, valid in ((high - 1, True), (high, True), (high + 1, False)):
            if length >= max(low, 1):
                yield BoundaryValue(
                    path, text_of(length), f"{name} of {length} characters", f"{pointer}/maxLength", valid=valid
                )
    if low > 0:
        yield BoundaryValue(path, text_of(low), f"{name} of {low} characters", f"{pointer}/minLength", valid=True)
        yield BoundaryValue(
            path, text_of(low - 1), f"{name} of {low - 1} characters", f"{pointer}/minLength", valid=False
        )
    if "pattern" in schema:
        for text, what in (("   ", "of blanks alone"), ("", "empty"), ("\t~!\n", "of odd characters")):
            yield BoundaryValue(path, text, f"{name} {what}", f"{pointer}/pattern", valid=False)
    if schema.get("format") == "uri":
        yield BoundaryValue(path, "no url", f"{name} 'no url'", f"{pointer}/format", valid=False)


def _number_probes(schema: dict[str, Any], pointer: str, path: tuple[str, ...], name: str) -> Iterator[BoundaryValue]:
    whole = "integer" in _types(schema) and "number" not in _types(schema)
    step = 1 if whole else 0.01
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    for keyword, sign, exclusive in (
        ("minimum", 1, False),
        ("exclusiveMinimum", 1, True),
        ("maximum", -1, False),
        ("exclusiveMaximum", -1, True),
    ):
        bound = schema.get(keyword)
        if bound is None:
            continue
        for value, valid in ((bound + sign * step, True), (bound, not exclusive), (bound - sign * step, False)):
            rounded = value if whole else round(value, 6)
            if valid and not low < rounded < high and rounded != bound:
                continue  # the range is narrower than a step
            yield BoundaryValue(path, rounded, f"{name} {rounded}", f"{pointer}/{keyword}", valid=valid)
    if whole:
        yield BoundaryValue(path, 1.5, f"{name} 1.5, no whole number", f"{pointer}/type", valid=False)


def _boolean_probes(schema: dict[str, Any], pointer: str, path: tuple[str, ...], name: str) -> Iterator[BoundaryValue]:
    del schema
    for value in (True, False):
        yield BoundaryValue(path, value, f"{name} {json.dumps(value)}", f"{pointer}/type", valid=True)


def _array_probes(schema: dict[str, Any], pointer: str, path: tuple[str, ...], name: str) -> Iterator[BoundaryValue]:
    if schema.get("minItems", 0) > 0:
        yield BoundaryValue(path, [], f"{name} without an item", f"{pointer}/minItems", valid=False)


def _length_probes(
    schemas: Schemas, schema: dict[str, Any], pointer: str, path: tuple[str, ...], name: str
) -> Iterator[BoundaryValue]:
    """Lists of as many items as are allowed, of one less and of one more."""
    item, most = sample_value(schemas, schema.get("items", {})), schema.get("maxItems")
    if most is None or item is MISSING or most > MAX_ITEMS:
        return
    for count, valid in ((most - 1, True), (most, True), (most + 1, False)):
        if count >= max(schema.get("minItems", 0), 1):
            items = [copy.deepcopy(item) for _ in range(count)]
            yield BoundaryValue(path, items, f"{name} of {count} items", f"{pointer}/maxItems", valid=valid)


def _excluded_probes(schema: dict[str, Any], pointer: str, path: tuple[str, ...], name: str) -> Iterator[BoundaryValue]:
    excluded = schema.get("not")
    for value in excluded.get("enum", ()) if isinstance(excluded, dict) else ():
        description = f"{name} {json.dumps(value, ensure_ascii=False)}, which is excluded"
        yield BoundaryValue(path, value, description, f"{pointer}/not", valid=False)


_BY_TYPE = {
    "string": _string_probes,
    "integer": _number_probes,
    "number": _number_probes,
    "boolean": _boolean_probes,
    "array": _array_probes,
}
