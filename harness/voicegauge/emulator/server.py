"""Serves ASGI applications on a socket, with limits for each client: of connections, times, sizes and memory.

uvicorn limits only the idle time between requests, so a client that sends one byte per minute could keep its connection
forever. Above uvicorn's limit of connections every client gets 503, so one client could lock out all others.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from voicegauge.errors import UsageError
from voicegauge.formats.bodies import MultipartReader
from voicegauge.hosts import build_server_url
from voicegauge.model.exchange import SOCKET_ABORT_EXTENSION_KEY

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope


# Limits of a server for slow clients and for many connections, and how an application closes a connection.


class ClientLimits(NamedTuple):
    """Limits of connections, and of the time, in seconds, for reading one request."""

    headers_timeout_s: float = 30.0
    """Longest time from the first byte of a request to the end of its headers. For the first request of a connection,
    the time counts from the opening of the connection."""
    body_pause_timeout_s: float = 30.0
    """Longest pause between two parts of a body."""
    body_timeout_s: float = 300.0
    """Longest time for the whole body. It is enough for the largest accepted upload at half a megabyte per second."""
    write_timeout_s: float = 300.0
    """Longest time for which a client reads nothing of a response that waits to be sent."""
    max_connections: int = 1000
    """Maximum number of open connections. A new connection above it replaces the oldest one without a complete request,
    so that nobody can occupy all of them. If every connection has a request in progress, the new one is closed."""


DEFAULT_CLIENT_LIMITS = ClientLimits()

ABORT_EXTENSION_KEY = "voicegauge.abort"
"""Key in `scope["extensions"]`. Its value is a function that closes the connection before the response is complete.
Without it, an application could only raise an exception, which uvicorn logs."""


# Disconnects clients that send headers or bodies of requests too slowly, or open too many connections.


_TIMEOUT_RESPONSE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
"""The response to a client that is too slow."""


RequestState = Literal["waiting", "body", "received"]
"""What a connection reads: the headers of the next request (or nothing yet), a body, or nothing before the response."""


class ClientLimitingMixin(asyncio.Protocol):
    """Disconnects clients that are too slow, or too many. Combine it with an HTTP protocol class of uvicorn."""

    client_limits: ClassVar[ClientLimits]
    """The limits of all connections of the server."""
    open_connections: ClassVar[dict[ClientLimitingMixin, None]]
    """Open connections, oldest first."""
    transport: Any
    """The transport of the connection, which uvicorn sets."""
    cycle: Any
    """uvicorn's state of the latest request and its response; `None` before the first request."""
    flow: Any
    """uvicorn's state of reading and writing: whether either is paused."""
    loop: Any
    """The event loop of the server, which uvicorn sets."""

    @property
    def request_state(self) -> RequestState:
        """What the connection reads now: headers, a body, or nothing before the response."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Apply the limit of connections, and start to wait for the first request."""
        super().connection_made(transport)
        self._read_timer: asyncio.TimerHandle | None = None
        self._is_handed_over = False
        self._write_timer: asyncio.TimerHandle | None = None
        self._reads_body = False
        self._has_received = False
        self._body_deadline = 0.0
        self.open_connections[self] = None
        if len(self.open_connections) > self.client_limits.max_connections:
            surplus = self._choose_surplus_connection()
            del self.open_connections[surplus]
            # Not `close`, which waits until the client has read what was sent: it may never read.
            surplus.transport.abort()
        self.start_read_timer(self.client_limits.headers_timeout_s)

    def _choose_surplus_connection(self) -> ClientLimitingMixin:
        """Return the oldest connection without a request, else the oldest without a complete one, else this one."""
        others = [one for one in self.open_connections if one is not self]
        idle = (one for one in others if not one.has_request_in_progress)
        incomplete = (one for one in others if one.request_state == "body")
        return next(idle, None) or next(incomplete, self)

    @property
    def has_request_in_progress(self) -> bool:
        """Whether headers were received completely, but the response was not sent completely."""
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Parse bytes of a request, and limit the time for the bytes that are still missing."""
        self._has_received = True
        super().data_received(data)
        if self._is_handed_over:
            return
        if self.transport.is_closing():
            self._stop_read_timer()
        elif self.request_state == "body":
            self._restart_body_timer()
        else:
            is_waiting_for_headers = self.request_state == "waiting"
            # The limit counts from the first byte, so further bytes of the same headers do not restart it.
            if not is_waiting_for_headers or self._reads_body:
                self._stop_read_timer()
            if is_waiting_for_headers and self._read_timer is None:
                self.start_read_timer(self.client_limits.headers_timeout_s)
            self._reads_body = False

    def hand_over_connection(self) -> None:
        """Stop the limits of time, and count the connection no longer: another protocol handles it from now on."""
        self._is_handed_over = True
        self.open_connections.pop(self, None)
        self._stop_read_timer()
        self._stop_write_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the limits of time, and count the connection no longer; `exc` is `None` if no error ended it."""
        self.hand_over_connection()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Limit the time until the client reads more of the response."""
        super().pause_writing()
        self._stop_write_timer()
        self._write_timer = self.loop.call_later(self.client_limits.write_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop limiting the time, because the client has read most of what was sent."""
        self._stop_write_timer()
        super().resume_writing()

    def start_read_timer(self, timeout_s: float) -> None:
        """Close the connection after `timeout_s`, unless the client sends what is missing."""
        self._stop_read_timer()
        self._read_timer = self.loop.call_later(timeout_s, self._close_slow_connection)

    def _restart_body_timer(self) -> None:
        now = self.loop.time()
        if not self._reads_body:
            self._reads_body = True
            self._body_deadline = now + self.client_limits.body_timeout_s
        self.start_read_timer(min(self.client_limits.body_pause_timeout_s, max(self._body_deadline - now, 0.0)))

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _close_slow_connection(self) -> None:
        self._read_timer = None
        if self._reads_body and self.flow.read_paused:
            # The client is not slow: the server has stopped reading until the application takes more of the body.
            self.start_read_timer(self.client_limits.body_pause_timeout_s)
            return
        has_responded = self.has_request_in_progress and (self.cycle.response_started or not self._reads_body)
        if self._has_received and not has_responded:
            self.transport.write(_TIMEOUT_RESPONSE)
        self.transport.close()


