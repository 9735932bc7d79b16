from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from change_detection.simulation import Design, Service, simulate_run

from voicegauge.bench._change_estimates import (
    ComparedTimes,
    EstimatedVariance,
    MeasuredVariation,
    estimate_center_of_differences,
    estimate_error_rate_change,
    estimate_time_change_between_targets,
    estimate_typical_time_change,
    estimate_variation_variance,
)
from voicegauge.bench._metric_changes import EstimatedChange, FailureRateChange, compute_student_quantile
from voicegauge.bench.comparison import compare_runs, compare_targets
from voicegauge.bench.comparison_result import (
    ChangeThreshold,
    CompareSettings,
    MetricComparison,
    RunComparison,
    compute_holm_significance_levels,
)
from voicegauge.bench.run_store import save_run
from voicegauge.bench.target_samples import ErrorCount, MeasuredTime
from voicegauge.cli import run as run_command
from voicegauge.errors import DataError
from voicegauge.model.price import PriceClaim, PricePart
from voicegauge.model.run import ListeningSet, MeasuredTarget, Run, TargetPrice
from voicegauge.model.sample import Cost, Latency, ListeningVerdict, Sample
from voicegauge.report.run_comparison import compare_with_earlier_run

from ..builders.runs import (
    FAILED,
    SUITE,
    TARGET,
    build_manifest,
    build_measured_target,
    build_run,
    build_sample,
    build_score_set,
    draw_run,
    price_per,
)

LATENCY = CompareSettings().latency_threshold
NO_VARIATION = EstimatedVariance(0.0, 10.0)


def verdicts(found: RunComparison) -> dict[str, MetricComparison]:
    return {verdict.metric: verdict for verdict in found.metrics}


def index_by_target(found: RunComparison) -> dict[tuple[str, str], MetricComparison]:
    return {(verdict.target, verdict.metric): verdict for verdict in found.metrics}


def test_holm_tests_the_smallest_p_value_hardest_and_stops_at_the_first_that_is_not_significant() -> None:
    # One-sided: 0.001 < 0.05 / 4, 0.012 < 0.05 / 3, 0.03 > 0.05 / 2; exact changes are not tested.
    assert compute_holm_significance_levels([0.024, None, 0.002, 0.06, 0.5], 0.05) == [
        0.05 / 3,
        0.05,
        0.05 / 4,
        0.05 / 2,
        0.05 / 2,
    ]


@pytest.mark.slow
def test_without_a_change_regressions_are_rare() -> None:
    """The probability is 1% for each pair of runs: three of 60 would be a one in a thousand event."""
    alarms = sum(
        bool(compare_runs(draw_run(2 * seed, sessions=1), draw_run(2 * seed + 1, sessions=1)).regressions)
        for seed in range(60)
    )
    assert alarms <= 2


def test_one_run_cannot_tell_a_slowdown_from_a_slow_night() -> None:
    for seed in range(20):
        found = compare_runs(draw_run(2 * seed, sessions=3), draw_run(2 * seed + 1, sessions=3, slower=1.2))
        assert verdicts(found)["total_latency_ms"].verdict in ("underpowered", "no evidence")


@pytest.mark.slow
def test_ten_nights_as_a_baseline_find_a_slowdown_of_30_percent() -> None:
    found, detectable = 0, []
    for seed in range(5):
        nights = [draw_run(100 * seed + night, texts=40, sessions=10) for night in range(10)]
        new = draw_run(100 * seed + 50, texts=40, sessions=10, slower=1.3)
        verdict = verdicts(compare_runs(nights, new))["total_latency_ms"]
        assert verdict.detectable_change is not None
        detectable.append(verdict.detectable_change)
        found += verdict.verdict == "regression"
    assert found >= 4
    assert np.median(detectable) < 0.3


def test_a_run_cannot_stand_for_several_nights() -> None:
    night, other, new = (draw_run(seed) for seed in (0, 1, 2))
    scored_again = msgspec.structs.replace(new, score_sets=())
    for baseline, repeated in (
        ([night, other, night], "drawn-0"),
        ([night, new], "drawn-2"),
        ([scored_again], "drawn-2"),
    ):
        with pytest.raises(DataError, match=f"the run {repeated} is given twice"):
            compare_runs(baseline, new)
    namesake = msgspec.structs.replace(other, manifest=night.manifest)  # started at the same second elsewhere
    assert len(compare_runs([night, namesake], new).baseline) == 2


def test_sessions_that_differ_more_than_assumed_widen_the_interval() -> None:
    calm, wild = MeasuredVariation(0.0, 1, 0.001, 9), MeasuredVariation(0.0, 1, 0.09, 9)
    assert estimate_variation_variance(calm, [], 0.1) == EstimatedVariance(pytest.approx(0.01), 10)
    assert estimate_variation_variance(wild, [], 0.1).variance == pytest.approx((10 * 0.01 + 9 * 0.09) / 19)


