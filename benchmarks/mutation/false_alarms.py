"""False alarms about correct providers: `PYTHONPATH=benchmarks python -m mutation.false_alarms`.

Every run has another seed (ids, jitter), other latencies, cases, order of cases and concurrency. Time is virtual: it
advances while a client waits.
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

from mutation.detection import CHECKED_RULES
from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import plan_cases
from voicegauge.client.client import Client
from voicegauge.conformance._case_runner import CaseRunner
from voicegauge.conformance._fuzzing_jobs import MAX_JOBS_PER_SEQUENCE, StatefulJobs
from voicegauge.conformance.check_settings import (
    EMULATED_ACCOUNT_CREDITS,
    EMULATOR_API_KEY,
    CheckedService,
    CheckSettings,
)
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import Contract, Target
from voicegauge.contract.loading import load_catalogue
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.model.base import Finding
from voicegauge.model.exchange import Exchange, Request
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

HOST = "http://emulator.invalid"
CASES = 30
"""Cases per run, sampled from the whole plan."""
DELIVERIES = 6
PAIRS = 4
"""Deliveries per run that are compared with another one."""
STEPS = 10
"""Steps with the jobs of one target, concurrent to the cases."""
MAX_TIME_SCALE = 4.0
"""Maximum factor for the emulated latencies of the contracts."""


class SharedClock(VirtualClock):
    """A client's virtual clock that also advances the emulator's."""

    def __init__(self, transport: Transport, provider: str) -> None:
        """Advance the emulator behind `transport` while waiting."""
        super().__init__()
        self._transport, self._provider = transport, provider

    async def sleep(self, seconds: float) -> None:
        """Advance both clocks."""
        before = self.monotonic()
        await super().sleep(seconds)
        passed = self.monotonic() - before
        if passed > 0:
            body = json.dumps({"advance_s": passed}).encode()
            url, headers = f"{HOST}/_emulator/clock", (("Content-Type", "application/json"),)
            request = Request(method="POST", url=url, headers=headers, body=body)
            await self._transport.send(request, provider_id=self._provider, operation_id="clock")


@dataclass
class Coverage:
    """The cases and requests of several runs."""

    exchanges: Counter[str] = field(default_factory=Counter)
    """Number of exchanges by "<provider>/<operation>", for cases with a verdict."""
    cases: set[str] = field(default_factory=set)
    """Ids of the cases with a verdict."""

    def record(self, case: ConformanceCase, exchanges: Sequence[Exchange]) -> None:
        """Record the exchanges of `case`."""
        self.cases.add(case.id)
        self.exchanges.update(f"{exchange.provider}/{exchange.operation}" for exchange in exchanges)


async def check_correct_provider(
    contract: Contract, cases: Sequence[ConformanceCase], seed: int, coverage: Coverage
) -> tuple[Finding, ...]:
    """Return the findings of one run against a correct provider, and record its exchanges in `coverage`."""
    rng = random.Random(seed)  # noqa: S311 - sampling, not cryptography
    settings = EmulatorSettings(
        seed=seed,
        clock="virtual",
        time_scale=rng.uniform(0, MAX_TIME_SCALE),
        enforces_rate_limits=False,
        credits=EMULATED_ACCOUNT_CREDITS,
    )
    chosen = _sample_cases(cases, rng)
    collector = ResultCollector((), seed)
    async with Transport(app=create_app([contract], settings)) as transport:
        clock, base = SharedClock(transport, contract.id), {"": f"{HOST}/{contract.id}"}
        client = Client(contract, transport, base_urls=base, key=EMULATOR_API_KEY, clock=clock, seed=seed)
        service = CheckedService(contract, client, CheckSettings(save_exchanges=coverage.record))
        runners = [CaseRunner(service, CHECKED_RULES, collector) for _ in range(rng.randint(1, 5))]
        lanes = [runner.run_cases(chosen[lane :: len(runners)]) for lane, runner in enumerate(runners)]
        # One runner for both halves of a pair: it remembers the delivery that others are compared with.
        lanes.append(CaseRunner(service, CHECKED_RULES, collector).run_cases(_sample_pairs(cases, rng)))
        jobs = [target for target in contract.targets.values() if target.job_operation is not None]
        if jobs:
            lanes.append(_run_jobs(CaseRunner(service, CHECKED_RULES, collector), rng.choice(jobs), rng))
        await asyncio.gather(*lanes)
    return collector.build_report().findings


def _sample_cases(cases: Sequence[ConformanceCase], rng: random.Random) -> list[ConformanceCase]:
    """Sample cases evenly by operation, since one with many values would crowd out the others."""
    by_operation: dict[str, list[ConformanceCase]] = defaultdict(list)
    for case in cases:
        by_operation[case.operation].append(case)
    chosen = [rng.choice(rng.choice(list(by_operation.values()))) for _ in range(CASES)]
    chosen += rng.choices([case for case in cases if case.speech_request is not None], k=DELIVERIES)
    return chosen


def _sample_pairs(cases: Sequence[ConformanceCase], rng: random.Random) -> list[ConformanceCase]:
    """Sample deliveries that are compared with another one, each after that one."""
    by_id = {case.id: case for case in cases}
    related = [(case, case.comparison) for case in cases if case.comparison is not None]
    chosen = rng.sample(related, min(PAIRS, len(related)))
    return [one for case, comparison in chosen for one in (by_id[comparison.base_case_id], case)]


async def _run_jobs(runner: CaseRunner, target: Target, rng: random.Random) -> None:
    """Run several jobs of one account: poll in random order, late, by unknown ids, and cancel."""
    jobs = StatefulJobs(target, runner)
    for _ in range(STEPS):
        actions = [
            "poll",
            "late",
            *(["cancel"] if jobs.can_cancel else []),
            *(["unknown"] if jobs.rejects_unknown_ids else []),
        ]
        action = (
            rng.choice(["submit", *actions] if jobs.job_count < MAX_JOBS_PER_SEQUENCE else actions)
            if jobs.job_count
            else "submit"
        )
        step = action if action == "submit" else f"{action} {rng.randint(1, jobs.job_count)}"
        runner.collect_findings(await jobs.take_step(step))


def main() -> None:
    """Print the runs, the exchanges and every finding, of which there must be none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first run; each one has the next seed")
    options = parser.parse_args()
    started, false_alarms, coverage = time.perf_counter(), 0, Coverage()
    contracts = list(load_catalogue())
    plans = [
        plan_cases(list(contract.targets.values()), is_emulated=True, include_all_billable_cases=True).cases
        for contract in contracts
    ]
    for seed in range(options.first_seed, options.first_seed + options.runs):
        index = seed % len(contracts)
        findings = asyncio.run(check_correct_provider(contracts[index], plans[index], seed, coverage))
        false_alarms += bool(findings)
        for finding in findings:
            print(f"seed {seed}: {finding.rule}: {finding.message} ({finding.case_id})", flush=True)
    print(f"{options.runs} clean runs, {coverage.exchanges.total()} exchanges, {false_alarms} with a finding")
    planned = {case.id for plan in plans for case in plan}
    print(f"{len(coverage.cases & planned)} of {len(planned)} planned cases have a verdict")
    for contract in contracts:
        calls = {name: coverage.exchanges[f"{contract.id}/{name}"] for name in contract.operations}
        least = min(calls, key=lambda name: calls[name])
        print(f"{contract.id}: each of {len(calls)} operations at least {calls[least]} times ({least})")
    print(f"{time.perf_counter() - started:.0f} s, {time.process_time():.0f} s of CPU")


if __name__ == "__main__":
    main()
