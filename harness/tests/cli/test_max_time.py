"""Every command that can take long ends after --max-time, with one line and exit status 5."""

from __future__ import annotations

import json
import signal
import time
import types
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from voicegauge.bench.run_store import save_run
from voicegauge.cli import COMMAND_LOADER_BY_NAME
from voicegauge.cli import run as run_cli
from voicegauge.errors import EXIT_INTERRUPTED, EXIT_NOTHING_MEASURED, EXIT_PARTLY_MEASURED
from voicegauge.files import find_bundled_folder

from ..builders.runs import build_run, build_sample

COMMANDS_WITHOUT_LIMIT = {
    "serve": "runs until it is stopped",
    "proxy": "runs until it is stopped",
    "listen": "has --timeout",
    "asr list": "looks for installed packages",
    "rules": "prints what is bundled",
    "explain": "prints what is bundled",
}


def list_commands() -> Iterator[tuple[str, click.Command]]:
    for name, load in COMMAND_LOADER_BY_NAME.items():
        command = load()
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items())
        else:
            yield name, command


def test_every_command_that_can_take_long_has_a_limit() -> None:
    without = {
        name
        for name, command in list_commands()
        if not any("--max-time" in parameter.opts for parameter in command.params)
    }
    assert without == set(COMMANDS_WITHOUT_LIMIT)


@pytest.fixture
def saved_run(tmp_path: Path) -> Path:
    folder = tmp_path / "reports" / "run"
    save_run(folder, build_run(tuple(build_sample(index) for index in range(2))))
    return folder


ARGUMENTS = {
    "init": ["contracts/openai/openapi.yaml", "--out", "{folder}/overlay.yaml"],
    "check": ["openai"],
    "drift": ["openai", "contracts/openai/openapi.yaml"],
    "drift --official": ["--official", "openai", "--from", "contracts/openai/openapi.yaml"],
    "bench": ["openai/tts-1", "--emulated", "--out", "{folder}/new"],
    "score": ["{run}"],
    "cost": [],
    "compare": ["{run}", "{run}", "{run}"],
    "history": ["{folder}/reports"],
    "report": ["{run}"],
    "providers": [],
    "convert": ["{recordings}", "--provider", "pixazo", "--out", "{folder}/converted"],
    "asr install": ["base.en"],
}


NOTHING_BEFORE_THE_END = ("check", "bench")
"""Commands that print what was judged or measured until the time is over; their exit status says if that is nothing."""


def test_all_limited_commands_are_tried() -> None:
    limited = {name for name, _ in list_commands()} - set(COMMANDS_WITHOUT_LIMIT)
    assert limited == {name for name in ARGUMENTS if not name.startswith("drift ")} | {"record"}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_command_ends_when_its_time_is_over(
    name: str, saved_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {
        "folder": tmp_path,
        "run": saved_run,
        "recordings": find_bundled_folder("fixtures") / "pixazo",
    }
    monkeypatch.chdir(find_bundled_folder("contracts").parent)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    arguments = [argument.format(**places) for argument in ARGUMENTS[name]]
    command = name.partition(" --")[0].split()
    expected = EXIT_NOTHING_MEASURED if name in NOTHING_BEFORE_THE_END else EXIT_PARTLY_MEASURED
    assert run_cli([*command, *arguments, "--max-time", "0.000001"]) == expected
    printed = capsys.readouterr()
    assert "--max-time 1e-06 was over" in printed.err + printed.out
    assert len(printed.err.strip().splitlines()) <= 2
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "command",
    [
        "check pixelapi --emulated",
        "check pixelapi --emulated --dry-run",
        "record pixelapi --emulated --out {folder}",
        "record pixelapi --emulated --out {folder} --dry-run",
        "bench pixelapi --emulated --out {folder}",
        "bench pixelapi --emulated --out {folder} --dry-run",
    ],
)
def test_the_time_covers_planning(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A contract of a stranger can make the plan take long."""
    is_planning = False

    def plan(*_: object, **__: object) -> None:
        nonlocal is_planning
        is_planning = True
        signal.raise_signal(signal.SIGALRM)  # the timer expires
        pytest.fail("the plan was not interrupted")

    planning = ("check_setup.plan_cases", "recording.RecordingRun.plan_updates", "benchmark_planning.plan_requests")
    for name in planning:
        monkeypatch.setattr(f"voicegauge.api.{name}", plan)
    remaining_s = property(lambda _: 0.0 if is_planning else 1000.0)
    monkeypatch.setattr("voicegauge.api.calls.CommandDeadline.remaining_s", remaining_s)
    arguments = command.format(folder=tmp_path / "out").split()
    assert run_cli([*arguments, "--max-time", "20"]) == EXIT_NOTHING_MEASURED
    assert "--max-time 20 was over while the command was prepared: nothing was" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["check pixelapi --emulated", "record pixelapi --emulated", "bench pixelapi"])
def test_ctrl_c_while_a_command_is_prepared_says_that_nothing_was_paid_for(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(*_arguments: object, **_settings: object) -> None:
        signal.raise_signal(signal.SIGINT)

    for name in ("check_setup.plan_cases", "recording.RecordingRun.plan_updates", "benchmark_planning.plan_requests"):
        monkeypatch.setattr(f"voicegauge.api.{name}", plan)
    monkeypatch.chdir(tmp_path)
    assert run_cli(command.split()) == EXIT_INTERRUPTED
    said = "voicegauge: stopped while the command was prepared, before anything that costs money was sent"
    assert capsys.readouterr().err.strip() == said


def test_the_time_begins_with_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing the modules of a command takes longer than some requests."""
    later = types.SimpleNamespace(monotonic=lambda: time.monotonic() + 1000.0)
    monkeypatch.setattr("voicegauge.api.calls.time", later)  # the clock when the command has been imported
    assert run_cli(["check", "pixelapi", "--emulated", "--max-time", "20"]) == EXIT_NOTHING_MEASURED
    assert "--max-time 20 was over while the command was prepared" in capsys.readouterr().err


def test_official_documents_that_were_compared_in_time_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads: list[str] = []

    def download(url: str, folder: str) -> Path:
        downloads.append(url)
        if len(downloads) > 1:
            signal.raise_signal(signal.SIGALRM)  # the timer expires
        path = Path(folder, "openapi.yaml")
        path.write_bytes((find_bundled_folder("contracts") / "openai" / "openapi.yaml").read_bytes())
        return path

    monkeypatch.setattr("voicegauge.api.documents.download_document", download)
    result = tmp_path / "result.json"
    arguments = ["drift", "--official", "openai", "elevenlabs", "--json", str(result), "--max-time", "20"]
    remaining_s = property(lambda _: 1000.0 if len(downloads) < 2 else 0.0)
    monkeypatch.setattr("voicegauge.api.calls.CommandDeadline.remaining_s", remaining_s)
    assert run_cli(arguments) == EXIT_PARTLY_MEASURED
    assert "--max-time 20 was over" in capsys.readouterr().err
    [comparison] = json.loads(result.read_text())["comparisons"]
    assert comparison["provider"] == "openai"
    assert comparison["official_document"] is not None
