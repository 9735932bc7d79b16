"""Plans conformance cases: the requests that follow from a contract, and the response that each should get."""

from voicegauge.conformance.cases.audio_input import choose_recorded_sentence, find_uploaded_audio
from voicegauge.conformance.cases.bodies import accepts_any_valid_value
from voicegauge.conformance.cases.boundary_values import BoundaryValue, list_boundary_values
from voicegauge.conformance.cases.case import (
    ApiKeyValidity,
    CaseKind,
    ConformanceCase,
    SkippedCase,
    build_case,
    expect_acceptance,
    expect_rejection_as_invalid,
    expect_undocumented_outcome,
    explain_inconclusive_status,
    explain_missing_verdict,
    find_rejection_statuses,
    should_retry,
)
from voicegauge.conformance.cases.fitting_values import find_fitting_value
from voicegauge.conformance.cases.pairwise import build_requests_with_each_value
from voicegauge.conformance.cases.parameters import build_operation_request
from voicegauge.conformance.cases.plan import (
    BATCH_ITEM_COUNT,
    CasePatterns,
    CasePlan,
    matches_case_pattern,
    plan_cases,
    select_cases,
)
from voicegauge.conformance.cases.related_deliveries import plan_related_deliveries
from voicegauge.conformance.cases.uploads import build_padded_request
from voicegauge.conformance.cases.valid_requests import (
    DEFAULT_TEXT,
    build_valid_speech_request,
    count_charged_characters,
    is_valid_body,
    set_body_value,
)
from voicegauge.conformance.cases.webhooks import set_value_in_case_request

__all__ = [
    "BATCH_ITEM_COUNT",
    "DEFAULT_TEXT",
    "ApiKeyValidity",
    "BoundaryValue",
    "CaseKind",
    "CasePatterns",
    "CasePlan",
    "ConformanceCase",
    "SkippedCase",
    "accepts_any_valid_value",
    "build_case",
    "build_operation_request",
    "build_padded_request",
    "build_requests_with_each_value",
    "build_valid_speech_request",
    "choose_recorded_sentence",
    "count_charged_characters",
    "expect_acceptance",
    "expect_rejection_as_invalid",
    "expect_undocumented_outcome",
    "explain_inconclusive_status",
    "explain_missing_verdict",
    "find_fitting_value",
    "find_rejection_statuses",
    "find_uploaded_audio",
    "is_valid_body",
    "list_boundary_values",
    "matches_case_pattern",
    "plan_cases",
    "plan_related_deliveries",
    "select_cases",
    "set_body_value",
    "set_value_in_case_request",
    "should_retry",
]
