"""Reads mutated documents with every reader: `PYTHONPATH=benchmarks python -m reader_fuzzing`.

Valid documents are mutated in their structure and in their bytes. Each reader runs in a process of its own. It must
read or reject every document with an error that it documents, in bounded time and memory. Exits with status 1 if a
reader raises another error, crashes, hangs, or needs more memory than `--max-mib`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from reader_fuzzing.readers import READERS

MAX_MIB = 400.0 * 1e6 / 2**20
"""400 MB."""


def run_reader(name: str, cases: int, seed: int) -> dict[str, Any] | str:
    """Fuzz one reader in a new process; return its measurements, or its messages if it failed."""
    command = [sys.executable, "-m", "reader_fuzzing.child", name, str(cases), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode:
        return f"exit status {done.returncode}\n{done.stderr[-8000:]}"
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> int:
    """Fuzz all readers, print a table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these readers")
    parser.add_argument("--cases", type=int, default=10_000, help="documents for each reader (10,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="readers that run at the same time (2)")
    parser.add_argument("--max-mib", type=float, default=MAX_MIB)
    options = parser.parse_args()
    names = options.names or [reader.name for reader in READERS]
    failures = 0
    print(f"{'':20}{'cases':>8}{'rejected':>10}{'slowest':>10}{'CPU':>10}{'peak':>10}", flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        results = pool.map(lambda name: run_reader(name, options.cases, options.seed), names)
        for name, result in zip(names, results, strict=True):
            if isinstance(result, str):
                failures += 1
                print(f"{name:20} failed: {result}", flush=True)
                continue
            failures += result["peak_mib"] > options.max_mib
            share = result["rejected"] / result["cases"]
            print(
                f"{name:20}{result['cases']:>8,}{share:>10.0%}{result['slowest_s']:>8.2f} s{result['cpu_s']:>8.0f} s"
                f"{result['peak_mib']:>6.0f} MiB",
                flush=True,
            )
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
