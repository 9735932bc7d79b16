"""Records which cases of a check were paid for and judged.

Each provider has a journal of billable requests (`client/spending_journal.py`). This module adds three events to it:

    {"event": "case_repeated", "id": CASE}     sent again on demand: its earlier requests stay without a result
    {"event": "case_finished", "id": CASE, "no_verdict_reason": WHY or null, "judgement": {...} or null}
    {"event": "case_reported", "id": CASE, "reported_at": TIME}     its result was printed, see `CaseReportedEvent`

A case is finished when it was judged and, by `record`, saved. A check also keeps the judgement, even of a free case.

A command deletes the journal when it has printed the result of its whole plan. The journal remains after a command that
was killed or interrupted, that ran out of time, whose service could not be reached any more, or that was charged more
than a price. The spending in it counts towards the budget of the next command, which also reuses its judgements. That
command sends a case again whose request has no known result only if the user asks for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from voicegauge.cases.case import ConformanceCase
from voicegauge.client.ledger import Ledger
from voicegauge.client.spending_journal import (
    Journal,
    PurchaseAccount,
    PurchaseHistory,
    SubmitCompletedEvent,
    SubmitEvent,
    SubmitNotSentEvent,
    SubmitRecorder,
    SubmitStartedEvent,
    read_events,
)
from voicegauge.conformance._sent_case import MAX_JUDGEMENT_AGE_S, CaseJudgement
from voicegauge.contract.contract import Contract
from voicegauge.errors import DataError, StorageError
from voicegauge.files import check_writable, write_file
from voicegauge.model.base import Record, StopReason
from voicegauge.model.exchange import AmbiguousRequest, BillingStatus
from voicegauge.model.price import format_price_usd

RESUMED_STOP_REASONS: frozenset[StopReason] = frozenset({"interrupted", "time", "unreachable"})
"""The reasons for an early end after which the same command resumes the check or recording, because the cause was
external. A used-up budget is not among them: it would stop the resumed command too."""


class CaseFinishedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="case_finished"):
    """The responses of a case were judged, and saved if they are recorded."""

    case_id: str = msgspec.field(name="id")
    """Id of the finished case."""
    no_verdict_reason: str | None
    """The reason why the case has no verdict, in one line; `None` if it has one."""
    judgement: CaseJudgement | None = None
    """The judgement of the case, which a resumed check takes over; `None` in a recording."""


class CaseRepeatedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="case_repeated"):
    """A case is sent again, because an earlier command left it without a result."""

    case_id: str = msgspec.field(name="id")
    """Id of the repeated case."""


class CaseReportedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="case_reported"):
    """The result of a case was printed, and the journal stays because a charge was wrong."""

    case_id: str = msgspec.field(name="id")
    """Id of the reported case."""
    reported_at: str
    """Time at which the result was printed: UTC, ISO 8601."""


CaseEvent = SubmitEvent | CaseFinishedEvent | CaseRepeatedEvent | CaseReportedEvent
"""An event of the journal of cases: about a billable request, or about the case as a whole."""


@dataclass
class CaseHistory(PurchaseHistory):
    """The billable requests of one case, and whether the case is finished."""

    is_finished: bool = False
    """Whether the responses of the latest attempt were judged, and saved if they are recorded."""
    no_verdict_reason: str | None = None
    """The reason why the finished case has no verdict; `None` if it has one, or is not finished."""
    judgement: CaseJudgement | None = None
    """What was judged of the finished case; `None` if it is not finished, or was recorded."""
    reported_at: str | None = None
    """Time (UTC, ISO 8601) at which the result was first printed; `None` if it was not, or the case was sent since."""
    attempt_start_index: int = 0
    """Index in `purchases` of the first request of the latest attempt at the case. The requests before it have no
    result, and stay ambiguous when the attempt gets one."""

    def record_submit(
        self,
        submitted_at: str,
        price_usd: float | None,
        idempotency_key: str | None = None,
        *,
        is_companion: bool = False,
    ) -> None:
        """Note that the next submit of the case will be sent now. Until its result is saved, the case is unfinished.

        `price_usd` is `None` if it is not known, and `idempotency_key` is `None` if the request has none.
        """
        super().record_submit(submitted_at, price_usd, idempotency_key, is_companion=is_companion)
        self.is_finished, self.judgement, self.reported_at = False, None, None
        # A request that is repeated with its key belongs to the current attempt.
        self.attempt_start_index = min(self.attempt_start_index, len(self.purchases) - 1)
        for purchase in self.purchases:
            purchase.is_job_resumable = False

    def record_case_finished(self, no_verdict_reason: str | None, judgement: CaseJudgement | None = None) -> None:
        """Note that the case is finished, because the results of all requests of its latest attempt are known.

        Args:
            no_verdict_reason: why the case has no verdict; `None` if it has one.
            judgement: what was judged, if it is kept.
        """
        self.is_finished, self.no_verdict_reason, self.judgement = True, no_verdict_reason, judgement
        self.reported_at = None
        for purchase in self.purchases[self.attempt_start_index :]:
            purchase.has_saved_result = True
            if purchase.http_status is None:
                purchase.missing_result_reason = purchase.missing_result_reason or no_verdict_reason

    @property
    def is_judged(self) -> bool:
        """Whether a judgement is kept that takes the place of sending the case again.

        A case without a response is sent again, unless its request may have been charged.
        """
        return self.judgement is not None and not (self.judgement.has_no_result and not self.is_last_request_ambiguous)

    def can_be_forgotten(self, now: datetime, *, begins_new_run: bool) -> bool:
        """Whether nothing about the case matters any more, so that what it cost does not count towards other budgets.

        Its result was printed a day ago, or before a new run, and nothing about it is open: its request is not
        ambiguous, and its charge was not wrong. A wrong charge ends the requests at its price until a new run.
        """
        if self.reported_at is None or self.is_last_request_ambiguous:
            return False
        age_s = (now - datetime.fromisoformat(self.reported_at)).total_seconds()
        is_old = age_s > MAX_JUDGEMENT_AGE_S and not any(one.has_wrong_charge for one in self.purchases)
        return begins_new_run or is_old

    @property
    def billable_count(self) -> int:
        """Number of billable requests of the case that were or may have been charged."""
        judged = self.judgement.billable_request_count if self.judgement is not None else 0
        return max(judged, sum(one.billing_status.may_be_charged for one in self.purchases))

    def iterate_events(self, *, include_judgement: bool) -> Iterator[CaseEvent]:
        """Yield the events that a journal must contain to restore the requests of the case, and its result.

        They are all requests, not only the last one: what each of them may have cost counts towards the budget.

        Args:
            include_judgement: whether a later command can reuse the judgement, instead of sending the case again.
        """
        for index, one in enumerate(self.purchases):
            if index == self.attempt_start_index > 0:
                yield CaseRepeatedEvent(case_id=self.sample_or_case_id)
            yield SubmitStartedEvent(
                sample_or_case_id=self.sample_or_case_id,
                submitted_at=one.submitted_at,
                price_usd=one.price_usd,
                idempotency_key=one.idempotency_key,
                is_companion=one.is_companion,
            )
            if one.billing_status is BillingStatus.NOT_SENT:
                yield SubmitNotSentEvent(sample_or_case_id=self.sample_or_case_id, is_companion=one.is_companion)
            elif one.http_status is not None:
                yield SubmitCompletedEvent(
                    sample_or_case_id=self.sample_or_case_id,
                    http_status=one.http_status,
                    billing_status=one.billing_status,
                    job_id=one.job_id,
                    charged_usd=one.charged_usd,
                    unreadable_charge=one.unreadable_charge,
                    is_companion=one.is_companion,
                )
        if self.is_finished:
            yield CaseFinishedEvent(
                case_id=self.sample_or_case_id,
                no_verdict_reason=self.no_verdict_reason,
                judgement=self.judgement if include_judgement else None,
            )
        if self.reported_at is not None:
            yield CaseReportedEvent(case_id=self.sample_or_case_id, reported_at=self.reported_at)


def apply_event(event: CaseEvent, history_by_case_id: dict[str, CaseHistory]) -> None:
    """Add an event of a journal to the history of its case; create the history if the case has none."""
    case_id = event.sample_or_case_id if isinstance(event, SubmitEvent) else event.case_id
    history = history_by_case_id.setdefault(case_id, CaseHistory(case_id))
    match event:
        case CaseFinishedEvent():
            history.record_case_finished(event.no_verdict_reason, event.judgement)
        case CaseRepeatedEvent():
            history.attempt_start_index = len(history.purchases)
        case CaseReportedEvent():
            history.reported_at = event.reported_at
        case SubmitStartedEvent() | SubmitNotSentEvent() | SubmitCompletedEvent():
            event.add_to_history(history)


class CaseJournal:
    """Records what the cases of one provider cost and how they were judged; knows what earlier commands recorded."""

    def __init__(
        self,
        contract: Contract,
        path: Path | None = None,
        *,
        retry_ambiguous_requests: bool = False,
        skip_cases_without_verdict: bool = False,
        begins_new_run: bool = False,
        is_read_only: bool = False,
    ) -> None:
        """Open the journal, and read the events of earlier commands that ended early or lost requests.

        Args:
            contract: the contract of the provider.
            path: the file; `None` to keep the events in memory only.
            retry_ambiguous_requests: whether cases with an ambiguous request of an earlier command are sent again.
            skip_cases_without_verdict: whether to skip the cases that an earlier command finished without a verdict.
            begins_new_run: whether all cases are sent again. Of the events of earlier commands, only their spending
                then counts.
            is_read_only: whether the file is only read, while another process may write it; nothing can be recorded.

        Raises:
            DataError: another process uses the journal, or it is damaged.
            UsageError: the journal cannot be written.
        """
        self.contract, self._path = contract, path
        """The contract of the provider."""
        self._retry_ambiguous = retry_ambiguous_requests or begins_new_run
        self._skips_cases_without_verdict, self._begins_new_run = skip_cases_without_verdict, begins_new_run
        self._sent_case_ids: set[str] = set()
        """Ids of the cases of which this command has sent a request that is not free."""
        self._journal: Journal | None = None
        self._created_folders: list[Path] = []
        self._histories: dict[str, CaseHistory] = {}
        if path is not None:
            if not is_read_only:
                self._created_folders, self._journal = _open_journal(path)
            try:
                for event in read_events(path, CaseEvent):
                    apply_event(event, self._histories)
            except DataError:
                if self._journal is not None:
                    self._journal.close()
                raise
        now = datetime.now(UTC)
        self._histories = {
            name: one
            for name, one in self._histories.items()
            if not one.can_be_forgotten(now, begins_new_run=begins_new_run)
        }
        self.spent_by_earlier_runs_usd = self.account.spent_usd
        """Dollars that were or may have been charged to earlier commands."""
        self.earlier_ambiguous_case_ids = self.account.ids_with_ambiguous_last_request
        """Ids of the cases with an ambiguous request of an earlier command."""
        self._unrepeated = set(self.earlier_ambiguous_case_ids)
        self._finished_before = {name for name, one in self._histories.items() if one.is_finished}
        self._judged_before = {name for name, one in self._histories.items() if one.is_judged and not begins_new_run}
        if retry_ambiguous_requests:
            self._judged_before -= self.earlier_ambiguous_case_ids
        repeated = self.earlier_ambiguous_case_ids if retry_ambiguous_requests else frozenset()
        counted = [] if begins_new_run else [one for name, one in self._histories.items() if name not in repeated]
        self.billable_count_of_earlier_runs = sum(one.billable_count for one in counted)
        """Number of billable requests of earlier commands that were or may have been charged. Those of cases that are
        sent again on demand are left out: they do not take the place of their repetition."""
        self.lost_count_of_earlier_runs = sum(
            one.sample_or_case_id in self.earlier_ambiguous_case_ids for one in counted
        )
        """Number of the requests in `billable_count_of_earlier_runs` that are only sent again on demand."""

    @property
    def is_on_disk(self) -> bool:
        """Whether the events are written to a file."""
        return self._path is not None

    @property
    def account(self) -> PurchaseAccount[CaseHistory]:
        """The billable requests of earlier commands and of this one, by case."""
        return PurchaseAccount(self._histories)

    @property
    def ambiguous_requests(self) -> tuple[AmbiguousRequest, ...]:
        """The requests whose price counts as spent although their result is unknown or was not saved."""
        return self.account.ambiguous_requests

    def create_submit_recorder(
        self, case_id: str, price_usd: float | None, *, is_companion: bool = False
    ) -> SubmitRecorder | None:
        """Return an observer that records the requests of a case; `None` if they are free (a price of `None` or 0)."""
        if not price_usd:
            return None
        if case_id in self._unrepeated:
            self._unrepeated.remove(case_id)
            self._record(CaseRepeatedEvent(case_id=case_id))
        return SubmitRecorder(self._record, case_id, price_usd, is_companion=is_companion)

    def record_case_finished(
        self, case_id: str, no_verdict_reason: str | None = None, judgement: CaseJudgement | None = None
    ) -> None:
        """Record that a case is finished (`CaseFinishedEvent`).

        `no_verdict_reason` is `None` if the case has a verdict, and `judgement` is `None` if none is kept. A case
        without a billable request is only recorded with its judgement.
        """
        if case_id in self._histories or judgement is not None:
            self._record(CaseFinishedEvent(case_id=case_id, no_verdict_reason=no_verdict_reason, judgement=judgement))

    def has_judgement(self, case_id: str) -> bool:
        """Whether an earlier command that ended early judged the case with this id."""
        return case_id in self._judged_before

    def find_judgement(self, case_id: str, basis: str) -> CaseJudgement | None:
        """Return what an earlier command judged of a case; `None` if the case is to be sent.

        Args:
            case_id: id of the case.
            basis: digest of what the judgement must depend on, see `judgement_keeper.JudgingBasis`.
        """
        judgement = self._histories[case_id].judgement if self.has_judgement(case_id) else None
        return judgement if judgement is not None and judgement.is_usable(basis, datetime.now(UTC)) else None

    def find_reusable_idempotency_key(self, case: ConformanceCase) -> str | None:
        """Return the idempotency key with which an ambiguous request of a case can be repeated without another charge.

        Return `None` if the case has no such request, sends several requests, or the provider no longer knows the key.
        """
        history = self._histories.get(case.id)
        if case.id not in self.earlier_ambiguous_case_ids or case.is_lifecycle or history is None:
            return None
        last, operation = history.last_ambiguous_purchase, self.contract.find_operation(case.operation)
        if last is None or case.companion_request is not None:
            return None
        return last.idempotency_key if last.can_be_repeated_without_charge(operation, datetime.now(UTC)) else None

    def find_skip_reason(self, case: ConformanceCase) -> str | None:
        """Return why an earlier command forbids to send a case; `None` if the case may be sent."""
        case_id = case.id
        if case_id in self.earlier_ambiguous_case_ids:
            if self._retry_ambiguous or self.find_reusable_idempotency_key(case) is not None:
                return None
            last = self._histories[case_id].last_ambiguous_purchase or self._histories[case_id].purchases[-1]
            price = "" if last.charge_or_price_usd is None else f" {format_price_usd(last.charge_or_price_usd)}"
            return (
                f"not sent again: it was sent at {last.submitted_at} and may have been charged{price}: "
                f"{last.ambiguous_reason}; "
                "--retry-ambiguous pays for it again"
            )
        history = self._histories.get(case_id)
        if (
            self._skips_cases_without_verdict
            and case_id in self._finished_before
            and history is not None
            and history.no_verdict_reason
        ):
            return f"an earlier command paid for it: {history.no_verdict_reason}"
        return None

    def forget_requests(self, *, keep_ambiguous_requests: bool) -> None:
        """Forget the requests. Call this after their result was printed.

        Args:
            keep_ambiguous_requests: whether to remember the ambiguous requests until their cases are paid for again.
                Such a case may have a verdict, for example about a server error. A new run forgets the ambiguous
                requests of earlier commands.
        """
        lost = [
            one
            for name, one in self._histories.items()
            if keep_ambiguous_requests
            and one.is_last_request_ambiguous
            and (name in self._sent_case_ids or not self._begins_new_run)
        ]
        self._replace_events([event for one in lost for event in one.iterate_events(include_judgement=False)])

    def record_report(self) -> None:
        """Record that the results of all cases were printed, and remember them with their requests.

        Call this after they were printed. Each result keeps the time of its first report: it may be repeated in the
        reports of later commands. What is settled is not written again.
        """
        reported_at = datetime.now(UTC).isoformat(timespec="seconds")
        for one in self._histories.values():
            one.reported_at = one.reported_at or reported_at
        self._replace_events(
            [event for one in self._histories.values() for event in one.iterate_events(include_judgement=True)]
        )

    def _replace_events(self, remaining_events: Sequence[CaseEvent]) -> None:
        """Write `remaining_events` in place of all events, and close the file; remove it if there are none."""
        if self._path is None or self._journal is None:
            return
        # Before the lock is released, so that no other command reads what is about to be forgotten.
        if remaining_events:
            write_file(self._path, b"".join(msgspec.json.encode(event) + b"\n" for event in remaining_events))
        else:
            self._remove_file_and_empty_folders(self._path)
        self._journal.close()
        self._journal = None

    def close(self) -> None:
        """Close the file, and remove it if none of its requests may have been charged. Later calls do nothing."""
        if self._journal is not None:
            if not self.account.may_have_been_charged and self._path is not None:
                self._remove_file_and_empty_folders(self._path)
            self._journal.close()
            self._journal = None

    def _record(self, event: CaseEvent) -> None:
        if isinstance(event, SubmitStartedEvent):
            self._sent_case_ids.add(event.sample_or_case_id)
        # On disk first: an event that a crash loses must not have been acted on.
        if self._journal is not None:
            self._journal.write(event)
        apply_event(event, self._histories)

    def _remove_file_and_empty_folders(self, path: Path) -> None:
        """Remove the file of the journal, and the folders above it in which nothing is left."""
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a folder that is not empty, or that another command has just removed
            for folder in dict.fromkeys([path.parent, path.parent.parent, *self._created_folders]):
                folder.rmdir()


class CaseJournals:
    """The journals of the providers of one check or recording; a context manager."""

    def __init__(
        self,
        folder: Path | None,
        contracts: Iterable[Contract],
        *,
        retry_ambiguous_requests: bool = False,
        skip_cases_without_verdict: bool = False,
        begins_new_run: bool = False,
        is_read_only: bool = False,
    ) -> None:
        """Open one journal per provider in <folder>/<provider>/; see `CaseJournal`.

        Args:
            folder: the folder; `None` to keep the events in memory only.
            contracts: the contracts of the providers.
            retry_ambiguous_requests: see `CaseJournal`.
            skip_cases_without_verdict: see `CaseJournal`.
            begins_new_run: see `CaseJournal`.
            is_read_only: see `CaseJournal`.
        """
        self._journals: dict[str, CaseJournal] = {}
        self._begins_new_run = begins_new_run
        self._ledger: Ledger | None = None
        try:
            for contract in contracts:
                path = None if folder is None else folder / contract.id / "journal.jsonl"
                self._journals[contract.id] = CaseJournal(
                    contract,
                    path,
                    retry_ambiguous_requests=retry_ambiguous_requests,
                    skip_cases_without_verdict=skip_cases_without_verdict,
                    begins_new_run=begins_new_run,
                    is_read_only=is_read_only,
                )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the journals."""
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the journals, also after an error. The arguments are `None` if there was no error."""
        self.close()

    @property
    def journal_by_provider(self) -> Mapping[str, CaseJournal]:
        """The journals by provider id."""
        return self._journals

    @property
    def spent_by_earlier_runs_usd(self) -> float:
        """Dollars that were or may have been spent by earlier commands that ended early or lost requests."""
        return sum(self.spent_by_earlier_runs_usd_by_provider.values())

    @property
    def spent_by_earlier_runs_usd_by_provider(self) -> dict[str, float]:
        """The dollars of `spent_by_earlier_runs_usd` by provider id."""
        return {provider: one.spent_by_earlier_runs_usd for provider, one in self._journals.items()}

    @property
    def earlier_ambiguous_case_ids(self) -> frozenset[str]:
        """Ids of the cases with an ambiguous request of an earlier command."""
        return frozenset().union(*(one.earlier_ambiguous_case_ids for one in self._journals.values()))

    @property
    def ambiguous_requests(self) -> tuple[AmbiguousRequest, ...]:
        """The ambiguous requests of this command and of earlier ones, by provider and time."""
        return tuple(request for one in self._journals.values() for request in one.ambiguous_requests)

    def note_overcharges(self, ledger: Ledger, own_price_usd_by_name: Mapping[str, float]) -> None:
        """Note in `ledger` which charges of earlier commands exceeded their prices or were implausible.

        Unless this is a new run, nothing more is then reserved at those prices.

        Args:
            ledger: the ledger.
            own_price_usd_by_name: the prices that the user states, see `PurchaseAccount.note_overcharges`.
        """
        self._ledger = ledger
        self._note_wrong_charges(ledger, own_price_usd_by_name)

    def find_overcharge_message(self, own_price_usd_by_name: Mapping[str, float]) -> str | None:
        """Return the error message about the first wrong charge of earlier commands; `None` without one.

        See `note_overcharges` for the argument.
        """
        ledger = Ledger()
        self._note_wrong_charges(ledger, own_price_usd_by_name)
        return ledger.first_overcharge_message

    def _note_wrong_charges(self, ledger: Ledger, own_price_usd_by_name: Mapping[str, float]) -> None:
        """Note wrong charges of earlier commands in `ledger`, unless this is a new run."""
        for one in () if self._begins_new_run else self._journals.values():
            # The id of a case begins with the name of its target or operation.
            one.account.note_overcharges(ledger, lambda case_id: case_id.partition(": ")[0], own_price_usd_by_name)

    def end(self, stop_reason: StopReason | None) -> None:
        """End the command, whose result was printed, and forget the requests if it came to its end.

        The requests stay if the same command is to continue with them, and if a charge was wrong: otherwise each
        repetition of the command, as in a nightly job, would pay for another request to find the wrong charge again.

        Args:
            stop_reason: why the command ended early; `None` if it did not.
        """
        if stop_reason in RESUMED_STOP_REASONS:
            return
        if self._ledger is None or self._ledger.first_overcharge_message is None:
            self.forget_requests(keep_ambiguous_requests=True)
            return
        for one in self._journals.values():
            one.record_report()

    def forget_requests(self, *, keep_ambiguous_requests: bool = False) -> None:
        """Forget the requests in all journals. Call this after their result was printed; see `CaseJournal`."""
        for one in self._journals.values():
            one.forget_requests(keep_ambiguous_requests=keep_ambiguous_requests)

    def close(self) -> None:
        """Close the files of all journals."""
        for one in self._journals.values():
            one.close()


_MAX_OPEN_ATTEMPTS = 50
"""Maximum number of attempts to open a journal while other processes remove its folder."""


def _open_journal(path: Path) -> tuple[list[Path], Journal]:
    """Open a journal; return the folders that were created for it, too.

    Opening is tried again if another command, which has just ended, removes a folder that this journal needs.
    """
    for _ in range(_MAX_OPEN_ATTEMPTS - 1):
        with contextlib.suppress(StorageError):
            return _create_journal(path)
    return _create_journal(path)


def _create_journal(path: Path) -> tuple[list[Path], Journal]:
    check_writable(path)  # before a folder is created: no link leads elsewhere
    return _create_folders(path.parent), Journal(path, is_durable=True)


def _create_folders(folder: Path) -> list[Path]:
    """Create a folder and its missing parents; return those that were created, the innermost first."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create {folder}: {error.strerror}") from error
    return missing
