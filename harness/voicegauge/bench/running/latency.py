"""Computes the latency of one delivery from the timings of its exchanges and the observed states of its job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from voicegauge.bench.running.playback import measure_streaming
from voicegauge.contract import BaseTarget
from voicegauge.contract.extension import JobSpec
from voicegauge.formats import is_json
from voicegauge.model import Delivery, Interval, Latency, StateObservation, Timing


def measure_latency(delivery: Delivery, target: BaseTarget) -> Latency | None:
    """Measure the latency of `delivery` from the start of its last submit.

    Returns:
        The latency; `None` if the submit was not timed because an earlier process sent it or there was no response.
    """
    if delivery.submit_exchange is None:
        return None
    submit = delivery.exchanges[delivery.submit_exchange].timing
    if submit is None:
        return None
    job = _measure_job_phases(delivery, target, submit)
    audio = delivery.exchanges[delivery.audio_exchange] if delivery.audio_exchange is not None else None
    if audio is None or audio.timing is None:
        return Latency(
            submit_latency_ms=submit.total_ms,
            queue_ms=job.queue,
            processing_ms=job.processing,
            completion_ms=job.completion,
        )
    timing, start_ms = audio.timing, audio.timing.started_ms - submit.started_ms
    last_byte_ms = start_ms + timing.total_ms
    streaming = measure_streaming(delivery, target)
    first_audio_ms: float | None
    if delivery.text is not None:
        first_audio_ms = None
    elif streaming is not None:
        first_audio_ms = streaming.chunks[0][0]
    elif is_json(audio.response.media_type):  # audio inside JSON cannot be played before the JSON is complete
        first_audio_ms = last_byte_ms
    else:
        first_audio_ms = start_ms + _compute_first_chunk_ms(timing)
    return Latency(
        submit_latency_ms=submit.total_ms,
        queue_ms=job.queue,
        processing_ms=job.processing,
        completion_ms=job.completion,
        download_ms=timing.total_ms if delivery.audio_exchange != delivery.submit_exchange else None,
        ttfb_ms=start_ms + _compute_first_byte_ms(timing),
        ttfa_ms=first_audio_ms,
        total_latency_ms=last_byte_ms,
    )


def _compute_first_byte_ms(timing: Timing) -> float:
    return timing.total_ms - timing.receive_ms


def _compute_first_chunk_ms(timing: Timing) -> float:
    return timing.chunks[0][0] if timing.chunks else _compute_first_byte_ms(timing)


class _JobPhaseBounds(NamedTuple):
    queue: Interval | None = None
    processing: Interval | None = None
    completion: Interval | None = None


def _measure_job_phases(delivery: Delivery, target: BaseTarget, submit_timing: Timing) -> _JobPhaseBounds:
    """Return lower and upper bounds of the phases of a job, because its status is seen only when it is polled.

    A service that waits for the end of the job responds when it ends, so that the response begins at the end. How long
    the job was in the queue is not known then.
    """
    job = target.job_operation.job if target.job_operation else None
    observations = delivery.job.observations if delivery.job else ()
    ended = next((i for i, seen in enumerate(observations) if job and _is_terminal(job, seen.state)), None)
    if job is None or ended is None:
        return _JobPhaseBounds()
    if ended == 0 and target.response.wait is not None:
        first_byte_ms = _compute_first_byte_ms(submit_timing)
        return _JobPhaseBounds(None, None, Interval(low_ms=first_byte_ms, high_ms=first_byte_ms))
    completion = _compute_entry_bounds(observations, ended)
    phases = [name for name, state in job.states.items() if state.end is None]
    if len(phases) < 2:  # no queue state: everything after the submit counts as processing
        processing = Interval(low_ms=max(completion.low_ms - submit_timing.total_ms, 0.0), high_ms=completion.high_ms)
        return _JobPhaseBounds(None, processing, completion)
    started = next(i for i, seen in enumerate(observations) if seen.state != phases[0])
    queue = _compute_entry_bounds(observations, started)
    processing = Interval(low_ms=max(completion.low_ms - queue.high_ms, 0.0), high_ms=completion.high_ms - queue.low_ms)
    return _JobPhaseBounds(queue, processing, completion)


def _is_terminal(job_spec: JobSpec, state: str) -> bool:
    return state in job_spec.states and job_spec.states[state].end is not None


def _compute_entry_bounds(observations: Sequence[StateObservation], observation_index: int) -> Interval:
    """Return the bounds of the time at which the job entered the state of observation `observation_index`.

    When the previous poll was sent, the job was still in an earlier state; this gives the lower
    bound. The response that first showed the state gives the upper bound.
    """
    low_ms = observations[observation_index - 1].requested_ms if observation_index else 0.0
    return Interval(low_ms=low_ms, high_ms=observations[observation_index].at_ms)
