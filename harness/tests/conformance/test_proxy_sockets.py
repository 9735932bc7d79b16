"""WebSockets through the proxy: passed unchanged, judged, recorded, and limited."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

import voicegauge
from voicegauge.emulator.process import RunningEmulator
from voicegauge.hosts import to_socket_url
from voicegauge.recording.har_files import load_har
from voicegauge.relay import relay_server, traffic_monitor

PIECES = ("Hello there. ", "How are ", "you?")
KEY = "sk_car_9f27QmXw31LzTbRy"
KATIE = {"mode": "id", "id": "f786b574-daa5-4673-aa0c-cbe3e8534c02"}
PCM = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}
Handler = Callable[[ServerConnection], object]


def speak_with_the_official_library(base_url: str) -> list[tuple[str, bytes]]:
    from cartesia import Cartesia

    with (
        Cartesia(api_key=KEY, base_url=base_url, websocket_base_url=to_socket_url(base_url)) as client,
        client.tts.websocket_connect() as connection,
    ):
        context = connection.context(model_id="sonic-3.5", voice=KATIE, output_format=PCM)
        for piece in PIECES:
            context.push(piece)
        context.no_more_inputs()
        return [(answer.type, getattr(answer, "audio", None) or b"") for answer in context.receive()]


def test_an_official_library_speaks_through_the_proxy_and_to_its_recording(
    voicegauge_emulator: RunningEmulator, tmp_path: Path
) -> None:
    upstream = to_socket_url(voicegauge_emulator.base_url("cartesia"))
    with voicegauge.proxy("cartesia", upstream=upstream, recording_path=tmp_path / "one.har") as running:
        passed = speak_with_the_official_library(running.url)
    assert [kind for kind, _ in passed][-1] == "done"
    assert sum(len(audio) for _, audio in passed) > 24_000
    report = running.report
    assert (report.request_count, report.recorded_count) == (1, 1)
    assert (report.unjudged_count_by_reason, report.undocumented_request_count_by_operation) == ({}, {})
    assert report.report.findings == ()
    assert report.report.operations == ("cartesia/speakOverWebSocket",)
    assert KEY not in (tmp_path / "one.har").read_text()
    (exchange,) = load_har(tmp_path / "one.har").exchanges
    assert exchange.request.url.startswith("https://api.cartesia.ai/tts/websocket")
    with voicegauge.replay(tmp_path / "one.har") as replayed:
        assert speak_with_the_official_library(replayed.base_url("cartesia")) == passed
        assert replayed.unmatched_requests == []


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("socket-wrong-message", "socket-message-schema"),
        ("socket-samples-cut", "socket-samples-cut"),
        ("socket-silent", "socket-audio-silent"),
        ("socket-closed-early", "socket-closed-early"),
    ],
)
def test_a_fault_of_the_service_is_found(
    fault: str, rule: str, inject_faults, voicegauge_emulator: RunningEmulator
) -> None:
    inject_faults(fault)
    seen: list[str] = []
    with voicegauge.proxy(
        "cartesia",
        upstream=voicegauge_emulator.base_url("cartesia"),
        on_finding=lambda finding: seen.append(finding.rule),
    ) as running:
        asyncio.run(speak_raw(f"{to_socket_url(running.url)}/tts/websocket?cartesia_version=2026-03-01"))
    assert rule in seen
    assert rule in {finding.rule for finding in running.report.report.findings}


async def speak_raw(url: str) -> None:
    request = {
        "context_id": "c1",
        "model_id": "sonic-3.5",
        "transcript": "Good morning, this is a test.",
        "voice": KATIE,
        "output_format": PCM,
        "continue": False,
    }
    async with connect(url, additional_headers={"X-API-Key": KEY}, proxy=None) as client:
        await client.send(json.dumps(request))
        try:
            while json.loads(await client.recv()).get("type") != "done":
                pass
        except ConnectionClosed:
            pass


@asynccontextmanager
async def passing(handler: Handler, **options: object) -> AsyncIterator[tuple[str, voicegauge.RunningProxy]]:
    """A proxy in front of a server that does what `handler` says."""
    async with serve(handler, "127.0.0.1", 0, compression=None, **options) as server:
        port = server.sockets[0].getsockname()[1]
        async with voicegauge.proxy("deepgram", upstream=f"http://127.0.0.1:{port}") as running:
            yield f"{to_socket_url(running.url)}/v1/speak?model=x", running


def open_client(url: str, **options: object) -> connect:
    return connect(url, compression=None, proxy=None, **options)


async def test_messages_handshake_and_subprotocol_pass_unchanged() -> None:
    seen: dict[str, object] = {}
    sent = ["ä" * 5, b"\x00\xff" * 1000, "", b"", "x" * 300_000]

    async def echo(connection: ServerConnection) -> None:
        seen["path"], seen["headers"] = connection.request.path, connection.request.headers
        async for message in connection:
            await connection.send(message)

    async with passing(echo, subprotocols=[Subprotocol("token")]) as (url, running):
        headers = {"Authorization": "Token k"}
        opened = open_client(f"{url}&text=a+b%7E", subprotocols=[Subprotocol("token")], additional_headers=headers)
        received = []
        async with opened as client:
            for message in sent:
                await client.send(message)
                received.append(await client.recv())
            assert client.subprotocol == "token"
    assert received == sent
    assert seen["path"] == "/v1/speak?model=x&text=a+b%7E"
    assert seen["headers"]["authorization"] == "Token k"
    assert running.report.request_count == 1


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1008, "limit"), (4242, "own code"), (1011, "ä")])
async def test_a_close_of_the_service_reaches_the_client(code: int, reason: str) -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.send("last")
        await connection.close(code, reason)

    async with passing(close) as (url, _), open_client(url) as client:
        assert await client.recv() == "last"
        with pytest.raises(ConnectionClosed) as ended:
            await client.recv()
        assert ended.value.rcvd is not None
        assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (code, reason)


async def test_a_close_of_the_client_reaches_the_service() -> None:
    closed: asyncio.Queue[tuple[int | None, str | None]] = asyncio.Queue()

    async def wait(connection: ServerConnection) -> None:
        await connection.wait_closed()
        closed.put_nowait((connection.close_code, connection.close_reason))

    async with passing(wait) as (url, _), open_client(url) as client:
        await client.close(4001, "enough")
        assert await asyncio.wait_for(closed.get(), 60) == (4001, "enough")


async def test_a_lost_connection_of_the_service_is_lost_for_the_client() -> None:
    async def lose(connection: ServerConnection) -> None:
        await connection.send("last")
        connection.transport.abort()

    async with passing(lose) as (url, _), open_client(url) as client:
        assert await client.recv() == "last"
        with pytest.raises(ConnectionClosed) as ended:
            await client.recv()
        assert ended.value.rcvd is None  # no close frame


async def test_a_rejected_handshake_passes_with_its_body() -> None:
    def reject(connection: ServerConnection, _request: Request) -> Response:
        response = connection.respond(402, "no credit left\n")
        response.headers["X-Reason"] = "credit"
        return response

    async def never(_connection: ServerConnection) -> None:
        raise AssertionError("the handshake was rejected")

    async with passing(never, process_request=reject) as (url, running):
        with pytest.raises(InvalidStatus) as error:
            await open_client(url)
        assert error.value.response.status_code == 402
        assert error.value.response.headers["x-reason"] == "credit"
        assert error.value.response.body == b"no credit left\n"
    assert any("status 402" in reason for reason in running.report.unjudged_count_by_reason)


async def echo_once(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.mark.parametrize("header", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}])
async def test_pages_of_other_machines_are_refused(header: dict[str, str]) -> None:
    async with passing(echo_once) as (url, running):
        with pytest.raises(InvalidStatus) as error:
            await open_client(url, additional_headers=header)
        assert error.value.response.status_code in (400, 403)
        async with open_client(url, origin="http://localhost:3000"):
            pass
    assert running.report.request_count == 1  # the refused one reached nobody


async def test_a_service_that_cannot_be_reached_or_does_not_answer_gives_502() -> None:
    closing = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with closing:
        for port in (9, closing.sockets[0].getsockname()[1]):
            async with voicegauge.proxy("deepgram", upstream=f"http://127.0.0.1:{port}") as running:
                with pytest.raises(InvalidStatus) as error:
                    await open_client(f"{to_socket_url(running.url)}/v1/speak")
                assert error.value.response.status_code == 502
            assert sum(running.report.failure_count_by_reason.values()) == 1


async def test_too_many_connections_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_server, "MAX_OPEN_SOCKETS", 1)
    async with passing(echo_once) as (url, _), open_client(url):
        with pytest.raises(InvalidStatus) as error:
            await open_client(url)
        assert error.value.response.status_code == 503


async def test_messages_above_the_limit_pass_and_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic_monitor.CapturedBodyLimit.__init__, "__defaults__", (10_000, 20_000))
    async with passing(echo_once) as (url, running), open_client(url) as client:
        for _ in range(5):
            await client.send(b"x" * 5000)
            assert len(await client.recv()) == 5000
    assert [reason.partition(" larger")[0] for reason in running.report.unjudged_count_by_reason] == [
        "the messages of a WebSocket are"
    ]


async def test_a_client_that_does_not_read_stops_the_service_instead_of_filling_the_memory() -> None:
    sent = 0

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        while True:
            await connection.send(b"x" * 65_536)
            sent += 1

    # The flood comes before the answer to the end of the connection.
    async with passing(flood) as (url, _), open_client(url, max_queue=1, close_timeout=0.1) as client:
        await client.recv()
        before = -1
        while before != sent:  # until the service is held up
            # The kernel's buffers of the two connections hold up to 72 MiB where tcp_rmem allows 32 MiB, so a bound
            # close to the limit under test fails on some machines. Without that limit the flood would never end.
            assert sent * 65_536 < 512 * relay_server.MAX_WAITING_BYTES
            before = sent
            await asyncio.sleep(0.3)
        for _ in range(50):
            await client.recv()


async def test_an_undocumented_socket_passes_and_is_named() -> None:
    async with passing(echo_once) as (url, running), open_client(url.replace("/v1/speak", "/v9/other")) as client:
        await client.send("hello")
        assert await client.recv() == "hello"
    assert list(running.report.undocumented_request_count_by_operation) == ["GET /v9/other"]


def test_http_still_passes_on_the_same_port(voicegauge_emulator: RunningEmulator) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Cartesia-Version": "2026-03-01"}
    with voicegauge.proxy("cartesia", upstream=voicegauge_emulator.base_url("cartesia")) as running:
        assert httpx.get(f"{running.url}/voices", headers=headers).status_code == 200
