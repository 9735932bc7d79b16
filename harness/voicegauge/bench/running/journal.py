"""Writes and reads the journal of a run, which has one JSON line per event.

A submit is recorded before it is sent and again after its response, so that the journal shows
what was paid for and what was received, even if the run is killed at any moment:

    {"event": "submit_started", "sample": ID, "at": TIME, "usd": PRICE}
    {"event": "submit_not_sent", "sample": ID}       no connection: it cannot be charged
    {"event": "submit_completed", "sample": ID, "status": 202, "billing": "accepted", "job": JOB or null}
    {"event": "job_left_open", "sample": {...}}      its status could not be fetched: the next run polls it
    {"event": "sample_finished", "sample": {...}, "billing": "accepted"}
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from voicegauge.bench.running.purchases import JournalState, SamplePurchases
from voicegauge.errors import DataError, UsageError
from voicegauge.model import BillingStatus, Record, Sample

JOURNAL_FILE = "journal.jsonl"


class SubmitStarted(Record, frozen=True, kw_only=True, tag_field="event", tag="submit_started"):
    """A submit is about to be sent; from now on it may have been paid for."""

    sample: str
    at: str
    """Time of the submit: UTC, ISO 8601."""
    usd: float | None
    """The user's own price in dollars, or else the price according to the contract; `None` if it is not known."""


class SubmitNotSent(Record, frozen=True, kw_only=True, tag_field="event", tag="submit_not_sent"):
    """The request of the last submit never left this machine."""

    sample: str


class SubmitCompleted(Record, frozen=True, kw_only=True, tag_field="event", tag="submit_completed"):
    """The response to a submit was received."""

    sample: str
    status: int
    billing: BillingStatus
    """Whether the request is charged, according to the response."""
    job: str | None
    """Id with which the job can be polled again; `None` if the response did not accept such a job."""
    charged_usd: float | None = None
    """The charge in dollars that the response reported; `None` if it reported none."""


class JobLeftOpen(Record, frozen=True, kw_only=True, tag_field="event", tag="job_left_open"):
    """The status or the result of a job could not be fetched; a later run of the same plan polls it again."""

    sample: Sample
    """The sample as a failure, which counts unless a later run gets the job's result."""
    is_emulated: bool = False
    """Whether a response identified itself as coming from voicegauge's emulator."""


class SampleFinished(Record, frozen=True, kw_only=True, tag_field="event", tag="sample_finished"):
    """A sample was finished, successfully or not."""

    sample: Sample
    billing: BillingStatus
    """What is known about whether the last request of the sample is charged."""
    is_emulated: bool = False
    """Whether a response identified itself as coming from voicegauge's emulator."""


JournalEvent = SubmitStarted | SubmitNotSent | SubmitCompleted | JobLeftOpen | SampleFinished


class Journal:
    """A journal that is open for writing; a context manager. Only one process at a time can open it."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        """Open the journal of the run in `folder`, or create it.

        Args:
            folder: folder of the run.
            durable: whether to wait until each line is on disk; used for runs that cost money.

        Raises:
            DataError: another process is writing the journal.
            UsageError: the journal cannot be written.
        """
        self.path = folder / JOURNAL_FILE
        self._durable = durable
        self._write_error: UsageError | None = None
        try:
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise DataError(f"{folder}: another process is running this benchmark") from error
        # Drop a last line that a crash cut short, so that the next line is not appended to it.
        os.ftruncate(self._file.fileno(), self.path.read_bytes().rfind(b"\n") + 1)

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the journal."""
        self._file.close()

    def write(self, event: JournalEvent) -> None:
        """Append `event`.

        A line that could not be written completely is removed, so that the journal never contains
        half a line. Every later call raises the same error.

        Raises:
            UsageError: the disk is full, or the file cannot be written.
        """
        if self._write_error is not None:
            raise self._write_error
        line = msgspec.json.encode(event) + b"\n"
        before = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(line)
            if written != len(line):
                self._file.write(line[written:])  # raises the error that cut the first write short
            if self._durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            os.ftruncate(self._file.fileno(), before)
            self._write_error = UsageError(
                f"cannot write {self.path}: {error.strerror}: free some disk space, then repeat the command"
            )
            raise self._write_error from error


def read_journal(folder: Path) -> JournalState:
    """Read the journal in `folder`; a last line that a crash cut short is ignored.

    Returns:
        The state of the run; an empty state if there is no journal.

    Raises:
        DataError: the journal cannot be read, or a line other than the last is damaged.
    """
    samples: dict[str, SamplePurchases] = {}
    is_emulated = False

    def purchases_of(sample: str) -> SamplePurchases:
        return samples.setdefault(sample, SamplePurchases(sample))

    for event in _read_events(folder / JOURNAL_FILE):
        match event:
            case SubmitStarted():
                purchases_of(event.sample).start(event.at, event.usd)
            case SubmitNotSent():
                purchases_of(event.sample).mark_not_sent()
            case SubmitCompleted():
                purchases_of(event.sample).respond(event.status, event.billing, event.job, event.charged_usd)
            case JobLeftOpen():
                purchases_of(event.sample.id).leave_open(event.sample)
                is_emulated |= event.is_emulated
            case SampleFinished():
                purchases_of(event.sample.id).finish(event.sample, event.billing)
                is_emulated |= event.is_emulated
    return JournalState(samples, is_emulated=is_emulated)


def _read_events(path: Path) -> Iterator[JournalEvent]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    decoder = msgspec.json.Decoder(JournalEvent)
    complete_lines, _, _ = raw.rpartition(b"\n")
    for number, line in enumerate(complete_lines.split(b"\n"), start=1):
        if not line:
            continue
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path}:{number}: is damaged: {error}") from error
