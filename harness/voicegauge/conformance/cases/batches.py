"""A batch of several items, followed until all of them have ended, each also asked for by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

from voicegauge.checks import Call, CaseOutcome, CheckSubject, ExpectedResponse, JobHistory
from voicegauge.client import RequestParts, id_parameter
from voicegauge.conformance.cases.case import ConformanceCase
from voicegauge.conformance.cases.resources import Send
from voicegauge.conformance.cases.valid_requests import text_characters, with_value
from voicegauge.contract import Operation, Target, read_pointer
from voicegauge.contract.extension import BatchSpec
from voicegauge.transport import Clock

POLLS_AFTER_END = 2
"""Status answers fetched after a job has ended: a late change of mind shows in the second one."""
ITEMS = 3
"""Enough that some are done while others are not."""


def batch_case(target: Target, wire: RequestParts) -> ConformanceCase | None:
    """The case that asks for the one item of `wire` several times; `None` where the target takes no batch."""
    operation = target.operation
    if operation.batch is None:
        return None
    tokens = operation.batch.items.tokens
    item = read_pointer(wire.body, [*tokens, "0"])
    several = with_value(wire, tuple(tokens), [item] * ITEMS)
    description = f"a batch of {ITEMS}, followed to its end"
    return ConformanceCase(
        id=f"{operation.contract.id}/{operation.id}: {description}",
        provider=operation.contract.id,
        operation=operation.id,
        target=target.name,
        expected=ExpectedResponse(
            verdict="accepted", kind="valid", description=description, contract_pointer=f"{operation.pointer}/x-batch"
        ),
        wire=several,
        text_characters=text_characters(operation, several),
        is_lifecycle=True,
    )


async def batch_subjects(target: Target, wire: RequestParts, send: Send, clock: Clock) -> AsyncIterator[CheckSubject]:
    """Submit `wire`, ask until the batch is over or out of time, again after its end, then for each item."""
    operation, status = target.operation, target.job_operation
    assert operation.batch is not None, "planned for a batch"
    assert status is not None, "the consistency of the contract"
    assert status.job is not None, "the consistency of the contract"
    submit = Call(operation, await send(operation, wire, "own", None))
    yield submit
    yield _accepted(submit, f"a batch of {ITEMS}")
    polls: list[Call] = []
    ended, left = False, POLLS_AFTER_END
    began = clock.monotonic()
    while submit.ok and left and clock.monotonic() - began < status.job.poll.timeout_s:
        await clock.sleep(status.job.poll.min_s)
        left -= ended
        poll = await _asked(status, submit.read_response(status.job.submit.id), send, submit)
        polls.append(poll)
        yield poll
        if not poll.ok:
            yield _accepted(poll, f"{status.id} for a batch that was accepted")
            break
        state = status.job.states.get(str(poll.read_response(status.job.state)))
        ended = ended or (state is not None and state.end is not None)
    if submit.ok:
        yield JobHistory(submit, tuple(polls), status, timed_out=bool(polls) and polls[-1].ok and not ended)
    for item in _items(operation.batch, polls[-1]) if ended else ():
        async for subject in _item_subjects(operation, item, send):
            yield subject


def _items(batch: BatchSpec, last: Call) -> list[object]:
    results = batch.results.read_body(last.response_json)
    return results if isinstance(results, list) else []


async def _item_subjects(operation: Operation, item: object, send: Send) -> AsyncIterator[CheckSubject]:
    """An item is a job like any other, and is asked for like one."""
    assert operation.batch is not None, "planned for a batch"
    each = operation.contract.operation(operation.batch.item_operation)
    name = each.speech.response.job if each.speech else None
    job_id = item.get(operation.batch.job_id) if isinstance(item, dict) else None
    if name is None or not isinstance(job_id, str):
        return
    call = await _asked(operation.contract.operation(name), job_id, send, None)
    yield call
    yield _accepted(call, f"{name} for an item of a batch")


async def _asked(status: Operation, job_id: object, send: Send, submit: Call | None) -> Call:
    place = status.job.submit.id if status.job is not None else None
    name = id_parameter(submit.operation if submit is not None else None, status, place)
    in_path = any(parameter.name == name and parameter.location == "path" for parameter in status.parameters)
    values = {name: str(job_id)} if name is not None else {}
    wire = RequestParts(path=values) if in_path else RequestParts(query=values)
    return Call(status, await send(status, wire, "own", None), submit=submit)


def _accepted(call: Call, description: str) -> CaseOutcome:
    return CaseOutcome(
        call,
        ExpectedResponse(
            verdict="accepted", kind="valid", description=description, contract_pointer=call.operation.pointer
        ),
    )
