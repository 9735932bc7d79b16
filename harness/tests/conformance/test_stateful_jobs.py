"""Several jobs of one account in any order: mixed-up jobs are found, and a correct provider has no findings."""

from __future__ import annotations

import asyncio
import json

import pytest

from voicegauge.cases.plan import CasePlan
from voicegauge.conformance._fuzzing_jobs import build_similar_unknown_id
from voicegauge.conformance.check_settings import (
    EMULATED_ACCOUNT_CREDITS,
    EMULATOR_API_KEY,
    CheckSettings,
    build_emulator_check_settings,
)
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_job_steps, check_service
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import CONTROL_PREFIX, EmulatorSettings
from voicegauge.errors import UsageError
from voicegauge.transport.timing import VirtualClock

from ..builders.acme import DOCUMENT
from ..builders.fault_examples import list_fault_examples
from ..builders.in_process_check import run_to_the_end

TARGETS = ["pixazo/chatterbox", "pixelapi/voice-design", "ttsai/kokoro"]


@pytest.fixture
def take(voicegauge_catalogue, voicegauge_emulator):
    """Take steps with jobs of a target; returns the rules that were broken."""

    def run(target: str, *steps: str) -> list[str]:
        [chosen] = voicegauge_catalogue.select_targets([target])
        collector = ResultCollector([target], 0)
        asyncio.run(
            check_job_steps(chosen, steps, build_emulator_check_settings(voicegauge_emulator, [chosen]), collector)
        )
        return [finding.rule for finding in collector.build_report().findings]

    return run


@pytest.fixture
def fuzz(voicegauge_catalogue, voicegauge_emulator):
    """Search over the jobs of targets only; returns the report."""

    def run(*names: str, seed: int = 0, failures=None):
        targets = voicegauge_catalogue.select_targets(names)
        settings = build_emulator_check_settings(
            voicegauge_emulator, targets, fuzz_request_count=20, seed=seed, fuzz_failures_folder=failures
        )
        collector = ResultCollector(names, seed)
        with pytest.MonkeyPatch.context() as patch:  # random requests have tests of their own
            patch.setattr("voicegauge.conformance._fuzzing_requests.fuzz_target", _nothing)
            run_to_the_end(collector, check_service(targets, CasePlan(cases=()), settings, collector))
        return collector.build_report()

    return run


async def _nothing(*_) -> None:
    """Replaces random requests."""


@pytest.mark.parametrize("target", TARGETS)
def test_interleaved_jobs_have_no_findings(take, target) -> None:
    steps = ["submit", "submit", "poll 2", "poll 1", "unknown 1", "late 2", "submit", "poll 2", "poll 1", "late 1"]
    assert take(target, *steps, "poll 3", "poll 3", "poll 3", "late 2") == []


@pytest.mark.parametrize("target", [TARGETS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in TARGETS[1:])])
def test_no_order_of_steps_has_findings_for_a_correct_provider(fuzz, target) -> None:
    report = fuzz(target, seed=4)
    assert report.findings == ()
    assert report.exchange_count_by_provenance["emulated"] > 20


@pytest.mark.parametrize(("rule", "example"), list_fault_examples("job-sequence", fault_id="crosstalk"))
def test_mixed_up_jobs_break_the_rules_over_their_responses(take, inject_faults, rule, example) -> None:
    inject_faults(example.fault_id)
    alone = ["submit", "poll 1", "poll 1", "poll 1"]
    assert take(example.target_id, *alone) == []
    assert rule.id in take(example.target_id, *alone[:3], "submit", "poll 1", "poll 1", "poll 2")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_mixed_up_jobs_are_found_in_few_steps(fuzz, inject_faults, take, target) -> None:
    inject_faults("crosstalk")
    report = fuzz(target)
    assert {finding.rule for finding in report.findings} & {"job-id-changed", "job-created-changed", "job-crosstalk"}
    finding = report.findings[0]
    steps = finding.case_id.partition("jobs, ")[2].split("; ")
    assert len(steps) <= 8  # of at most 16: shrinking is limited, because a live service charges for it
    assert f"voicegauge_jobs('{target}', {steps!r})" in finding.reproduction_test
    assert finding.rule in take(target, *steps)


@pytest.mark.slow
def test_a_job_that_changes_its_final_state_late_is_found(fuzz, inject_faults) -> None:
    inject_faults("terminal-flip")
    assert "job-terminal-changed" in {finding.rule for finding in fuzz("pixelapi/voice-design").findings}


@pytest.mark.parametrize("step", ["poll 1", "pol 1", "cancel", "submit; submit"])
def test_an_impossible_step_is_rejected(take, step) -> None:
    with pytest.raises(UsageError, match="write submit, poll N, late N, expired N, cancel N, unknown N"):
        take("pixelapi/voice-design", step)