def test_five_runs_replace_the_assumed_variation_and_other_targets_moderate_it() -> None:
    own, erratic = MeasuredVariation(0.0001, 5, 0.0, 0), MeasuredVariation(0.01, 11, 0.0, 0)
    assert estimate_variation_variance(own, [], 0.5) == EstimatedVariance(pytest.approx(0.0001), 4)
    moderated = estimate_variation_variance(own, [erratic], 0.5)
    assert moderated == EstimatedVariance(pytest.approx((10 * 0.01 + 4 * 0.0001) / 14), 14)
    few = estimate_variation_variance(MeasuredVariation(0.04, 4, 0.0, 0), [erratic], 0.1)
    assert few == EstimatedVariance(pytest.approx((10 * 0.01 + 3 * 0.04) / 13), 13)


def test_targets_of_one_run_are_paired_so_that_shared_variation_cancels_out() -> None:
    def draw_both(seed: int) -> Run:
        old = draw_run(seed, texts=60, sessions=4, variation=0.8)
        samples = tuple(
            msgspec.structs.replace(
                sample,
                id=sample.id.replace(TARGET, "acme/new"),
                target="acme/new",
                latency=msgspec.structs.replace(
                    sample.latency, total_latency_ms=sample.latency.total_latency_ms * 1.1 * (1 + index % 7 / 100)
                ),
            )
            for index, sample in enumerate(old.samples)
            if sample.latency and sample.latency.total_latency_ms
        )
        both = (build_measured_target(), build_measured_target("acme/new", usd=0.03))
        return build_run(old.samples + samples, targets=both, sessions=4)

    found = compare_targets(draw_both(1), TARGET)
    slower = index_by_target(found)["acme/new", "total_latency_ms"]
    assert (slower.verdict, slower.baseline_target) == ("regression", TARGET)
    assert slower.change == pytest.approx(0.133, abs=0.01)
    assert index_by_target(found)["acme/new", "price"].change == pytest.approx(2.0)
    assert {verdict.target for verdict in found.metrics} == {"acme/new"}
    assert [one.run_id for one in found.baseline] == [found.run.run_id]


def test_sessions_in_which_only_one_target_varies_widen_the_interval() -> None:
    def draw(variation_of_second: float) -> tuple[list[MeasuredTime], list[MeasuredTime]]:
        old = [MeasuredTime(str(text), session, 100.0 + text % 7) for session in range(6) for text in range(30)]
        new = [
            MeasuredTime(
                t.text_id,
                t.session_number,
                t.time_ms * (1 + variation_of_second * (-1) ** t.session_number) + int(t.text_id) % 3,
            )
            for t in old
        ]
        return old, new

    calm, varying = (estimate_time_change_between_targets(*draw(variation)) for variation in (0.0, 0.3))
    assert calm is not None
    assert varying is not None
    assert calm.standard_error is not None
    assert varying.standard_error is not None
    assert varying.standard_error > 10 * calm.standard_error
    assert varying.degrees_of_freedom == pytest.approx(5, abs=0.5)


@pytest.mark.parametrize(
    ("runs", "baseline_target", "says"),
    [
        ((build_measured_target(),), TARGET, "no other target to compare with"),
        (
            (build_measured_target(), build_measured_target("acme/b")),
            "acme/c",
            "has no target 'acme/c'; it has acme/voice-1",
        ),
    ],
)
def test_targets_of_a_run_that_cannot_be_compared_are_rejected(
    runs: tuple[MeasuredTarget, ...], baseline_target: str, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        compare_targets(build_run((build_sample(1),), targets=runs), baseline_target)


def test_the_center_of_differences_is_the_median_of_all_averages_of_two() -> None:
    center, error = estimate_center_of_differences(np.array([1.0, 2.0, 10.0]))
    assert center == pytest.approx(3.75)  # of 1, 1.5, 2, 5.5, 6, 10
    assert error > 0
    spread = [estimate_center_of_differences(np.random.default_rng(seed).normal(0, 1, 50)) for seed in range(200)]
    centers, errors = np.array(spread).T
    assert np.mean(errors) == pytest.approx(np.std(centers), rel=0.15)


def test_many_differences_are_averaged_in_parts() -> None:
    drawn = np.random.default_rng(0).normal(5, 1, 5000)
    center, error = estimate_center_of_differences(drawn)
    assert center == pytest.approx(5, abs=0.05)
    assert error == pytest.approx(1 / math.sqrt(5000), rel=0.1)


@pytest.mark.parametrize(
    ("baseline", "run", "low", "high"),
    [
        # Newcombe 1998, table II, method 10: differences 56/70 - 48/80 and 9/10 - 3/10, sides exchanged in sign.
        ((56, 70), (48, 80), -0.3339, -0.0524),
        ((9, 10), (3, 10), -0.8090, -0.1705),
    ],
)
def test_the_interval_of_failures_is_that_of_newcombe(
    baseline: tuple[int, int], run: tuple[int, int], low: float, high: float
) -> None:
    found = FailureRateChange.of_counts(baseline, run)
    assert found is not None
    assert found.compute_interval(0.025) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    p_value = found.compute_p_value()
    assert p_value is not None
    ends = found.compute_interval(p_value / 2)
    assert ends is not None
    assert ends[1] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("degrees_of_freedom", "min_change"), [(4, 0.0), (9, 0.0), (200, 0.0), (9, 0.045)])
