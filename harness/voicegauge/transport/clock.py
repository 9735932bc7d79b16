"""Clocks: of this machine, virtual ones, and sockets that know when the operating system sent and received their bytes.

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
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, Protocol, Self, TypeVar

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
        """Return the time slept, in seconds."""
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
    def adopt_connection(cls, connected_socket: socket.socket) -> Self:
        """Return a socket with the connection of `connected_socket`, which can no longer be used."""
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
        if HAS_PACKET_TIMES:
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
"""Maximum time between the readings of two clocks, unless this process loses the processor in between."""


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
