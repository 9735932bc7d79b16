"""The emulator transcribes and converts uploaded audio."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from typing import Any

import numpy as np
import pytest

from voicegauge.client.client import Client
from voicegauge.client.speech_request import RequestParts, build_audio_input_request
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator import _audio_input_endpoint as audio_input_endpoint
from voicegauge.emulator import _transcription as transcription
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.model.exchange import Exchange, UploadedFile
from voicegauge.speech import decoding
from voicegauge.speech.encoding import encode_at_bitrate
from voicegauge.transport.http import Transport

URL = "http://127.0.0.1:9"
RATE_HZ = 16_000


class WaitingAsr:
    """An ASR engine that counts its transcriptions, each of which waits until it is released."""

    count = 0
    started, released = threading.Event(), threading.Event()

    def supports_language(self, language: str) -> bool:
        return language == "en"

    def transcribe(self, samples: object, language: str) -> str:
        type(self).count += 1
        self.started.set()
        self.released.wait()
        return "four words were spoken"


@pytest.fixture
def ttsai(monkeypatch: pytest.MonkeyPatch) -> Contract:
    monkeypatch.setattr(transcription, "load_embedded_asr", WaitingAsr)
    WaitingAsr.started.clear()
    WaitingAsr.released.set()
    transcription._transcript_cache.clear()
    return load_catalogue().find_provider("ttsai")


def recording(seconds: float = 1.0, *, silent: bool = False) -> UploadedFile:
    noise = np.random.default_rng(0).normal(0, 0.0 if silent else 0.1, int(RATE_HZ * seconds)).astype(np.float32)
    return UploadedFile(filename="a.wav", media_type="audio/wav", data=encode_at_bitrate(noise, RATE_HZ, "wav"))


async def sent(
    contract: Contract,
    *wanted: tuple[str, UploadedFile, dict[Any, Any]],
    credits: float = 1e9,
    all_arrived: threading.Event | None = None,
) -> list[Exchange]:
    """Send requests concurrently and return their exchanges; `all_arrived` is set when the emulator has all of them."""
    emulator = create_app([contract], EmulatorSettings(clock="per-poll", credits=credits, enforces_rate_limits=False))
    arrived = itertools.count(1)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if next(arrived) == len(wanted) and all_arrived is not None:
            all_arrived.set()
        await emulator(scope, receive, send)

    async with Transport(app=app) as transport:
        client = Client(contract, transport, base_urls={"": f"{URL}/ttsai"}, key="key")
        wires = [
            (
                contract.audio_input_targets[name],
                build_audio_input_request(contract.audio_input_targets[name], file, words),
            )
            for name, file, words in wanted
        ]
        return await asyncio.gather(*(client.send_operation(intake.operation, wire) for intake, wire in wires))


def body(exchange: Exchange) -> Any:
    assert exchange.response.status == 200, exchange.response.body
    return json.loads(exchange.response.body)


async def test_silence_has_an_empty_transcript(ttsai) -> None:
    (response,) = await sent(ttsai, ("stt-whisper", recording(silent=True), {}))
    assert (body(response)["text"], body(response)["segments"], body(response)["duration"]) == ("", [], 1.0)


async def test_an_unsupported_language_gets_a_marked_transcript(ttsai) -> None:
    (response,) = await sent(ttsai, ("stt-whisper", recording(), {"language": "de"}))
    assert body(response)["text"] == transcription.UNSUPPORTED_LANGUAGE_TRANSCRIPT
    assert "EMULATED" in transcription.UNSUPPORTED_LANGUAGE_TRANSCRIPT


async def test_a_translation_is_marked_as_emulated(ttsai) -> None:
    (response,) = await sent(ttsai, ("translation", recording(), {"language": "fr"}))
    found = body(response)
    assert found["original_text"] == "four words were spoken"
    assert found["translated_text"] == "EMULATED translation into fr: four words were spoken"
    assert (found["source_language"], found["target_language"]) == ("en", "fr")


async def test_audio_is_charged_by_duration_and_an_empty_account_is_rejected(ttsai) -> None:
    (response,) = await sent(ttsai, ("stt-whisper", recording(3.0), {}))
    assert float(response.response.find_header("x-credits-used") or 0) == pytest.approx(2000 * 3 / 60)
    (response,) = await sent(ttsai, ("stt-whisper", recording(3.0), {}), credits=99)
    assert response.response.status == 402


@pytest.mark.parametrize(("limit_bytes", "decoded_count"), [(2**20, 2), (100_000, 3), (0, 4)])
async def test_only_a_limited_amount_of_decoded_audio_is_remembered(
    ttsai, monkeypatch: pytest.MonkeyPatch, limit_bytes: int, decoded_count: int
) -> None:
    """A file of silence has far more samples than bytes."""
    monkeypatch.setattr(audio_input_endpoint, "MAX_REMEMBERED_BYTES", limit_bytes)
    decoded: list[bytes] = []
    decode_really = decoding.decode

    def decode(content: bytes) -> Any:
        decoded.append(content)
        return decode_really(content)

    monkeypatch.setattr(decoding, "decode", decode)
    # Lengths that no other test uses: what is remembered is common to all emulators of a process.
    one, other = (recording(1 + 0.01 * decoded_count + more, silent=True) for more in (0.001, 0.002))
    for file in (one, other, other, one):
        await sent(ttsai, ("stt-whisper", file, {}))
    assert len(decoded) == 2 + decoded_count  # the check of an upload decodes each file once


async def test_a_recording_is_transcribed_once(ttsai) -> None:
    before = WaitingAsr.count
    WaitingAsr.released.clear()
    uploads = (("stt-whisper", recording(), {}) for _ in range(6))
    responses = await sent(ttsai, *uploads, all_arrived=WaitingAsr.released)
    assert {body(response)["text"] for response in responses} == {"four words were spoken"}
    assert WaitingAsr.count == before + 1


async def test_other_requests_are_served_during_transcription(ttsai) -> None:
    WaitingAsr.released.clear()
    app = create_app([ttsai], EmulatorSettings(clock="per-poll", credits=1e9, enforces_rate_limits=False))
    async with Transport(app=app) as transport:
        client = Client(ttsai, transport, base_urls={"": f"{URL}/ttsai"}, key="key")
        intake = ttsai.audio_input_targets["stt-whisper"]
        listening = asyncio.create_task(
            client.send_operation(intake.operation, build_audio_input_request(intake, recording()))
        )
        await asyncio.to_thread(WaitingAsr.started.wait)
        response = await client.send_operation(ttsai.find_operation("getHealth"), RequestParts())
        assert response.response.status == 200
        assert not listening.done()
        WaitingAsr.released.set()
        assert body(await listening)["text"] == "four words were spoken"


@pytest.mark.parametrize("name", ["stt-whisper", "voice-openvoice", "enhance", "analysis", "convert", "translation"])
async def test_an_upload_that_is_not_audio_is_rejected_as_documented(ttsai, name) -> None:
    text = UploadedFile(filename="a.txt", media_type="text/plain", data=b"no recording")
    words = {"format": "wav"} if name == "convert" else {}
    (response,) = await sent(ttsai, (name, text, words))
    assert response.response.status == 400
    assert json.loads(response.response.body)["error"]["code"] == "bad_request"


async def test_uploads_are_decoded_one_at_a_time(ttsai, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may decode to hundreds of megabytes."""
    from voicegauge.speech import decoding

    decode, active, most, all_arrived = decoding.decode, [0], [0], threading.Event()

    def count(data: bytes) -> Any:
        active[0] += 1
        most[0] = max(most[0], active[0])
        all_arrived.wait()
        active[0] -= 1
        return decode(data)

    monkeypatch.setattr(decoding, "decode", count)
    uploads = (("stt-whisper", recording(0.5 + number / 100, silent=True), {}) for number in range(4))
    await sent(ttsai, *uploads, all_arrived=all_arrived)
    assert most == [1]
