"""A benchmark that is killed at any step is continued by the same command, within the same budget."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from crashes.case_simulation import (
    UNBROKEN_BUDGET_USD,
    CaseCommand,
    SimulatedCaseUser,
    find_cases_bought_again,
    find_changed_verdicts,
    judge_cases,
    plan_command,
    simulate_cases,
    simulate_unbroken_check,
)
from crashes.kills import kill_repeatedly, run_unbroken
from crashes.provider import RandomFaults, StandInProvider
from crashes.simulation import (
    SimulatedUser,
    load_stand_in_contract,
    plan_benchmark,
    simulate,
    simulated_speech,
)
from crashes.verdict import differences, judge_run

from voicegauge.bench.benchmark_plan import BenchPlan
from voicegauge.bench.run_store import load_run
from voicegauge.conformance.check_report import CheckReport
from voicegauge.contract.contract import Contract
from voicegauge.model.run import Run
from voicegauge.transport.timing import VirtualClock

replace = msgspec.structs.replace
MIN_STEPS = 60
"""Number of steps at which a run is killed, one by one. It has about as many."""


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_stand_in_contract()


@pytest.fixture(scope="module")
def plan(contract: Contract) -> BenchPlan:
    return plan_benchmark(contract, limit=1)


def user_of(out: Path, contract: Contract, plan: BenchPlan) -> SimulatedUser:
    clock = VirtualClock()
    return SimulatedUser(out, contract, plan, StandInProvider(simulated_speech, clock=clock), clock, plan.cost_usd)


async def unbroken_run(out: Path, contract: Contract, plan: BenchPlan) -> Run:
    end = await user_of(out, contract, plan).run_command()
    assert end is not None
    return load_run(end.folder)


@pytest.mark.slow
async def test_a_run_that_is_killed_at_any_step_is_continued(
    tmp_path: Path, contract: Contract, plan: BenchPlan
) -> None:
    unbroken = await unbroken_run(tmp_path / "unbroken", contract, plan)
    assert all(sample.failure is None for sample in unbroken.samples)
    killed_in: Counter[str] = Counter()
    # How many steps a run has depends on the threads that write its journal.
    for step in (*range(1, MIN_STEPS), "before saving", "while scoring"):
        user = user_of(tmp_path / str(step), contract, plan)
        if await user.run_command(kill_at=step) is not None:
            continue  # the run has fewer steps
        killed_in.update(user.killed_in)
        end = await user.run_command()
        assert end is not None
        verdict = judge_run(user.out, plan, user.provider.charges, user.max_cost_usd, simulated_speech)
        assert verdict.problems == (), user.killed_in
        assert differences(load_run(end.folder), unbroken) == [], user.killed_in
    assert killed_in.keys() >= {"after SubmitStartedEvent", "poll received", "before audio", "while scoring"}


async def test_kills_during_the_submits_are_one_run_and_no_second_request(tmp_path: Path, contract: Contract) -> None:
    plan = plan_benchmark(contract, names=("sync", "streamed", "queued", "batch"), limit=1)
    user = user_of(tmp_path, contract, plan)
    while await user.run_command(kill_at="submit received") is None:
        verdict = judge_run(tmp_path, plan, user.provider.charges, user.max_cost_usd, simulated_speech)
        assert verdict.problems == ()
    submits = Counter(request for request in user.provider.requests if request.startswith("POST"))
    assert set(submits.values()) == {1}
    verdict = judge_run(tmp_path, plan, user.provider.charges, user.max_cost_usd, simulated_speech)
    # A kill also loses the requests whose sending was noted just before, because it is not known that they were not.
    assert len(submits) <= verdict.lost == plan.request_count
    assert verdict.ledger_usd == pytest.approx(plan.cost_usd)


async def test_kills_during_a_submit_with_an_idempotency_key_are_one_charge(tmp_path: Path, contract: Contract) -> None:
    plan = plan_benchmark(contract, names=("idempotent",), limit=1)
    user = user_of(tmp_path, contract, plan)
    for _ in range(3):
        assert await user.run_command(kill_at="submit charged") is None
    assert await user.run_command() is not None
    verdict = judge_run(tmp_path, plan, user.provider.charges, user.max_cost_usd, simulated_speech)
    assert verdict.problems == ()
    assert (len(user.provider.requests), verdict.charges, verdict.lost) == (4, 1, 0)
    assert verdict.ledger_usd == pytest.approx(plan.cost_usd)


async def test_random_faults_and_kills_never_exceed_the_budget(tmp_path: Path, contract: Contract) -> None:
    plan, kills = plan_benchmark(contract), 0
    for seed in range(8):  # `python -m crashes` simulates a thousand
        run = await simulate(seed, tmp_path / str(seed), contract, plan)
        assert run.verdict.problems == (), seed
        kills += len(run.killed_in)
    assert kills > 8


async def test_the_verdict_sees_what_is_bought_twice(
    tmp_path: Path, contract: Contract, plan: BenchPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge is not blind: a run that forgets its ambiguous requests is found."""
    monkeypatch.setattr("voicegauge.bench.run_store.JournalState.ids_with_ambiguous_last_request", frozenset())
    problems: list[str] = []
    for step in range(1, 40):
        user = user_of(tmp_path / str(step), contract, plan)
        user.max_cost_usd = 2 * plan.cost_usd  # the ledger counts the forgotten requests too
        await user.run_command(kill_at=step)
        await user.run_command()
        problems += judge_run(user.out, plan, user.provider.charges, user.max_cost_usd, simulated_speech).problems
        if any("was charged 2 times, 0 of them on demand" in problem for problem in problems):
            break
    else:
        pytest.fail(f"not found after a kill at any step: {problems}")


