"""Computes the latency of one delivery from the timings of its exchanges and the observed states of its job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from voicegauge.bench.running.playback import measure_streaming
from voicegauge.checks import parse_timestamp
from voicegauge.contract import BaseTarget, parse_exchange
from voicegauge.contract.extension import JobSpec
from voicegauge.formats import is_json
from voicegauge.model import Delivery, Exchange, Interval, Latency, RequestPhases, StateObservation, Timing


def find_latency_start_ms(delivery: Delivery, due_ms: float | None = None) -> float | None:
    """Return the time at which the latency of `delivery` starts, on the clock of `Timing.started_ms`.

    Args:
        delivery: the delivery.
        due_ms: when its request was due, if requests are sent at a fixed rate.

    Returns:
        The time in milliseconds; `None` if no submit was timed.
    """
    submit = find_submit_timing(delivery)
    if due_ms is not None or submit is None:
        return None if submit is None else due_ms
    return delivery.first_submit_sent_ms if delivery.first_submit_sent_ms is not None else _get_sent_ms(submit)


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
        server_ms=timing.ttfb_ms,
        transfer_ms=timing.receive_ms,
        is_new_connection=timing.is_new_connection,
        http_version=timing.http_version,
    )


def measure_latency(delivery: Delivery, target: BaseTarget, *, due_ms: float | None = None) -> Latency | None:
    """Measure the latency of `delivery` from its first submit, or from the time at which the first submit was due.

    Args:
        delivery: the delivery.
        target: its target.
        due_ms: when the request was due, on the clock of `Timing.started_ms`; `None` if it had no fixed time.

    Returns:
        The latency; `None` if the submit was not timed because an earlier process sent it or there was no response.
    """
    submit, latency_start_ms = find_submit_timing(delivery), find_latency_start_ms(delivery, due_ms)
    if submit is None or latency_start_ms is None:
        return None
    first_sent_ms = find_latency_start_ms(delivery)
    assert first_sent_ms is not None, "the submit is timed"
    delay_ms = first_sent_ms - latency_start_ms
    submit_start_ms = submit.started_ms - latency_start_ms
    submit_times = _SubmitTimes(
        sent_ms=_get_sent_ms(submit) - latency_start_ms,
        first_byte_ms=submit_start_ms + _compute_first_byte_ms(submit),
        complete_ms=submit_start_ms + submit.total_ms,
        send_delay_ms=delay_ms,
    )
    job = _measure_job_phases(delivery, target, submit_times)
    submit_only = Latency(
        submit_latency_ms=submit_times.complete_ms,
        retries_ms=submit_times.sent_ms - delay_ms if delivery.submit_count > 1 else 0.0,
        start_delay_ms=None if due_ms is None else delay_ms,
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
    queue_bounds: Interval | None = None
    processing_bounds: Interval | None = None
    completion_bounds: Interval | None = None


class _SubmitTimes(NamedTuple):
    """Times of the last submit, in milliseconds from the start of the latency."""

    sent_ms: float
    first_byte_ms: float
    complete_ms: float
    send_delay_ms: float
    """Delay from the start of the latency to the sending of the first submit, in milliseconds."""


def _measure_job_phases(delivery: Delivery, target: BaseTarget, submit_times: _SubmitTimes) -> _JobPhaseBounds:
    """Return lower and upper bounds of the phases of a job, because its status is seen only when it is polled.

    If the service delays its response to the submit until the job ends, the first byte of the response marks the end of
    the job. The queue time is then not known.
    """
    job = target.job_operation.job if target.job_operation else None
    observations = delivery.job.observations if delivery.job else ()
    ended = next((i for i, seen in enumerate(observations) if job and _is_terminal(job, seen.state)), None)
    if job is None or ended is None:
        return _JobPhaseBounds()
    if ended == 0 and target.response.wait_preference is not None:
        first_byte_ms = submit_times.first_byte_ms
        return _JobPhaseBounds(None, None, Interval(low_ms=first_byte_ms, high_ms=first_byte_ms))
    completion = _compute_state_entry_bounds(observations, ended, submit_times)
    stated_duration = read_stated_duration(delivery.exchanges[observations[ended].exchange_index], job)
    completion = (
        _narrow_bounds(completion, stated_duration, submit_times) if stated_duration is not None else completion
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


def _narrow_bounds(
    observed_bounds: Interval, stated_duration: ProviderStatedDuration, submit_times: _SubmitTimes
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
    return Interval(low_ms=low_ms, high_ms=high_ms) if low_ms <= high_ms else observed_bounds


def _is_terminal(job_spec: JobSpec, state: str) -> bool:
    return state in job_spec.states and job_spec.states[state].terminal_outcome is not None


def _compute_state_entry_bounds(
    observations: Sequence[StateObservation], observation_index: int, submit_times: _SubmitTimes
) -> Interval:
    """Return the bounds of the time at which the job entered the state of observation `observation_index`.

    When the previous poll was sent, the job was still in an earlier state; this gives the lower
    bound. The response that first showed the state gives the upper bound.
    """
    delay_ms, earliest_ms = submit_times.send_delay_ms, submit_times.sent_ms
    low_ms = observations[observation_index - 1].requested_ms + delay_ms if observation_index else earliest_ms
    high_ms = observations[observation_index].response_began_ms + delay_ms
    return Interval(low_ms=min(max(low_ms, earliest_ms), high_ms), high_ms=high_ms)
