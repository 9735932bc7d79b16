"""The verdict says what the numbers say, with their uncertainty, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from voicegauge.bench.target_samples import summarize_places
from voicegauge.bench.target_summaries import summarize_targets
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import AmbiguousRequest, Failure
from voicegauge.model.run import KnownWords, ListeningSet, Run, TargetPrice
from voicegauge.model.sample import ListeningVerdict
from voicegauge.report._ranking import Ranking
from voicegauge.report._verdict import RunVerdict
from voicegauge.report.html_page import render_page
from voicegauge.report.report_data import analyze_runs
from voicegauge.report.run_comparison import list_main_facts, render_markdown

from ..builders.report_runs import BROKEN, LANGUAGES_ALL, VOICES, Voice, crowd, make_run
from ..builders.runs import price_claim, price_per

FAST = Voice("acme/fast", "Fast", 500, 0.05, job=False, usd=0.01, max_characters=500)
SLOW = Voice("acme/slow", "Slow", 1_500, 0.05, job=False, usd=0.02)


def summarize(run: tuple[Path, Run]) -> tuple[RunVerdict, Ranking]:
    report = analyze_runs([run]).report.runs[0]
    return report.verdict, report.ranking


def summaries(verdict: RunVerdict) -> dict[str, str]:
    return {statement.topic: statement.summary for statement in verdict.statements}


def details(verdict: RunVerdict) -> dict[str, str]:
    return {statement.topic: statement.detail for statement in verdict.statements}


def test_the_headline_decides_and_short_facts_have_speed_intelligibility_and_price(tmp_path: Path) -> None:
    verdict, ranking = summarize(make_run(tmp_path, (FAST, SLOW), repetitions=4))
    assert verdict.headline == "With equal weights for speed and price: acme/fast."
    assert verdict.headline == f"{ranking.decision}."
    speed, intelligibility, price, _ = summaries(verdict).values()
    assert speed.startswith("acme/fast is 2.")
    assert speed.endswith("times as fast as acme/slow")
    assert "The times of jobs include the wait for the poll" not in details(verdict)["speed"]  # no target is a job
    assert intelligibility == "no clear difference in intelligibility"
    assert price == "acme/fast is the cheapest"
    assert "acme/fast costs $20.00 for a million characters in texts of 500 characters" in details(verdict)["price"]
    assert "All 70 requests succeeded." in details(verdict)["reliability"]


def test_indistinguishable_targets_are_named_together(tmp_path: Path) -> None:
    twin = Voice("acme/twin", "Twin", 485, 0.05, job=False, usd=0.01, max_characters=500)
    verdict, _ = summarize(make_run(tmp_path / "a", (FAST, twin, SLOW), repetitions=2))
    names = {"acme/fast", "acme/twin"}
    assert {f"{one} cannot be distinguished from the fastest, {(names - {one}).pop()}" for one in names} & {
        summaries(verdict)["speed"]
    }
    assert "1 target is slower" in details(verdict)["speed"]
    verdict, _ = summarize(make_run(tmp_path / "b", (FAST, twin), repetitions=2))
    assert summaries(verdict)["speed"] == "no clear difference in speed"
    assert " or " in verdict.headline


def test_a_difference_below_the_asr_errors_is_not_claimed_without_saying_so(tmp_path: Path) -> None:
    clear = Voice("acme/clear", "Clear", 500, 0.0)
    verdict, _ = summarize(make_run(tmp_path, (clear, Voice("acme/poor", "Poor", 500, 0.035)), repetitions=16))
    assert "The times of jobs include the wait for the poll" in details(verdict)["speed"]
    assert (
        "acme/clear makes the fewest errors, by less than the ASR's own error" in summaries(verdict)["intelligibility"]
    )
    assert "own error rate on clean speech of these texts is 4.2%" in details(verdict)["intelligibility"]
    verdict, _ = summarize(make_run(tmp_path / "b", (clear, Voice("acme/bad", "Bad", 500, 0.3)), repetitions=4))
    assert summaries(verdict)["intelligibility"] == "acme/clear makes the fewest errors"
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
    assert set(re.findall(r'data-intelligibility-leads="([-\d ]+)"', page)) == {"0 0"}
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
    assert "prices not comparable: 1 target has no documented price" in summaries(verdict)["price"]
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
    assert "prices not comparable: 1 target charges credits" in summaries(verdict)["price"]


def test_a_cheapest_target_with_a_disputed_price_says_so_in_the_headline(tmp_path: Path) -> None:
    verdict, _ = summarize(make_run(tmp_path, (FAST, VOICES[5]), repetitions=1))
    assert "acme/fast is the cheapest" in summaries(verdict)["price"]
    assert "pebble/stone, $100.00 (disputed: $200.00)" in details(verdict)["price"]


def test_a_target_is_the_cheapest_only_if_no_range_of_prices_overlaps_with_its_own(tmp_path: Path) -> None:
    expensive, cheap = (Voice(f"acme/{usd}", "Voice", 500, 0.05, usd=usd, disputed=usd < 0.05) for usd in (0.05, 0.03))
    verdict, ranking = summarize(make_run(tmp_path, (expensive, cheap), repetitions=1, texts=3))
    assert "acme/0.03 is not surely the cheapest: the ranges of prices overlap" in summaries(verdict)["price"]
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
    assert "prices not comparable: 1 target has no price of the provider" in summaries(verdict)["price"]
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


@pytest.mark.parametrize("provenance", [Provenance.LIVE, Provenance.EMULATED])
def test_lost_samples_are_counted_beside_the_measured_ones(tmp_path: Path, provenance: Provenance) -> None:
    folder, run = make_run(tmp_path, (FAST, SLOW), provenance=provenance, repetitions=2, texts=4, scored=False)
    stopped = Failure(kind="interrupted", message="the worker ended")
    run = msgspec.structs.replace(
        run, samples=tuple(msgspec.structs.replace(one, is_warmup=False) for one in run.samples)
    )
    lost = {one.id for one in run.samples[:7]}
    samples = tuple(
        msgspec.structs.replace(one, failure=stopped, latency=None, audio=None, place="oslo") if one.id in lost else one
        for one in run.samples
    )
    run = msgspec.structs.replace(run, samples=samples)
    analyzed = analyze_runs([(folder, run)])
    targets = analyzed.report.runs[0].targets
    assert [(one.success_count, one.requested_count) for one in targets] == [(4, 8), (5, 8)]
    assert all(one.failure_count == 0 for one in targets), "no failure of the provider"
    assert [(one.sample_count, one.lost_count) for one in summarize_places(run)] == [(0, 4), (0, 3)]
    said = details(analyzed.report.runs[0].verdict)["reliability"]
    assert said.startswith("9 of 16 requests succeeded. 7 samples were sent and have no saved result")
    page = render_page(analyzed)
    assert "No measured request failed; of 7 sent requests, no result was saved." in page
    for text in (page, render_markdown(analyzed)):
        assert "9 of 16 requests" in text
        assert "4 more lost" in text
        for claim in ("All 9 requests succeeded", "No request failed.", "9 of 9 requests"):
            assert claim not in text


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
    assert [one.group for one in ranking.targets] == [None, None]


def test_speech_to_text_is_about_accuracy_and_transcripts(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (FAST, SLOW), repetitions=2, provenance=Provenance.LIVE)
    transcription = msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, kind="transcription"))
    verdict, _ = summarize((folder, transcription))
    assert "no clear difference in accuracy" in summaries(verdict)["intelligibility"]
    assert "until the transcript was complete" in details(verdict)["speed"]


def test_one_count_says_how_often_the_machine_was_busy(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (FAST, BROKEN), repetitions=1)
    busy = tuple(msgspec.structs.replace(one, is_disturbed=True) for one in run.samples)
    report = analyze_runs([(folder, msgspec.structs.replace(run, samples=busy))]).report
    said = "during 16 of 16 samples this machine was busy for more than 10 ms or 1% of the latency"
    assert any(said in caution for caution in report.runs[0].verdict.cautions)
    (times,) = next(fact.run_values for fact in list_main_facts(report) if fact.name == "Error of times")
    assert said in times


def test_repeated_requests_are_a_caution(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (FAST, SLOW), repetitions=1)
    repeated = tuple(msgspec.structs.replace(one, submit_count=2, retried_statuses=(503,)) for one in run.samples)
    run = msgspec.structs.replace(run, samples=repeated)
    verdict = analyze_runs([(folder, run)]).report.runs[0].verdict
    count = sum(one.target == FAST.id for one in run.select_counted_samples())
    said = f"{FAST.id}: requests were repeated {count} times after 503, for {count} samples; the waits count as latency"
    assert f"Repeated requests: {said}." in verdict.cautions


def test_of_many_targets_three_are_named_and_the_others_are_counted_with_a_link(tmp_path: Path) -> None:
    lost = tuple(Voice(f"quay/lost-{i}", "Lost", 500, 1.0, failing=1.0) for i in range(6))
    run = make_run(tmp_path, (FAST, *lost), repetitions=1, texts=3)
    analyzed = analyze_runs([run])
    verdict = analyzed.report.runs[0].verdict
    assert "quay/lost-0, quay/lost-1, quay/lost-2 and 3 others delivered nothing" in summaries(verdict)[
        "reliability"
    ].replace("Quay", "quay")
    assert details(verdict)["reliability"].count("quay/lost-") == 3
    assert details(verdict)["reliability"].endswith("3 others failed 6 requests.")
    assert 'quay/lost-2 and <a href="#comparison">3 others</a> delivered nothing' in render_page(analyzed)


def test_different_texts_are_not_compared(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (FAST, SLOW), languages=LANGUAGES_ALL, repetitions=1)
    english = tuple(s for s in run.samples if s.language == "en" or s.target == FAST.id)
    verdict, ranking = summarize((folder, msgspec.structs.replace(run, samples=english)))
    assert "intelligibility not comparable" in summaries(verdict)["intelligibility"]
    assert ranking.weights.intelligibility == 0


def test_the_ranking_has_points_and_groups_that_can_be_distinguished(tmp_path: Path) -> None:
    twin = Voice("acme/twin", "Twin", 500, 0.05, job=False, usd=0.01, max_characters=500)
    _, ranking = summarize(make_run(tmp_path, (SLOW, twin, FAST), repetitions=2))
    assert [one.target for one in ranking.targets][2] == "acme/slow"
    slow = ranking.targets[2]
    assert slow.speed_points == pytest.approx(100 / 3, abs=3)
    assert slow.price_points == pytest.approx(50)
    assert [one.group for one in ranking.targets] == [1, 1, 2]
    assert ranking.decision in {
        f"With equal weights for speed and price: acme/{one} or acme/{other}"
        for one, other in (("fast", "twin"), ("twin", "fast"))
    }


def test_a_free_target_leaves_the_price_points_of_the_others_apart(tmp_path: Path) -> None:
    own = Voice("own/server", "Own", 2_000, 0.05, job=False, usd=0.0)
    verdict, ranking = summarize(make_run(tmp_path, (own, FAST, SLOW), repetitions=2))
    points = {one.target: one.price_points for one in ranking.targets}
    assert points == pytest.approx({"own/server": 100, "acme/fast": 100, "acme/slow": 50})
    assert verdict.headline.startswith("With equal weights for speed and price: acme/fast")


def test_error_rates_that_must_not_be_interpreted_are_in_no_headline_and_no_ranking(tmp_path: Path) -> None:
    bad = Voice("acme/bad", "Bad", 500, 0.6)
    folder, run = make_run(tmp_path, (FAST, bad), repetitions=2)
    unknown = KnownWords(word_count=90, unknown_word_count=34)
    scores = msgspec.structs.replace(run.score_sets[-1], has_closed_vocabulary=True, known_words=unknown)
    verdict, ranking = summarize((folder, msgspec.structs.replace(run, score_sets=(scores,))))
    assert ranking.weights.intelligibility == 0
    assert summaries(verdict)["intelligibility"] == "intelligibility not measured"
    assert "34 of 90 words unknown" in details(verdict)["intelligibility"]
    assert "intelligibility" not in verdict.headline


def test_a_charge_that_differs_from_the_documented_price_is_in_the_headline(tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (FAST, SLOW), repetitions=1)
    samples = tuple(
        msgspec.structs.replace(one, cost=msgspec.structs.replace(one.cost, charged_usd=0.02))
        if one.target == FAST.id
        else one
        for one in run.samples
    )
    charged = folder, msgspec.structs.replace(run, samples=samples)
    verdict, _ = summarize(charged)
    assert verdict.headline.endswith("; acme/fast charged 2 times the documented price.")
    assert "acme/fast charged 2 times the documented price" in render_markdown(analyze_runs([charged]))
    assert "acme/fast charged 2 times the documented price" in render_page(analyze_runs([charged]))


def _let_first_clips_be_wrong(run: Run) -> Run:
    first = {one.target: one.id for one in reversed(run.samples) if one.audio is not None and one.is_counted}
    verdicts = tuple(
        ListeningVerdict(sample_id=name, outcome="wrong", rule="spoken-text-other", explanation="another text")
        for name in first.values()
    )
    return msgspec.structs.replace(run, listening=ListeningSet(method="made/1", verdicts=verdicts))


def test_the_headline_of_a_rehearsal_names_nobody_among_several(tmp_path: Path) -> None:
    failing = Voice("north/sleet", "Sleet", 900, 0.1, failing=0.5)
    for voices in ((FAST, failing, BROKEN), (failing,)):
        run = make_run(tmp_path / str(len(voices)), voices, provenance=Provenance.EMULATED, repetitions=1)
        verdict = analyze_runs([run]).report.runs[0].verdict
        assert verdict.headline.startswith("EMULATED: ")
        assert ("north/sleet" in verdict.headline) == (len(voices) == 1)
        judged = analyze_runs([(run[0], _let_first_clips_be_wrong(run[1]))]).report.runs[0].verdict
        assert judged.headline.count("wrong audio") == 1
        assert ("north/sleet" in judged.headline) == (len(voices) == 1)
        assert "north/sleet" in details(verdict)["reliability"]


@pytest.mark.parametrize("warmups", [0, 2])
def test_the_documented_cost_of_a_rehearsal_says_whether_warm_ups_are_missing(warmups: int, tmp_path: Path) -> None:
    folder, run = make_run(tmp_path, (FAST,), provenance=Provenance.EMULATED, repetitions=1)
    manifest = msgspec.structs.replace(run.manifest, warmup_request_count=warmups)
    verdict = analyze_runs([(folder, msgspec.structs.replace(run, manifest=manifest))]).report.runs[0].verdict
    sentence = details(verdict)["rehearsal"]
    assert "the same requests cost about $" in sentence
    assert ("without warm-ups (charged too)" in sentence) is bool(warmups)


def test_a_large_group_that_cannot_be_distinguished_is_counted_and_not_named(tmp_path: Path) -> None:
    run = make_run(tmp_path, crowd(9), repetitions=1)
    analyzed = analyze_runs([run])
    ranking = analyzed.report.runs[0].ranking
    assert ranking.decision.startswith("With equal weights: 9 targets cannot be distinguished")
    assert "crowd/" not in ranking.decision
