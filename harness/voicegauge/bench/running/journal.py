"""Journal of a run: one JSON line per event, on disk before anything depends on it.

A submit is recorded before it is sent and again after its response, so that a run killed
at any moment knows what it paid for:

    {"event": "submit_started", "sample": ID, "at": TIME, "usd": PRICE}
    {"event": "submit_completed", "sample": ID, "status": 202, "job": JOB or null}
    {"event": "sample_finished", "sample": {...}, "spent_usd": TOTAL}
    {"event": "sample_abandoned", "sample": ID}      the user stopped it while in flight
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from voicegauge.errors import DataError, UsageError
from voicegauge.model import Record, Sample

JOURNAL_FILE = "journal.jsonl"


class SubmitStarted(Record, frozen=True, kw_only=True, tag_field="event", tag="submit_started"):
    """A submit is about to be sent; from now on it may have been paid for."""

    sample: str
    at: str
    """UTC, ISO 8601."""
    usd: float | None
    """The price by the contract, or the user's own price."""


class SubmitCompleted(Record, frozen=True, kw_only=True, tag_field="event", tag="submit_completed"):
    """The response to a submit was received."""

    sample: str
    status: int
    job: str | None
    """The job's id; `None` where the response accepted no job."""


class SampleFinished(Record, frozen=True, kw_only=True, tag_field="event", tag="sample_finished"):
    """A sample finished, successfully or not."""

    sample: Sample
    spent_usd: float
    """Total spent by the run so far."""


class SampleAbandoned(Record, frozen=True, kw_only=True, tag_field="event", tag="sample_abandoned"):
    """The user stopped the run while the sample was in flight; its job was cancelled where the provider can."""

    sample: str


JournalEvent = SubmitStarted | SubmitCompleted | SampleFinished | SampleAbandoned


class JournalState(Record, frozen=True, kw_only=True):
    """State of an interrupted run, as read from its journal."""

    finished: dict[str, Sample] = {}
    """By sample id."""
    pending_jobs: dict[str, str] = {}
    """Ids of the jobs submitted and not finished, by sample id."""
    abandoned: frozenset[str] = frozenset()
    """Ids of the samples that the user stopped."""
    spent_usd: float = 0.0
    """Total spent, including what may have been paid for without being finished."""

    @property
    def has_paid_results(self) -> bool:
        """Whether a new run would pay for something again."""
        return bool(self.pending_jobs) or any(sample.failure is None for sample in self.finished.values())


class Journal:
    """A journal open for writing; a context manager. Only one process can hold it open."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        """Open the journal of the run in `folder`, or create it.

        Args:
            folder: folder of the run.
            durable: wait for the disk after each line, for runs that cost money.

        Raises:
            DataError: another process is writing it.
            UsageError: it cannot be written.
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

        A line that could not be written completely is removed, and every later call raises
        the same error, so that the journal never contains half a line.

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
        The state of the run; an empty one where there is no journal.

    Raises:
        DataError: the journal cannot be read, or a line other than the last is damaged.
    """
    finished: dict[str, Sample] = {}
    pending_jobs: dict[str, str] = {}
    open_submits_usd: dict[str, float] = {}
    abandoned: set[str] = set()
    spent_usd = 0.0
    for event in _read_events(folder / JOURNAL_FILE):
        match event:
            case SubmitStarted():
                open_submits_usd[event.sample] = event.usd or 0.0
                abandoned.discard(event.sample)
            case SubmitCompleted():
                if event.status >= 400:  # rejected, so not paid for
                    open_submits_usd.pop(event.sample, None)
                elif event.job is not None:
                    pending_jobs[event.sample] = event.job
            case SampleFinished():
                finished[event.sample.id] = event.sample
                spent_usd = event.spent_usd
                open_submits_usd.pop(event.sample.id, None)
                pending_jobs.pop(event.sample.id, None)
            case SampleAbandoned():
                abandoned.add(event.sample)
    return JournalState(
        finished=finished,
        pending_jobs=pending_jobs,
        abandoned=frozenset(abandoned),
        # An unfinished submit counts as paid: the budget must hold in the worst case.
        spent_usd=spent_usd + sum(open_submits_usd.values()),
    )


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
