"""Time that `voicegauge proxy` adds: `PYTHONPATH=benchmarks python -m proxy_overhead`.

A server responds to each speech request with one second of WAV after 0.2 s, as fast services do. The same client sends
requests to it directly, through `voicegauge proxy` (which judges and records each one) and through mitmproxy
(which only forwards, as `mitmdump --quiet --mode reverse:URL`), in turn, so that a busy machine slows all of them down.
The overhead is the difference of the same percentile of proxied and direct requests. The server, the client and each
proxy are processes of their own. mitmproxy is installed into an environment of its own with `--mitmproxy PROGRAM`.
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
from collections.abc import Iterator

from proxy_overhead.server import serve

MAX_OVERHEAD_MS = 5.0
PERCENTILES = (50, 99)
START_LIMIT_S = 60.0
BODY = json.dumps({"model": "tts-1", "voice": "alloy", "input": "Good morning.", "response_format": "wav"}).encode()


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
def running_voicegauge(upstream_port: int) -> Iterator[int]:
    """Run `voicegauge proxy`, and yield its port."""
    with tempfile.TemporaryDirectory() as folder:
        upstream = f"http://127.0.0.1:{upstream_port}/v1"
        command = [sys.executable, "-m", "voicegauge", "proxy", "openai", "--upstream", upstream, "--port", "0"]
        process = subprocess.Popen([*command, "--record", folder], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            found = re.search(r":(\d+)", process.stdout.readline())
            assert found is not None
            yield int(found[1])
        finally:
            process.terminate()
            print(process.communicate()[0].strip().splitlines()[-1])


@contextlib.contextmanager
def running_mitmproxy(program: str, upstream_port: int) -> Iterator[int]:
    """Run mitmproxy, and yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    mode = f"reverse:http://127.0.0.1:{upstream_port}"
    process = subprocess.Popen([program, "--quiet", "--mode", mode, "--listen-port", str(port)])
    try:
        deadline_s = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def percentile(values: list[float], percent: int) -> float:
    """Return the value below which `percent` percent of `values` are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


def measure(ports: dict[str, int], in_flight: int, rounds: int, per_round: int) -> dict[str, list[float]]:
    """Return the durations in milliseconds by way; the ways take turns."""
    durations: dict[str, list[float]] = {way: [] for way in ports}
    for _ in range(rounds):
        for way, port in ports.items():
            durations[way] += asyncio.run(send_requests(port, per_round, in_flight))
    return durations


def main() -> int:
    """Print one row per number of requests in flight and way; return 1 if the overhead is too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mitmproxy", metavar="PROGRAM", help="path of mitmdump")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    parent, child = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(child,), daemon=True)
    server.start()
    failed = False
    with contextlib.ExitStack() as stack:
        upstream = parent.recv()
        ports = {"direct": upstream, "voicegauge proxy": stack.enter_context(running_voicegauge(upstream))}
        if options.mitmproxy:
            ports["mitmproxy"] = stack.enter_context(running_mitmproxy(options.mitmproxy, upstream))
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print("| in flight | way | requests | p50 ms | p99 ms | p50 overhead ms | p99 overhead ms |")
        print("|---|---|---|---|---|---|---|")
        for in_flight in (1, 8):
            durations = measure(ports, in_flight, options.rounds, 5 * in_flight if in_flight > 1 else 10)
            direct = [percentile(durations["direct"], percent) for percent in PERCENTILES]
            for way, values in durations.items():
                found = [percentile(values, percent) for percent in PERCENTILES]
                over = [
                    f"{one - other:.1f}" if way != "direct" else "" for one, other in zip(found, direct, strict=True)
                ]
                shown = " | ".join([*(f"{one:.1f}" for one in found), *over])
                print(f"| {in_flight} | {way} | {len(values)} | {shown} |")
                failed |= way == "voicegauge proxy" and found[1] - direct[1] > MAX_OVERHEAD_MS
    server.terminate()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
