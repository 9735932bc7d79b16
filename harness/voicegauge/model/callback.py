"""A callback of a provider, as the receiver recorded it."""

from __future__ import annotations

from voicegauge.model.base import Record
from voicegauge.model.exchange import Request


class ReceivedCallback(Record, frozen=True, kw_only=True):
    """One POST request to the receiver's webhook URL."""

    at: float
    """Unix time in seconds at which the request was complete."""
    at_ms: float
    """The monotonic clock at that moment, the same clock as `Timing.started_ms`."""
    token: str
    """First segment of the path. Each request gets a URL with another token, so callbacks can be matched to it."""
    request: Request