class _ClientLimitingH11Protocol(ClientLimitingMixin, H11Protocol):
    """uvicorn's protocol for HTTP/1.1 with limits for each client, for servers that name no protocol class."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        application = self.app

        async def call_app_with_abort(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = {ABORT_EXTENSION_KEY: self.transport.close}
            await application(scope, receive, send)

        self.app = call_app_with_abort

    @property
    def request_state(self) -> RequestState:
        state = self.conn.their_state
        return "body" if state is h11.SEND_BODY else "waiting" if state is h11.IDLE else "received"

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        super().handle_websocket_upgrade(event)
        self.hand_over_connection()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        next_request_bytes, _ = self.conn.trailing_data
        if self.request_state == "waiting" and next_request_bytes and self._read_timer is None:
            self.start_read_timer(
                self.client_limits.headers_timeout_s
            )  # the next request has begun during the response


def create_client_limiting_protocol(
    limits: ClientLimits, base_class: type[ClientLimitingMixin] = _ClientLimitingH11Protocol
) -> type[asyncio.Protocol]:
    """Return an HTTP protocol class for uvicorn that applies `limits` to all its connections together."""

    # A class of its own for each server: uvicorn creates an object per connection, and they share `open_connections`.
    class LimitedProtocol(base_class):  # type: ignore[valid-type, misc]
        client_limits = limits
        open_connections: ClassVar[dict[ClientLimitingMixin, None]] = {}

    return LimitedProtocol


class _WebSocketProtocol(WebSocketsSansIOProtocol):
    """The protocol of WebSockets, whose application can end the connection without a close frame."""

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[SOCKET_ABORT_EXTENSION_KEY] = self.transport.abort


MAX_SOCKET_MESSAGE_BYTES = 1024 * 1024
"""Largest message that a client may send over a WebSocket."""


# Serves an ASGI application on a socket in this process.


OnShutdown = Callable[[], Awaitable[None]]
"""Function that is awaited after the last response of a server."""
CONNECTION_BACKLOG = 2048
"""Maximum number of connections that wait to be accepted."""
SHUTDOWN_GRACE_S = 1
"""Time, in seconds, within which responses in progress can finish when the server is shut down."""
START_TIMEOUT_S = 60.0
"""Maximum time, in seconds, for the start of a server in a thread, which takes long only on a busy machine."""
STOP_TIMEOUT_S = 10.0
"""Maximum time, in seconds, to wait for the end of that thread."""
KEEP_ALIVE_S = 75
"""Seconds after which the server closes an idle connection. Clients close idle connections earlier, so that no client
sends a request on a closing connection."""


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket; port 0 selects a free one.

    Raises:
        UsageError: the address is in use or not available.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm only if the protocol is given; otherwise responses wait 40 ms for an ACK.
    bound_socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # Or the port could not be used again for a minute after a server on it has ended (TIME_WAIT).
    bound_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound_socket.bind((host, port))
    except OSError as error:
        bound_socket.close()
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port") from error
    return bound_socket


class ServerOptions(NamedTuple):
    """What a server does with its connections."""

    client_limits: ClientLimits = DEFAULT_CLIENT_LIMITS
    """Limits for slow clients and many connections."""
    adds_date_header: bool = True
    """Whether each response has a `Date` header; a proxy passes on that of the service instead."""
    on_shutdown: OnShutdown | None = None
    """Function that is awaited in the server's event loop after the last response; `None` for none."""
    protocol_class: type[ClientLimitingMixin] = _ClientLimitingH11Protocol
    """HTTP protocol class of uvicorn, to which `client_limits` are applied."""
    accepts_sockets: bool = False
    """Whether the application handles WebSockets."""
    ssl_context: ssl.SSLContext | None = None
    """The certificate of the server; `None` for http and ws."""


