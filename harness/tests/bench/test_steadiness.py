"""How much deliveries of one text differ, and whether the voice of a target is another one in another run."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path
from typing import Literal

import msgspec
import pytest

import voicegauge
from voicegauge.bench.comparison import compare_runs, compare_targets
from voicegauge.bench.comparison_result import MetricComparison, compute_family_significance_levels
from voicegauge.bench.target_summaries import summarize_targets
from voicegauge.bench.voice_quality import (
    SteadinessSummary,
    describe_steadiness,
    measure_differences,
    summarize_steadiness,
)
from voicegauge.errors import DataError
from voicegauge.model.run import ListeningSet, Run, VoiceSet
from voicegauge.model.sample import ListeningVerdict, MeasuredVoice, Sample, Score
from voicegauge.speech.transcripts import count_errors

from ..builders.runs import FAILED, TARGET, build_measured_target, build_run, build_sample, build_score_set


def delivery(text: int, repetition: int, *, scale: float = 1.0, target: str = TARGET, **facts: object) -> Sample:
    """A delivery whose times are `scale` times as long as usual."""
    sample = build_sample(text, repetition=repetition, target=target)
    measured = {
        "audio_duration_s": 4.0 * scale,
        "spoken_s": 3.0 * scale,
        "pitch_hz": 120.0,
        "spectral_centroid_hz": 1_000.0,
        "loudness_lufs": -20.0,
        "sha256": f"{text:032d}{repetition:032d}",
        **facts,
    }
    assert sample.audio is not None
    return msgspec.structs.replace(sample, audio=msgspec.structs.replace(sample.audio, **measured))


def transcribed(sample: Sample, hypothesis: str) -> tuple[Sample, Score]:
    (score,) = build_score_set((sample,), lambda _: 0).scores
    return sample, msgspec.structs.replace(score, hypothesis=hypothesis)


def summarize(*samples: Sample) -> SteadinessSummary:
    found = summarize_steadiness(samples, ())
    assert found is not None
    return found


def test_differences_are_those_of_two_deliveries_on_average() -> None:
    # Of three deliveries, two pairs differ by 10%, and one pair not at all.
    found = summarize(
        delivery(1, 1), delivery(1, 2, scale=1.1, pitch_hz=132.0, loudness_lufs=-23.0), delivery(1, 3), delivery(2, 1)
    )
    assert (found.text_count, found.delivery_count, found.identical_text_count) == (1, 3, 0)
    mean = math.expm1(2 / 3 * math.log(1.1))
    for estimate in (found.duration, found.pace, found.pitch):
        assert estimate is not None
        assert estimate.value == pytest.approx(mean)
    assert found.level_db is not None
    assert found.level_db.value == pytest.approx(2.0)
    assert found.words is None
    assert (found.least_steady_text_id, found.least_steady_duration) == ("1", pytest.approx(mean))
    assert describe_steadiness(found) == (
        "two deliveries of one text differ on average by 6.6% in duration, 6.6% in pace, 6.6% in pitch, "
        "2.0 dB in level (1 text, 3 deliveries; most: 1, by 6.6% in duration)"
    )


def test_a_text_that_is_always_the_same_file_is_counted_and_failures_are_not() -> None:
    failed = build_sample(3, repetition=2, failure=FAILED)
    same = [delivery(1, repetition, sha256="f" * 64) for repetition in (1, 2)]
    found = summarize(*same, delivery(3, 1), failed)
    assert (found.text_count, found.identical_text_count) == (1, 1)
    assert describe_steadiness(found) == "all deliveries of a text are the same file (1 text, 2 deliveries)"
    assert "always the same file for 1" in describe_steadiness(summarize(*same, delivery(3, 1), delivery(3, 2)))
    assert summarize_steadiness([delivery(1, 1), delivery(2, 1), failed], ()) is None


@pytest.mark.parametrize(
    "defect",
    [{"sha256": "0" * 64}, {"audio_duration_s": 1.0, "spoken_s": 0.5, "pitch_hz": 60.0, "loudness_lufs": -60.0}],
    ids=["the same noise each time", "cut in the middle"],
)
def test_wrong_clips_do_not_count_as_steady_deliveries(defect: dict[str, object]) -> None:
    """Two wrong clips of one text, one wrong beside two right ones, and a text whose second delivery is wrong."""
    wrong = [delivery(text, repetition, **defect) for text, repetition in ((1, 1), (1, 2), (2, 3), (3, 2))]
    right = [delivery(2, 1), delivery(2, 2, scale=1.1), delivery(3, 1)]
    verdicts = [ListeningVerdict(sample_id=one.id, outcome="wrong", explanation="noise") for one in wrong]
    run = msgspec.structs.replace(
        build_run((*right, *wrong), repetitions=3, score_sets=(build_score_set((*right, *wrong), lambda _: 0),)),
        listening=ListeningSet(method="made/1", verdicts=tuple(verdicts)),
    )
    found = summarize_targets(run, run.score_sets[0])[0].steadiness
    assert found is not None
    assert (found.text_count, found.delivery_count, found.identical_text_count, found.wrong_count) == (1, 2, 0, 4)
    assert found.duration is not None
    assert found.duration.value == pytest.approx(0.1)
    assert "(1 text, 2 deliveries without 4 wrong clips; most: 2" in describe_steadiness(found)
    only_wrong = summarize_steadiness(wrong, (), {one.id for one in wrong})
    assert only_wrong is not None
    assert describe_steadiness(only_wrong) == "no text has two deliveries that are not wrong (4 wrong clips)"


def test_what_was_not_measured_has_no_difference() -> None:
    unmeasured = {"audio_duration_s": None, "spoken_s": None, "pitch_hz": None, "loudness_lufs": None}
    found = summarize(delivery(1, 1, **unmeasured), delivery(1, 2, **unmeasured))
    assert (found.duration, found.pace, found.pitch, found.level_db) == (None, None, None, None)
    assert describe_steadiness(found) == "deliveries of one text were not measured (1 text, 2 deliveries)"


def test_transcripts_of_one_text_are_compared_with_each_other_and_not_with_the_text() -> None:
    samples = [delivery(1, repetition) for repetition in (1, 2)]
    # One of four words is another one, and one is missing: two of four.
    said = [transcribed(samples[0], "the cat sat down"), transcribed(samples[1], "the hat sat")]
    found = summarize_steadiness(samples, said)
    assert found is not None
    assert found.words is not None
    assert found.words.value == pytest.approx(0.5)
    assert "50.0% of the words" in describe_steadiness(found)
    silent = (samples[1], msgspec.structs.replace(said[1][1], audio_content="silence"))
    found = summarize_steadiness(samples, [said[0], silent])
    assert found is not None
    assert found.words is None


@pytest.mark.parametrize(("unit", "separator"), [("word", " "), ("character", "")])
def test_transcripts_differ_by_the_errors_that_are_counted_in_scores(
    unit: Literal["word", "character"], separator: str
) -> None:
    """Random transcripts of few words, so that many are equal, have repeated words, or are empty."""
    drawn = random.Random(5)
    for _ in range(50):
        transcripts = [separator.join(drawn.choices("abc", k=drawn.randint(0, 5))) for _ in range(8)]
        samples = [delivery(1, repetition) for repetition in range(len(transcripts))]
        said = [transcribed(sample, text) for sample, text in zip(samples, transcripts, strict=True)]
        scored = [(sample, msgspec.structs.replace(score, unit=unit)) for sample, score in said]
        shares = []
        for one, other in itertools.combinations(transcripts, 2):
            counts = count_errors(one, other, unit)
            errors = counts.substitutions + counts.deletions + counts.insertions
            length = counts.hits + counts.substitutions + max(counts.deletions, counts.insertions)
            shares.append(errors / length if length else 0.0)
        # Exactly, as saved comparisons stay the same.
        assert dict(measure_differences(samples, scored)["words"]) == {"1": sum(shares) / len(shares)}


# Comparisons of runs.


def draw_run(
    seed: int, *, pace: float = 1.0, pitch: float = 1.0, spread: float = 0.02, similarity: float | None = None
) -> Run:
    draw = random.Random(seed)
    samples = tuple(
        delivery(
            text,
            repetition,
            scale=math.exp(draw.gauss(0, spread)) / pace,
            pitch_hz=120 * pitch * math.exp(draw.gauss(0, 0.02)),
            loudness_lufs=-20 + draw.gauss(0, 0.3),
        )
        for text in range(24)
        for repetition in (1, 2)
    )
    voices = None
    if similarity is not None:
        voices = VoiceSet(
            method="made/1",
            voices=tuple(
                MeasuredVoice(sample_id=one.id, vector="", similarity=similarity + draw.gauss(0, 0.05))
                for one in samples
            ),
        )
    run = build_run(samples, run_id=f"run-{seed}", repetitions=2)
    return msgspec.structs.replace(run, voices=voices)


def judge(baseline: Run, run: Run) -> dict[str, MetricComparison]:
    return {one.metric: one for one in compare_runs(baseline, run).metrics}


@pytest.mark.parametrize("change", [1.05, 1 / 1.05])
def test_another_pace_or_pitch_is_a_regression_in_either_direction(change: float) -> None:
    found = judge(draw_run(1), draw_run(2, pace=change, pitch=change))
    for metric in ("letters_per_s", "pitch_hz"):
        assert found[metric].verdict == "regression"
        assert found[metric].change == pytest.approx(change - 1, abs=0.02)
    assert found["spectral_centroid_hz"].verdict == "no evidence"
    assert found["duration_difference"].verdict == "no evidence"


def test_a_voice_that_is_less_steady_is_a_regression_and_a_steadier_one_an_improvement() -> None:
    steady, unsteady = draw_run(1), draw_run(2, spread=0.25)
    found = judge(steady, unsteady)
    assert found["duration_difference"].verdict == found["pace_difference"].verdict == "regression"
    assert found["duration_difference"].baseline_value == pytest.approx(0.02, abs=0.02)
    assert found["pitch_difference"].verdict == found["level_difference_db"].verdict == "no evidence"
    assert judge(unsteady, steady)["duration_difference"].verdict == "improvement"


@pytest.mark.slow
def test_the_same_voice_is_no_change() -> None:
    """Nine metrics of voices, and 40 pairs of runs: at 0.05% a pair, one false alarm is a rare event."""
    alarms = sum(bool(compare_runs(draw_run(2 * seed), draw_run(2 * seed + 1)).regressions) for seed in range(40))
    assert alarms <= 1


def test_a_voice_that_is_less_similar_to_the_sample_is_a_regression_and_encoders_are_never_mixed() -> None:
    near, far = draw_run(1, similarity=0.9), draw_run(2, similarity=0.4)
    assert judge(near, far)["voice_similarity"].verdict == "regression"
    assert judge(near, far)["voice_similarity"].change == pytest.approx(-0.5, abs=0.05)
    assert judge(far, near)["voice_similarity"].verdict == "improvement"
    assert far.voices is not None
    other = msgspec.structs.replace(far, voices=msgspec.structs.replace(far.voices, method="other/1"))
    for run, says in ((other, "encoded in different ways"), (draw_run(2), "run-2 were not compared")):
        compared = compare_runs(near, run)
        assert says in compared.voice_note
        assert "voice_similarity" not in {one.metric for one in compared.metrics}


def test_clips_that_became_wrong_are_no_change_of_how_steady_a_voice_is() -> None:
    """A tenth of the clips are another text of another length: wrong audio is the regression, not the steadiness."""
    baseline, drawn = draw_run(1), draw_run(2)
    wrong_ids = {one.id for one in drawn.samples[:: len(drawn.samples) // 9]}
    samples = tuple(
        delivery(int(one.text_id), one.repetition, scale=3.0) if one.id in wrong_ids else one for one in drawn.samples
    )
    runs = [
        msgspec.structs.replace(
            msgspec.structs.replace(one, samples=spoken),
            listening=ListeningSet(
                method="made/1",
                verdicts=tuple(
                    ListeningVerdict(
                        sample_id=clip.id, outcome="wrong" if clip.id in wrong else "right", explanation=""
                    )
                    for clip in spoken
                ),
            ),
        )
        for one, spoken, wrong in ((baseline, baseline.samples, set[str]()), (drawn, samples, wrong_ids))
    ]
    found = judge(*runs)
    assert found["duration_difference"].verdict == found["pace_difference"].verdict == "no evidence"
    assert found["duration_difference"].run_value == pytest.approx(0.02, abs=0.02)


def test_voices_of_other_samples_and_of_two_targets_are_not_compared() -> None:
    baseline, run = (
        msgspec.structs.replace(
            drawn, manifest=msgspec.structs.replace(drawn.manifest, voice_sample_path=f"voice/{name}.wav")
        )
        for drawn, name in ((draw_run(1), "a"), (draw_run(2, pitch=1.5), "b"))
    )
    compared = compare_runs(baseline, run)
    assert "different voice samples" in compared.voice_note
    metrics = {one.metric for one in compared.metrics}
    assert "pitch_hz" not in metrics
    assert "duration_difference" in metrics  # however a voice sounds, it is as steady as it is
    others = (delivery(text, rep, target="acme/other", pitch_hz=240.0) for text in range(24) for rep in (1, 2))
    both = build_run(
        (*draw_run(1).samples, *others),
        targets=(build_measured_target(), build_measured_target("acme/other")),
        repetitions=2,
    )
    metrics = {one.metric for one in compare_targets(both, TARGET).metrics}
    assert "pitch_hz" not in metrics
    assert "duration_difference" in metrics


def test_voices_take_a_twentieth_of_the_level_and_leave_the_rest_as_it_was() -> None:
    metrics = ["total_latency_ms", "ttfa_ms", "pitch_hz", "word_difference"]
    _, strictest = compute_family_significance_levels(metrics, [0.5] * 4, 0.01)  # type: ignore[arg-type]
    assert strictest == pytest.approx([0.0076, 0.0019, 0.00025, 0.00025])
    assert sum(strictest) == pytest.approx(0.01)


# The emulator.


@pytest.mark.usefixtures("short_emulated_times")
@pytest.mark.parametrize("faults", [pytest.param((), marks=pytest.mark.slow), ("seed-not-kept",)])
def test_a_benchmark_with_repetitions_says_how_steady_a_voice_is(tmp_path: Path, faults: tuple[str, ...]) -> None:
    result = voicegauge.benchmark(
        "pixazo/vibevoice", max_texts=3, repetitions=2, warmup=0, asr="none", out=tmp_path, faults=list(faults)
    )
    (target,) = result.targets
    found = target.steadiness
    assert found is not None
    assert (found.text_count, found.delivery_count) == (3, 6)
    assert found.duration is not None
    page = Path(str(result.report_file)).read_text()
    if faults:
        # Every second delivery is spoken 8% faster; pauses at both ends are not.
        assert found.identical_text_count < 3
        assert 0.01 < found.duration.value < 0.1
        assert "two deliveries of one text differ on average by" in page.lower()
    else:
        assert (found.identical_text_count, found.duration.value) == (3, 0.0)
        assert "All deliveries of a text are the same file (3 texts, 6 deliveries)" in page


def test_runs_of_speech_to_text_have_no_steadiness() -> None:
    run = build_run(draw_run(1).samples, kind="transcription", repetitions=2)
    assert summarize_targets(run)[0].steadiness is None
    with pytest.raises(DataError, match="given twice"):
        compare_runs(run, run)
