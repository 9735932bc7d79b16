"""Rules that compare the actual response to a planned case with the expected response."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.checks.registry import Violation, rule
from voicegauge.checks.rules.responses import excerpt
from voicegauge.checks.subjects import CaseOutcome


@rule(
    "server-error",
    on=CaseOutcome,
    description="No request causes a server error: an invalid request is rejected with a 4xx status.",
    basis="responses",
)
def _check_server_error(outcome: CaseOutcome) -> Iterator[Violation]:
    status = outcome.call.status
    if status >= 500 and status not in outcome.expected.statuses:
        yield Violation(
            f"{outcome.expected.description}: got status {status}",
            outcome.expected.contract_pointer,
            evidence=excerpt(outcome.call),
        )


@rule(
    "auth-not-enforced",
    on=CaseOutcome,
    description="A request without a valid key is rejected if a key is documented as required.",
    basis="security",
)
def _check_auth_not_enforced(outcome: CaseOutcome) -> Iterator[Violation]:
    if outcome.expected.kind == "authentication" and outcome.call.ok:
        yield Violation(
            f"{outcome.expected.description}: got status {outcome.call.status}", outcome.expected.contract_pointer
        )


@rule(
    "accepts-invalid",
    on=CaseOutcome,
    description="A request that violates the documented schema, or names an unknown id, is rejected.",
    basis="requestBody, parameters",
)
def _check_accepts_invalid(outcome: CaseOutcome) -> Iterator[Violation]:
    expected = outcome.expected
    if expected.verdict == "rejected" and expected.kind in ("invalid", "unknown-id") and outcome.call.ok:
        yield Violation(
            f"{expected.description}: accepted with {outcome.call.status}",
            expected.contract_pointer,
            evidence=_request_excerpt(outcome),
        )


@rule(
    "rejects-valid",
    on=CaseOutcome,
    description="A request that matches the document is accepted.",
    basis="requestBody, parameters",
)
def _check_rejects_valid(outcome: CaseOutcome) -> Iterator[Violation]:
    expected, status = outcome.expected, outcome.call.status
    if expected.verdict == "accepted" and not outcome.call.ok and status < 500:
        yield Violation(
            f"{expected.description}: rejected with {status}", expected.contract_pointer, evidence=excerpt(outcome.call)
        )


@rule(
    "wrong-error-status",
    on=CaseOutcome,
    description="A rejection has the status that is documented for its reason.",
    basis="responses",
)
def _check_wrong_error_status(outcome: CaseOutcome) -> Iterator[Violation]:
    expected, status = outcome.expected, outcome.call.status
    if expected.verdict != "rejected" or not expected.statuses or status in expected.statuses:
        return
    # The rules accepts-invalid, auth-not-enforced and server-error report success and server errors.
    right = " or ".join(map(str, expected.statuses))
    if 300 <= status < 500:
        yield Violation(
            f"{expected.description}: got status {status}, documented: {right}",
            expected.contract_pointer,
            evidence=excerpt(outcome.call),
        )
    elif outcome.call.ok and expected.kind == "rejection-reason":
        yield Violation(f"{expected.description}: got status {status}, documented: {right}", expected.contract_pointer)


def _request_excerpt(outcome: CaseOutcome) -> str | None:
    body = outcome.exchange.request.body
    return body[:1000].decode(errors="replace") if body else None
