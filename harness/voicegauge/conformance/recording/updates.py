"""Decides what to record: the cases worth saving, those that are missing or stale, and the files that they change.

A file holds the cases of one target, or of one operation without targets. The exchanges of each case
are one conversation, which has the id of the case.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import msgspec

from voicegauge.conformance.cases import CasePlan, ConformanceCase, plan_cases
from voicegauge.conformance.offline import plan_cases_by_id
from voicegauge.contract import BaseTarget, Contract
from voicegauge.model import Exchange, Provenance, Record, UploadedFile
from voicegauge.recording import Recording, collect_exchanges_by_conversation_id, compute_age_days

RefreshMode = Literal["stale", "all"]
"""Which of the planned cases to record: `stale` for those that are missing or stale, or `all`."""
SPOKEN_TEXT_IN_RECORDINGS = "Good morning."
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
    """Plan the cases to record: every delivery, and one rejection of each kind for each operation.

    Args:
        targets: the targets to record, with the operations without targets that they need.
        is_emulated: whether the emulator is recorded, which rejects a request for a given reason on demand.
        include_every_case: whether to record every case of a check, except large uploads and uploads that are within a
            limit.
        fully_checked_providers: ids of the providers of which every operation is recorded; see `plan_cases`.
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
        if _count_upload_bytes(case) <= MAX_RECORDED_UPLOAD_BYTES and not _is_upload_within_limit(case):
            chosen.setdefault(case.id if include_every_case else _build_similarity_key(case), case)
    return msgspec.structs.replace(plan, cases=tuple(chosen.values()))


def _build_similarity_key(case: ConformanceCase) -> object:
    """Return a key for grouping cases. Of the cases with equal keys, only one must be recorded."""
    expected = case.expected_response
    if expected.acceptance == "accepted":
        return case.id
    description = expected.description if expected.case_kind == "rejection-reason" else ""
    return case.provider, case.operation, expected.case_kind, expected.statuses, case.api_key_validity, description


def _is_upload_within_limit(case: ConformanceCase) -> bool:
    """Whether `case` uploads a file just within a documented limit.

    Such an upload is rarely worth recording: the response is like that to any other upload.
    """
    return case.expected_response.acceptance == "accepted" and "/x-limits/" in case.expected_response.contract_pointer


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
    provider: str
    recording_to_extend: Recording | None
    """The recording whose cases stay in the file; `None` if the file does not exist or has another provenance."""
    existing_recording: Recording | None
    """The recording in the file, whatever its provenance; `None` if there is no file."""
    cases_to_record: tuple[ConformanceCase, ...]
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
    now: dt.datetime
    """The time from which ages are counted."""

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
        stale = {name for name, group in groups.items() if recording is not None and self._is_stale(recording, group)}
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
