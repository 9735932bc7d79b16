from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.bench.resampling import PairwiseDifferences, flag_undominated_targets
from voicegauge.bench.target_cost import PriceFunction, convert_credits_to_usd
from voicegauge.bench.target_summaries import TargetSummary, summarize_targets
from voicegauge.cli._bench_tables import print_summaries
from voicegauge.errors import DataError
from voicegauge.model.base import Provenance
from voicegauge.model.price import PlanClaim
from voicegauge.model.run import Run, ScoreSet, TargetPrice
from voicegauge.model.sample import Cost, Sample, Score, StreamArrivals

from ..builders.runs import (
    FAILED,
    build_measured_target,
    build_run,
    build_sample,
    build_score,
    build_score_set,
    price_claim,
    price_per,
)


def _build_live_run(samples: tuple[Sample, ...], **changes: object) -> Run:
    return build_run(samples, provenance=Provenance.LIVE, **changes)


def scored(samples: tuple[Sample, ...], scores: tuple[Score, ...], **changes: object) -> tuple[Run, ScoreSet]:
    given_scores = ScoreSet(asr="made", asr_reason="made up", normalizer="made/1", scores=scores)
    return build_run(samples, score_sets=(given_scores,), **changes), given_scores


def test_failures_are_counted_and_their_words_deleted() -> None:
    samples = (build_sample(1), build_sample(2), build_sample(3, failure=FAILED))
    made, scores = scored(
        samples, (build_score(samples[0], 1), build_score(samples[1], 1), build_score(samples[2], 10))
    )
    (found,) = summarize_targets(made, scores)
    assert (found.sample_count, found.failure_count, found.failure_count_by_kind) == (3, 1, {"server_error": 1})
    assert found.wer is not None
    assert found.wer.corpus_rate.value == pytest.approx(12 / 30)
    assert found.wer.corpus_rate.sample_count == 3
    assert found.wer.deletions == 12
    assert found.wer.sample_count_by_audio_content == {"speech": 2, "missing": 1}


def test_a_target_that_delivered_no_audio_has_no_error_rate() -> None:
    samples = (build_sample(1, failure=FAILED), build_sample(2, language="zh", failure=FAILED))
    made, scores = scored(samples, (build_score(samples[0], 10), build_score(samples[1], 10, unit="character")))
    (found,) = summarize_targets(made, scores)
    assert (found.sample_count, found.failure_count) == (2, 2)
    assert (found.wer, found.cer, found.error_rates_by_category, found.error_rates_by_language) == (None, None, (), ())


def test_a_time_has_the_number_of_its_samples() -> None:
    (found,) = summarize_targets(
        build_run(
            (
                build_sample(1, total_latency_ms=100),
                build_sample(2, total_latency_ms=300),
                build_sample(3, failure=FAILED),
            )
        )
    )
    assert found.total_latency_ms is not None
    assert (found.total_latency_ms.value, found.total_latency_ms.sample_count) == (200, 2)
    assert found.rtf is not None
    assert found.rtf.value == pytest.approx(0.1)


def test_repeated_requests_are_counted_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    samples = [
        msgspec.structs.replace(build_sample(number), submit_count=len(statuses) + 1 + lost, retried_statuses=statuses)
        for number, (statuses, lost) in enumerate([((503, 503), 0), ((429,), 1), ((), 0)], start=1)
    ]
    made = build_run(samples)
    summaries = summarize_targets(made)
    assert summaries[0].repetition_count_by_cause == {"503": 2, "429": 1, "no known status": 1}
    print_summaries(summaries, None, made.manifest)
    said = "requests were repeated 4 times: 2 after 503, 1 after 429, 1 after no known status, for 3 samples; the waits"
    assert f"{summaries[0].target}: {said}" in " ".join(capsys.readouterr().out.split())


def test_nothing_is_said_of_requests_that_were_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    made = build_run((build_sample(1), build_sample(2)))
    summaries = summarize_targets(made)
    assert summaries[0].repetition_count_by_cause == {}
    print_summaries(summaries, None, made.manifest)
    assert "repeated" not in capsys.readouterr().out


