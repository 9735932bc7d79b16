"""Tables in a terminal of 80 columns: whole words, and nothing beyond its edge."""

from __future__ import annotations

import re

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
    assert max(map(len, lines)) <= 80
    text = " ".join(line[46:].strip() for line in lines)
    assert "$16.00 / 1,000,000 characters" in re.sub(r"\s+", " ", text)
    assert any(line.startswith(" ttsai/stt-whisper") for line in lines)  # speech to text is listed too


def test_compare_shows_both_values_and_the_change(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make_run(tmp_path / name, VOICES[:2], repetitions=1, seed=seed) for seed, name in enumerate("ab")]
    for folder, run in runs:
        save_run(folder, run)
    voicegauge(["compare", "--all", "--fail-on", "never", *(str(folder) for folder, _ in runs)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(re.match(r" north/aurora-turbo +\d+ ms +[+-]", line) for line in lines)
    assert any(re.match(r"   total_latency_ms +\d+ ms +[+-][\d.]+% to [+-]", line) for line in lines)
