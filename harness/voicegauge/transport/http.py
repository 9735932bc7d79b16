"""One request, one answer: httpx behind a class of our own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import ssl
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from voicegauge.errors import OversizeError, TimedOutError, TransportError, UnreachableError, UsageError
from voicegauge.hosts import is_loopback
from voicegauge.model import Exchange, Record, Request, Response, Timing
from voicegauge.transport.decoding import decode_body
from voicegauge.transport.in_process import call_app
from voicegauge.transport.timing import ExchangeTrace

MAX_BODY_BYTES = 64 * 2**20
"""Six minutes of 16-bit stereo at 48 kHz: beyond any one utterance."""
KEEP_ALIVE_S = 30.0
"""Idle connections are kept longer than any documented poll interval, so that polls stay warm."""


LINGER_S = 0.5
"""How long a stream that says it has ended is read on: what comes after its end is wrong, and should be seen."""


class Timeouts(Record, frozen=True, kw_only=True):
    """Limits of one exchange, in seconds."""

    connect_s: float = 10.0
    """Name look-up, TCP connect and TLS."""
    write_s: float = 60.0
    """Between two pieces of the request."""
    read_s: float = 120.0
    """Between two pieces of the answer; the first byte of synchronous speech takes longest."""
    pool_s: float = 60.0
    """For a free connection."""
    total_s: float = 300.0
    """For all of it, so that a slow trickle ends too."""


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    """One for all clients: making it costs 30 ms. SSL_CERT_FILE and SSL_CERT_DIR are honoured."""
    return httpx.create_ssl_context()


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (HTTPS_PROXY, NO_PROXY, ...) names for `url`; never for this machine."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


class Transport:
    """Sends requests and measures them; an async context manager.

    Redirects are answers like any other, cookies are not kept, nothing is sent that the
    request does not hold (but Host and Content-Length). Proxies of the environment are
    used, though never for this machine itself.
    """

    def __init__(
        self,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        max_body_bytes: int = MAX_BODY_BYTES,
        app: Any = None,
        max_connections: int = 64,
    ) -> None:
        """Set the limits.

        Args:
            timeouts: for each phase and in total.
            max_body_bytes: for a body, as sent and as decompressed.
            app: an ASGI application to call in this process instead of the network; its
                bodies come whole, so its exchanges carry no timing.
            max_connections: at one time; further requests wait.
        """
        self._timeouts, self._limit = timeouts, max_body_bytes
        self.in_process = app is not None
        """Whether no socket is used."""
        self._app, self._max_connections = app, max_connections
        self._pools: dict[tuple[str | None, str | None], httpx.AsyncBaseTransport] = {}

    def _pool(self, proxy: str | None, pinned: str | None) -> httpx.AsyncBaseTransport:
        """The connections through `proxy`, or direct ones.

        httpx's pools are used without its client, which would read redirects and keep cookies.
        They tell connections apart by address, so a host whose address was given has a pool of
        its own: a connection whose certificate was checked for one name must not serve another.
        """
        if (proxy, pinned) not in self._pools:
            self._pools[proxy, pinned] = self._open_pool(proxy)
        return self._pools[proxy, pinned]

    def _open_pool(self, proxy: str | None) -> httpx.AsyncBaseTransport:
        limits = httpx.Limits(
            max_connections=self._max_connections,
            max_keepalive_connections=self._max_connections,
            keepalive_expiry=KEEP_ALIVE_S,
        )
        try:
            return httpx.AsyncHTTPTransport(verify=_ssl_context(), limits=limits, proxy=proxy)
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            # The proxy's URL may hold a password, so it is not repeated.
            raise UsageError(f"the proxy that the environment names cannot be used: {_reason(error)}") from error

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()

    async def send(
        self,
        request: Request,
        *,
        provider: str,
        operation: str,
        address: str | None = None,
        done: Callable[[bytes], bool] | None = None,
    ) -> Exchange:
        """Send `request` and read the whole answer, whatever its status.

        Args:
            request: its URL must be absolute.
            provider: and
            operation: name what is asked, for the exchange.
            address: an IP address to connect to instead of looking up the host's name; TLS and
                the Host header still go by the name.
            done: given each piece of a stream of events as it comes; where it says that all is there,
                the connection has `LINGER_S` left to end. Not asked in process.

        Raises:
            UnreachableError: no connection, or it broke; `sent` says whether the request had left.
            TimedOutError: a phase took too long.
            OversizeError: the answer is larger than the limit.
        """
        trace = ExchangeTrace()
        url = _parse(request.url)
        host = url.netloc.decode("ascii")
        try:
            async with asyncio.timeout(self._timeouts.total_s):
                if self._app is not None:
                    response, timing = await self._ask_app(request, url), None
                else:
                    response, timing = await self._ask_host(request, url, trace, address, done)
        except TimeoutError:
            message = f"{host}: {trace.phase}: not done after {self._timeouts.total_s:g} s in all"
            raise TimedOutError(message, sent=trace.sent or self.in_process) from None
        except (httpx.HTTPError, ssl.SSLError) as error:  # httpx passes on what TLS finds wrong after its handshake
            raise _translate(error, host, trace, self._timeouts) from error
        return Exchange(provider=provider, operation=operation, request=request, response=response, timing=timing)

    async def _ask_app(self, request: Request, url: httpx.URL) -> Response:
        status, headers, body = await call_app(self._app, request, url, self._limit)
        return self._response(status, headers, body, url.netloc.decode("ascii"))

    async def _ask_host(
        self,
        request: Request,
        url: httpx.URL,
        trace: ExchangeTrace,
        address: str | None,
        done: Callable[[bytes], bool] | None,
    ) -> tuple[Response, Timing | None]:
        outgoing = self._prepare(request, url, trace, address)
        host = url.netloc.decode("ascii")
        proxy = None if address is not None else proxy_for(request.url)
        pool = self._pool(proxy, host if address is not None else None)
        answer = await pool.handle_async_request(outgoing)
        try:
            body = await self._read(answer, trace, host, done if _is_stream(answer) else None)
        finally:
            await answer.aclose()
        timing = trace.timing()
        return self._response(answer.status_code, answer.headers.raw, body, host), timing

    def _response(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, host: str) -> Response:
        told = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
        encoding = ", ".join(value for name, value in told if name.lower() == "content-encoding")
        return Response(status=status, headers=told, body=decode_body(body, encoding, limit=self._limit, host=host))

    async def _read(
        self, answer: httpx.Response, trace: ExchangeTrace, host: str, done: Callable[[bytes], bool] | None
    ) -> bytes:
        """The body as it was sent; without a size, pieces are passed on as they come."""
        pieces: list[bytes] = []
        size, ended = 0, False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as rest:
                async for piece in answer.aiter_raw():
                    trace.chunk(len(piece))
                    size += len(piece)
                    if size > self._limit:
                        raise OversizeError(f"{host}: the answer is larger than {self._limit} bytes")
                    pieces.append(piece)
                    if done is not None and not ended and done(piece):
                        ended = True
                        rest.reschedule(asyncio.get_running_loop().time() + LINGER_S)
        return b"".join(pieces)

    def _prepare(self, request: Request, url: httpx.URL, trace: ExchangeTrace, address: str | None) -> httpx.Request:
        limits = self._timeouts
        extensions: dict[str, Any] = {
            "trace": trace,
            "timeout": {
                "connect": limits.connect_s,
                "read": limits.read_s,
                "write": limits.write_s,
                "pool": limits.pool_s,
            },
        }
        try:
            headers = list(request.headers)
            if address is not None:
                headers.insert(0, ("Host", url.netloc.decode("ascii")))
                extensions["sni_hostname"] = url.host
                url = url.copy_with(host=address)
            return httpx.Request(
                request.method, url, headers=headers, content=request.body or None, extensions=extensions
            )
        except (ValueError, httpx.InvalidURL) as error:
            raise UnreachableError(f"the request cannot be sent: {_reason(error)}", sent=False) from error


def _is_stream(answer: httpx.Response) -> bool:
    """Whether it is a stream of events, in no encoding: pieces of a compressed one cannot be read one by one."""
    headers = answer.headers
    return headers.get("content-type", "").lower().startswith("text/event-stream") and "content-encoding" not in headers


@functools.lru_cache(maxsize=256)
def _parse(url: str) -> httpx.URL:
    """`url`, which must be absolute; most requests of a run have one of few."""
    try:
        parsed = httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise UnreachableError(f"the request cannot be sent: {_reason(error)}", sent=False) from error
    if not parsed.host:
        raise UnreachableError("the request cannot be sent: its URL names no host", sent=False)
    return parsed


def _translate(error: Exception, host: str, trace: ExchangeTrace, limits: Timeouts) -> TransportError:
    """Our own error for one of httpx: one line that names the host and the phase, never the URL."""
    if isinstance(error, httpx.TimeoutException):
        seconds = {
            httpx.ConnectTimeout: limits.connect_s,
            httpx.ReadTimeout: limits.read_s,
            httpx.WriteTimeout: limits.write_s,
            httpx.PoolTimeout: limits.pool_s,
        }.get(type(error), limits.total_s)
        sent = trace.sent and not isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout)
        return TimedOutError(f"{host}: {trace.phase}: nothing for {seconds:g} s", sent=sent)
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return UnreachableError(f"{host}: the request cannot be sent: {_reason(error)}", sent=False)
    if isinstance(error, httpx.ConnectError):
        return UnreachableError(f"{host}: cannot connect: {_reason(error)}", sent=False)
    if isinstance(error, httpx.ProxyError):  # of the way to the host: the request itself waits for it
        return UnreachableError(f"{host}: the proxy does not connect: {_reason(error)}", sent=False)
    return UnreachableError(f"{host}: {trace.phase}: the connection broke: {_reason(error)}", sent=trace.sent)


def _reason(error: Exception) -> str:
    """The library's words on one line, without the number of the system's error."""
    words = re.sub(r"^\[Errno [^\]]*\] ", "", " ".join(str(error).split()))
    return words.rstrip(".") or type(error).__name__
