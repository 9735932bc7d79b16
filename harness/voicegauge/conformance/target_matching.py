"""Finds the target that a request addresses before it is sent."""

from __future__ import annotations

from voicegauge.client import RequestParts
from voicegauge.contract import Operation, Target


def find_request_target(operation: Operation, request: RequestParts) -> Target | None:
    """Return the target that a request to `operation` addresses; `None` if it addresses none."""
    return operation.find_target(lambda location: location.read_request(request))
