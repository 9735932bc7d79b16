"""Builds the sample of a delivery: its latency, its cost, its failure, and a quotation of the exchange that failed."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from voicegauge.bench.audio_measurement import measure_streaming
from voicegauge.bench.benchmark_plan import PlannedSample
from voicegauge.bench.run_store import JournalState
from voicegauge.bench.timing_error import is_timing_disturbed
from voicegauge.client.keys import list_secrets
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.contract.price_computation import PriceQuote
from voicegauge.errors import DataError
from voicegauge.formats.bodies import is_form, is_json, is_utf8, parse_timestamp
from voicegauge.model.exchange import (
    BillingStatus,
    BodyExcerpt,
    Delivery,
    Exchange,
    ExchangeExcerpt,
    Failure,
    Headers,
    Request,
    Response,
    StateObservation,
    Timing,
)
from voicegauge.model.sample import AudioFacts, Cost, Interval, Latency, RequestPhases, Sample
from voicegauge.recording.masking import get_bare_media_type
from voicegauge.recording.quoted_words import mask_undocumented_words
from voicegauge.recording.redaction import RedactionSettings, Redactor
from voicegauge.speech.containers import sniff_container

# Quotes one exchange for each cause of failure, so that a report can show what was sent and received.


MAX_QUOTED_BODY_CHARACTERS = 2_000
"""Largest number of characters of a body that are quoted."""
MAX_MASKED_BODY_BYTES = 256 * 1024
"""Size above which JSON and forms are not quoted, and only the beginning of other bodies is masked and quoted.

