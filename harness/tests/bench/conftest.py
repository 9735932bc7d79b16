from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from voicegauge.bench.suites import Suite, load_suite
from voicegauge.contract.contract import Contract, Target
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.process import EmulatorSettings, RunningEmulator, running_emulator

ACME = """
openapi: 3.1.0
info: {title: Acme speech, version: "1"}
servers: [{url: "https://api.acme.test", x-name: api}]
security: [{key: []}]
x-provider:
  id: acme
  title: Acme
  key_variable: ACME_KEY
  sources: {acme.txt: {title: Acme, date: "2026-01-01"}}
  retry_policy: {retried_statuses: [429, 503], max_attempts: 2, initial_delay_s: 0.01, max_delay_s: 0.01}
x-limits:
  plan_limits: {small: {max_concurrent_requests: 2, max_text_characters: 400}}
paths:
  /speech:
    post:
      operationId: submit
      x-speech:
        request_fields: {text: body#/text, language: body#/language}
        response: {status_operation_id: status}
        targets:
          job:
            title: A job
            supported_languages: [en, fr]
            default_language: en
            pricing: {unit: request, usd_per_unit: 0.01}
            emulation:
              {submit_response_ms: 5, queue_ms: 60, base_processing_ms: 60, processing_ms_per_character: 0,
               log_duration_deviation: 0, job_id_format: "job-{hex8}"}
            request_constants: {body#/model: job}
          slow-job:
            title: A slow job
            pricing: {unit: request, usd_per_unit: 0.01}
            emulation:
              {submit_response_ms: 5, queue_ms: 500, base_processing_ms: 1500, processing_ms_per_character: 0,
               log_duration_deviation: 0, job_id_format: "slow-{hex8}"}
            request_constants: {body#/model: slow-job}
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [text]
              properties: {text: {type: string}, language: {type: string}, model: {type: string}}
      responses:
        "202":
          description: queued
          content:
            application/json:
              schema:
                type: object
                required: [id, state]
                properties: {id: {type: string}, state: {const: queued}}
        "401": {description: no key}
        "503": {description: busy}
  /jobs/{id}:
    get:
      operationId: status
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      x-job:
        submit_response: {job_id_location: body#/id, state_location: body#/state}
        job_id_location: body#/id
        state_location: body#/state
        states:
          queued: {successor_names: [working]}
          working: {successor_names: [done, failed]}
          done: {terminal_outcome: success, required_locations: [body#/audio]}
          failed: {terminal_outcome: failure}
        audio: {location: body#/audio, delivery_method: url, media_type_location: body#/type}
        poll_schedule: {min_interval_s: 0.1, max_interval_s: 0.1, job_timeout_s: 30}
      responses:
        "200":
          description: the state
          content:
            application/json:
              schema:
                type: object
                required: [id, state]
                properties:
                  id: {type: string}
                  state: {enum: [queued, working, done, failed]}
                  audio: {type: string, format: uri}
                  type: {type: string}
        "404": {description: unknown}
  /now:
    post:
      operationId: now
      x-speech:
        request_fields: {text: body#/text}
        response: {audio: {location: body, delivery_method: bytes}}
        targets:
          now:
            title: At once
            pricing: {unit: 1k_characters, usd_per_unit: 0.1}
            emulation:
              {submit_response_ms: 5, queue_ms: 50, base_processing_ms: 20, processing_ms_per_character: 0,
               log_duration_deviation: 0}
          unpriced:
            title: Nobody says what it costs
            emulation:
              {submit_response_ms: 5, queue_ms: 50, base_processing_ms: 20, processing_ms_per_character: 0,
               log_duration_deviation: 0}
            request_constants: {body#/model: other}
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [text]
              properties: {text: {type: string}, model: {type: string}}
      responses:
        "200": {description: audio, content: {audio/wav: {}}}
        "401": {description: no key}
        "503": {description: busy}
components:
  securitySchemes: {key: {type: http, scheme: bearer}}
"""

SUITE = """
id: made
version: 1
title: Four texts
language: en
texts:
  - {id: one, category: plain, text: The kettle is on the stove.}
  - {id: two, category: plain, text: The cups are on the table.}
  - {id: three, category: questions, text: Where is the station?}
  - {id: un, category: plain, language: fr, text: Il fait beau ce matin.}
"""


@pytest.fixture(scope="session")
def contracts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contracts")
    (folder / "acme").mkdir()
    (folder / "acme" / "openapi.yaml").write_text(ACME)
    return folder


@pytest.fixture(scope="session")
def acme(contracts_folder: Path) -> Contract:
    return load_contract(contracts_folder / "acme" / "openapi.yaml")


@pytest.fixture(scope="session")
def targets(acme: Contract) -> dict[str, Target]:
    return {target.id: target for target in acme.targets.values()}


@pytest.fixture(scope="session")
def suite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "made.yaml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="session")
def suite(suite_file: Path) -> Suite:
    return load_suite(suite_file)


@pytest.fixture(scope="session")
def emulator(acme: Contract) -> Iterator[RunningEmulator]:
    with running_emulator([acme], EmulatorSettings(enforces_rate_limits=False, credits=1e9)) as running:
        yield running


Faulty = Callable[..., RunningEmulator]


@pytest.fixture
def faulty(acme: Contract) -> Iterator[Faulty]:
    """Start emulators with faults; each ends with the test."""
    import contextlib

    with contextlib.ExitStack() as stack:

        def start(*faults: str) -> RunningEmulator:
            settings = EmulatorSettings(enforces_rate_limits=False, credits=1e9, faults=faults)
            return stack.enter_context(running_emulator([acme], settings))

        yield start
