from __future__ import annotations

import csv
import importlib.util
import io
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

import voicegauge
from voicegauge.bench.comparison import compare_runs
from voicegauge.bench.run_store import load_run, save_audio, save_run
from voicegauge.bench.target_summaries import summarize_targets
from voicegauge.cli import run as run_cli
from voicegauge.model.run import QualitySet, Run
from voicegauge.model.sample import QualityPrediction
from voicegauge.speech import sound_quality
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import synthesize
from voicegauge.speech.sound_quality import (
    compute_mel_features,
    get_quality_method,
    predict_quality,
    predict_quality_at_analysis_rate,
)

from ..builders.runs import build_run, build_sample

REFERENCE = (1.997603611036772, 1.803829102192098, 1.4294763510795045, 2.545903)
"""Ratings of `_make_reference_signal` by the code of speechmos 0.0.1.1 with librosa 0.11: speech, background, overall,
P.808."""


def _make_reference_signal() -> np.ndarray:
    random, seconds = np.random.default_rng(5), np.arange(160_000) / 16_000
    hum = 0.2 * np.sin(2 * np.pi * 140 * seconds) * (1 + np.sin(2 * np.pi * 3 * seconds)) / 2
    return (hum + 0.01 * random.standard_normal(len(seconds))).astype(np.float32)


TEXT = "The kettle is on the stove, and the bread is in the oven."


def _speak(sample_rate_hz: int) -> np.ndarray:
    return synthesize(
        TEXT,
        language="en",
        voice_variant="klatt3",
        words_per_minute=165,
        pitch=50,
        sample_rate_hz=sample_rate_hz,
        seed=1,
    )


def test_ratings_are_those_of_the_reference_implementation() -> None:
    assert predict_quality_at_analysis_rate(_make_reference_signal()) == pytest.approx(REFERENCE, abs=0.001)


def test_windows_are_those_of_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its code rates eleven windows of 20 s, of which rounding leaves out those from the eighth on.
    rated: list[int] = []

    def rate(window: np.ndarray) -> tuple[float, ...]:
        rated.append(len(window))
        return 1.0, 2.0, 3.0, 4.0

    monkeypatch.setattr(sound_quality, "_predict_window_ratings", rate)
    assert predict_quality_at_analysis_rate(np.zeros(320_000, np.float32)) == (1.0, 2.0, 3.0, 4.0)
    assert rated == [144_160] * 7


@pytest.mark.slow
def test_noise_lowers_the_ratings_of_background_and_p808() -> None:
    clean = _speak(24_000)
    level = float(np.sqrt(np.mean(clean**2)))
    noise = np.random.default_rng(1).standard_normal(len(clean)).astype(np.float32)
    before, after = predict_quality(clean, 24_000), predict_quality(clean + np.float32(level) * noise, 24_000)
    assert after.background < before.background - 1
    assert after.p808 < before.p808 - 0.5


def test_features_are_relative_to_the_loudest_band() -> None:
    features = compute_mel_features(_make_reference_signal()[:144_000])
    assert features.shape == (900, 120)
    assert features.max() == pytest.approx(1.0)
    assert features.min() >= -1.0
    louder = compute_mel_features(2 * _make_reference_signal()[:144_000])
    assert np.allclose(features, louder, atol=1e-5)


def test_a_clip_without_samples_is_not_rated() -> None:
    with pytest.raises(ValueError, match="no quality"):
        predict_quality(np.zeros(0, np.float32), 16_000)


