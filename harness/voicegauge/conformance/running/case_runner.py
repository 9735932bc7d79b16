"""Sending planned cases to a service and judging what comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from voicegauge.checks import Call, CaseOutcome, Checker, CheckSubject, ExpectedResponse, RequestOrigin, Rule
from voicegauge.client import (
    DEFAULT_KEY,
    MAX_RETRY_AFTER_S,
    Client,
    KeyChoice,
    Ledger,
    RequestParts,
    Reservation,
    credentials,
    curl_command,
    retry_after_s,
    retry_waits,
    settle_responses,
)
from voicegauge.conformance.cases import (
    POLLS_AFTER_END,
    Caller,
    ConformanceCase,
    ResourceLifecycle,
    WebhookSession,
    batch_subjects,
    inconclusive_reason,
    no_verdict_reason,
    padded_request,
    should_retry,
    taken_in,
)
from voicegauge.conformance.reporting import BillableLimit, count
from voicegauge.conformance.running.call_prices import case_price_usd, require_use_prices, step_price_usd
from voicegauge.conformance.running.collector import Collector
from voicegauge.conformance.running.delivery_subjects import subjects_of_delivery
from voicegauge.contract import Contract, Operation, Target
from voicegauge.emulator import is_emulated
from voicegauge.errors import TimedOutError, TransportError, UnreachableError, UsageError
from voicegauge.model import Delivery, Exchange, Finding, Provenance
from voicegauge.receiver import Receiver
from voicegauge.recording import BAD_KEY

OTHER_KEY = "another-emulated-key"
"""The emulator takes any key: this one is another account's."""
MAX_UNREACHABLE = 3
"""Requests in a row without a connection or an answer in time after which the service is taken to be away."""


SaveExchanges = Callable[[ConformanceCase, Sequence[Exchange]], None]
"""Is given all exchanges of a case once it is through."""


class CheckedService(NamedTuple):
    """A provider as it is reached in this check."""

    contract: Contract
    client: Client
    ledger: Ledger | None = None
    """Money for single calls; deliveries reserve through the client."""
    prices: Mapping[str, float] = {}
    """Dollars a request by target id, as the user named them."""
    provenance: Provenance = Provenance.EMULATED
    keep: SaveExchanges | None = None
    receiver: Receiver | None = None
    """Takes in what is told to the URLs that requests name."""
    control_url: str | None = None
    """Of an emulator: its time is moved on there."""

    def judge(self, rules: Mapping[str, Rule]) -> Checker:
        """A judge over this service's traffic."""
        key = self.client.secrets[0] if self.client.secrets else None

        def reproduce(exchange: Exchange) -> str:
            return curl_command(exchange.request, self.contract, key=key)

        return Checker(self.provenance, rules, reproduce, self.client.mask_secrets)


class JudgedCase(NamedTuple):
    """What became of one case."""

    findings: list[Finding]
    status: int | None
    skipped: str | None = None
    """Why there is no verdict."""
    exchange: Exchange | None = None
    """Of a single call: the one that counts."""


@dataclass
class _Booking:
    """What a case came to, while it runs."""

    exchanges: list[Exchange] = field(default_factory=list)
    judged: set[type] = field(default_factory=set)


class CaseRunner:
    """Runs cases against one service, one after the other."""

    def __init__(
        self,
        service: CheckedService,
        rules: Mapping[str, Rule],
        collector: Collector,
        allowance: BillableLimit | None = None,
    ) -> None:
        """Findings and results go to `collector`; `allowance` bounds what `run` may come to."""
        self.service, self._collector, self._allowance = service, collector, allowance or BillableLimit(None)
        self._client, self._contract = service.client, service.contract
        self._judge = service.judge(rules)
        self._unreachable = 0
        self._booking = _Booking()
        collector.judging(rules.values())

    async def run(
        self, cases: Sequence[ConformanceCase], progress: Callable[[ConformanceCase], None] | None = None
    ) -> None:
        """Run `cases` in order.

        Raises:
            UnreachableError: the service is away.
            TimedOutError: it takes connections and does not answer.
            BudgetError: the next case costs more than is left.
        """
        for case in cases:
            if progress is not None:
                progress(case)
            refusal = self._allowance.refusal(self._contract, case)
            if refusal is not None:
                self._collector.case_skipped(case, refusal)
                continue
            try:
                with self._booked(case):
                    answered = await self.answer(case)
            except (TransportError, UsageError) as error:
                if self.is_away(error):
                    raise
                self._collector.case_skipped(case, str(error))
                continue
            self._unreachable = 0
            if answered.skipped is not None and not answered.findings:
                self._collector.case_skipped(case, answered.skipped, answered.status)
            else:
                self._collector.case_done(case, answered.findings, answered.status)

    def is_away(self, error: Exception) -> bool:
        """Whether the service is taken to be away, now that a request met `error` instead of an answer."""
        silent = isinstance(error, UnreachableError | TimedOutError)
        self._unreachable = self._unreachable + 1 if silent else 0
        return self._unreachable >= MAX_UNREACHABLE

    @contextmanager
    def _booked(self, case: ConformanceCase) -> Iterator[None]:
        """Note what `case` comes to while the context lasts: cases run one after the other."""
        ledger, self._booking = self.service.ledger, _Booking()
        before = ledger.spent_usd if ledger is not None else 0.0
        try:
            yield
        finally:
            usd = ledger.spent_usd - before if ledger is not None else 0.0
            spent = count(self._contract, self._booking.exchanges, usd)
            self._allowance.note(spent)
            self._collector.book(case, spent, self._booking.judged)

    def judged(self, subjects: Iterable[CheckSubject], case: ConformanceCase) -> list[Finding]:
        """What is found of `subjects`; whoever asks keeps it."""
        found: list[Finding] = []
        for subject in subjects:
            self._booking.judged.update(type(subject).__mro__)
            found += self._judge.findings(subject, case=case.id)
        return found

    async def answer(self, case: ConformanceCase) -> JudgedCase:
        """Send one case and judge the answer.

        Raises:
            TransportError: no answer could be had.
            BudgetError: it costs more than is left.
        """
        if case.webhook is not None:
            return await self._webhook(case)
        if case.is_lifecycle:
            return await self._life(case)
        return await (self._delivery(case) if case.speech is not None else self._call(case))

    async def probe(
        self, case: ConformanceCase, read: Callable[[Exchange], Iterable[CheckSubject]] | None = None
    ) -> JudgedCase:
        """Send one single call and judge it without keeping what is found; the exchange is counted.

        Args:
            case: what is sent.
            read: what there is to judge of its answer, if there is a verdict; the call and its outcome if left out.

        Raises:
            TransportError: no answer could be had.
            BudgetError: it costs more than is left.
        """
        with self._booked(case):
            subjects, exchange, skipped = await self._subjects(case)
            self._unreachable = 0
            if read is not None and skipped is None:
                subjects = list(read(exchange))
            return JudgedCase(self.judged(subjects, case), exchange.response.status, skipped, exchange)

    def keep(self, findings: Sequence[Finding]) -> None:
        """Keep findings of `probe`."""
        self._collector.add(findings)

    def _target(self, case: ConformanceCase) -> Target | None:
        return self._contract.targets.get(case.target) if case.target else None

    # Single calls

    async def _call(self, case: ConformanceCase) -> JudgedCase:
        subjects, exchange, skipped = await self._subjects(case)
        return JudgedCase(self._kept(subjects, case), exchange.response.status, skipped, exchange)

    def _kept(self, subjects: Iterable[CheckSubject], case: ConformanceCase) -> list[Finding]:
        findings = self.judged(subjects, case)
        self._collector.add(findings)
        return findings

    async def _subjects(self, case: ConformanceCase) -> tuple[list[CheckSubject], Exchange, str | None]:
        """What there is to judge of a single call, its exchange, and why there is no verdict."""
        operation, target = self._contract.operation(case.operation), self._target(case)
        price = case_price_usd(self._contract, case, self.service.prices) if self.service.ledger is not None else None
        *earlier, exchange = await settle_responses(self._reserve(price), operation, self._send(case))
        origin: RequestOrigin = "invalid" if case.expected.verdict == "rejected" else "sent"
        call = Call(operation, exchange, target, request_origin=origin)
        skipped, fetched = self._no_verdict(case, exchange), list[Exchange]()
        intake = self._contract.audio_input_targets.get(case.target or "")
        if intake is not None and call.ok:
            call, fetched = await taken_in(self._client, intake, case, call)
        self._saw(case, [*earlier, exchange, *fetched], skipped)
        subjects: list[CheckSubject] = [Call(operation, told, target, request_origin=origin) for told in earlier]
        subjects += [call] if skipped else [call, CaseOutcome(call, case.expected)]
        known = self._contract.operations
        subjects += [Call(known[got.operation], got) for got in fetched if got.operation in known]
        return subjects, exchange, skipped

    def _reserve(self, price_usd: float | None) -> Reservation | None:
        """Reserve the price of a request; `None` for a free one, and without a budget (at the emulator).

        Raises:
            BudgetError: the price exceeds the rest of the budget.
        """
        ledger = self.service.ledger
        return ledger.reserve(price_usd) if ledger is not None and price_usd is not None else None

    def _no_verdict(self, case: ConformanceCase, exchange: Exchange) -> str | None:
        """As `no_verdict_reason`; the emulator is never short of anything, so its refusals mean the request."""
        emulated = self.service.provenance is Provenance.EMULATED
        return (
            None
            if emulated and case.expected.verdict == "rejected"
            else no_verdict_reason(case, exchange.response.status)
        )

    async def _send(self, case: ConformanceCase) -> list[Exchange]:
        """The answers to a case, the one that counts last.

        It is sent again where it is told to come back later and that is not the point.
        """
        wire = padded_request(case)
        assert wire is not None, "a single call says what it sends"
        operation = self._contract.operation(case.operation)
        keys: dict[str, KeyChoice] = {"own": DEFAULT_KEY, "none": None, "bad": BAD_KEY}
        return await self._insist(case, lambda: self._client.call(operation, wire, key=keys[case.key]))

    async def _insist(self, case: ConformanceCase, ask: Callable[[], Awaitable[Exchange]]) -> list[Exchange]:
        waits = retry_waits(self._contract.provider.retry, self._client.jitter)
        answers: list[Exchange] = []
        while True:
            answers.append(await ask())
            wait = next(waits, None)
            if wait is None or not should_retry(case, answers[-1].response.status, self._contract):
                return answers
            asked = retry_after_s(answers[-1].response)
            if asked is not None and asked > MAX_RETRY_AFTER_S:
                return answers
            await self._client.clock.sleep(wait if asked is None else asked)

    # What is kept from one call to the next

    async def _life(self, case: ConformanceCase) -> JudgedCase:
        exchanges: list[Exchange] = []

        async def send(operation: Operation, wire: RequestParts, who: Caller, server: str | None) -> Exchange:
            key: KeyChoice = OTHER_KEY if who == "other" else DEFAULT_KEY
            has_budget = self.service.ledger is not None
            price = step_price_usd(operation, wire, self.service.prices) if has_budget else None
            asking = self._insist(case, lambda: self._client.call(operation, wire, key=key, server=server))
            answers = await settle_responses(self._reserve(price), operation, asking)
            exchanges.extend(answers)
            return answers[-1]

        assert case.wire is not None, "what is made is made by a request"
        operation, target = self._contract.operation(case.operation), self._target(case)
        if target is not None:
            course = batch_subjects(target, case.wire, send, self._client.clock)
        else:
            if self.service.ledger is not None:
                require_use_prices(operation, self.service.prices)
            emulated = self.service.provenance is Provenance.EMULATED
            course = ResourceLifecycle(operation, send, others=emulated, thorough=case.thorough).subjects(case.wire)
        subjects: list[CheckSubject] = []
        try:
            subjects += [subject async for subject in course]
        finally:
            later = next(filter(None, map(_told_later, subjects)), None)
            self._saw(case, exchanges, later)
        judged = (subject for subject in subjects if _told_later(subject) is None)
        return JudgedCase(self._kept(judged, case), exchanges[0].response.status, later)

    # Webhooks

    async def _webhook(self, case: ConformanceCase) -> JudgedCase:
        emulated = self.service.provenance is Provenance.EMULATED
        listening = WebhookSession(case, self.service.receiver, emulated=emulated)
        answered = await self.answer(listening.case)
        told = await listening.told(self._contract.operation(case.operation), self._booking.exchanges)
        if told is None:
            return answered
        return answered._replace(findings=[*answered.findings, *self._kept([*told.callbacks, told], case)])

    # Deliveries

    async def _delivery(self, case: ConformanceCase) -> JudgedCase:
        target, speech = self._target(case), case.speech
        assert target is not None, "a delivery is of a target"
        assert speech is not None, "a delivery says what is spoken"
        price = self.service.prices.get(target.id)
        delivery = await self._client.speak(target, speech, price_usd=price)
        again = await self._ask_again(target, delivery)
        keyless = await self._ask_without_key(target, again)
        skipped = _no_delivery(delivery, case)
        self._saw(case, [*delivery.exchanges, *again, *(outcome.exchange for outcome in keyless)], skipped)
        subjects = [*subjects_of_delivery(target, speech, delivery, again), *keyless]
        findings = self._kept(subjects, case)
        index = delivery.submit_exchange
        status = None if index is None else delivery.exchanges[index].response.status
        return JudgedCase(findings, status, skipped)

    async def _ask_again(self, target: Target, delivery: Delivery) -> list[Exchange]:
        """The status of a job that has ended, asked for again: an end is an end."""
        status = target.job_operation
        asked = [exchange for exchange in delivery.exchanges if status and exchange.operation == status.id]
        if status is None or status.job is None or not asked or not _has_ended(status, asked[-1]):
            return []
        found = []
        for _ in range(POLLS_AFTER_END):
            await self._client.clock.sleep(status.job.poll.min_s)
            try:
                found.append(
                    await self._client.transport.send(
                        asked[-1].request, provider=self._contract.id, operation=status.id
                    )
                )
            except TransportError:
                break  # the delivery stands without it
        return found

    async def _ask_without_key(self, target: Target, again: Sequence[Exchange]) -> list[CaseOutcome]:
        """The status of a job that is there, asked for by nobody: an unknown id would be refused in any case."""
        status = target.job_operation
        if status is None or not status.needs_key or not again or not self._client.secrets:
            return []
        names = {credential.name.lower() for credential in credentials(status, self._client.secrets[0])}
        headers = tuple((name, value) for name, value in again[-1].request.headers if name.lower() not in names)
        request = msgspec.structs.replace(again[-1].request, headers=headers)
        try:
            exchange = await self._client.transport.send(request, provider=self._contract.id, operation=status.id)
        except TransportError:
            return []  # the delivery stands without it
        description = f"{status.id} of a job that is there, without a key"
        at = f"{status.pointer}/security" if "security" in status.data else "/security"
        call = Call(status, exchange, target, request_origin="invalid")
        return [
            CaseOutcome(
                call,
                ExpectedResponse(
                    verdict="rejected", kind="authentication", description=description, contract_pointer=at
                ),
            )
        ]

    def _saw(self, case: ConformanceCase, exchanges: Sequence[Exchange], skipped: str | None = None) -> None:
        if self._judge.provenance is not Provenance.EMULATED and any(map(is_emulated, exchanges)):
            self._judge = replace(self._judge, provenance=Provenance.EMULATED)
        self._booking.exchanges += exchanges
        for exchange in exchanges:
            self._collector.saw(self._judge.provenance, exchange.provider, exchange.operation)
        if self.service.keep is not None and skipped is None:
            self.service.keep(case, exchanges)


def _told_later(subject: CheckSubject) -> str | None:
    """Why a step on the way of something that is kept came to no verdict; `None` where it came to one."""
    return inconclusive_reason(subject.call.status) if isinstance(subject, CaseOutcome) else None


def _has_ended(status: Operation, last: Exchange) -> bool:
    job = status.job
    state = job.states.get(str(Call(status, last).read_response(job.state))) if job else None
    return state is not None and state.end is not None


def _no_delivery(delivery: Delivery, case: ConformanceCase) -> str | None:
    """Why a delivery came to no verdict; `None` where audio came, or the failure was asked for."""
    failure = delivery.failure
    if failure is None or (failure.kind == "failed" and case.expects_failure):
        return None
    return f"{failure.kind}: {failure.message}"
