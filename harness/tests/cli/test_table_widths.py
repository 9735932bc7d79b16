"""Every table of every command can be read in terminals of 80 to 160 columns, and on a pipe."""

from __future__ import annotations

import ast
import itertools
import json
import pkgutil
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from voicegauge import cli
from voicegauge.bench.estimates import Estimate
from voicegauge.bench.run_store import load_run, save_run
from voicegauge.bench.target_samples import PlaceSummary
from voicegauge.cli import HELP_BY_COMMAND, _bench_tables, _console
from voicegauge.cli import run as voicegauge
from voicegauge.model.ramp import RampResult, RampStep

from ..builders.documented_examples import read_example
from ..builders.nights import save_nights
from ..builders.report_runs import VOICES, make_run

ROOT = Path(__file__).resolve().parents[3]
WIDTHS = ["80", *(pytest.param(width, marks=pytest.mark.slow) for width in ("100", "120", "160", None))]
"""Values of COLUMNS; `None` is a pipe without a width."""
COMMANDS = {
    "plan of a check": ["check", "pixelapi", "--emulated", "--dry-run"],
    "a check with findings": [
        "check",
        "pixelapi/voice-design",
        "--emulated",
        "--fault",
        "ignored-key",
        "--max-calls",
        "2",
    ],
    "profile": ["check", "--profile", "openai-transcription@2026-11", "--emulated"],
    "plan of a benchmark": ["bench", "pixelapi", "ttsai/kokoro", "--dry-run"],
    "ramp": ["bench", "pixelapi/voice-design", "--ramp", "concurrency", "--goal", "rtf:p95<=1"],
    "places": ["bench", "pixelapi/voice-design"],
    "all providers": ["providers"],
    "providers": ["providers", "elevenlabs", "pixelapi", "ttsai"],
    "one provider": ["providers", "lmnt"],
    "targets over WebSockets": ["providers", "cartesia"],
    "results of a benchmark": ["score", "{runs}/a", "--asr", "none"],
    "rules": ["rules"],
    "rules of drift": ["rules", "drift"],
    "engines": ["asr", "list"],
    "faults": ["serve", "--fault", "list"],
    "cost": ["cost", "lmnt", "ttsai/kokoro", "--all-plans"],
    "compare": ["compare", "{runs}/a", "{runs}/b", "--all", "--fail-on", "never"],
    "power of a comparison": ["compare", "--power", "0.2", "{nights}/00", "{nights}/01", "{nights}/02"],
    "history": ["history", "{nights}"],
    "history of regions": ["history", "{regions}"],
    "explain": ["explain", "job-transition-illegal"],
    "drift": ["drift", "{old}", "{new}"],
}
SLOW_COMMANDS = {"profile", "rules of drift"}
"""Commands that take long: a whole check, and 3,000 rows."""
MAY_FAIL = {"a check with findings", "drift", "profile"}
"""Commands whose exit status tells what they found."""
WITHOUT_TABLE = {"explain", "drift", "a check with findings"}
"""Commands that print sentences, which the terminal wraps, and blocks such as lines of a contract."""
NOT_RUN = {"listen", "proxy", "init", "convert", "record", "report"}
"""Commands that print sentences about files, or what passes through a server, and no table."""
SLOW_RESULTS = {
    "profile": "voicegauge.api.checking.run_profile_check",
    "a check with findings": "voicegauge.api.checking.run_check",
}
"""Functions that send requests: each is called once, and its result is printed at every width."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    runs, nights, regions = (tmp_path_factory.mktemp(name) for name in ("runs", "nights", "regions"))
    for seed, name in enumerate("ab"):
        save_run(*make_run(runs / name, VOICES[:2], repetitions=1, seed=seed))
    save_nights(nights, 3)
    for region in ("eu-west", "us-east"):
        save_nights(regions / region, 3, region=region)
    documents = tmp_path_factory.mktemp("documents")
    old = read_example("contract.md", "acme")
    (documents / "old.yaml").write_text(old)
    (documents / "new.yaml").write_text(old.replace("maxLength: 500", "maxLength: 300"))
    return {
        "runs": runs,
        "nights": nights,
        "regions": regions,
        "old": documents / "old.yaml",
        "new": documents / "new.yaml",
    }


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """The results of commands that send requests, so that they send them once."""
    return {}


def make_ramp() -> RampResult:
    steps = tuple(
        RampStep(
            load=load,
            request_count=20,
            duration_s=10.0,
            requests_per_s=1234.5,
            goodput_per_s=1000.25,
            success_rate=0.985,
            ttfa_p95_ms=100.0,
            total_latency_p95_ms=12345.6,
            value_by_condition={"success": 0.985, "rtf:p95": 0.5, "ttfa:p95": 123.4},
            meets_goal=load < 8,
        )
        for load in (1.0, 2.0, 4.0, 8.0)
    )
    return RampResult(
        load_type="concurrency",
        goal="rtf:p95<=1",
        highest_load=4.0,
        meets_goal_at_max_load=False,
        is_search_complete=True,
        steps=steps,
    )


def make_places() -> tuple[PlaceSummary, ...]:
    latency = Estimate(value=12345.6, low=12000.0, high=12700.0, sample_count=39)
    return tuple(
        PlaceSummary(
            place=place,
            target="pixelapi/voice-design",
            sample_count=40,
            failure_count=1,
            ttfb_ms=latency,
            ttfa_ms=latency,
            ttfs_ms=None,
            total_latency_ms=latency,
            total_latency_p95_ms=latency,
        )
        for place in ("eu-west", "us-east")
    )


def run_at_width(
    name: str,
    width: str | None,
    folders: dict[str, Path],
    results: dict[str, Any],
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if width is not None:
        monkeypatch.setenv("COLUMNS", width)
    if function := SLOW_RESULTS.get(name):
        send = pkgutil.resolve_name(function.replace(".run_", ":run_"))

        def send_once(*given: Any, **named: Any) -> Any:
            if name not in results:
                results[name] = send(*given, **named)
            return results[name]

        monkeypatch.setattr(function, send_once)
    if name == "ramp":
        _bench_tables.print_ramp(make_ramp())
        return
    if name == "places":
        _bench_tables.print_places(make_places(), load_run(folders["runs"] / "a").manifest)
        return
    status = voicegauge([part.format(**folders, out=out) for part in COMMANDS[name]])
    assert status == 0 or (name in MAY_FAIL and status == 1)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW_COMMANDS else ()) for name in COMMANDS]
)
def test_no_table_is_wider_than_the_terminal_or_stacks_letters(
    name, width, folders, results, tmp_path, monkeypatch, capsys
) -> None:
    run_at_width(name, width, folders, results, tmp_path, monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > (0 if name in WITHOUT_TABLE else 3)
    # Rows of tables begin with a space; sentences outside of them are wrapped by the terminal itself.
    rows = [] if name in WITHOUT_TABLE else [line for line in lines if line.startswith(" ")]
    if width is not None:
        assert max(map(len, rows), default=0) <= int(width)
    is_letter = [len(row.strip()) <= 2 and row.strip().isalpha() for row in rows]
    assert not any(first and second for first, second in itertools.pairwise(is_letter))


def test_every_command_is_tried() -> None:
    assert {words[0] for words in COMMANDS.values()} | NOT_RUN == set(HELP_BY_COMMAND)


@pytest.mark.slow
def test_every_table_is_shown_by_one_of_the_commands(folders, results, tmp_path, monkeypatch, capsys) -> None:
    """Each place in the code that makes a table is reached, in a wide and in a narrow terminal together."""
    places = {
        (path.name, function.name)
        for path in Path(cli.__file__).parent.glob("*.py")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "create_table"
    }
    reached = set()
    create = _console.create_table

    def note_caller(*headings: str, **options: Any) -> Any:
        caller = sys._getframe(1).f_code
        reached.add((Path(caller.co_filename).name, caller.co_name))
        return create(*headings, **options)

    for path in Path(cli.__file__).parent.glob("*.py"):
        if "create_table" in path.read_text(encoding="utf-8") and path.stem != "_console":
            # Other modules import it when they need it.
            has_it = hasattr(import_module(f"voicegauge.cli.{path.stem}"), "create_table")
            monkeypatch.setattr(f"voicegauge.cli.{path.stem if has_it else '_console'}.create_table", note_caller)
    for number, name in enumerate(COMMANDS):
        for width in ("80", "160"):
            with monkeypatch.context() as patch:
                (out := tmp_path / f"{number}-{width}").mkdir()
                run_at_width(name, width, folders, results, out, patch)
    assert reached == places
    assert len(places) > 15


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
