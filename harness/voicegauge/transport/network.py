"""Connects to hosts, with the time of each step, and pools connections.

httpcore notices a response only when the task of the request runs. If other tasks are ready, that is late: by
milliseconds with a dozen requests in flight. These streams know from the operating system when bytes arrived, and send
the head of a request together with its body.

The client of httpx is not used, because it would follow redirects and store cookies.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import ipaddress
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple, cast

import aiohappyeyeballs
import httpcore
import httpx

from voicegauge.errors import MissingExtraError, UsageError
from voicegauge.transport.timing import ExchangeTrace, PacketTimingSocket, describe_httpcore_error

# Network streams for httpcore that note when bytes are sent and received.


# ruff: noqa: ASYNC109 - httpcore passes time limits to its streams


_NO_TLS_MESSAGE = "the server does not speak TLS, or ends it: if it has none, write http:// instead of https://"
HAPPY_EYEBALLS_DELAY_S = 0.25
"""Wait before another address is tried at the same time, in seconds (RFC 8305, section 5)."""
MAX_BUFFERED_BYTES = 2**18
"""Number of unread bytes above which a connection is not read any further, so that a fast server cannot fill memory."""
MAX_BYTES_PER_WRITE = 2**18
"""Maximum number of bytes that are written at a time. asyncio copies what the operating system does not take at once,
so larger writes would take more memory."""

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""An address of a host as `socket.getaddrinfo` returns it: family, type, protocol, canonical name, socket address."""


CURRENT_TRACE: ContextVar[ExchangeTrace | None] = ContextVar("current_trace", default=None)
"""The trace of the request that the current task sends; `None` if there is none."""


MAX_PREPARED_CONNECTION_AGE_S = 5.0
"""Maximum age in seconds of a connection that was opened in advance. Servers close unused connections; a request that
is sent while the server closes the connection would be lost, and might have been charged."""


class TimedNetworkBackend(httpcore.AsyncNetworkBackend):
    """Opens connections whose streams report to the `CURRENT_TRACE` of the task.

    One connection can be opened in advance, with `prepare_connection`.
    """

    def __init__(self) -> None:
        """Create a backend without connections."""
        self._prepared_stream: httpcore.AsyncNetworkStream | None = None
        self._prepared_at_s = 0.0

    async def prepare_connection(
        self, host: str, port: int, ssl_context: ssl.SSLContext | None, timeout: float
    ) -> None:
        """Open the connection that the first request will use, and its TLS unless `ssl_context` is `None`.

        Raises:
            httpcore.ConnectError: the connection cannot be opened.
            httpcore.ConnectTimeout: opening the connection takes longer than `timeout` seconds.
        """
        stream = await self.connect_tcp(host, port, timeout)
        self._prepared_stream = stream if ssl_context is None else await stream.start_tls(ssl_context, host, timeout)
        self._prepared_at_s = time.monotonic()

    async def close(self) -> None:
        """Close the prepared connection if no request has used it."""
        if self._prepared_stream is not None:
            await self._prepared_stream.aclose()
            self._prepared_stream = None

    async def _take_prepared_stream(self) -> httpcore.AsyncNetworkStream | None:
        """Return the stream of the prepared connection; `None` if there is none that can still be used."""
        stream, self._prepared_stream = self._prepared_stream, None
        if stream is None:
            return None
        if time.monotonic() - self._prepared_at_s > MAX_PREPARED_CONNECTION_AGE_S or stream.get_extra_info(
            "is_readable"
        ):
            await stream.aclose()
            return None
        trace = CURRENT_TRACE.get()
        if trace is not None:
            trace.uses_prepared_connection = True
        return stream if stream.get_extra_info("ssl_object") is None else _PreparedTlsStream(stream)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - always the default
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - always the default
    ) -> httpcore.AsyncNetworkStream:
        """Resolve `host` and connect; addresses that do not answer quickly are tried in parallel (RFC 8305).

        `timeout` is in seconds; `None` waits without a limit. The arguments after it are always `None`.
        """
        prepared_stream = await self._take_prepared_stream()
        if prepared_stream is not None:
            return prepared_stream
        loop = asyncio.get_running_loop()
        with _translate_errors(httpcore.ConnectTimeout, httpcore.ConnectError):
            async with asyncio.timeout(timeout):
                connected = await aiohappyeyeballs.start_connection(
                    await _resolve_host(host, port),
                    happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S,
                    interleave=1,  # IPv6 and IPv4 in turn (RFC 8305, section 4)
                    loop=loop,
                )
                # Otherwise the end of a request waits for the acknowledgement of its beginning, up to 40 ms, which
                # would be said to be time of the service (Nagle's algorithm and delayed acknowledgements).
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # Before asyncio has the socket: it keeps the object whose `recv` and `send` it calls.
                # Other loops than those of asyncio, such as uvloop, use the descriptor without calling the socket. So
                # nothing would take the times of sent packets from it, and these wake the loop until they are taken:
                # it would keep a processor busy while the service works.
                calls_socket = isinstance(loop, asyncio.SelectorEventLoop)
                timed = PacketTimingSocket.adopt_connection(connected, has_packet_times=calls_socket)
                transport, protocol = await loop.create_connection(
                    lambda: _StreamProtocol(timed, does_loop_call_socket=calls_socket), sock=timed
                )
        return _TimedNetworkStream(transport, protocol)

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        await asyncio.sleep(seconds)


