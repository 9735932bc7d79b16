"""Faulty providers found, and calls paid: `PYTHONPATH=benchmarks python -m comparison`.

Both tools know the same document, call the same operations (one that takes five fields,
and the one that tells of its jobs) over a real socket, with the right key, and without
the emulator's control headers. Schemathesis runs with its defaults; voicegauge runs the
plan of a check that may spend forty calls. A mutant is found where a tool reports what
it does not report of the correct provider.
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

from mutation.generating import mutants
from mutation.hunting import clean_run
from mutation.mutant import Mutant

from comparison import schemathesis
from comparison.service import Counts, serving
from voicegauge.checks import RULES
from voicegauge.client import Client, credentials
from voicegauge.conformance import Collector, ConformanceCase, emulator_settings, plan_cases
from voicegauge.conformance.emulator_setup import EMULATED_KEY
from voicegauge.conformance.reporting.spending import BillableLimit
from voicegauge.conformance.running.case_runner import CaseRunner, CheckedService
from voicegauge.contract import Contract, Target, load_catalogue
from voicegauge.transport import Transport, VirtualClock

MAX_CALLS = 40
TARGET = "pixazo/chatterbox"
"""Five fields, and jobs."""
SEED = 0


class Outcome(NamedTuple):
    """What one tool said of one provider."""

    said: frozenset[object]
    counts: Counts


class Tools:
    """Both tools, set up for one target."""

    def __init__(self, target: Target, folder: Path) -> None:
        """Files for Schemathesis are written to `folder`."""
        self.target, self.contract, self.operation = target, target.contract, target.operation
        self.operations = [self.operation.id, *([target.job_operation.id] if target.job_operation else [])]
        self._document = folder / "openapi.json"
        self._document.write_text(json.dumps(self.contract.document.data), encoding="utf-8")
        self.cases = self._plan()

    def _plan(self) -> list[ConformanceCase]:
        plan = plan_cases([self.target], emulated=False, every=True, max_calls=MAX_CALLS)
        return [case for case in plan.cases if case.operation in self.operations]

    def voicegauge(self, mutant: Mutant | None) -> Outcome:
        """What voicegauge says of `mutant`; `None` stands for the correct provider."""
        with serving(self.contract, self.operation, mutant) as served:
            collector = Collector((), SEED)
            asyncio.run(self._check(served.url, collector))
            return Outcome(frozenset(f.rule for f in collector.report().findings), served.counts(self.operation))

    async def _check(self, url: str, collector: Collector) -> None:
        async with Transport() as transport:
            client = Client(
                self.contract, transport, base_urls={"": url}, key=EMULATED_KEY, clock=VirtualClock(), seed=SEED
            )
            await CaseRunner(CheckedService(self.contract, client), RULES, collector, BillableLimit(MAX_CALLS)).run(
                self.cases
            )

    def schemathesis(self, mutant: Mutant | None) -> Outcome:
        """What Schemathesis says of `mutant`; `None` stands for the correct provider."""
        with serving(self.contract, self.operation, mutant) as served:
            return Outcome(frozenset(self.run_schemathesis(served.url).failures), served.counts(self.operation))

    def run_schemathesis(self, url: str) -> schemathesis.Run:
        """One run of it at the provider's `url`."""
        [credential] = credentials(self.operation, EMULATED_KEY)
        headers = {credential.name: credential.value}
        return schemathesis.run(self._document, url, headers, self.operations, seed=SEED)


def sample(tools: Tools, per_class: int | None) -> list[Mutant]:
    """Mutants of the two operations, evenly from each class of fault; all of them for `None`."""
    _, traffic = asyncio.run(clean_run(tools.contract, tools.cases, emulator_settings()))
    by_kind: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants(tools.contract, traffic.exchanges):
        if mutant.operation in tools.operations and mutant.target in (None, tools.target.name):
            by_kind[mutant.kind].append(mutant)
    chosen = []
    for found in by_kind.values():
        step = max(1, -(-len(found) // per_class)) if per_class else 1
        chosen += found[::step]
    return chosen


class Row(NamedTuple):
    """One mutant, and what each tool made of it."""

    mutant: Mutant
    found: dict[str, bool]
    counts: dict[str, Counts]


def compare(tools: Tools, chosen: Sequence[Mutant]) -> list[Row]:
    """Show each mutant to both tools."""
    by_name = {"voicegauge": tools.voicegauge, "Schemathesis": tools.schemathesis}
    clean = {name: tool(None) for name, tool in by_name.items()}
    for name, outcome in clean.items():
        print(
            f"{name} on the correct provider: {len(outcome.said)} false alarms, "
            f"{outcome.counts.sent} calls, {outcome.counts.accepted} of them paid"
        )
    rows = []
    for mutant in chosen:
        seen = {name: tool(mutant) for name, tool in by_name.items()}
        found = {name: bool(outcome.said - clean[name].said) for name, outcome in seen.items()}
        rows.append(Row(mutant, found, {name: outcome.counts for name, outcome in seen.items()}))
    return rows


def show(rows: Sequence[Row]) -> None:
    """Print found and total by class of fault, the calls, and what only one tool found."""
    by_kind: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_kind[row.mutant.kind].append(row)
    names = list(rows[0].found)
    print(f"{'fault':28}" + "".join(f"{name:>16}" for name in names))
    for kind, same in [*sorted(by_kind.items()), ("all", rows)]:
        print(f"{kind:28}" + "".join(f"{sum(row.found[name] for row in same):>10} /{len(same):>4}" for name in names))
    paid = {name: sum(row.counts[name].accepted for row in rows) / len(rows) for name in names}
    for name in names:
        sent = sum(row.counts[name].sent for row in rows) / len(rows)
        most = max(row.counts[name].accepted for row in rows)
        print(f"{name}: {sent:.0f} calls a provider, {paid[name]:.1f} of them paid (at most {most})")
    print(f"paid calls, Schemathesis to voicegauge: {paid['Schemathesis'] / paid['voicegauge']:.1f} : 1")
    for row in rows:
        if len(set(row.found.values())) > 1:
            only = next(name for name, found in row.found.items() if found)
            print(f"only {only}: {row.mutant.kind}: {row.mutant.id}")
        elif not any(row.found.values()):
            print(f"neither: {row.mutant.kind}: {row.mutant.id}")


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="?", default=TARGET)
    parser.add_argument("--per-class", type=int, default=1, help="mutants of each class of fault; 0 takes all")
    options = parser.parse_args()
    provider, _, name = options.target.partition("/")
    contracts: dict[str, Contract] = {contract.id: contract for contract in load_catalogue()}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(contracts[provider].target(name), Path(folder))
        chosen = sample(tools, options.per_class or None)
        print(f"{len(chosen)} faulty providers; {', '.join(tools.operations)} of {provider}")
        show(compare(tools, chosen))
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
