"""Compares the times of whole runs with the truth, beside aiohttp at the same load, and with the error that they print.

A run is the command `voicegauge bench` against a server in another process that knows how long it waited. Its samples
are matched with the server's notes by the digest of their audio. aiohttp sends as many requests to the same server,
and does nothing else.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from voicegauge.bench.run_store import load_run

CLIENT_FILE = Path(__file__).with_name("timed_client.py")
SERVER_FILE = Path(__file__).with_name("speech_server.py")
DELAYS_MS_BY_LOAD = {"1": (2, 60), "16": (20, 200), "64": (100, 800), "20/s": (5, 200), "200/s": (5, 200)}
"""For each load, requests in flight or requests per second, the delays of the server: those of 16 and 64 in flight give
about 150 requests per second."""
LOADS = tuple(DELAYS_MS_BY_LOAD)
BUSY_STATUS = 3
"""Exit status of a run during which the machine was too busy for valid times; they are compared nevertheless."""
TEXT_COUNT = 8
"""Number of texts of the suite smoke."""
RESOLUTION_MS = 0.2
"""Difference between two errors that is noise, whatever the ratio."""
MAX_STATED_RATIO = 2.0


class Errors(NamedTuple):
    """Two percentiles of the absolute errors of times, in milliseconds."""

    median_ms: float
    p99_ms: float

    def __str__(self) -> str:
        """Return the cells of a table."""
        return f"{self.median_ms:.2f} | {self.p99_ms:.2f}"


class RunErrors(NamedTuple):
    """The true errors of one run, the errors that it states, and how late its requests were, in milliseconds."""

    errors_ms: list[float]
    stated: Errors
    lateness_ms: list[float]
    """How late each request was sent; empty if none was due."""
    disturbed_count: int
    """Number of samples that the run itself marks, because this machine was too busy."""


def find_percentile(values: list[float], fraction: float) -> float:
    """Return a percentile of the absolute values, as the nearest rank."""
    ordered = sorted(map(abs, values))
    return ordered[max(math.ceil(len(ordered) * fraction) - 1, 0)]


def summarize(errors_ms: list[float]) -> Errors:
    """Return the percentiles of some errors."""
    return Errors(find_percentile(errors_ms, 0.5), find_percentile(errors_ms, 0.99))


class SpeechServer(NamedTuple):
    """A running server."""

    url: str
    notes_file: Path
    """Has the waits by digest of the audio, after the server has ended."""


@contextlib.contextmanager
def serving(folder: Path, load: str) -> Iterator[SpeechServer]:
    """Run the server as long as the context lasts."""
    notes = folder / "waits.json"
    command = [sys.executable, "-I", str(SERVER_FILE), str(notes), *map(str, DELAYS_MS_BY_LOAD[load])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield SpeechServer(f"http://127.0.0.1:{int(process.stdout.readline())}", notes)
        finally:
            process.stdin.close()
            process.wait(30)


def measure_run(load: str, requests: int) -> RunErrors:
    """Run the command at one load, and compare its times with those of the server."""
    amount, _, is_rate = load.partition("/")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder, load) as server:
            command = [sys.executable, "-m", "voicegauge", "bench", "openai-compatible/speech", "--live"]
            command += ["--base-url", f"{server.url}/v1", "--rate" if is_rate else "--concurrency", amount]
            command += ["--suite", "smoke", "--repetitions", str(math.ceil(requests / TEXT_COUNT)), "--asr", "none"]
            command += ["--fail-under", "0", "--no-listening", "--no-report", "--out", str(folder / "runs")]
            environment = os.environ | {"VOICEGAUGE_STATE": name}
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
            if done.returncode not in {0, BUSY_STATUS}:
                raise SystemExit(done.stderr)
        (file,) = (folder / "runs").glob("*/run.json")
        run, waits_ms = load_run(file), json.loads(server.notes_file.read_bytes())
    stated = run.manifest.timing_error
    assert stated is not None
    counted = [one for one in run.samples if not one.is_warmup and one.latency is not None and one.audio is not None]
    errors, lateness = [], []
    for sample in counted:
        assert sample.latency is not None
        assert sample.audio is not None
        assert sample.latency.ttfb_ms is not None
        # The time counts from the first byte of the request, the server's wait from its last.
        errors.append(sample.latency.ttfb_ms - waits_ms[sample.audio.sha256])
        lateness += [] if sample.latency.start_delay_ms is None else [sample.latency.start_delay_ms]
    return RunErrors(
        errors, Errors(stated.median_error_ms, stated.p99_error_ms), lateness, sum(one.is_disturbed for one in counted)
    )


def measure_aiohttp(load: str, requests: int, python: str) -> list[float]:
    """Return the errors of aiohttp at one load."""
    with tempfile.TemporaryDirectory() as name, serving(Path(name), load) as server:
        command = [python, str(CLIENT_FILE), "aiohttp", server.url, load, f"/v1/audio/speech={requests}"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    errors: dict[str, list[float]] = json.loads(done.stdout)
    return errors["/v1/audio/speech"]


def compare_runs(aiohttp_python: str, loads: Sequence[str], requests: int, rounds: int) -> list[str]:
    """Measure each load in rounds of both clients, print a row for each, and return what voicegauge misses."""
    problems = []
    print("| load | requests | voicegauge p50 | p99 | stated p50 | p99 | aiohttp p50 | p99 | late p50 | p99 | marked |")
    print("|---|" + "--:|" * 10)
    for load in loads:
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(measure_run(load, requests))
            theirs += measure_aiohttp(load, requests, aiohttp_python)
        errors = [error for one in ours for error in one.errors_ms]
        late = [lateness for one in ours for lateness in one.lateness_ms]
        marked = sum(one.disturbed_count for one in ours)
        true, other = summarize(errors), summarize(theirs)
        stated = Errors(*(sorted(values)[rounds // 2] for values in zip(*(one.stated for one in ours), strict=True)))
        lateness = str(summarize(late)) if late else "- | -"
        print(f"| {load} | {len(errors)} | {true} | {stated} | {other} | {lateness} | {marked} |", flush=True)
        for figure, mine, said, peer in zip(("p50", "p99"), true, stated, other, strict=True):
            if mine > peer + RESOLUTION_MS:
                problems.append(f"{load}: {figure} is {mine:.2f} ms, that of aiohttp {peer:.2f} ms")
            low, high = sorted((mine, said))
            if high > MAX_STATED_RATIO * low and high - low > RESOLUTION_MS:
                problems.append(f"{load}: {figure} is {mine:.2f} ms, the run states {said:.2f} ms")
    return problems
