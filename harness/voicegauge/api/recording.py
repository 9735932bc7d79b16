"""Sends requests to a provider and saves its responses as recordings without secrets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from voicegauge.api.calls import CommandDeadline, create_keyword_function, restore_interrupt_handler, run_coroutine
from voicegauge.api.checking import send_planned_cases
from voicegauge.api.live_service import (
    add_budget_forecast,
    announce_ambiguous_requests_on_error,
    announce_earlier_spending,
    announce_replaced_prices,
    build_live_settings,
    list_remaining_budgets,
    open_daily_budgets,
    open_journals,
    remove_cases_sent_earlier,
)
from voicegauge.api.options import LiveOptions
from voicegauge.api.progress import ProgressListener, choose_progress_listener
from voicegauge.api.requests import RecordRequest
from voicegauge.api.target_selection import (
    announce_key_hosts,
    collect_contracts,
    find_wholly_named_providers,
    resolve_prices,
    select_targets,
    to_catalogue,
)
from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import CasePlan
from voicegauge.client.keys import list_secrets
from voicegauge.conformance.case_journal import RESUMED_STOP_REASONS, CaseJournals
from voicegauge.conformance.check_report import find_common_failure_cause
from voicegauge.conformance.check_settings import CheckSettings, build_emulator_check_settings, build_emulator_settings
from voicegauge.conformance.plan_prices import PricedPlan, price_plan
from voicegauge.conformance.recording_updates import (
    UNFINISHED_RECORDINGS_FOLDER_NAME,
    FileToOverwrite,
    RecordedFile,
    Recorder,
    RecordingUpdate,
    RecordResult,
    RefreshPolicy,
    UnfinishedRecording,
    build_recording_path,
    plan_cases_to_record,
)
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.emulator.process import CONTROL_PREFIX, is_emulated, running_emulator
from voicegauge.errors import DataError, TransportError, UsageError
from voicegauge.files import check_writable, require_files_in_folder
from voicegauge.hosts import is_loopback, to_http_url
from voicegauge.model.base import Provenance, StopReason
from voicegauge.model.exchange import Exchange, Request
from voicegauge.recording.har_files import RecordingChanges, compare_recordings, load_har, save_har
from voicegauge.recording.recorded_exchanges import Recording
from voicegauge.recording.redaction import RedactionSettings
from voicegauge.transport.http import Transport

# Plans one call of `record`, sends its cases and writes its files.


@dataclass(frozen=True)
class _ReceivedExchanges:
    """The received exchanges of all cases, before they are written to files."""

    exchanges_by_case: Mapping[str, Sequence[Exchange]]
    """Exchanges by case id."""
    redaction: RedactionSettings
    """What is masked in the files."""
    stop_reason: StopReason | None
    """Why sending ended early; `None` if every case was sent."""
    unfinished_recording: UnfinishedRecording | None = None
    """Where exchanges are saved until their file is written.

    `None` for the emulator, which costs nothing, so that an interrupted recording can start again.
    """

    def count_unfinished_cases(self, update: RecordingUpdate) -> int:
        """Return the number of received cases that are kept for the next command, because others are missing.

        It is 0 if the file can be written, or if the recording ended for a reason after which it cannot be resumed.
        """
        if self.unfinished_recording is None or self.stop_reason not in RESUMED_STOP_REASONS:
            return 0
        received = sum(case.id in self.exchanges_by_case for case in update.cases_to_record)
        return received if received < len(update.cases_to_record) else 0


@dataclass(frozen=True, kw_only=True)
class RecordingRun:
    """Plans one call of `record`, sends its requests and writes its files."""

    request: RecordRequest
    """The request; its prices are by id of the target."""
    targets: Sequence[BaseTarget]
    """The targets whose requests are recorded."""
    contracts: Mapping[str, Contract]
    """The contracts of the targets, by provider id."""
    fully_recorded_providers: Collection[str]
    """Ids of the providers of which every operation is recorded, not only those that the named targets need."""

    deadline: CommandDeadline = field(default_factory=lambda: CommandDeadline(None))
    """The time after which nothing more is sent."""

    @property
    def fixtures_folder(self) -> Path:
        """The folder of recordings."""
        return Path(self.request.out)

    @property
    def listener(self) -> ProgressListener:
        """Receives progress and notices."""
        return choose_progress_listener(self.request.progress)

    @property
    def provenance(self) -> Provenance:
        """The provenance of the files that are written."""
        return Provenance.EMULATED if self.request.live is None else Provenance.RECORDED

    def open_journals(self, *, is_read_only: bool = False) -> CaseJournals:
        """Open the journals of paid cases: files for a live service, in memory only for the emulator."""
        return open_journals(
            None if self.request.live is None else self.fixtures_folder / UNFINISHED_RECORDINGS_FOLDER_NAME,
            self.contracts.values(),
            retry_ambiguous_requests=self.request.retry_ambiguous_requests,
            skip_cases_without_verdict=True,
            begins_new_run=self.request.new_run,
            is_read_only=is_read_only,
        )

    def plan_updates(self, journals: CaseJournals) -> tuple[list[RecordingUpdate], CasePlan]:
        """Return the recording files to update, and their cases in the order of sending.

        If the request says so, the cases include recorded ones that may have been charged, such as those with a server
        error.
        """
        plan = plan_cases_to_record(
            self.targets,
            is_emulated=self.request.live is None,
            include_every_case=self.request.record_every_rejection,
            fully_checked_providers=self.fully_recorded_providers,
        )
        paths = {build_recording_path(case, self.fixtures_folder) for case in plan.cases}
        found = require_files_in_folder([path for path in sorted(paths) if path.exists()], self.fixtures_folder)
        existing = {path: load_har(path) for path in found}
        repeated = journals.earlier_ambiguous_case_ids if self.request.retry_ambiguous_requests else frozenset()
        refreshing = RefreshPolicy(self.contracts, self.provenance, self.request.refresh, datetime.now(UTC), repeated)
        updates = refreshing.plan_updates(plan, self.fixtures_folder, existing)
        due = {case.id: case for update in updates for case in update.cases_to_record}
        in_order = {case.id: case for case in plan.cases if case.id in due} | due
        return updates, msgspec.structs.replace(plan, cases=tuple(in_order.values()))

    def send_and_write(
        self,
        updates: Sequence[RecordingUpdate],
        plan: CasePlan,
        journals: CaseJournals,
    ) -> RecordResult:
        """Send the plan and write the files. If `updates` is empty, nothing is sent, and a notice says so.

        Raises:
            DataError: a file could not be written; all others were.
            StorageError: a file cannot be written, and nothing was sent.
        """
        for update in updates:
            check_writable(update.path)
        if not updates:
            self.listener.notice("nothing is missing or stale; --refresh all records everything again")
            return _add_spending_to_result(RecordResult(), journals)
        collector = ResultCollector([target.id for target in self.targets], self.request.seed)
        if self.request.live is None:
            sent = self._send_to_emulator(plan, collector)
        else:
            sent = self._send_live(plan, self.request.live, collector, journals)
        report = collector.build_report()
        files, redactions = self._write_files(updates, sent)
        skip_reasons = {
            case.id: case.not_judged_reason for case in report.case_results if case.not_judged_reason is not None
        }
        has_accepted, failures = _find_targets_with_errors_only(plan, sent.exchanges_by_case, skip_reasons)
        rules = Counter(finding.rule for finding in report.findings if finding.severity != "disputed")
        result = RecordResult(
            files=tuple(files),
            redaction_counts=dict(sorted(redactions.items())),
            skip_reason_by_case=skip_reasons,
            first_failure_by_target=failures,
            has_accepted_case=has_accepted,
            unfinished_case_count=sum(map(sent.count_unfinished_cases, updates)),
            finding_count=sum(rules.values()),
            finding_count_by_rule=dict(rules.most_common()),
            resource_summary=report.resources,
            spent_usd=report.spent_usd,
            over_budget_case_count=report.over_budget_case_count,
            stop_message=report.stop_message,
            stop_reason=sent.stop_reason,
        )
        return _add_spending_to_result(result, journals)

    def _send_live(
        self, plan: CasePlan, live_options: LiveOptions, collector: ResultCollector, journals: CaseJournals
    ) -> _ReceivedExchanges:
        unfinished = self._open_unfinished_recording()
        saved, rest, sent_plan = self._split_live_plan(plan, unfinished, journals)
        cost = price_plan(sent_plan, self.targets, self.request.prices, provenance=Provenance.LIVE)
        settings = build_live_settings(
            self.targets,
            live_options,
            prices=self.request.prices,
            seed=self.request.seed,
            listener=self.listener,
            plan=cost,
            journals=journals,
        )
        redaction = self._build_redaction_settings(settings)
        recorder = Recorder(self.contracts, settings.base_urls_by_provider, replace(unfinished, redaction=redaction))

        def save_case(case: ConformanceCase, exchanges: Sequence[Exchange]) -> None:
            recorder.add_case(case, exchanges)
            if recorder.is_emulated_service:
                raise UsageError(_EMULATED_SERVICE_MESSAGE)

        settings = replace(settings, save_exchanges=save_case, max_wait_s=self.request.max_wait_s)
        cause = None
        try:
            with announce_ambiguous_requests_on_error(journals, self.listener):
                send_planned_cases(self.targets, rest, settings, collector, self.listener, self.deadline)
        except UsageError as error:
            if not recorder.is_emulated_service:
                raise
            cause = str(error)
        # What an earlier command recorded shows that URL and key are right, and what it lost was not sent now.
        if not saved:
            cause = cause or _find_cause_of_rejections(sent_plan, collector)
        if cause is not None:
            unfinished.remove_cases(rest.cases)
            # The emulator charges nothing.
            journals.forget_requests(keep_ambiguous_requests=not recorder.is_emulated_service)
            if collector.stop_reason != "interrupted":
                raise UsageError(cause)
            self.listener.notice(cause)
            return _ReceivedExchanges({}, redaction, collector.stop_reason, unfinished)
        exchanges_by_case = {**saved, **recorder.groups}
        return _ReceivedExchanges(
            {case.id: exchanges_by_case[case.id] for case in plan.cases if case.id in exchanges_by_case},
            redaction,
            collector.stop_reason,
            unfinished,
        )

    def forecast_plan(self, plan: CasePlan, live_options: LiveOptions, journals: CaseJournals) -> PricedPlan:
        """Return the priced plan of a live recording, with a forecast of what is sent within the budgets."""
        contracts = list(self.contracts.values())
        announce_replaced_prices(self.targets, self.request.prices, self.listener)
        _, _, sent_plan = self._split_live_plan(plan, self._open_unfinished_recording(), journals)
        return add_budget_forecast(
            price_plan(sent_plan, self.targets, self.request.prices, provenance=Provenance.LIVE),
            list_remaining_budgets(
                live_options,
                open_daily_budgets(contracts, live_options, self.listener),
                journals.spent_by_earlier_runs_usd_by_provider,
            ),
            suggests_fewer_calls=False,
        )

    def _open_unfinished_recording(self) -> UnfinishedRecording:
        return UnfinishedRecording(
            self.fixtures_folder,
            self.contracts,
            self._build_redaction_settings(),
        )

    def _build_redaction_settings(self, settings: CheckSettings | None = None) -> RedactionSettings:
        """Return what is masked: the keys in `settings`, unless it is `None`, and the names that the user states."""
        keys = settings.api_key_by_provider.values() if settings is not None else ()
        return RedactionSettings(
            secrets=[text for key in keys for text in list_secrets(key)],
            names_to_mask=self.request.names_to_mask,
            names_to_keep=self.request.names_to_keep,
        )

    def _split_live_plan(
        self, plan: CasePlan, unfinished: UnfinishedRecording, journals: CaseJournals
    ) -> tuple[Mapping[str, Sequence[Exchange]], CasePlan, CasePlan]:
        """Return what an earlier command has saved, the rest of the plan, and the cases of the rest that are sent.

        The saved cases are recorded as finished in `journals`. Notices name them and what earlier commands spent.
        """
        saved = unfinished.load_saved_exchanges(plan.cases, datetime.now(UTC))
        if saved:
            self.listener.notice(f"resuming an interrupted recording: {len(saved)} cases are already recorded")
        for case in plan.cases:
            if case.id in saved:
                journals.journal_by_provider[case.provider].record_case_finished(case.id)
        announce_earlier_spending(journals, self.request.prices, self.listener)
        rest = msgspec.structs.replace(plan, cases=tuple(case for case in plan.cases if case.id not in saved))
        return saved, rest, remove_cases_sent_earlier(rest, journals)

    def _send_to_emulator(self, plan: CasePlan, collector: ResultCollector) -> _ReceivedExchanges:
        with running_emulator(self.contracts.values(), build_emulator_settings(seed=self.request.seed)) as emulator:
            settings = build_emulator_check_settings(emulator, self.targets, seed=self.request.seed)
            recorder = Recorder(self.contracts, settings.base_urls_by_provider)
            send_planned_cases(
                self.targets,
                plan,
                replace(settings, save_exchanges=recorder.add_case, max_wait_s=self.request.max_wait_s),
                collector,
                self.listener,
                self.deadline,
            )
        return _ReceivedExchanges(recorder.groups, self._build_redaction_settings(settings), collector.stop_reason)

    def _write_files(
        self, updates: Sequence[RecordingUpdate], received_cases: _ReceivedExchanges
    ) -> tuple[list[RecordedFile], Counter[str]]:
        """Write every file that can be written; then raise the first error, if any."""
        redactions: Counter[str] = Counter()
        files, failed = [], None
        for update in updates:
            cases = sum(case.id in received_cases.exchanges_by_case for case in update.cases_to_record)
            if not cases or received_cases.count_unfinished_cases(update):
                continue
            exchanges = update.merge_exchanges(received_cases.exchanges_by_case)
            difference = compare_recordings(update.existing_recording, exchanges)
            saved: Recording | None = None
            try:
                if self._may_overwrite(update, difference):
                    saved = save_har(
                        update.path,
                        exchanges,
                        provenance=self.provenance,
                        contract=self.contracts[update.provider],
                        redaction=received_cases.redaction,
                    )
                    redactions.update(saved.redaction_count_by_location)
                if received_cases.unfinished_recording is not None:
                    received_cases.unfinished_recording.remove_cases(update.cases_to_record)
            except DataError as error:
                # The other files can be written all the same; what they have was paid for.
                failed = failed or error
            files.append(
                RecordedFile(
                    path=str(update.path),
                    provenance=self.provenance,
                    case_count=cases,
                    exchange_count=len(exchanges),
                    changes=difference,
                    is_written=saved is not None,
                )
            )
        if failed is not None:
            raise failed
        return files, redactions

    def _may_overwrite(self, recording_update: RecordingUpdate, changes: RecordingChanges) -> bool:
        overwrite = self.request.overwrite
        if recording_update.existing_recording is None or isinstance(overwrite, bool):
            return True  # False was handled before anything was sent
        if not (changes.added_count or changes.removed_count or changes.changed_count):
            return True  # only the times differ
        return overwrite(
            FileToOverwrite(
                path=recording_update.path,
                old_provenance=recording_update.existing_recording.provenance,
                new_provenance=self.provenance,
                changes=changes,
            )
        )


_EMULATED_SERVICE_MESSAGE = "it is the emulator that responded: nothing is written; record it with --emulated"
"""The error about a live recording to which an emulator has responded."""
_EMULATOR_DETECTION_TIMEOUT_S = 2.0
"""Seconds to wait for a server's answer whether it is an emulator. A server on this machine answers sooner."""


