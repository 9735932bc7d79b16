"""Faults found and billable requests: `PYTHONPATH=benchmarks python -m comparison`.

Both tools read the same document and test the same operations (a submit with five fields, and the status operation
of its jobs) over a real socket, with a valid key and without the emulator's control headers. Schemathesis runs with
its default settings, voicegauge with the plan of a check that may send forty billable requests. A fault counts as
found if a tool reports something that it does not report for the correct provider.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mutation.derivation import derive_mutants
from mutation.detection import run_correct_provider
from mutation.mutant import Mutant

from comparison import schemathesis
from comparison.service import RequestCounts, serve_provider
from voicegauge.checks import RULES
from voicegauge.client import Client, build_credentials
from voicegauge.conformance import Collector, ConformanceCase, build_emulator_settings, plan_cases
from voicegauge.conformance.emulator_setup import EMULATED_KEY
from voicegauge.conformance.reporting.spending import BillableLimit
from voicegauge.conformance.running import CaseRunner, CheckedService
from voicegauge.contract import Contract, Target, load_catalogue
from voicegauge.transport import Transport, VirtualClock

MAX_CALLS = 40
TARGET = "pixazo/chatterbox"
"""It has five fields and asynchronous jobs."""
SEED = 0


class ToolOutcome(NamedTuple):
    """The result of one tool for one provider."""

    reported: frozenset[object]
    """Rules or failures."""
    counts: RequestCounts


class Tools:
    """Both tools, set up for one target."""

    def __init__(self, target: Target, folder: Path) -> None:
        """Write the document for Schemathesis to `folder`."""
        self.target, self.contract, self.operation = target, target.contract, target.operation
        self.operations = [self.operation.id, *([target.job_operation.id] if target.job_operation else [])]
        self._document = folder / "openapi.json"
        self._document.write_text(json.dumps(self.contract.document.data), encoding="utf-8")
        self.cases = self._plan()

    def _plan(self) -> list[ConformanceCase]:
        plan = plan_cases([self.target], emulated=False, all_billable=True, max_calls=MAX_CALLS)
        return [case for case in plan.cases if case.operation in self.operations]

    def voicegauge(self, mutant: Mutant | None) -> ToolOutcome:
        """Run voicegauge against `mutant`, or against the correct provider for `None`."""
        with serve_provider(self.contract, self.operation, mutant) as served:
            collector = Collector((), SEED)
            asyncio.run(self._check(served.url, collector))
            return ToolOutcome(frozenset(f.rule for f in collector.report().findings), served.counts(self.operation))

    async def _check(self, url: str, collector: Collector) -> None:
        async with Transport() as transport:
            client = Client(
                self.contract, transport, base_urls={"": url}, key=EMULATED_KEY, clock=VirtualClock(), seed=SEED
            )
            await CaseRunner(CheckedService(self.contract, client), RULES, collector, BillableLimit(MAX_CALLS)).run(
                self.cases
            )

    def schemathesis(self, mutant: Mutant | None) -> ToolOutcome:
        """Run Schemathesis against `mutant`, or against the correct provider for `None`."""
        with serve_provider(self.contract, self.operation, mutant) as served:
            return ToolOutcome(frozenset(self.run_schemathesis(served.url).failures), served.counts(self.operation))

    def run_schemathesis(self, url: str) -> schemathesis.SchemathesisRun:
        """Run Schemathesis against the provider at `url`."""
        [credential] = build_credentials(self.operation, EMULATED_KEY)
        headers = {credential.name: credential.value}
        return schemathesis.run(self._document, url, headers, self.operations, seed=SEED)


def sample_mutants(tools: Tools, per_class: int | None) -> list[Mutant]:
    """Sample mutants of the two operations evenly from each class of fault; all of them for `None`."""
    _, traffic = asyncio.run(run_correct_provider(tools.contract, tools.cases, build_emulator_settings()))
    by_kind: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in derive_mutants(tools.contract, traffic.exchanges):
        if mutant.operation in tools.operations and mutant.target in (None, tools.target.name):
            by_kind[mutant.kind].append(mutant)
    chosen = []
    for found in by_kind.values():
        step = max(1, -(-len(found) // per_class)) if per_class else 1
        chosen += found[::step]
    return chosen


class MutantComparison(NamedTuple):
    """The results of both tools for one mutant."""

    mutant: Mutant
    found: dict[str, bool]
    """Whether each tool found the fault."""
    counts: dict[str, RequestCounts]


def compare(tools: Tools, chosen: Sequence[Mutant]) -> list[MutantComparison]:
    """Run both tools against each mutant."""
    by_name = {"voicegauge": tools.voicegauge, "Schemathesis": tools.schemathesis}
    clean = {name: tool(None) for name, tool in by_name.items()}
    for name, outcome in clean.items():
        print(
            f"{name} on the correct provider: {len(outcome.reported)} false alarms, "
            f"{outcome.counts.sent} requests, {outcome.counts.accepted} of them billable"
        )
    rows = []
    for mutant in chosen:
        outcomes = {name: tool(mutant) for name, tool in by_name.items()}
        found = {name: bool(outcome.reported - clean[name].reported) for name, outcome in outcomes.items()}
        rows.append(MutantComparison(mutant, found, {name: outcome.counts for name, outcome in outcomes.items()}))
    return rows


def print_comparison(rows: Sequence[MutantComparison]) -> None:
    """Print the faults found by class, the requests, and the faults that only one tool or neither found."""
    by_kind: dict[str, list[MutantComparison]] = defaultdict(list)
    for row in rows:
        by_kind[row.mutant.kind].append(row)
    names = list(rows[0].found)
    print(f"{'fault':28}" + "".join(f"{name:>16}" for name in names))
    for kind, same in [*sorted(by_kind.items()), ("all", rows)]:
        print(f"{kind:28}" + "".join(f"{sum(row.found[name] for row in same):>10} /{len(same):>4}" for name in names))
    billable = {name: sum(row.counts[name].accepted for row in rows) / len(rows) for name in names}
    for name in names:
        sent = sum(row.counts[name].sent for row in rows) / len(rows)
        most = max(row.counts[name].accepted for row in rows)
        print(f"{name}: {sent:.0f} requests per provider, {billable[name]:.1f} of them billable (at most {most})")
    print(f"billable requests, Schemathesis to voicegauge: {billable['Schemathesis'] / billable['voicegauge']:.1f} : 1")
    for row in rows:
        if len(set(row.found.values())) > 1:
            only = next(name for name, found in row.found.items() if found)
            print(f"only {only}: {row.mutant.kind}: {row.mutant.id}")
        elif not any(row.found.values()):
            print(f"neither: {row.mutant.kind}: {row.mutant.id}")


def main() -> None:
    """Compare the tools and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="?", default=TARGET)
    parser.add_argument("--per-class", type=int, default=1, help="mutants per class of fault; 0 for all")
    options = parser.parse_args()
    provider, _, name = options.target.partition("/")
    contracts: dict[str, Contract] = {contract.id: contract for contract in load_catalogue()}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(contracts[provider].target(name), Path(folder))
        chosen = sample_mutants(tools, options.per_class or None)
        print(f"{len(chosen)} faulty providers; {', '.join(tools.operations)} of {provider}")
        print_comparison(compare(tools, chosen))
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
