"""Passes requests and responses between a client and the service.

It needs half of the CPU time of the protocol that the emulator uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from voicegauge.emulator.body_limits import MAX_HEADER_BYTES, MAX_HEADER_COUNT, are_headers_too_large
from voicegauge.emulator.socket_server import (
    ABORT_EXTENSION_KEY,
    ClientLimitingMixin,
    ClientLimits,
    RequestState,
    running_app,
)
from voicegauge.errors import TimedOutError, TransportError
from voicegauge.hosts import names_this_machine
from voicegauge.model.exchange import Request, Response
from voicegauge.relay.relayed_exchange import (
    CapturedBody,
    CapturedMessages,
    CaptureMemory,
    RelayedExchange,
    Upstream,
    select_forwarded_headers,
)
from voicegauge.relay.socket_relay import PassedHandshake, SocketRelay, decode_headers, find_failure_status
from voicegauge.transport.raw_http import StreamedRequest, StreamedResponse, StreamingTransport

# Forwards requests and passes responses back, chunk by chunk, as an ASGI application.


MAX_OPEN_SOCKETS = 200
"""Most WebSockets that pass at the same time. Each needs a connection to the service, and memory for what waits."""
PROXY_HEADER = b"x-voicegauge-proxy"
"""Header that marks responses that the proxy generated itself."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class RelayObserver:
    """Is notified of each relayed exchange, or of the reason why there is none.

    Its methods are called in the event loop and must not block.
    """

    def on_exchange(self, exchange: RelayedExchange, captured_bodies: tuple[CapturedBody, ...]) -> None:
        """Handle a complete exchange, and release the memory of `captured_bodies` when it was judged."""

    def on_exchange_lost(self, reason: str) -> None:
        """Handle an exchange that passed through the proxy but cannot be judged. `reason` says why, in one line."""

    def on_request_failed(self, reason: str) -> None:
        """Handle a request to which the service did not respond. `reason` says why, in one line."""


class _ClientGoneError(Exception):
    """The client closed its connection."""


