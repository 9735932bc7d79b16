"""Sockets that know when the operating system received their bytes, however late this process reads them.

A process that is busy, or that waits for a processor, reads a response late, and would count that as time of the
service. Linux notes when a packet arrives, and hands the time over with the bytes (`SO_TIMESTAMPNS`, socket(7)). Where
it does not, the time of reading counts: on other systems, for the first packets after the option is set, and over
event loops that read by themselves, such as uvloop.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time
from typing import Any, Self

_SO_TIMESTAMPNS = 35
"""Number of the option, and of its messages, on all processors but PA-RISC and SPARC; Python does not name it."""
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size) if hasattr(socket, "CMSG_SPACE") else 0


class ArrivalTimingSocket(socket.socket):
    """A connected TCP socket that notes when the bytes arrived that it reads.

    Where `recv` returns bytes of several packets, the time is that of the last one. Over TLS, bytes can be read when
    the whole record has arrived.
    """

    arrival_time_s: float
    """When the bytes that were read last arrived, in seconds of `time.perf_counter`."""
    _has_arrival_times: bool

    @classmethod
    def take_over(cls, connected: socket.socket) -> Self:
        """Return a socket with the connection of `connected`, which can no longer be used."""
        timeout_s = connected.gettimeout()
        taken = cls(connected.family, connected.type, connected.proto, fileno=connected.detach())
        taken.settimeout(timeout_s)
        taken.arrival_time_s = time.perf_counter()
        taken._has_arrival_times = False
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                taken.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
                taken._has_arrival_times = True
        return taken

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Read at most `bufsize` bytes, as `socket.socket.recv` does."""
        if not self._has_arrival_times:
            data = super().recv(bufsize, flags)
            self.arrival_time_s = time.perf_counter()
            return data
        data, ancillary, _, _ = self.recvmsg(bufsize, _ANCILLARY_BYTES, flags)
        self._note_arrival(ancillary)
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read into `buffer`, as `socket.socket.recv_into` does."""
        if not self._has_arrival_times or nbytes:
            count = super().recv_into(buffer, nbytes, flags)
            self.arrival_time_s = time.perf_counter()
            return count
        count, ancillary, _, _ = self.recvmsg_into([buffer], _ANCILLARY_BYTES, flags)
        self._note_arrival(ancillary)
        return count

    def _note_arrival(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        now_s = time.perf_counter()
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
                now_s = _convert_time_of_day(*_TIMESPEC.unpack_from(data))
        # Never before what was read before: another time means that the clock of the time of day was set meanwhile.
        self.arrival_time_s = max(now_s, self.arrival_time_s)


_MAX_READING_S = 20e-6
"""Time that reading two clocks takes at the most, unless this process loses the processor between them."""
_MAX_READINGS = 5


def _convert_time_of_day(seconds: int, nanoseconds: int) -> float:
    """Return a past time of day in seconds of `time.perf_counter`; the present if it lies in the future."""
    for _ in range(_MAX_READINGS):
        started_s = time.perf_counter()
        age_ns = time.time_ns() - (seconds * 1_000_000_000 + nanoseconds)
        now_s = time.perf_counter()
        if now_s - started_s < _MAX_READING_S:
            break
    return now_s - max(age_ns, 0) / 1e9
