"""Requests and responses whose bodies pass part by part, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from voicegauge.errors import TransportError
from voicegauge.transport.raw_http import StreamedRequest, StreamingTransport

Received = tuple[int, bytes]


class RecordingServer:
    """Gives each request the next of some responses, and closes the connection where one is empty."""

    def __init__(self, *responses: bytes) -> None:
        self.responses = list(responses)
        self.heads: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.responses:
            try:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:
                break
            writer.write(self.responses.pop(0))
            if not self.responses or not self.responses[0]:
                del self.responses[:1]
                break
        writer.close()


async def send_each(server: RecordingServer, method: str, count: int) -> list[Received]:
    """Send `count` requests one after the other; returns the statuses and bodies of the responses."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    transport = StreamingTransport()
    received = []
    async with listener:
        for _ in range(count):
            request = StreamedRequest(method, origin, b"/x", [(b"host", b"me")], None)
            async with transport.open_response(request) as response:
                received.append((response.status, b"".join([part async for part in response.iterate_body()])))
        await transport.close()
    return received


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("first", "connections"),
    [
        (OK, 1),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 2),
        (OK + b"HTTP/1.1 500 What\r\n", 2),
    ],
    ids=["a length", "an interim response", "chunks and a length", "close", "more than was requested"],
)
async def test_a_connection_is_used_again_if_it_can_be(first: bytes, connections: int) -> None:
    server = RecordingServer(first, OK)
    assert await send_each(server, "GET", 2) == [(200, b"ok"), (200, b"ok")]
    assert server.connections == connections


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    server = RecordingServer(b"HTTP/1.1 200 OK\r\n\r\nok", b"", OK)
    assert await send_each(server, "GET", 2) == [(200, b"ok"), (200, b"ok")]


async def test_the_response_to_head_has_no_body() -> None:
    server = RecordingServer(*[b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"] * 2)
    assert await send_each(server, "HEAD", 2) == [(200, b"")] * 2
    assert server.connections == 1


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"", "without a response"),
        (b"SMTP ready\r\n\r\n", "not valid HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "another protocol"),
    ],
)
async def test_why_there_is_no_response_is_one_line(response: bytes, reason: str) -> None:
    with pytest.raises(TransportError, match=reason):
        await send_each(RecordingServer(response, b""), "GET", 1)


async def test_a_request_with_a_line_break_in_a_header_is_not_sent() -> None:
    request = StreamedRequest("GET", "http://127.0.0.1:1", b"/x\r\nX: y", [(b"host", b"me")], None)
    with pytest.raises(TransportError, match="line break"):
        async with StreamingTransport().open_response(request):
            pass


async def test_parts_of_a_body_are_sent_in_chunks() -> None:
    async def iterate_parts() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c" * 16

    received = asyncio.Queue[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.put_nowait(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(OK)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    headers = [(b"host", b"me"), (b"transfer-encoding", b"chunked")]
    async with (
        listener,
        StreamingTransport().open_response(
            StreamedRequest("POST", origin, b"/x", headers, iterate_parts())
        ) as response,
    ):
        assert response.status == 200
    head, _, body = (await received.get()).partition(b"\r\n\r\n")
    assert head == b"POST /x HTTP/1.1\r\nhost: me\r\ntransfer-encoding: chunked"
    assert body == b"2\r\nab\r\n10\r\n" + b"c" * 16 + b"\r\n0\r\n\r\n"
