"""False alarms and detected changes of `voicegauge compare`: `PYTHONPATH=benchmarks python -m change_detection`.

Runs are simulated with known truth (`simulation`) and compared. Prints the share of unchanged comparisons in which any
metric of any target is called a regression, with several sessions and with pooled nights; the share of planted changes
that are found; and the share of changes of exactly the size that the comparisons state as detectable, which is to be
80%. Ends with exit status 1 if a share misses its bound.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from change_detection.simulation import Design, Service, simulate_run
from voicegauge.bench.comparison import compare_runs, compare_targets
from voicegauge.bench.comparison_result import MetricComparison, RunComparison

EIGHT_SERVICES = {f"acme/voice-{number}": Service() for number in range(8)}
OLD, NEW, FIRST = "acme/old", "acme/new", "acme/voice-0"
NULL_LIMIT = 0.01
SHARE_AT_STATED_SIZE = 0.80, 0.05
"""Share of changes of the stated detectable size that are to be found, and its tolerance."""


def compare_single_runs(changed: Service, design: Design, seed: int) -> RunComparison:
    """Compare one run with another; the first target has `changed` in the second run."""
    rng = np.random.default_rng(seed)
    before = simulate_run(EIGHT_SERVICES, design, rng)
    after = simulate_run({**EIGHT_SERVICES, "acme/voice-0": changed}, design, rng, night=1)
    return compare_runs(before, after)


def compare_with_nights(changed: Service, design: Design, seed: int) -> RunComparison:
    """Compare one run with ten earlier ones."""
    rng = np.random.default_rng(seed)
    nights = [simulate_run({OLD: Service()}, design, rng, night=night) for night in range(10)]
    return compare_runs(nights, simulate_run({OLD: changed}, design, rng, night=11))


def compare_eight_with_nights(changed: Service, design: Design, seed: int) -> RunComparison:
    """Compare one run of eight targets with ten earlier ones; the first target has `changed`."""
    rng = np.random.default_rng(seed)
    nights = [simulate_run(EIGHT_SERVICES, design, rng, night=night) for night in range(10)]
    after = simulate_run({**EIGHT_SERVICES, "acme/voice-0": changed}, design, rng, night=11)
    return compare_runs(nights, after)


def compare_interleaved(changed: Service, design: Design, seed: int) -> RunComparison:
    """Compare two targets of one run, the second of which has changed."""
    return compare_targets(simulate_run({OLD: Service(), NEW: changed}, design, np.random.default_rng(seed)), OLD)


Comparing = Callable[[Service, Design, int], RunComparison]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A simulated change, and the share of comparisons in which it is to be found."""

    title: str
    compare: Comparing
    design: Design
    metric: str
    change: float
    minimum: float

    @property
    def title_with_design(self) -> str:
        """The title of the row, with the design of the simulated runs."""
        return f"{self.title}, {self.design.texts} texts x {self.design.sessions} sessions"

    def build_service(self, change: float) -> Service:
        """Return the service that has changed by `change`."""
        if self.metric == "wer":
            return Service(error_rate=Service().error_rate + change)
        if self.metric == "failures":
            return Service(failure_rate=Service().failure_rate + change)
        return Service(slowdown=change)

    def judge(self, change: float, seed: int) -> MetricComparison:
        """Return the comparison of the metric in one simulated change."""
        comparison = self.compare(self.build_service(change), self.design, seed)
        return next(one for one in comparison.metrics if one.metric == self.metric and one.target in (OLD, NEW, FIRST))


INTERLEAVED = Design(texts=100, sessions=3, is_variation_shared=True)
NIGHTS_OF_EIGHT = Design(texts=100, sessions=1, is_variation_shared=True)
CASES = [
    *(
        Case(
            title=f"latency +20%, one of 8, own variation {own_variation:.0%}",
            compare=compare_eight_with_nights,
            design=replace(NIGHTS_OF_EIGHT, sessions=sessions, own_variation=own_variation),
            metric="total_latency_ms",
            change=0.20,
            minimum=minimum,
        )
        for sessions, own_variation, minimum in ((1, 0.0, 0.80), (1, 0.03, 0.0), (3, 0.03, 0.80), (3, 0.10, 0.0))
    ),
    Case(
        title="latency +10%, interleaved",
        compare=compare_interleaved,
        design=replace(INTERLEAVED, sessions=4),
        metric="total_latency_ms",
        change=0.10,
        minimum=0.80,
    ),
    Case(
        title="latency +20%, against ten nights",
        compare=compare_with_nights,
        design=Design(texts=100, sessions=10),
        metric="total_latency_ms",
        change=0.20,
        minimum=0.80,
    ),
    Case(
        title="WER +3 points, interleaved",
        compare=compare_interleaved,
        design=replace(INTERLEAVED, sessions=8),
        metric="wer",
        change=0.03,
        minimum=0.90,
    ),
    Case(
        title="failures +5 points, interleaved",
        compare=compare_interleaved,
        design=replace(INTERLEAVED, sessions=6),
        metric="failures",
        change=0.05,
        minimum=0.80,
    ),
]


