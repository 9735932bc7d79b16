"""The verdict says what the numbers say, with their uncertainty, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from voicegauge.bench.target_summaries import summarize_targets
from voicegauge.model.base import Provenance
from voicegauge.model.job import AmbiguousRequest, Failure
from voicegauge.model.run import Run, TargetPrice
from voicegauge.report._ranking import RANKED_RESAMPLE_COUNT, Ranking
from voicegauge.report._run_comparison import list_main_facts
from voicegauge.report._scatter_plot import PlottedCircle, Rectangle, separate_circles
from voicegauge.report._verdict import RunVerdict
from voicegauge.report.csv_markdown import render_markdown
from voicegauge.report.html_page import render_page
from voicegauge.report.report_data import analyze_runs

from ..builders.report_runs import BROKEN, LANGUAGES_ALL, VOICES, Voice, make_run
from ..builders.runs import price_claim, price_per

FAST = Voice("acme/fast", "Fast", 500, 0.05, job=False, usd=0.01, max_characters=500)
SLOW = Voice("acme/slow", "Slow", 1_500, 0.05, job=False, usd=0.02)


def summarize(run: tuple[Path, Run]) -> tuple[RunVerdict, Ranking]:
    report = analyze_runs([run]).report.runs[0]
    return report.verdict, report.ranking


def details(verdict: RunVerdict) -> dict[str, str]:
    return {statement.topic: statement.detail for statement in verdict.statements}


def test_the_headline_has_speed_with_its_interval_intelligibility_and_price(tmp_path: Path) -> None:
    verdict, _ = summarize(make_run(tmp_path, (FAST, SLOW), repetitions=4))
    speed, intelligibility, price = verdict.headline.rstrip(".").split("; ")
    assert speed.startswith("acme/fast is 2.")
    assert speed.endswith("times as fast as acme/slow")
    assert "The times of jobs include the wait for the poll" not in details(verdict)["speed"]  # no target is a job
    assert intelligibility == "no clear difference in intelligibility"
    assert price == "acme/fast is the cheapest"
    assert "acme/fast costs $20.00 for a million characters in texts of 500 characters" in details(verdict)["price"]
    assert "All 70 requests succeeded." in details(verdict)["reliability"]


def test_indistinguishable_targets_are_named_together(tmp_path: Path) -> None:
    twin = Voice("acme/twin", "Twin", 485, 0.05, job=False)
    verdict, _ = summarize(make_run(tmp_path / "a", (FAST, twin, SLOW), repetitions=2))
    assert " are the fastest" in verdict.headline
    assert "are indistinguishable" in details(verdict)["speed"]
    verdict, _ = summarize(make_run(tmp_path / "b", (FAST, twin), repetitions=2))
    assert verdict.headline.startswith("no clear difference in speed; ")


def test_a_difference_below_the_asr_errors_is_not_claimed_without_saying_so(tmp_path: Path) -> None:
    clear = Voice("acme/clear", "Clear", 500, 0.0)
    verdict, _ = summarize(make_run(tmp_path, (clear, Voice("acme/poor", "Poor", 500, 0.035)), repetitions=4))
    assert "The times of jobs include the wait for the poll" in details(verdict)["speed"]
    assert "acme/clear makes the fewest errors, by less than the ASR's own error" in verdict.headline
    assert "own error rate on clean speech of these texts is 4.2%" in details(verdict)["intelligibility"]
    verdict, _ = summarize(make_run(tmp_path / "b", (clear, Voice("acme/bad", "Bad", 500, 0.3)), repetitions=4))
    assert "acme/clear makes the fewest errors;" in verdict.headline
    assert "ASR" not in details(verdict)["intelligibility"]


def test_differences_below_the_asr_errors_do_not_separate_targets_in_the_ranking(tmp_path: Path) -> None:
    fast, clear = Voice("acme/fast", "Fast", 490, 0.035), Voice("acme/clear", "Clear", 500, 0.0)
    run = make_run(tmp_path, (clear, fast), repetitions=4)
    analyzed = analyze_runs([run])
    ranking = analyzed.report.runs[0].ranking
    assert [one.intelligibility_points for one in ranking.targets] == [100, 100]
    assert (ranking.has_tied_errors, ranking.weights.intelligibility) == (True, 0)
    page = render_page(analyzed)
    assert "Intelligibility does not separate these targets" in page
    assert set(re.findall(r'data-intelligibility-resamples="([\d ]+)"', page)) == {
        " ".join(["100"] * RANKED_RESAMPLE_COUNT)
    }
    _, ranking = summarize(make_run(tmp_path / "b", (clear, Voice("acme/bad", "Bad", 500, 0.3)), repetitions=4))
    assert not ranking.has_tied_errors
    assert ranking.targets[0].target == "acme/clear"


def test_equal_error_rates_have_no_difference(tmp_path: Path) -> None:
    faultless = tuple(Voice(f"acme/{name}", name, 500, 0.0) for name in ("one", "two"))
    verdict, _ = summarize(make_run(tmp_path, faultless, repetitions=1))
    assert details(verdict)["intelligibility"].endswith("There is no difference.")


def test_missing_and_disputed_prices_are_named(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (VOICES[0], VOICES[5], VOICES[6]), repetitions=2)
    verdict, ranking = summarize((folder, run))
    assert "prices not comparable: 1 target has no documented price" in verdict.headline
    assert "documents of the provider contradict each other" in details(verdict)["price"]
    assert ranking.weights.price == 0

    credit_price = price_per("request", credits=7)
    last = msgspec.structs.replace(run.manifest.targets[-1], price=credit_price)
    samples = tuple(
        msgspec.structs.replace(sample, cost=msgspec.structs.replace(sample.cost, price_usd=None, price_credits=7.0))
        if sample.target == last.id
        else sample
        for sample in run.samples
    )
    manifest = msgspec.structs.replace(run.manifest, targets=(*run.manifest.targets[:-1], last))
    verdict, _ = summarize((folder, msgspec.structs.replace(run, manifest=manifest, samples=samples)))
    assert "prices not comparable: 1 target charges credits" in verdict.headline


def test_a_cheapest_target_with_a_disputed_price_says_so_in_the_headline(tmp_path: Path) -> None:
    verdict, _ = summarize(make_run(tmp_path, (FAST, VOICES[5]), repetitions=1))
    assert "acme/fast is the cheapest" in verdict.headline
    assert "pebble/stone, $100.00 (disputed: $200.00)" in details(verdict)["price"]


def test_a_target_is_the_cheapest_only_if_no_range_of_prices_overlaps_with_its_own(tmp_path: Path) -> None:
    expensive, cheap = (Voice(f"acme/{usd}", "Voice", 500, 0.05, usd=usd, disputed=usd < 0.05) for usd in (0.05, 0.03))
    verdict, ranking = summarize(make_run(tmp_path, (expensive, cheap), repetitions=1, texts=3))
    assert "acme/0.03 is not surely the cheapest: the ranges of prices overlap" in verdict.headline
    assert ranking.weights.price == 1


def test_a_price_that_only_a_third_party_states_is_a_range_and_has_no_rank(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (FAST, SLOW), repetitions=1)
    claims = tuple(price_claim("request", usd, claimant="third_party") for usd in (0.01, 0.02))
    reseller = price_claim("request", 9, claimant="reseller")
    first = msgspec.structs.replace(
        run.manifest.targets[0], price=TargetPrice(description="", claims=(*claims, reseller))
    )
    manifest = msgspec.structs.replace(run.manifest, targets=(first, *run.manifest.targets[1:]))
    verdict, ranking = summarize((folder, msgspec.structs.replace(run, manifest=manifest)))
    assert "prices not comparable: 1 target has no price of the provider" in verdict.headline
    assert "isputed" not in verdict.headline + details(verdict)["price"]
    assert ranking.weights.price == 0
    (summary,) = [t for t in summarize_targets(msgspec.structs.replace(run, manifest=manifest)) if t.target == first.id]
    assert summary.cost.comparison_price.describe() == "($20.00 to $40.00, third parties)"


def test_runs_without_results_are_described_in_their_own_words(tmp_path: Path) -> None:
    folder, failed = make_run(tmp_path, (BROKEN,), repetitions=1)
    verdict, ranking = summarize((folder, failed))
    assert verdict.headline.startswith("Nothing was measured: every request failed (")
    unusable = tuple(
        msgspec.structs.replace(sample, failure=Failure(kind="audio", message="html")) for sample in failed.samples
    )
    silent, _ = summarize((folder, msgspec.structs.replace(failed, samples=unusable)))
    assert "with audio that cannot be used)." in silent.headline
    assert ranking.targets == ()
    unreachable = tuple(
        msgspec.structs.replace(sample, failure=Failure(kind="network", message="refused")) for sample in failed.samples
    )
    verdict, _ = summarize((folder, msgspec.structs.replace(failed, samples=unreachable)))
    assert verdict.headline == "Nothing was measured: the service could not be reached."


def test_a_run_without_samples_says_nothing_of_success_prices_or_payment(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (FAST,), provenance=Provenance.EMULATED, repetitions=1)
    lost = AmbiguousRequest(
        sample_or_case_id="acme/fast/1", sent_at="2026-01-01T00:00:00Z", counted_usd=None, reason="stopped"
    )
    killed = msgspec.structs.replace(run, samples=(), score_sets=(), ambiguous_requests=(lost,))
    page = render_markdown(analyze_runs([(folder, killed)]))
    assert "No request was measured." in page
    assert "sent to the emulator, without a saved result: acme/fast/1" in page
    for claim in ("succeeded", "no price documented", "0/0", "may have been charged", "retry"):
        assert claim not in page


def test_a_rate_of_requests_replaces_the_concurrency(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (FAST,), repetitions=1)
    manifest = msgspec.structs.replace(run.manifest, requests_per_s=5.0, arrival_process="poisson")
    facts = {
        f.name: f.run_values
        for f in list_main_facts(analyze_runs([(folder, msgspec.structs.replace(run, manifest=manifest))]).report)
    }
    assert facts["Rate"] == ("5 requests/s to each target, poisson arrivals",)
    assert facts["Concurrency"] == ("",)


def test_too_few_texts_are_not_compared(tmp_path: Path) -> None:
    verdict, ranking = summarize(make_run(tmp_path, (FAST, SLOW), repetitions=3, texts=4))
    assert "too few texts to compare speed; too few texts to compare intelligibility" in verdict.headline
    assert [one.share_ranked_first for one in ranking.targets] == [None, None]


def test_speech_to_text_is_about_accuracy_and_transcripts(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (FAST, SLOW), repetitions=2, provenance=Provenance.LIVE)
    transcription = msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, kind="transcription"))
    verdict, _ = summarize((folder, transcription))
    assert "no clear difference in accuracy" in verdict.headline
    assert "until the transcript was complete" in details(verdict)["speed"]


def test_one_count_says_how_often_the_machine_was_busy(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (FAST, BROKEN), repetitions=1)
    busy = tuple(msgspec.structs.replace(one, is_disturbed=True) for one in run.samples)
    report = analyze_runs([(folder, msgspec.structs.replace(run, samples=busy))]).report
    said = "during 16 of 16 samples this machine was too busy"
    assert any(said in caution for caution in report.runs[0].verdict.cautions)
    (times,) = next(fact.run_values for fact in list_main_facts(report) if fact.name == "Error of times")
    assert said in times


def test_of_many_targets_three_are_named_and_the_others_are_counted_with_a_link(tmp_path: Path) -> None:
    lost = tuple(Voice(f"quay/lost-{i}", "Lost", 500, 1.0, failing=1.0) for i in range(6))
    run = make_run(tmp_path, (FAST, *lost), repetitions=1, texts=3)
    analyzed = analyze_runs([run])
    verdict = analyzed.report.runs[0].verdict
    assert "quay/lost-0, quay/lost-1, quay/lost-2 and 3 others delivered nothing" in verdict.headline
    assert details(verdict)["reliability"].count("quay/lost-") == 3
    assert details(verdict)["reliability"].endswith("3 others failed 6 requests.")
    assert 'quay/lost-2 and <a href="#comparison">3 others</a> delivered nothing' in render_page(analyzed)


def test_different_texts_are_not_compared(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (FAST, SLOW), languages=LANGUAGES_ALL, repetitions=1)
    english = tuple(s for s in run.samples if s.language == "en" or s.target == FAST.id)
    verdict, ranking = summarize((folder, msgspec.structs.replace(run, samples=english)))
    assert "intelligibility not comparable" in verdict.headline
    assert ranking.weights.intelligibility == 0


def test_the_ranking_has_points_and_the_share_of_resamples_in_which_a_target_is_first(tmp_path: Path) -> None:
    twin = Voice("acme/twin", "Twin", 500, 0.05, job=False, usd=0.01, max_characters=500)
    _, ranking = summarize(make_run(tmp_path, (SLOW, twin, FAST), repetitions=2))
    assert [one.target for one in ranking.targets][2] == "acme/slow"
    slow = ranking.targets[2]
    assert slow.speed_points == pytest.approx(100 / 3, abs=3)
    assert slow.price_points == pytest.approx(50)
    shares = [one.share_ranked_first or 0.0 for one in ranking.targets]
    assert sum(shares) == pytest.approx(1)
    assert slow.share_ranked_first == 0
    assert all(0.02 < share < 0.98 for share in shares[:2])


def test_overlapping_circles_are_moved_apart_within_the_frame() -> None:
    frame = Rectangle(0, 0, 300, 300)
    circles = [PlottedCircle(150, 150, 9)] * 12 + [PlottedCircle(299, 1, 17), PlottedCircle(20, 280, 9)]
    moved = separate_circles(circles, frame)
    for i, one in enumerate(moved):
        assert one.radius <= one.x <= 300 - one.radius
        assert one.radius <= one.y <= 300 - one.radius
        for other in moved[i + 1 :]:
            assert ((one.x - other.x) ** 2 + (one.y - other.y) ** 2) ** 0.5 >= one.radius + other.radius
    assert moved[-1] == circles[-1]  # it did not overlap
