"""Sends planned cases to a service, several at once if asked, and judges the responses in the order of the plan."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from voicegauge.checks import CheckSubject, Rule, SpeechDelivery
from voicegauge.conformance.cases import ConformanceCase
from voicegauge.conformance.reporting import BillableRequestLimit, count_spending
from voicegauge.conformance.running.call_prices import compute_price_usd, find_priced_item
from voicegauge.conformance.running.case_judge import CaseJudge
from voicegauge.conformance.running.case_lanes import CaseLanes
from voicegauge.conformance.running.cases_in_flight import CasesInFlight
from voicegauge.conformance.running.checked_service import CheckedService
from voicegauge.conformance.running.result_collector import ResultCollector
from voicegauge.conformance.running.sending import CaseSender, SentCase
from voicegauge.conformance.target_matching import find_request_target
from voicegauge.contract import Target
from voicegauge.errors import (
    BudgetError,
    StorageError,
    TimedOutError,
    TransportError,
    UnreachableError,
    UsageError,
    VoicegaugeError,
)
from voicegauge.model import Exchange, Finding

MAX_CONSECUTIVE_UNREACHABLE_CASES = 3
"""Number of consecutive cases without a connection, or without a response in time, after which the check ends."""

MAX_FREE_CASES_AHEAD_OF_JUDGING = 128
"""Maximum number of cases that are sent before the case that is judged next is complete, if there is no budget, as for
the emulator."""


class JudgedCase(NamedTuple):
    """The result of one case."""

    findings: list[Finding]
    status: int | None
    """HTTP status of the response that was judged; `None` if no response was judged."""
    no_verdict_reason: str | None = None
    """Why there is no verdict; `None` if there is one."""
    judged_exchange: Exchange | None = None
    """The exchange that was judged; `None` if the case is not a single call."""


class CaseRunner:
    """Runs cases against one service."""

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
            collector: gets findings, results and spending.
            billable_request_limit: the number of billable requests that `run_cases` may send; unlimited by default.
                With a limit, one case is sent at a time, because whether a case is sent depends on those before it.
            delivery_by_case_id: earlier deliveries, by the id of their case, with which later deliveries are compared.
                More than one runner of the same service may share them.
            concurrency: number of cases that `run_cases` has in flight.
        """
        self.service, self._collector, self._limit = (
            service,
            collector,
            billable_request_limit or BillableRequestLimit(None),
        )
        self._contract = service.contract
        self._judge = CaseJudge(service, rules, collector, {} if delivery_by_case_id is None else delivery_by_case_id)
        self._concurrency = 1 if self._limit.is_limited else concurrency
        self._unreachable_cases = 0

    async def run_cases(
        self, cases: Sequence[ConformanceCase], on_case_started: Callable[[ConformanceCase], None] | None = None
    ) -> None:
        """Run `cases`, and call `on_case_started` before each of them. Results are collected in their order.

        Raises:
            UnreachableError: the service cannot be reached.
            TimedOutError: the service accepts connections but does not respond.
            BudgetError: the next case costs more than is left in the budget.
            StorageError: what is paid for or received could not be saved.
        """

        async def send_case(case: ConformanceCase) -> SentCase:
            if on_case_started is not None:
                on_case_started(case)
            reason = self._limit.find_skip_reason(self._contract, case) or self._find_reason_not_to_repeat(case)
            if reason is not None:
                return SentCase(case, no_verdict_reason=reason, is_skipped=True)
            return await CaseSender(self.service.copy_for_case(), self._should_repeat_incomplete_response).send_case(
                case
            )

        in_flight = CasesInFlight(
            self._concurrency,
            send_case,
            # What a live check has paid for is judged soon, because its result is lost if the process is killed.
            max_cases_ahead_of_judging=MAX_FREE_CASES_AHEAD_OF_JUDGING
            if self.service.ledger is None
            else self._concurrency - 1,
            find_lane=CaseLanes(self._contract).find_lane,
            # Its requests reserve money one by one, and must not fail because of what other cases have reserved.
            must_run_alone=lambda case: case.is_lifecycle and self.service.ledger is not None,
        )
        try:
            await in_flight.send_cases(cases, self._collect_result)
        except BaseException as error:
            # What was paid for is reported. Other cases still get their responses if only the budget is exhausted.
            await in_flight.finish(self._collect_last_result, cancel_cases=not isinstance(error, BudgetError))
            raise

    def _should_repeat_incomplete_response(self, case: ConformanceCase) -> bool:
        """Whether to send the request again if its response is incomplete.

        This is false while recording, and for a billable request if the number of billable requests is limited.
        """
        return self.service.save_exchanges is None and not (case.is_billable and self._limit.is_limited)

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
        findings = self._judge_and_count(sent_case)
        self._collector.add_findings(findings)
        if isinstance(sent_case.error, VoicegaugeError):
            self._collect_error(case, sent_case.error)
        elif sent_case.error is not None:  # a cancellation, of which the caller knows
            if sent_case.subjects:
                self._collector.add_result(case, findings, sent_case.status, sent_case.no_verdict_reason)
        else:
            self._record_case_finished(case, sent_case.no_verdict_reason)
            target = self._find_addressed_target(case) if findings else None  # only findings are grouped by target
            self._collector.add_result(case, findings, sent_case.status, sent_case.no_verdict_reason, target)
            if sent_case.incomplete_response_error is None:
                self._unreachable_cases = 0
            elif self.must_stop_after_error(sent_case.incomplete_response_error):
                raise sent_case.incomplete_response_error

    def _collect_error(self, case: ConformanceCase, error: VoicegaugeError) -> None:
        """Collect a case without a result; raise the error if no further case is to be sent."""
        if isinstance(error, StorageError) or not isinstance(error, TransportError | UsageError):
            raise error
        self._record_case_finished(case, str(error))
        if self.must_stop_after_error(error):
            raise error
        self._collector.add_skipped_case(case, str(error))

    def _find_reason_not_to_repeat(self, case: ConformanceCase) -> str | None:
        """Return why `case` is not sent, because of a request of an earlier command; `None` if it is sent."""
        return self.service.case_journal.find_skip_reason(case) if self.service.case_journal is not None else None

    def _record_case_finished(self, case: ConformanceCase, no_verdict_reason: str | None) -> None:
        """Note in the journal that the results of all requests of `case` are known."""
        if self.service.case_journal is not None:
            self.service.case_journal.record_case_finished(case.id, no_verdict_reason)

    def must_stop_after_error(self, error: Exception) -> bool:
        """Whether to stop, because `error` and the errors just before it mean that the service does not respond."""
        is_unreachable = isinstance(error, UnreachableError | TimedOutError)
        self._unreachable_cases = self._unreachable_cases + 1 if is_unreachable else 0
        return self._unreachable_cases >= MAX_CONSECUTIVE_UNREACHABLE_CASES

    def _judge_and_count(
        self, sent_case: SentCase, read_subjects: Callable[[Exchange], Iterable[CheckSubject]] | None = None
    ) -> list[Finding]:
        """Judge a case, and count its requests and spending."""
        try:
            return self._judge.judge_case(sent_case, read_subjects)
        finally:
            exchanges = [*sent_case.exchanges, *sent_case.incomplete_exchanges]
            spent = count_spending(self._contract, exchanges, sent_case.spent_usd)
            self._limit.count_case(spent)
            if self._is_free_case(sent_case.case):
                spent = msgspec.structs.replace(spent, billable_request_count=0)
            self._collector.add_spending(sent_case.case, spent, self._judge.judged_classes)

    def _is_free_case(self, case: ConformanceCase) -> bool:
        """Whether a case of a live service is known to cost nothing, such as a request to a self-hosted server."""
        item = find_priced_item(self._contract, case)
        if self.service.is_emulated or item is None:
            return False
        return (
            compute_price_usd(item, self.service.price_usd_by_name, case.text_character_count, case.audio_duration_s)
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
            read_subjects: returns the subjects of the exchange if there is a verdict; by default the call and its
                outcome.

        Raises:
            TransportError: the service did not respond.
            BudgetError: the case costs more than is left in the budget.
        """
        sent_case = await CaseSender(self.service).send_case(case)
        findings = self._judge_and_count(sent_case, read_subjects if sent_case.has_verdict else None)
        if isinstance(sent_case.error, TransportError):
            self._record_case_finished(case, str(sent_case.error))
        if sent_case.error is not None:
            raise sent_case.error
        self._record_case_finished(case, sent_case.no_verdict_reason)
        self._unreachable_cases = 0
        return JudgedCase(findings, sent_case.status, sent_case.no_verdict_reason, sent_case.judged_exchange)

    def collect_findings(self, findings: Sequence[Finding]) -> None:
        """Collect findings that `send_and_judge` returned."""
        self._collector.add_findings(findings)

    def _find_addressed_target(self, case: ConformanceCase) -> Target | None:
        """Return the target that the request of a case addresses, which may be another one than that of the case."""
        if case.request is None:
            return self._contract.targets.get(case.target_name) if case.target_name else None
        return find_request_target(self._contract.find_operation(case.operation), case.request)
