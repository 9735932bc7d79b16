"""Defines several jobs of one account, in progress at the same time, as a subject of rules."""

from __future__ import annotations

from dataclasses import dataclass

from voicegauge.checks.subjects.base import CheckSubject
from voicegauge.checks.subjects.job import JobHistory
from voicegauge.contract import Operation, Target
from voicegauge.model import Exchange


@dataclass(frozen=True, eq=False)
class ConcurrentJobs(CheckSubject):
    """Jobs of one account that were in progress at the same time, each with the exchanges about it so far."""

    jobs: tuple[JobHistory, ...]
    latest_job: JobHistory
    """The job that was polled last."""

    @property
    def operation(self) -> Operation:
        """The operation that reports the status of the jobs."""
        return self.latest_job.operation

    @property
    def target(self) -> Target | None:
        """The target of the latest job."""
        return self.latest_job.target

    @property
    def exchange(self) -> Exchange:
        """The last exchange of the latest job."""
        return self.latest_job.exchange

    @property
    def possible_dispute_pointers(self) -> tuple[str, ...]:
        """The dispute pointers of the latest job."""
        return self.latest_job.possible_dispute_pointers