def test_a_change_as_large_as_is_stated_as_detectable_is_found_in_80_percent(
    degrees_of_freedom: int, min_change: float
) -> None:
    """The true standard error is 0.01; a test only has an estimate of it."""
    rng = np.random.default_rng(0)
    errors = 0.01 * np.sqrt(rng.chisquare(degrees_of_freedom, 4000) / degrees_of_freedom)

    def estimate(difference: float, error: float) -> EstimatedChange:
        return EstimatedChange(
            baseline_value=1, run_value=1, change=difference, baseline_sample_count=9, run_sample_count=9,
            difference=difference, standard_error=error, degrees_of_freedom=degrees_of_freedom,
        )  # fmt: skip

    stated = [estimate(0.0, error).compute_detectable_change(0.002, min_change) for error in errors[:100]]
    size = float(np.median([one for one in stated if one is not None]))
    critical = compute_student_quantile(0.002, degrees_of_freedom)
    found = rng.normal(size, 0.01, 4000) > np.maximum(critical * errors, min_change)
    assert np.mean(found) == pytest.approx(0.80, abs=0.04)


def test_no_change_is_stated_as_detectable_if_none_would_be_found() -> None:
    rates = [ErrorCount(str(text), int(text == 0), 12) for text in range(8)]
    change = estimate_error_rate_change(rates, rates)
    assert change is not None
    assert change.compute_detectable_change(1e-4, 0.02) is None
    failures = FailureRateChange.of_counts((0, 3), (0, 3))
    assert failures is not None
    assert failures.compute_detectable_change(0.002, 0.02) is None


@pytest.mark.parametrize("count", [60, pytest.param(600, marks=pytest.mark.slow)])
def test_a_detectable_change_of_failures_is_found_in_80_percent(count: int) -> None:
    rng = np.random.default_rng(0)
    old = rng.binomial(count, 0.02, 300)
    stated = [FailureRateChange.of_counts((int(failed), count), (int(failed), count)) for failed in old[:60]]
    size = np.median([one.compute_detectable_change(0.002, 0.02) for one in stated if one is not None])
    changes = [
        FailureRateChange.of_counts((int(before), count), (int(after), count))
        for before, after in zip(old, rng.binomial(count, 0.02 + size, 300), strict=True)
    ]
    found = [one for one in changes if one and (ends := one.compute_interval(0.002)) and ends[0] > 0]
    assert len(found) / 300 == pytest.approx(0.80, abs=0.07)


def test_the_predicted_error_of_an_error_rate_leaves_out_what_failed_requests_replace() -> None:
    """A failed request counts as twelve wrong words, in place of the words that its delivery would have had wrong."""
    rng = np.random.default_rng(0)

    def count_errors(rate: float) -> list[ErrorCount]:
        failed, errors = rng.random(60) < 0.1, rng.poisson(12 * rate, 60)
        return [
            ErrorCount(str(text), 12 if failed[text] else int(errors[text]), 12, bool(failed[text]))
            for text in range(60)
        ]

    changes = [estimate_error_rate_change(count_errors(0.2), count_errors(0.4)) for _ in range(300)]
    predicted = [one.predict_standard_error(0.18) for one in changes if one and one.predict_standard_error]
    spread = np.std([one.difference for one in changes if one])
    assert np.median(predicted) == pytest.approx(spread, rel=0.08)


def test_a_change_of_errors_is_less_certain_the_larger_it_is() -> None:
    rng = np.random.default_rng(0)

    def draw(rate: float) -> list[ErrorCount]:
        return [ErrorCount(str(text), int(rng.binomial(100, rate)), 100) for text in range(200)]

    unchanged, doubled = (estimate_error_rate_change(draw(0.05), draw(rate)) for rate in (0.05, 0.10))
    assert unchanged is not None
    assert doubled is not None
    assert unchanged.predict_standard_error is not None
    assert unchanged.predict_standard_error(0.05) == pytest.approx(doubled.standard_error, rel=0.1)
    assert unchanged.predict_standard_error(0.0) == pytest.approx(unchanged.standard_error, rel=0.1)


def test_failures_of_one_night_beside_ten_are_no_regression_more_often_than_the_level_says() -> None:
    """The interval alone excludes 0 in 0.8% at a level of 0.2%."""
    old_weights, new_weights = (
        [math.comb(count, failed) * 0.01**failed * 0.99 ** (count - failed) for failed in range(limit)]
        for count, limit in ((1200, 28), (120, 12))
    )
    false_alarms = 0.0
    for old, old_weight in enumerate(old_weights):
        for new, new_weight in enumerate(new_weights):
            if new / 120 - old / 1200 >= 0.02:
                change = FailureRateChange.of_counts((old, 1200), (new, 120))
                assert change is not None
                ends = change.compute_interval(0.002)
                false_alarms += old_weight * new_weight * (ends is not None and ends[0] > 0)
    assert false_alarms < 0.002


def test_error_rates_without_an_error_are_not_known_exactly() -> None:
    none = [ErrorCount(str(text), 0, 10) for text in range(40)]
    found = estimate_error_rate_change(none, none)
    assert found is not None
    assert found.standard_error == pytest.approx(math.sqrt(2) / 400)


