"""A check of one target sends requests only to the operations that the target needs."""

from __future__ import annotations

import copy
import json
import urllib.request
from pathlib import Path

import pytest
import yaml

from voicegauge import cli
from voicegauge.api.check_setup import plan_check
from voicegauge.api.checking import check, check_request
from voicegauge.cases.case import find_request_target
from voicegauge.cases.case_order import find_excluded_operations
from voicegauge.cases.plan import plan_cases
from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.contract.loading import load_catalogue, load_contract
from voicegauge.emulator.process import running_emulator
from voicegauge.errors import UsageError

CATALOGUE = load_catalogue()
TTSAI = CATALOGUE.find_provider("ttsai")
NEEDED_BY = {
    "kokoro": {"submitSpeech", "getSpeechResult", "downloadSpeech"},
    "kokoro-sync": {"createSpeech"},
    "kokoro-stream": {"streamSpeech"},
    "clone-chatterbox": {"cloneVoice"},
    "batch-kokoro": {"submitBatch", "getBatchResult", "getSpeechResult", "downloadSpeech"},
}


def _called(plan) -> set[str]:
    return {case.operation for case in plan.cases}


@pytest.mark.parametrize("name", NEEDED_BY)
def test_a_plan_for_one_target_has_only_the_operations_that_it_needs(name) -> None:
    plan = plan_cases([TTSAI.find_target_by_name(name)], is_emulated=True, include_all_billable_cases=True)
    assert _called(plan) <= NEEDED_BY[name]
    assert TTSAI.find_target_by_name(name).operation.id in _called(plan)
    left_out = {operation.partition("/")[2] for operation in plan.excluded_operations}
    assert left_out == TTSAI.operations.keys() - NEEDED_BY[name]


ONE_OF_SEVERAL = {
    id(target.operation): target
    for target in CATALOGUE.targets.values()
    if target.operation.speech is not None and len(target.operation.speech.targets) > 1
}.values()
"""One target of each operation that has others, which differ from it in few fields."""


@pytest.mark.parametrize(
    "target",
    [pytest.param(one, marks=() if one in ONE_OF_SEVERAL else pytest.mark.slow) for one in CATALOGUE.targets.values()],
    ids=lambda target: target.id,
)
def test_a_plan_for_one_target_addresses_no_other_target(target) -> None:
    """Not even with the documented requests to other targets of the same operation, which may cost more."""
    plan = plan_cases([target], is_emulated=False, include_all_billable_cases=True, fully_checked_providers=())
    addressed = {
        find_request_target(target.operation, case.request)
        for case in plan.cases
        if case.operation == target.operation.id
        and case.request is not None
        and case.expected_response.acceptance == "accepted"
    }
    assert addressed <= {target, None}


@pytest.mark.slow
def test_every_target_of_a_plan_can_be_checked_alone() -> None:
    names = list(plan_check("ttsai", emulated=True).spending.total_by_target)
    assert {"ttsai/kokoro", "ttsai/stt-whisper", "ttsai/analysis"} <= set(names)
    for name in names:
        plan = plan_check(name, emulated=True)
        assert set(plan.spending.total_by_target) == {name}
        assert plan.spending.total.request_count > 1


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        pytest.param("stt-faster-whisper", {"transcribe"}, marks=pytest.mark.slow),
        ("stems-spleeter", {"separateAudio", "downloadResult"}),
    ],
)
def test_a_target_that_takes_audio_is_checked_alone(name, operations) -> None:
    report = check(f"ttsai/{name}", emulated=True, max_calls=4)
    assert report.findings == ()
    assert not report.not_judged_reason_by_name
    judged = [case for case in report.case_results if case.verdict == "passed"]
    assert {case.operation.partition("/")[2] for case in judged} <= operations
    assert {case.target for case in judged} <= {f"ttsai/{name}", None}
    assert report.spending.total.billable_request_count == 4
    assert any(case.id.endswith("a request with a wrong key") for case in judged)


def test_one_request_is_checked_only_of_a_target_that_speaks() -> None:
    with pytest.raises(UsageError, match="ttsai/stt-whisper takes audio"):
        check_request("ttsai/stt-whisper", emulated=True)


def test_a_plan_for_a_provider_has_every_operation() -> None:
    plan = plan_cases(list(TTSAI.targets.values()), is_emulated=True, include_all_billable_cases=True)
    assert plan.excluded_operations == ()
    assert _called(plan) == TTSAI.operations.keys()


