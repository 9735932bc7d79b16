"""What rules look at: calls, jobs, deliveries, streams, webhooks, uploads and resources."""

from voicegauge.checks.subjects.call import Call, CallSubject, RequestOrigin, request_media_type
from voicegauge.checks.subjects.resource import ResourceStep
from voicegauge.checks.subjects.subjects import (
    CaseOutcome,
    ExpectedResponse,
    JobHistory,
    JobSet,
    RecordingAge,
    SpeechDelivery,
    Subject,
)
from voicegauge.checks.subjects.upload import AudioInputCall
from voicegauge.checks.subjects.webhook import Callback, RequestCallbacks

__all__ = [
    "AudioInputCall",
    "Call",
    "CallSubject",
    "Callback",
    "CaseOutcome",
    "ExpectedResponse",
    "JobHistory",
    "JobSet",
    "RecordingAge",
    "RequestCallbacks",
    "RequestOrigin",
    "ResourceStep",
    "SpeechDelivery",
    "Subject",
    "request_media_type",
]
