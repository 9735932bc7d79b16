"""Faults found by the number of paid calls: `PYTHONPATH=benchmarks python -m comparison`.

Both tools read the same document and test the same operations (a submit with five fields, and the status operation of
its jobs) over a real socket, with a valid key and without the emulator's control headers. voicegauge sends the plan of
a live check. Schemathesis runs with its default options, and with options tuned for few paid calls, among them those of
its benchmarking guide (https://schemathesis.readthedocs.io/en/stable/guides/benchmarking/). Each tool runs five times
with different seeds against each faulty provider. A fault counts as found within N paid calls if the tool reports
something about one of the requests up to the Nth paid one that it never reports about the correct provider. A run is
stopped when a fault is found, or after 300 paid calls. Schemathesis does not run against providers whose only fault is
in audio files, since it does not download them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from mutation.derivation import derive_mutants
from mutation.detection import run_correct_provider
from mutation.mutant import Mutant

from comparison import schemathesis
from comparison.curves import describe_effect, render_faults, render_svg, render_table
from comparison.results import BUDGETS, RunFile, SavedRun, ToolResult, find_false_alarms, summarize_tool
from comparison.tool_run import Tool
from comparison.tools import MAX_PAID_CALLS, ComparedTarget, SchemathesisTool, VoicegaugeTool
from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.contract.loading import load_catalogue

TARGET = "pixazo/chatterbox"
"""The compared target, which has five fields and asynchronous jobs."""
FEW_CALLS = 10
"""The paid calls of voicegauge that are compared with `MAX_PAID_CALLS` of Schemathesis."""


def sample_mutants(compared: ComparedTarget, per_class: int | None) -> list[Mutant]:
    """Sample mutants of the two operations at random: `per_class` of each class of fault, or all of them for `None`.

    One of each class precedes the second of any class, and a larger sample contains each smaller one.
    """
    _, traffic = asyncio.run(run_correct_provider(compared.contract, compared.plan(), build_emulator_settings()))
    by_kind: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in derive_mutants(compared.contract, traffic.exchanges):
        if mutant.operation in compared.operations and mutant.target in (None, compared.target.name):
            by_kind[mutant.kind].append(mutant)
    for kind, mutants in by_kind.items():
        random.Random(kind).shuffle(mutants)  # noqa: S311 - sampling, not cryptography
    rounds = itertools.zip_longest(*(mutants[:per_class] for mutants in by_kind.values()))
    return [mutant for one_of_each in rounds for mutant in one_of_each if mutant is not None]


def run_all(tools: Sequence[Tool], mutants: Sequence[Mutant], seeds: Sequence[int], file: RunFile) -> None:
    """Run every tool with every seed against the correct and then every faulty provider, unless the run is saved."""
    for tool, seed in itertools.product(tools, seeds):
        if not file.contains(tool.name, seed, None):
            file.add(SavedRun(tool=tool.name, seed=seed, fault=None, run=tool.run_to_the_end(seed)))
    false_alarms = {tool.name: find_false_alarms(tool.name, file.runs) for tool in tools}
    for number, mutant in enumerate(mutants, 1):
        fault = name_fault(mutant)
        for tool, seed in itertools.product(tools, seeds):
            if tool.can_observe(mutant) and not file.contains(tool.name, seed, fault):
                run = tool.run_until_found(mutant, seed, false_alarms[tool.name])
                file.add(SavedRun(tool=tool.name, seed=seed, fault=fault, run=run))
        print(f"{number} of {len(mutants)}: {fault}", flush=True)


def is_finished(mutant: Mutant, tools: Sequence[Tool], seeds: Sequence[int], file: RunFile) -> bool:
    """Whether all runs against a faulty provider are saved."""
    return all(
        file.contains(tool.name, seed, name_fault(mutant)) or not tool.can_observe(mutant)
        for tool, seed in itertools.product(tools, seeds)
    )


def name_fault(mutant: Mutant) -> str:
    """Return the class and the id of a fault."""
    return f"{mutant.kind}: {mutant.id}"


def print_results(results: Sequence[ToolResult]) -> None:
    """Print the table and the effect sizes."""
    print(render_table(results))
    ours, *others = results
    for other in others:
        for budget in BUDGETS:
            print(describe_effect(ours, budget, other, budget))
        print(describe_effect(ours, FEW_CALLS, other, MAX_PAID_CALLS))


def print_details(results: Sequence[ToolResult]) -> None:
    """Print when each tool finds each fault, and what it reports about the correct provider."""
    print(render_faults(results))
    for result in results:
        alarms = ", ".join(sorted(result.false_alarms)) or "none"
        print(f"{result.tool}: {result.median_paid:g} paid calls on the correct provider; false alarms: {alarms}")


def main() -> None:
    """Compare the tools and print the results."""
    parser = argparse.ArgumentParser(prog="python -m comparison", description=__doc__.partition("\n")[0])
    parser.add_argument("target", nargs="?", default=TARGET)
    parser.add_argument("--per-class", type=int, default=1, help="faults of each class; 0 for all (default: 1)")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each tool against each provider (default: 5)")
    parser.add_argument(
        "--runs", type=Path, default=schemathesis.CACHE / "comparison.jsonl", help="file of finished runs, continued"
    )
    parser.add_argument("--finished", action="store_true", help="print the results of the finished runs only")
    parser.add_argument("--svg", type=Path, help="write the curves to this file")
    options = parser.parse_args()
    provider, _, name = options.target.partition("/")
    target = load_catalogue().find_provider(provider).find_target_by_name(name)
    file, seeds = RunFile(options.runs), range(options.seeds)
    with tempfile.TemporaryDirectory() as folder:
        compared = ComparedTarget(target, Path(folder))
        tools: list[Tool] = [
            VoicegaugeTool(compared),
            SchemathesisTool(compared, "Schemathesis, defaults", schemathesis.DEFAULTS),
            SchemathesisTool(compared, "Schemathesis, tuned", schemathesis.TUNED),
        ]
        mutants = sample_mutants(compared, options.per_class or None)
        print(f"{len(mutants)} faulty providers; {', '.join(compared.operations)} of {provider}")
        print(f"Schemathesis {schemathesis.VERSION}")
        for tool in tools:
            print(f"{tool.name}: {tool.command_line}")
        if options.finished:
            mutants = [mutant for mutant in mutants if is_finished(mutant, tools, seeds, file)]
        else:
            run_all(tools, mutants, seeds, file)
    observable = [mutant for mutant in mutants if all(tool.can_observe(mutant) for tool in tools)]
    for description, chosen in (("all", mutants), ("without those that only audio files show", observable)):
        faults = [name_fault(mutant) for mutant in chosen]
        results = [summarize_tool(tool.name, file.runs, faults, seeds) for tool in tools]
        print(f"\n{len(faults)} faults: {description}; median (quartiles) of {len(seeds)} seeds\n")
        print_results(results)
        if chosen is mutants:
            whole = results
    print_details(whole)
    if options.svg:
        options.svg.write_text(render_svg(whole, len(mutants)), encoding="utf-8")


if __name__ == "__main__":
    main()
