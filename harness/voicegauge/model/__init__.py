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
from voicegauge.model.data_frame import write_parquet
from voicegauge.model.early_stop import EarlyStop, TargetDecision
from voicegauge.model.exchange import (
    DOWNLOAD_OPERATION,
    BodyExcerpt,
    Exchange,
    ExchangeExcerpt,
    Headers,
    Request,
    Response,
    Timing,
    UploadedFile,
    header,
)
from voicegauge.model.finding import Finding, FindingClip, FindingLocation
from voicegauge.model.job import Delivery, Failure, FailureKind, Interval, Job, StateObservation
from voicegauge.model.ramp import RampResult, RampStep
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
    TargetPlan,
    TargetPrice,
    TargetRef,
    TimingError,
)
from voicegauge.model.sample import AudioFacts, Cost, Latency, RequestPhases, Sample, Score, Streaming
from voicegauge.model.sample_table import SAMPLE_COLUMNS, ColumnValue, SampleColumn, SampleRow
from voicegauge.model.speech import SpeechRequest, VoiceSample

__all__ = [
    "DOWNLOAD_OPERATION",
    "RUN_SCHEMA_VERSION",
    "SAMPLE_COLUMNS",
    "AmbiguousRequest",
    "AmountPerUnit",
    "AsrErrorFloor",
    "AudioFacts",
    "BillingStatus",
    "BodyExcerpt",
    "ColumnValue",
    "Cost",
    "Delivery",
    "EarlyStop",
    "Exchange",
    "ExchangeExcerpt",
    "Failure",
    "FailureKind",
    "Finding",
    "FindingClip",
    "FindingLocation",
    "Headers",
    "Interval",
    "Job",
    "KnownWords",
    "Latency",
    "Manifest",
    "OpenJob",
    "Provenance",
    "RampResult",
    "RampStep",
    "ReceivedCallback",
    "Record",
    "Request",
    "RequestPhases",
    "Response",
    "Run",
    "RunKind",
    "Sample",
    "SampleColumn",
    "SampleRow",
    "Score",
    "ScoreSet",
    "Severity",
    "SpeechRequest",
    "StateObservation",
    "StopReason",
    "Streaming",
    "SuiteRef",
    "TargetDecision",
    "TargetPlan",
    "TargetPrice",
    "TargetRef",
    "Timing",
    "TimingError",
    "UploadedFile",
    "VoiceSample",
    "describe_ambiguous",
    "describe_unresolved",
    "header",
    "write_parquet",
]
