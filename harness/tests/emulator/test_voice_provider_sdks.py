"""The official Python clients of Cartesia, Murf and LMNT, unmodified, against the emulator over a real socket."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import voicegauge
from voicegauge.emulator.process import SCENARIO_HEADER
from voicegauge.speech.decoding import decode
from voicegauge.speech.encoding import encode

if TYPE_CHECKING:  # they take seconds to import: imported by the fixtures that use them
    from cartesia import Cartesia
    from lmnt import Lmnt
    from murf import Murf

TEXT = "Good morning. This is a short test."
KATIE = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
PCM = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}


@pytest.fixture(scope="module")
def base_urls() -> Iterator[Callable[[str], str]]:
    with voicegauge.emulate(["cartesia", "murf", "lmnt"], time_scale=0.05) as emulator:
        yield emulator.base_url


@pytest.fixture(scope="module")
def open_cartesia(base_urls) -> Iterator[Callable[..., Cartesia]]:
    from cartesia import Cartesia

    opened: list[Cartesia] = []

    def open_one(api_key: str = "test", **headers: str) -> Cartesia:
        opened.append(Cartesia(api_key=api_key, base_url=base_urls("cartesia"), default_headers=headers, max_retries=0))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()


@pytest.fixture(scope="module")
def open_murf(base_urls) -> Iterator[Callable[..., Murf]]:
    import httpx
    from murf import Murf
    from murf.environment import MurfEnvironment

    opened: list[httpx.Client] = []
    url = base_urls("murf")
    environment = MurfEnvironment(**dict.fromkeys(vars(MurfEnvironment.DEFAULT), url))

    def open_one(api_key: str = "test", **headers: str) -> Murf:
        opened.append(httpx.Client(headers=headers))
        return Murf(api_key=api_key, environment=environment, httpx_client=opened[-1])

    yield open_one
    for client in opened:
        client.close()


@pytest.fixture(scope="module")
def open_lmnt(base_urls) -> Iterator[Callable[..., Lmnt]]:
    from lmnt import Lmnt

    opened: list[Lmnt] = []

    def open_one(api_key: str = "test", **headers: str) -> Lmnt:
        opened.append(Lmnt(api_key=api_key, base_url=base_urls("lmnt"), default_headers=headers, max_retries=0))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()


@pytest.mark.parametrize(
    ("output_format", "container", "sample_rate_hz"),
    [
        ({"container": "wav", "encoding": "pcm_s16le", "sample_rate": 16000}, "wav", 16000),
        ({"container": "mp3", "sample_rate": 22050, "bit_rate": 64000}, "mp3", 22050),
    ],
)
def test_cartesia_generates_a_format_that_is_an_object(
    open_cartesia, output_format: dict[str, Any], container, sample_rate_hz
) -> None:
    response = open_cartesia().tts.generate(
        model_id="sonic-3.5", transcript=TEXT, voice={"id": KATIE}, output_format=output_format
    )
    audio = decode(response.read())
    assert (audio.container, audio.sample_rate_hz, audio.duration_s > 1) == (container, sample_rate_hz, True)


def test_cartesia_streams_events(open_cartesia) -> None:
    events = list(
        open_cartesia().tts.generate_sse(
            model_id="sonic-3", transcript=TEXT, voice={"id": KATIE}, output_format=PCM, language="en"
        )
    )
    assert [event.type for event in events] == ["chunk"] * (len(events) - 1) + ["done"]
    samples = b"".join(event.audio for event in events if event.type == "chunk")
    assert len(samples) > 24000 * 2  # a second of 16-bit samples


def test_a_voice_is_cloned_at_cartesia_listed_and_deleted(open_cartesia) -> None:
    voices = open_cartesia("an account of its own").voices
    stock = {voice.id for voice in voices.list().data}
    assert KATIE in stock
    cloned = voices.clone(clip=b"RIFF", name="Anna", language="en")
    listed = {voice.id: voice.name for voice in voices.list().data}
    assert listed.keys() - stock == {cloned.id}
    assert [voice.id for voice in voices.list(is_owner=True).data] == [cloned.id]
    voices.delete(cloned.id)
    assert {voice.id for voice in voices.list().data} == stock


@pytest.mark.parametrize(
    ("key", "scenario", "error_name", "code"),
    [
        ("invalid-key", "", "AuthenticationError", None),
        ("test", "rate-limited", "RateLimitError", "concurrency_limited"),
    ],
)
def test_cartesia_shows_the_documented_error(open_cartesia, key, scenario, error_name, code) -> None:
    import cartesia

    client = open_cartesia(key, **{SCENARIO_HEADER: scenario})
    with pytest.raises(getattr(cartesia, error_name)) as error:
        client.tts.generate(model_id="sonic-3.5", transcript=TEXT, voice={"id": KATIE}, output_format=PCM)
    assert error.value.body["error_code"] == code


def test_murf_generates_a_file_with_the_time_of_each_word(open_murf) -> None:
    import httpx

    response = open_murf().text_to_speech.generate(text=TEXT, voice_id="en-US-natalie", format="MP3", locale="en-US")
    audio = decode(httpx.get(response.audio_file).content)
    assert (audio.container, audio.duration_s > 1) == ("mp3", True)
    starts = [word.start_ms for word in response.word_durations]
    assert len(starts) > 1
    assert starts == sorted(starts)


def test_murf_generates_base64(open_murf) -> None:
    response = open_murf().text_to_speech.generate(text=TEXT, voice_id="en-US-natalie", encode_as_base_64=True)
    audio = decode(base64.b64decode(response.encoded_audio))
    assert (audio.container, audio.sample_rate_hz) == ("wav", 44100)


@pytest.mark.parametrize(("sample_rate", "expected_hz"), [({}, 24000), ({"sample_rate": 8000}, 8000)])
def test_murf_streams_at_the_requested_sample_rate(open_murf, sample_rate: dict[str, float], expected_hz) -> None:
    pieces = list(open_murf().text_to_speech.stream(text=TEXT, voice_id="en-US-natalie", model="FALCON", **sample_rate))
    assert len(pieces) > 1
    assert decode(b"".join(pieces)).sample_rate_hz == expected_hz


def test_murf_lists_voices(open_murf) -> None:
    voices = open_murf().text_to_speech.get_voices()
    assert {voice.voice_id for voice in voices} == {"en-US-natalie", "en-US-matthew"}


@pytest.mark.parametrize(
    ("key", "scenario", "error_name"),
    [("invalid-key", "", "ForbiddenError"), ("test", "no-credit", "PaymentRequiredError")],
)
def test_murf_shows_the_documented_error(open_murf, key, scenario, error_name) -> None:
    from murf import errors

    client = open_murf(key, **{SCENARIO_HEADER: scenario})
    with pytest.raises(getattr(errors, error_name)):
        client.text_to_speech.generate(text=TEXT, voice_id="en-US-natalie")


@pytest.mark.parametrize(
    ("options", "container", "sample_rate_hz"),
    [({}, "mp3", 24000), ({"format": "wav", "sample_rate": 16000}, "wav", 16000)],
)
def test_lmnt_generates(open_lmnt, options: dict[str, Any], container, sample_rate_hz) -> None:
    audio = decode(open_lmnt().speech.generate(text=TEXT, voice="leah", **options).read())
    assert (audio.container, audio.sample_rate_hz, audio.duration_s > 1) == (container, sample_rate_hz, True)


def test_lmnt_streams(open_lmnt) -> None:
    with open_lmnt().speech.with_streaming_response.generate(text=TEXT, voice="leah") as response:
        pieces = list(response.iter_bytes())
    assert len(pieces) > 1
    assert decode(b"".join(pieces)).duration_s > 1


def test_lmnt_has_the_time_of_each_word(open_lmnt) -> None:
    response = open_lmnt().speech.generate_detailed(text=TEXT, voice="leah", return_timestamps=True)
    audio = decode(base64.b64decode(response.audio))
    last = response.timestamps[-1]
    assert 0 < last.start + last.duration <= audio.duration_s


def test_a_voice_is_cloned_at_lmnt_changed_listed_and_deleted(open_lmnt) -> None:
    clip, _ = encode(np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32), 8000, "wav")
    voices = open_lmnt("an account of its own").voices
    stock = {voice.id for voice in voices.list()}
    assert "leah" in stock
    cloned = voices.create(file=("clip.wav", clip), name="Anna", tags=["calm", "low"])
    assert {voice.id: voice.name for voice in voices.list() if voice.id not in stock} == {cloned.id: "Anna"}
    changed = voices.update(cloned.id, name="Bea", starred=True, tags=["loud"]).voice
    assert (changed.id, changed.name, changed.starred, changed.tags) == (cloned.id, "Bea", True, ["loud"])
    assert voices.delete(cloned.id).success
    assert {voice.id for voice in voices.list()} == stock


@pytest.mark.parametrize(
    ("key", "text", "error_name", "error_type"),
    [
        ("invalid-key", TEXT, "AuthenticationError", "authentication_error"),
        ("test", "a" * 5001, "BadRequestError", "invalid_request_error"),
    ],
)
def test_lmnt_shows_the_documented_error(open_lmnt, key, text, error_name, error_type) -> None:
    import lmnt

    with pytest.raises(getattr(lmnt, error_name)) as error:
        open_lmnt(key).speech.generate(text=text, voice="leah")
    assert error.value.type == error_type
