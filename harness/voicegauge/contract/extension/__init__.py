"""Defines the records of the `x-` keys, which describe what OpenAPI cannot.

These records are the grammar of contracts: `docs/contract-extension.schema.json` is generated from them, and loading
fails with file, line and reason for a document that does not fit. `voicegauge.formats.locations` describes how
locations are written.
"""

from voicegauge.contract.extension.audio_input import (
    AudioFact,
    AudioInputField,
    AudioInputTargetSpec,
    ConversionPurpose,
    ConversionResponse,
    ConversionSpec,
    StemList,
    TranscriptionResponse,
    TranscriptionSpec,
    TranscriptSegmentFields,
)
from voicegauge.contract.extension.grammar_schema import RECORD_BY_OPERATION_KEY, RECORD_BY_ROOT_KEY, build_json_schema
from voicegauge.contract.extension.idempotency import IdempotencySpec
from voicegauge.contract.extension.job import (
    JobCancellation,
    JobSpec,
    JobState,
    PollSchedule,
    SubmitResponseLocations,
    SubmitSpec,
)
from voicegauge.contract.extension.limits import KeylessLimits, LimitsSpec, PlanLimits, UploadLimits
from voicegauge.contract.extension.pricing import (
    UNITS_COUNTED_FROM_TEXT,
    CharacterCounting,
    PlanPrice,
    PriceSpec,
    PriceUnit,
    UsageSpec,
)
from voicegauge.contract.extension.provider import (
    CreditSpec,
    ListOperation,
    ProviderSpec,
    RecordingAgeLimit,
    RetryPolicy,
    SelfHostedSpec,
)
from voicegauge.contract.extension.rejections import STATUS_CODES_BY_REASON, RejectionReason
from voicegauge.contract.extension.resources import (
    BatchSpec,
    ChatSpec,
    ResourceDeletion,
    ResourceListing,
    ResourceSpec,
    ResourceTransition,
    ResourceUse,
)
from voicegauge.contract.extension.response_audio import (
    RAW_SAMPLE_CODECS,
    AudioCodec,
    AudioFormat,
    EventTimestamps,
    ResponseAudio,
    SpeechTimestamps,
)
from voicegauge.contract.extension.security import AwsSignature, KeySpec, WebhookSignature
from voicegauge.contract.extension.sources import Dispute, NonNegativeFloat, SourceDocument, SourceReference
from voicegauge.contract.extension.speech import (
    AudioPacing,
    FieldMapping,
    SpeechEmulation,
    SpeechField,
    SpeechResponse,
    SpeechSpec,
    TargetSpec,
    WaitPreference,
)
from voicegauge.contract.extension.streams import EventAudio, EventSpec, StreamSpec
from voicegauge.contract.extension.webhooks import (
    CallbackBodyLocations,
    CallbackTiming,
    WebhookEmulation,
    WebhookModeField,
    WebhookSpec,
    WebhookUrlField,
)

__all__ = [
    "RAW_SAMPLE_CODECS",
    "RECORD_BY_OPERATION_KEY",
    "RECORD_BY_ROOT_KEY",
    "STATUS_CODES_BY_REASON",
    "UNITS_COUNTED_FROM_TEXT",
    "AudioCodec",
    "AudioFact",
    "AudioFormat",
    "AudioInputField",
    "AudioInputTargetSpec",
    "AudioPacing",
    "AwsSignature",
    "BatchSpec",
    "CallbackBodyLocations",
    "CallbackTiming",
    "CharacterCounting",
    "ChatSpec",
    "ConversionPurpose",
    "ConversionResponse",
    "ConversionSpec",
    "CreditSpec",
    "Dispute",
    "EventAudio",
    "EventSpec",
    "EventTimestamps",
    "FieldMapping",
    "IdempotencySpec",
    "JobCancellation",
    "JobSpec",
    "JobState",
    "KeySpec",
    "KeylessLimits",
    "LimitsSpec",
    "ListOperation",
    "NonNegativeFloat",
    "PlanLimits",
    "PlanPrice",
    "PollSchedule",
    "PriceSpec",
    "PriceUnit",
    "ProviderSpec",
    "RecordingAgeLimit",
    "RejectionReason",
    "ResourceDeletion",
    "ResourceListing",
    "ResourceSpec",
    "ResourceTransition",
    "ResourceUse",
    "ResponseAudio",
    "RetryPolicy",
    "SelfHostedSpec",
    "SourceDocument",
    "SourceReference",
    "SpeechEmulation",
    "SpeechField",
    "SpeechResponse",
    "SpeechSpec",
    "SpeechTimestamps",
    "StemList",
    "StreamSpec",
    "SubmitResponseLocations",
    "SubmitSpec",
    "TargetSpec",
    "TranscriptSegmentFields",
    "TranscriptionResponse",
    "TranscriptionSpec",
    "UploadLimits",
    "UsageSpec",
    "WaitPreference",
    "WebhookEmulation",
    "WebhookModeField",
    "WebhookSignature",
    "WebhookSpec",
    "WebhookUrlField",
    "build_json_schema",
]
