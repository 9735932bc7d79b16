"""Compares recorded job states and transitions with the documented state machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voicegauge.contract.extension import JobSpec
from voicegauge.drift.report import DriftChange
from voicegauge.drift.traffic.contradictions import make_contradiction
from voicegauge.drift.traffic.reading import RecordedExchange, job_states


def job_changes(conversation: Sequence[RecordedExchange]) -> Iterator[DriftChange]:
    """Yield a change for each undocumented state or transition of the job in a conversation."""
    last: str | None = None
    for recorded_exchange, state in job_states(conversation):
        assert recorded_exchange.job is not None
        documented = recorded_exchange.job.states
        location = f"{recorded_exchange.status} {recorded_exchange.state_location}"
        pointer = f"{_status_operation_pointer(recorded_exchange)}/x-job/states"
        part = "/response/content/text"
        if state not in documented:
            rule = "observed-state-undocumented"
            yield make_contradiction(recorded_exchange, rule, location, pointer=pointer, part=part, value=state)
        elif last in documented and not _can_reach(recorded_exchange.job, last, state):
            rule, transition = "observed-transition-undocumented", f"{last} -> {state}"
            yield make_contradiction(
                recorded_exchange, rule, location, pointer=f"{pointer}/{last}", part=part, value=transition
            )
        last = state


def _status_operation_pointer(recorded_exchange: RecordedExchange) -> str:
    """Return the pointer of the operation that contains `x-job`. A submit operation only refers to that operation."""
    operation = recorded_exchange.operation
    assert operation is not None
    if operation.job is None and operation.speech is not None and operation.speech.response.job:
        operation = recorded_exchange.contract.operation(operation.speech.response.job)
    return operation.pointer


def _can_reach(job: JobSpec, start: str, end: str) -> bool:
    """Whether a job can get from `start` to `end`, also through states between them that no poll reported."""
    reached, pending = set[str](), [start]
    while pending:
        for state in job.states[pending.pop()].next:
            if state not in reached and state in job.states:
                reached.add(state)
                pending.append(state)
    return end in reached
