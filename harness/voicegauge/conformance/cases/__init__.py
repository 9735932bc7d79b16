"""Plans conformance cases: the requests that follow from a contract, and the response that each should get."""

from voicegauge.conformance.cases.audio_input import recorded_sentence, uploaded_audio
from voicegauge.conformance.cases.bodies import accepts_any_valid_value
from voicegauge.conformance.cases.boundary_values import BoundaryValue, list_boundary_values
from voicegauge.conformance.cases.case import (
    CaseKey,
    CaseKind,
    ConformanceCase,
    SkippedCase,
    expect_accepted,
    expect_invalid,
    expect_undocumented,
    inconclusive_reason,
    make_case,
    no_verdict_reason,
    rejection_statuses,
    should_retry,
)
from voicegauge.conformance.cases.pairwise import value_requests
from voicegauge.conformance.cases.parameters import operation_request
from voicegauge.conformance.cases.plan import BATCH_ITEMS, CasePlan, plan_cases, select_cases
from voicegauge.conformance.cases.related_deliveries import related_deliveries
from voicegauge.conformance.cases.sample_values import sample_value
from voicegauge.conformance.cases.uploads import padded_request
from voicegauge.conformance.cases.valid_requests import (
    DEFAULT_TEXT,
    is_valid_body,
    text_characters,
    valid_speech_request,
    with_body_value,
)
from voicegauge.conformance.cases.webhooks import with_case_value

__all__ = [
    "BATCH_ITEMS",
    "DEFAULT_TEXT",
    "BoundaryValue",
    "CaseKey",
    "CaseKind",
    "CasePlan",
    "ConformanceCase",
    "SkippedCase",
    "accepts_any_valid_value",
    "expect_accepted",
    "expect_invalid",
    "expect_undocumented",
    "inconclusive_reason",
    "is_valid_body",
    "list_boundary_values",
    "make_case",
    "no_verdict_reason",
    "operation_request",
    "padded_request",
    "plan_cases",
    "recorded_sentence",
    "rejection_statuses",
    "related_deliveries",
    "sample_value",
    "select_cases",
    "should_retry",
    "text_characters",
    "uploaded_audio",
    "valid_speech_request",
    "value_requests",
    "with_body_value",
    "with_case_value",
]
