"""How audio came in the answer to a request, piece by piece, and how it would have played."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from voicegauge.contract import BaseTarget, read_stream
from voicegauge.contract.extension import StreamSpec
from voicegauge.formats import UnreadableBodyError
from voicegauge.model import Delivery, Exchange, Streaming
from voicegauge.speech.audio import PlaybackTimeline

TOGETHER_MS = 1.0
"""Pieces that come this close after each other are one: the network cuts where it likes."""
MIN_STALL_MS = 1.0
"""A shorter wait is the clock's own error."""


def measure_streaming(delivery: Delivery, target: BaseTarget) -> Streaming | None:
    """How the audio of `delivery` came; `None` where it was no stream, or nothing was timed.

    A stream is an answer of events, or one of bytes whose length is not told beforehand.

    Times are milliseconds from the start of the submit. What takes decoding is left to `with_playback`.
    """
    index, place = delivery.audio_exchange, target.answer.audio
    if index is None or index != delivery.submit_exchange or place is None:
        return None
    exchange = delivery.exchanges[index]
    if place.delivered == "stream" and target.operation.stream is not None:
        return _of_events(exchange, target.operation.stream)
    # What has a length was there as a whole before it was sent.
    in_pieces = place.delivered == "bytes" and exchange.response.header("content-length") is None
    return _made(_arrivals(exchange)) if in_pieces else None


def _arrivals(exchange: Exchange) -> list[tuple[float, int]]:
    """(milliseconds, bytes of the body until then); nothing where the times are not those of these bytes."""
    chunks = exchange.timing.chunks if exchange.timing is not None else ()
    sizes = list(accumulate(size for _, size in chunks))
    if not sizes or sizes[-1] != len(exchange.response.body):
        return []
    return [(at, size) for (at, _), size in zip(chunks, sizes, strict=True)]


def _of_events(exchange: Exchange, spec: StreamSpec) -> Streaming | None:
    arrivals = _arrivals(exchange)
    stream = read_stream(spec, exchange.response.body)
    if not arrivals or not stream.events:
        return None
    sizes = [size for _, size in arrivals]

    def came(end: int) -> float:
        return arrivals[bisect_left(sizes, end)][0]

    try:
        audio = [(came(event.end), len(piece)) for event, piece in stream.audio() if piece]
    except UnreadableBodyError:
        return None
    sums = list(accumulate(size for _, size in audio))
    pieces = [(at, size) for (at, _), size in zip(audio, sums, strict=True)]
    return _made(pieces, first_event_ms=came(stream.events[0].end))


def _made(arrivals: Sequence[tuple[float, int]], first_event_ms: float | None = None) -> Streaming | None:
    if not arrivals:
        return None
    pieces = [arrivals[0]]
    for at, size in arrivals[1:]:
        if at - pieces[-1][0] < TOGETHER_MS:
            pieces[-1] = (pieces[-1][0], size)
        else:
            pieces.append((at, size))
    gaps = [after - before for (before, _), (after, _) in pairwise(pieces)]
    return Streaming(
        first_event_ms=first_event_ms,
        pieces=tuple(pieces),
        gap_p50_ms=statistics.median(gaps) if gaps else None,
        gap_max_ms=max(gaps, default=None),
    )


class Playback(NamedTuple):
    """What a listener would have heard who started with the first audio."""

    stalls_ms: tuple[float, ...]
    """Each time the audio ran out before more of it came."""
    heard_ms: float
    """When the asked-for moment of the audio would have been heard."""
    came_ms: float
    """When it had arrived."""


def play(pieces: Sequence[tuple[float, float]], moment_s: float) -> Playback:
    """Play audio as it arrives: begin with the first of it, wait whenever it has run out.

    Args:
        pieces: (milliseconds, seconds that can be played by then), both rising.
        moment_s: a moment of the audio.
    """
    stalls: list[float] = []
    ready_s = 0.0
    dry_ms: float | None = None  # when what is there will have been played
    heard_ms = came_ms = pieces[-1][0]
    found = False
    for at_ms, playable_s in pieces:
        if playable_s <= ready_s:
            continue
        if dry_ms is not None and at_ms - dry_ms > MIN_STALL_MS:
            stalls.append(at_ms - dry_ms)
        begins_ms = at_ms if dry_ms is None else max(at_ms, dry_ms)
        if not found and playable_s > moment_s:
            found, heard_ms, came_ms = True, begins_ms + (moment_s - ready_s) * 1000, at_ms
        dry_ms = begins_ms + (playable_s - ready_s) * 1000
        ready_s = playable_s
    return Playback(tuple(stalls), heard_ms, came_ms)


def first_audio_ms(streaming: Streaming, timeline: PlaybackTimeline) -> float:
    """When the first byte of `timeline`'s audio had come, which a header does not count as."""
    came = (at for at, size in streaming.pieces if size > timeline.begins_at)
    return next(came, streaming.pieces[-1][0])


def with_playback(streaming: Streaming, timeline: PlaybackTimeline, lead_s: float) -> tuple[Streaming, float]:
    """What decoding tells of how audio came, and when its first audible speech would have been heard.

    Args:
        streaming: as it was measured.
        timeline: of the audio.
        lead_s: its leading silence, in seconds.
    """
    played = play([(at, timeline.playable_s(size)) for at, size in streaming.pieces], lead_s)
    told = msgspec.structs.replace(
        streaming,
        speech_ms=played.came_ms,
        underruns=len(played.stalls_ms),
        stalled_ms=sum(played.stalls_ms),
    )
    return told, played.heard_ms
