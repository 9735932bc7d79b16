"""Checks of a faulty provider against the correct contract, in process, until the fault is found."""

from __future__ import annotations

import contextlib
import traceback
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from mutation.applicability import watch_applicability
from mutation.mutant import Mutant, ResponseKind, response_kind
from voicegauge.cases.case import ConformanceCase
from voicegauge.client.client import Client
from voicegauge.conformance._case_runner import CaseRunner
from voicegauge.conformance.check_settings import (
    EMULATOR_API_KEY,
    CheckedService,
    CheckSettings,
    ExchangeSaver,
    build_emulator_settings,
)
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import Contract
from voicegauge.emulator import _response_bodies as bodies
from voicegauge.emulator import _speech_synthesis as speech
from voicegauge.emulator import app as providers
from voicegauge.emulator._output import Fault
from voicegauge.emulator.app import create_app
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.errors import VoicegaugeError
from voicegauge.model.base import Finding
from voicegauge.model.exchange import Exchange
from voicegauge.rules.registry import Rule, select_rules
from voicegauge.rules.subjects import SpeechDelivery
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

CHECKED_RULES = select_rules(ignored_ids=("transcript-wrong",))
"""All rules except for wrong transcripts, which depend on the emulator's recognizer rather than on a contract."""


@dataclass
class CallCounts:
    """Number of requests."""

    sent: int = 0
    accepted: int = 0
    """Speech requests with a 2xx response, for which a live service would charge."""

    def count(self, contract: Contract, exchanges: Iterable[Exchange]) -> None:
        """Add `exchanges` to the count."""
        for exchange in exchanges:
            operation = contract.operations.get(exchange.operation)
            speaks = operation is not None and operation.speech is not None
            self.sent += 1
            self.accepted += speaks and exchange.response.status < 300

    def add(self, other: CallCounts) -> None:
        """Add `other` to the count."""
        self.sent += other.sent
        self.accepted += other.accepted


class CaseTraffic(NamedTuple):
    """The traffic of one case with a correct provider."""

    calls: CallCounts
    responses: frozenset[ResponseKind]


@dataclass
class CorrectTraffic:
    """The traffic of a plan with a correct provider."""

    exchanges: dict[str, list[Exchange]] = field(default_factory=lambda: defaultdict(list))
    """By operation id: the first exchange with each kind of response, without the request body."""
    cases: dict[str, CaseTraffic] = field(default_factory=dict)
    """Traffic by case id; without cases that have no verdict."""
    _known: set[ResponseKind] = field(default_factory=set)

    def record(self, contract: Contract, case: ConformanceCase, exchanges: Sequence[Exchange]) -> None:
        """Record the exchanges of `case`."""
        calls, kinds = CallCounts(), set()
        calls.count(contract, exchanges)
        for exchange in exchanges:
            operation = contract.operations.get(exchange.operation)
            if operation is None:
                continue
            kind = response_kind(operation, exchange)
            kinds.add(kind)
            if kind not in self._known:
                self._known.add(kind)
                asked = msgspec.structs.replace(exchange.request, body=b"")
                self.exchanges[operation.id].append(msgspec.structs.replace(exchange, request=asked))
        self.cases[case.id] = CaseTraffic(calls, frozenset(kinds))

    def operations_of(self, case: ConformanceCase) -> set[str]:
        """Return the ids of the operations that `case` calls."""
        seen = self.cases.get(case.id)
        return {case.operation} | ({kind.operation for kind in seen.responses} if seen is not None else set())


@dataclass(frozen=True, kw_only=True)
class DetectionResult:
    """The result of checking one mutant."""

    mutant: Mutant
    found: Finding | None
    """The first finding of a suitable rule."""
    others: tuple[Finding, ...] = ()
    """Findings of other rules, if no suitable one was found."""
    calls: CallCounts
    error: str | None = None
    """Why the check ended early."""
    misplaced: frozenset[str] = frozenset()
    """Rules that found something at an operation to which they do not apply: "<rule> at <provider>/<operation>"."""
    has_crashed: bool = False
    """Whether the emulator, the client or a rule raised an undocumented error; `error` names it and its place."""


def cases_for(mutant: Mutant, cases: Sequence[ConformanceCase], traffic: CorrectTraffic) -> list[ConformanceCase]:
    """Return the cases of a plan that call the faulty operation, as `traffic` with a correct provider shows."""
    if mutant.target is not None:
        return [case for case in cases if case.target_name == mutant.target]
    return [case for case in cases if mutant.operation in traffic.operations_of(case)]


