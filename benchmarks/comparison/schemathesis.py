"""Schemathesis in a separate virtual environment: it is compared with, but not a dependency."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

VERSION = "4.32.5"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "voicegauge" / f"schemathesis-{VERSION}"
TIMEOUT_S = 600
"""Timeout of one run."""

Failure = tuple[str, ...]
"""The type of a failure, and the operations with it."""


class SchemathesisRun(NamedTuple):
    """The result of one run."""

    failures: frozenset[Failure]
    generated: int
    """Number of generated test cases."""
    cpu_s: float


def command() -> Path:
    """Return the path of its executable, which is installed on first use (needs a package index)."""
    found = CACHE / "bin" / "st"
    if not found.exists():
        subprocess.run([sys.executable, "-m", "venv", CACHE], check=True)
        install = [CACHE / "bin" / "pip", "install", "--quiet", f"schemathesis=={VERSION}"]
        subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    return found


def run(document: Path, url: str, headers: Mapping[str, str], operations: list[str], *, seed: int) -> SchemathesisRun:
    """Run Schemathesis with its default settings: every phase and every check.

    Args:
        document: path of the OpenAPI document.
        url: base URL of the server.
        headers: sent with every request, including the key.
        operations: ids of the operations to test.
        seed: seed of the random generator.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        line = [command(), "run", document, "--url", url, "--seed", str(seed)]
        line += ["--report", "json", "--report-json-path", report]
        line += [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
        line += [word for name in operations for word in ("--include-operation-id", name)]
        before = _children_cpu_s()
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if not report.exists():
            raise RuntimeError(f"Schemathesis ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
        result = json.loads(report.read_text(encoding="utf-8"))
    failures = frozenset((failure["type"], *sorted(failure["operations"])) for failure in result["failures"])
    return SchemathesisRun(failures, result["test_cases"]["generated"], _children_cpu_s() - before)


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system
