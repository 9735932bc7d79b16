"""Sends one request and passes on the parts of its response as they arrive, without decoding or changing them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpcore

from voicegauge.errors import UnreachableError
from voicegauge.model import Timing
from voicegauge.transport.connection_pools import HTTPCORE_ERRORS, describe_httpcore_error, open_pool
from voicegauge.transport.http import Timeouts, build_transport_error, create_ssl_context, find_proxy, get_http_version
from voicegauge.transport.network import NETWORK_OBSERVER
from voicegauge.transport.raw_connection import RawConnectionPool
from voicegauge.transport.raw_response import RawHeaders
from voicegauge.transport.timing import ExchangeTrace

STREAMING_TIMEOUTS = Timeouts(connect_s=30.0, write_s=300.0, read_s=3600.0)
"""Time limits of forwarded requests. They are long, because the client whose request is forwarded has its own limits,
after which it closes its connection."""

MAX_PROXY_CONNECTIONS = 1000
"""Maximum number of open connections through a proxy that the environment names. It equals the limit of
the voicegauge server that receives the requests to be forwarded."""


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
                self._trace.record_chunk(len(part))
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
            raise UnreachableError(
                f"the request cannot be sent: {describe_httpcore_error(error)}", request_was_sent=False
            ) from error
        NETWORK_OBSERVER.set(trace)
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
            self._proxy_urls[origin] = find_proxy(origin)
        proxy_url = self._proxy_urls[origin]
        if proxy_url not in self._pools:
            self._pools[proxy_url] = self._open_pool(proxy_url)
        return self._pools[proxy_url]

    def _open_pool(self, proxy_url: str | None) -> httpcore.AsyncConnectionPool | RawConnectionPool:
        if proxy_url is None:
            return RawConnectionPool(self._ssl_context)
        return open_pool(proxy_url, ssl_context=self._ssl_context, max_connections=MAX_PROXY_CONNECTIONS, http2=False)


def _build_httpcore_request(request: StreamedRequest, trace: ExchangeTrace) -> httpcore.Request:
    """Return a request whose target and headers are sent as they are."""
    parts, timeouts = urlsplit(request.origin), STREAMING_TIMEOUTS
    extensions: dict[str, Any] = {
        "trace": trace,
        "timeout": {
            "connect": timeouts.connect_s,
            "read": timeouts.read_s,
            "write": timeouts.write_s,
            "pool": timeouts.pool_s,
        },
    }
    url = httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=request.path_and_query)
    return httpcore.Request(request.method, url, headers=request.headers, content=request.body, extensions=extensions)
