"""Time that `voicegauge proxy` adds: `PYTHONPATH=benchmarks python -m proxy_overhead`.

A server responds to each speech request with the spoken text as WAV after 0.2 s, as fast services do. The same client
sends requests to it directly, through a relay that copies bytes without reading them, through `voicegauge proxy` (which
judges and records each one) and through mitmproxy (which only forwards, as `mitmdump --quiet --mode reverse:URL`), in
turn, so that a busy machine slows all of them down. The overhead is the difference of the same percentile of proxied
and direct requests. The CPU time is that of the process through which requests pass, and for voicegauge also of the one
that judges; it hardly depends on other work of the machine. The server, the client and each proxy are processes of
their own. On a busy machine, `--real-time` (Linux, root) lets them run before all other work, but not the process that
judges. mitmproxy is installed into an environment of its own with `--mitmproxy PROGRAM`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from proxy_overhead.byte_relay import relay_bytes
from proxy_overhead.server import TEXT, serve

MAX_OVERHEAD_MS = 5.0
PERCENTILES = (50, 99)
DIRECT, VOICEGAUGE = "direct", "voicegauge proxy"
START_TIMEOUT_S = 60.0
BODY = json.dumps({"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "wav"}).encode()


class Way(NamedTuple):
    """One way to the server."""

    port: int
    processes: tuple[int, ...] = ()
    """Ids of the processes between client and server; the first one passes the bytes."""

    def measure_cpu_ms(self) -> list[float]:
        """Return the CPU time of each process so far."""
        # The clock of a process, as clock_getcpuclockid(3) of Linux returns it; psutil counts in steps of 10 ms.
        return [time.clock_gettime((~process << 3) | 2) * 1000 for process in self.processes]


class Measurement(NamedTuple):
    """What was measured on one way."""

    durations_ms: list[float]
    cpu_ms: list[float]
    """CPU time of each process, per request."""


async def send_requests(port: int, count: int, in_flight: int) -> list[float]:
    """Return the durations of `count` requests in milliseconds, on `in_flight` connections that stay open."""
    durations_ms: list[float] = []
    head = (
        f"POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer sk-bench-0123456789\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode()

    async def send(requests: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(requests + 1):
            started_s = time.perf_counter()
            writer.write(head + BODY)
            answer = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert found is not None
            await reader.readexactly(int(found[1]))
            if number:  # the first request opens the connections
                durations_ms.append((time.perf_counter() - started_s) * 1000)
        writer.close()

    await asyncio.gather(*(send(count // in_flight) for _ in range(in_flight)))
    return durations_ms


@contextlib.contextmanager
def running_process(target: Callable[..., None], *arguments: Any) -> Iterator[Way]:
    """Run `target` in a process; it sends its port to its first argument."""
    parent, child = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=target, args=(child, *arguments), daemon=True)
    process.start()
    try:
        yield Way(parent.recv(), (process.pid or 0,))
    finally:
        process.terminate()


@contextlib.contextmanager
def running_voicegauge(upstream_port: int) -> Iterator[Way]:
    """Run `voicegauge proxy`, and end the benchmark with its output if it reports an error."""
    with tempfile.TemporaryDirectory() as folder:
        upstream = f"http://127.0.0.1:{upstream_port}/v1"
        command = [sys.executable, "-m", "voicegauge", "proxy", "openai", "--upstream", upstream, "--port", "0"]
        process = subprocess.Popen([*command, "--record", folder], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            found = re.search(r":(\d+)", process.stdout.readline())
            assert found is not None
            (judge,) = psutil.Process(process.pid).children()
            yield Way(int(found[1]), (process.pid, judge.pid))
        finally:
            process.terminate()
            output = process.communicate()[0].strip()
    if process.returncode:
        sys.exit(output)  # each finding costs time, and what is measured is traffic without any
    print(output.splitlines()[-1])


@contextlib.contextmanager
def running_mitmproxy(program: str, upstream_port: int) -> Iterator[Way]:
    """Run mitmproxy."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    mode = f"reverse:http://127.0.0.1:{upstream_port}"
    process = subprocess.Popen([program, "--quiet", "--mode", mode, "--listen-port", str(port)])
    try:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield Way(port, (process.pid,))
    finally:
        process.terminate()
        process.wait()