def test_warm_up_is_left_out_of_every_result() -> None:
    warm = build_sample(1, repetition=0, total_latency_ms=9999)
    (found,) = summarize_targets(build_run((warm, build_sample(1, total_latency_ms=100))))
    assert found.sample_count == 1
    assert found.total_latency_ms is not None
    assert found.total_latency_ms.value == 100


def test_a_target_without_a_sample_that_succeeded_has_only_failures() -> None:
    (found,) = summarize_targets(build_run((build_sample(1, failure=FAILED),)))
    assert (found.sample_count, found.failure_count, found.total_latency_ms, found.rtf, found.is_pareto_optimal) == (
        1,
        1,
        None,
        None,
        False,
    )


def test_a_missing_score_is_an_error() -> None:
    samples = (build_sample(1), build_sample(2))
    made, scores = scored(samples, (build_score(samples[0], 1),))
    with pytest.raises(DataError, match=r"no score for the sample acme/voice-1/1/1/2: score the run again"):
        summarize_targets(made, scores)


def test_a_language_that_the_engine_does_not_support_has_no_rate() -> None:
    samples = (build_sample(1), build_sample(2, language="xx"))
    made, scores = scored(samples, (build_score(samples[0], 1),))
    (found,) = summarize_targets(made, msgspec.structs.replace(scores, unsupported_languages=("xx",)))
    assert found.wer is not None
    assert found.wer.corpus_rate.sample_count == 1
    assert [one.language for one in found.error_rates_by_language] == ["en"]
    assert found.unscored_languages == ("xx",)


def test_a_language_without_a_rate_is_named_next_to_the_dash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    made, scores = scored((build_sample(1, language="xx"),), ())
    scores = msgspec.structs.replace(scores, unsupported_languages=("xx",))
    print_summaries(summarize_targets(made, scores), scores, made.manifest)
    printed = capsys.readouterr().out
    assert "- (xx)" in printed
    assert "not scored: xx, which" in printed


def test_words_and_characters_are_never_pooled() -> None:
    samples = (build_sample(1), build_sample(2, language="zh"))
    made, scores = scored(samples, (build_score(samples[0], 1), build_score(samples[1], 5, unit="character")))
    (found,) = summarize_targets(made, scores)
    assert found.wer is not None
    assert found.cer is not None
    assert (found.wer.corpus_rate.value, found.cer.corpus_rate.value) == (0.1, 0.5)
    assert [(one.language, one.error_rate.unit) for one in found.error_rates_by_language] == [
        ("en", "word"),
        ("zh", "character"),
    ]


def test_categories_are_separate_and_corpus_mean_and_median_differ() -> None:
    samples = (build_sample(1), build_sample(2, category="names"), build_sample(3, category="names"))
    made, scores = scored(
        samples, (build_score(samples[0], 0), build_score(samples[1], 2, 20), build_score(samples[2], 8))
    )
    (found,) = summarize_targets(made, scores)
    assert found.wer is not None
    assert found.wer.corpus_rate.value == pytest.approx(10 / 40)
    assert found.wer.mean.value == pytest.approx((0 + 0.1 + 0.8) / 3)
    assert found.wer.median.value == pytest.approx(0.1)
    assert [(one.category, one.error_rate.corpus_rate.value) for one in found.error_rates_by_category] == [
        ("plain", 0.0),
        ("names", pytest.approx(10 / 30)),
    ]


def test_completion_of_a_job_has_a_lower_and_an_upper_bound() -> None:
    (found,) = summarize_targets(
        build_run((build_sample(1, done=(0.0, 5000.0)), build_sample(2, done=(5000.0, 10000.0))))
    )
    assert found.completion_ms is not None
    assert (found.completion_ms.low.value, found.completion_ms.high.value) == (2500.0, 7500.0)


def test_cost_is_stated_at_a_text_length() -> None:
    (found,) = summarize_targets(build_run((build_sample(1),)), text_length=100)
    assert found.cost.price_per_request.usd == 0.01
    assert (found.cost.text_length, found.cost.usd_per_1m_characters) == (100, pytest.approx(100.0))


