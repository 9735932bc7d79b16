"""The official Python clients of Mistral and Inworld, unmodified, against the emulator over a real socket."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import pytest

import voicegauge
from voicegauge.speech.decoding import decode

TEXT = "Good morning. This is a short test."
MODEL, VOICE = "voxtral-mini-tts-3-0", "gb_jane_neutral"


@pytest.fixture(scope="module")
def base_urls() -> Iterator[Callable[[str], str]]:
    with voicegauge.emulate(["mistral", "inworld"], time_scale=0.05) as emulator:
        yield emulator.base_url


@pytest.fixture(scope="module")
def mistral(base_urls):
    from mistralai.client import Mistral

    with Mistral(api_key="test", server_url=base_urls("mistral")) as client:
        yield client


def test_mistral_speaks(mistral) -> None:
    response = mistral.audio.speech.complete(model=MODEL, input=TEXT, voice_id=VOICE, response_format="wav")
    audio = decode(base64.b64decode(response.audio_data))
    assert (audio.container, audio.duration_s > 1) == ("wav", True)


def test_mistral_streams_events(mistral) -> None:
    with mistral.audio.speech.complete(model=MODEL, input=TEXT, voice_id=VOICE, stream=True) as stream:
        events = list(stream)
    *deltas, done = events
    assert {event.event for event in deltas} == {"speech.audio.delta"}
    assert done.event == "speech.audio.done"
    assert done.data.usage is not None
    assert decode(b"".join(base64.b64decode(event.data.audio_data) for event in deltas)).duration_s > 1


def test_mistral_lists_voices(mistral) -> None:
    with pytest.deprecated_call():  # by the client's newest version, in favor of version 2 of the operation
        assert [voice.name for voice in mistral.audio.voices.list().items] == ["Narrator", "Jane"]


def test_mistral_shows_the_documented_error(base_urls) -> None:
    from mistralai.client import Mistral
    from mistralai.client.errors import SDKError

    with Mistral(api_key="invalid-key", server_url=base_urls("mistral")) as client, pytest.raises(SDKError) as error:
        client.audio.speech.complete(model=MODEL, input=TEXT, voice_id=VOICE)
    assert error.value.status_code == 401


@pytest.fixture(scope="module")
def open_inworld(base_urls):
    from inworld_tts import InworldTTS

    return lambda key="test": InworldTTS(api_key=key, base_url=base_urls("inworld"), max_retries=0)


def test_inworld_generates(open_inworld) -> None:
    audio = decode(open_inworld().generate(TEXT, voice="Ashley", model="inworld-tts-2", encoding="LINEAR16"))
    assert (audio.container, audio.duration_s > 1) == ("wav", True)


async def test_inworld_streams(open_inworld) -> None:
    pieces = [piece async for piece in open_inworld().stream(TEXT, voice="Ashley", model="inworld-tts-2")]
    assert len(pieces) > 1
    assert decode(b"".join(pieces)).duration_s > 1


def test_inworld_has_the_time_of_each_word(open_inworld) -> None:
    response = open_inworld().generate_with_timestamps(
        TEXT, voice="Ashley", model="inworld-tts-2", timestamp_type="WORD"
    )
    alignment = response["timestamps"]["wordAlignment"]
    assert len(alignment["words"]) == len(TEXT.split())
    assert alignment["wordStartTimeSeconds"] == sorted(alignment["wordStartTimeSeconds"])


def test_inworld_shows_the_documented_error(open_inworld) -> None:
    from inworld_tts import ApiError

    with pytest.raises(ApiError, match="key is missing or wrong") as error:
        open_inworld("invalid-key").generate(TEXT, voice="Ashley", model="inworld-tts-2")
    assert error.value.code == 401
