"""The commands in docs/ci.md are executed, in an empty folder and in the order of the page."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from voicegauge import plugin
from voicegauge.cli import cli
from voicegauge.plugin._service_checks import get_plugin_flag, list_plugin_options

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
GITHUB, PRE_COMMIT, GITLAB = (yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml")


def _commands() -> list[str]:
    found = [step["run"] for job in GITHUB["jobs"].values() for step in job["steps"] if "run" in step]
    found += [line for job in GITLAB.values() for line in job["script"]]
    found += re.findall(r"^\$ (.*)$", "\n".join(text for kind, text in BLOCKS if kind == "console"), re.MULTILINE)
    return list(dict.fromkeys(command for command in found if not command.startswith(("pip install", "docker "))))


HELP_BY_COMMAND = _commands()


def test_the_pipelines_have_the_expected_parts() -> None:
    assert {"without-a-key", "the-service-itself", "with-pytest"} == set(GITHUB["jobs"])
    live = GITHUB["jobs"]["the-service-itself"]["steps"][1]
    assert live["env"] == {"PIXELAPI_KEY": "${{ secrets.PIXELAPI_KEY }}"}
    assert GITLAB["speech"]["artifacts"]["reports"] == {"junit": "junit.xml"}
    assert len(HELP_BY_COMMAND) >= 10
    assert {command.split()[0] for command in HELP_BY_COMMAND} == {"voicegauge", "pytest"}


def test_every_option_and_fixture_of_the_plugin_is_documented() -> None:
    options = {"--vg-target", *map(get_plugin_flag, list_plugin_options())}
    fixtures = {name for name in vars(plugin) if name.startswith("voicegauge_")}
    assert {"--vg-live", "voicegauge_rule"} <= options | fixtures
    assert {name for name in options | fixtures if f"`{name}" not in PAGE} == set()


@pytest.mark.parametrize("command", [c for c in HELP_BY_COMMAND if c.startswith("voicegauge")])
def test_every_option_is_accepted(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "known.json").touch()
    (tmp_path / "fixtures").mkdir()
    _, name, *arguments = shlex.split(command, comments=True)
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    found.make_context(name, arguments)


def _expand_patterns(command: str, folder: Path) -> list[str]:
    """Return the words of a command, with the names of files in place of patterns, as a shell does."""
    expanded: list[str] = []
    for word in shlex.split(command, comments=True):
        files = [file for file in sorted(folder.glob(word)) if not file.name.startswith(".")] if "*" in word else []
        expanded += [str(file.relative_to(folder)) for file in files] or [word]
    return expanded


@pytest.mark.slow
def test_every_command_succeeds(tmp_path: Path) -> None:
    """Live commands run with --dry-run; fuzzing runs with a fault, so that it has a failure to write."""
    (tmp_path / "test_contract.py").write_text(next(text for kind, text in BLOCKS if kind == "python"))
    environment = {**os.environ, "CI": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "NO_COLOR": "1"}
    baseline = next(command for command in HELP_BY_COMMAND if "--write-baseline" in command)
    nights = "voicegauge bench pixelapi/voice-design --limit 1 --warmup 0 --asr none --no-report --out runs"
    for command in [baseline, nights, nights, *HELP_BY_COMMAND]:
        words = [sys.executable, "-m", *_expand_patterns(command, tmp_path)]
        words += ["--dry-run"] * ("--live" in words and "--dry-run" not in words)
        words += ["--fault", "accepts-invalid"] if "--fuzz" in words else []
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == ("--fuzz" in words), f"{command}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
    written = ["junit.xml", "pytest.xml", "check.json", "known.json"]
    assert [name for name in written if not (tmp_path / name).exists()] == []
    assert list((tmp_path / "found").glob("test_*.py"))
    assert any((tmp_path / ".voicegauge").rglob("*"))
