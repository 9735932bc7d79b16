"""False statements about equal targets: `PYTHONPATH=benchmarks python -m family_errors`.

Runs of 2, 5, 10 and 30 targets are simulated (`change_detection.simulation`), analysed as `report` does, and all that
the report says about differences is counted: the verdict, the ranking, the marks. Prints the share of runs of equal
targets with any such statement, and the share of pairs that are distinguished if half of the targets take twice as long
and make 10 points more errors. Ends with exit status 1 if a share of false statements is above 5% by more than chance.

No statement is made without a clear difference of a pair, so that only runs with one are analysed as a whole. Whether
there is one is decided as soon as enough permutations exceed the largest difference: the result is that of all of them.
Every hundredth run is analysed as a whole in any case, to check that.

With `--spread 4`, the times of one target vary four times as much as those of the others, although it is as fast. Such
targets cannot be exchanged, as permutations assume: this row shows how far the statements depend on that.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from change_detection.simulation import Design, Service, simulate_run

from voicegauge.bench.resampling import (
    MAX_PERMUTATION_COUNT,
    FloatArray,
    build_comparison_tables,
    draw_largest_differences,
)
from voicegauge.bench.target_samples import collect_target_measurements, measure_target_differences
from voicegauge.model.base import Provenance
from voicegauge.model.run import Run
from voicegauge.report.report_data import RunReport, analyze_runs

TARGET_COUNTS = (2, 5, 10, 30)
TEXT_COUNTS = (8, 24)
LIMIT = 0.05
PERMUTATIONS_PER_BATCH = 50
CHECKED_RUNS = 100
"""One in so many runs without a clear difference is analysed as a whole too."""


class Statements(NamedTuple):
    """What a report says about differences between targets."""

    in_verdict: bool
    in_ranking: bool
    in_marks: bool


def simulate(target_count: int, text_count: int, seed: int, *, is_half_worse: bool = False, spread: float = 1.0) -> Run:
    """Return a live run of so many services, which are equal unless half of them are worse.

    Args:
        target_count: number of services.
        text_count: number of texts.
        seed: seed of the run.
        is_half_worse: whether every second service takes twice as long and makes 10 points more errors.
        spread: by how much more the times of the first service vary from request to request.
    """
    worse = Service(slowdown=1.0, error_rate=0.15)
    services = {
        f"acme/voice-{number:02}": worse if is_half_worse and number % 2 else Service(failure_rate=0.0)
        for number in range(target_count)
    }
    services["acme/voice-00"] = Service(failure_rate=0.0, request_spread_factor=spread)
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


def has_clear_difference(table: FloatArray, probability: float) -> bool:
    """Whether any pair of columns is called different: as `compare_column_pairs`, with few permutations."""
    drawn = draw_largest_differences(table, max_permuted_values_per_batch=PERMUTATIONS_PER_BATCH * table.size)
    observed = float(next(drawn)[0])
    reached = count = 1
    for batch in drawn:
        count += len(batch)
        reached += int((batch >= observed).sum())
        if reached > probability * (MAX_PERMUTATION_COUNT + 1):
            return False
    return reached <= count - math.ceil((1 - probability) * count)


class FalseStatements(NamedTuple):
    """Numbers of runs of equal targets with a statement."""

    about_speed: int
    about_errors: int
    in_verdict: int
    in_ranking: int
    in_marks: int
    anywhere: int


def measure_false_statements(
    target_count: int, text_count: int, seeds: Iterable[int], spread: float = 1.0
) -> FalseStatements:
    """Count the runs of equal targets that have a statement, by measure and by place."""
    counts = np.zeros(len(FalseStatements._fields), np.int64)
    for seed in seeds:
        run = simulate(target_count, text_count, seed, spread=spread)
        tables = build_comparison_tables(collect_target_measurements(run, run.score_sets[-1]))
        clear = [
            has_clear_difference(table, tables.false_statement_probability)
            for table in (tables.log_latency, tables.error_rate)
        ]
        found = Statements(in_verdict=False, in_ranking=False, in_marks=False)
        if any(clear) or seed % CHECKED_RUNS == 0:
            found = find_statements(analyze_runs([(Path(), run)]).report.runs[0])
            assert any(clear) or not any(found), f"run {seed} has a statement without a clear difference"
        counts += [*clear, *found, any(found)]
    return FalseStatements(*map(int, counts))


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
    parser.add_argument("--runs", type=int, default=2000, help="simulated runs of equal targets for each row")
    parser.add_argument("--changed", type=int, default=40, help="simulated runs of unequal targets; 0 for none")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first run of each row")
    parser.add_argument("--targets", type=int, nargs="+", default=TARGET_COUNTS, help="numbers of targets")
    parser.add_argument("--texts", type=int, nargs="+", default=TEXT_COUNTS, help="numbers of texts")
    parser.add_argument("--spread", type=float, default=1.0, help="how much more the times of one target vary")
    options = parser.parse_args(arguments)
    print(
        "| targets | texts | runs | speed | errors | verdict | ranking | marks | any | 95% interval | "
        "twice the time | +10 points of WER |"
    )
    print(f"|{'--:|' * 12}")
    from scipy.stats import binomtest  # importing it takes half a second, also in tests that only draw runs

    is_good = True
    for text_count in options.texts:
        for target_count in options.targets:
            seeds = range(options.first_seed, options.first_seed + options.runs)
            counts = measure_false_statements(target_count, text_count, seeds, options.spread)
            tested = binomtest(counts.anywhere, options.runs, LIMIT, alternative="greater")
            found = measure_power(target_count, text_count, options.changed) if options.changed else ()
            shares = [f"{count / options.runs:.1%}" for count in counts]
            shares.append(describe_uncertainty(counts.anywhere, options.runs))
            shares += [f"{share:.0%}" for share in found]
            print(f"| {target_count} | {text_count} | {options.runs:,} | {' | '.join(shares)} |", flush=True)
            is_good &= tested.pvalue > 0.01
    return 0 if is_good else 1


def describe_uncertainty(count: int, run_count: int) -> str:
    """Return the 95% interval (Clopper and Pearson 1934) of a probability of which so many runs show so many cases."""
    from scipy.stats import binomtest

    interval = binomtest(count, run_count).proportion_ci()
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}%"


if __name__ == "__main__":
    sys.exit(main())
