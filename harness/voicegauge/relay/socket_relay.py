"""Passes the messages of a WebSocket between a client and the service, in both directions and as they arrive.

Messages are passed whole. Pings are answered on each side by the proxy itself. A side that does not read holds up the
other one: nothing is stored beyond a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, NamedTuple

from voicegauge.errors import TimedOutError, TransportError
from voicegauge.model.exchange import (
    ABNORMAL_CLOSE_CODE,
    NO_STATUS_CLOSE_CODE,
    SOCKET_ABORT_EXTENSION_KEY,
    Headers,
    Request,
    Response,
    SocketMessage,
    SocketMessages,
    find_header,
)
from voicegauge.relay.relayed_exchange import CapturedMessages, RelayedExchange
from voicegauge.transport.http import create_ssl_context
from voicegauge.transport.websocket import ConnectionLimits, WebSocketConnection

RELAY_LIMITS = ConnectionLimits(connection_bytes=None, frames=None)
"""Limits of a connection to the service: of one message only, because a voice agent may keep a connection for hours."""
MAX_WAITING_BYTES = 2**20
"""Size of the messages of the service that wait for a slow client, above which no more is read from the service."""
_NORMAL_CLOSE_CODE, _INVALID_TEXT_CLOSE_CODE, _GOING_AWAY_CLOSE_CODE = 1000, 1007, 1001
_HANDSHAKE_HEADERS = frozenset(
    ("sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-version")
)
"""Headers about one connection (RFC 6455, section 11.3), which each side of the proxy sets itself."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class PassedHandshake(NamedTuple):
    """What is forwarded of a handshake."""

    url: str
    """URL of the service, with http or https."""
    headers: Headers


class SocketRelay:
    """Passes one connection."""

    def __init__(
        self,
        handshake: PassedHandshake,
        receive: Receive,
        send: Send,
        captured: CapturedMessages,
        extensions: MutableMapping[str, Any],
    ) -> None:
        """Prepare to pass a connection whose client waits for the answer to its handshake.

        Args:
            handshake: what is sent to the service.
            receive: receives the messages of the client.
            send: sends messages to the client.
            captured: copies of the messages that are judged.
            extensions: the extensions of the ASGI scope.
        """
        self._receive, self._send, self._captured = receive, send, captured
        self._abort: Callable[[], None] = extensions.get(SOCKET_ABORT_EXTENSION_KEY, lambda: None)
        headers = tuple((name, value) for name, value in handshake.headers if name.lower() not in _HANDSHAKE_HEADERS)
        self._request = Request(method="GET", url=handshake.url, headers=headers)
        self._connection = WebSocketConnection(self._take_message, limits=RELAY_LIMITS, keeps_messages=False)
        self._waiting: asyncio.Queue[SocketMessage | None] = asyncio.Queue()
        self._waiting_bytes = 0

    async def run(self) -> None:
        """Pass the connection until either side ends it.

        Raises:
            TransportError: the service cannot be reached; the client still waits for an answer.
        """
        context = create_ssl_context(http2=False) if self._request.url.startswith("https:") else None
        await self._connection.connect(self._request, ssl_context=context)
        if self._connection.status != HTTPStatus.SWITCHING_PROTOCOLS:
            await self._pass_rejection()
            return
        response_headers = self._connection.response_headers
        await self._send(
            {
                "type": "websocket.accept",
                "subprotocol": find_header(response_headers, "sec-websocket-protocol"),
                "headers": _encode_headers(response_headers),
            }
        )
        tasks = [asyncio.create_task(self._pass_to_client()), asyncio.create_task(self._pass_to_service())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._connection.close(_GOING_AWAY_CLOSE_CODE)

    def build_exchange(self) -> RelayedExchange:
        """Return the connection with the messages that were captured."""
        traffic = self._connection.build_traffic("", "", self._request)
        return RelayedExchange(
            request=self._request,
            response=Response(
                status=traffic.status, headers=traffic.response_headers, body=self._connection.rejection_body
            ),
            timing=None,
            socket=SocketMessages(
                messages=tuple(self._captured.messages),
                close=traffic.close,
                opened_at=traffic.opened_at,
                handshake_ms=traffic.handshake_ms,
                is_truncated=traffic.is_truncated,
            ),
        )

    async def _pass_rejection(self) -> None:
        connection = self._connection
        headers = [pair for pair in _encode_headers(connection.response_headers) if pair[0] != b"content-length"]
        await self._send({"type": "websocket.http.response.start", "status": connection.status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": connection.rejection_body})

    def _take_message(self, message: SocketMessage) -> None:
        """Note a message of the service, in the callback of the socket."""
        self._captured.add_message(message)
        self._waiting_bytes += len(message.data)
        self._waiting.put_nowait(message)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._connection.pause_reading()

    async def _pass_to_client(self) -> None:
        """Pass what the service sends, and how it ends the connection."""
        while True:
            message = await self._take_next()
            if message is None:
                break
            self._waiting_bytes -= len(message.data)
            if self._waiting_bytes <= MAX_WAITING_BYTES // 2:
                self._connection.resume_reading()
            try:
                part: dict[str, Any] = {"bytes": message.data} if message.is_binary else {"text": message.data.decode()}
            except UnicodeDecodeError:
                await self._close_client(_INVALID_TEXT_CLOSE_CODE, "the service sent a text that is not UTF-8")
                return
            await self._send({"type": "websocket.send", **part})
        close = self._connection.build_traffic("", "", self._request).close
        code = close.code if close is not None else ABNORMAL_CLOSE_CODE
        if code == ABNORMAL_CLOSE_CODE or self._connection.is_truncated:
            self._abort()  # without a close frame, as the service did
        else:
            await self._close_client(code, close.reason if close is not None else "")

    async def _take_next(self) -> SocketMessage | None:
        """Return the next message of the service; `None` after the last one, when the connection has ended."""
        if self._waiting.empty():
            waiting = [
                asyncio.ensure_future(self._waiting.get()),
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
        return self._waiting.get_nowait()

    async def _close_client(self, code: int, reason: str) -> None:
        sent_code = _NORMAL_CLOSE_CODE if code == NO_STATUS_CLOSE_CODE else code
        await self._send({"type": "websocket.close", "code": sent_code, "reason": reason})

    async def _pass_to_service(self) -> None:
        """Pass what the client sends, and how it ends the connection."""
        while (event := await self._receive())["type"] == "websocket.receive":
            await self._connection.wait_until_writable()
            text = event.get("text")
            with contextlib.suppress(TransportError):  # the connection has ended, which the other direction notices
                self._captured.add_message(self._connection.send(event["bytes"] if text is None else text))
        await self._connection.close(event.get("code") or NO_STATUS_CLOSE_CODE, event.get("reason") or "")


def _encode_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers of the service that are passed to the client."""
    left_out = _HANDSHAKE_HEADERS | {"connection", "upgrade", "sec-websocket-protocol", "transfer-encoding"}
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers
        if name.lower() not in left_out
    ]


def decode_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return headers as text."""
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


def find_failure_status(error: TransportError) -> HTTPStatus:
    """Return the status of the proxy's own response if the service cannot be reached."""
    return HTTPStatus.GATEWAY_TIMEOUT if isinstance(error, TimedOutError) else HTTPStatus.BAD_GATEWAY
