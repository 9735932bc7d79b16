"""Checking one faulty provider against the true contract, in this process, until it is found out."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from mutation.mutant import AnswerKind, Mutant, kind_of
from voicegauge.checks import Rule, select_rules
from voicegauge.client import Client
from voicegauge.conformance import Collector, ConformanceCase, emulator_settings
from voicegauge.conformance.emulator_setup import EMULATED_KEY
from voicegauge.conformance.running import CaseRunner, CheckedService, SaveExchanges
from voicegauge.contract import Contract
from voicegauge.emulator import EmulatorSettings, Fault, create_app
from voicegauge.emulator.audio import speech
from voicegauge.emulator.responses import bodies
from voicegauge.emulator.server import providers
from voicegauge.errors import VoicegaugeError
from voicegauge.model import Exchange, Finding
from voicegauge.transport import Transport, VirtualClock

JUDGED_BY = select_rules(ignore=("transcript-wrong",))
"""How well the emulator's recogniser hears is no matter of a contract: it is measured by its own benchmark."""


@dataclass
class Calls:
    """How many requests were sent."""

    sent: int = 0
    accepted: int = 0
    """Requests for speech that were answered with 2xx: what a live service would charge."""

    def count(self, contract: Contract, exchanges: Iterable[Exchange]) -> None:
        """Count `exchanges` as well."""
        for exchange in exchanges:
            operation = contract.operations.get(exchange.operation)
            speaks = operation is not None and operation.speech is not None
            self.sent += 1
            self.accepted += speaks and exchange.response.status < 300

    def add(self, other: Calls) -> None:
        """Count what `other` counts as well."""
        self.sent += other.sent
        self.accepted += other.accepted


class Seen(NamedTuple):
    """What one case came to at a correct provider."""

    calls: Calls
    answers: frozenset[AnswerKind]


@dataclass
class Traffic:
    """What came back from a correct provider."""

    exchanges: dict[str, list[Exchange]] = field(default_factory=lambda: defaultdict(list))
    """By operation id: the first answer of each kind, without what was sent."""
    cases: dict[str, Seen] = field(default_factory=dict)
    """By case id; without those that came to no verdict."""
    _known: set[AnswerKind] = field(default_factory=set)

    def keep(self, contract: Contract, case: ConformanceCase, exchanges: Sequence[Exchange]) -> None:
        """Note what came of `case`."""
        calls, kinds = Calls(), set()
        calls.count(contract, exchanges)
        for exchange in exchanges:
            operation = contract.operations.get(exchange.operation)
            if operation is None:
                continue
            kind = kind_of(operation, exchange)
            kinds.add(kind)
            if kind not in self._known:
                self._known.add(kind)
                asked = msgspec.structs.replace(exchange.request, body=b"")
                self.exchanges[operation.id].append(msgspec.structs.replace(exchange, request=asked))
        self.cases[case.id] = Seen(calls, frozenset(kinds))

    def touched(self, case: ConformanceCase) -> set[str]:
        """The ids of the operations that `case` calls."""
        seen = self.cases.get(case.id)
        return {case.operation} | ({kind.operation for kind in seen.answers} if seen is not None else set())


@dataclass(frozen=True, kw_only=True)
class Hunt:
    """What came of checking one mutant."""

    mutant: Mutant
    found: Finding | None
    """The first finding under a fitting rule."""
    others: tuple[Finding, ...] = ()
    """Of one that was not found: what was found under other rules."""
    calls: Calls
    error: str | None = None
    """Why the check ended early."""


def cases_for(mutant: Mutant, cases: Sequence[ConformanceCase], traffic: Traffic) -> list[ConformanceCase]:
    """The cases of a plan that touch what is faulty, as `traffic` with a correct provider shows."""
    if mutant.target is not None:
        return [case for case in cases if case.target == mutant.target and case.speech is not None]
    return [case for case in cases if mutant.operation in traffic.touched(case)]


async def hunt(
    mutant: Mutant, true: Contract, cases: Sequence[ConformanceCase], traffic: Traffic | None = None
) -> Hunt:
    """Send `cases` to `mutant` until a finding fits.

    Args:
        mutant: a faulty provider.
        true: the contract that it is judged by.
        cases: in the order of the plan.
        traffic: of a correct provider with the same cases: one that showed none of the answers that are
            spoiled comes out as it did there, so it is counted and not sent again.
    """
    fitting = {name: rule for name, rule in JUDGED_BY.items() if name in mutant.rules}
    result = await _hunt(mutant, true, cases, traffic, fitting)
    if result.found is None:
        # What it broke instead: judging by all rules takes several times as long, so it is done for these alone.
        result = replace(result, others=(await _hunt(mutant, true, cases, traffic, JUDGED_BY)).others)
    if mutant.edit is not None:
        _forget_contracts()
    return result


def _forget_contracts() -> None:
    """Empty the emulator's caches, but for what was spoken: each edited contract would be kept alive in them."""
    for module in (bodies, providers, speech):
        for cache in vars(module).values():
            if hasattr(cache, "cache_clear") and cache is not speech.render_speech:
                cache.cache_clear()


async def _hunt(
    mutant: Mutant, true: Contract, cases: Sequence[ConformanceCase], traffic: Traffic | None, rules: Mapping[str, Rule]
) -> Hunt:
    calls, others = Calls(), list[Finding]()
    seen = traffic.cases if traffic is not None else {}
    settings = emulator_settings(faults=mutant.planted)
    try:
        async with _checking(
            true, mutant.played(), settings, rules, lambda _case, sent: calls.count(true, sent), mutant.faults
        ) as check:
            for case in cases:
                if case.id in seen and not mutant.may_spoil(seen[case.id].answers):
                    calls.add(seen[case.id].calls)
                    continue
                findings = await check(case)
                found = next((finding for finding in findings if finding.rule in mutant.rules), None)
                if found is not None:
                    return Hunt(mutant=mutant, found=found, calls=calls)
                others += findings
    except VoicegaugeError as error:
        return Hunt(mutant=mutant, found=None, others=tuple(others), calls=calls, error=str(error))
    return Hunt(mutant=mutant, found=None, others=tuple(others), calls=calls)


async def clean_run(
    true: Contract, cases: Iterable[ConformanceCase], settings: EmulatorSettings
) -> tuple[list[Finding], Traffic]:
    """What is found of a correct provider, which must be nothing, and what it answers."""
    traffic, findings = Traffic(), list[Finding]()
    async with _checking(
        true, true, settings, JUDGED_BY, lambda case, exchanges: traffic.keep(true, case, exchanges)
    ) as check:
        for case in cases:
            findings += await check(case)
    return findings, traffic


@contextlib.asynccontextmanager
async def _checking(
    true: Contract,
    played: Contract,
    settings: EmulatorSettings,
    rules: Mapping[str, Rule],
    keep: SaveExchanges,
    faults: Sequence[Fault] = (),
) -> AsyncIterator[Callable[[ConformanceCase], Awaitable[Sequence[Finding]]]]:
    """What sends a case to a provider of `played` and judges it by the `true` contract."""
    app = create_app([played], settings, extra_faults=faults)
    async with Transport(app=app) as transport:
        base = {"": f"http://emulator.invalid/{true.id}"}
        client = Client(true, transport, base_urls=base, key=EMULATED_KEY, clock=VirtualClock(), seed=settings.seed)
        service = CheckedService(true, client, save_exchanges=keep)

        async def check(case: ConformanceCase) -> Sequence[Finding]:
            collector = Collector((), settings.seed)
            await CaseRunner(service, rules, collector).run([case])
            return collector.report().findings

        yield check
