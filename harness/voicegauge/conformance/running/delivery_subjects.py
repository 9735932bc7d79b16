"""From the exchanges of one request for speech to what the checks look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voicegauge.checks import Call, CaseOutcome, CheckSubject, ExpectedResponse, JobHistory, SpeechDelivery
from voicegauge.conformance.cases import inconclusive_reason
from voicegauge.contract import Operation, Target
from voicegauge.contract.extension import JobState
from voicegauge.model import Delivery, Exchange, SpeechRequest


def subjects_of_delivery(
    target: Target, speech: SpeechRequest, delivery: Delivery, again: Sequence[Exchange] = ()
) -> Iterator[CheckSubject]:
    """Every subject of one delivery: its calls, their outcomes, its job, and the audio.

    Args:
        target: what was asked.
        speech: what it was asked for.
        delivery: what came of it.
        again: status answers asked for after the job had ended.
    """
    contract, status = target.contract, target.job_operation
    submit = _submit(target, delivery)
    polls: list[Call] = []
    for exchange in (*delivery.exchanges, *again):
        operation = contract.operations.get(exchange.operation)
        if operation is None or (submit is not None and exchange is submit.exchange):
            continue
        call = Call(operation, exchange, target, submit=submit)
        polls += [call] if operation is status else []
        yield call
        if operation is not target.operation:  # a submit that was sent again is judged by the last one
            yield from _outcome(call)
    if submit is not None:
        yield submit
        yield from _outcome(submit)
        if status is not None and submit.ok:
            timed_out = delivery.failure is not None and delivery.failure.kind == "timeout"
            # What is fetched after the end may take too long as well.
            is_overdue = timed_out and not any(state.end for state in _states(submit, polls, status))
            seen = delivery.job.observations if delivery.job is not None else ()
            yield JobHistory(submit, tuple(polls), status, timed_out=is_overdue, observations=seen)
    if delivery.exchanges:
        # What a job says after its end is no promise of audio: the client had stopped asking.
        yield SpeechDelivery(
            target, speech, delivery, succeeded=_is_done(submit, polls[: len(polls) - len(again)], status)
        )


def _submit(target: Target, delivery: Delivery) -> Call | None:
    index = delivery.submit_exchange
    return None if index is None else Call(target.operation, delivery.exchanges[index], target)


def _outcome(call: Call) -> Iterator[CaseOutcome]:
    """Every call on the way is valid and must be accepted."""
    if call.status in call.contract.provider.retry.statuses or inconclusive_reason(call.status):
        return
    description = "a valid request" if call.operation.speech else f"{call.operation.id} for a job that was accepted"
    yield CaseOutcome(
        call,
        ExpectedResponse(
            verdict="accepted", kind="valid", description=description, contract_pointer=call.operation.pointer
        ),
    )


def _is_done(submit: Call | None, polls: Sequence[Call], status: Operation | None) -> bool:
    if status is None or status.job is None:
        return submit is not None and submit.ok and not (submit.stream is not None and submit.stream.failed)
    return any(state.end == "success" for state in _states(submit, polls, status))


def _states(submit: Call | None, polls: Sequence[Call], status: Operation) -> Iterator[JobState]:
    """The known states that a job was seen in; the answer to its submit may tell the first one, or the end."""
    assert status.job is not None, "asked of status operations alone"
    told = [(poll, status.job.state) for poll in polls]
    if submit is not None and status.job.submit.state is not None:
        told.insert(0, (submit, status.job.submit.state))
    for call, place in told:
        state = status.job.states.get(str(call.read_response(place))) if call.ok else None
        if state is not None:
            yield state
