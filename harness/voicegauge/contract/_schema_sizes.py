"""Rejects schemas that are small in a document and unlimited in use, because each refers to the next one twice.

Two references to a schema with two references, and so on, double with each step what is walked, or what a valid value
contains. All sizes are computed in one pass over the document, in which each schema is visited once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from voicegauge.contract.document_parts import walk_objects
from voicegauge.formats.located_yaml import Document, unescape_pointer_token
from voicegauge.formats.locations import MISSING, read_pointer

MAX_SCHEMA_SIZE = 10_000
"""Maximum number of schemas that apply to one value, and of values that a smallest valid value contains."""
_SINGLE_KEYWORDS = ("if", "then", "else", "not")
_LIST_KEYWORDS = ("allOf", "anyOf", "oneOf")

_Parts = Iterator[tuple[int, Mapping[str, Any]]]
"""How often a schema uses other schemas, and those."""


def check_schema_sizes(document: Document) -> None:
    """Check that no schema applies, or requires, more than `MAX_SCHEMA_SIZE` others, counting each use of one.

    Raises:
        ContractError: a schema exceeds the limit; the message has its line.
    """
    for list_parts, verb in ((_list_combined, "combines"), (_list_required, "requires")):
        sizes: dict[int, int] = {}
        for pointer, node in walk_objects(document.data):
            if _measure(node, functools.partial(list_parts, document.data), sizes) > MAX_SCHEMA_SIZE:
                reason = f"the schema {verb} more than {MAX_SCHEMA_SIZE:,} others, counting each use of one"
                raise document.build_error(pointer, reason)


def _measure(root: Mapping[str, Any], list_parts: Callable[[Mapping[str, Any]], _Parts], sizes: dict[int, int]) -> int:
    """Return the size of a schema: 1 plus the sizes of its parts. A part that contains itself counts as 1.

    Args:
        root: the schema.
        list_parts: returns the parts of a schema.
        sizes: the sizes of schemas that are known, by identity; others are added.
    """
    started = set[int]()
    stack: list[tuple[Mapping[str, Any], list[tuple[int, Mapping[str, Any]]] | None]] = [(root, None)]
    while stack:
        schema, parts = stack.pop()
        if parts is not None:
            size = 1 + sum(count * sizes.get(id(part), 1) for count, part in parts)
            sizes[id(schema)] = min(size, MAX_SCHEMA_SIZE + 1)
        elif id(schema) not in sizes and id(schema) not in started:
            started.add(id(schema))
            found = list(list_parts(schema))
            stack.append((schema, found))
            stack += [(part, None) for _, part in found]
    return sizes[id(root)]


def _list_combined(data: Any, schema: Mapping[str, Any]) -> _Parts:
    """Yield the schemas that apply, or may apply, to the same value."""
    found = [schema[key] for key in _SINGLE_KEYWORDS if key in schema]
    for key in _LIST_KEYWORDS:
        branches = schema.get(key)
        found += branches if isinstance(branches, list) else ()
    found += _list_referenced_schemas(data, schema)
    yield from ((1, part) for part in found if isinstance(part, dict))


def _list_required(data: Any, schema: Mapping[str, Any]) -> _Parts:
    """Yield the schemas of what a valid value contains, with the number of times."""
    properties, names = schema.get("properties"), schema.get("required")
    if isinstance(properties, dict) and isinstance(names, list):
        required = [properties.get(name) for name in names if isinstance(name, str)]
        yield from ((1, part) for part in required if isinstance(part, dict))
    count, items = schema.get("minItems"), schema.get("items")
    if isinstance(count, int) and count > 0 and isinstance(items, dict):
        yield count, items
    branches = schema.get("allOf")
    yield from ((1, part) for part in (branches if isinstance(branches, list) else ()) if isinstance(part, dict))
    yield from ((1, part) for part in _list_referenced_schemas(data, schema))


def _list_referenced_schemas(data: Any, schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return []
    found = read_pointer(data, [unescape_pointer_token(token) for token in unquote(reference[1:]).split("/")[1:]])
    return [found] if found is not MISSING and isinstance(found, dict) else []
