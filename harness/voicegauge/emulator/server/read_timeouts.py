"""Disconnects clients that send headers or bodies of requests too slowly.

uvicorn limits only the idle time between requests, so a client that sends one byte per minute could keep its connection
forever.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_TIMEOUT_RESPONSE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class ReadTimeouts(NamedTuple):
    """Time limits, in seconds, for reading one request."""

    headers_s: float = 30.0
    """Longest time from the first byte of a request to the end of its headers. For the first request of a connection,
    the time counts from the connection."""
    body_pause_s: float = 30.0
    """Longest pause between two parts of a body."""
    body_s: float = 300.0
    """Longest time for the whole body. It is enough for the largest accepted upload at half a megabyte per second."""


def protocol_with_timeouts(limits: ReadTimeouts) -> type[asyncio.Protocol]:
    """Return an HTTP protocol class for uvicorn that applies `limits`."""

    class LimitedProtocol(_TimedProtocol):
        read_timeouts = limits

    return LimitedProtocol


class _TimedProtocol(H11Protocol):
    read_timeouts = ReadTimeouts()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._reads_body = False
        self._has_received = False
        self._body_deadline = 0.0
        self._start_timer(self.read_timeouts.headers_s)

    def data_received(self, data: bytes) -> None:
        self._has_received = True
        super().data_received(data)
        if self.transport.is_closing():
            self._stop_timer()
        elif self.conn.their_state is h11.SEND_BODY:
            self._continue_body()
        else:
            is_waiting_for_headers = self.conn.their_state is h11.IDLE
            # The limit counts from the first byte, so further bytes of the same headers do not restart it.
            if not is_waiting_for_headers or self._reads_body:
                self._stop_timer()
            if is_waiting_for_headers and self._timer is None:
                self._start_timer(self.read_timeouts.headers_s)
            self._reads_body = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        next_request_bytes, _ = self.conn.trailing_data
        if self.conn.their_state is h11.IDLE and next_request_bytes and self._timer is None:
            self._start_timer(self.read_timeouts.headers_s)  # the next request has begun during the response

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _continue_body(self) -> None:
        now = self.loop.time()
        if not self._reads_body:
            self._reads_body = True
            self._body_deadline = now + self.read_timeouts.body_s
        self._start_timer(min(self.read_timeouts.body_pause_s, max(self._body_deadline - now, 0.0)))

    def _start_timer(self, after_s: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(after_s, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._timer = None
        cycle: Any = self.cycle
        if self._reads_body and self.flow.read_paused:
            # The client is not slow: the server has stopped reading until the application takes more of the body.
            self._start_timer(self.read_timeouts.body_pause_s)
            return
        has_responded = self._reads_body and cycle is not None and cycle.response_started
        if self._has_received and not has_responded:
            self.transport.write(_TIMEOUT_RESPONSE)
        self.transport.close()
