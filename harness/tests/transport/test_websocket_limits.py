"""What a hostile service sends over a WebSocket is limited, and never blocks the event loop for long."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import socket
import struct
from collections.abc import AsyncIterator

import pytest

import voicegauge
from voicegauge.client.client import Client
from voicegauge.client.socket_session import SocketSession
from voicegauge.contract.loading import load_catalogue
from voicegauge.errors import HandshakeError, TimedOutError, TransportError
from voicegauge.model.exchange import Request
from voicegauge.transport.http import Transport
from voicegauge.transport.websocket import (
    MAX_CONNECTION_BYTES,
    MAX_CONNECTION_FRAMES,
    MAX_MESSAGE_BYTES,
    WebSocketConnection,
)

from ..builders.servers import accepting

UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
TEXT, BINARY, CONTINUATION, CLOSE, PING = 1, 2, 0, 8, 9


def build_frame(kind: int, payload: bytes, *, is_last: bool = True) -> bytes:
    length = bytes([len(payload)]) if len(payload) < 126 else bytes([126]) + struct.pack(">H", len(payload))
    return bytes([0x80 * is_last | kind]) + length + payload


def build_handshake(head: bytes) -> bytes:
    """Accept the handshake in `head`."""
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
    assert key is not None
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
    return UPGRADE + b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"


@contextlib.asynccontextmanager
async def sending(start: bytes, repeated: bytes) -> AsyncIterator[str]:
    """A service that accepts each connection, and sends `start` and endlessly `repeated`, without reading."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(build_handshake(await reader.readuntil(b"\r\n\r\n")) + start)
        with contextlib.suppress(OSError):
            while not writer.is_closing():
                writer.write(repeated)
                await writer.drain()

    async with accepting(serve) as url:
        yield f"{url}/"


FLOODS = {
    "pings": (b"", build_frame(PING, 125 * b"x") * 500),
    "empty fragments": (build_frame(TEXT, b"", is_last=False), build_frame(CONTINUATION, b"", is_last=False) * 5000),
    "small fragments": (build_frame(TEXT, b"", is_last=False), build_frame(CONTINUATION, b"a", is_last=False) * 5000),
    "fragments": (build_frame(TEXT, b"", is_last=False), build_frame(CONTINUATION, 60_000 * b"a", is_last=False)),
    "empty messages": (b"", build_frame(BINARY, b"") * 5000),
    "audio": (b"", build_frame(BINARY, 60_000 * b"a")),
}


async def test_a_handshake_without_an_answer_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicegauge.transport.websocket.CONNECT_TIMEOUT_S", 0.2)

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with accepting(wait) as url:
        host = url.removeprefix("http://")
        with pytest.raises(TimedOutError, match=rf"^{re.escape(host)}: no WebSocket handshake within 0\.2 s$"):
            await WebSocketConnection().connect(Request(method="GET", url=f"http://{host}/speak?key=secret"))


