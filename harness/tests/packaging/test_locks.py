"""The lists of verified dependencies are complete: a dependency that is not in them would not be installed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def locked(name: str) -> dict[tuple[str, str], list[str]]:
    """Return the digests by package and version."""
    entries = re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for entry in entries:
        match = re.match(r"([a-z0-9.-]+)==([^ ]+) ", entry)
        assert match, entry
        found[match[1], match[2]] = re.findall(r"--hash=sha256:([0-9a-f]{64})\b", entry)
    return found


def names_of(requirements: list[str]) -> set[str]:
    names = {re.split(r"[\[<>=; ]", requirement, maxsplit=1)[0].lower() for requirement in requirements}
    return names - {"voicegauge"}


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-light.txt", "constraints-slim.txt"])
def test_every_release_has_the_digests_of_its_files(name: str) -> None:
    assert all(locked(name).values())


def test_the_lists_contain_every_dependency_and_the_build_backend() -> None:
    full, light, slim = map(locked, ("constraints.txt", "constraints-light.txt", "constraints-slim.txt"))
    build = {"hatchling", "editables"}
    every = [requirement for extra in EXTRAS.values() for requirement in extra]
    assert names_of([*PROJECT["dependencies"], *every]) | build <= {name for name, _ in full}
    needed = [*PROJECT["dependencies"], *EXTRAS["bench"], *EXTRAS["emulator"], *EXTRAS["faster-whisper"]]
    assert names_of(needed) | build | {"pytest"} <= {name for name, _ in light}
    assert light.items() <= full.items()
    assert names_of(PROJECT["dependencies"]) <= {name for name, _ in slim}
    assert slim.items() <= light.items()
    assert not {"av", "scipy", "faster-whisper", "espeakng-loader"} & {name for name, _ in slim}


def test_torch_is_left_to_the_user() -> None:
    assert not any(re.match("torch|nvidia-|cuda-", name) for name, _ in locked("constraints.txt"))
