"""The voice of a target over the nights: pace, pitch, spectrum, and similarity to the voice sample."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from voicegauge.bench.comparison import compare_runs
from voicegauge.bench.history_store import VOICE_METRICS, compute_voice_metrics
from voicegauge.bench.run_history import RunHistory, read_run_history
from voicegauge.bench.target_samples import TargetSamples
from voicegauge.bench.target_summaries import summarize_targets
from voicegauge.bench.voice_quality import describe_predicted_quality, describe_voice
from voicegauge.cli import run as run_cli
from voicegauge.model.run import ListeningSet, QualitySet, Run, VoiceSet
from voicegauge.model.sample import ListeningVerdict, MeasuredVoice, QualityPrediction, Sample
from voicegauge.speech.decoding import decode
from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import synthesize
from voicegauge.speech.sound_quality import measure_voice

from ..builders.nights import made_run, night, save
from ..builders.runs import FAILED, build_sample

TEXT = "The kettle is on the stove, and the bread is in the oven."
CHANGED, LATEST = 12, 13
CLIPS = 32


def _speak(words_per_minute: int = 165, pitch: int = 50, voice_variant: str = "klatt3") -> np.ndarray:
    return synthesize(
        TEXT,
        language="en",
        voice_variant=voice_variant,
        words_per_minute=words_per_minute,
        pitch=pitch,
        sample_rate_hz=22_050,
        seed=1,
    )


@pytest.mark.parametrize("pitch_hz", [75.0, 120.5, 220.0, 340.0])
def test_pitch_and_duration_are_those_of_a_known_sound(pitch_hz: float) -> None:
    seconds = np.arange(24_000) / 24_000
    harmonics = sum(np.sin(2 * np.pi * pitch_hz * number * seconds) / number for number in range(1, 9))
    silence = np.zeros(12_000)
    found = measure_voice(np.concatenate([silence, 0.2 * harmonics, silence]).astype(np.float32), 24_000)
    assert found.pitch_hz == pytest.approx(pitch_hz, rel=0.002)
    assert found.spoken_s == pytest.approx(1, abs=0.03)


def test_measures_follow_the_voice_and_not_the_format() -> None:
    usual, faster, higher = (measure_voice(one, 22_050) for one in (_speak(), _speak(174), _speak(pitch=70)))
    other = measure_voice(_speak(voice_variant="Annie"), 22_050)
    assert None not in (*usual, *faster, *higher, *other)
    assert usual.spoken_s / faster.spoken_s == pytest.approx(174 / 165, abs=0.02)  # type: ignore[operator]
    assert faster.pitch_hz == pytest.approx(usual.pitch_hz, rel=0.02)
    assert higher.pitch_hz / usual.pitch_hz > 1.1  # type: ignore[operator]
    assert other.spectral_centroid_hz / usual.spectral_centroid_hz > 1.1  # type: ignore[operator]
    for name in ("mp3", "ogg", "flac"):
        decoded = decode(encode(_speak(), 22_050, name)[0])
        assert tuple(measure_voice(decoded.samples, decoded.sample_rate_hz)) == pytest.approx(tuple(usual), rel=0.02)


def test_what_is_no_voice_has_no_pitch() -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal(24_000).astype(np.float32)
    assert measure_voice(noise, 24_000).pitch_hz is None
    assert measure_voice(np.zeros(24_000, np.float32), 24_000) == (None, None, None)
    assert measure_voice(noise[:200], 24_000)[1:] == (None, None)
    assert measure_voice(np.zeros(0, np.float32), 24_000) == (None, None, None)


def _with_voice(run: Run, pace: float, pitch_hz: float, centroid_hz: float, similarity: float | None = None) -> Run:
    """Return the run with a voice whose clips differ by chance, but always in the same way on average."""
    made = tuple(build_sample(text) for text in range(CLIPS))
    spread = np.linspace(-0.03, 0.03, CLIPS).tolist()
    samples = tuple(
        msgspec.structs.replace(
            sample,
            audio=msgspec.structs.replace(
                sample.audio,
                spoken_s=3.0 / pace * (1 + apart),
                pitch_hz=pitch_hz * (1 + apart),
                spectral_centroid_hz=centroid_hz * (1 - apart),
            ),
        )
        for sample, apart in zip(made, spread, strict=True)
    )
    voices = None if similarity is None else VoiceSet(method="made/1", voices=_place(samples, similarity))
    return msgspec.structs.replace(run, samples=samples, voices=voices, score_sets=())


def _place(samples: tuple[Sample, ...], similarity: float) -> tuple[MeasuredVoice, ...]:
    return tuple(MeasuredVoice(sample_id=one.id, vector="", similarity=similarity) for one in samples)


def _save_nights(folder: Path, after: tuple[float, ...], before: tuple[float, ...] = (1.0, 120.0, 1000.0, 0.9)) -> None:
    random = np.random.default_rng(3)
    for index in range(LATEST + 1):
        values = after if index >= CHANGED else before
        jittered = [value * float(1 + random.normal(0, 0.004)) for value in values]
        save(folder / f"{index:02}", _with_voice(made_run(index), *jittered))


@pytest.mark.parametrize(
    ("after", "metrics"),
    [
        ((1.0, 120.0, 1000.0, 0.9), set()),
        ((1.05, 120.0, 1000.0, 0.9), {"letters_per_s"}),
        ((1 / 1.05, 120.0, 1000.0, 0.9), {"letters_per_s"}),
        ((1.0, 180.0, 1150.0, 0.1), {"pitch_hz", "spectral_centroid_hz", "voice_similarity"}),
        ((1.01, 121.0, 990.0, 0.92), set()),
    ],
)
def test_another_voice_or_pace_is_an_alert_on_its_second_night(
    tmp_path: Path, after: tuple[float, ...], metrics: set[str]
) -> None:
    _save_nights(tmp_path, after)
    history = read_run_history(tmp_path)
    assert {one.series_key.metric for one in history.changes} == metrics
    for change in history.new_regressions:
        assert (change.first_night, change.confirmation_night) == (night(CHANGED), night(LATEST))
    assert len(history.new_regressions) == len(metrics)


def test_the_time_line_names_the_change_and_the_page_has_its_chart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _save_nights(tmp_path, (1.06, 180.0, 1000.0, 0.2))
    page = tmp_path / "history.html"
    assert run_cli(["history", str(tmp_path), "--html", str(page)]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "pitch +50" in printed
    assert "similarity to voice sample -0.70, from 0.90 to 0.20" in printed
    assert "letters per second +6" in printed
    assert "3 alerts on the latest night" in printed
    assert "similarity to voice sample" in page.read_text()


def _read_series(folder: Path, metric: str) -> list[int]:
    history: RunHistory = read_run_history(folder)
    return [len(one.nights) for one in history.series if one.key.metric == metric]


def test_another_voice_sample_or_encoder_begins_another_series(tmp_path: Path) -> None:
    for index in range(3):
        run = _with_voice(made_run(index, voice_sample_path="audio/1111111122.mp3"), 1.0, 120.0, 1000.0, 0.9)
        if index == 1:
            manifest = msgspec.structs.replace(run.manifest, voice_sample_path="audio/3333333344.mp3")
            run = msgspec.structs.replace(run, manifest=manifest)
        if index == 2:
            assert run.voices is not None
            run = msgspec.structs.replace(run, voices=msgspec.structs.replace(run.voices, method="made/2"))
        save(tmp_path / str(index), run)
    assert sorted(_read_series(tmp_path, "pitch_hz")) == [1, 2]
    assert _read_series(tmp_path, "voice_similarity") == [1, 1, 1]
    assert _read_series(tmp_path, "total_latency_ms") == [3]


def test_failed_and_unmeasured_clips_do_not_count_and_outliers_little() -> None:
    good = _with_voice(made_run(0), 1.0, 120.0, 1000.0).samples
    wild = _replace_audio(good[0], id="wild", sha256="wild", pitch_hz=480.0)
    again = tuple(_replace_audio(one, id=f"{one.id} again", sha256=one.id) for one in good)
    more = (*good, *again, wild, build_sample("failed", failure=FAILED), build_sample("unmeasured"))
    found = {one.metric: one for one in compute_voice_metrics(TargetSamples(more, None))}
    assert set(found) == {"letters_per_s", "pitch_hz", "spectral_centroid_hz"}
    assert found["pitch_hz"].observation_count == len(more) - 2
    assert found["pitch_hz"].value == pytest.approx(120.0, rel=0.01)
    assert compute_voice_metrics(TargetSamples([build_sample("unmeasured")], None)) == []


def _replace_audio(sample: Sample, *, id: str, **facts: object) -> Sample:
    return msgspec.structs.replace(sample, id=id, audio=msgspec.structs.replace(sample.audio, **facts))


def _add_wrong_clips_and_copies(run: Run) -> Run:
    """Return the run with eight clips at twice the pitch and pace, which are known to be wrong, and eight copies."""
    wrong = [
        _replace_audio(one, id=f"{one.id} wrong", sha256=f"{one.id} wrong", pitch_hz=240.0, spoken_s=1.5)
        for one in run.samples[:8]
    ]
    copies = [_replace_audio(one, id=f"{one.id} copy") for one in run.samples[-8:]]
    outcome_by_id = {one.id: "right" for one in (*run.samples, *copies)} | {one.id: "wrong" for one in wrong}
    verdicts = tuple(
        ListeningVerdict(sample_id=name, outcome=outcome, rule=None, explanation="")
        for name, outcome in outcome_by_id.items()
    )
    samples = (*run.samples, *wrong, *copies)
    voices, ratings = run.voices, tuple(_rate(one, 1.0 if one in wrong else 4.0) for one in samples)
    if voices is not None:
        others = _place(tuple(wrong), -0.5) + _place(tuple(copies), voices.voices[0].similarity)
        voices = msgspec.structs.replace(voices, voices=voices.voices + others)
    return msgspec.structs.replace(
        run,
        samples=samples,
        voices=voices,
        listening=ListeningSet(method="made/1", verdicts=verdicts),
        predicted_quality=QualitySet(method="made/1", predictions=ratings),
    )


def _rate(sample: Sample, rating: float) -> QualityPrediction:
    return QualityPrediction(sample_id=sample.id, speech=rating, background=rating, overall=rating, p808=rating)


def test_wrong_clips_and_copies_change_no_measure_of_the_voice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = [_with_voice(made_run(index, voice_sample_path="audio/1.mp3"), 1.0, 120.0, 1000.0, 0.9) for index in (0, 1)]
    plain = [_let_targets_clone(one) for one in plain]
    polluted = [_add_wrong_clips_and_copies(one) for one in plain]
    for index, runs in enumerate(zip(plain, polluted, strict=True)):
        for name, run in zip(("plain", "polluted"), runs, strict=True):
            save(tmp_path / name / str(index), run)
    before, after = (read_run_history(tmp_path / name) for name in ("plain", "polluted"))
    for metric in VOICE_METRICS:
        (clean,), (same,) = ([s for s in one.series if s.key.metric == metric] for one in (before, after))
        for one, other in zip(clean.nights, same.nights, strict=True):
            assert (one.value, one.observation_count) == (other.value, other.observation_count)
            assert (one.left_out_count, other.left_out_count) == (0, 16)
    page = tmp_path / "history.html"
    run_cli(["history", str(tmp_path / "polluted"), "--html", str(page)])
    assert "voice of the latest night without 16 clips, wrong ones or copies of another" in _one_line(capsys)
    assert "(16 left out)" in page.read_text()

    (summary,) = summarize_targets(polluted[0])
    assert summary.voice is not None
    assert summary.voice.similarity == pytest.approx(0.9)
    assert "of 32 clips (without 8 wrong clips and 8 copies)" in describe_voice(summary.voice)
    assert summary.predicted_quality is not None
    assert summary.predicted_quality.overall.value == pytest.approx(4.0)
    assert "of 32 clips (without 8 wrong clips and 8 copies)" in describe_predicted_quality(summary.predicted_quality)

    compared = compare_runs(plain[0], polluted[1])
    voice = [one for one in compared.metrics if one.metric in VOICE_METRICS]
    assert {one.metric for one in voice} == set(VOICE_METRICS)
    assert all(abs(one.change) < 1e-9 and one.run_sample_count == CLIPS for one in voice)
    run_cli(["compare", str(tmp_path / "plain" / "0"), str(tmp_path / "polluted" / "1")])
    assert "of ratings and voice: 8 wrong clips and 8 copies in the run (a copy is" in _one_line(capsys)


def _let_targets_clone(run: Run) -> Run:
    targets = tuple(msgspec.structs.replace(one, clones_voice=True) for one in run.manifest.targets)
    return msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, targets=targets))


def _one_line(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_targets_that_take_audio_have_no_voice(tmp_path: Path) -> None:
    for index in range(2):
        save(tmp_path / str(index), _with_voice(made_run(index, kind="transcription"), 1.0, 120.0, 1000.0))
    assert _read_series(tmp_path, "pitch_hz") == []
