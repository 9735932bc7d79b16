from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from voicegauge.bench.planning.suite import Suite, load_suite
from voicegauge.contract import Contract, Target, load_contract
from voicegauge.emulator import EmulatorSettings, RunningEmulator, running_emulator

ACME = """
openapi: 3.1.0
info: {title: Acme speech, version: "1"}
servers: [{url: "https://api.acme.test", x-name: api}]
security: [{key: []}]
x-provider:
  id: acme
  title: Acme
  key_env: ACME_KEY
  sources: {acme.txt: {title: Acme, date: "2026-01-01"}}
  retry: {statuses: [429, 503], max_attempts: 2, initial_delay_s: 0.01, max_delay_s: 0.01}
x-limits:
  plans: {small: {concurrent: 2, text_characters: 400}}
paths:
  /speech:
    post:
      operationId: submit
      x-speech:
        request: {text: body#/text, language: body#/language}
        response: {job: status}
        targets:
          job:
            title: A job
            languages: [en, fr]
            language: en
            pricing: {per: request, usd: 0.01}
            emulation:
              {submit_ms: 5, queue_ms: 60, base_ms: 60, ms_per_character: 0, jitter: 0, job_id_format: "job-{hex8}"}
            constants: {body#/model: job}
          slow-job:
            title: A slow job
            pricing: {per: request, usd: 0.01}
            emulation:
              {submit_ms: 5, queue_ms: 500, base_ms: 1500, ms_per_character: 0, jitter: 0, job_id_format: "slow-{hex8}"}
            constants: {body#/model: slow-job}
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
        submit: {id: body#/id, state: body#/state}
        id: body#/id
        state: body#/state
        states:
          queued: {next: [working]}
          working: {next: [done, failed]}
          done: {end: success, required: [body#/audio]}
          failed: {end: failure}
        audio: {at: body#/audio, delivered: url, media_type: body#/type}
        poll: {min_s: 0.1, max_s: 0.1, timeout_s: 30}
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
        request: {text: body#/text}
        response: {audio: {at: body, delivered: bytes}}
        targets:
          now:
            title: At once
            pricing: {per: 1k_characters, usd: 0.1}
            emulation: {submit_ms: 5, base_ms: 20, ms_per_character: 0, jitter: 0}
          unpriced:
            title: Nobody says what it costs
            emulation: {submit_ms: 5, base_ms: 20, ms_per_character: 0, jitter: 0}
            constants: {body#/model: other}
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