def test_a_significant_but_small_change_is_not_a_regression() -> None:
    found = compare_runs(
        draw_run(1, texts=40, variation=0.0),
        draw_run(2, texts=40, variation=0.0, slower=1.07),
        CompareSettings(
            assumed_variation=0.0, latency_threshold=ChangeThreshold(min_change=0.10, required_detectable_change=0.30)
        ),
    )
    assert verdicts(found)["total_latency_ms"].verdict == "no evidence"


def later(run: Run) -> Run:
    """A run with other samples of the same numbers."""
    return msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, run_id="later"))


def test_equal_runs_show_no_change() -> None:
    made = draw_run(1, sessions=6, texts=60)
    found = compare_runs(made, later(made))
    assert {verdict.verdict for verdict in found.metrics} <= {"no evidence", "underpowered"}
    assert all(verdict.change == 0 for verdict in found.metrics)
    assert found.regressions == ()


def test_a_95th_percentile_needs_200_samples_in_each_run() -> None:
    few = verdicts(compare_runs(draw_run(1, texts=60), draw_run(2, texts=60)))["total_latency_p95_ms"]
    assert few.verdict == "underpowered"
    assert "200" in few.note
    found = compare_runs(
        draw_run(1, sessions=8, texts=60, repetitions=2),
        draw_run(2, sessions=8, texts=60, repetitions=2, slower=2.0),
    )
    assert verdicts(found)["total_latency_p95_ms"].verdict == "regression"


def test_a_95th_percentile_of_a_few_texts_has_no_interval() -> None:
    few = [draw_run(seed, sessions=10, texts=4, repetitions=6, variation=0.0) for seed in (1, 2)]
    found = verdicts(compare_runs(*few))["total_latency_p95_ms"]
    assert (found.interval_low, found.interval_high, found.note) == (None, None, "fewer than 5 texts on both sides")


def test_times_are_of_the_texts_that_both_runs_have() -> None:
    """A text that failed in one run alone must not make the other look slower."""
    texts = {1: 100.0, 2: 200.0, 3: 300.0, 4: 9000.0, 5: 9000.0}
    whole = build_run(tuple(build_sample(text, total_latency_ms=ms) for text, ms in texts.items()))
    lacking = build_run(
        tuple(
            build_sample(text, total_latency_ms=ms, failure=FAILED if ms > 1000 else None) for text, ms in texts.items()
        )
    )
    for found in (compare_runs(whole, lacking), compare_runs(lacking, whole)):
        shown = verdicts(found)["total_latency_ms"]
        assert (shown.baseline_value, shown.run_value, shown.change) == (200.0, 200.0, 0.0)
        assert (shown.baseline_sample_count, shown.run_sample_count) == (3, 3)


def failing(count: int) -> Run:
    samples = tuple(build_sample(i, failure=FAILED if i < count else None) for i in range(100))
    return build_run(samples, score_sets=(build_score_set(samples, lambda _: 0),))


def test_failures_count_as_failures_and_as_deleted_words() -> None:
    found = compare_runs(failing(0), failing(30))
    assert {verdict.metric for verdict in found.regressions} == {"failures", "wer"}
    assert verdicts(found)["wer"].run_value == pytest.approx(0.3)
    assert verdicts(compare_runs(failing(0), later(failing(0))))["failures"].verdict == "no evidence"
    assert verdicts(compare_runs(failing(30), failing(0)))["failures"].verdict == "improvement"


def test_a_target_without_audio_has_no_error_rate_to_compare() -> None:
    working, broken = failing(30), failing(100)
    for pair, sides in (
        ((broken, working), ((TARGET,), ())),
        ((working, broken), ((), (TARGET,))),
        ((broken, broken), ((TARGET,), (TARGET,))),
    ):
        found = compare_runs(pair[0], later(pair[1]))
        assert "wer" not in verdicts(found)
        assert (found.targets_without_audio_in_baseline, found.targets_without_audio_in_run) == sides
    assert verdicts(compare_runs(working, broken))["failures"].verdict == "regression"
    found = compare_runs(working, later(working))
    assert (found.targets_without_audio_in_baseline, found.targets_without_audio_in_run) == ((), ())


@pytest.mark.parametrize(("kind", "delivery"), [("speech", "audio"), ("transcription", "transcript")])
def test_compare_prints_which_run_has_no_audio_of_a_target(
    kind: str, delivery: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(tmp_path / name) for name in ("old", "new")]
    for folder, made in zip(folders, (failing(0), failing(100)), strict=True):
        save_run(Path(folder), msgspec.structs.replace(made, manifest=build_manifest(kind=kind)))
    assert run_command(["compare", *folders]) == 1
    printed = capsys.readouterr().out
    assert f"no {delivery} in the run, so no error rate: {TARGET}" in printed
    assert not re.search(r"\bwer\b", printed)


