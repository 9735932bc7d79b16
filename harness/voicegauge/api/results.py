"""Defines what `record` and `convert_all` return, and what their callers are asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

from voicegauge.conformance.check_report import ResourceSummary
from voicegauge.model.base import Provenance, Record, StopReason
from voicegauge.model.job import AmbiguousRequest
from voicegauge.recording.har_files import RecordingChanges
from voicegauge.recording.recording_import import ImportRemark

_ID_IN_PATH_PATTERN = re.compile(r"(?<=/)(?:[0-9a-fA-F-]{16,}|[0-9]+|(?=[^/]*[0-9])[A-Za-z0-9_-]{16,})(?=[/ ]|$)")
"""Matches a segment of a path that is a number, a UUID or another long id."""


# Defines the result of `record`, and what the caller is asked before a file is replaced.


class RecordedFile(Record, frozen=True, kw_only=True):
    """A recording file that was written, or that was left as it is because it must not be overwritten."""

    path: str
    provenance: Provenance
    case_count: int
    """Number of cases that were recorded by this call; the file may contain more."""
    exchange_count: int
    """Number of exchanges in the whole file."""
    changes: RecordingChanges
    """Differences from the file that existed before."""
    is_written: bool
    """Whether the file was written; false if the existing file must not be overwritten."""


class RecordResult(Record, frozen=True, kw_only=True):
    """The result of `record`, which `voicegauge record --json` writes as JSON."""

    schema: str = "voicegauge/record/2"
    files: tuple[RecordedFile, ...] = ()
    redaction_counts: dict[str, int] = {}
    """Number of masked secrets by location."""
    skip_reason_by_case: dict[str, str] = {}
    """Reasons why cases were not recorded, by case id."""
    first_failure_by_target: dict[str, str] = {}
    """For each target, or operation without a target, of which no request was accepted although some should have been:
    the first of them, "<case>: <reason>"."""
    has_accepted_case: bool = False
    """Whether at least one request that should be accepted was accepted."""
    unfinished_case_count: int = 0
    """Number of cases whose responses are kept in the folder `.unfinished`, because the recording ended early. The same
    call resumes the recording, and writes the files when they are complete."""
    finding_count: int = 0
    """Number of findings in the recorded exchanges, without disputed ones."""
    finding_count_by_rule: dict[str, int] = {}
    """Number of findings by rule, most frequent first."""
    resource_summary: ResourceSummary = ResourceSummary()
    """The resources that were created in the account, such as saved voices, and those that are left there."""
    spent_usd: float = 0.0
    spent_by_earlier_runs_usd: float = 0.0
    """Dollars that earlier recordings into the same folder may have cost, if they were killed or left ambiguous
    requests. They count towards the budget and are not in `spent_usd`."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """Requests whose price counts as spent although their result is not known; also those of earlier recordings into
    the same folder."""
    over_budget_case_count: int = 0
    """Number of cases that were not sent because they did not fit into what was left of a budget. Unless it is 0, only
    a part was recorded."""
    stop_message: str | None = None
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


# The result of `convert_all`.


class ConvertedFile(Record, frozen=True, kw_only=True):
    """The result of converting one file."""

    input_path: str
    original_format: str
    """Description of the file's original format."""
    output_path: str
    """Path of the file that was written."""
    provenance: Provenance
    recorded_at: str
    """Time of recording: UTC, ISO 8601."""
    exchange_count: int
    """Number of exchanges that were written."""
    rejected_request_count: int
    """Number of requests that were left out, with their responses."""
    remarks: tuple[ImportRemark, ...]
    """Remarks about content that could not be converted, or only in part."""
    redaction_counts: dict[str, int]
    """Number of masked secrets by location."""

    def group_rejected_requests(self) -> tuple[RejectedRequests, ...]:
        """Return the requests that were left out, by host and reason, the most frequent first."""
        return group_rejected_requests((self.input_path, remark) for remark in self.remarks)


class UnconvertedFile(Record, frozen=True, kw_only=True):
    """A file that was not converted."""

    path: str
    reason: str
    rejected_request_count: int = 0
    """Number of requests in the file, none of which could be converted; 0 if the file could not be read as a whole."""


class RejectedRequests(Record, frozen=True, kw_only=True):
    """Requests to one host that were left out for the same reason."""

    host: str
    reason: str
    """Why the requests were left out. Ids in paths are replaced by {}, so that similar requests have the same
    reason."""
    request_count: int
    first_request: str
    """The first request of the group: file, position in the file, method and URL."""


class Conversion(Record, frozen=True, kw_only=True):
    """The result of `convert_all`, which `voicegauge convert --json` writes as JSON."""

    schema: str = "voicegauge/convert/3"
    converted_files: tuple[ConvertedFile, ...]
    unconverted_files: tuple[UnconvertedFile, ...] = ()
    """The files of which nothing was converted, with the reason."""
    rejected_requests: tuple[RejectedRequests, ...] = ()
    """The requests of all files that were left out, by host and reason, the most frequent first."""


def group_rejected_requests(remarks: Iterable[tuple[str, ImportRemark]]) -> tuple[RejectedRequests, ...]:
    """Return the requests that were left out, grouped by host and reason, the largest group first.

    Each item of `remarks` is the path of a file and a remark about a request in this file. Remarks about requests that
    were converted are ignored.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for file, remark in remarks:
        if not remark.is_imported:
            host = _extract_host(remark.method_and_url)
            reason = _ID_IN_PATH_PATTERN.sub("{}", remark.message)
            request = f"{file}: {remark.interaction_number} ({remark.method_and_url})"
            groups.setdefault((host, reason), []).append(request)
    grouped = [
        RejectedRequests(host=host, reason=reason, request_count=len(requests), first_request=requests[0])
        for (host, reason), requests in groups.items()
    ]
    return tuple(sorted(grouped, key=lambda group: -group.request_count))


def _extract_host(request: str) -> str:
    try:
        return urlsplit(request.partition(" ")[2]).netloc.rpartition("@")[2]
    except ValueError:
        return ""
