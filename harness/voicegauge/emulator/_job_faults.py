"""Faults of jobs, of their states and of resources."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from voicegauge.contract.extension.jobs import JobSpec, ResourceSpec
from voicegauge.contract.extension.pricing import UsageSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.targets import Target
from voicegauge.emulator._fault import Fault
from voicegauge.emulator._job_state import EmulatedJob, find_failure_states, find_shortest_state_sequence
from voicegauge.emulator._request import read_value_at, write_value_at
from voicegauge.emulator._response import EmulatedResponse
from voicegauge.emulator._schema_values import format_time_like_example
from voicegauge.formats.locations import MISSING

# Implements the faults of jobs: wrong states, status responses and charges.


UNKNOWN_STATE = "voicegauge-unknown"
"""Name of a job state that no contract documents."""
_SECONDS_PER_HOUR = 3600.0


def _get_job_spec(target: Target) -> JobSpec | None:
    return target.job_operation.job if target.job_operation is not None else None


def _find_job_spec_of_status_response(response: EmulatedResponse) -> JobSpec | None:
    operation: Operation | None = response.operation
    return operation.job if response.kind == "status" and operation is not None else None


def add_unknown_state(_job_spec: JobSpec, state_sequence: tuple[str, ...]) -> tuple[str, ...]:
    """Insert an undocumented state before the last one."""
    return (*state_sequence[:-1], UNKNOWN_STATE, state_sequence[-1])


def repeat_states(_job_spec: JobSpec, state_sequence: tuple[str, ...]) -> tuple[str, ...]:
    """Let the job pass twice through all states before the last one."""
    return (
        (*state_sequence[:-1], *state_sequence[:-1], state_sequence[-1]) if len(state_sequence) > 2 else state_sequence
    )


def can_repeat_states(target: Target) -> bool:
    """Whether jobs have at least two states before the terminal one."""
    spec = _get_job_spec(target)
    return spec is not None and len(find_shortest_state_sequence(spec)) > 2


def fail_after_success(job_spec: JobSpec, state_sequence: tuple[str, ...]) -> tuple[str, ...]:
    """Let the job succeed and then enter a failure state."""
    return (*find_shortest_state_sequence(job_spec), next(iter(find_failure_states(job_spec)), state_sequence[-1]))


def succeed_after_failure(job_spec: JobSpec, _state_sequence: tuple[str, ...]) -> tuple[str, ...]:
    """Let the job enter a failure state and then succeed."""
    success = find_shortest_state_sequence(job_spec)
    return (*success[:-1], next(iter(find_failure_states(job_spec)), success[-1]), success[-1])


def end_in_failure(job_spec: JobSpec, state_sequence: tuple[str, ...]) -> tuple[str, ...]:
    """Let the job pass through the shortest sequence of states that ends in a failure state."""
    failed = next(iter(find_failure_states(job_spec)), None)
    return find_shortest_state_sequence(job_spec, failed) if failed is not None else state_sequence


def can_job_fail(target: Target) -> bool:
    """Whether the contract documents a failure state of the target's jobs."""
    spec = _get_job_spec(target)
    return spec is not None and bool(find_failure_states(spec))


def has_job_cancellation(target: Target) -> bool:
    """Whether jobs can be canceled."""
    spec = _get_job_spec(target)
    return spec is not None and spec.cancellation is not None


def has_job_expiry(target: Target) -> bool:
    """Whether jobs can be polled only for a limited time."""
    spec = _get_job_spec(target)
    return spec is not None and spec.ended_job_lifetime_s is not None


def remove_last_state(_job_spec: JobSpec, state_sequence: tuple[str, ...]) -> tuple[str, ...]:
    """Remove the last state, so that the job never ends."""
    return state_sequence[:-1] or state_sequence


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
        if read_value_at(response.body, location) is not MISSING:
            response.body = write_value_at(response.body, location, None)


def has_output_in_status(target: Target) -> bool:
    """Whether status responses carry the audio, so that there is no separate result operation."""
    spec = _get_job_spec(target)
    return spec is not None and spec.result_operation_id is None


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


def has_job_failure_reason(target: Target) -> bool:
    """Whether the status of a failed job states a reason."""
    spec = _get_job_spec(target)
    return spec is not None and spec.failure_reason_location is not None and bool(find_failure_states(spec))


def set_creation_time_after_end(response: EmulatedResponse) -> None:
    """Report a creation time an hour after the job was started, the same in each response."""
    if response.job is not None:
        _set_creation_time(response, response.job.state_start_times_s[0] + _SECONDS_PER_HOUR)


def documents_job_times(target: Target) -> bool:
    """Whether status responses carry the creation time and a later time, such as that of the end."""
    spec = _get_job_spec(target)
    return (
        spec is not None
        and spec.creation_time_location is not None
        and bool(spec.update_time_location or spec.end_time_location)
    )


