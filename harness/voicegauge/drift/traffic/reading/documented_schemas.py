"""Finds the documented schemas that apply to each part of a body, and the parts that no schema documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from voicegauge.contract import MediaType, Schemas
from voicegauge.drift.traffic.reading.flatten import ANY_INDEX, JsonScalar
from voicegauge.formats import escape_pointer_token

MAX_DEPTH = 20
"""Largest number of levels of properties that are visited. It is limited because schemas may contain themselves."""


class LocatedSchema(NamedTuple):
    """A schema object, and the pointer to it in the contract."""

    schema: dict[str, Any]
    pointer: str


def applicable_schemas(schemas: Schemas, schema: Any, pointer: str) -> list[LocatedSchema]:
    """Return all schema objects that may apply to a value: the schema and the branches of `allOf`, `if` and so on."""
    found: list[LocatedSchema] = []
    _collect(schemas, schema, pointer, found)
    return found


def _collect(schemas: Schemas, schema: Any, pointer: str, found: list[LocatedSchema]) -> None:
    if isinstance(schema, dict) and "$ref" in schema:
        siblings = {key: value for key, value in schema.items() if key != "$ref"}
        if siblings:
            _collect(schemas, siblings, pointer, found)
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


def body_schemas(media_type: MediaType) -> list[LocatedSchema]:
    """Return the schemas that may apply to a whole body."""
    if media_type.schema_pointer is None:
        return []
    return applicable_schemas(media_type.schemas, media_type.data.get("schema", {}), media_type.schema_pointer)


def property_schemas(schemas: Schemas, parents: Sequence[LocatedSchema], name: str) -> list[LocatedSchema]:
    """Return the schemas that may apply to the property `name`, from `properties` or else `additionalProperties`."""
    found: list[LocatedSchema] = []
    for schema, pointer in parents:
        properties = schema.get("properties")
        if isinstance(properties, dict) and name in properties:
            found += applicable_schemas(schemas, properties[name], f"{pointer}/properties/{escape_pointer_token(name)}")
    for schema, pointer in parents if not found else ():
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict):
            found += applicable_schemas(schemas, additional, f"{pointer}/additionalProperties")
    return found


def item_schemas(schemas: Schemas, parents: Sequence[LocatedSchema]) -> list[LocatedSchema]:
    """Return the schemas that may apply to the items of a list."""
    found: list[LocatedSchema] = []
    for schema, pointer in parents:
        if "items" in schema:
            found += applicable_schemas(schemas, schema["items"], f"{pointer}/items")
        for index, item in enumerate(schema.get("prefixItems", ())):
            found += applicable_schemas(schemas, item, f"{pointer}/prefixItems/{index}")
    return found


def allows_property(parents: Sequence[LocatedSchema], name: str) -> bool:
    """Whether the schemas of an object allow the property `name` without describing it."""
    if not any("properties" in schema for schema, _ in parents):
        return True
    return any(
        schema.get("additionalProperties") is True
        or any(_may_match(pattern, name) for pattern in schema.get("patternProperties", ()))
        for schema, _ in parents
    )


def _may_match(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:  # JSON Schema uses the regular expressions of ECMAScript, of which Python knows most but not all
        return True


class UndocumentedProperty(NamedTuple):
    """A property of a value that no schema describes or allows."""

    path: str
    """JSON pointer in which `*` replaces list indices."""
    name: str
    value: Any
    parents: list[LocatedSchema]
    """The schemas of the object that has the property."""

    @property
    def parent_pointer(self) -> str:
        """The pointer of the schema that lists the other properties of the object."""
        return next(parent.pointer for parent in self.parents if "properties" in parent.schema)


def undocumented_properties(
    schemas: Schemas, value: Any, located_schemas: list[LocatedSchema], path: str = ""
) -> Iterator[UndocumentedProperty]:
    """Yield all properties in a value that are not documented. A property comes before the properties inside of it.

    Args:
        schemas: the schemas of the contract.
        value: the JSON value.
        located_schemas: the schemas that may apply to the value.
        path: the JSON pointer to the value.
    """
    if path.count("/") > MAX_DEPTH or not located_schemas:
        return
    if isinstance(value, dict):
        for name, child in value.items():
            child_schemas = property_schemas(schemas, located_schemas, name)
            child_path = f"{path}/{escape_pointer_token(name)}"
            if child_schemas:
                yield from undocumented_properties(schemas, child, child_schemas, child_path)
            elif not allows_property(located_schemas, name):
                yield UndocumentedProperty(child_path, name, child, located_schemas)
    elif isinstance(value, list):
        child_schemas = item_schemas(schemas, located_schemas)
        for child in value:
            yield from undocumented_properties(schemas, child, child_schemas, f"{path}/{ANY_INDEX}")


class DocumentedProperty(NamedTuple):
    """A property that at least one schema lists."""

    path: str
    """JSON pointer in which `*` replaces list indices."""
    schemas: list[LocatedSchema]
    """The schemas that may apply to the value of the property."""


def documented_properties(
    schemas: Schemas, located_schemas: list[LocatedSchema], path: str = ""
) -> Iterator[DocumentedProperty]:
    """Yield all properties that schemas list. A property comes before the properties inside of it.

    Args:
        schemas: the schemas of the contract.
        located_schemas: the schemas that may apply to one value.
        path: the JSON pointer to the value.
    """
    if path.count("/") > MAX_DEPTH:
        return
    for name in dict.fromkeys(name for schema, _ in located_schemas for name in schema.get("properties", ())):
        child_schemas = property_schemas(schemas, located_schemas, name)
        child_path = f"{path}/{escape_pointer_token(name)}"
        yield DocumentedProperty(child_path, child_schemas)
        yield from documented_properties(schemas, child_schemas, child_path)
    items = item_schemas(schemas, located_schemas)
    if items:
        yield from documented_properties(schemas, items, f"{path}/{ANY_INDEX}")


def enumerated_values(located_schemas: Sequence[LocatedSchema]) -> list[JsonScalar]:
    """Return the scalars that the keywords `enum` and `const` of the schemas list."""
    found: dict[JsonScalar, None] = {}
    for schema, _ in located_schemas:
        values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]
        found |= {value: None for value in values if value is None or isinstance(value, str | int | float | bool)}
    return list(found)


def documented_values(media_type: MediaType, tokens: Sequence[str]) -> set[JsonScalar]:
    """Return the values that the schema of a body lists for the field at `tokens`, in which `*` means any index."""
    located_schemas = body_schemas(media_type)
    for token in tokens:
        schemas = media_type.schemas
        is_index = token == ANY_INDEX
        located_schemas = (
            item_schemas(schemas, located_schemas) if is_index else property_schemas(schemas, located_schemas, token)
        )
    return set(enumerated_values(located_schemas))
