"""Traces one HTTP exchange: the phases and their times, the limits, and the error of a phase that failed."""

from __future__ import annotations

import re
import ssl
import time
from typing import Any

import httpcore

from voicegauge.errors import TimedOutError, TransportError, UnreachableError
from voicegauge.model.base import Record
from voicegauge.model.exchange import Timing

MAX_TIMED_CHUNKS = 10_000
"""Maximum number of chunks that are timed separately. Later chunks are added to the last one, so that a body sent byte
by byte cannot exhaust the memory."""

_REQUEST_PHASE_BY_TRACE_EVENT = {
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
        self._has_body = has_body
        self.is_body_pending = False
        """Whether what is written next is the head of a request whose body follows at once."""
        self._started_at = time.time()  # the date of the request; durations come from the clock below
        self._started_s = time.perf_counter()
        self._first_event_s: float | None = None
        self._event_times_s: dict[str, float] = {}
        self._resolved_s = 0.0
        self._is_resolved = self._is_http2 = False
        self.uses_prepared_connection = False
        """Whether the connection was opened before the request began, so that connecting took none of its time."""
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
        if edge == "started" and step in _REQUEST_PHASE_BY_TRACE_EVENT:
            self.phase = _REQUEST_PHASE_BY_TRACE_EVENT[step]
        elif name == "send_request_body.complete":
            self.phase = _REQUEST_PHASE_BY_TRACE_EVENT["receive_response_headers"]
        # Until the next event: meanwhile httpcore writes the head, which then waits for its body.
        self.is_body_pending = self._has_body and event == "http11.send_request_headers.started"
        if name == "send_request_headers.started":
            self._is_http2 = protocol == _HTTP2_EVENT_PREFIX
            self._first_sent_s = self._last_sent_s = self._first_received_s = None

    def note_name_resolution(self, started_s: float, ended_s: float) -> None:
        """Note that a host name was resolved."""
        self._is_resolved = True
        self._resolved_s += ended_s - started_s

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

    def note_body_chunk(self, size_bytes: int) -> None:
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
            # A service may respond before it has the whole body, for example to reject it.
            ttfb_ms=max(first_byte_s - sent_s, 0.0) * 1000,
            receive_ms=(end_s - first_byte_s) * 1000,
            total_ms=(end_s - started_s) * 1000,
            chunk_arrivals=tuple(self._chunks),
            http_version=http_version,
        )

    def _get_last_arrival_s(self) -> float:
        # With HTTP/2, the latest bytes of the connection may belong to another request.
        if self._is_http2 or self._last_received_s is None:
            return time.perf_counter()
        return self._last_received_s

    def _measure_step_ms(self, step_name: str, *, excluded_duration_s: float = 0.0) -> float | None:
        """Return the duration of a step of httpcore; `None` if this request did not take the step."""
        started_s, complete_s = (self._event_times_s.get(f"{step_name}.{edge}") for edge in ("started", "complete"))
        if started_s is None or complete_s is None or self.uses_prepared_connection:
            return None
        return (complete_s - started_s - excluded_duration_s) * 1000


class Timeouts(Record, frozen=True, kw_only=True):
    """Time limits of one exchange, in seconds."""

    connect_s: float = 10.0
    """Limit for name resolution, TCP connect and TLS handshake together."""
    write_s: float = 60.0
    """Limit for sending one chunk of the request."""
    read_s: float = 120.0
    """Limit for the wait for the next chunk of the response. It is long, because synchronous operations send nothing
    until all audio is ready."""
    pool_s: float = 60.0
    """Limit for the wait for a free connection of the pool."""
    total_s: float = 300.0
    """Limit for the whole exchange, because a response that arrives byte by byte never exceeds the other limits."""

    def build_httpcore_extension(self) -> dict[str, float]:
        """Return the limits of the phases, in seconds, as the extension `timeout` of a request of httpcore."""
        return {"connect": self.connect_s, "read": self.read_s, "write": self.write_s, "pool": self.pool_s}


def create_default_timeouts(max_total_s: float | None) -> Timeouts:
    """Return the default time limits, with at most `max_total_s` seconds per exchange; `None` keeps the default."""
    return Timeouts() if max_total_s is None else Timeouts(total_s=min(max_total_s, Timeouts().total_s))