async def _resolve_host(host: str, port: int) -> Sequence[AddressInfo]:
    # An IP address needs no resolver, whose time would be reported as that of name resolution. One with a zone, such as
    # fe80::1%eth0, does: only the operating system knows the number of the zone.
    address = host.partition("%")[0]
    with contextlib.suppress(ValueError):
        family = socket.AF_INET if ipaddress.ip_address(address).version == 4 else socket.AF_INET6
        if address == host:
            end = (host, port) if family == socket.AF_INET else (host, port, 0, 0)
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", end)]
    started_s = time.perf_counter()
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    trace = CURRENT_TRACE.get()
    if trace is not None:
        trace.note_name_resolution(started_s, time.perf_counter())
    return found


class _ReceivedBytes(NamedTuple):
    """Bytes that arrived together, and when they arrived, in seconds of `time.perf_counter`."""

    data: bytes
    arrival_time_s: float


class _StreamProtocol(asyncio.Protocol):
    """An asyncio protocol that buffers received bytes, each chunk with the time at which it arrived."""

    def __init__(self, connected_socket: PacketTimingSocket, *, does_loop_call_socket: bool) -> None:
        self.socket, self.does_loop_call_socket = connected_socket, does_loop_call_socket
        self.received: deque[_ReceivedBytes] = deque()
        self.is_ended = False
        self.ended_s = 0.0
        self.error: Exception | None = None
        self._buffered_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._read_waiter: asyncio.Future[None] | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._is_reading = True
        self.can_write = True
        """Whether the operating system takes bytes; otherwise, what is written waits in this process."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has another base class

    def data_received(self, data: bytes) -> None:
        # Not the time at which `read` returns: with many requests in flight, the task that reads may run milliseconds
        # after the bytes arrived.
        arrival_time_s = self.socket.arrival_time_s if self.does_loop_call_socket else time.perf_counter()
        self.received.append(_ReceivedBytes(data, arrival_time_s))
        self._buffered_bytes += len(data)
        # Without a limit a server could send faster than its response is read, until memory is full: asyncio's
        # protocols have no flow control of their own, unlike its streams.
        if self._buffered_bytes > MAX_BUFFERED_BYTES and self._is_reading and self._transport is not None:
            self._transport.pause_reading()
            self._is_reading = False
        _wake_waiter(self._read_waiter)

    def eof_received(self) -> bool:
        self._mark_stream_ended()
        _wake_waiter(self._read_waiter)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._mark_stream_ended()
        self.error, self.can_write = error, True
        _wake_waiter(self._read_waiter)
        _wake_waiter(self._write_waiter)

    def _mark_stream_ended(self) -> None:
        if not self.is_ended:
            self.is_ended, self.ended_s = True, time.perf_counter()

    def pause_writing(self) -> None:
        self.can_write = False

    def resume_writing(self) -> None:
        self.can_write = True
        _wake_waiter(self._write_waiter)

    async def wait_until_readable(self) -> None:
        while not self.received and not self.is_ended:
            self._read_waiter = asyncio.get_running_loop().create_future()
            await self._read_waiter

    async def wait_until_writable(self) -> None:
        while not self.can_write:
            self._write_waiter = asyncio.get_running_loop().create_future()
            await self._write_waiter

    def pop_received_bytes(self, max_bytes: int) -> _ReceivedBytes:
        """Remove and return at most `max_bytes` bytes that arrived together, with the time of their arrival."""
        # Chunks that arrived one after the other are not joined: each keeps its own time, and the simulated player
        # needs to know which audio had arrived when.
        first = self.received.popleft()
        if len(first.data) > max_bytes:
            self.received.appendleft(_ReceivedBytes(first.data[max_bytes:], first.arrival_time_s))
            first = _ReceivedBytes(first.data[:max_bytes], first.arrival_time_s)
        self._buffered_bytes -= len(first.data)
        if not self._is_reading and self._buffered_bytes <= MAX_BUFFERED_BYTES and self._transport is not None:
            self._is_reading = True
            self._transport.resume_reading()
        return first


def _wake_waiter(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class _TimedNetworkStream(httpcore.AsyncNetworkStream):
    """The stream of one connection for httpcore. Only one task reads from it at a time."""

    def __init__(self, transport: asyncio.Transport, protocol: _StreamProtocol) -> None:
        self._transport, self._protocol = transport, protocol
        self._held_head = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return at most `max_bytes` bytes that arrived together; no bytes at the end of the stream.

        `timeout` is in seconds; `None` waits without a limit.
        """
        protocol = self._protocol
        if self._held_head:  # of a CONNECT request, which has no body although the request that follows has one
            await self._send(b"", timeout)
        if not protocol.received and not protocol.is_ended:
            with _translate_errors(httpcore.ReadTimeout, httpcore.ReadError):
                async with asyncio.timeout(timeout):
                    await protocol.wait_until_readable()
        if not protocol.received and protocol.error is not None:
            raise httpcore.ReadError(str(protocol.error)) from protocol.error
        data, arrival_time_s = protocol.pop_received_bytes(max_bytes) if protocol.received else (b"", protocol.ended_s)
        trace = CURRENT_TRACE.get()
        if trace is not None:
            trace.note_bytes_received(arrival_time_s)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send `buffer`, and wait as long as the operating system accepts no more bytes.

        `timeout` is in seconds; `None` waits without a limit.
        """
        if not buffer:
            return
        trace = CURRENT_TRACE.get()
        if trace is not None and trace.is_body_pending:
            # Sent with the body: a process that loses the processor between two writes would send the body late, and
            # the service would be said to have taken that time.
            self._held_head += buffer
            return
        await self._send(buffer, timeout)

    async def _send(self, buffer: bytes, timeout: float | None) -> None:
        buffer, self._held_head = self._held_head + buffer, b""
        started_s = sent_s = time.perf_counter()
        pieces = memoryview(buffer)
        # In pieces, so that the end of the last `write` is close to the time at which the operating system took the
        # last byte. A single `write` of a large upload returns at once, and its time would be counted as time of the
        # server.
        for start in range(0, len(buffer), MAX_BYTES_PER_WRITE):
            if self._transport.is_closing():
                raise httpcore.WriteError("the connection is closed")
            # Not after the write: the operating system takes the bytes at once, but may let the service run, or another
            # thread, before it returns. uvloop writes without the socket, whose time is then an earlier one.
            begun_s = time.perf_counter()
            self._transport.write(pieces[start : start + MAX_BYTES_PER_WRITE])
            sent_s = max(begun_s, self._protocol.socket.sent_time_s)
            if not start:
                started_s = sent_s
            if not self._protocol.can_write:
                with _translate_errors(httpcore.WriteTimeout, httpcore.WriteError):
                    async with asyncio.timeout(timeout):
                        await self._protocol.wait_until_writable()
                sent_s = time.perf_counter()
        trace = CURRENT_TRACE.get()
        if trace is not None:
            trace.note_bytes_sent(started_s, sent_s)

    async def aclose(self) -> None:
        """Close the connection without waiting for the other side."""
        # `close` begins an orderly end: over TLS it sends close_notify and waits up to 30 s for that of the other side.
        # One turn of the loop sends ours; `abort` then frees the socket at once. `abort` alone would look like a lost
        # connection.
        self._transport.close()
        await asyncio.sleep(0)
        self._transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Return a stream over TLS on this connection.

        Args:
            ssl_context: the certificates to trust, and the protocols to offer.
            server_hostname: the name that the certificate must have; `None` only if `ssl_context` checks no name.
            timeout: limit in seconds; `None` waits without a limit.
        """
        protocol = _StreamProtocol(self._protocol.socket, does_loop_call_socket=self._protocol.does_loop_call_socket)
        try:
            with _translate_errors(httpcore.ConnectTimeout, httpcore.ConnectError):
                async with asyncio.timeout(timeout):
                    transport = await asyncio.get_running_loop().start_tls(
                        self._transport, protocol, ssl_context, server_hostname=server_hostname
                    )
        except BaseException as error:
            self._transport.abort()
            if _is_caused_by_missing_tls(error):
                raise httpcore.ConnectError(_NO_TLS_MESSAGE) from error
            raise
        # asyncio returns no transport if the connection was lost while the handshake ended.
        if transport is None:
            raise httpcore.ConnectError(_NO_TLS_MESSAGE)
        protocol.connection_made(transport)
        return _TimedNetworkStream(transport, protocol)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore requests by name: whether a read would return at once, or the TLS session."""
        if info == "is_readable":  # an idle connection that can be read was closed by the server
            return bool(self._protocol.received) or self._protocol.is_ended or self._has_unread_bytes()
        if info == "client_addr":
            return self._transport.get_extra_info("sockname")
        if info == "server_addr":
            return self._transport.get_extra_info("peername")
        return self._transport.get_extra_info(info)

    def _has_unread_bytes(self) -> bool:
        """Whether the operating system has received bytes or the end of the stream.

        The event loop does not know of them yet if it was busy for longer than the server keeps idle connections.
        """
        opened = self._transport.get_extra_info("socket")
        if opened is None or opened.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(opened, select.POLLIN)
        # POLLERR alone does not count: it also stands for times of sending that have not been read yet.
        return any(event & (select.POLLIN | select.POLLHUP) for _, event in poll.poll(0))


class _PreparedTlsStream(httpcore.AsyncNetworkStream):
    """A connection with a completed TLS handshake. Its `start_tls`, which httpcore calls, does no further handshake."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,  # noqa: ARG002 - that of the handshake
        server_hostname: str | None = None,  # noqa: ARG002 - a pool has one host
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Return the stream over TLS that is open already. The arguments, which may be `None`, have no effect."""
        return self._stream

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()


def _is_caused_by_missing_tls(error: BaseException) -> bool:
    """Whether an error of a TLS handshake means that the server does not speak TLS."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        return cause.reason in ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING")
    return isinstance(cause, ConnectionError)


