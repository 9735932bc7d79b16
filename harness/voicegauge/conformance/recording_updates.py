"""Records cases, and merges new recordings into the files that exist.

A live recording is written when its plan has ended and every difference has been accepted. Until then each case is
saved, redacted like any recording, in .unfinished/<provider>/<hash of the case's id>/ below the folder of the
recordings. The next recording reads the case from there instead of sending it again.

A file holds the cases of one target, or of one operation without targets. The exchanges of each case
are one conversation, which has the id of the case.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import msgspec

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.conformance.check_report import ResourceSummary
from voicegauge.conformance.recording_judging import plan_cases_by_id
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.emulator.process import is_emulated
from voicegauge.errors import DataError
from voicegauge.files import check_writable, require_files_in_folder
from voicegauge.model.base import Provenance, Record, StopReason
from voicegauge.model.exchange import AmbiguousRequest, Exchange, UploadedFile
from voicegauge.recording.har_files import RecordingChanges, compute_age_days, load_har, save_har
from voicegauge.recording.recorded_exchanges import Recording, UrlCanonicalizer, collect_exchanges_by_conversation_id
from voicegauge.recording.redaction import DEFAULT_REDACTION, RedactionSettings

# Saves each recorded case at once, before its recording is written, so that a crash loses no paid response.


UNFINISHED_RECORDINGS_FOLDER_NAME = ".unfinished"
"""Name of the folder, beside the recordings, of the cases whose recordings are not written yet."""
CASE_FILE_NAME = "exchanges.part"
"""Name of the file of a saved case. It does not end in .har, so that checks and replays do not find it."""


@dataclass(frozen=True)
class UnfinishedRecording:
    """The saved cases whose recordings in one folder are not written yet."""

    folder: Path
    """The folder of the recordings."""
    contracts: Mapping[str, Contract]
    """Contracts by provider id."""
    redaction: RedactionSettings = DEFAULT_REDACTION
    """What is masked in the saved exchanges, and what is left."""

    def save_case(self, case: ConformanceCase, exchanges: Sequence[Exchange]) -> None:
        """Save the exchanges of `case`.

        Nothing is saved if they are emulated, because recording them again is free, or seem to contain a credential.
        """
        if any(map(is_emulated, exchanges)):
            return
        path = self._get_case_folder(case) / CASE_FILE_NAME
        try:  # redacted at once: what a crash leaves on disk must have no key either
            save_har(
                path,
                exchanges,
                provenance=Provenance.RECORDED,
                contract=self.contracts[case.provider],
                redaction=self.redaction,
            )
        except DataError:
            # The case contains something that looks like a credential. Writing its recording raises the error.
            shutil.rmtree(path.parent, ignore_errors=True)

    def load_saved_exchanges(
        self, cases: Iterable[ConformanceCase], now: dt.datetime
    ) -> dict[str, tuple[Exchange, ...]]:
        """Return the saved exchanges of `cases` by case id, except those that are too old for their provider.

        Raises:
            DataError: a file cannot be read.
            UsageError: the folder cannot be written to.
        """
        saved = {}
        for case in cases:
            path = self._get_case_folder(case) / CASE_FILE_NAME
            if path.exists():
                require_files_in_folder([path], self.folder)
                recording = load_har(path)
                limit_days = self.contracts[case.provider].provider.recording_age_limit.max_age_days
                if all(compute_age_days(recording, exchange, now) <= limit_days for exchange in recording.exchanges):
                    saved[case.id] = recording.exchanges
        return saved

    def remove_cases(self, cases: Iterable[ConformanceCase]) -> None:
        """Remove the saved `cases` after their recording was written, or after the user declined them."""
        for case in cases:
            shutil.rmtree(self._get_case_folder(case), ignore_errors=True)
        root = self.folder / UNFINISHED_RECORDINGS_FOLDER_NAME
        for folder in (*root.glob("*"), root):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _get_case_folder(self, case: ConformanceCase) -> Path:
        folder = (
            self.folder
            / UNFINISHED_RECORDINGS_FOLDER_NAME
            / case.provider
            / hashlib.sha256(case.id.encode()).hexdigest()[:16]
        )
        check_writable(folder / CASE_FILE_NAME)  # before anything is removed: no link leads elsewhere
        return folder


# Collects the exchanges of each case while a plan is sent.


class Recorder:
    """Collects the exchanges of each case, with their URLs rewritten to the contract's own servers."""

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        base_urls_by_provider: Mapping[str, Mapping[str, str]],
        unfinished_recording: UnfinishedRecording | None = None,
    ) -> None:
        """Prepare to record the exchanges of cases.

        Args:
            contracts: contracts by provider id.
            base_urls_by_provider: base URLs by provider id, as given to the client.
            unfinished_recording: saves each case at once, so that a crash loses no case; `None` to save no case.
        """
        self._unfinished = unfinished_recording
        self._canonical = {
            name: UrlCanonicalizer(c, base_urls_by_provider.get(name, {})) for name, c in contracts.items()
        }
        self.groups: dict[str, tuple[Exchange, ...]] = {}
        """The exchanges of each case, by its id."""
        self.is_emulated_service = False
        """Whether a response came from the emulator, whatever its URL."""

    def add_case(self, case: ConformanceCase, exchanges: Sequence[Exchange]) -> None:
        """Add the exchanges of `case`, with the URLs of the contract's own servers, and save them at once."""
        self.is_emulated_service |= any(map(is_emulated, exchanges))
        canonical = self._canonical[case.provider]
        grouped = (msgspec.structs.replace(exchange, conversation_id=case.id) for exchange in exchanges)
        self.groups[case.id] = tuple(canonical.rewrite_exchange(exchange) for exchange in grouped)
        if self._unfinished is not None:
            self._unfinished.save_case(case, self.groups[case.id])


