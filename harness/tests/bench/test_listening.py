"""A benchmark listens: noise, another text, a part of it or silence have not passed, nor have other languages."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

import voicegauge
from voicegauge.bench.comparison import compare_runs
from voicegauge.bench.run_store import save_audio, save_run
from voicegauge.bench.scoring import listen_to_run
from voicegauge.bench.target_summaries import describe_wrong_audio, summarize_targets
from voicegauge.cli import run as run_voicegauge
from voicegauge.errors import EXIT_NOTHING_MEASURED, DataError
from voicegauge.model.exchange import Failure
from voicegauge.model.run import KnownWords, ListeningSet, Run
from voicegauge.model.sample import ListeningVerdict, Sample
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import synthesize
from voicegauge.speech.listening import (
    OTHER_TEXT_RULE,
    RULE_BY_VERDICT,
    TOO_FEW_COMPARED_CLIPS_REASON,
    UNUSUAL_PACE_RULE,
)
from voicegauge.speech.transcripts import Asr, transcribe_audio_batch

from ..builders.audio import make_changing_noise
from ..builders.own_server import running_own_server
from ..builders.runs import TARGET, build_run, build_sample, build_score_set

RATE = 16_000
TEXT = "Please take the second door on the left after the stairs."
OTHER = "The weather will stay mild and rather cloudy until the weekend."
GERMAN = "Bitte nehmen Sie nach der Treppe die zweite Tür auf der linken Seite."


def _speak(text: str, language: str = "en", *, variant: str = "klatt3", seed: int = 0) -> NDArray[np.float32]:
    return synthesize(
        text, language=language, voice_variant=variant, words_per_minute=165, pitch=50, sample_rate_hz=RATE, seed=seed
    )


def _save_sample(folder: Path, name: str, sound: NDArray[np.float32], **changes: object) -> Sample:
    wav = encode(sound, RATE, "wav")[0]
    _, path = save_audio(folder, wav)
    facts = EncodedAudio(wav, media_type="audio/wav").measure_facts(path)
    sample = build_sample(name)
    return msgspec.structs.replace(sample, **{"text": TEXT, "language": "en", "audio": facts, **changes})


def _listen(folder: Path, *samples: Sample) -> dict[str, ListeningVerdict]:
    listening = listen_to_run(folder, build_run(samples))
    assert listening is not None
    return {one.sample_id.rpartition("/")[2]: one for one in listening.verdicts}


def test_each_defect_is_wrong_and_says_where(tmp_path) -> None:
    sound = _speak(TEXT)
    loudest = int(np.argmax(np.abs(sound)))
    noise = (0.1 * np.random.default_rng(1).standard_normal(len(sound))).astype(np.float32)
    found = _listen(
        tmp_path,
        _save_sample(tmp_path, "right", sound),
        _save_sample(tmp_path, "noise", noise),
        _save_sample(tmp_path, "silence", np.zeros(3 * RATE, np.float32)),
        _save_sample(tmp_path, "other", _speak(OTHER)),
        _save_sample(tmp_path, "end", sound[: int(len(sound) * 0.65)]),
        _save_sample(tmp_path, "twice", np.concatenate([sound, sound])),
        _save_sample(
            tmp_path, "interrupted", np.where(np.abs(np.arange(len(sound)) - loudest) < 0.04 * RATE, 0, sound)
        ),
        _save_sample(tmp_path, "late", np.concatenate([np.zeros(5 * RATE, np.float32), sound])),
    )
    assert {name: (one.outcome, one.rule) for name, one in found.items()} == {
        "right": ("right", None),
        "noise": ("wrong", "audio-not-speech"),
        "silence": ("wrong", "audio-silent"),
        "other": ("wrong", "spoken-text-other"),
        "end": ("wrong", "spoken-text-incomplete"),
        "twice": ("wrong", "spoken-text-repeated"),
        "interrupted": ("wrong", "audio-dropout"),
        "late": ("wrong", "audio-long-silence"),
    }
    assert found["twice"].start_s == pytest.approx(len(sound) / RATE, abs=0.3)
    assert found["interrupted"].start_s == pytest.approx(loudest / RATE - 0.04, abs=0.002)


def test_a_target_that_never_says_the_text_is_in_doubt_in_a_voice_that_is_not_recognized_clearly(tmp_path) -> None:
    texts = [f"Sentence number {name} is about as long as all the others." for name in ("one", "two", "three")]
    said = "Nobody remembered who had painted the small yellow boat in the harbour."
    samples = [
        _save_sample(tmp_path, text.split()[2], _speak(said, variant="marcelo", seed=index), text=text)
        for index, text in enumerate(texts)
    ]
    found = _listen(tmp_path, *samples)
    assert {one.rule for one in found.values()} == {"spoken-text-doubtful"}
    (alone,) = _listen(tmp_path, samples[0]).values()
    assert (alone.outcome, alone.explanation) == ("not judged", TOO_FEW_COMPARED_CLIPS_REASON)


def test_what_cannot_be_judged_is_no_pass(tmp_path) -> None:
    samples = [
        _save_sample(tmp_path, "german", _speak(GERMAN, "de"), text=GERMAN, language="de"),
        _save_sample(tmp_path, "marked", _speak(TEXT), text=f"[whispers] {TEXT}"),
        _save_sample(tmp_path, "failed", _speak(TEXT), failure=Failure(kind="network", message="lost")),
        _save_sample(tmp_path, "warmup", _speak(TEXT), is_warmup=True),
    ]
    run = build_run(tuple(samples))
    run = msgspec.structs.replace(run, listening=listen_to_run(tmp_path, run))
    (summary,) = summarize_targets(run)
    assert summary.listening is not None
    assert (summary.listening.right_count, summary.listening.not_judged_count) == (0, 2)
    assert set(summary.listening.not_judged_count_by_reason) == {
        "the language is de, and only English is compared with its text",
        "the text has markup, directions or names of speakers",
    }
    assert not describe_wrong_audio(summary)


def test_the_same_audio_for_another_text_is_wrong_in_every_language(tmp_path) -> None:
    sound = _speak(GERMAN, "de")
    found = _listen(
        tmp_path,
        _save_sample(tmp_path, "first", sound, text=GERMAN, language="de"),
        _save_sample(tmp_path, "again", sound, text=GERMAN, language="de"),
        _save_sample(tmp_path, "second", sound, text="Guten Abend, meine Damen und Herren.", language="de"),
    )
    assert [found[name].rule for name in ("first", "again", "second")] == [None, None, OTHER_TEXT_RULE]


def test_a_pace_unlike_that_of_the_other_samples_is_in_doubt(tmp_path) -> None:
    texts = [f"Das ist der Satz Nummer {name}, und er ist so lang wie alle." for name in "abcdefgh"]
    samples = [
        _save_sample(
            tmp_path, text[24], make_changing_noise(2.0 if index else 4.2, RATE, text=text), text=text, language="de"
        )
        for index, text in enumerate(texts)
    ]
    found = _listen(tmp_path, *samples)
    assert [name for name, one in found.items() if one.outcome == "doubtful"] == ["a"]
    assert found["a"].rule == UNUSUAL_PACE_RULE


def test_each_rule_can_be_explained() -> None:
    rules = {rule.id for rule in voicegauge.list_rules().check_rules}
    assert {*RULE_BY_VERDICT.values(), OTHER_TEXT_RULE, UNUSUAL_PACE_RULE, "audio-silent", "audio-clipped"} <= rules
    assert {"audio-not-speech", "audio-long-silence"} <= rules


@pytest.fixture(scope="module")
def wrong_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with one right sample and one that says another text."""
    folder = tmp_path_factory.mktemp("run")
    samples = (_save_sample(folder, "right", _speak(TEXT)), _save_sample(folder, "other", _speak(OTHER)))
    save_run(folder, build_run(samples))
    return folder


