"""Writes and reads journals of submits, which have one JSON line per event.

A submit is recorded before it is sent and again after its response, so that the journal shows what was paid for and
what was received, even if the process is killed at any moment:

    {"event": "submit_started", "id": ID, "at": TIME, "usd": PRICE}
    {"event": "submit_not_sent", "id": ID}       no connection: it cannot be charged
    {"event": "submit_completed", "id": ID, "status": 202, "billing": "accepted", "job": JOB or null}

Benchmarks and checks add events of their own, which say when the result of a submit is saved.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

import msgspec

from voicegauge.client.spending.purchases import PurchaseHistory
from voicegauge.client.spending.settlement import Settlement
from voicegauge.errors import DataError, StorageError
from voicegauge.files import check_writable, read_file
from voicegauge.model import BillingStatus, Record

_NonNegativeUsd = Annotated[float, msgspec.Meta(ge=0)]


class SubmitStartedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="submit_started"):
    """Written before a submit is sent. From this moment on, the submit may have to be paid for."""

    id: str
    """Id of the sample or case that the submit is for."""
    submitted_at: str = msgspec.field(name="at")
    """Time of the submit: UTC, ISO 8601."""
    price_usd: _NonNegativeUsd | None = msgspec.field(name="usd")
    """The user's own price in dollars, or else the price according to the contract; `None` if it is not known."""
    idempotency_key: str | None = None
    """The idempotency key in the request; `None` without one. Submits with the same key are charged once."""

    def add_to_history(self, history: PurchaseHistory) -> None:
        """Note the event in the history of its sample or case."""
        history.record_submit(self.submitted_at, self.price_usd, self.idempotency_key)


class SubmitNotSentEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="submit_not_sent"):
    """Written if a submit was announced but not sent, because there was no connection."""

    id: str
    """Id of the sample or case."""

    def add_to_history(self, history: PurchaseHistory) -> None:
        """Note the event in the history of its sample or case."""
        history.record_submit_not_sent()


class SubmitCompletedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="submit_completed"):
    """Written after the response to a submit was received."""

    id: str
    """Id of the sample or case."""
    http_status: int = msgspec.field(name="status")
    billing_status: BillingStatus = msgspec.field(name="billing")
    """Whether the request is charged, according to the response."""
    job_id: str | None = msgspec.field(name="job")
    """Id with which the job can be polled again; `None` if the response did not accept such a job."""
    charged_usd: _NonNegativeUsd | None = None
    """The charge in dollars that the response reported; `None` if it reported none."""

    def add_to_history(self, history: PurchaseHistory) -> None:
        """Note the event in the history of its sample or case."""
        history.record_response(self.http_status, self.billing_status, self.job_id, self.charged_usd)


SubmitEvent = SubmitStartedEvent | SubmitNotSentEvent | SubmitCompletedEvent


class SubmitRecorder:
    """A `SubmitObserver` that writes the events of each submit for one sample or case."""

    def __init__(
        self, record_event: Callable[[SubmitEvent], None], sample_or_case_id: str, price_usd: float | None
    ) -> None:
        """Record the submits with the function `record_event`.

        Args:
            record_event: called with each event, such as `Journal.write`.
            sample_or_case_id: id of the sample or case.
            price_usd: price of each submit in dollars; `None` if it is not known.
        """
        self._record, self._name, self._usd = record_event, sample_or_case_id, price_usd

    def before_submit(self, idempotency_key: str | None = None) -> None:
        """Record that the submit may cost money from now on."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._record(
            SubmitStartedEvent(id=self._name, submitted_at=at, price_usd=self._usd, idempotency_key=idempotency_key)
        )

    def on_submit_not_sent(self) -> None:
        """Record that the request was not sent, so that it cost nothing."""
        self._record(SubmitNotSentEvent(id=self._name))

    def after_submit(self, http_status: int, settlement: Settlement, job_id: str | None) -> None:
        """Record the response and the id of the job."""
        self._record(
            SubmitCompletedEvent(
                id=self._name,
                http_status=http_status,
                billing_status=settlement.status,
                job_id=job_id,
                charged_usd=settlement.charged_usd,
            )
        )


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
        self._lock = threading.Lock()
        self._write_error: StorageError | None = None
        check_writable(self.path)
        try:
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise DataError(f"{self.path}: in use by another process: wait until it has ended") from error
        # Drop a last line that a crash cut short, so that the next line is not appended to it.
        os.ftruncate(self._file.fileno(), read_file(self.path).rfind(b"\n") + 1)

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the journal."""
        self.close()

    def close(self) -> None:
        """Close the journal. Later calls do nothing."""
        self._file.close()

    def write(self, event: Record) -> None:
        """Append `event`. Several threads may do so.

        A line that could not be written completely is removed, so that the journal never contains
        half a line. Every later call raises the same error.

        Raises:
            StorageError: the disk is full, or the file cannot be written.
        """
        with self._lock:
            if self._write_error is not None:
                raise self._write_error
            self._append(msgspec.json.encode(event) + b"\n")

    def _append(self, line: bytes) -> None:
        before = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(line)
            if written != len(line):
                self._file.write(line[written:])  # raises the error that cut the first write short
            if self._durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            os.ftruncate(self._file.fileno(), before)
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
