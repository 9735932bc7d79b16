"""Changes documents by JSON pointers, so that a test says what is different and not how the text is written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from voicegauge.formats.located_yaml import split_json_pointer

Edit = Callable[[dict[str, Any]], None]
REMOVED: Any = object()
"""Given as a value: remove the key or the item."""


def put(pointer: str, value: Any) -> Edit:
    """Put `value` at `pointer`, where "-" appends to a list; mappings on the way that do not exist are added."""

    def edit(document: dict[str, Any]) -> None:
        *pointer_tokens, last = split_json_pointer(pointer)
        place: Any = document
        for token in pointer_tokens:
            place = place[int(token)] if isinstance(place, list) else place.setdefault(token, {})
        if value is REMOVED:
            del place[int(last) if isinstance(place, list) else last]
        elif isinstance(place, list):
            place[len(place) if last == "-" else int(last) :] = [copy.deepcopy(value)]
        else:
            place[last] = copy.deepcopy(value)

    return edit


def edited(document: Mapping[str, Any], *edits: Edit) -> dict[str, Any]:
    """Return a copy of `document` with `edits`."""
    changed: dict[str, Any] = copy.deepcopy(dict(document))
    for edit in edits:
        edit(changed)
    return changed


def changed_yaml(text: str, changes: Mapping[str, Any]) -> str:
    """Return a YAML document with the values of `changes` at their JSON pointers; see `put`.

    A pointer that leads nowhere is an error, unlike a replacement in the text that finds nothing.
    """
    document = yaml.safe_load(text)
    for pointer, value in changes.items():
        parent = pointer.rpartition("/")[0]
        assert _has_value(document, pointer if value is REMOVED else parent), f"there is nothing at {pointer}"
        put(pointer, value)(document)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1_000_000)


def _has_value(document: Any, pointer: str) -> bool:
    for token in split_json_pointer(pointer):
        try:
            document = document[int(token) if isinstance(document, list) else token]
        except (LookupError, ValueError, TypeError):
            return False
    return True
