from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import Catalogue, load_catalogue
from voicegauge.drift._rule_catalogue import TRAFFIC_VS_CONTRACT_RULES
from voicegauge.drift._traffic_vs_contract import compare_traffic_with_contract
from voicegauge.drift.drift_report import DRIFT_RULE_BY_ID, DriftReport
from voicegauge.model.exchange import Exchange, Request, Response

from .emulator_recordings import record, traffic
from .injections import with_json, with_response

Exchanges = tuple[Exchange, ...]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="module")
def contract(catalogue: Catalogue) -> Contract:
    return catalogue.find_provider("pixelapi")


@pytest.fixture(scope="module")
def exchanges(contract: Contract) -> Exchanges:
    return asyncio.run(record(contract.find_target_by_name("voice-design"), 5))


def _edited(
    exchanges: Exchanges, operation: str, edit: Callable[[dict[str, Any]], Any], status: int = 200
) -> Exchanges:
    def changed(one: Exchange) -> Exchange:
        if (one.operation, one.response.status) != (operation, status):
            return one
        value = json.loads(one.response.body)
        edit(value)
        return with_json(one, value)

    return tuple(map(changed, exchanges))


def _found(contract: Contract, exchanges: Exchanges) -> set[tuple[str, str | None, str]]:
    report = compare_traffic_with_contract(traffic(contract, exchanges))
    return {(c.rule, c.operation, c.location) for c in report.changes if c.rule.startswith("observed-")}


def _headers(exchanges: Exchanges, *added: tuple[str, str]) -> Exchanges:
    return tuple(with_response(e, headers=(*e.response.headers, *added)) for e in exchanges)


def test_documented_traffic_has_no_changes(catalogue: Catalogue) -> None:
    for name in ("pixelapi/voice-clone", "ttsai/kokoro", "pixazo/chatterbox"):
        target = catalogue.targets[name]
        recorded = asyncio.run(record(target, random.Random(name).randrange(99)))
        assert _found(target.contract, recorded) == set()


STATUS = "getSpeechStatus"


@pytest.mark.parametrize(
    ("edit", "rule", "location"),
    [
        (lambda v: v.update(queue={"position": 3}), "observed-field-undocumented", "200 body#/queue"),
        (lambda v: v.pop("credits_used"), "observed-field-missing", "200 body#"),
        (lambda v: v.update(credits_used="50"), "observed-type-undocumented", "200 body#/credits_used"),
        (lambda v: v.update(credits_used=-1), "observed-value-out-of-bounds", "200 body#/credits_used"),
        (lambda v: v.update(status="rendering"), "observed-value-undocumented", "200 body#/status"),
        (lambda v: v.update(status="rendering"), "observed-state-undocumented", "200 body#/status"),
    ],
)
def test_undocumented_parts_of_responses(
    contract: Contract, exchanges: Exchanges, edit: Callable[[dict[str, Any]], Any], rule: str, location: str
) -> None:
    assert (rule, STATUS, location) in _found(contract, _edited(exchanges, STATUS, edit))


def test_headers_of_proxies_and_cdns_are_one_note(contract: Contract, exchanges: Exchanges) -> None:
    changed = _headers(
        exchanges, ("CF-Ray", "1"), ("x-envoy-upstream-service-time", "7"), ("NEL", "{}"), ("X-Cost", "1")
    )
    report = compare_traffic_with_contract(traffic(contract, changed))
    (note,) = [change for change in report.changes if change.rule == "observed-infrastructure-headers"]
    assert (note.level, note.operation, note.new_value) == (
        "compatible",
        None,
        '["cf-ray","nel","x-envoy-upstream-service-time"]',
    )
    undocumented = {
        location for rule, _, location in _found(contract, changed) if rule == "observed-header-undocumented"
    }
    assert {location.partition("header.")[2] for location in undocumented} == {"X-Cost"}


def test_a_header_in_another_case_is_the_same_header(contract: Contract, exchanges: Exchanges) -> None:
    polls = tuple(one for one in exchanges if (one.operation, one.response.status) == (STATUS, 200))
    changed = (*_headers(polls[:1], ("X-Cost", "1")), *_headers(polls[1:], ("x-cost", "2")))
    locations = [location for rule, _, location in _found(contract, changed) if rule == "observed-header-undocumented"]
    assert locations == ["200 header.X-Cost"]


def test_many_values_of_one_other_type_are_one_change(contract: Contract, exchanges: Exchanges) -> None:
    numbers = iter(range(1000))
    changed = _edited(exchanges, STATUS, lambda v: v.update(credits_used=f"{next(numbers)} credits"))
    report = compare_traffic_with_contract(traffic(contract, changed))
    found = [change for change in report.changes if change.rule == "observed-type-undocumented"]
    assert [change.location for change in found] == ["200 body#/credits_used"]