def test_a_charge_that_is_not_the_price_is_shown() -> None:
    same = build_sample(1, cost=Cost(price_usd=0.01, charged_usd=0.01))
    costlier = build_sample(2, cost=Cost(price_usd=0.01, charged_usd=0.03))
    assert not summarize_targets(build_run((same,)))[0].cost.charge_differs_from_price
    (found,) = summarize_targets(build_run((same, costlier)))
    assert found.cost.charge_differs_from_price
    assert found.cost.charged_usd_per_request == pytest.approx(0.02)


def test_a_price_per_minute_uses_the_measured_audio() -> None:
    ref = build_measured_target(price=price_per("minute", 0.6))
    spoken = build_sample(1, words="x" * 50, audio_s=5.0)
    live, rehearsed = (
        summarize_targets(build_run((spoken,), targets=(ref,), provenance=provenance), text_length=100)[0]
        for provenance in (Provenance.LIVE, Provenance.EMULATED)
    )
    assert live.cost.usd_per_1m_characters == pytest.approx(0.6 * 10 / 60 * 10_000)
    # What an emulator speaks is made up: 15 characters per second are assumed, and half of that at most.
    assert rehearsed.cost.usd_per_1m_characters == pytest.approx(0.6 * 100 / 15 / 60 * 10_000)
    assert rehearsed.cost.price_per_1m_characters.max_usd == pytest.approx(2 * 0.6 * 100 / 15 / 60 * 10_000)


@given(characters=st.integers(1, 5000), limit=st.one_of(st.none(), st.integers(1, 1000)))
def test_a_text_beyond_the_limit_takes_several_requests(characters: int, limit: int | None) -> None:
    (by_request,) = price_per("request", 0.01).claims
    (by_character,) = price_per("character", 0.0001).claims
    both = msgspec.structs.replace(by_request, parts=(*by_request.parts, *by_character.parts))
    line = PriceFunction(claims=(both,), max_characters=limit)
    requests = math.ceil(characters / limit) if limit else 1
    assert line.compute_price_range_of_text(characters).usd == pytest.approx(requests * 0.01 + characters * 0.0001)


PLANS = (
    PlanClaim(
        name="free", monthly_fee_usd=0, included_units_per_month=10_000, usd_per_extra_unit=0, allows_extra_units=False
    ),
    PlanClaim(name="small", monthly_fee_usd=10, included_units_per_month=200_000, usd_per_extra_unit=0.00005),
    PlanClaim(name="large", monthly_fee_usd=49, included_units_per_month=1_250_000, usd_per_extra_unit=0.000045),
    PlanClaim(name="unknown fee", included_units_per_month=9_000_000, usd_per_extra_unit=0.000001),
)


@pytest.mark.parametrize(
    ("volume", "plan", "usd"),
    [
        (10_000, "small", 10),  # what is free makes no price lower
        (979_000, "small", 48.95),
        (981_000, "large", 49),
        (3_250_000, "large", 139),
    ],
)
def test_the_cheapest_plan_for_the_volume_counts(volume: int, plan: str, usd: float) -> None:
    ref = build_measured_target(price=price_per("character", 0.00005, plans=PLANS))
    (found,) = summarize_targets(build_run((build_sample(1),), targets=(ref,)), characters_per_month=volume)
    assert (found.cost.account_plan_name, found.cost.price_per_month.usd) == (plan, pytest.approx(usd))
    assert found.cost.usd_per_1m_characters == pytest.approx(usd / volume * 1e6)
    assert found.cost.free_quotas == ("10,000 characters per month (free)",)
    if plan == "large":
        assert found.cost.account_plan_text == (
            "large: $49.00 per month, 1,250,000 characters included, then $0.045 / 1,000 characters"
        )


def test_the_plan_of_a_price_that_only_a_third_party_states_is_named() -> None:
    claim = price_claim("character", 0.00005, plans=PLANS, claimant="third_party")
    ref = build_measured_target(price=TargetPrice(description="", claims=(claim,)))
    (found,) = summarize_targets(build_run((build_sample(1),), targets=(ref,)), characters_per_month=3_250_000)
    assert found.cost.price_per_month.third_party_usd == (pytest.approx(139),)
    assert found.cost.account_plan_name == "large"


