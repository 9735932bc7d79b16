"""Follows a job without audio, or a batch whose items are then polled as jobs, to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator

from voicegauge.checks import Call, CaseOutcome, CheckSubject, JobHistory
from voicegauge.client import Client, RequestParts, find_id_parameter
from voicegauge.conformance.cases import BATCH_ITEM_COUNT, expect_acceptance
from voicegauge.conformance.running.sending.resource_lifecycle import SendStep
from voicegauge.contract import Operation, Target
from voicegauge.contract.extension import BatchSpec

POLL_COUNT_AFTER_END = 2
"""Number of polls after a job has ended. The second shows whether the final state changes once more."""


async def follow_batch(
    target: Target, request: RequestParts, send_step: SendStep, client: Client
) -> AsyncIterator[CheckSubject]:
    """Submit a batch, poll it to its end or timeout and a little beyond, then poll each of its items.

    Args:
        target: the target of the batch.
        request: the submit request.
        send_step: function that sends one request.
        client: has the clock for pauses, and the maximum time to wait.

    Yields:
        The subjects of the checks, as soon as each can be judged.
    """
    # The loader of contracts has checked that an operation with x-batch has a status operation.
    assert target.operation.batch is not None, "only planned for operations with x-batch"
    last_poll: Call | None = None
    async for subject in follow_job(target.operation, request, send_step, client, f"a batch of {BATCH_ITEM_COUNT}"):
        yield subject
        if isinstance(subject, JobHistory) and subject.polls and _is_in_terminal_state(subject.polls[-1]):
            last_poll = subject.polls[-1]
    for item in _list_batch_items(target.operation.batch, last_poll) if last_poll is not None else ():
        async for item_subject in _follow_batch_item(target.operation, item, send_step):
            yield item_subject


async def follow_job(
    operation: Operation, request: RequestParts, send_step: SendStep, client: Client, description: str
) -> AsyncIterator[CheckSubject]:
    """Submit a job, and poll it to its end or timeout and a little beyond. No audio is downloaded.

    A state that the contract does not document ends the polling.

    Args:
        operation: the operation that starts the job.
        request: the submit request.
        send_step: function that sends one request.
        client: has the clock for pauses, and the maximum time to wait.
        description: the job in words, for outcomes.

    Yields:
        The subjects of the checks, as soon as each can be judged.
    """
    status = operation.started_job_operation
    assert status is not None, "the loader has checked that the status operation exists"
    assert status.job is not None, "a status operation has x-job"
    submit = Call(operation, await send_step(operation, request, "own", None))
    yield submit
    yield _expect_accepted_outcome(submit, description)
    polls: list[Call] = []
    ended, polls_left, is_documented = False, POLL_COUNT_AFTER_END, True
    limit_s = status.job.poll_schedule.job_timeout_s
    wait_s = limit_s if client.max_wait_s is None else min(limit_s, client.max_wait_s)
    started_s = client.clock.monotonic()
    while submit.is_accepted and polls_left and is_documented and client.clock.monotonic() - started_s < wait_s:
        await client.clock.sleep(status.job.poll_schedule.min_interval_s)
        polls_left -= ended
        poll = await _poll_job(
            status, submit.read_response_value(status.job.submit_response.job_id_location), send_step, submit
        )
        polls.append(poll)
        yield poll
        if not poll.is_accepted:
            yield _expect_accepted_outcome(poll, f"{status.id} for {description} that was accepted")
            break
        state = status.job.states.get(str(poll.read_response_value(status.job.state_location)))
        is_documented = state is not None
        ended = ended or (state is not None and state.terminal_outcome is not None)
    if submit.is_accepted:
        has_waited = client.clock.monotonic() - started_s >= limit_s
        timed_out = has_waited and bool(polls) and polls[-1].is_accepted and not ended
        yield JobHistory(submit, tuple(polls), status, is_timed_out=timed_out)


def _is_in_terminal_state(poll: Call) -> bool:
    job = poll.operation.job
    state = (
        job.states.get(str(poll.read_response_value(job.state_location)))
        if job is not None and poll.is_accepted
        else None
    )
    return state is not None and state.terminal_outcome is not None


def _list_batch_items(batch_spec: BatchSpec, last_poll: Call) -> list[object]:
    results = last_poll.read_response_value(batch_spec.jobs_location)
    return results if isinstance(results, list) else []


async def _follow_batch_item(
    operation: Operation, batch_item: object, send_step: SendStep
) -> AsyncIterator[CheckSubject]:
    """Poll one item of a batch, which is a job of the operation that takes single requests."""
    assert operation.batch is not None, "only planned for operations with x-batch"
    single = operation.contract.find_operation(operation.batch.item_operation_id)
    status_name = single.speech.response.status_operation_id if single.speech else None
    job_id = batch_item.get(operation.batch.job_id_field) if isinstance(batch_item, dict) else None
    if status_name is None or not isinstance(job_id, str):
        return
    poll = await _poll_job(operation.contract.find_operation(status_name), job_id, send_step, None)
    yield poll
    yield _expect_accepted_outcome(poll, f"{status_name} for an item of a batch")


async def _poll_job(status_operation: Operation, job_id: object, send_step: SendStep, submit_call: Call | None) -> Call:
    location = status_operation.job.submit_response.job_id_location if status_operation.job is not None else None
    name = find_id_parameter(submit_call.operation if submit_call is not None else None, status_operation, location)
    is_in_path = any(
        parameter.name == name and parameter.message_part == "path" for parameter in status_operation.parameters
    )
    values = {name: str(job_id)} if name is not None else {}
    request = RequestParts(path_parameters=values) if is_in_path else RequestParts(query_parameters=values)
    return Call(status_operation, await send_step(status_operation, request, "own", None), submit_call=submit_call)


def _expect_accepted_outcome(call: Call, description: str) -> CaseOutcome:
    return CaseOutcome(call, expect_acceptance(description, call.operation.pointer))
