"""Finds what voicegauge itself sends and reads, from the locations that the `x-` keys of a contract name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from voicegauge.contract.extension import RECORD_BY_OPERATION_KEY, RECORD_BY_ROOT_KEY
from voicegauge.drift.client_uses.client_uses import ClientUses, SentValues
from voicegauge.drift.client_uses.recorded_uses import OperationMatcher
from voicegauge.drift.client_uses.request_location_keys import ANY_KEY, iterate_request_key_paths
from voicegauge.formats import Location, parse_location

_REQUEST_KEY_PATHS = tuple(dict.fromkeys(iterate_request_key_paths({**RECORD_BY_OPERATION_KEY, **RECORD_BY_ROOT_KEY})))
"""Paths of the keys, starting with an `x-` key, under which a contract names locations in requests. Locations under any
other key are in responses."""


class _StatedLocation(NamedTuple):
    """A location that an `x-` key of a contract names, such as `body#/text`."""

    location: Location
    is_in_request: bool
    """Whether the location is in a request. Otherwise it is in a response."""


def add_voicegauge_uses(client_uses: ClientUses, matcher: OperationMatcher) -> None:
    """Add what voicegauge sends to and reads from each operation that has an `x-` key.

    Every location that an `x-` key names is added to all of these operations, because an `x-` key of one operation may
    name locations of another. The requests are marked as incomplete, because voicegauge also sends values that no `x-`
    key names, such as required ones.
    """
    document = matcher.document
    stated = set(_iterate_stated_locations(document.data, ()))
    sent = frozenset(one.location for one in stated if one.is_in_request)
    read = {one.location for one in stated if not one.is_in_request}
    source = f"the x- keys of {document.path}"
    for operation_pattern in matcher.operation_patterns:
        operation: Any = document.data["paths"][operation_pattern.path][operation_pattern.method]
        if any(key.startswith("x-") for key in operation):
            use = client_uses.find_or_add_operation_use(operation_pattern.name)
            use.add_read_locations(read, source)
            use.sent_values.append(SentValues(sent, source))
            use.are_sent_values_complete = False


def _iterate_stated_locations(value: Any, key_path: tuple[str, ...]) -> Iterator[_StatedLocation]:
    """Yield the locations that the `x-` keys in a value of a document name.

    Args:
        value: a value of the document, or the whole document.
        key_path: the keys that lead to `value`, starting with an `x-` key; empty if `value` is not below an `x-` key.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            inner_keys = (*key_path, key) if key_path or key.startswith("x-") else ()
            if key_path:
                yield from _iterate_stated_locations(key, inner_keys)  # constants have their locations as keys
            if key_path or not key.startswith(("example", "schema")):
                yield from _iterate_stated_locations(item, inner_keys)
    elif isinstance(value, list):
        for item in value:
            yield from _iterate_stated_locations(item, key_path)
    elif key_path and isinstance(value, str) and value.startswith(("body#", "header.", "query.")):
        try:
            yield _StatedLocation(parse_location(value), _is_request_key_path(key_path))
        except ValueError:
            return  # a text that only begins like a location


def _is_request_key_path(key_path: tuple[str, ...]) -> bool:
    return any(
        len(pattern) <= len(key_path)
        and all(one in (ANY_KEY, key) for one, key in zip(pattern, key_path, strict=False))  # what follows is below
        for pattern in _REQUEST_KEY_PATHS
    )
