"""Defines the subjects that rules judge: calls, jobs, deliveries, webhooks, audio inputs, resources and recordings."""

from voicegauge.checks.subjects.audio_input_call import AudioInputCall
from voicegauge.checks.subjects.base import CheckSubject
from voicegauge.checks.subjects.call import Call, CallSubject, RequestOrigin
from voicegauge.checks.subjects.delivery import SpeechDelivery
from voicegauge.checks.subjects.delivery_pair import DeliveryPair, PairRelation
from voicegauge.checks.subjects.incomplete_response import IncompleteResponse
from voicegauge.checks.subjects.job import JobHistory
from voicegauge.checks.subjects.job_set import JobSet
from voicegauge.checks.subjects.outcome import CaseOutcome, ExpectedResponse
from voicegauge.checks.subjects.recording_age import RecordingAge
from voicegauge.checks.subjects.request_schema import find_documented_default, find_request_schema
from voicegauge.checks.subjects.resource import ResourceStep, ResourceStepKind
from voicegauge.checks.subjects.speech_timestamps import TimestampLists, read_timestamps
from voicegauge.checks.subjects.webhook import Callback, RequestCallbacks

__all__ = [
    "AudioInputCall",
    "Call",
    "CallSubject",
    "Callback",
    "CaseOutcome",
    "CheckSubject",
    "DeliveryPair",
    "ExpectedResponse",
    "IncompleteResponse",
    "JobHistory",
    "JobSet",
    "PairRelation",
    "RecordingAge",
    "RequestCallbacks",
    "RequestOrigin",
    "ResourceStep",
    "ResourceStepKind",
    "SpeechDelivery",
    "TimestampLists",
    "find_documented_default",
    "find_request_schema",
    "read_timestamps",
]