Masking a larger body would take so long that it would disturb the times.
"""
MAX_QUOTED_HEADERS = 40
"""Largest number of headers of a message that are quoted."""
MAX_QUOTED_VALUE_CHARACTERS = 500
"""Largest number of characters of a URL or a header that are quoted."""


class FailedExchangeQuoter:
    """Quotes failed exchanges of a run: the first per target, kind of failure and HTTP status. It is thread-safe."""

    def __init__(self, key_by_provider: Mapping[str, str | None], earlier_samples: Iterable[Sample]) -> None:
        """Prepare to quote exchanges of a run.

        Args:
            key_by_provider: API keys in use, by provider id, which are masked wherever they appear; `None` for no key.
            earlier_samples: samples of an interrupted run that is continued; causes that they quote are not quoted
                again.
        """
        self._secrets = {provider: list_secrets(key) for provider, key in key_by_provider.items()}
        self._lock = threading.Lock()
        self._quoted: set[tuple[str, str, int | None]] = {
            (sample.target, sample.failure.kind, sample.failure.http_status)
            for sample in earlier_samples
            if sample.failed_exchange is not None and sample.failure is not None
        }

    def quote_exchange_if_cause_is_new(self, target: BaseTarget, delivery: Delivery) -> ExchangeExcerpt | None:
        """Return the exchange in which a delivery failed, as an excerpt.

        Text in place of audio counts as a failure. The result is `None` if the delivery did not fail or has no
        exchange, if the exchange may contain a secret even after masking, or if an earlier call had a delivery with the
        same cause.
        """
        exchange = _find_failed_exchange(delivery)
        if exchange is None:
            return None
        failure = delivery.failure
        cause = (target.id, failure.kind if failure else "audio", failure.http_status if failure else None)
        # Samples are built in several threads, and only one of them may take a cause for new.
        with self._lock:
            if cause in self._quoted:
                return None
            self._quoted.add(cause)
        redaction = RedactionSettings(secrets=self._secrets.get(target.contract.id, ()))
        redactor = Redactor(target.contract, redaction, keeps_undocumented=True)
        return quote_exchange(exchange, redactor, target.contract)


def _find_failed_exchange(delivery: Delivery) -> Exchange | None:
    if not delivery.exchanges:
        return None
    if delivery.failure is None:
        # Whether audio can be decoded is only known after the run. Text instead of it certainly cannot be.
        audio, index = delivery.audio, delivery.audio_exchange_index
        is_doubtful = audio is not None and sniff_container(audio) is None and is_utf8(audio)
        return delivery.exchanges[index] if is_doubtful and index is not None else None
    of_status = [one for one in delivery.exchanges if one.response.status == delivery.failure.http_status]
    # A failure that no status shows, such as a job that ended in error, is in the last response.
    return of_status[-1] if of_status else delivery.exchanges[-1]


def quote_exchange(exchange: Exchange, redactor: Redactor, contract: Contract) -> ExchangeExcerpt | None:
    """Quote an exchange without its secrets; `None` if its URL or headers may contain one even after masking.

    A body that may contain one is left out. In undocumented values of the response body, words that may be secrets are
    masked.
    """
    request, response = exchange.request, exchange.response
    request_body, response_body = _build_quotable_body(request), _build_quotable_body(response)
    masked = _mask_secrets(exchange, redactor, request_body, response_body)
    if masked is None:
        # The secret may be in a body alone, and the rest of the exchange shows what failed, too.
        request_body = response_body = _QuotableBody(b"", "not quoted: it may contain a secret")
        masked = _mask_secrets(exchange, redactor, request_body, response_body)
    if masked is None:
        return None
    response_text = _quote_body(masked.response.body, len(response.body), response_body.note)
    masked_text = mask_undocumented_words(contract, [exchange], response_text.text)
    return ExchangeExcerpt(
        method=request.method,
        url=_truncate(masked.request.url, MAX_QUOTED_VALUE_CHARACTERS),
        request_headers=_truncate_headers(masked.request.headers),
        request_body=_quote_body(masked.request.body, len(request.body), request_body.note),
        status=response.status,
        response_headers=_truncate_headers(masked.response.headers),
        response_body=msgspec.structs.replace(response_text, text=masked_text),
    )


class _QuotableBody(NamedTuple):
    """The part of a body that is masked and quoted. `note` says why it is not the whole body."""

    content: bytes
    note: str = ""


def _build_quotable_body(http_message: Request | Response) -> _QuotableBody:
    if not http_message.body:
        return _QuotableBody(b"")
    if len(http_message.body) > MAX_MASKED_BODY_BYTES:
        media_type = get_bare_media_type(http_message.find_header("content-type") or "")
        # The beginning of a JSON document or a form cannot be read, so its secrets would not be found by name.
        if is_json(media_type) or is_form(media_type):
            return _QuotableBody(b"", "not quoted: too large to be searched for secrets")
        # Decoded and encoded again, because the limit may cut a character in half.
        start = http_message.body[:MAX_MASKED_BODY_BYTES].decode(errors="ignore").encode()
        return _QuotableBody(
            start if is_utf8(http_message.body) else b"", "" if is_utf8(http_message.body) else "binary"
        )
    return _QuotableBody(http_message.body)


def _mask_secrets(
    exchange: Exchange, redactor: Redactor, request_body: _QuotableBody, response_body: _QuotableBody
) -> Exchange | None:
    limited = msgspec.structs.replace(
        exchange,
        request=msgspec.structs.replace(exchange.request, body=request_body.content),
        response=msgspec.structs.replace(exchange.response, body=response_body.content),
    )
    try:
        masked = redactor.mask_exchange(limited)
        redactor.check_exchange("the exchange", 1, masked)
    except DataError:
        return None
    return masked


def _quote_body(masked_body: bytes, size_bytes: int, note: str) -> BodyExcerpt:
    if note or not masked_body:
        return BodyExcerpt(text="", size_bytes=size_bytes, omission_reason=note)
    if not is_utf8(masked_body):
        return BodyExcerpt(text="", size_bytes=size_bytes, omission_reason="binary")
    text = masked_body.decode()
    is_cut = len(text) > MAX_QUOTED_BODY_CHARACTERS
    return BodyExcerpt(
        text=text[:MAX_QUOTED_BODY_CHARACTERS],
        size_bytes=size_bytes,
        omission_reason="only the beginning" if is_cut else "",
    )


def _truncate_headers(headers: Headers) -> Headers:
    return tuple(
        (_truncate(name, 100), _truncate(value, MAX_QUOTED_VALUE_CHARACTERS))
        for name, value in headers[:MAX_QUOTED_HEADERS]
    )


def _truncate(text: str, max_characters: int) -> str:
    return text if len(text) <= max_characters else text[:max_characters] + "…"


# Builds the sample of a delivery: its times, its cost and its failure.


class SampleTimes(NamedTuple):
    """The times at which a sample was started and at which it was due."""

    started_at: datetime
    """When the sample was started, with the time zone."""
    started_s: float
    """Time at which the sample was started, in seconds of the event loop's clock."""
    due_ms: float | None
    """Time at which the sample was due, on the clock of `Timing.started_ms`; `None` if it had no fixed time."""
    slot_wait_ms: float = 0.0
    """How long a sample with a fixed time waited because as many requests as allowed were in flight."""


