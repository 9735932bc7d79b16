"""The times of one delivery, from the timings of its exchanges and the sightings of its job."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.bench.running.playback import measure_streaming
from voicegauge.contract import BaseTarget
from voicegauge.contract.extension import JobSpec
from voicegauge.formats import is_json
from voicegauge.model import Delivery, Interval, Latency, StateObservation, Timing


def measure_latency(delivery: Delivery, target: BaseTarget) -> Latency | None:
    """The times of `delivery`, counted from the start of its last submit.

    `None` where nothing was timed: the submit was sent by an earlier process, or was
    never answered.
    """
    if delivery.submit_exchange is None:
        return None
    submit = delivery.exchanges[delivery.submit_exchange].timing
    if submit is None:
        return None
    queue, processing, done = _job_times(delivery, target, submit.total_ms)
    latency = Latency(submit_latency_ms=submit.total_ms, queue_ms=queue, processing_ms=processing, completion_ms=done)
    if delivery.audio_exchange is None:
        return latency
    exchange = delivery.exchanges[delivery.audio_exchange]
    if exchange.timing is None:
        return latency
    start, timing = exchange.timing.started_ms - submit.started_ms, exchange.timing
    whole = start + timing.total_ms
    streaming = measure_streaming(delivery, target)
    first_audio: float | None
    if delivery.text is not None:
        first_audio = None
    elif streaming is not None:
        first_audio = streaming.pieces[0][0]
    else:  # audio inside JSON cannot be played before its last byte is there
        first_audio = whole if is_json(exchange.response.media_type) else start + _first_piece(timing)
    return Latency(
        submit_latency_ms=latency.submit_latency_ms,
        queue_ms=queue,
        processing_ms=processing,
        completion_ms=done,
        download_ms=timing.total_ms if delivery.audio_exchange != delivery.submit_exchange else None,
        ttfb_ms=start + _first_byte(timing),
        ttfa_ms=first_audio,
        total_latency_ms=whole,
    )


def _first_byte(timing: Timing) -> float:
    return timing.total_ms - timing.receive_ms


def _first_piece(timing: Timing) -> float:
    return timing.chunks[0][0] if timing.chunks else _first_byte(timing)


def _job_times(
    delivery: Delivery, target: BaseTarget, submit_latency_ms: float
) -> tuple[Interval | None, Interval | None, Interval | None]:
    """Queue, processing and done: each known only between two polls."""
    job = target.job_operation.job if target.job_operation else None
    observations = delivery.job.observations if delivery.job else ()
    ended = next((i for i, seen in enumerate(observations) if job and _ends(job, seen.state)), None)
    if job is None or ended is None:
        return None, None, None
    done = _entered(observations, ended)
    stages = [name for name, state in job.states.items() if state.end is None]
    if len(stages) < 2:
        return None, Interval(low_ms=max(done.low_ms - submit_latency_ms, 0.0), high_ms=done.high_ms), done
    begun = next(i for i, seen in enumerate(observations) if seen.state != stages[0])
    queue = _entered(observations, begun)
    processing = Interval(low_ms=max(done.low_ms - queue.high_ms, 0.0), high_ms=done.high_ms - queue.low_ms)
    return queue, processing, done


def _ends(job: JobSpec, state: str) -> bool:
    return state in job.states and job.states[state].end is not None


def _entered(observations: Sequence[StateObservation], index: int) -> Interval:
    """When the state of sighting `index` was entered.

    Not before the question before it was asked, which was still answered otherwise, and
    not after its own answer was there.
    """
    low = observations[index - 1].requested_ms if index else 0.0
    return Interval(low_ms=low, high_ms=observations[index].at_ms)
