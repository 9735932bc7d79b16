"""Faults of jobs, of their states and of resources."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from voicegauge.contract.contract import Target
from voicegauge.contract.extension.jobs import JobSpec, ResourceSpec, WebhookSpec
from voicegauge.contract.extension.pricing import UsageSpec
from voicegauge.contract.operation import Operation
from voicegauge.emulator._output import (
    EmulatedCallback,
    EmulatedResponse,
    Fault,
    FaultCondition,
    add_faults,
    create_contract_part_condition,
    declare_fault,
)
from voicegauge.emulator._provider_state import (
    VIRTUAL_START_TIME_S,
    EmulatedJob,
    find_failure_states,
    find_shortest_state_sequence,
)
from voicegauge.emulator._request import read_value_at, write_value_at
from voicegauge.emulator._response_faults import invalidate_body
from voicegauge.emulator._schema_values import format_time_like_example
from voicegauge.formats.locations import MISSING, Location

# Implements the faults of jobs: wrong states, status responses and charges.


UNKNOWN_STATE = "voicegauge-unknown"
"""Name of a job state that no contract documents."""
_SECONDS_PER_HOUR = 3600.0


def _get_job_spec(target: Target | None) -> JobSpec | None:
    return target.job_operation.job if target is not None and target.job_operation is not None else None


def end_in_failure(job_spec: JobSpec, state_sequence: tuple[str, ...]) -> tuple[str, ...]:
    """Return the shortest sequence of states that ends in failure; `state_sequence` if no failure is documented."""
    failed = next(iter(find_failure_states(job_spec)), None)
    return find_shortest_state_sequence(job_spec, failed) if failed is not None else state_sequence


def _find_job_spec_of_status_response(response: EmulatedResponse) -> JobSpec | None:
    operation: Operation | None = response.operation
    return operation.job if response.kind == "status" and operation is not None else None


def remove_failure_reason(response: EmulatedResponse) -> None:
    """Set the failure reason in the status of a failed job to null. The status of other jobs is unchanged."""
    spec = _find_job_spec_of_status_response(response)
    state = spec.find_state(functools.partial(read_value_at, response.body)) if spec is not None else None
    if (
        spec is not None
        and spec.failure_reason_location is not None
        and state is not None
        and state.terminal_outcome == "failure"
    ):
        response.body = write_value_at(response.body, spec.failure_reason_location, None)


def _set_creation_time(response: EmulatedResponse, unix_time_s: float) -> None:
    spec = _find_job_spec_of_status_response(response)
    if spec is not None:
        _change_body_value(
            response,
            spec.creation_time_location,
            lambda shown: format_time_like_example(unix_time_s, shown) if shown is not None else None,
        )


def _change_body_value(response: EmulatedResponse, location: Location | None, change: Callable[[Any], Any]) -> None:
    """Replace the value at `location` of the body, if there is one, by `change(value)`; `None` names no value."""
    shown = read_value_at(response.body, location)
    if location is not None and shown is not MISSING:
        response.body = write_value_at(response.body, location, change(shown))


def _change_body_text(response: EmulatedResponse, location: Location | None, change: Callable[[str], str]) -> None:
    _change_body_value(response, location, lambda shown: change(shown) if isinstance(shown, str) else shown)


def _change_last_characters(text: str) -> str:
    return text[:-2] + ("00" if text[-2:] != "00" else "11")


def _list_usages_determining_price(target: Target | None) -> list[UsageSpec]:
    price = target.pricing if target is not None else None
    return [part.usage for part in price.parts if part.usage is not None] if price is not None else []


def _reports_charge(target: Target) -> bool:
    spec = _get_job_spec(target)
    is_charge_reported = target.response.charge_location is not None or (
        spec is not None and spec.charge_location is not None
    )
    return is_charge_reported and target.pricing is not None


def _names_model_in_status(target: Target) -> bool:
    spec = _get_job_spec(target)
    location = spec.model_name_location if spec is not None else None
    return location is not None and location.is_in_body and target.target_spec.response_model_name is not None


_RESPONDS_WITH_JOBS = FaultCondition[Target](
    "a target responds with jobs", lambda target: target.response.status_operation_id is not None
)
_CAN_JOB_FAIL = create_contract_part_condition(
    _get_job_spec,
    "the contract documents a failure state of the target's jobs",
    lambda job: bool(find_failure_states(job)),
)


@declare_fault(
    "change_job_states",
    "backwards-transition",
    "A job returns to an earlier state.",
    create_contract_part_condition(
        _get_job_spec,
        "jobs have at least two states before the terminal one",
        lambda job: len(find_shortest_state_sequence(job)) > 2,
    ),
)
def repeat_states(_job_spec: JobSpec, state_sequence: tuple[str, ...]) -> tuple[str, ...]:
    """Return the states of a job that passes twice through all states before the last one."""
    *earlier, last = state_sequence
    return (*earlier, *earlier, last) if len(earlier) > 1 else state_sequence


@declare_fault("change_job_states", "terminal-flip", "A job that succeeded is reported as failed later.", _CAN_JOB_FAIL)
def fail_after_success(job_spec: JobSpec, state_sequence: tuple[str, ...]) -> tuple[str, ...]:
    """Return the states of a job that succeeds and then enters a failure state."""
    return (*find_shortest_state_sequence(job_spec), next(iter(find_failure_states(job_spec)), state_sequence[-1]))


@declare_fault(
    "change_job_states", "failure-undone", "A job that failed is reported as succeeded later.", _CAN_JOB_FAIL
)
def succeed_after_failure(job_spec: JobSpec, _state_sequence: tuple[str, ...]) -> tuple[str, ...]:
    """Return the states of a job that enters a failure state, if there is one, and then succeeds."""
    success = find_shortest_state_sequence(job_spec)
    return (*success[:-1], next(iter(find_failure_states(job_spec)), success[-1]), success[-1])


@declare_fault(
    "change_response",
    "completed-without-output",
    "A job succeeds, but the status response carries no audio.",
    create_contract_part_condition(
        _get_job_spec,
        "status responses carry the audio, so that there is no separate result operation",
        lambda job: job.result_operation_id is None,
    ),
)
def remove_output_from_status(response: EmulatedResponse) -> None:
    """Set the audio, and all other values that the status of a successful job must contain, to null.

    The end time is kept. The status of a job that has not succeeded is unchanged.
    """
    spec = _find_job_spec_of_status_response(response)
    state = spec.find_state(functools.partial(read_value_at, response.body)) if spec is not None else None
    if spec is None or state is None or state.terminal_outcome != "success":
        return
    audio = {spec.audio.location} if spec.audio is not None else set()
    for location in {*audio, *state.required_locations} - {spec.end_time_location}:
        _change_body_value(response, location, lambda _: None)


@declare_fault(
    "change_response",
    "bad-timestamps",
    "The creation time of a job is later than its end.",
    create_contract_part_condition(
        _get_job_spec,
        "status responses carry the creation time and a later time, such as that of the end",
        lambda job: job.creation_time_location is not None and bool(job.update_time_location or job.end_time_location),
    ),
)
def set_creation_time_after_end(response: EmulatedResponse) -> None:
    """Report a creation time an hour after the job was started, the same in each response."""
    if response.job is not None:
        _set_creation_time(response, response.job.state_start_times_s[0] + _SECONDS_PER_HOUR)


@declare_fault(
    "change_response",
    "created-changed",
    "The creation time of a job changes between status responses.",
    create_contract_part_condition(
        _get_job_spec, "status responses carry the creation time", lambda job: job.creation_time_location is not None
    ),
)
def change_creation_time(response: EmulatedResponse) -> None:
    """In status responses, report a different creation time in every state of the job."""
    if response.job is not None:
        # Another number of minutes in each state, because a constant error would be no change.
        started_s = response.job.state_start_times_s
        _set_creation_time(response, started_s[-1] - 60.0 * len(started_s))


@declare_fault(
    "change_response",
    "id-changed",
    "Status responses carry a wrong job id.",
    create_contract_part_condition(
        _get_job_spec,
        "status responses repeat the job id",
        lambda job: job.job_id_location is not None and job.job_id_location.is_in_body,
    ),
)
def change_job_id(response: EmulatedResponse) -> None:
    """Change the last two characters of the job id in a status response."""
    spec = _find_job_spec_of_status_response(response)
    if spec is not None:
        _change_body_text(response, spec.job_id_location, _change_last_characters)


@declare_fault(
    "change_response",
    "wrong-model",
    "Status responses name another model than the requested one.",
    FaultCondition("status responses name the model", _names_model_in_status),
)
def change_job_model(response: EmulatedResponse) -> None:
    """In a status response, report another model than the requested one."""
    spec = _find_job_spec_of_status_response(response)
    if spec is not None:
        _change_body_text(response, spec.model_name_location, lambda shown: f"{shown}-lite")


@declare_fault(
    "choose_reported_job",
    "crosstalk",
    "Status responses report the latest job instead of the requested one.",
    _RESPONDS_WITH_JOBS,
)
def choose_latest_job(job: EmulatedJob, jobs: Sequence[EmulatedJob]) -> EmulatedJob:
    """Return the most recent job of the same account and status operation."""
    alike = (
        j
        for j in reversed(jobs)
        if j.account is job.account and j.target.response.status_operation_id == job.target.response.status_operation_id
    )
    return next(alike, job)


@declare_fault(
    "change_response",
    "wrong-polling-url",
    "The polling URL belongs to another job.",
    create_contract_part_condition(
        _get_job_spec,
        "the submit response carries a polling URL",
        lambda job: job.submit_response.polling_url_location is not None,
    ),
)
def change_polling_url(response: EmulatedResponse) -> None:
    """Put another job id into the polling URL of the response to a submit."""
    spec, job = _get_job_spec(response.target), response.job
    if response.kind == "submit" and spec is not None and job is not None:
        location, wrong_id = spec.submit_response.polling_url_location, _change_last_characters(job.id)
        _change_body_text(response, location, lambda shown: shown.replace(job.id, wrong_id))


@declare_fault(
    "change_response",
    "excess-usage",
    "A response reports more tokens or seconds than the documents allow for the text.",
    FaultCondition(
        "JSON responses report the usage that the price depends on",
        lambda target: any(one.reported_usage_location for one in _list_usages_determining_price(target)),
    ),
)
def report_excess_usage(response: EmulatedResponse) -> None:
    """Report ten times the tokens or seconds that a successful request used."""
    if response.is_body_text_or_json and response.status < HTTPStatus.MULTIPLE_CHOICES:
        for usage in _list_usages_determining_price(response.target):
            is_number = isinstance(read_value_at(response.body, usage.reported_usage_location), int | float)
            if is_number:
                _change_body_value(response, usage.reported_usage_location, lambda used: used * 10)


add_faults(
    Fault(
        id="unknown-status",
        description="A job passes through an undocumented state.",
        change_job_states=lambda _, states: (*states[:-1], UNKNOWN_STATE, states[-1]),
        applies_to=_RESPONDS_WITH_JOBS,
    ),
    Fault(
        id="stuck-job",
        description="A job never reaches a terminal state.",
        change_job_states=lambda _, states: states[:-1] or states,
        applies_to=_RESPONDS_WITH_JOBS,
    ),
    Fault(
        id="failed-without-reason",
        description="Every job fails, and the status response states no reason.",
        change_job_states=end_in_failure,
        change_response=remove_failure_reason,
        applies_to=create_contract_part_condition(
            _get_job_spec,
            "the status of a failed job states a reason",
            lambda job: job.failure_reason_location is not None and bool(find_failure_states(job)),
        ),
    ),
    Fault(
        id="ignores-cancelling",
        description="A cancelled job continues although the cancellation was accepted.",
        skipped_check="cancelling",
        applies_to=create_contract_part_condition(
            _get_job_spec, "jobs can be canceled", lambda job: job.cancellation is not None
        ),
    ),
    Fault(
        id="never-expires",
        description="A job can be polled after its documented expiry.",
        skipped_check="expiry",
        applies_to=create_contract_part_condition(
            _get_job_spec,
            "jobs can be polled only for a limited time",
            lambda job: job.ended_job_lifetime_s is not None,
        ),
    ),
    Fault(
        id="wrong-charge",
        description="The charge is higher than the documented price.",
        change_charge=lambda charge: charge * 2 + 1,  # the 1 makes a price of 0 wrong as well
        applies_to=FaultCondition("the target has a price and some response reports the charge", _reports_charge),
    ),
)


# Faults of resources that an account keeps, such as cloned voices.


def _create_resource_condition(description: str, is_met_by: Callable[[ResourceSpec], bool]) -> FaultCondition[Target]:
    """Return the condition that `is_met_by` is true of a resource in the contract of a target."""

    def is_met_by_resource(target: Target) -> bool:
        resources = (operation.resource for operation in target.contract.operations.values())
        return any(resource is not None and is_met_by(resource) for resource in resources)

    return FaultCondition(description, is_met_by_resource)


add_faults(
    Fault(
        id="uses-deleted",
        description="Deleted resources can still be used.",
        skipped_check="deletion",
        applies_to=_create_resource_condition(
            "something that is stored in the account can be deleted", lambda resource: resource.deletion is not None
        ),
    ),
    Fault(
        id="lists-deleted",
        description="Deleted resources are still listed.",
        skipped_check="delisting",
        applies_to=_create_resource_condition(
            "something that is stored in the account can be deleted and listed",
            lambda resource: resource.deletion is not None and resource.listing is not None,
        ),
    ),
    Fault(
        id="ignores-state",
        description="Resources can be used in states that do not allow it.",
        skipped_check="state",
        applies_to=_create_resource_condition(
            "something that is stored in the account can be used in some of its states only",
            lambda resource: any(use.allowed_states for use in resource.uses),
        ),
    ),
    Fault(
        id="shares-accounts",
        description="Resources of other accounts can be used.",
        skipped_check="account",
        applies_to=_create_resource_condition("something can be stored in the account", lambda _: True),
    ),
)


_SECONDS_PER_DAY = 86_400.0


def _create_callback_changer(**changes: Any) -> Callable[[EmulatedCallback], tuple[EmulatedCallback]]:
    """Return a function that replaces the fields of a callback which `changes` names."""
    return lambda callback: (replace(callback, **changes),)


def _find_webhook(target: Target) -> WebhookSpec | None:
    return target.operation.webhook


_ACCEPTS_WEBHOOK_URL = create_contract_part_condition(_find_webhook, "requests to the target may name a webhook URL")


_SIGNS_CALLBACK_TIME = create_contract_part_condition(
    _find_webhook,
    "callbacks are signed together with a time",
    lambda webhook: webhook.signature is not None and "{timestamp}" in webhook.signature.signed_text_template,
)


@declare_fault(
    "change_callbacks",
    "webhook-twice",
    "The final callback is sent twice, with different completion times.",
    _ACCEPTS_WEBHOOK_URL,
)
def repeat_final_callback(callback: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Yield the callback, and after the final one another with another completion time."""
    yield callback
    if callback.is_final:
        location = callback.completion_time_location or Location("body", pointer_tokens=("again",))
        yield replace(
            callback,
            body=write_value_at(
                copy.deepcopy(callback.body),
                location,
                format_time_like_example(VIRTUAL_START_TIME_S, read_value_at(callback.body, location)),
            ),
        )


