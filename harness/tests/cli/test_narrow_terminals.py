"""Tables in a terminal of 80 columns: whole words, and nothing beyond its edge."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from voicegauge.bench.run_store import save_run
from voicegauge.cli import run as voicegauge

from ..builders.report_runs import VOICES, make_run


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_providers_breaks_no_word_of_a_price(capsys: pytest.CaptureFixture[str]) -> None:
    assert voicegauge(["providers", "cartesia", "azure", "ttsai", "elevenlabs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if line.startswith(" ")) <= 80
    text = " ".join(line[46:].strip() for line in lines)
    assert "$16.00 / 1,000,000 characters" in re.sub(r"\s+", " ", text)
    assert any(line.startswith(" ttsai/stt-whisper") for line in lines)  # speech to text is listed too


def test_sentences_are_broken_between_words_and_commands_nowhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    whole = ["check", "pixelapi/voice-design", "--emulated", "--max-calls", "2", "--fault", "empty-body"]
    assert voicegauge(whole) == 1
    expected = " ".join(capsys.readouterr().out.split())
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    assert voicegauge(whole) == 1
    printed = capsys.readouterr()
    out, err = (re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", text).replace("\r", "\n") for text in printed)
    assert " ".join(out.split()) == expected
    too_long = [line for line in (out + err).splitlines() if len(line) > 60]
    # The place of a finding has no space to break at, and is as long as the folder of the checkout.
    assert {line.split()[0] for line in too_long} - {"at"} == {"voicegauge"}


def test_compare_shows_both_values_and_the_change(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make_run(tmp_path / name, VOICES[:2], repetitions=1, seed=seed) for seed, name in enumerate("ab")]
    for folder, run in runs:
        save_run(folder, run)
    voicegauge(["compare", "--all", "--fail-on", "never", *(str(folder) for folder, _ in runs)])
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if line.startswith(" ")) <= 80
    assert any(re.match(r" north/aurora-turbo +[\d,]+ ms +[+-]", line) for line in lines)
    assert any(re.match(r"   total_latency_ms +[\d,]+ ms +[+-][\d.]+% to [+-]", line) for line in lines)


def test_a_sentence_in_a_pipe_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("COLUMNS")
    folder, run = make_run(tmp_path / "run")
    save_run(folder, run)
    damaged = tmp_path / ("damaged " * 25).strip()
    damaged.mkdir()
    (damaged / "run.json").write_text("[]")
    assert voicegauge(["history", str(tmp_path)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out: damaged")]
    assert line.endswith("measure again")
