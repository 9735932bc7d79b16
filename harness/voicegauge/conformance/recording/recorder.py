"""Recording: which cases are worth a place in a file, which of them are due, and what would change.

A file holds one target's cases, or one operation's that speaks nothing; each case is a
group of exchanges and bears the case's id.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import msgspec

from voicegauge.conformance.cases import CasePlan, ConformanceCase, plan_cases
from voicegauge.conformance.offline import cases_by_id
from voicegauge.conformance.recording.journal import UnfinishedRecording
from voicegauge.contract import Contract, Target
from voicegauge.emulator import is_emulated
from voicegauge.model import Exchange, Provenance, Record, UploadedFile
from voicegauge.recording import Recording, UrlCanonicalizer, age_days, exchanges_by_group

Refresh = Literal["stale", "all"]
TEXT = "Good morning."
"""What recorded voices say: the audio is kept in a repository."""
MAX_UPLOAD_BYTES = 2**20
"""A recording that is refused for its size would fill a repository."""


def plan_to_record(targets: Sequence[Target], *, emulated: bool, every: bool) -> CasePlan:
    """The cases to record: every delivery, and of the refusals one of each kind for each operation.

    Args:
        targets: what is recorded, with the other operations of their providers.
        emulated: whether situations can be asked for.
        every: all cases of a check instead (but for uploads of many megabytes, and those just within a limit).
    """
    plan = plan_cases(targets, emulated=emulated, every=False, text=TEXT)
    chosen: dict[object, ConformanceCase] = {}
    for case in plan.cases:
        if _upload_bytes(case) <= MAX_UPLOAD_BYTES and not _within_a_limit(case):
            chosen.setdefault(case.id if every else _kind(case), case)
    return CasePlan(cases=tuple(chosen.values()), skipped=plan.skipped)


def _kind(case: ConformanceCase) -> object:
    if case.expected.verdict == "accepted":
        return case.id
    expected = case.expected
    description = expected.description if expected.kind == "rejection-reason" else ""
    return case.provider, case.operation, expected.kind, expected.statuses, case.key, description


def _within_a_limit(case: ConformanceCase) -> bool:
    """Whether it is an upload that a documented limit lets pass: its answer shows what a plain one shows."""
    return case.expected.verdict == "accepted" and "/x-limits/" in case.expected.contract_pointer


def _upload_bytes(case: ConformanceCase) -> int:
    if case.padding is not None:
        return case.padding.size
    body = case.wire.body if case.wire is not None else None
    values = body.values() if isinstance(body, dict) else ()
    return sum(len(value.data) for value in values if isinstance(value, UploadedFile))


def recording_path(case: ConformanceCase, folder: Path) -> Path:
    """Where `case` is recorded: <folder>/<provider>/<target or operation>.har, a slash in an operation's id as %2F."""
    return folder / case.provider / f"{quote(case.target or case.operation, safe='')}.har"


class RecordingUpdate(Record, frozen=True, kw_only=True):
    """What is to be recorded into one file."""

    path: Path
    provider: str
    old: Recording | None
    """What is there of the same provenance; `None` where nothing is."""
    replaced: Recording | None
    """What is there at all."""
    due: tuple[ConformanceCase, ...]
    kept: frozenset[str | None]
    """Groups of `old` that stay as they are."""

    def merged(self, fresh: Mapping[str, Sequence[Exchange]]) -> tuple[Exchange, ...]:
        """The exchanges that the file will hold: those there in their order, then new ones.

        A case that could not be recorded again keeps what it had.
        """
        due = {case.id for case in self.due}
        whole: dict[str | None, Sequence[Exchange]] = {}
        for name, group in exchanges_by_group(self.old.exchanges if self.old else ()).items():
            if name in self.kept or name in due:
                whole[name] = fresh.get(name or "", group)
        for name in sorted(due & fresh.keys(), key=list(fresh).index):
            whole.setdefault(name, fresh[name])
        return tuple(exchange for group in whole.values() for exchange in group)


