"""Many jobs of one account at a time: submitted, asked for, asked for late, cancelled, expired, in any order.

A step is written as a word and the number of a job, counted from 1: "submit", "poll 2", "late 1",
"expired 1" (after the time for which a job can be asked for), "cancel 1", "unknown 1" (an id that
is like that of job 1, and nobody's).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from voicegauge.checks import Call, CaseOutcome, CheckSubject, ExpectedResponse, JobHistory, JobSet
from voicegauge.client import (
    RequestParts,
    id_parameter,
    is_id,
    link_parameters,
    map_speech_request,
    parameters_by_location,
)
from voicegauge.conformance.cases import ConformanceCase, rejection_statuses, valid_speech_request
from voicegauge.conformance.fuzzing.reproduction import with_jobs_test
from voicegauge.conformance.running import CaseRunner
from voicegauge.contract import Operation, Target
from voicegauge.contract.extension import JobSpec
from voicegauge.errors import UsageError
from voicegauge.model import Exchange, Finding, Request

if TYPE_CHECKING:
    from voicegauge.conformance.fuzzing.search import FuzzEffort, Make, RuleSearch, Test

MAX_JOBS = 3
"""Of one example: each is paid for."""
REQUESTS_FOR_ONE = 4
"""Random requests elsewhere for one example of many steps here."""
LATE = 3
"""How many of the longest pauses between polls is late."""
SLACK = 2.0
"""Clocks differ, and old jobs are swept out now and then: between the documented time divided by this and that time
multiplied by it, a job may be there or gone."""
LONGEST_WAIT_S = 120.0
"""For jobs to expire, where time cannot be moved on."""


@dataclass
class _Job:
    """A job that was accepted, and how it is asked for."""

    submit: Call
    id: str
    parameters: dict[str, object]
    accepted_s: float
    """By the client's clock, when nobody had heard of it yet."""
    polls: list[Call] = field(default_factory=list)
    ended_s: float | None = None
    """By the client's clock, when it was first seen to have ended."""
    cancelled_after: int | None = None
    """As in `JobHistory`."""


