"""Makes the subjects of the checks from the exchanges of one delivery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voicegauge.checks import Call, CaseOutcome, CheckSubject, JobHistory, SpeechDelivery
from voicegauge.conformance.cases import expect_acceptance, explain_inconclusive_status
from voicegauge.contract import Operation, Target
from voicegauge.contract.extension import JobState
from voicegauge.model import Delivery, Exchange, SpeechRequest, StateObservation


def iterate_delivery_subjects(
    target: Target, speech_request: SpeechRequest, delivery: Delivery, polls_after_end: Sequence[Exchange] = ()
) -> Iterator[CheckSubject]:
    """Yield the subjects of one delivery: its calls with their outcomes, its job, and the audio.

    Args:
        target: the target of the delivery.
        speech_request: the requested speech.
        delivery: the delivery, successful or not.
        polls_after_end: polls that were sent after the job had ended.
    """
    contract, status = target.contract, target.job_operation
    submit = _find_submit_call(target, delivery)
    polls: list[Call] = []
    for exchange in (*delivery.exchanges, *polls_after_end):
        operation = contract.operations.get(exchange.operation)
        if operation is None or (submit is not None and exchange is submit.exchange):
            continue
        call = Call(operation, exchange, target, submit_call=submit)
        polls += [call] if operation is status else []
        yield call
        if operation is not target.operation:  # of repeated submits only the last one must be accepted
            yield from _iterate_outcomes_of_call(call)
    if submit is not None:
        yield submit
        yield from _iterate_outcomes_of_call(submit)
        if status is not None and submit.is_accepted:
            observations = delivery.job.observations if delivery.job is not None else ()
            timed_out = _has_exceeded_documented_time(observations, status)
            yield JobHistory(submit, tuple(polls), status, is_timed_out=timed_out, state_observations=observations)
    if delivery.exchanges and not (delivery.failure is not None and delivery.failure.kind == "interrupted"):
        # If success was only reported after the client had stopped waiting for it, no audio is expected.
        before_end = polls[: len(polls) - len(polls_after_end)]
        yield SpeechDelivery(
            target, speech_request, delivery, is_successful=_is_audio_reported_ready(submit, before_end, status)
        )


def _has_exceeded_documented_time(observations: Sequence[StateObservation], status_operation: Operation) -> bool:
    """Whether the job was still unfinished in a poll after its documented maximum time.

    The result is false if waiting ended earlier, for example because of a shorter limit that the user set.
    """
    if not observations or status_operation.job is None:
        return False
    last = observations[-1]
    state = status_operation.job.states.get(last.state)
    return last.response_began_ms >= status_operation.job.poll_schedule.job_timeout_s * 1000 and (
        state is None or state.terminal_outcome is None
    )


def _find_submit_call(target: Target, delivery: Delivery) -> Call | None:
    index = delivery.submit_exchange_index
    return None if index is None else Call(target.operation, delivery.exchanges[index], target)


def _iterate_outcomes_of_call(call: Call) -> Iterator[CaseOutcome]:
    """Yield the outcome of a call that should be accepted; yield nothing if its status proves nothing."""
    if call.status in call.contract.provider.retry_policy.retried_statuses or explain_inconclusive_status(call.status):
        return
    is_submit = call.operation.speech is not None
    description = "a valid request" if is_submit else f"{call.operation.id} for a job that was accepted"
    yield CaseOutcome(call, expect_acceptance(description, call.operation.pointer))


def _is_audio_reported_ready(
    submit_call: Call | None, poll_calls: Sequence[Call], status_operation: Operation | None
) -> bool:
    """Whether the service reports that the audio is ready."""
    if status_operation is None or status_operation.job is None:
        return (
            submit_call is not None
            and submit_call.is_accepted
            and not (submit_call.event_stream is not None and submit_call.event_stream.has_failed)
        )
    return any(
        state.terminal_outcome == "success"
        for state in _iterate_documented_states(submit_call, poll_calls, status_operation)
    )


def _iterate_documented_states(
    submit_call: Call | None, poll_calls: Sequence[Call], status_operation: Operation
) -> Iterator[JobState]:
    """Yield the documented states that were reported for a job, by polls or by the response to its submit."""
    assert status_operation.job is not None, "only called for status operations"
    reports = [(poll, status_operation.job.state_location) for poll in poll_calls]
    if submit_call is not None and status_operation.job.submit_response.state_location is not None:
        reports.insert(0, (submit_call, status_operation.job.submit_response.state_location))
    for call, location in reports:
        state = status_operation.job.states.get(str(call.read_response_value(location))) if call.is_accepted else None
        if state is not None:
            yield state
