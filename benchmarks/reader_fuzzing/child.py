"""Fuzzes one reader in a process of its own: `python -m reader_fuzzing.child READER CASES SEED`."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import time
from pathlib import Path

from reader_fuzzing.fuzzing import HANG_S, fuzz
from reader_fuzzing.readers import find_reader
from voicegauge.speech.containers import suppress_decoder_stderr


def peak_mib() -> float:
    """Return the peak of this process's resident memory, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None, "Linux reports the peak"
    return int(found[1]) / 1024


def main() -> None:
    """Fuzz the reader named by the arguments, and print the result as JSON."""
    name, cases, random_seed = sys.argv[1:]
    suppress_decoder_stderr()
    started = time.process_time()
    result = fuzz(find_reader(name), int(cases), int(random_seed), hang_s=HANG_S)
    measured = {"cpu_s": time.process_time() - started, "peak_mib": peak_mib()}
    print(json.dumps({**dataclasses.asdict(result), **measured}))


if __name__ == "__main__":
    main()
