"""Rules about planned requests: what lists and stored resources show, how each case ends, how old a recording is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from voicegauge.contract.extension.jobs import BatchSpec
from voicegauge.contract.operation import Operation
from voicegauge.formats.bodies import read_finite_number
from voicegauge.formats.located_yaml import unescape_pointer_token
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.base import Severity
from voicegauge.rules._responses import quote_text_body
from voicegauge.rules.call import Call, CaseOutcome, RecordingAge, describe_error_with_success_status
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule
from voicegauge.rules.subjects import ResourceStep

# Rules about lists, and about resources that a provider keeps between calls.


@register_rule(
    "filter-ignored",
    subject_class=Call,
    description="A list requested with a filter parameter has only items that match it.",
    contract_condition="parameters",
    explanation=Explanation(
        consequence="The user chooses from voices or models that do not fit.",
        conforming_example="GET /voices?language=de returns German voices.",
        violating_example="GET /voices?language=de returns all voices.",
    ),
    shown_by=(FaultExample("ignores-filters", target_id="ttsai", found_in="list"),),
)
def _check_filter_ignored(call: Call) -> Iterator[Violation]:
    if not call.is_accepted or not isinstance(call.response_json, dict):
        return
    # Only parameters that items have as a field are filters; others, such as a page number, match no field.
    lists = [(name, items) for name, items in call.response_json.items() if isinstance(items, list)]
    for parameter in call.operation.parameters:
        filter_value = (
            call.read_request(Location("query", parameter.name)) if parameter.message_part == "query" else MISSING
        )
        if filter_value is MISSING:
            continue
        for name, items in lists:
            shown = [item[parameter.name] for item in items if isinstance(item, dict) and parameter.name in item]
            wrong = [value for value in shown if not _matches_filter(value, filter_value)]
            if wrong:
                message = f"requested {parameter.name} {filter_value!r:.80}, but an item has {wrong[0]!r:.80}"
                yield Violation(message, parameter.pointer, f"/{name}")


def _matches_filter(item_value: Any, filter_value: str) -> bool:
    """Whether a field of a listed item has the value by which the request filters the list.

    If the field is a list, it is enough that one of its values equals `filter_value`.
    """
    if isinstance(item_value, list):
        return any(_matches_filter(item, filter_value) for item in item_value)
    if isinstance(item_value, bool):
        return filter_value.lower() in (("true", "1") if item_value else ("false", "0"))
    return str(item_value) == filter_value


@register_rule(
    "resource-used-after-delete",
    subject_class=ResourceStep,
    description="A deleted resource cannot be used.",
    contract_condition="x-resource.deletion, x-resource.uses",
    explanation=Explanation(
        consequence="Somebody's voice can still be cloned after they had it deleted.",
        conforming_example="DELETE /voices/v1, then speech with v1 is rejected with 404.",
        violating_example="DELETE /voices/v1, then speech with v1 is accepted.",
    ),
    shown_by=(FaultExample("uses-deleted", target_id="ttsai", found_in="lifecycle"),),
)
def _check_resource_used_after_delete(resource_step: ResourceStep) -> Iterator[Violation]:
    if resource_step.step_kind == "use" and resource_step.is_resource_deleted and resource_step.call.is_accepted:
        yield Violation(
            f"{resource_step.description}: got status {resource_step.call.status}",
            resource_step.contract_pointer,
            evidence=quote_text_body(resource_step.call),
        )


@register_rule(
    "resource-listed-after-delete",
    subject_class=ResourceStep,
    description="A deleted resource is not listed.",
    contract_condition="x-resource.deletion, x-resource.listing",
    explanation=Explanation(
        consequence="Clients offer what is gone, and nobody can tell whether the deletion worked.",
        conforming_example="DELETE /voices/v1, then GET /voices lists no v1.",
        violating_example="DELETE /voices/v1, then GET /voices lists v1.",
    ),
    shown_by=(FaultExample("lists-deleted", target_id="ttsai", found_in="lifecycle"),),
)
def _check_resource_listed_after_delete(resource_step: ResourceStep) -> Iterator[Violation]:
    if (
        resource_step.step_kind == "list"
        and resource_step.is_resource_deleted
        and resource_step.call.is_accepted
        and resource_step.listed_item is not None
    ):
        yield Violation(
            f"{resource_step.description}: {resource_step.resource_id} is listed",
            resource_step.contract_pointer,
            evidence=quote_text_body(resource_step.call),
        )


@register_rule(
    "resource-not-listed",
    subject_class=ResourceStep,
    description="A resource is listed for the account that created it.",
    contract_condition="x-resource.listing",
    explanation=Explanation(
        consequence="What was created, and perhaps paid for, cannot be found or deleted later.",
        conforming_example="POST /voices returns v1, then GET /voices lists v1.",
        violating_example="POST /voices returns v1, then GET /voices is empty.",
    ),
    unshown_reason="The faults of resources hide nothing that exists.",
)
def _check_resource_not_listed(resource_step: ResourceStep) -> Iterator[Violation]:
    if (
        resource_step.step_kind == "list"
        and not resource_step.is_resource_deleted
        and not resource_step.is_by_other_account
        and resource_step.call.is_accepted
        and resource_step.listed_item is None
    ):
        yield Violation(
            f"{resource_step.description}: {resource_step.resource_id} is not listed",
            resource_step.contract_pointer,
            evidence=quote_text_body(resource_step.call),
        )


@register_rule(
    "resource-state-ignored",
    subject_class=ResourceStep,
    description="A resource is rejected in a state in which it must not be used.",
    contract_condition="x-resource.uses.*.allowed_states",
    explanation=Explanation(
        consequence="Speech with a voice that is not ready, or was blocked, sounds wrong or should not exist.",
        conforming_example='Speech with a voice in the state "training" is rejected.',
        violating_example='Speech with a voice in the state "training" is accepted.',
    ),
    shown_by=(FaultExample("ignores-state", target_id="ttsai", found_in="lifecycle"),),
)
def _check_resource_state_ignored(resource_step: ResourceStep) -> Iterator[Violation]:
    if (
        resource_step.step_kind == "use"
        and resource_step.is_use_forbidden
        and not resource_step.is_resource_deleted
        and not resource_step.is_by_other_account
        and resource_step.call.is_accepted
    ):
        yield Violation(
            f"{resource_step.description}: got status {resource_step.call.status}",
            resource_step.contract_pointer,
            evidence=quote_text_body(resource_step.call),
        )


@register_rule(
    "resource-state-wrong",
    subject_class=ResourceStep,
    description="A resource reports the state it was last set to.",
    contract_condition="x-resource.states, x-resource.transitions",
    explanation=Explanation(
        consequence="A client acts on the reported state.",
        conforming_example='Publish is accepted, then {"state": "published"}',
        violating_example='Publish is accepted, then {"state": "draft"}',
    ),
    unshown_reason="The faults of resources ignore states, but report the right one.",
)
def _check_resource_state_wrong(resource_step: ResourceStep) -> Iterator[Violation]:
    if (
        resource_step.resource_spec.state_location is None
        or resource_step.is_resource_deleted
        or resource_step.is_by_other_account
        or not resource_step.call.is_accepted
        or resource_step.step_kind == "use"  # a response with speech has no state of the voice
    ):
        return
    name = resource_step.resource_spec.state_location.pointer_tokens[-1]
    reported = (
        (resource_step.listed_item or {}).get(name, MISSING)
        if resource_step.step_kind == "list"
        else resource_step.call.read_response_value(resource_step.resource_spec.state_location)
    )
    if reported is not MISSING and reported != resource_step.expected_state:
        yield Violation(
            f"{resource_step.description}: {name} is {reported!r:.80}, not {resource_step.expected_state!r}",
            resource_step.contract_pointer,
            evidence=quote_text_body(resource_step.call),
        )


@register_rule(
    "resource-of-another-account",
    subject_class=ResourceStep,
    description="A resource is neither visible to nor usable by another account.",
    contract_condition="x-resource",
    explanation=Explanation(
        consequence="Private voices and recordings of one customer are open to others.",
        conforming_example="Account B gets 404 for a voice of account A.",
        violating_example="Account B gets 200 for a voice of account A.",
    ),
    shown_by=(FaultExample("shares-accounts", target_id="ttsai", found_in="lifecycle"),),
)
def _check_resource_of_another_account(resource_step: ResourceStep) -> Iterator[Violation]:
    if not resource_step.is_by_other_account or not resource_step.call.is_accepted:
        return
    if resource_step.step_kind == "use" or resource_step.listed_item is not None:
        yield Violation(
            f"{resource_step.description}: got status {resource_step.call.status}",
            resource_step.contract_pointer,
            evidence=quote_text_body(resource_step.call),
        )


@register_rule(
    "resource-id-changed",
    subject_class=ResourceStep,
    description="A response about a resource has the id that was assigned at its creation.",
    contract_condition="x-resource.id_location, x-resource.uses.*.id_location",
    explanation=Explanation(
        consequence="The id that a client stored leads to something else.",
        conforming_example='POST /voices returns v1; GET /voices/v1 returns {"id": "v1"}',
        violating_example='POST /voices returns v1; GET /voices/v1 returns {"id": "v2"}',
    ),
    unshown_reason="The faults of resources leave every id as it is.",
)
def _check_resource_id_changed(resource_step: ResourceStep) -> Iterator[Violation]:
    if (
        resource_step.step_kind != "use"
        # A resource whose use has the operation that created it: a conversation that gets its next message.
        or resource_step.call.operation is not resource_step.creating_operation
        or not resource_step.call.is_accepted
        or resource_step.is_by_other_account
        or resource_step.is_resource_deleted
    ):
        return
    reported = resource_step.call.read_response_value(resource_step.resource_spec.id_location)
    if reported is not MISSING and reported != resource_step.resource_id:
        yield Violation(
            f"{resource_step.description}: requested {resource_step.resource_id!r:.80}, "
            f"but the response is about {reported!r:.80}",
            resource_step.contract_pointer,
        )


@register_rule(
    "batch-count-wrong",
    subject_class=Call,
    description="A batch has as many items as requested, and ends when all of them are done.",
    contract_condition="x-batch.total_count_location, x-batch.ended_count_location, x-batch.jobs_location",
    explanation=Explanation(
        consequence="Items of the batch are lost or charged twice, or the client waits for ones that do not exist.",
        conforming_example="Three texts: total 3, and done when completed is 3",
        violating_example="Three texts: total 2",
    ),
    unshown_reason="No fault changes the counts of a batch.",
)
def _check_batch_count_wrong(call: Call) -> Iterator[Violation]:
    submit = _find_batch_operation(call)
    if submit is None or submit.batch is None or not call.is_accepted:
        return
    batch, batch_pointer = submit.batch, f"{submit.pointer}/x-batch"
    # What is not a number is a violation of the schema, which another rule reports.
    total, completed = (
        read_finite_number(call.read_response_value(location))
        for location in (batch.total_count_location, batch.ended_count_location)
    )
    requested = call if call.operation is submit else call.submit_call
    items = requested.read_request(batch.requests_location) if requested is not None else MISSING
    if isinstance(items, list) and total not in (None, len(items)):
        yield Violation(f"total is {total:g} for {len(items)} items", f"{batch_pointer}/total_count_location")
    if total is not None and completed is not None and not 0 <= completed <= total:
        yield Violation(f"completed is {completed:g} of {total:g}", f"{batch_pointer}/ended_count_location")
    yield from _check_final_batch_counts(call, batch, batch_pointer, total, completed)


def _check_final_batch_counts(
    call: Call, batch_spec: BatchSpec, batch_pointer: str, total_count: float | None, completed_count: float | None
) -> Iterator[Violation]:
    job = call.operation.job
    state = job.find_state(call.read_response_value) if job is not None else None
    if state is None or state.terminal_outcome != "success":
        return
    if total_count is not None and completed_count is not None and completed_count != total_count:
        yield Violation(
            f"ended with {completed_count:g} of {total_count:g} items completed",
            f"{batch_pointer}/ended_count_location",
        )
    results = batch_spec.jobs_location.read_body(call.response_json)
    if isinstance(results, list) and total_count not in (None, len(results)):
        yield Violation(
            f"ended with {len(results)} results for {total_count:g} items", f"{batch_pointer}/jobs_location"
        )


def _find_batch_operation(call: Call) -> Operation | None:
    """Return the operation whose batch a call submits or polls; `None` if there is no such operation."""
    for operation in call.contract.operations.values():
        status = (
            operation.speech.response.status_operation_id if operation.batch is not None and operation.speech else None
        )
        if status is not None and (call.operation is operation or call.operation.id == status):
            return operation
    return None


# Rules that compare the response to a planned case with the expected one.


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
    """Return with which status a request was accepted, or that an error was sent with a success status, in words."""
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
    """Return the beginning of the request's body, with the size of files instead of their content; `None` if empty."""
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
