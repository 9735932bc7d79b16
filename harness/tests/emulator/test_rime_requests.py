"""Rime's documented HTTP requests against the emulator.

Rime's own client library for Python uses gRPC and WebSockets for speech.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import voicegauge
from voicegauge.speech.decoding import decode

CODA = {"text": "Hello from Rime!", "modelId": "coda", "speaker": "astra", "lang": "en"}
MIST_V2 = {"text": "Hello from Rime!", "modelId": "mistv2", "speaker": "astra", "lang": "eng"}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with (
        voicegauge.emulate(["rime"], time_scale=0.05) as emulator,
        httpx.Client(base_url=emulator.base_url("rime"), headers={"Authorization": "Bearer test"}) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("accept", "options", "container", "sample_rate_hz"),
    [
        ("audio/ogg;codecs=opus", {}, "ogg", 24000),
        ("audio/wav", {}, "wav", 24000),
        ("audio/wav", {"samplingRate": 8000}, "wav", 8000),
        ("*/*", {}, "mp3", 24000),
    ],
)
def test_the_accept_header_selects_the_format(
    client, accept, options: dict[str, Any], container, sample_rate_hz
) -> None:
    response = client.post("/v1/rime-tts", json=CODA | options, headers={"Accept": accept})
    audio = decode(response.content)
    assert (audio.container, audio.sample_rate_hz) == (container, sample_rate_hz)


def test_json_has_the_audio_in_base64(client) -> None:
    body = MIST_V2 | {"audioFormat": "mp3"}
    response = client.post("/v1/rime-tts", json=body, headers={"Accept": "application/json"})
    audio = decode(base64.b64decode(response.json()["audioContent"]))
    assert (audio.container, audio.sample_rate_hz) == ("mp3", 22050)


def test_events_have_chunks_until_done(client) -> None:
    body = MIST_V2 | {"audioFormat": "pcm", "samplingRate": 16000}
    response = client.post("/v1/rime-tts", json=body, headers={"Accept": "text/event-stream"})
    events = [dict(line.split(": ", 1) for line in event.splitlines()) for event in response.text.strip().split("\n\n")]
    assert [event["event"] for event in events] == ["chunk"] * (len(events) - 1) + ["done"]
    samples = b"".join(base64.b64decode(json.loads(event["data"])["data"]) for event in events[:-1])
    assert len(samples) > 16000  # half a second of 16-bit samples


def test_errors_are_plain_texts(client) -> None:
    response = client.post("/v1/rime-tts", json=CODA, headers={"Authorization": "Bearer invalid-key"})
    assert (response.status_code, response.text) == (401, "invalid api key")
    assert response.headers["Content-Type"].startswith("text/plain")
    assert client.post("/v1/rime-tts", json=CODA | {"text": "a" * 1001}).status_code == 400


def test_the_lists_of_voices_need_no_key(client) -> None:
    del client.headers["Authorization"]
    assert "astra" in client.get("/data/voices/all-v2.json").json()["coda"]["eng"]
    assert "cove" in {voice["speaker"] for voice in client.get("/data/voices/voice_details.json").json()}
    client.headers["Authorization"] = "Bearer test"
