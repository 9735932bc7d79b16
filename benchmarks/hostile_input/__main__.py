"""Peak memory and CPU time of hostile responses: `PYTHONPATH=benchmarks python -m hostile_input`.

Each response is received by a process of its own, which sends one speech request, applies every rule, and saves a
recording. Its peak of resident memory includes the interpreter and all libraries. Exits with status 1 if a response
needs more memory than `--max-mib`, or does not end in `--max-s`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from hostile_input.audio_bodies import audio_responses
from hostile_input.json_bodies import json_responses, stream_responses
from hostile_input.server import HostileResponse, serving

MAX_MIB = 400.0 * 1e6 / 2**20
"""400 MB."""
MAX_S = 60.0
DEADLINE_S = 5.0
"""Deadline of a delivery, so that endless responses are measured in seconds. The default is minutes."""


class Measurement(NamedTuple):
    """What one hostile response cost."""

    wire_bytes: int | None
    peak_mib: float = float("inf")
    cpu_s: float = float("inf")
    pause_s: float = float("inf")
    outcome: str = "did not end"

    def exceeds(self, max_mib: float) -> bool:
        """Whether it took too much memory, or did not end."""
        return self.peak_mib > max_mib


def hostile_responses() -> Iterator[HostileResponse]:
    """Yield all hostile responses."""
    yield from json_responses()
    yield from stream_responses()
    yield from audio_responses()


def measure(response: HostileResponse, max_s: float = MAX_S, deadline_s: float = DEADLINE_S) -> Measurement:
    """Serve `response` to a new process and return what it cost that process."""
    with serving(response) as server:
        command = [sys.executable, "-m", "hostile_input.child", response.target, server.url, str(deadline_s)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=max_s, check=False)
        except subprocess.TimeoutExpired:
            return Measurement(server.wire_bytes, outcome=f"did not end in {max_s:g} s")
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [""]
            return Measurement(server.wire_bytes, outcome=f"exit status {done.returncode}: {lines[-1]}")
        measured = json.loads(done.stdout)
        return Measurement(
            server.wire_bytes, measured["peak_mib"], measured["cpu_s"], measured["pause_s"], measured["outcome"]
        )


def main() -> int:
    """Measure all responses, print a table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only responses whose name contains one of these texts")
    parser.add_argument("--max-mib", type=float, default=MAX_MIB)
    parser.add_argument("--max-s", type=float, default=MAX_S)
    options = parser.parse_args()
    exceeded = 0
    print(f"{'':38}{'sent':>12}{'peak':>10}{'CPU':>8}{'loop':>8}  outcome")
    for response in hostile_responses():
        if options.names and not any(name in response.name for name in options.names):
            continue
        measured = measure(response, options.max_s)
        exceeded += measured.exceeds(options.max_mib)
        sent = "endless" if measured.wire_bytes is None else f"{measured.wire_bytes / 1024:,.1f} KiB"
        mark = "!" if measured.exceeds(options.max_mib) else " "
        print(
            f"{response.name:38}{sent:>12}{measured.peak_mib:>6.0f} MiB{mark}{measured.cpu_s:>5.1f} s"
            f"{measured.pause_s:>6.1f} s  {measured.outcome[:90]}",
            flush=True,
        )
    print(f"{exceeded} of the responses above exceed {options.max_mib:.0f} MiB, or did not end in {options.max_s:g} s")
    return int(exceeded > 0)


if __name__ == "__main__":
    sys.exit(main())