def test_minutes_and_requests_of_a_plan_are_counted_as_they_are_charged() -> None:
    spoken = build_sample(1, words="x" * 50, audio_s=5.0)  # a tenth of a second per character
    plans = (PlanClaim(name="pro", monthly_fee_usd=5, included_units_per_month=100, usd_per_extra_unit=0.03),)

    def find_month_usd(unit: str) -> float | None:
        size = 60 if unit == "minute" else 1  # a claim counts seconds of audio
        of_unit = tuple(
            msgspec.structs.replace(plan, included_units_per_month=100 * size, usd_per_extra_unit=0.03 / size)
            for plan in plans
        )
        ref = build_measured_target(price=price_per(unit, 0.1, plans=of_unit))
        ref = msgspec.structs.replace(ref, max_characters=400)
        made = build_run((spoken,), targets=(ref,), provenance=Provenance.LIVE)
        (found,) = summarize_targets(made, text_length=500, characters_per_month=120_000)
        return found.cost.price_per_month.usd

    assert find_month_usd("minute") == pytest.approx(5 + (200 - 100) * 0.03)
    assert find_month_usd("request") == pytest.approx(5 + (480 - 100) * 0.03)  # 240 texts of two requests


def test_credits_are_converted_at_the_rate_of_the_user() -> None:
    ref = build_measured_target(price=price_per("request", credits=2))
    sample = msgspec.structs.replace(build_sample(1), cost=Cost(price_credits=2, charged_credits=3))
    made = build_run((sample,), targets=(ref,))
    provider = ref.id.partition("/")[0]
    assert convert_credits_to_usd(made, {"another": 1.0}) is made
    (found,) = summarize_targets(convert_credits_to_usd(made, {provider: 0.01}), text_length=100)
    assert (found.cost.price_per_request.usd, found.cost.charged_usd_per_request) == (0.02, 0.03)
    assert found.cost.usd_per_1m_characters == pytest.approx(200)


def _summarize_pareto(
    times_ms: Mapping[str, float], errors: Mapping[str, int], *, texts: int = 8
) -> list[TargetSummary]:
    samples = tuple(
        build_sample(number, target=name, total_latency_ms=ms + number)
        for name, ms in times_ms.items()
        for number in range(texts)
    )
    scores = build_score_set(samples, lambda one: errors[one.target])
    return list(
        summarize_targets(_build_live_run(samples, targets=tuple(map(build_measured_target, times_ms))), scores)
    )


def test_the_fastest_and_the_most_intelligible_are_pareto_and_one_that_is_neither_is_not() -> None:
    found = _summarize_pareto(
        {"acme/fast": 100, "acme/clear": 500, "acme/poor": 600}, {"acme/fast": 5, "acme/clear": 1, "acme/poor": 6}
    )
    assert [one.is_pareto_optimal for one in found] == [True, True, False]
    assert [one.is_among_fastest for one in found] == [True, False, False]
    assert [one.is_among_most_intelligible for one in found] == [False, True, False]


def test_a_target_is_outside_the_pareto_set_only_if_another_is_clearly_better() -> None:
    """With few texts nothing is clear, however far apart the numbers are."""
    times, errors = {"acme/fast": 100.0, "acme/slow": 900.0}, {"acme/fast": 1, "acme/slow": 4}
    assert [one.is_pareto_optimal for one in _summarize_pareto(times, errors, texts=4)] == [True, True]
    assert [one.is_pareto_optimal for one in _summarize_pareto(times, errors, texts=8)] == [True, False]


def test_a_target_that_failed_for_some_texts_is_still_compared() -> None:
    samples = tuple(
        build_sample(number, target=name, total_latency_ms=ms + number, failure=failure)
        for name, ms, failing in (("acme/fast", 100.0, 0), ("acme/slow", 900.0, 3))
        for number in range(9)
        for failure in [FAILED if number < failing else None]
    )
    refs = (build_measured_target("acme/fast"), build_measured_target("acme/slow"))
    assert [one.is_among_fastest for one in summarize_targets(_build_live_run(samples, targets=refs))] == [True, False]