DEFAULT_SERVER_OPTIONS = ServerOptions()


def serve_app(
    app: Any,
    bound_socket: socket.socket,
    *,
    on_ready: Callable[[Callable[[], None]], None],
    options: ServerOptions = DEFAULT_SERVER_OPTIONS,
) -> None:
    """Serve an ASGI application until it is stopped or interrupted.

    Args:
        app: the application.
        bound_socket: the socket returned by `bind_socket`, which is closed at the end.
        on_ready: function that is called once the server accepts requests. Its argument is a function that stops the
            server and can be called from any thread.
        options: what the server does with its connections.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the server is stopped.
    """
    import uvicorn

    class StoppableServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready(self.stop)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await super().shutdown(sockets)
            if options.on_shutdown is not None:
                await options.on_shutdown()

        def stop(self) -> None:
            self.should_exit = True

    ssl_context = options.ssl_context
    config = uvicorn.Config(
        app,
        http=create_client_limiting_protocol(options.client_limits, options.protocol_class),
        ws=_WebSocketProtocol if options.accepts_sockets else "none",
        ws_max_size=MAX_SOCKET_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # compression would delay audio
        log_config=None,
        log_level="critical",  # rejected handshakes and hostile clients are expected here
        access_log=False,
        lifespan="off",
        date_header=options.adds_date_header,
        server_header=False,  # each response sets its own
        proxy_headers=options.protocol_class is _ClientLimitingH11Protocol,
        backlog=CONNECTION_BACKLOG,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        ssl_context_factory=(lambda _config, _default: ssl_context) if ssl_context is not None else None,
    )
    StoppableServer(config).run([bound_socket])


@contextlib.contextmanager
def running_app(
    app: Any, *, port: int = 0, host: str = "127.0.0.1", options: ServerOptions = DEFAULT_SERVER_OPTIONS
) -> Iterator[str]:
    """Serve `app` on a local port (by default a free one) in a thread, and yield its root URL.

    Args:
        app: an ASGI application.
        port: port to listen on; 0 selects a free one.
        host: address to listen on.
        options: what the server does with its connections.

    Raises:
        UsageError: the port is in use, or the server does not start.
    """
    bound_socket = bind_socket(host, port)
    started = threading.Event()
    stops: list[Callable[[], None]] = []

    def on_ready(stop_server: Callable[[], None]) -> None:
        stops.append(stop_server)
        started.set()

    arguments = {"on_ready": on_ready, "options": options}
    thread = threading.Thread(target=serve_app, args=(app, bound_socket), kwargs=arguments, daemon=True)
    thread.start()
    try:
        if not started.wait(START_TIMEOUT_S):
            raise UsageError("the server did not start")
        yield build_server_url(host, bound_socket.getsockname()[1], "https" if options.ssl_context else "http")
    finally:
        for stop in stops:
            stop()
        thread.join(STOP_TIMEOUT_S)
        bound_socket.close()


