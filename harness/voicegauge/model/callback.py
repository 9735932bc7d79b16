"""Record of a callback that a provider sent to the webhook receiver."""

from __future__ import annotations

from voicegauge.model.base import Record
from voicegauge.model.exchange import Request


class ReceivedCallback(Record, frozen=True, kw_only=True):
    """One POST request to the receiver's webhook URL."""

    received_at: float
    """Unix time, in seconds, at which the request had been received completely."""
    received_at_ms: float
    """The same moment on the monotonic clock that `Timing.started_ms` uses, in milliseconds."""
    request: Request
    """The request, with the public URL. Each request to a provider should name a webhook URL of its own, so that
    callbacks can be matched to requests."""
