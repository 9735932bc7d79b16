"""Peak memory of the listeners under attack: `PYTHONPATH=benchmarks python -m hostile_clients`.

Each attack is made against a new process. During it, one request to another URL must still be answered with 200. Exits
with status 1 if it is not, or if the process needs more memory than `--max-mib`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import httpx

from hostile_clients.attacks import ATTACKS, Attack, under_attack

MAX_MIB = 400.0 * 1e6 / 2**20
"""400 MB."""


class Measurement(NamedTuple):
    """What one attack did to a listener."""

    start_mib: float
    peak_mib: float
    attack_s: float
    status: int
    """Status of the response to a genuine request during the attack; 0 if there was none."""


def _memory_mib(process_id: int, name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{process_id}/status").read_text())
    assert found is not None, "Linux reports the memory"
    return int(found[1]) / 1024


async def _attack(attack: Attack, attacked_url: str, working_url: str) -> int:
    async with under_attack(attack, attacked_url), httpx.AsyncClient(timeout=30, verify=False) as client:  # noqa: S501
        try:
            method = "GET" if working_url.endswith("/health") else "POST"
            return (await client.request(method, working_url)).status_code
        except httpx.HTTPError:
            return 0


def measure(attack: Attack) -> Measurement:
    """Make one attack against a new listener, and return what it cost."""
    command = [sys.executable, "-m", "hostile_clients.child", attack.listener]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        urls = json.loads(process.stdout.readline())
        start_mib, started = _memory_mib(process.pid, "VmRSS"), time.perf_counter()
        status = asyncio.run(_attack(attack, urls["attacked_url"], urls["working_url"]))
        attack_s = time.perf_counter() - started
        peak_mib = _memory_mib(process.pid, "VmHWM")
        process.communicate()
    return Measurement(start_mib, peak_mib, attack_s, status)


def main() -> int:
    """Make all attacks, print a table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only attacks whose name contains one of these texts")
    parser.add_argument("--max-mib", type=float, default=MAX_MIB)
    options = parser.parse_args()
    failures = 0
    print(f"{'':44}{'requests':>10}{'start':>10}{'peak':>10}{'time':>8}  genuine request")
    for attack in ATTACKS:
        name = f"{attack.listener}, {attack.name}"
        if options.names and not any(part in name for part in options.names):
            continue
        measured = measure(attack)
        failures += measured.peak_mib > options.max_mib or measured.status != 200
        print(
            f"{name:44}{attack.count:>10,}{measured.start_mib:>6.0f} MiB{measured.peak_mib:>6.0f} MiB"
            f"{measured.attack_s:>6.1f} s  {measured.status or 'no response'}",
            flush=True,
        )
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
