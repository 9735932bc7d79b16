"""Searches for violations with random sequences of job operations.

A step is "submit", or a word and the number of a job, counted from 1: "poll 2", "late 1" (a poll after a long pause),
"expired 1" (a poll after the documented time for which a job can be polled), "cancel 1", "unknown 1" (a poll with an
id that is similar to the id of job 1 but does not exist).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import hypothesis
import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test, precondition, rule

from voicegauge.cases.case import (
    ConformanceCase,
    expect_acceptance,
    expect_undocumented_outcome,
    find_rejection_statuses,
)
from voicegauge.cases.valid_requests import build_valid_speech_request
from voicegauge.client.job_polling import (
    find_id_parameter,
    is_usable_id,
    read_link_parameters,
)
from voicegauge.client.speech_request import RequestParts, map_speech_request
from voicegauge.conformance._case_runner import CaseRunner
from voicegauge.conformance._fuzzing_requests import (
    FuzzSettings,
    FuzzTest,
    FuzzTestFactory,
    ViolationSearch,
    add_job_steps_test,
)
from voicegauge.conformance._resource_lifecycle import build_request_with_parameters
from voicegauge.contract.contract import Target
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.operation import Operation
from voicegauge.errors import UsageError
from voicegauge.model.base import Finding
from voicegauge.model.exchange import Exchange, Request
from voicegauge.rules.call import Call, CaseOutcome, CheckSubject, ExpectedResponse
from voicegauge.rules.subjects import ConcurrentJobs, JobHistory

# Takes steps with several jobs of one account at a time, in any order.


MAX_JOBS_PER_SEQUENCE = 3
"""Maximum number of jobs in one sequence, because each job costs money."""
LATE_POLL_INTERVAL_FACTOR = 3
"""Pause before a late poll, as a multiple of the longest documented poll interval."""
LIFETIME_TOLERANCE_FACTOR = 2.0
"""Factor of tolerance for the documented lifetime of jobs, because clocks differ and services remove old jobs only now
and then. From the lifetime divided by this factor to the lifetime multiplied by it, a job may exist or not."""
MAX_EXPIRY_WAIT_S = 120.0
"""The longest wait in seconds for a job to expire if the clock of the service cannot be advanced."""


@dataclass
class _AcceptedJob:
    """A job that was accepted, and how it is polled."""

    submit_call: Call
    id: str
    """The id in the response to the submit."""
    status_parameters: dict[str, object]
    """Parameters of a request to the status operation about this job, by name."""
    submit_time_s: float
    """Time on the client's clock just before the submit was sent."""
    poll_calls: list[Call] = field(default_factory=list)
    """The polls so far, accepted or not, in the order of sending."""
    end_time_s: float | None = None
    """Time on the client's clock when a terminal state was first seen; `None` if none was seen yet."""
    poll_count_before_cancel: int | None = None
    """Number of polls before the cancellation was accepted; `None` if the job was not cancelled."""


