"""Runs the cases of a plan: several in flight, each judged when its responses are complete.

A `CaseSender` (`_case_sender.py`) sends the requests of a case; a `CaseJudge` (`judgement_keeper.py`) judges what it
received. Judging occupies this process. Meanwhile the service works on other cases. Cases that share state at the
service are in one lane: they are sent one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from voicegauge.cases.case import ConformanceCase, find_request_target
from voicegauge.conformance._case_sender import CaseSender
from voicegauge.conformance._sent_case import CaseJudgement, SentCase
from voicegauge.conformance.check_settings import CheckedService, CheckInterruption
from voicegauge.conformance.finding_groups import list_requested_values
from voicegauge.conformance.judgement_keeper import CaseJudge, JudgementKeeper, find_comparable_delivery
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.spending import (
    BillableRequestLimit,
    SpendingTotal,
    compute_price_usd,
    count_spending,
    find_priced_item,
)
from voicegauge.contract.contract import Contract, Target
from voicegauge.errors import (
    BudgetError,
    IncompleteResponseError,
    StorageError,
    TimedOutError,
    TransportError,
    UnreachableError,
    UsageError,
    VoicegaugeError,
)
from voicegauge.model.base import Finding, Provenance
from voicegauge.model.exchange import Exchange
from voicegauge.rules.call import CheckSubject
from voicegauge.rules.registry import Rule
from voicegauge.rules.subjects import SpeechDelivery

# Decides which cases must be sent one after the other, because they share state at the service.


_RESOURCE_LANE_NAME = "resources"
"""Name of the only lane, which has the cases that create, list, change or delete resources."""


class CaseLanes:
    """Assigns cases of one provider to lanes. The cases of one lane are sent one after the other."""

    def __init__(self, contract: Contract) -> None:
        """Find the operations that create, list, change or delete resources of an account."""
        self._resource_operations: set[str] = set()
        for operation in contract.operations.values():
            resource = operation.resource
            if resource is None:
                continue
            self._resource_operations |= {operation.id, *(one.operation_id for one in resource.transitions)}
            self._resource_operations |= {
                one.operation_id for one in (resource.listing, resource.deletion) if one is not None
            }

    def find_lane(self, case: ConformanceCase) -> str | None:
        """Return the lane of a case; `None` if other cases cannot change its result."""
        return _RESOURCE_LANE_NAME if case.operation in self._resource_operations else None


# Sends several cases at once, and hands over what was received in the order of the plan.


MAX_UNJUDGED_RESPONSE_BYTES = 32 * 2**20
"""Size of the responses that may wait to be judged. Above it, no further case is sent until the next one was judged."""


@dataclass
class _PlannedCase:
    """A case that is about to be sent, is in flight, or waits to be judged."""

    case: ConformanceCase
    lane: str | None
    """Name of the lane, in which cases are sent one after the other; `None` if its order does not matter."""
    must_run_alone: bool
    """Whether no other case may be in flight at the same time."""
    task: asyncio.Task[SentCase] | None = None
    """The task that sends the case; `None` before it is started."""

    @property
    def is_sent(self) -> bool:
        return self.task is not None and self.task.done()

    @property
    def response_size_bytes(self) -> int:
        """Size of the responses in bytes; 0 if they are not complete, or if an error of this program ended the case."""
        if self.task is None or not self.task.done() or self.task.cancelled() or self.task.exception() is not None:
            return 0
        return sum(len(exchange.response.body) for exchange in self.task.result().exchanges)


class CasesInFlight:
    """Sends the cases of a plan, at most `concurrency` of them at once."""

    def __init__(
        self,
        concurrency: int,
        send_case: Callable[[ConformanceCase], Coroutine[Any, Any, SentCase]],
        *,
        max_cases_ahead_of_judging: int,
        find_lane: Callable[[ConformanceCase], str | None],
        must_run_alone: Callable[[ConformanceCase], bool],
        interruption: CheckInterruption | None = None,
    ) -> None:
        """Prepare to send cases.

        Args:
            concurrency: number of cases in flight; with 1, a case is sent after the one before it was handed over.
            send_case: sends a case; raises no error of the tool or of the network.
            max_cases_ahead_of_judging: number of cases after the next one to be judged that may be sent already. A
                slow case holds up the judgement of those after it, but not their sending.
            find_lane: returns the lane of a case, in which cases are sent in order; `None` if its order does not
                matter.
            must_run_alone: returns whether no other case may be in flight at the same time as a case.
            interruption: tells when no further case is to be started.
        """
        self._interruption = interruption or CheckInterruption()
        self._concurrency, self._send_case = concurrency, send_case
        self._max_cases = 1 + max_cases_ahead_of_judging
        self._find_lane, self._must_run_alone = find_lane, must_run_alone
        self._window: deque[_PlannedCase] = deque()
        self._interrupted_case: SentCase | None = None
        """What was received for a case that was interrupted; only with a concurrency of 1."""

    def send_cases(
        self, cases: Iterable[ConformanceCase], take_result: Callable[[SentCase], None]
    ) -> Coroutine[Any, Any, None]:
        """Send `cases`, and call `take_result` with each result, in the order of `cases`.

        If `take_result` raises an error, or the task is cancelled, no further case is sent; the caller then cancels the
        cases in flight with `cancel`. After an interruption, the cases in flight are completed.

        Raises:
            CancelledError: the task was cancelled, or nothing is in flight any more after an interruption.
        """
        send = self._send_one_by_one if self._concurrency == 1 else self._send_several_at_once
        return send(cases, take_result)

    async def _send_several_at_once(
        self, cases: Iterable[ConformanceCase], take_result: Callable[[SentCase], None]
    ) -> None:
        """Send the next cases while earlier ones are in flight or wait to be judged."""
        # Cases are sent in any order, but judged in the order of the plan, from a window that moves over it. Results
        # taken as they come would need less code, but then two runs would differ: rules compare a delivery with an
        # earlier one, a budget ends a run at the first case that it cannot pay for, and a journal goes on after the
        # last case that was judged.
        waiting = iter(cases)
        while True:
            if self._interruption.is_requested and not self._tasks_in_flight:
                raise asyncio.CancelledError
            while len(self._window) < self._max_cases and (case := next(waiting, None)) is not None:
                self._window.append(_PlannedCase(case, self._find_lane(case), self._must_run_alone(case)))
            if not self._window:
                return
            if not self._interruption.is_requested:
                for planned in self._list_cases_to_start():
                    planned.task = asyncio.create_task(self._send_case(planned.case))
            first = self._window[0]
            if not first.is_sent:
                await asyncio.wait(self._tasks_in_flight, return_when=asyncio.FIRST_COMPLETED)
                continue
            assert first.task is not None
            sent = first.task.result()
            # A request reserves the most that it may cost, so cases in flight together may reserve more than they will
            # be charged. A case that failed for that reason alone gets another turn with the whole budget; without it,
            # a check with several cases in flight would skip cases that a check with one case at a time sends.
            if sent.exceeds_budget and not first.must_run_alone:
                first.must_run_alone, first.task = True, None
                continue
            if self._tasks_in_flight:
                await asyncio.sleep(0)  # requests of the cases just started are written before this process judges
            self._window.popleft()
            take_result(sent)

    async def _send_one_by_one(self, cases: Iterable[ConformanceCase], take_result: Callable[[SentCase], None]) -> None:
        """Send each case after the result of the one before it was taken, without the cost of a task for each case."""
        this_task = asyncio.current_task()
        for case in cases:
            sent = await self._send_case(case)
            # `send_case` does not raise a cancellation, so that what was received before Ctrl-C is kept. It is noted
            # here, and raised only now.
            if this_task is not None and this_task.cancelling():
                self._interrupted_case = sent
                raise asyncio.CancelledError
            take_result(sent)
            self._interruption.raise_if_interrupted()
            await asyncio.sleep(0)  # an application in this process may respond without letting other tasks run

    async def cancel(self, take_result: Callable[[SentCase], None]) -> None:
        """Cancel the cases in flight, and call `take_result` with each result, in the order of the plan."""
        # Tasks are cancelled and then awaited: each returns what it has received, which may have been paid for.
        for task in self._tasks_in_flight:
            task.cancel()
        if self._tasks_in_flight:
            await asyncio.wait(self._tasks_in_flight)
        if self._interrupted_case is not None:
            take_result(self._interrupted_case)
        for planned in self._window:
            if planned.task is not None and not planned.task.cancelled() and planned.task.exception() is None:
                take_result(planned.task.result())
        self._window.clear()

    def _list_cases_to_start(self) -> list[_PlannedCase]:
        """Return the cases of the window that may be in flight together with those that are, in the order of the plan.

        As many are returned as places are free; none if the responses that wait to be judged are too large.
        """
        in_flight, waiting_bytes = len(self._tasks_in_flight), 0
        busy_lanes: set[str] = set()
        chosen: list[_PlannedCase] = []
        for planned in self._window:
            if planned.is_sent:
                waiting_bytes += planned.response_size_bytes
                continue
            places = 1 if planned.must_run_alone else self._concurrency
            if in_flight >= places or waiting_bytes > MAX_UNJUDGED_RESPONSE_BYTES:
                break
            # A case without a lane passes one that waits for its lane. Only within a lane does the order matter: cases
            # that create, list and delete resources of one account see the resources of each other.
            if planned.task is None and planned.lane not in busy_lanes:
                chosen.append(planned)
                in_flight += 1
            if planned.must_run_alone:
                break
            busy_lanes |= {planned.lane} if planned.lane is not None else set()
        return chosen

    @property
    def _tasks_in_flight(self) -> list[asyncio.Task[SentCase]]:
        return [planned.task for planned in self._window if planned.task is not None and not planned.task.done()]


# Sends planned cases to a service, several at once if asked, and judges the responses in the order of the plan.


MAX_CONSECUTIVE_UNREACHABLE_CASES = 3
"""Number of consecutive cases without a connection, or without a response in time, after which the check ends."""

MAX_CASES_AHEAD_OF_JUDGING_WITHOUT_BUDGET = 128
"""Maximum number of cases that are sent before the case that is judged next is complete, if there is no budget, as for
the emulator."""


class JudgedCase(NamedTuple):
    """What rules found in one case, the status that they judged, and why there is no verdict if there is none."""

    findings: list[Finding]
    """Findings in the case, with clips, not merged yet."""
    status: int | None
    """HTTP status of the response that was judged; `None` if no response was judged."""
    no_verdict_reason: str | None = None
    """Why there is no verdict; `None` if there is one."""
    judged_exchange: Exchange | None = None
    """The exchange that was judged; `None` if the case is not a single call."""


class CaseRunner:
    """Sends cases to one service, judges the responses, and collects findings, results and spending."""

    def __init__(
        self,
        service: CheckedService,
        rules: Mapping[str, Rule],
        collector: ResultCollector,
        billable_request_limit: BillableRequestLimit | None = None,
        delivery_by_case_id: dict[str, SpeechDelivery] | None = None,
        concurrency: int = 1,
    ) -> None:
        """Prepare to run cases.

        Args:
            service: the service to check.
            rules: the rules to apply, by id.
            collector: collects findings, results and spending.
            billable_request_limit: the number of billable requests that `run_cases` may send; `None` for any number.
                With a limit, one case is sent at a time, because whether a case is sent depends on those before it.
            delivery_by_case_id: earlier deliveries, by the id of their case, with which later deliveries are compared.
                More than one runner of the same service may share them. `None` if there are none.
            concurrency: number of cases that `run_cases` has in flight.
        """
        self.service, self._collector, self._limit = (
            service,
            collector,
            billable_request_limit or BillableRequestLimit(None),
        )
        self._contract = service.contract
        self._deliveries = {} if delivery_by_case_id is None else delivery_by_case_id
        self._judge = CaseJudge(service, rules, collector, self._deliveries)
        self._concurrency = 1 if self._limit.is_limited else concurrency
        self._consecutive_unreachable_count, self._has_been_reached = 0, False
        self._judgements = JudgementKeeper(service, rules, collector.coverage, collector.deliveries)
        self._latest_spending = SpendingTotal()

    async def run_cases(
        self, cases: Sequence[ConformanceCase], on_case_started: Callable[[ConformanceCase], None] | None = None
    ) -> None:
        """Run `cases`, and collect their results in the order of `cases`.

        A case that may cost more than is left of the budget is skipped.

        Args:
            cases: the cases to send.
            on_case_started: is called with each case before it is sent; `None` if nothing is to be called.

        Raises:
            UnreachableError: the service cannot be reached.
            TimedOutError: the service accepts connections but does not respond.
            StorageError: what is paid for or received could not be saved.
        """
        self._judgements.set_planned_cases(cases)

        def send_case(case: ConformanceCase) -> Coroutine[Any, Any, SentCase]:
            if on_case_started is not None:
                on_case_started(case)
            sender = CaseSender(self.service.copy_for_case(), self._should_repeat_incomplete_response)
            return sender.send_case(case, self._find_earlier_result(case), is_paid=self._may_cost_money(case))

        in_flight = CasesInFlight(
            self._concurrency,
            send_case,
            # What a live check has paid for is judged soon, because its result is lost if the process is killed.
            max_cases_ahead_of_judging=MAX_CASES_AHEAD_OF_JUDGING_WITHOUT_BUDGET
            if self.service.ledger is None
            else self._concurrency - 1,
            find_lane=CaseLanes(self._contract).find_lane,
            # Its requests reserve money one by one, and must not fail because of what other cases have reserved.
            must_run_alone=lambda case: case.is_lifecycle and self.service.ledger is not None,
            interruption=self.service.settings.interruption,
        )
        try:
            await in_flight.send_cases(cases, self._collect_result)
        except BaseException:
            await in_flight.cancel(self._collect_last_result)  # what was paid for is reported
            raise

    def _find_earlier_result(self, case: ConformanceCase) -> SentCase | None:
        """Return the result of a case that was judged before, or must not be paid for; `None` if it is to be sent."""
        earlier = self._judgements.find_judgement(case)
        if earlier is not None:
            return SentCase(case, earlier_judgement=earlier)
        # What was lost comes first: its reason says how to go on.
        journal = self.service.case_journal
        lost_reason = journal.find_skip_reason(case) if journal is not None else None
        reason = lost_reason or self._limit.find_skip_reason(self._contract, case)
        return None if reason is None else SentCase(case, no_verdict_reason=reason, is_skipped=True)

    def _may_cost_money(self, case: ConformanceCase) -> bool:
        """Whether requests of `case` may be charged to the budget: false if the check has no budget."""
        if self.service.ledger is None or find_priced_item(self._contract, case) is None:
            return False
        return not self._is_free_case(case)

    def _should_repeat_incomplete_response(self, case: ConformanceCase) -> bool:
        """Whether to send the request again if its response is incomplete.

        This is false while recording, after Ctrl-C, and for a billable request if the number of billable requests is
        limited.
        """
        if self.service.settings.interruption.is_requested:
            return False
        return self.service.settings.save_exchanges is None and not (case.is_billable and self._limit.is_limited)

    def _collect_last_result(self, sent_case: SentCase) -> None:
        """Collect the result of a case that was in flight when the check was stopped."""
        with contextlib.suppress(VoicegaugeError):
            self._collect_result(sent_case)

    def _collect_result(self, sent_case: SentCase) -> None:
        """Judge a case, and collect its result and spending.

        Raises:
            VoicegaugeError: an error after which no further case is sent.
        """
        case = sent_case.case
        if sent_case.is_skipped:
            self._collector.add_skipped_case(case, sent_case.no_verdict_reason or "")
            return
        if sent_case.earlier_judgement is not None:
            self._add_earlier_judgement(case, sent_case.earlier_judgement)
            return
        findings = self._judge_and_count(sent_case)
        self._collector.add_findings(findings)
        self._collector.add_interruptions(case, sent_case.interruptions)
        if isinstance(sent_case.error, VoicegaugeError):
            self._collect_error(sent_case, findings, sent_case.error)
        elif sent_case.error is not None:  # a cancellation, of which the caller knows
            if sent_case.subjects:
                self._collector.add_result(case, findings, sent_case.status, sent_case.no_verdict_reason)
        else:
            target = self._find_addressed_target(case) if findings else None  # only findings are grouped by target
            self._record_judged_case(sent_case, findings, target)
            values = list_requested_values(self._contract, case)
            self._collector.add_result(case, findings, sent_case.status, sent_case.no_verdict_reason, target, values)
            if sent_case.no_response_error is None:
                self._note_service_reached()
            elif self.must_stop_after_error(sent_case.no_response_error):
                raise sent_case.no_response_error

    def _add_earlier_judgement(self, case: ConformanceCase, judgement: CaseJudgement) -> None:
        """Add to the report what an earlier check judged of a case, which is not sent again."""
        target = self._contract.targets.get(judgement.addressed_target_name or "")
        values = list_requested_values(self._contract, case)
        self._collector.add_earlier_judgement(case, judgement, target, values)
        delivery = judgement.delivery.restore(self._contract) if judgement.delivery is not None else None
        if delivery is not None:  # a later case is compared with it
            self._deliveries[case.id] = delivery

    def _collect_error(self, sent_case: SentCase, findings: Sequence[Finding], error: VoicegaugeError) -> None:
        """Collect a case without a result; raise the error if no further case is to be sent."""
        case = sent_case.case
        if isinstance(error, BudgetError):
            # Others may cost less: a text that must be rejected as too long reserves the most.
            self._collector.add_unaffordable_case(case, error)
            return
        if isinstance(error, StorageError) or not isinstance(error, TransportError | UsageError):
            raise error
        judgement = self._judgements.build_judgement(
            case,
            findings,
            self._list_judged_operations(sent_case),
            self._latest_spending,
            no_verdict_reason=str(error),
            has_no_result=True,
        )
        self._record_case_finished(case, str(error), judgement)
        if self.must_stop_after_error(error):
            raise error
        self._collector.add_skipped_case(case, str(error))

    def _record_judged_case(self, sent_case: SentCase, findings: Sequence[Finding], target: Target | None) -> None:
        """Write the judgement of a case to the journal, so that a resumed check does not send the case again.

        `target` is the target that the request addresses; `None` if it addresses none, or if there are no findings.
        """
        if not self._judgements.keeps_judgements:
            self._record_case_finished(sent_case.case, sent_case.no_verdict_reason)
            return
        judgement = self._judgements.build_judgement(
            sent_case.case,
            findings,
            self._list_judged_operations(sent_case),
            self._latest_spending,
            status=sent_case.status,
            no_verdict_reason=sent_case.no_verdict_reason,
            target=target,
            delivery=find_comparable_delivery(sent_case),
        )
        self._record_case_finished(sent_case.case, sent_case.no_verdict_reason, judgement)

    def _list_judged_operations(self, sent_case: SentCase) -> list[tuple[Provenance, str]]:
        """Return provenance and operation of each exchange of `sent_case`, which must be the case judged last."""
        operations = (exchange.operation for exchange in sent_case.exchanges)
        return list(zip(self._judge.provenances, operations, strict=True))

    def _record_case_finished(
        self, case: ConformanceCase, no_verdict_reason: str | None, judgement: CaseJudgement | None = None
    ) -> None:
        """Note in the journal, if there is one, that the results of all requests of `case` are known.

        `no_verdict_reason` is `None` if the case has a verdict, and `judgement` is `None` if none is kept.
        """
        if self.service.case_journal is not None:
            self.service.case_journal.record_case_finished(case.id, no_verdict_reason, judgement)

    def must_stop_after_error(self, error: Exception) -> bool:
        """Count `error`; return whether it and those just before it mean that the service does not respond any more."""
        # A service whose responses break off responds: each such request has a finding of its own.
        if not isinstance(error, UnreachableError | TimedOutError) or isinstance(error, IncompleteResponseError):
            self._note_service_reached()
            return False
        self._consecutive_unreachable_count += 1
        self._collector.was_request_sent |= error.request_was_sent
        # The first case has waited as long as the provider asks clients to: a wrong URL or no network does not change.
        was_never_reached = not error.request_was_sent and not self._has_been_reached
        return was_never_reached or self._consecutive_unreachable_count >= MAX_CONSECUTIVE_UNREACHABLE_CASES

    def _note_service_reached(self) -> None:
        """Note that the service has responded, which resets the count of consecutive unreachable cases."""
        self._consecutive_unreachable_count, self._has_been_reached = 0, True

    def _judge_and_count(
        self, sent_case: SentCase, read_subjects: Callable[[Exchange], Iterable[CheckSubject]] | None = None
    ) -> list[Finding]:
        """Judge a case, count its requests and spending, and return its findings, which are not collected.

        `read_subjects` returns the subjects of an exchange; `None` to judge the subjects of `sent_case`.
        """
        self._judgements.begin_judging()
        try:
            return self._judge.judge_case(sent_case, read_subjects)
        finally:  # what was sent counts even if it could not be saved
            exchanges = [*sent_case.exchanges, *sent_case.incomplete_exchanges]
            is_lost = self._may_lost_request_be_charged(sent_case)
            spent = count_spending(self._contract, exchanges, sent_case.spent_usd, lost_request_count=int(is_lost))
            if sent_case.case.socket_scenario is not None:
                # A connection is one exchange with status 101, whatever was spoken on it, so it is counted by its case.
                is_charged = sent_case.case.is_billable and sent_case.status == HTTPStatus.SWITCHING_PROTOCOLS
                spent = msgspec.structs.replace(spent, billable_request_count=int(is_charged or is_lost))
            expected = sent_case.case.expected_response
            if expected.case_kind == "rejection-reason" and sent_case.status in expected.statuses:
                # The emulator was asked for this error. Elsewhere a server error may have been charged.
                spent = msgspec.structs.replace(spent, billable_request_count=0)
            # Requests to a server of one's own count towards the limit of requests, but not as billable in the report.
            self._limit.count_case(spent)
            self._latest_spending = spent
            if self._is_free_case(sent_case.case):
                spent = msgspec.structs.replace(spent, billable_request_count=0)
            self._collector.spending_account.add_case(sent_case.case, spent, self._judge.judged_classes)

    def _may_lost_request_be_charged(self, sent_case: SentCase) -> bool:
        """Whether a request of the case was sent to an operation with a price, and no response to it arrived.

        Other requests that may be charged, such as a submit whose job was lost, are counted with their exchanges.
        """
        error = sent_case.no_response_error or sent_case.error
        if not isinstance(error, TransportError) or not error.request_was_sent or sent_case.exchanges:
            return False
        return not sent_case.incomplete_exchanges and find_priced_item(self._contract, sent_case.case) is not None

    def _is_free_case(self, case: ConformanceCase) -> bool:
        """Whether a case of a live service is known to cost nothing, such as a request to a self-hosted server."""
        if self.service.is_emulated:
            return False
        item = find_priced_item(self._contract, case)
        return item is not None and (
            compute_price_usd(
                item, self.service.settings.price_usd_by_name, case.text_character_count, case.audio_duration_s
            )
            == 0
        )

    async def judge_case(self, case: ConformanceCase) -> JudgedCase:
        """Send one case, judge the responses and collect the findings.

        Raises:
            TransportError: the service did not respond.
            BudgetError: the case costs more than is left in the budget.
        """
        sent_case = await CaseSender(self.service, self._should_repeat_incomplete_response).send_case(case)
        findings = self._judge_and_count(sent_case)
        self._collector.add_findings(findings)
        if sent_case.error is not None:
            raise sent_case.error
        return JudgedCase(findings, sent_case.status, sent_case.no_verdict_reason, sent_case.judged_exchange)

    async def send_and_judge(
        self, case: ConformanceCase, read_subjects: Callable[[Exchange], Iterable[CheckSubject]] | None = None
    ) -> JudgedCase:
        """Send one single call and judge it, but do not collect the findings, so that a search can shrink them first.

        Args:
            case: the case to send.
            read_subjects: returns the subjects of the exchange if there is a verdict; `None` for the call and its
                outcome.

        Raises:
            TransportError: the service did not respond.
            BudgetError: the case costs more than is left in the budget.
            CancelledError: the check was interrupted.
        """
        self.service.settings.interruption.raise_if_interrupted()
        sent_case = await CaseSender(self.service).send_case(case, is_paid=self._may_cost_money(case))
        findings = self._judge_and_count(sent_case, read_subjects if sent_case.has_verdict else None)
        if isinstance(sent_case.error, TransportError):
            self._record_case_finished(case, str(sent_case.error))
        if sent_case.error is not None:
            raise sent_case.error
        self._record_case_finished(case, sent_case.no_verdict_reason)
        self._note_service_reached()
        return JudgedCase(findings, sent_case.status, sent_case.no_verdict_reason, sent_case.judged_exchange)

    def collect_findings(self, findings: Sequence[Finding]) -> None:
        """Add findings that `send_and_judge` returned to the report of the check."""
        self._collector.add_findings(findings)

    def _find_addressed_target(self, case: ConformanceCase) -> Target | None:
        """Return the target that the request of a case addresses; it may differ from the case's own. `None` if none."""
        if case.request is None:
            return self._contract.targets.get(case.target_name) if case.target_name else None
        return find_request_target(self._contract.find_operation(case.operation), case.request)
