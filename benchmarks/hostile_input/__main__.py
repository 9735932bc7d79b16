"""Peak memory and CPU time of hostile responses: `PYTHONPATH=benchmarks python -m hostile_input`.

Each response is received by a process of its own, which sends one speech request, applies every rule, and saves a
recording. Its peak of resident memory includes the interpreter and all libraries. Exits with status 1 if a response
needs more memory than `--max-mib` or more CPU time than `--max-cpu-s`, or does not end in `--max-s`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from hostile_input.audio_bodies import audio_responses
from hostile_input.json_bodies import header_responses, json_responses, stream_responses
from hostile_input.server import HostileResponse, serving
from hostile_input.socket_frames import socket_responses

MAX_MIB = 400.0 * 1e6 / 2**20
"""400 MB."""
MAX_CPU_S = 60.0
MAX_S = 300.0
"""Much longer than any response takes on a machine that does nothing else."""
DEADLINE_S = 15.0
"""Deadline of a delivery, so that endless responses are measured in seconds. The default is minutes."""


COLUMNS = ("response", "sent", "peak, MiB", "CPU, s", "blocked, s", "time, s", "outcome")
"""`blocked` is the longest time for which the event loop could do nothing else."""
ROW = "| {:40} | {:>12} | {:>9} | {:>6} | {:>10} | {:>7} | {:60} |"
MAX_OUTCOME_CHARACTERS = 100


class Measurement(NamedTuple):
    """What one hostile response cost."""

    wire_bytes: int | None
    """Size of the response as it is sent; `None` if it is endless."""
    outcome: str
    peak_mib: float = float("inf")
    cpu_s: float = float("inf")
    pause_s: float = float("inf")
    """Longest time for which the event loop was blocked."""
    time_s: float = float("inf")

    def exceeds(self, max_mib: float, max_cpu_s: float) -> bool:
        """Whether it took too much memory or CPU time, or did not end."""
        return self.peak_mib > max_mib or self.cpu_s > max_cpu_s


def hostile_responses() -> Iterator[HostileResponse]:
    """Yield all hostile responses."""
    yield from json_responses()
    yield from stream_responses()
    yield from header_responses()
    yield from audio_responses()
    yield from socket_responses()


def measure(response: HostileResponse, max_s: float = MAX_S, deadline_s: float = DEADLINE_S) -> Measurement:
    """Serve `response` to a new process and return what it cost that process."""
    with serving(response) as server:
        command = [sys.executable, "-m", "hostile_input.child", response.target, server.url, str(deadline_s)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=max_s, check=False)
        except subprocess.TimeoutExpired:
            return Measurement(server.wire_bytes, f"did not end in {max_s:g} s")
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [""]
            return Measurement(server.wire_bytes, f"exit status {done.returncode}: {lines[-1]}")
        return Measurement(server.wire_bytes, **json.loads(done.stdout))


def format_row(response: HostileResponse, measured: Measurement, *, exceeds: bool) -> str:
    """Return the row of the Markdown table; the peak is bold if a limit was exceeded."""
    sent = "endless" if measured.wire_bytes is None else f"{measured.wire_bytes / 1024:,.1f} KiB"
    peak = f"{measured.peak_mib:.0f}"
    return ROW.format(
        response.name,
        sent,
        f"**{peak}**" if exceeds else peak,
        f"{measured.cpu_s:.1f}",
        f"{measured.pause_s:.1f}",
        f"{measured.time_s:.1f}",
        re.sub(r"127\.0\.0\.1:\d+", "HOST", measured.outcome).replace("|", "/")[:MAX_OUTCOME_CHARACTERS],
    )


def main() -> int:
    """Measure all responses, print a table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only responses whose name contains one of these texts")
    parser.add_argument("--max-mib", type=float, default=MAX_MIB)
    parser.add_argument("--max-cpu-s", type=float, default=MAX_CPU_S)
    parser.add_argument("--max-s", type=float, default=MAX_S)
    options = parser.parse_args()
    exceeded = 0
    print(ROW.format(*COLUMNS), "|---|--:|--:|--:|--:|--:|---|", sep="\n", flush=True)
    for response in hostile_responses():
        if options.names and not any(name in response.name for name in options.names):
            continue
        measured = measure(response, options.max_s)
        exceeds = measured.exceeds(options.max_mib, options.max_cpu_s)
        exceeded += exceeds
        print(format_row(response, measured, exceeds=exceeds), flush=True)
    limits = f"{options.max_mib:.0f} MiB or {options.max_cpu_s:g} s of CPU time, or did not end in {options.max_s:g} s"
    print(f"\n{exceeded} of the responses above exceed {limits}", file=sys.stderr)
    return int(exceeded > 0)


if __name__ == "__main__":
    sys.exit(main())