@pytest.mark.parametrize(
    ("job_id", "known", "other"),
    [("job-17", ["job-17"], "job-10"), ("job-17", ["job-17", "job-10"], "job-11"), ("17", ["17"], "17000")],
)
def test_a_similar_id_is_unknown(job_id, known, other) -> None:
    assert build_similar_unknown_id(job_id, known) == other


def test_a_target_without_jobs_is_rejected(take) -> None:
    with pytest.raises(UsageError, match="has no jobs"):
        take("ttsai/kokoro-sync", "submit")


# Jobs that can be cancelled, and polled until an hour after their end


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    path = tmp_path_factory.mktemp("acme") / "openapi.json"
    path.write_text(json.dumps(DOCUMENT))
    return load_contract(path)


@pytest.fixture
def settings_for(acme):
    """Settings for an in-process emulator of `acme` with faults."""

    def make(*faults: str, clock: str = "per-poll", fuzz: int = 0) -> CheckSettings:
        played = EmulatorSettings(
            clock=clock, faults=faults, enforces_rate_limits=False, credits=EMULATED_ACCOUNT_CREDITS
        )
        return CheckSettings(
            emulator_app=create_app([acme], played),
            base_urls_by_provider={"acme": {"": "http://emulator.invalid/acme"}},
            api_key_by_provider={"acme": EMULATOR_API_KEY},
            emulator_control_url=f"http://emulator.invalid{CONTROL_PREFIX}",
            create_clock=VirtualClock,
            fuzz_request_count=fuzz,
        )

    return make


@pytest.fixture
def broken_rules(acme, settings_for):
    """The rules that steps with jobs of `acme` break."""

    def run(*steps: str, faults: tuple[str, ...] = (), clock: str = "per-poll") -> list[str]:
        collector = ResultCollector((), 0)
        asyncio.run(
            check_job_steps(acme.find_target_by_name("small"), steps, settings_for(*faults, clock=clock), collector)
        )
        return [finding.rule for finding in collector.build_report().findings]

    return run


CANCELLED = ("submit", "poll 1", "cancel 1", "poll 1", "poll 1", "poll 1")
EXPIRED = ("submit", "poll 1", "poll 1", "submit", "poll 2", "expired 1", "poll 2", "poll 1", "submit", "poll 3")


@pytest.mark.parametrize("clock", ["per-poll", "virtual"])
@pytest.mark.parametrize("steps", [CANCELLED, EXPIRED, (*CANCELLED, "expired 1", "cancel 1", "late 1")])
def test_documented_cancellation_and_expiry_have_no_findings(broken_rules, steps, clock) -> None:
    assert broken_rules(*steps, clock=clock) == []


@pytest.mark.parametrize(("rule", "example"), list_fault_examples("job-sequence", fault_id="ignores-cancelling"))
def test_a_job_that_continues_after_its_cancellation_is_found(broken_rules, rule, example) -> None:
    faults = (example.fault_id,)
    assert broken_rules("submit", "cancel 1", "poll 1", "poll 1", faults=faults) == [rule.id]
    # It may have ended before it was cancelled, since it was not polled.
    assert broken_rules("submit", "poll 1", "cancel 1", "poll 1", faults=faults) == []


@pytest.mark.parametrize("clock", ["per-poll", "virtual"])
@pytest.mark.parametrize(("rule", "example"), list_fault_examples("job-sequence", fault_id="never-expires"))
def test_a_job_that_never_expires_is_found(broken_rules, rule, example, clock) -> None:
    faults = (example.fault_id,)
    assert broken_rules("submit", "late 1", "late 1", "expired 1", faults=faults, clock=clock) == [rule.id]
    # Without a terminal state it may simply have taken long.
    assert broken_rules("submit", "expired 1", faults=faults, clock=clock) == []


@pytest.mark.parametrize(
    ("faults", "rules"),
    [
        ((), set()),
        pytest.param(
            ("ignores-cancelling", "never-expires"), {"job-cancel-ignored", "accepts-invalid"}, marks=pytest.mark.slow
        ),
    ],
)
def test_the_search_cancels_jobs_and_waits_until_they_expire(acme, settings_for, monkeypatch, faults, rules) -> None:
    monkeypatch.setattr("voicegauge.conformance._fuzzing_requests.fuzz_target", _nothing)
    collector, settings = ResultCollector((), 0), settings_for(*faults, fuzz=40)
    run_to_the_end(
        collector, check_service([acme.find_target_by_name("small")], CasePlan(cases=()), settings, collector)
    )
    assert {finding.rule for finding in collector.build_report().findings} == rules
