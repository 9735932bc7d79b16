"""Records what is paid for, so that it survives crashes, and what earlier commands paid for.

A submit is recorded before it is sent and again after its response, so that the journal shows what was paid for and
what was received, even if the process is killed at any moment:

    {"event": "submit_started", "id": ID, "submitted_at": TIME, "price_usd": PRICE}
    {"event": "submit_not_sent", "id": ID}       no connection: it cannot be charged
    {"event": "submit_completed", "id": ID, "http_status": 202, "billing_status": "accepted",
     "job_id": JOB or null}

Benchmarks and checks add events of their own, which say when the result of a submit is saved.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Generic, NoReturn, Self, TypeVar

import msgspec

from voicegauge.client.ledger import Ledger, Settlement, is_overcharge
from voicegauge.contract.operation import Operation
from voicegauge.errors import DataError, StorageError
from voicegauge.files import check_writable, read_file
from voicegauge.model.base import Record, convert_to_micro_usd
from voicegauge.model.exchange import AmbiguousRequest, BillingStatus

# Reads from a journal what each submit cost and whether it brought a result.


@dataclass
class Purchase:
    """One submit, and what the journal says about its price and its result."""

    submitted_at: str
    """Time of the submit: UTC, ISO 8601."""
    price_usd: float | None
    """The price in dollars; `None` if it is not known."""
    billing_status: BillingStatus = BillingStatus.AMBIGUOUS
    """Whether the submit is charged, as far as the journal says."""
    http_status: int | None = None
    """HTTP status of the response; `None` if no response was received."""
    job_id: str | None = None
    """Id with which the submit's job can be polled; `None` if there is no such job."""
    is_job_resumable: bool = True
    """Whether a later command can resume the job; if not, its result is lost when voicegauge is stopped."""
    charged_usd: float | None = None
    """The charge in dollars that the provider reported; `None` if it reported none."""
    unreadable_charge: str | None = None
    """The implausible charge that the response states, in words; `None` if there is none."""
    has_saved_result: bool = False
    """Whether the result of the submit is known and saved."""
    missing_result_reason: str | None = None
    """Why the submit brought no result; `None` if the journal does not say why."""
    idempotency_key: str | None = None
    """The idempotency key in the request; `None` without one."""
    is_companion: bool = False
    """Whether this submit is the companion of another: a check sends both at the same moment, to find out whether the
    service confuses their results."""
    place: str | None = None
    """The place of the worker that was to send the submit; `None` if this machine sends it."""

    @property
    def awaits_job_result(self) -> bool:
        """Whether the submit started a job that can be resumed and whose result is not saved yet."""
        return self.job_id is not None and self.is_job_resumable and not self.has_saved_result

    @property
    def is_ambiguous(self) -> bool:
        """Whether the submit may have been charged, or was and has neither a saved result nor a job to resume.

        A free submit is never ambiguous: it can be sent again at no cost.
        """
        if self.charge_or_price_usd == 0:
            return False
        if self.has_saved_result or self.billing_status is not BillingStatus.ACCEPTED:
            return self.billing_status is BillingStatus.AMBIGUOUS
        return not self.awaits_job_result

    @property
    def has_wrong_charge(self) -> bool:
        """Whether the provider charged more than the price, or states a charge that cannot be believed."""
        if self.charged_usd is None or self.price_usd is None:
            return self.unreadable_charge is not None
        is_above = is_overcharge(convert_to_micro_usd(self.price_usd), convert_to_micro_usd(self.charged_usd))
        return is_above or self.unreadable_charge is not None

    def can_be_repeated_without_charge(self, operation: Operation, now: datetime) -> bool:
        """Whether the submit is ambiguous and would not be charged again with its idempotency key.

        The provider remembers the key for the time that the contract documents.
        """
        spec = operation.idempotency
        if not self.is_ambiguous or self.idempotency_key is None or spec is None or spec.key_lifetime_s is None:
            return False
        return (now - datetime.fromisoformat(self.submitted_at)).total_seconds() < spec.key_lifetime_s

    @property
    def charge_or_price_usd(self) -> float | None:
        """The reported charge in dollars, or else the price; `None` if neither is known."""
        return self.price_usd if self.charged_usd is None else self.charged_usd

    @property
    def ambiguous_reason(self) -> str:
        """Why the result of an ambiguous submit is unknown or was not saved."""
        if self.missing_result_reason is not None:
            return self.missing_result_reason
        if self.http_status is None:
            return "voicegauge was stopped before a response arrived"
        if self.billing_status is BillingStatus.ACCEPTED:
            if self.job_id is not None:
                return "the job was not finished when voicegauge was stopped"
            return f"the response (HTTP {self.http_status}) arrived and could not be saved"
        return f"the service may have performed the request before it failed (HTTP {self.http_status})"

    def add_to_ledger(self, ledger: Ledger) -> None:
        """Add what the submit cost to `ledger`, by the rule that applies to requests of this process."""
        ledger.reserve_unconditionally(self.price_usd or 0.0).settle(
            may_be_charged=self.billing_status.may_be_charged,
            charged_usd=self.charged_usd,
            unreadable_charge=self.unreadable_charge,
        )


