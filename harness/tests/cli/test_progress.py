"""Progress on standard error that is not a terminal."""

from __future__ import annotations

import re
import sys

import pytest

from voicegauge.cli._progress import TerminalProgress


def test_on_a_pipe_a_line_now_and_then_tells_how_long_a_phase_will_take(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 0.0
    progress = TerminalProgress(clock=lambda: now_s)
    progress.phase_started("sending requests", 700, done_count=100)
    for number in range(600):
        now_s += 1.0
        progress.phase_progressed(101 + number, 700)
    progress.phase_ended()
    progress.phase_progressed(1, 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "sending requests: 130 of 700, about 9 min 30 s left"
    assert lines[-1] == "sending requests: 700 of 700"
    assert len(lines) == 20


def test_the_time_until_the_first_item_is_not_its_pace(capsys: pytest.CaptureFixture[str]) -> None:
    """A recognizer is loaded before the first clip is transcribed, which may take longer than all clips."""
    times_s = iter([0.0, 31.0, 62.0, 93.0])
    progress = TerminalProgress(clock=lambda: next(times_s))
    progress.phase_started("transcribing", 20)
    for done in (1, 11, 19):
        progress.phase_progressed(done, 20)
    assert capsys.readouterr().err.splitlines() == [
        "transcribing: 1 of 20",
        "transcribing: 11 of 20, about 28 s left",
        "transcribing: 19 of 20, about 3 s left",
    ]


def test_a_phase_without_a_known_total_tells_its_count(capsys: pytest.CaptureFixture[str]) -> None:
    times_s = iter([0.0, 10.0, 31.0, 32.0])
    progress = TerminalProgress(clock=lambda: next(times_s))
    progress.phase_started("transcribing", None)
    for done in (1, 2, 3):
        progress.phase_progressed(done, None)
    assert capsys.readouterr().err == "transcribing: 2\n"


@pytest.mark.parametrize("columns", [60, 80, 160])
def test_a_long_name_presses_no_column_out_of_a_narrow_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    progress = TerminalProgress()
    progress.phase_started("sending requests", 279)
    progress.phase_progressed(140, 279, "acme/voice: " + "a full delivery with the text " * 6)
    progress.notice("stopping")  # draws the bar again
    progress.phase_ended()
    frames = [
        re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", frame).partition("\n")[0]
        for frame in capsys.readouterr().err.split("\x1b[2K")
    ]
    drawn = [frame for frame in frames if "140/279" in frame]
    assert drawn
    assert all(len(frame.strip()) <= columns for frame in drawn), drawn
    assert all(("━━━━" in frame) == (columns >= 80) for frame in drawn), drawn
    assert all("acme/" in frame for frame in drawn), drawn
