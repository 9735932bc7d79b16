"""Compares recorded job states and transitions with the documented state machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voicegauge.contract.extension import JobSpec
from voicegauge.drift.report import DriftChange
from voicegauge.drift.traffic.contradictions import build_contradiction_change
from voicegauge.drift.traffic.preparation import RecordedExchange, iterate_job_states


def find_undocumented_transitions(conversation: Sequence[RecordedExchange]) -> Iterator[DriftChange]:
    """Yield a change for each undocumented state or transition of the job in a conversation."""
    last: str | None = None
    for recorded_exchange, state in iterate_job_states(conversation):
        assert recorded_exchange.job_spec is not None
        documented = recorded_exchange.job_spec.states
        location = f"{recorded_exchange.status} {recorded_exchange.state_location}"
        pointer = f"{_find_status_operation_pointer(recorded_exchange)}/x-job/states"
        part = "/response/content/text"
        if state not in documented:
            rule = "observed-state-undocumented"
            yield build_contradiction_change(
                recorded_exchange, rule, location, contract_pointer=pointer, exchange_part=part, observed_value=state
            )
        elif last in documented and not _can_reach(recorded_exchange.job_spec, last, state):
            rule, transition = "observed-transition-undocumented", f"{last} -> {state}"
            yield build_contradiction_change(
                recorded_exchange,
                rule,
                location,
                contract_pointer=f"{pointer}/{last}",
                exchange_part=part,
                observed_value=transition,
            )
        last = state


def _find_status_operation_pointer(recorded_exchange: RecordedExchange) -> str:
    """Return the JSON pointer, in the contract, of the operation that documents the job of the exchange under `x-job`.

    If the exchange submits a job, this is the operation that polls it; otherwise, the operation of the exchange.
    """
    operation = recorded_exchange.operation
    assert operation is not None
    if operation.job is None and operation.speech is not None and operation.speech.response.status_operation_id:
        operation = recorded_exchange.contract.find_operation(operation.speech.response.status_operation_id)
    return operation.pointer


def _can_reach(job: JobSpec, start_state: str, end_state: str) -> bool:
    """Whether a job can get from one state to another, also through states that no poll reported."""
    reached, pending = set[str](), [start_state]
    while pending:
        for state in job.states[pending.pop()].successor_names:
            if state not in reached and state in job.states:
                reached.add(state)
                pending.append(state)
    return end_state in reached