def _require_no_emulator(contracts: Iterable[Contract], live_options: LiveOptions) -> None:
    """Ask the servers on this machine, without a key, whether one is an emulator, before anything else is sent.

    Servers elsewhere are not asked: an emulator to which a tunnel or a proxy leads is recognized by its first response.

    Raises:
        UsageError: a server is an emulator.
    """
    for url in sorted({url for contract in contracts for url in live_options.find_base_urls(contract).values()}):
        if is_loopback(urlsplit(url).hostname or "") and run_coroutine(_is_emulator(url)):
            raise UsageError(f"{url} is the emulator: record it with --emulated")


async def _is_emulator(url: str) -> bool:
    parts = urlsplit(to_http_url(url))
    question = Request(method="GET", url=f"{parts.scheme}://{parts.netloc}{CONTROL_PREFIX}/health")
    async with Transport() as transport:
        try:
            exchange = await transport.send(
                question, provider_id="", operation_id="(emulator)", max_total_s=_EMULATOR_DETECTION_TIMEOUT_S
            )
        except TransportError:
            return False  # the first case says what is wrong
        return is_emulated(exchange)


def _find_targets_with_errors_only(
    plan: CasePlan, exchanges_by_case: Mapping[str, Sequence[Exchange]], skip_reason_by_case: Mapping[str, str]
) -> tuple[bool, dict[str, str]]:
    """Return whether any request that should be accepted was, and the first failure of each target without any.

    A failure is "<case>: <reason>"; the result has it by the name of the target, or of an operation without a target.
    """
    accepted: set[str] = set()
    failures: dict[str, str] = {}
    for case in plan.cases:
        if case.expected_response.acceptance != "accepted":
            continue
        name = f"{case.provider}/{case.target_name or case.operation}"
        statuses = [
            one.response.status for one in exchanges_by_case.get(case.id, ()) if one.operation == case.operation
        ]
        if any(200 <= status < 300 or status == HTTPStatus.SWITCHING_PROTOCOLS for status in statuses):
            accepted.add(name)
        else:
            reason = f"HTTP {statuses[-1]}" if statuses else skip_reason_by_case.get(case.id, "not sent")
            failures.setdefault(name, f"{case.id}: {reason}")
    return bool(accepted), {name: failure for name, failure in failures.items() if name not in accepted}


