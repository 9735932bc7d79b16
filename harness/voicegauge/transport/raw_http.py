"""Sends one HTTP exchange on a bare connection and streams its response.

Its connections speak HTTP/1.1 and take a tenth of the CPU time of httpcore's connections. With httpcore's
connections, that time is most of the delay that a proxy adds to each request.
"""

from __future__ import annotations

import ssl
import time
from collections import defaultdict
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import httpcore
import httptools

from voicegauge.model.exchange import Timing
from voicegauge.transport.http import create_ssl_context, find_proxy, get_http_version
from voicegauge.transport.network import CURRENT_TRACE, KEEP_ALIVE_S, TimedNetworkBackend, open_connection_pool
from voicegauge.transport.timing import (
    HTTPCORE_ERRORS,
    INCOMPLETE_BODY_MESSAGE,
    INVALID_HTTP_MESSAGE,
    NO_RESPONSE_MESSAGE,
    OVERSIZE_HEADERS_MESSAGE,
    SWITCHED_PROTOCOL_MESSAGE,
    ExchangeTrace,
    Timeouts,
    build_transport_error,
    build_unsendable_request_error,
    describe_httpcore_error,
)

# Parses one HTTP/1.1 response while it arrives, with the parser of Node.js (llhttp).


RawHeaders = list[tuple[bytes, bytes]]
"""Names and values of headers, unchanged as they were received."""
MAX_RESPONSE_HEAD_BYTES = 100 * 2**10
"""Maximum size of a status line with its headers, and of the trailer after a chunked body."""


class ResponseParser:
    """Parses the response to one request while it arrives. Raises the same errors as httpcore."""

    def __init__(self, method: bytes) -> None:
        """Prepare to parse the response to a request with `method`."""
        self._has_body = method != b"HEAD"  # whose response states the length of a body that is not sent
        self._parser = httptools.HttpResponseParser(self)
        # A body in chunks may have a length as well, which does not count then (RFC 9112, section 6.3).
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True)
        self._unread_body_parts: list[bytes] = []
        self._overhead_bytes = 0
        """Number of bytes since the beginning of the response, or since the last part of its body."""
        self._error: httpcore.RemoteProtocolError | None = None
        """The error to raise once the parts of the body before it were taken."""
        self.status = 0
        """The status; 0 until the headers are complete."""
        self.headers: RawHeaders = []
        self.is_complete = False
        """Whether the response has been received to the end of its body."""
        self.keeps_connection = False
        """Whether another request can be sent on the connection."""

    def feed(self, data: bytes) -> None:
        """Parse bytes that arrived; empty bytes mean that the connection has ended.

        Raises:
            httpcore.RemoteProtocolError: `data` is not valid HTTP. If a part of the body comes before the invalid
                bytes, this part is kept, and the next call raises the error.
        """
        if self._error is not None:
            raise self._error
        if not data:
            self._note_connection_end()
            return
        self._overhead_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._reject_response(f"{INVALID_HTTP_MESSAGE}: {error}")
        except httptools.HttpParserUpgrade:
            self._reject_response(SWITCHED_PROTOCOL_MESSAGE)
        if self._overhead_bytes > MAX_RESPONSE_HEAD_BYTES:
            self._reject_response(OVERSIZE_HEADERS_MESSAGE)

    def take_body_parts(self) -> list[bytes]:
        """Return the parts of the body that were parsed since the last call."""
        parts, self._unread_body_parts = self._unread_body_parts, []
        return parts

    def _note_connection_end(self) -> None:
        if not self.status:
            raise httpcore.RemoteProtocolError(NO_RESPONSE_MESSAGE)
        has_end = any(
            name.lower() == b"content-length" or (name.lower() == b"transfer-encoding" and b"chunked" in value.lower())
            for name, value in self.headers
        )
        if has_end:
            raise httpcore.RemoteProtocolError(INCOMPLETE_BODY_MESSAGE)
        # A body without a length and not in chunks ends with its connection (RFC 9112, section 6.3).
        self.is_complete = True

    def _reject_response(self, reason: str) -> None:
        self.keeps_connection = False
        if self.is_complete:  # the response is valid; what follows it belongs to no request
            return
        self._error = httpcore.RemoteProtocolError(reason)
        # The client behind a proxy receives what came before the error, as it would without the proxy.
        if not self._unread_body_parts:
            raise self._error

    def on_message_begin(self) -> None:
        """Note the start of a message. The parser calls this method."""
        if self.is_complete:
            self.keeps_connection = False  # the server sends what nobody requested

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header. The parser calls this method for each header."""
        if not self.status:  # later ones follow the body
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the end of the headers. The parser calls this method."""
        if self.is_complete:
            return
        status = self._parser.get_status_code()
        if status < 200:  # an interim response, such as 100 Continue
            self.headers.clear()
            return
        self.status = status
        self._overhead_bytes = 0
        if not self._has_body:
            self.on_message_complete()

    def on_body(self, body_part: bytes) -> None:
        """Store a part of the body. The parser calls this method."""
        if self.is_complete:
            self.keeps_connection = False
            return
        self._unread_body_parts.append(body_part)
        self._overhead_bytes = 0

    def on_message_complete(self) -> None:
        """Note the end of the message. The parser calls this method."""
        if self.status and not self.is_complete:
            self.is_complete = True
            self.keeps_connection = self._parser.should_keep_alive()


