"""The emulator delivers what a request asks for, and its errors name what is wrong, by bundled contracts."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.emulator.server import running_app
from voicegauge.speech.decoding import RawAudioFormat, decode

from ..builders.contracts import load_text

TEXT = "Good morning."
VOICE = "21m00Tcm4TlvDq8ikWAM"
PROVIDERS = ("cartesia", "deepgram", "elevenlabs", "google", "inworld", "mistral", "openai", "xai")
CARTESIA = {"Authorization": "Bearer k", "Cartesia-Version": "2026-03-01"}


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    contracts = [load_catalogue().find_provider(name) for name in PROVIDERS]
    with running_app(create_app(contracts, EmulatorSettings(clock="per-poll"))) as url:
        yield url


@pytest.mark.parametrize(
    ("encoding", "rate", "container"), [("MP3", 22050, "mp3"), ("LINEAR16", 8000, "wav"), ("PCM", 16000, "pcm")]
)
def test_google_and_inworld_deliver_the_requested_sample_rate(root, encoding, rate, container) -> None:
    config = {"audioEncoding": encoding, "sampleRateHertz": rate}
    voice = {"languageCode": "en-GB", "name": "en-GB-Standard-A"}
    bodies = [
        ("google/v1/text:synthesize", {"input": {"text": TEXT}, "voice": voice, "audioConfig": config}),
        (
            "inworld/tts/v1/voice",
            {"text": TEXT, "voiceId": "Ashley", "modelId": "inworld-tts-2", "audioConfig": config},
        ),
    ]
    raw = RawAudioFormat(format="pcm_s16le", sample_rate_hz=rate)
    for path, body in bodies if container != "pcm" else bodies[:1]:  # Inworld documents no format without a header
        headers = {"X-Goog-Api-Key": "k", "Authorization": "Basic k"}
        response = httpx.post(f"{root}/{path}", headers=headers, json=body)
        audio = decode(base64.b64decode(response.json()["audioContent"]), declared_format=raw)
        assert (audio.container, audio.sample_rate_hz) == (container, rate)


def test_xai_delivers_the_requested_sample_rate_and_bit_rate(root) -> None:
    def speak(**output_format: Any) -> bytes:
        body = {"text": TEXT, "language": "en", "output_format": output_format}
        return httpx.post(f"{root}/xai/v1/tts", headers={"Authorization": "Bearer k"}, json=body).content

    assert decode(speak(codec="wav", sample_rate=8000)).sample_rate_hz == 8000
    sizes = [len(speak(codec="mp3", sample_rate=44100, bit_rate=rate)) for rate in (192000, 64000)]
    assert sizes[1] < 0.5 * sizes[0]


@pytest.mark.parametrize(
    ("query", "container", "codec", "rate"),
    [
        ({"encoding": "linear16", "sample_rate": 16000}, "wav", "pcm_16", 16000),
        ({"encoding": "linear16", "sample_rate": 16000, "container": "none"}, "pcm", "pcm_16", 16000),
        ({"encoding": "mulaw", "container": "none"}, "pcm", "ulaw", 8000),
        ({"encoding": "mulaw"}, "wav", "pcm_16", 8000),
    ],
)
def test_deepgram_delivers_the_requested_container(root, query, container, codec, rate) -> None:
    response = httpx.post(
        f"{root}/deepgram/v1/speak",
        params={"model": "aura-2-thalia-en", **query},
        headers={"Authorization": "Token k"},
        json={"text": TEXT},
    )
    declared = RawAudioFormat(format="mulaw" if codec == "ulaw" else "pcm_s16le", sample_rate_hz=rate)
    audio = decode(response.content, declared_format=declared)
    assert (audio.container, audio.codec, audio.sample_rate_hz) == (container, codec, rate)


def list_voices(root: str, **query: Any) -> Any:
    return httpx.get(f"{root}/cartesia/voices", params=query, headers=CARTESIA).json()


def test_pages_of_a_list_end(root) -> None:
    everything = list_voices(root)
    first = list_voices(root, limit=1)
    second = list_voices(root, limit=1, starting_after=first["data"][-1]["id"])
    assert first["data"] + second["data"] == everything["data"]
    assert (first["has_more"], second["has_more"], everything["has_more"]) == (True, False, False)
    assert list_voices(root, starting_after=second["data"][-1]["id"])["data"] == []


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        (f"elevenlabs/v1/text-to-speech/{VOICE}", {"text": TEXT, "model_id": "no-model"}, "model_not_found"),
        (f"elevenlabs/v1/text-to-speech/{VOICE}", {"model_id": "eleven_v3"}, '"loc":["body","text"]'),
        (
            f"elevenlabs/v1/text-to-speech/{VOICE}",
            {"text": TEXT, "seed": -1},
            '"loc":["body","seed"]',
        ),
        (
            "openai/audio/speech",
            {"input": TEXT, "model": "tts-1", "voice": "alloy", "stream_format": "x"},
            '"param":"stream_format"',
        ),
        (
            "mistral/v1/audio/speech",
            {"input": TEXT, "model": "no-model", "voice": "alloy"},
            "model: no such model: 'no-model'",
        ),
        (
            "cartesia/tts/bytes",
            {
                "model_id": "no-model",
                "transcript": TEXT,
                "voice": {"mode": "id", "id": VOICE},
                "output_format": {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 24000},
            },
            '"error_code":"model_not_found","title":"Invalid model","message":"model_id:',
        ),
    ],
)
def test_an_error_names_the_field_that_is_wrong(root, path, body, names) -> None:
    headers = {"Authorization": "Bearer k", "xi-api-key": "k"} | CARTESIA
    response = httpx.post(f"{root}/{path}", headers=headers, json=body)
    assert response.status_code in (400, 422)
    assert names in response.text


def test_a_changed_voice_is_read_and_listed_as_changed(root) -> None:
    with httpx.Client(base_url=f"{root}/cartesia", headers=CARTESIA) as http:
        clip = {"clip": ("clip.wav", b"RIFF", "audio/wav")}
        made = http.post("/voices/clone", data={"name": "Anna", "language": "en"}, files=clip).json()
        assert http.get(f"/voices/{made['id']}").json()["name"] == "Anna"
        assert http.patch(f"/voices/{made['id']}", json={"name": "Ben"}).json()["name"] == "Ben"
        assert {v["id"]: v["name"] for v in http.get("/voices").json()["data"]}[made["id"]] == "Ben"
        assert http.delete(f"/voices/{made['id']}").status_code == 204
        assert http.get(f"/voices/{made['id']}").status_code == 404


PAGES = """\
openapi: 3.1.0
info: {{title: Acme, version: "1"}}
servers: [{{url: "https://api.acme.test"}}]
x-provider: {{id: acme, title: Acme, key_variable: ACME_KEY, sources: {{acme.txt: {{title: Acme, date: 2026-01-01}}}}}}
paths:
  /voices:
    get:
      operationId: listVoices
      x-pagination: {{items_location: "body#/items", page_size_location: query.size, {keys}}}
      parameters:
        - {{name: size, in: query, schema: {{type: integer, default: 2}}}}
        - {{name: at, in: query, schema: {{type: {cursor_type}}}}}
      responses:
        "200":
          description: A page
          content:
            application/json:
              schema:
                type: object
                properties:
                  items: {{type: array, items: {{type: string}}}}
                  next: {{type: [{cursor_type}, "null"]}}
                  total: {{type: integer}}
                  pages: {{type: integer}}
              examples: {{all: {{value: {{items: [a, b, c, d, e], next: null, total: 5, pages: 3}}}}}}
        "400": {{description: Rejected}}
