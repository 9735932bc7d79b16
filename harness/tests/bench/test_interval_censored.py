"""Quantiles of times that are known only between two polls."""

from __future__ import annotations

import random
import statistics

import pytest

from voicegauge.bench.estimates import CensoredTime, estimate_censored_quantile
from voicegauge.bench.target_samples import measure_target_differences
from voicegauge.bench.target_summaries import summarize_targets
from voicegauge.client.connection import GOLDEN_RATIO_CONJUGATE
from voicegauge.model.base import Provenance
from voicegauge.report._ranking import rank_targets

from ..builders.runs import build_measured_target, build_run, build_sample

POLL_MS = 5_000.0


def polled(truths_ms: list[float], phases_ms: list[float]) -> list[CensoredTime]:
    """The bounds that polls every 5 s find."""
    times = []
    for number, (truth_ms, phase_ms) in enumerate(zip(truths_ms, phases_ms, strict=True)):
        low_ms = (truth_ms - phase_ms) // POLL_MS * POLL_MS + phase_ms
        times.append(CensoredTime(number, max(low_ms, 0.0), low_ms + POLL_MS))
    return times


def test_the_estimate_is_the_one_worked_out_by_hand() -> None:
    """The likelihood p1 (p2+p3)^2 (p1+p2) p3 of these intervals is largest for 1/3, 1/6 and 1/2."""
    times = [CensoredTime(n, low, high) for n, (low, high) in enumerate([(0, 1), (1, 3), (1, 3), (0, 2), (2, 3)])]
    for fraction, value in ((1 / 3, 1.0), (5 / 12, 1.5), (0.6, 2.2), (0.75, 2.5)):
        found = estimate_censored_quantile([*times, *times, *times], fraction)
        assert found is not None
        assert found.value == pytest.approx(value, abs=0.01)


def test_known_times_give_their_quantile() -> None:
    found = estimate_censored_quantile([CensoredTime(n, float(n), float(n)) for n in range(1, 100)], 0.9)
    assert found is not None
    assert found.value == 90.0
    assert found.low is not None
    assert found.high is not None
    assert found.low < 90.0 < found.high


def test_the_median_of_jobs_of_a_minute_is_found_within_a_percent_by_polls_every_5_s() -> None:
    errors = []
    for seed in range(20):
        rng = random.Random(seed)
        truths_ms = [60_000 * rng.lognormvariate(0, 0.02) for _ in range(100)]
        first = rng.random()
        phases_ms = [POLL_MS * ((first + number * GOLDEN_RATIO_CONJUGATE) % 1) for number, _ in enumerate(truths_ms)]
        found = estimate_censored_quantile(polled(truths_ms, phases_ms), 0.5)
        assert found is not None
        errors.append(abs(found.value / statistics.median(truths_ms) - 1))
    assert max(errors) < 0.01


def test_where_polls_cannot_tell_the_range_is_shown_and_contains_the_truth() -> None:
    """Jobs of 200 ms, polled after 1 s: all that is known is that they took less."""
    found = estimate_censored_quantile([CensoredTime(n, 0.0, 1_000.0) for n in range(24)], 0.5)
    assert found is not None
    assert found.is_range
    assert (found.low, found.high) == (0.0, 1_000.0)
    assert "between two polls" in found.note


def test_polls_at_different_times_tell_what_polls_at_the_same_time_cannot() -> None:
    rng = random.Random(1)
    phases_ms = [POLL_MS * ((0.3 + number * GOLDEN_RATIO_CONJUGATE) % 1) for number in range(40)]
    found = estimate_censored_quantile(polled([rng.gauss(1_000, 50) for _ in phases_ms], phases_ms), 0.5)
    assert found is not None
    assert not found.is_range
    assert found.value == pytest.approx(1_000, rel=0.2)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1_000 < found.high


def test_few_times_have_no_upper_percentile() -> None:
    times = [CensoredTime(n, 0.0, float(n)) for n in range(9)]
    assert estimate_censored_quantile(times, 0.9) is None
    assert estimate_censored_quantile([], 0.5) is None


def test_rtf_and_slow_requests_leave_out_the_wait_for_the_poll() -> None:
    """Jobs that end between 2.0 and 2.1 s, noticed after 7 s."""
    samples = tuple(build_sample(n, total_latency_ms=7_000.0, done=(2_000.0, 2_100.0), audio_s=2.0) for n in range(30))
    (summary,) = summarize_targets(build_run(samples))
    assert summary.total_latency_ms is not None
    assert summary.total_latency_ms.value == 7_000.0
    for found in (
        summary.completion_p50_ms,
        summary.completion_p90_ms,
        summary.audio_ready_ms,
        summary.audio_ready_p95_ms,
    ):
        assert found is not None
        assert 2_000.0 <= found.value <= 2_100.0
    assert summary.rtf is not None
    assert summary.rtf.value == pytest.approx(1.025, abs=0.025)


def test_verdicts_follow_the_total_latency_that_tables_show() -> None:
    """A job that ends between 0.1 and 6 s, and is noticed after 8 s, is slower for its user than a direct response."""
    direct = (build_sample(n, target="acme/direct", total_latency_ms=3_600.0) for n in range(8))
    job = (build_sample(n, target="acme/job", total_latency_ms=8_000.0, done=(100.0, 6_000.0)) for n in range(8))
    refs = (build_measured_target("acme/direct"), build_measured_target("acme/job"))
    run = build_run((*direct, *job), targets=refs, provenance=Provenance.LIVE)
    summaries = summarize_targets(run)
    assert [summary.is_among_fastest for summary in summaries] == [True, False]
    ranking = rank_targets(summaries, measure_target_differences(run, None))
    assert [(ranked.target, ranked.speed_points, ranked.group) for ranked in ranking.targets] == [
        ("acme/direct", 100.0, 1),
        ("acme/job", 45.0, 2),
    ]
