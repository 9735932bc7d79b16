"""A pair of documents that differ in one edit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

Json = Any
Edit = Callable[[dict[str, Json]], None]
REMOVED: Any = object()
"""Given as a value to `put`: remove the key."""


class DocumentPair(NamedTuple):
    """Two documents, and the rule of oasdiff that the difference between them is about."""

    rule: str
    """Id of the rule; empty if the documents are equivalent."""
    old: dict[str, Json]
    new: dict[str, Json]


def put(pointer: str, value: Json) -> Edit:
    """Return an edit that puts `value` at a JSON pointer, in which "~1" stands for "/"; "-" appends to a list."""
    *pointer_tokens, last = (token.replace("~1", "/") for token in pointer.split("/")[1:])

    def edit(document: dict[str, Json]) -> None:
        parent: Json = document
        for token in pointer_tokens:
            parent = parent[int(token)] if isinstance(parent, list) else parent.setdefault(token, {})
        if value is REMOVED:
            del parent[int(last) if isinstance(parent, list) else last]
        elif isinstance(parent, list):
            parent[len(parent) if last == "-" else int(last) :] = [value]
        else:
            parent[last] = value

    return edit


def apply_edits(document: dict[str, Json], *edits: Edit) -> dict[str, Json]:
    """Return a copy of `document` with the edits."""
    changed = copy.deepcopy(document)
    for edit in edits:
        edit(changed)
        changed = copy.deepcopy(changed)
    return changed


def build_document(operation: dict[str, Json]) -> dict[str, Json]:
    """Return a document with one operation, POST /speak."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Acme", "version": "1.0.0"},
        "paths": {"/speak": {"post": {"operationId": "speak", "responses": {"200": {"description": "A"}}} | operation}},
    }
