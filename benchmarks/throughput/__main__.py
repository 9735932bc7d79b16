"""Cases for each second of CPU: `PYTHONPATH=benchmarks python -m throughput`.

A case is one planned request: built from its plan, sent, answered, and judged by every
rule. One that delivers speech counts as one as well, though it submits, polls to the
job's end, asks twice more, fetches the audio, decodes and measures it. Time is CPU time,
and the fastest round counts: what else the machine does only makes a round slower. In
process, the emulator's own work is counted first; then the same cases get the same answers
out of memory, so that what is left is voicegauge's. "Decoding" is the share of libsndfile
and ffmpeg in that. Over the socket, it is the client's CPU time alone, for both tools.
Speech is synthesized before anything is timed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import tempfile
import time
import unittest.mock
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from comparison import schemathesis
from comparison.__main__ import TARGET, Tools
from comparison.service import serving

from throughput.keeping import Keeper
from voicegauge.checks import RULES
from voicegauge.client import Client
from voicegauge.conformance import Collector, ConformanceCase, emulator_settings, plan_cases
from voicegauge.conformance.emulator_setup import EMULATED_KEY
from voicegauge.conformance.fuzzing.random_requests import fuzz_target
from voicegauge.conformance.fuzzing.search import FuzzEffort
from voicegauge.conformance.running.case_runner import CaseRunner, CheckedService
from voicegauge.contract import Contract, Target, load_catalogue
from voicegauge.emulator import create_app
from voicegauge.model import UploadedFile
from voicegauge.speech import audio
from voicegauge.transport import Transport, VirtualClock

KINDS = ("refused, JSON", "accepted, JSON", "a form", "a form with a file", "speech delivered")
MIN_S = 0.5
"""CPU time over which the fastest round of a provider's cases is looked for, at least."""
SAMPLE = 40
"""Cases of each kind and provider, evenly from its plan; uploads of tens of megabytes are left out."""
HYPOTHESIS_CASES = 1000


def kind(case: ConformanceCase) -> str:
    """Which of `KINDS` a case is."""
    if case.wire is None:
        return KINDS[4]
    if case.wire.media_type in (None, "application/json"):
        return KINDS[case.expected.verdict != "rejected"]
    files = isinstance(case.wire.body, dict) and any(isinstance(v, UploadedFile) for v in case.wire.body.values())
    return KINDS[2 + files]


class Cost(NamedTuple):
    """What a case takes, in CPU seconds and requests."""

    whole_s: float
    own_s: float
    """Without the emulator."""
    decoding_s: float
    """The part of `own_s` that is decoding audio."""
    requests: float


class Row(NamedTuple):
    """One kind of case of one provider."""

    kind: str
    cases: int
    """In the whole plan."""
    cost: Cost


class Round(NamedTuple):
    """CPU seconds of one round of work."""

    whole_s: float
    decoding_s: float


async def fastest(work: Callable[[], Awaitable[None]]) -> Round:
    """The fastest of as many rounds of `work` as `MIN_S` holds; one goes before them to warm what is kept."""
    await work()
    rounds: list[Round] = []
    while sum(one.whole_s for one in rounds) < MIN_S:
        with timed_decoding() as decoding:
            started = time.process_time()
            await work()
            rounds.append(Round(time.process_time() - started, sum(decoding)))
    return min(rounds)


@contextlib.contextmanager
def timed_decoding() -> Iterator[list[float]]:
    """CPU seconds of each time that audio is decoded, while the context lasts."""
    seconds: list[float] = []
    decode = audio.decode

    def timed(*args: Any, **options: Any) -> Any:
        started = time.process_time()
        try:
            return decode(*args, **options)
        finally:
            seconds.append(time.process_time() - started)

    with unittest.mock.patch.object(audio, "decode", timed):
        yield seconds


async def cost_of(contract: Contract, count: int, work: Callable[[Transport], Awaitable[None]]) -> Cost:
    """What each of the `count` cases of `work` costs, with the emulator and with its answers kept."""
    async with Transport(app=create_app([contract], emulator_settings())) as transport:
        whole = await fastest(lambda: work(transport))
    keeper = Keeper(create_app([contract], emulator_settings()))
    async with Transport(app=keeper) as transport:

        async def again() -> None:
            await work(transport)
            keeper.end_round()

        own = await fastest(again)
    return Cost(whole.whole_s / count, own.whole_s / count, own.decoding_s / count, keeper.requests / count)


def runner_for(contract: Contract, transport: Transport, base: str = "http://emulator.invalid") -> CaseRunner:
    """Sends to `transport` and judges by every rule; what is found is forgotten."""
    base_urls = {"": f"{base}/{contract.id}"}
    client = Client(contract, transport, base_urls=base_urls, key=EMULATED_KEY, clock=VirtualClock())
    return CaseRunner(CheckedService(contract, client), RULES, Collector((), 0))


async def planned(contract: Contract) -> AsyncIterator[Row]:
    """Measure the planned cases of a provider by kind."""
    by_kind: dict[str, list[ConformanceCase]] = defaultdict(list)
    for case in plan_cases(list(contract.targets.values()), emulated=True, every=True, large_uploads=False).cases:
        by_kind[kind(case)].append(case)
    for name, cases in by_kind.items():
        sample = cases[:: -(-len(cases) // SAMPLE)]

        # Jitter decides how often a job is asked for: each round begins with the same dice.
        async def work(transport: Transport, sample: Sequence[ConformanceCase] = sample) -> None:
            await runner_for(contract, transport).run(sample)

        yield Row(name, len(cases), await cost_of(contract, len(sample), work))


async def drawn(target: Target) -> Row:
    """Measure requests that Hypothesis draws: half of them valid, half broken in one place."""

    async def work(transport: Transport) -> None:
        runner = runner_for(target.contract, transport)
        await fuzz_target(target, runner, Collector((), 0), FuzzEffort(HYPOTHESIS_CASES // 2, seed=0))

    return Row(f"Hypothesis, {target.id}", HYPOTHESIS_CASES, await cost_of(target.contract, HYPOTHESIS_CASES, work))


def mean(rows: Sequence[Row]) -> Cost:
    """What a case costs on average, each row counted by its cases."""
    cases = sum(row.cases for row in rows)
    return Cost(*(sum(row.cost[i] * row.cases for row in rows) / cases for i in range(len(Cost._fields))))


def show(name: str, rows: Sequence[Row]) -> None:
    """Print one line of the table."""
    if rows:
        cost = mean(rows)
        of_case = f"{sum(row.cases for row in rows):>7,}{cost.requests:>15.1f}"
        own = f"{1 / cost.own_s:>14,.0f}{cost.decoding_s / cost.own_s:>11.0%}"
        print(f"  {name:30}{of_case}{1 / cost.whole_s:>16,.0f}{own}")


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


async def _sent(contract: Contract, root: str, cases: Sequence[ConformanceCase]) -> None:
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
    rows = [row for contract in contracts async for row in planned(contract)]
    print("in process, cases for each second of CPU")
    print(f"  {'':30}{'cases':>7}{'requests each':>15}{'with emulator':>16}{'without it':>14}{'decoding':>11}")
    for name in KINDS:
        show(name, [row for row in rows if row.kind == name])
    show("the whole plan", rows)
    for target in fuzzed:
        row = await drawn(target)
        show(row.kind, [row])


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
