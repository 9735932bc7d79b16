"""The journal of a run: one JSON line an event, on disk before anything depends on it.

A submit is written down before it is sent and again when it is answered, so that a
run killed at any moment knows what it paid for:

    {"event": "submitting", "sample": ID, "at": TIME, "usd": PRICE}
    {"event": "submitted", "sample": ID, "status": 202, "job": JOB or null}
    {"event": "finished", "sample": {...}, "spent_usd": TOTAL}
    {"event": "left", "sample": ID}            the user stopped it half-way
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


class SubmitStarted(Record, frozen=True, kw_only=True, tag_field="event", tag="submitting"):
    """A request is about to be sent, and may be paid for from now on."""

    sample: str
    at: str
    """UTC, ISO 8601."""
    usd: float | None
    """What it costs by the contract, or as the user said."""


class SubmitCompleted(Record, frozen=True, kw_only=True, tag_field="event", tag="submitted"):
    """It was answered."""

    sample: str
    status: int
    job: str | None
    """The job's id, where it was accepted as a job."""


class SampleFinished(Record, frozen=True, kw_only=True, tag_field="event", tag="finished"):
    """It came to its end, well or badly."""

    sample: Sample
    spent_usd: float
    """All that the run had spent by then."""


class SampleAbandoned(Record, frozen=True, kw_only=True, tag_field="event", tag="left"):
    """The user stopped the run while it was under way; the provider was told to cancel it, where it can be."""

    sample: str


Event = SubmitStarted | SubmitCompleted | SampleFinished | SampleAbandoned


class JournalState(Record, frozen=True, kw_only=True):
    """What a journal says of an interrupted run."""

    finished: dict[str, Sample] = {}
    """By sample id."""
    pending_jobs: dict[str, str] = {}
    """Jobs submitted and not finished: job id by sample id."""
    abandoned: frozenset[str] = frozenset()
    """Samples that the user stopped."""
    spent_usd: float = 0.0
    """What is finished, and what may have been paid for without being finished."""

    @property
    def has_paid_results(self) -> bool:
        """Whether anything would be lost by starting afresh."""
        return bool(self.pending_jobs) or any(sample.failure is None for sample in self.finished.values())


class Journal:
    """An open journal; a context manager. Only one process has it open."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        """Open (or make) the journal of the run in `folder`.

        Args:
            folder: of the run.
            durable: wait for the disk after each line, as money is worth; an emulated run does without.

        Raises:
            DataError: another process is writing it.
            UsageError: it cannot be written.
        """
        self.path = folder / JOURNAL_FILE
        self._durable = durable
        self._broken: UsageError | None = None
        try:
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise DataError(f"{folder}: another process is running this benchmark") from error
        # A line that a crash cut short is no line: the next one starts in its place.
        os.ftruncate(self._file.fileno(), self.path.read_bytes().rfind(b"\n") + 1)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._file.close()

    def write(self, event: Event) -> None:
        """Append `event`.

        A line that could not be written whole is taken back, and nothing is written
        after it: what stands is true.

        Raises:
            UsageError: the disk is full, or the file cannot be written.
        """
        if self._broken is not None:
            raise self._broken
        line = msgspec.json.encode(event) + b"\n"
        before = os.fstat(self._file.fileno()).st_size
        try:
            written = self._file.write(line)
            if written != len(line):
                self._file.write(line[written:])  # says why the disk took no more
            if self._durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            os.ftruncate(self._file.fileno(), before)
            self._broken = UsageError(
                f"cannot write {self.path}: {error.strerror}: make room, then give the same command again"
            )
            raise self._broken from error


def read_journal(folder: Path) -> JournalState:
    """What the journal in `folder` says; a last line that a crash cut short is left out.

    Raises:
        DataError: the journal is damaged in its middle.
    """
    finished: dict[str, Sample] = {}
    pending_jobs: dict[str, str] = {}
    unpaid_for: dict[str, float] = {}
    abandoned: set[str] = set()
    spent = 0.0
    for event in _events(folder / JOURNAL_FILE):
        match event:
            case SubmitStarted():
                unpaid_for[event.sample] = event.usd or 0.0
                abandoned.discard(event.sample)
            case SubmitCompleted():
                if event.status >= 400:
                    unpaid_for.pop(event.sample, None)
                elif event.job is not None:
                    pending_jobs[event.sample] = event.job
            case SampleFinished():
                finished[event.sample.id] = event.sample
                spent = event.spent_usd
                unpaid_for.pop(event.sample.id, None)
                pending_jobs.pop(event.sample.id, None)
            case SampleAbandoned():
                abandoned.add(event.sample)
    return JournalState(
        finished=finished,
        pending_jobs=pending_jobs,
        abandoned=frozenset(abandoned),
        spent_usd=spent + sum(unpaid_for.values()),
    )


def _events(path: Path) -> Iterator[Event]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    decoder = msgspec.json.Decoder(Event)
    whole, _, _ = raw.rpartition(b"\n")
    for number, line in enumerate(whole.split(b"\n"), start=1):
        if not line:
            continue
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path}:{number}: is damaged: {error}") from error
