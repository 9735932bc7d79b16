"""Ramps servers of known capacity in real time: the command `voicegauge bench --ramp`, and a server in another process.

A row is right if the result is within 10% of the truth and the exit status is 0, or if the command says that it is
inconclusive, with exit status 3: a server that does 2,000 requests per second is more than most machines can send.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from ramp.cases import Case, contains_truth, find_load
from voicegauge.model.ramp import RampResult

SERVER_FILE = Path(__file__).with_name("server.py")
INCONCLUSIVE_STATUS = 3
MAX_ERROR = 0.1


class RealTimeResult(NamedTuple):
    """What a ramp in real time found."""

    exit_status: int
    found: RampResult | None
    true_load: float

    def is_right(self) -> bool | None:
        """Whether the result is within 10% of the truth; `None` if it is inconclusive."""
        if self.found is None:
            return False
        if self.exit_status == INCONCLUSIVE_STATUS:  # the command says that this machine was too busy
            return None
        if self.found.meets_goal_at_max_load and self.exit_status == 0:
            return self.true_load >= (self.found.highest_load or 0.0)
        load = find_load(self.found)
        return (
            load is not None
            and abs(load / self.true_load - 1) <= MAX_ERROR
            and self.exit_status == 0
            and self.found.is_conclusive
        )


class RunningServer:
    """A queueing server on a port of this machine."""

    def __init__(self, port: int) -> None:
        """Store the port."""
        self.port = port
        self.mean_service_s = 0.0
        """How long it performed a request on average, in seconds; known when it has ended."""

    def compute_true_load(self, case: Case) -> float:
        """Return the highest load without a growing queue, in the unit of the ramp."""
        return float(case.capacity) if case.load_type == "concurrency" else case.capacity / self.mean_service_s


@contextlib.contextmanager
def serving(case: Case, seed: int) -> Iterator[RunningServer]:
    """Run a queueing server."""
    command = [sys.executable, "-I", str(SERVER_FILE), str(case.capacity), str(case.service_ms), str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        server = RunningServer(int(process.stdout.readline()))
        try:
            yield server
        finally:
            process.stdin.close()
            server.mean_service_s = float(process.stdout.readline())


def ramp_in_real_time(case: Case, seed: int) -> RealTimeResult:
    """Ramp one server with the command."""
    with tempfile.TemporaryDirectory() as folder, serving(case, seed) as server:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "voicegauge", "bench", "openai-compatible/speech", "--live"]
        command += ["--base-url", f"http://127.0.0.1:{server.port}/v1", "--ramp", case.load_type, "--goal", case.goal]
        command += ["--asr", "none", "--no-listening", "--no-report", "--out", folder, "--json", str(result)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"VOICEGAUGE_STATE": folder}, check=False
        )
        written = json.loads(result.read_bytes()) if result.exists() else {}
    found = msgspec.convert(written["ramp"], RampResult) if written.get("ramp") else None
    if found is None:
        print(done.stderr)
    return RealTimeResult(done.returncode, found, server.compute_true_load(case))


def measure_in_real_time(cases: Sequence[Case]) -> int:
    """Ramp each server once, print a row for each and the sums, and return the exit status."""
    print(
        "| server | load | goal | capacity | stated | interval | steps | exit | right |\n"
        "|---|---|---|--:|--:|---|--:|--:|---|"
    )
    right = judged = contained = 0
    for seed, case in enumerate(cases):
        result = ramp_in_real_time(case, seed)
        verdict, found = result.is_right(), result.found
        if verdict is not None:
            judged, right = judged + 1, right + verdict
            contained += found is not None and contains_truth(found, result.true_load)
        load = find_load(found) if found else None
        capacity = found.capacity if found else None
        cells = (
            f"{case.service_ms:g} ms, {case.capacity} at a time",
            case.load_type,
            case.goal,
            f"{result.true_load:.3g}",
            "-" if load is None else f"{load:.3g}",
            "-" if capacity is None else f"{capacity.low:.3g} to {capacity.high:.3g}",
            str(len(found.steps) if found else 0),
            str(result.exit_status),
            {True: "yes", False: "no", None: "inconclusive"}[verdict],
        )
        print("| " + " | ".join(cells) + " |", flush=True)
    print(f"\n{right} of {judged} results within 10%, {contained} of {judged} intervals contain the capacity", end="")
    print(f"; {len(cases) - judged} inconclusive, with exit status {INCONCLUSIVE_STATUS}")
    return 0 if judged and right >= 0.95 * judged else 1
