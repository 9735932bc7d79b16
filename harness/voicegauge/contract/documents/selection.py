"""Selects from a document what a contract needs, so that errors elsewhere in the document do not matter.

Of a provider's official document with hundreds of operations, a contract needs the few that an overlay describes, and
what these refer to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import unquote

from voicegauge.contract.document_walk import EXTENSION_KEYS
from voicegauge.formats import MISSING, Document, read_pointer, unescape_pointer_token

OPENAPI_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_OPERATION_EXTENSIONS = EXTENSION_KEYS - {"x-provider", "x-source"}
_ALWAYS_COPIED_KEYS = (
    "openapi",
    "swagger",
    "info",
    "jsonSchemaDialect",
    "servers",
    "security",
    "x-provider",
    "x-limits",
)


def select_described_operations(document: Document) -> dict[str, Any]:
    """Return the data of a document, reduced to the operations with an `x-` key of ours and those that they name by id.

    What these operations refer to is kept too. Everything that is kept has the same JSON pointer as before.
    """
    operations = dict(read_operations(document.data))
    by_id = {str(node.get("operationId")): at for at, node in operations.items()}
    kept = [at for at, node in operations.items() if _OPERATION_EXTENSIONS & node.keys()]
    for at in kept:  # which grows
        named = set(_iterate_possible_operation_ids(operations[at]))
        kept += [by_id[name] for name in by_id if name in named and by_id[name] not in kept]
    return select_operations(document, kept)


def select_operations(document: Document, kept_operations: Collection[tuple[str, str]]) -> dict[str, Any]:
    """Return the data of a document, reduced to `kept_operations` (path and method of each) and what these refer to."""
    operations = dict(read_operations(document.data))
    selected: dict[str, Any] = {key: document.data[key] for key in _ALWAYS_COPIED_KEYS if key in document.data}
    selected["paths"] = {}
    for path, method in sorted(kept_operations, key=list(operations).index):
        item = document.data["paths"][path]
        shared = {key: value for key, value in item.items() if key not in OPENAPI_METHODS}
        selected["paths"].setdefault(path, shared)[method] = item[method]
    _add_referenced_parts(selected, document.data)
    return selected


def read_operations(document_data: dict[str, Any]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Yield the operations of a document by path and method."""
    paths = document_data.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        for method in OPENAPI_METHODS:
            if isinstance(item, dict) and isinstance(item.get(method), dict):
                yield (path, method), item[method]


def _iterate_possible_operation_ids(operation_data: dict[str, Any]) -> Iterator[str]:
    """Yield all texts in the `x-` keys and the links of an operation; some of them are operation ids."""
    for key in _OPERATION_EXTENSIONS & operation_data.keys():
        yield from _iterate_texts(operation_data[key])
    responses = operation_data.get("responses")
    for response in responses.values() if isinstance(responses, dict) else ():
        if isinstance(response, dict):
            yield from _iterate_texts(response.get("links"))


def _iterate_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _iterate_texts(item)


def _add_referenced_parts(selected_data: dict[str, Any], document_data: dict[str, Any]) -> None:
    """Copy what `selected_data` refers to from `document_data`, at the same pointers."""
    schemes = read_pointer(document_data, ["components", "securitySchemes"])
    if schemes is not MISSING:
        selected_data["components"] = {"securitySchemes": schemes}
    pending = list(_iterate_references(selected_data))
    seen: set[str] = set()
    while pending:
        reference = pending.pop()
        if reference in seen:
            continue
        seen.add(reference)
        pointer_tokens = [unescape_pointer_token(token) for token in unquote(reference[2:]).split("/")]
        value = read_pointer(document_data, pointer_tokens)
        if value is not MISSING:  # a reference to nothing is reported with its line when references are checked
            _copy_value_at(selected_data, document_data, pointer_tokens)
            pending += _iterate_references(value)


def _iterate_references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            yield reference
        mapping = read_pointer(value, ["discriminator", "mapping"])
        yield from (m for m in _iterate_texts(mapping) if m.startswith("#/"))
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _iterate_references(item)


def _copy_value_at(selected_data: dict[str, Any], document_data: dict[str, Any], pointer_tokens: list[str]) -> None:
    """Copy the value at `pointer_tokens` from `document_data` to `selected_data`.

    If the value is inside of a list, the whole list is copied.
    """
    for index, token in enumerate(pointer_tokens):
        following = document_data[token]
        is_last = index == len(pointer_tokens) - 1
        if is_last or not isinstance(following, dict):
            selected_data[token] = following
            return
        child = selected_data.get(token)
        if child is following:  # is there already, as a whole
            return
        selected_data[token] = child = dict(child) if child is not None else {}
        selected_data, document_data = child, following
