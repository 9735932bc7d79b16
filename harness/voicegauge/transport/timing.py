"""Times the phases of one exchange with the trace events of httpcore."""

from __future__ import annotations

import time
from typing import Any

from voicegauge.model import Timing

MAX_CHUNKS = 10_000
"""Maximum number of chunks that are timed separately. Later chunks are added to the last one, so that a body sent byte
by byte cannot exhaust the memory."""

_PHASE_DESCRIPTIONS = {
    "connect_tcp": "connecting",
    "connect_unix_socket": "connecting",
    "start_tls": "the TLS handshake",
    "send_request_headers": "sending the request",
    "send_request_body": "sending the request",
    "receive_response_headers": "waiting for the response",
    "receive_response_body": "reading the response",
}


class ExchangeTrace:
    """The `trace` extension of one httpcore request. All times are those of `time.perf_counter`.

    A request through a proxy is sent after a CONNECT request. The times of the later request replace those of the
    earlier one.
    """

    def __init__(self) -> None:
        """Start the clock."""
        self._started_at = time.time()
        self._started = time.perf_counter()
        self._first: float | None = None
        self._at: dict[str, float] = {}
        self._chunks: list[tuple[float, int]] = []
        self.phase = "waiting for a free connection"
        """The current phase, for error messages."""

    async def __call__(self, event: str, _info: dict[str, Any]) -> None:
        """Handle an event such as "http11.send_request_headers.started"."""
        now = time.perf_counter()
        name = event.partition(".")[2]
        if self._first is None:
            self._first = now
        self._at[name] = now
        step, _, edge = name.partition(".")
        if edge == "started" and step in _PHASE_DESCRIPTIONS:
            self.phase = _PHASE_DESCRIPTIONS[step]
        elif name == "send_request_body.complete":
            self.phase = _PHASE_DESCRIPTIONS["receive_response_headers"]

    @property
    def is_sent(self) -> bool:
        """Whether any part of the request may have been sent."""
        return "send_request_headers.started" in self._at

    @property
    def received_body_description(self) -> str:
        """How much of the body was received, for error messages; empty if nothing was received."""
        size = sum(size for _, size in self._chunks)
        return f", {size} bytes of the body received" if size else ""

    def record_chunk(self, size_bytes: int) -> None:
        """Note the arrival of `size_bytes` bytes of the body."""
        at = (time.perf_counter() - self._started) * 1000
        if len(self._chunks) < MAX_CHUNKS:
            self._chunks.append((at, size_bytes))
        else:
            self._chunks[-1] = (at, self._chunks[-1][1] + size_bytes)

    def build_timing(self) -> Timing | None:
        """Return the timing, in which the body ends now; `None` if there were no events."""
        now = time.perf_counter()
        if self._first is None or "receive_response_headers.complete" not in self._at:
            return None
        first_byte = self._at["receive_response_headers.complete"]
        sent = self._at.get("send_request_body.complete", first_byte)
        return Timing(
            started_at=self._started_at,
            started_ms=self._started * 1000,
            wait_ms=(self._first - self._started) * 1000,
            connect_ms=self._measure_step_ms("connect_tcp"),
            tls_ms=self._measure_step_ms("start_tls"),
            send_ms=max(sent - self._at.get("send_request_headers.started", sent), 0.0) * 1000,
            ttfb_ms=max(first_byte - sent, 0.0) * 1000,
            receive_ms=(now - first_byte) * 1000,
            total_ms=(now - self._started) * 1000,
            chunks=tuple(self._chunks),
        )

    def _measure_step_ms(self, step_name: str) -> float | None:
        started, complete = self._at.get(f"{step_name}.started"), self._at.get(f"{step_name}.complete")
        return None if started is None or complete is None else (complete - started) * 1000