@dataclass
class PurchaseHistory:
    """The submits for one sample or case, in the order of sending."""

    sample_or_case_id: str
    purchases: list[Purchase] = field(default_factory=list)

    def find_last_purchase(self, *, is_companion: bool = False) -> Purchase | None:
        """Return the last submit among the companions, or else among the other submits; `None` without one."""
        return next((one for one in reversed(self.purchases) if one.is_companion is is_companion), None)

    def record_submit(
        self,
        submitted_at: str,
        price_usd: float | None,
        idempotency_key: str | None = None,
        *,
        is_companion: bool = False,
    ) -> None:
        """Note that another submit begins, or that the last one is repeated with its idempotency key.

        `price_usd` is the price in dollars, `None` if unknown; `idempotency_key` is `None` for a submit without one.
        """
        last = self.find_last_purchase(is_companion=is_companion)
        # With the same key, the provider charges once, so it stays one purchase.
        if last is not None and idempotency_key is not None and last.idempotency_key == idempotency_key:
            last.billing_status, last.http_status, last.job_id = BillingStatus.AMBIGUOUS, None, None
            last.has_saved_result, last.missing_result_reason = False, None
        else:
            self.purchases.append(
                Purchase(submitted_at, price_usd, idempotency_key=idempotency_key, is_companion=is_companion)
            )

    @property
    def last_ambiguous_purchase(self) -> Purchase | None:
        """The last request, or its companion, if it may have been charged without a known result; else `None`."""
        lasts = (self.find_last_purchase(), self.find_last_purchase(is_companion=True))
        return next((one for one in lasts if one is not None and one.is_ambiguous), None)

    @property
    def is_last_request_ambiguous(self) -> bool:
        """Whether the last request for the sample or case may have been charged although its result is unknown."""
        return self.last_ambiguous_purchase is not None

    @property
    def attempt_count(self) -> int:
        """Number of submits of the last delivery: the last submit and the rejected ones immediately before it."""
        rejected = itertools.takewhile(lambda one: not one.billing_status.may_be_charged, reversed(self.purchases[:-1]))
        return 1 + sum(1 for _ in rejected)

    @property
    def ambiguous_requests(self) -> list[AmbiguousRequest]:
        """The ambiguous requests for the sample or case, oldest first."""
        return [
            AmbiguousRequest(
                sample_or_case_id=self.sample_or_case_id,
                sent_at=one.submitted_at,
                counted_usd=one.charge_or_price_usd,
                reason=one.ambiguous_reason,
                was_sent_again=any(later.is_companion is one.is_companion for later in self.purchases[index + 1 :]),
            )
            for index, one in enumerate(self.purchases)
            if one.is_ambiguous
        ]


HistoryT = TypeVar("HistoryT", bound=PurchaseHistory)


