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
from collections.abc import Sequence

from mutation.hunting import JUDGED_BY
from voicegauge.client import Client
from voicegauge.conformance import Case, Collector, plan_cases
from voicegauge.conformance.emulated import CREDITS, KEY
from voicegauge.conformance.running import Runner, Service
from voicegauge.contract import Contract, load_catalogue
from voicegauge.emulator import EmulatorSettings, create_app
from voicegauge.model import Finding, Request
from voicegauge.transport import Transport, VirtualClock

HOST = "http://emulator.invalid"
CASES = 30
"""Of one run, drawn from the whole plan."""
DELIVERIES = 6
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


async def clean_check(contract: Contract, cases: Sequence[Case], seed: int) -> tuple[tuple[Finding, ...], int]:
    """What one run finds of a correct provider, and how many exchanges it took."""
    dice = random.Random(seed)  # noqa: S311 - a draw, no secret
    settings = EmulatorSettings(
        seed=seed, clock="virtual", time_scale=dice.uniform(0, SLOWEST), rate_limits=False, credits=CREDITS
    )
    deliveries = [case for case in cases if case.speech is not None]
    chosen = dice.sample(cases, min(CASES, len(cases))) + dice.sample(deliveries, min(DELIVERIES, len(deliveries)))
    dice.shuffle(chosen)
    lanes = dice.randint(1, 5)
    collector = Collector((), seed)
    async with Transport(app=create_app([contract], settings)) as transport:
        clock, base = CommonClock(transport, contract.id), {"": f"{HOST}/{contract.id}"}
        client = Client(contract, transport, base_urls=base, key=KEY, clock=clock, seed=seed)
        runners = [Runner(Service(contract, client), JUDGED_BY, collector) for _ in range(lanes)]
        await asyncio.gather(*(runner.run(chosen[lane::lanes]) for lane, runner in enumerate(runners)))
    return collector.report().findings, collector.exchanges


def main() -> None:
    """Print runs, exchanges and every finding; there must be none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    started, exchanges, blamed = time.perf_counter(), 0, 0
    contracts = list(load_catalogue())
    plans = [plan_cases(list(contract.targets.values()), emulated=True, every=True).cases for contract in contracts]
    for seed in range(options.runs):
        index = seed % len(contracts)
        findings, sent = asyncio.run(clean_check(contracts[index], plans[index], seed))
        exchanges += sent
        blamed += bool(findings)
        for finding in findings:
            print(f"seed {seed}: {finding.rule}: {finding.message} ({finding.case})")
    print(f"{options.runs} clean runs, {exchanges} exchanges, {blamed} with a finding")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
