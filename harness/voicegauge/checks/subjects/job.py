"""A job from its submit to its end."""

from __future__ import annotations

from dataclasses import dataclass

from voicegauge.checks.subjects.base import CheckSubject
from voicegauge.checks.subjects.call import Call
from voicegauge.contract import Operation, Target
from voicegauge.contract.extension import JobSpec
from voicegauge.model import Exchange, StateObservation


@dataclass(frozen=True, eq=False)
class JobHistory(CheckSubject):
    """The submit of a job and its status requests in order, including those sent after its end."""

    submit_call: Call
    polls: tuple[Call, ...]
    """The status requests, in the order of sending."""
    status_operation: Operation
    is_timed_out: bool = False
    """Whether no terminal state was seen within the time that the contract allows."""
    state_observations: tuple[StateObservation, ...] = ()
    """The observed states with the times at which polls observed them; empty if times were not measured."""
    poll_count_before_cancel: int | None = None
    """Number of polls before the cancellation was accepted; `None` if the job was not cancelled."""

    @property
    def operation(self) -> Operation:
        """The operation that reports the status of the job."""
        return self.status_operation

    @property
    def job_spec(self) -> JobSpec:
        """The description of the job in the contract."""
        assert self.status_operation.job is not None, "a status operation has an x-job"
        return self.status_operation.job

    @property
    def target(self) -> Target | None:
        """The target of the request that submitted the job."""
        return self.submit_call.target

    @property
    def exchange(self) -> Exchange:
        """The last exchange of the job."""
        return self.polls[-1].exchange if self.polls else self.submit_call.exchange

    @property
    def possible_dispute_pointers(self) -> tuple[str, ...]:
        """The pointer to the `x-job`, and the dispute pointers of the submit."""
        return (f"{self.status_operation.pointer}/x-job", *self.submit_call.possible_dispute_pointers)