def build_sample(
    planned_sample: PlannedSample,
    target: BaseTarget,
    delivery: Delivery,
    price_quote: PriceQuote,
    sample_times: SampleTimes,
    *,
    attempt_count: int,
    max_lag_ms: float,
    saved_audio: AudioFacts | None,
    failed_exchange: ExchangeExcerpt | None,
) -> Sample:
    """Return the sample of a delivery.

    Args:
        planned_sample: what was planned.
        target: the target that the request was sent to.
        delivery: what was delivered, or the failure.
        price_quote: the price of the request.
        sample_times: when the sample was started.
        attempt_count: number of submits, with those of earlier processes.
        max_lag_ms: the longest lag of the event loop meanwhile, in milliseconds.
        saved_audio: the saved audio; `None` if there is none.
        failed_exchange: the exchange that failed; `None` if none is quoted.
    """
    latency = measure_latency(delivery, target, due_ms=sample_times.due_ms, slot_wait_ms=sample_times.slot_wait_ms)
    latency_start_ms = find_latency_start_ms(delivery, sample_times.slot_wait_ms)
    total_ms = None if latency is None else latency.total_latency_ms
    return Sample(
        **_build_planned_fields(planned_sample),
        started_at=sample_times.started_at.isoformat(timespec="milliseconds"),
        submit_count=attempt_count,
        retried_statuses=_list_retried_statuses(delivery),
        poll_count=sum(one.operation == delivery.job.status_operation for one in delivery.exchanges)
        if delivery.job is not None
        else 0,
        job_id=delivery.job.id if delivery.job else None,
        latency=latency,
        request_phases=measure_request_phases(delivery),
        streaming=None
        if latency_start_ms is None
        else measure_streaming(delivery, target, latency_start_ms=latency_start_ms),
        max_own_lag_ms=max_lag_ms,
        is_disturbed=is_timing_disturbed(max_lag_ms, total_ms),
        audio=saved_audio,
        transcript=delivery.transcript,
        cost=_build_cost(price_quote, delivery, target),
        failure=delivery.failure,
        failed_exchange=failed_exchange,
        interruption=delivery.interruption,
        transcript_timing=delivery.transcript_timing,
        is_billing_ambiguous=delivery.billing_status is BillingStatus.AMBIGUOUS,
    )


def build_unmeasured_audio(audio: bytes, media_type: str | None, file_path: str) -> AudioFacts:
    """Return the facts about audio that are known without decoding, which would disturb the times of other samples.

    Args:
        audio: the audio.
        media_type: its media type as the response declares it; `None` if it declares none.
        file_path: path of its file relative to the folder of the run; empty if it is not saved yet.
    """
    digest = hashlib.sha256(audio).hexdigest()
    return AudioFacts(sha256=digest, file_path=file_path, size_bytes=len(audio), media_type=media_type, container=None)


def _build_planned_fields(planned_sample: PlannedSample) -> dict[str, Any]:
    """Return the fields of a `Sample` that the plan determines, by name."""
    return {
        "id": planned_sample.id,
        "target": planned_sample.target,
        "text_id": planned_sample.text.id,
        "text": planned_sample.text.text,
        "language": planned_sample.text.language,
        "category": planned_sample.text.category,
        "session": planned_sample.session_number,
        "repetition": planned_sample.repetition_number,
        "is_warmup": planned_sample.is_warmup,
    }


def build_lost_sample(planned_sample: PlannedSample, earlier_journal_state: JournalState) -> Sample:
    """Return a failed sample for a request whose result was not saved because voicegauge was stopped."""
    purchases = earlier_journal_state.histories[planned_sample.id]
    last = purchases.purchases[-1]
    return Sample(
        **_build_planned_fields(planned_sample),
        started_at=last.submitted_at,
        submit_count=purchases.attempt_count,
        poll_count=0,
        cost=Cost(charged_usd=last.charged_usd),
        failure=Failure(kind="interrupted", message=last.ambiguous_reason, http_status=last.http_status),
        place=last.place,
        is_billing_ambiguous=True,
    )


def build_sample_lost_by_worker(planned_sample: PlannedSample, sent_at: datetime, reason: str, place: str) -> Sample:
    """Return a failed sample for a request whose worker ended before it returned the result."""
    return Sample(
        **_build_planned_fields(planned_sample),
        started_at=sent_at.isoformat(timespec="milliseconds"),
        submit_count=1,
        poll_count=0,
        failure=Failure(kind="interrupted", message=reason),
        place=place,
        is_billing_ambiguous=True,
    )


