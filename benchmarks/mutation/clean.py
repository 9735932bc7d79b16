"""Whether a correct provider is ever blamed: `PYTHONPATH=benchmarks python -m mutation.clean`.

Every run differs in its seed (ids, jitter), its latencies, the cases and their order, and
how many of them are under way at once. Time is virtual: whoever waits moves it on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from mutation.hunting import JUDGED_BY
from voicegauge.client import Client
from voicegauge.conformance import Collector, ConformanceCase, plan_cases
from voicegauge.conformance.emulator_setup import EMULATED_CREDITS, EMULATED_KEY
from voicegauge.conformance.fuzzing.stateful_jobs import MAX_JOBS, StatefulJobs
from voicegauge.conformance.running import CaseRunner, CheckedService
from voicegauge.contract import Contract, Target, load_catalogue
from voicegauge.emulator import EmulatorSettings, create_app
from voicegauge.model import Exchange, Finding, Request
from voicegauge.transport import Transport, VirtualClock

HOST = "http://emulator.invalid"
CASES = 30
"""Of one run, drawn from the whole plan."""
DELIVERIES = 6
STEPS = 10
"""With the jobs of one target, beside the cases."""
SLOWEST = 4.0
"""Times the made-up latencies of the contracts."""


class CommonClock(VirtualClock):
    """A client's clock that the emulator's goes by."""

    def __init__(self, transport: Transport, provider: str) -> None:
        """Waiting moves on the emulator behind `transport`."""
        super().__init__()
        self._transport, self._provider = transport, provider

    async def sleep(self, seconds: float) -> None:
        """Wait, and let as much time pass in the emulator."""
        before = self.monotonic()
        await super().sleep(seconds)
        passed = self.monotonic() - before
        if passed > 0:
            body = json.dumps({"advance_s": passed}).encode()
            url, headers = f"{HOST}/_emulator/clock", (("Content-Type", "application/json"),)
            request = Request(method="POST", url=url, headers=headers, body=body)
            await self._transport.send(request, provider=self._provider, operation="clock")


@dataclass
class Coverage:
    """What was sent in some runs."""

    exchanges: Counter[str] = field(default_factory=Counter)
    """By operation, as in "<provider>/<operation>"; those of cases that came to a verdict."""
    cases: set[str] = field(default_factory=set)
    """Ids of the cases that came to a verdict."""

    def keep(self, case: ConformanceCase, exchanges: Sequence[Exchange]) -> None:
        """Note what came of `case`."""
        self.cases.add(case.id)
        self.exchanges.update(f"{exchange.provider}/{exchange.operation}" for exchange in exchanges)


async def clean_check(
    contract: Contract, cases: Sequence[ConformanceCase], seed: int, coverage: Coverage
) -> tuple[Finding, ...]:
    """What one run finds of a correct provider; what it sends is noted in `coverage`."""
    dice = random.Random(seed)  # noqa: S311 - a draw, no secret
    settings = EmulatorSettings(
        seed=seed, clock="virtual", time_scale=dice.uniform(0, SLOWEST), rate_limits=False, credits=EMULATED_CREDITS
    )
    chosen = _chosen(cases, dice)
    collector = Collector((), seed)
    async with Transport(app=create_app([contract], settings)) as transport:
        clock, base = CommonClock(transport, contract.id), {"": f"{HOST}/{contract.id}"}
        client = Client(contract, transport, base_urls=base, key=EMULATED_KEY, clock=clock, seed=seed)
        service = CheckedService(contract, client, save_exchanges=coverage.keep)
        runners = [CaseRunner(service, JUDGED_BY, collector) for _ in range(dice.randint(1, 5))]
        lanes = [runner.run(chosen[lane :: len(runners)]) for lane, runner in enumerate(runners)]
        jobs = [target for target in contract.targets.values() if target.job_operation is not None]
        await asyncio.gather(*lanes, _jobs(CaseRunner(service, JUDGED_BY, collector), dice.choice(jobs), dice))
    return collector.report().findings


def _chosen(cases: Sequence[ConformanceCase], dice: random.Random) -> list[ConformanceCase]:
    """Cases of every operation alike: one with many values would leave no room for the others."""
    by_operation: dict[str, list[ConformanceCase]] = defaultdict(list)
    for case in cases:
        by_operation[case.operation].append(case)
    chosen = [dice.choice(dice.choice(list(by_operation.values()))) for _ in range(CASES)]
    chosen += dice.choices([case for case in cases if case.speech is not None], k=DELIVERIES)
    return chosen


async def _jobs(runner: CaseRunner, target: Target, dice: random.Random) -> None:
    """Some jobs of one account at a time, asked for in any order, late, and by ids that nobody gave out."""
    jobs = StatefulJobs(target, runner)
    for _ in range(STEPS):
        words = [
            "poll",
            "late",
            *(["cancel"] if jobs.can_cancel else []),
            *(["unknown"] if jobs.rejects_unknown_ids else []),
        ]
        word = dice.choice(["submit", *words] if jobs.count < MAX_JOBS else words) if jobs.count else "submit"
        runner.collect(await jobs.take_step(word if word == "submit" else f"{word} {dice.randint(1, jobs.count)}"))


def main() -> None:
    """Print runs, exchanges and every finding; there must be none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    started, blamed, coverage = time.perf_counter(), 0, Coverage()
    contracts = list(load_catalogue())
    plans = [plan_cases(list(contract.targets.values()), emulated=True, every=True).cases for contract in contracts]
    for seed in range(options.runs):
        index = seed % len(contracts)
        findings = asyncio.run(clean_check(contracts[index], plans[index], seed, coverage))
        blamed += bool(findings)
        for finding in findings:
            print(f"seed {seed}: {finding.rule}: {finding.message} ({finding.case})", flush=True)
    print(f"{options.runs} clean runs, {coverage.exchanges.total()} exchanges, {blamed} with a finding")
    planned = {case.id for plan in plans for case in plan}
    print(f"{len(coverage.cases & planned)} of {len(planned)} planned cases came to a verdict")
    for contract in contracts:
        calls = {name: coverage.exchanges[f"{contract.id}/{name}"] for name in contract.operations}
        least = min(calls, key=lambda name: calls[name])
        print(f"{contract.id}: each of {len(calls)} operations at least {calls[least]} times ({least})")
    print(f"{time.perf_counter() - started:.0f} s, {time.process_time():.0f} s of CPU")


if __name__ == "__main__":
    main()