def percentile(values: list[float], percent: int) -> float:
    """Return the value below which `percent` percent of `values` are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


def measure(ways: dict[str, Way], in_flight: int, rounds: int, per_round: int) -> dict[str, Measurement]:
    """Return what was measured by way; the ways take turns."""
    durations_ms: dict[str, list[float]] = {name: [] for name in ways}
    before_ms = {name: way.measure_cpu_ms() for name, way in ways.items()}
    for _ in range(rounds):
        for name, way in ways.items():
            durations_ms[name] += asyncio.run(send_requests(way.port, per_round, in_flight))
    sent = rounds * (per_round + in_flight)  # with the first request of each connection
    return {
        name: Measurement(
            durations_ms[name],
            [(after - before) / sent for after, before in zip(way.measure_cpu_ms(), before_ms[name], strict=True)],
        )
        for name, way in ways.items()
    }


def run_before_other_work(process: int) -> None:
    """Give all threads of a process real-time priority."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(1))


def print_row(in_flight: int, name: str, measured: Measurement, direct_ms: list[float]) -> float:
    """Print one row of the table, and return the overhead at the last percentile."""
    found_ms = [percentile(measured.durations_ms, percent) for percent in PERCENTILES]
    overheads_ms = [one - other for one, other in zip(found_ms, direct_ms, strict=True)]
    cells = [f"{one:.1f}" for one in found_ms]
    cells += [f"{one:.1f}" if name != DIRECT else "" for one in overheads_ms]
    cells += [f"{measured.cpu_ms[0]:.2f}" if measured.cpu_ms else ""]
    cells += [f"{measured.cpu_ms[1]:.1f}" if len(measured.cpu_ms) > 1 else ""]
    print(f"| {in_flight} | {name} | {len(measured.durations_ms)} | {' | '.join(cells)} |", flush=True)
    return overheads_ms[-1]


def main() -> int:
    """Print one row per number of requests in flight and way; return 1 if the overhead is too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mitmproxy", metavar="PROGRAM", help="path of mitmdump")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--real-time", action="store_true", help="run before other work of the machine")
    options = parser.parse_args()
    failed = False
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running_process(serve))
        upstream = server.port
        ways = {
            DIRECT: Way(upstream),
            "relay of bytes": stack.enter_context(running_process(relay_bytes, upstream)),
            VOICEGAUGE: stack.enter_context(running_voicegauge(upstream)),
        }
        if options.mitmproxy:
            ways["mitmproxy"] = stack.enter_context(running_mitmproxy(options.mitmproxy, upstream))
        if options.real_time:
            asyncio.run(send_requests(ways[VOICEGAUGE].port, 8, 8))  # so that its threads exist
            for process in (
                os.getpid(),
                server.processes[0],
                *(way.processes[0] for way in ways.values() if way.processes),
            ):
                run_before_other_work(process)
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print("| in flight | way | requests | p50 ms | p99 ms | p50 added | p99 added | CPU ms | judge's CPU ms |")
        print("|---|---|---|---|---|---|---|---|---|")
        for in_flight in (1, 8):
            measured = measure(ways, in_flight, options.rounds, 5 * in_flight if in_flight > 1 else 10)
            direct_ms = [percentile(measured[DIRECT].durations_ms, percent) for percent in PERCENTILES]
            for name, measurement in measured.items():
                added_ms = print_row(in_flight, name, measurement, direct_ms)
                failed |= name == VOICEGAUGE and added_ms > MAX_OVERHEAD_MS
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
