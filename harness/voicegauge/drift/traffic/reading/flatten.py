"""JSON values taken apart: each value by its path, with list entries told apart by what names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, combinations
from typing import Any, NamedTuple

from voicegauge.formats import escape

ANY = "*"
"""Stands for an index in a path."""
_MAX_WORDS = 8
"""Fields of an entry, of which two may name it together."""
_MIN_SHARED = 0.5
"""Of the entries that have a name on both sides, for the field to name them."""

JsonScalar = str | float | bool | None


class FlattenedValue(NamedTuple):
    """A value that holds no other, or an empty one that could."""

    path: str
    """JSON pointer with `*` for indices."""
    item: str
    """Which entries of the lists on the way it belongs to; empty outside lists."""
    kind: str
    """As JSON Schema has it; "number" for whole ones too."""
    value: JsonScalar


class FlattenedObject(NamedTuple):
    """A mapping, by the names of its fields."""

    path: str
    item: str
    names: tuple[str, ...]


EntryKeys = Mapping[str, tuple[str, ...]]
"""By the path of a list of mappings: the field that names its entries, or the two that do together."""


def json_type_of(value: Any) -> str:
    """The JSON type of `value`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def flatten_json(value: Any, names: EntryKeys) -> Iterator[FlattenedValue | FlattenedObject]:
    """Every mapping and every leaf in `value`."""
    yield from _take(value, "", "", names)


def _take(value: Any, path: str, item: str, names: EntryKeys) -> Iterator[FlattenedValue | FlattenedObject]:
    if isinstance(value, dict):
        yield FlattenedObject(path, item, tuple(value))
        yield FlattenedValue(path, item, "object", None)
        for key, part in value.items():
            yield from _take(part, f"{path}/{escape(key)}", item, names)
    elif isinstance(value, list):
        yield FlattenedValue(path, item, "array", None)
        fields = names.get(path)
        for index, part in enumerate(value):
            name = _name(part, index, fields)
            if fields is not None:
                yield FlattenedValue(f"{path}/{ANY}", item, "string", name)
            yield from _take(part, f"{path}/{ANY}", f"{item}/{name}", names)
    else:
        yield FlattenedValue(path, item, json_type_of(value), value)


def _name(part: Any, index: int, fields: tuple[str, ...] | None) -> str:
    """What tells an entry from its neighbours: what its naming fields hold, else its index; words are all alike."""
    if isinstance(part, dict):
        return ", ".join(str(part.get(field)) for field in fields) if fields else str(index)
    return str(index) if isinstance(part, list) else ANY


def learn_entry_keys(old: Iterable[Any], new: Iterable[Any]) -> dict[str, tuple[str, ...]]:
    """Which field, or which two, name the entries of each list of mappings.

    The first ones that every entry has, that differ between the entries of one list, and
    that most entries of the older side share with the newer one.
    """
    before, after = _lists(old), _lists(new)
    found = {}
    for path in before.keys() & after.keys():
        for fields in _candidates(before[path] + after[path]):
            ours = {_name(entry, 0, fields) for entries in before[path] for entry in entries}
            theirs = {_name(entry, 0, fields) for entries in after[path] for entry in entries}
            if len(ours & theirs) >= _MIN_SHARED * min(len(ours), len(theirs)) > 0:
                found[path] = fields
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


def _candidates(lists: list[list[dict[str, Any]]]) -> Iterator[tuple[str, ...]]:
    first = lists[0][0]
    words = [name for name in first if all(_is_word(entry.get(name)) for entries in lists for entry in entries)]
    for fields in chain(((name,) for name in words), combinations(words[:_MAX_WORDS], 2)):
        if all(len({_name(entry, 0, fields) for entry in entries}) == len(entries) for entries in lists):
            yield fields


def _is_word(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)
