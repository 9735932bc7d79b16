"""Passes requests and the messages of WebSockets between a client and the service, as they arrive.

Messages are passed whole. Pings are answered on each side by the proxy itself. A side that does not read holds up the
other one: nothing is stored beyond a limit.

The protocol of the proxy needs half of the CPU time of the protocol that the emulator uses.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from voicegauge.emulator.server import (
    ABORT_EXTENSION_KEY,
    MAX_HEADER_BYTES,
    MAX_HEADER_COUNT,
    ClientLimitingMixin,
    ClientLimits,
    RequestState,
    ServerOptions,
    are_headers_too_large,
    running_app,
)
from voicegauge.errors import TimedOutError, TransportError
from voicegauge.hosts import names_this_machine
from voicegauge.model.exchange import (
    ABNORMAL_CLOSE_CODE,
    NO_STATUS_CLOSE_CODE,
    SOCKET_ABORT_EXTENSION_KEY,
    Headers,
    Request,
    Response,
    SocketMessage,
    SocketMessageLog,
    find_header,
)
from voicegauge.relay.traffic_monitor import (
    CapturedBody,
    CapturedBodyLimit,
    CapturedMessages,
    RelayedExchange,
    RelayObserver,
    Upstream,
    select_forwarded_headers,
)
from voicegauge.transport.http import create_ssl_context, decode_headers
from voicegauge.transport.raw_http import StreamedRequest, StreamedResponse, StreamingTransport
from voicegauge.transport.websocket import ConnectionLimits, WebSocketConnection

RELAY_CONNECTION_LIMITS = ConnectionLimits(max_connection_bytes=None, max_frames=None)
"""Limits of a connection to the service. Only the size of a message is limited, because a voice agent may keep a
connection open for hours."""
MAX_WAITING_BYTES = 2**20
"""Maximum size of the messages that wait for a slow client. Above it, nothing more is read from the service."""
_NORMAL_CLOSE_CODE, _INVALID_TEXT_CLOSE_CODE, _GOING_AWAY_CLOSE_CODE = 1000, 1007, 1001
_HANDSHAKE_HEADERS = frozenset(
    ("sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-version")
)
"""Headers about one connection (RFC 6455, section 11.3), which each side of the proxy sets itself."""


class SocketRelay:
    """Passes the messages of one WebSocket connection in both directions."""

    def __init__(
        self,
        handshake: Request,
        receive: Receive,
        send: Send,
        captured_messages: CapturedMessages,
        extensions: MutableMapping[str, Any],
    ) -> None:
        """Prepare to pass a connection whose client waits for the answer to its handshake.

        Args:
            handshake: the handshake of the client, with the URL of the service, which has http or https.
            receive: receives the messages of the client.
            send: sends messages to the client.
            captured_messages: copies of the messages that are judged.
            extensions: the extensions of the ASGI scope.
        """
        self._receive, self._send, self._captured_messages = receive, send, captured_messages
        self._abort: Callable[[], None] = extensions.get(SOCKET_ABORT_EXTENSION_KEY, lambda: None)
        headers = tuple((name, value) for name, value in handshake.headers if name.lower() not in _HANDSHAKE_HEADERS)
        self._request = msgspec.structs.replace(handshake, headers=headers)
        self._connection = WebSocketConnection(
            self._note_service_message, limits=RELAY_CONNECTION_LIMITS, keeps_messages=False
        )
        self._waiting_messages: asyncio.Queue[SocketMessage | None] = asyncio.Queue()
        self._waiting_bytes = 0
        """Size of the messages in `_waiting_messages`."""

    async def run(self) -> None:
        """Pass the connection until either side ends it.

        Raises:
            TransportError: the service cannot be reached; the client still waits for an answer.
        """
        context = create_ssl_context(http2=False) if self._request.url.startswith("https:") else None
        await self._connection.connect(self._request, ssl_context=context)
        if self._connection.status != HTTPStatus.SWITCHING_PROTOCOLS:
            await self._pass_handshake_rejection_to_client()
            return
        response_headers = self._connection.response_headers
        await self._send(
            {
                "type": "websocket.accept",
                "subprotocol": find_header(response_headers, "sec-websocket-protocol"),
                "headers": _encode_headers_for_client(response_headers),
            }
        )
        tasks = [
            asyncio.create_task(self._pass_messages_to_client()),
            asyncio.create_task(self._pass_messages_to_service()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._connection.close(_GOING_AWAY_CLOSE_CODE)

    def build_exchange(self) -> RelayedExchange:
        """Return the exchange to judge: the handshake, its response and the messages that were captured."""
        traffic = self._connection.build_traffic("", "", self._request)
        return RelayedExchange(
            request=self._request,
            response=Response(
                status=traffic.status, headers=traffic.response_headers, body=self._connection.rejection_body
            ),
            timing=None,
            socket=SocketMessageLog(
                messages=tuple(self._captured_messages.messages),
                close=traffic.close,
                opened_at=traffic.opened_at,
                handshake_ms=traffic.handshake_ms,
                is_truncated=traffic.is_truncated,
            ),
        )

    async def _pass_handshake_rejection_to_client(self) -> None:
        """Pass the service's rejection of the handshake to the client."""
        connection = self._connection
        headers = [
            pair for pair in _encode_headers_for_client(connection.response_headers) if pair[0] != b"content-length"
        ]
        await self._send({"type": "websocket.http.response.start", "status": connection.status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": connection.rejection_body})

    def _note_service_message(self, message: SocketMessage) -> None:
        """Queue a message of the service for the client, and read no more of them above `MAX_WAITING_BYTES`."""
        self._captured_messages.add_message(message)
        self._waiting_bytes += len(message.data)
        self._waiting_messages.put_nowait(message)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._connection.pause_reading()

    async def _pass_messages_to_client(self) -> None:
        """Pass the messages of the service, and the way in which it ends the connection."""
        while True:
            message = await self._take_next_service_message()
            if message is None:
                break
            self._waiting_bytes -= len(message.data)
            if self._waiting_bytes <= MAX_WAITING_BYTES // 2:  # half, so that reading is not switched for each message
                self._connection.resume_reading()
            try:
                content: dict[str, Any] = (
                    {"bytes": message.data} if message.is_binary else {"text": message.data.decode()}
                )
            except UnicodeDecodeError:
                await self._close_client_connection(
                    _INVALID_TEXT_CLOSE_CODE, "the service sent a text that is not UTF-8"
                )
                return
            await self._send({"type": "websocket.send", **content})
        close = self._connection.build_traffic("", "", self._request).close
        code = close.code if close is not None else ABNORMAL_CLOSE_CODE
        if code == ABNORMAL_CLOSE_CODE or self._connection.is_truncated:
            self._abort()  # without a close frame, as the service did
        else:
            await self._close_client_connection(code, close.reason if close is not None else "")

    async def _take_next_service_message(self) -> SocketMessage | None:
        """Return the next message of the service; `None` after the last one, when the connection has ended."""
        if self._waiting_messages.empty():
            waiting = [
                asyncio.ensure_future(self._waiting_messages.get()),
                asyncio.ensure_future(self._connection.ended.wait()),
            ]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                taken = waiting[0]
                if taken.done():
                    return taken.result()  # type: ignore[return-value]  # of the first of two kinds of tasks
            finally:
                for task in waiting:
                    task.cancel()
            return None
        return self._waiting_messages.get_nowait()

    async def _close_client_connection(self, code: int, reason: str) -> None:
        sent_code = _NORMAL_CLOSE_CODE if code == NO_STATUS_CLOSE_CODE else code
        await self._send({"type": "websocket.close", "code": sent_code, "reason": reason})

    async def _pass_messages_to_service(self) -> None:
        """Pass the messages of the client, and the way in which it ends the connection."""
        while (event := await self._receive())["type"] == "websocket.receive":
            await self._connection.wait_until_writable()
            text = event.get("text")
            with contextlib.suppress(TransportError):  # the connection has ended, which the other direction notices
                self._captured_messages.add_message(self._connection.send(event["bytes"] if text is None else text))
        await self._connection.close(event.get("code") or NO_STATUS_CLOSE_CODE, event.get("reason") or "")


def _encode_headers_for_client(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers of the service's response to a handshake that are passed to the client."""
    left_out = _HANDSHAKE_HEADERS | {"connection", "upgrade", "sec-websocket-protocol", "transfer-encoding"}
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers
        if name.lower() not in left_out
    ]


def find_failure_status(error: TransportError) -> HTTPStatus:
    """Return the status of the proxy's own response if the service cannot be reached."""
    return HTTPStatus.GATEWAY_TIMEOUT if isinstance(error, TimedOutError) else HTTPStatus.BAD_GATEWAY


# Forwards requests and passes responses back, chunk by chunk, as an ASGI application.


MAX_OPEN_SOCKETS = 200
"""Maximum number of WebSockets that are open at the same time. Each needs a connection to the service, and memory for
waiting messages."""
PROXY_HEADER = b"x-voicegauge-proxy"
"""Header that marks responses that the proxy generated itself."""
_PROXY_RESPONSE_HEADERS = [(b"content-type", b"text/plain; charset=utf-8"), (PROXY_HEADER, b"error")]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _ClientGoneError(Exception):
    """Raised when the client has closed its connection."""


class RelayApp:
    """An ASGI application that forwards each request to the service behind it."""

    def __init__(self, upstream: Upstream, body_limit: CapturedBodyLimit, observer: RelayObserver) -> None:
        """Create the application.

        Args:
            upstream: the service behind the proxy.
            body_limit: memory for the copies that are judged.
            observer: is notified of each exchange.
        """
        self.upstream, self.body_limit, self.observer = upstream, body_limit, observer
        self.transport = StreamingTransport()
        self._open_socket_count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request and pass its response back."""
        if scope["type"] == "http":
            await _RequestRelay(self, _AsgiRequest(scope, receive, send)).run()
        elif scope["type"] == "websocket":
            await self._relay_socket(_AsgiRequest(scope, receive, send))

    async def _relay_socket(self, asgi_request: _AsgiRequest) -> None:
        await asgi_request.receive()  # websocket.connect
        rejection = find_forwarding_rejection(asgi_request.scope)
        if rejection is None and self._open_socket_count >= MAX_OPEN_SOCKETS:
            rejection = 503, f"passes {MAX_OPEN_SOCKETS} WebSockets at the same time"
        if rejection is not None:
            await _reject_handshake(asgi_request.send, *rejection)
            return
        scope, captured_messages = asgi_request.scope, CapturedMessages(self.body_limit)
        query = scope["query_string"].decode("latin-1")
        origin, target = self.upstream.find_socket_origin_and_request_target(scope["raw_path"].decode("latin-1"), query)
        headers = decode_headers(select_forwarded_headers(scope["headers"], is_request=True))
        handshake = Request(method="GET", url=f"{origin}{target}", headers=headers)
        relay = SocketRelay(
            handshake, asgi_request.receive, asgi_request.send, captured_messages, scope.get("extensions", {})
        )
        self._open_socket_count += 1
        try:
            await relay.run()
        except TransportError as error:
            self.observer.on_request_failed(str(error))
            await _reject_handshake(asgi_request.send, find_failure_status(error), str(error))
            captured_messages.release()
            return
        finally:
            self._open_socket_count -= 1
        if captured_messages.lost_reason is not None:
            self.observer.on_exchange_lost(captured_messages.lost_reason)
        else:
            self.observer.on_exchange(relay.build_exchange(), (captured_messages,))

    async def close(self) -> None:
        """Close the connections to the service."""
        await self.transport.close()


class _AsgiRequest(NamedTuple):
    """The three arguments with which the server calls an ASGI application for one request."""

    scope: Scope
    receive: Receive
    send: Send


class _RequestRelay:
    """Forwards one request and passes its response back."""

    def __init__(self, app: RelayApp, asgi_request: _AsgiRequest) -> None:
        self._observer, self._transport = app.observer, app.transport
        self._scope, self._receive, self._send = asgi_request
        scope = asgi_request.scope
        self._method = str(scope["method"])
        self._raw_path = scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        self._origin, self._target = app.upstream.find_origin_and_request_target(self._method, self._raw_path, query)
        self._headers = self._build_request_headers()
        self._request_body, self._response_body = CapturedBody(app.body_limit), CapturedBody(app.body_limit)
        self._disconnect_watcher: asyncio.Task[None] | None = None
        """The task that waits until the client leaves, once the request has been received."""
        self._has_client_left = False
        self._is_passed_to_judge = False
        """Whether the observer has the exchange, and releases the memory of its bodies."""
        self._is_reported = False
        """Whether the observer was notified of the exchange."""

    async def run(self) -> None:
        rejection = find_forwarding_rejection(self._scope)
        if rejection is not None:
            await self._send_proxy_response(*rejection)
            return
        try:
            await self._relay_exchange()
        except asyncio.CancelledError:
            if not self._has_client_left:  # the server is shutting down
                raise
            self._report_lost_exchange("the client closed the connection before the end of the response")
        finally:
            if self._disconnect_watcher is not None:
                self._disconnect_watcher.cancel()
            if not self._is_passed_to_judge:
                self._request_body.release()
                self._response_body.release()

    def _build_request_headers(self) -> list[tuple[bytes, bytes]]:
        headers = self._scope["headers"]
        host = self._origin.partition("://")[2].encode("ascii")
        # The header is about one connection, and is left out with those. The body is sent on in chunks of its own.
        is_chunked = any(name == b"transfer-encoding" for name, _ in headers)
        framing = [(b"transfer-encoding", b"chunked")] if is_chunked else []
        return [(b"host", host), *select_forwarded_headers(headers, is_request=True), *framing]

    def _watch_client(self) -> None:
        """Start a task that cancels the current one if the client closes its connection."""
        relay_task = asyncio.current_task()
        assert relay_task is not None
        self._disconnect_watcher = asyncio.ensure_future(self._cancel_on_disconnect(relay_task))

    async def _cancel_on_disconnect(self, relay_task: asyncio.Task[None]) -> None:
        """Cancel `relay_task` when the client has disconnected, unless its response is complete."""
        await self._wait_for_disconnect()
        # After the report, the client has the whole response, and the service's connection stays open.
        if not self._is_reported:
            self._has_client_left = True
            relay_task.cancel()

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _iterate_request_body(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _ClientGoneError
            chunk, more = message.get("body", b""), message.get("more_body", False)
            if chunk:
                self._request_body.add(chunk)
                yield chunk
        self._watch_client()

    async def _relay_exchange(self) -> None:
        has_body = any(name in {b"content-length", b"transfer-encoding"} for name, _ in self._headers)
        body = self._iterate_request_body() if has_body else None
        if body is None:
            self._watch_client()
        request = StreamedRequest(self._method, self._origin, self._target.encode("latin-1"), self._headers, body)
        try:
            async with self._transport.open_response(request) as response:
                await self._relay_response(response)
        except _ClientGoneError:
            self._report_lost_exchange("the client closed the connection before the end of the request")
        except TransportError as error:
            self._is_reported = True
            self._observer.on_request_failed(str(error))
            await self._send_proxy_response(find_failure_status(error), str(error))

    async def _relay_response(self, response: StreamedResponse) -> None:
        headers = select_forwarded_headers(response.headers, is_request=False)
        await self._send({"type": "http.response.start", "status": response.status, "headers": headers})
        try:
            async for chunk in response.iterate_body():
                self._response_body.add(chunk)
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TransportError as error:
            self._pass_exchange_to_judge(response, interruption_reason=str(error))
            await self._abort_response()
            return
        self._pass_exchange_to_judge(response, interruption_reason=None)
        await self._send({"type": "http.response.body", "body": b""})

    def _pass_exchange_to_judge(self, response: StreamedResponse, interruption_reason: str | None) -> None:
        """Pass the exchange to the observer; `interruption_reason` is `None` if the response is complete."""
        # Called before the client gets the last byte and can send its next request.
        lost = self._request_body.lost_reason or self._response_body.lost_reason
        if self._disconnect_watcher is None:
            lost = "the service responded before the end of the request"
        if lost is not None:
            self._report_lost_exchange(lost)
            return
        exchange = RelayedExchange(
            request=Request(
                method=self._method,
                url=f"{self._origin}{self._target}",
                headers=decode_headers(self._headers),
                body=self._request_body.read(),
            ),
            response=Response(
                status=response.status,
                headers=decode_headers(response.headers),
                body=self._response_body.read(),
            ),
            timing=response.build_timing(),
            interruption_reason=interruption_reason,
        )
        self._is_passed_to_judge = self._is_reported = True
        self._observer.on_exchange(exchange, (self._request_body, self._response_body))

    def _report_lost_exchange(self, reason: str) -> None:
        self._is_reported = True
        self._observer.on_exchange_lost(reason)

    async def _abort_response(self) -> None:
        """Close the connection to the client before the end of the response, as the service did."""
        self._scope["extensions"][ABORT_EXTENSION_KEY]()
        if self._disconnect_watcher is not None:
            await self._wait_for_disconnect()  # or uvicorn would log that the response is not complete

    async def _send_proxy_response(self, status: int, message: str) -> None:
        body = _encode_proxy_message(message)
        headers = [*_PROXY_RESPONSE_HEADERS, (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        await self._send({"type": "http.response.start", "status": int(status), "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def find_forwarding_rejection(scope: Scope) -> tuple[int, str] | None:
    """Return the status and reason with which the proxy rejects a request; `None` if it forwards the request."""
    if not scope["raw_path"].startswith(b"/"):
        return 400, "a reverse proxy: use its URL as the base URL of your client"
    if are_headers_too_large(scope):
        return 431, f"a request may have {MAX_HEADER_COUNT} headers and {MAX_HEADER_BYTES} bytes of headers"
    # A web page whose host name resolves to this machine could otherwise send requests through the proxy, and read the
    # responses.
    hosts, origins = (
        [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == wanted]
        for wanted in (b"host", b"origin")
    )
    if not hosts or not all(map(names_this_machine, hosts)):
        return 403, "forwards only requests to a name of this machine: 127.0.0.1 or localhost"
    if not all(names_this_machine(origin.partition("://")[2]) for origin in origins):
        return 403, "forwards no requests of web pages of other machines"
    return None


async def _reject_handshake(send: Send, status: int, message: str) -> None:
    await send({"type": "websocket.http.response.start", "status": int(status), "headers": _PROXY_RESPONSE_HEADERS})
    await send({"type": "websocket.http.response.body", "body": _encode_proxy_message(message)})


def _encode_proxy_message(message: str) -> bytes:
    return f"voicegauge proxy: {message}\n".encode()


# The server's side of the proxy: uvicorn's protocol with the parser of Node.js, which keeps request targets
# unchanged.


class RelayProtocol(ClientLimitingMixin, HttpToolsProtocol):
    """One HTTP connection of a client to the proxy."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Create a protocol that waits for a request."""
        super().__init__(*args, **options)
        self._request_state: RequestState = "waiting"
        self._overhead_bytes = 0
        """Number of bytes since the beginning of the request, or since the last part of its body."""

    @property
    def request_state(self) -> RequestState:
        """The part of a request that the connection reads now."""
        is_between_requests = self._request_state == "received" and not self.has_request_in_progress
        return "waiting" if is_between_requests else self._request_state

    def data_received(self, data: bytes) -> None:
        """Parse bytes of a request. Incomplete headers and trailers are limited: the parser keeps them in memory."""
        self._overhead_bytes += len(data)
        super().data_received(data)
        if self._overhead_bytes > MAX_HEADER_BYTES and self.request_state != "received":
            if not self.has_request_in_progress:
                self.transport.write(_HEADERS_TOO_LARGE_RESPONSE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Reset the count of the headers at the start of a request."""
        super().on_message_begin()
        self._request_state, self._overhead_bytes = "waiting", 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header or a trailer. At most one above the limit is kept; it causes the request to be rejected."""
        if len(self.headers) <= MAX_HEADER_COUNT:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, with its request target (path and query) as the client sent it."""
        self._request_state, self._overhead_bytes = "body", 0
        target = self.url
        if not target.startswith(b"/"):  # such as that of CONNECT, which uvicorn cannot parse
            self.url = b"/"
        super().on_headers_complete()
        path, _, query = target.partition(b"?")
        self.scope["raw_path"], self.scope["query_string"] = path, query
        self.scope["extensions"] = {ABORT_EXTENSION_KEY: self.transport.close}

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body, which does not count as overhead."""
        self._overhead_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._request_state, self._overhead_bytes = "received", 0
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the protocol of WebSockets."""
        self.hand_over_connection()
        super().handle_websocket_upgrade()


_HEADERS_TOO_LARGE_RESPONSE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n"
    + PROXY_HEADER
    + b": error\r\n\r\n"
)


# Serves the proxy on a socket.


RELAY_CLIENT_LIMITS = ClientLimits(max_connections=400)
"""Default limits for the clients of a proxy. Each connection needs another one to the service, and many systems allow a
process 1024 open files."""


def run_relay(
    app: RelayApp, *, host: str, port: int, client_limits: ClientLimits = RELAY_CLIENT_LIMITS
) -> AbstractContextManager[str]:
    """Serve `app` in a thread while the context is active, and return the root URL on entering. Close `app` at the end.

    Raises:
        UsageError: on entering the context: the port is in use, or the server does not start.
    """
    options = ServerOptions(
        client_limits=client_limits,
        adds_date_header=False,
        on_shutdown=app.close,
        protocol_class=RelayProtocol,
        accepts_sockets=True,
    )
    return running_app(app, host=host, port=port, options=options)
