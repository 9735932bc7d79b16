"""Builds the sample of a delivery, and quotes one exchange for each cause of failure."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from voicegauge.bench._latency import find_latency_start_ms, measure_latency, measure_request_phases, measure_streaming
from voicegauge.bench.benchmark_plan import PlannedSample
from voicegauge.bench.run_store import JournalState
from voicegauge.bench.timing_error import is_timing_disturbed
from voicegauge.client.keys import list_secrets
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.contract.price_computation import PriceQuote, reports_usage
from voicegauge.errors import DataError
from voicegauge.formats.bodies import is_form, is_json, is_utf8
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
)
from voicegauge.model.sample import AudioFacts, Cost, Sample
from voicegauge.recording.masking import get_bare_media_type
from voicegauge.recording.quoted_words import mask_undocumented_words
from voicegauge.recording.redaction import Redactor
from voicegauge.speech.containers import sniff_container

# Quotes one exchange for each cause of failure, so that a report can show what was sent and received.


MAX_QUOTED_BODY_CHARACTERS = 2_000
"""Number of characters that are quoted of a body."""
MAX_MASKED_BODY_BYTES = 256 * 1024
"""Size above which JSON and forms are not quoted, and only the beginning of other bodies is masked and quoted.

Masking a larger body would take so long that it would disturb the times.
"""
MAX_QUOTED_HEADERS = 40
"""Number of headers of a message that are quoted."""
MAX_QUOTED_VALUE_CHARACTERS = 500
"""Number of characters that are quoted of a URL or a header."""


class FailedExchangeQuoter:
    """Quotes failed exchanges of a run for its report: the first one for each cause of failure. It is thread-safe."""

    def __init__(self, key_by_provider: Mapping[str, str | None], earlier_samples: Iterable[Sample]) -> None:
        """Prepare to quote exchanges of a run.

        Args:
            key_by_provider: API keys in use, which are masked wherever they appear.
            earlier_samples: samples of an interrupted run that is continued.
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

        It is `None` if the delivery did not fail, has no exchange, may contain a secret even after masking, or failed
        for a cause of which an exchange is quoted already.
        """
        exchange = _find_failed_exchange(delivery)
        if exchange is None:
            return None
        failure = delivery.failure
        cause = (target.id, failure.kind if failure else "audio", failure.http_status if failure else None)
        with self._lock:
            if cause in self._quoted:
                return None
            self._quoted.add(cause)
        redactor = Redactor(target.contract, self._secrets.get(target.contract.id, ()), keeps_undocumented=True)
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
    return of_status[-1] if of_status else delivery.exchanges[-1]


def quote_exchange(exchange: Exchange, redactor: Redactor, contract: Contract) -> ExchangeExcerpt | None:
    """Quote an exchange without its secrets; `None` if its URL or headers may contain one even after masking.

    Of undocumented values of the response, words stay that cannot be a secret.
    """
    request, response = exchange.request, exchange.response
    request_body, response_body = _build_quotable_body(request), _build_quotable_body(response)
    masked = _mask_secrets(exchange, redactor, request_body, response_body)
    if masked is None:
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
        poll_count=_count_polls(delivery),
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


def _build_planned_fields(planned_sample: PlannedSample) -> dict[str, Any]:
    """Return the fields of a sample that the plan determines."""
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
    if target.pricing is not None and reports_usage(target.pricing) and delivery.charged_usd is not None:
        price_quote = PriceQuote(delivery.charged_usd, delivery.charged_credits, price_quote.reserved_usd)
    return Cost(
        price_usd=price_quote.price_usd if is_delivered else None,
        price_credits=price_quote.price_credits if is_delivered else None,
        charged_usd=delivery.charged_usd,
        charged_credits=delivery.charged_credits,
        reserved_usd=price_quote.reserved_usd if is_delivered else None,
    )


def _count_polls(delivery: Delivery) -> int:
    if delivery.job is None:
        return 0
    return sum(exchange.operation == delivery.job.status_operation for exchange in delivery.exchanges)


def _list_retried_statuses(delivery: Delivery) -> tuple[int, ...]:
    """Return the statuses of the responses to all submits but the last one that was sent."""
    if delivery.submit_exchange_index is None:
        return ()
    submits = delivery.exchanges[: delivery.submit_exchange_index + 1]
    return tuple(exchange.response.status for exchange in submits[: max(delivery.submit_count - 1, 0)])
