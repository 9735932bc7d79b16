"""Finds the keys of the grammar whose locations are in requests."""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from voicegauge.formats import LocationValues, is_request_location

ANY_KEY = "*"


def iterate_request_keys(record_by_key: Mapping[str, type[Any]]) -> Iterator[tuple[str, ...]]:
    """Yield the path of each key of the grammar whose value is a location in a request; `ANY_KEY` stands for a name.

    A path begins with an `x-` key, and leaves out a last `at`.

    Args:
        record_by_key: the records of the grammar by `x-` key.
    """
    for key, record_type in record_by_key.items():
        yield from _iterate_keys(record_type, (key,), ())


def _iterate_keys(hint: Any, keys: tuple[str, ...], parents: tuple[type[Any], ...]) -> Iterator[tuple[str, ...]]:
    if hint is LocationValues or is_request_location(hint):
        yield keys[:-1] if keys[-1] == "at" else keys  # a bare location is short for a mapping with `at`
        return
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        if hint not in parents:
            for name, inner in _get_type_hints(hint).items():
                yield from _iterate_keys(inner, (*keys, name), (*parents, hint))
        return
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is dict:
        yield from _iterate_keys(arguments[1], (*keys, ANY_KEY), parents)
    else:  # items of a list are at the key of the list
        for argument in arguments:
            yield from _iterate_keys(argument, keys, parents)


@functools.cache
def _get_type_hints(record_type: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(record_type, include_extras=True)