def test_a_longer_poll_interval_is_not_a_regression() -> None:
    def polled(low: float, high: float) -> Run:
        return build_run(
            tuple(build_sample(i, session=s, done=(low, high)) for i in range(20) for s in range(8)), sessions=8
        )

    wide = verdicts(compare_runs(polled(100, 5000), polled(5000, 10_000)))["completion_ms"]
    assert wide.verdict == "underpowered"
    assert wide.note == "lower and upper bound: status is only seen when polled"
    sure = verdicts(compare_runs(polled(900, 1000), polled(4900, 5000)))["completion_ms"]
    assert sure.verdict == "regression"
    assert sure.interval_low is not None
    assert 1.5 < sure.interval_low < sure.change


def test_a_higher_price_is_a_regression_even_with_one_sample() -> None:
    expensive = build_run((build_sample(1),), targets=(build_measured_target(usd=0.02),))
    found = verdicts(compare_runs(build_run((build_sample(1),)), later(expensive)))["price"]
    assert (found.verdict, found.change) == ("regression", 1.0)
    assert verdicts(compare_runs(expensive, later(build_run((build_sample(1),)))))["price"].verdict == "improvement"


@pytest.mark.parametrize("unit", ["request", "character", "minute"])
def test_a_price_in_credits_is_compared_for_every_unit(unit: str) -> None:
    cheap, expensive = (
        build_run((build_sample(1),), targets=(build_measured_target(price=price_per(unit, credits=credits)),))
        for credits in (1000.0, 2000.0)
    )
    found = verdicts(compare_runs(cheap, later(expensive)))["price"]
    assert (found.verdict, found.unit, found.change) == ("regression", "credits", pytest.approx(1.0))


def test_a_larger_charge_for_the_same_texts_is_a_regression() -> None:
    def charged(credits: float) -> Run:
        return build_run((build_sample(1, cost=Cost(charged_credits=credits)),))

    assert verdicts(compare_runs(charged(10), charged(20)))["charged"].verdict == "regression"
    assert verdicts(compare_runs(charged(10), later(charged(10))))["charged"].verdict == "no evidence"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"suite": msgspec.structs.replace(SUITE, sha256="6" * 64)}, "suite"),
        ({"provenance": "live"}, "the baseline is emulated, the run is live"),
        ({"concurrency": 2}, "--concurrency"),
        ({"targets": (build_measured_target("acme/other"),)}, "no target in common"),
    ],
)
def test_runs_that_are_not_comparable_are_rejected(change: dict[str, object], says: str) -> None:
    with pytest.raises(DataError, match=f"not comparable: .*{says}"):
        compare_runs(build_run((build_sample(1),)), later(build_run((build_sample(1),), **change)))


@pytest.mark.parametrize("change", [{"asr": "other"}, {"normalizer": "made/2"}, {"settings": {"beam": "5"}}])
def test_scores_of_another_engine_normalizer_or_setting_are_rejected(change: dict[str, object]) -> None:
    samples = (build_sample(1),)
    scores = build_score_set(samples, lambda _: 1)
    other = msgspec.structs.replace(scores, **change)
    with pytest.raises(DataError, match="voicegauge score"):
        compare_runs(build_run(samples, score_sets=(scores,)), later(build_run(samples, score_sets=(other,))))