class RelayApp:
    """An ASGI application that forwards each request to the service behind it."""

    def __init__(self, upstream: Upstream, memory: CaptureMemory, observer: RelayObserver) -> None:
        """Create the application.

        Args:
            upstream: the service behind the proxy.
            memory: memory for the copies that are judged.
            observer: is notified of each exchange.
        """
        self.upstream, self.memory, self.observer = upstream, memory, observer
        self.transport = StreamingTransport()
        self._open_socket_count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request and pass its response back."""
        if scope["type"] == "http":
            await _Relay(self, _AsgiRequest(scope, receive, send)).run()
        elif scope["type"] == "websocket":
            await self._pass_socket(_AsgiRequest(scope, receive, send))

    async def _pass_socket(self, client: _AsgiRequest) -> None:
        await client.receive()  # websocket.connect
        rejection = find_rejection(client.scope)
        if rejection is None and self._open_socket_count >= MAX_OPEN_SOCKETS:
            rejection = 503, f"passes {MAX_OPEN_SOCKETS} WebSockets at the same time"
        if rejection is not None:
            await _reject_handshake(client.send, *rejection)
            return
        scope, captured = client.scope, CapturedMessages(self.memory)
        query = scope["query_string"].decode("latin-1")
        origin, target = self.upstream.find_socket_origin_and_request_target(scope["raw_path"].decode("latin-1"), query)
        headers = decode_headers(select_forwarded_headers(scope["headers"], is_request=True))
        handshake = PassedHandshake(f"{origin}{target}", headers)
        relay = SocketRelay(handshake, client.receive, client.send, captured, scope.get("extensions", {}))
        self._open_socket_count += 1
        try:
            await relay.run()
        except TransportError as error:
            self.observer.on_request_failed(str(error))
            await _reject_handshake(client.send, find_failure_status(error), str(error))
            captured.release()
            return
        finally:
            self._open_socket_count -= 1
        if captured.lost_reason is not None:
            self.observer.on_exchange_lost(captured.lost_reason)
        else:
            self.observer.on_exchange(relay.build_exchange(), (captured,))

    async def close(self) -> None:
        """Close the connections to the service."""
        await self.transport.close()


class _AsgiRequest(NamedTuple):
    """The three arguments with which the server calls an ASGI application for one request."""

    scope: Scope
    receive: Receive
    send: Send


class _Relay:
    """Forwards one request and passes its response back."""

    def __init__(self, app: RelayApp, request: _AsgiRequest) -> None:
        self._observer, self._transport = app.observer, app.transport
        self._scope, self._receive, self._send = request
        scope = request.scope
        self._method = str(scope["method"])
        self._raw_path = scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        self._origin, self._target = app.upstream.find_origin_and_request_target(self._method, self._raw_path, query)
        self._headers = self._build_request_headers()
        self._request_body, self._response_body = CapturedBody(app.memory), CapturedBody(app.memory)
        self._watching: asyncio.Task[None] | None = None
        """Waits until the client leaves, once the request has been received."""
        self._has_client_left = False
        self._is_handed_on = False
        self._is_reported = False
        """Whether the listener has taken the exchange."""

    async def run(self) -> None:
        rejection = find_rejection(self._scope)
        if rejection is not None:
            await self._send_own_response(*rejection)
            return
        try:
            await self._relay_exchange()
        except asyncio.CancelledError:
            if not self._has_client_left:
                raise
            self._report_lost_exchange("the client closed the connection before the end of the response")
        finally:
            if self._watching is not None:
                self._watching.cancel()
            if not self._is_handed_on:
                self._request_body.release()
                self._response_body.release()

    def _build_request_headers(self) -> list[tuple[bytes, bytes]]:
        headers = self._scope["headers"]
        host = self._origin.partition("://")[2].encode("ascii")
        is_chunked = any(name == b"transfer-encoding" for name, _ in headers)
        framing = [(b"transfer-encoding", b"chunked")] if is_chunked else []
        return [(b"host", host), *select_forwarded_headers(headers, is_request=True), *framing]

    def _watch_client(self) -> None:
        relay_task = asyncio.current_task()
        assert relay_task is not None
        self._watching = asyncio.ensure_future(self._cancel_on_disconnect(relay_task))

    async def _cancel_on_disconnect(self, relay_task: asyncio.Task[None]) -> None:
        await self._wait_for_disconnect()
        if (
            not self._is_reported
        ):  # otherwise the client has the whole response, and the service's connection stays open
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
            status = 504 if isinstance(error, TimedOutError) else 502
            await self._send_own_response(status, str(error))

    async def _relay_response(self, response: StreamedResponse) -> None:
        headers = select_forwarded_headers(response.headers, is_request=False)
        await self._send({"type": "http.response.start", "status": response.status, "headers": headers})
        try:
            async for chunk in response.iterate_body():
                self._response_body.add(chunk)
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TransportError as error:
            self._hand_to_judge(response, interruption_reason=str(error))
            await self._abort_response()
            return
        self._hand_to_judge(response, interruption_reason=None)
        await self._send({"type": "http.response.body", "body": b""})

    def _hand_to_judge(self, response: StreamedResponse, interruption_reason: str | None) -> None:
        """Pass the exchange to the observer before the client gets the last byte and can send its next request."""
        lost = self._request_body.lost_reason or self._response_body.lost_reason
        if self._watching is None:
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
        self._is_handed_on = self._is_reported = True
        self._observer.on_exchange(exchange, (self._request_body, self._response_body))

    def _report_lost_exchange(self, reason: str) -> None:
        self._is_reported = True
        self._observer.on_exchange_lost(reason)

    async def _abort_response(self) -> None:
        """Close the connection to the client before the end of the response, as the service did."""
        self._scope["extensions"][ABORT_EXTENSION_KEY]()
        if self._watching is not None:
            await self._wait_for_disconnect()  # or uvicorn would log that the response is not complete

    async def _send_own_response(self, status: int, message: str) -> None:
        body = f"voicegauge proxy: {message}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (PROXY_HEADER, b"error"),
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def find_rejection(scope: Scope) -> tuple[int, str] | None:
    """Return status and reason if a request is not forwarded; `None` if it is."""
    if not scope["raw_path"].startswith(b"/"):
        return 400, "a reverse proxy: use its URL as the base URL of your client"
    if are_headers_too_large(scope):
        return 431, f"a request may have {MAX_HEADER_COUNT} headers and {MAX_HEADER_BYTES} bytes of headers"
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
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (PROXY_HEADER, b"error")]
    await send({"type": "websocket.http.response.start", "status": int(status), "headers": headers})
    await send({"type": "websocket.http.response.body", "body": f"voicegauge proxy: {message}\n".encode()})


# The server's side of the proxy: uvicorn's protocol with the parser of Node.js, which keeps request targets
# unchanged.


class RelayProtocol(ClientLimitingMixin, HttpToolsProtocol):
    """One connection of a client."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Begin to wait for a request."""
        super().__init__(*args, **options)
        self._request_state: RequestState = "waiting"
        self._overhead_bytes = 0
        """Number of bytes since the beginning of the request, or since the last part of its body."""

    @property
    def request_state(self) -> RequestState:
        """What the connection reads now."""
        is_between_requests = self._request_state == "received" and not self.has_request_in_progress
        return "waiting" if is_between_requests else self._request_state

    def data_received(self, data: bytes) -> None:
        """Handle bytes of a request. Incomplete headers and trailers are limited: the parser keeps them in memory."""
        self._overhead_bytes += len(data)
        super().data_received(data)
        if self._overhead_bytes > MAX_HEADER_BYTES and self.request_state != "received":
            if not self.has_request_in_progress:
                self.transport.write(_TOO_LARGE_RESPONSE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to count the headers of a request."""
        super().on_message_begin()
        self._request_state, self._overhead_bytes = "waiting", 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header or a trailer, and one more than a request may have, which is then rejected."""
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
        """Handle a part of the body."""
        self._overhead_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Handle the end of a request."""
        self._request_state, self._overhead_bytes = "received", 0
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the protocol of WebSockets."""
        self.leave_connection()
        super().handle_websocket_upgrade()


_TOO_LARGE_RESPONSE = (
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
    return running_app(
        app,
        host=host,
        port=port,
        client_limits=client_limits,
        adds_date_header=False,
        on_shutdown=app.close,
        protocol_class=RelayProtocol,
        accepts_sockets=True,
    )
