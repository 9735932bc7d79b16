"""Every option of every command, set by the settings file of a hostile repository to what an attacker would try.

A command may then do what it does without the file, in an output folder of its own. Nothing is sent or executed, no key
is printed, and no file of the repository, or outside of it, is changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from voicegauge.cli import HELP_BY_COMMAND, _load_command
from voicegauge.cli._options import RequestOption
from voicegauge.options import DeclaredOption, PathKind, Trust

from .test_hostile_repository import KEYS, Repository, repository, saved_run  # noqa: F401 - fixtures

ARGUMENTS = {
    "check": "pixelapi/voice-design",
    "bench": "pixelapi/voice-design --dry-run",
    "record": "pixelapi/voice-design",
    "compare": "runs/good runs/good",
    "convert": "recordings --provider pixelapi --out new",
    "drift": "pixelapi contracts/pixelapi/openapi.yaml",
    "explain": "job-stuck",
    "history": "runs",
    "init": "contracts/evil/openapi.yaml",
    "listen": "nobody",
    "proxy": "nobody",
    "report": "runs/evil",
    "score": "runs/nothing",
    "serve": "nobody",
}
"""What a command needs besides its options. Servers get a provider that does not exist, so that they end."""
CHUNK = 800
"""Number of commands of a process, which takes them as one argument and counts as hanging after a while."""
SLOW_CHUNK = 100
"""The same for commands that may be executed."""
LIVE_COMMANDS = ("check", "bench", "record")
PATHS = (
    "../home/.bashrc", "/etc/hostname", "link/.bashrc", "link/out.json", ".git/hooks/pre-commit", ".git/config",
    ".venv/lib/python3.11/site-packages/x.pth", "conftest.py", "json.py", "suite.yaml", "contracts/evil/openapi.yaml",
    "runs/good/run.json", "new/x.pth", "new/conftest.py", "reports/x.json", "fixtures/x.har", "fifo.json", "-",
    "new/given.json",
)  # fmt: skip
TEXTS = (
    "--live", "\x1b]0;owned\x07", "$(touch ../owned)", "../home", "GITHUB_TOKEN", "GITHUB_TOKEN=127.0.0.1:PORT",
    "http://127.0.0.1:PORT", "https://127.0.0.1:PORT/x", "pixelapi=0", "pixelapi=http://127.0.0.1:PORT", "free", ".*",
    "127.0.0.1:PORT", "tcp://127.0.0.1:PORT", "voicegauge:main", "(a+)+$",
)  # fmt: skip


def list_hostile_values(one: DeclaredOption) -> list[str]:
    """Values of an option, as TOML."""
    shape, spec = one.shape, one.spec
    if shape.item_type is bool:
        return ["true", "false"]
    if shape.choices:
        return [json.dumps(choice) for choice in shape.choices]
    if shape.item_type in {int, float}:
        return ["0", "-1", "1e9" if shape.item_type is float else "1000000000", "nan"]
    texts = PATHS if shape.item_type is Path or spec.path is not PathKind.ANY else (*TEXTS, *PATHS[:4])
    return [json.dumps(text) for text in texts]


def iterate_settings(port: int, *, refused: bool) -> Iterator[tuple[str, str]]:
    """Yield commands with a text of the settings file.

    Args:
        port: port of the attacker's server.
        refused: whether to try options that no found file may set, and outputs, or the others.
    """
    for name in HELP_BY_COMMAND:
        for option in _load_command(name).params:
            if not isinstance(option, RequestOption) or option.declared.flag == "--live":
                continue
            one = option.declared
            if refused and one.spec.live_refusal_reason:
                given = ARGUMENTS.get(name, "").replace(
                    one.flag, ""
                )  # what the command line has is not read from the file
                for value in list_hostile_values(one):
                    yield f"{name} {given} --live", f"[{name}]\n{one.setting_name} = {value}\n"
            if (one.spec.found_file in {Trust.REFUSED, Trust.NEW_OUTPUT}) is not refused:
                continue
            command = f"{name} {ARGUMENTS.get(name, '')}"
            for value in list_hostile_values(one):
                text = f"[{name}]\n{one.setting_name} = {value.replace('PORT', str(port))}\n"
                yield command, text
                if refused and name in LIVE_COMMANDS and one.spec.found_file is Trust.REFUSED:
                    yield f"{command} --live", text


def take_digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != "voicegauge.toml"
    }


def write_more_targets(folder: Path) -> None:
    """Add what an attacker would like to have replaced."""
    for name in (".git/hooks/sample", ".git/config", ".venv/lib/python3.11/site-packages/x.pth", "conftest.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("# of the repository\n")


def may_be_accepted(text: str) -> bool:
    """Return whether a text of the settings file says what is harmless: a folder may have any name."""
    return '"new/' in text or '"-"' in text or "= false" in text


def run_all(
    repository: Repository,  # noqa: F811
    settings: list[tuple[str, str]],
    *,
    chunk: int,
) -> list[tuple[str, int, str]]:
    write_more_targets(repository.folder)
    before = take_digests(repository.folder)
    done = []
    for start in range(0, len(settings), chunk):
        done += repository.run(*settings[start : start + chunk])
    printed = "".join(text for _, _, text in done)
    assert not any(key in printed for key in KEYS.values())
    repository.assert_unharmed(printed)
    after = take_digests(repository.folder)
    assert {name: after.get(name) for name in before} == before
    # The folder "new" does not exist before, so that it is one of our own. `history` keeps what it read in its folder.
    created = after.keys() - before.keys() - {"runs/.voicegauge-history.sqlite"}
    assert {Path(name).parts[0] for name in created} <= {"new"}
    assert not [name for name in after if Path(name).suffix in {".pth", ".py"} and name not in before]
    return done


@pytest.mark.slow
def test_no_option_that_decides_about_keys_money_or_files_is_accepted(repository: Repository) -> None:  # noqa: F811
    settings = [
        (command, text)
        for command, text in iterate_settings(repository.stranger.port, refused=True)
        if not may_be_accepted(text)
    ]
    assert len(settings) > 800
    for (command, text), (_, status, printed) in zip(settings, run_all(repository, settings, chunk=CHUNK), strict=True):
        assert status == 2, (command, text, printed)


@pytest.mark.slow
def test_no_other_option_does_harm(repository: Repository) -> None:  # noqa: F811
    port = repository.stranger.port
    settings = list(iterate_settings(port, refused=False))
    assert len(settings) > 300
    settings += [one for one in iterate_settings(port, refused=True) if may_be_accepted(one[1])]
    done = run_all(repository, settings, chunk=SLOW_CHUNK)
    assert {status for _, status, _ in done} <= {0, 1, 2, 3}