class StatefulJobs:
    """Takes steps with the jobs of one target; each is judged with all that was seen before."""

    def __init__(self, target: Target, runner: CaseRunner) -> None:
        """No job is there yet.

        Raises:
            UsageError: the target has no jobs.
        """
        status = target.job_operation
        if status is None or status.job is None:
            raise UsageError(f"{target.id} has no jobs: its answers are audio")
        self._target, self._runner, self._service = target, runner, runner.service
        self._status: Operation = status
        self._spec: JobSpec = status.job
        self._jobs: list[_Job] = []
        self._submits = 0
        self.steps: list[str] = []

    @property
    def jobs(self) -> int:
        """How many were accepted."""
        return len(self._jobs)

    @property
    def can_cancel(self) -> bool:
        """Whether the contract names a call for it."""
        return self._spec.cancel is not None

    @property
    def can_expire(self) -> bool:
        """Whether the contract says when, and how it is answered then; and that is soon, or time can be moved on."""
        limit_s = self._spec.expires_s
        soon = self._service.control_url is not None or SLACK * (limit_s or 0) <= LONGEST_WAIT_S
        return limit_s is not None and soon and bool(self._gone)

    @property
    def _gone(self) -> tuple[int, ...]:
        return rejection_statuses(self._status, "expired") or rejection_statuses(self._status, "not-found")

    @property
    def can_miss(self) -> bool:
        """Whether the contract says how an unknown id is answered."""
        return bool(rejection_statuses(self._status, "not-found"))

    async def step(self, step: str) -> list[Finding]:
        """Take one step; what is found carries a test of all steps so far.

        Raises:
            UsageError: there is no such step, or no such job.
            BudgetError: it costs more than is left.
            TransportError: no answer could be had.
        """
        word, _, number = step.partition(" ")
        self.steps.append(step)
        if word == "submit":
            found = await self._submit()
        else:
            taken = {
                "poll": self._poll,
                "late": self._late,
                "expired": self._expired,
                "cancel": self._cancel,
                "unknown": self._unknown,
            }
            if word not in taken or not number.isdecimal() or not 1 <= int(number) <= self.jobs:
                words = ", ".join(f"{word} N" for word in taken)
                raise UsageError(f"{step!r}: of {self.jobs} jobs, write submit, {words}")
            found = await taken[word](self._jobs[int(number) - 1])
        return with_jobs_test(found, self._target, self.steps)

    def _case(self, operation: Operation, wire: RequestParts, expected: ExpectedResponse) -> ConformanceCase:
        speaks = operation is self._target.operation
        return ConformanceCase(
            id=f"{operation.contract.id}/{operation.id}: jobs, {'; '.join(self.steps)}",
            provider=operation.contract.id,
            operation=operation.id,
            target=self._target.name if speaks else None,
            expected=expected,
            wire=wire,
            is_fuzzed=True,
        )

    async def _submit(self) -> list[Finding]:
        self._submits += 1
        asked_s = self._now_s
        text = f"Good morning. This is story number {self._submits}."  # no two jobs speak the same
        operation = self._target.operation
        expected = ExpectedResponse(
            verdict="accepted", kind="valid", description="a valid request", contract_pointer=self._target.pointer
        )

        def read(exchange: Exchange) -> Sequence[CheckSubject]:
            call = Call(operation, exchange, self._target)
            subjects: list[CheckSubject] = [call, CaseOutcome(call, expected)]
            job = self._read_job(call, asked_s)
            if job is not None:
                self._jobs.append(job)
                subjects.append(self._together(job))
            return subjects

        case = self._case(
            operation, map_speech_request(self._target, valid_speech_request(self._target, text=text)), expected
        )
        return (await self._runner.probe(msgspec.structs.replace(case, text_characters=len(text)), read)).findings

    def _read_job(self, submit: Call, asked_s: float) -> _Job | None:
        job_id = submit.parsed.read_text(self._spec.submit.id)
        if not submit.ok or job_id is None or not is_id(job_id):
            return None
        parameters = link_parameters(submit.parsed, self._target.operation, self._status)
        if parameters is None:
            name = id_parameter(self._target.operation, self._status, self._spec.submit.id)
            parameters = {name: job_id} if name is not None else None
        if parameters is None:
            return None
        return _Job(submit, job_id, parameters, asked_s)

    def _together(self, latest: _Job) -> JobSet:
        trails = [self._trail(job) for job in self._jobs]
        return JobSet(tuple(trails), trails[self._jobs.index(latest)])

    def _trail(self, job: _Job) -> JobHistory:
        return JobHistory(job.submit, tuple(job.polls), self._status, cancelled_after=job.cancelled_after)

    @property
    def _now_s(self) -> float:
        return self._service.client.clock.monotonic()

    async def _pause(self, seconds: float) -> None:
        """Wait by the clock that the service is asked by; an emulator's moves on as well."""
        client, control = self._service.client, self._service.control_url
        await client.clock.sleep(seconds)
        if control is not None:
            body, headers = msgspec.json.encode({"advance_s": seconds}), (("Content-Type", "application/json"),)
            moved = Request(method="POST", url=f"{control}/clock", headers=headers, body=body)
            await client.transport.send(moved, provider=self._status.contract.id, operation="(clock)")

    async def _poll(self, job: _Job) -> list[Finding]:
        await self._pause(self._spec.poll.min_s)
        expected = self._expected(job)

        def read(exchange: Exchange) -> Sequence[CheckSubject]:
            call = Call(self._status, exchange, self._target, submit=job.submit)
            job.polls.append(call)
            state = self._spec.states.get(str(call.read_response(self._spec.state))) if call.ok else None
            if job.ended_s is None and state is not None and state.end is not None:
                job.ended_s = self._now_s
            return [call, CaseOutcome(call, expected), self._trail(job), self._together(job)]

        case = self._case(self._status, _wire(self._status, job.parameters), expected)
        return (await self._runner.probe(case, read)).findings

    def _expected(self, job: _Job) -> ExpectedResponse:
        """How a question about a job is answered, after all the time that has passed."""
        status, limit_s = self._status, self._spec.expires_s
        description, at = f"{status.id} for a job that was accepted", f"{status.pointer}/x-job/expires_s"
        if limit_s is not None and job.ended_s is not None and self._now_s - job.ended_s > SLACK * limit_s:
            description = f"{status.id} for a job that ended more than {SLACK * limit_s:g} s ago"
            return ExpectedResponse(
                verdict="rejected", statuses=self._gone, kind="unknown-id", description=description, contract_pointer=at
            )
        if limit_s is not None and self._now_s - job.accepted_s > limit_s / SLACK:  # it may have ended at once
            return ExpectedResponse(
                verdict="either", statuses=self._gone, kind="undocumented", description=description, contract_pointer=at
            )
        return ExpectedResponse(
            verdict="accepted", kind="valid", description=description, contract_pointer=status.pointer
        )

    async def _late(self, job: _Job) -> list[Finding]:
        await self._pause(LATE * self._spec.poll.max_s)
        return await self._poll(job)

    async def _expired(self, job: _Job) -> list[Finding]:
        if self._spec.expires_s is None:
            raise UsageError(f"{self._status.contract.id} does not say how long a job can be asked for")
        await self._pause(SLACK * self._spec.expires_s)
        return await self._poll(job)

    async def _cancel(self, job: _Job) -> list[Finding]:
        if self._spec.cancel is None:
            raise UsageError(f"{self._status.contract.id} does not say how to cancel a job")
        operation = self._status.contract.operation(self._spec.cancel.operation)
        name = id_parameter(self._target.operation, operation, self._spec.submit.id)
        if name is None:
            raise UsageError(f"{operation.id} does not say which parameter takes the job's id")
        # Whether a job that has ended can still be cancelled is not documented.
        expected = ExpectedResponse(
            verdict="either", kind="undocumented", description="a job is cancelled", contract_pointer=operation.pointer
        )
        case = self._case(operation, _wire(operation, {name: job.id}), expected)
        answered = await self._runner.probe(case)
        accepted = answered.status is not None and answered.status < 300
        if accepted and job.cancelled_after is None:
            job.cancelled_after = len(job.polls)
        return answered.findings

    async def _unknown(self, job: _Job) -> list[Finding]:
        statuses = rejection_statuses(self._status, "not-found")
        if not statuses:
            raise UsageError(f"{self._status.contract.id} does not say how an unknown id is answered")
        description = "an id that is like another, and nobody's"
        expected = ExpectedResponse(
            verdict="rejected",
            statuses=statuses,
            kind="unknown-id",
            description=description,
            contract_pointer=self._status.pointer,
        )
        other = unlike(job.id, {job.id for job in self._jobs})
        parameters = {name: other if value == job.id else value for name, value in job.parameters.items()}
        return (await self._runner.probe(self._case(self._status, _wire(self._status, parameters), expected))).findings


