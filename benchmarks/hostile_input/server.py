"""A server that responds to requests with a hostile response."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

_ENDS = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
"""How a connection ends: by its peer, or by the end of the server."""
GRACE_S = 5.0
"""Time for the server's thread to end."""


_ACCEPTING_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""The constant of RFC 6455, section 1.3, with which a server accepts a handshake."""


class HostileResponse(NamedTuple):
    """A response that is small on the wire or never ends, and expensive to read."""

    name: str
    target: str
    """Id of the target to whose requests the response is sent."""
    media_type: str
    chunks: Callable[[], Iterable[bytes]]
    """Returns the body as it is sent; may be endless."""
    content_encoding: str | None = None
    framing: Literal["length", "chunked", "frames"] = "length"
    """How the chunks are sent; "frames" are those of a WebSocket, whose handshake is accepted before."""
    pause_s: float = 0.0
    """Wait after each chunk."""
    headers: Callable[[], bytes] = bytes
    """Further header lines, each with its line end."""
    first_bodies: tuple[str, ...] = ()
    """JSON bodies of the first responses, before the hostile one; {url} stands for the URL of the server."""

    @property
    def is_endless(self) -> bool:
        """Whether reading is ended by a limit only."""
        return self.framing != "length"


class HostileServer:
    """Sends a hostile response to every request, except to the first ones if it has `first_bodies`; on a local port."""

    def __init__(self, response: HostileResponse) -> None:
        """Prepare the response; a body of known length is generated once."""
        self._response = response
        self._body = b"" if response.is_endless else b"".join(response.chunks())
        self._requests = 0
        self.url = ""

    @property
    def wire_bytes(self) -> int | None:
        """Size of the body as it is sent; `None` if it is endless."""
        return None if self._response.is_endless else len(self._body)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(*_ENDS):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_content_length(head))
            self._requests += 1
            if self._requests <= len(self._response.first_bodies):
                writer.write(self._first_response(self._response.first_bodies[self._requests - 1]))
                await writer.drain()
                return
            writer.write(accept_handshake(head) if self._response.framing == "frames" else self._head())
            for chunk in self._wire_chunks():
                writer.write(chunk)
                await writer.drain()
                if self._response.pause_s:
                    await asyncio.sleep(self._response.pause_s)

    def _first_response(self, body: str) -> bytes:
        data = body.replace("{url}", self.url).encode()
        lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(data)}"]
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + data

    def _head(self) -> bytes:
        response = self._response
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {response.media_type}", "Connection: close"]
        if response.content_encoding is not None:
            lines.append(f"Content-Encoding: {response.content_encoding}")
        lines.append("Transfer-Encoding: chunked" if response.is_endless else f"Content-Length: {len(self._body)}")
        return "\r\n".join([*lines, ""]).encode() + response.headers() + b"\r\n"

    def _wire_chunks(self) -> Iterator[bytes]:
        if not self._response.is_endless:
            yield self._body
            return
        if self._response.framing == "frames":
            yield from self._response.chunks()
            return
        for chunk in self._response.chunks():
            yield b"%x\r\n%s\r\n" % (len(chunk), chunk)

    async def run(self, started: threading.Event, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await stop.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def serving(response: HostileResponse) -> Iterator[HostileServer]:
    """Serve `response` in a thread."""
    server, started = HostileServer(response), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(server.run(started, stop),), daemon=True)
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(GRACE_S)
        loop.close()


def accept_handshake(head: bytes) -> bytes:
    """Return the response that accepts the handshake in the head of a request."""
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
    digest = hashlib.sha1((key[1] if key else b"") + _ACCEPTING_GUID, usedforsecurity=False).digest()
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
    return b"\r\n".join([*lines, b"Sec-WebSocket-Accept: " + base64.b64encode(digest), b"", b""])


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def endless(chunk: bytes) -> Callable[[], Iterable[bytes]]:
    """Return a function that returns `chunk` forever."""
    return lambda: itertools.repeat(chunk)
