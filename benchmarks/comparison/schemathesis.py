"""Schemathesis in a virtual environment of its own: it is compared with, never depended on."""

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
LIMIT_S = 600
"""For one run."""

Failure = tuple[str, ...]
"""The type of a failure, and the operations it was seen at."""


class Run(NamedTuple):
    """What one run of it says."""

    failures: frozenset[Failure]
    generated: int
    """Test cases."""
    cpu_s: float


def command() -> Path:
    """Its command line, installed at the first use (needs a package index)."""
    found = CACHE / "bin" / "st"
    if not found.exists():
        subprocess.run([sys.executable, "-m", "venv", CACHE], check=True)
        install = [CACHE / "bin" / "pip", "install", "--quiet", f"schemathesis=={VERSION}"]
        subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    return found


def run(document: Path, url: str, headers: Mapping[str, str], operations: list[str], *, seed: int) -> Run:
    """Run it with its defaults: every phase, every check.

    Args:
        document: OpenAPI.
        url: of the server.
        headers: sent with every request, the key among them.
        operations: ids; no others are called.
        seed: of its draws.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        line = [command(), "run", document, "--url", url, "--seed", str(seed)]
        line += ["--report", "json", "--report-json-path", report]
        line += [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
        line += [word for name in operations for word in ("--include-operation-id", name)]
        before = _children_cpu_s()
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        if not report.exists():
            raise RuntimeError(f"Schemathesis ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
        told = json.loads(report.read_text(encoding="utf-8"))
    failures = frozenset((failure["type"], *sorted(failure["operations"])) for failure in told["failures"])
    return Run(failures, told["test_cases"]["generated"], _children_cpu_s() - before)


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system
