"""Copies bodies while they pass through the proxy. The size of each copy and of all copies together is limited."""

from __future__ import annotations

import io
import threading

MAX_JUDGED_BODY_BYTES = 32 * 2**20
"""Maximum size, in bytes, of a body that is judged and recorded: about three minutes of 16-bit stereo at 48 kHz. A
larger body passes through the proxy, but is not judged."""
MAX_TOTAL_CAPTURED_BYTES = 128 * 2**20
"""Memory, in bytes, that the copies of all bodies take together until they are judged."""


class CaptureMemory:
    """The limited memory for copies of bodies. It may be used from several threads."""

    def __init__(
        self, max_body_bytes: int = MAX_JUDGED_BODY_BYTES, max_total_bytes: int = MAX_TOTAL_CAPTURED_BYTES
    ) -> None:
        """Start with `max_total_bytes` of free memory."""
        self.max_body_bytes = max_body_bytes
        self._free_bytes = max_total_bytes
        self._lock = threading.Lock()

    def reserve(self, size_bytes: int) -> bool:
        """Reserve `size_bytes` of memory, and return whether there was enough."""
        with self._lock:
            if size_bytes > self._free_bytes:
                return False
            self._free_bytes -= size_bytes
            return True

    def release(self, size_bytes: int) -> None:
        """Free `size_bytes` of memory."""
        with self._lock:
            self._free_bytes += size_bytes


class CapturedBody:
    """The copy of one body, or the reason why there is none."""

    def __init__(self, memory: CaptureMemory) -> None:
        """Start with an empty body."""
        self._memory = memory
        self._content = io.BytesIO()  # not a list: a body sent byte by byte would take 40 times its size
        self.size_bytes = 0
        """Number of copied bytes whose memory is still reserved."""
        self.lost_reason: str | None = None
        """Why the body is not kept; `None` if it is."""

    def add(self, chunk: bytes) -> None:
        """Append a chunk of the body. Above a limit, the whole body is discarded, and later chunks are ignored."""
        if self.lost_reason is not None:
            return
        if self.size_bytes + len(chunk) > self._memory.max_body_bytes:
            self._discard_content(f"a body is larger than {self._memory.max_body_bytes} bytes")
        elif not self._memory.reserve(len(chunk)):
            self._discard_content("the bodies of all requests that are not judged yet need too much memory")
        else:
            self._content.write(chunk)
            self.size_bytes += len(chunk)

    def read(self) -> bytes:
        """Return the copied bytes; empty after the copy was discarded."""
        return self._content.getvalue()

    def discard(self) -> None:
        """Drop the copy, because the judging process has the body now. The reserved memory stays reserved."""
        self._content = io.BytesIO()

    def release(self) -> None:
        """Free the memory of the copy."""
        self.discard()
        self._memory.release(self.size_bytes)
        self.size_bytes = 0

    def _discard_content(self, reason: str) -> None:
        self.lost_reason = reason
        self.release()
