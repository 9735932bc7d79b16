"""Finds the `x-` keys of contracts, and the keys below them, whose values are locations in requests."""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from voicegauge.formats import LocationValues, is_request_location

ANY_KEY = "*"
"""Stands for any key in the path of a key."""


def iterate_request_key_paths(record_type_by_key: Mapping[str, type[Any]]) -> Iterator[tuple[str, ...]]:
    """Yield the path of each key of the contract grammar whose value is a location in a request.

    A path is a tuple of keys that begins with an `x-` key. `ANY_KEY` in a path stands for any key, and a final key `at`
    is left out.

    Args:
        record_type_by_key: the record types of the grammar by `x-` key.
    """
    for key, record_type in record_type_by_key.items():
        yield from _iterate_key_paths(record_type, (key,), ())


def _iterate_key_paths(
    type_hint: Any, key_path: tuple[str, ...], parent_types: tuple[type[Any], ...]
) -> Iterator[tuple[str, ...]]:
    if type_hint is LocationValues or is_request_location(type_hint):
        yield key_path[:-1] if key_path[-1] == "at" else key_path  # a bare location is short for a mapping with `at`
        return
    if isinstance(type_hint, type) and issubclass(type_hint, msgspec.Struct):
        if type_hint not in parent_types:
            for key, inner in _get_type_hints_by_key(type_hint).items():
                yield from _iterate_key_paths(inner, (*key_path, key), (*parent_types, type_hint))
        return
    arguments = typing.get_args(type_hint)
    if typing.get_origin(type_hint) is dict:
        yield from _iterate_key_paths(arguments[1], (*key_path, ANY_KEY), parent_types)
    else:  # items of a list are at the key of the list
        for argument in arguments:
            yield from _iterate_key_paths(argument, key_path, parent_types)


@functools.cache
def _get_type_hints_by_key(record_type: type[Any]) -> dict[str, Any]:
    """Return the type of each field by its key in contracts, which may differ from the name of the field."""
    hints = typing.get_type_hints(record_type, include_extras=True)
    return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(record_type)}
