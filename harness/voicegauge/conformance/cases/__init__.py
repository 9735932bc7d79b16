"""Planning conformance cases: which requests a contract leads to, and what each should be answered with."""

from voicegauge.conformance.cases.audio_input import taken_in
from voicegauge.conformance.cases.batches import POLLS_AFTER_END, batch_subjects
from voicegauge.conformance.cases.bodies import accepts_any_valid_value
from voicegauge.conformance.cases.boundary_values import BoundaryValue, list_boundary_values
from voicegauge.conformance.cases.case import (
    CaseKind,
    ConformanceCase,
    SkippedCase,
    inconclusive_reason,
    no_verdict_reason,
    rejection_statuses,
    should_retry,
)
from voicegauge.conformance.cases.plan import CasePlan, plan_cases
from voicegauge.conformance.cases.resources import Caller, ResourceLifecycle
from voicegauge.conformance.cases.sample_values import sample_value
from voicegauge.conformance.cases.uploads import padded_request
from voicegauge.conformance.cases.valid_requests import is_valid_body, text_characters, valid_speech_request, with_value
from voicegauge.conformance.cases.webhooks import WebhookSession, receiver_for

__all__ = [
    "POLLS_AFTER_END",
    "BoundaryValue",
    "Caller",
    "CaseKind",
    "CasePlan",
    "ConformanceCase",
    "ResourceLifecycle",
    "SkippedCase",
    "WebhookSession",
    "accepts_any_valid_value",
    "batch_subjects",
    "inconclusive_reason",
    "is_valid_body",
    "list_boundary_values",
    "no_verdict_reason",
    "padded_request",
    "plan_cases",
    "receiver_for",
    "rejection_statuses",
    "sample_value",
    "should_retry",
    "taken_in",
    "text_characters",
    "valid_speech_request",
    "with_value",
]
