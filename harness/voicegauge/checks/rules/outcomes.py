"""Rules that compare the actual response to a planned case with the expected response."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.checks.registry import Violation, register_rule
from voicegauge.checks.rules.responses import quote_text_body
from voicegauge.checks.subjects import CaseOutcome


@register_rule(
    "server-error",
    subject_class=CaseOutcome,
    description="No request causes a server error: an invalid request is rejected with a 4xx status.",
    contract_condition="responses",
)
def _check_server_error(outcome: CaseOutcome) -> Iterator[Violation]:
    if outcome.is_server_error:
        yield Violation(
            f"{outcome.expected_response.description}: got status {outcome.call.status}",
            outcome.expected_response.contract_pointer,
            evidence=quote_text_body(outcome.call),
        )


@register_rule(
    "auth-not-enforced",
    subject_class=CaseOutcome,
    description="A request without a valid key is rejected if a key is documented as required.",
    contract_condition="security",
)
def _check_auth_not_enforced(outcome: CaseOutcome) -> Iterator[Violation]:
    if outcome.expected_response.case_kind == "authentication" and outcome.call.is_accepted:
        yield Violation(
            f"{outcome.expected_response.description}: got status {outcome.call.status}",
            outcome.expected_response.contract_pointer,
        )


@register_rule(
    "accepts-invalid",
    subject_class=CaseOutcome,
    description="A request that violates the documented schema, or names an unknown id, is rejected.",
    contract_condition="requestBody, parameters",
)
def _check_invalid_request_accepted(outcome: CaseOutcome) -> Iterator[Violation]:
    expected = outcome.expected_response
    if (
        expected.acceptance == "rejected"
        and expected.case_kind in ("invalid", "unknown-id")
        and outcome.call.is_accepted
    ):
        yield Violation(
            f"{expected.description}: accepted with {outcome.call.status}",
            expected.contract_pointer,
            evidence=_quote_request_body(outcome),
        )


@register_rule(
    "rejects-valid",
    subject_class=CaseOutcome,
    description="A request that matches the document is accepted.",
    contract_condition="requestBody, parameters",
)
def _check_valid_request_rejected(outcome: CaseOutcome) -> Iterator[Violation]:
    expected, status = outcome.expected_response, outcome.call.status
    if expected.acceptance == "accepted" and not outcome.call.is_accepted and status < 500:
        yield Violation(
            f"{expected.description}: rejected with {status}",
            expected.contract_pointer,
            evidence=quote_text_body(outcome.call),
        )


@register_rule(
    "wrong-error-status",
    subject_class=CaseOutcome,
    description="A rejection has the documented status of its reason. status-undocumented reports undocumented ones.",
    contract_condition="responses",
)
def _check_wrong_error_status(outcome: CaseOutcome) -> Iterator[Violation]:
    expected, status = outcome.expected_response, outcome.call.status
    if expected.acceptance != "rejected" or not expected.statuses or status in expected.statuses:
        return
    if outcome.call.documented_response is None:
        return  # one cause, one finding: status-undocumented reports it
    # The rules accepts-invalid, auth-not-enforced and server-error report success and server errors.
    right = " or ".join(map(str, expected.statuses))
    if 300 <= status < 500:
        # At the response, so that all requests that are rejected with a wrong status are one finding.
        yield Violation(
            f"{expected.description}: got status {status}, documented: {right}",
            f"{outcome.operation.pointer}/responses/{expected.statuses[0]}",
            evidence=quote_text_body(outcome.call),
        )
    elif outcome.call.is_accepted and expected.case_kind == "rejection-reason":
        yield Violation(f"{expected.description}: got status {status}, documented: {right}", expected.contract_pointer)


def _quote_request_body(outcome: CaseOutcome) -> str | None:
    body = outcome.exchange.request.body
    return body[:1000].decode(errors="replace") if body else None