# Limits the memory that the bodies of all requests in progress take together.


MAX_BODY_MEMORY_BYTES = 32 * 2**20
"""Memory in bytes that the bodies of all requests in progress share. One request at a time may exceed it; the others
wait."""
UNCOUNTED_BYTES_PER_BODY = 16 * 2**10
"""Number of bytes of each body that do not count, so that ordinary requests need not wait for large uploads."""


class BodyMemory:
    """The memory for request bodies. Above its limit, one request continues, and the others wait for its end.

    Without a limit for all of them, clients that send uploads of a permitted size at the same time could take any
    amount of memory.
    """

    def __init__(self) -> None:
        """Create a memory of `MAX_BODY_MEMORY_BYTES`, none of which is reserved."""
        self._free_bytes = MAX_BODY_MEMORY_BYTES
        self._exempt_share: BodyMemoryShare | None = None
        self._waiters: list[asyncio.Future[None]] = []

    @contextmanager
    def open_share(self) -> Iterator[BodyMemoryShare]:
        """Yield a share of the memory for one request, which is freed when the context ends."""
        share = BodyMemoryShare(self)
        try:
            yield share
        finally:
            self._free_bytes += share.counted_bytes
            if self._exempt_share is share:
                self._exempt_share = None
            waiting, self._waiters = self._waiters, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    async def reserve(self, memory_share: BodyMemoryShare, size_bytes: int) -> None:
        """Reserve `size_bytes` more for `memory_share`.

        Wait until so much memory is free, or until no other request exceeds the limit.
        """
        # One request may exceed the limit, or a body larger than what is free would wait for ever, and requests that
        # have stored a part of their bodies would wait for each other.
        while size_bytes > self._free_bytes and self._exempt_share not in (None, memory_share):
            # Futures belong to the running event loop; a lock would belong to the loop that used it first.
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        if size_bytes > self._free_bytes:
            self._exempt_share = memory_share
        self._free_bytes -= size_bytes
        memory_share.counted_bytes += size_bytes


class BodyMemoryShare:
    """The memory that the body of one request has reserved."""

    def __init__(self, memory: BodyMemory) -> None:
        """Create a share of 0 bytes."""
        self._body_memory = memory
        self.counted_bytes = 0

    async def grow_to(self, size_bytes: int) -> None:
        """Wait until the request may store `size_bytes` of its body."""
        missing_bytes = size_bytes - UNCOUNTED_BYTES_PER_BODY - self.counted_bytes
        if missing_bytes > 0:
            await self._body_memory.reserve(self, missing_bytes)


# Limits the size of requests, so that no client can exhaust the memory.


MAX_UPLOAD_BYTES = 104 * 1024 * 1024
"""Maximum size of an upload. It exceeds every documented upload limit, the highest of which is 100 MiB, so that checks
can test those limits."""
MAX_UPLOAD_BYTES_IN_MEMORY = 4 * 1024 * 1024
"""Maximum size of an upload that is kept in memory. A larger one is kept in a temporary file without a name."""
MAX_TEXT_BODY_BYTES = 16 * 1024 * 1024
"""Maximum size of JSON and URL-encoded forms. All documented texts are much shorter, and parsed JSON needs many times
its size in memory."""
MAX_CONTROL_BODY_BYTES = 1024 * 1024
"""Maximum size of the bodies for control routes, which contain a list of faults or a number of seconds."""

MAX_HEADER_BYTES = 16 * 1024
"""Maximum size of the path, the query and all headers of a request. Few clients send more than two kilobytes."""
MAX_HEADER_COUNT = 100
"""Maximum number of headers. Each takes a few hundred bytes of memory, even if it is empty."""