class PurchaseAccount(Generic[HistoryT]):
    """The submits of all samples or cases, as read from a journal."""

    def __init__(self, history_by_id: Mapping[str, HistoryT] | None = None) -> None:
        """Create an account from the history of each sample or case, by its id; `None` for an empty account."""
        self.histories: Mapping[str, HistoryT] = {} if history_by_id is None else history_by_id

    @functools.cached_property
    def ids_with_ambiguous_last_request(self) -> frozenset[str]:
        """Ids of the samples or cases whose last request is ambiguous, whether they are finished or not."""
        return frozenset(name for name, one in self.histories.items() if one.is_last_request_ambiguous)

    @functools.cached_property
    def ambiguous_requests(self) -> tuple[AmbiguousRequest, ...]:
        """All ambiguous requests, oldest first."""
        return tuple(
            sorted((a for one in self.histories.values() for a in one.ambiguous_requests), key=lambda one: one.sent_at)
        )

    @property
    def spent_usd(self) -> float:
        """Dollars that were or may have been charged, including open jobs and ambiguous requests."""
        return self.sum_spent_usd_except_last_requests(())

    def sum_spent_usd_except_last_requests(
        self, pending_ids: Collection[str], is_counted: Callable[[str], bool] = lambda _: True
    ) -> float:
        """Return `spent_usd` without what the last request for each sample or case in `pending_ids` cost.

        Args:
            pending_ids: ids of samples or cases.
            is_counted: whether a sample or case counts at all, by its id.
        """
        ledger = Ledger()
        for name, one in self.histories.items():
            for purchase in one.purchases[: -1 if name in pending_ids else None] if is_counted(name) else ():
                purchase.add_to_ledger(ledger)
        return ledger.spent_usd

    def note_overcharges(
        self,
        ledger: Ledger,
        find_price_name: Callable[[str], str],
        own_price_usd_by_name: Mapping[str, float] = {},
    ) -> None:
        """Note in `ledger` each charge that exceeds its price or is implausible.

        Nothing more is then reserved at that price.

        Args:
            ledger: the ledger.
            find_price_name: returns the name of the target or operation of a sample or case, by its id.
            own_price_usd_by_name: the prices in dollars per request that the user states for this command, by the name
                of the target or operation. A charge up to such a price is not too high.
        """
        for name, one in self.histories.items():
            price_name = find_price_name(name)
            for purchase in one.purchases:
                if purchase.charged_usd is not None and purchase.price_usd is not None:
                    price_usd = max(purchase.price_usd, own_price_usd_by_name.get(price_name, 0.0))
                    ledger.note_charge(price_name, price_usd, purchase.charged_usd)
                if purchase.unreadable_charge is not None:
                    ledger.note_unreadable_charge(price_name, purchase.unreadable_charge)

    @property
    def is_empty(self) -> bool:
        """Whether no request has been sent."""
        return not self.histories

    @property
    def may_have_been_charged(self) -> bool:
        """Whether any request may have been charged, so that sending all of them again would pay for it twice."""
        return any(
            purchase.billing_status.may_be_charged for one in self.histories.values() for purchase in one.purchases
        )


# Writes and reads journals of submits, which have one JSON line per event.


_NonNegativeUsd = Annotated[float, msgspec.Meta(ge=0)]


class SubmitStartedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="submit_started"):
    """Written before a submit is sent. From this moment on, the submit may have to be paid for."""

    sample_or_case_id: str = msgspec.field(name="id")
    """Id of the sample or case that the submit is for."""
    submitted_at: str
    """Time of the submit: UTC, ISO 8601."""
    price_usd: _NonNegativeUsd | None
    """The user's own price in dollars, or else the price according to the contract; `None` if it is not known."""
    idempotency_key: str | None = None
    """The idempotency key in the request; `None` without one. Submits with the same key are charged once."""
    is_companion: bool = False
    """Whether this submit is the companion of another: a check sends both at the same moment, to find out whether the
    service confuses their results."""
    place: str | None = None
    """The place of the worker that is to send the submit; `None` if this machine sends it."""

    def add_to_history(self, history: PurchaseHistory) -> None:
        """Note the event in the history of its sample or case."""
        history.record_submit(self.submitted_at, self.price_usd, self.idempotency_key, is_companion=self.is_companion)
        if self.place is not None:
            history.purchases[-1].place = self.place


class SubmitNotSentEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="submit_not_sent"):
    """Written if a submit was announced but not sent, because there was no connection."""

    sample_or_case_id: str = msgspec.field(name="id")
    """Id of the sample or case that the submit is for."""
    is_companion: bool = False
    """Whether the submit is a companion; see `SubmitStartedEvent`."""

    def add_to_history(self, history: PurchaseHistory) -> None:
        """Note that the last submit never left this machine."""
        if (last := history.find_last_purchase(is_companion=self.is_companion)) is not None:
            last.billing_status = BillingStatus.NOT_SENT


class SubmitCompletedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="submit_completed"):
    """Written after the response to a submit was received."""

    sample_or_case_id: str = msgspec.field(name="id")
    """Id of the sample or case that the submit is for."""
    http_status: int
    """HTTP status of the response."""
    billing_status: BillingStatus
    """Whether the request is charged, according to the response."""
    job_id: str | None
    """Id with which the job can be polled again; `None` if the response did not accept such a job."""
    charged_usd: _NonNegativeUsd | None = None
    """The charge in dollars that the response reported; `None` if it reported none."""
    unreadable_charge: str | None = None
    """The implausible charge that the response states, in words; `None` if there is none."""
    is_companion: bool = False
    """Whether the submit is a companion; see `SubmitStartedEvent`."""

    def add_to_history(self, history: PurchaseHistory) -> None:
        """Note the response to the last submit."""
        if (last := history.find_last_purchase(is_companion=self.is_companion)) is not None:
            last.http_status, last.billing_status, last.job_id = self.http_status, self.billing_status, self.job_id
            last.charged_usd, last.unreadable_charge = self.charged_usd, self.unreadable_charge


SubmitEvent = SubmitStartedEvent | SubmitNotSentEvent | SubmitCompletedEvent
"""What a journal says about a submit."""


class SubmitRecorder:
    """A `SubmitObserver` that writes the events of each submit for one sample or case."""

    def __init__(
        self,
        record_event: Callable[[SubmitEvent], None],
        sample_or_case_id: str,
        price_usd: float | None,
        *,
        is_companion: bool = False,
        place: str | None = None,
        waits_for_disk: bool = True,
    ) -> None:
        """Record the submits with the function `record_event`.

        Args:
            record_event: called with each event, such as `Journal.write`.
            sample_or_case_id: id of the sample or case.
            price_usd: price of each submit in dollars; `None` if it is not known.
            is_companion: whether the submits are companions, see `SubmitStartedEvent`.
            place: the place of the worker that is to send them; `None` if this machine sends them.
            waits_for_disk: whether `record_event` may wait for the disk.
        """
        self._record_event, self._sample_or_case_id, self._price_usd = record_event, sample_or_case_id, price_usd
        self._is_companion, self._place, self.waits_for_disk = is_companion, place, waits_for_disk

    def before_submit(self, idempotency_key: str | None = None) -> None:
        """Record that the submit may cost money from now on; `idempotency_key` is `None` if the request has none."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._record_event(
            SubmitStartedEvent(
                sample_or_case_id=self._sample_or_case_id,
                submitted_at=at,
                price_usd=self._price_usd,
                idempotency_key=idempotency_key,
                is_companion=self._is_companion,
                place=self._place,
            )
        )

    def on_submit_not_sent(self) -> None:
        """Record that the request was not sent, so that it cost nothing."""
        self._record_event(
            SubmitNotSentEvent(sample_or_case_id=self._sample_or_case_id, is_companion=self._is_companion)
        )

    def after_submit(self, http_status: int, settlement: Settlement, job_id: str | None) -> None:
        """Record the response to the submit, and the id of the job; `job_id` is `None` if the response names none."""
        self._record_event(
            SubmitCompletedEvent(
                sample_or_case_id=self._sample_or_case_id,
                http_status=http_status,
                billing_status=settlement.status,
                job_id=job_id,
                charged_usd=settlement.charged_usd,
                unreadable_charge=settlement.unreadable_charge,
                is_companion=self._is_companion,
            )
        )


_MAX_LOCK_ATTEMPTS = 100
"""Maximum number of times that a file is opened again because another process removed or replaced it meanwhile."""


def lock_file(path: Path, *, in_use_message: str) -> FileIO:
    """Open a file for appending, creating it if it does not exist, and lock it until it is closed.

    Another process may remove or replace the file between opening and locking it: a lock of a file that `path` no
    longer leads to would protect nothing, so the file is opened again.

    Raises:
        DataError: another process has locked the file; the message is `in_use_message`.
        StorageError: the file cannot be written.
    """
    for _ in range(_MAX_LOCK_ATTEMPTS):
        check_writable(path)
        try:
            file = path.open("ab", buffering=0)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise DataError(in_use_message) from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()
    raise DataError(in_use_message)


class Journal:
    """A journal that is open for writing; a context manager. Only one process at a time can open it."""

    def __init__(self, path: Path, *, is_durable: bool) -> None:
        """Open the journal, or create it.

        Args:
            path: the file of the journal. Its folder must exist.
            is_durable: whether to wait until each line is on disk; used for whatever costs money.

        Raises:
            DataError: another process is writing the journal.
            StorageError: the journal cannot be written.
        """
        self.path = path
        self._durable = is_durable
        # Two locks, so that other threads append lines while one waits for the disk.
        self._lock, self._sync_lock = threading.Lock(), threading.Lock()
        self._written_count = self._synced_count = 0
        """Numbers of lines that were written, and that are known to be on disk."""
        self._write_error: StorageError | None = None
        self._deferred: list[Record] = []
        self._file = lock_file(
            path,
            in_use_message=f"{path}: in use by another process, which pays for requests to the same targets: wait "
            "until it has ended, then repeat this command, or name other targets",
        )
        # Drop a last line that a crash cut short, so that the next line is not appended to it.
        self._synced_size = read_file(self.path).rfind(b"\n") + 1
        os.ftruncate(self._file.fileno(), self._synced_size)

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the journal. The arguments describe the error that ended the block, and are `None` without one."""
        self.close()

    def close(self) -> None:
        """Close the journal. Deferred events are not written. Later calls do nothing."""
        self._file.close()

    def defer(self, event: Record) -> None:
        """Append `event` together with the next event that is written, without waiting; for what costs nothing."""
        with self._lock:
            self._deferred.append(event)

    def flush(self) -> None:
        """Write the deferred events.

        Raises:
            StorageError: as `write`.
        """
        self.write_all([])

    def write(self, event: Record) -> None:
        """Append `event`. Several threads may do so; lines that they write meanwhile reach the disk together.

        A line that could not be written completely is removed, so that the journal never contains
        half a line. Every later call raises the same error.

        Raises:
            StorageError: the disk is full, or the file cannot be written.
        """
        self.write_all([event])

    def write_all(self, events: Sequence[Record]) -> None:
        """Append events in one write; see `write`."""
        with self._lock:
            self._raise_write_error()
            deferred, self._deferred = self._deferred, []
            lines = b"".join(msgspec.json.encode(event) + b"\n" for event in (*deferred, *events))
            before = os.fstat(self._file.fileno()).st_size
            try:
                written = self._file.write(lines)
                if written != len(lines):
                    self._file.write(lines[written:])  # raises the error that cut the first write short
            except OSError as error:
                self._truncate_and_reject_writes(error, before)
            self._written_count += 1
            number = self._written_count
        if self._durable:
            self._wait_until_line_is_on_disk(number)

    def _wait_until_line_is_on_disk(self, number: int) -> None:
        """Wait until the line with this number is on disk.

        A disk completes only some hundred writes a second, so one thread waits for the lines of all threads together.
        """
        with self._sync_lock:
            if self._synced_count >= number:
                return
            with self._lock:
                self._raise_write_error()
                written_count, size = self._written_count, os.fstat(self._file.fileno()).st_size
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                with self._lock:  # the writers of these lines wait for them, and get the error
                    self._truncate_and_reject_writes(error, self._synced_size)
            self._synced_count, self._synced_size = written_count, size

    def _raise_write_error(self) -> None:
        """Raise the error with which an earlier write failed, if one did."""
        if self._write_error is not None:
            raise self._write_error

    def _truncate_and_reject_writes(self, error: OSError, size: int) -> NoReturn:
        """Remove what follows the first `size` bytes of the journal, and raise `error`, now and at each later write."""
        os.ftruncate(self._file.fileno(), size)
        self._write_error = StorageError(
            f"cannot write {self.path}: {error.strerror}: free some disk space, then repeat the command"
        )
        raise self._write_error from error


def read_events(path: Path, event_types: Any) -> Iterator[Any]:
    """Yield the events of a journal; a last line that a crash cut short is ignored. Yield none if there is no journal.

    Args:
        path: the file of the journal.
        event_types: the union of the types of its events.

    Raises:
        DataError: the journal cannot be read, or a line other than the last is damaged.
    """
    try:
        raw = read_file(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    decoder = msgspec.json.Decoder(event_types)
    complete_lines, _, _ = raw.rpartition(b"\n")
    for number, line in enumerate(complete_lines.split(b"\n"), start=1):
        if not line:
            continue
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path}:{number}: is damaged: {error}") from error