def test_runs_of_different_texts_say_how_many_they_have_in_common(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    few, many = (draw_run(seed, texts=texts) for seed, texts in ((1, 4), (2, 40)))
    found = compare_runs(few, many)
    assert (found.common_text_count, found.text_count_only_in_baseline, found.text_count_only_in_run) == (4, 0, 36)
    assert compare_runs(few, draw_run(3, texts=4)).describe_text_overlap() == ""
    folders = save_runs(tmp_path, few, many)
    assert run_command(["compare", *folders]) == 0
    assert (
        "only 4 common texts; 36 texts are in one run only (0 in the baseline, 36 in the run)"
        in capsys.readouterr().out
    )
    for format_name in ("markdown", "html"):
        assert run_command(["report", *folders, "--format", format_name, "--out", "-"]) == 0
        assert "only 4 common texts; 36 texts are in one run only" in capsys.readouterr().out
    with pytest.raises(DataError, match="no text in common"):
        compare_runs(build_run((build_sample("a"),)), build_run((build_sample("b"),)))


def test_on_a_pipe_no_word_of_a_verdict_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    target = "acme/" + "long-name-of-a-target-" * 4
    runs = (
        build_run(
            tuple(build_sample(text, target=target, done=(900.0, 1000.0)) for text in range(20)),
            targets=(build_measured_target(target),),
            run_id=run_id,
        )
        for run_id in ("early", "late")
    )
    run_command(["compare", "--all", "--fail-on", "never", *save_runs(tmp_path, *runs)])
    rows = [line for line in capsys.readouterr().out.splitlines() if target in line]
    metrics = ["submit_latency_ms", "ttfa_ms", "completion_ms", "total_latency_ms", "total_latency_p95_ms"]
    assert [row.split()[1] for row in rows] == [*metrics, "failures", "price"]


def test_of_several_score_sets_the_common_one_is_compared() -> None:
    samples: tuple[Sample, ...] = tuple(build_sample(i) for i in range(10))
    one, other = build_score_set(samples, lambda _: 1, asr="one"), build_score_set(samples, lambda _: 2, asr="other")
    found = compare_runs(build_run(samples, score_sets=(one, other)), later(build_run(samples, score_sets=(one,))))
    assert found.asr == "one"
    assert verdicts(found)["wer"].change == 0


def test_targets_of_one_run_alone_are_named() -> None:
    both = (build_measured_target(), build_measured_target("acme/old"))
    found = compare_runs(build_run((build_sample(1),), targets=both), later(build_run((build_sample(1),))))
    assert (found.targets_only_in_baseline, found.targets_only_in_run) == (("acme/old",), ())


@pytest.mark.parametrize("samples", [(), (msgspec.structs.replace(build_sample(1), is_warmup=True),)])
def test_a_run_without_a_sample_is_not_comparable(samples: tuple[Sample, ...]) -> None:
    for pair in (
        (build_run(samples), build_run((build_sample(1),))),
        (build_run((build_sample(1),)), build_run(samples)),
    ):
        with pytest.raises(DataError, match="has no sample"):
            compare_runs(*pair)


def test_error_counts_of_empty_references_are_divided_by_one() -> None:
    old = [ErrorCount(str(text), 0, 0) for text in range(6)]
    new = [ErrorCount(str(text), 1, 0) for text in range(6)]
    found = estimate_error_rate_change(old, new)
    assert found is not None
    assert (found.baseline_value, found.run_value, found.change) == (0.0, 6.0, 6.0)


def test_a_time_of_zero_has_a_finite_change() -> None:
    old, new = (ComparedTimes([[MeasuredTime(str(text), 1, ms) for text in range(6)]]) for ms in (0.0, 1.0))
    found = estimate_typical_time_change(old, new, NO_VARIATION)
    assert found is not None
    assert found.change == pytest.approx(999)


def test_charges_are_compared_as_means_of_the_common_texts() -> None:
    def charged(*amounts: float) -> Run:
        return build_run(
            tuple(build_sample(text, cost=Cost(charged_credits=amount)) for text, amount in enumerate(amounts))
        )

    found = verdicts(compare_runs(charged(10, 20), charged(10, 30, 500)))["charged"]
    assert (found.baseline_value, found.run_value, found.note) == (15.0, 20.0, "mean of 2 texts")


def save_runs(folder: Path, *runs: Run) -> list[str]:
    for number, run in enumerate(runs):
        save_run(folder / str(number), run)
    return [str(folder / str(number)) for number in range(len(runs))]


def test_runs_that_are_not_complete_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [draw_run(seed, texts=5) for seed in (1, 2)]
    partial = msgspec.structs.replace(runs[1], manifest=msgspec.structs.replace(runs[1].manifest, is_finished=False))
    run_command(["compare", *save_runs(tmp_path, runs[0], partial), "--fail-on", "never"])
    assert "not complete, so the samples so far are compared: drawn-2\n" in capsys.readouterr().out


def test_different_versions_of_http_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [draw_run(seed, texts=5) for seed in (1, 2)]
    newer = msgspec.structs.replace(runs[1], manifest=msgspec.structs.replace(runs[1].manifest, uses_http2=True))
    run_command(["compare", *save_runs(tmp_path, runs[0], newer), "--fail-on", "never"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "different versions of HTTP, which alone can change times: drawn-1: HTTP/1.1 drawn-2: HTTP/2" in printed
    found = compare_runs(runs[0], newer)
    assert (found.baseline[0].uses_http2, found.run.uses_http2) == (False, True)
    run_command(["report", *(str(tmp_path / name) for name in "01"), "--out", "-"])
    assert "HTTP/2 with servers that support it" in capsys.readouterr().out


def _listen_to_wrong_audio(run: Run) -> Run:
    """Return the run with the verdict on each sample that its audio is not speech."""
    verdicts = tuple(
        ListeningVerdict(sample_id=one.id, outcome="wrong", rule="audio-not-speech", explanation="noise")
        for one in run.samples
    )
    return msgspec.structs.replace(run, listening=ListeningSet(method="test", verdicts=verdicts))


def test_two_runs_show_the_latency_that_cannot_be_judged_other_base_urls_and_wrong_audio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider = TARGET.partition("/")[0]
    runs = []
    for number, slower in enumerate((1.0, 1.2)):
        run = _listen_to_wrong_audio(draw_run(number, texts=30, slower=slower))
        manifest = msgspec.structs.replace(run.manifest, base_urls={provider: f"http://127.0.0.1:890{number}"})
        runs.append(msgspec.structs.replace(run, manifest=manifest))
    assert run_command(["compare", *save_runs(tmp_path, *runs), "--markdown", str(tmp_path / "out.md")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    (total,) = [one for one in compare_runs(runs[0], runs[1]).metrics if one.metric == "total_latency_ms"]
    assert total.verdict == "underpowered"
    assert "total_latency_ms" in printed
    assert f"{total.change:+.1%}" in printed
    assert "underpowered: cannot be judged" in printed
    urls = "http://127.0.0.1:8900 in the baseline, http://127.0.0.1:8901 in the run"
    assert f"measured at different base URLs: {provider}: {urls}" in printed
    assert f"WARNING: {TARGET}: the audio of 100% of the samples of the baseline and of 100% of the run" in printed
    assert "different base URLs" in (tmp_path / "out.md").read_text()
    (difference,) = compare_with_earlier_run(runs, ["A", "B"])
    assert f"the change of the total latency cannot be judged: {TARGET} ({total.change:+.1%}, " in difference.headline
    assert "no clear change" not in difference.headline


def test_few_texts_show_what_was_measured_and_how_to_judge_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = save_runs(tmp_path, draw_run(1, texts=2), draw_run(2, texts=2, slower=6.0))
    assert run_command(["compare", *folders, "--markdown", str(tmp_path / "out.md")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(r"\d ms \+\d+\.\d% underpowered total_latency_ms [\d,]+ ms", printed)
    assert "fewer than 5 texts on both sides; measure with `bench --limit 5` or more on both sides" in printed
    assert "more verdicts: --all prints each" in printed
    assert "BASELINE..." not in printed
    assert "total\\_latency\\_ms" in (tmp_path / "out.md").read_text()


def _draw_unreliable_run() -> Run:
    """A run in which every second request needed ten times as long as in a run of `draw_run`."""
    run = draw_run(2, texts=6, sessions=1)
    samples = []
    for number, one in enumerate(run.samples):
        assert one.latency is not None
        slow_ms = (one.latency.total_latency_ms or 0.0) * (10.0 if number % 2 else 1.0)
        samples.append(
            msgspec.structs.replace(one, latency=Latency(submit_latency_ms=slow_ms, total_latency_ms=slow_ms))
        )
    return msgspec.structs.replace(run, samples=tuple(samples))


def test_what_looks_much_worse_but_is_not_judged_is_shown_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = save_runs(tmp_path, draw_run(1, texts=6, sessions=1), _draw_unreliable_run())
    page = tmp_path / "out.md"
    assert run_command(["compare", *folders, "--markdown", str(page)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(r"total_latency_ms \S+ ms .*underpowered", printed)
    assert "0 regressions, 0 improvements" in printed
    assert " of them much worse)" in printed
    slower = rf"much worse, but not judged: [^:]*\btotal_latency_ms of {TARGET}\b[^:]*: its interval includes no "
    assert re.search(slower, printed)
    needed = f"total_latency_p95_ms of {TARGET}: a 95th percentile needs 200 samples on each side"
    assert f"much worse, but not judged: {needed}" in printed
    assert "use more texts, --repetitions and --sessions on both sides" in printed
    assert "more texts help little" not in printed
    assert "much worse, but not judged" in page.read_text()
    assert run_command(["compare", *reversed(folders)]) == 0
    assert "much worse" not in capsys.readouterr().out


@pytest.mark.parametrize("texts", [3, 60])
def test_all_that_is_counted_as_much_worse_is_shown_beside_a_proven_slowdown_and_too_few_texts_too(texts: int) -> None:
    found = compare_runs(draw_run(1, texts=texts), draw_run(2, texts=texts, slower=6.0))
    assert "total_latency_p95_ms" in {one.metric for one in found.unproven_worsenings}
    assert f"({len(found.unproven_worsenings)} of them much worse)" in found.describe_verdict_counts()
    assert set(found.unproven_worsenings) <= set(found.list_shown_metrics())
    assert f"total_latency_p95_ms of {TARGET}" in " ".join(found.describe_unproven_worsenings())
    named = " ".join(found.describe_unproven_worsenings())
    assert (f"total_latency_ms of {TARGET}" in named) == (texts < 5), "a proven slowdown, or one of too few texts"
    changes = [one.change for one in found.unproven_worsenings]
    assert changes == sorted(changes, reverse=True)
    shown = found.list_shown_metrics()
    assert len(shown) == len(set(shown))


def test_compare_takes_several_runs_as_a_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights = [draw_run(seed, texts=30, sessions=10) for seed in range(6)]
    folders = save_runs(tmp_path, *nights, draw_run(50, texts=30, sessions=10, slower=1.6))
    assert run_command(["compare", *folders]) == 1
    assert "regression" in capsys.readouterr().out
    assert run_command(["compare", *folders, "--fail-on", "never"]) == 0
    assert run_command(["compare", *folders[:3]]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "name five or more runs of different days as BASELINE..." in printed
    assert run_command(["compare", *folders[:3], "--fail-on", "underpowered"]) == 1


def test_compare_against_a_target_of_the_same_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = (build_measured_target("acme/old"), build_measured_target("acme/new"))
    samples = tuple(
        build_sample(text, target=ref.id, session=session, total_latency_ms=(300.0 + text) * factor)
        for session in (1, 2)
        for text in range(20)
        for ref, factor in zip(both, (1.0, 1.4), strict=True)
    )
    (folder,) = save_runs(tmp_path, build_run(samples, targets=both, sessions=2))
    assert run_command(["compare", folder, "--against", "acme/old"]) == 1
    printed = capsys.readouterr().out
    assert "acme/new" in printed
    assert "+40.0%" in printed
    assert re.search(r"\bslower\b", printed)
    assert re.search(r"compared with acme/old: 1 worse \(in \d metrics\), 0 better, ", printed)
    assert "regression" not in printed
    assert run_command(["compare", folder, "--against", "acme/new", "--markdown", str(tmp_path / "out.md")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"\bfaster\b", printed)
    assert "improvement" not in printed
    assert "regression" not in (tmp_path / "out.md").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{0}"], "name a baseline and a run, or the targets to compare with --against TARGET"),
        (["{0}", "{1}", "--against", TARGET], "--against compares the targets of one run"),
        (["{0}", "--against", "acme/other"], "has no target 'acme/other'"),
        (["{0}", "--against", TARGET], "no other target"),
        (["{0}", "nowhere"], "nowhere"),
        (["{0}", "{0}/../0/run.json"], "the run drawn-1 is given twice"),
        (["{0}", "{1}", "{1}"], "the run drawn-2 is given twice"),
    ],
)
def test_arguments_of_compare_that_do_not_fit_are_rejected_in_one_line(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = save_runs(tmp_path, draw_run(1), draw_run(2))
    assert run_command(["compare", *(word.format(*folders) for word in words)]) == 2
    printed = capsys.readouterr().err
    assert says in printed
    assert "Traceback" not in printed


def test_one_slowdown_is_one_regression_with_its_parts_and_what_was_not_judged_is_counted() -> None:
    design = dataclasses.replace(Design(texts=40, sessions=1), is_variation_shared=True)
    rng = np.random.default_rng(5)
    before = simulate_run({"acme/a": Service(), "acme/b": Service()}, design, rng)
    after = simulate_run({"acme/a": Service(slowdown=3.0), "acme/b": Service()}, design, rng, night=1)
    found = compare_runs(before, after)
    (slowdown,) = found.group_metrics_by_cause("regression")
    assert slowdown[0].metric == "total_latency_ms"
    assert {one.metric for one in slowdown} == {"submit_latency_ms", "ttfa_ms", "total_latency_ms"}
    assert found.describe_verdict_counts().startswith("1 regression (in 3 metrics), 0 improvements, ")
    (difference,) = compare_with_earlier_run([before, after], ["A", "B"])
    assert difference.headline.count("acme/a worse in ") == 1
    unjudged = sum(one.verdict == "underpowered" for one in found.metrics)
    assert unjudged
    assert f"{unjudged} of {len(found.metrics)} metrics could not be judged" in difference.headline


def test_credits_of_two_providers_are_never_compared() -> None:
    def price_in_credits(name: str, amount: float) -> MeasuredTarget:
        return build_measured_target(name, price=price_per("request", credits=amount))

    samples = tuple(build_sample(text, target=name) for name in ("acme/a", "acme/b", "other/c") for text in range(6))
    refs = (price_in_credits("acme/a", 1000), price_in_credits("acme/b", 50), price_in_credits("other/c", 50))
    found = compare_targets(build_run(samples, targets=refs), "acme/a")
    assert {one.target for one in found.metrics if one.unit == "credits"} == {"acme/b"}


def price_tokens(name: str, *, typical: float, highest: float, usd: float = 1e-5) -> MeasuredTarget:
    """Return a target whose price is by tokens, of which a character takes `typical` and at most `highest`."""
    part = PricePart(unit="token", usd_per_unit=usd, units_per_character=typical, max_units_per_character=highest)
    claim = PriceClaim(claimant="price_page", parts=(part,))
    return build_measured_target(name, price=TargetPrice(claims=(claim,), description="by tokens"))


@pytest.mark.parametrize(
    ("highest", "usd_of_other", "verdict", "interval"),
    [
        # 500 characters: typically $0.0056, at most $0.03, and no document states the least.
        (6.0, 0.005, "underpowered", (-1.0, 5.0)),
        (6.0, 0.02, "underpowered", (-1.0, 0.5)),
        (6.0, 0.04, "improvement", (-1.0, -0.25)),
        (1.12, 0.005, "regression", (0.12, 0.12)),
    ],
)
def test_a_price_for_estimated_usage_is_compared_with_its_bounds(
    highest: float, usd_of_other: float, verdict: str, interval: tuple[float, float]
) -> None:
    targets = build_measured_target("acme/a", usd=usd_of_other), price_tokens("other/b", typical=1.12, highest=highest)
    samples = tuple(build_sample(text, target=one.id) for one in targets for text in range(6))
    found = compare_targets(build_run(samples, targets=targets), "acme/a")
    (price,) = (one for one in found.metrics if one.metric == "price")
    assert price.verdict == verdict
    assert (price.interval_low, price.interval_high) == pytest.approx(interval)
    assert ("at most $0.03" in price.note) == (highest > 1.12)


def test_a_higher_price_of_a_token_of_one_target_is_a_regression_although_usage_is_estimated() -> None:
    before, after = (price_tokens(TARGET, typical=1, highest=6, usd=usd) for usd in (1e-5, 2e-5))
    found = compare_runs(
        build_run((build_sample(1),), targets=(before,)), later(build_run((build_sample(1),), targets=(after,)))
    )
    price = verdicts(found)["price"]
    assert (price.verdict, price.change, price.interval_low) == ("regression", pytest.approx(1.0), pytest.approx(1.0))
