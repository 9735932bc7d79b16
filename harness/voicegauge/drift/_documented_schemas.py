"""Finds the documented schemas that apply to each part of a body, and the parts that no schema documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.schemas import Schemas
from voicegauge.drift._json_values import ANY_INDEX, JsonScalar
from voicegauge.formats.located_yaml import escape_pointer_token

MAX_SCHEMA_DEPTH = 20
"""Largest number of levels of properties that are visited. It is limited because schemas may contain themselves."""


class LocatedSchema(NamedTuple):
    """A schema object, and the pointer to it in the contract."""

    schema: dict[str, Any]
    pointer: str


def find_applicable_schemas(contract_schemas: Schemas, schema: Any, schema_pointer: str) -> list[LocatedSchema]:
    """Return all schema objects that may apply to a value: the schema and the branches of `allOf`, `if` and so on."""
    found: list[LocatedSchema] = []
    _collect_applicable_schemas(contract_schemas, schema, schema_pointer, found)
    return found


def _collect_applicable_schemas(
    contract_schemas: Schemas, schema: Any, schema_pointer: str, collected_schemas: list[LocatedSchema]
) -> None:
    if isinstance(schema, dict) and "$ref" in schema:
        siblings = {key: value for key, value in schema.items() if key != "$ref"}
        if siblings:
            _collect_applicable_schemas(contract_schemas, siblings, schema_pointer, collected_schemas)
        schema, schema_pointer = contract_schemas.resolve_reference({"$ref": schema["$ref"]}, schema_pointer)
    if not isinstance(schema, dict) or any(
        one.pointer == schema_pointer and one.schema is schema for one in collected_schemas
    ):
        return
    collected_schemas.append(LocatedSchema(schema, schema_pointer))
    for key in ("allOf", "anyOf", "oneOf"):
        for index, branch in enumerate(schema.get(key, ())):
            _collect_applicable_schemas(contract_schemas, branch, f"{schema_pointer}/{key}/{index}", collected_schemas)
    for key in ("then", "else"):
        if key in schema:
            _collect_applicable_schemas(contract_schemas, schema[key], f"{schema_pointer}/{key}", collected_schemas)


def find_body_schemas(media_type: MediaType) -> list[LocatedSchema]:
    """Return the schemas that may apply to a whole body."""
    if media_type.schema_pointer is None:
        return []
    return find_applicable_schemas(
        media_type.schemas, media_type.part_data.get("schema", {}), media_type.schema_pointer
    )


def find_property_schemas(
    contract_schemas: Schemas, parent_schemas: Sequence[LocatedSchema], property_name: str
) -> list[LocatedSchema]:
    """Return the schemas that may apply to a property, from `properties` or else `additionalProperties`."""
    found: list[LocatedSchema] = []
    for schema, pointer in parent_schemas:
        properties = schema.get("properties")
        if isinstance(properties, dict) and property_name in properties:
            found += find_applicable_schemas(
                contract_schemas,
                properties[property_name],
                f"{pointer}/properties/{escape_pointer_token(property_name)}",
            )
    for schema, pointer in parent_schemas if not found else ():
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict):
            found += find_applicable_schemas(contract_schemas, additional, f"{pointer}/additionalProperties")
    return found


def find_item_schemas(contract_schemas: Schemas, parent_schemas: Sequence[LocatedSchema]) -> list[LocatedSchema]:
    """Return the schemas that may apply to the items of a list."""
    found: list[LocatedSchema] = []
    for schema, pointer in parent_schemas:
        if "items" in schema:
            found += find_applicable_schemas(contract_schemas, schema["items"], f"{pointer}/items")
        for index, item in enumerate(schema.get("prefixItems", ())):
            found += find_applicable_schemas(contract_schemas, item, f"{pointer}/prefixItems/{index}")
    return found


def allows_property(parent_schemas: Sequence[LocatedSchema], property_name: str) -> bool:
    """Whether the schemas of an object allow the property `property_name` without describing it."""
    if not any("properties" in schema for schema, _ in parent_schemas):
        return True
    return any(
        schema.get("additionalProperties") is True
        or any(_may_match_pattern(pattern, property_name) for pattern in schema.get("patternProperties", ()))
        for schema, _ in parent_schemas
    )


def _may_match_pattern(pattern: str, name: str) -> bool:
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
    parent_schemas: list[LocatedSchema]
    """The schemas that may apply to the object that has the property."""

    @property
    def parent_pointer(self) -> str:
        """The pointer, in the contract, of the first of `parent_schemas` that lists properties."""
        return next(parent.pointer for parent in self.parent_schemas if "properties" in parent.schema)


def find_undocumented_properties(
    contract_schemas: Schemas, value: Any, located_schemas: list[LocatedSchema], value_path: str = ""
) -> Iterator[UndocumentedProperty]:
    """Yield all properties in a value that are not documented. A property comes before the properties inside of it.

    Args:
        contract_schemas: the schemas of the contract.
        value: the JSON value.
        located_schemas: the schemas that may apply to the value.
        value_path: the JSON pointer to the value.
    """
    if value_path.count("/") > MAX_SCHEMA_DEPTH or not located_schemas:
        return
    if isinstance(value, dict):
        for name, child in value.items():
            child_schemas = find_property_schemas(contract_schemas, located_schemas, name)
            child_path = f"{value_path}/{escape_pointer_token(name)}"
            if child_schemas:
                yield from find_undocumented_properties(contract_schemas, child, child_schemas, child_path)
            elif not allows_property(located_schemas, name):
                yield UndocumentedProperty(child_path, name, child, located_schemas)
    elif isinstance(value, list):
        child_schemas = find_item_schemas(contract_schemas, located_schemas)
        for child in value:
            yield from find_undocumented_properties(contract_schemas, child, child_schemas, f"{value_path}/{ANY_INDEX}")


class DocumentedProperty(NamedTuple):
    """A property of a JSON body that at least one of the schemas of the body documents."""

    path: str
    """JSON pointer in which `*` replaces list indices."""
    schemas: list[LocatedSchema]
    """The schemas that may apply to the value of the property."""


def iterate_documented_properties(
    contract_schemas: Schemas, located_schemas: list[LocatedSchema], value_path: str = ""
) -> Iterator[DocumentedProperty]:
    """Yield all properties that schemas list. A property comes before the properties inside of it.

    Args:
        contract_schemas: the schemas of the contract.
        located_schemas: the schemas that may apply to one value.
        value_path: the JSON pointer to the value.
    """
    if value_path.count("/") > MAX_SCHEMA_DEPTH:
        return
    for name in dict.fromkeys(name for schema, _ in located_schemas for name in schema.get("properties", ())):
        child_schemas = find_property_schemas(contract_schemas, located_schemas, name)
        child_path = f"{value_path}/{escape_pointer_token(name)}"
        yield DocumentedProperty(child_path, child_schemas)
        yield from iterate_documented_properties(contract_schemas, child_schemas, child_path)
    items = find_item_schemas(contract_schemas, located_schemas)
    if items:
        yield from iterate_documented_properties(contract_schemas, items, f"{value_path}/{ANY_INDEX}")


def list_enumerated_values(located_schemas: Sequence[LocatedSchema]) -> list[JsonScalar]:
    """Return the scalars that the keywords `enum` and `const` of the schemas list."""
    found: dict[JsonScalar, None] = {}
    for schema, _ in located_schemas:
        values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]
        found |= {value: None for value in values if value is None or isinstance(value, str | int | float | bool)}
    return list(found)


def find_documented_values(media_type: MediaType, path_tokens: Sequence[str]) -> set[JsonScalar]:
    """Return the values that the documented schema of a body allows for one field under `enum` or `const`.

    Args:
        media_type: the documented media type of the body.
        path_tokens: the path of the field in the body, in which `*` stands for any list index.
    """
    located_schemas = find_body_schemas(media_type)
    for token in path_tokens:
        schemas = media_type.schemas
        is_index = token == ANY_INDEX
        located_schemas = (
            find_item_schemas(schemas, located_schemas)
            if is_index
            else find_property_schemas(schemas, located_schemas, token)
        )
    return set(list_enumerated_values(located_schemas))