@dataclass(frozen=True)
class RefreshPolicy:
    """What counts as due."""

    contracts: Mapping[str, Contract]
    """By provider id."""
    provenance: Provenance
    """Of what will be recorded."""
    refresh: Refresh
    """"stale" for what is missing or stale, "all" for everything planned."""
    now: dt.datetime
    """To count ages from."""

    def updates(self, plan: CasePlan, folder: Path, recordings: Mapping[Path, Recording]) -> list[RecordingUpdate]:
        """The files of `plan` with something due.

        Live recordings are replaced by emulated ones only when all is refreshed; the
        other way round always.

        Args:
            plan: from `plan_to_record`.
            folder: where recordings lie.
            recordings: those that are there, by path.
        """
        known = {name: case for contract in self.contracts.values() for name, case in cases_by_id(contract).items()}
        by_file: dict[Path, list[ConformanceCase]] = {}
        for case in plan.cases:
            by_file.setdefault(recording_path(case, folder), []).append(case)
        updates = (self._update(path, cases, recordings.get(path), known) for path, cases in by_file.items())
        return [update for update in updates if update.due]

    def _update(
        self,
        path: Path,
        cases: Sequence[ConformanceCase],
        there: Recording | None,
        known: Mapping[str, ConformanceCase],
    ) -> RecordingUpdate:
        if there is not None and there.provenance is not self.provenance:
            replaced = self.refresh == "all" or self.provenance is Provenance.RECORDED
            return self._plan(path, None, there, cases if replaced else (), frozenset())
        groups = exchanges_by_group(there.exchanges if there else ())
        stale = {name for name, group in groups.items() if there is not None and self._is_stale(there, group)}
        planned = {case.id for case in cases}
        due = [case for case in cases if self.refresh == "all" or case.id in stale or case.id not in groups]
        # What was recorded beyond this plan stays too, unless the contract leads to no such case any more.
        due += [known[name] for name in stale if name is not None and name in known and name not in planned]
        names = {case.id for case in due}
        kept = frozenset(name for name in groups if name not in names and (name is None or name in known))
        return self._plan(path, there, there, due, kept)

    def _plan(
        self,
        path: Path,
        old: Recording | None,
        replaced: Recording | None,
        due: Sequence[ConformanceCase],
        kept: frozenset[str | None],
    ) -> RecordingUpdate:
        provider = path.parent.name
        return RecordingUpdate(path=path, provider=provider, old=old, replaced=replaced, due=tuple(due), kept=kept)

    def _is_stale(self, recording: Recording, exchanges: Sequence[Exchange]) -> bool:
        """Live traffic ages; the emulator's does not, but says what the contract said then."""
        contract = self.contracts[recording.provider]
        if recording.provenance is Provenance.RECORDED:
            limit = contract.provider.recordings.max_age_days
            return any(age_days(recording, exchange, self.now) > limit for exchange in exchanges)
        return recording.contract_sha256 != contract.document.sha256


class Recorder:
    """Gathers the exchanges of each case while a plan is sent, moved to the contract's own servers."""

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        base_urls: Mapping[str, Mapping[str, str]],
        unfinished: UnfinishedRecording | None = None,
    ) -> None:
        """Set it up.

        Args:
            contracts: by provider id.
            base_urls: by provider id, as the client was given them.
            unfinished: takes each case as it comes, too.
        """
        self._unfinished = unfinished
        self._canonical = {name: UrlCanonicalizer(c, base_urls.get(name, {})) for name, c in contracts.items()}
        self.groups: dict[str, tuple[Exchange, ...]] = {}
        """By case id."""
        self.met_emulator = False
        """Whether an answer says that it is the emulator's, however it was reached."""

    def keep(self, case: ConformanceCase, exchanges: Sequence[Exchange]) -> None:
        """Take what was said in `case`."""
        self.met_emulator |= any(map(is_emulated, exchanges))
        canonical = self._canonical[case.provider]
        grouped = (msgspec.structs.replace(exchange, group=case.id) for exchange in exchanges)
        self.groups[case.id] = tuple(canonical.exchange(exchange) for exchange in grouped)
        if self._unfinished is not None:
            self._unfinished.keep(case, self.groups[case.id])
