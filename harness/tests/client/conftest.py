from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from voicegauge.client.client import Client
from voicegauge.contract.contract import Contract
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from ..builders.acme import JOB_ID, JOB_LOCATIONS, build_preamble
from ..builders.contracts import load_trusted
from ..builders.scripted_provider import HELLO, KEY, Script, job

Edit = Callable[[dict[str, Any]], None]

ANY_JSON = {"application/json": {"schema": {"type": "object"}}}

DOCUMENT: dict[str, Any] = {
    **build_preamble(
        "https://api.acme.test",
        request_headers={"X-Client": "tests"},
        retry_policy={
            "retried_statuses": [429, 503],
            "initial_delay_s": 2,
            "delay_factor": 2,
            "max_delay_s": 30,
            "max_attempts": 3,
        },
    ),
    "paths": {
        "/speech": {
            "post": {
                "operationId": "submit",
                "x-speech": {
                    "request_fields": {
                        "text": "body#/text",
                        "voice": "body#/voice",
                        "language": {"location": "body#/lang", "provider_values": {"en": "en-US"}},
                        "seed": "query.seed",
                        "speed": "header.X-Speed",
                        "voice_sample_url": "body#/sample",
                    },
                    "response": {"status_operation_id": "status", "charge_location": "body#/cost"},
                    "targets": {"one": {"title": "One", "default_voice": "alice"}},
                },
                "x-pricing": {"unit": "request", "usd_per_unit": 0.01},
                "parameters": [
                    {"name": "seed", "in": "query", "schema": {"type": "integer"}},
                    {"name": "X-Speed", "in": "header", "schema": {"type": "number"}},
                ],
                "requestBody": {"content": ANY_JSON},
                "responses": {
                    "202": {
                        "description": "queued",
                        "content": ANY_JSON,
                        "links": {
                            "status": {
                                "operationId": "status",
                                "parameters": {"job_id": "$response.body#/id"},
                            }
                        },
                    }
                },
            }
        },
        "/jobs/{job_id}": {
            "get": {
                "operationId": "status",
                "parameters": [JOB_ID],
                "x-job": {
                    **JOB_LOCATIONS,
                    "states": {
                        "queued": {"successor_names": ["working", "failed", "void"]},
                        "working": {"successor_names": ["done", "failed", "void"]},
                        "done": {"terminal_outcome": "success"},
                        "failed": {"terminal_outcome": "failure"},
                        "void": {"terminal_outcome": "failure", "is_charged": False},
                    },
                    "poll_schedule": {
                        "min_interval_s": 1,
                        "max_interval_s": 4,
                        "interval_factor": 2,
                        "job_timeout_s": 60,
                    },
                },
                "responses": {"200": {"description": "state", "content": ANY_JSON}},
            },
            "delete": {
                "operationId": "cancel",
                "parameters": [JOB_ID],
                "responses": {"204": {"description": "cancelled"}},
            },
        },
        "/results/{job_id}": {
            "get": {
                "operationId": "result",
                "parameters": [JOB_ID],
                "responses": {"200": {"description": "audio", "content": {"audio/wav": {}}}},
            }
        },
        "/say": {
            "post": {
                "operationId": "say",
                "x-speech": {
                    "request_fields": {
                        "text": "body#/input",
                        "format": "body#/format",
                        "voice_sample_upload": "body#/file",
                    },
                    "response": {
                        "audio": {"location": "body", "delivery_method": "bytes"},
                        "charge_location": "header.X-Charged",
                    },
                    "targets": {
                        "sync": {
                            "title": "Sync",
                            "request_constants": {"body#/model": "m1"},
                            "supported_languages": ["en"],
                            "default_format": "wav",
                        },
                        "clone": {"title": "Clone", "required_fields": ["voice_sample_upload"]},
                    },
                },
                "requestBody": {"content": {**ANY_JSON, "multipart/form-data": {"schema": {"type": "object"}}}},
                "responses": {
                    "200": {
                        "description": "audio",
                        "headers": {"X-Charged": {"schema": {"type": "number"}}},
                        "content": {"audio/wav": {}},
                    }
                },
            }
        },
    },
    "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
}


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Contract]:
    """Load the document of a made-up provider, after `edit` had its way with it."""
    folder: Path = tmp_path_factory.mktemp("contracts")
    loaded: dict[str, Contract] = {}

    def make(edit: Edit | None = None) -> Contract:
        document = copy.deepcopy(DOCUMENT)
        if edit is not None:
            edit(document)
        text = json.dumps(document)
        if text not in loaded:
            path = folder / f"acme-{len(loaded)}.json"
            path.write_text(text)
            loaded[text] = load_trusted(path)
        return loaded[text]

    return make


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def status() -> Callable[..., JSONResponse]:
    """Return a status response: `status("working", cost=3)`."""
    return job


@pytest.fixture
async def speak(contract, script, serve):
    """Speak with a scripted provider on a virtual clock; returns the delivery and the clock."""
    base = await serve(script)
    opened = []

    async def run(target="one", speech=HELLO, edit=None, *, method="speak", transport=None, **options):
        clock = VirtualClock()
        transport = transport or Transport()
        opened.append(transport)
        call = {name: options.pop(name) for name in ("submit_observer", "price_usd", "reservation") if name in options}
        loaded = contract(edit)
        client = Client(loaded, transport, base_urls={"": base}, key=KEY, clock=clock, **options)
        delivery = await getattr(client, method)(loaded.find_target_by_name(target), speech, **call)
        return delivery, clock

    run.base = base
    yield run
    for transport in opened:
        await transport.__aexit__(None, None, None)
