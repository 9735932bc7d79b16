"""Prices by tokens and by seconds of computing: reserved as an upper bound, settled as responses report."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

import voicegauge
from voicegauge.client.client import Client
from voicegauge.client.ledger import Ledger
from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.app import create_app
from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import Delivery
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from ..builders.acme import YAML_PREAMBLE
from ..builders.documented_examples import read_example
from ..builders.in_process_check import check_in_process

DOCUMENT: dict[str, Any] = yaml.safe_load(
    YAML_PREAMBLE
    + """\
paths:
  /speech:
    post:
      operationId: speak
      x-speech:
        request_fields: {text: "body#/input"}
        response: {audio: {location: body#/audio, delivery_method: base64, format: wav}}
        targets:
          whole: {title: Whole}
          streamed:
            title: Streamed
            request_constants: {"body#/stream_format": sse}
            response_audio: {location: body, delivery_method: stream, format: wav}
      x-stream:
        event_type_location: data#/type
        events:
          delta: {successor_names: [delta, done], data_schema: {$ref: "#/components/schemas/Event"}}
          done: {terminal_outcome: success, data_schema: {$ref: "#/components/schemas/Event"}}
        audio: {event_type: delta, location: data#/audio}
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [input]
              properties:
                input: {type: string, minLength: 1, maxLength: 100}
                stream_format: {enum: [json, sse], default: json}
      responses:
        "200":
          description: Audio
          content:
            application/json:
              schema:
                type: object
                required: [audio, usage]
                properties: {audio: {type: string}, usage: {$ref: "#/components/schemas/Usage"}}
            text/event-stream: {}
        "400": {description: Rejected, content: {application/json: {schema: {$ref: "#/components/schemas/Error"}}}}
        "401": {description: No key, content: {application/json: {schema: {$ref: "#/components/schemas/Error"}}}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Error: {type: object, required: [error], properties: {error: {type: string}}}
    Usage:
      type: object
      required: [input_tokens, output_tokens]
      properties: {input_tokens: {type: integer}, output_tokens: {type: integer}}
    Event:
      type: object
      required: [type]
      properties: {type: {type: string}, audio: {type: string}, usage: {$ref: "#/components/schemas/Usage"}}
"""
)
TEXT = "Good morning, everyone"
BOUND_USD = len(TEXT) * (0.6 + 2 * 12) / 1_000_000
REPORTED_USD = (round(0.25 * len(TEXT)) * 0.6 + round(1.4 * len(TEXT)) * 12) / 1_000_000
"""The price of the usage that the contract calls typical, which the emulator reports."""
"""The emulator uses half of the documented bound."""


@pytest.fixture
def acme(tmp_path) -> Contract:
    """The contract with the prices of the example in docs/contract.md."""
    example = yaml.safe_load(read_example("contract.md", "prices"))
    price = example["paths"]["/v1/speech"]["post"]["x-pricing"]
    for part in (price, *price["added_parts"]):
        part["usage"]["event_usage_location"] = part["usage"]["reported_usage_location"].replace("body", "data")
    document = {**DOCUMENT, "x-limits": example["x-limits"]}
    document["paths"]["/speech"]["post"]["x-pricing"] = price
    path = tmp_path / "openapi.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return load_contract(path)


class ReservationWatcher:
    """Notes how much is reserved when each request is sent."""

    waits_for_disk = False

    def __init__(self, ledger: Ledger) -> None:
        self.reserved_usd: list[float] = []
        self._ledger = ledger

    def before_submit(self, idempotency_key=None):
        self.reserved_usd.append(self._ledger.reserved_usd)

    def on_submit_not_sent(self): ...

    def after_submit(self, http_status, settlement, job_id): ...


async def _speak(acme: Contract, name: str, ledger: Ledger, **options: Any) -> Delivery:
    async with Transport(app=create_app([acme], build_emulator_settings())) as transport:
        base_urls = {"": "http://emulator.invalid/acme"}
        client = Client(acme, transport, base_urls=base_urls, key="any-key", clock=VirtualClock(), ledger=ledger)
        return await client.speak(acme.find_target_by_name(name), SpeechRequest(text=TEXT), **options)


@pytest.mark.parametrize("name", ["whole", "streamed"])
async def test_the_bound_is_reserved_and_the_reported_usage_is_spent(acme, name) -> None:
    ledger = Ledger(BOUND_USD + 1e-6)
    watcher = ReservationWatcher(ledger)
    delivery = await _speak(acme, name, ledger, submit_observer=watcher)
    assert watcher.reserved_usd == [pytest.approx(BOUND_USD, abs=1e-6)]
    assert delivery.failure is None
    assert delivery.charged_usd == pytest.approx(REPORTED_USD)
    assert ledger.spent_usd == pytest.approx(REPORTED_USD, abs=1e-6)


async def test_a_price_of_the_user_replaces_the_reported_usage(acme) -> None:
    ledger = Ledger(1)
    delivery = await _speak(acme, "whole", ledger, price_usd=0.5)
    assert delivery.charged_usd is None
    assert ledger.spent_usd == 0.5


def test_a_service_within_the_bound_has_no_finding(acme) -> None:
    assert check_in_process(acme, include_all_billable_cases=False).findings == ()


def test_usage_above_the_bound_is_found(acme) -> None:
    findings = check_in_process(acme, "excess-usage", include_all_billable_cases=False).findings
    assert {finding.rule for finding in findings} == {"usage-above-bound"}
    assert {finding.where.contract_pointer.rpartition("x-pricing")[2] for finding in findings} == {
        "/usage",
        "/added_parts/0/usage",
    }


def test_a_benchmark_states_the_price_of_the_reported_usage(acme, tmp_path) -> None:
    result = voicegauge.benchmark(
        "acme/whole",
        contracts=[acme.document.path],
        max_texts=1,
        languages=["en"],
        warmup=0,
        asr="none",
        write_html_report=False,
        out=tmp_path / "runs",
    )
    cost = result.targets[0].cost
    assert cost.price_per_request.usd == pytest.approx(cost.charged_usd_per_request)
    # A rehearsal invents the usage, so that the documented one makes the price of a million characters.
    assert cost.price_per_1m_characters.describe() == "$16.95 (at most $24.60)"
    assert not cost.charge_differs_from_price
