"""Which target a request means, where only the request is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voicegauge.client import RequestParts
from voicegauge.contract import MISSING, Operation, Target
from voicegauge.formats import Location


def find_target(operation: Operation, asked: Callable[[Location], Any]) -> Target | None:
    """The target that a request to `operation` means; `None` where none fits.

    A target fits where its constants are sent and the words it needs are there. Of
    several the one with the most constants and needs is meant.

    Args:
        operation: what was called.
        asked: reads a place of the request, `MISSING` where nothing is.
    """
    if operation.speech is None:
        return None
    fitting: list[tuple[int, Target]] = []
    for target in operation.contract.targets.values():
        spec = target.spec
        if target.operation is not operation:
            continue
        constants = all(asked(place) == value for place, value in spec.constants.items())
        needs = all(asked(operation.speech.request[word].at) is not MISSING for word in spec.required_fields)
        if constants and needs:
            fitting.append((len(spec.constants) + len(spec.required_fields), target))
    return max(fitting, key=lambda pair: pair[0], default=(0, None))[1]


def place_reader(wire: RequestParts) -> Callable[[Location], Any]:
    """Reads places of a request that is not sent yet."""
    return lambda location: location.read_request(wire)
