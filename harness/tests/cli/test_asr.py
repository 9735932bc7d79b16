from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from voicegauge.cli import run as run_cli


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any weights, whose every request to a network fails."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    for scheme in ("http", "https", "all"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    # urllib keeps the opener of its first request, with the proxies of that moment, for all later tests.
    monkeypatch.setattr(urllib.request, "_opener", None)
    return tmp_path


def test_without_weights_only_the_bundled_engines_are_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["asr", "list", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "voicegauge/asr/2"
    assert [(one["spec"], one["is_chosen_for_live_runs"]) for one in found["installed_engines"]] == [
        ("lexicon", False),
        ("embedded", False),
    ]


def test_weights_in_the_cache_are_listed(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bare / "whisper").mkdir()
    (bare / "whisper" / "base.en.pt").write_bytes(b"")
    assert run_cli(["asr", "list"]) == 0
    assert "whisper:base.en" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bas.en"], "did you mean base.en"),
        (["base.en"], "could not be downloaded"),
        (["base.en", "--from", "."], "base.en.pt: No such file"),
        (["base.en", "--from", "absent"], "does not exist"),
    ],
)
def test_a_failed_installation_is_one_line(
    arguments: list[str], message: str, bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(bare)
    assert run_cli(["asr", "install", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""
