"""Every table of every command can be read in terminals of 80 to 160 columns, and on a pipe."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

from voicegauge.bench.run_store import save_run
from voicegauge.cli import run as voicegauge

from ..builders.nights import save_nights
from ..builders.report_runs import VOICES, make_run

WIDTHS = ["80", "100", "120", "160", None]
"""Values of COLUMNS; `None` is a pipe without a width."""
COMMANDS = {
    "plan of a check": ["check", "pixelapi", "--emulated", "--dry-run"],
    "plan of a benchmark": ["bench", "pixelapi", "ttsai/kokoro", "--dry-run"],
    "providers": ["providers", "elevenlabs", "pixelapi", "ttsai"],
    "one provider": ["providers", "lmnt"],
    "results of a benchmark": ["score", "{runs}/a", "--asr", "none"],
    "rules": ["rules"],
    "rules of drift": ["rules", "drift"],
    "engines": ["asr", "list"],
    "faults": ["serve", "--fault", "list"],
    "cost": ["cost", "lmnt", "ttsai/kokoro", "--all-plans"],
    "compare": ["compare", "{runs}/a", "{runs}/b", "--all", "--fail-on", "never"],
    "history": ["history", "{nights}"],
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    runs, nights = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("nights")
    for seed, name in enumerate("ab"):
        save_run(*make_run(runs / name, VOICES[:2], repetitions=1, seed=seed))
    save_nights(nights, 3)
    return {"runs": runs, "nights": nights}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", COMMANDS)
def test_no_table_is_wider_than_the_terminal_or_stacks_letters(name, width, folders, monkeypatch, capsys) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if width is not None:
        monkeypatch.setenv("COLUMNS", width)
    assert voicegauge([part.format(**folders) for part in COMMANDS[name]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 3
    # Rows of tables begin with a space; sentences outside of them are wrapped by the terminal itself.
    rows = [line for line in lines if line.startswith(" ")]
    if width is not None:
        assert max(map(len, rows), default=0) <= int(width)
    is_letter = [len(row.strip()) <= 2 and row.strip().isalpha() for row in rows]
    assert not any(first and second for first, second in itertools.pairwise(is_letter))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_shows_the_cost_and_the_expectation_of_each_request(width, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if width is not None:
        monkeypatch.setenv("COLUMNS", width)
    file = tmp_path / "plan.json"
    assert voicegauge(["check", "pixelapi", "--emulated", "--dry-run", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    cases = json.loads(file.read_text())["cases"]
    assert len(cases) > 20
    ends = [
        line.split()[-2:] for line in shown.splitlines() if re.search(r" (accepted|rejected|either)\s+\S+\s*$", line)
    ]
    assert len(ends) == len(cases)
    assert sum(cost.startswith("$") for _, cost in ends) == sum(case["is_billable"] for case in cases)


@pytest.mark.parametrize("width", ["20", "25"])
def test_a_table_that_cannot_fit_becomes_blocks_of_lines(width, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert voicegauge(["rules", "audio-silent"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(index for index, line in enumerate(lines) if line.strip() == "audio-silent")
    assert lines[first + 1].split() == ["severity:", "error"]
    assert max(map(len, lines)) <= int(width)
