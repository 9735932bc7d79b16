"""Checks `x-job`: locations, states, cancelling, expiry and polling."""

from __future__ import annotations

from voicegauge.contract.consistency.locations import (
    check_operation_id,
    check_response_audio,
    check_response_location,
)
from voicegauge.contract.consistency.state_graph import check_state_graph
from voicegauge.contract.contract import Operation
from voicegauge.contract.extension import JobSpec
from voicegauge.formats import escape_pointer_token


def check_job(operation: Operation, job_spec: JobSpec) -> None:
    """Check the `x-job` of a status operation.

    Raises:
        ContractError: a location is not documented, or the states do not fit together.
    """
    document, pointer = operation.contract.document, f"{operation.pointer}/x-job"
    if not job_spec.states:
        raise document.build_error(f"{pointer}/states", "x-job needs at least one state")
    # A job starts in the first state that is listed.
    check_state_graph(
        document, f"{pointer}/states", job_spec.states, node_type="state", start_nodes=[next(iter(job_spec.states))]
    )
    for key in ("state", "id", "reason", "model", "created", "updated", "completed", "charged"):
        check_response_location(operation, f"{pointer}/{key}", job_spec.get_by_key(key))
    for name, state in job_spec.states.items():
        for index, location in enumerate(state.required_locations):
            check_response_location(
                operation, f"{pointer}/states/{escape_pointer_token(name)}/required/{index}", location
            )
    check_operation_id(operation, f"{pointer}/result", job_spec.result_operation_id)
    _check_cancelling(operation, job_spec)
    if job_spec.ended_job_lifetime_s is not None and job_spec.ended_job_lifetime_s <= 0:
        raise document.build_error(
            f"{pointer}/expires_s", f"expires_s must be more than 0, not {job_spec.ended_job_lifetime_s:g}"
        )
    # If a second operation fetches the result, the audio is in the responses of that operation.
    result = (
        operation.contract.find_operation(job_spec.result_operation_id) if job_spec.result_operation_id else operation
    )
    if job_spec.audio is not None:
        check_response_audio(result, f"{pointer}/audio", job_spec.audio)
    schedule = job_spec.poll_schedule
    if schedule.min_interval_s > schedule.max_interval_s:
        raise document.build_error(
            f"{pointer}/poll",
            f"poll.min_s ({schedule.min_interval_s:g}) is more than max_s ({schedule.max_interval_s:g})",
        )


def check_submit(operation: Operation, pointer: str, status_operation_id: str) -> JobSpec:
    """Check that the status operation of the started jobs exists, and that its `x-job.submit` fits the responses.

    Args:
        operation: the operation that starts the jobs.
        pointer: JSON pointer to the id of the status operation.
        status_operation_id: the id of the status operation.

    Raises:
        ContractError: the operation does not exist or has no `x-job`, or a location is not documented.
    """
    status = operation.contract.operations.get(status_operation_id)
    if status is None or status.job is None:
        reason = f"{status_operation_id!r} is not an operation with x-job"
        raise operation.contract.document.build_error(pointer, reason)
    submit = status.job.submit_response
    for key, location in (
        ("id", submit.job_id_location),
        ("state", submit.state_location),
        ("url", submit.polling_url_location),
    ):
        check_response_location(operation, f"{status.pointer}/x-job/submit/{key}", location)
    return status.job


def _check_cancelling(operation: Operation, job_spec: JobSpec) -> None:
    if job_spec.cancellation is None:
        return
    pointer = f"{operation.pointer}/x-job/cancel"
    check_operation_id(operation, f"{pointer}/operation", job_spec.cancellation.operation_id)
    state = job_spec.states.get(job_spec.cancellation.resulting_state)
    if state is None or state.terminal_outcome != "failure":
        reason = f"{job_spec.cancellation.resulting_state!r} is not a state of this job that ends in failure"
        raise operation.contract.document.build_error(f"{pointer}/state", reason)
