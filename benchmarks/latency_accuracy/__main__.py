"""Prints by how much voicegauge, httpx and aiohttp are wrong about a server that knows its own delays.

The server and each client run in a process of their own; the clients take turns in each round. Fails if voicegauge is
more than 1 ms off at the median or 5 ms at the 99th percentile, or more than twice as much as aiohttp.

With `--runs`, whole runs are compared at several loads, with requests in flight and at rates; see `measured_runs`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
from pathlib import Path

from latency_accuracy.measured_runs import LOADS, compare_runs
from voicegauge.bench.run_config import open_benchmark_transport
from voicegauge.bench.timing_error import measure_timing_error, reduce_event_loop_delays, run_loopback_server

CLIENT_FILE = Path(__file__).with_name("timed_client.py")
PEER_FOLDER = Path.home() / ".cache" / "voicegauge" / "aiohttp"
PATHS = ("/bytes/0", "/bytes/5", "/bytes/50", "/bytes/500", "/stream/5", "/stream/50")
MAX_P50_MS, MAX_P99_MS, MAX_RATIO = 1.0, 5.0, 2.0
MIN_P99_SAMPLES = 200
"""Number of samples from which the 99th percentile of one path is judged; of a hundred, the two largest decide."""
SLOW_PATHS = ("/bytes/50", "/bytes/500", "/stream/50")
"""Paths that get a fifth of the requests if only one is in flight, which would take too long otherwise."""
RESOLUTION_MS = 0.2
"""Difference between two clients that is noise, whatever the ratio."""


def install_aiohttp() -> str:
    """Return the Python of an environment with aiohttp, which is created if it does not exist."""
    python = PEER_FOLDER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER_FOLDER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "aiohttp>=3.12"], check=True)
    return str(python)


def measure_client(client: str, python: str, url: str, in_flight: int, requests: int) -> dict[str, list[float]]:
    """Return the errors of one client in one round, by path, in milliseconds."""
    counts = [max(requests // 5, 1) if in_flight == 1 and path in SLOW_PATHS else requests for path in PATHS]
    wanted = [f"{path}={count}" for path, count in zip(PATHS, counts, strict=True)]
    command = [python, str(CLIENT_FILE), client, url, str(in_flight), *wanted]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    errors: dict[str, list[float]] = json.loads(done.stdout)
    return errors


def find_percentile(errors_ms: list[float], fraction: float) -> float:
    """Return a percentile of the absolute errors."""
    ordered = sorted(map(abs, errors_ms))
    return ordered[max(math.ceil(len(ordered) * fraction) - 1, 0)]


def main() -> int:
    """Measure, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which the clients take turns")
    parser.add_argument(
        "--requests", type=int, default=100, help="requests per path, client and round (with one in flight, some fewer)"
    )
    parser.add_argument("--runs", action="store_true", help="measure whole runs at several loads instead of clients")
    parser.add_argument("--load", action="append", choices=LOADS, help="with --runs: measure these loads only")
    parser.add_argument("--real-time", action="store_true", help="run before other work of the machine (Linux, root)")
    parser.add_argument("--aiohttp-python", help="a Python that has aiohttp; by default one is installed")
    arguments = parser.parse_args()
    if arguments.real_time:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(20))  # servers and clients inherit it
    pythons = {
        "voicegauge": sys.executable,
        "httpx": sys.executable,
        "aiohttp": arguments.aiohttp_python or install_aiohttp(),
    }
    if arguments.runs:
        problems = compare_runs(pythons["aiohttp"], arguments.load or LOADS, arguments.requests * 6, arguments.rounds)
        for problem in problems:
            print(problem)
        return 1 if problems else 0
    problems: list[str] = []
    print("| in flight | path | " + " | ".join(f"{name} p50 | p99" for name in pythons) + " |")
    print("|--:|---|" + "--:|" * 2 * len(pythons))
    with run_loopback_server() as url:
        for in_flight in (1, 16):
            errors: dict[str, dict[str, list[float]]] = {name: {path: [] for path in PATHS} for name in pythons}
            for _ in range(arguments.rounds):
                for name, python in pythons.items():
                    for path, found in measure_client(name, python, url, in_flight, arguments.requests).items():
                        errors[name][path] += found
            problems += print_rows(in_flight, errors)
    for in_flight in (1, 16):
        with reduce_event_loop_delays():
            stated = asyncio.run(measure_timing_error(in_flight, open_benchmark_transport))
        print(
            f"\nthe calibration states {stated.median_error_ms:.2f} ms (p50), "
            f"{stated.p99_error_ms:.2f} ms (p99) at {in_flight}"
        )
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def print_rows(in_flight: int, errors: dict[str, dict[str, list[float]]]) -> list[str]:
    """Print a row for each path and one for all, and return what voicegauge misses."""
    problems = []
    for path in (*PATHS, "all"):
        cells, found, count = [], {}, 0
        for name, by_path in errors.items():
            pooled = [error for one in by_path.values() for error in one] if path == "all" else by_path[path]
            count = len(pooled)
            found[name] = find_percentile(pooled, 0.5), find_percentile(pooled, 0.99)
            cells += [f"{found[name][0]:.2f}", f"{found[name][1]:.2f}"]
        print(f"| {in_flight} | {path} | " + " | ".join(cells) + " |", flush=True)
        limits = zip(("p50", "p99"), found["voicegauge"], found["aiohttp"], (MAX_P50_MS, MAX_P99_MS), strict=True)
        for figure, ours, theirs, limit_ms in limits:
            is_judged = figure == "p50" or count >= MIN_P99_SAMPLES
            if is_judged and ours > min(limit_ms, max(MAX_RATIO * theirs, theirs + RESOLUTION_MS)):
                problems.append(f"{path} at {in_flight}: {figure} {ours:.2f} ms, aiohttp {theirs:.2f} ms")
    return problems


if __name__ == "__main__":
    raise SystemExit(main())