def test_an_old_run_is_listened_to_once(wrong_run, monkeypatch) -> None:
    result = voicegauge.score(wrong_run, asr="none")
    assert result.scores is None
    assert result.listening is not None
    assert [one.outcome for one in result.listening.verdicts] == ["right", "wrong"]
    monkeypatch.setattr(
        "voicegauge.api.saved_runs.listen_to_run", lambda *_args, **_kwargs: pytest.fail("judged again")
    )
    assert voicegauge.score(wrong_run, asr="none").listening == result.listening


def test_reports_count_wrong_audio_and_play_it(wrong_run) -> None:
    voicegauge.score(wrong_run, asr="none")
    report = voicegauge.build_report(wrong_run).runs[0]
    assert report.targets[0].success_count == 1
    assert [clip.rule for clip in report.wrong_clips] == ["spoken-text-other"]
    assert report.verdict.headline.count(f"1 clip of {TARGET} has wrong audio") == 1
    page = voicegauge.render_report(wrong_run)
    assert "data:audio/mpeg" in page
    assert "spoken-text-other" in page
    assert "audio of 1 of 2 samples wrong" in page
    assert "spoken-text-other" in voicegauge.render_report(wrong_run, format="markdown")
    rows = list(csv.DictReader(io.StringIO(voicegauge.render_report(wrong_run, format="csv"))))
    assert [(row["listening_outcome"], row["listening_rule"]) for row in rows] == [
        ("right", ""),
        ("wrong", "spoken-text-other"),
    ]


def _judge(run: Run, outcome: str, method: str = "one") -> Run:
    verdicts = tuple(ListeningVerdict(sample_id=one.id, outcome=outcome, explanation="") for one in run.samples)
    return msgspec.structs.replace(run, listening=ListeningSet(method=method, verdicts=verdicts))


