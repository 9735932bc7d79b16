"""Cases for each second of CPU: `PYTHONPATH=benchmarks python -m throughput`.

A case is one planned request: built from its plan, sent, answered, and judged by every
rule. One that delivers speech counts as one as well, though it submits, polls to the
job's end, asks twice more, fetches the audio, decodes and measures it. Time is CPU time,
so that what else the machine does changes nothing. In process, the emulator's own work is
counted; "answers kept" leaves it out: the same cases get the same answers out of memory.
Over the socket, it is the client's CPU time alone, for both tools. Speech is synthesized
before anything is timed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from comparison import schemathesis
from comparison.__main__ import TARGET, Tools
from comparison.service import serving

from throughput.keeping import Keeper
from voicegauge.checks import RULES
from voicegauge.client import Client
from voicegauge.conformance import Case, Collector, emulator_settings, plan_cases
from voicegauge.conformance.emulated import KEY
from voicegauge.conformance.fuzzing import fuzz_target
from voicegauge.conformance.running import Runner, Service
from voicegauge.conformance.searching import Effort
from voicegauge.contract import Contract, Target, load_catalogue
from voicegauge.emulator import create_app
from voicegauge.transport import Transport, VirtualClock

KINDS = ("refused, JSON", "accepted, JSON", "with a form or a file", "speech delivered")
MIN_S = 0.5
"""CPU time that each provider's share in a figure rests on, at least."""
SAMPLE = 40
"""Cases of each kind and provider, evenly from its plan; uploads of tens of megabytes are left out."""
HYPOTHESIS_CASES = 1000


def kind(case: Case) -> str:
    """Which of `KINDS` a case is."""
    if case.wire is None:
        return KINDS[3]
    if case.wire.media_type not in (None, "application/json"):
        return KINDS[2]
    return KINDS[case.expected.verdict != "refused"]


class Meter:
    """Sums cases and CPU seconds."""

    def __init__(self) -> None:
        """Nothing was measured yet."""
        self._cases: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()

    async def add(self, name: str, count: int, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`, which is `count` cases, until enough time has passed."""
        await work()  # warm: validators are made, speech is synthesized
        started = time.process_time()
        while time.process_time() - started < MIN_S:
            await work()
            self._cases[name] += count
        self._seconds[name] += time.process_time() - started

    def show(self, title: str) -> None:
        """Print cases a second."""
        print(title)
        for name, seconds in self._seconds.items():
            print(f"  {name:28}{self._cases[name] / seconds:>9,.0f} cases/s")


def runner_for(contract: Contract, transport: Transport, base: str = "http://emulator.invalid") -> Runner:
    """Sends to `transport` and judges by every rule; what is found is forgotten."""
    base_urls = {"": f"{base}/{contract.id}"}
    client = Client(contract, transport, base_urls=base_urls, key=KEY, clock=VirtualClock())
    return Runner(Service(contract, client), RULES, Collector((), 0))


async def planned(contract: Contract, meter: Meter, wrap: Callable[[Any], Any]) -> None:
    """Measure the planned cases of a provider by kind."""
    by_kind: dict[str, list[Case]] = defaultdict(list)
    for case in plan_cases(list(contract.targets.values()), emulated=True, every=True, large_uploads=False).cases:
        by_kind[kind(case)].append(case)
    for name in KINDS:
        cases = by_kind[name][:: -(-len(by_kind[name]) // SAMPLE) or 1]
        if cases:
            await _measured(meter, name, contract, wrap(create_app([contract], emulator_settings())), cases)


async def _measured(meter: Meter, name: str, contract: Contract, app: Any, cases: Sequence[Case]) -> None:
    async with Transport(app=app) as transport:
        # Jitter decides how often a job is asked for: each round begins with the same dice.
        async def work() -> None:
            await runner_for(contract, transport).run(cases)
            if isinstance(app, Keeper):
                app.learning = False

        await meter.add(name, len(cases), work)


async def drawn(target: Target, meter: Meter) -> None:
    """Measure requests that Hypothesis draws: half of them valid, half broken in one place."""
    async with Transport(app=create_app([target.contract], emulator_settings())) as transport:
        runner = runner_for(target.contract, transport)

        async def work() -> None:
            await fuzz_target(target, runner, Collector((), 0), Effort(HYPOTHESIS_CASES // 2, seed=0))

        await meter.add(target.id, HYPOTHESIS_CASES, work)


def over_a_socket(target: Target) -> Mapping[str, float]:
    """Cases for each second of the client's CPU time, on one server."""
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(target, Path(folder))
        with serving(target.contract, target.operation) as served:
            started = time.thread_time()  # the server is another thread
            asyncio.run(_sent(target.contract, served.root, tools.cases))
            own = len(tools.cases) / (time.thread_time() - started)
            idle = _start_s()
            run = tools.run_schemathesis(served.url)
    return {"voicegauge": own, "Schemathesis": run.generated / (run.cpu_s - idle)}


async def _sent(contract: Contract, root: str, cases: Sequence[Case]) -> None:
    async with Transport() as transport:
        await runner_for(contract, transport, root).run(cases)


def _start_s() -> float:
    """CPU time that Schemathesis takes to start, which is not counted against it."""
    before = os.times()
    subprocess.run([schemathesis.command(), "--version"], check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


async def in_process(contracts: Iterable[Contract], fuzzed: Sequence[Target]) -> None:
    """Measure and print what needs no socket."""
    whole, alone, random = Meter(), Meter(), Meter()
    for contract in contracts:
        await planned(contract, whole, lambda app: app)
        await planned(contract, alone, Keeper)
    for target in fuzzed:
        await drawn(target, random)
    whole.show("planned, in process, the emulator's work included")
    alone.show("planned, in process, answers kept")
    random.show("drawn by Hypothesis, in process, the emulator's work included")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("providers", nargs="*", help="ids; all of them if left out")
    parser.add_argument("--alone", action="store_true", help="without Schemathesis, which needs a package index")
    options = parser.parse_args()
    catalogue = load_catalogue()
    provider, _, name = TARGET.partition("/")
    target = catalogue.provider(provider).target(name)
    contracts = [contract for contract in catalogue if not options.providers or contract.id in options.providers]
    asyncio.run(in_process(contracts, [target]))
    if options.alone:
        return
    print("over a socket, the client's CPU time")
    rates = over_a_socket(target)
    for tool, rate in rates.items():
        print(f"  {tool:28}{rate:>9,.0f} cases/s")
    print(f"  voicegauge to Schemathesis: {rates['voicegauge'] / rates['Schemathesis']:.1f} : 1")


if __name__ == "__main__":
    main()