@declare_fault(
    "change_callbacks",
    "webhook-wrong-shape",
    "A field is missing from callback payloads.",
    FaultCondition(
        "the payloads of callbacks have a documented schema",
        lambda target: _ACCEPTS_WEBHOOK_URL(target) and target.operation.callback_body.schema_pointer is not None,
    ),
)
def remove_payload_field(callback: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Yield the callback without a field of its payload that the documented schema requires."""
    yield replace(
        callback,
        body=invalidate_body(
            callback.documented_media_type,
            callback.body,
            lambda parent, key: parent.pop(key),
            callback.essential_field_paths,
        ),
    )


@declare_fault(
    "change_callbacks",
    "webhook-replayed",
    "The final callback is sent twice with the same signature.",
    _SIGNS_CALLBACK_TIME,
)
def replay_callback(callback: EmulatedCallback) -> Iterator[EmulatedCallback]:
    """Yield the callback, to be sent twice with the same signature if it is the final one."""
    yield replace(callback, send_count=2 if callback.is_final else 1)


add_faults(
    Fault(
        id="webhook-never",
        description="Callbacks are never sent.",
        change_callbacks=_create_callback_changer(is_due=False),
        applies_to=_ACCEPTS_WEBHOOK_URL,
    ),
    Fault(
        id="webhook-early",
        description="Progress callbacks are sent to subscribers of the final one only.",
        change_callbacks=_create_callback_changer(is_due=True),
        applies_to=create_contract_part_condition(
            _find_webhook,
            "the payloads of callbacks can report a job that has not ended",
            lambda webhook: webhook.body_locations is None,
        ),
    ),
    Fault(
        id="webhook-forged",
        description="Callbacks are signed with a wrong secret.",
        change_callbacks=_create_callback_changer(has_forged_signature=True),
        applies_to=create_contract_part_condition(
            _find_webhook, "callbacks are signed", lambda webhook: webhook.signature is not None
        ),
    ),
    Fault(
        id="webhook-late",
        description="Callbacks are signed a day before they are sent.",
        change_callbacks=_create_callback_changer(signature_age_s=_SECONDS_PER_DAY),
        applies_to=_SIGNS_CALLBACK_TIME,
    ),
    Fault(
        id="webhook-plain-http",
        description="Plain http webhook URLs are accepted although https is required.",
        skipped_check="webhook-https",
        applies_to=create_contract_part_condition(
            _find_webhook, "plain http webhook URLs must be rejected", lambda webhook: webhook.requires_https
        ),
    ),
)
