"""Many jobs on one account, in any order: none is taken for another, and a correct provider is not blamed."""

from __future__ import annotations

import asyncio

import pytest

from voicegauge.conformance import Collector, Plan, check_jobs, check_service, run_keeping, settings_for
from voicegauge.errors import UsageError

TARGETS = ["pixazo/chatterbox", "pixelapi/voice-design", "ttsai/kokoro"]


@pytest.fixture
def take(voicegauge_catalogue, voicegauge_emulator):
    """Take steps with jobs of a target; answers with the rules that were broken."""

    def run(target: str, *steps: str) -> list[str]:
        [chosen] = voicegauge_catalogue.select([target])
        collector = Collector([target], 0)
        asyncio.run(check_jobs(chosen, steps, settings_for(voicegauge_emulator, [chosen]), collector))
        return [finding.rule for finding in collector.report().findings]

    return run


@pytest.fixture
def fuzz(voicegauge_catalogue, voicegauge_emulator):
    """Search with the jobs of targets alone; answers with the report."""

    def run(*names: str, seed: int = 0, failures=None):
        targets = voicegauge_catalogue.select(names)
        settings = settings_for(voicegauge_emulator, targets, fuzz=20, seed=seed, failures=failures)
        collector = Collector(names, seed)
        with pytest.MonkeyPatch.context() as patch:  # random requests have tests of their own
            patch.setattr("voicegauge.conformance.fuzzing.fuzz_target", _nothing)
            run_keeping(collector, check_service(targets, Plan(cases=()), settings, collector))
        return collector.report()

    return run


async def _nothing(*_) -> None:
    """In place of random requests."""


@pytest.mark.parametrize("target", TARGETS)
def test_jobs_that_are_interleaved_are_no_false_alarm(take, target) -> None:
    steps = ["submit", "submit", "poll 2", "poll 1", "unknown 1", "late 2", "submit", "poll 2", "poll 1", "late 1"]
    assert take(target, *steps, "poll 3", "poll 3", "poll 3", "late 2") == []


@pytest.mark.parametrize("target", TARGETS)
def test_no_order_of_steps_blames_a_correct_provider(fuzz, target) -> None:
    report = fuzz(target, seed=4)
    assert report.findings == ()
    assert report.exchanges["emulated"] > 20


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("pixazo/chatterbox", "job-id-changed"),
        ("pixelapi/voice-design", "job-created-changed"),
        ("ttsai/kokoro", "job-crosstalk"),
    ],
)
def test_jobs_that_are_taken_for_each_other_break_what_their_answers_tell(take, plant, target, rule) -> None:
    plant("crosstalk")
    alone = ["submit", "poll 1", "poll 1", "poll 1"]
    assert take(target, *alone) == []
    assert rule in take(target, *alone[:3], "submit", "poll 1", "poll 1", "poll 2")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_jobs_that_are_taken_for_each_other_are_found_in_few_steps(fuzz, plant, take, target) -> None:
    plant("crosstalk")
    report = fuzz(target)
    assert {finding.rule for finding in report.findings} & {"job-id-changed", "job-created-changed", "job-crosstalk"}
    finding = report.findings[0]
    steps = finding.case.partition("jobs, ")[2].split("; ")
    assert len(steps) <= 6
    assert f"voicegauge_jobs('{target}', {steps!r})" in finding.test
    assert finding.rule in take(target, *steps)


@pytest.mark.slow
def test_a_job_that_changes_its_mind_late_is_found(fuzz, plant) -> None:
    plant("terminal-flip")
    assert "job-terminal-changed" in {finding.rule for finding in fuzz("pixelapi/voice-design").findings}


@pytest.mark.parametrize("step", ["poll 1", "pol 1", "cancel", "submit; submit"])
def test_a_step_that_cannot_be_taken_is_refused(take, step) -> None:
    with pytest.raises(UsageError, match="write submit, poll N"):
        take("pixelapi/voice-design", step)


def test_a_target_without_jobs_is_refused(take) -> None:
    with pytest.raises(UsageError, match="has no jobs"):
        take("ttsai/kokoro-sync", "submit")
