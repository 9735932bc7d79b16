"""A connection pool with the interface of httpcore's pool. It passes bodies on, undecoded, as they arrive.

Its connections speak HTTP/1.1 and take a tenth of the CPU time of httpcore's connections. With httpcore's
connections, that time is most of the delay that a proxy adds to each request.
"""

from __future__ import annotations

import ssl
import time
from collections import defaultdict
from collections.abc import AsyncIterable, AsyncIterator
from typing import cast

import httpcore

from voicegauge.transport.connection_pools import KEEP_ALIVE_S
from voicegauge.transport.network import TimedBackend
from voicegauge.transport.raw_response import ResponseParser

_DEFAULT_PORTS = {b"http": 80, b"https": 443}
_MAX_BYTES_PER_READ = 2**18
_SAFE_METHODS = (b"GET", b"HEAD", b"OPTIONS")
"""Methods of requests that may be sent again on a new connection if a reused one turns out to be closed."""

ServerAddress = tuple[bytes, bytes, int]
"""Scheme, host and port of a server."""


class RawConnectionPool:
    """A pool of open connections to any number of servers."""

    def __init__(self, ssl_context: ssl.SSLContext) -> None:
        """Create a pool without connections; the first request opens one."""
        self._ssl_context = ssl_context
        self._backend = TimedBackend()
        self._idle: defaultdict[ServerAddress, list[_RawConnection]] = defaultdict(list)

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send `request`, and return its response once the headers have arrived."""
        url = request.url
        if url.scheme not in _DEFAULT_PORTS:
            raise httpcore.UnsupportedProtocol(f"the URL begins with {url.scheme.decode('latin-1')}://")
        server = (url.scheme, url.host, url.port or _DEFAULT_PORTS[url.scheme])
        request_head = _encode_request_head(request)
        idle_connection = await self._take_idle_connection(server)
        connection = idle_connection or await self._connect(server, request)
        try:
            response = await connection.send_and_receive_headers(request_head, request)
        except (httpcore.ReadError, httpcore.RemoteProtocolError):
            if idle_connection is None or idle_connection.has_received or request.method not in _SAFE_METHODS:
                raise
            connection = await self._connect(server, request)
            response = await connection.send_and_receive_headers(request_head, request)
        return httpcore.Response(
            response.status,
            headers=response.headers,
            content=_RawResponseBody(self, connection, request, response),
            extensions={"http_version": b"HTTP/1.1"},
        )

    async def aclose(self) -> None:
        """Close the connections that have no request in flight."""
        for connections in self._idle.values():
            for connection in connections:
                await connection.close()
        self._idle.clear()

    async def _take_idle_connection(self, server: ServerAddress) -> _RawConnection | None:
        connections = self._idle[server]
        while connections:
            connection = connections.pop()
            if connection.can_be_reused:
                return connection
            await connection.close()
        return None

    async def return_connection(self, connection: _RawConnection) -> None:
        """Keep an idle connection for the next request, or close it if it cannot be reused."""
        if connection.can_be_reused:
            self._idle[connection.server].append(connection)
        else:
            await connection.close()

    async def _connect(self, server: ServerAddress, request: httpcore.Request) -> _RawConnection:
        scheme, host, port = server[0], server[1].decode("ascii"), server[2]
        trace, timeout_s = request.extensions["trace"], request.extensions["timeout"]["connect"]
        await trace("connection.connect_tcp.started", {})
        stream = await self._backend.connect_tcp(host, port, timeout_s)
        await trace("connection.connect_tcp.complete", {})
        if scheme == b"https":
            await trace("connection.start_tls.started", {})
            stream = await stream.start_tls(self._ssl_context, host, timeout_s)
            await trace("connection.start_tls.complete", {})
        return _RawConnection(server, stream)


class _RawConnection:
    """One open connection, for one request at a time."""

    def __init__(self, server: ServerAddress, stream: httpcore.AsyncNetworkStream) -> None:
        self.server, self._stream = server, stream
        self._response: ResponseParser | None = None
        self._used_at_s = 0.0
        self.has_received = False
        """Whether anything of the last response arrived."""

    @property
    def can_be_reused(self) -> bool:
        """Whether the last response is complete, and the server seems to wait for another request."""
        response = self._response
        if response is None or not response.is_complete or not response.keeps_connection:
            return False
        return time.monotonic() - self._used_at_s < KEEP_ALIVE_S and not self._stream.get_extra_info("is_readable")

    async def close(self) -> None:
        await self._stream.aclose()

    async def send_and_receive_headers(self, request_head: bytes, request: httpcore.Request) -> ResponseParser:
        """Send a request, and wait for the headers of its response. An error closes the connection."""
        self._response, self.has_received = ResponseParser(request.method), False
        try:
            await self._send(request_head, request)
            return await self._receive_headers(request, self._response)
        except BaseException:
            await self.close()
            raise

    async def _send(self, request_head: bytes, request: httpcore.Request) -> None:
        trace, timeout_s = request.extensions["trace"], request.extensions["timeout"]["write"]
        await trace("http11.send_request_headers.started", {})
        try:
            await self._stream.write(request_head, timeout_s)
            await trace("http11.send_request_body.started", {})
            await self._send_body(request, timeout_s)
        except httpcore.WriteError:
            pass  # the server takes no more; it may have responded before
        await trace("http11.send_request_body.complete", {})

    async def _send_body(self, request: httpcore.Request, timeout_s: float) -> None:
        is_chunked = any(name.lower() == b"transfer-encoding" for name, _ in request.headers)
        async for part in cast("AsyncIterable[bytes]", request.stream):
            await self._stream.write(b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part, timeout_s)
        if is_chunked:
            await self._stream.write(b"0\r\n\r\n", timeout_s)

    async def _receive_headers(self, request: httpcore.Request, response: ResponseParser) -> ResponseParser:
        while not response.status:
            await self.receive_more_bytes(request)
        await request.extensions["trace"]("http11.receive_response_headers.complete", {})
        await request.extensions["trace"]("http11.receive_response_body.started", {})
        return response

    async def receive_more_bytes(self, request: httpcore.Request) -> None:
        """Receive and parse more bytes of the response."""
        assert self._response is not None
        data = await self._stream.read(_MAX_BYTES_PER_READ, request.extensions["timeout"]["read"])
        self.has_received = self.has_received or bool(data)
        self._response.feed(data)
        self._used_at_s = time.monotonic()


class _RawResponseBody:
    """The body of a response that is being received."""

    def __init__(
        self, pool: RawConnectionPool, connection: _RawConnection, request: httpcore.Request, response: ResponseParser
    ) -> None:
        self._pool, self._connection, self._request, self._response = pool, connection, request, response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            for part in self._response.take_body_parts():
                yield part
            if self._response.is_complete:
                return
            await self._connection.receive_more_bytes(self._request)

    async def aclose(self) -> None:
        """Keep the connection for another request if the body has been received; otherwise close it."""
        await self._pool.return_connection(self._connection)


def _encode_request_head(request: httpcore.Request) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (request.method, request.url.target)]
    lines += [b"%b: %b" % header for header in request.headers]
    request_head = b"\r\n".join([*lines, b"", b""])
    if request_head.count(b"\n") != len(lines) + 1 or request_head.count(b"\r") != len(lines) + 1:
        raise httpcore.LocalProtocolError("a header has a line break")
    return request_head
