"""Builds the sample of a delivery: its times, its cost and its failure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from voicegauge.bench.planning import PlannedSample
from voicegauge.bench.running.event_loop_lag import is_timing_disturbed
from voicegauge.bench.running.latency import find_latency_start_ms, measure_latency, measure_request_phases
from voicegauge.bench.running.playback import measure_streaming
from voicegauge.bench.running.purchases import JournalState
from voicegauge.contract import BaseTarget, PriceQuote, reports_usage
from voicegauge.model import AudioFacts, BillingStatus, Cost, Delivery, ExchangeExcerpt, Failure, Sample


class SampleTimes(NamedTuple):
    """The times at which a sample was started and at which it was due."""

    started_at: datetime
    started_s: float
    """Time at which the sample was started, in seconds of the event loop's clock."""
    due_ms: float | None
    """Time at which the sample was due, on the clock of `Timing.started_ms`; `None` if it had no fixed time."""


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
        target: its target.
        delivery: what was delivered, or the failure.
        price_quote: the price of the request.
        sample_times: when the sample was started.
        attempt_count: number of submits, with those of earlier processes.
        max_lag_ms: the longest lag of the event loop meanwhile, in milliseconds.
        saved_audio: the saved audio; `None` if there is none.
        failed_exchange: the exchange that failed; `None` if none is quoted.
    """
    latency = measure_latency(delivery, target, due_ms=sample_times.due_ms)
    latency_start_ms = find_latency_start_ms(delivery, sample_times.due_ms)
    total_ms = None if latency is None else latency.total_latency_ms
    return Sample(
        **_build_planned_fields(planned_sample),
        started_at=sample_times.started_at.isoformat(timespec="milliseconds"),
        submit_count=attempt_count,
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
        cost=Cost(charged_usd=last.charged_usd, is_price_disputed=planned_sample.price.is_disputed),
        failure=Failure(kind="interrupted", message=last.ambiguous_reason, http_status=last.http_status),
        is_billing_ambiguous=True,
    )


def _build_cost(price_quote: PriceQuote, delivery: Delivery, target: BaseTarget) -> Cost:
    """Return the price if something was delivered, and in any case the charge that the provider reported, if any.

    A planned price that depends on tokens or seconds is an upper bound, so the price of the reported usage replaces it.
    """
    is_delivered = delivery.failure is None
    if target.pricing is not None and reports_usage(target.pricing) and delivery.charged_usd is not None:
        price_quote = PriceQuote(delivery.charged_usd, delivery.charged_credits, price_quote.is_disputed)
    return Cost(
        price_usd=price_quote.price_usd if is_delivered else None,
        price_credits=price_quote.price_credits if is_delivered else None,
        charged_usd=delivery.charged_usd,
        charged_credits=delivery.charged_credits,
        is_price_disputed=price_quote.is_disputed,
    )


def _count_polls(delivery: Delivery) -> int:
    if delivery.job is None:
        return 0
    return sum(exchange.operation == delivery.job.status_operation for exchange in delivery.exchanges)
