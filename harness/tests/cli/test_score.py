"""`voicegauge score` as a shell sees it."""

from __future__ import annotations

import html
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

import voicegauge
from voicegauge.api.saved_runs import ScoreResult
from voicegauge.bench.run_store import load_run, save_audio, save_run
from voicegauge.cli import run as run_cli
from voicegauge.model.base import Provenance
from voicegauge.model.run import Run, ScoreSet, VoiceSet
from voicegauge.model.sample import MeasuredVoice, Sample
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import synthesize

from ..builders.runs import build_run, build_sample

TEXTS = ("The box was thrown beside the parked truck.", "The kettle is on the stove.")


def spoken(folder: Path, text: str, index: int) -> Sample:
    samples = synthesize(
        text, language="en", voice_variant="klatt5", words_per_minute=175, pitch=50, sample_rate_hz=16_000, seed=index
    )
    audio, media_type = encode(samples, 16_000, "wav")
    _, file = save_audio(folder, audio)
    facts = EncodedAudio(audio, media_type=media_type).measure_facts(file)
    return msgspec.structs.replace(build_sample(index, words=text), audio=facts)


def made_run(folder: Path, count: int, provenance: Provenance = Provenance.EMULATED) -> Run:
    samples = tuple(spoken(folder, TEXTS[index % 2], index) for index in range(count))
    return build_run(samples, provenance=provenance, targets=())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("XDG_CACHE_HOME", "HF_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "cache"))
    for variable in ("VOICEGAUGE_WHISPER", "VOICEGAUGE_CACHE", "VOICEGAUGE_ASR"):
        monkeypatch.delenv(variable, raising=False)
    made = tmp_path / "run"
    save_run(made, made_run(made, 2))
    return made


@pytest.fixture(scope="module")
def transcripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("transcripts")


@pytest.fixture
def shared_transcripts(folder: Path, transcripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Share transcripts between the tests of this module."""
    monkeypatch.setenv("VOICEGAUGE_CACHE", str(transcripts))


def test_scores_are_saved_and_those_of_other_engines_remain(folder: Path, shared_transcripts: None) -> None:
    run = load_run(folder)
    other = ScoreSet(asr="another", asr_reason="requested", normalizer="whisper-english/1")
    save_run(folder, msgspec.structs.replace(run, score_sets=(other,)))
    for _ in range(2):
        assert run_cli(["score", str(folder), "--workers", "1"]) == 0
    saved = load_run(folder).score_sets
    assert [one.asr.partition("/")[0] for one in saved] == ["another", "lexicon"]
    assert len(saved[1].scores) == 2


def test_it_prints_the_table_or_the_json(
    folder: Path, shared_transcripts: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["score", str(folder / "run.json"), "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert "EMULATED" in shown
    assert "in reference speech" in shown
    assert run_cli(["score", str(folder), "--json", "-"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["schema"], written["provenance"]) == ("voicegauge/score/3", "emulated")
    assert len(written["scores"]["scores"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--asr", "whisperer"], "did you mean whisper?"),
        (["--asr", "whisper:/absent.pt"], "no such file"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run_cli(["score", str(folder), *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert load_run(folder).score_sets == ()


def test_a_live_run_without_weights_names_the_option_to_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_run(folder, made_run(folder, 1, Provenance.LIVE))
    assert run_cli(["score", str(folder)]) == 2
    assert "--asr whisper" in capsys.readouterr().err


def test_a_run_in_an_unknown_language_is_rejected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = load_run(folder)
    german = tuple(msgspec.structs.replace(sample, language="de") for sample in run.samples)
    save_run(folder, msgspec.structs.replace(run, samples=german))
    assert run_cli(["score", str(folder)]) == 2
    assert "knows none of its languages (de): choose another --asr" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "state"), [(Path.unlink, "missing"), (lambda file: file.write_bytes(b"?"), "changed")]
)
def test_missing_or_changed_audio_is_named_and_not_scored(
    folder: Path,
    shared_transcripts: None,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    state: str,
) -> None:
    assert run_cli(["score", str(folder), "--workers", "1"]) == 0  # now every transcript is cached
    run = load_run(folder)
    (first, _) = run.samples
    assert first.audio is not None
    damage(folder / first.audio.file_path)
    capsys.readouterr()
    found = (
        f"1 of 2 audio files missing or changed since the measurement: {first.audio.file_path} of {first.id} ({state})"
    )
    assert run_cli(["score", str(folder), "--workers", "1"]) == 2
    assert found in capsys.readouterr().err
    assert load_run(folder) == run
    assert run_cli(["report", str(folder), "--out", str(folder / "page.html")]) == 0
    assert found in capsys.readouterr().err
    assert found in html.unescape((folder / "page.html").read_text())
    assert "1 of 2 audio files missing or changed" in voicegauge.render_report(folder, format="markdown")


@pytest.mark.slow
def test_ctrl_c_ends_it_in_one_line_and_leaves_no_process(folder: Path) -> None:
    save_run(folder, made_run(folder, 60))
    process = subprocess.Popen(
        [sys.executable, "-m", "voicegauge", "score", str(folder), "--workers", "1"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    cache = folder.parent / "cache" / "voicegauge" / "transcripts.sqlite3"
    while process.poll() is None and not (cache.exists() and cache.stat().st_size):
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.strip() == "voicegauge: stopped"
    psutil.wait_procs(workers)
    assert load_run(folder).score_sets == ()


def test_a_folder_without_a_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli(["score", "."]) == 2
    assert f"{tmp_path / 'run.json'}: cannot be read" in capsys.readouterr().err


def test_a_notebook_shows_what_was_done_instead_of_each_score(folder: Path) -> None:
    result = voicegauge.score(folder, asr="none")
    assert repr(result) == f"<ScoreResult: EMULATED: {folder}: clips listened to 2>"
    assert "<td>listened to</td>" in result._repr_html_()


def test_compared_voices_are_among_what_was_done() -> None:
    voices = VoiceSet(method="ge2e/1@1a2b3c4d", voices=(MeasuredVoice(sample_id="one", vector=""),))
    result = ScoreResult(run_folder="run", provenance=Provenance.LIVE, scores=None, voices=voices)
    assert repr(result) == "<ScoreResult: run: clips compared by voice 1>"
    assert "ge2e/1@1a2b3c4d" in result._repr_html_()
