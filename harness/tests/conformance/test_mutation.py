"""A sample of faulty providers is found out, and correct ones are not blamed; `benchmarks/mutation` runs all."""

from __future__ import annotations

import asyncio
import functools

import pytest
from mutation.clean import Coverage, clean_check
from mutation.generating import mutants
from mutation.hunting import cases_for, clean_run, hunt
from mutation.jobs import job_mutants
from mutation.requests import request_mutants

from voicegauge.conformance import emulator_settings, plan_cases
from voicegauge.contract import load_catalogue

CATALOGUE = load_catalogue()
CONTRACT = CATALOGUE.provider("pixelapi")
SAMPLE = 30


@functools.cache
def _cases():
    """Planned when a test wants them: collecting the tests takes no second."""
    return plan_cases(list(CONTRACT.targets.values()), emulated=True, every=True).cases


def _traffic():
    return asyncio.run(clean_run(CONTRACT, _cases(), emulator_settings()))[1]


@pytest.fixture(scope="module")
def traffic():
    return _traffic()


@pytest.fixture(scope="module")
def faulty(traffic):
    return list(mutants(CONTRACT, traffic.exchanges))


@pytest.mark.slow
async def test_a_sample_of_faulty_providers_is_found_under_a_fitting_rule(faulty, traffic) -> None:
    assert len(faulty) >= 250
    sample_value = faulty[:: len(faulty) // SAMPLE]
    results = [await hunt(mutant, CONTRACT, cases_for(mutant, _cases(), traffic), traffic) for mutant in sample_value]
    assert [result.mutant.id for result in results if result.found is None] == []
    assert all(result.found.rule in result.mutant.rules for result in results)


async def test_what_shows_no_spoiled_answer_is_counted_as_if_it_were_sent(faulty, traffic) -> None:
    spoiled = [mutant for mutant in faulty if mutant.answer is not None and mutant.kind == "field removed"][::5]
    for mutant in spoiled:
        cases = cases_for(mutant, _cases(), traffic)
        every, fewer = await hunt(mutant, CONTRACT, cases), await hunt(mutant, CONTRACT, cases, traffic)
        assert every.found is not None
        assert fewer.found is not None
        assert (fewer.found.rule, fewer.found.case, fewer.calls) == (every.found.rule, every.found.case, every.calls)
    assert any(traffic.cases[_cases()[0].id].answers.isdisjoint({mutant.answer}) for mutant in spoiled)


def test_mutants_are_the_same_each_time_and_no_two_alike(faulty) -> None:
    ids = [mutant.id for mutant in faulty]
    assert [mutant.id for mutant in mutants(CONTRACT, _traffic().exchanges)] == ids
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("seed", range(4))
async def test_no_correct_provider_is_blamed_whatever_the_latencies_and_the_order(seed) -> None:
    coverage = Coverage()
    assert await clean_check(CONTRACT, _cases(), seed, coverage) == ()
    assert coverage.exchanges.total() > 30
    assert set(coverage.exchanges) >= {f"pixelapi/{name}" for name in CONTRACT.operations}


KEPT = (
    "submitSpeech: voice must be there (application/json)",
    "submitSpeech: fails where voice is left out and instructions is sent",
    "cloneVoice: reference_audio must be there (multipart/form-data)",
    "cloneVoice: fails where embed_id is sent and reference_audio is sent",
)
"""Faults that only a request shows that names what another call made."""


async def test_what_is_kept_is_used_with_every_value_of_the_other_fields() -> None:
    contract = CATALOGUE.provider("ttsai")
    cases = [
        case for case in plan_cases([contract.target("kokoro")], emulated=True, every=True).cases if case.is_lifecycle
    ]
    made = {
        mutant.id.removeprefix("ttsai/"): mutant
        for name in ("submitSpeech", "cloneVoice")
        for mutant in request_mutants(contract.operation(name))
    }
    results = [await hunt(made[name], contract, cases) for name in KEPT]
    assert [result.mutant.id for result in results if result.found is None] == []


async def test_a_batch_is_held_to_its_states_like_any_job() -> None:
    contract = CATALOGUE.provider("ttsai")
    plan = plan_cases([contract.target("batch-kokoro")], emulated=True, every=True)
    cases = [case for case in plan.cases if case.is_lifecycle and case.operation == "submitBatch"]
    results = [await hunt(mutant, contract, cases) for mutant in job_mutants(contract.operation("getBatchResult"))]
    assert len(results) >= 3
    assert [result.mutant.id for result in results if result.found is None] == []
