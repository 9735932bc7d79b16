"""Times the phases of one exchange."""

from __future__ import annotations

import time
from typing import Any

from voicegauge.model.exchange import Timing

MAX_TIMED_CHUNKS = 10_000
"""Maximum number of chunks that are timed separately. Later chunks are added to the last one, so that a body sent byte
by byte cannot exhaust the memory."""

_PHASE_BY_TRACE_EVENT = {
    "connect_tcp": "connecting",
    "connect_unix_socket": "connecting",
    "start_tls": "the TLS handshake",
    "send_request_headers": "sending the request",
    "send_request_body": "sending the request",
    "receive_response_headers": "waiting for the response",
    "receive_response_body": "reading the response",
}
"""For each step in the events of httpcore, the phase of the exchange in words, for error messages."""


_HTTP2_EVENT_PREFIX = "http2"
"""The protocol in the names of httpcore's events about a connection with HTTP/2."""


class ExchangeTrace:
    """Collects the times of one request, as `time.perf_counter` measures them.

    The phases are known from the `trace` events of httpcore. The times at which bytes were sent and received are noted
    by the connection itself, because the events of httpcore are late if other requests are in flight. With HTTP/2,
    requests share a connection, so that only the events are known.

    A request through a proxy is sent after a CONNECT request. The times of the later request replace those of the
    earlier one.
    """

    def __init__(self, *, has_body: bool = False) -> None:
        """Create a trace of a request; `has_body` says whether the request has a body."""
        self._has_body, self.is_body_pending = has_body, False
        self._started_at = time.time()
        self._started_s = time.perf_counter()
        self._first_event_s: float | None = None
        self._event_times_s: dict[str, float] = {}
        self._resolved_s = 0.0
        self._is_resolved = self._is_http2 = self._is_prepared = False
        self._first_sent_s: float | None = None
        self._last_sent_s: float | None = None
        self._first_received_s: float | None = None
        self._last_received_s: float | None = None
        self._chunks: list[tuple[float, int]] = []
        self.phase = "waiting for a free connection"
        """The current phase, for error messages."""

    async def __call__(self, event: str, _info: dict[str, Any]) -> None:
        """Note the time of an event of httpcore, such as "http11.send_request_headers.started"."""
        now_s = time.perf_counter()
        protocol, _, name = event.partition(".")
        if self._first_event_s is None:
            self._first_event_s = now_s
        self._event_times_s[name] = now_s
        step, _, edge = name.partition(".")
        if edge == "started" and step in _PHASE_BY_TRACE_EVENT:
            self.phase = _PHASE_BY_TRACE_EVENT[step]
        elif name == "send_request_body.complete":
            self.phase = _PHASE_BY_TRACE_EVENT["receive_response_headers"]
        self.is_body_pending = self._has_body and event == "http11.send_request_headers.started"
        if name == "send_request_headers.started":
            self._is_http2 = protocol == _HTTP2_EVENT_PREFIX
            self._first_sent_s = self._last_sent_s = self._first_received_s = None

    def note_name_resolution(self, started_s: float, ended_s: float) -> None:
        """Note that a host name was resolved."""
        self._is_resolved = True
        self._resolved_s += ended_s - started_s

    def note_prepared_connection(self) -> None:
        """Note that the connection was opened before the request began."""
        self._is_prepared = True

    def note_bytes_sent(self, started_s: float, ended_s: float) -> None:
        """Note that bytes were passed to the operating system."""
        if self._first_sent_s is None:
            self._first_sent_s = started_s
        self._last_sent_s = ended_s

    def note_bytes_received(self, arrival_time_s: float) -> None:
        """Note that bytes arrived at `arrival_time_s` and were then read, or that the connection ended at that time."""
        if self._first_received_s is None:
            self._first_received_s = arrival_time_s
        self._last_received_s = arrival_time_s

    @property
    def may_have_been_sent(self) -> bool:
        """Whether any part of the request may have been sent."""
        return "send_request_headers.started" in self._event_times_s

    @property
    def received_body_description(self) -> str:
        """How much of the body was received, in words for error messages; empty if nothing was received."""
        size = sum(size for _, size in self._chunks)
        return f", {size} bytes of the body received" if size else ""

    def record_chunk(self, size_bytes: int) -> None:
        """Note that `size_bytes` bytes of the body were read."""
        at_ms = (self._get_last_arrival_s() - self._started_s) * 1000
        if len(self._chunks) < MAX_TIMED_CHUNKS:
            self._chunks.append((at_ms, size_bytes))
        else:
            self._chunks[-1] = (at_ms, self._chunks[-1][1] + size_bytes)

    def build_timing(self, http_version: str) -> Timing | None:
        """Return the timing so far, as if the body were complete; `None` before the headers arrived."""
        events, started_s = self._event_times_s, self._started_s
        headers_s = events.get("receive_response_headers.complete")
        if self._first_event_s is None or headers_s is None:
            return None
        send_started_s, sent_s, first_byte_s = (
            events["send_request_headers.started"],
            events.get("send_request_body.complete", headers_s),
            headers_s,
        )
        if not self._is_http2:
            send_started_s = self._first_sent_s if self._first_sent_s is not None else send_started_s
            sent_s = self._last_sent_s if self._last_sent_s is not None else sent_s
            first_byte_s = self._first_received_s if self._first_received_s is not None else headers_s
        end_s = max(self._get_last_arrival_s(), first_byte_s)
        return Timing(
            started_at=self._started_at,
            started_ms=started_s * 1000,
            connection_wait_ms=(self._first_event_s - started_s) * 1000,
            dns_ms=self._resolved_s * 1000 if self._is_resolved else None,
            connect_ms=self._measure_step_ms("connect_tcp", excluded_duration_s=self._resolved_s),
            tls_ms=self._measure_step_ms("start_tls"),
            delay_before_send_ms=(send_started_s - started_s) * 1000,
            send_ms=max(sent_s - send_started_s, 0.0) * 1000,
            ttfb_ms=max(first_byte_s - sent_s, 0.0) * 1000,
            receive_ms=(end_s - first_byte_s) * 1000,
            total_ms=(end_s - started_s) * 1000,
            chunk_arrivals=tuple(self._chunks),
            http_version=http_version,
        )

    def _get_last_arrival_s(self) -> float:
        if self._is_http2 or self._last_received_s is None:
            return time.perf_counter()
        return self._last_received_s

    def _measure_step_ms(self, step_name: str, *, excluded_duration_s: float = 0.0) -> float | None:
        """Return the duration of a step of httpcore; `None` if this request did not take the step."""
        started_s, complete_s = (self._event_times_s.get(f"{step_name}.{edge}") for edge in ("started", "complete"))
        if started_s is None or complete_s is None or self._is_prepared:
            return None
        return (complete_s - started_s - excluded_duration_s) * 1000