CLOSED_BEFORE_ANSWER = "the connection was closed before the WebSocket handshake was answered"
NO_HANDSHAKE_ANSWERS = [
    (b"", CLOSED_BEFORE_ANSWER),
    (b"HTTP/1.1 101 Switching Proto", CLOSED_BEFORE_ANSWER),
    (b"220 mail ready\r\n\r\n", "the answer to the WebSocket handshake is not valid: .*220 mail ready"),
    (b"HTTP/1.1 abc Bad\r\n\r\n", "the answer to the WebSocket handshake is not valid: .*abc Bad"),
]


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """A service that reads each handshake, sends `answer`, and closes the connection; yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with accepting(serve) as url:
        yield url


@pytest.mark.parametrize(("answer", "reason"), NO_HANDSHAKE_ANSWERS)
async def test_a_service_that_does_not_answer_the_handshake_in_http_has_no_status(answer: bytes, reason: str) -> None:
    async with answering(answer) as url:
        with pytest.raises(HandshakeError, match=reason):
            await WebSocketConnection().connect(Request(method="GET", url=url))


@pytest.mark.parametrize(("answer", "reason"), NO_HANDSHAKE_ANSWERS)
async def test_such_a_service_is_not_judged(answer: bytes, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a valid key may be refused in any way, and one with a key has no verdict, as over HTTP."""
    monkeypatch.setenv("DEEPGRAM_API_KEY", "not-a-key-of-anybody")
    for target in ("deepgram/aura-2-socket", "deepgram/flux-listen"):
        async with answering(answer) as url:
            live = voicegauge.LiveOptions(base_urls={"": url})
            report = await asyncio.to_thread(voicegauge.check, target, live=live)
        assert report.findings == ()
        judged = [one for one in report.case_results if one.verdict == "passed"]
        assert [one.id for one in judged] == [f"{target}: no API key", f"{target}: a wrong API key"]
        assert {one.status for one in report.case_results} == {None}
        reasons = [one.not_judged_reason or "" for one in report.case_results if one.verdict == "skipped"]
        assert reasons
        assert all(re.search(reason, one) for one in reasons)
        assert report.no_verdict_reason is not None


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_ends_the_connection(flood: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicegauge.transport.websocket.MAX_CONNECTION_FRAMES", MAX_CONNECTION_FRAMES // 100)
    received: list[int] = []
    async with sending(*FLOODS[flood]) as url:
        connection = WebSocketConnection(lambda message: received.append(len(message.data)))
        await connection.connect(Request(method="GET", url=url))
        await connection.ended.wait()
        await connection.close()
    traffic = connection.build_traffic("acme", "speak", Request(method="GET", url=url))
    assert traffic.is_truncated
    assert traffic.close is not None
    assert (traffic.close.closed_by, traffic.close.code) == ("client", 1009)
    assert sum(received) <= MAX_CONNECTION_BYTES
    assert max(received, default=0) <= MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("frame", "code", "is_truncated"),
    [
        (bytes([0x82, 127]) + struct.pack(">Q", MAX_CONNECTION_BYTES + 1) + b"a", 1009, True),
        (b"\xff\xff\xff\xff\xff\xff", 1002, False),
    ],
    ids=["too large", "no frame"],
)
async def test_a_frame_that_cannot_be_taken_does_not_count_as_an_end_by_the_service(
    frame: bytes, code: int, is_truncated: bool
) -> None:
    async with sending(frame, 1000 * b"a") as url:
        connection = WebSocketConnection()
        await connection.connect(Request(method="GET", url=url))
        await connection.ended.wait()
        await connection.close()
    traffic = connection.build_traffic("acme", "speak", Request(method="GET", url=url))
    assert traffic.close is not None
    assert (traffic.close.closed_by, traffic.close.code, traffic.is_truncated) == ("client", code, is_truncated)


async def test_a_ping_is_answered() -> None:
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(build_handshake(await reader.readuntil(b"\r\n\r\n")) + build_frame(PING, b"are you there"))
        kind, length = await reader.readexactly(2)
        mask = await reader.readexactly(4)
        payload = await reader.readexactly(length & 0x7F)
        await answers.put(bytes([kind]) + bytes(sign ^ mask[index % 4] for index, sign in enumerate(payload)))

    async with accepting(serve) as url:
        connection = WebSocketConnection()
        await connection.connect(Request(method="GET", url=f"{url}/"))
        assert await answers.get() == b"\x8aare you there"
        await connection.close()


