"""What rules look at: calls, jobs, deliveries, streams, webhooks, uploads and resources."""

from voicegauge.checks.subjects.call import Call, OfCall, RequestOrigin, request_media_type
from voicegauge.checks.subjects.resource import Life
from voicegauge.checks.subjects.subjects import Aged, Delivered, Expected, Jobs, Outcome, Subject, Trail
from voicegauge.checks.subjects.upload import TakenIn
from voicegauge.checks.subjects.webhook import Callback, Told

__all__ = [
    "Aged",
    "Call",
    "Callback",
    "Delivered",
    "Expected",
    "Jobs",
    "Life",
    "OfCall",
    "Outcome",
    "RequestOrigin",
    "Subject",
    "TakenIn",
    "Told",
    "Trail",
    "request_media_type",
]