def are_headers_too_large(scope: Scope) -> bool:
    """Whether a request has too many headers, or its path, query and headers are too large together.

    The limits are `MAX_HEADER_COUNT` and `MAX_HEADER_BYTES`.
    """
    headers = scope["headers"]
    size = len(scope["path"]) + len(scope["query_string"]) + sum(len(name) + len(value) for name, value in headers)
    return len(headers) > MAX_HEADER_COUNT or size > MAX_HEADER_BYTES


def find_max_body_bytes(scope: Scope) -> int:
    """Return the maximum size of the body of a request to a provider. It depends on the Content-Type."""
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"").lower()
    is_text = b"json" in content_type or content_type.startswith(b"application/x-www-form-urlencoded")
    return MAX_TEXT_BODY_BYTES if is_text else MAX_UPLOAD_BYTES


class ReceivedBody(NamedTuple):
    """The body of a request to a provider."""

    content: bytes
    """The body; empty if it was parsed while it arrived."""
    form_reader: MultipartReader | None
    """Reader that parsed a form while the form arrived; `None` for a body that is not a form."""
    size_bytes: int
    """Size of the body as it was received."""


async def receive_provider_request_body(
    scope: Scope, receive: Receive, memory_share: BodyMemoryShare
) -> ReceivedBody | None:
    """Return the body of a request to a provider; `None` if it exceeds the limit. See `receive_body_in_pieces`."""
    content, form_reader = io.BytesIO(), _create_form_reader(scope)
    store_piece = content.write if form_reader is None else form_reader.write
    try:
        size_bytes = await receive_body_in_pieces(scope, receive, find_max_body_bytes(scope), memory_share, store_piece)
    finally:
        if form_reader is not None:
            form_reader.close()
    return None if size_bytes is None else ReceivedBody(content.getvalue(), form_reader, size_bytes)


def _create_form_reader(scope: Scope) -> MultipartReader | None:
    """Return a reader that parses a multipart form while it arrives.

    Return `None` if the body must be read as a whole, because it is not a multipart form, or is signed as a whole.
    """
    headers = dict(scope["headers"])
    content_type, authorization = headers.get(b"content-type", b""), headers.get(b"authorization", b"")
    is_form = content_type.partition(b";")[0].strip().lower() == b"multipart/form-data"
    if not is_form or authorization.startswith(b"AWS4-"):
        return None
    return MultipartReader(content_type.decode("latin-1"), max_memory_bytes=MAX_UPLOAD_BYTES_IN_MEMORY)


async def receive_whole_body(
    scope: Scope, receive: Receive, max_bytes: int, memory_share: BodyMemoryShare
) -> bytes | None:
    """Return the request body; `None` if it has more than `max_bytes` bytes. See `receive_body_in_pieces`."""
    body = io.BytesIO()  # returns its content without a copy
    size = await receive_body_in_pieces(scope, receive, max_bytes, memory_share, body.write)
    return None if size is None else body.getvalue()


async def receive_body_in_pieces(
    scope: Scope,
    receive: Receive,
    max_bytes: int,
    memory_share: BodyMemoryShare,
    store_piece: Callable[[bytes], object],
) -> int | None:
    """Pass each piece of the request body to `store_piece`, and return the size of the body.

    Return `None` if the body exceeds `max_bytes` bytes. The rest of it is not read, so the response must close the
    connection. While the bodies of other requests take all memory, nothing is read.

    Raises:
        ConnectionError: the client disconnected.
    """
    # Before anything is received: the server asks a client that waits ("Expect: 100-continue") for the body only then.
    content_length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if content_length.isdigit() and int(content_length) > max_bytes:
        return None
    size_bytes, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        part, more = message.get("body", b""), message.get("more_body", False)
        size_bytes += len(part)
        if size_bytes > max_bytes:
            return None
        await memory_share.grow_to(size_bytes)
        store_piece(part)
    return size_bytes


def create_receive_replaying_body(body: bytes, receive: Receive) -> Receive:
    """Return a function that first returns `body`, which was read before, and then calls `receive`."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_replayed_body() -> Message:
        return messages.pop() if messages else await receive()

    return receive_replayed_body
