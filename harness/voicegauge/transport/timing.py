"""Measures time: clocks, sockets that know when their bytes left and arrived, and the phases of one HTTP exchange.

A process that is busy, or that waits for a processor, reads a response late, and would count that as time of the
service. Linux notes when a packet arrives, and hands the time over with the bytes (`SO_TIMESTAMPNS`, socket(7)). Where
it does not, the time of reading counts: on other systems, for the first packets after the option is set, and over
event loops that read by themselves, such as uvloop.

A request can be late in the same way: Python releases its lock before it asks the operating system to send, and
another thread that waits for the lock may take the processor before the bytes are passed on. Linux also notes when
it hands a packet to the network (`SO_TIMESTAMPING`, Documentation/networking/timestamping.rst), and puts the time into
the error queue of the socket. Where it does not, the time before the call counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import re
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, Protocol, Self, TypeVar

import httpcore

from voicegauge.errors import TimedOutError, TransportError, UnreachableError
from voicegauge.model.base import Record
from voicegauge.model.exchange import Timing

BlockingParameters = ParamSpec("BlockingParameters")
"""The parameters of a function that blocks, and is therefore called in a thread."""
ResultT = TypeVar("ResultT")


async def run_in_thread(
    function: Callable[BlockingParameters, ResultT], *args: BlockingParameters.args, **kwargs: BlockingParameters.kwargs
) -> ResultT:
    """Call `function` in a thread, and return what it returns.

    If the task is cancelled, the call is completed first, so that a write is never cut short.
    """
    call = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait([call])
        raise


class Clock(Protocol):
    """A monotonic clock on which tasks can sleep."""

    is_clock_of_exchange_timings: bool
    """Whether the times in `Timing` are measured with this clock, so that they can be compared with `monotonic()`."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary, fixed moment. The value never decreases."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait until `seconds` have passed on this clock."""
        ...


class RealClock:
    """The machine's monotonic clock."""

    is_clock_of_exchange_timings = True

    def monotonic(self) -> float:
        """Return the time in seconds, as `time.perf_counter` does."""
        return time.perf_counter()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` while other tasks run."""
        await asyncio.sleep(seconds)


class VirtualClock:
    """A clock that advances only when a task sleeps on it. A sleep advances the clock at once, without real waiting.

    Tasks that sleep at the same time wake in the order of their deadlines. `sleeps` lists the duration of every
    sleep in seconds, so that a test can check a schedule of waits.
    """

    is_clock_of_exchange_timings = False

    def __init__(self) -> None:
        """Start at 0 seconds."""
        self._now = 0.0
        self._deadlines: list[tuple[float, int]] = []
        """A heap of the sleeping tasks: the time at which each wakes, and a number that orders equal times."""
        self._sleep_numbers = itertools.count()
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        """Return the seconds by which sleeping tasks have advanced the clock since it was created."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Advance the clock by `seconds`, after all tasks whose sleep ends earlier have run."""
        self.sleeps.append(seconds)
        deadline = (self._now + max(seconds, 0.0), next(self._sleep_numbers))
        heapq.heappush(self._deadlines, deadline)
        try:
            await asyncio.sleep(0)
            while self._deadlines[0] != deadline:  # noqa: ASYNC110 - each pass wakes the task with the earliest deadline
                await asyncio.sleep(0)
            self._now = max(self._now, deadline[0])
        finally:
            # Not popped: a sleep that is cancelled ends before its deadline is the earliest.
            self._deadlines.remove(deadline)
            heapq.heapify(self._deadlines)


_SO_TIMESTAMPNS, _SO_TIMESTAMPING = 35, 37
"""Numbers of two socket options, and of the messages with their times, on all processors but PA-RISC and SPARC. Python
has no names for them."""


_SEND_TIMESTAMP_FLAGS = 1 << 4 | 1 << 8 | 1 << 11
"""Value of the option `SO_TIMESTAMPING`: times of the operating system's clock (`SOF_TIMESTAMPING_SOFTWARE`) at which
each sent packet is queued for the network (`TX_SCHED`), without the packet itself (`OPT_TSONLY`)."""


_TIMESPEC = struct.Struct("@ll")
"""The layout of a time of the operating system: seconds and nanoseconds."""


_MAX_ANCILLARY_DATA_BYTES = socket.CMSG_SPACE(_TIMESPEC.size) if hasattr(socket, "CMSG_SPACE") else 0
"""Space in a read for the ancillary message with the arrival time of the bytes."""


_MAX_ERROR_QUEUE_BYTES = 256
"""Size of the ancillary messages with the time of one packet: its address, three times, and their kind."""


HAS_PACKET_TIMES = sys.platform == "linux"
"""Whether the operating system notes when packets arrive and leave."""


class PacketTimingSocket(socket.socket):
    """A connected TCP socket that notes when its sent bytes left, and when the bytes that it reads arrived.

    Where `recv` returns bytes of several packets, the time is that of the last one. Over TLS, bytes can be read when
    the whole record has arrived.
    """

    arrival_time_s: float
    """When the bytes of the latest read arrived, in seconds of `time.perf_counter`."""
    sent_time_s: float
    """When the last byte of the latest `send` was passed to the network, in seconds of `time.perf_counter`. If the
    operating system does not report this time, or not yet, it is the time just before the call."""
    _has_arrival_times: bool
    """Whether the operating system states when bytes of this socket arrived."""
    _has_send_times: bool
    """Whether the operating system states when bytes of this socket were passed to the network."""

    @classmethod
    def adopt_connection(cls, connected_socket: socket.socket, *, has_packet_times: bool = True) -> Self:
        """Return a socket with the connection of `connected_socket`, which can no longer be used.

        Without `has_packet_times`, the operating system is not asked for the times at which packets leave and arrive.
        """
        timeout_s = connected_socket.gettimeout()  # a new object for the same descriptor has the default, which blocks
        taken = cls(
            connected_socket.family,
            connected_socket.type,
            connected_socket.proto,
            fileno=connected_socket.detach(),
        )
        taken.settimeout(timeout_s)
        taken.arrival_time_s = taken.sent_time_s = time.perf_counter()
        taken._has_arrival_times = taken._has_send_times = False
        if HAS_PACKET_TIMES and has_packet_times:
            with contextlib.suppress(OSError):
                taken.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
                taken._has_arrival_times = True
                if taken.family in {socket.AF_INET, socket.AF_INET6}:  # others have no error queue
                    taken.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _SEND_TIMESTAMP_FLAGS)
                    taken._has_send_times = True
        return taken

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send bytes, as `socket.socket.send` does."""
        started_s = time.perf_counter()
        try:
            return super().send(data, flags)
        finally:
            self._note_sending(started_s)

    def sendmsg(self, *arguments: Any) -> int:
        """Send bytes, as `socket.socket.sendmsg` does."""
        started_s = time.perf_counter()
        try:
            return super().sendmsg(*arguments)
        finally:
            self._note_sending(started_s)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Read at most `bufsize` bytes, as `socket.socket.recv` does."""
        if not self._has_arrival_times:
            data = super().recv(bufsize, flags)
            self.arrival_time_s = time.perf_counter()
            return data
        with self._discarding_late_send_times():
            data, ancillary, _, _ = self.recvmsg(bufsize, _MAX_ANCILLARY_DATA_BYTES, flags)
        self._note_arrival(ancillary)
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read into `buffer`, as `socket.socket.recv_into` does."""
        # `recvmsg_into` may fill the whole buffer, so that a read with a limit gets no time of arrival. asyncio sets no
        # limit.
        if not self._has_arrival_times or nbytes:
            count = super().recv_into(buffer, nbytes, flags)
            self.arrival_time_s = time.perf_counter()
            return count
        with self._discarding_late_send_times():
            count, ancillary, _, _ = self.recvmsg_into([buffer], _MAX_ANCILLARY_DATA_BYTES, flags)
        self._note_arrival(ancillary)
        return count

    def _note_arrival(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        """Note when the bytes just read arrived: as the operating system says, else now."""
        now_s = time.perf_counter()
        arrived_s = _find_packet_time_s(ancillary, _SO_TIMESTAMPNS)
        # Never before what was read before: another time means that the clock of the time of day was set meanwhile.
        self.arrival_time_s = max(now_s if arrived_s is None else arrived_s, self.arrival_time_s)

    def _note_sending(self, started_s: float) -> None:
        """Note when the bytes just sent left: as the operating system says, else when the call began."""
        # Not before the call: such a time is that of an earlier packet, which had to wait for the network, or the clock
        # was set meanwhile.
        self.sent_time_s = max([started_s, *self._pop_send_times_s()])

    def _pop_send_times_s(self) -> list[float]:
        """Remove the times at which packets were sent from the error queue of the socket, and return them."""
        times_s = list[float]()
        if self._has_send_times:
            with contextlib.suppress(OSError):  # the queue is empty
                while True:
                    flags = socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
                    _, ancillary, _, _ = self.recvmsg(0, _MAX_ERROR_QUEUE_BYTES, flags)
                    time_s = _find_packet_time_s(ancillary, _SO_TIMESTAMPING)
                    if time_s is None:
                        break
                    times_s.append(time_s)
        return times_s

    @contextlib.contextmanager
    def _discarding_late_send_times(self) -> Iterator[None]:
        """Empty the error queue if the block finds nothing to read, or the event loop takes its content for data."""
        try:
            yield
        except BlockingIOError:
            self._pop_send_times_s()
            raise


def _find_packet_time_s(ancillary: list[tuple[int, int, bytes]], wanted_message_type: int) -> float | None:
    """Return the time in the ancillary message of this type, in seconds of `time.perf_counter`; `None` without one."""
    for level, message_type, data in ancillary:
        if level == socket.SOL_SOCKET and message_type == wanted_message_type and len(data) >= _TIMESPEC.size:
            return _convert_time_of_day(*_TIMESPEC.unpack_from(data))
    return None


_MAX_CLOCK_READING_DURATION_S = 20e-6
"""Maximum time in seconds between the readings of two clocks if this process keeps the processor in between."""


_MAX_CLOCK_READING_ATTEMPTS = 5
"""Maximum number of times that both clocks are read to find two readings that are close together."""


def _convert_time_of_day(seconds: int, nanoseconds: int) -> float:
    """Convert a past Unix time, as seconds and nanoseconds, to seconds of `time.perf_counter`; a future one to now."""
    for _ in range(_MAX_CLOCK_READING_ATTEMPTS):
        started_s = time.perf_counter()
        age_ns = time.time_ns() - (seconds * 1_000_000_000 + nanoseconds)
        now_s = time.perf_counter()
        if now_s - started_s < _MAX_CLOCK_READING_DURATION_S:
            break
    return now_s - max(age_ns, 0) / 1e9


# Traces one HTTP exchange: the phases and their times, the limits, and the error of a phase that failed.


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
        """Note that a host name was resolved between two times of `time.perf_counter`."""
        self._is_resolved = True
        self._resolved_s += ended_s - started_s

    def note_bytes_sent(self, started_s: float, ended_s: float) -> None:
        """Note that bytes were passed to the operating system between two times of `time.perf_counter`."""
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
        """The end of an error message, such as ", 512 bytes of the body received"; empty if nothing was received."""
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
