"""Rules that compare the response to a planned case with the expected one, and the age of recordings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from voicegauge.formats.located_yaml import unescape_pointer_token
from voicegauge.model.base import Severity
from voicegauge.rules._responses import (
    quote_text_body,
)
from voicegauge.rules.call import CaseOutcome, RecordingAge, describe_error_with_success_status
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule


@register_rule(
    "server-error",
    subject_class=CaseOutcome,
    description="No request causes a server error: an invalid request is rejected with a 4xx status.",
    contract_condition="responses",
    explanation=Explanation(
        consequence=(
            "An invalid request is answered as if the service were down, so that clients retry it, and it may be "
            "charged."
        ),
        conforming_example='{"speed": "fast"} is rejected with 400',
        violating_example='{"speed": "fast"} causes 500',
    ),
    shown_by=(FaultExample("server-error-at-boundary", found_in="valid"),),
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
    explanation=Explanation(
        consequence="Anyone can use the service at the expense of others, or read what belongs to them.",
        conforming_example="A request without a key is rejected with 401.",
        violating_example='A request with the key "invalid" is accepted with 200.',
    ),
    shown_by=(
        FaultExample("ignored-key", found_in="authentication", also_found_by=("charge-wrong", "wrong-error-status")),
    ),
)
def _check_auth_not_enforced(outcome: CaseOutcome) -> Iterator[Violation]:
    if outcome.expected_response.case_kind == "authentication" and outcome.call.is_accepted:
        yield Violation(
            f"{outcome.expected_response.description}: got status {outcome.call.status}",
            outcome.expected_response.contract_pointer,
            is_warning=not outcome.operation.needs_key,  # a server of one's own may read no key at all
        )


@register_rule(
    "accepts-invalid",
    subject_class=CaseOutcome,
    description="A request that violates the documented schema, or names an unknown id, is rejected.",
    contract_condition="requestBody, parameters",
    explanation=Explanation(
        consequence="A mistake goes unnoticed, is charged, and gives other speech than intended.",
        conforming_example='{"voice": "no-such-voice"} is rejected with 400',
        violating_example='{"voice": "no-such-voice"} is accepted and spoken by another voice',
    ),
    shown_by=(
        FaultExample(
            "accepts-invalid", found_in="invalid", also_found_by=("audio-silent", "server-error", "wrong-error-status")
        ),
        FaultExample("upload-limit-ignored", target_id="ttsai", found_in="upload"),
        FaultExample("upload-format-ignored", target_id="ttsai", found_in="upload"),
        FaultExample("accepts-too-many", target_id="ttsai", found_in="lifecycle"),
        FaultExample("never-expires", found_in="job-sequence"),
    ),
)
def _check_invalid_request_accepted(outcome: CaseOutcome) -> Iterator[Violation]:
    expected = outcome.expected_response
    if (
        expected.acceptance == "rejected"
        and expected.case_kind in ("invalid", "unknown-id")
        and outcome.call.is_accepted
    ):
        yield Violation(
            f"{expected.description}: {_describe_success_status(outcome)}",
            expected.contract_pointer,
            evidence=_quote_request_body(outcome),
            is_warning=_is_rejection_only_implied(outcome),
        )


def _describe_success_status(outcome: CaseOutcome) -> str:
    status = outcome.call.status
    if outcome.has_error_with_success_status:
        return describe_error_with_success_status(status)
    return f"accepted with {status}"


def _is_rejection_only_implied(outcome: CaseOutcome) -> bool:
    """Whether only the type or the listed values of a schema say that a request is rejected, and no example does.

    Services convert "1.5" to a number and read values that their documents do not list yet.
    """
    *path, keyword = outcome.expected_response.contract_pointer.split("/")
    if keyword == "targets":  # that a model does not exist follows from no document
        return True
    if keyword not in ("type", "enum"):
        return False
    fields = {unescape_pointer_token(name) for parent, name in itertools.pairwise(path) if parent == "properties"}
    return not any(
        example.rejection_reason is not None and example.rejection_reason.removeprefix("invalid:") in fields
        for response in outcome.operation.responses.values()
        for media in response.media_types.values()
        for example in media.examples
    )


@register_rule(
    "rejects-valid",
    subject_class=CaseOutcome,
    description="A request that matches the document is accepted.",
    contract_condition="requestBody, parameters",
    explanation=Explanation(
        consequence="A client that follows the documentation fails.",
        conforming_example="Documented: at most 500 characters. A text of 500 characters is accepted.",
        violating_example="Documented: at most 500 characters. A text of 500 characters is rejected with 400.",
    ),
    unshown_reason="The faults of requests leave out checks; none rejects what is valid.",
)
def _check_valid_request_rejected(outcome: CaseOutcome) -> Iterator[Violation]:
    expected, status = outcome.expected_response, outcome.call.status
    if expected.acceptance != "accepted" or status >= 500:
        return
    if not outcome.call.is_accepted or outcome.has_error_with_success_status:
        rejected = f"rejected with {status}"
        how = describe_error_with_success_status(status) if outcome.has_error_with_success_status else rejected
        yield Violation(
            f"{expected.description}: {how}", expected.contract_pointer, evidence=quote_text_body(outcome.call)
        )


@register_rule(
    "wrong-error-status",
    subject_class=CaseOutcome,
    description="A rejection has the documented status of its reason. status-undocumented reports undocumented ones.",
    contract_condition="responses",
    explanation=Explanation(
        consequence="Clients decide by the status whether to retry, to ask for a key, or to change the request.",
        conforming_example="Documented: 402 for too few credits. Response: 402",
        violating_example="Documented: 402 for too few credits. Response: 400",
    ),
    shown_by=(FaultExample("ignored-key", target_id="pixazo/chatterbox", found_in="authentication"),),
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
        # At the response, so that all requests that are rejected with a wrong status are one finding. A service that
        # does not look at the key does so everywhere, and then says what else is wrong with the request.
        is_about_key = expected.case_kind == "authentication"
        yield Violation(
            f"{expected.description}: got status {status}, documented: {right}",
            f"{outcome.operation.pointer}/responses/{expected.statuses[0]}",
            evidence=quote_text_body(outcome.call),
            common_cause=f"status {status} without a valid key" if is_about_key else None,
        )
    elif outcome.call.is_accepted and expected.case_kind == "rejection-reason":
        yield Violation(f"{expected.description}: got status {status}, documented: {right}", expected.contract_pointer)


def _quote_request_body(outcome: CaseOutcome) -> str | None:
    form = outcome.call.parsed_exchange.request_form
    if form is not None:
        files = [f"{name}={file.filename} ({len(file.content)} bytes)" for name, file in form.files.items()]
        return ", ".join([*(f"{name}={text}" for name, text in form.iterate_texts()), *files])[:1000]
    body = outcome.exchange.request.body
    return body[:1000].decode(errors="replace") if body else None


# Registers the rule that a recording must not be too old.


@register_rule(
    "recording-stale",
    subject_class=RecordingAge,
    severity=Severity.WARNING,
    description="A recording is not older than its provider's limit; in CI an older one is an error.",
    contract_condition="x-provider.recording_age_limit.max_age_days",
    explanation=Explanation(
        consequence="A recording that is too old proves what the service did then, and hides what has changed.",
        conforming_example="max_age_days: 30. Recorded 12 days ago",
        violating_example="max_age_days: 30. Recorded 90 days ago",
    ),
    unshown_reason="It judges the age of a recording, not what a service does.",
)
def _check_recording_stale(recording_age: RecordingAge) -> Iterator[Violation]:
    limit = recording_age.contract.provider.recording_age_limit.max_age_days
    if recording_age.age_days > limit:
        age = f"{recording_age.age_days:.0f} days old"
        yield Violation(f"{recording_age.recording_name} is {age}, more than {limit:g}: record it again", "/x-provider")