# A connection pool with the interface of httpcore's pool. It passes bodies on, undecoded, as they arrive.


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
        self._backend = TimedNetworkBackend()
        self._idle_connections_by_server: defaultdict[ServerAddress, list[_RawConnection]] = defaultdict(list)

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
            # A server may close an idle connection in the moment in which a request is sent on it. Only that is
            # repeated, and only for methods that change nothing (RFC 9110, section 9.2.2): the server may have
            # performed a POST before it closed.
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
        for connections in self._idle_connections_by_server.values():
            for connection in connections:
                await connection.close()
        self._idle_connections_by_server.clear()

    async def _take_idle_connection(self, server: ServerAddress) -> _RawConnection | None:
        connections = self._idle_connections_by_server[server]
        while connections:
            connection = connections.pop()
            if connection.can_be_reused:
                return connection
            await connection.close()
        return None

    async def return_connection(self, connection: _RawConnection) -> None:
        """Keep an idle connection for the next request, or close it if it cannot be reused."""
        if connection.can_be_reused:
            self._idle_connections_by_server[connection.server].append(connection)
        else:
            await connection.close()

    async def _connect(self, server: ServerAddress, request: httpcore.Request) -> _RawConnection:
        scheme, host, port = server[0], server[1].decode("ascii"), server[2]
        trace, timeout_s = request.extensions["trace"], request.extensions["timeout"]["connect"]
        # The events of httpcore's own connections, from which `ExchangeTrace` knows the phases.
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
            while not self._response.status:
                await self.receive_more_bytes(request)
            await request.extensions["trace"]("http11.receive_response_headers.complete", {})
            await request.extensions["trace"]("http11.receive_response_body.started", {})
        except BaseException:
            await self.close()
            raise
        return self._response

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
    # A line break in a header would end it and begin another header, or another request (request splitting). The line
    # breaks of the whole head are counted, because a check of each part would miss the part that somebody adds later.
    request_head = b"\r\n".join([*lines, b"", b""])
    if request_head.count(b"\n") != len(lines) + 1 or request_head.count(b"\r") != len(lines) + 1:
        raise httpcore.LocalProtocolError("a header has a line break")
    return request_head


# Sends one request and passes on the parts of its response as they arrive, without decoding or changing them.


STREAMING_TIMEOUTS = Timeouts(connect_s=30.0, write_s=300.0, read_s=3600.0)
"""Time limits of forwarded requests. They are long, because the client whose request is forwarded has its own limits,
after which it closes its connection."""

MAX_PROXY_CONNECTIONS = 1000
"""Maximum number of open connections through a proxy that the environment names. Further requests wait for one."""


