"""Disconnects clients that send headers or bodies of requests too slowly, or open too many connections.

uvicorn limits only the idle time between requests, so a client that sends one byte per minute could keep its connection
forever. Above uvicorn's limit of connections every client gets 503, so one client could lock out all others.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from voicegauge.emulator.server.client_limits import ABORT_EXTENSION_KEY, ClientLimits

_TIMEOUT_RESPONSE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def create_client_limiting_protocol(limits: ClientLimits) -> type[asyncio.Protocol]:
    """Return an HTTP protocol class for uvicorn that applies `limits` to all its connections together."""

    class ClientLimitingProtocol(_ClientLimitingProtocolBase):
        client_limits = limits
        open_connections = {}

    return ClientLimitingProtocol


class _ClientLimitingProtocolBase(H11Protocol):
    client_limits: ClassVar[ClientLimits]
    open_connections: ClassVar[dict[_ClientLimitingProtocolBase, None]]
    """Open connections, oldest first."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        application = self.app

        async def call_app_with_abort(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = {ABORT_EXTENSION_KEY: self.transport.close}
            await application(scope, receive, send)

        self.app = call_app_with_abort

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._reads_body = False
        self._has_received = False
        self._body_deadline = 0.0
        self.open_connections[self] = None
        if len(self.open_connections) > self.client_limits.max_connections:
            surplus = next(one for one in self.open_connections if one is self or not one.has_request_in_progress)
            del self.open_connections[surplus]
            surplus.transport.abort()
        self._start_timer(self.client_limits.headers_timeout_s)

    @property
    def has_request_in_progress(self) -> bool:
        """Whether headers were received completely, but the response was not sent completely."""
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        self._has_received = True
        super().data_received(data)
        if self.transport.is_closing():
            self._stop_timer()
        elif self.conn.their_state is h11.SEND_BODY:
            self._restart_body_timer()
        else:
            is_waiting_for_headers = self.conn.their_state is h11.IDLE
            # The limit counts from the first byte, so further bytes of the same headers do not restart it.
            if not is_waiting_for_headers or self._reads_body:
                self._stop_timer()
            if is_waiting_for_headers and self._timer is None:
                self._start_timer(self.client_limits.headers_timeout_s)
            self._reads_body = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        next_request_bytes, _ = self.conn.trailing_data
        if self.conn.their_state is h11.IDLE and next_request_bytes and self._timer is None:
            self._start_timer(self.client_limits.headers_timeout_s)  # the next request has begun during the response

    def connection_lost(self, error: Exception | None) -> None:
        self.open_connections.pop(self, None)
        self._stop_timer()
        super().connection_lost(error)

    def _restart_body_timer(self) -> None:
        now = self.loop.time()
        if not self._reads_body:
            self._reads_body = True
            self._body_deadline = now + self.client_limits.body_timeout_s
        self._start_timer(min(self.client_limits.body_pause_timeout_s, max(self._body_deadline - now, 0.0)))

    def _start_timer(self, timeout_s: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(timeout_s, self._close_slow_connection)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_slow_connection(self) -> None:
        self._timer = None
        cycle: Any = self.cycle
        if self._reads_body and self.flow.read_paused:
            # The client is not slow: the server has stopped reading until the application takes more of the body.
            self._start_timer(self.client_limits.body_pause_timeout_s)
            return
        has_responded = self._reads_body and cycle is not None and cycle.response_started
        if self._has_received and not has_responded:
            self.transport.write(_TIMEOUT_RESPONSE)
        self.transport.close()
