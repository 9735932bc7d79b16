"""Flattens JSON bodies into paths and values, so that bodies can be compared field by field.

Entries of a list are matched by a field that identifies them, such as an id, because their order may differ between
recordings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, combinations
from typing import Any, NamedTuple

from voicegauge.formats import escape_pointer_token

ANY_INDEX = "*"
"""The text that replaces list indices in paths."""
_MAX_COMBINED_FIELDS = 8
"""Largest number of fields whose pairs are tried as a key of list entries, because the number of pairs grows
quadratically."""
_MIN_SHARED_ENTRIES_RATIO = 0.5
"""Smallest share of the values of a field that must occur in both recordings, so that the field may identify list
entries."""

JsonScalar = str | float | bool | None


class FlattenedValue(NamedTuple):
    """A text, number, boolean or null in a JSON body, or an object or list without its content."""

    path: str
    """JSON pointer in which `*` replaces list indices."""
    entry_identity: str
    """Identifies the list entries that contain the value, by key fields or index; empty if the value is in no list."""
    json_type: str
    """JSON type of the value. Integers have the type "number"."""
    value: JsonScalar
    """The text, number or boolean; `None` for null, an object or a list."""


class FlattenedObject(NamedTuple):
    """An object in a JSON body, with the names of its fields."""

    path: str
    """JSON pointer in which `*` replaces list indices."""
    entry_identity: str
    """Identifies the list entries that contain the object, as `FlattenedValue.entry_identity`."""
    field_names: tuple[str, ...]


EntryKeyFieldsByPath = Mapping[str, tuple[str, ...]]
"""For the path of each list of objects: the one or two fields whose values identify an entry."""


def get_json_type(value: Any) -> str:
    """Return the JSON type of `value`. Integers have the type "number"."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def flatten_json(value: Any, entry_key_fields: EntryKeyFieldsByPath) -> Iterator[FlattenedValue | FlattenedObject]:
    """Yield every object and every value in a JSON body."""
    yield from _flatten_value(value, "", "", entry_key_fields)


def _flatten_value(
    value: Any, value_path: str, entry_identity: str, entry_key_fields: EntryKeyFieldsByPath
) -> Iterator[FlattenedValue | FlattenedObject]:
    if isinstance(value, dict):
        yield FlattenedObject(value_path, entry_identity, tuple(value))
        yield FlattenedValue(value_path, entry_identity, "object", None)
        for name, child in value.items():
            yield from _flatten_value(
                child, f"{value_path}/{escape_pointer_token(name)}", entry_identity, entry_key_fields
            )
    elif isinstance(value, list):
        yield FlattenedValue(value_path, entry_identity, "array", None)
        fields = entry_key_fields.get(value_path)
        for index, child in enumerate(value):
            identity = _build_entry_identity(child, index, fields)
            if fields is not None:
                yield FlattenedValue(f"{value_path}/{ANY_INDEX}", entry_identity, "string", identity)
            yield from _flatten_value(
                child, f"{value_path}/{ANY_INDEX}", f"{entry_identity}/{identity}", entry_key_fields
            )
    else:
        yield FlattenedValue(value_path, entry_identity, get_json_type(value), value)


def _build_entry_identity(entry: Any, index: int, key_fields: tuple[str, ...] | None) -> str:
    """Return what identifies a list entry: the values of its key fields, or its index.

    Entries that are not objects all have the same identity.
    """
    if isinstance(entry, dict):
        return ", ".join(str(entry.get(field)) for field in key_fields) if key_fields else str(index)
    return str(index) if isinstance(entry, list) else ANY_INDEX


def find_entry_key_fields(old_bodies: Iterable[Any], new_bodies: Iterable[Any]) -> dict[str, tuple[str, ...]]:
    """Find the fields that identify the entries of each list of objects.

    For each list, the result is the first field for which three conditions hold: every entry has the field, its values
    differ between the entries, and at least half of the values are in both recordings. If there is no such field, pairs
    of fields are tried.

    Args:
        old_bodies: the JSON bodies of the older recording.
        new_bodies: the JSON bodies of the newer recording.
    """
    old_lists, new_lists = _collect_object_lists(old_bodies), _collect_object_lists(new_bodies)
    found = {}
    for path in old_lists.keys() & new_lists.keys():
        for fields in _iterate_key_candidates(old_lists[path] + new_lists[path]):
            before = {_build_entry_identity(entry, 0, fields) for entries in old_lists[path] for entry in entries}
            after = {_build_entry_identity(entry, 0, fields) for entries in new_lists[path] for entry in entries}
            if len(before & after) >= _MIN_SHARED_ENTRIES_RATIO * min(len(before), len(after)) > 0:
                found[path] = fields
                break
    return found


def _collect_object_lists(values: Iterable[Any]) -> dict[str, list[list[dict[str, Any]]]]:
    """Return all non-empty lists of objects, by their path."""
    found: dict[str, list[list[dict[str, Any]]]] = {}

    def visit_value(value: Any, value_path: str) -> None:
        if isinstance(value, dict):
            for name, child in value.items():
                visit_value(child, f"{value_path}/{escape_pointer_token(name)}")
        elif isinstance(value, list):
            if value and all(isinstance(entry, dict) for entry in value):
                found.setdefault(value_path, []).append(value)
            for entry in value:
                visit_value(entry, f"{value_path}/{ANY_INDEX}")

    for value in values:
        visit_value(value, "")
    return found


def _iterate_key_candidates(object_lists: list[list[dict[str, Any]]]) -> Iterator[tuple[str, ...]]:
    """Yield the fields, and then the pairs of fields, whose values are unique within each list."""
    names = [
        name
        for name in object_lists[0][0]
        if all(_can_identify_entry(entry.get(name)) for entries in object_lists for entry in entries)
    ]
    for fields in chain(((name,) for name in names), combinations(names[:_MAX_COMBINED_FIELDS], 2)):
        if all(
            len({_build_entry_identity(entry, 0, fields) for entry in entries}) == len(entries)
            for entries in object_lists
        ):
            yield fields


def _can_identify_entry(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)