def test_a_target_is_undominated_if_no_other_one_is_better_in_one_measure_and_worse_in_none() -> None:
    """Target 0 excludes 1, and 1 excludes 2, although 2 makes fewer errors than 0."""

    def build_differences(is_lower: list[tuple[int, int]]) -> PairwiseDifferences:
        means = np.zeros((3, 3))
        for low, high in is_lower:
            means[low, high], means[high, low] = -1.0, 1.0
        return PairwiseDifferences(means, np.full((3, 3), 0.1), 3.0)

    faster, clearer = build_differences([(0, 1), (0, 2), (1, 2)]), build_differences([(2, 0)])
    assert flag_undominated_targets([faster, clearer]) == [True, False, False]
    assert flag_undominated_targets([faster, build_differences([(2, 0), (2, 1)])]) == [True, False, True]


def test_equal_error_rates_leave_the_choice_to_speed() -> None:
    found = _summarize_pareto({"acme/fast": 100, "acme/slow": 900}, {"acme/fast": 2, "acme/slow": 2})
    assert [one.is_pareto_optimal for one in found] == [True, False]
    assert all(one.is_among_most_intelligible for one in found)


def test_a_target_that_streams_has_a_stream_summary() -> None:
    def streamed(number: int, gap_ms: float, underruns: int) -> Sample:
        stream = StreamArrivals(
            first_event_ms=50.0,
            chunks=((90.0, 100), (90.0 + gap_ms, 200)),
            gap_p50_ms=gap_ms,
            gap_max_ms=2 * gap_ms,
            first_speech_ms=100.0 * number,
            underruns=underruns,
            stalled_ms=10.0 * underruns,
            worst_deficit_ms=40.0 * underruns,
        )
        return msgspec.structs.replace(build_sample(number), streaming=stream)

    samples = (streamed(1, 10, 0), streamed(2, 20, 0), streamed(3, 60, 3), build_sample(4, failure=FAILED))
    (found,) = summarize_targets(build_run(samples))
    assert found.streaming is not None
    estimates = {name: getattr(found.streaming, name) for name in found.streaming.__struct_fields__}
    assert {name: (one.value, one.sample_count) for name, one in estimates.items()} == {
        "first_event_ms": (50, 3),
        "first_speech_ms": (200, 3),
        "gap_p50_ms": (20, 3),
        "gap_max_ms": (40, 3),
        "underruns_per_sample": (1, 3),
        "share_late_at_most_50_ms": (2 / 3, 3),
        "share_late_at_most_100_ms": (2 / 3, 3),
        "share_late_at_most_200_ms": (1, 3),
        "stall_time_ms": (10, 3),
    }
    (other,) = summarize_targets(build_run((build_sample(1),)))
    assert other.streaming is None


@pytest.mark.parametrize(
    ("charged", "differs"),
    [(0.01, False), (0.01 * (1 + 1e-9), False), (0.01001, True), (0.00999, True), (0.011, True)],
)
def test_a_charge_differs_from_a_price_by_more_than_rounding(charged: float, differs: bool) -> None:
    in_usd = build_sample(1, cost=Cost(price_usd=0.01, charged_usd=charged))
    in_credits = build_sample(1, cost=Cost(price_credits=0.01, charged_credits=charged))
    for one in (in_usd, in_credits):
        (found,) = summarize_targets(build_run((one,)))
        assert found.cost.charge_differs_from_price is differs


@pytest.mark.parametrize(("charged", "differs"), [(104.285, False), (104.2847, False), (104.3, False), (104.29, True)])
def test_a_charge_may_be_rounded_to_the_decimals_that_it_shows(charged: float, differs: bool) -> None:
    (found,) = summarize_targets(
        build_run((build_sample(1, cost=Cost(price_credits=104.2847, charged_credits=charged)),))
    )
    assert found.cost.charge_differs_from_price is differs


def test_any_charge_for_a_free_request_differs() -> None:
    free = build_sample(1, cost=Cost(price_usd=0.0, charged_usd=0.0))
    charged = build_sample(1, cost=Cost(price_usd=0.0, charged_usd=1e-6))
    assert not summarize_targets(build_run((free,)))[0].cost.charge_differs_from_price
    assert summarize_targets(build_run((charged,)))[0].cost.charge_differs_from_price
