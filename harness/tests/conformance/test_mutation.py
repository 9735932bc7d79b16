"""A sample of faults is found, and correct providers have no findings; `benchmarks/mutation` runs all faults."""

from __future__ import annotations

import asyncio
import functools

import pytest
from mutation.__main__ import print_results
from mutation.derivation import derive_mutants
from mutation.detection import cases_for, detect, run_correct_provider
from mutation.false_alarms import Coverage, check_correct_provider
from mutation.job_mutants import audio_mutants, job_mutants, parameter_mutants
from mutation.mutant import Mutant, response_fault
from mutation.request_mutants import request_mutants

from voicegauge.cases.plan import plan_cases
from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator._output import EmulatedResponse
from voicegauge.emulator._speech_synthesis import SynthesisRequest

CATALOGUE = load_catalogue()
CONTRACT = CATALOGUE.find_provider("pixelapi")
SAMPLE = 30


@functools.cache
def _cases(contract=CONTRACT):
    """Plan on first use, so that collecting the tests stays fast."""
    return plan_cases(list(contract.targets.values()), is_emulated=True, include_all_billable_cases=True).cases


def _traffic():
    return asyncio.run(run_correct_provider(CONTRACT, _cases(), build_emulator_settings()))[1]


@pytest.fixture(scope="module")
def traffic():
    return _traffic()


@pytest.fixture(scope="module")
def faulty(traffic):
    return list(derive_mutants(CONTRACT, traffic.exchanges))


@pytest.mark.slow
async def test_a_sample_of_faults_is_found_by_suitable_rules(faulty, traffic) -> None:
    assert len(faulty) >= 250
    sample = faulty[:: len(faulty) // SAMPLE]
    results = [await detect(mutant, CONTRACT, cases_for(mutant, _cases(), traffic), traffic) for mutant in sample]
    assert [result.mutant.id for result in results if result.found is None] == []
    assert all(result.found.rule in result.mutant.rules for result in results)
    assert frozenset().union(*(result.misplaced for result in results)) == set()


@pytest.mark.slow
async def test_cases_without_affected_responses_are_counted_as_if_sent(faulty, traffic) -> None:
    changed = [mutant for mutant in faulty if mutant.affected_response is not None and mutant.kind == "field removed"]
    affected = changed[::7]
    for mutant in affected:
        cases = cases_for(mutant, _cases(), traffic)
        every, fewer = await detect(mutant, CONTRACT, cases), await detect(mutant, CONTRACT, cases, traffic)
        assert every.found is not None
        assert fewer.found is not None
        assert (fewer.found.rule, fewer.found.case_id, fewer.calls) == (
            every.found.rule,
            every.found.case_id,
            every.calls,
        )
    assert any(traffic.cases[_cases()[0].id].responses.isdisjoint({mutant.affected_response}) for mutant in affected)


@pytest.mark.slow
def test_mutants_are_reproducible_and_unique(faulty) -> None:
    ids = [mutant.id for mutant in faulty]
    assert [mutant.id for mutant in derive_mutants(CONTRACT, _traffic().exchanges)] == ids
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
async def test_correct_providers_have_no_findings_with_any_latency_and_order(seed) -> None:
    coverage = Coverage()
    assert await check_correct_provider(CONTRACT, _cases(), seed, coverage) == ()
    assert coverage.exchanges.total() > 30
    assert set(coverage.exchanges) >= {f"pixelapi/{name}" for name in CONTRACT.operations}


@pytest.mark.slow
async def test_a_correct_provider_without_jobs_has_no_findings() -> None:
    contract, coverage = CATALOGUE.find_provider("rime"), Coverage()
    assert await check_correct_provider(contract, _cases(contract), 0, coverage) == ()
    assert coverage.exchanges.total() > 30


@pytest.mark.slow
async def test_a_crash_is_the_result_of_one_mutant(traffic, capsys) -> None:
    def crash(_reply: EmulatedResponse) -> None:
        raise ZeroDivisionError("no such luck")

    mutant = Mutant(
        kind="test",
        id="pixelapi/crash",
        operation=_cases()[0].operation,
        rules=frozenset({"response-schema"}),
        contract=CONTRACT,
        faults=(response_fault("crash", crash),),
    )
    result = await detect(mutant, CONTRACT, cases_for(mutant, _cases(), traffic), traffic)
    assert result.has_crashed
    print_results([result])
    assert "crash: pixelapi/crash: ZeroDivisionError: no such luck (test_mutation.py:" in capsys.readouterr().out


def test_every_audio_fault_changes_the_synthesis() -> None:
    request = SynthesisRequest(
        text="Hello.",
        language="en",
        espeak_variant="klatt",
        words_per_minute=170,
        pitch=50,
        sample_rate_hz=8000,
        leading_silence_s=0.0,
        audio_format="opus",
        seed=0,
    )
    mutants = [mutant for target in CATALOGUE.targets.values() for mutant in audio_mutants(target)]
    changes = [fault.change_synthesis for mutant in mutants for fault in mutant.faults if fault.change_synthesis]
    assert len(changes) > len(CATALOGUE.targets)
    assert all(change(request) != request for change in changes)


RESOURCE_FAULTS = (
    "submitSpeech: voice is required (application/json)",
    "submitSpeech: fails where speed is missing and user_voice_id is sent",
    "cloneVoice: reference_audio is required (multipart/form-data)",
    "cloneVoice: fails where embed_id is sent and reference_audio is sent",
)
"""Faults that only a request with the id of a resource shows."""


async def test_resources_are_used_with_every_value_of_other_fields() -> None:
    contract = CATALOGUE.find_provider("ttsai")
    plan = plan_cases(
        [contract.find_target_by_name("kokoro")],
        is_emulated=True,
        include_all_billable_cases=True,
        fully_checked_providers={"ttsai"},
    )
    cases = [case for case in plan.cases if case.is_lifecycle]
    mutants_by_id = {
        mutant.id.removeprefix("ttsai/"): mutant
        for name in ("submitSpeech", "cloneVoice")
        for mutant in request_mutants(contract.find_operation(name))
    }
    results = [await detect(mutants_by_id[name], contract, cases) for name in RESOURCE_FAULTS]
    assert [result.mutant.id for result in results if result.found is None] == []
    assert not any(result.misplaced for result in results)


async def test_the_states_of_batches_are_checked_like_those_of_jobs() -> None:
    contract = CATALOGUE.find_provider("ttsai")
    plan = plan_cases([contract.find_target_by_name("batch-kokoro")], is_emulated=True, include_all_billable_cases=True)
    cases = [case for case in plan.cases if case.is_lifecycle and case.operation == "submitBatch"]
    results = [
        await detect(mutant, contract, cases) for mutant in job_mutants(contract.find_operation("getBatchResult"))
    ]
    assert len(results) >= 3
    assert [result.mutant.id for result in results if result.found is None] == []


@pytest.mark.slow
async def test_parameters_without_effect_are_found_by_comparing_two_deliveries() -> None:
    contract = CATALOGUE.find_provider("ttsai")
    target = contract.find_target_by_name("kokoro-sync")
    cases = [
        case
        for case in plan_cases([target], is_emulated=True, include_all_billable_cases=True).cases
        if case.speech_request is not None
    ]
    results = [await detect(mutant, contract, cases) for mutant in parameter_mutants(target)]
    assert {result.mutant.id.rpartition(" ")[2] for result in results} >= {"speed-ignored", "voice-ignored"}
    assert [result.mutant.id for result in results if result.found is None] == []
