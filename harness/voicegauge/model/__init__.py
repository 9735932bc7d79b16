"""Frozen, typed records that all packages share: exchanges, findings, jobs, samples and runs."""

from voicegauge.model.base import Provenance, Record, Severity, StopReason
from voicegauge.model.billing import (
    AmbiguousRequest,
    BillingStatus,
    OpenJob,
    describe_ambiguous,
    describe_unresolved,
)
from voicegauge.model.callback import ReceivedCallback
from voicegauge.model.exchange import (
    DOWNLOAD_OPERATION,
    Exchange,
    Headers,
    Request,
    Response,
    Timing,
    UploadedFile,
    header,
)
from voicegauge.model.finding import Finding, FindingLocation
from voicegauge.model.job import Delivery, Failure, FailureKind, Interval, Job, StateObservation
from voicegauge.model.run import (
    RUN_SCHEMA_VERSION,
    AmountPerUnit,
    AsrErrorFloor,
    KnownWords,
    Manifest,
    Run,
    RunKind,
    ScoreSet,
    SuiteRef,
    TargetPrice,
    TargetRef,
    TimingError,
)
from voicegauge.model.sample import AudioFacts, Cost, Latency, RequestPhases, Sample, Score, Streaming
from voicegauge.model.speech import SpeechRequest, VoiceSample

__all__ = [
    "DOWNLOAD_OPERATION",
    "RUN_SCHEMA_VERSION",
    "AmbiguousRequest",
    "AmountPerUnit",
    "AsrErrorFloor",
    "AudioFacts",
    "BillingStatus",
    "Cost",
    "Delivery",
    "Exchange",
    "Failure",
    "FailureKind",
    "Finding",
    "FindingLocation",
    "Headers",
    "Interval",
    "Job",
    "KnownWords",
    "Latency",
    "Manifest",
    "OpenJob",
    "Provenance",
    "ReceivedCallback",
    "Record",
    "Request",
    "RequestPhases",
    "Response",
    "Run",
    "RunKind",
    "Sample",
    "Score",
    "ScoreSet",
    "Severity",
    "SpeechRequest",
    "StateObservation",
    "StopReason",
    "Streaming",
    "SuiteRef",
    "TargetPrice",
    "TargetRef",
    "Timing",
    "TimingError",
    "UploadedFile",
    "VoiceSample",
    "describe_ambiguous",
    "describe_unresolved",
    "header",
]