class StatefulJobs:
    """Sends random sequences of requests about jobs of one target; judges each request with those before it."""

    def __init__(self, target: Target, case_runner: CaseRunner) -> None:
        """Prepare a sequence of steps in which no job was submitted yet.

        Raises:
            UsageError: the target responds with audio instead of starting jobs.
        """
        status = target.job_operation
        if status is None or status.job is None:
            raise UsageError(f"{target.id} has no jobs: it responds with audio")
        self._target, self._runner, self._service = target, case_runner, case_runner.service
        self._status: Operation = status
        self._spec: JobSpec = status.job
        self._jobs: list[_AcceptedJob] = []
        self._submit_count = 0
        self.steps: list[str] = []
        """The steps that were taken so far, in the notation of the module's documentation."""

    @property
    def job_count(self) -> int:
        """The number of jobs that the service has accepted so far."""
        return len(self._jobs)

    @property
    def can_cancel(self) -> bool:
        """Whether the contract documents an operation that cancels jobs."""
        return self._spec.cancellation is not None

    @property
    def can_wait_for_expiry(self) -> bool:
        """Whether the expiry of jobs can be tested: it is documented, with its response, and can be waited for."""
        limit_s = self._spec.ended_job_lifetime_s
        max_wait_s = min(MAX_EXPIRY_WAIT_S, self._service.client.max_wait_s or MAX_EXPIRY_WAIT_S)
        is_soon = (
            self._service.settings.emulator_control_url is not None
            or LIFETIME_TOLERANCE_FACTOR * (limit_s or 0) <= max_wait_s
        )
        return limit_s is not None and is_soon and bool(self._statuses_of_expired_job)

    @property
    def _statuses_of_expired_job(self) -> tuple[int, ...]:
        """The documented statuses of a poll of an expired job; those of an unknown id if none are documented."""
        return find_rejection_statuses(self._status, "expired") or find_rejection_statuses(self._status, "not-found")

    @property
    def rejects_unknown_ids(self) -> bool:
        """Whether the contract documents the response to an unknown id."""
        return bool(find_rejection_statuses(self._status, "not-found"))

    async def take_step(self, step: str) -> list[Finding]:
        """Take one step and return its findings, each with a test that takes all steps so far.

        Raises:
            UsageError: `step` is not valid, or there is no job with its number.
            BudgetError: the step costs more than is left in the budget.
            TransportError: the service did not respond.
        """
        word, _, number = step.partition(" ")
        self.steps.append(step)
        if word == "submit":
            findings = await self._submit()
        else:
            actions = {
                "poll": self._poll,
                "late": self._poll_late,
                "expired": self._poll_after_expiry,
                "cancel": self._cancel,
                "unknown": self._poll_unknown_id,
            }
            if word not in actions or not number.isdecimal() or not 1 <= int(number) <= self.job_count:
                words = ", ".join(f"{word} N" for word in actions)
                raise UsageError(f"{step!r} is not a valid step with {self.job_count} jobs: write submit, {words}")
            findings = await actions[word](self._jobs[int(number) - 1])
        return add_job_steps_test(findings, self._target, self.steps)

    def _build_case(
        self, operation: Operation, request: RequestParts, expected_response: ExpectedResponse
    ) -> ConformanceCase:
        is_submit = operation is self._target.operation
        return ConformanceCase(
            id=f"{operation.contract.id}/{operation.id}: jobs, {'; '.join(self.steps)}",
            provider=operation.contract.id,
            operation=operation.id,
            target_name=self._target.name if is_submit else None,
            expected_response=expected_response,
            request=request,
            is_fuzzed=True,
        )

    async def _submit(self) -> list[Finding]:
        self._submit_count += 1
        submit_time_s = self._now_s
        text = f"Good morning. This is story number {self._submit_count}."  # a different text for each job
        operation = self._target.operation
        expected = expect_acceptance("a valid request", self._target.pointer)

        def list_subjects(exchange: Exchange) -> Sequence[CheckSubject]:
            call = Call(operation, exchange, self._target)
            subjects: list[CheckSubject] = [call, CaseOutcome(call, expected)]
            job = self._read_job(call, submit_time_s)
            if job is not None:
                self._jobs.append(job)
                subjects.append(self._build_concurrent_jobs(job))
            return subjects

        request = map_speech_request(self._target, build_valid_speech_request(self._target, text=text))
        case = msgspec.structs.replace(self._build_case(operation, request, expected), text_character_count=len(text))
        return (await self._runner.send_and_judge(case, list_subjects)).findings

    def _read_job(self, submit_call: Call, submit_time_s: float) -> _AcceptedJob | None:
        """Return the job that a submit started.

        `None` if the submit was rejected, or its response has no id with which the job can be polled.
        """
        job_id = submit_call.parsed_exchange.read_response_text(self._spec.submit_response.job_id_location)
        if not submit_call.is_accepted or job_id is None or not is_usable_id(job_id):
            return None
        parameters = read_link_parameters(submit_call.parsed_exchange, self._target.operation, self._status)
        if parameters is None:
            name = find_id_parameter(self._target.operation, self._status, self._spec.submit_response.job_id_location)
            parameters = {name: job_id} if name is not None else None
        if parameters is None:
            return None
        return _AcceptedJob(submit_call, job_id, parameters, submit_time_s)

    def _build_concurrent_jobs(self, latest_job: _AcceptedJob) -> ConcurrentJobs:
        histories = [self._build_job_history(job) for job in self._jobs]
        return ConcurrentJobs(tuple(histories), histories[self._jobs.index(latest_job)])

    def _build_job_history(self, job: _AcceptedJob) -> JobHistory:
        return JobHistory(
            job.submit_call, tuple(job.poll_calls), self._status, poll_count_before_cancel=job.poll_count_before_cancel
        )

    @property
    def _now_s(self) -> float:
        """The time on the client's clock, in seconds."""
        return self._service.client.clock.monotonic()

    async def _wait(self, seconds: float) -> None:
        """Wait on the client's clock, and advance the clock of an emulator by the same time."""
        client, control_url = self._service.client, self._service.settings.emulator_control_url
        await client.clock.sleep(seconds)
        if control_url is not None:
            request = Request(
                method="POST",
                url=f"{control_url}/clock",
                headers=(("Content-Type", "application/json"),),
                body=msgspec.json.encode({"advance_s": seconds}),
            )
            await client.transport.send(request, provider_id=self._status.contract.id, operation_id="(clock)")

    async def _poll(self, job: _AcceptedJob) -> list[Finding]:
        # Not before the documented interval: the service may reject an earlier poll, which would be no finding.
        await self._wait(self._spec.poll_schedule.min_interval_s)
        expected = self._expect_poll_response(job)

        def read_subjects(exchange: Exchange) -> Sequence[CheckSubject]:
            call = Call(self._status, exchange, self._target, submit_call=job.submit_call)
            job.poll_calls.append(call)
            state = self._spec.find_state(call.read_response_value) if call.is_accepted else None
            if job.end_time_s is None and state is not None and state.terminal_outcome is not None:
                job.end_time_s = self._now_s
            return [call, CaseOutcome(call, expected), self._build_job_history(job), self._build_concurrent_jobs(job)]

        case = self._build_case(
            self._status, build_request_with_parameters(self._status, job.status_parameters), expected
        )
        return (await self._runner.send_and_judge(case, read_subjects)).findings

    def _expect_poll_response(self, job: _AcceptedJob) -> ExpectedResponse:
        """Return the expected response to a poll that is sent now; the job may have expired."""
        status, limit_s = self._status, self._spec.ended_job_lifetime_s
        description, pointer = (
            f"{status.id} for a job that was accepted",
            f"{status.pointer}/x-job/ended_job_lifetime_s",
        )
        if (
            limit_s is not None
            and job.end_time_s is not None
            and self._now_s - job.end_time_s > LIFETIME_TOLERANCE_FACTOR * limit_s
        ):
            return ExpectedResponse(
                acceptance="rejected",
                statuses=self._statuses_of_expired_job,
                case_kind="unknown-id",
                description=f"{status.id} for a job that ended more than {LIFETIME_TOLERANCE_FACTOR * limit_s:g} s ago",
                contract_pointer=pointer,
            )
        # The job may have ended long before a poll saw it, even at the submit.
        if limit_s is not None and self._now_s - job.submit_time_s > limit_s / LIFETIME_TOLERANCE_FACTOR:
            return expect_undocumented_outcome(description, pointer, self._statuses_of_expired_job)
        return expect_acceptance(description, status.pointer)

    async def _poll_late(self, job: _AcceptedJob) -> list[Finding]:
        await self._wait(LATE_POLL_INTERVAL_FACTOR * self._spec.poll_schedule.max_interval_s)
        return await self._poll(job)

    async def _poll_after_expiry(self, job: _AcceptedJob) -> list[Finding]:
        if self._spec.ended_job_lifetime_s is None:
            raise UsageError(f"{self._status.contract.id} does not document how long a job can be polled")
        await self._wait(LIFETIME_TOLERANCE_FACTOR * self._spec.ended_job_lifetime_s)
        return await self._poll(job)

    async def _cancel(self, job: _AcceptedJob) -> list[Finding]:
        if self._spec.cancellation is None:
            raise UsageError(f"{self._status.contract.id} does not document how to cancel a job")
        operation = self._status.contract.find_operation(self._spec.cancellation.operation_id)
        name = find_id_parameter(self._target.operation, operation, self._spec.submit_response.job_id_location)
        if name is None:
            raise UsageError(f"{operation.id} does not document which parameter takes the job's id")
        # Whether a job that has ended can still be cancelled is not documented.
        expected = expect_undocumented_outcome("a job is cancelled", operation.pointer)
        case = self._build_case(operation, build_request_with_parameters(operation, {name: job.id}), expected)
        judged = await self._runner.send_and_judge(case)
        is_accepted = judged.status is not None and judged.status < 300
        if is_accepted and job.poll_count_before_cancel is None:
            job.poll_count_before_cancel = len(job.poll_calls)
        return judged.findings

    async def _poll_unknown_id(self, job: _AcceptedJob) -> list[Finding]:
        statuses = find_rejection_statuses(self._status, "not-found")
        if not statuses:
            raise UsageError(f"{self._status.contract.id} does not document the response to an unknown id")
        expected = ExpectedResponse(
            acceptance="rejected",
            statuses=statuses,
            case_kind="unknown-id",
            description="an id similar to that of a job, which does not exist",
            contract_pointer=self._status.pointer,
        )
        unknown = build_similar_unknown_id(job.id, {job.id for job in self._jobs})
        parameters = {name: unknown if value == job.id else value for name, value in job.status_parameters.items()}
        case = self._build_case(self._status, build_request_with_parameters(self._status, parameters), expected)
        return (await self._runner.send_and_judge(case)).findings