def change_creation_time(response: EmulatedResponse) -> None:
    """Report a different creation time in every state."""
    if response.job is not None:
        started_s = response.job.state_start_times_s
        _set_creation_time(response, started_s[-1] - 60.0 * len(started_s))


def _set_creation_time(response: EmulatedResponse, unix_time_s: float) -> None:
    spec = _find_job_spec_of_status_response(response)
    if spec is None or spec.creation_time_location is None:
        return
    shown = read_value_at(response.body, spec.creation_time_location)
    if shown not in (MISSING, None):
        response.body = write_value_at(
            response.body,
            spec.creation_time_location,
            format_time_like_example(unix_time_s, shown),
        )


def has_job_creation_time(target: Target) -> bool:
    """Whether status responses carry the creation time."""
    spec = _get_job_spec(target)
    return spec is not None and spec.creation_time_location is not None


def change_job_id(response: EmulatedResponse) -> None:
    """Change the last digits of the job id in a status response."""
    spec = _find_job_spec_of_status_response(response)
    if spec is not None and spec.job_id_location is not None:
        shown = read_value_at(response.body, spec.job_id_location)
        if isinstance(shown, str):
            response.body = write_value_at(response.body, spec.job_id_location, _change_last_digits(shown))


def has_job_id_in_status(target: Target) -> bool:
    """Whether status responses repeat the job id."""
    spec = _get_job_spec(target)
    return spec is not None and spec.job_id_location is not None and spec.job_id_location.is_in_body


def change_job_model(response: EmulatedResponse) -> None:
    """Report another model than the requested one."""
    spec = _find_job_spec_of_status_response(response)
    if spec is not None and spec.model_name_location is not None:
        shown = read_value_at(response.body, spec.model_name_location)
        if isinstance(shown, str):
            response.body = write_value_at(response.body, spec.model_name_location, f"{shown}-lite")


def names_model_in_status_response(target: Target) -> bool:
    """Whether status responses name the model."""
    spec = _get_job_spec(target)
    return (
        spec is not None
        and spec.model_name_location is not None
        and spec.model_name_location.is_in_body
        and target.target_spec.response_model_name is not None
    )


def change_polling_url(response: EmulatedResponse) -> None:
    """Put another job id into the polling URL."""
    if response.kind != "submit" or response.target is None or response.job is None:
        return
    spec = _get_job_spec(response.target)
    if spec is not None and spec.submit_response.polling_url_location is not None:
        shown = read_value_at(response.body, spec.submit_response.polling_url_location)
        if isinstance(shown, str):
            response.body = write_value_at(
                response.body,
                spec.submit_response.polling_url_location,
                shown.replace(response.job.id, _change_last_digits(response.job.id)),
            )


def has_polling_url(target: Target) -> bool:
    """Whether the submit response carries a polling URL."""
    spec = _get_job_spec(target)
    return spec is not None and spec.submit_response.polling_url_location is not None


def choose_latest_job(job: EmulatedJob, jobs: Sequence[EmulatedJob]) -> EmulatedJob:
    """Return the most recent job of the same account and status operation."""
    alike = (
        j
        for j in reversed(jobs)
        if j.account is job.account and j.target.response.status_operation_id == job.target.response.status_operation_id
    )
    return next(alike, job)


def _change_last_digits(text: str) -> str:
    return text[:-2] + ("00" if text[-2:] != "00" else "11")


def report_excess_usage(response: EmulatedResponse) -> None:
    """Report ten times the tokens or seconds that a successful request used."""
    for usage in (
        _list_usages_determining_price(response.target)
        if response.is_body_text_or_json and response.status < 300
        else ()
    ):
        used = read_value_at(response.body, usage.reported_usage_location)
        if usage.reported_usage_location is not None and isinstance(used, int | float) and not isinstance(used, bool):
            response.body = write_value_at(response.body, usage.reported_usage_location, used * 10)


def has_reported_usage(target: Target) -> bool:
    """Whether JSON responses report the usage that the price depends on."""
    return any(usage.reported_usage_location is not None for usage in _list_usages_determining_price(target))


def _list_usages_determining_price(target: Target | None) -> list[UsageSpec]:
    price = target.pricing if target is not None else None
    return [part.usage for part in price.parts if part.usage is not None] if price is not None else []


def increase_charge(original_charge: float) -> float:
    """Charge more than twice the price. The added 1 makes a price of 0 wrong as well."""
    return original_charge * 2 + 1


def reports_charge(target: Target) -> bool:
    """Whether the target has a price and some response reports the charge."""
    spec = _get_job_spec(target)
    has_charge_location = target.response.charge_location is not None or (
        spec is not None and spec.charge_location is not None
    )
    return has_charge_location and target.pricing is not None


