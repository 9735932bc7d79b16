"""Without an optional part, a command that needs it ends with one line that names the extra and sends nothing."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

from voicegauge.bench.resampling import load_ruptures, load_scipy
from voicegauge.cli import run
from voicegauge.errors import MissingExtraError

find_spec = importlib.util.find_spec


@pytest.fixture(autouse=True)
def slim(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"av", "espeakng_loader", "faster_whisper", "whisper"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find_spec(name))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["check", "--emulated", "pixazo"], "emulator"),
        (["record", "pixazo", "--emulated", "--yes"], "emulator"),
        (["bench", "pixazo/xtts-v2", "--limit", "1"], "bench"),
        (["bench", "openai/tts-1", "--live"], "emulator"),
        (["check", "openai/tts-1", "--live"], "emulator"),  # its contract documents AAC
    ],
)
def test_one_line_names_the_extra(
    arguments: list[str],
    extra: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    printed = capsys.readouterr().err
    assert printed.splitlines()[-1].endswith(f"is not installed: pip install 'voicegauge[{extra}]'")
    assert "Traceback" not in printed
    assert len([line for line in printed.splitlines() if not line.startswith("LIVE")]) == 1


def test_documents_are_checked_without_extras() -> None:
    assert run(["check", "pixazo"]) == 0


def test_a_comparison_and_a_history_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(MissingExtraError, match=r"voicegauge\[bench\]"):
        load_scipy("stats")
    with pytest.raises(MissingExtraError, match=r"ruptures, .*voicegauge\[bench\]"):
        load_ruptures.__wrapped__()