def build_similar_unknown_id(job_id: str, known_ids: Collection[str]) -> str:
    """Return an id that differs from `job_id` in its last character and is none of `known_ids`.

    The numbers next to a running number belong to other jobs, so an id of digits gets three more digits instead.
    """
    digits = "0123456789abcdef"
    candidates = (job_id + digit * 3 if job_id.isdecimal() else job_id[:-1] + digit for digit in digits)
    return next(candidate for candidate in candidates if candidate not in known_ids)


# Searches for an order of job steps that breaks a rule, with a Hypothesis state machine.


EXPECTED_REQUESTS_PER_SEQUENCE = 4
"""Number of random requests that take as much effort as one sequence of steps."""


async def fuzz_jobs(target: Target, case_runner: CaseRunner, fuzz_settings: FuzzSettings) -> None:
    """Search for an order of steps that breaks a rule, and add findings to the runner's collector.

    Args:
        target: a target with jobs.
        case_runner: the runner that sends and judges requests, and reserves the price of each submit.
        fuzz_settings: how long to search, and where failing sequences are saved. One sequence counts as
            `EXPECTED_REQUESTS_PER_SEQUENCE` requests.

    Raises:
        BudgetError: the next submit costs more than is left in the budget.
        TransportError: the service cannot be reached.
    """
    sequences = -(-fuzz_settings.example_count // EXPECTED_REQUESTS_PER_SEQUENCE)  # rounded up
    fewer = FuzzSettings(sequences, fuzz_settings.seed, fuzz_settings.failures_folder)
    violation_search = ViolationSearch(case_runner, fewer.copy_with_failures_subfolder(target.operation.id, "jobs"))
    await violation_search.search_violations(
        _build_state_machine_test(violation_search, lambda: StatefulJobs(target, case_runner))
    )


def _build_state_machine_test(
    violation_search: ViolationSearch, create_stateful_jobs: Callable[[], StatefulJobs]
) -> FuzzTestFactory:
    """Return a function that makes a test of random sequences of steps."""
    numbers = st.integers(1, MAX_JOBS_PER_SEQUENCE)

    class JobMachine(RuleBasedStateMachine):
        """A Hypothesis state machine with one rule for each kind of step.

        Its class name is part of saved failures, so another name would make them useless.
        """

        def __init__(self) -> None:
            super().__init__()
            self.jobs = create_stateful_jobs()

        def take_step_with_job(self, step_name: str, job_number: int | None = None) -> None:
            # The number is drawn whatever the number of jobs is, so that Hypothesis can shrink it. Above it, the last
            # job is meant.
            step = step_name if job_number is None else f"{step_name} {min(job_number, self.jobs.job_count)}"
            violation_search.raise_if_new_errors(violation_search.run_in_event_loop(self.jobs.take_step(step)))

        @precondition(lambda self: self.jobs.job_count < MAX_JOBS_PER_SEQUENCE)
        @rule()
        def submit(self) -> None:
            self.take_step_with_job("submit")

        @precondition(lambda self: self.jobs.job_count)
        @rule(job_number=numbers)
        def poll(self, job_number: int) -> None:
            self.take_step_with_job("poll", job_number)

        @precondition(lambda self: self.jobs.job_count)
        @rule(job_number=numbers)
        def poll_late(self, job_number: int) -> None:
            self.take_step_with_job("late", job_number)

        @precondition(lambda self: self.jobs.job_count and self.jobs.can_wait_for_expiry)
        @rule(job_number=numbers)
        def poll_expired(self, job_number: int) -> None:
            self.take_step_with_job("expired", job_number)

        @precondition(lambda self: self.jobs.job_count and self.jobs.can_cancel)
        @rule(job_number=numbers)
        def cancel(self, job_number: int) -> None:
            self.take_step_with_job("cancel", job_number)

        @precondition(lambda self: self.jobs.job_count and self.jobs.rejects_unknown_ids)
        @rule(job_number=numbers)
        def poll_unknown_id(self, job_number: int) -> None:
            self.take_step_with_job("unknown", job_number)

    def build_round_test(settings: hypothesis.settings, seed: int) -> FuzzTest:
        return get_state_machine_test(hypothesis.seed(seed)(JobMachine), settings=settings)

    return build_round_test
