"""Saves a provider's responses as recordings without secrets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from voicegauge.api.options import LiveOptions, PathLike
from voicegauge.api.plan_sending import (
    announce_earlier_spending,
    announce_losses_on_error,
    build_live_settings,
    open_journals,
    remove_ambiguous_cases,
    send_plan,
)
from voicegauge.api.progress import ProgressListener
from voicegauge.api.target_selection import (
    ContractsOrFolders,
    collect_contracts,
    find_wholly_named_providers,
    resolve_prices,
    select_targets,
    to_catalogue,
)
from voicegauge.client import list_secrets
from voicegauge.conformance import (
    CaseJournals,
    CasePlan,
    CheckSettings,
    Collector,
    ResourceSummary,
    build_emulator_check_settings,
    build_emulator_settings,
    find_common_failure_cause,
    price_plan,
)
from voicegauge.conformance.recording import (
    UNFINISHED_FOLDER_NAME,
    Recorder,
    RecordingUpdate,
    RefreshMode,
    RefreshPolicy,
    UnfinishedRecording,
    build_recording_path,
    plan_cases_to_record,
)
from voicegauge.contract import BaseTarget, Contract
from voicegauge.data import RECORDINGS_FOLDER_NAME
from voicegauge.emulator import running_emulator
from voicegauge.errors import DataError, UsageError
from voicegauge.model import AmbiguousRequest, Exchange, Provenance, Record, StopReason
from voicegauge.recording import (
    Recording,
    RecordingChanges,
    compare_recordings,
    load_har,
    save_har,
)


class RecordedFile(Record, frozen=True, kw_only=True):
    """One recording file that was to be written."""

    path: str
    provenance: Provenance
    cases: int
    """Number of cases that were recorded by this call; the file may contain more."""
    exchanges: int
    changes: RecordingChanges
    """Differences from the file that existed before."""
    written: bool


class RecordResult(Record, frozen=True, kw_only=True):
    """The JSON that `voicegauge record --json` writes."""

    schema: str = "voicegauge/record/2"
    files: tuple[RecordedFile, ...] = ()
    redactions: dict[str, int] = {}
    """Number of masked secrets by location."""
    skipped: dict[str, str] = {}
    """Reasons why cases were not recorded, by case."""
    findings: int = 0
    """Number of findings in the recorded exchanges, without disputed ones."""
    resources: ResourceSummary = ResourceSummary()
    """The resources that were created in the account, such as saved voices, and those that are left there."""
    spent_usd: float = 0.0
    spent_before_usd: float = 0.0
    """Dollars that were or may have been charged to earlier recordings into the same folder which were killed, or whose
    ambiguous requests were not sent again. They count towards the budget and are not in `spent_usd`."""
    ambiguous_requests: tuple[AmbiguousRequest, ...] = ()
    """Requests, also of such earlier recordings, whose price counts as spent although their result is not known."""
    stopped_by: str | None = None
    """What stopped the recording early, in one line; `None` if it ran to its end."""
    stop_reason: StopReason | None = None
    """The kind of event that stopped the recording early; `None` if it ran to its end."""


class Overwrite(Record, frozen=True, kw_only=True):
    """A recording file that is about to be replaced by a file with different content."""

    path: Path
    old_provenance: Provenance
    new_provenance: Provenance
    changes: RecordingChanges


ConfirmOverwrite = Callable[[Overwrite], bool]
"""Function that decides whether a recording file is replaced."""


def record(
    targets: str | Sequence[str],
    *,
    emulated: bool = False,
    live: LiveOptions | None = None,
    contracts: ContractsOrFolders = (),
    out: PathLike = RECORDINGS_FOLDER_NAME,
    refresh: RefreshMode = "stale",
    every_rejection: bool = False,
    mask: Sequence[str] = (),
    overwrite: bool | ConfirmOverwrite = False,
    prices: Mapping[str, float] | None = None,
    seed: int = 0,
    max_wait_s: float | None = None,
    retry_ambiguous: bool = False,
    on_result: Callable[[RecordResult], None] | None = None,
    progress: ProgressListener | None = None,
) -> RecordResult:
    """Save a provider's responses as recordings (HAR files), without secrets.

    The planned cases are sent one after another. The next call resumes a live recording that was interrupted, because
    exchanges are saved in OUT/.unfinished until their file is written.

    >>> result = voicegauge.record("pixelapi/voice-design", emulated=True, out=folder)
    >>> result.findings
    0

    Args:
        targets: providers ("acme") or targets ("acme/voice-1").
        emulated: whether to record the emulator.
        live: permission and budget to record the providers' own services.
        contracts: loaded contracts, or folders of your own.
        out: folder of recordings, with one file OUT/PROVIDER/TARGET.har per target.
        refresh: "stale" to record only missing and stale cases, "all" to record every case.
        every_rejection: whether to record every rejection that a check plans instead of one of each kind.
        mask: further names of fields, parameters and headers whose values are masked.
        overwrite: whether existing files may be replaced, or a function that decides this for each file whose content
            changes. If it is false and a file would be replaced, an error is raised before anything is sent.
        prices: dollars per request by provider, target or operation; needed if the price is undocumented or disputed.
        seed: seed of everything random.
        max_wait_s: maximum time of one delivery or request in seconds; by default as long as the contract documents.
        retry_ambiguous: whether to send cases again whose request an earlier live recording into the same folder may
            have paid for without a result. By default they are listed and not sent.
        on_result: called with the result before the recording counts as ended. Until it returns, what a live recording
            has spent counts towards the budget of the next one, even if the process is killed.
        progress: receives progress and notices.

    Returns:
        The files, with their differences from the earlier files; no file if nothing was missing or stale.

    Raises:
        UsageError: arguments contradict each other, a name is not known, a file must not be replaced, the emulator
            responded to the requests of a live recording, or all responses have the status of a wrong URL or key.
        MissingKeyError: the key of a live provider is not set.
        BudgetError: the plan costs more than the budget; nothing was sent.
        DataError: a recording would contain a value that looks like a credential; all other files are written. Or
            another process records the same provider into the same folder.
        StorageError: a response could not be saved, or what is paid for; nothing more was sent.
        TransportError: not a single response was received.
    """
    if retry_ambiguous and live is None:
        raise UsageError("--retry-ambiguous is for live recordings: add --live")
    if emulated == (live is not None):
        raise UsageError("choose what to record: --live (it costs money) or --emulated")
    listener = progress or ProgressListener()
    catalogue = to_catalogue(contracts, live)
    chosen = select_targets(catalogue, targets, live)
    recording = _RecordingRun(
        targets=chosen,
        contracts={contract.id: contract for contract in collect_contracts(chosen)},
        whole_providers=find_wholly_named_providers(catalogue, targets),
        live_options=live,
        fixtures_folder=Path(out),
        names_to_mask=tuple(mask),
        prices=resolve_prices(catalogue, prices),
        seed=seed,
        max_wait_s=max_wait_s,
        listener=listener,
    )
    updates, plan = recording.plan_updates(refresh, every_rejection=every_rejection)
    replaced = [update.path for update in updates if update.replaced_recording is not None]
    if replaced and overwrite is False:
        count = f"{len(replaced)} recording{'s' if len(replaced) > 1 else ''}, {replaced[0]} the first"
        raise UsageError(f"this would overwrite {count}: add --yes (overwrite=True)")
    journal_folder = None if live is None else Path(out) / UNFINISHED_FOLDER_NAME
    with open_journals(
        journal_folder, recording.contracts.values(), retry_ambiguous=retry_ambiguous, skip_unusable=True
    ) as journals:
        if updates:
            try:
                result = recording.send_and_write(updates, plan, overwrite, journals)
            except DataError:
                journals.forget_requests(
                    keep_ambiguous_requests=True
                )  # everything was sent and counted; the error says what is not written
                raise
        else:
            listener.notice("nothing is missing or stale; --refresh all records everything again")
            result = _add_spending_to_result(RecordResult(), journals)
        if on_result is not None:
            on_result(result)
        journals.forget_requests(keep_ambiguous_requests=True)
        return result


def _add_spending_to_result(result: RecordResult, journals: CaseJournals) -> RecordResult:
    return msgspec.structs.replace(
        result, spent_before_usd=journals.spent_before_usd, ambiguous_requests=journals.ambiguous_requests
    )


@dataclass(frozen=True)
class _ReceivedCases:
    """The received exchanges of all cases, before they are written to files."""

    exchanges_by_case: Mapping[str, Sequence[Exchange]]
    """Exchanges by case id."""
    secrets: Sequence[str]
    stop_reason: StopReason | None
    unfinished_recording: UnfinishedRecording | None = None
    """Where exchanges are saved until their file is written.

    `None` for the emulator, which costs nothing, so that an interrupted recording can start again.
    """


@dataclass(frozen=True, kw_only=True)
class _RecordingRun:
    """One call of `record`."""

    targets: Sequence[BaseTarget]
    contracts: Mapping[str, Contract]
    whole_providers: Collection[str]
    """Ids of the providers of which every operation is recorded."""
    live_options: LiveOptions | None
    fixtures_folder: Path
    names_to_mask: Sequence[str]
    prices: Mapping[str, float]
    seed: int
    max_wait_s: float | None
    listener: ProgressListener

    @property
    def provenance(self) -> Provenance:
        return Provenance.EMULATED if self.live_options is None else Provenance.RECORDED

    def plan_updates(self, refresh: RefreshMode, *, every_rejection: bool) -> tuple[list[RecordingUpdate], CasePlan]:
        """Return the recording files to update, and their cases in the order of sending."""
        plan = plan_cases_to_record(
            self.targets,
            is_emulated=self.live_options is None,
            include_every_case=every_rejection,
            whole_providers=self.whole_providers,
        )
        paths = {build_recording_path(case, self.fixtures_folder) for case in plan.cases}
        existing = {path: load_har(path) for path in sorted(paths) if path.exists()}
        refreshing = RefreshPolicy(self.contracts, self.provenance, refresh, datetime.now(UTC))
        updates = refreshing.plan_updates(plan, self.fixtures_folder, existing)
        due = {case.id: case for update in updates for case in update.cases_to_record}
        in_order = {case.id: case for case in plan.cases if case.id in due} | due
        return updates, msgspec.structs.replace(plan, cases=tuple(in_order.values()))

    def send_and_write(
        self,
        updates: Sequence[RecordingUpdate],
        plan: CasePlan,
        overwrite: bool | ConfirmOverwrite,
        journals: CaseJournals,
    ) -> RecordResult:
        """Send the plan and write the files."""
        collector = Collector([target.id for target in self.targets], self.seed)
        if self.live_options is None:
            sent = self._send_to_emulator(plan, collector)
        else:
            sent = self._send_live(plan, self.live_options, collector, journals)
        report = collector.build_report()
        files, redactions = self._write_files(updates, sent, overwrite)
        result = RecordResult(
            files=tuple(files),
            redactions=dict(sorted(redactions.items())),
            skipped={case.id: case.reason or "" for case in report.cases if case.verdict == "skipped"},
            findings=sum(finding.severity != "disputed" for finding in report.findings),
            resources=report.resources,
            spent_usd=report.spent_usd,
            stopped_by=report.stopped_by,
            stop_reason=sent.stop_reason,
        )
        return _add_spending_to_result(result, journals)

    def _send_live(
        self, plan: CasePlan, live_options: LiveOptions, collector: Collector, journals: CaseJournals
    ) -> _ReceivedCases:
        unfinished = UnfinishedRecording(self.fixtures_folder, self.contracts, names_to_mask=self.names_to_mask)
        saved = unfinished.load_cases(plan.cases, datetime.now(UTC))
        if saved:
            self.listener.notice(f"resuming an interrupted recording: {len(saved)} cases are already recorded")
        for case in plan.cases:
            if case.id in saved:
                journals.journal_by_provider[case.provider].record_case_finished(case.id)
        announce_earlier_spending(journals, self.listener)
        rest = msgspec.structs.replace(plan, cases=tuple(case for case in plan.cases if case.id not in saved))
        cost = price_plan(remove_ambiguous_cases(rest, journals), self.targets, self.prices, provenance=Provenance.LIVE)
        settings = build_live_settings(
            list(self.contracts.values()),
            live_options,
            prices=self.prices,
            seed=self.seed,
            listener=self.listener,
            plan=cost,
            journals=journals,
        )
        secrets = _list_key_texts(settings)
        recorder = Recorder(self.contracts, settings.base_urls, replace(unfinished, secrets=secrets))
        settings = replace(settings, save_exchanges=recorder.add_case, max_wait_s=self.max_wait_s)
        with announce_losses_on_error(journals, self.listener):
            stop = send_plan(self.targets, rest, settings, collector, self.listener)
        if recorder.is_emulated_service:
            journals.forget_requests()  # the emulator charges nothing
            raise UsageError("it is the emulator that responded: nothing is written; record it with --emulated")
        cause = _find_cause_of_rejections(rest, collector)
        if cause is not None:
            unfinished.remove_cases(rest.cases)
            journals.forget_requests(keep_ambiguous_requests=True)
            raise UsageError(cause)
        exchanges_by_case = {**saved, **recorder.groups}
        return _ReceivedCases(
            {case.id: exchanges_by_case[case.id] for case in plan.cases if case.id in exchanges_by_case},
            secrets,
            stop,
            unfinished,
        )

    def _send_to_emulator(self, plan: CasePlan, collector: Collector) -> _ReceivedCases:
        with running_emulator(self.contracts.values(), build_emulator_settings(seed=self.seed)) as emulator:
            settings = build_emulator_check_settings(emulator, self.targets, seed=self.seed)
            recorder = Recorder(self.contracts, settings.base_urls)
            stop = send_plan(
                self.targets,
                plan,
                replace(settings, save_exchanges=recorder.add_case, max_wait_s=self.max_wait_s),
                collector,
                self.listener,
            )
        return _ReceivedCases(recorder.groups, _list_key_texts(settings), stop)

    def _write_files(
        self, updates: Sequence[RecordingUpdate], received_cases: _ReceivedCases, overwrite: bool | ConfirmOverwrite
    ) -> tuple[list[RecordedFile], Counter[str]]:
        """Write every file that can be written; then raise the first error, if any."""
        redactions: Counter[str] = Counter()
        files, failed = [], None
        for update in updates:
            cases = sum(case.id in received_cases.exchanges_by_case for case in update.cases_to_record)
            if not cases:
                continue
            exchanges = update.merge_exchanges(received_cases.exchanges_by_case)
            difference = compare_recordings(update.replaced_recording, exchanges)
            saved: Recording | None = None
            try:
                if self._may_overwrite(update, difference, overwrite):
                    saved = self._save_recording(update, exchanges, received_cases.secrets)
                    redactions.update(saved.redactions)
                if received_cases.unfinished_recording is not None:
                    received_cases.unfinished_recording.remove_cases(update.cases_to_record)
            except DataError as error:
                failed = failed or error
            files.append(
                RecordedFile(
                    path=str(update.path),
                    provenance=self.provenance,
                    cases=cases,
                    exchanges=len(exchanges),
                    changes=difference,
                    written=saved is not None,
                )
            )
        if failed is not None:
            raise failed
        return files, redactions

    def _may_overwrite(
        self, recording_update: RecordingUpdate, changes: RecordingChanges, overwrite: bool | ConfirmOverwrite
    ) -> bool:
        if recording_update.replaced_recording is None or isinstance(overwrite, bool):
            return True  # False was handled before anything was sent
        if not (changes.added or changes.removed or changes.changed):
            return True  # only the times differ
        return overwrite(
            Overwrite(
                path=recording_update.path,
                old_provenance=recording_update.replaced_recording.provenance,
                new_provenance=self.provenance,
                changes=changes,
            )
        )

    def _save_recording(
        self, update: RecordingUpdate, exchanges: Sequence[Exchange], secrets: Sequence[str]
    ) -> Recording:
        return save_har(
            update.path,
            exchanges,
            provenance=self.provenance,
            contract=self.contracts[update.provider],
            secrets=secrets,
            masked_names=self.names_to_mask,
        )


def _find_cause_of_rejections(plan: CasePlan, collector: Collector) -> str | None:
    """Return why nothing was recorded if the service rejected everything as with a wrong URL or key, else `None`."""
    if not any(case.kind in ("delivery", "valid") for case in plan.cases):
        return None  # requests that are meant to be rejected
    statuses = Counter(collector.coverage.response_count_by_status)
    cause = find_common_failure_cause(statuses)
    if cause is None:
        return None
    listed = " or ".join(map(str, sorted(statuses)))
    responses = "the only response has" if statuses.total() == 1 else f"all {statuses.total()} responses have"
    return f"{responses} status {listed}: check {cause}; nothing was recorded"


def _list_key_texts(settings: CheckSettings) -> list[str]:
    return [text for key in settings.key_by_provider.values() for text in list_secrets(key)]