def test_a_provider_with_one_target_is_complete_only_if_it_is_named() -> None:
    targets = [TTSAI.find_target_by_name("kokoro")]
    assert find_excluded_operations(targets, {"ttsai"}) == []
    assert find_excluded_operations(list(TTSAI.targets.values()), set())


def _contract_with_required_voice(folder: Path, required: list[str]):
    """Return a contract whose submits take the id of a saved voice in the body, required or not."""
    body = {"application/json": {"schema": {"type": "object", "required": required, "properties": {}}}}
    body["application/json"]["schema"]["properties"] = {"text": {"type": "string"}, "voice_id": {"type": "string"}}
    plain = {"responses": {"200": {"description": "ok"}}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Acme", "version": "1"},
        "servers": [{"url": "https://api.acme.test"}],
        "x-provider": {"id": "acme", "title": "Acme", "key_variable": "ACME_KEY", "sources": {}},
        "paths": {
            "/speak": {
                "post": {
                    "operationId": "speak",
                    "x-speech": {
                        "request_fields": {"text": "body#/text"},
                        "response": {"audio": {"location": "body", "delivery_method": "bytes", "format": "wav"}},
                        "targets": {"one": {"title": "One"}},
                    },
                    "requestBody": {"content": body},
                    **copy.deepcopy(plain),
                }
            },
            "/voices": {
                "post": {
                    "operationId": "createVoice",
                    "x-resource": {
                        "display_name": "saved voice",
                        "id_location": "body#/id",
                        "deletion": {"operation_id": "deleteVoice", "id_location": "path.id"},
                        "uses": [{"operation_id": "speak", "id_location": "body#/voice_id"}],
                    },
                    "responses": {
                        "200": {
                            "description": "ok",
                            "content": {"application/json": {"examples": {"one": {"value": {"id": "voice_1"}}}}},
                        }
                    },
                }
            },
            "/voices/{id}": {
                "delete": {
                    "operationId": "deleteVoice",
                    "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                    **copy.deepcopy(plain),
                }
            },
            "/health": {"get": {"operationId": "health", **copy.deepcopy(plain)}},
        },
    }
    path = folder / "openapi.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return load_contract(path)


@pytest.mark.parametrize(
    ("required", "left_out"),
    [(["text", "voice_id"], ["health"]), (["text"], ["createVoice", "deleteVoice", "health"])],
)
def test_a_resource_is_needed_if_no_request_is_valid_without_it(tmp_path, required, left_out) -> None:
    contract = _contract_with_required_voice(tmp_path, required)
    found = find_excluded_operations([contract.find_target_by_name("one")], ())
    assert found == [f"acme/{name}" for name in left_out]


@pytest.mark.usefixtures("short_emulated_times")
def test_a_live_check_of_one_target_sends_nothing_to_other_operations(monkeypatch, tmp_path, capfd) -> None:
    monkeypatch.setenv("TTSAI_API_KEY", "sk-ttsai-0123456789")
    file = tmp_path / "out.json"
    with running_emulator([TTSAI.document.path], build_emulator_settings()) as emulator:
        arguments = [
            "check",
            "ttsai/kokoro",
            "--live",
            "--base-url",
            emulator.base_url("ttsai"),
            "--json",
            str(file),
            "--price",
            "ttsai/kokoro=0.001",
        ]
        assert cli.run([*arguments, "--dry-run"]) == 0
        planned = json.loads(file.read_text())
        assert cli.run(arguments) == 0
        with urllib.request.urlopen(f"{emulator.control_url}/journal", timeout=30) as answer:  # noqa: S310 - loopback
            journal = json.load(answer)
    out, _ = capfd.readouterr()
    report = json.loads(file.read_text())
    assert {entry["operation"] for entry in journal} == {"submitSpeech", "getSpeechResult", "downloadSpeech"}
    assert "ttsai/createUserVoice" in planned["excluded_operations"]
    assert report["excluded_operations"] == planned["excluded_operations"]
    assert out.count("left out, not needed by the targets: ttsai/createSpeech, ") == 2
    assert out.count(f" and {len(planned['excluded_operations']) - 4} more (--json has all)") == 2
    covered = {entry["operation_or_provider"] for entry in report["coverage"]} - {"ttsai"}
    assert covered == {f"ttsai/{name}" for name in NEEDED_BY["kokoro"]}
    rules = {entry["name"]: entry for entry in report["coverage"] if entry["kind"] == "rule"}
    assert not rules["resource-used-after-delete"]["is_applicable"]
