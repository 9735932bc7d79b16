"""Computes the latency of one delivery, and simulates the playback of streamed audio."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from voicegauge.contract.contract import BaseTarget
from voicegauge.contract.extension.jobs import JobSpec, StreamSpec
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.formats.bodies import UnreadableBodyError, is_json, parse_timestamp
from voicegauge.model.exchange import Delivery, Exchange, StateObservation, Timing
from voicegauge.model.sample import Interval, Latency, RequestPhases, StreamArrivals
from voicegauge.speech.audio_measurement import PlaybackTimeline

# Measures the arrival of streamed audio, chunk by chunk, and simulates its playback.


MAX_MERGED_GAP_MS = 1.0
"""Chunks that arrive within this time count as one chunk, because the network splits data arbitrarily."""
MIN_STALL_MS = 1.0
"""Shortest stall that counts; shorter ones are within the precision of the timestamps."""


def measure_streaming(delivery: Delivery, target: BaseTarget, *, latency_start_ms: float) -> StreamArrivals | None:
    """Measure the arrival of streamed audio; `add_playback_measurements` later adds the values that require decoding.

    A stream is an event stream, or a response of bytes without a Content-Length.

    Args:
        delivery: the exchanges of one sample, with their timings.
        target: the target that the request was sent to.
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


def _measure_event_stream(
    exchange: Exchange, stream_spec: StreamSpec, latency_start_ms: float
) -> StreamArrivals | None:
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


