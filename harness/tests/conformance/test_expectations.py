"""Which requests must be accepted or rejected, and which only must not cause a server error."""

from __future__ import annotations

import json
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import plan_cases
from voicegauge.cases.valid_requests import build_valid_speech_request
from voicegauge.client.speech_request import map_speech_request
from voicegauge.conformance._fuzzing_requests import build_invalid_request_strategy, build_valid_request_strategy
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.rules.call import Call, CaseOutcome
from voicegauge.rules.checker import Checker
from voicegauge.speech.encoding import encode

DOCUMENT = """
openapi: 3.1.0
info: {title: Acme speech, version: "1"}
servers: [{url: "https://api.acme.example"}]
security: []
x-provider:
  id: acme
  title: Acme
  key_variable: ACME_API_KEY
  sources:
    acme.txt: {title: Acme, date: 2026-01-01}
    client.md: {title: A client library of Acme, date: 2026-01-01, is_normative: false}
paths:
  /speak:
    post:
      operationId: speak
      x-source: {document_name: client.md}
      x-speech:
        request_fields: {text: "body#/text"}
        response: {audio: {location: body, delivery_method: bytes}}
        targets: {voice-1: {title: Voice 1}}
      x-pricing: {unit: request, usd_per_unit: 0.01}
      parameters:
        - {name: X-Mode, in: header, schema: {type: string, enum: [fast, good]}}
        - {name: X-Count, in: header, schema: {type: integer, minimum: 1}}
        - name: X-Client
          in: header
          x-source: {document_name: client.md}
          schema: {type: integer, minimum: 1}
      requestBody:
        content:
          MEDIA:
            schema:
              x-source: {document_name: acme.txt}
              type: object
              required: [text]
              properties:
                text: {type: string, minLength: 1, maxLength: 200}
                model: {type: string, enum: [small, large]}
                count: {type: integer, minimum: 1, maximum: 9}
                voice_url: {type: string, format: uri}
                style: {type: integer, minimum: 1, maximum: 9, x-source: {document_name: client.md, is_inferred: true}}
      responses:
        "200": {description: Audio, content: {audio/wav: {}}}
        "400": {description: Rejected, content: {application/json: {}}}
"""
FORM, JSON = "multipart/form-data", "application/json"
SPEECH = np.sin(np.arange(16_000, dtype=np.float32) / 5)


@pytest.fixture
def contract_of(tmp_path: Path):
    def load(media_type: str) -> Contract:
        (tmp_path / "openapi.yaml").write_text(DOCUMENT.replace("MEDIA", media_type))
        return load_contract(tmp_path / "openapi.yaml")

    return load


@pytest.fixture
def plan(contract_of):
    """The planned cases with this kind of response, by description."""

    def make(media_type: str, kind: str) -> dict[str, ConformanceCase]:
        cases = plan_cases(
            list(contract_of(media_type).targets.values()), is_emulated=False, include_all_billable_cases=True
        ).cases
        return {case.expected_response.description: case for case in cases if case.expected_response.case_kind == kind}

    return make


def test_a_header_or_form_field_cannot_have_a_wrong_type_if_it_takes_text(plan) -> None:
    sent_as_text = {'X-Count "twelve", not integer', 'count "twelve", not integer'}
    assert {name for name in plan(FORM, "invalid") if "not string" in name or "null" in name} == set()
    assert sent_as_text <= plan(FORM, "invalid").keys()
    assert {"model 12, not string", *sent_as_text} <= plan(JSON, "invalid").keys()
    assert {"model 'no-such-value', not one of its values", "model 'SMALL', a value in capital letters"} <= plan(
        FORM, "invalid"
    ).keys()


@pytest.mark.parametrize("media_type", [FORM, JSON])
def test_no_document_promises_that_a_url_of_a_file_is_checked_at_once(plan, media_type) -> None:
    assert "voice_url 'no url'" not in plan(media_type, "invalid")
    assert plan(media_type, "undocumented")["voice_url 'no url'"].expected_response.acceptance == "either"


@pytest.mark.parametrize("status", [200, 400])
def test_a_url_of_a_file_that_is_none_may_be_accepted_or_rejected(contract_of, plan, status) -> None:
    case = plan(JSON, "undocumented")["voice_url 'no url'"]
    operation = contract_of(JSON).operations["speak"]
    media_type, body = ("audio/wav", encode(SPEECH, 16_000, "wav")[0]) if status == 200 else ("application/json", b"{}")
    exchange = Exchange(
        provider="acme",
        operation="speak",
        request=Request(
            method="POST",
            url="https://api.acme.example/speak",
            headers=(("Content-Type", JSON),),
            body=json.dumps(case.request.body).encode(),
        ),
        response=Response(status=status, headers=(("Content-Type", media_type),), body=body),
    )
    call = Call(operation, exchange, next(operation.targets), request_intent="invalid")
    findings = Checker(Provenance.RECORDED).iterate_findings(CaseOutcome(call, case.expected_response))
    assert [finding.rule for finding in findings] == []


@pytest.mark.parametrize("media_type", [FORM, JSON])
def test_what_only_a_client_library_states_is_neither_required_nor_forbidden(plan, media_type) -> None:
    either = plan(media_type, "undocumented")
    assert {"style 0", "style 1", "style 9", "style 10", "X-Client 0", "X-Client 1"} <= either.keys()
    for kind in ("valid", "invalid"):
        cases = plan(media_type, kind)
        assert {"count 1" if kind == "valid" else "count 0"} <= cases.keys()
        assert not {name for name in cases if "style" in name or "X-Client" in name}
        assert not [case for case in cases.values() if case.request and "style" in case.request.body]


def test_a_random_request_tests_only_what_a_document_states(contract_of) -> None:
    target = contract_of(JSON).find_target_by_name("voice-1")
    base = map_speech_request(target, build_valid_speech_request(target))

    @hypothesis.given(build_valid_request_strategy(target, base), build_invalid_request_strategy(target, base))
    @hypothesis.settings(max_examples=40, database=None)
    def check(valid, invalid) -> None:
        assert "style" not in valid.request.body
        assert "style" not in invalid.request.body
        assert invalid.request.body.get("voice_url") != "no url"

    check()