def _find_cause_of_rejections(plan: CasePlan, collector: ResultCollector) -> str | None:
    """Return an error message if the statuses of all responses point to a wrong URL or key; otherwise `None`."""
    if not any(case.kind in ("delivery", "valid") for case in plan.cases):
        return None  # requests that are meant to be rejected
    statuses = Counter(collector.coverage.response_count_by_status)
    cause = find_common_failure_cause(statuses)
    if cause is None:
        return None
    listed = " or ".join(map(str, sorted(statuses)))
    responses = "the only response has" if statuses.total() == 1 else f"all {statuses.total()} responses have"
    return f"{responses} status {listed}: check {cause}; nothing was recorded"


def _add_spending_to_result(result: RecordResult, journals: CaseJournals) -> RecordResult:
    return msgspec.structs.replace(
        result,
        spent_by_earlier_runs_usd=journals.spent_by_earlier_runs_usd,
        ambiguous_requests=journals.ambiguous_requests,
    )


# Saves a provider's responses as recordings without secrets.


def run_record(request: RecordRequest) -> RecordResult:
    """Save a provider's responses as recordings (HAR files), without secrets.

    The planned cases are sent one after another. The next call resumes a live recording that ended early, because
    exchanges are saved in OUT/.unfinished until their file is complete and written.

    >>> result = voicegauge.record("pixelapi/voice-design", emulated=True, out=folder)
    >>> result.finding_count
    0

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
    deadline = CommandDeadline(request.max_time_s)
    with deadline.interrupt_preparation_when_time_is_over():
        recording = _prepare_recording(request, deadline)
    with (
        restore_interrupt_handler(),
        recording.open_journals() as journals,
    ):
        if request.live is not None:
            _require_no_emulator(recording.contracts.values(), request.live)
        with deadline.interrupt_preparation_when_time_is_over():
            updates, plan = recording.plan_updates(journals)
        if request.overwrite is False:
            _reject_overwriting(updates)
        try:
            result = recording.send_and_write(updates, plan, journals)
        except DataError:  # everything was sent and counted; the error says what is not written
            journals.end(None)
            raise
        if request.on_result is not None:
            request.on_result(result)
        # Last: until the caller has the result, what was spent must not be forgotten if the process is killed.
        journals.end(result.stop_reason)
        return result


record = create_keyword_function(RecordRequest, run_record, name="record")


def run_plan_record(request: RecordRequest) -> PricedPlan:
    """Plan and price what `record` would send with the same arguments; nothing is sent or written.

    >>> plan = voicegauge.plan_record("pixelapi/voice-design", emulated=True, out=folder)
    >>> plan.price_usd > 0
    True

    Returns:
        Every case that would be sent, in the order of sending, with its price; and, for a live service, what becomes of
        the plan within the budgets, of which earlier commands may have spent a part (`budget_forecast`).

    Raises:
        UsageError: as for `record`, except that files may exist.
    """
    recording = _prepare_recording(request, CommandDeadline(None))
    with recording.open_journals(is_read_only=True) as journals:
        _, plan = recording.plan_updates(journals)
        if request.live is None:
            return price_plan(plan, recording.targets, recording.request.prices, provenance=Provenance.EMULATED)
        return recording.forecast_plan(plan, request.live, journals)


plan_record = create_keyword_function(RecordRequest, run_plan_record, name="plan_record")


def _prepare_recording(request: RecordRequest, deadline: CommandDeadline) -> RecordingRun:
    """Return what the request asks to record: the targets, their contracts and the prices.

    Raises:
        UsageError: arguments contradict each other, or a name is not known.
    """
    if request.emulated == (request.live is not None):
        raise UsageError("choose what to record: --live (it costs money) or --emulated")
    catalogue = to_catalogue(request.contracts, request.live)
    chosen = select_targets(catalogue, request.targets, request.live)
    if request.live is not None:
        announce_key_hosts(collect_contracts(chosen), request.live, choose_progress_listener(request.progress))
    return RecordingRun(
        request=replace(request, prices=resolve_prices(catalogue, request.prices)),
        targets=chosen,
        contracts={contract.id: contract for contract in collect_contracts(chosen)},
        fully_recorded_providers=find_wholly_named_providers(catalogue, request.targets),
        deadline=deadline,
    )


def _reject_overwriting(updates: Sequence[RecordingUpdate]) -> None:
    replaced = [update.path for update in updates if update.existing_recording is not None]
    if replaced:
        count = f"{len(replaced)} recording{'s' if len(replaced) > 1 else ''}, {replaced[0]} the first"
        raise UsageError(f"this would overwrite {count}: add --yes (overwrite=True)")
