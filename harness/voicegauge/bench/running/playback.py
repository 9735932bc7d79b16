"""Measures the arrival of streamed audio, chunk by chunk, and simulates its playback."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from voicegauge.contract import BaseTarget, parse_exchange
from voicegauge.contract.extension import StreamSpec
from voicegauge.formats import UnreadableBodyError
from voicegauge.model import Delivery, Exchange, Streaming
from voicegauge.speech.audio import PlaybackTimeline

MAX_MERGED_GAP_MS = 1.0
"""Chunks that arrive within this time count as one chunk, because the network splits data arbitrarily."""
MIN_STALL_MS = 1.0
"""Shortest stall that counts; shorter ones are within the precision of the timestamps."""


def measure_streaming(delivery: Delivery, target: BaseTarget, *, latency_start_ms: float) -> Streaming | None:
    """Measure the arrival of streamed audio; `add_playback_measurements` later adds the values that require decoding.

    A stream is an event stream, or a response of bytes without a Content-Length.

    Args:
        delivery: the delivery.
        target: its target.
        latency_start_ms: the moment from which times count, on the clock of `Timing.started_ms`.

    Returns:
        The measurements; `None` if the audio was not streamed in the response to the submit, or was not timed.
    """
    index, spec = delivery.audio_exchange_index, target.response.audio
    if index is None or index != delivery.submit_exchange_index or spec is None:
        return None
    exchange = delivery.exchanges[index]
    if spec.delivery_method == "stream" and target.operation.stream is not None:
        return _measure_event_stream(exchange, target.operation.stream, latency_start_ms)
    # A provider that knows the length has finished the audio before it sends the first byte.
    is_streamed = spec.delivery_method == "bytes" and exchange.response.find_header("content-length") is None
    return _merge_chunks(_read_body_arrivals(exchange, latency_start_ms)) if is_streamed else None


def _read_body_arrivals(exchange: Exchange, latency_start_ms: float) -> list[tuple[float, int]]:
    """Return the arrivals of the body as (ms, bytes so far).

    The list is empty if a content encoding was removed, because the timed chunks are then not chunks of the body.
    """
    chunks = exchange.timing.chunk_arrivals if exchange.timing is not None else ()
    sizes = list(accumulate(size for _, size in chunks))
    if exchange.timing is None or not sizes or sizes[-1] != len(exchange.response.body):
        return []
    start_ms = exchange.timing.started_ms - latency_start_ms
    return [(start_ms + at_ms, size) for (at_ms, _), size in zip(chunks, sizes, strict=True)]


def _measure_event_stream(exchange: Exchange, stream_spec: StreamSpec, latency_start_ms: float) -> Streaming | None:
    arrivals = _read_body_arrivals(exchange, latency_start_ms)
    stream = parse_exchange(exchange).read_stream(stream_spec)
    if not arrivals or not stream.events:
        return None
    sizes = [size for _, size in arrivals]

    def find_arrival_ms(end_offset: int) -> float:
        """Return when the body's byte before offset `end_offset` arrived."""
        return arrivals[bisect_left(sizes, end_offset)][0]

    try:
        audio = [
            (find_arrival_ms(event.end_offset), len(data)) for event, data in stream.iterate_audio_events() if data
        ]
    except UnreadableBodyError:
        return None
    totals = list(accumulate(size for _, size in audio))
    chunks = [(at, total) for (at, _), total in zip(audio, totals, strict=True)]
    return _merge_chunks(chunks, first_event_ms=find_arrival_ms(stream.events[0].end_offset))


def _merge_chunks(arrivals: Sequence[tuple[float, int]], first_event_ms: float | None = None) -> Streaming | None:
    if not arrivals:
        return None
    chunks = [arrivals[0]]
    for at, size in arrivals[1:]:
        if at - chunks[-1][0] < MAX_MERGED_GAP_MS:
            chunks[-1] = (chunks[-1][0], size)
        else:
            chunks.append((at, size))
    gaps = [after - before for (before, _), (after, _) in pairwise(chunks)]
    return Streaming(
        first_event_ms=first_event_ms,
        chunks=tuple(chunks),
        gap_p50_ms=statistics.median(gaps) if gaps else None,
        gap_max_ms=max(gaps, default=None),
    )


class SimulatedPlayback(NamedTuple):
    """Simulated playback of a stream by a player that starts with the first audio."""

    stalls_ms: tuple[float, ...]
    """Duration of each buffer underrun."""
    requested_position_played_at_ms: float
    """Time at which the requested position of the audio is played."""
    requested_position_arrived_at_ms: float
    """Time at which the requested position of the audio has arrived."""
    max_lateness_ms: float
    """Longest time by which audio arrives too late for a player that never stalls."""


def simulate_playback(chunk_arrivals: Sequence[tuple[float, float]], requested_position_s: float) -> SimulatedPlayback:
    """Simulate a player that starts with the first audio and stalls when its buffer is empty.

    Args:
        chunk_arrivals: tuples (arrival in ms, seconds of audio that can be played by then); both values ascend.
        requested_position_s: the position in the audio whose times are reported, in seconds from its start.
    """
    stalls: list[float] = []
    buffered_s = 0.0
    empty_ms: float | None = None  # when the buffered audio will have been played
    played_ms = arrived_ms = chunk_arrivals[-1][0]
    first_ms: float | None = None  # when playback starts
    worst_deficit_ms = 0.0
    found = False
    for at_ms, playable_s in chunk_arrivals:
        if playable_s <= buffered_s:  # a chunk that completes no audio frame
            continue
        if empty_ms is not None and at_ms - empty_ms > MIN_STALL_MS:
            stalls.append(at_ms - empty_ms)
        first_ms = at_ms if first_ms is None else first_ms
        worst_deficit_ms = max(worst_deficit_ms, at_ms - first_ms - buffered_s * 1000)
        start_ms = at_ms if empty_ms is None else max(at_ms, empty_ms)
        if not found and playable_s > requested_position_s:
            found, played_ms, arrived_ms = True, start_ms + (requested_position_s - buffered_s) * 1000, at_ms
        empty_ms = start_ms + (playable_s - buffered_s) * 1000
        buffered_s = playable_s
    return SimulatedPlayback(tuple(stalls), played_ms, arrived_ms, worst_deficit_ms)


def find_first_audio_ms(streaming: Streaming, timeline: PlaybackTimeline) -> float:
    """Return when the first byte of audio data arrived, after any header of the container."""
    after_header = (at for at, size in streaming.chunks if size > timeline.header_bytes)
    return next(after_header, streaming.chunks[-1][0])


def add_playback_measurements(
    streaming: Streaming, timeline: PlaybackTimeline, leading_silence_s: float
) -> tuple[Streaming, float]:
    """Add buffer underruns and the arrival of the first audible speech to a measured stream.

    Args:
        streaming: measured arrival of the chunks.
        timeline: number of seconds of the decoded audio that can be played for each number of bytes received.
        leading_silence_s: duration in seconds of the leading silence of the audio.

    Returns:
        The stream, and the time to first audible speech in milliseconds.
    """
    playback = simulate_playback(
        [(at, timeline.compute_playable_s(size)) for at, size in streaming.chunks], leading_silence_s
    )
    measured = msgspec.structs.replace(
        streaming,
        first_speech_ms=playback.requested_position_arrived_at_ms,
        underruns=len(playback.stalls_ms),
        stalled_ms=sum(playback.stalls_ms),
        worst_deficit_ms=playback.max_lateness_ms,
    )
    return measured, playback.requested_position_played_at_ms
