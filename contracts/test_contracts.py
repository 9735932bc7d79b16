"""Contract tests: thin, over every document, operation, printed example and recording.

What is tested is what `voicegauge check` does; a new provider is covered by being here.
"""

from __future__ import annotations

import pytest

from voicegauge.checks import RULES
from voicegauge.conformance import Collector, check_recordings, documented_findings, plan_cases
from voicegauge.contract import Contract, load_catalogue
from voicegauge.data import data_dir
from voicegauge.model import Severity
from voicegauge.recording import find_recordings

CONTRACTS = list(load_catalogue())
OPERATIONS = [(contract, operation) for contract in CONTRACTS for operation in contract.operations]


@pytest.fixture(params=CONTRACTS, ids=lambda contract: contract.id)
def contract(request) -> Contract:
    return request.param


def test_what_a_document_prints_breaks_it_only_where_the_documents_disagree(contract) -> None:
    judged = list(documented_findings(contract))
    assert judged
    findings = [finding for _, found in judged for finding in found]
    assert [finding for finding in findings if finding.severity is not Severity.DISPUTED] == []
    assert all(finding.reading for finding in findings)


def test_what_is_there_for_the_emulator_keeps_the_contract_too(contract) -> None:
    findings = [finding for _, found in documented_findings(contract, inferred=True) for finding in found]
    assert [finding.message for finding in findings if finding.severity is not Severity.DISPUTED] == []


@pytest.mark.parametrize(("contract", "name"), OPERATIONS, ids=lambda value: getattr(value, "id", value))
def test_every_operation_is_planned_for(contract, name) -> None:
    plan = plan_cases(list(contract.targets.values()), emulated=True, every=True)
    assert name in {case.operation for case in plan.cases}
    assert plan.skipped == ()


def test_every_target_is_followed_to_its_audio(contract) -> None:
    plan = plan_cases(list(contract.targets.values()), emulated=True, every=True)
    assert {case.target for case in plan.cases if case.speech is not None and not case.fails} == set(contract.targets)


def test_every_recording_keeps_its_contract() -> None:
    collector = Collector([], 0)
    check_recordings(find_recordings(data_dir("fixtures")), CONTRACTS, RULES, collector)
    assert [finding for finding in collector.report().findings if finding.severity is Severity.ERROR] == []
