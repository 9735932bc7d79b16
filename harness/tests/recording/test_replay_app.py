"""Replay over real sockets and through respx."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

import httpx
import msgspec
import pytest

from voicegauge.client.client import Client
from voicegauge.client.speech_request import map_speech_request
from voicegauge.contract.loading import load_catalogue
from voicegauge.errors import MissingExtraError
from voicegauge.model.base import Provenance, SpeechRequest
from voicegauge.model.exchange import Exchange, Request, Response, Timing
from voicegauge.recording.recorded_exchanges import Recording
from voicegauge.recording.replay import Replay
from voicegauge.recording.replay_server import (
    ReplayApp,
    UnmatchedRequestError,
    create_replay_router,
    enable_realtime_scheduling,
)
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

from ..builders.servers import serving
from ..builders.virtual_time import in_virtual_time

CATALOGUE = load_catalogue()
PIXAZO = CATALOGUE.find_provider("pixazo")
SUBMIT = "https://gateway.pixazo.ai/voice-clone/v1/xtts-v2/generate"
STATUS = "https://gateway.pixazo.ai/v2/requests/status/job-1"
AUDIO = "https://cdn.example/v1/out.wav?Signature=[redacted]"
JSON = ("Content-Type", "application/json")
TTFB_MS = 30.0
PIECE = 500
"""Bytes of a piece."""


def exchange(operation, url, answer, *, asked=None, timing=None, headers=()):
    body = b"" if asked is None else json.dumps(asked).encode()
    sent = () if operation == "(download)" else (("Ocp-Apim-Subscription-Key", "[redacted]"),)
    payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    media_type = "audio/wav" if isinstance(answer, bytes) else "application/json"
    return Exchange(
        provider="pixazo",
        operation=operation,
        request=Request(method="GET" if asked is None else "POST", url=url, headers=(*sent, JSON), body=body),
        response=Response(status=200, headers=(("Content-Type", media_type), *headers), body=payload),
        timing=timing,
        conversation_id="one",
    )


def replay(*exchanges: Exchange, contracts=(PIXAZO,)) -> Replay:
    recording = Recording(
        provenance=Provenance.RECORDED,
        provider="pixazo",
        contract_version="1",
        contract_sha256="",
        recorded_at="2026-01-01T00:00:00+00:00",
        exchanges=exchanges,
    )
    return Replay([recording], contracts)


def job(asked=None):
    body = {"text": "Good morning."} if asked is None else asked
    output = {"media_url": [AUDIO], "media_type": "audio/wav"}
    return (
        exchange(
            "generateXtts", SUBMIT, {"request_id": "job-1", "status": "QUEUED", "polling_url": STATUS}, asked=body
        ),
        exchange("getRequestStatus", STATUS, {"request_id": "job-1", "status": "PROCESSING"}),
        *[exchange("getRequestStatus", STATUS, {"request_id": "job-1", "status": "COMPLETED", "output": output})] * 3,
        exchange("(download)", AUDIO, b"RIFF...."),
    )


def streamed(gaps_ms: list[float], *, ttfb_ms: float = TTFB_MS, piece: int = PIECE, name: str = "stream") -> Exchange:
    """A recorded answer whose body came in pieces with these gaps, the first `gaps_ms[0]` after the headers."""
    wait_ms, send_ms = 3.0, 1.0
    at_ms, chunks = wait_ms + send_ms + ttfb_ms, []
    for gap in gaps_ms:
        at_ms += gap
        chunks.append((at_ms, piece))
    timing = Timing(
        started_at=1.7e9,
        started_ms=0,
        connection_wait_ms=wait_ms,
        connect_ms=None,
        tls_ms=None,
        send_ms=send_ms,
        ttfb_ms=ttfb_ms,
        receive_ms=at_ms - wait_ms - send_ms - ttfb_ms,
        total_ms=at_ms,
        chunk_arrivals=tuple(chunks),
    )
    body = bytes(range(250)) * (piece * len(gaps_ms) // 250)
    return exchange("(download)", f"https://cdn.example/{name}", body, timing=timing)


async def arrivals_ms(url: str) -> tuple[float, list[tuple[float, int]], bytes]:
    """When the headers came, and when how many bytes of the body were there, in milliseconds after the sending."""
    async with httpx.AsyncClient(trust_env=False) as client:
        started_s = time.perf_counter()
        async with client.stream("GET", url) as answer:
            headers = (time.perf_counter() - started_s) * 1000
            came, body = [], b""
            async for piece in answer.aiter_raw():
                body += piece
                came.append(((time.perf_counter() - started_s) * 1000, len(body)))
    return headers, came, body


STREAMS: dict[str, list[float]] = {
    "even": [0, 40, 40, 40, 40],
    "odd": [20, 0.1, 90, 15, 120, 60],
    "slow": [50, 150, 100],
    "growing": [5, 10, 15, 20, 25, 30, 35],
}


@pytest.mark.parametrize("pace", [1.0, 0.5])
@in_virtual_time
async def test_streams_are_replayed_at_the_recorded_times(pace: float) -> None:
    """All streams at one time."""

    async def check(root: str, name: str) -> None:
        headers, came, body = await arrivals_ms(f"{root}/pixazo/_at/cdn.example/{name}")
        gaps_ms = STREAMS[name]
        assert body == streamed(gaps_ms).response.body
        ends = [min(at for at, size in came if size >= PIECE * n) for n in range(1, len(gaps_ms) + 1)]
        gaps = [after - before for before, after in zip([headers, *ends], ends, strict=False)]
        assert headers == pytest.approx(pace * TTFB_MS)
        assert gaps == pytest.approx([pace * gap for gap in gaps_ms], abs=1e-3)

    async with serving(
        ReplayApp(replay(*(streamed(gaps, name=name) for name, gaps in STREAMS.items())), pause_factor=pace)
    ) as root:
        await asyncio.gather(*(check(root, name) for name in STREAMS))


@in_virtual_time
async def test_pace_zero_omits_every_pause() -> None:
    async with serving(ReplayApp(replay(streamed([2_000, 60_000])), pause_factor=0)) as root:
        headers, came, _ = await arrivals_ms(f"{root}/pixazo/_at/cdn.example/stream")
    assert (headers, came[-1][0]) == (0, 0)


def test_a_busy_machine_may_give_the_server_priority() -> None:
    granted = enable_realtime_scheduling()
    assert granted == (os.sched_getscheduler(0) == os.SCHED_RR | os.SCHED_RESET_ON_FORK)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


async def test_a_body_that_was_compressed_is_split_in_proportion(serve) -> None:
    recorded = streamed([0, 1, 1, 1], piece=500)
    longer = msgspec.structs.replace(recorded.response, body=b"x" * 5_000)
    base = await serve(ReplayApp(replay(msgspec.structs.replace(recorded, response=longer)), pause_factor=1))
    _, _, body = await arrivals_ms(f"{base}/pixazo/_at/cdn.example/stream")
    assert body == b"x" * 5_000


async def test_a_client_gets_from_submit_to_audio_on_one_socket(serve) -> None:
    """Polling and audio URLs lead back to the replay, another host's too."""
    target = PIXAZO.find_target_by_name("xtts-v2")
    spoken = SpeechRequest(text="Good morning.")
    async with Transport() as transport:
        wire = Client(PIXAZO, transport, key="k").build_request(target.operation, map_speech_request(target, spoken))
        played = replay(*job(json.loads(wire.body)))
        base = await serve(ReplayApp(played))
        client = Client(PIXAZO, transport, base_urls={"": f"{base}/pixazo"}, key="k", clock=VirtualClock())
        delivery = await client.speak(target, spoken)
    assert delivery.audio == b"RIFF....", delivery.failure
    assert [one.request.url.removeprefix(base) for one in delivery.exchanges] == [
        "/pixazo/voice-clone/v1/xtts-v2/generate",
        "/pixazo/v2/requests/status/job-1",
        "/pixazo/v2/requests/status/job-1",
        "/pixazo/_at/cdn.example/v1/out.wav?Signature=[redacted]",
    ]
    assert (played.unmatched_request_descriptions, played.unused_request_names) == ([], [])