def _has_job_operation(target: Target) -> bool:
    """Whether a target responds with jobs."""
    return target.response.status_operation_id is not None


JOB_FAULTS = (
    Fault(
        id="unknown-status",
        description="A job passes through an undocumented state.",
        change_job_states=add_unknown_state,
        applies_to=_has_job_operation,
    ),
    Fault(
        id="backwards-transition",
        description="A job returns to an earlier state.",
        change_job_states=repeat_states,
        applies_to=can_repeat_states,
    ),
    Fault(
        id="terminal-flip",
        description="A job that succeeded is reported as failed later.",
        change_job_states=fail_after_success,
        applies_to=can_job_fail,
    ),
    Fault(
        id="failure-undone",
        description="A job that failed is reported as succeeded later.",
        change_job_states=succeed_after_failure,
        applies_to=can_job_fail,
    ),
    Fault(
        id="stuck-job",
        description="A job never reaches a terminal state.",
        change_job_states=remove_last_state,
        applies_to=_has_job_operation,
    ),
    Fault(
        id="completed-without-output",
        description="A job succeeds, but the status response carries no audio.",
        change_response=remove_output_from_status,
        applies_to=has_output_in_status,
    ),
    Fault(
        id="failed-without-reason",
        description="Every job fails, and the status response states no reason.",
        change_job_states=end_in_failure,
        change_response=remove_failure_reason,
        applies_to=has_job_failure_reason,
    ),
    Fault(
        id="bad-timestamps",
        description="The creation time of a job is later than its end.",
        change_response=set_creation_time_after_end,
        applies_to=documents_job_times,
    ),
    Fault(
        id="created-changed",
        description="The creation time of a job changes between status responses.",
        change_response=change_creation_time,
        applies_to=has_job_creation_time,
    ),
    Fault(
        id="id-changed",
        description="Status responses carry a wrong job id.",
        change_response=change_job_id,
        applies_to=has_job_id_in_status,
    ),
    Fault(
        id="wrong-model",
        description="Status responses name another model than the requested one.",
        change_response=change_job_model,
        applies_to=names_model_in_status_response,
    ),
    Fault(
        id="crosstalk",
        description="Status responses report the latest job instead of the requested one.",
        choose_reported_job=choose_latest_job,
        applies_to=_has_job_operation,
    ),
    Fault(
        id="ignores-cancelling",
        description="A cancelled job continues although the cancellation was accepted.",
        skipped_check="cancelling",
        applies_to=has_job_cancellation,
    ),
    Fault(
        id="never-expires",
        description="A job can be polled after its documented expiry.",
        skipped_check="expiry",
        applies_to=has_job_expiry,
    ),
    Fault(
        id="wrong-polling-url",
        description="The polling URL belongs to another job.",
        change_response=change_polling_url,
        applies_to=has_polling_url,
    ),
    Fault(
        id="wrong-charge",
        description="The charge is higher than the documented price.",
        change_charge=increase_charge,
        applies_to=reports_charge,
    ),
    Fault(
        id="excess-usage",
        description="A response reports more tokens or seconds than the documents allow for the text.",
        change_response=report_excess_usage,
        applies_to=has_reported_usage,
    ),
)
"""All injectable faults of jobs."""


# Faults of resources that an account keeps, such as cloned voices.


def _create_has_resource_predicate(condition: Callable[[ResourceSpec], bool]) -> Callable[[Target], bool]:
    """Return a predicate that tells whether the contract of a target has a resource that meets `condition`."""

    def applies_to(target: Target) -> bool:
        resources = (operation.resource for operation in target.contract.operations.values())
        return any(resource is not None and condition(resource) for resource in resources)

    return applies_to


RESOURCE_FAULTS = (
    Fault(
        id="uses-deleted",
        description="Deleted resources can still be used.",
        skipped_check="deletion",
        applies_to=_create_has_resource_predicate(lambda resource: resource.deletion is not None),
        condition="something that is stored in the account can be deleted",
    ),
    Fault(
        id="lists-deleted",
        description="Deleted resources are still listed.",
        skipped_check="delisting",
        applies_to=_create_has_resource_predicate(
            lambda resource: resource.deletion is not None and resource.listing is not None
        ),
        condition="something that is stored in the account can be deleted and listed",
    ),
    Fault(
        id="ignores-state",
        description="Resources can be used in states that do not allow it.",
        skipped_check="state",
        applies_to=_create_has_resource_predicate(lambda resource: any(use.allowed_states for use in resource.uses)),
        condition="something that is stored in the account can be used in some of its states only",
    ),
    Fault(
        id="shares-accounts",
        description="Resources of other accounts can be used.",
        skipped_check="account",
        applies_to=_create_has_resource_predicate(lambda _: True),
        condition="something can be stored in the account",
    ),
)
"""All injectable faults of resources."""
