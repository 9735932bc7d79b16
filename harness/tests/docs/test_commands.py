"""Every command of README.md and of the pages in docs/ is run, page by page, in the order of the page.

Live commands go to the emulator. Emulated benchmarks and checks are limited to few requests; servers are only parsed.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
import yaml

import voicegauge
from voicegauge.cli import cli
from voicegauge.cli import run as voicegauge_run
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.process import EmulatorSettings, running_emulator

from ..builders.documented_examples import read_example

ROOT = Path(__file__).resolve().parents[3]
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.name != "ci.md"]
PAGES = [path for path in PAGES if path.parent.name != "reference"]  # generated for the site
SERVERS = {"serve", "listen", "proxy"}
"""Commands that run until they are stopped."""
OTHER_PROGRAMS = ("make ", "docker ", "git ", "pip ", "cd ", "python ", "curl ")
FEW = {"bench": ["--limit", "1", "--warmup", "0", "--asr", "none"], "check": ["--max-calls", "6"]}
RUN_ELSEWHERE = {"voicegauge bench"}
"""Commands that take long and are run by `.ci/run`."""
OWN_SERVER = "http://127.0.0.1:8880/v1"
OTHER_SERVER = "http://127.0.0.1:8881/v1"
TRANSCRIPTION_SERVER = "http://127.0.0.1:8000/v1"
SOCKET_SERVER = "ws://127.0.0.1:9000"


def read_commands(page: Path) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = re.findall(r"^ *\$ (.*)$", "\n".join(blocks), re.MULTILINE)
    return [line for line in lines if not line.startswith(OTHER_PROGRAMS)]


HELP_BY_COMMAND = {page: commands for page in PAGES if (commands := read_commands(page))}


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    site = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in PAGES if path.name != "README.md"]
    assert [page for page in pages if f'"{page}"' not in site] == []


def split_command(line: str) -> list[str]:
    """Return the words after `voicegauge`; none for another program."""
    words = [word for word in shlex.split(line, comments=True) if not re.match(r"[A-Z_]+=", word)]
    return words[1:] if words[:1] == ["voicegauge"] else []


@pytest.mark.parametrize("page", HELP_BY_COMMAND, ids=lambda page: page.name)
def test_every_option_is_known(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for line in HELP_BY_COMMAND[page]:
        if words := split_command(line):
            command = cli.get_command(click.Context(cli), words[0])
            assert command is not None, line
            options = {
                option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
            }
            options |= {"--help", "-h"}
            subcommands = getattr(command, "commands", {})
            for word in words[1:]:
                if word in subcommands:
                    options |= {option for parameter in subcommands[word].params for option in parameter.opts}
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, line


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[voicegauge.RunningEmulator]:
    own = tmp_path_factory.mktemp("my-contracts") / "my-server" / "asyncapi.yaml"
    own.parent.mkdir()
    own.write_text(read_example("realtime.md", "my-server"))
    names = {"pixazo", "pixelapi", "ttsai", "openai-compatible", "openai-compatible-transcription", "deepgram"}
    bundled = [contract for contract in load_catalogue() if contract.id in names]
    settings = EmulatorSettings(credits=1e9, time_scale=0, enforces_rate_limits=False)
    with running_emulator([*bundled, own], settings) as running:
        yield running


@pytest.fixture(scope="module")
def other_server() -> Iterator[voicegauge.RunningEmulator]:
    with voicegauge.emulate("openai-compatible", time_scale=0, enforce_rate_limits=False) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files that the pages speak of."""
    acme = read_example("contract.md", "acme")
    document = yaml.safe_load(acme)
    own_documents = dict.fromkeys(("my-contracts/acme/openapi.yaml", "old.yaml", "new.yaml"), acme)
    for path in ("my-contracts/my-server/asyncapi.yaml", "old/asyncapi.yaml", "new/asyncapi.yaml"):
        own_documents[path] = read_example("realtime.md", "my-server")
    for name, text in own_documents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "openapi.json").write_text(json.dumps(document, default=str))
    (tmp_path / "lines.txt").write_text("Good morning.\nHow are you?\n")
    (tmp_path / "table.csv").write_text("category,text\nprompts,Good morning.\n")
    (tmp_path / "items.jsonl").write_text('{"text": "Good morning."}\n')
    page = (ROOT / "docs" / "suites.md").read_text(encoding="utf-8")
    (tmp_path / "support.yaml").write_text(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])
    tone = io.BytesIO()
    soundfile.write(tone, np.sin(np.arange(24_000 * 6) / 20).astype(np.float32) * 0.3, 24_000, format="WAV")
    (tmp_path / "me.wav").write_bytes(tone.getvalue())
    return tmp_path


def _adapt(line: str, emulator: voicegauge.RunningEmulator, other_server: voicegauge.RunningEmulator) -> str:
    """Return the command with the emulator in place of services, and with few requests."""
    line = re.sub(r"([A-Z_]+_(?:KEY|TOKEN))=\.\.\.", r"\1=sk-test-0123456789", line.partition(" #")[0].rstrip())
    words_on_page = split_command(line)
    line = line.replace(OWN_SERVER, emulator.base_url("openai-compatible"))
    line = line.replace(OTHER_SERVER, other_server.base_url("openai-compatible"))
    line = line.replace(TRANSCRIPTION_SERVER, emulator.base_url("openai-compatible-transcription"))
    line = line.replace(SOCKET_SERVER, emulator.base_url("my-server").replace("http", "ws", 1))
    words = split_command(line)
    added: list[str] = []
    if "--live" in words and "--dry-run" not in words:
        provider = next(word.partition("/")[0] for word in words[1:] if not word.startswith("-"))
        added = [] if "--base-url" in words else ["--base-url", emulator.base_url(provider)]
        added += ["--asr", "none"] if words[0] == "bench" else []
        has_own_plan = "--profile" not in words  # the plan of a profile is published
        added += FEW["check"] if words[0] == "check" and OWN_SERVER in words_on_page and has_own_plan else []
    elif words[0] == "bench" or (words[0] == "check" and "--emulated" in words):
        added = FEW[words[0]]
    return " ".join([line, *map(shlex.quote, added)])


@pytest.mark.slow
def test_the_finding_in_the_readme_is_what_its_command_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "160")
    blocks = re.findall(r"```console\n\$ (.*)\n([^$]*?)```", (ROOT / "README.md").read_text(encoding="utf-8"))
    ((command, shown),) = [(command, shown) for command, shown in blocks if shown]
    assert voicegauge_run(split_command(command)) == 1
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    lines = shown.splitlines()
    assert len(lines) == 3
    assert printed[: len(lines)] == lines


@pytest.mark.slow
@pytest.mark.parametrize("page", HELP_BY_COMMAND, ids=lambda page: page.name)
def test_every_command_succeeds(
    page: Path, folder: Path, emulator: voicegauge.RunningEmulator, other_server: voicegauge.RunningEmulator
) -> None:
    program = folder / "bin" / "voicegauge"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m voicegauge "$@"\n')
    program.chmod(0o755)
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (folder / "test_speech.py").write_text("\n\n".join(block for block in blocks if "def test_" in block))
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "harness"),
        "NO_COLOR": "1",
    }
    for line in HELP_BY_COMMAND[page]:
        words = split_command(line)
        if (words and words[0] in SERVERS) or line.partition("#")[0].strip() in RUN_ELSEWHERE:
            continue
        command = _adapt(line, emulator, other_server) if words else line
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        # A fault or a change is found, which is the purpose of the command.
        allowed = {0, 1} if "--fault" in line or words[:1] in (["compare"], ["drift"]) else {0}
        assert done.returncode in allowed, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr
