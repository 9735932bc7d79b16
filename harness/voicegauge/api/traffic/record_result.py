"""Defines the result of `record`, and what the caller is asked before a file is replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from voicegauge.conformance import ResourceSummary
from voicegauge.model import AmbiguousRequest, Provenance, Record, StopReason
from voicegauge.recording import RecordingChanges


class RecordedFile(Record, frozen=True, kw_only=True):
    """A recording file that was written, or that was left as it is because it must not be overwritten."""

    path: str
    provenance: Provenance
    case_count: int = msgspec.field(name="cases")
    """Number of cases that were recorded by this call; the file may contain more."""
    exchange_count: int = msgspec.field(name="exchanges")
    """Number of exchanges in the whole file."""
    changes: RecordingChanges
    """Differences from the file that existed before."""
    is_written: bool = msgspec.field(name="written")
    """Whether the file was written; false if the existing file must not be overwritten."""


class RecordResult(Record, frozen=True, kw_only=True):
    """The result of `record`, which `voicegauge record --json` writes as JSON."""

    schema: str = "voicegauge/record/2"
    files: tuple[RecordedFile, ...] = ()
    redaction_counts: dict[str, int] = msgspec.field(name="redactions", default={})
    """Number of masked secrets by location."""
    skip_reason_by_case: dict[str, str] = msgspec.field(name="skipped", default={})
    """Reasons why cases were not recorded, by case id."""
    finding_count: int = msgspec.field(name="findings", default=0)
    """Number of findings in the recorded exchanges, without disputed ones."""
    resource_summary: ResourceSummary = msgspec.field(name="resources", default=ResourceSummary())
    """The resources that were created in the account, such as saved voices, and those that are left there."""
    spent_usd: float = 0.0
    spent_by_earlier_runs_usd: float = msgspec.field(name="spent_before_usd", default=0.0)
    """Dollars that earlier recordings into the same folder may have cost, if they were killed or left ambiguous
    requests. They count towards the budget and are not in `spent_usd`."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """Requests whose price counts as spent although their result is not known; also those of earlier recordings into
    the same folder."""
    stop_message: str | None = msgspec.field(name="stopped_by", default=None)
    """What stopped the recording early, in one line; `None` if it ran to its end."""
    stop_reason: StopReason | None = None
    """The kind of event that stopped the recording early; `None` if it ran to its end."""


class FileToOverwrite(Record, frozen=True, kw_only=True):
    """A recording file that is about to be replaced by a file with different content."""

    path: Path
    old_provenance: Provenance
    new_provenance: Provenance
    changes: RecordingChanges


ConfirmOverwrite = Callable[[FileToOverwrite], bool]
"""Function that decides whether a recording file is replaced."""
