"""Makes the subjects of the checks from the exchanges of one delivery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voicegauge.checks import Call, CaseOutcome, CheckSubject, JobHistory, SpeechDelivery
from voicegauge.conformance.cases import expect_accepted, inconclusive_reason
from voicegauge.contract import Operation, Target
from voicegauge.contract.extension import JobState
from voicegauge.model import Delivery, Exchange, SpeechRequest, StateObservation


def delivery_subjects(
    target: Target, speech: SpeechRequest, delivery: Delivery, polls_after_end: Sequence[Exchange] = ()
) -> Iterator[CheckSubject]:
    """Yield the subjects of one delivery: its calls with their outcomes, its job, and the audio.

    Args:
        target: the target of the delivery.
        speech: the requested speech.
        delivery: the delivery, successful or not.
        polls_after_end: polls that were sent after the job had ended.
    """
    contract, status = target.contract, target.job_operation
    submit = _submit_call(target, delivery)
    polls: list[Call] = []
    for exchange in (*delivery.exchanges, *polls_after_end):
        operation = contract.operations.get(exchange.operation)
        if operation is None or (submit is not None and exchange is submit.exchange):
            continue
        call = Call(operation, exchange, target, submit=submit)
        polls += [call] if operation is status else []
        yield call
        if operation is not target.operation:  # of repeated submits only the last one must be accepted
            yield from _outcome_of_call(call)
    if submit is not None:
        yield submit
        yield from _outcome_of_call(submit)
        if status is not None and submit.ok:
            observations = delivery.job.observations if delivery.job is not None else ()
            timed_out = _has_exceeded_limit(observations, status)
            yield JobHistory(submit, tuple(polls), status, is_timed_out=timed_out, observations=observations)
    if delivery.exchanges and not (delivery.failure is not None and delivery.failure.kind == "interrupted"):
        # If success was only reported after the client had stopped waiting for it, no audio is expected.
        before_end = polls[: len(polls) - len(polls_after_end)]
        yield SpeechDelivery(target, speech, delivery, is_successful=_is_audio_ready(submit, before_end, status))


def _has_exceeded_limit(observations: Sequence[StateObservation], status: Operation) -> bool:
    """Whether a job was seen unfinished after the documented maximum time.

    A wait that ended for another reason, such as a shorter limit of the user, shows nothing about the job.
    """
    if not observations or status.job is None:
        return False
    last = observations[-1]
    state = status.job.states.get(last.state)
    return last.at_ms >= status.job.poll.timeout_s * 1000 and (state is None or state.end is None)


def _submit_call(target: Target, delivery: Delivery) -> Call | None:
    index = delivery.submit_exchange
    return None if index is None else Call(target.operation, delivery.exchanges[index], target)


def _outcome_of_call(call: Call) -> Iterator[CaseOutcome]:
    """Yield the outcome of a call, which must be accepted; yield nothing if its status proves nothing."""
    if call.status in call.contract.provider.retry.statuses or inconclusive_reason(call.status):
        return
    is_submit = call.operation.speech is not None
    description = "a valid request" if is_submit else f"{call.operation.id} for a job that was accepted"
    yield CaseOutcome(call, expect_accepted(description, call.operation.pointer))


def _is_audio_ready(submit: Call | None, polls: Sequence[Call], status: Operation | None) -> bool:
    """Whether the service reports that the audio is ready."""
    if status is None or status.job is None:
        return (
            submit is not None
            and submit.ok
            and not (submit.event_stream is not None and submit.event_stream.has_failed)
        )
    return any(state.end == "success" for state in _documented_states(submit, polls, status))


def _documented_states(submit: Call | None, polls: Sequence[Call], status: Operation) -> Iterator[JobState]:
    """Yield the documented states that were reported for a job, by polls or by the response to its submit."""
    assert status.job is not None, "only called for status operations"
    reports = [(poll, status.job.state) for poll in polls]
    if submit is not None and status.job.submit.state is not None:
        reports.insert(0, (submit, status.job.submit.state))
    for call, location in reports:
        state = status.job.states.get(str(call.read_response(location))) if call.ok else None
        if state is not None:
            yield state
