"""Random kills of live benchmarks, checks and recordings: `PYTHONPATH=benchmarks python -m crashes`.

A stand-in provider on this machine keeps its own account of what it charges. A benchmark of it, with a budget of
exactly what its plan costs, is killed (SIGKILL) at random moments and continued by the same command until it is
finished: during the first submit and later ones, while jobs are polled, while results are saved and scored, and while
it continues. Next to it, simulated runs in this process on a virtual clock, with faults of the provider (rejections,
server errors, lost connections before and after charging, unreadable responses), budgets that are too small, demands
to buy lost requests again, and kills at any step, before and after each line of the journal.

Checks and recordings of the same provider are killed in the same way, and simulated in the same way. A killed check or
recording goes on where it was killed.

Counted as a problem, which ends with exit status 1: the provider charged more than the ledger says or than the budget
allows; the account of a day lacks a charge; more requests were charged than --max-calls allows, over all lives of a
check; a request was bought twice without a demand; a charge that the run does not show; a result, or the verdict of a
case, that differs from that of an unbroken run in more than times and listed losses.
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

from crashes.case_kills import PHASES as CASE_PHASES
from crashes.case_kills import KilledCaseCommand, kill_command_repeatedly, run_unbroken_check
from crashes.case_simulation import CaseCommand, plan_command, simulate_cases, simulate_unbroken_check
from crashes.kills import PHASES, TARGET_SETS, KilledRun, count_phases, kill_repeatedly, run_unbroken
from crashes.simulation import SimulatedRun, load_stand_in_contract, plan_benchmark, simulate
from crashes.verdict import ROUNDING_USD
from voicegauge.conformance.plan_prices import price_plan
from voicegauge.model.base import Provenance
from voicegauge.model.run import Run

SCORED_EVERY = 5
"""One in this many benchmarks is scored and can be killed while it is scored, because scoring takes long."""
COMMANDS: Sequence[CaseCommand] = ("check", "record")


def main() -> int:
    """Run the benchmark and print its tables; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m crashes", description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="kills of real benchmarks (default: 100)")
    parser.add_argument("--runs", type=int, default=1_000, help="simulated benchmarks (default: 1000)")
    parser.add_argument("--command-kills", type=int, default=50, help="kills of checks and of recordings (default: 50)")
    parser.add_argument("--command-runs", type=int, default=500, help="simulated checks and recordings (default: 500)")
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
            print_simulated_runs(simulated, "simulated benchmarks")
            problems += [problem for run in simulated for problem in run.verdict.problems]
        for command in COMMANDS if options.command_kills else ():
            commands = kill_real_commands(command, options.command_kills, options.seed, Path(folder) / command)
            print_killed_commands(command, commands)
            problems += [f"{command}: {problem}" for killed_one in commands for problem in killed_one.problems]
        for command in COMMANDS if options.command_runs else ():
            simulated = simulate_commands(command, options.command_runs, options.seed, Path(folder) / command)
            print_simulated_runs(simulated, f"simulated {command}s")
            problems += [f"{command}: {problem}" for run in simulated for problem in run.verdict.problems]
    print(f"\n{len(problems)} problems")
    for problem in problems:
        print(f"  {problem}")
    return 1 if problems else 0


def kill_real_runs(kills: int, seed: int, folder: Path) -> list[KilledRun]:
    """Kill real processes at least `kills` times, with every way of delivery in turn."""
    dice = random.Random(seed)  # noqa: S311 - a reproducible choice, not a secret
    unbroken: dict[tuple[tuple[str, ...], bool], Run] = {}
    runs: list[KilledRun] = []
    while sum(len(run.killed_in) for run in runs) < kills:
        targets, is_scored = TARGET_SETS[len(runs) % len(TARGET_SETS)], len(runs) % SCORED_EVERY == 0
        if (targets, is_scored) not in unbroken:
            unbroken[targets, is_scored] = run_unbroken(folder / f"unbroken-{len(runs)}", targets, is_scored=is_scored)
        run_folder = folder / f"killed-{len(runs)}"
        expected = unbroken[targets, is_scored]
        runs.append(kill_repeatedly(run_folder, targets, expected, dice, is_scored=is_scored))
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


