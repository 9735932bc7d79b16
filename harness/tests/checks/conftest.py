"""A small contract, and exchanges made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.model.base import Finding, Provenance
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.rules.call import Call
from voicegauge.rules.checker import Checker

from ..builders.acme import YAML_PREAMBLE
from ..builders.documents import REMOVED, changed_yaml

DOCUMENT = (
    YAML_PREAMBLE.replace("2026-01-01}}", "2026-01-01}, old.txt: {title: Older, date: 2025-01-01}}")
    + """\
  credits: {name: credits}
paths:
  /speak:
    post:
      operationId: speak
      x-speech:
        request_fields:
          text: "body#/text"
          format: "body#/format"
          language: "body#/language"
          voice: "body#/voice"
          speed: "body#/speed"
          seed: {location: "body#/seed", is_seed_reproducible: true}
        response: {status_operation_id: status, charge_location: "body#/used"}
        targets:
          voice-1: {title: Voice 1, response_model_name: voice-1-large}
      x-pricing:
        unit: 1k_characters
        credits_per_unit: 1000
        alternatives:
          - unit: 1k_characters
            credits_per_unit: 500
            source:
              document_name: acme.txt
              disputes: [{claim: Half the price, document_name: old.txt, rule_ids: [charge-wrong]}]
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [text]
              properties:
                text: {type: string, minLength: 1, maxLength: 100}
                format: {enum: [wav, mp3]}
                language: {type: string}
                voice: {type: string}
                speed: {type: number}
                seed: {type: integer}
      responses:
        "200":
          description: Accepted
          x-source:
            document_name: acme.txt
            disputes:
              - claim: The answer has a ticket instead of an id.
                document_name: old.txt
                rule_ids: [response-schema]
                media_type: application/json
                body_schema: {type: object, required: [ticket]}
          headers:
            X-Limit: {required: true, schema: {type: integer}}
          content:
            application/json:
              schema:
                type: object
                required: [id, state]
                properties: {id: {type: string}, state: {type: string}, url: {type: string}, used: {type: number}}
          links:
            status: {operationId: status, parameters: {id: "$response.body#/id"}}
        "400":
          description: Refused
          content: {application/json: {schema: {$ref: "#/components/schemas/Error"}}}
        "429":
          description: Later
          headers: {Retry-After: {schema: {type: integer}}}
          content: {application/json: {schema: {$ref: "#/components/schemas/Error"}}}
  /jobs/{id}:
    get:
      operationId: status
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      x-job:
        submit_response: {job_id_location: "body#/id", state_location: "body#/state", polling_url_location: "body#/url"}
        job_id_location: body#/id
        state_location: body#/state
        states:
          new: {successor_names: [busy], max_duration_s: 60, may_have_partial_audio: true}
          busy: {successor_names: [done, broken]}
          done: {terminal_outcome: success, required_locations: ["body#/audio"]}
          broken: {terminal_outcome: failure, is_charged: false, required_locations: ["body#/why"]}
        audio: {location: "body#/audio", delivery_method: url, media_type_location: "body#/type"}
        failure_reason_location: body#/why
        model_name_location: body#/model
        creation_time_location: body#/created
        update_time_location: body#/updated
        end_time_location: body#/completed
        charge_location: body#/used
      responses:
        "200":
          description: State
          content: {application/json: {schema: {type: object}}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Error: {type: object, required: [error], properties: {error: {type: string}}}
"""
)
WITHOUT_AUDIO = changed_yaml(
    DOCUMENT,
    {
        "/paths/~1speak/post/x-speech": REMOVED,
        "/paths/~1speak/post/x-pricing": REMOVED,
        "/paths/~1speak/post/x-submit": {"status_operation_id": "status"},
        "/paths/~1jobs~1{id}/get/x-job/audio": REMOVED,
        "/paths/~1jobs~1{id}/get/x-job/states/done/required_locations": REMOVED,
    },
)
"""The same contract, whose jobs have a result that is not audio."""
BASE = "https://api.acme.example"


@pytest.fixture(scope="session")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    path: Path = tmp_path_factory.mktemp("acme") / "openapi.yaml"
    path.write_text(DOCUMENT)
    return load_contract(path)


@pytest.fixture
def submit(acme: Contract) -> Callable[..., Call]:
    """Return a submit of `asked` with the response `answer` (JSON or bytes)."""

    def make(
        answer: Any = None,
        *,
        asked: Any = None,
        status: int = 200,
        headers: dict[str, str] | None = None,
        base: str = BASE,
        intent: Any = "valid",
    ) -> Call:
        body = json.dumps({"text": "Hello"} if asked is None else asked).encode()
        request = Request(
            method="POST", url=f"{base}/speak", headers=(("Content-Type", "application/json"),), body=body
        )
        sent = {"Content-Type": "application/json", "X-Limit": "5", **(headers or {})}
        given = {"id": "j1", "state": "new"} if answer is None else answer
        raw = given if isinstance(given, bytes) else json.dumps(given).encode()
        response = Response(status=status, headers=tuple((k, v) for k, v in sent.items() if v), body=raw)
        exchange = Exchange(provider="acme", operation="speak", request=request, response=response)
        return Call(acme.find_operation("speak"), exchange, acme.find_target_by_name("voice-1"), request_intent=intent)

    return make


@pytest.fixture
def poll(acme: Contract) -> Callable[..., Call]:
    """Return a status response."""

    def make(answer: dict[str, Any], *, status: int = 200, submit: Call | None = None) -> Call:
        request = Request(method="GET", url=f"{BASE}/jobs/j1")
        headers = (("Content-Type", "application/json"),)
        response = Response(status=status, headers=headers, body=json.dumps(answer).encode())
        exchange = Exchange(provider="acme", operation="status", request=request, response=response)
        return Call(acme.find_operation("status"), exchange, submit.target if submit else None, submit_call=submit)

    return make


@pytest.fixture
def judge() -> Callable[..., list[Finding]]:
    """Every finding about a subject."""

    def find(subject: Any, **settings: Any) -> list[Finding]:
        return list(Checker(Provenance.RECORDED, **settings).iterate_findings(subject))

    return find


@pytest.fixture
def rules_of(judge: Callable[..., list[Finding]]) -> Callable[..., set[str]]:
    """The ids of the rules that a subject breaks."""
    return lambda subject: {finding.rule for finding in judge(subject)}
