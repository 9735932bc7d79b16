"""Streams have the documented events, contain real speech and arrive at the emulated pace."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.emulator.app import create_app
from voicegauge.emulator.fault_injection import FAULTS
from voicegauge.emulator.process import SCENARIO_HEADER, EmulatorSettings
from voicegauge.files import find_bundled_folder
from voicegauge.speech.decoding import MAX_AUDIO_DURATION_S, decode

from ..builders.contracts import load_trusted
from ..builders.servers import serving
from ..builders.virtual_time import in_virtual_time

TEXT = "Good morning, this is a test of ten words or so."
REQUEST = {"model": "kokoro", "text": TEXT, "voice": "af_bella", "format": "wav"}
PATH = "/ttsai/v1/tts/stream/"


class Received(NamedTuple):
    """One event, with its time in seconds since the response head."""

    kind: str
    data: dict[str, Any]
    at_s: float


@pytest.fixture(scope="session")
def ttsai() -> Contract:
    return load_contract(find_bundled_folder("contracts") / "ttsai" / "openapi.yaml")


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[str, str], Contract]:
    """Load the bundled contract with one text replaced."""

    def edit(old: str, new: str) -> Contract:
        text = (find_bundled_folder("contracts") / "ttsai" / "openapi.yaml").read_text()
        assert old in text
        path = tmp_path / "openapi.yaml"
        path.write_text(text.replace(old, new))
        return load_trusted(path)

    return edit


async def _events(url: str, **headers: str) -> list[Received]:
    """Read a stream without the library's own parser."""
    async with (
        httpx.AsyncClient(verify=False) as http,  # noqa: S501 - plain HTTP alone
        http.stream("POST", url + PATH, json=REQUEST, headers={"Authorization": "Bearer k", **headers}) as response,
    ):
        assert response.headers["content-type"] == "text/event-stream"
        assert "content-length" not in response.headers
        began, rest, found = time.monotonic(), "", []
        async for piece in response.aiter_text():
            *whole, rest = (rest + piece).split("\n\n")
            for block in whole:
                lines = dict(line.split(": ", 1) for line in block.split("\n"))
                found.append(Received(lines["event"], json.loads(lines["data"]), time.monotonic() - began))
        assert not rest
    return found


def _speech(events: list[Received]) -> bytes:
    return b"".join(base64.b64decode(event.data["audio"]) for event in events if event.kind == "audio")


async def test_a_stream_has_the_documented_events_and_all_speech(serve, ttsai) -> None:
    url = await serve(create_app([ttsai], EmulatorSettings(clock="per-poll")))
    events = await _events(url)
    kinds = [event.kind for event in events]
    assert (kinds[0], kinds[-1]) == ("start", "done")
    assert set(kinds[1:-1]) == {"audio"}
    assert [event.data["index"] for event in events[1:-1]] == list(range(len(events) - 2))
    audio = decode(_speech(events))
    assert not audio.is_truncated
    assert len(events) - 2 == pytest.approx(audio.duration_s / 0.25, abs=1)
    assert 2 < audio.duration_s < 8


@in_virtual_time
async def test_pieces_arrive_at_the_documented_pace(edited) -> None:
    pace = "processing_ms_per_character: 0\n              default_format: mp3\n          melotts-stream"
    pacing = "pacing: {chunk_audio_s: 0.5, speed_factor: 2.5}"
    steady = f"log_duration_deviation: 0\n              {pacing}\n              default_format"
    contract = edited(pace, pace.replace("default_format", steady))
    async with serving(create_app([contract], EmulatorSettings())) as url:
        events = await _events(url)
    audio = [event for event in events if event.kind == "audio"]
    gaps_s = [after.at_s - before.at_s for before, after in pairwise(audio)]
    assert gaps_s[:-1] == pytest.approx([0.2] * (len(gaps_s) - 1)), "half a second of speech, at 2.5 times its speed"
    assert 0 < gaps_s[-1] <= 0.2 + 1e-6
    assert events[0].at_s < audio[0].at_s