def test_redacted_values_are_compared_by_type_only(contract: Contract, exchanges: Exchanges) -> None:
    masked = _edited(exchanges, STATUS, lambda v: v.update(status="[redacted]"))
    assert not {found for found in _found(contract, masked) if found[0] == "observed-value-undocumented"}
    typed = _edited(exchanges, STATUS, lambda v: v.update(credits_used="[redacted]"))
    assert ("observed-type-undocumented", STATUS, "200 body#/credits_used") in _found(contract, typed)
    null = _edited(exchanges, STATUS, lambda v: v.update(id=None))
    assert ("observed-type-undocumented", STATUS, "200 body#/id") in _found(contract, null)


def test_a_transition_that_is_not_documented(contract: Contract, exchanges: Exchanges) -> None:
    back = {"processing": "completed", "completed": "processing"}
    edited = _edited(exchanges, STATUS, lambda v: v.update(status=back[v["status"]]))
    assert ("observed-transition-undocumented", STATUS, "200 body#/status") in _found(contract, edited)


def test_statuses_headers_and_media_types(contract: Contract, exchanges: Exchanges) -> None:
    teapot = tuple(with_response(e, status=418) if e.response.status == 404 else e for e in exchanges)
    assert ("observed-status-undocumented", STATUS, "status") in _found(contract, teapot)
    region = _found(contract, _headers(exchanges, ("X-Region", "eu"), ("Cache-Control", "no-store")))
    assert {rule for rule, _, _ in region} == {"observed-header-undocumented"}
    assert all("X-Region" in location for _, _, location in region)
    typed = tuple(with_response(e, headers=(("Content-Type", "text/html"),)) for e in exchanges)
    assert "observed-media-type-undocumented" in {rule for rule, _, _ in _found(contract, typed)}


def test_an_accepted_request_with_an_undocumented_field(contract: Contract, exchanges: Exchanges) -> None:
    def more(e: Exchange) -> Exchange:
        body = e.request.body + b"&emotion=calm" if e.operation == "generateSpeech" else e.request.body
        return msgspec.structs.replace(e, request=msgspec.structs.replace(e.request, body=body))

    found = _found(contract, tuple(map(more, exchanges)))
    assert found == {("observed-request-field-undocumented", "generateSpeech", "request body#/emotion")}


def test_traffic_that_agrees_with_a_disputed_document(contract: Contract, exchanges: Exchanges) -> None:
    """According to another document, a job begins as pending."""
    edited = _edited(exchanges, "generateSpeech", lambda v: v.update(status="pending"))
    rules = {rule for rule, operation, _ in _found(contract, edited) if operation == "generateSpeech"}
    assert rules == {"observed-disputed-reading"}


def test_documented_parts_without_a_recording(contract: Contract, exchanges: Exchanges) -> None:
    report: DriftReport = compare_traffic_with_contract(traffic(contract, exchanges))
    never = {(c.rule, c.location) for c in report.changes}
    assert ("documented-status-not-recorded", "503") in never
    assert ("documented-state-not-recorded", "body#/status") in never
    assert {c.level.value for c in report.changes} == {"compatible"}
    spot = next(c.old_position for c in report.changes if c.location == "503")
    assert spot is not None
    line = contract.document.path.read_text().splitlines()[(spot.line or 0) - 1]
    assert '"503":' in line
    downloads = tuple(e for e in exchanges if e.operation == "(download)")
    unseen = compare_traffic_with_contract(traffic(contract, downloads)).changes
    assert {c.rule for c in unseen} == {"documented-operation-not-recorded"}


def test_the_rules_are_in_the_catalogue() -> None:
    mine = {rule.id for rule in DRIFT_RULE_BY_ID.values() if rule.comparison == "recording-contract"}
    assert mine == set(TRAFFIC_VS_CONTRACT_RULES)


def test_the_response_to_the_submit_of_a_job_without_audio_has_a_state(catalogue: Catalogue) -> None:
    contract = catalogue.find_provider("google")
    exchange = Exchange(
        provider="google",
        operation="longRunningRecognize",
        request=Request(method="POST", url="https://speech.googleapis.com/v1/speech:longrunningrecognize"),
        response=Response(status=200, headers=(("Content-Type", "application/json"),), body=b'{"name":"7","done":0}'),
    )
    found = _found(contract, (exchange,))
    assert ("observed-state-undocumented", "longRunningRecognize", "200 body#/done") in found