def _build_cost(price_quote: PriceQuote, delivery: Delivery, target: BaseTarget) -> Cost:
    """Return the price if something was delivered, and in any case the charge that the provider reported, if any.

    A planned price that depends on tokens or seconds is an upper bound, so the price of the reported usage replaces it.
    """
    is_delivered = delivery.failure is None
    if target.pricing is not None and target.pricing.reports_usage and delivery.charged_usd is not None:
        price_quote = PriceQuote(delivery.charged_usd, delivery.charged_credits, price_quote.reserved_usd)
    return Cost(
        price_usd=price_quote.price_usd if is_delivered else None,
        price_credits=price_quote.price_credits if is_delivered else None,
        charged_usd=delivery.charged_usd,
        charged_credits=delivery.charged_credits,
        reserved_usd=price_quote.reserved_usd if is_delivered else None,
    )


def _list_retried_statuses(delivery: Delivery) -> tuple[int, ...]:
    """Return the statuses of the responses to all submits but the last one that was sent."""
    if delivery.submit_exchange_index is None:
        return ()
    submits = delivery.exchanges[: delivery.submit_exchange_index + 1]
    return tuple(exchange.response.status for exchange in submits[: max(delivery.submit_count - 1, 0)])


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
    first = delivery.first_submit_sent_ms if delivery.first_submit_sent_ms is not None else _compute_sent_ms(submit)
    return first - slot_wait_ms


def find_submit_timing(delivery: Delivery) -> Timing | None:
    """Return the timing of the last submit.

    Return `None` if it was not timed, because an earlier process sent it or there was no response.
    """
    index = delivery.submit_exchange_index
    return None if index is None else delivery.exchanges[index].timing


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
        sent_ms=_compute_sent_ms(submit) - latency_start_ms,
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
        # With the header of the container: how long it is shows when the audio is decoded, after the run.
        first_audio_ms = streaming.chunks[0][0]
    elif is_json(audio.response.media_type):  # audio inside JSON cannot be played before the JSON is complete
        first_audio_ms = last_byte_ms
    else:
        first_chunk_ms = timing.chunk_arrivals[0][0] if timing.chunk_arrivals else _compute_first_byte_ms(timing)
        first_audio_ms = start_ms + first_chunk_ms
    return msgspec.structs.replace(
        submit_only,
        download_ms=timing.total_ms if delivery.audio_exchange_index != delivery.submit_exchange_index else None,
        ttfb_ms=start_ms + _compute_first_byte_ms(timing),
        ttfa_ms=first_audio_ms,
        total_latency_ms=last_byte_ms,
    )


def _compute_sent_ms(timing: Timing) -> float:
    return timing.started_ms + timing.delay_before_send_ms


def _compute_first_byte_ms(timing: Timing) -> float:
    return timing.total_ms - timing.receive_ms


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
    """When it was sent."""
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
    final_states = {name for name, state in job.states.items() if state.terminal_outcome is not None} if job else ()
    ended = next((i for i, seen in enumerate(observations) if seen.state in final_states), None)
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
    if stated_duration is not None:
        completion = _narrow_bounds_by_stated_duration(completion, stated_duration, submit_times)
    phases = [name for name in job.states if name not in final_states]
    if len(phases) < 2:  # no queue state: everything after the submit counts as processing
        processing = Interval(low_ms=max(completion.low_ms - submit_times.complete_ms, 0.0), high_ms=completion.high_ms)
        return _JobPhaseBounds(None, processing, completion)
    # The observation that ended the job is not in the first state, so that there is one.
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
    """By how much the duration may be wrong, as timestamps are rounded: 1000 for whole seconds, otherwise 1."""


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
    duration_ms, resolution_ms = stated_duration
    low_ms = max(observed_bounds.low_ms, submit_times.sent_ms + duration_ms - resolution_ms)
    high_ms = min(observed_bounds.high_ms, submit_times.complete_ms + duration_ms + resolution_ms)
    # The duration needs no common clock: both timestamps are the provider's, and only their difference is used.
    # Timestamps that contradict what was observed, such as those of a cached result, say nothing about this job.
    return Interval(low_ms=low_ms, high_ms=high_ms) if low_ms <= high_ms else observed_bounds


def _compute_state_entry_bounds(
    observations: Sequence[StateObservation], observation_index: int, submit_times: _LastSubmitTimes
) -> Interval:
    """Return the bounds of the time at which the job entered the state of observation `observation_index`.

    When the previous poll was sent, the job was still in an earlier state; this gives the lower
    bound. The response that first showed the state gives the upper bound.
    """
    delay_ms, earliest_ms = submit_times.send_delay_ms, submit_times.sent_ms
    low_ms = observations[observation_index - 1].requested_ms + delay_ms if observation_index else earliest_ms
    # Its first byte, not its last: the service had found the state before it sent anything.
    high_ms = observations[observation_index].response_began_ms + delay_ms
    return Interval(low_ms=min(max(low_ms, earliest_ms), high_ms), high_ms=high_ms)