async def detect(
    mutant: Mutant, contract: Contract, cases: Sequence[ConformanceCase], traffic: CorrectTraffic | None = None
) -> DetectionResult:
    """Send `cases` to `mutant` until a suitable rule has a finding.

    Args:
        mutant: a faulty provider.
        contract: the correct contract, by which it is checked.
        cases: in the order of the plan.
        traffic: traffic of the same cases with a correct provider. A case without any of the affected responses has
            the same result as there, so its requests are counted but not sent again.
    """
    misplaced: set[str] = set()
    rules = watch_applicability(CHECKED_RULES, misplaced)
    suitable = {name: rule for name, rule in rules.items() if name in mutant.rules}
    result = await _send_until_detected(mutant, contract, cases, traffic, suitable)
    if result.found is None and not result.has_crashed:
        # Checking all rules takes several times as long, so it is done only for mutants that were not found.
        result = replace(result, others=(await _send_until_detected(mutant, contract, cases, traffic, rules)).others)
    if mutant.edit is not None:
        _clear_contract_caches()
    return replace(result, misplaced=frozenset(misplaced))


def _clear_contract_caches() -> None:
    """Clear the emulator's caches, which would keep every edited contract in memory, except for synthesized speech."""
    for module in (bodies, providers, speech):
        for cache in vars(module).values():
            if hasattr(cache, "cache_clear") and cache is not speech.render_speech:
                cache.cache_clear()


async def _send_until_detected(
    mutant: Mutant,
    contract: Contract,
    cases: Sequence[ConformanceCase],
    traffic: CorrectTraffic | None,
    rules: Mapping[str, Rule],
) -> DetectionResult:
    calls, others = CallCounts(), list[Finding]()
    seen = traffic.cases if traffic is not None else {}
    settings = build_emulator_settings(faults=mutant.emulator_faults)
    try:
        async with _checking(
            contract,
            mutant.emulated_contract(),
            settings,
            rules,
            lambda _case, sent: calls.count(contract, sent),
            mutant.faults,
        ) as check:
            for case in cases:
                if case.id in seen and not mutant.may_affect(seen[case.id].responses):
                    calls.add(seen[case.id].calls)
                    continue
                findings = await check(case)
                found = next((one for one in findings if mutant.rules.intersection(one.violated_rules)), None)
                if found is not None:
                    return DetectionResult(mutant=mutant, found=found, calls=calls)
                others += findings
    except VoicegaugeError as error:
        return DetectionResult(mutant=mutant, found=None, others=tuple(others), calls=calls, error=str(error))
    except Exception as error:  # noqa: BLE001 - one crash must not hide the results of thousands of other mutants
        text = describe_crash(error)
        return DetectionResult(
            mutant=mutant, found=None, others=tuple(others), calls=calls, error=text, has_crashed=True
        )
    return DetectionResult(mutant=mutant, found=None, others=tuple(others), calls=calls)


def describe_crash(error: Exception) -> str:
    """Return the type, the message and the place of an error."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno}, {place.name})"


async def run_correct_provider(
    contract: Contract, cases: Iterable[ConformanceCase], settings: EmulatorSettings
) -> tuple[list[Finding], CorrectTraffic]:
    """Return the findings for a correct provider, of which there must be none, and its traffic."""
    traffic, findings = CorrectTraffic(), list[Finding]()
    async with _checking(
        contract, contract, settings, CHECKED_RULES, lambda case, exchanges: traffic.record(contract, case, exchanges)
    ) as check:
        for case in cases:
            findings += await check(case)
    return findings, traffic


@contextlib.asynccontextmanager
async def _checking(
    contract: Contract,
    emulated_contract: Contract,
    settings: EmulatorSettings,
    rules: Mapping[str, Rule],
    save_exchanges: ExchangeSaver,
    faults: Sequence[Fault] = (),
) -> AsyncIterator[Callable[[ConformanceCase], Awaitable[Sequence[Finding]]]]:
    """Yield a function that sends a case to an emulated provider and checks it by the correct contract."""
    app = create_app([emulated_contract], settings, extra_faults=faults)
    async with Transport(app=app) as transport:
        base = {"": f"http://emulator.invalid/{contract.id}"}
        client = Client(
            contract, transport, base_urls=base, key=EMULATOR_API_KEY, clock=VirtualClock(), seed=settings.seed
        )
        service = CheckedService(contract, client, CheckSettings(save_exchanges=save_exchanges))

        deliveries: dict[str, SpeechDelivery] = {}

        async def check(case: ConformanceCase) -> Sequence[Finding]:
            collector = ResultCollector((), settings.seed)
            await CaseRunner(service, rules, collector, delivery_by_case_id=deliveries).run_cases([case])
            return collector.build_report().findings

        yield check
