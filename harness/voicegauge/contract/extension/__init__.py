"""The keys beginning with `x-` that say what OpenAPI cannot.

These records are the grammar: `docs/contract-extension.schema.json` is generated
from them, and a document that does not fit is refused with file, line and reason.
Places are written as `voicegauge.formats.locations` describes.
"""

from voicegauge.contract.extension.audio_input import (
    Conversion,
    ConversionAnswer,
    Fact,
    IntakeTarget,
    IntakeWord,
    Purpose,
    Segment,
    Stems,
    TranscriptAnswer,
    Transcription,
)
from voicegauge.contract.extension.grammar_schema import json_schema
from voicegauge.contract.extension.job import Cancelling, JobSpec, Poll, State, Submitted
from voicegauge.contract.extension.limits import Keyless, Limits, Plan, Upload
from voicegauge.contract.extension.provider import Credits, Provider, RecordingRules, Retry
from voicegauge.contract.extension.rejections import Situation
from voicegauge.contract.extension.resources import Batch, Chat, Deletion, Listing, Resource, Setting, Use
from voicegauge.contract.extension.sources import Amount, Dispute, Source, SourceDocument
from voicegauge.contract.extension.speech import (
    Answer,
    AudioPlace,
    Emulation,
    Pace,
    Price,
    Slot,
    Speech,
    TargetSpec,
    Word,
)
from voicegauge.contract.extension.streams import EventAudio, EventSpec, StreamSpec
from voicegauge.contract.extension.webhooks import (
    Posts,
    Webhook,
    WebhookBody,
    WebhookEmulation,
    WebhookMode,
    WebhookUrl,
)

__all__ = [
    "Amount",
    "Answer",
    "AudioPlace",
    "Batch",
    "Cancelling",
    "Chat",
    "Conversion",
    "ConversionAnswer",
    "Credits",
    "Deletion",
    "Dispute",
    "Emulation",
    "EventAudio",
    "EventSpec",
    "Fact",
    "IntakeTarget",
    "IntakeWord",
    "JobSpec",
    "Keyless",
    "Limits",
    "Listing",
    "Pace",
    "Plan",
    "Poll",
    "Posts",
    "Price",
    "Provider",
    "Purpose",
    "RecordingRules",
    "Resource",
    "Retry",
    "Segment",
    "Setting",
    "Situation",
    "Slot",
    "Source",
    "SourceDocument",
    "Speech",
    "State",
    "Stems",
    "StreamSpec",
    "Submitted",
    "TargetSpec",
    "TranscriptAnswer",
    "Transcription",
    "Upload",
    "Use",
    "Webhook",
    "WebhookBody",
    "WebhookEmulation",
    "WebhookMode",
    "WebhookUrl",
    "Word",
    "json_schema",
]
