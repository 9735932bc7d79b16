"""Contract tests: thin, over every document, operation, printed example and recording.

What is tested is what `voicegauge check` does; a new provider is covered by being here.
"""

from __future__ import annotations

import asyncio
import functools

import pytest

from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.conformance.check_settings import CheckSettings
from voicegauge.conformance.offline_subjects import judge_documented_examples
from voicegauge.conformance.recording_judging import check_recordings
from voicegauge.conformance.recording_updates import plan_cases_to_record
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.files import find_bundled_folder
from voicegauge.formats.locations import MISSING
from voicegauge.model.base import Severity
from voicegauge.recording.har_files import find_recordings, load_recordings
from voicegauge.recording.replay import Replay
from voicegauge.recording.replay_server import ReplayApp
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.transport.timing import VirtualClock

CONTRACTS = list(load_catalogue())
FEW_PROVIDERS = {"cartesia", "pixazo", "replicate", "xai"}
"""Those with a job, a WebSocket, or little else: recordings of the others are replayed in slow tests."""
OPERATIONS = [(contract, operation) for contract in CONTRACTS for operation in contract.operations]


@functools.cache
def whole_plan(contract: Contract) -> CasePlan:
    """The plan of a check of the emulator."""
    return plan_cases(list_targets(contract), is_emulated=True, include_all_billable_cases=True)


def list_targets(contract: Contract) -> list[BaseTarget]:
    """What the name of the provider stands for: its speech targets, or without any those that transcribe."""
    return [*contract.targets.values()] or [*contract.audio_input_targets.values()]


@pytest.fixture(params=CONTRACTS, ids=lambda contract: contract.id)
def contract(request) -> Contract:
    return request.param


def test_documented_examples_violate_only_disputed_statements(contract) -> None:
    judged = list(judge_documented_examples(contract))
    assert judged
    findings = [finding for _, found in judged for finding in found]
    assert [finding for finding in findings if finding.severity is not Severity.DISPUTED] == []
    assert all(finding.satisfied_claim for finding in findings)


def test_examples_for_the_emulator_conform_to_the_contract(contract) -> None:
    findings = [
        finding for _, found in judge_documented_examples(contract, include_inferred_examples=True) for finding in found
    ]
    assert [finding.message for finding in findings if finding.severity is not Severity.DISPUTED] == []


@pytest.mark.parametrize(("contract", "name"), OPERATIONS, ids=lambda value: getattr(value, "id", value))
def test_every_operation_has_planned_cases(contract, name) -> None:
    plan = whole_plan(contract)
    assert name in {case.operation for case in plan.cases}
    assert plan.skipped_cases == ()


def test_every_target_has_a_full_delivery(contract) -> None:
    plan = whole_plan(contract)
    assert {
        case.target_name for case in plan.cases if case.speech_request is not None and not case.expects_job_failure
    } == set(contract.targets)


RECORDED = load_recordings([find_bundled_folder("fixtures")])


def test_every_target_and_operation_is_recorded(contract) -> None:
    exchanges = [one for recording in RECORDED if recording.provider == contract.id for one in recording.exchanges]
    delivered = {
        one.conversation_id.partition(":")[0] for one in exchanges if one.conversation_id.endswith(": a full delivery")
    }
    assert delivered == {target.id for target in contract.targets.values()}
    assert {one.operation for one in exchanges} >= set(contract.operations)


@pytest.mark.parametrize(
    "providers",
    [FEW_PROVIDERS, pytest.param({contract.id for contract in CONTRACTS}, marks=pytest.mark.slow)],
    ids=["few", "all"],
)
def test_every_recording_conforms_to_its_contract(providers: set[str]) -> None:
    collector = ResultCollector([], 0)
    files = [file for file in find_recordings(find_bundled_folder("fixtures")) if file.parent.name in providers]
    assert {file.parent.name for file in files} == providers
    check_recordings(files, CONTRACTS, RULE_BY_ID, collector)
    assert [finding for finding in collector.build_report().findings if finding.severity is not Severity.DISPUTED] == []


@pytest.mark.parametrize(
    "contract",
    [
        pytest.param(contract, marks=() if contract.id in FEW_PROVIDERS else pytest.mark.slow, id=contract.id)
        for contract in CONTRACTS
    ],
)
def test_every_recorded_case_is_replayed(contract) -> None:
    """The client submits, polls and downloads in process: no network, no emulator, no unmatched or unused exchange."""
    targets = list_targets(contract)
    recorded = [recording for recording in RECORDED if recording.provider == contract.id]
    replay = Replay(recorded, [contract])
    groups = {exchange.conversation_id for recording in recorded for exchange in recording.exchanges}
    plan = plan_cases_to_record(targets, is_emulated=True, include_every_case=True)
    cases = tuple(case for case in plan.cases if case.id in groups)
    assert {case.id for case in cases} == groups
    settings = CheckSettings(
        api_key_by_provider={contract.id: "any-key"}, create_clock=VirtualClock, emulator_app=ReplayApp(replay)
    )
    collector = ResultCollector([], 0)
    asyncio.run(check_service(targets, CasePlan(cases=cases), settings, collector))
    report = collector.build_report()
    # At its end a check deletes what its cases created; a recording contains the requests of its cases only.
    left_ids = [resource.id for resource in report.resources.remaining_resources if resource.id is not None]
    unmatched = [
        message for message in replay.unmatched_request_descriptions if not any(name in message for name in left_ids)
    ]
    assert (unmatched, replay.unused_request_names) == ([], [])
    assert {case.verdict for case in report.case_results} == {"passed"}
    assert [finding.message for finding in report.findings if finding.severity is not Severity.DISPUTED] == []


@pytest.mark.parametrize(
    ("target_id", "model"),
    [
        ("openai/tts-1", "tts-1-1106"),
        ("openai/tts-1-hd", "tts-1-hd-1106"),
        ("openai/gpt-4o-mini-tts", "gpt-4o-mini-tts-2026-03-01"),
        ("openai-compatible/speech", "kokoro"),
        ("elevenlabs/flash-v2-5", "eleven_v4"),
        ("elevenlabs/flash-v2-5-stream", "eleven_v3"),
        ("mistral/voxtral-mini-tts-3-0", "voxtral-mini-tts-2607"),
        ("cartesia/sonic-3.5", "sonic-english"),
        ("inworld/tts-2", "inworld-tts-1"),
        ("replicate/kokoro", f"jaaari/kokoro-82m:{'0' * 64}"),
        ("replicate/kokoro-0.19", "dfdf537ba482b029e0a761699e6f55e9162cfd159270bfe0e44857caa5f275a6"),
    ],
)
def test_a_model_that_no_document_names_addresses_a_target_without_its_price(target_id, model) -> None:
    target = load_catalogue().select_targets([target_id])[0]
    constants = target.target_spec.request_constants

    def find_target(sent: str):
        return target.operation.find_target(lambda location: sent if location in constants else MISSING)

    found = find_target(model)
    assert (found.id, list(found.target_spec.request_constants.values())) == (target_id, [model])
    assert found.target_spec.pricing is None
    assert find_target(next(iter(constants.values()))) is target
    assert find_target("no such model") is None or target.contract.id == "openai-compatible"
