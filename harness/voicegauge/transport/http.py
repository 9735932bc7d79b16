"""Sends one request and measures it, over the network or in process."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpcore
import httpx

from voicegauge.errors import (
    IncompleteResponseError,
    OversizeError,
    TimedOutError,
    TransportError,
    UnreachableError,
)
from voicegauge.hosts import is_loopback
from voicegauge.model import Exchange, Headers, Record, Request, Response, Timing, find_header
from voicegauge.transport.connection_pools import HTTPCORE_ERRORS, describe_httpcore_error, open_pool, require_http2
from voicegauge.transport.decoding import decode_body
from voicegauge.transport.in_process import call_app
from voicegauge.transport.network import NETWORK_OBSERVER
from voicegauge.transport.timing import ExchangeTrace

MAX_BODY_BYTES = 64 * 2**20
"""Maximum size of a response body: about six minutes of 16-bit stereo at 48 kHz. No single request returns so much."""
MAX_READ_AFTER_STREAM_END_S = 0.5
"""Maximum time for which a stream is read after its last event, in seconds. Events after the end violate the contract
and must be seen, but some servers leave the connection open."""


class Timeouts(Record, frozen=True, kw_only=True):
    """Time limits of one exchange, in seconds."""

    connect_s: float = 10.0
    """Limit for name resolution, TCP connect and TLS handshake together."""
    write_s: float = 60.0
    """Limit between two chunks of the request."""
    read_s: float = 120.0
    """Limit between two chunks of the response. It is long, because synchronous operations send nothing until all audio
    is ready."""
    pool_s: float = 60.0
    """Limit for the wait for a free connection of the pool."""
    total_s: float = 300.0
    """Limit for the whole exchange, because a response that arrives byte by byte never exceeds the other limits."""


def create_default_timeouts(max_total_s: float | None) -> Timeouts:
    """Return the default time limits, with at most `max_total_s` seconds per exchange; `None` keeps the default."""
    return Timeouts() if max_total_s is None else Timeouts(total_s=min(max_total_s, Timeouts().total_s))


@functools.cache
def create_ssl_context(*, http2: bool) -> ssl.SSLContext:  # noqa: ARG001 - one for each, as httpcore changes it
    """Return the TLS context with the trusted certificates, one for each value of `http2`.

    All transports share it, because loading the certificates takes 30 ms. httpx honors SSL_CERT_FILE and SSL_CERT_DIR.
    """
    return httpx.create_ssl_context()


def find_proxy(url: str) -> str | None:
    """Return the proxy that the environment (HTTPS_PROXY, NO_PROXY, ...) names for `url`.

    Return `None` if no proxy is named, or if the host is this machine.
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


