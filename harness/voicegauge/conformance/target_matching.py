"""Finds the target that a request from an example or a recording addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voicegauge.client import RequestParts
from voicegauge.contract import MISSING, Location, Operation, Target


def find_target(operation: Operation, read_request: Callable[[Location], Any]) -> Target | None:
    """Return the target that a request to `operation` addresses; `None` if it addresses none.

    A target is addressed if its constants are sent and the fields that it needs are present. If this is true for more
    than one target, the one with the most constants and needed fields is returned, because it is the most specific.

    Args:
        operation: the operation that was called.
        read_request: reads the value at a location of the request; returns `MISSING` if there is no value.
    """
    if operation.speech is None:
        return None
    matching: list[tuple[int, Target]] = []
    for target in operation.contract.targets.values():
        spec = target.spec
        if target.operation is not operation:
            continue
        has_constants = all(read_request(location) == value for location, value in spec.constants.items())
        has_needed = all(
            read_request(operation.speech.request[word].at) is not MISSING for word in spec.required_fields
        )
        if has_constants and has_needed:
            matching.append((len(spec.constants) + len(spec.required_fields), target))
    return max(matching, key=lambda pair: pair[0], default=(0, None))[1]


def find_request_target(operation: Operation, request: RequestParts) -> Target | None:
    """Return the target that a planned request addresses; `None` if it addresses none."""
    return find_target(operation, lambda location: location.read_request(request))