# Decides what to record: the cases worth saving, those that are missing or stale, and the files that they change.


RefreshMode = Literal["stale", "all"]
"""Which of the planned cases to record: `stale` for those that are missing or stale, or `all`."""
SPOKEN_TEXT_IN_RECORDINGS = "Good morning. This is a short test."
"""The text of recorded speech. It is short because the audio is stored in a repository."""
MAX_RECORDED_UPLOAD_BYTES = 2**20
"""Size in bytes of the largest upload that is recorded. Uploads that test a size limit would fill a repository."""


def plan_cases_to_record(
    targets: Sequence[BaseTarget],
    *,
    is_emulated: bool,
    include_every_case: bool,
    fully_checked_providers: Collection[str] | None = None,
) -> CasePlan:
    """Plan the cases to record: each that should be accepted, and one of each kind of other cases for each operation.

    Lifecycles, large uploads, and uploads that are within a limit are left out.

    Args:
        targets: the targets to record, with the operations without targets that they need.
        is_emulated: whether the emulator is recorded, which rejects a request for a given reason on demand.
        include_every_case: whether to record every case of a check, except large uploads and uploads that are within a
            limit.
        fully_checked_providers: ids of the providers of which every operation is recorded; `None` for those whose
            speech targets are all among `targets`.
    """
    plan = plan_cases(
        targets,
        is_emulated=is_emulated,
        include_all_billable_cases=False,
        spoken_text=SPOKEN_TEXT_IN_RECORDINGS,
        fully_checked_providers=fully_checked_providers,
    )
    chosen: dict[object, ConformanceCase] = {}
    for case in plan.cases:
        if case.is_lifecycle:
            continue  # a replay answers a list in the same way before and after a resource is created
        expected = case.expected_response
        # The response to an upload just within a documented limit is like that to any other upload.
        is_within_limit = expected.acceptance == "accepted" and "/x-limits/" in expected.contract_pointer
        if _count_upload_bytes(case) <= MAX_RECORDED_UPLOAD_BYTES and not is_within_limit:
            chosen.setdefault(case.id if include_every_case else _build_similarity_key(case), case)
    return msgspec.structs.replace(plan, cases=tuple(chosen.values()))


def _build_similarity_key(case: ConformanceCase) -> object:
    """Return a key for grouping cases. Of the cases with equal keys, only one must be recorded."""
    expected = case.expected_response
    if expected.acceptance == "accepted":
        return case.id
    description = expected.description if expected.case_kind == "rejection-reason" else ""
    return case.provider, case.operation, expected.case_kind, expected.statuses, case.api_key_validity, description


def _count_upload_bytes(case: ConformanceCase) -> int:
    if case.upload_padding is not None:
        return case.upload_padding.size_bytes
    body = case.request.body if case.request is not None else None
    values = body.values() if isinstance(body, dict) else ()
    return sum(len(value.data) for value in values if isinstance(value, UploadedFile))


def build_recording_path(case: ConformanceCase, fixtures_folder: Path) -> Path:
    """Return the file of `case`: <folder>/<provider>/<target or operation>.har, with %2F for a slash in an id."""
    return fixtures_folder / case.provider / f"{quote(case.target_name or case.operation, safe='')}.har"


class RecordingUpdate(Record, frozen=True, kw_only=True):
    """The cases to record into one file."""

    path: Path
    """The file of the recording."""
    provider: str
    """Id of the provider of the recording."""
    recording_to_extend: Recording | None
    """The recording whose cases stay in the file; `None` if the file does not exist or has another provenance."""
    existing_recording: Recording | None
    """The recording in the file, whatever its provenance; `None` if there is no file."""
    cases_to_record: tuple[ConformanceCase, ...]
    """The cases that are sent for the update: those that are missing in the file, are stale or were asked for."""
    unchanged_conversation_ids: frozenset[str | None]
    """Ids of the conversations in `recording_to_extend` that are not recorded again."""

    def merge_exchanges(self, exchanges_by_case: Mapping[str, Sequence[Exchange]]) -> tuple[Exchange, ...]:
        """Return the exchanges of the updated file: first existing conversations in their order, then new ones.

        A case that could not be recorded again keeps its existing exchanges.

        Args:
            exchanges_by_case: the new exchanges by case id.
        """
        due = {case.id for case in self.cases_to_record}
        groups: dict[str | None, Sequence[Exchange]] = {}
        existing = self.recording_to_extend.exchanges if self.recording_to_extend else ()
        for name, group in collect_exchanges_by_conversation_id(existing).items():
            if name in self.unchanged_conversation_ids or name in due:
                groups[name] = exchanges_by_case.get(name or "", group)
        for name in sorted(due & exchanges_by_case.keys(), key=list(exchanges_by_case).index):
            groups.setdefault(name, exchanges_by_case[name])
        return tuple(exchange for group in groups.values() for exchange in group)


