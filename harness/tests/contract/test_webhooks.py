"""`x-webhook` is loaded, or rejected with the line of an inconsistency."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue, load_contract
from voicegauge.errors import ContractError

BODY = """
      x-webhook:
        url_fields: [{location: body#/hook, mode_field: {
          location: body#/mode, timing_by_value: {end: terminal, all: progress}, default_value: end}}]
        callback_operation_id: done
        requires_https: true
        body_locations: {id_location: body#/task, state_location: body#/state,
          outcome_by_state: {ok: success}, submit_id_location: body#/task}
"""
DOCUMENT = f"""\
openapi: 3.1.0
info: {{title: Acme, version: "1"}}
servers: [{{url: "https://api.acme.example"}}]
x-provider: {{id: acme, title: Acme, key_variable: ACME_KEY, sources: {{acme.txt: {{title: Acme, date: 2026-01-01}}}}}}
paths:
  /speak:
    post:
      operationId: speak{BODY}\
      x-speech:
        request_fields: {{text: body#/text}}
        response: {{audio: {{location: body#/url, delivery_method: url}}}}
        targets: {{voice-1: {{title: Voice one}}}}
      requestBody:
        content:
          application/json:
            schema: {{type: object, properties: {{text: {{}}, hook: {{type: string}}, mode: {{type: string}}}}}}
      responses:
        "200":
          description: Speech
          content: {{application/json: {{schema: {{type: object, properties: {{url: {{}}, task: {{}}}}}}}}}}
webhooks:
  done:
    post:
      operationId: done
      requestBody:
        content: {{application/json: {{schema: {{type: object, properties: {{task: {{}}, state: {{}}}}}}}}}}
      responses: {{"200": {{description: Received}}}}
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[[Any], Contract]:
    def write(document: Any) -> Contract:
        path = tmp_path / "openapi.yaml"
        path.write_text(document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False))
        return load_contract(path)

    return write


def test_a_webhook_is_loaded_with_its_body(load) -> None:
    operation = load(DOCUMENT).find_operation("speak")
    assert operation.webhook.url_fields[0].mode_field.timing_by_value == {"end": "terminal", "all": "progress"}
    assert operation.webhook.requires_https
    assert operation.callback_body.schema["properties"].keys() == {"task", "state"}
    assert str(operation.callback_id_location) == "body#/task"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("location: body#/hook", "location: body#/hok", "'body#/hok' is not in the documented request of speak"),
        ("location: body#/hook", "location: nowhere", "'nowhere' is not a valid location"),
        ("location: body#/mode", "location: body#/mood", "'body#/mood' is not in the documented request"),
        ("default_value: end", "default_value: ends", "'ends' is not among timing_by_value: end, all"),
        (
            "callback_operation_id: done",
            "callback_operation_id: gone",
            "'gone' is not a callback of speak and not a webhook",
        ),
        ("id_location: body#/task", "id_location: body#/tusk", "'body#/tusk' is not in the documented body of done"),
        ("id_location: body#/task", "id_location: header.Task", "'header.Task' is not in the documented body of done"),
        ("outcome_by_state: {ok: success}", "outcome_by_state: {bad: failure}", "no state means success"),
        (", submit_id_location: body#/task", "", "needs submit_id_location"),
        (
            "submit_id_location: body#/task",
            "submit_id_location: body#/tusk",
            "'body#/tusk' is not in the documented response of speak",
        ),
        ("url_fields: [{location: body#/hook, ", "url_fields: []\n        junk: [{", "junk"),
        ("requires_https: true", "requires_https: sure", "requires_https"),
    ],
)
def test_an_inconsistency_is_rejected_with_its_line(load, old, new, reason) -> None:
    broken = DOCUMENT.replace(old, new, 1)
    assert broken != DOCUMENT
    with pytest.raises(ContractError, match=re.escape(reason)) as raised:
        load(broken)
    assert raised.value.line


def test_a_webhook_without_body_needs_a_status_response(load) -> None:
    document = yaml.safe_load(DOCUMENT)
    del document["paths"]["/speak"]["post"]["x-webhook"]["body_locations"]
    with pytest.raises(ContractError, match="needs body_locations: no status response has an id"):
        load(document)


def test_the_webhooks_of_the_bundled_contracts() -> None:
    found = {
        f"{contract.id}/{operation.id}": [str(url.location) for url in operation.webhook.url_fields]
        for contract in load_catalogue()
        for operation in contract.operations.values()
        if operation.webhook is not None
    }
    assert found == {
        "pixazo/generateXtts": ["header.X-Webhook-URL", "body#/webhook"],
        "pixazo/generateChatterbox": ["header.X-Webhook-URL"],
        "pixazo/generateVibevoice": ["header.X-Webhook-URL"],
        "pixazo/generateVibevoiceRealtime": ["header.X-Webhook-URL"],
        "replicate/createChatterbox": ["body#/webhook"],
        "replicate/createChatterboxTurbo": ["body#/webhook"],
        "replicate/createPrediction": ["body#/webhook"],
        "replicate/createSpeech02Hd": ["body#/webhook"],
        "replicate/createSpeech02Turbo": ["body#/webhook"],
        "ttsai/separateAudio": ["body#/webhook_url"],
        "ttsai/submitBatch": ["body#/webhook_url"],
    }
