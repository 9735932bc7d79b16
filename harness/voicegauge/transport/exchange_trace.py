"""Times the phases of one exchange, with sockets that know when the operating system sent and received their bytes.

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

import contextlib
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any, Self

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


_SO_TIMESTAMPNS, _SO_TIMESTAMPING = 35, 37
"""Numbers of two socket options, and of the messages with their times, on all processors but PA-RISC and SPARC. Python
has no names for them."""
_SEND_TIMESTAMPS = 1 << 4 | 1 << 8 | 1 << 11
"""Value of the option `SO_TIMESTAMPING`: times of the operating system's clock (`SOF_TIMESTAMPING_SOFTWARE`) at which
each sent packet is queued for the network (`TX_SCHED`), without the packet itself (`OPT_TSONLY`)."""
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size) if hasattr(socket, "CMSG_SPACE") else 0
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
    _has_send_times: bool

    @classmethod
    def adopt_connection(cls, connected: socket.socket) -> Self:
        """Return a socket with the connection of `connected`, which can no longer be used."""
        timeout_s = connected.gettimeout()
        taken = cls(connected.family, connected.type, connected.proto, fileno=connected.detach())
        taken.settimeout(timeout_s)
        taken.arrival_time_s = taken.sent_time_s = time.perf_counter()
        taken._has_arrival_times = taken._has_send_times = False
        if HAS_PACKET_TIMES:
            with contextlib.suppress(OSError):
                taken.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
                taken._has_arrival_times = True
                if taken.family in {socket.AF_INET, socket.AF_INET6}:  # others have no error queue
                    taken.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _SEND_TIMESTAMPS)
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
        with self._discarding_late_notices():
            data, ancillary, _, _ = self.recvmsg(bufsize, _ANCILLARY_BYTES, flags)
        self._note_arrival(ancillary)
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read into `buffer`, as `socket.socket.recv_into` does."""
        if not self._has_arrival_times or nbytes:
            count = super().recv_into(buffer, nbytes, flags)
            self.arrival_time_s = time.perf_counter()
            return count
        with self._discarding_late_notices():
            count, ancillary, _, _ = self.recvmsg_into([buffer], _ANCILLARY_BYTES, flags)
        self._note_arrival(ancillary)
        return count

    def _note_arrival(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        """Note when the bytes just read arrived: as the operating system says, else now."""
        now_s = time.perf_counter()
        arrived_s = _find_time_s(ancillary, _SO_TIMESTAMPNS)
        # Never before what was read before: another time means that the clock of the time of day was set meanwhile.
        self.arrival_time_s = max(now_s if arrived_s is None else arrived_s, self.arrival_time_s)

    def _note_sending(self, started_s: float) -> None:
        """Note when the bytes just sent left: as the operating system says, else when the call began."""
        # Not before the call: such a time is that of an earlier packet, which had to wait for the network, or the clock
        # was set meanwhile.
        self.sent_time_s = max([started_s, *self._pop_send_times_s()])

    def _pop_send_times_s(self) -> list[float]:
        """Remove and return the times that wait in the error queue."""
        times_s = list[float]()
        if self._has_send_times:
            with contextlib.suppress(OSError):  # the queue is empty
                while True:
                    flags = socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
                    _, ancillary, _, _ = self.recvmsg(0, _MAX_ERROR_QUEUE_BYTES, flags)
                    time_s = _find_time_s(ancillary, _SO_TIMESTAMPING)
                    if time_s is None:
                        break
                    times_s.append(time_s)
        return times_s

    @contextlib.contextmanager
    def _discarding_late_notices(self) -> Iterator[None]:
        """Empty the error queue if the block finds nothing to read: the loop takes its content for readable data."""
        try:
            yield
        except BlockingIOError:
            self._pop_send_times_s()
            raise


def _find_time_s(ancillary: list[tuple[int, int, bytes]], wanted_kind: int) -> float | None:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == wanted_kind and len(data) >= _TIMESPEC.size:
            return _convert_time_of_day(*_TIMESPEC.unpack_from(data))
    return None


_MAX_CLOCK_READING_S = 20e-6
"""Maximum time between the readings of two clocks, unless this process loses the processor in between."""
_MAX_CLOCK_READINGS = 5
"""Maximum number of times that both clocks are read to find two readings that are close together."""


def _convert_time_of_day(seconds: int, nanoseconds: int) -> float:
    """Return a past time of day in seconds of `time.perf_counter`; the present if it lies in the future."""
    for _ in range(_MAX_CLOCK_READINGS):
        started_s = time.perf_counter()
        age_ns = time.time_ns() - (seconds * 1_000_000_000 + nanoseconds)
        now_s = time.perf_counter()
        if now_s - started_s < _MAX_CLOCK_READING_S:
            break
    return now_s - max(age_ns, 0) / 1e9