@dataclass(frozen=True)
class RefreshPolicy:
    """Decides which planned cases are recorded."""

    contracts: Mapping[str, Contract]
    """Contracts by provider id."""
    provenance: Provenance
    """Provenance of what will be recorded."""
    refresh_mode: RefreshMode
    """Which of the planned cases are recorded again."""
    now: dt.datetime
    """The time from which ages are counted."""
    repeated_case_ids: Collection[str] = frozenset()
    """Ids of the cases that are recorded in any mode, because the user asks to pay for them again."""

    def plan_updates(
        self, plan: CasePlan, folder: Path, recording_by_path: Mapping[Path, Recording]
    ) -> list[RecordingUpdate]:
        """Return one update for each file that has a case to record.

        An emulated recording replaces a live one only if the refresh mode is "all". A live one replaces an emulated one
        in any mode.

        Args:
            plan: the plan returned by `plan_cases_to_record`.
            folder: the folder of the recordings.
            recording_by_path: the existing recordings by path.
        """
        known = {
            name: case for contract in self.contracts.values() for name, case in plan_cases_by_id(contract).items()
        }
        # A file is written as a whole, so its cases are compared together with what it has.
        by_file: dict[Path, list[ConformanceCase]] = {}
        for case in plan.cases:
            by_file.setdefault(build_recording_path(case, folder), []).append(case)
        updates = (
            self._build_update(path, cases, recording_by_path.get(path), known) for path, cases in by_file.items()
        )
        return [update for update in updates if update.cases_to_record]

    def _build_update(
        self,
        path: Path,
        cases: Sequence[ConformanceCase],
        recording: Recording | None,
        case_by_id: Mapping[str, ConformanceCase],
    ) -> RecordingUpdate:
        """Return what to record into one file.

        Args:
            path: the file.
            cases: the planned cases that belong into it.
            recording: what the file contains now; `None` if it does not exist.
            case_by_id: every case that follows from the contracts, by id.
        """
        if recording is not None and recording.provenance is not self.provenance:
            is_replaced = self.refresh_mode == "all" or self.provenance is Provenance.RECORDED
            return RecordingUpdate(
                path=path,
                provider=path.parent.name,
                recording_to_extend=None,
                existing_recording=recording,
                cases_to_record=tuple(cases) if is_replaced else (),
                unchanged_conversation_ids=frozenset(),
            )
        groups = collect_exchanges_by_conversation_id(recording.exchanges if recording else ())
        stale = {
            name
            for name, group in groups.items()
            if name in self.repeated_case_ids or (recording is not None and self._is_stale(recording, group))
        }
        planned = {case.id for case in cases}
        due = [case for case in cases if self.refresh_mode == "all" or case.id in stale or case.id not in groups]
        # Cases that an earlier, larger plan recorded stay, and are recorded again when they are stale. A group is only
        # dropped if no case of the contract has its id any more.
        due += [case_by_id[name] for name in stale if name is not None and name in case_by_id and name not in planned]
        names = {case.id for case in due}
        unchanged = frozenset(name for name in groups if name not in names and (name is None or name in case_by_id))
        return RecordingUpdate(
            path=path,
            provider=path.parent.name,
            recording_to_extend=recording,
            existing_recording=recording,
            cases_to_record=tuple(due),
            unchanged_conversation_ids=unchanged,
        )

    def _is_stale(self, recording: Recording, exchanges: Sequence[Exchange]) -> bool:
        """Whether live exchanges are too old, or emulated ones were recorded before the last change of the contract."""
        contract = self.contracts[recording.provider]
        if recording.provenance is Provenance.RECORDED:
            limit_days = contract.provider.recording_age_limit.max_age_days
            return any(compute_age_days(recording, exchange, self.now) > limit_days for exchange in exchanges)
        return recording.contract_sha256 != contract.document.sha256


# Defines the result of `record`, and what the caller is asked before a file is replaced.


class RecordedFile(Record, frozen=True, kw_only=True):
    """A recording file that was written, or that was left as it is because it must not be overwritten."""

    path: str
    """Path of the file."""
    provenance: Provenance
    """Provenance of the exchanges in the file."""
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
    """The files of the recording, those that were left as they are included."""
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
    """Dollars charged to the budget by this recording."""
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
    """The file to replace."""
    old_provenance: Provenance
    """Provenance of the recording in the file."""
    new_provenance: Provenance
    """Provenance of the recording that would replace it."""
    changes: RecordingChanges
    """Differences between the two recordings."""


ConfirmOverwrite = Callable[[FileToOverwrite], bool]
"""Function that decides whether a recording file is replaced."""
