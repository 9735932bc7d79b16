"""`voicegauge report` replaces its own files and no others, and says when a run is empty."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from voicegauge.bench.run_store import save_run
from voicegauge.cli import run as voicegauge

from ..builders.report_runs import VOICES, make_run


@pytest.mark.parametrize(
    "arguments", [("--out", "page.html"), ("--out", "out.csv"), ("--out", "out.md"), ("--site", ".")]
)
def test_only_a_file_of_the_command_is_replaced(
    arguments: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_run(*make_run(tmp_path / "a", VOICES[:1], repetitions=1))
    written = tmp_path / ("index.html" if arguments[0] == "--site" else arguments[1])
    written.write_text("mine")
    command = ["report", str(tmp_path / "a"), *arguments]
    assert voicegauge(command) == 2
    assert capsys.readouterr().err.endswith(" was not written by voicegauge: name another file, or delete it\n")
    assert written.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", written.name]
    written.write_text("")
    assert (voicegauge(command), voicegauge(command)) == (0, 0)
    assert written.stat().st_size > 100


def test_an_empty_run_is_said_to_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, run = make_run(tmp_path / "a", VOICES[:1], repetitions=1)
    save_run(folder, msgspec.structs.replace(run, samples=()))
    assert voicegauge(["report", str(folder)]) == 3
    printed = capsys.readouterr()
    assert printed.out.startswith("wrote ")
    assert printed.err == "voicegauge: nothing was measured: no request of these runs has a result\n"
