"""The sizes of the extras that the README states are those of the installed libraries."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OWN_FOLDERS = ("harness/voicegauge", "contracts", "benchmarks/suites", "fixtures")
"""What the wheel contains; see pyproject.toml."""
TOLERANCE = 0.1
"""Largest difference from the README: sizes differ by version and platform."""
ROW_PATTERN = re.compile(r"^\| (none|`[^|]*`) \|.*\| (?:(\d+) MB|each below (\d+) MB)(?: more)? \|$", re.MULTILINE)


def find_distributions(requirements: Iterable[str]) -> dict[str, Distribution]:
    """Return what the requirements install, with all that these need."""
    waiting, seen, found = list(map(Requirement, requirements)), set(), {}
    while waiting:
        one = waiting.pop()
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        if name == "voicegauge":
            waiting += [Requirement(text) for extra in one.extras for text in EXTRAS[extra]]
        if name == "voicegauge" or (name, *sorted(one.extras)) in seen:
            continue
        seen.add((name, *sorted(one.extras)))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            # `make test` installs all extras; a light environment cannot measure what it does not have.
            pytest.skip(f"{name} is not installed")
        for needed in map(Requirement, found[name].requires or ()):
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *one.extras)):
                waiting.append(needed)
    return found


def measure_mb(distributions: Iterable[Distribution]) -> float:
    """Return the size on the disk, with the bytecode that pip writes."""
    paths = {Path(str(one.locate_file(file))) for one in distributions for file in one.files or ()}
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def measure_own_mb() -> float:
    files = (path for folder in OWN_FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files if path.suffix != ".pyc") / 1e6


@pytest.mark.slow
def test_the_sizes_of_the_readme_are_those_of_the_installed_libraries() -> None:
    base = find_distributions(PROJECT["dependencies"])
    measured = {"none": measure_mb(base.values()) + measure_own_mb()}
    for extra in EXTRAS:
        added = find_distributions([f"voicegauge[{extra}]"])
        measured[extra] = measure_mb(one for name, one in added.items() if name not in base)
    rows = ROW_PATTERN.findall((ROOT / "README.md").read_text())
    stated = {name.strip("`"): int(size) for names, size, _ in rows if size for name in names.split(", ")}
    assert set(stated) == {"none", "emulator", "bench", "data", "quality"}
    assert {name: measured[name] for name in stated} == pytest.approx(stated, rel=TOLERANCE)
    ((names, limit),) = [(names, int(limit)) for names, _, limit in rows if limit]
    small = [name.strip("`") for name in names.split(", ")]
    assert max(measured[name] for name in small) < limit
    assert {*stated, *small, "whisper", "faster-whisper", "docs", "dev"} == {"none", *EXTRAS}
