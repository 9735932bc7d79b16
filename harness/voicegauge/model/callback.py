"""Record of a callback that a provider sent to the webhook receiver."""

from __future__ import annotations

from voicegauge.model.base import Record
from voicegauge.model.exchange import Request


class ReceivedCallback(Record, frozen=True, kw_only=True):
    """One POST request to the receiver's webhook URL."""

    received_at: float
    """Unix time, in seconds, at which the request had been received completely."""
    received_at_ms: float
    """Time at which the request had been received, in milliseconds on the monotonic clock of `Timing.started_ms`."""
    request: Request
    """The request, with the public URL. Each request to a provider should name a webhook URL of its own, so that
    callbacks can be matched to requests."""