@contextlib.contextmanager
def _translate_errors(timeout_error: type[Exception], connection_error: type[Exception]) -> Iterator[None]:
    """Convert errors of the operating system and of TLS in the block to errors of httpcore."""
    try:
        yield
    except TimeoutError as error:
        raise timeout_error(str(error)) from error
    except OSError as error:
        raise connection_error(str(error)) from error


# Opens connection pools of httpcore, the library below httpx. Their connections note when bytes are sent and
# received.


KEEP_ALIVE_S = 120.0
"""Time for which an idle connection is kept, in seconds. It is longer than any documented poll interval and most jobs,
so that polls and the requests after a job reuse the connection. A connection that the server has closed is not used."""


def open_connection_pool(
    proxy_url: str | None,
    *,
    ssl_context: ssl.SSLContext,
    max_connections: int,
    http2: bool,
    backend: TimedNetworkBackend | None = None,
) -> httpcore.AsyncConnectionPool:
    """Return a pool of connections through a proxy, or of direct connections if `proxy_url` is `None`.

    `backend` opens the connections of the pool; by default, a new backend does.

    Raises:
        UsageError: the proxy cannot be used.
    """
    try:
        return httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            proxy=None if proxy_url is None else _build_httpcore_proxy(proxy_url),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=KEEP_ALIVE_S,
            http2=http2,
            network_backend=backend or TimedNetworkBackend(),
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        # The URL may contain a password, so it is not part of the message.
        raise UsageError(
            f"the proxy named by the environment cannot be used: {describe_httpcore_error(error)}"
        ) from error


