"""Runs as a script: a server on the loopback interface that waits before each response and states how long.

`/bytes/<ms>` sends its response after a delay, all at once. `/stream/<ms>` sends the head and the first chunk after the
delay, and then further chunks. How long the server really waited is measured from the last byte of the request to the
first byte of the response; the operating system says when the request arrived and when the response was sent. A
response has a number (`X-Response-Number`), and a later one states the wait (`ResponseDelays`). The script prints its
port, and exits when its standard input is closed. It imports little, so that it starts quickly.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import socket
import sys
from pathlib import Path

if __name__ == "__main__":  # Python was started without any path but those of its own library
    sys.path.insert(0, str(Path(__file__).parents[2]))

from voicegauge.transport.timing import PacketTimingSocket

STREAMED_CHUNK = b"\0" * 3200
"""Each chunk of a stream: 100 ms of silent 16-bit audio at 16 kHz."""
LATER_CHUNK_COUNT = 4
"""Number of chunks of a stream after the first one."""
CHUNK_INTERVAL_S = 0.01
"""Time between two chunks of a stream, in seconds."""


class ResponseDelays:
    """The delays with which responses were sent, which are known only after the sending.

    A server that stated its delay in the response itself would state it too early: a process that loses the processor
    between the two sends the response milliseconds later, which would count as an error of its client. So each response
    states the delays of those that were sent since the one before it was built.
    """

    def __init__(self) -> None:
        """Start without a recorded delay; the first response has the number 1."""
        self._numbers = itertools.count(1)
        self._unstated_ms: dict[int, float] = {}

    def number_response(self) -> tuple[int, str]:
        """Return the next response's number, and its headers, which state the delays recorded since the last call."""
        number = next(self._numbers)
        stated = " ".join(f"{earlier}={delay_ms:.3f}" for earlier, delay_ms in self._unstated_ms.items())
        self._unstated_ms.clear()
        return number, f"X-Response-Number: {number}\r\nX-Delays-Ms: {stated}\r\n"

    def record_delay(self, number: int, delay_ms: float) -> None:
        """Store the delay, in milliseconds, of the response with the number `number`."""
        self._unstated_ms[number] = delay_ms


class DelayedResponseProtocol(asyncio.Protocol):
    """Protocol of one connection, whose requests must have a Content-Length or no body."""

    def __init__(self, connected: PacketTimingSocket, delays: ResponseDelays) -> None:
        self._socket, self._delays, self._received = connected, delays, b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport, to which responses are written."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Schedule the response to each complete request."""
        received_s = self._socket.arrival_time_s
        self._received += data
        while True:
            head, separator, rest = self._received.partition(b"\r\n\r\n")
            if not separator:
                return
            body_bytes = _read_content_length(head)
            if len(rest) < body_bytes:
                return
            self._received = rest[body_bytes:]
            _, kind, delay_ms = head.split(b" ", 2)[1].split(b"/")
            respond = self._start_stream if kind == b"stream" else self._send_bytes
            if float(delay_ms):
                asyncio.get_running_loop().call_later(float(delay_ms) / 1000, respond, received_s)
            else:
                respond(received_s)

    def _send_bytes(self, request_received_s: float) -> None:
        self._begin_response(request_received_s, f"Content-Length: {len(STREAMED_CHUNK)}", STREAMED_CHUNK)

    def _start_stream(self, request_received_s: float) -> None:
        self._begin_response(request_received_s, "Transfer-Encoding: chunked", _encode_chunk(STREAMED_CHUNK))
        asyncio.get_running_loop().call_later(CHUNK_INTERVAL_S, self._continue_stream, LATER_CHUNK_COUNT)

    def _begin_response(self, request_received_s: float, length_header: str, data: bytes) -> None:
        number, headers = self._delays.number_response()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: audio/basic\r\n{headers}{length_header}\r\n\r\n"
        self._transport.write(head.encode() + data)
        self._delays.record_delay(number, (self._socket.sent_time_s - request_received_s) * 1000)

    def _continue_stream(self, chunks_left: int) -> None:
        if not chunks_left:
            self._transport.write(_encode_chunk(b""))
            return
        self._transport.write(_encode_chunk(STREAMED_CHUNK))
        asyncio.get_running_loop().call_later(CHUNK_INTERVAL_S, self._continue_stream, chunks_left - 1)


def _read_content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _encode_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def accept_connections(listener: socket.socket) -> None:
    """Serve each connection, until the task is cancelled."""
    loop, delays = asyncio.get_running_loop(), ResponseDelays()
    while True:
        connected, _ = await loop.sock_accept(listener)
        timed = PacketTimingSocket.adopt_connection(connected)
        await loop.connect_accepted_socket(functools.partial(DelayedResponseProtocol, timed, delays), timed)


async def _serve() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.setblocking(False)
        accepting = asyncio.create_task(accept_connections(listener))
        print(listener.getsockname()[1], flush=True)  # noqa: T201 - the parent process reads it
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        accepting.cancel()


if __name__ == "__main__":
    # A collection would delay a response, and little garbage arises until the run ends.
    gc.disable()
    asyncio.run(_serve())
