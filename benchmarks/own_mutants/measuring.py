"""Measures which lines of the mutated modules each test executes, and how much CPU time it takes.

The measurements of a test file are kept as long as neither the file nor one of the modules changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import coverage
import msgspec
import pytest
from _pytest.runner import runtestprotocol

from own_mutants.processes import fork


class Measurement(msgspec.Struct, frozen=True):
    """What one test executes."""

    test: str
    """The test's id."""
    passed: bool
    seconds: float
    """CPU time."""
    lines: dict[str, list[int]]
    """Executed lines by module."""


def measure_tests(root: Path, items: Sequence[pytest.Item], modules: Iterable[str], saved: Path) -> list[Measurement]:
    """Return the measurements of all tests.

    Args:
        root: the repository.
        items: the tests.
        modules: the paths of the modules, relative to the repository.
        saved: file in which measurements are kept.
    """
    sources = b"".join((root / module).read_bytes() for module in sorted(modules))
    known = _read(saved)
    digests = {path: hashlib.sha256(sources + path.read_bytes()).hexdigest() for path in {item.path for item in items}}
    missing = [item for item in items if digests[item.path] not in known]
    if missing:
        new: dict[str, list[Measurement]] = defaultdict(list)
        by_name = {item.nodeid: item for item in missing}
        for one in _measure_in_fork(root, missing, modules):
            new[digests[by_name[one.test].path]].append(one)
        known = {digest: group for digest, group in known.items() if digest in digests.values()} | new
        saved.write_bytes(msgspec.json.encode(known))
    return [one for digest in digests.values() for one in known[digest]]


def _read(saved: Path) -> dict[str, list[Measurement]]:
    return msgspec.json.decode(saved.read_bytes(), type=dict[str, list[Measurement]]) if saved.exists() else {}


def _measure_in_fork(root: Path, items: Sequence[pytest.Item], modules: Iterable[str]) -> list[Measurement]:
    pid, pipe = fork(lambda pipe: _measure(root, items, modules, pipe))
    with os.fdopen(pipe, "rb") as stream:
        text = stream.read()
    os.waitpid(pid, 0)
    return msgspec.json.decode(text, type=list[Measurement])


def _measure(root: Path, items: Sequence[pytest.Item], modules: Iterable[str], pipe: int) -> None:
    files = {str(root / module): module for module in modules}
    measured = coverage.Coverage(data_file=None, config_file=False, include=list(files))
    measured.start()
    times = []
    for item, following in zip(items, [*items[1:], None], strict=True):
        measured.switch_context(item.nodeid)
        started = time.process_time()
        reports = runtestprotocol(item, log=False, nextitem=following)
        times.append((item.nodeid, all(report.passed for report in reports), time.process_time() - started))
    measured.stop()
    data = measured.get_data()
    lines: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for file, module in files.items():
        for number, names in data.contexts_by_lineno(file).items():
            for name in names:
                lines[name][module].append(number)
    with os.fdopen(pipe, "w", encoding="utf-8") as stream:
        json.dump([{"test": name, "passed": ok, "seconds": s, "lines": lines[name]} for name, ok, s in times], stream)
