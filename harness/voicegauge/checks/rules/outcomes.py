"""Rules over planned cases: what was expected of a request against what it was answered with."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.checks.registry import Violation, rule
from voicegauge.checks.rules.responses import excerpt
from voicegauge.checks.subjects import CaseOutcome


@rule(
    "server-error",
    on=CaseOutcome,
    proves="No request makes the service fail that does not ask for it: what is wrong is refused with a 4xx.",
    basis="responses",
)
def _server_error(outcome: CaseOutcome) -> Iterator[Violation]:
    status = outcome.call.status
    if status >= 500 and status not in outcome.expected.statuses:
        yield Violation(
            f"{outcome.expected.description}: answered {status}",
            outcome.expected.contract_pointer,
            evidence=excerpt(outcome.call),
        )


@rule(
    "auth-not-enforced",
    on=CaseOutcome,
    proves="A request without a key, or with a wrong one, is refused where a key is documented as needed.",
    basis="security",
)
def _auth_not_enforced(outcome: CaseOutcome) -> Iterator[Violation]:
    if outcome.expected.kind == "authentication" and outcome.call.ok:
        yield Violation(
            f"{outcome.expected.description}: answered {outcome.call.status}", outcome.expected.contract_pointer
        )


@rule(
    "accepts-invalid",
    on=CaseOutcome,
    proves="A request that breaks the documented schema, or asks for what is not there, is refused.",
    basis="requestBody, parameters",
)
def _accepts_invalid(outcome: CaseOutcome) -> Iterator[Violation]:
    expected = outcome.expected
    if expected.verdict == "rejected" and expected.kind in ("invalid", "unknown-id") and outcome.call.ok:
        yield Violation(
            f"{expected.description}: accepted with {outcome.call.status}",
            expected.contract_pointer,
            evidence=_sent(outcome),
        )


@rule(
    "refuses-valid",
    on=CaseOutcome,
    proves="A request that keeps to the document is accepted.",
    basis="requestBody, parameters",
)
def _refuses_valid(outcome: CaseOutcome) -> Iterator[Violation]:
    expected, status = outcome.expected, outcome.call.status
    if expected.verdict == "accepted" and not outcome.call.ok and status < 500:
        yield Violation(
            f"{expected.description}: refused with {status}", expected.contract_pointer, evidence=excerpt(outcome.call)
        )


@rule(
    "wrong-error-status",
    on=CaseOutcome,
    proves="A refusal has the status that is documented for its reason.",
    basis="responses",
)
def _wrong_error_status(outcome: CaseOutcome) -> Iterator[Violation]:
    expected, status = outcome.expected, outcome.call.status
    if expected.verdict != "rejected" or not expected.statuses or status in expected.statuses:
        return
    # Others are told by accepts-invalid, auth-not-enforced and server-error.
    right = " or ".join(map(str, expected.statuses))
    if 300 <= status < 500:
        yield Violation(
            f"{expected.description}: answered {status}, documented: {right}",
            expected.contract_pointer,
            evidence=excerpt(outcome.call),
        )
    elif outcome.call.ok and expected.kind == "rejection-reason":
        yield Violation(f"{expected.description}: answered {status}, documented: {right}", expected.contract_pointer)


def _sent(outcome: CaseOutcome) -> str | None:
    body = outcome.exchange.request.body
    return body[:1000].decode(errors="replace") if body else None
