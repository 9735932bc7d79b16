"""Computes how much of the planned load this machine sent, because a busy machine sends less than planned."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from voicegauge.model import Sample

MIN_SENT_LOAD_SHARE = 0.95
"""Smallest share of the planned load that a step of a ramp must send. A step that sends less is invalid, because it
says nothing about the planned load."""


def compute_sent_share_of_requests_in_flight(
    samples: Sequence[Sample], slot_times_s: Sequence[float], concurrency: int
) -> float | None:
    """Return the share of the planned concurrency that was in flight.

    There are `concurrency` slots for requests in flight. A request occupies a slot from the decision to send it until
    its result is saved, but is in flight only during its latency. The first request of each slot is left out, because
    the first requests cannot all begin at once.

    Args:
        samples: the samples of one step, in the order in which they were sent.
        slot_times_s: for each sample, the time for which it occupied its slot, in seconds.
        concurrency: number of slots.

    Returns:
        The share, at most 1; `None` if the latency of a request is not known.
    """
    latencies_s = [_get_latency_s(sample) for sample in samples[concurrency:]]
    total_s = sum(slot_times_s[concurrency:])
    if None in latencies_s or total_s <= 0:
        return None
    return min(sum(latency_s for latency_s in latencies_s if latency_s is not None) / total_s, 1.0)


def _get_latency_s(sample: Sample) -> float | None:
    latency = sample.latency
    if latency is None:
        return None
    return (latency.submit_latency_ms if latency.total_latency_ms is None else latency.total_latency_ms) / 1000


def compute_sent_share_of_rate(due_times_s: Iterable[float], samples: Iterable[Sample]) -> float | None:
    """Return the share of the planned rate at which requests were sent.

    A rate is the slope of a line through the times of the requests, so that a single late one changes little.

    Args:
        due_times_s: when each sample was due, in seconds.
        samples: the samples, in the same order.

    Returns:
        The share, at most 1; `None` if fewer than three requests were timed.
    """
    due_and_sent = [
        (due, due + sample.latency.start_delay_ms / 1000)
        for due, sample in zip(due_times_s, samples, strict=True)
        if sample.latency is not None and sample.latency.start_delay_ms is not None
    ]
    if len(due_and_sent) < 3 or len({due for due, _ in due_and_sent}) < 2:
        return None
    slope = statistics.linear_regression(*zip(*due_and_sent, strict=True)).slope
    return min(1 / slope, 1.0) if slope > 0 else 1.0