def build_transport_error(error: Exception, host: str, trace: ExchangeTrace, timeouts: Timeouts) -> TransportError:
    """Return the `TransportError` for an exception of httpcore.

    Its message is one line with the host and the phase, but without the URL, which may contain a key.
    """
    if isinstance(error, httpcore.TimeoutException):
        seconds = {
            httpcore.ConnectTimeout: timeouts.connect_s,
            httpcore.ReadTimeout: timeouts.read_s,
            httpcore.WriteTimeout: timeouts.write_s,
            httpcore.PoolTimeout: timeouts.pool_s,
        }.get(type(error), timeouts.total_s)
        sent = trace.may_have_been_sent and not isinstance(error, httpcore.ConnectTimeout | httpcore.PoolTimeout)
        return TimedOutError(
            f"{host}: {trace.phase}: nothing for {seconds:g} s{trace.received_body_description}", request_was_sent=sent
        )
    reason = describe_httpcore_error(error)
    if isinstance(error, httpcore.UnsupportedProtocol | httpcore.LocalProtocolError):
        return UnreachableError(f"{host}: the request cannot be sent: {reason}", request_was_sent=False)
    if isinstance(error, httpcore.ConnectError):
        reason = add_certificate_hint(reason)
        return UnreachableError(f"{host}: cannot connect: {reason}", request_was_sent=False)
    if isinstance(error, httpcore.ProxyError):  # the request is sent only after the proxy has connected
        return UnreachableError(f"{host}: the proxy does not connect: {reason}", request_was_sent=False)
    return UnreachableError(
        f"{host}: {trace.phase}: connection lost: {reason}", request_was_sent=trace.may_have_been_sent
    )


def build_unsendable_request_error(reason: str) -> UnreachableError:
    """Return the error for a request that no connection could send, such as one with an invalid URL."""
    return UnreachableError(f"the request cannot be sent: {reason}", request_was_sent=False)


HTTPCORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    ssl.SSLError,
)
"""The exceptions that httpcore raises if a request fails."""


def add_certificate_hint(reason: str) -> str:
    """Return why a connection failed, with what to do about a certificate that is not trusted."""
    if "CERTIFICATE_VERIFY_FAILED" not in reason:
        return reason
    return f"{reason}; set SSL_CERT_FILE to the certificate of an authority of your own (serve --tls prints its file)"


SWITCHED_PROTOCOL_MESSAGE = "the server switched to another protocol, which was not requested"
OVERSIZE_HEADERS_MESSAGE = "the headers are too large"
NO_RESPONSE_MESSAGE = "the server closed the connection without a response"
INCOMPLETE_BODY_MESSAGE = "the server closed the connection before the end of the body"
INVALID_HTTP_MESSAGE = "the response is not valid HTTP"
_DESCRIPTION_BY_HTTPCORE_MESSAGE = {
    "_SWITCH_UPGRADE": SWITCHED_PROTOCOL_MESSAGE,
    "Receive buffer too long": OVERSIZE_HEADERS_MESSAGE,
    "Server disconnected without": NO_RESPONSE_MESSAGE,
    "peer unexpectedly closed": NO_RESPONSE_MESSAGE,
    "peer closed connection without": INCOMPLETE_BODY_MESSAGE,
    "bad Content-Length": f"{INVALID_HTTP_MESSAGE}: its Content-Length is not a number",
    "status_code should be in range": f"{INVALID_HTTP_MESSAGE}: its status is below 100",
}
"""Descriptions of responses that break the protocol, by a part of the message of httpcore."""


def describe_httpcore_error(error: Exception) -> str:
    """Return the message of an error of httpcore on one line, without an error number."""
    message = re.sub(r"^\[Errno [^\]]*\] ", "", " ".join(str(error).split())).rstrip(".")
    if not isinstance(error, httpcore.RemoteProtocolError):
        return message or type(error).__name__
    for part, description in _DESCRIPTION_BY_HTTPCORE_MESSAGE.items():
        if part in message:
            return description
    if message.startswith(("the response", "the server", "the headers")):  # of `raw_http.ResponseParser`
        return message
    # What it quotes stays a literal of bytes: messages are searched for those, and words in them are masked.
    return f"{INVALID_HTTP_MESSAGE}: " + re.sub(r"bytearray\((b.*)\)", r"\1", message)
