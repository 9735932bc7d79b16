"""A recorded answer as it goes out again: its headers, and its body in the pieces it came in."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

from voicegauge.model import Exchange, Headers, Record, Response
from voicegauge.transport import Clock

_MADE_ANEW = frozenset(
    {"connection", "content-encoding", "content-length", "date", "keep-alive", "trailer", "transfer-encoding"}
)
"""Headers of the recorded connection, not of the answer: the body was decoded when it was recorded."""


class TimedChunk(Record, frozen=True, kw_only=True):
    """A part of a body."""

    after_s: float
    """When it is sent, counted from the whole request's arrival."""
    data: bytes


class ResponseSchedule(Record, frozen=True, kw_only=True):
    """When an answer is sent."""

    headers_after_s: float
    """Counted from the whole request's arrival."""
    pieces: tuple[TimedChunk, ...]


def schedule(exchange: Exchange, pace: float) -> ResponseSchedule:
    """The recorded times of an answer, each multiplied by `pace`.

    Args:
        exchange: one without timing is sent at once.
        pace: 1 as recorded, 0.1 ten times as fast, 0 without any pause.
    """
    timing, body = exchange.timing, exchange.response.body
    if timing is None or pace == 0:
        return ResponseSchedule(headers_after_s=0.0, pieces=(TimedChunk(after_s=0.0, data=body),))
    headers_ms = timing.total_ms - timing.receive_ms  # of the recorded call, in which the request was sent too
    pieces = tuple(
        TimedChunk(after_s=pace * (timing.ttfb_ms + max(at_ms - headers_ms, 0.0)) / 1000, data=data)
        for at_ms, data in _cut(body, timing.chunks, timing.total_ms)
    )
    return ResponseSchedule(headers_after_s=pace * timing.ttfb_ms / 1000, pieces=pieces)


def _cut(body: bytes, chunks: tuple[tuple[float, int], ...], total_ms: float) -> Iterator[tuple[float, bytes]]:
    """`body` cut where it was; a body that is longer now, or was compressed, is cut in proportion.

    Where nobody knows its pieces it is one, which came when the last byte did.
    """
    arrived = sum(size for _, size in chunks)
    scale = len(body) / arrived if arrived else 0.0
    start = came = 0
    for at_ms, size in chunks:
        came += size
        end = round(came * scale)
        yield at_ms, body[start:end]
        start = end
    if not arrived:
        yield total_ms, body


def replayable_headers(response: Response) -> Headers:
    """The headers that are sent again."""
    return tuple((name, value) for name, value in response.headers if name.lower() not in _MADE_ANEW)


async def paced(plan: ResponseSchedule, clock: Clock, began: float) -> AsyncIterator[bytes]:
    """The pieces of `plan`, each at its hour; `began` is when the request had arrived, by `clock`.

    Hours are absolute, so that one late piece delays no other.
    """
    for piece in plan.pieces:
        await until(clock, began + piece.after_s)
        yield piece.data


async def until(clock: Clock, hour: float) -> None:
    """Wait for `hour`; return at once where it has passed."""
    left = hour - clock.monotonic()
    if left > 0:
        await clock.sleep(left)


def enable_realtime_scheduling() -> bool:
    """Have the system wake this process before others, in real time, so that a busy machine does not delay pieces.

    Returns:
        Whether it does: Linux only, and it takes the right to (root, CAP_SYS_NICE, or a limit for `rtprio`).
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (AttributeError, OSError):
        return False
    return True
