"""Schemathesis in a separate virtual environment: it is compared with, but not a dependency."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

VERSION = "4.32.5"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "voicegauge" / f"schemathesis-{VERSION}"
TIMEOUT_S = 1800
"""Timeout of one run."""
DEFAULTS: tuple[str, ...] = ()
"""No options: every phase and every check, 100 examples per operation, which send more than 300 paid calls."""
TUNED = (
    *("--continue-on-failure", "--no-shrink", "--suppress-health-check", "all"),
    *("--phases", "examples,coverage,stateful", "--max-examples", "150"),
)
"""The options that its benchmarking guide recommends, except that paid calls bound a run instead of time. Boundary
values are followed by sequences of requests, which find faults of jobs, instead of by single random requests."""


class JudgedCase(NamedTuple):
    """One request of a run, with its response."""

    sent_at: float
    """Unix time in seconds."""
    request: str
    """Method and URL."""
    status: int | None
    """`None` if there was no response."""
    failures: tuple[str, ...]
    """The checks that the response failed, as "<check> <operation>"."""


class SchemathesisRun(NamedTuple):
    """The result of one run."""

    cases: tuple[JudgedCase, ...]
    """Every test case in the order of its request."""
    cpu_s: float

    def cases_per_s(self, startup_s: float) -> float:
        """Return the test cases per second of CPU time, without the time to start.

        Raises:
            RuntimeError: the run took no longer than a start, so nothing was measured.
        """
        if self.cpu_s <= startup_s:
            raise RuntimeError(f"Schemathesis ran for {self.cpu_s:.2f} s of CPU, but its start takes {startup_s:.2f} s")
        return len(self.cases) / (self.cpu_s - startup_s)


def install() -> Path:
    """Return the path of its executable, which is installed on first use (needs a package index)."""
    program = CACHE / "bin" / "st"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(CACHE)], check=True)
        pip = [str(CACHE / "bin" / "pip"), "install", "--quiet", f"schemathesis=={VERSION}"]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
    return program


def measure_startup_s() -> float:
    """Return the CPU time that it needs to start, in seconds.

    It is installed before, and started once, so that neither the installation nor the compilation of its modules is
    measured.
    """
    line = [str(install()), "--version"]
    subprocess.run(line, check=True, capture_output=True)
    before = children_cpu_s()
    subprocess.run(line, check=True, capture_output=True)
    return children_cpu_s() - before


def run(
    document: Path,
    url: str,
    headers: Mapping[str, str],
    operations: list[str],
    *,
    seed: int,
    options: Sequence[str] = DEFAULTS,
) -> SchemathesisRun:
    """Run Schemathesis in an empty folder, so that it knows nothing of earlier runs.

    Args:
        document: path of the OpenAPI document.
        url: base URL of the server.
        headers: sent with every request, including the key.
        operations: ids of the operations to test.
        seed: seed of the random generator.
        options: further options of its command line.
    """
    program = install()
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.ndjson"
        line = [str(program), "run", str(document), "--url", url, "--seed", str(seed), *options]
        line += ["--report", "ndjson", "--report-ndjson-path", str(events)]
        line += [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
        line += [word for name in operations for word in ("--include-operation-id", name)]
        before = children_cpu_s()
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        cpu_s = children_cpu_s() - before
        found = _read_events(events) if events.exists() else []
        if not any("EngineFinished" in event for event in found):  # the exit status is 1 for any failure
            raise RuntimeError(f"Schemathesis ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
    scenarios = [event["ScenarioFinished"]["recorder"] for event in found if "ScenarioFinished" in event]
    cases = sorted(case for scenario in scenarios for case in _read_scenario(scenario))
    return SchemathesisRun(tuple(cases), cpu_s)


def _read_events(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _read_scenario(recorder: Mapping[str, Any]) -> Iterator[JudgedCase]:
    for case_id, interaction in recorder.get("interactions", {}).items():
        request, response = interaction["request"], interaction.get("response")
        case = recorder["cases"][case_id]["value"]
        failed = [check["name"] for check in recorder["checks"].get(case_id, ()) if check["status"] == "failure"]
        yield JudgedCase(
            interaction["timestamp"],
            f"{request['method']} {request['uri']}",
            None if response is None else response["status_code"],
            tuple(f"{name} {case['path']}" for name in failed),
        )


def children_cpu_s() -> float:
    """Return the CPU time of all ended child processes, in seconds."""
    times = os.times()
    return times.children_user + times.children_system