class Transport:
    """Sends requests and measures them. A transport is an async context manager.

    Redirects are not followed and cookies are not stored. Only Host and Content-Length are added to a request.
    The proxies that the environment names are used, except for requests to this machine.
    """

    def __init__(
        self,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        max_body_bytes: int = MAX_BODY_BYTES,
        app: Any = None,
        max_connections: int = 64,
        min_send_interval_s: float = 0.0,
        http2: bool = False,
    ) -> None:
        """Configure the transport. Connections are opened when requests are sent.

        Args:
            timeouts: time limits of each phase and of the whole exchange.
            max_body_bytes: maximum size of a response body, both compressed and decompressed.
            app: ASGI application to call in this process instead of the network. Its exchanges have no timing.
            max_connections: maximum number of connections open at the same time; further requests wait.
            min_send_interval_s: minimum time between the starts of two requests in seconds, so that the work of sending
                one does not delay noticing the response to another. The wait is not part of the timing.
            http2: whether to use HTTP/2 with servers that support it.

        Raises:
            MissingExtraError: HTTP/2 is requested and not installed.
        """
        if http2:
            require_http2()
        self._timeouts, self._max_body_bytes = timeouts, max_body_bytes
        self.in_process = app is not None
        """Whether requests go to an application in this process, without a socket."""
        self._app, self._max_connections = app, max_connections
        self._http2 = http2
        self._send_interval_s, self._next_send_s = min_send_interval_s, 0.0
        self._pools: dict[tuple[str | None, str | None], httpcore.AsyncConnectionPool] = {}

    def _find_or_open_pool(self, proxy_url: str | None, pinned_host: str | None) -> httpcore.AsyncConnectionPool:
        """Return the connection pool for a proxy, or for direct connections.

        A pool finds open connections by address. A host whose address is pinned gets a pool of its own: a connection
        whose certificate was verified for one name must not be used for another name at the same address.
        """
        if (proxy_url, pinned_host) not in self._pools:
            self._pools[proxy_url, pinned_host] = open_pool(
                proxy_url,
                ssl_context=create_ssl_context(http2=self._http2),
                max_connections=self._max_connections,
                http2=self._http2,
            )
        return self._pools[proxy_url, pinned_host]

    async def __aenter__(self) -> Self:
        """Return this transport."""
        return self

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()

    async def send(
        self,
        request: Request,
        *,
        provider_id: str,
        operation_id: str,
        pinned_address: str | None = None,
        detect_stream_end: Callable[[bytes], bool] | None = None,
        max_total_s: float | None = None,
    ) -> Exchange:
        """Send `request` and read the whole response, whatever the status of the response.

        Args:
            request: the request, with an absolute URL.
            provider_id: provider id to store in the exchange.
            operation_id: operation id to store in the exchange.
            pinned_address: IP address to connect to instead of resolving the host name. TLS and the Host header still
                use the name.
            detect_stream_end: is called with each chunk of an event stream and returns whether the stream is complete.
                The connection is then read for at most `MAX_READ_AFTER_STREAM_END_S` seconds more. The function
                is not called for requests to an application in this process.
            max_total_s: limit for the whole exchange in seconds, if it is shorter than that of the transport.

        Raises:
            UnreachableError: there is no connection, or the connection was lost; its `request_was_sent` tells
                whether the request had been sent.
            IncompleteResponseError: the connection was lost while the body of the response was received.
            TimedOutError: a phase exceeded its limit.
            OversizeError: the response exceeds the size limit.
        """
        await self._wait_for_send_interval()
        trace = ExchangeTrace()
        url = _parse_url(request.url)
        host = url.netloc.decode("ascii")
        total_s = self._timeouts.total_s if max_total_s is None else min(max_total_s, self._timeouts.total_s)
        try:
            async with asyncio.timeout(total_s):
                if self._app is not None:
                    response, timing = await self._send_to_app(request, host), None
                else:
                    response, timing = await self._send_to_host(
                        request, url, host, trace, pinned_address, detect_stream_end
                    )
        except TimeoutError:
            message = f"{host}: {trace.phase}: not done after {total_s:.3g} s in total{trace.received_body_description}"
            raise TimedOutError(message, request_was_sent=trace.may_have_been_sent or self.in_process) from None
        except HTTPCORE_ERRORS as error:
            raise build_transport_error(error, host, trace, self._timeouts) from error
        return Exchange(provider=provider_id, operation=operation_id, request=request, response=response, timing=timing)

    async def _wait_for_send_interval(self) -> None:
        """Wait until `min_send_interval_s` has passed since the previous request was started."""
        if not self._send_interval_s:
            return
        loop = asyncio.get_running_loop()
        turn_s = max(self._next_send_s, loop.time())
        self._next_send_s = turn_s + self._send_interval_s
        if turn_s > loop.time():
            await asyncio.sleep(turn_s - loop.time())

    async def _send_to_app(self, request: Request, host: str) -> Response:
        status, headers, body = await call_app(self._app, request, self._max_body_bytes)
        return self._build_response(status, _decode_headers(headers), body, host)

    async def _send_to_host(
        self,
        request: Request,
        url: httpx.URL,
        host: str,
        trace: ExchangeTrace,
        pinned_address: str | None,
        detect_stream_end: Callable[[bytes], bool] | None,
    ) -> tuple[Response, Timing | None]:
        outgoing = self._build_httpcore_request(request, url, trace, pinned_address)
        proxy = None if pinned_address is not None else find_proxy(request.url)
        pool = self._find_or_open_pool(proxy, host if pinned_address is not None else None)
        NETWORK_OBSERVER.set(trace)
        response = await pool.handle_async_request(outgoing)
        headers = _decode_headers(response.headers)
        try:
            body = await self._read_body(
                response, trace, host, detect_stream_end if _is_streamed_response(headers) else None
            )
        except (httpcore.ReadError, httpcore.RemoteProtocolError) as error:
            message = str(build_transport_error(error, host, trace, self._timeouts))
            raise IncompleteResponseError(message, response.status, headers) from error
        finally:
            await response.aclose()
        timing = trace.build_timing(get_http_version(response))
        return self._build_response(response.status, headers, body, host), timing

    def _build_response(self, status: int, headers: Headers, body: bytes, host: str) -> Response:
        encoding = ", ".join(value for name, value in headers if name.lower() == "content-encoding")
        if encoding:
            body = decode_body(body, encoding, max_bytes=self._max_body_bytes, origin_name=host)
        return Response(status=status, headers=headers, body=body)

    async def _read_body(
        self,
        response: httpcore.Response,
        trace: ExchangeTrace,
        host: str,
        detect_stream_end: Callable[[bytes], bool] | None,
    ) -> bytes:
        """Read the body without decoding it, and time the chunks of the body."""
        body = io.BytesIO()  # not a list: a body sent byte by byte would take 40 times its size
        ended = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as linger:
                async for chunk in response.aiter_stream():
                    trace.record_chunk(len(chunk))
                    if body.tell() + len(chunk) > self._max_body_bytes:
                        raise OversizeError(f"{host}: the response is larger than {self._max_body_bytes} bytes")
                    body.write(chunk)
                    if detect_stream_end is not None and detect_stream_end(chunk) and not ended:
                        ended = True
                        linger.reschedule(asyncio.get_running_loop().time() + MAX_READ_AFTER_STREAM_END_S)
        return body.getvalue()

    def _build_httpcore_request(
        self, request: Request, url: httpx.URL, trace: ExchangeTrace, pinned_address: str | None
    ) -> httpcore.Request:
        timeouts = self._timeouts
        extensions: dict[str, Any] = {
            "trace": trace,
            "timeout": {
                "connect": timeouts.connect_s,
                "read": timeouts.read_s,
                "write": timeouts.write_s,
                "pool": timeouts.pool_s,
            },
        }
        try:
            headers = list(request.headers)
            if pinned_address is not None:
                headers.insert(0, ("Host", url.netloc.decode("ascii")))
                extensions["sni_hostname"] = url.host
                url = url.copy_with(host=pinned_address)
            built = httpx.Request(request.method, url, headers=headers, content=request.body or None)
            if request.padding is not None:
                built.headers["Content-Length"] = str(request.sent_body_bytes)
            return httpcore.Request(
                built.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=built.headers.raw,
                content=_PaddedBody(request) if request.padding is not None else request.body or None,
                extensions=extensions,
            )
        except (ValueError, httpx.InvalidURL) as error:
            raise UnreachableError(
                f"the request cannot be sent: {describe_httpcore_error(error)}", request_was_sent=False
            ) from error


