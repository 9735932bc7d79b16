"""Faults found by the number of paid calls: `PYTHONPATH=benchmarks python -m comparison`.

Both tools read the same document and test the same operations (a submit with five fields, and the status operation of
its jobs) over a real socket, with a valid key and without the emulator's control headers. voicegauge sends the plan of
a live check. Schemathesis runs with its default options, and with options tuned for few paid calls, among them those of
its benchmarking guide (https://schemathesis.readthedocs.io/en/stable/guides/benchmarking/). Each tool runs five times
with different seeds against each faulty provider. A fault counts as found within N paid calls if the tool reports
something about one of the requests up to the Nth paid one that it never reports about the correct provider. A run of
Schemathesis ends at its first failure, because only the first one counts; if that is a false alarm, the run is repeated
to its end.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from mutation.derivation import derive_mutants
from mutation.detection import run_correct_provider
from mutation.mutant import Mutant

from comparison import schemathesis
from comparison.curves import describe_effect, render_svg, render_table
from comparison.results import RunFile, SavedRun, ToolResult, summarize_tool
from comparison.tool_run import Tool, ToolRun
from comparison.tools import MAX_PAID_CALLS, ComparedTarget, SchemathesisTool, VoicegaugeTool
from voicegauge.conformance import build_emulator_settings
from voicegauge.contract import load_catalogue

TARGET = "pixazo/chatterbox"
"""It has five fields and asynchronous jobs."""
FEW_CALLS = 10
"""The paid calls of voicegauge that are compared with `MAX_PAID_CALLS` of Schemathesis."""


def sample_mutants(compared: ComparedTarget, per_class: int | None) -> list[Mutant]:
    """Sample mutants of the two operations evenly from each class of fault; all of them for `None`."""
    _, traffic = asyncio.run(run_correct_provider(compared.contract, compared.plan(), build_emulator_settings()))
    by_kind: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in derive_mutants(compared.contract, traffic.exchanges):
        if mutant.operation in compared.operations and mutant.target in (None, compared.target.name):
            by_kind[mutant.kind].append(mutant)
    chosen = []
    for found in by_kind.values():
        step = max(1, -(-len(found) // per_class)) if per_class else 1
        chosen += found[::step]
    return chosen


def run_all(tools: Sequence[Tool], mutants: Sequence[Mutant], seeds: Sequence[int], file: RunFile) -> None:
    """Run every tool with every seed against the correct and then every faulty provider, unless the run is saved."""
    for tool, seed in itertools.product(tools, seeds):
        if file.find(tool.name, seed, None) is None:
            file.add(SavedRun(tool=tool.name, seed=seed, fault=None, run=tool.run(None, seed, to_the_end=True)))
    false_alarms = {tool.name: summarize_tool(tool.name, file.runs).false_alarms for tool in tools}
    for seed in seeds:
        for mutant, tool in itertools.product(mutants, tools):
            fault = fault_name(mutant)
            if file.find(tool.name, seed, fault) is None:
                run = run_against(tool, mutant, seed, false_alarms[tool.name])
                file.add(SavedRun(tool=tool.name, seed=seed, fault=fault, run=run))
        print(f"seed {seed} is done", flush=True)


def run_against(tool: Tool, mutant: Mutant, seed: int, false_alarms: frozenset[str]) -> ToolRun:
    """Run a tool until its first report; to its end if that is a false alarm."""
    run = tool.run(mutant, seed, to_the_end=False)
    if run.first_reports and run.paid_until_found(false_alarms) is None:
        return tool.run(mutant, seed, to_the_end=True)
    return run


def fault_name(mutant: Mutant | None) -> str | None:
    """Return the kind and the id of a fault; `None` for the correct provider."""
    return f"{mutant.kind}: {mutant.id}" if mutant is not None else None


def print_results(results: Sequence[ToolResult], faults: int) -> None:
    """Print the table, the effect sizes, and the faults that a tool misses in most of its runs."""
    print(render_table(results, faults))
    ours, *others = results
    for other in others:
        for budget in other.found:
            print(describe_effect(ours, budget, other, budget))
        print(describe_effect(ours, FEW_CALLS, other, MAX_PAID_CALLS))
    for result in results:
        alarms = ", ".join(sorted(result.false_alarms)) or "none"
        print(f"{result.tool}: {result.median_paid:g} paid calls on the correct provider; false alarms: {alarms}")
        for fault, counts in result.paid_until_found.items():
            misses = sum(count is None or count > MAX_PAID_CALLS for count in counts)
            if misses > len(counts) // 2:
                print(f"  misses {fault}")


def main() -> None:
    """Compare the tools and print the results."""
    parser = argparse.ArgumentParser(prog="python -m comparison", description=__doc__.partition("\n")[0])
    parser.add_argument("target", nargs="?", default=TARGET)
    parser.add_argument("--per-class", type=int, default=2, help="faults of each class; 0 for all (default: 2)")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each tool against each provider (default: 5)")
    parser.add_argument(
        "--runs", type=Path, default=schemathesis.CACHE / "comparison.jsonl", help="file of finished runs, continued"
    )
    parser.add_argument("--svg", type=Path, help="write the curves to this file")
    options = parser.parse_args()
    provider, _, name = options.target.partition("/")
    target = load_catalogue().provider(provider).target(name)
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
        file = RunFile(options.runs)
        seeds = range(options.seeds)
        run_all(tools, mutants, seeds, file)
    faults = {fault_name(mutant) for mutant in mutants} | {None}
    runs = [saved for saved in file.runs if saved.fault in faults and saved.seed in seeds]
    results = [summarize_tool(tool.name, runs) for tool in tools]
    print_results(results, len(mutants))
    if options.svg:
        options.svg.write_text(render_svg(results, len(mutants)), encoding="utf-8")


if __name__ == "__main__":
    main()