async def test_an_unmatched_request_gets_the_difference_as_response(serve) -> None:
    messages = []
    base = await serve(ReplayApp(replay(*job()), on_unmatched_request=messages.append))
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{base}/pixazo/voice-clone/v1/xtts-v2/generate", json={"text": "else"})
        nowhere = await client.get(f"{base}/nobody/at/all")
    assert answer.status_code == nowhere.status_code == 501
    assert answer.headers["x-voicegauge-replay"] == "unmatched"
    assert 'body /text: recorded "Good morning.", sent "else"' in answer.text
    assert "key: recorded sent, sent none" in answer.text
    assert messages == [answer.text.strip(), nowhere.text.strip()]


async def test_the_only_recorded_provider_is_served_at_the_root_too(serve) -> None:
    base = await serve(ReplayApp(replay(*job(), contracts=(CATALOGUE.find_provider("azure"), PIXAZO))))
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Ocp-Apim-Subscription-Key": "any"}
        answer = await client.post(
            f"{base}/voice-clone/v1/xtts-v2/generate", json={"text": "Good morning."}, headers=headers
        )
        nowhere = await client.get(f"{base}/_emulator/health")
    assert answer.json()["polling_url"] == f"{base}/v2/requests/status/job-1"
    assert "azure" not in nowhere.text
    assert "GET /_emulator/health" in nowhere.text


