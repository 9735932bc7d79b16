"""Stale recordings: `voicegauge check` offers on a terminal to record them again."""

from __future__ import annotations

import io
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from voicegauge import cli
from voicegauge.recording.har_files import load_har

from .conftest import ACME_KEY, Acme

OLD = 1_600_000_000


@pytest.fixture
def aged(
    acme: Acme, acme_contracts: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[list[str], Path]:
    """The arguments of a check of one stale recording, and the recording."""
    monkeypatch.setenv("ACME_API_KEY", ACME_KEY)
    monkeypatch.delenv("CI", raising=False)
    contracts, out = acme_contracts(), tmp_path / "my fixtures"
    document = contracts / "acme" / "openapi.yaml"
    document.write_text(document.read_text().replace("https://api.acme.example", acme.url))
    monkeypatch.setenv("VOICEGAUGE_ALLOW_KEYS", f"ACME_API_KEY={acme.url.removeprefix('http://')}")
    assert cli.run(["record", "acme/voice-1", "--live", "--contracts", str(contracts), "--out", str(out)]) == 0
    path = out / "acme" / "voice-1.har"
    path.write_text(re.sub(r'("started_at": )[\d.]+', rf"\g<1>{OLD}", path.read_text()))
    return ["check", "acme", "--contracts", str(contracts), "--recordings", str(out)], path


def started_at(path: Path) -> float:
    return min(exchange.timing.started_at for exchange in load_har(path).exchanges if exchange.timing)


class Terminal(io.StringIO):
    """What is typed on a terminal, or shown there."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(params=["in this process", pytest.param("as a process", marks=pytest.mark.slow)])
def on_a_terminal(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str], str], tuple[int, str]]:
    """Run a command whose standard input and standard error are a terminal, on which an answer is typed."""

    def run(arguments: list[str], answer: str) -> tuple[int, str]:
        shown = Terminal()
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdin", Terminal(f"{answer}\n"))
            patch.setattr("sys.stderr", shown)
            status = cli.run(arguments)
        out, _ = capsys.readouterr()
        assert "Run them now?" in shown.getvalue() + out
        return status, out

    return run_on_a_terminal if request.param == "as a process" else run


def run_on_a_terminal(arguments: list[str], answer: str) -> tuple[int, str]:
    leader, follower = pty.openpty()
    os.write(leader, f"{answer}\n".encode())
    done = subprocess.run(
        [sys.executable, "-m", "voicegauge", *arguments],
        stdin=follower, stdout=subprocess.PIPE, stderr=follower, text=True, check=False,
        start_new_session=True, timeout=120,
    )  # fmt: skip
    output = os.read(leader, 65_536)
    os.close(follower)
    os.close(leader)
    assert b"Run them now?" in output, output
    return done.returncode, done.stdout


def test_on_confirmation_stale_recordings_are_recorded_and_judged_again(
    aged: tuple[list[str], Path], on_a_terminal
) -> None:
    arguments, path = aged
    status, out = on_a_terminal(arguments, "y")
    assert (status, "recording-stale" in out) == (0, False)
    assert f"wrote {path}" in out
    assert started_at(path) > OLD + 1e8


def test_without_confirmation_the_command_is_shown(aged: tuple[list[str], Path], acme: Acme, on_a_terminal) -> None:
    arguments, path = aged
    requests = len(acme.keys)
    status, out = on_a_terminal([*arguments, "--strict"], "n")
    assert status == 1
    assert f"voicegauge record acme/voice-1 --live --out '{path.parent.parent}'" in out
    assert (started_at(path), len(acme.keys)) == (OLD, requests)


def test_the_printed_command_records_again(aged: tuple[list[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    arguments, path = aged
    capfd.readouterr()
    cli.run(arguments)
    (command,) = [line.strip() for line in capfd.readouterr().out.splitlines() if "voicegauge record" in line]
    words = shlex.split(command[command.index("voicegauge record") :])
    assert cli.run(words[1:]) == 0
    assert started_at(path) > OLD + 1e8
    assert "recording-stale" not in capfd.readouterr().out


@pytest.mark.parametrize(("ci", "expected"), [(None, 0), ("true", 1)])
def test_without_a_terminal_nothing_is_offered_and_ci_fails(
    aged: tuple[list[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    ci: str | None,
    expected: int,
) -> None:
    arguments, path = aged
    if ci is not None:
        monkeypatch.setenv("CI", ci)
    capfd.readouterr()
    status = cli.run(arguments)
    output = capfd.readouterr()
    assert status == expected
    assert "recording-stale" in output.out
    assert "Run them now?" not in output.out + output.err
    assert started_at(path) == OLD