class ConnectionPoolKey(NamedTuple):
    """The properties that two requests must have in common to use the same connection."""

    proxy_url: str | None
    """URL of the proxy; `None` without one."""
    pinned_host: str | None
    """Name of a host whose address is pinned: its certificate was verified for this name alone; otherwise `None`."""
    origin: str
    """Scheme, host and port."""


class ConnectionPools:
    """Pools of one connection each, so that a request takes as long with hundreds of open connections as with one.

    A pool of httpcore examines all of its connections, with a system call for each idle one, whenever a request begins
    or ends: 300 of them cost 10 ms of computing. The connection that was used last is used first.
    """

    def __init__(
        self, open_pool_for_key: Callable[[ConnectionPoolKey], httpcore.AsyncConnectionPool], max_connections: int
    ) -> None:
        """Open pools with `open_pool_for_key` when they are needed, and at most `max_connections` of them."""
        self._open_pool_for_key, self._max_connections = open_pool_for_key, max_connections
        self._free_connections = asyncio.Semaphore(max_connections)
        self._key_by_idle_pool: dict[httpcore.AsyncConnectionPool, ConnectionPoolKey] = {}
        """The idle pools, in the order in which they became idle."""
        self._idle_pools_by_key: dict[ConnectionPoolKey, list[httpcore.AsyncConnectionPool]] = {}
        self._open_count = 0
        """Number of pools that are open: idle ones, and those that are lent."""

    @contextlib.asynccontextmanager
    async def lend(self, key: ConnectionPoolKey, timeout_s: float) -> AsyncIterator[httpcore.AsyncConnectionPool]:
        """Lend a pool to one request, which must have ended when the context ends. An error in it closes the pool.

        Raises:
            httpcore.PoolTimeout: all connections were in use for `timeout_s` seconds.
            UsageError: the proxy cannot be used.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._free_connections.acquire()
        except TimeoutError:
            raise httpcore.PoolTimeout from None
        try:
            pool = await self._take_idle_or_open_pool(key)
            try:
                yield pool
            # A response may have been read in part: its rest would be taken for the response to the next request.
            except BaseException:
                self._open_count -= 1
                await pool.aclose()
                raise
            self._key_by_idle_pool[pool] = key
            self._idle_pools_by_key.setdefault(key, []).append(pool)
        finally:
            self._free_connections.release()

    def count_idle(self, key: ConnectionPoolKey) -> int:
        """Return the number of idle connections for `key`."""
        return len(self._idle_pools_by_key.get(key, ()))

    def add_idle_pool(self, key: ConnectionPoolKey, pool: httpcore.AsyncConnectionPool) -> bool:
        """Add an idle pool, which is used after the others; return whether there was room for it."""
        if self._open_count >= self._max_connections:
            return False
        self._open_count += 1
        self._key_by_idle_pool[pool] = key
        self._idle_pools_by_key.setdefault(key, []).insert(0, pool)
        return True

    async def _take_idle_or_open_pool(self, key: ConnectionPoolKey) -> httpcore.AsyncConnectionPool:
        """Return an idle pool for `key`, or a new one; above the limit, the oldest idle pool is closed."""
        if idle := self._idle_pools_by_key.get(key):
            pool = idle.pop()  # of the idle connections, the server will close this one last
            del self._key_by_idle_pool[pool]
            return pool
        pool = self._open_pool_for_key(key)
        self._open_count += 1
        if self._open_count > self._max_connections:  # then at least one is idle
            oldest, its_key = next(iter(self._key_by_idle_pool.items()))
            del self._key_by_idle_pool[oldest]
            self._idle_pools_by_key[its_key].remove(oldest)
            self._open_count -= 1
            await oldest.aclose()
        return pool

    async def close(self) -> None:
        """Close every idle connection."""
        for pool in self._key_by_idle_pool:
            await pool.aclose()
        self._open_count -= len(self._key_by_idle_pool)
        self._key_by_idle_pool.clear()
        self._idle_pools_by_key.clear()


def _build_httpcore_proxy(proxy_url: str) -> httpcore.Proxy:
    proxy = httpx.Proxy(proxy_url)  # parses user name and password
    if proxy.url.scheme.startswith("socks"):
        importlib.import_module("socksio")  # or the first request would fail
    url = httpcore.URL(
        scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path
    )
    return httpcore.Proxy(url, auth=proxy.raw_auth)


def require_http2() -> None:
    """Check that HTTP/2 is installed.

    Raises:
        MissingExtraError: HTTP/2 is not installed.
    """
    try:
        import h2  # noqa: F401
    except ImportError:
        raise MissingExtraError("HTTP/2", "http2") from None
