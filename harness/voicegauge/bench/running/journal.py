"""Reads and writes the journal of a run. It contains the events of submits, and those of samples.

The events of samples:

{"event": "job_left_open", "sample": {...}}      status or result of the job could not be fetched
{"event": "sample_finished", "sample": {...}, "billing": "accepted"}
"""

from __future__ import annotations

from pathlib import Path

from voicegauge.bench.running.purchases import JournalState, SamplePurchases
from voicegauge.client import Journal, SubmitCompletedEvent, SubmitNotSentEvent, SubmitStartedEvent, read_events
from voicegauge.model import BillingStatus, Record, Sample

JOURNAL_FILE_NAME = "journal.jsonl"


class JobLeftOpenEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="job_left_open"):
    """The status or the result of a job could not be fetched; a later run of the same plan polls it again."""

    sample: Sample
    """The sample as a failure, which counts unless a later run gets the job's result."""
    is_emulated: bool = False
    """Whether a response identified itself as coming from voicegauge's emulator."""


class SampleFinishedEvent(Record, frozen=True, kw_only=True, tag_field="event", tag="sample_finished"):
    """A sample was finished, successfully or not."""

    sample: Sample
    billing: BillingStatus
    """What is known about whether the last request of the sample is charged."""
    is_emulated: bool = False
    """Whether a response identified itself as coming from voicegauge's emulator."""


JournalEvent = SubmitStartedEvent | SubmitNotSentEvent | SubmitCompletedEvent | JobLeftOpenEvent | SampleFinishedEvent


def open_journal(run_folder: Path, *, is_durable: bool) -> Journal:
    """Open the journal of the run in `run_folder` for writing; see `Journal`."""
    return Journal(run_folder / JOURNAL_FILE_NAME, is_durable=is_durable)


def read_journal(run_folder: Path) -> JournalState:
    """Read the journal in `run_folder`; a last line that a crash cut short is ignored.

    Returns:
        The state of the run; an empty state if there is no journal.

    Raises:
        DataError: the journal cannot be read, or a line other than the last is damaged.
    """
    purchases_by_sample: dict[str, SamplePurchases] = {}
    is_emulated = False

    def get_sample_purchases(sample_id: str) -> SamplePurchases:
        return purchases_by_sample.setdefault(sample_id, SamplePurchases(sample_id))

    for event in read_events(run_folder / JOURNAL_FILE_NAME, JournalEvent):
        match event:
            case JobLeftOpenEvent():
                get_sample_purchases(event.sample.id).record_job_left_open(event.sample)
                is_emulated |= event.is_emulated
            case SampleFinishedEvent():
                get_sample_purchases(event.sample.id).record_sample_finished(event.sample, event.billing)
                is_emulated |= event.is_emulated
            case SubmitStartedEvent() | SubmitNotSentEvent() | SubmitCompletedEvent():
                event.add_to_history(get_sample_purchases(event.id))
    return JournalState(purchases_by_sample, is_emulated=is_emulated)
