"""The whole of a check: documented examples, recordings, a service; what was found so far survives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voicegauge.checks import RULES, Rule
from voicegauge.client import Client, Ledger, RateLimiter
from voicegauge.conformance.cases import CasePlan, ConformanceCase, receiver_for
from voicegauge.conformance.offline import judge_documented_examples
from voicegauge.conformance.reporting import BillableLimit
from voicegauge.conformance.running import CaseRunner, CheckedService, Collector, SaveExchanges
from voicegauge.contract import Contract, Target
from voicegauge.errors import BudgetError
from voicegauge.model import Provenance
from voicegauge.receiver import Receiver
from voicegauge.transport import Clock, Transport


@dataclass(frozen=True)
class CheckSettings:
    """How a service is checked."""

    provenance: Provenance = Provenance.EMULATED
    base_urls: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By provider id, then by server name ("" for all)."""
    keys: Mapping[str, str | None] = field(default_factory=dict)
    """By provider id."""
    rules: Mapping[str, Rule] = field(default_factory=lambda: RULES)
    ledger: Ledger | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    """Dollars a request by target id."""
    pacers: Mapping[str, RateLimiter | None] = field(default_factory=dict)
    """By provider id, of those whose plans limit the requests a minute."""
    fuzz: int = 0
    """Random requests to each operation, inside its schema and as many outside."""
    failures: Path | None = None
    """Where fuzzing keeps what failed, to try it first the next time; `None` keeps nothing."""
    seed: int = 0
    clock: Callable[[], Clock] | None = None
    """Makes the clock that a client waits by; the real one if left out."""
    keep: SaveExchanges | None = None
    """Is given the exchanges of each case that came to a verdict, to be recorded."""
    receiver: Receiver | None = None
    """For webhooks; where the emulator is asked, there is one without."""
    control_url: str | None = None
    """Of an emulator: its time is moved on there."""
    app: Any = None
    """An ASGI application that is called in this process instead of the network."""


def check_documented_examples(contracts: Sequence[Contract], rules: Mapping[str, Rule], collector: Collector) -> None:
    """Judge every example that the documents print."""
    for contract in contracts:
        for exchange, findings in judge_documented_examples(contract, rules):
            collector.saw(Provenance.DOCUMENTED, contract.id, exchange.operation)
            collector.add(findings)


async def check_service(
    targets: Sequence[Target],
    plan: CasePlan,
    settings: CheckSettings,
    collector: Collector,
    progress: Callable[[ConformanceCase], None] | None = None,
) -> None:
    """Send the plan to the services of `targets` and judge what comes back.

    Raises:
        UnreachableError: a service is away; what was found so far is in `collector`.
    """
    for name in plan.skipped:
        collector.not_planned(name.id, name.reason)
    with receiver_for(plan.cases, settings.receiver, settings.provenance) as receiver:
        settings = replace(settings, receiver=receiver)
        await _check_services(targets, plan, settings, collector, progress)


async def _check_services(
    targets: Sequence[Target],
    plan: CasePlan,
    settings: CheckSettings,
    collector: Collector,
    progress: Callable[[ConformanceCase], None] | None,
) -> None:
    contracts = {target.contract.id: target.contract for target in targets}
    allowance = BillableLimit(plan.max_calls)
    async with Transport(app=settings.app) as transport:
        for contract in contracts.values():
            service = _service(contract, transport, settings)
            cases = [case for case in plan.cases if case.provider == contract.id]
            try:
                await CaseRunner(service, settings.rules, collector, allowance).run(cases, progress)
                await _fuzz(service, targets, settings, collector)
            except BudgetError as error:
                collector.stopped_by = str(error)
                return


async def _fuzz(
    service: CheckedService, targets: Sequence[Target], settings: CheckSettings, collector: Collector
) -> None:
    """One target of each operation: the schema is the operation's, and so are its jobs."""
    if not settings.fuzz:
        return
    from voicegauge.conformance.fuzzing import (
        FuzzEffort,
        fuzz_job_steps,
        fuzz_target,  # Hypothesis costs 0.2 s to import
    )

    effort = FuzzEffort(settings.fuzz, settings.seed, settings.failures)
    own = effort.below(settings.provenance.value, service.contract.id)
    firsts: dict[str, Target] = {}
    for target in targets:
        if target.contract is service.contract:
            firsts.setdefault(target.operation.id, target)
    for target in firsts.values():
        runner = CaseRunner(service, settings.rules, collector)
        await fuzz_target(target, runner, collector, own)
        if target.job_operation is not None:
            await fuzz_job_steps(target, runner, own)


async def check_job_steps(target: Target, steps: Sequence[str], settings: CheckSettings, collector: Collector) -> None:
    """Take `steps` with jobs of `target`, as `interleaving` writes them, and keep what is found.

    Raises:
        UsageError: the target has no jobs, or a step is none.
        TransportError: no answer could be had.
    """
    from voicegauge.conformance.fuzzing import StatefulJobs

    async with Transport(app=settings.app) as transport:
        runner = CaseRunner(_service(target.contract, transport, settings), settings.rules, collector)
        jobs = StatefulJobs(target, runner)
        try:
            for step in steps:
                runner.keep(await jobs.step(step))
        except BudgetError as error:
            collector.stopped_by = str(error)


def _service(contract: Contract, transport: Transport, settings: CheckSettings) -> CheckedService:
    client = Client(
        contract,
        transport,
        base_urls=settings.base_urls.get(contract.id, {}),
        key=settings.keys.get(contract.id),
        clock=settings.clock() if settings.clock else None,
        ledger=settings.ledger,
        rate_limiter=settings.pacers.get(contract.id),
        seed=settings.seed,
    )
    return CheckedService(
        contract,
        client,
        settings.ledger,
        settings.prices,
        settings.provenance,
        settings.keep,
        settings.receiver,
        settings.control_url,
    )


def run_check(collector: Collector, check: Coroutine[Any, Any, None]) -> None:
    """Run `check`; Ctrl-C ends it early, and what was found so far stands."""
    try:
        asyncio.run(check)
    except KeyboardInterrupt:
        collector.interrupted = True
        collector.stopped_by = "interrupted"