async def test_the_path_of_a_server_may_be_in_the_url_as_at_the_emulator(serve) -> None:
    contract = CATALOGUE.find_provider("openai")
    audio = Exchange(
        provider="openai",
        operation="createSpeech",
        request=Request(
            method="POST",
            url="https://api.openai.com/v1/audio/speech",
            headers=(("Authorization", "[redacted]"), JSON),
            body=b'{"model":"tts-1","input":"Hi.","voice":"alloy"}',
        ),
        response=Response(status=200, headers=(("Content-Type", "audio/mpeg"),), body=b"speech"),
    )
    file = Exchange(
        provider="openai",
        operation="(download)",
        request=Request(method="GET", url="https://api.openai.com/v1/files/out.wav"),
        response=Response(status=200, headers=(("Content-Type", "audio/wav"),), body=b"RIFF...."),
    )
    recording = Recording(
        provenance=Provenance.RECORDED,
        provider="openai",
        contract_version="1",
        contract_sha256="",
        recorded_at="2026-01-01T00:00:00+00:00",
        exchanges=(audio, file),
    )
    base = await serve(ReplayApp(Replay([recording], [contract])))
    headers = {"Authorization": "Bearer any", "Content-Type": "application/json"}
    async with httpx.AsyncClient(trust_env=False) as client:
        for prefix in ("/openai/v1", "/openai", "/v1", ""):
            answer = await client.post(f"{base}{prefix}/audio/speech", content=audio.request.body, headers=headers)
            assert (answer.status_code, answer.content) == (200, b"speech"), prefix
            answer = await client.get(f"{base}{prefix}/files/out.wav")
            assert (answer.status_code, answer.content) == (200, b"RIFF...."), prefix


async def test_headers_of_the_recorded_connection_are_not_replayed(serve) -> None:
    headers = (
        ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked"), ("Content-Length", "3"), ("X-Trace", "t"),
        ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"), ("Set-Cookie", "a"), ("Set-Cookie", "b"),
    )  # fmt: skip
    base = await serve(ReplayApp(replay(exchange("(download)", AUDIO, b"RIFF....", headers=headers))))
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{base}/pixazo/_at/cdn.example/v1/out.wav?Signature=1")
    assert answer.content == b"RIFF...."
    assert answer.headers["x-trace"] == "t"
    assert answer.headers.get_list("set-cookie") == ["a", "b"]
    assert len(answer.headers.get_list("date")) == 1
    assert "2026 00:00:00" not in answer.headers["date"]


def test_an_httpx_client_is_replayed_through_respx() -> None:
    played = replay(*job())
    headers = {"Ocp-Apim-Subscription-Key": "mine"}
    with create_replay_router(played), httpx.Client(headers=headers) as client:
        accepted = client.post(SUBMIT, json={"text": "Good morning."}).json()
        while (status := client.get(accepted["polling_url"]).json())["status"] != "COMPLETED":
            pass
        assert httpx.get(status["output"]["media_url"][0].replace("[redacted]", "x")).content == b"RIFF...."
        with pytest.raises(UnmatchedRequestError, match=r'recorded "Good morning.", sent "Bye'):
            client.post(SUBMIT, json={"text": "Bye."})
    assert played.unused_request_names == []


@in_virtual_time
async def test_streams_keep_their_pace_through_respx() -> None:
    with create_replay_router(replay(streamed([0, 60, 60])), pause_factor=1.0):
        async with httpx.AsyncClient() as client, client.stream("GET", "https://cdn.example/stream") as answer:
            came = [time.perf_counter() async for _ in answer.aiter_raw()]
    assert [at - came[0] for at in came] == pytest.approx([0, 0.06, 0.12])


def test_without_respx_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "respx", None)
    with pytest.raises(MissingExtraError, match=r"voicegauge\[replay\]"):
        create_replay_router(replay(*job()))


async def test_concurrent_requests(serve) -> None:
    base = await serve(ReplayApp(replay(streamed([0, 5, 5])), pause_factor=1))
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"{base}/pixazo/_at/cdn.example/stream"
        answers = await asyncio.gather(*(client.get(url) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