def test_faults_are_chosen_by_their_probability() -> None:
    never, always = RandomFaults(random.Random(0), 0.0), RandomFaults(random.Random(0), 1.0)
    assert {never.choose(["a", "b"]) for _ in range(20)} == {None}
    assert {always.choose(["a", "b"]) for _ in range(20)} == {"a", "b"}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["check", "record"])
async def test_checks_and_recordings_with_faults_and_kills_never_exceed_the_budget(
    command: CaseCommand, tmp_path: Path, contract: Contract
) -> None:
    plan, kills = plan_command(command, contract, all_billable=False), 0
    for seed in range(5):
        run = await simulate_cases(command, seed, tmp_path / str(seed), contract, plan)
        assert run.verdict.problems == (), seed
        kills += len(run.killed_in)
    assert kills > 5


@pytest.mark.slow
async def test_a_check_that_is_killed_at_any_step_has_the_same_verdicts(tmp_path: Path, contract: Contract) -> None:
    plan = plan_command("check", contract, all_billable=True)
    unbroken = await simulate_unbroken_check(tmp_path / "unbroken", contract, plan)
    assert sum(case.verdict == "passed" for case in unbroken.case_results) > 20
    killed_in: Counter[str] = Counter()
    for step in (*range(3, 120, 20), "before the report"):
        clock = VirtualClock()
        provider = StandInProvider(simulated_speech, clock=clock, job_s=1.0)
        user = SimulatedCaseUser("check", tmp_path / str(step), contract, plan, provider, clock, UNBROKEN_BUDGET_USD)
        assert await user.run_command(kill_at=step) is None
        killed_in.update(user.killed_in)
        outcome = await user.run_command()
        assert outcome is not None
        assert outcome.report is not None
        lost = {one.sample_or_case_id for one in outcome.ambiguous}
        assert len(lost) <= 1
        assert find_changed_verdicts(outcome.report, unbroken, lost) == [], user.killed_in
        assert find_cases_bought_again(user.events) == [], user.killed_in
    assert len(killed_in) > 3


async def test_a_finding_whose_first_case_was_lost_is_the_same_finding(tmp_path: Path, contract: Contract) -> None:
    plan = plan_command("check", contract, all_billable=False)
    unbroken = await simulate_unbroken_check(tmp_path, contract, plan)
    (number, finding), *_ = [pair for pair in enumerate(unbroken.findings) if len(pair[1].message_counts) > 1]
    (lost, _), (shown, count) = list(finding.message_counts.items())[:2]
    assert finding.message == lost

    def show(message: str) -> CheckReport:
        changed = replace(finding, message=message, message_counts={}, occurrence_count=count)
        return replace(unbroken, findings=(*unbroken.findings[:number], changed, *unbroken.findings[number + 1 :]))

    lost_case_ids = {finding.case_id or ""}
    assert find_changed_verdicts(show(shown), unbroken, lost_case_ids) == []
    assert find_changed_verdicts(show("something else"), unbroken, lost_case_ids) != []


async def test_the_verdict_sees_a_case_that_is_bought_twice(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge is not blind: a check that forgets its judgements is found."""
    clock = VirtualClock()
    plan = plan_command("check", contract, all_billable=False)
    provider = StandInProvider(simulated_speech, clock=clock)
    user = SimulatedCaseUser("check", tmp_path, contract, plan, provider, clock, UNBROKEN_BUDGET_USD)
    assert await user.run_command(kill_at="before the report") is None
    with monkeypatch.context() as patch:
        patch.setattr("voicegauge.conformance.case_journal.CaseJournal.has_judgement", lambda *_: False)
        assert await user.run_command() is not None
    assert any("was bought again after it was finished" in one for one in find_cases_bought_again(user.events))


async def test_the_verdict_sees_what_is_recorded_twice(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge is not blind: a recording that forgets its ambiguous requests is found."""
    clock = VirtualClock()
    provider = StandInProvider(simulated_speech, clock=clock)
    plan = plan_command("record", contract, all_billable=False)
    user = SimulatedCaseUser("record", tmp_path, contract, plan, provider, clock, 1.0)
    assert await user.run_command(kill_at="submit charged") is None
    with monkeypatch.context() as patch:
        patch.setattr("voicegauge.conformance.case_journal.CaseJournal.find_skip_reason", lambda *_: None)
        outcome = await user.run_command()
    assert outcome is not None
    verdict = judge_cases(provider, outcome.spent_usd, user.max_cost_usd, is_recording=True)
    assert any("was charged 2 times, 0 of them on demand" in problem for problem in verdict.problems)


@pytest.mark.slow
def test_a_killed_process_is_continued(tmp_path: Path) -> None:
    targets = ("sync", "queued")
    unbroken = run_unbroken(tmp_path / "unbroken", targets, is_scored=True)
    run = kill_repeatedly(tmp_path / "killed", targets, unbroken, random.Random(1), is_scored=True)
    assert run.problems == ()
    assert len(run.killed_in) >= 2
