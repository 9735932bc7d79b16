"""Schemathesis in a separate virtual environment: it is compared with, but not a dependency."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

VERSION = "4.32.5"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "voicegauge" / f"schemathesis-{VERSION}"
TIMEOUT_S = 1800
"""Time limit of one run, in seconds."""
DEFAULTS: tuple[str, ...] = ()
"""No options: every phase and every check, 100 examples per operation, which send more than 300 paid calls."""
TUNED = (
    *("--continue-on-failure", "--no-shrink", "--suppress-health-check", "all"),
    *("--phases", "examples,coverage,stateful", "--max-examples", "150"),
)
"""The options that the benchmarking guide of Schemathesis recommends, except that paid calls bound a run instead of
time. Boundary values are followed by sequences of requests, which find faults of jobs, instead of by single random
requests."""


class JudgedCase(NamedTuple):
    """One request of a run, with its response."""

    sent_at: float
    """Unix time in seconds."""
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    """Headers of the request, without those that the HTTP client adds by itself."""
    body: bytes
    status: int | None
    """Status of the response; `None` if there was no response."""
    operation: str
    """Method and path template: "GET /jobs/{id}"."""
    failed_checks: tuple[str, ...]


class SchemathesisRun(NamedTuple):
    """The result of one run of Schemathesis."""

    cases: tuple[JudgedCase, ...]
    """Every test case in the order of its request."""
    cpu_s: float
    stopped: bool = False
    """Whether the run was stopped before its end."""

    def cases_per_s(self, startup_s: float) -> float:
        """Return the test cases per second of CPU time, without the time to start.

        Raises:
            RuntimeError: the run took no longer than a start, so nothing was measured.
        """
        if self.cpu_s <= startup_s:
            raise RuntimeError(f"Schemathesis ran for {self.cpu_s:.2f} s of CPU, but its start takes {startup_s:.2f} s")
        return len(self.cases) / (self.cpu_s - startup_s)


def install() -> Path:
    """Return the path of the executable of Schemathesis, which is installed on first use (needs a package index)."""
    program = CACHE / "bin" / "st"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(CACHE)], check=True)
        pip = [str(CACHE / "bin" / "pip"), "install", "--quiet", f"schemathesis=={VERSION}"]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
    return program


def measure_startup_s() -> float:
    """Return the CPU time that Schemathesis needs to start, in seconds.

    Schemathesis is installed and started once before, so that neither the installation nor the compilation of its
    modules is measured.
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
    is_enough: Callable[[Sequence[JudgedCase]], bool] = lambda _cases: False,
) -> SchemathesisRun:
    """Run Schemathesis in an empty folder, so that it knows nothing of earlier runs.

    Args:
        document: path of the OpenAPI document.
        url: base URL of the server.
        headers: sent with every request, including the key.
        operations: ids of the operations to test.
        seed: seed of the random generator.
        options: further options of the command line.
        is_enough: function that is called with the test cases of each finished scenario; if it returns true, the run
            is stopped.

    Raises:
        RuntimeError: Schemathesis ended before its last test case.
    """
    events, events_of_program = os.pipe()
    line = [str(install()), "run", str(document), "--url", url, "--seed", str(seed), *options]
    line += ["--output-sanitize", "false"]  # requests are sent again, with the keys that they had
    line += ["--report", "ndjson", "--report-ndjson-path", f"/dev/fd/{events_of_program}"]
    line += [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    line += [word for name in operations for word in ("--include-operation-id", name)]
    cases: list[JudgedCase] = []
    complete = stopped = False
    before = children_cpu_s()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "output").open("w+b") as output:
        program = subprocess.Popen(line, cwd=folder, stdout=output, stderr=output, pass_fds=[events_of_program])
        os.close(events_of_program)
        deadline = threading.Timer(TIMEOUT_S, program.kill)
        deadline.start()
        with program, os.fdopen(events, "rb") as lines:
            for event in map(json.loads, lines):
                if "ScenarioFinished" in event:
                    scenario = sorted(_read_scenario(event["ScenarioFinished"]["recorder"]), key=attrgetter("sent_at"))
                    cases += scenario
                    if is_enough(scenario):
                        stopped = True
                        program.terminate()
                        break
                complete = complete or "EngineFinished" in event
        deadline.cancel()
        output.seek(0)
        if not complete and not stopped:  # the exit status is 1 for any failure
            raise RuntimeError(f"Schemathesis ended with {program.returncode}: {output.read()[-1000:].decode()}")
    return SchemathesisRun(tuple(cases), children_cpu_s() - before, stopped)


def _read_scenario(recorder: Mapping[str, Any]) -> Iterator[JudgedCase]:
    for case_id, interaction in recorder.get("interactions", {}).items():
        request, response = interaction["request"], interaction.get("response")
        case = recorder["cases"][case_id]["value"]
        failed = [check["name"] for check in recorder["checks"].get(case_id, ()) if check["status"] == "failure"]
        yield JudgedCase(
            sent_at=interaction["timestamp"],
            method=request["method"],
            url=request["uri"],
            headers=tuple((name, value) for name, values in request["headers"].items() for value in values),
            body=base64.b64decode(request["body"]["$base64"]) if "body" in request else b"",
            status=None if response is None else response["status_code"],
            operation=f"{case['method']} {case['path']}",
            failed_checks=tuple(failed),
        )


def children_cpu_s() -> float:
    """Return the CPU time of all ended child processes, in seconds."""
    times = os.times()
    return times.children_user + times.children_system