class StreamedRequest(NamedTuple):
    """A request whose body is sent part by part, while the body is still being received from a client."""

    method: str
    origin: str
    """Scheme, host and port, as in "https://api.example"."""
    path_and_query: bytes
    """Path and query, which are sent as they are."""
    headers: RawHeaders
    body: AsyncIterator[bytes] | None
    """The parts of the body; `None` without a body. The headers state its length, or "Transfer-Encoding: chunked"."""


class StreamedResponse:
    """A response whose headers were received and whose body is read part by part."""

    def __init__(self, response: httpcore.Response, trace: ExchangeTrace, host: str) -> None:
        """Wrap `response`, which `host` sent; `trace` measures it."""
        self._response, self._trace, self._host = response, trace, host
        self.status = response.status
        self.headers: RawHeaders = list(response.headers)

    async def iterate_body(self) -> AsyncIterator[bytes]:
        """Yield the parts of the body as they arrive, still compressed if the server compressed them.

        Raises:
            TransportError: the connection was lost before the end of the body, or the body is not valid HTTP.
        """
        try:
            async for part in self._response.aiter_stream():
                self._trace.note_body_chunk(len(part))
                yield part
        except HTTPCORE_ERRORS as error:
            raise build_transport_error(error, self._host, self._trace, STREAMING_TIMEOUTS) from error

    def build_timing(self) -> Timing | None:
        """Return the timing of the exchange so far, as if the body were complete; `None` before the headers arrived."""
        return self._trace.build_timing(get_http_version(self._response))


class StreamingTransport:
    """Sends requests without reading whole bodies.

    Nothing is added to a request, and nothing is sent twice. Redirects are not followed. The proxies that the
    environment names are used, except for requests to this machine.
    """

    def __init__(self) -> None:
        """Load the certificates, which takes longer than a request; open no connection."""
        self._ssl_context = create_ssl_context(http2=False)
        self._pools: dict[str | None, httpcore.AsyncConnectionPool | RawConnectionPool] = {}
        self._proxy_urls: dict[str, str | None] = {}
        """The proxies that the environment names, by origin."""

    async def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()

    @asynccontextmanager
    async def open_response(self, request: StreamedRequest) -> AsyncIterator[StreamedResponse]:
        """Send `request`, and yield its response once the headers were received.

        The connection is closed if the context ends before the body was read to its end.

        Raises:
            TransportError: no response was received.
        """
        trace = ExchangeTrace()
        host = urlsplit(request.origin).netloc
        try:
            outgoing = _build_httpcore_request(request, trace)
        except ValueError as error:
            raise build_unsendable_request_error(describe_httpcore_error(error)) from error
        CURRENT_TRACE.set(trace)
        try:
            response = await self._find_or_open_pool(request.origin).handle_async_request(outgoing)
        except HTTPCORE_ERRORS as error:
            raise build_transport_error(error, host, trace, STREAMING_TIMEOUTS) from error
        try:
            yield StreamedResponse(response, trace, host)
        finally:
            await response.aclose()

    def _find_or_open_pool(self, origin: str) -> httpcore.AsyncConnectionPool | RawConnectionPool:
        if origin not in self._proxy_urls:
            self._proxy_urls[origin] = find_proxy(origin)  # once: it reads the whole environment
        proxy_url = self._proxy_urls[origin]
        if proxy_url not in self._pools:
            self._pools[proxy_url] = (
                RawConnectionPool(self._ssl_context)
                if proxy_url is None
                else open_connection_pool(
                    proxy_url, ssl_context=self._ssl_context, max_connections=MAX_PROXY_CONNECTIONS, http2=False
                )
            )
        return self._pools[proxy_url]


def _build_httpcore_request(request: StreamedRequest, trace: ExchangeTrace) -> httpcore.Request:
    """Return a request whose target and headers are sent as they are."""
    parts = urlsplit(request.origin)
    extensions: dict[str, Any] = {"trace": trace, "timeout": STREAMING_TIMEOUTS.build_httpcore_extension()}
    url = httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=request.path_and_query)
    return httpcore.Request(request.method, url, headers=request.headers, content=request.body, extensions=extensions)
