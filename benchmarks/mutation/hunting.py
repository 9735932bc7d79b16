"""Checking one faulty provider against the true contract, in this process, until it is found out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from mutation.mutant import Mutant
from voicegauge.checks import select_rules
from voicegauge.client import Client
from voicegauge.conformance import Case, Collector, emulator_settings
from voicegauge.conformance.emulated import KEY
from voicegauge.conformance.running import Runner, Service
from voicegauge.contract import Contract
from voicegauge.emulator import EmulatorSettings, Fault, create_app
from voicegauge.errors import VoicegaugeError
from voicegauge.model import Exchange, Finding
from voicegauge.transport import Transport, VirtualClock

JUDGED_BY = select_rules(ignore=("transcript-wrong",))
"""How well the emulator's recogniser hears is no matter of a contract: it is measured by its own benchmark."""


@dataclass
class Calls:
    """What was sent, and what came back."""

    sent: int = 0
    accepted: int = 0
    """Requests for speech that were answered with 2xx: what a live service would charge."""
    exchanges: dict[str, list[Exchange]] = field(default_factory=lambda: defaultdict(list))
    """By operation id."""


@dataclass(frozen=True, kw_only=True)
class Hunt:
    """What came of checking one mutant."""

    mutant: Mutant
    found: Finding | None
    """The first finding under a fitting rule."""
    others: tuple[Finding, ...]
    """Findings under other rules before it."""
    calls: Calls
    error: str | None = None
    """Why the check ended early."""


def cases_for(mutant: Mutant, contract: Contract, cases: Sequence[Case]) -> list[Case]:
    """The cases of a plan that touch what is faulty."""
    if mutant.target is not None:
        return [case for case in cases if case.target == mutant.target and case.speech is not None]
    return [case for case in cases if mutant.operation in touched(contract, case)]


def touched(contract: Contract, case: Case) -> set[str]:
    """The operations that a case calls."""
    found = {case.operation}
    target = contract.targets.get(case.target or "")
    if case.speech is not None and target is not None:
        job = target.job_operation
        places = [target.answer.audio, job.job.audio if job is not None and job.job is not None else None]
        found |= {job.id} if job is not None else set()
        found |= {place.download for place in places if place is not None and place.download}
        found |= {job.job.result} if job is not None and job.job is not None and job.job.result else set()
    resource = contract.operation(case.operation).resource if case.life else None
    if resource is not None:
        also = [*resource.uses, *resource.set, resource.list, resource.delete]
        found |= {step.operation for step in also if step is not None}
    return found


async def hunt(mutant: Mutant, true: Contract, cases: Iterable[Case]) -> Hunt:
    """Send `cases` to `mutant` until a finding fits."""
    calls, findings = Calls(), []
    settings = emulator_settings(faults=mutant.planted)
    try:
        async for found in _findings(mutant.played(), true, cases, settings, mutant.faults, calls):
            if found.rule in mutant.rules:
                return Hunt(mutant=mutant, found=found, others=tuple(findings), calls=calls)
            findings.append(found)
    except VoicegaugeError as error:
        return Hunt(mutant=mutant, found=None, others=tuple(findings), calls=calls, error=str(error))
    return Hunt(mutant=mutant, found=None, others=tuple(findings), calls=calls)


async def clean_run(true: Contract, cases: Iterable[Case], settings: EmulatorSettings) -> tuple[list[Finding], Calls]:
    """What is found of a correct provider, which must be nothing."""
    calls = Calls()
    return [found async for found in _findings(true, true, cases, settings, (), calls)], calls


async def _findings(
    played: Contract,
    true: Contract,
    cases: Iterable[Case],
    settings: EmulatorSettings,
    faults: Sequence[Fault],
    calls: Calls,
):
    app = create_app([played], settings, own_faults=faults)
    async with Transport(app=app) as transport:
        base = {"": f"http://emulator.invalid/{true.id}"}
        client = Client(true, transport, base_urls=base, key=KEY, clock=VirtualClock(), seed=settings.seed)
        service = Service(true, client, keep=lambda _case, exchanges: _count(true, exchanges, calls))
        for case in cases:
            collector = Collector((), settings.seed)
            await Runner(service, JUDGED_BY, collector).run([case])
            for finding in collector.report().findings:
                yield finding


def _count(contract: Contract, exchanges: Sequence[Exchange], calls: Calls) -> None:
    for exchange in exchanges:
        calls.sent += 1
        operation = contract.operations.get(exchange.operation)
        if operation is not None:
            # What was uploaded is not looked at again, and some of it is large.
            asked = msgspec.structs.replace(exchange.request, body=b"")
            calls.exchanges[operation.id].append(msgspec.structs.replace(exchange, request=asked))
            calls.accepted += operation.speech is not None and exchange.response.status < 300
