"""Values that fit a schema, where the contract shows no example or only a part of one."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from voicegauge.contract import Schemas
from voicegauge.formats import escape

_SAMPLES_BY_FORMAT = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "uri": "https://example.invalid/",
    "url": "https://example.invalid/",
    "email": "user@example.invalid",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}
_MAX_DEPTH = 24
"""Deeper than any answer of a speech API: a schema that requires itself ends here."""


class _SchemaNode(NamedTuple):
    schema: dict[str, Any]
    pointer: str


def schemas_at(schemas: Schemas, schema: Any, tokens: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every schema that speaks of the value at `tokens` below `schema`."""
    for part in _parts_at(schemas, _part(schemas, schema, ""), tokens, 0):
        yield part.schema


def _part(schemas: Schemas, schema: Any, pointer: str) -> _SchemaNode:
    node, at = schemas.resolve(schema, pointer)
    return _SchemaNode(node if isinstance(node, dict) else {}, at)


def _parts_at(schemas: Schemas, part: _SchemaNode, tokens: Sequence[str], depth: int) -> Iterator[_SchemaNode]:
    if depth > _MAX_DEPTH:
        return
    if not tokens:
        yield part
    else:
        inner = _member(schemas, part, tokens[0])
        if inner is not None:
            yield from _parts_at(schemas, inner, tokens[1:], depth + 1)
    for branch in _branches(schemas, part):
        yield from _parts_at(schemas, branch, tokens, depth + 1)


def _member(schemas: Schemas, part: _SchemaNode, token: str) -> _SchemaNode | None:
    properties = part.schema.get("properties", {})
    if token in properties:
        return _part(schemas, properties[token], f"{part.pointer}/properties/{escape(token)}")
    if token.isdecimal() and "items" in part.schema:
        return _part(schemas, part.schema["items"], f"{part.pointer}/items")
    return None


def _branches(schemas: Schemas, part: _SchemaNode) -> Iterator[_SchemaNode]:
    for key in ("allOf", "anyOf", "oneOf"):
        for index, branch in enumerate(part.schema.get(key, ())):
            yield _part(schemas, branch, f"{part.pointer}/{key}/{index}")
    for key in ("then", "else"):
        if key in part.schema:
            yield _part(schemas, part.schema[key], f"{part.pointer}/{key}")


class SchemaValueBuilder:
    """Makes and completes values after the schemas of one document."""

    def __init__(self, schemas: Schemas, text: str = "") -> None:
        """`text` stands where a schema asks for a string and says no more about it."""
        self._schemas, self._text = schemas, text

    def sample(self, schema: Any, pointer: str) -> Any:
        """The least value that fits `schema`, which stands at `pointer`."""
        return self._sample(_part(self._schemas, schema, pointer), 0)

    def complete(self, schema: Any, pointer: str, value: Any) -> Any:
        """`value` with whatever `schema` requires and it lacks; changed in place where it can be."""
        return self._complete(_part(self._schemas, schema, pointer), value, 0)

    def _sample(self, part: _SchemaNode, depth: int) -> Any:
        schema = part.schema
        for key in ("const", "default", "example"):
            if key in schema:
                return copy.deepcopy(schema[key])  # what is made is written into
        for key in ("examples", "enum"):
            if schema.get(key):
                return copy.deepcopy(schema[key][0])
        kind = self._kind(part, depth)
        if kind == "object":
            return self._complete(part, {}, depth)
        if kind == "array":
            items = _part(self._schemas, schema.get("items", {}), f"{part.pointer}/items")
            return [self._sample(items, depth + 1) for _ in range(schema.get("minItems", 0))]
        return self._scalar(schema, kind)

    def _scalar(self, schema: Mapping[str, Any], kind: str) -> Any:
        if kind == "string":
            text = _SAMPLES_BY_FORMAT.get(schema.get("format", ""), self._text)
            return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
        if kind in ("integer", "number"):
            return schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        return False if kind == "boolean" else None

    def _kind(self, part: _SchemaNode, depth: int) -> str:
        kinds = part.schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        if kinds:
            return "null" if "null" in kinds else str(kinds[0])  # what may be empty is, until it is known
        if "properties" in part.schema or "required" in part.schema:
            return "object"
        if depth < _MAX_DEPTH:
            for branch in _branches(self._schemas, part):
                return self._kind(branch, depth + 1)
        return "string"

    def _complete(self, part: _SchemaNode, value: Any, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            return value
        if isinstance(value, dict):
            self._complete_members(part, value, depth)
        elif isinstance(value, list) and "items" in part.schema:
            items = _part(self._schemas, part.schema["items"], f"{part.pointer}/items")
            value[:] = [self._complete(items, item, depth + 1) for item in value]
        for branch in self._applying(part, value):
            value = self._complete(branch, value, depth + 1)
        return value

    def _complete_members(self, part: _SchemaNode, value: dict[str, Any], depth: int) -> None:
        for name in part.schema.get("required", ()):
            if name not in value:
                inner = next(_parts_at(self._schemas, part, [name], 0), _SchemaNode({}, part.pointer))
                value[name] = self._sample(inner, depth + 1)
        for name in part.schema.get("properties", {}):
            member = _member(self._schemas, part, name)
            if name in value and member is not None:
                value[name] = self._complete(member, value[name], depth + 1)

    def _applying(self, part: _SchemaNode, value: Any) -> Iterator[_SchemaNode]:
        schema = part.schema
        for index, branch in enumerate(schema.get("allOf", ())):
            yield _part(self._schemas, branch, f"{part.pointer}/allOf/{index}")
        for key in ("oneOf", "anyOf"):
            branches = (
                _part(self._schemas, branch, f"{part.pointer}/{key}/{index}")
                for index, branch in enumerate(schema.get(key, ()))
            )
            chosen = next((branch for branch in branches if self._agrees(branch, value)), None)
            if chosen is not None:
                yield chosen
        if "if" in schema:
            key = "then" if self._schemas.fits(f"{part.pointer}/if", value) else "else"
            if key in schema:
                yield _part(self._schemas, schema[key], f"{part.pointer}/{key}")

    def _agrees(self, branch: _SchemaNode, value: Any) -> bool:
        """Whether nothing that `value` has contradicts `branch`; what it lacks may be added."""
        if not isinstance(value, dict):
            return self._schemas.fits(branch.pointer, value)
        if branch.schema.get("type", "object") != "object":
            return False
        return all(
            self._schemas.fits(f"{branch.pointer}/properties/{escape(name)}", value[name])
            for name, schema in branch.schema.get("properties", {}).items()
            if name in value and isinstance(schema, dict) and ("const" in schema or "enum" in schema)
        )