def has_regression(compare: Comparing, design: Design, seed: int) -> bool:
    """Return whether any metric of any target is called a regression although nothing changed."""
    return bool(compare(Service(), design, seed).regressions)


def main() -> int:
    """Simulate, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m change_detection", description=__doc__.partition("\n")[0])
    parser.add_argument("--unchanged", type=int, default=2000, help="unchanged comparisons for each design; 0 for none")
    parser.add_argument("--changed", type=int, default=400, help="comparisons for each planted change; 0 for none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the rows whose title has TEXT")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs) as pool:
        within_bounds = _print_false_alarms(pool, options.unchanged, options.only)
        print(f"\n{'planted change':60} {'found':>11}  of     detectable  found at that size")
        cases = [case for case in CASES if options.changed and options.only in case.title_with_design]
        within_bounds += [_print_found_changes(pool, case, options.changed) for case in cases]
    return 0 if all(within_bounds) else 1


def _print_false_alarms(pool: ProcessPoolExecutor, count: int, only: str) -> list[bool]:
    """Print the share of unchanged comparisons with a regression, and return whether each may be within its limit."""
    eight, one = Design(texts=40, sessions=1), Design(texts=40, sessions=1)
    designs: list[tuple[str, Comparing, Design, int]] = [
        *(
            (f"8 targets, {n} sessions, one run against one", compare_single_runs, replace(eight, sessions=n), count)
            for n in (1, 3, 10)
        ),
        *(
            (f"1 target, {n} sessions, one run against ten", compare_with_nights, replace(one, sessions=n), count)
            for n in (3, 10)
        ),
        ("2 targets, 3 sessions, interleaved", compare_interleaved, INTERLEAVED, count),
        *(
            (
                f"8 targets, 1 session, one run against ten, own variation {own_variation:.0%}",
                compare_eight_with_nights,
                replace(eight, is_variation_shared=True, own_variation=own_variation),
                count // 4,
            )
            for own_variation in (0.0, 0.03, 0.10)
        ),
    ]
    within: list[bool] = []
    if not count:
        return within
    print(f"{'unchanged':60} {'regression':>11}  of")
    from scipy.stats import binomtest  # importing it takes half a second, also in tests that only draw runs

    for title, compare, design, seeds in designs:
        if only not in title:
            continue
        found = sum(pool.map(partial(has_regression, compare, design), range(seeds), chunksize=10))
        print(f"{title + f', {design.texts} texts':60} {found / seeds:11.2%}  {seeds}", flush=True)
        # A share just above the limit may be chance: only a count that 1% would hardly produce counts against it.
        within.append(binomtest(found, seeds, NULL_LIMIT, alternative="greater").pvalue > 0.01)
    return within


def _print_found_changes(pool: ProcessPoolExecutor, case: Case, count: int) -> bool:
    """Print how often a planted change is found, and how often one of the size that is stated as detectable."""
    found = compute_regression_share(pool.map(partial(case.judge, case.change), range(count), chunksize=4))
    # The stated size depends on the data; without a change it is what a user plans with.
    unchanged = pool.map(partial(case.judge, 0.0), range(100, 200), chunksize=4)
    stated = compute_median_detectable_change(metric.detectable_change for metric in unchanged)
    line = f"{case.title_with_design:60} {found:11.1%}  {count:<5}"
    if stated is None:
        print(f"{line} {'none':>11}", flush=True)
        return False
    again = pool.map(partial(case.judge, stated), range(count, 2 * count), chunksize=4)
    found_at_stated = compute_regression_share(again)
    print(f"{line} {stated:11.1%}  {found_at_stated:.1%}", flush=True)
    expected, tolerance = SHARE_AT_STATED_SIZE
    return found >= case.minimum and abs(found_at_stated - expected) <= tolerance


def compute_regression_share(metrics: Iterable[MetricComparison]) -> float:
    """Return the share of comparisons of a metric that call it a regression."""
    return statistics.mean(metric.verdict == "regression" for metric in metrics)


def compute_median_detectable_change(changes: Iterable[float | None]) -> float | None:
    """Return the median of detectable changes; `None` if most comparisons could not have found any change.

    A comparison without a detectable change (`None`) counts as one whose detectable change is larger than all others.
    """
    median = statistics.median(math.inf if change is None else change for change in changes)
    return None if math.isinf(median) else median


if __name__ == "__main__":
    sys.exit(main())