@pytest.fixture
def simple_ratings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ratings that depend on the loudness, without the models, which take a tenth of a second for each second."""
    monkeypatch.setattr(
        sound_quality, "_predict_window_ratings", lambda window: (3.0, 4.0, 3.5, 1 + float(np.abs(window).mean()))
    )


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return _save_three_copies(tmp_path / "run", TEXT)


def _save_three_copies(folder: Path, text: str) -> Path:
    """Save a run of three samples whose audio is one file, which speaks `TEXT`."""
    audio, media_type = encode(_speak(16_000), 16_000, "wav")
    _, file = save_audio(folder, audio)
    facts = EncodedAudio(audio, media_type=media_type).measure_facts(file)
    samples = tuple(msgspec.structs.replace(build_sample(index, words=text), audio=facts) for index in range(3))
    save_run(folder, build_run(samples))
    return folder


@pytest.mark.usefixtures("simple_ratings")
def test_score_saves_the_ratings_and_states_their_means(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["score", str(run_folder), "--asr", "none", "--quality", "--json", "-"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["predicted_quality"]["method"] == get_quality_method()
    run = load_run(run_folder)
    assert run.predicted_quality is not None
    assert len(run.predicted_quality.predictions) == 3
    summary = summarize_targets(run)[0].predicted_quality
    assert summary is not None
    assert summary.p808.value == pytest.approx(run.predicted_quality.predictions[0].p808)
    assert run_cli(["score", str(run_folder), "--asr", "none", "--quality"]) == 0  # predicted before: nothing to do
    assert "predicted mean rating of 1 clip (without 2 copies) from 1 to 5: speech" in capsys.readouterr().out


@pytest.mark.usefixtures("simple_ratings")
def test_clips_of_another_text_are_rated_but_not_in_the_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _save_three_copies(tmp_path / "run", "A long list of cities was read out, and nobody could remember it.")
    assert run_cli(["score", str(folder), "--asr", "none", "--quality"]) == 0
    assert "no clip has a predicted rating (without 3 wrong clips)" in capsys.readouterr().out


def test_without_the_extra_one_line_says_what_to_install(
    run_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "speechmos" else found(name))
    assert run_cli(["score", str(run_folder), "--quality"]) == 2
    assert "pip install 'voicegauge[quality]'" in capsys.readouterr().err


@pytest.mark.usefixtures("simple_ratings")
def test_bench_predicts_ratings_for_report_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "ttsai/kokoro-sync", "--limit", "1", "--warmup", "0", "--asr", "none", "--no-listening"]
    assert run_cli([*command, "--quality", "--no-report", "--out", str(tmp_path), "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["targets"][0]["predicted_quality"]["method"] == get_quality_method()
    (row,) = csv.DictReader(io.StringIO(voicegauge.render_report(result["folder"], format="csv")))
    rated = load_run(Path(result["folder"])).predicted_quality
    assert rated is not None
    assert float(row["predicted_p808"]) == rated.predictions[0].p808
    assert "Predicted mean rating of 1 clip from 1 to 5: speech" in voicegauge.render_report(result["folder"])


def _rate(run: Run, overall: float, method: str = "one") -> Run:
    random = np.random.default_rng(7)
    predictions = tuple(
        QualityPrediction(sample_id=one.id, speech=3.0, background=4.0, overall=overall + spread, p808=3.0)
        for one, spread in zip(run.samples, random.normal(0, 0.1, len(run.samples)), strict=True)
    )
    return msgspec.structs.replace(run, predicted_quality=QualitySet(method=method, predictions=predictions))


def test_a_lower_rating_is_a_regression_and_methods_are_never_mixed() -> None:
    before = build_run(tuple(build_sample(number) for number in range(8)), run_id="before")
    after = msgspec.structs.replace(before, manifest=msgspec.structs.replace(before.manifest, run_id="after"))
    (found,) = compare_runs(_rate(before, 3.0), _rate(after, 2.5)).regressions
    assert (found.metric, found.unit) == ("overall_rating", "rating")
    assert found.change == pytest.approx(-0.5)
    assert found.interval_low is not None
    assert found.interval_high is not None
    assert found.interval_low < -0.5 < found.interval_high < 0
    better = compare_runs(_rate(after, 2.5), _rate(before, 3.0))
    assert [one.metric for one in better.metrics if one.verdict == "improvement"] == ["overall_rating"]
    same = {one.metric: one for one in compare_runs(_rate(before, 3.0), _rate(after, 3.0)).metrics}
    assert same["overall_rating"].verdict == same["background_rating"].verdict == "no evidence"
    assert "in different ways" in compare_runs(_rate(before, 3.0), _rate(after, 2.5, "other")).quality_note
    assert "no ratings were predicted for before" in compare_runs(before, _rate(after, 2.5)).quality_note
