"""A field of a request selects a stream of events or audio alone, as in OpenAI's speech API."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
import yaml

from voicegauge.client.client import Client
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.app import create_app
from voicegauge.errors import ContractError
from voicegauge.model.base import SpeechRequest
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from ..builders.acme import YAML_PREAMBLE
from ..builders.in_process_check import check_in_process

DOCUMENT: dict[str, Any] = yaml.safe_load(
    YAML_PREAMBLE
    + """\
paths:
  /speech:
    post:
      operationId: speak
      x-speech:
        request_fields: {text: "body#/input", format: "body#/response_format"}
        response: {audio: {location: body, delivery_method: bytes}}
        targets:
          plain: {title: Plain, supported_formats: [mp3, wav]}
          events:
            title: Events
            supported_formats: [mp3, wav]
            request_constants: {"body#/stream_format": sse}
            response_audio: {location: body, delivery_method: stream}
      x-stream:
        event_type_location: data#/type
        events:
          speech.audio.delta:
            successor_names: [speech.audio.delta, speech.audio.done]
            data_schema: {$ref: "#/components/schemas/Event"}
          speech.audio.done: {terminal_outcome: success, data_schema: {$ref: "#/components/schemas/Event"}}
        audio: {event_type: speech.audio.delta, location: data#/audio}
      x-pricing: {unit: request, usd_per_unit: 0.01}
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [input]
              properties:
                input: {type: string, minLength: 1, maxLength: 100}
                response_format: {enum: [mp3, wav], default: mp3}
                stream_format: {enum: [audio, sse], default: audio}
      responses:
        "200": {description: Audio, content: {audio/mpeg: {}, audio/wav: {}, text/event-stream: {}}}
        "400": {description: Rejected, content: {application/json: {schema: {$ref: "#/components/schemas/Error"}}}}
        "401": {description: No key, content: {application/json: {schema: {$ref: "#/components/schemas/Error"}}}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Error: {type: object, required: [error], properties: {error: {type: string}}}
    Event: {type: object, required: [type], properties: {type: {type: string}, audio: {type: string}}}
"""
)


@pytest.fixture
def acme_of(tmp_path):
    """The contract with an edit."""

    def load(edit=lambda _: None) -> Contract:
        document = copy.deepcopy(DOCUMENT)
        edit(document["paths"]["/speech"]["post"])
        path = tmp_path / "openapi.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return load_contract(path)

    return load


@pytest.fixture
def check_acme(acme_of):
    def check(*faults: str) -> CheckReport:
        return check_in_process(acme_of(), *faults)

    return check


def test_a_service_that_does_as_it_is_asked_has_no_findings(check_acme) -> None:
    report = check_acme()
    assert report.findings == ()
    verdicts = {case.id: case.verdict for case in report.case_results}
    assert {verdicts[f"acme/{name}: a full delivery"] for name in ("plain", "events")} == {"passed"}
    assert verdicts['acme/speak: stream_format "sse"'] == "passed"


def test_a_field_without_effect_is_found(check_acme) -> None:
    findings = {finding.rule: finding for finding in check_acme("response-kind-ignored").findings}
    assert findings.keys() - {"audio-missing"} == {"response-kind-ignored"}
    finding = findings["response-kind-ignored"]
    assert finding.message == "expected a stream of events for body#/stream_format 'sse', got audio/mpeg"
    assert finding.where.contract_pointer.endswith("/x-speech/targets/events/response_audio")
    assert finding.reproduction_command.endswith("--case 'acme/events: a full delivery'")


async def test_the_client_reads_either_kind(acme_of) -> None:
    acme = acme_of()
    async with Transport(app=create_app([acme], build_emulator_settings())) as transport:
        base_urls = {"": "http://emulator.invalid/acme"}
        client = Client(acme, transport, base_urls=base_urls, key="any-key", clock=VirtualClock())
        plain, events = await asyncio.gather(
            *(
                client.speak(acme.find_target_by_name(name), SpeechRequest(text="Good morning."))
                for name in ("plain", "events")
            )
        )
    assert plain.audio[:3] == events.audio[:3] != b""
    assert plain.exchanges[0].response.media_type == "audio/mpeg"
    assert events.exchanges[0].response.media_type == "text/event-stream"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda operation: operation.pop("x-stream"), "needs an x-stream"),
        (
            lambda operation: operation["x-speech"]["targets"]["events"].pop("response_audio"),
            "x-stream needs audio delivered",
        ),
        (
            lambda operation: operation["x-speech"]["targets"]["events"]["response_audio"].update(location="body#/x"),
            "is at body, not",
        ),
    ],
)
def test_a_contract_that_contradicts_itself_is_rejected(acme_of, edit, message) -> None:
    with pytest.raises(ContractError, match=message):
        acme_of(edit)
