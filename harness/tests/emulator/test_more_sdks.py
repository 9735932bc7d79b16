"""The official Python clients of ElevenLabs and Deepgram, unmodified, against the emulator over a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

import voicegauge
from voicegauge.emulator.process import SCENARIO_HEADER
from voicegauge.speech.decoding import decode

if TYPE_CHECKING:  # they take seconds to import: imported by the fixtures that use them
    from deepgram import DeepgramClient
    from elevenlabs.client import ElevenLabs

TEXT = "Good morning. This is a short test."
VOICE = "21m00Tcm4TlvDq8ikWAM"


@pytest.fixture(scope="module")
def base_urls() -> Iterator[Callable[[str], str]]:
    with voicegauge.emulate(["elevenlabs", "deepgram"], time_scale=0.05) as emulator:
        yield emulator.base_url


@pytest.fixture(scope="module")
def open_elevenlabs(base_urls) -> Iterator[Callable[..., ElevenLabs]]:
    import httpx
    from elevenlabs.client import ElevenLabs

    opened: list[httpx.Client] = []

    def open_one(api_key: str = "test", **headers: str) -> ElevenLabs:
        opened.append(httpx.Client(headers=headers))
        return ElevenLabs(api_key=api_key, base_url=base_urls("elevenlabs"), httpx_client=opened[-1])

    yield open_one
    for client in opened:
        client.close()


@pytest.fixture(scope="module")
def open_deepgram(base_urls) -> Iterator[Callable[..., DeepgramClient]]:
    import httpx
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

    opened: list[httpx.Client] = []

    def open_one(api_key: str = "test", **headers: str) -> DeepgramClient:
        opened.append(httpx.Client(headers=headers))
        url = base_urls("deepgram")
        environment = DeepgramClientEnvironment(base=url, production=url, agent=url, agent_rest=url)
        return DeepgramClient(api_key=api_key, environment=environment, httpx_client=opened[-1])

    yield open_one
    for client in opened:
        client.close()


@pytest.mark.parametrize(("output_format", "container"), [("mp3_44100_128", "mp3"), ("opus_48000_64", "ogg")])
def test_elevenlabs_converts(open_elevenlabs, output_format, container) -> None:
    pieces = open_elevenlabs().text_to_speech.convert(
        VOICE, text=TEXT, model_id="eleven_multilingual_v2", output_format=output_format
    )
    audio = decode(b"".join(pieces))
    assert (audio.container, audio.duration_s > 1) == (container, True)


def test_elevenlabs_streams(open_elevenlabs) -> None:
    pieces = list(open_elevenlabs().text_to_speech.stream(VOICE, text=TEXT, model_id="eleven_flash_v2_5"))
    assert len(pieces) > 1
    assert decode(b"".join(pieces)).duration_s > 1


def test_elevenlabs_has_the_time_of_each_character(open_elevenlabs) -> None:
    response = open_elevenlabs().text_to_speech.convert_with_timestamps(VOICE, text=TEXT, model_id="eleven_flash_v2_5")
    assert "".join(response.alignment.characters) == TEXT
    times = response.alignment.character_start_times_seconds
    assert times == sorted(times)


def test_elevenlabs_streams_the_time_of_each_character(open_elevenlabs) -> None:
    lines = list(
        open_elevenlabs().text_to_speech.stream_with_timestamps(VOICE, text=TEXT, model_id="eleven_flash_v2_5")
    )
    spoken = [character for line in lines if line.alignment for character in line.alignment.characters]
    assert "".join(spoken) == TEXT


def test_elevenlabs_lists_models(open_elevenlabs) -> None:
    names = {model.model_id for model in open_elevenlabs().models.list()}
    assert names >= {"eleven_multilingual_v2", "eleven_flash_v2_5", "eleven_v3"}


@pytest.mark.parametrize(
    ("key", "scenario", "status", "word"),
    [
        ("invalid-key", "", 401, "invalid_api_key"),
        ("test", "no-credit", 401, "quota_exceeded"),
        ("test", "rate-limited", 429, "too_many_concurrent_requests"),
    ],
)
def test_elevenlabs_shows_the_documented_error(open_elevenlabs, key, scenario, status, word) -> None:
    from elevenlabs.core.api_error import ApiError

    client = open_elevenlabs(key, **{SCENARIO_HEADER: scenario})
    with pytest.raises(ApiError) as error:
        list(
            client.text_to_speech.convert(
                VOICE, text=TEXT, model_id="eleven_flash_v2_5", request_options={"max_retries": 0}
            )
        )
    assert error.value.status_code == status
    assert word in str(error.value.body)


@pytest.mark.parametrize(("options", "container"), [({}, "mp3"), ({"encoding": "linear16"}, "wav")])
def test_deepgram_generates(open_deepgram, options: dict[str, Any], container) -> None:
    pieces = open_deepgram().speak.v1.audio.generate(text=TEXT, model="aura-2-thalia-en", **options)
    audio = decode(b"".join(pieces))
    assert (audio.container, audio.duration_s > 1) == (container, True)


@pytest.mark.parametrize(
    ("key", "text", "status", "word"),
    [("invalid-key", TEXT, 401, "INVALID_AUTH"), ("test", "a" * 2001, 413, "PAYLOAD_TOO_LARGE")],
)
def test_deepgram_shows_the_documented_error(open_deepgram, key, text, status, word) -> None:
    from deepgram.core.api_error import ApiError

    with pytest.raises(ApiError) as error:
        list(open_deepgram(key).speak.v1.audio.generate(text=text, model="aura-2-thalia-en"))
    assert error.value.status_code == status
    assert word in str(error.value.body)
