from __future__ import annotations

import re
from collections import Counter
from functools import partial
from pathlib import Path

import msgspec
import pytest

from voicegauge.bench.analysis.comparison import (
    CompareSettings,
    MetricComparison,
    RunComparison,
    compare_runs,
    decide_verdict,
)
from voicegauge.bench.analysis.metric_changes import (
    ErrorCount,
    TimedSample,
    estimate_error_rate_change,
    estimate_typical_time_change,
)
from voicegauge.bench.running.store import save_run
from voicegauge.cli import run as run_command
from voicegauge.errors import DataError
from voicegauge.model import Cost, Run, Sample

from ..builders.runs import (
    FAILED,
    SUITE,
    TARGET,
    build_manifest,
    build_run,
    build_sample,
    build_score_set,
    build_target_ref,
    draw_errors,
    draw_run,
    draw_times,
    price_per,
)

ROUNDS = 100
slowly = partial(pytest.param, marks=pytest.mark.slow)
LATENCY = CompareSettings().latency
ERROR_RATE = CompareSettings().error_rate


def verdicts(found: RunComparison) -> dict[str, MetricComparison]:
    return {verdict.metric: verdict for verdict in found.metrics}


def slowdowns(*, slower: float = 1.0, **words: int) -> Counter[str]:
    """The verdicts on the total latency over many pairs of random runs."""
    found: Counter[str] = Counter()
    for seed in range(ROUNDS):
        before, after = draw_times(2 * seed, **words), draw_times(2 * seed + 1, slower=slower, **words)
        contrast = estimate_typical_time_change(before, after, CompareSettings(seed=seed).interval_settings)
        assert contrast is not None
        found[decide_verdict(contrast, LATENCY)] += 1
    return found


def mishearings(*, texts: int, before: float = 0.10, after: float = 0.10) -> Counter[str]:
    """The verdicts on WER over many pairs of random runs."""
    found: Counter[str] = Counter()
    for seed in range(ROUNDS):
        counted = draw_errors(2 * seed, texts, before), draw_errors(2 * seed + 1, texts, after)
        contrast = estimate_error_rate_change(*counted, CompareSettings(seed=seed).interval_settings)
        assert contrast is not None
        found[decide_verdict(contrast, ERROR_RATE)] += 1
    return found


@pytest.mark.parametrize("words", [{"sessions": 3}, slowly({"sessions": 1}), slowly({"sessions": 6, "texts": 8})])
def test_without_a_change_false_alarms_about_latency_are_rare(words: dict[str, int]) -> None:
    """2% of false alarms are borne, in either direction."""
    found = slowdowns(**words)
    assert found["regression"] <= 0.02 * ROUNDS
    assert found["improvement"] <= 0.02 * ROUNDS


@pytest.mark.parametrize("texts", [8, slowly(40)])
def test_without_a_change_false_alarms_about_wer_are_rare(texts: int) -> None:
    assert mishearings(texts=texts)["regression"] <= 0.02 * ROUNDS


@pytest.mark.slow
def test_a_slowdown_of_30_percent_is_found_with_enough_sessions_and_texts() -> None:
    found = slowdowns(sessions=8, texts=40, slower=1.3)
    assert found["regression"] >= 0.8 * ROUNDS
    assert found["improvement"] == 0


@pytest.mark.slow
def test_a_speedup_is_an_improvement() -> None:
    assert slowdowns(sessions=8, texts=40, slower=0.7)["improvement"] >= 0.8 * ROUNDS


@pytest.mark.slow
def test_a_worse_wer_is_found_with_enough_texts() -> None:
    assert mishearings(texts=100, after=0.20)["regression"] >= 0.9 * ROUNDS


def test_one_session_cannot_tell_a_slowdown_from_a_slow_hour() -> None:
    assert slowdowns(sessions=1, slower=1.2)["underpowered"] >= 0.9 * ROUNDS


@pytest.mark.slow
def test_many_sessions_without_a_change_are_evidence_of_none() -> None:
    assert slowdowns(sessions=8, texts=40)["no evidence"] >= 0.8 * ROUNDS


def test_a_significant_but_small_change_is_not_a_regression() -> None:
    found = compare_runs(
        draw_run(1, texts=40, drift=0.0),
        draw_run(2, texts=40, drift=0.0, slower=1.07),
        CompareSettings(session_drift=0.0),
    )
    assert verdicts(found)["total_latency_ms"].verdict == "no evidence"


def test_a_run_compared_with_itself_shows_no_change() -> None:
    made = draw_run(1, sessions=6, texts=60)
    found = compare_runs(made, made)
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
    few = [draw_run(seed, sessions=10, texts=4, repetitions=6, drift=0.0) for seed in (1, 2)]
    found = verdicts(compare_runs(*few))["total_latency_p95_ms"]
    assert (found.low, found.high, found.note) == (None, None, "fewer than 5 texts in both runs")


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
        assert (shown.baseline, shown.run, shown.change) == (200.0, 200.0, 0.0)
        assert (shown.n_baseline, shown.n_run) == (3, 3)


def failing(count: int) -> Run:
    samples = tuple(build_sample(i, failure=FAILED if i < count else None) for i in range(100))
    return build_run(samples, score_sets=(build_score_set(samples, lambda _: 0),))