"""


def load_paged(folder: Path, keys: str, cursor_type: str) -> Contract:
    return load_text(folder, PAGES.format(keys=keys, cursor_type=cursor_type))


@pytest.fixture
def read_pages(tmp_path) -> Callable[[str, str, str], list[Any]]:
    """Follow the pages of a contract to the end, as a client would."""

    def read(keys: str, cursor_type: str, first: str) -> list[Any]:
        with running_app(create_app([load_paged(tmp_path, keys, cursor_type)], EmulatorSettings())) as url:
            bodies, cursor = [], first
            while len(bodies) < 9:
                query = {"at": cursor} if cursor else {}
                bodies.append(httpx.get(f"{url}/acme/voices", params=query).json())
                cursor = str(bodies[-1].get("next") or "")
                if not cursor:
                    return bodies
            return bodies

    return read


@pytest.mark.parametrize(
    ("keys", "cursor_type", "first"),
    [
        ("cursor_kind: token, cursor_location: query.at, next_cursor_location: 'body#/next'", "string", ""),
        ("cursor_kind: offset, cursor_location: query.at, next_cursor_location: 'body#/next'", "integer", "0"),
        ("cursor_kind: page, cursor_location: query.at, next_cursor_location: 'body#/next'", "integer", "1"),
    ],
)
def test_each_kind_of_cursor_leads_through_all_pages(read_pages, keys, cursor_type, first) -> None:
    counts = ", total_count_location: 'body#/total', page_count_location: 'body#/pages'"
    bodies = read_pages(keys + counts, cursor_type, first)
    assert [body["items"] for body in bodies] == [["a", "b"], ["c", "d"], ["e"]]
    assert {(body["total"], body["pages"]) for body in bodies} == {(5, 3)}
    assert bodies[-1]["next"] is None


def test_a_page_that_was_never_offered_is_rejected(tmp_path) -> None:
    keys = "cursor_kind: token, cursor_location: query.at, next_cursor_location: 'body#/next'"
    with running_app(create_app([load_paged(tmp_path, keys, "string")], EmulatorSettings())) as url:
        for cursor in ("2", "after-", "after-" + "9" * 5000):
            assert httpx.get(f"{url}/acme/voices", params={"at": cursor}).status_code == 400