def _merge_chunks(arrivals: Sequence[tuple[float, int]], first_event_ms: float | None = None) -> StreamArrivals | None:
    """Return the chunks, and the gaps between them; `None` without arrivals.

    Arrivals less than `MAX_MERGED_GAP_MS` apart are one chunk.
    """
    if not arrivals:
        return None
    chunks = [arrivals[0]]
    for at, size in arrivals[1:]:
        if at - chunks[-1][0] < MAX_MERGED_GAP_MS:
            chunks[-1] = (chunks[-1][0], size)
        else:
            chunks.append((at, size))
    gaps = [after - before for (before, _), (after, _) in pairwise(chunks)]
    return StreamArrivals(
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


def find_first_audio_ms(streaming: StreamArrivals, timeline: PlaybackTimeline) -> float:
    """Return when the first byte of audio data arrived, after any header of the container."""
    after_header = (at for at, size in streaming.chunks if size > timeline.header_bytes)
    return next(after_header, streaming.chunks[-1][0])


def add_playback_measurements(
    streaming: StreamArrivals, timeline: PlaybackTimeline, leading_silence_s: float
) -> tuple[StreamArrivals, float]:
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


# Computes the latency of one delivery from the timings of its exchanges and the observed states of its job.


def find_latency_start_ms(delivery: Delivery, slot_wait_ms: float = 0.0) -> float | None:
    """Return the time at which the latency of `delivery` starts, on the clock of `Timing.started_ms`.

    Args:
        delivery: the exchanges of one sample, with their timings.
        slot_wait_ms: how long its request waited because as many as allowed were in flight. This wait counts, because
            the slow service causes it; the time by which this machine was late with the request does not count.

    Returns:
        The time in milliseconds; `None` if no submit was timed.
    """
    submit = find_submit_timing(delivery)
    if submit is None:
        return None
    first = delivery.first_submit_sent_ms if delivery.first_submit_sent_ms is not None else _get_sent_ms(submit)
    return first - slot_wait_ms


def find_submit_timing(delivery: Delivery) -> Timing | None:
    """Return the timing of the last submit.

    Return `None` if it was not timed, because an earlier process sent it or there was no response.
    """
    return (
        delivery.exchanges[delivery.submit_exchange_index].timing
        if delivery.submit_exchange_index is not None
        else None
    )


def measure_request_phases(delivery: Delivery) -> RequestPhases | None:
    """Return the durations of the phases of the last submit; `None` if it was not timed."""
    timing = find_submit_timing(delivery)
    if timing is None:
        return None
    return RequestPhases(
        connection_wait_ms=timing.connection_wait_ms,
        dns_ms=timing.dns_ms,
        connect_ms=timing.connect_ms,
        tls_ms=timing.tls_ms,
        send_ms=timing.send_ms,
        flush_ms=timing.flush_ms,
        server_ms=timing.ttfb_ms,
        transfer_ms=timing.receive_ms,
        is_new_connection=timing.is_new_connection,
        http_version=timing.http_version,
    )


def measure_latency(
    delivery: Delivery, target: BaseTarget, *, due_ms: float | None = None, slot_wait_ms: float = 0.0
) -> Latency | None:
    """Measure the latency of `delivery` from its first submit, or from the moment at which that had to wait for a slot.

    Args:
        delivery: the exchanges of one sample, with their timings.
        target: the target that the request was sent to.
        due_ms: when the request was due, on the clock of `Timing.started_ms`; `None` if it had no fixed time.
        slot_wait_ms: as in `find_latency_start_ms`.

    Returns:
        The latency; `None` if the submit was not timed because an earlier process sent it or there was no response.
    """
    submit, latency_start_ms = find_submit_timing(delivery), find_latency_start_ms(delivery, slot_wait_ms)
    if submit is None or latency_start_ms is None:
        return None
    first_sent_ms = find_latency_start_ms(delivery)
    assert first_sent_ms is not None, "the submit is timed"
    delay_ms = first_sent_ms - latency_start_ms
    submit_start_ms = submit.started_ms - latency_start_ms
    submit_times = _LastSubmitTimes(
        sent_ms=_get_sent_ms(submit) - latency_start_ms,
        first_byte_ms=submit_start_ms + _compute_first_byte_ms(submit),
        complete_ms=submit_start_ms + submit.total_ms,
        send_delay_ms=delay_ms,
    )
    job = _measure_job_phases(delivery, target, submit_times)
    submit_only = Latency(
        submit_latency_ms=submit_times.complete_ms,
        retries_ms=submit_times.sent_ms - delay_ms if delivery.submit_count > 1 else 0.0,
        start_delay_ms=None if due_ms is None else first_sent_ms - due_ms,
        queue_ms=job.queue_bounds,
        processing_ms=job.processing_bounds,
        completion_ms=job.completion_bounds,
    )
    audio = delivery.exchanges[delivery.audio_exchange_index] if delivery.audio_exchange_index is not None else None
    if audio is None or audio.timing is None:
        return submit_only
    timing, start_ms = audio.timing, audio.timing.started_ms - latency_start_ms
    last_byte_ms = start_ms + timing.total_ms
    streaming = measure_streaming(delivery, target, latency_start_ms=latency_start_ms)
    first_audio_ms: float | None
    if delivery.transcript is not None:
        first_audio_ms = None
    elif streaming is not None:
        first_audio_ms = streaming.chunks[0][0]
    elif is_json(audio.response.media_type):  # audio inside JSON cannot be played before the JSON is complete
        first_audio_ms = last_byte_ms
    else:
        first_audio_ms = start_ms + _compute_first_chunk_ms(timing)
    return msgspec.structs.replace(
        submit_only,
        download_ms=timing.total_ms if delivery.audio_exchange_index != delivery.submit_exchange_index else None,
        ttfb_ms=start_ms + _compute_first_byte_ms(timing),
        ttfa_ms=first_audio_ms,
        total_latency_ms=last_byte_ms,
    )


def _get_sent_ms(timing: Timing) -> float:
    return timing.started_ms + timing.delay_before_send_ms


def _compute_first_byte_ms(timing: Timing) -> float:
    return timing.total_ms - timing.receive_ms


def _compute_first_chunk_ms(timing: Timing) -> float:
    return timing.chunk_arrivals[0][0] if timing.chunk_arrivals else _compute_first_byte_ms(timing)


class _JobPhaseBounds(NamedTuple):
    """Bounds of the phases of a job, in milliseconds; `None` for a phase that is not known."""

    queue_bounds: Interval | None = None
    """Bounds of the duration of waiting in the queue."""
    processing_bounds: Interval | None = None
    """Bounds of the duration of processing."""
    completion_bounds: Interval | None = None
    """Bounds of the time from the start of the latency to the end of the job."""


class _LastSubmitTimes(NamedTuple):
    """Times of the last submit of a delivery, in milliseconds from the start of the latency.

    Earlier submits were retried; the latency starts with the first one.
    """

    sent_ms: float
    first_byte_ms: float
    """When the first byte of its response arrived."""
    complete_ms: float
    """When its response was complete."""
    send_delay_ms: float
    """Delay from the start of the latency to the sending of the first submit, in milliseconds."""


def _measure_job_phases(delivery: Delivery, target: BaseTarget, submit_times: _LastSubmitTimes) -> _JobPhaseBounds:
    """Return lower and upper bounds of the phases of a job, because its status is seen only when it is polled.

    If the service delays its response to the submit until the job ends, the first byte of the response marks the end of
    the job. The queue time is then not known.
    """
    job = target.job_operation.job if target.job_operation else None
    observations = delivery.job.observations if delivery.job else ()
    ended = next((i for i, seen in enumerate(observations) if job and _is_terminal(job, seen.state)), None)
    if job is None or ended is None:
        return _JobPhaseBounds()
    # The request asked the service to hold its response until the job ends (Prefer: wait, RFC 7240), so that no poll
    # blurs the moment.
    if ended == 0 and target.response.wait_preference is not None:
        first_byte_ms = submit_times.first_byte_ms
        return _JobPhaseBounds(None, None, Interval(low_ms=first_byte_ms, high_ms=first_byte_ms))
    # The job ended between two polls. Its time is kept as an interval and never replaced by the poll that saw the end,
    # or by the middle of the interval: both make a target look slower the less often it is polled, by up to the poll
    # interval.
    completion = _compute_state_entry_bounds(observations, ended, submit_times)
    stated_duration = read_stated_duration(delivery.exchanges[observations[ended].exchange_index], job)
    completion = (
        _narrow_bounds_by_stated_duration(completion, stated_duration, submit_times)
        if stated_duration is not None
        else completion
    )
    phases = [name for name, state in job.states.items() if state.terminal_outcome is None]
    if len(phases) < 2:  # no queue state: everything after the submit counts as processing
        processing = Interval(low_ms=max(completion.low_ms - submit_times.complete_ms, 0.0), high_ms=completion.high_ms)
        return _JobPhaseBounds(None, processing, completion)
    started = next(i for i, seen in enumerate(observations) if seen.state != phases[0])
    entry = _compute_state_entry_bounds(observations, started, submit_times)
    # The job left the queue before it ended, which the provider's timestamps may have narrowed.
    high_ms = min(entry.high_ms, completion.high_ms)
    queue = Interval(low_ms=min(entry.low_ms, high_ms), high_ms=high_ms)
    # Interval arithmetic: the shortest processing is the earliest end minus the latest start. The two bounds are not
    # independent, so that the interval may be wider than necessary, never too narrow.
    processing = Interval(low_ms=max(completion.low_ms - queue.high_ms, 0.0), high_ms=completion.high_ms - queue.low_ms)
    return _JobPhaseBounds(queue, processing, completion)


class ProviderStatedDuration(NamedTuple):
    """How long a job took according to the provider's timestamps, in milliseconds."""

    duration_ms: float
    resolution_ms: float
    """Precision of `duration_ms` in milliseconds: 1000 if the timestamps are in whole seconds, otherwise 1."""


def read_stated_duration(final_poll: Exchange, job_spec: JobSpec) -> ProviderStatedDuration | None:
    """Return the duration between the timestamps in `final_poll` at which the job was created and completed.

    Return `None` if the contract does not document both timestamps, or the response does not contain them.
    """
    if job_spec.creation_time_location is None or job_spec.end_time_location is None:
        return None
    poll = parse_exchange(final_poll)
    created, completed = (
        parse_timestamp(poll.read_response_value(at))
        for at in (job_spec.creation_time_location, job_spec.end_time_location)
    )
    if created is None or completed is None or completed < created:
        return None
    is_whole_seconds = created.microsecond == completed.microsecond == 0
    return ProviderStatedDuration((completed - created).total_seconds() * 1000, 1000.0 if is_whole_seconds else 1.0)


def _narrow_bounds_by_stated_duration(
    observed_bounds: Interval, stated_duration: ProviderStatedDuration, submit_times: _LastSubmitTimes
) -> Interval:
    """Return narrower bounds of a job's completion time, computed from the provider's timestamps.

    The job was created between the start of its submit and the end of the response, and took `stated_duration`. If
    these timestamps contradict `observed_bounds`, `observed_bounds` are returned.
    """
    low_ms = max(
        observed_bounds.low_ms, submit_times.sent_ms + stated_duration.duration_ms - stated_duration.resolution_ms
    )
    high_ms = min(
        observed_bounds.high_ms, submit_times.complete_ms + stated_duration.duration_ms + stated_duration.resolution_ms
    )
    # The duration needs no common clock: both timestamps are the provider's, and only their difference is used.
    # Timestamps that contradict what was observed, such as those of a cached result, say nothing about this job.
    return Interval(low_ms=low_ms, high_ms=high_ms) if low_ms <= high_ms else observed_bounds


def _is_terminal(job_spec: JobSpec, state: str) -> bool:
    return state in job_spec.states and job_spec.states[state].terminal_outcome is not None


def _compute_state_entry_bounds(
    observations: Sequence[StateObservation], observation_index: int, submit_times: _LastSubmitTimes
) -> Interval:
    """Return the bounds of the time at which the job entered the state of observation `observation_index`.

    When the previous poll was sent, the job was still in an earlier state; this gives the lower
    bound. The response that first showed the state gives the upper bound.
    """
    delay_ms, earliest_ms = submit_times.send_delay_ms, submit_times.sent_ms
    low_ms = observations[observation_index - 1].requested_ms + delay_ms if observation_index else earliest_ms
    high_ms = observations[observation_index].response_began_ms + delay_ms
    return Interval(low_ms=min(max(low_ms, earliest_ms), high_ms), high_ms=high_ms)
