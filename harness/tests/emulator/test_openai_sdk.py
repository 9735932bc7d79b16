"""OpenAI's unmodified Python client against the emulator of OpenAI and of a server that claims its API.

The base URL is the root of the emulator's port with the path of the real one, as with any stand-in server.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

import voicegauge
from voicegauge.speech.decoding import RawAudioFormat, decode

if TYPE_CHECKING:
    import openai  # takes 1 s to import: imported by the tests that use it

TEXT = "Good morning. This is a short test."
PCM = RawAudioFormat(format="pcm_s16le", sample_rate_hz=24000)


@pytest.fixture(scope="module", params=["openai", "openai-compatible"])
def client(request) -> Iterator[openai.OpenAI]:
    import openai

    with (
        voicegauge.emulate(request.param, time_scale=0.05) as emulator,
        openai.OpenAI(api_key="sk-test", base_url=f"{emulator.url}/v1", max_retries=0) as made,
    ):
        yield made


@pytest.mark.parametrize(
    ("name", "container", "media_type"),
    [
        ("mp3", "mp3", "audio/mpeg"),
        ("pcm", "pcm", "audio/pcm"),
        pytest.param("opus", "ogg", "audio/opus", marks=pytest.mark.slow),
        pytest.param("aac", "aac", "audio/aac", marks=pytest.mark.slow),
        pytest.param("flac", "flac", "audio/flac", marks=pytest.mark.slow),
        pytest.param("wav", "wav", "audio/wav", marks=pytest.mark.slow),
    ],
)
def test_speech_in_each_format(client, name, container, media_type) -> None:
    response = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format=name)
    assert response.response.headers["content-type"] == media_type
    audio = decode(response.content, declared_format=PCM)
    assert audio.container == container
    assert 1 < audio.duration_s < 5


def test_speech_as_it_arrives(client) -> None:
    arguments = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "wav"}
    with client.audio.speech.with_streaming_response.create(**arguments) as response:
        body = b"".join(response.iter_bytes())
    assert decode(body).duration_s > 1


def test_speech_as_events(client) -> None:
    model = client.models.list().data[-1].id
    create = client.audio.speech.with_streaming_response.create
    with create(model=model, voice="alloy", input=TEXT, response_format="pcm", stream_format="sse") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"
    audio = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert decode(audio, declared_format=PCM).duration_s > 1


def test_the_speed_changes_the_duration(client) -> None:
    durations = [
        decode(client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, speed=speed).content).duration_s
        for speed in (1.0, 2.0)
    ]
    assert durations[1] < 0.7 * durations[0]


def test_an_invalid_request_is_an_error_of_the_client(client) -> None:
    import openai

    with pytest.raises(openai.BadRequestError) as raised:
        client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="mp5")
    assert raised.value.type == "invalid_request_error"


def test_an_invalid_key_is_an_error_of_the_client(client) -> None:
    import openai

    with (
        openai.OpenAI(api_key="invalid-key", base_url=client.base_url, max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_a_server_of_your_own_needs_no_key() -> None:
    with voicegauge.emulate("openai-compatible") as emulator:
        assert httpx.get(f"{emulator.url}/v1/audio/voices").json()["voices"]
        assert httpx.get(f"{emulator.url}/openai-compatible/v1/models").json()["object"] == "list"
