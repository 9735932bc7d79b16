"""Searches for an order of job steps that breaks a rule, with a Hypothesis state machine."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test, precondition, rule

from voicegauge.conformance.fuzzing.stateful_jobs import MAX_JOBS_PER_SEQUENCE, StatefulJobs
from voicegauge.conformance.fuzzing.violation_search import FuzzSettings, FuzzTest, FuzzTestFactory, ViolationSearch
from voicegauge.conformance.running import CaseRunner
from voicegauge.contract import Target

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