@pytest.mark.parametrize("close", [struct.pack(">H", 1000) + b"bye", b""])
async def test_a_service_that_closes_every_connection_at_once_does_not_pass(
    close: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(build_handshake(head) + build_frame(CLOSE, close))

    monkeypatch.setenv("DEEPGRAM_API_KEY", "not-a-key-of-anybody")
    async with accepting(serve) as url:
        live = voicegauge.LiveOptions(base_urls={"": url})
        report = await asyncio.to_thread(voicegauge.check, "deepgram/aura-2-socket", live=live)
    assert "socket-closed-early" in {finding.rule for finding in report.findings}
    [finding] = [finding for finding in report.findings if finding.rule == "socket-closed-early"]
    assert "before the first turn" in finding.message


async def test_nothing_is_sent_after_an_error_of_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio would log a line for each message that is sent before the event loop notes the end."""
    was_reset = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(build_handshake(await reader.readuntil(b"\r\n\r\n")))
        await reader.readexactly(1)
        no_linger = struct.pack("ii", 1, 0)  # the connection is reset instead of closed
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        was_reset.set()

    async with accepting(serve) as url:
        connection = WebSocketConnection()
        await connection.connect(Request(method="GET", url=f"{url}/"))
        connection.pause_reading()  # or the event loop would note the end at once
        connection.send("first")
        await was_reset.wait()
        for _ in range(20):
            with contextlib.suppress(TransportError):
                connection.send("more")
        assert not connection.is_open
        with pytest.raises(TransportError, match="the connection has ended"):
            connection.send("more")
        await connection.close()
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio"] == []


async def test_at_broken_frames_no_more_is_sent_than_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"sec-websocket-key" not in head.lower():
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        opened.append(head)
        writer.write(build_handshake(head))
        await reader.read(1000)
        writer.write(b"\xff\xff\xff\xff\xff\xff" * 20)

    monkeypatch.setenv("CARTESIA_API_KEY", "not-a-key-of-anybody")
    target = "cartesia/sonic-3.5-socket"
    async with accepting(serve) as url:
        live = voicegauge.LiveOptions(base_urls={"": url})
        plan = await asyncio.to_thread(voicegauge.plan_check, target, live=live, max_calls=2)
        report = await asyncio.to_thread(voicegauge.check, target, live=live, max_calls=2)
    assert {one.id for one in report.case_results} == {one.id for one in plan.cases}
    assert plan.skipped_cases == ()
    planned, sent = plan.spending.total, report.spending.total
    assert (sent.billable_request_count, sent.spent_usd) == (planned.billable_request_count, planned.spent_usd)
    assert planned.billable_request_count == 2
    assert planned.request_count < len(opened) <= plan.largest_request_count


WRONG_UPGRADES = [
    (
        UPGRADE + b"Sec-WebSocket-Accept: d3Jvbmc=\r\n\r\n",
        "Sec-WebSocket-Accept is 'd3Jvbmc=' instead of the digest of the client's Sec-WebSocket-Key",
    ),
    (
        UPGRADE + b"\r\n",
        "Sec-WebSocket-Accept is missing instead of the digest of the client's Sec-WebSocket-Key",
    ),
    (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
        "Upgrade is missing instead of 'websocket'",
    ),
]


@pytest.mark.parametrize(("answer", "reason"), WRONG_UPGRADES, ids=["wrong-digest", "no-digest", "no-upgrade"])
async def test_an_answer_101_that_opens_no_socket_is_a_finding(
    answer: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every client rejects it, so that the service is to blame; no text was sent, so that nothing counts as spent."""
    monkeypatch.setenv("DEEPGRAM_API_KEY", "not-a-key-of-anybody")
    for target in ("deepgram/aura-2-socket", "deepgram/flux-listen"):
        async with answering(answer) as url:
            live = voicegauge.LiveOptions(base_urls={"": url})
            report = await asyncio.to_thread(voicegauge.check, target, live=live)
        (finding,) = report.findings
        assert finding.rule == "socket-handshake"
        assert finding.message == f"the answer 101 to a valid handshake opens no WebSocket: {reason}"
        assert report.spending.total.spent_usd == 0


async def test_the_wait_of_the_user_bounds_that_for_the_first_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that accepts the handshake and says nothing, although its document has a message that it is ready."""
    monkeypatch.setattr("voicegauge.client.socket_session.READY_OR_END_MESSAGE_TIMEOUT_S", 1000.0)
    target = load_catalogue().socket_targets["deepgram/aura-2-socket"]
    assert target.spec.has_event("session")

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(build_handshake(await reader.readuntil(b"\r\n\r\n")))
        await reader.read()

    async with accepting(accept) as url, Transport() as transport:
        client = Client(target.contract, transport, base_urls={"": url}, key="k", max_wait_s=0.1)
        session = SocketSession(client, target)
        async with asyncio.timeout(60):
            await session.open()
            assert session.connection.is_open
            await session.close()
