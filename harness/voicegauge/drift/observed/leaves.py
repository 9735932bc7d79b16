"""JSON values taken apart: each value by its path, with list entries told apart by what names them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from voicegauge.contract.document import escape

ANY = "*"
"""Stands for an index in a path."""
_MIN_SHARED = 0.5
"""Of the entries that have a name on both sides, for the field to name them."""

Scalar = str | float | bool | None


class Leaf(NamedTuple):
    """A value that holds no other, or an empty one that could."""

    path: str
    """JSON pointer with `*` for indices."""
    item: str
    """Which entries of the lists on the way it belongs to; empty outside lists."""
    kind: str
    """As JSON Schema has it; "number" for whole ones too."""
    value: Scalar


class Fields(NamedTuple):
    """A mapping, by the names of its fields."""

    path: str
    item: str
    names: tuple[str, ...]


Names = Mapping[str, str]
"""By the path of a list of mappings: the field that names its entries."""


def kind_of(value: Any) -> str:
    """The JSON type of `value`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def take_apart(value: Any, names: Names) -> Iterator[Leaf | Fields]:
    """Every mapping and every leaf in `value`."""
    yield from _take(value, "", "", names)


def _take(value: Any, path: str, item: str, names: Names) -> Iterator[Leaf | Fields]:
    if isinstance(value, dict):
        yield Fields(path, item, tuple(value))
        yield Leaf(path, item, "object", None)
        for key, part in value.items():
            yield from _take(part, f"{path}/{escape(key)}", item, names)
    elif isinstance(value, list):
        yield Leaf(path, item, "array", None)
        for index, part in enumerate(value):
            yield from _take(part, f"{path}/{ANY}", f"{item}/{_name(part, index, names.get(path))}", names)
    else:
        yield Leaf(path, item, kind_of(value), value)


def _name(part: Any, index: int, field: str | None) -> str:
    """What tells an entry from its neighbours: its naming field, itself if it is a scalar, else its index."""
    if isinstance(part, dict):
        return json.dumps(part.get(field)) if field else str(index)
    return str(index) if isinstance(part, list) else ANY


def learn_names(old: Iterable[Any], new: Iterable[Any]) -> dict[str, str]:
    """Which field names the entries of each list of mappings.

    The first one that every entry has, that differs between the entries of one list, and
    that most entries of the older side share with the newer one.
    """
    before, after = _lists(old), _lists(new)
    found = {}
    for path in before.keys() & after.keys():
        for field in _candidates(before[path] + after[path]):
            ours = {json.dumps(entry[field]) for entries in before[path] for entry in entries}
            theirs = {json.dumps(entry[field]) for entries in after[path] for entry in entries}
            if len(ours & theirs) >= _MIN_SHARED * min(len(ours), len(theirs)) > 0:
                found[path] = field
                break
    return found


def _lists(values: Iterable[Any]) -> dict[str, list[list[dict[str, Any]]]]:
    found: dict[str, list[list[dict[str, Any]]]] = {}

    def look(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                look(part, f"{path}/{escape(key)}")
        elif isinstance(value, list):
            if value and all(isinstance(part, dict) for part in value):
                found.setdefault(path, []).append(value)
            for part in value:
                look(part, f"{path}/{ANY}")

    for value in values:
        look(value, "")
    return found


def _candidates(lists: list[list[dict[str, Any]]]) -> Iterator[str]:
    for field in lists[0][0]:
        if all(_tells_apart(field, entries) for entries in lists):
            yield field


def _tells_apart(field: str, entries: list[dict[str, Any]]) -> bool:
    values = [entry.get(field) for entry in entries]
    named = all(isinstance(value, str | int) and not isinstance(value, bool) for value in values)
    return named and len(set(values)) == len(values)
