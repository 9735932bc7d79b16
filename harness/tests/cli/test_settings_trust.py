"""A settings file in the current folder may be a stranger's: it decides neither where keys go nor what is written."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from voicegauge.cli import HELP_BY_COMMAND, _load_command, run
from voicegauge.cli.settings_trust import (
    PATH_SETTINGS_LIMITED_TO_FOLDER,
    SETTINGS_LIMITED_TO_DEFAULT,
    UNTRUSTED_REASON_BY_SETTING,
)

from ..builders.contracts import MINIMAL_CONTRACT

CONTRACT = MINIMAL_CONTRACT.replace("https://", "http://").replace(
    "      requestBody:", "      x-pricing: {usd: 0.001, per: request}\n      requestBody:"
)
# fmt: off
HARMLESS = {
    "against", "all", "all-plans", "alpha", "arrivals", "capability", "case", "category", "characters-per-month",
    "clips", "clock", "concurrency", "count", "credits", "drift",
    "dry-run", "emulated",
    "fail-on", "fail-under", "fault", "format", "full", "fuzz", "github", "goal", "host", "http2", "ignore", "language",
    "large-uploads", "limit", "listen-port", "mask", "max-calls", "max-wait", "min-slowdown", "min-wer", "mode",
    "model", "no-report", "official", "operation", "pace", "plan", "port", "profile", "provider", "ramp", "rate",
    "margin", "region", "refresh", "repetitions", "seed", "select", "stop-when-decided",
    "sessions", "severity", "strict", "strict-baseline", "text-length", "time-scale",
    "timeout", "to", "voice", "warmup", "webhook-http", "workers",
}
# fmt: on
"""Options that any settings file may set: none sends a key elsewhere, runs code, or names a file."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    return lines[0]


def test_every_option_is_either_harmless_or_checked() -> None:
    """A new option must be put in one of the sets."""
    options = [
        option for name in HELP_BY_COMMAND for option in _load_command(name).params if isinstance(option, click.Option)
    ]
    names = {max(option.opts, key=len).lstrip("-") for option in options}
    paths = {max(o.opts, key=len).lstrip("-") for o in options if isinstance(o.type, click.Path)}
    checked = {
        *UNTRUSTED_REASON_BY_SETTING,
        *SETTINGS_LIMITED_TO_DEFAULT,
        *PATH_SETTINGS_LIMITED_TO_FOLDER,
        *paths,
        "asr",
        "live",
    }
    assert names == checked | HARMLESS
    assert not checked & HARMLESS


@pytest.mark.parametrize(
    ("command", "text", "words"),
    [
        ("check", 'base-url = "https://evil.test"', ["base-url", "where your key is sent"]),
        ("bench", '[bench]\nbase-url = "https://evil.test"', ["base-url", "pass --base-url"]),
        ("record", "[record.base-url]\n'' = 'https://evil.test'", ["base-url"]),
        ("check", "allow-insecure-http = true", ["allow-insecure-http", "unencrypted"]),
        ("check", 'contracts = "."', ["contracts", "which key is sent where"]),
        ("serve", 'contracts = "."', ["contracts"]),
        ("check", 'key-env = "AWS_SECRET_ACCESS_KEY"', ["key-env", "which secret is sent"]),
        ("drift", 'from = "/etc/passwd"', ["from", "which file or URL is read"]),
        ("score", 'dask = "tcp://evil.test:8786"', ["dask", "runs code"]),
        ("check", "max-cost = 100", ["max-cost", "raises the limit of 1"]),
        ("check", "max-cost = nan", ["max-cost"]),
        ("bench", "[bench.price]\npixazo = 0", ["price", "exceeds your budget"]),
        ("bench", "retry-ambiguous = true", ["retry-ambiguous", "pays again"]),
        ("check", 'public-url = "https://evil.test"', ["public-url"]),
        ("serve", 'webhook-host = "evil.test"', ["webhook-host"]),
        ("record", "yes = true", ["yes", "overwrites"]),
        ("report", "open = true", ["open"]),
        ("score", 'asr = "whisper:./model.pt"', ["asr", "weights"]),
        ("check", "junit = '../out.xml'", ["junit", "'../out.xml' is outside of this folder"]),
        ("check", "sarif = '/etc/out.sarif'", ["sarif", "'/etc/out.sarif' is outside"]),
        ("check", "[check]\nfailures = '../saved'", ["failures", "outside"]),
        ("check", "write-tests = '..'", ["write-tests", "outside"]),
        ("check", "recordings = ['.', '..']", ["recordings", "'..' is outside"]),
        ("bench", "out = '../reports'", ["out", "outside"]),
        ("bench", "suite = '/etc/passwd'", ["suite", "outside"]),
        ("bench", "voice-sample = '../secret.wav'", ["voice-sample", "outside"]),
        ("drift", "propose = 'link/patch'", ["propose", "'link/patch' is outside"]),
        ("report", "out = 'link/page.html'", ["out", "outside"]),
    ],
)
@pytest.mark.parametrize("project_file", [False, True])
def test_a_dangerous_setting_of_a_found_file_is_one_line(
    folder: Path, command: str, text: str, words: list[str], project_file: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "link").symlink_to("..")
    name = "pyproject.toml" if project_file else "voicegauge.toml"
    if project_file:
        text = "[tool.voicegauge]\n" + re.sub(r"^\[", "[tool.voicegauge.", text, flags=re.MULTILINE)
    (folder / name).write_text(text)
    arguments = {"score": ["run"], "drift": ["pixazo", "pixelapi"], "report": ["run"]}.get(command, [])
    assert run([command, *arguments]) == 2
    line = one_line(capsys)
    for word in [name, "voicegauge --settings", *words]:
        assert word in line


