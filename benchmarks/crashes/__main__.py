"""Random kills of a live benchmark: `PYTHONPATH=benchmarks python -m crashes`.

A stand-in provider on this machine keeps its own account of what it charges. A benchmark of it, with a budget of
exactly what its plan costs, is killed (SIGKILL) at random moments and continued by the same command until it is
finished: during the first submit and later ones, while jobs are polled, while results are saved and scored, and while
it continues. Next to it, simulated runs in this process on a virtual clock, with faults of the provider (rejections,
server errors, lost connections before and after charging, unreadable responses), budgets that are too small, demands
to buy lost requests again, and kills at any step, before and after each line of the journal.

Counted as a problem, which ends with exit status 1: the provider charged more than the ledger says or than the budget
allows; a request was bought twice without a demand; a charge that the run does not show; a result that differs from
that of an unbroken run in more than times and listed losses.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from crashes.kills import PHASES, TARGET_SETS, KilledRun, count_phases, kill_repeatedly, run_unbroken
from crashes.simulation import SimulatedRun, load_stand_in_contract, plan_benchmark, simulate
from crashes.verdict import ROUNDING_USD


def main() -> int:
    """Run the benchmark and print its tables; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m crashes", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="kills of real processes (default: 100)")
    parser.add_argument("--runs", type=int, default=1_000, help="simulated runs (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="voicegauge-crashes-") as folder:
        if options.kills:
            killed = kill_real_runs(options.kills, options.seed, Path(folder))
            print_killed_runs(killed)
            problems += [f"{'+'.join(run.targets)}: {problem}" for run in killed for problem in run.problems]
        if options.runs:
            simulated = simulate_runs(options.runs, options.seed, Path(folder))
            print_simulated_runs(simulated)
            problems += [problem for run in simulated for problem in run.verdict.problems]
    print(f"\n{len(problems)} problems")
    for problem in problems:
        print(f"  {problem}")
    return 1 if problems else 0


def kill_real_runs(kills: int, seed: int, folder: Path) -> list[KilledRun]:
    """Kill real processes at least `kills` times, with every way of delivery in turn."""
    dice = random.Random(seed)  # noqa: S311 - a reproducible choice, not a secret
    unbroken = {targets: run_unbroken(folder / "-".join(("unbroken", *targets)), targets) for targets in TARGET_SETS}
    runs: list[KilledRun] = []
    while sum(len(run.killed_in) for run in runs) < kills:
        targets = TARGET_SETS[len(runs) % len(TARGET_SETS)]
        run_folder = folder / f"killed-{len(runs)}"
        runs.append(kill_repeatedly(run_folder, targets, unbroken[targets], dice))
        shutil.rmtree(run_folder)
        done = sum(len(run.killed_in) for run in runs)
        print(f"{done} kills in {len(runs)} runs", file=sys.stderr)
    return runs


def print_killed_runs(runs: Sequence[KilledRun]) -> None:
    """Print the account of each way of delivery, and the kills by phase."""
    print("killed processes     runs  kills  requests   charged    ledger    budget  listed losses  problems")
    for targets in TARGET_SETS:
        chosen = [run for run in runs if run.targets == targets]
        print(
            f"{targets[0] if len(targets) == 1 else 'all':<20} {len(chosen):>4} "
            f"{sum(len(run.killed_in) for run in chosen):>6} {sum(run.verdict.charges for run in chosen):>9} "
            f"{sum(run.verdict.charged_usd for run in chosen):>9.3f} "
            f"{sum(run.verdict.ledger_usd for run in chosen):>9.3f} {sum(run.budget_usd for run in chosen):>9.3f} "
            f"{sum(run.verdict.lost for run in chosen):>14} {sum(len(run.problems) for run in chosen):>9}"
        )
    phases = count_phases(runs)
    print("kills by phase: " + ", ".join(f"{phase} {phases[phase]}" for phase in PHASES))


def simulate_runs(count: int, seed: int, folder: Path) -> list[SimulatedRun]:
    """Simulate `count` runs, each with a seed of its own."""
    contract = load_stand_in_contract()
    plan = plan_benchmark(contract)
    runs = []
    for number in range(count):
        run_folder = folder / f"simulated-{number}"
        runs.append(asyncio.run(simulate(seed * count + number, run_folder, contract, plan)))
        shutil.rmtree(run_folder, ignore_errors=True)
    return runs


def print_simulated_runs(runs: Sequence[SimulatedRun]) -> None:
    """Print the totals of the simulated runs, and their kills by step."""
    verdicts = [run.verdict for run in runs]
    steps = Counter(step for run in runs for step in run.killed_in)
    print(
        f"\n{len(runs)} simulated runs: {sum(run.commands for run in runs)} commands, {steps.total()} kills, "
        f"{sum(v.charges for v in verdicts)} charged requests, ${sum(v.charged_usd for v in verdicts):.2f} charged, "
        f"${sum(v.ledger_usd for v in verdicts):.2f} in the ledgers, {sum(v.lost for v in verdicts)} listed losses, "
        f"{sum(v.bought_again for v in verdicts)} bought again on demand"
    )
    overspent = sum(run.verdict.charged_usd > run.budget_usd + ROUNDING_USD for run in runs)
    print(f"runs that overspent: {overspent}")
    print("kills by step: " + ", ".join(f"{step} {count}" for step, count in steps.most_common()))


if __name__ == "__main__":
    started = time.monotonic()
    status = main()
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(status)
