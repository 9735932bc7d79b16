"""Tells whether a schema allows a value at a location, and converts a text to the type that a schema documents."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from voicegauge.contract.schemas.document_schemas import Schemas
from voicegauge.formats import EVERY_ITEM, MISSING


def allows_location(schemas: Schemas, schema: Any, pointer_tokens: Sequence[str]) -> bool:
    """Whether the schema documents a value at the keys and indices `pointer_tokens`, or at least does not exclude it.

    `False` is returned only if the schema, or one nested in it on the way to the value, lists properties without the
    next key.
    """
    return _is_location_listed(schemas, schema, pointer_tokens) is not False


def _is_location_listed(schemas: Schemas, schema: Any, pointer_tokens: Sequence[str]) -> bool | None:
    """Whether the schema lists the location; `None` if the schema lists neither properties nor items."""
    if not pointer_tokens:
        return True
    schema, _ = schemas.resolve_reference(schema)
    if not isinstance(schema, dict):
        return None
    properties, token = schema.get("properties"), pointer_tokens[0]
    found: list[bool | None] = []
    if isinstance(properties, dict):
        is_listed = token in properties
        found.append(is_listed and _is_location_listed(schemas, properties[token], pointer_tokens[1:]) is not False)
    elif (token.isdecimal() or token == EVERY_ITEM) and "items" in schema:
        found.append(_is_location_listed(schemas, schema["items"], pointer_tokens[1:]))
    for key in ("allOf", "anyOf", "oneOf"):
        found += [_is_location_listed(schemas, branch, pointer_tokens) for branch in schema.get(key, ())]
    for key in ("then", "else"):
        found.append(_is_location_listed(schemas, schema.get(key), pointer_tokens))
    return True if True in found else False if False in found else None


def find_matching_branch(
    schemas: Schemas, schema: Any, pointer: str, constants: Mapping[tuple[str, ...], Any]
) -> tuple[Any, str] | None:
    """Return the branch of `oneOf` or `anyOf` for requests with `constants`, such as those to one version of a model.

    Args:
        schemas: the schemas of the contract.
        schema: the schema with the branches.
        pointer: JSON pointer to the schema.
        constants: the values that requests have, by keys and indices.

    Returns:
        The matching branch and the JSON pointer to it; `None` if no branch matches. A branch matches if it lists the
        allowed values of at least one of the constants, and each such list contains the constant. The first counts.
    """
    schema, pointer = schemas.resolve_reference(schema, pointer)
    for keyword in ("oneOf", "anyOf"):
        for index, branch in enumerate(schema.get(keyword, ()) if isinstance(schema, dict) else ()):
            choices = [
                (list_choices(schemas, branch, pointer_tokens), value) for pointer_tokens, value in constants.items()
            ]
            listed = [value in values for values, value in choices if values is not None]
            if listed and all(listed):
                return schemas.resolve_reference(branch, f"{pointer}/{keyword}/{index}")
    return None


def list_choices(schemas: Schemas, schema: Any, pointer_tokens: Sequence[str]) -> list[Any] | None:
    """Return the values of `const` or `enum` at `pointer_tokens`; `None` if any value is allowed there.

    Of several lists, as in `allOf`, the values in all of them are returned. `oneOf` and `anyOf` are not looked into.
    """
    common: list[Any] | None = None
    for choices in _iterate_choices(schemas, schema, pointer_tokens):
        common = choices if common is None else [value for value in common if value in choices]
    return common


def _iterate_choices(schemas: Schemas, schema: Any, pointer_tokens: Sequence[str]) -> Iterator[list[Any]]:
    schema = schemas.resolve_reference(schema)[0]
    if not isinstance(schema, dict):
        return
    for branch in schema.get("allOf", ()):
        yield from _iterate_choices(schemas, branch, pointer_tokens)
    if pointer_tokens:
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from _iterate_choices(schemas, properties.get(pointer_tokens[0]), pointer_tokens[1:])
    elif "const" in schema:
        yield [schema["const"]]
    elif isinstance(schema.get("enum"), list):
        yield schema["enum"]


def find_max_length(schemas: Schemas, schema: Any, pointer_tokens: Sequence[str]) -> int | None:
    """Return the lowest `maxLength` that the schema states for the text at a path; `None` if it states none.

    `pointer_tokens` are the keys and indices of the path. Limits inside `oneOf` and `anyOf` are ignored.
    """
    schema = schemas.resolve_reference(schema)[0]
    if not isinstance(schema, dict):
        return None
    found = [find_max_length(schemas, branch, pointer_tokens) for branch in schema.get("allOf", ())]
    if pointer_tokens:
        properties = schema.get("properties")
        inner = properties.get(pointer_tokens[0]) if isinstance(properties, dict) else schema.get("items")
        found.append(find_max_length(schemas, inner, pointer_tokens[1:]))
    else:
        found.append(schema.get("maxLength"))
    return min((length for length in found if length is not None), default=None)


def parse_text_value(schemas: Schemas, schema: Any, text: str) -> Any:
    """Parse the text of a form field, query parameter or header as the JSON type that its schema documents.

    Returns:
        The parsed value; `text` itself if it cannot be read as any type of the schema, so that validation reports
        what is wrong.
    """
    schema, _ = schemas.resolve_reference(schema)
    if not isinstance(schema, dict):
        return text
    types = schema.get("type", [])
    for name in [types] if isinstance(types, str) else types:
        value = _PARSER_BY_TYPE.get(name, lambda _: MISSING)(text)
        if value is not MISSING:
            return value
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        value = parse_text_value(schemas, branch, text)
        if value != text:
            return value
    return text


def _parse_integer(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return MISSING


def _parse_number(text: str) -> Any:
    try:
        value = float(text)
    except ValueError:
        return MISSING
    if not math.isfinite(value):  # JSON has no NaN and no Infinity
        return MISSING
    return int(text) if text.lstrip("+-").isdecimal() else value


_PARSER_BY_TYPE: dict[str, Any] = {
    "integer": _parse_integer,
    "number": _parse_number,
    "boolean": lambda text: {"true": True, "false": False}.get(text.lower(), MISSING),
    "null": lambda text: None if text == "" else MISSING,
}