def kill_real_commands(command: CaseCommand, kills: int, seed: int, folder: Path) -> list[KilledCaseCommand]:
    """Kill real checks or recordings at least `kills` times."""
    dice = random.Random(seed)  # noqa: S311 - a reproducible choice, not a secret
    contract = load_stand_in_contract()
    plan = plan_command(command, contract, all_billable=command == "check")
    unbroken = run_unbroken_check(folder / "unbroken") if command == "check" else None
    plan_usd = price_plan(plan, list(contract.targets.values()), {}, provenance=Provenance.LIVE).price_usd
    commands: list[KilledCaseCommand] = []
    while sum(len(one.killed_in) for one in commands) < kills:
        run_folder = folder / str(len(commands))
        commands.append(kill_command_repeatedly(command, run_folder, dice, plan_usd, unbroken))
        shutil.rmtree(run_folder)
        print(f"{command}: {sum(len(one.killed_in) for one in commands)} kills", file=sys.stderr)
        for problem in commands[-1].problems:  # at once: an error may end the benchmark before its tables
            print(f"  {problem}", file=sys.stderr)
    return commands


def print_killed_commands(command: CaseCommand, commands: Sequence[KilledCaseCommand]) -> None:
    """Print the account of all checks or recordings, and the kills by phase."""
    phases = Counter(phase for one in commands for phase in one.killed_in)
    verdicts = [one.verdict for one in commands]
    print(
        f"\n{len(commands)} killed {command}s: {phases.total()} kills, {sum(v.charges for v in verdicts)} charged "
        f"requests, ${sum(v.charged_usd for v in verdicts):.2f} charged, "
        f"${sum(v.ledger_usd for v in verdicts):.2f} in the ledgers, budgets of "
        f"${sum(one.budget_usd for one in commands):.2f}, {sum(v.lost for v in verdicts)} listed losses, "
        f"{sum(len(one.problems) for one in commands)} problems"
    )
    print("kills by phase: " + ", ".join(f"{phase} {phases[phase]}" for phase in CASE_PHASES))


def simulate_commands(command: CaseCommand, count: int, seed: int, folder: Path) -> list[SimulatedRun]:
    """Simulate `count` checks or recordings, each with a seed of its own."""
    contract = load_stand_in_contract()
    plan = plan_command(command, contract, all_billable=True)
    runs = []
    unbroken = asyncio.run(simulate_unbroken_check(folder / "unbroken", contract, plan)) if command == "check" else None
    for number in range(count):
        run_folder = folder / f"simulated-{number}"
        runs.append(asyncio.run(simulate_cases(command, seed * count + number, run_folder, contract, plan, unbroken)))
        shutil.rmtree(run_folder, ignore_errors=True)
    return runs


def print_simulated_runs(runs: Sequence[SimulatedRun], title: str) -> None:
    """Print the totals of the simulated runs, and their kills by step."""
    verdicts = [run.verdict for run in runs]
    steps = Counter(step for run in runs for step in run.killed_in)
    print(
        f"\n{len(runs)} {title}: {sum(run.commands for run in runs)} commands, {steps.total()} kills, "
        f"{sum(v.charges for v in verdicts)} charged requests, ${sum(v.charged_usd for v in verdicts):.2f} charged, "
        f"${sum(v.ledger_usd for v in verdicts):.2f} in the ledgers, {sum(v.lost for v in verdicts)} listed losses, "
        f"{sum(v.bought_again for v in verdicts)} bought again on demand"
    )
    overspent = sum(run.verdict.charged_usd > run.budget_usd + ROUNDING_USD for run in runs)
    print(f"runs that overspent: {overspent}")
    if any(one.is_compared for one in verdicts):
        print(f"checks whose verdicts are compared with an unbroken one: {sum(one.is_compared for one in verdicts)}")
    print("kills by step: " + ", ".join(f"{step} {count}" for step, count in steps.most_common()))


if __name__ == "__main__":
    started = time.monotonic()
    status = main()
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(status)
