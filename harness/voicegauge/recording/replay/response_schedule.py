"""Determines when and in which chunks a recorded response is sent again."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

from voicegauge.model import Exchange, Headers, Record, Response
from voicegauge.transport import Clock

_CONNECTION_HEADERS = frozenset(
    {"connection", "content-encoding", "content-length", "date", "keep-alive", "trailer", "transfer-encoding"}
)
"""Headers that describe the recorded connection. They are not sent again, because the server of the replay sets its
own, and recorded bodies are already decoded."""


class TimedChunk(Record, frozen=True, kw_only=True):
    """A part of a body, and the time at which it is sent."""

    send_after_s: float
    """Time at which the chunk is sent, in seconds after the request was received completely."""
    data: bytes


class ResponseSchedule(Record, frozen=True, kw_only=True):
    """The times at which the headers and the chunks of a response are sent."""

    send_headers_after_s: float
    """Time at which the headers are sent, in seconds after the request was received completely."""
    chunks: tuple[TimedChunk, ...]


def schedule_response(exchange: Exchange, pause_factor: float) -> ResponseSchedule:
    """Scale the recorded times of a response.

    Args:
        exchange: the recorded exchange. If it has no timing, its response is sent at once.
        pause_factor: factor for all recorded times. 1 means as recorded, 0.1 ten times as fast, and 0 without pauses.
    """
    timing, body = exchange.timing, exchange.response.body
    if timing is None or pause_factor == 0:
        return ResponseSchedule(send_headers_after_s=0.0, chunks=(TimedChunk(send_after_s=0.0, data=body),))
    # Chunks are timed from the start of the call, but the replay starts when the request has been received.
    headers_ms = timing.total_ms - timing.receive_ms
    chunks = tuple(
        TimedChunk(send_after_s=pause_factor * (timing.ttfb_ms + max(at_ms - headers_ms, 0.0)) / 1000, data=data)
        for at_ms, data in _split_body(body, timing.chunk_arrivals, timing.total_ms)
    )
    return ResponseSchedule(send_headers_after_s=pause_factor * timing.ttfb_ms / 1000, chunks=chunks)


def _split_body(
    body: bytes, recorded_chunks: tuple[tuple[float, int], ...], total_ms: float
) -> Iterator[tuple[float, bytes]]:
    """Yield the chunks of `body`, each with its arrival time in milliseconds.

    The recorded sizes are scaled to the length of the body, because the body may have been compressed when it was
    received, or redaction may have changed its length.

    Args:
        body: the whole body.
        recorded_chunks: the arrival time in milliseconds and the number of bytes of each recorded chunk.
        total_ms: the arrival time of the whole body if no chunk was recorded.
    """
    recorded_bytes = sum(size for _, size in recorded_chunks)
    scale = len(body) / recorded_bytes if recorded_bytes else 0.0
    start = received = 0
    for at_ms, size in recorded_chunks:
        received += size
        end = round(received * scale)
        yield at_ms, body[start:end]
        start = end
    if not recorded_bytes:
        yield total_ms, body


def select_replayable_headers(response: Response) -> Headers:
    """Return the headers of a recorded response that are sent again."""
    return tuple((name, value) for name, value in response.headers if name.lower() not in _CONNECTION_HEADERS)


async def yield_chunks_on_schedule(
    schedule: ResponseSchedule, clock: Clock, received_at_s: float
) -> AsyncIterator[bytes]:
    """Yield each chunk at its scheduled time.

    `received_at_s` is the time of `clock` at which the request was received, in seconds. All times are relative to it,
    so a late chunk does not delay the following ones.
    """
    for chunk in schedule.chunks:
        await sleep_until(clock, received_at_s + chunk.send_after_s)
        yield chunk.data


async def sleep_until(clock: Clock, deadline_s: float) -> None:
    """Sleep until `deadline_s` in seconds of `clock`; return at once if it has passed."""
    remaining_s = deadline_s - clock.monotonic()
    if remaining_s > 0:
        await clock.sleep(remaining_s)


def enable_realtime_scheduling() -> bool:
    """Give this process a real-time priority, so that a busy machine does not delay chunks.

    Returns:
        Whether the priority was granted. This is possible only on Linux, and only with permission (root, CAP_SYS_NICE
        or a limit for `rtprio`).
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (AttributeError, OSError):
        return False
    return True
