"""Flattening of JSON bodies to paths and values, so that bodies can be compared field by field.

List entries are matched across recordings by a field that identifies them, such as an id, since their order may differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, combinations
from typing import Any, NamedTuple

from voicegauge.formats import escape

ANY_INDEX = "*"
"""Replaces list indices in paths."""
_MAX_COMBINED_FIELDS = 8
"""Fields of an entry that are tried in pairs; it bounds the number of pairs, which grows with the square."""
_MIN_SHARED = 0.5
"""Part of the entries that both recordings must have, by a field's values, for the field to identify entries."""

JsonScalar = str | float | bool | None


class FlattenedValue(NamedTuple):
    """A scalar in a JSON body, or an object or list without its content."""

    path: str
    """JSON pointer with `*` for indices."""
    entry: str
    """Identifies the list entries that contain the value; empty outside of lists."""
    type: str
    """JSON type; "number" for integers too."""
    value: JsonScalar


class FlattenedObject(NamedTuple):
    """An object in a JSON body, with the names of its fields."""

    path: str
    entry: str
    names: tuple[str, ...]


EntryKeys = Mapping[str, tuple[str, ...]]
"""By the path of a list of objects: the field, or the two fields, whose values identify its entries."""


def json_type_of(value: Any) -> str:
    """Return the JSON type of `value`; "number" for integers too."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def flatten_json(value: Any, entry_keys: EntryKeys) -> Iterator[FlattenedValue | FlattenedObject]:
    """Iterate over every object and every value in a JSON body."""
    yield from _flatten(value, "", "", entry_keys)


def _flatten(value: Any, path: str, entry: str, entry_keys: EntryKeys) -> Iterator[FlattenedValue | FlattenedObject]:
    if isinstance(value, dict):
        yield FlattenedObject(path, entry, tuple(value))
        yield FlattenedValue(path, entry, "object", None)
        for name, child in value.items():
            yield from _flatten(child, f"{path}/{escape(name)}", entry, entry_keys)
    elif isinstance(value, list):
        yield FlattenedValue(path, entry, "array", None)
        fields = entry_keys.get(path)
        for index, child in enumerate(value):
            identity = _entry_identity(child, index, fields)
            if fields is not None:
                yield FlattenedValue(f"{path}/{ANY_INDEX}", entry, "string", identity)
            yield from _flatten(child, f"{path}/{ANY_INDEX}", f"{entry}/{identity}", entry_keys)
    else:
        yield FlattenedValue(path, entry, json_type_of(value), value)


def _entry_identity(entry: Any, index: int, fields: tuple[str, ...] | None) -> str:
    """Identify a list entry by the values of `fields` or by its index; scalars are not distinguished."""
    if isinstance(entry, dict):
        return ", ".join(str(entry.get(field)) for field in fields) if fields else str(index)
    return str(index) if isinstance(entry, list) else ANY_INDEX


def learn_entry_keys(old: Iterable[Any], new: Iterable[Any]) -> dict[str, tuple[str, ...]]:
    """Find the fields that identify the entries of each list of objects.

    They are the first field, or the first two fields together, that every entry has, that differ between the entries
    of a list, and whose values both recordings share for most entries.

    Args:
        old: the JSON bodies of the older recording.
        new: the JSON bodies of the newer recording.
    """
    old_lists, new_lists = _object_lists(old), _object_lists(new)
    found = {}
    for path in old_lists.keys() & new_lists.keys():
        for fields in _candidates(old_lists[path] + new_lists[path]):
            before = {_entry_identity(entry, 0, fields) for entries in old_lists[path] for entry in entries}
            after = {_entry_identity(entry, 0, fields) for entries in new_lists[path] for entry in entries}
            if len(before & after) >= _MIN_SHARED * min(len(before), len(after)) > 0:
                found[path] = fields
                break
    return found


def _object_lists(values: Iterable[Any]) -> dict[str, list[list[dict[str, Any]]]]:
    """Return all non-empty lists of objects by path."""
    found: dict[str, list[list[dict[str, Any]]]] = {}

    def visit(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for name, child in value.items():
                visit(child, f"{path}/{escape(name)}")
        elif isinstance(value, list):
            if value and all(isinstance(entry, dict) for entry in value):
                found.setdefault(path, []).append(value)
            for entry in value:
                visit(entry, f"{path}/{ANY_INDEX}")

    for value in values:
        visit(value, "")
    return found


def _candidates(lists: list[list[dict[str, Any]]]) -> Iterator[tuple[str, ...]]:
    """Iterate over the fields, and then the pairs of fields, whose values are unique within each list."""
    names = [
        name for name in lists[0][0] if all(_is_identifier(entry.get(name)) for entries in lists for entry in entries)
    ]
    for fields in chain(((name,) for name in names), combinations(names[:_MAX_COMBINED_FIELDS], 2)):
        if all(len({_entry_identity(entry, 0, fields) for entry in entries}) == len(entries) for entries in lists):
            yield fields


def _is_identifier(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)
