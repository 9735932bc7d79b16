"""Prints time and memory of voicegauge at scale, next to their limits: `PYTHONPATH=benchmarks python -m scale`.

Large runs are simulated, and `compare` and `report` read them in processes of their own; parsing the same files as JSON
is the physical limit next to them. `check --emulated` is measured with its emulator, the scheduling of requests with
latencies that take no time, scoring in this process, and `drift` with large documents. Ends with exit status 1 if a
limit is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scale.large_document import write_documents
from scale.large_run import WORDS, write_run
from scale.process_usage import ProcessUsage, run_measured, run_voicegauge
from scale.scheduling import STANDARD_TARGETS, STANDARD_TEXTS, list_latencies_s, simulate_run
from voicegauge.speech.transcripts import score_transcript

PARSE_JSON = "import sys, msgspec; [msgspec.json.decode(open(path, 'rb').read()) for path in sys.argv[1:]]"
MIN_BUSY_PROCESSORS = 1.5
"""Number of processors that a check must keep busy, if the machine has two."""
MIN_CPU_S = 15.0
"""CPU time in seconds above which that is required. A shorter check consists of starting, planning and reporting, which
one process does."""
SHAPES = {"20 targets, 250 texts": (20, 250), "1 target, 500 texts": (1, 500)}


class Row(NamedTuple):
    """One line of the table."""

    measured: str
    value: float
    unit: str
    limit: float
    note: str = ""
    is_minimum: bool = False
    """Whether `limit` is the smallest value, not the largest."""

    @property
    def is_within(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.limit if self.is_minimum else self.value <= self.limit


def measure_large_runs(samples: int) -> Iterator[Row]:
    """Measure `compare` and `report` of runs with so many samples, and parsing the same files as JSON."""
    for shape, (targets, texts) in SHAPES.items():
        with tempfile.TemporaryDirectory() as scratch:
            runs = [
                write_run(Path(scratch) / str(seed), samples, targets=targets, texts=texts, seed=seed)
                for seed in (0, 1)
            ]
            compared = run_voicegauge("compare", *map(str, runs))
            reported = run_voicegauge("report", str(runs[0]), "--out", str(Path(scratch) / "report.html"))
            files = [str(runs[index] / "run.json") for index in (0, 1, 0)]
            parsed = run_measured([sys.executable, "-c", PARSE_JSON, *files])
        cpu_s = compared.cpu_s + reported.cpu_s
        yield Row(
            f"compare and report, {samples:,} samples, {shape}",
            cpu_s,
            "s of CPU",
            20.0,
            f"{compared.cpu_s:.1f} + {reported.cpu_s:.1f}; wall {compared.wall_s + reported.wall_s:.1f} s; "
            f"{cpu_s / parsed.cpu_s:.1f} times parsing these files as JSON",
        )
        peak_mib = max(find_peak(compared), find_peak(reported))
        yield Row(f"peak memory of them, {shape}", peak_mib, "MiB", 1.5e9 / 2**20)


def find_peak(usage: ProcessUsage) -> float:
    """Return the largest peak of a process, in MiB."""
    return max(usage.peak_mib_by_program.values())


def measure_checks(providers: list[str]) -> Iterator[Row]:
    """Measure `check --emulated` of whole providers with the emulator: each of them, then all in one command.

    Each check is made with one case in flight, then with the default number, and must have the same results.
    """
    for names in [*([name] for name in providers), *([providers] if len(providers) > 1 else [])]:
        command = f"check {' '.join(names)} --emulated"
        with tempfile.TemporaryDirectory() as scratch:
            one, usage = (
                run_voicegauge(*command.split(), *options, "--json", f"{number}.json", cwd=Path(scratch))
                for number, options in enumerate((("--concurrency", "1"), ()))
            )
            reports = [read_report(Path(scratch) / f"{number}.json") for number in (0, 1)]
        peaks = ", ".join(
            f"{name} {mib:.0f}" for name, mib in usage.peak_mib_by_program.items() if name.startswith("voicegauge")
        )
        yield Row(f"{command}, all processes at one moment", usage.peak_mib, "MiB", 500e6 / 2**20, f"peaks: {peaks}")
        least = MIN_BUSY_PROCESSORS if usage.cpu_s >= MIN_CPU_S and (os.cpu_count() or 1) > 1 else 1.0
        yield Row(
            "processors that it keeps busy",
            usage.busy_processors,
            "",
            least,
            f"one case in flight: {one.busy_processors:.2f}; {usage.cpu_s:.1f} s of CPU in {usage.wall_s:.1f} s, "
            f"one case in flight: {one.cpu_s:.1f} s in {one.wall_s:.1f} s",
            is_minimum=True,
        )
        differing = [key for key in reports[0] | reports[1] if reports[0].get(key) != reports[1].get(key)]
        yield Row(
            "parts of its report that differ from one case in flight", len(differing), "", 0, ", ".join(differing)
        )


def read_report(path: Path) -> dict[str, Any]:
    """Return the report of a check without what differs between two checks of a service that has not changed.

    That is the time of the check, the measured interruptions, and how often the rule `balance-wrong` could be applied:
    a balance says nothing while another request in flight changes it.
    """
    report: dict[str, Any] = json.loads(path.read_bytes())
    del report["created_at"], report["interruptions_by_target"]
    report["coverage"] = [one for one in report["coverage"] if one["name"] != "balance-wrong"]
    report["spending"]["total_by_rule"].pop("balance-wrong", None)
    return report


def measure_scheduling() -> Iterator[Row]:
    """Simulate the standard suite and a single target, with 1 and 16 requests in flight."""
    latencies_s = list_latencies_s(STANDARD_TARGETS)
    ideal_s = sum(latencies_s) * STANDARD_TEXTS / 16
    took_s = simulate_run(latencies_s, STANDARD_TEXTS, 16)
    one_at_a_time_s = max(latencies_s) * STANDARD_TEXTS
    yield Row(
        "2,877 samples, 16 in flight, to the sum of latencies divided by 16",
        took_s / ideal_s,
        "times",
        1.05,
        f"{took_s:.0f} s; with a barrier after each text at least {one_at_a_time_s:.0f} s",
    )
    alone = [simulate_run([1.0], 512, concurrency) for concurrency in (1, 16)]
    yield Row("one target, 16 in flight, to 1 in flight", alone[1] / alone[0], "times", 1 / 15.9)


def measure_documents(operations: int) -> Iterator[Row]:
    """Measure `drift` with two versions of a document, and how its time grows with the number of operations."""
    used: list[ProcessUsage] = []
    for count in (operations // 2, operations):
        with tempfile.TemporaryDirectory() as scratch:
            old, new = write_documents(Path(scratch), count)
            size_mib = old.stat().st_size / 2**20
            used.append(run_voicegauge("drift", str(old), str(new)))
    half, whole = used
    what = f"drift, {operations:,} operations"
    yield Row(what, whole.cpu_s, "s of CPU", 60.0, f"{size_mib:.1f} MiB of JSON each; wall {whole.wall_s:.1f} s")
    yield Row(f"{what}, to half as many", whole.cpu_s / half.cpu_s, "times", 2.5, f"{half.cpu_s:.1f} s of CPU")
    yield Row(f"peak memory of {what}", find_peak(whole), "MiB", 1.5e9 / 2**20)


def measure_scoring(transcripts: int) -> Iterator[Row]:
    """Measure how long counting the errors of transcripts takes."""
    text = " ".join(WORDS)
    start_s = time.process_time()
    for number in range(transcripts):
        score_transcript(
            sample_id=str(number), reference=f"{text} {number}.", transcript=f"{text} {number % 7}", language="en"
        )
    yield Row(f"scoring {transcripts:,} transcripts", time.process_time() - start_s, "s of CPU", 8.0)


def main() -> int:
    """Measure, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--providers", nargs="*", default=["pixazo", "openai", "ttsai"])
    parser.add_argument("--only", choices=("runs", "checks", "scheduling", "scoring", "documents"), action="append")
    arguments = parser.parse_args()
    parts = {
        "scheduling": measure_scheduling,
        "scoring": lambda: measure_scoring(10_000),
        "runs": lambda: measure_large_runs(arguments.samples),
        "documents": lambda: measure_documents(3_000),
        "checks": lambda: measure_checks(arguments.providers),
    }
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors\n")
    print("| measured | value | limit | | |\n|---|--:|--:|---|---|")
    is_within = True
    for name, measure in parts.items():
        if arguments.only and name not in arguments.only:
            continue
        for row in measure():
            is_within &= row.is_within
            verdict = "within" if row.is_within else "MISSED"
            limit = f"{'at least ' if row.is_minimum else ''}{row.limit:.3g}"
            print(
                f"| {row.measured} | {row.value:.3g} {row.unit} | {limit} | {verdict} | {row.note} |",
                flush=True,
            )
    return 0 if is_within else 1


if __name__ == "__main__":
    sys.exit(main())
