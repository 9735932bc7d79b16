"""Checks `x-job`: locations, states, cancelling, expiry and polling."""

from __future__ import annotations

from voicegauge.contract.consistency.locations import (
    check_operation_id,
    check_response_audio,
    check_response_location,
)
from voicegauge.contract.consistency.state_graph import check_graph
from voicegauge.contract.contract import Operation
from voicegauge.contract.extension import JobSpec
from voicegauge.formats import escape_pointer_token


def check_job(operation: Operation, job: JobSpec) -> None:
    """Check the `x-job` of a status operation.

    Raises:
        ContractError: a location is not documented, or the states do not fit together.
    """
    document, pointer = operation.contract.document, f"{operation.pointer}/x-job"
    # A job starts in the first state that is listed.
    check_graph(document, f"{pointer}/states", job.states, node_type="state", starts=[next(iter(job.states))])
    for key in ("state", "id", "reason", "model", "created", "updated", "completed", "charged"):
        check_response_location(operation, f"{pointer}/{key}", getattr(job, key))
    for name, state in job.states.items():
        for index, location in enumerate(state.required):
            check_response_location(
                operation, f"{pointer}/states/{escape_pointer_token(name)}/required/{index}", location
            )
    check_operation_id(operation, f"{pointer}/result", job.result)
    _check_cancelling(operation, job)
    if job.expires_s is not None and job.expires_s <= 0:
        raise document.error(f"{pointer}/expires_s", f"expires_s must be more than 0, not {job.expires_s:g}")
    # If a second operation fetches the result, the audio is in the responses of that operation.
    result = operation.contract.operation(job.result) if job.result else operation
    check_response_audio(result, f"{pointer}/audio", job.audio)
    if job.poll.min_s > job.poll.max_s:
        raise document.error(
            f"{pointer}/poll", f"poll.min_s ({job.poll.min_s:g}) is more than max_s ({job.poll.max_s:g})"
        )


def _check_cancelling(operation: Operation, job: JobSpec) -> None:
    if job.cancel is None:
        return
    pointer = f"{operation.pointer}/x-job/cancel"
    check_operation_id(operation, f"{pointer}/operation", job.cancel.operation)
    state = job.states.get(job.cancel.state)
    if state is None or state.end != "failure":
        reason = f"{job.cancel.state!r} is not a state of this job that ends in failure"
        raise operation.contract.document.error(f"{pointer}/state", reason)