def test_all_dangerous_settings_of_a_found_file_are_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "voicegauge.toml").write_text(
        "live = true\nbase-url = 'https://evil.test'\nseed = 3\n[check]\nmax-cost = 100\njunit = '../out.xml'\n"
    )
    assert run(["check"]) == 2
    line = one_line(capsys)
    assert line.startswith("voicegauge: voicegauge.toml: live cannot be set in a file, because it costs money")
    for setting, reason in {
        "base-url": "it decides where your key is sent",
        "max-cost": "it raises the limit of 1",
        "junit": "'../out.xml' is outside of this folder",
    }.items():
        assert f"{setting} ({reason})" in line
    assert (
        "pass --base-url, --max-cost, --junit, or trust the file with `voicegauge --settings voicegauge.toml`" in line
    )
    assert "seed" not in line


def test_harmless_settings_of_a_found_file_apply(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "voicegauge.toml").write_text("max-cost = 0.25\nasr = 'none'\n[drift]\njson = 'reports/out.json'\n")
    assert run(["drift", "pixazo", "pixazo"]) == 0
    assert (folder / "reports" / "out.json").is_file()
    assert run(["bench", "pixelapi", "--dry-run", "--limit", "1"]) == 0


@pytest.mark.parametrize("by_environment", [False, True])
def test_a_named_settings_file_may_set_everything_but_live(
    folder: Path, by_environment: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "acme.yaml").write_text(CONTRACT)
    (folder / "voicegauge.toml").write_text("seed = 'ignored'")
    (folder.parent / "mine.toml").write_text("contracts = 'acme.yaml'\njson = '../listed.json'\n")
    named = ["--settings", "../mine.toml"]
    if by_environment:
        monkeypatch.setenv("VOICEGAUGE_SETTINGS", "../mine.toml")
        named = []
    assert run([*named, "providers"]) == 0
    assert '"acme"' in (folder.parent / "listed.json").read_text()
    (folder.parent / "mine.toml").write_text("live = true\n")
    assert run([*named, "check"]) == 2
    assert "--live" in one_line(capsys)
    (folder.parent / "mine.toml").unlink()
    assert run([*named, "check"]) == 2
    assert "no such file" in one_line(capsys)


def test_a_live_command_first_names_the_settings_file_the_key_and_the_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACME_KEY", "sk-secret")
    (folder / "acme.yaml").write_text(CONTRACT.replace("http://", "https://"))
    (folder / "voicegauge.toml").write_text("seed = 3\n")
    for command in ("check", "bench", "record"):
        # The plan is over the budget, so nothing is sent.
        assert run([command, "acme", "--contracts", "acme.yaml", "--live", "--max-cost", "0"]) == 4
        first, second, *_ = capsys.readouterr().err.splitlines()
        assert first == f"LIVE: settings are read from {folder / 'voicegauge.toml'}"
        assert second == "LIVE: acme sends the key in ACME_KEY to https://api.acme.test, as acme.yaml says"


def test_a_key_is_sent_unencrypted_to_another_machine_only_with_a_flag(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "acme.yaml").write_text(CONTRACT)
    monkeypatch.setenv("ACME_KEY", "sk-secret")
    live = ["acme", "--contracts", "acme.yaml", "--live", "--max-cost", "0"]
    for command in ("check", "bench", "record"):
        assert run([command, *live]) == 2
        assert (
            "unencrypted to http://api.acme.test: use https, or pass --allow-insecure-http" in capsys.readouterr().err
        )
        assert run([command, *live, "--allow-insecure-http"]) == 4
        assert run([command, *live, "--base-url", "http://127.0.0.1:9"]) == 4
    assert run(["check", "acme", "--contracts", "acme.yaml", "--allow-insecure-http"]) == 2
    assert "--allow-insecure-http goes with --live" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("http://api.acme.test", "https://evil.test", "names https://evil.test, which is not among its servers"),
        ("http://api.acme.test", "http://api.pixelapi.dev", "names http://api.pixelapi.dev"),
        ("key_env: ACME_KEY", "key_env: GITHUB_TOKEN", "takes the key from GITHUB_TOKEN, not from PIXELAPI_KEY"),
    ],
)
def test_an_own_contract_does_not_take_over_the_key_of_a_bundled_one(
    folder: Path, old: str, new: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = CONTRACT.replace("id: acme", "id: pixelapi").replace(old, new)
    if old != "http://api.acme.test":
        text = text.replace("http://api.acme.test", "https://api.pixelapi.dev")
    (folder / "pixelapi.yaml").write_text(text)
    assert run(["providers", "--contracts", "pixelapi.yaml"]) == 2
    line = one_line(capsys)
    assert line.startswith("voicegauge: pixelapi.yaml:4: ")
    assert words in line


@pytest.mark.parametrize("name", ["voicegauge.toml", "pyproject.toml"])
@pytest.mark.parametrize("text", ["seed = " + "9" * 5000, "seed = [" * 5000, "seed = 2026-02-30", "seed = 'x", "\xff"])
def test_a_settings_file_that_cannot_be_parsed_is_one_line(
    folder: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / name).write_text(text, encoding="latin-1")
    assert run(["providers"]) == 2
    assert one_line(capsys).startswith(f"voicegauge: {name}: ")
