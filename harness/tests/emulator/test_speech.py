"""Responses carry real speech in the requested language and format."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from voicegauge.speech.audio_measurement import is_silent
from voicegauge.speech.decoding import DecodedAudio, RawAudioFormat, decode
from voicegauge.speech.encoding import encode


async def _speak(api: Any, text: str = "Hello there, my friend", **body: Any) -> tuple[DecodedAudio, Any]:
    job = (await api.submit(text, **body)).json()["id"]
    await api.states(job, 1)
    done = (await api.send("GET", f"/jobs/{job}")).json()
    response = await api.send("GET", done["audio"])
    declared = RawAudioFormat(sample_rate_hz=24000) if done["type"] == "audio/pcm" else None
    return decode(response.content, declared_format=declared), response


@pytest.mark.parametrize(
    ("name", "media_type", "container"),
    [
        ("wav", "audio/wav", "wav"),
        ("mp3", "audio/mpeg", "mp3"),
        ("flac", "audio/flac", "flac"),
        ("ogg", "audio/ogg", "ogg"),
        ("pcm", "audio/pcm", "pcm"),
        (None, "audio/flac", "flac"),
    ],
)
async def test_a_job_delivers_the_requested_format(
    start: Any, name: str | None, media_type: str, container: str
) -> None:
    api = await start()
    audio, response = await _speak(api, **({"format": name} if name else {}))
    assert (response.headers["Content-Type"], audio.container) == (media_type, container)
    assert not is_silent(audio.samples, audio.sample_rate_hz)
    assert 0.8 < audio.duration_s < 4


@pytest.mark.parametrize(
    ("name", "media_type", "container"),
    [
        (None, "audio/mpeg", "mp3"),
        ("wav", "audio/x-wav", "wav"),
        ("ogg", "audio/ogg", "ogg"),
        ("opus", "audio/ogg", "ogg"),
    ],
)
async def test_synchronous_audio_has_a_documented_media_type(
    start: Any, name: str | None, media_type: str, container: str
) -> None:
    api = await start()
    query = {"format": name} if name else {}
    response = await api.send("POST", "/now", data={"text": "Hello there"}, params=query)
    assert (response.status_code, response.headers["Content-Type"]) == (200, media_type)
    audio = decode(response.content)
    assert audio.container == container
    assert not is_silent(audio.samples, audio.sample_rate_hz)


async def test_base64_contains_raw_samples_at_the_declared_rate(start: Any) -> None:
    api = await start()
    tone = encode(np.sin(np.arange(32000) * 0.05).astype(np.float32), 16000, "wav")[0]
    response = await api.send("POST", "/clone", data={"text": "Hello there"}, files={"sample": ("a.wav", tone)})
    body = response.json()
    assert body["rate"] == 8000
    audio = decode(base64.b64decode(body["audio"]), declared_format=RawAudioFormat(sample_rate_hz=8000))
    assert 0.5 < audio.duration_s < 3


async def test_speed_changes_the_duration(start: Any) -> None:
    api = await start()
    lengths = [(await _speak(api, speed=speed))[0].duration_s for speed in (0.5, 1, 2)]
    assert lengths[0] > 1.6 * lengths[1] > 2.4 * lengths[2]


async def test_a_speed_that_no_float_can_hold_is_the_highest_one(start: Any) -> None:
    api = await start(faults=("accepts-invalid",))
    fast, huge = [(await _speak(api, speed=speed))[0].duration_s for speed in (1000, 10**400)]
    assert fast == huge


async def test_each_target_has_its_sample_rate_and_voice(start: Any) -> None:
    api = await start()
    small, _ = await _speak(api, format="wav")
    large, _ = await _speak(api, format="wav", model="large")
    assert (small.sample_rate_hz, large.sample_rate_hz) == (24000, 16000)
    assert small.duration_s != large.duration_s


async def test_labels_and_unspoken_text_are_not_spoken(start: Any) -> None:
    api = await start(credits=1e9)

    async def spoken(text: str, **body: Any) -> bytes:
        audio, _ = await _speak(api, text, format="wav", **body)
        return bytes(audio.samples.tobytes())

    plain = await spoken("Hello there. Good morning.")
    assert await spoken("Speaker 0: Hello there. Good morning.") == plain
    assert await spoken("Speaker 0: Hello there.\nSpeaker 1: Good morning.") == await spoken(
        "Hello there.\nGood morning."
    )
    assert await spoken("Speaker zero: Hello there. Good morning.") != plain
    cued = await spoken("(cheerful) Good morning.", model="large")
    assert cued == await spoken("Good morning.", model="large")
    assert await spoken("(cheerful) Good morning.") != await spoken("Good morning.")


async def test_a_text_of_only_a_label_is_blank(start: Any) -> None:
    api = await start()
    assert (await api.submit("Speaker 0: ")).status_code == 422


async def test_languages_and_voices_sound_different(start: Any) -> None:
    api = await start(credits=1e9)
    samples = [
        (await _speak(api, "Simon sends regards", format="wav", **body))[0].samples.tobytes()
        for body in ({}, {"lang": "de"}, {"lang": "fr"}, {"voice": "anna"}, {"voice": "bob"})
    ]
    assert len(set(samples)) == 5


async def test_the_script_determines_the_language_if_none_is_given(start: Any) -> None:
    api = await start(credits=1e9)
    russian = "Привет, как дела"
    assert (await _speak(api, russian))[0].duration_s == (await _speak(api, russian, lang="ru"))[0].duration_s
    assert (await _speak(api, russian, lang="auto"))[0].duration_s == (await _speak(api, russian, lang="ru"))[
        0
    ].duration_s


async def test_equal_requests_give_equal_bytes_and_a_seed_changes_them(start: Any) -> None:
    api = await start(credits=1e9)
    for name in ("wav", "mp3", "flac", "ogg"):
        first = (await _speak(api, format=name))[1].content
        fresh = await start(credits=1e9)
        assert (await _speak(fresh, format=name))[1].content == first
    assert (await _speak(api, format="wav", seed=4))[1].content != (await _speak(api, format="wav"))[1].content


async def test_the_default_format_has_the_documented_media_type(start: Any) -> None:
    def repair(document: dict[str, Any]) -> None:
        now = document["paths"]["/now"]["post"]
        now["responses"]["200"]["content"] = {"audio/flac": {}}
        del now["x-speech"]["targets"]["now"]["emulation"]
        del now["parameters"][0]["schema"]["default"]

    api = await start(edit=repair)
    response = await api.send("POST", "/now", data={"text": "Hello there"})
    assert response.headers["Content-Type"] == "audio/flac"
    assert decode(response.content).container == "flac"
