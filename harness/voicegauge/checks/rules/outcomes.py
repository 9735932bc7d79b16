"""Rules over planned cases: what was expected of a request against what it was answered with."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.checks.registry import Problem, rule
from voicegauge.checks.rules.responses import excerpt
from voicegauge.checks.subjects import Outcome


@rule(
    "server-error",
    on=Outcome,
    proves="No request makes the service fail that does not ask for it: what is wrong is refused with a 4xx.",
    basis="responses",
)
def _server_error(outcome: Outcome) -> Iterator[Problem]:
    status = outcome.call.status
    if status >= 500 and status not in outcome.expected.statuses:
        yield Problem(
            f"{outcome.expected.says}: answered {status}", outcome.expected.at, evidence=excerpt(outcome.call)
        )


@rule(
    "auth-not-enforced",
    on=Outcome,
    proves="A request without a key, or with a wrong one, is refused where a key is documented as needed.",
    basis="security",
)
def _auth_not_enforced(outcome: Outcome) -> Iterator[Problem]:
    if outcome.expected.why == "key" and outcome.call.ok:
        yield Problem(f"{outcome.expected.says}: answered {outcome.call.status}", outcome.expected.at)


@rule(
    "accepts-invalid",
    on=Outcome,
    proves="A request that breaks the documented schema, or asks for what is not there, is refused.",
    basis="requestBody, parameters",
)
def _accepts_invalid(outcome: Outcome) -> Iterator[Problem]:
    expected = outcome.expected
    if expected.verdict == "refused" and expected.why in ("invalid", "unknown") and outcome.call.ok:
        yield Problem(f"{expected.says}: accepted with {outcome.call.status}", expected.at, evidence=_sent(outcome))


@rule(
    "refuses-valid",
    on=Outcome,
    proves="A request that keeps to the document is accepted.",
    basis="requestBody, parameters",
)
def _refuses_valid(outcome: Outcome) -> Iterator[Problem]:
    expected, status = outcome.expected, outcome.call.status
    if expected.verdict == "accepted" and not outcome.call.ok and status < 500:
        yield Problem(f"{expected.says}: refused with {status}", expected.at, evidence=excerpt(outcome.call))


@rule(
    "wrong-error-status",
    on=Outcome,
    proves="A refusal has the status that is documented for its reason.",
    basis="responses",
)
def _wrong_error_status(outcome: Outcome) -> Iterator[Problem]:
    expected, status = outcome.expected, outcome.call.status
    if expected.verdict != "refused" or not expected.statuses or status in expected.statuses:
        return
    # Others are told by accepts-invalid, auth-not-enforced and server-error.
    right = " or ".join(map(str, expected.statuses))
    if 300 <= status < 500:
        yield Problem(
            f"{expected.says}: answered {status}, documented: {right}",
            expected.at,
            evidence=excerpt(outcome.call),
        )
    elif outcome.call.ok and expected.why == "situation":
        yield Problem(f"{expected.says}: answered {status}, documented: {right}", expected.at)


def _sent(outcome: Outcome) -> str | None:
    body = outcome.exchange.request.body
    return body[:1000].decode(errors="replace") if body else None
