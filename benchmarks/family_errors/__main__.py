"""False statements about equal targets: `PYTHONPATH=benchmarks python -m family_errors`.

Runs of 2, 5, 10 and 30 targets are simulated (`change_detection.simulation`), analysed as `report` does, and all that
the report says about differences is counted: the verdict, the ranking, the marks. Prints the share of runs of equal
targets with any such statement, and the share of pairs that are distinguished if half of the targets take twice as long
and make 10 points more errors. Ends with exit status 1 if a share of false statements is above 5% by more than chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from change_detection.simulation import Design, Service, simulate_run
from scipy.stats import binomtest

from voicegauge.bench.target_samples import measure_target_differences
from voicegauge.model.base import Provenance
from voicegauge.model.run import Run
from voicegauge.report.report_data import RunReport, analyze_runs

TARGET_COUNTS = (2, 5, 10, 30)
TEXT_COUNTS = (8, 24)
LIMIT = 0.05


class Statements(NamedTuple):
    """What a report says about differences between targets."""

    in_verdict: bool
    in_ranking: bool
    in_marks: bool


def simulate(target_count: int, text_count: int, seed: int, *, is_half_worse: bool = False) -> Run:
    """Return a live run of so many services, which are equal unless half of them are worse."""
    worse = Service(slowdown=1.0, error_rate=0.15)
    services = {
        f"acme/voice-{number:02}": worse if is_half_worse and number % 2 else Service(failure_rate=0.0)
        for number in range(target_count)
    }
    design = Design(texts=text_count, sessions=1, is_variation_shared=True)
    run = simulate_run(services, design, np.random.default_rng([seed, target_count, text_count]))
    return msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, provenance=Provenance.LIVE))


def find_statements(report: RunReport) -> Statements:
    """Return what a report of a run says about differences in speed and errors; all targets have the same price."""
    summaries = {one.topic: one.summary for one in report.verdict.statements}
    in_verdict = any(
        "no clear difference" not in summaries.get(topic, "no clear difference")
        for topic in ("speed", "intelligibility")
    )
    groups = {one.group for one in report.ranking.targets}
    in_marks = any(
        not all(getattr(one, field) for one in report.targets)
        for field in ("is_pareto_optimal", "is_among_fastest", "is_among_most_intelligible")
    )
    return Statements(in_verdict, len(groups) > 1, in_marks)


def measure_false_statements(target_count: int, text_count: int, seeds: Iterable[int]) -> list[int]:
    """Return the numbers of runs of equal targets with a statement: in the verdict, ranking, marks, and anywhere."""
    counts = [0, 0, 0, 0]
    for seed in seeds:
        found = find_statements(analyze_runs([(Path(), simulate(target_count, text_count, seed))]).report.runs[0])
        for index, is_stated in enumerate((*found, any(found))):
            counts[index] += is_stated
    return counts


def measure_power(target_count: int, text_count: int, run_count: int) -> tuple[float, float]:
    """Return the shares of pairs of unequal targets that are distinguished by speed and by errors."""
    shares = []
    for seed in range(run_count):
        run = simulate(target_count, text_count, seed, is_half_worse=True)
        found = measure_target_differences(run, run.score_sets[-1])
        shares.append([one.is_clearly_lower[::2, 1::2].mean() for one in (found.log_latency, found.error_rate)])
    speed, errors = np.mean(shares, axis=0)
    return float(speed), float(errors)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m family_errors", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=400, help="simulated runs of equal targets for each row")
    parser.add_argument("--changed", type=int, default=40, help="simulated runs of unequal targets; 0 for none")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first run of each row")
    parser.add_argument("--targets", type=int, nargs="+", default=TARGET_COUNTS, help="numbers of targets")
    parser.add_argument("--texts", type=int, nargs="+", default=TEXT_COUNTS, help="numbers of texts")
    options = parser.parse_args(arguments)
    print("| targets | texts | verdict | ranking | marks | any | 95% interval | twice the time | +10 points of WER |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    is_good = True
    for text_count in options.texts:
        for target_count in options.targets:
            seeds = range(options.first_seed, options.first_seed + options.runs)
            counts = measure_false_statements(target_count, text_count, seeds)
            tested = binomtest(counts[-1], options.runs, LIMIT, alternative="greater")
            found = measure_power(target_count, text_count, options.changed) if options.changed else ()
            shares = [f"{count / options.runs:.1%}" for count in counts]
            shares.append(describe_uncertainty(counts[-1], options.runs))
            shares += [f"{share:.0%}" for share in found]
            print(f"| {target_count} | {text_count} | {' | '.join(shares)} |", flush=True)
            is_good &= tested.pvalue > 0.01
    return 0 if is_good else 1


def describe_uncertainty(count: int, run_count: int) -> str:
    """Return the 95% interval (Clopper and Pearson 1934) of a probability of which so many runs show so many cases."""
    interval = binomtest(count, run_count).proportion_ci()
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}%"


if __name__ == "__main__":
    sys.exit(main())
