"""Forwards requests and passes responses back, chunk by chunk, as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any, NamedTuple

from voicegauge.conformance.proxy.captured_bodies import CapturedBody, CaptureMemory
from voicegauge.conformance.proxy.traffic_records import RelayedExchange
from voicegauge.conformance.proxy.upstream import Upstream, select_forwarded_headers
from voicegauge.emulator.server import ABORT_EXTENSION_KEY
from voicegauge.errors import TimedOutError, TransportError
from voicegauge.model import Headers
from voicegauge.transport import StreamedRequest, StreamedResponse, StreamingTransport

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request and pass its response back."""
        if scope["type"] == "http":
            await _Relay(self, _AsgiRequest(scope, receive, send)).run()

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
        if not self._raw_path.startswith("/"):
            await self._send_own_response(400, "a reverse proxy: use its URL as the base URL of your client")
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
            method=self._method,
            url=f"{self._origin}{self._target}",
            request_headers=_decode_headers(self._headers),
            request_body=self._request_body.read(),
            status=response.status,
            response_headers=_decode_headers(response.headers),
            response_body=self._response_body.read(),
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


def _decode_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
