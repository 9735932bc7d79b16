"""The times of words in the events of a stream."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
import yaml

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.model.base import Provenance, SpeechRequest
from voicegauge.model.exchange import Delivery, Exchange, Request, Response
from voicegauge.rules.checker import Checker
from voicegauge.rules.subjects import SpeechDelivery
from voicegauge.speech.encoding import encode

from ..builders.acme import YAML_PREAMBLE

DOCUMENT: dict[str, Any] = yaml.safe_load(
    YAML_PREAMBLE
    + """\
paths:
  /speech:
    post:
      operationId: speak
      x-speech:
        request_fields: {text: "body#/text"}
        response: {audio: {location: body, delivery_method: stream, format: pcm_s16le, sample_rate_hz: 8000}}
        targets: {lines: {title: Lines}}
      x-stream:
        framing: json-lines
        ends_with_response: true
        events:
          chunk: {successor_names: [chunk], data_schema: {type: object}}
        audio:
          event_type: chunk
          location: data#/audio
          timestamps:
            - {text_unit: word, texts_location: "data#/words/*/text", starts_location: "data#/words/*/at",
               ends_location: "data#/words/*/to",
               time_unit: ms, spells_request_text: true}
      requestBody:
        content: {application/json: {schema: {type: object, properties: {text: {type: string}}}}}
      responses:
        "200": {description: Audio, content: {application/x-ndjson: {}}}
        "401": {description: No key}
components: {securitySchemes: {bearer: {type: http, scheme: bearer}}}
"""
)


@pytest.fixture(scope="module")
def acme(tmp_path_factory) -> Contract:
    path = tmp_path_factory.mktemp("acme") / "openapi.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT))
    return load_contract(path)


def _judge(acme: Contract, *lines: list[dict[str, Any]]) -> dict[str, str]:
    """Return the message of each rule about timestamps, for the words of each line; the audio takes 2 s."""
    audio, _ = encode(np.zeros(16000, np.float32), 8000, "pcm_s16le")
    half = len(audio) // 2
    chunks = [base64.b64encode(part).decode() for part in (audio[:half], audio[half:])]
    body = "\n".join(
        json.dumps({"audio": chunk, "words": words}) for chunk, words in zip(chunks, lines, strict=True)
    ).encode()
    exchange = Exchange(
        provider="acme",
        operation="speak",
        request=Request(
            method="POST",
            url="https://api.acme.example/speech",
            headers=(("Content-Type", "application/json"),),
            body=b'{"text": "Good morning all"}',
        ),
        response=Response(status=200, headers=(("Content-Type", "application/x-ndjson"),), body=body),
    )
    delivery = Delivery(
        target="acme/lines",
        exchanges=(exchange,),
        submit_count=1,
        audio=audio,
        audio_exchange_index=0,
        submit_exchange_index=0,
    )
    subject = SpeechDelivery(acme.targets["lines"], SpeechRequest(text="Good morning all"), delivery)
    findings = Checker(Provenance.RECORDED).iterate_findings(subject)
    return {found.rule: found.message for found in findings if found.rule.startswith("timestamps")}


GOOD = {"text": "Good", "at": 0, "to": 500}
MORNING = {"text": "morning", "at": 500, "to": 1000}
ALL = {"text": "all", "at": 1000, "to": 2050}


@pytest.mark.parametrize(
    ("words", "rule", "message"),
    [
        ({**ALL, "to": 10**400}, "timestamps-duration", "until 1000000.00 s, the audio has 2.00 s"),
        ({**ALL, "to": -(10**400)}, "timestamps-order", "ends at -1000000.000 s"),
        ({**ALL, "at": 1e308}, "timestamps-order", "starts at 1000000.000 s and ends at 2.050 s"),
    ],
)
def test_times_beyond_all_limits_are_judged(acme, words, rule, message) -> None:
    assert message in _judge(acme, [GOOD, MORNING], [words])[rule]


def test_the_lists_of_all_events_are_joined(acme) -> None:
    assert _judge(acme, [GOOD, MORNING], [ALL]) == {}


@pytest.mark.parametrize(
    ("lines", "findings"),
    [
        (([GOOD], [ALL]), {"timestamps-text": "the words are not those of the text"}),
        (([MORNING, GOOD], [ALL]), {"timestamps-text", "timestamps-order"}),
        (
            ([GOOD, MORNING], [{**ALL, "to": 2200}]),
            {"timestamps-duration": "the last word is spoken until 2.20 s, the audio has 2.00 s"},
        ),
        (
            ([GOOD, MORNING], [{"text": "all", "at": 1000}]),
            {"timestamps-count": "2 ends for 3 words"},
        ),
        (
            ([GOOD, {**MORNING, "to": 400}], [ALL]),
            {"timestamps-order": "word 1 starts at 0.500 s and ends at 0.400 s"},
        ),
        (
            ([{**GOOD, "at": -10}, MORNING], [ALL]),
            {"timestamps-order": "the first word starts at -0.010 s"},
        ),
        (([GOOD, MORNING], [{**ALL, "at": "soon", "to": None}]), set()),  # the schema rules judge types
    ],
)
def test_wrong_times_are_found(acme, lines, findings) -> None:
    found = _judge(acme, *lines)
    assert found == findings if isinstance(findings, dict) else found.keys() == findings