def test_failures_count_as_failures_and_as_deleted_words() -> None:
    found = compare_runs(failing(0), failing(30))
    assert {verdict.metric for verdict in found.regressions} == {"failures", "wer"}
    assert verdicts(found)["wer"].run == pytest.approx(0.3)
    assert verdicts(compare_runs(failing(0), failing(0)))["failures"].verdict == "no evidence"
    assert verdicts(compare_runs(failing(30), failing(0)))["failures"].verdict == "improvement"


def test_a_target_without_audio_has_no_error_rate_to_compare() -> None:
    working, broken = failing(30), failing(100)
    for pair, sides in (
        ((broken, working), ((TARGET,), ())),
        ((working, broken), ((), (TARGET,))),
        ((broken, broken), ((TARGET,), (TARGET,))),
    ):
        found = compare_runs(*pair)
        assert "wer" not in verdicts(found)
        assert (found.no_audio_in_baseline, found.no_audio_in_run) == sides
    assert verdicts(compare_runs(working, broken))["failures"].verdict == "regression"
    found = compare_runs(working, working)
    assert (found.no_audio_in_baseline, found.no_audio_in_run) == ((), ())


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
    assert sure.low is not None
    assert 2 < sure.low < sure.change


def test_a_higher_price_is_a_regression_even_with_one_sample() -> None:
    expensive = build_run((build_sample(1),), targets=(build_target_ref(usd=0.02),))
    found = verdicts(compare_runs(build_run((build_sample(1),)), expensive))["price"]
    assert (found.verdict, found.change) == ("regression", 1.0)
    assert verdicts(compare_runs(expensive, build_run((build_sample(1),))))["price"].verdict == "improvement"


@pytest.mark.parametrize("unit", ["request", "character", "minute"])
def test_a_price_in_credits_is_compared_for_every_unit(unit: str) -> None:
    cheap, expensive = (
        build_run((build_sample(1),), targets=(build_target_ref(price=price_per(unit, credits=credits)),))
        for credits in (1000.0, 2000.0)
    )
    found = verdicts(compare_runs(cheap, expensive))["price"]
    assert (found.verdict, found.unit, found.change) == ("regression", "credits", pytest.approx(1.0))


def test_a_larger_charge_for_the_same_texts_is_a_regression() -> None:
    def charged(credits: float) -> Run:
        return build_run((build_sample(1, cost=Cost(charged_credits=credits)),))

    assert verdicts(compare_runs(charged(10), charged(20)))["charged"].verdict == "regression"
    assert verdicts(compare_runs(charged(10), charged(10)))["charged"].verdict == "no evidence"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"suite": msgspec.structs.replace(SUITE, sha256="6" * 64)}, "suite"),
        ({"provenance": "live"}, "the baseline is emulated, the run is live"),
        ({"concurrency": 2}, "--concurrency"),
        ({"targets": (build_target_ref("acme/other"),)}, "no target in common"),
    ],
)
def test_runs_that_are_not_comparable_are_rejected(change: dict[str, object], says: str) -> None:
    with pytest.raises(DataError, match=f"not comparable: .*{says}"):
        compare_runs(build_run((build_sample(1),)), build_run((build_sample(1),), **change))


@pytest.mark.parametrize("change", [{"asr": "other"}, {"normalizer": "made/2"}, {"settings": {"beam": "5"}}])
def test_scores_of_another_engine_normalizer_or_setting_are_rejected(change: dict[str, object]) -> None:
    samples = (build_sample(1),)
    scores = build_score_set(samples, lambda _: 1)
    other = msgspec.structs.replace(scores, **change)
    with pytest.raises(DataError, match="voicegauge score"):
        compare_runs(build_run(samples, score_sets=(scores,)), build_run(samples, score_sets=(other,)))


def test_of_several_score_sets_the_common_one_is_compared() -> None:
    samples: tuple[Sample, ...] = tuple(build_sample(i) for i in range(10))
    one, other = build_score_set(samples, lambda _: 1, asr="one"), build_score_set(samples, lambda _: 2, asr="other")
    found = compare_runs(build_run(samples, score_sets=(one, other)), build_run(samples, score_sets=(one,)))
    assert found.asr == "one"
    assert verdicts(found)["wer"].change == 0


def test_targets_of_one_run_alone_are_named() -> None:
    both = (build_target_ref(), build_target_ref("acme/old"))
    found = compare_runs(build_run((build_sample(1),), targets=both), build_run((build_sample(1),)))
    assert (found.only_in_baseline, found.only_in_run) == (("acme/old",), ())


@pytest.mark.parametrize("samples", [(), (msgspec.structs.replace(build_sample(1), warmup=True),)])
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
    found = estimate_error_rate_change(old, new, CompareSettings().interval_settings)
    assert found is not None
    assert (found.baseline_value, found.run_value, found.change) == (0.0, 6.0, 6.0)


def test_a_time_of_zero_has_a_finite_change() -> None:
    old, new = ([TimedSample(str(text), 1, ms) for text in range(6)] for ms in (0.0, 1.0))
    found = estimate_typical_time_change(old, new, CompareSettings().interval_settings)
    assert found is not None
    assert found.change == pytest.approx(999)


def test_charges_are_compared_as_means_of_the_common_texts() -> None:
    def charged(*amounts: float) -> Run:
        return build_run(
            tuple(build_sample(text, cost=Cost(charged_credits=amount)) for text, amount in enumerate(amounts))
        )

    found = verdicts(compare_runs(charged(10, 20), charged(10, 30, 500)))["charged"]
    assert (found.baseline, found.run, found.note) == (15.0, 20.0, "mean of 2 texts")