class _PaddedBody:
    """The body of a request, with its padding. It is sent again if a reused connection turns out to be closed."""

    def __init__(self, request: Request) -> None:
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._request.iterate_sent_pieces():
            yield piece


def _decode_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    return tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])


def get_http_version(response: httpcore.Response) -> str:
    """Return the HTTP version of the connection, such as "HTTP/1.1"."""
    version = response.extensions.get("http_version", b"")
    return version.decode("latin-1") if isinstance(version, bytes) else ""


def _is_streamed_response(headers: Headers) -> bool:
    """Whether the response is an event stream without compression, whose chunks can be read as they arrive."""
    media_type = find_header(headers, "content-type") or ""
    return media_type.lower().startswith("text/event-stream") and find_header(headers, "content-encoding") is None


@functools.lru_cache(maxsize=256)
def _parse_url(url: str) -> httpx.URL:
    """Parse an absolute URL. The result is cached, because the requests of a run share a small number of URLs."""
    try:
        parsed = httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise UnreachableError(
            f"the request cannot be sent: {describe_httpcore_error(error)}", request_was_sent=False
        ) from error
    if not parsed.host:
        raise UnreachableError("the request cannot be sent: its URL names no host", request_was_sent=False)
    return parsed


def build_transport_error(error: Exception, host: str, trace: ExchangeTrace, timeouts: Timeouts) -> TransportError:
    """Return the `TransportError` for an exception of httpcore.

    Its message is one line with the host and the phase, but without the URL, which may contain a key.
    """
    if isinstance(error, httpcore.TimeoutException):
        seconds = {
            httpcore.ConnectTimeout: timeouts.connect_s,
            httpcore.ReadTimeout: timeouts.read_s,
            httpcore.WriteTimeout: timeouts.write_s,
            httpcore.PoolTimeout: timeouts.pool_s,
        }.get(type(error), timeouts.total_s)
        sent = trace.may_have_been_sent and not isinstance(error, httpcore.ConnectTimeout | httpcore.PoolTimeout)
        return TimedOutError(
            f"{host}: {trace.phase}: nothing for {seconds:g} s{trace.received_body_description}", request_was_sent=sent
        )
    if isinstance(error, httpcore.UnsupportedProtocol | httpcore.LocalProtocolError):
        return UnreachableError(
            f"{host}: the request cannot be sent: {describe_httpcore_error(error)}", request_was_sent=False
        )
    if isinstance(error, httpcore.ConnectError):
        return UnreachableError(f"{host}: cannot connect: {describe_httpcore_error(error)}", request_was_sent=False)
    if isinstance(error, httpcore.ProxyError):  # the request is sent only after the proxy has connected
        return UnreachableError(
            f"{host}: the proxy does not connect: {describe_httpcore_error(error)}", request_was_sent=False
        )
    return UnreachableError(
        f"{host}: {trace.phase}: connection lost: {describe_httpcore_error(error)}",
        request_was_sent=trace.may_have_been_sent,
    )