def test_more_wrong_audio_is_a_regression_and_methods_are_never_mixed() -> None:
    samples = tuple(build_sample(f"text-{number}") for number in range(30))
    before = build_run(samples, run_id="before")
    after = msgspec.structs.replace(before, manifest=msgspec.structs.replace(before.manifest, run_id="after"))
    compared = compare_runs(_judge(before, "right"), _judge(after, "wrong"))
    assert [one.metric for one in compared.regressions] == ["wrong_audio"]
    mixed = compare_runs(_judge(before, "right"), _judge(after, "wrong", "another"))
    assert not mixed.regressions
    assert "in different ways" in mixed.listening_note
    assert "nobody listened" in compare_runs(before, _judge(after, "wrong")).listening_note


def test_a_missing_file_is_named(tmp_path) -> None:
    sample = _save_sample(tmp_path, "gone", _speak(TEXT))
    (tmp_path / sample.audio.file_path).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        listen_to_run(tmp_path, build_run((sample,)))


@pytest.mark.parametrize(("fault", "rule"), [("noise-as-speech", "audio-not-speech"), (None, None)])
def test_bench_counts_what_is_said(tmp_path, fault, rule) -> None:
    result = voicegauge.benchmark(
        "ttsai/kokoro-sync",
        max_texts=2,
        warmup=0,
        asr="none",
        out=tmp_path,
        write_html_report=False,
        faults=[fault] if fault else [],
    )
    target = result.targets[0]
    assert target.listening is not None
    assert target.success_count == result.measured_sample_count == (0 if fault else 2)
    assert target.listening.defect_count_by_rule == ({rule: 2} if fault else {})
    assert result.wrong_sample_count == (2 if fault else 0)


def test_a_run_of_doubtful_audio_says_so_and_has_not_measured_anything(tmp_path, capsys) -> None:
    def speak(text: str) -> NDArray[np.float32]:
        return _speak("Nobody remembered who had painted the small boat.", variant="marcelo", seed=len(text))

    texts = tmp_path / "texts.txt"
    texts.write_text(f"{TEXT}\n{OTHER}\n")
    result = tmp_path / "result.json"
    with running_own_server(speak=speak) as url:
        options = ["--texts", str(texts), "--live", "--base-url", f"{url}/v1", "--warmup", "0", "--asr", "none"]
        status = run_voicegauge(["bench", "openai-compatible", *options, "--out", str(tmp_path), "--json", str(result)])
    assert status == EXIT_NOTHING_MEASURED
    printed = " ".join(capsys.readouterr().err.split())
    assert "it is doubtful whether the audio of 2 samples says its text, and none is known to be right" in printed
    found = json.loads(result.read_bytes())
    assert (found["measured_sample_count"], found["doubtful_sample_count"], found["wrong_sample_count"]) == (2, 2, 0)
    headline = voicegauge.build_report(found["folder"]).runs[0].verdict.headline
    assert "it is doubtful whether any clip of" in headline.lower()


def test_error_rates_of_unknown_words_are_not_compared() -> None:
    samples = tuple(build_sample(f"text-{number}") for number in range(30))
    wrong = msgspec.structs.replace(
        build_score_set(samples, lambda _: 9), known_words=KnownWords(word_count=9, unknown_word_count=2)
    )
    right = msgspec.structs.replace(wrong, scores=build_score_set(samples, lambda _: 0).scores)
    before, after = (build_run(samples, run_id=name, score_sets=(one,)) for name, one in (("1", right), ("2", wrong)))
    compared = compare_runs(before, after)
    assert "wer" not in {one.metric for one in compared.metrics}
    assert str(compared.known_words) == "2 of 9 words unknown: do not interpret these error rates"


class InventiveAsr:
    """Makes up words for every clip."""

    def transcribe_batch(self, clips: Sequence[NDArray[np.float32]], language: str) -> list[str]:
        return ["made-up words"] * len(clips)


def test_noise_and_hum_have_no_words() -> None:
    times = np.arange(2 * RATE) / RATE
    hum = (0.2 * np.sin(2 * np.pi * 50 * times)).astype(np.float32)
    white = np.random.default_rng(2).standard_normal(2 * RATE)
    pink = np.fft.irfft(np.fft.rfft(white) / np.sqrt(np.arange(1, RATE + 2)))
    sounds = (hum, (0.1 * pink / pink.std()).astype(np.float32), _speak(TEXT))
    clips = [EncodedAudio(encode(sound, RATE, "wav")[0], media_type="audio/wav") for sound in sounds]
    found = transcribe_audio_batch(cast("Asr", InventiveAsr()), clips, "en")
    assert [one.audio_content for one in found] == ["noise", "noise", "speech"]
    assert [one.transcript for one in found] == ["", "", "made-up words"]