async def test_audio_longer_than_a_response_may_have_is_streamed(edited) -> None:
    """The emulator does not read the audio that it has made, so it does not share the limits of the readers."""
    place = (
        "sample_rate_hz: 44100\n              default_format: mp3\n"
        "              pacing: {chunk_audio_s: 0.4, speed_factor: 3}"
    )
    silence = f"leading_silence_s: {MAX_AUDIO_DURATION_S + 1}"
    long = f"sample_rate_hz: 1000\n              {silence}\n              default_format: mp3"
    contract = edited(place, f"{long}\n              pacing: {{chunk_audio_s: 60, speed_factor: 3}}")
    app = create_app([contract], EmulatorSettings(time_scale=0))
    body = {**REQUEST, "model": "melotts", "voice": "EN-US"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://emulator.invalid") as http:
        response = await http.post(PATH, json=body, headers={"Authorization": "Bearer k"})
    assert response.status_code == 200
    assert response.text.count("event: audio") == pytest.approx(MAX_AUDIO_DURATION_S / 60, abs=1)
    assert "event: done" in response.text


async def test_a_scenario_makes_a_stream_fail(serve, ttsai) -> None:
    url = await serve(create_app([ttsai], EmulatorSettings(clock="per-poll")))
    events = await _events(url, **{SCENARIO_HEADER: "state:error"})
    assert [event.kind for event in events] == ["start", "audio", "error"]
    assert events[-1].data["error"]["message"]


@in_virtual_time
async def test_a_disconnect_ends_the_stream(edited) -> None:
    """A stream that would take minutes ends when the client disconnects."""
    contract = edited("speed_factor: 1.5}", "speed_factor: 0.01}")
    emulator, over = create_app([contract], EmulatorSettings()), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await emulator(scope, receive, send)
        over.set()

    body = {**REQUEST, "model": "chatterbox", "voice": "default"}
    headers = {"Authorization": "Bearer k"}
    async with serving(app) as url:
        async with (
            httpx.AsyncClient(verify=False) as http,  # noqa: S501 - plain HTTP alone
            http.stream("POST", url + PATH, json=body, headers=headers) as response,
        ):
            async for piece in response.aiter_text():
                assert piece.startswith("event: start")
                break
            assert not over.is_set()
        virtual_clock = asyncio.get_running_loop()
        left_at_s = virtual_clock.time()
        await over.wait()
    assert virtual_clock.time() - left_at_s < 60


@in_virtual_time
async def test_plain_audio_can_be_streamed(edited) -> None:
    contract = edited(
        "processing_ms_per_character: 1.5\n              default_format: wav",
        "pacing: {chunk_audio_s: 0.25, speed_factor: 10}",
    )
    body = {"model": "kokoro", "input": TEXT, "voice": "af_bella", "response_format": "wav"}
    headers = {"Authorization": "Bearer k"}
    pieces: list[tuple[float, bytes]] = []
    async with (
        serving(create_app([contract], EmulatorSettings())) as url,
        httpx.AsyncClient(verify=False) as http,  # noqa: S501 - plain HTTP alone
        http.stream("POST", f"{url}/ttsai/v1/audio/speech", json=body, headers=headers) as response,
    ):
        assert "content-length" not in response.headers
        pieces += [(time.monotonic(), piece) async for piece in response.aiter_raw()]
    assert len(pieces) > 4
    assert len({at_s for at_s, _ in pieces}) > 4, "spread over the time"
    assert not decode(b"".join(piece for _, piece in pieces)).is_truncated


FAULTY: dict[str, Callable[[list[str]], bool]] = {
    "stream-event-missing": lambda kinds: kinds[0] == "start" and kinds[-1] == "done",
    "stream-reordered": lambda kinds: (kinds[0], kinds[-2], kinds[-1]) == ("audio", "done", "start"),
    "stream-truncated": lambda kinds: kinds[0] == "start" and kinds[-1] == "audio",
    "stream-stalled": lambda kinds: kinds[-1] == "done",
    "stream-unknown-event": lambda kinds: kinds[1] not in ("start", "audio", "done", "error"),
    "stream-wrong-data": lambda kinds: kinds[-1] == "done",
    "stream-unreadable-audio": lambda kinds: kinds[-1] == "done",
}
SAME_KINDS = {"stream-stalled", "stream-wrong-data", "stream-unreadable-audio"}


@pytest.mark.parametrize("fault", sorted(name for name in FAULTS if name.startswith("stream-")))
async def test_a_stream_fault_changes_only_the_described_behavior(fault, serve, edited) -> None:
    ttsai = edited("max_gap_s: 5\n", "max_gap_s: 0.2\n")
    right = await _events(await serve(create_app([ttsai], EmulatorSettings(clock="per-poll"))))
    wrong = await _events(await serve(create_app([ttsai], EmulatorSettings(clock="per-poll", faults=(fault,)))))
    kinds = [event.kind for event in wrong]
    assert FAULTY[fault](kinds)
    assert (kinds == [event.kind for event in right]) == (fault in SAME_KINDS)
    is_changed = [event.data for event in wrong] != [event.data for event in right]
    assert is_changed == (fault != "stream-stalled"), "a stall only changes the time"
