"""Record of a callback that a provider sent to the webhook receiver."""

from __future__ import annotations

from voicegauge.model.base import Record
from voicegauge.model.exchange import Request


class ReceivedCallback(Record, frozen=True, kw_only=True):
    """One POST request to the receiver's webhook URL."""

    at: float
    """Unix time, in seconds, at which the request had been received completely."""
    at_ms: float
    """The same moment on the monotonic clock that `Timing.started_ms` uses, in milliseconds."""
    token: str
    """Last segment of the URL's path. Each request to a provider names a URL with a different token, so that callbacks
    can be matched to requests."""
    request: Request