def unlike(job_id: str, known: Collection[str]) -> str:
    """An id like `job_id` that is nobody's: its last letter or digit changed until it is not among the `known` ones.

    Beside a running number others were given out: of digits alone, more are made.
    """
    last = "0123456789abcdef"
    made = (job_id + end * 3 if job_id.isdecimal() else job_id[:-1] + end for end in last)
    return next(other for other in made if other not in known)


def _wire(operation: Operation, parameters: dict[str, object]) -> RequestParts:
    placed = parameters_by_location(operation, parameters)
    return RequestParts(path=placed["path"], query=placed["query"], headers=placed["header"])


async def fuzz_job_steps(target: Target, runner: CaseRunner, effort: FuzzEffort) -> None:
    """Search for an order of steps that breaks a rule; findings go to the runner's collector.

    Args:
        target: one with jobs.
        runner: sends and judges; it reserves the price of each submit.
        effort: random requests elsewhere; here one example of many steps for four of them.

    Raises:
        BudgetError: the next submit costs more than is left.
        TransportError: the service is away.
    """
    from voicegauge.conformance.fuzzing.search import FuzzEffort, RuleSearch

    fewer = FuzzEffort(-(-effort.examples // REQUESTS_FOR_ONE), effort.seed, effort.failures)
    search = RuleSearch(runner, fewer.below(target.operation.id, "jobs"))
    await search.run(_machine(search, lambda: StatefulJobs(target, runner)))


def _machine(search: RuleSearch, start: Callable[[], StatefulJobs]) -> Make:
    """A state machine whose rules are the steps."""
    import hypothesis
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test, precondition, rule

    numbers = st.integers(1, MAX_JOBS)

    class Account(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.taken = start()

        def _take(self, word: str, number: int | None = None) -> None:
            step = word if number is None else f"{word} {min(number, self.taken.jobs)}"
            search.judge(search.ask(self.taken.step(step)))

        @precondition(lambda self: self.taken.jobs < MAX_JOBS)
        @rule()
        def submit(self) -> None:
            self._take("submit")

        @precondition(lambda self: self.taken.jobs)
        @rule(number=numbers)
        def poll(self, number: int) -> None:
            self._take("poll", number)

        @precondition(lambda self: self.taken.jobs)
        @rule(number=numbers)
        def late(self, number: int) -> None:
            self._take("late", number)

        @precondition(lambda self: self.taken.jobs and self.taken.can_expire)
        @rule(number=numbers)
        def expired(self, number: int) -> None:
            self._take("expired", number)

        @precondition(lambda self: self.taken.jobs and self.taken.can_cancel)
        @rule(number=numbers)
        def cancel(self, number: int) -> None:
            self._take("cancel", number)

        @precondition(lambda self: self.taken.jobs and self.taken.can_miss)
        @rule(number=numbers)
        def unknown(self, number: int) -> None:
            self._take("unknown", number)

    def make(settings: hypothesis.settings, seed: int) -> Test:
        return get_state_machine_test(hypothesis.seed(seed)(Account), settings=settings)

    return make
