"""Rules over resources: each reports its defect, and nothing if all is right."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicegauge.conformance._resource_lifecycle import find_resource_item
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.model.base import Provenance, Severity
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.rules.call import Call
from voicegauge.rules.checker import Checker
from voicegauge.rules.subjects import ResourceStep

VOICE = {"public_id": "uv_1", "name": "Me", "storage_status": "active"}
RULES = ("resource-", "batch-", "filter-")


@pytest.fixture(scope="module")
def ttsai() -> Contract:
    return load_catalogue().find_provider("ttsai")


def call(contract: Contract, name: str, body: Any, *, status: int = 200, sent: Any = None, query: str = "") -> Call:
    operation = contract.find_operation(name)
    request = Request(
        method=operation.method,
        url=f"{operation.server.url}{operation.path}{query}",
        headers=(("Content-Type", "application/json"),),
        body=json.dumps(sent).encode() if sent is not None else b"",
    )
    response = Response(status=status, headers=(("Content-Type", "application/json"),), body=json.dumps(body).encode())
    return Call(operation, Exchange(provider="ttsai", operation=name, request=request, response=response))


def found(subject: Call | ResourceStep) -> set[str]:
    findings = Checker(Provenance.RECORDED).iterate_findings(subject)
    return {finding.rule for finding in findings if finding.rule.startswith(RULES)}


def life(contract: Contract, step: str, answer: Call, **said: Any) -> ResourceStep:
    creating_operation = contract.find_operation(said.pop("creator", "createUserVoice"))
    at = f"{creating_operation.pointer}/x-resource"
    said = {"resource_id": "uv_1", "expected_state": "active", **said}
    return ResourceStep(
        call=answer,
        creating_operation=creating_operation,
        step_kind=step,
        description="a step",
        contract_pointer=at,
        **said,
    )


@pytest.mark.parametrize(
    ("step", "operation", "body", "said", "rule"),
    [
        ("use", "submitSpeech", {}, {}, None),
        ("use", "submitSpeech", {}, {"is_resource_deleted": True}, "resource-used-after-delete"),
        ("use", "submitSpeech", {}, {"is_use_forbidden": True}, "resource-state-ignored"),
        ("use", "submitSpeech", {}, {"is_by_other_account": True}, "resource-of-another-account"),
        ("list", "listUserVoices", {"voices": [VOICE]}, {"listed_item": VOICE}, None),
        ("list", "listUserVoices", {"voices": []}, {}, "resource-not-listed"),
        ("list", "listUserVoices", {"voices": []}, {"is_resource_deleted": True}, None),
        (
            "list",
            "listUserVoices",
            {"voices": [VOICE]},
            {"listed_item": VOICE, "is_resource_deleted": True},
            "resource-listed-after-delete",
        ),
        (
            "list",
            "listUserVoices",
            {"voices": [VOICE]},
            {"listed_item": VOICE, "is_by_other_account": True},
            "resource-of-another-account",
        ),
        (
            "list",
            "listUserVoices",
            {"voices": [VOICE]},
            {"listed_item": VOICE, "expected_state": "archived"},
            "resource-state-wrong",
        ),
        ("set", "archiveUserVoice", {"storage_status": "archived"}, {"expected_state": "archived"}, None),
        (
            "set",
            "archiveUserVoice",
            {"storage_status": "active"},
            {"expected_state": "archived"},
            "resource-state-wrong",
        ),
        ("set", "archiveUserVoice", {}, {"expected_state": "archived"}, None),
        ("create", "createUserVoice", {**VOICE, "storage_status": "archived"}, {}, "resource-state-wrong"),
    ],
)
def test_a_step_is_checked_by_the_state_of_the_resource(ttsai, step, operation, body, said, rule) -> None:
    assert found(life(ttsai, step, call(ttsai, operation, body), **said)) == ({rule} if rule else set())


def test_a_rejection_is_right_for_a_withheld_resource(ttsai) -> None:
    refused = call(ttsai, "submitSpeech", {"error": {"code": "not_found", "message": "No."}}, status=404)
    for said in ({"is_resource_deleted": True}, {"is_use_forbidden": True}, {"is_by_other_account": True}):
        assert found(life(ttsai, "use", refused, **said)) == set()


def test_a_conversation_keeps_its_id(ttsai) -> None:
    for reported, rules in (("conv_1", set()), ("conv_2", {"resource-id-changed"})):
        answer = call(ttsai, "chat", {"conversation_id": reported})
        assert found(life(ttsai, "use", answer, creator="chat", resource_id="conv_1", expected_state=None)) == rules


def test_an_item_is_found_at_any_depth(ttsai) -> None:
    resource = ttsai.find_operation("createUserVoice").resource
    assert find_resource_item({"data": {"items": [{"public_id": "uv_0"}, VOICE]}}, resource, "uv_1") == VOICE
    assert find_resource_item([{"id": "uv_1"}], resource, "uv_1") is None


@pytest.mark.parametrize(
    ("name", "body", "right"),
    [
        ("submitBatch", {"batch_id": "b", "total": 2, "completed": 0, "status": "processing"}, True),
        ("submitBatch", {"batch_id": "b", "total": 3, "completed": 0, "status": "processing"}, False),
        ("submitBatch", {"batch_id": "b", "total": 2, "completed": 3, "status": "processing"}, False),
        ("getBatchResult", {"batch_id": "b", "total": 2, "completed": 1, "status": "processing", "items": []}, True),
        (
            "getBatchResult",
            {"batch_id": "b", "total": 2, "completed": 2, "status": "completed", "items": [{}, {}]},
            True,
        ),
        (
            "getBatchResult",
            {"batch_id": "b", "total": 2, "completed": 1, "status": "completed", "items": [{}, {}]},
            False,
        ),
        ("getBatchResult", {"batch_id": "b", "total": 2, "completed": 2, "status": "completed", "items": [{}]}, False),
        # A number without a fraction is an integer in JSON Schema, however it is written.
        ("submitBatch", {"batch_id": "b", "total": 2.0, "completed": 0, "status": "processing"}, True),
        ("submitBatch", {"batch_id": "b", "total": 3.0, "completed": 0, "status": "processing"}, False),
        ("submitBatch", {"batch_id": "b", "total": 2, "completed": 3.0, "status": "processing"}, False),
        # The schema is violated, which another rule reports.
        ("submitBatch", {"batch_id": "b", "total": True, "completed": 0, "status": "processing"}, True),
        ("getBatchResult", {"batch_id": "b", "total": {"value": 2}, "completed": 1, "status": "completed"}, True),
    ],
)
def test_a_batch_is_counted(ttsai, name, body, right) -> None:
    texts = [{"text": "Hello.", "model": "kokoro", "voice": "af_bella"}] * 2
    answer = call(ttsai, name, body, sent={"texts": texts} if name == "submitBatch" else None)
    assert found(answer) == (set() if right else {"batch-count-wrong"})


def test_a_filter_filters(ttsai) -> None:
    bella = {"id": "af_bella", "name": "Bella", "model": "kokoro", "language": "en", "gender": "female"}
    for query, rules in (("", set()), ("?model=kokoro&language=en", set()), ("?language=fr", {"filter-ignored"})):
        assert found(call(ttsai, "listVoices", {"voices": [bella], "total": 1}, query=query)) == rules


@pytest.mark.parametrize(
    ("language", "fits"),
    [(["de", "en"], True), (["de", "fr"], False), ([], False), (None, False), (True, False), ("en", True)],
)
def test_a_filter_means_one_of_several_values(ttsai, language, fits) -> None:
    answer = call(ttsai, "listVoices", {"voices": [{"id": "a", "language": language}]}, query="?language=en")
    assert found(answer) == (set() if fits else {"filter-ignored"})


@pytest.mark.parametrize(("shown", "fits"), [(True, True), (False, False)])
def test_a_truth_value_is_filtered_by_its_word_in_a_url(ttsai, shown, fits) -> None:
    answer = call(ttsai, "listVoices", {"voices": [{"id": "a", "gender": shown}]}, query="?gender=true")
    assert found(answer) == (set() if fits else {"filter-ignored"})


@pytest.mark.parametrize(("charged", "severity"), [(3000, None), (3, Severity.DISPUTED), (12, Severity.ERROR)])
def test_a_turn_of_a_chat_has_its_price(ttsai, charged, severity) -> None:
    answer = call(ttsai, "chat", {"conversation_id": "conv_1", "credits_used": charged})
    wrong = [f.severity for f in Checker(Provenance.RECORDED).iterate_findings(answer) if f.rule == "charge-wrong"]
    assert wrong == ([severity] if severity else [])
