"""A value beside its documented schema: which schemas speak of each of its parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from voicegauge.contract import MediaType, Schemas
from voicegauge.drift.traffic.reading.flatten import ANY, JsonScalar
from voicegauge.formats import escape

MAX_DEPTH = 20
"""Of schemas that refer to themselves."""


class LocatedSchema(NamedTuple):
    """A schema object, and where it stands."""

    schema: dict[str, Any]
    pointer: str


def stated(schemas: Schemas, schema: Any, pointer: str) -> list[LocatedSchema]:
    """All schema objects that may speak of one value: the schema, and the branches of its combinations."""
    found: list[LocatedSchema] = []
    _collect(schemas, schema, pointer, found)
    return found


def _collect(schemas: Schemas, schema: Any, pointer: str, found: list[LocatedSchema]) -> None:
    if isinstance(schema, dict) and "$ref" in schema:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        if beside:
            _collect(schemas, beside, pointer, found)
        schema, pointer = schemas.resolve({"$ref": schema["$ref"]}, pointer)
    if not isinstance(schema, dict) or any(one.pointer == pointer and one.schema is schema for one in found):
        return
    found.append(LocatedSchema(schema, pointer))
    for key in ("allOf", "anyOf", "oneOf"):
        for index, branch in enumerate(schema.get(key, ())):
            _collect(schemas, branch, f"{pointer}/{key}/{index}", found)
    for key in ("then", "else"):
        if key in schema:
            _collect(schemas, schema[key], f"{pointer}/{key}", found)


def media_type_schemas(media: MediaType) -> list[LocatedSchema]:
    """What speaks of a whole body."""
    if media.schema_pointer is None:
        return []
    return stated(media.contract.schemas, media.data.get("schema", {}), media.schema_pointer)


def property_schemas(schemas: Schemas, around: Sequence[LocatedSchema], name: str) -> list[LocatedSchema]:
    """What speaks of the property `name`; of a map, what speaks of its values. Empty where nothing does."""
    found: list[LocatedSchema] = []
    for schema, pointer in around:
        properties = schema.get("properties")
        if isinstance(properties, dict) and name in properties:
            found += stated(schemas, properties[name], f"{pointer}/properties/{escape(name)}")
    for schema, pointer in around if not found else ():
        if isinstance(schema.get("additionalProperties"), dict):
            found += stated(schemas, schema["additionalProperties"], f"{pointer}/additionalProperties")
    return found


def item_schemas(schemas: Schemas, around: Sequence[LocatedSchema]) -> list[LocatedSchema]:
    """What speaks of the items of a list."""
    found: list[LocatedSchema] = []
    for schema, pointer in around:
        if "items" in schema:
            found += stated(schemas, schema["items"], f"{pointer}/items")
        for index, item in enumerate(schema.get("prefixItems", ())):
            found += stated(schemas, item, f"{pointer}/prefixItems/{index}")
    return found


def is_free(around: Sequence[LocatedSchema], name: str) -> bool:
    """Whether any property may be there by the document's own words, or it lists none."""
    if not any("properties" in schema for schema, _ in around):
        return True
    return any(
        schema.get("additionalProperties") is True
        or any(_could_match(pattern, name) for pattern in schema.get("patternProperties", ()))
        for schema, _ in around
    )


def _could_match(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return True


class UndocumentedProperty(NamedTuple):
    """A property that no schema lists."""

    path: str
    """With `*` for indices."""
    name: str
    value: Any
    around: list[LocatedSchema]
    """The schemas of the mapping that it is in."""


def undocumented_properties(
    schemas: Schemas, value: Any, around: list[LocatedSchema], path: str = ""
) -> Iterator[UndocumentedProperty]:
    """Every property in `value` that is not documented."""
    if path.count("/") > MAX_DEPTH or not around:
        return
    if isinstance(value, dict):
        for name, part in value.items():
            inner = property_schemas(schemas, around, name)
            child = f"{path}/{escape(name)}"
            if inner:
                yield from undocumented_properties(schemas, part, inner, child)
            elif not is_free(around, name):
                yield UndocumentedProperty(child, name, part, around)
    elif isinstance(value, list):
        inner = item_schemas(schemas, around)
        for part in value:
            yield from undocumented_properties(schemas, part, inner, f"{path}/{ANY}")


class DocumentedProperty(NamedTuple):
    """A documented property."""

    path: str
    around: list[LocatedSchema]
    """The schemas of its own value."""


def listed(schemas: Schemas, around: list[LocatedSchema], path: str = "") -> Iterator[DocumentedProperty]:
    """Every property that the schemas list, outermost first."""
    if path.count("/") > MAX_DEPTH:
        return
    names = dict.fromkeys(name for schema, _ in around for name in schema.get("properties", ()))
    for name in names:
        inner = property_schemas(schemas, around, name)
        child = f"{path}/{escape(name)}"
        yield DocumentedProperty(child, inner)
        yield from listed(schemas, inner, child)
    items = item_schemas(schemas, around)
    if items:
        yield from listed(schemas, items, f"{path}/{ANY}")


def enumerated_values(around: Sequence[LocatedSchema]) -> list[JsonScalar]:
    """The values that schemas list for one value."""
    found: dict[JsonScalar, None] = {}
    for schema, _ in around:
        values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]
        found |= {value: None for value in values if value is None or isinstance(value, str | int | float | bool)}
    return list(found)


def documented_values(media: MediaType, tokens: Sequence[str]) -> set[JsonScalar]:
    """The values that the document lists for the part of a body at `tokens`, `*` for an index."""
    around = media_type_schemas(media)
    for token in tokens:
        schemas = media.contract.schemas
        around = item_schemas(schemas, around) if token == ANY else property_schemas(schemas, around, token)
    return set(enumerated_values(around))
