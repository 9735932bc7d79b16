"""Edits valid contracts at random and runs every command with each: `PYTHONPATH=benchmarks python -m contract_fuzzing`.

A document must be rejected with file and line and exit status 2, or work in every command. Exits with status 1 if a
command raised an error, gave no place, or reached a limit.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from contract_fuzzing.fuzzing import fuzz_contracts
from contract_fuzzing.sources import collect_sources


def main() -> int:
    """Fuzz contracts, print each failure and a table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1000, help="number of edited contracts (1,000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--verbose", action="store_true", help="print the edits and the message of every document")
    options = parser.parse_args()
    sources = collect_sources()
    counts: Counter[tuple[str, str]] = Counter()
    started = time.perf_counter()
    for fuzzed in fuzz_contracts(sources, range(options.first, options.first + options.documents)):
        counts[fuzzed.source, fuzzed.outcome] += 1
        counts[fuzzed.source, "findings"] += fuzzed.outcome == "works" and fuzzed.has_findings
        if fuzzed.outcome == "failed" or options.verbose:
            print(f"{fuzzed.number} {fuzzed.source} {fuzzed.outcome}: {'; '.join(fuzzed.edits)}\n  {fuzzed.message}")
            sys.stdout.flush()
    columns = ("rejected", "works", "findings", "failed")
    print(f"{'':20}" + "".join(f"{column:>10}" for column in columns))
    for source in sources:
        print(f"{source.name:20}" + "".join(f"{counts[source.name, column]:>10}" for column in columns))
    total = {column: sum(count for (_, name), count in counts.items() if name == column) for column in columns}
    print(f"{'all':20}" + "".join(f"{total[column]:>10}" for column in columns))
    print(f"{time.perf_counter() - started:.0f} s")
    return int(total["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
