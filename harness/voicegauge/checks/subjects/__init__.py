"""Defines the subjects that rules judge: calls, jobs, deliveries, webhooks, audio inputs, resources and recordings."""

from voicegauge.checks.subjects.audio_input_call import AudioInputCall
from voicegauge.checks.subjects.base import CheckSubject
from voicegauge.checks.subjects.call import Call, CallSubject, RequestIntent
from voicegauge.checks.subjects.concurrent_jobs import ConcurrentJobs
from voicegauge.checks.subjects.delivery import SpeechDelivery
from voicegauge.checks.subjects.delivery_pair import ComparedParameter, DeliveryPair
from voicegauge.checks.subjects.incomplete_response import IncompleteResponse
from voicegauge.checks.subjects.job import JobHistory
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
    "ComparedParameter",
    "ConcurrentJobs",
    "DeliveryPair",
    "ExpectedResponse",
    "IncompleteResponse",
    "JobHistory",
    "RecordingAge",
    "RequestCallbacks",
    "RequestIntent",
    "ResourceStep",
    "ResourceStepKind",
    "SpeechDelivery",
    "TimestampLists",
    "find_documented_default",
    "find_request_schema",
    "read_timestamps",
]
