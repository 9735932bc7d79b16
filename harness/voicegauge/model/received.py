"""What a provider sent of itself: a webhook, as a receiver took it in."""

from __future__ import annotations

from voicegauge.model.base import Record
from voicegauge.model.exchange import Request


class ReceivedWebhook(Record, frozen=True, kw_only=True):
    """One POST to a receiver."""

    at: float
    """Unix time, in seconds, at which it had come whole."""
    at_ms: float
    """The monotonic clock at that moment, the one of `Timing.started_ms`."""
    token: str
    """The first part of the path: tells one request's webhooks from another's."""
    request: Request
