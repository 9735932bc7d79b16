"""Checks whether an API behaves as its contract says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from voicegauge import conformance
from voicegauge.api.event_loop import run_coroutine
from voicegauge.api.options import LiveOptions, PathLike
from voicegauge.api.plan_sending import (
    announce_earlier_spending,
    announce_key_hosts,
    announce_losses_on_error,
    announce_replaced_prices,
    build_live_settings,
    describe_plan,
    drop_ambiguous_cases,
    open_journals,
    send_plan,
)
from voicegauge.api.progress import ProgressListener
from voicegauge.api.target_selection import (
    ContractsOrFolders,
    collect_contracts,
    find_wholly_named_providers,
    resolve_prices,
    select_speech_target,
    select_targets,
    to_catalogue,
    to_names,
)
from voicegauge.checks import RULE_BY_ID, Rule, select_rules
from voicegauge.conformance import (
    CaseJournals,
    CasePlan,
    CheckReport,
    CheckSettings,
    Collector,
    PricedPlan,
    Reproduction,
    build_emulator_check_settings,
    build_emulator_settings,
    build_live_check_arguments,
    build_modified_request,
    build_request_case,
    check_documented_examples,
    check_recordings,
    find_left_out_operations,
    plan_cases,
    price_plan,
    select_cases,
)
from voicegauge.contract import BaseTarget, Contract
from voicegauge.data import cache_folder, find_bundled_folder
from voicegauge.emulator import RunningEmulator, running_emulator
from voicegauge.errors import StorageError, TransportError, UsageError
from voicegauge.files import check_writable
from voicegauge.model import Provenance, Severity, StopReason
from voicegauge.receiver import Receiver, running_receiver
from voicegauge.recording import find_own_and_bundled_recordings, find_recordings

DEFAULT_LISTEN_PORT = 8090
"""Default port for callbacks. `voicegauge listen` has the same default, so that one tunnel serves both commands."""


def check(
    targets: str | Sequence[str] = (),
    *,
    emulated: bool | RunningEmulator = False,
    live: LiveOptions | None = None,
    contracts: ContractsOrFolders = (),
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    severities: Mapping[str, Severity] | None = None,
    recordings: Sequence[PathLike] = (),
    stale_recordings_fail: bool = False,
    max_calls: int | None = None,
    full: bool = False,
    large_uploads: bool = False,
    fuzz: int = 0,
    failures: PathLike | None = None,
    faults: Sequence[str] = (),
    cases: Sequence[str] = (),
    prices: Mapping[str, float] | None = None,
    public_url: str | None = None,
    listen_port: int = DEFAULT_LISTEN_PORT,
    seed: int = 0,
    max_wait_s: float | None = None,
    retry_ambiguous: bool = False,
    on_report: Callable[[CheckReport], None] | None = None,
    progress: ProgressListener | None = None,
) -> CheckReport:
    """Check whether an API behaves as its contract says.

    By default nothing is sent: the examples in the documents and the recordings are checked. With `emulated` or
    `live`, planned requests are sent and the responses are checked.

    >>> report = voicegauge.check("pixelapi")
    >>> report.count_findings("error")
    0

    Args:
        targets: providers ("acme") or targets ("acme/voice-1"); all of them by default. For a target, requests are sent
            only to the operations that it needs; for a provider, to all of its operations.
        emulated: true to send to an emulator that runs for the duration of the check, or a running emulator. Start a
            running emulator with `clock="per-poll"`, `rate_limits=False` and enough `credits`, so that no limit is
            reached by chance.
        live: permission and budget to send to the providers' own services.
        contracts: loaded contracts, or folders of your own.
        select: ids of the rules to apply; all by default.
        ignore: ids of rules not to apply.
        severities: severities that replace those of the rules, by rule id.
        recordings: folders of HAR files to check when nothing is sent, instead of the bundled ones and those that
            `record` wrote to the folder "fixtures" of the working directory.
        stale_recordings_fail: whether a recording older than its provider's age limit is an error instead of a
            warning.
        max_calls: maximum number of billable requests; the most informative ones are sent first.
        full: whether to send every valid request of the plan to a live service; by default one delivery per target.
        large_uploads: whether to upload tens of megabytes to a live service; the emulator always gets such uploads.
        fuzz: number of random requests per operation, in addition to the plan.
        failures: folder in which failing random requests are saved, so that the next check tries them first; by
            default they are not saved.
        faults: ids of faults to inject into the emulator.
        cases: ids of the only cases to send, of all that can be planned; by default the whole plan is sent.
        prices: dollars per request by provider, target or operation; needed if the price is undocumented or disputed.
        public_url: https URL of a tunnel to `listen_port`; needed to check webhooks of live services.
        listen_port: local port that receives callbacks.
        seed: seed of everything random.
        max_wait_s: maximum time of one delivery or request in seconds; by default as long as the contract documents.
        retry_ambiguous: whether to send cases again whose request a killed live check of these targets may have paid
            for. By default they are listed and not sent.
        on_report: called with the report before the check counts as ended. Until it returns, what a live check has
            spent counts towards the budget of the next check of these targets, even if the process is killed.
        progress: receives progress and notices.

    Returns:
        The findings, the result of every case and what was spent. `stop_reason` tells whether the check ended early
        because of Ctrl-C, the budget, or a service that became unreachable. Resources that the check created in the
        account were deleted; `resources.left` lists those that could not be.

    Raises:
        UsageError: arguments contradict each other, or a name is not known.
        MissingKeyError: the key of a live provider is not set.
        BudgetError: the plan costs more than the budget; nothing was sent.
        DataError: another process checks the same live targets.
        StorageError: what is paid for could not be saved, so nothing more was sent. `on_report` was called with what
            was judged so far.
        TransportError: not a single response was received.
    """
    if retry_ambiguous and live is None:
        raise UsageError("--retry-ambiguous is for live checks: add --live")
    sending = {"max_calls": max_calls, "full": full, "fuzz": fuzz, "faults": faults, "public_url": public_url}
    sending["cases"] = tuple(cases)
    _reject_ineffective_arguments(
        emulated=bool(emulated), live=live is not None, sending_options=sending, recordings=recordings
    )
    listener = progress or ProgressListener()
    catalogue = to_catalogue(contracts, live)
    chosen = select_targets(catalogue, targets, live)
    prices = resolve_prices(catalogue, prices)
    rules = select_rules(tuple(select), tuple(ignore), severities)
    collector = Collector([target.id for target in chosen], seed)
    if not emulated and live is None:
        folders = [Path(folder) for folder in recordings]
        _check_offline(
            collect_contracts(chosen), rules, collector, folders, stale_recordings_fail=stale_recordings_fail
        )
        return _build_report(collector, None, rules)
    plan = _plan_cases(
        chosen,
        emulated=bool(emulated),
        max_calls=max_calls,
        every_valid_request=full,
        include_large_uploads=large_uploads,
        include_webhooks=public_url is not None,
        whole_providers=find_wholly_named_providers(catalogue, targets),
        case_ids=cases,
    )
    with open_journals(
        _choose_journal_folder(chosen, live), collect_contracts(chosen), retry_ambiguous=retry_ambiguous
    ) as journals:
        announce_earlier_spending(journals, listener)
        folder = Path(failures) if failures is not None else None
        if folder is not None:
            check_writable(folder / "...")
        cost = price_plan(drop_ambiguous_cases(plan, journals), chosen, prices, provenance=_determine_provenance(live))
        with (
            _open_service(
                chosen,
                emulated,
                live,
                prices=prices,
                faults=faults,
                seed=seed,
                listener=listener,
                plan=cost,
                journals=journals,
                requested_names=to_names(targets),
                public_url=public_url,
            ) as settings,
            _open_receiver(public_url, listen_port) as receiver,
        ):
            settings = replace(
                settings,
                rules=rules,
                fuzz_request_count=fuzz,
                failures_folder=folder,
                receiver=receiver,
                max_wait_s=max_wait_s,
            )
            with (
                announce_losses_on_error(journals, listener),
                _report_on_full_disk(collector, lambda: _build_report(collector, None, rules, journals), on_report),
            ):
                stop_reason = send_plan(chosen, plan, settings, collector, listener)
        report = _build_report(collector, stop_reason, rules, journals)
        if on_report is not None:
            on_report(report)
        journals.forget_requests(keep_lost_requests=stop_reason == "interrupted")
        return report


def plan_check(
    targets: str | Sequence[str] = (),
    *,
    emulated: bool = False,
    live: LiveOptions | None = None,
    contracts: ContractsOrFolders = (),
    max_calls: int | None = None,
    full: bool = False,
    large_uploads: bool = False,
    webhooks: bool = False,
    cases: Sequence[str] = (),
    prices: Mapping[str, float] | None = None,
    progress: ProgressListener | None = None,
) -> PricedPlan:
    """Plan and price what `check` would send with the same arguments; nothing is sent.

    >>> plan = voicegauge.plan_check("pixelapi", live=voicegauge.LiveOptions(), max_calls=5)
    >>> plan.spending.total.billable
    5

    Args:
        targets: see `check`.
        emulated: plan for the emulator; the plan is priced as the service would charge it.
        live: plan for the live service; the budget in this argument is ignored.
        contracts: see `check`.
        max_calls: see `check`.
        full: see `check`.
        large_uploads: see `check`.
        webhooks: whether requests that name a webhook URL are planned for a live service.
        cases: see `check`.
        prices: see `check`.
        progress: receives notices, such as where keys would be sent.

    Returns:
        Every case in the order of sending, with its price.

    Raises:
        UsageError: a name is not known, neither `emulated` nor `live` is given, or a key would be sent unencrypted to
            another machine.
    """
    if emulated == (live is not None):
        raise UsageError("plan a check of either the emulator or the live service")
    catalogue = to_catalogue(contracts, live)
    chosen = select_targets(catalogue, targets, live)
    prices = resolve_prices(catalogue, prices)
    if live is not None:
        announce_key_hosts(collect_contracts(chosen), live, progress or ProgressListener())
        announce_replaced_prices(collect_contracts(chosen), prices, progress or ProgressListener())
    plan = _plan_cases(
        chosen,
        emulated=emulated,
        max_calls=max_calls,
        every_valid_request=full,
        include_large_uploads=large_uploads,
        include_webhooks=webhooks,
        whole_providers=find_wholly_named_providers(catalogue, targets),
        case_ids=cases,
    )
    return price_plan(plan, chosen, prices, provenance=_determine_provenance(live))


def check_request(
    target: str,
    changes: Mapping[str, object] | None = None,
    *,
    without: Sequence[str] = (),
    expect: Literal["accepted", "rejected"] = "accepted",
    emulated: bool | RunningEmulator = False,
    live: LiveOptions | None = None,
    contracts: ContractsOrFolders = (),
    prices: Mapping[str, float] | None = None,
    faults: Sequence[str] = (),
    seed: int = 0,
    max_wait_s: float | None = None,
) -> CheckReport:
    """Send one request and check the response.

    >>> report = voicegauge.check_request("pixelapi/voice-design", {"text": "Hello."}, emulated=True)
    >>> report.findings
    ()

    Args:
        target: id of the target.
        changes: fields of the body that differ from a minimal valid request.
        without: fields to leave out of the body.
        expect: whether the service should accept the request.
        emulated: see `check`.
        live: see `check`.
        contracts: see `check`.
        prices: see `check`.
        faults: see `check`.
        seed: see `check`.
        max_wait_s: see `check`.

    Returns:
        The findings.

    Raises:
        UsageError: as for `check`. Also if no minimal valid request can be built.
    """
    collector = Collector([target], seed)
    catalogue = to_catalogue(contracts, live)
    one = select_speech_target(catalogue, target, live)
    prices = resolve_prices(catalogue, prices)
    case = build_request_case(
        one, build_modified_request(one, changes or {}, without), expect, f"{target} {dict(changes or {})!r:.60}"
    )
    plan = CasePlan(cases=(case,), left_out_operations=tuple(find_left_out_operations([one], ())))
    journals = CaseJournals(None, [one.contract])
    with _open_service(
        [one],
        emulated,
        live,
        prices=prices,
        faults=faults,
        seed=seed,
        listener=ProgressListener(),
        journals=journals,
    ) as settings:
        settings = replace(settings, max_wait_s=max_wait_s)
        stop = send_plan([one], plan, settings, collector, ProgressListener())
        return _build_report(collector, stop, journals=journals)


def check_job_steps(
    target: str,
    steps: Sequence[str],
    *,
    emulated: bool | RunningEmulator = False,
    live: LiveOptions | None = None,
    contracts: ContractsOrFolders = (),
    prices: Mapping[str, float] | None = None,
    faults: Sequence[str] = (),
    seed: int = 0,
    max_wait_s: float | None = None,
) -> CheckReport:
    """Carry out steps with several jobs of one account and check every response.

    >>> report = voicegauge.check_job_steps("pixazo/chatterbox", ["submit", "poll 1"], emulated=True)
    >>> report.findings
    ()

    Args:
        target: id of a target that answers with jobs.
        steps: each is "submit", or one of the following with the number N of a job, counted from 1: "poll N", "late N"
            (poll a long time later), "expired N", "cancel N", and "unknown N" (poll an id that does not exist and
            looks like that of job N).
        emulated: see `check`.
        live: see `check`.
        contracts: see `check`.
        prices: see `check`.
        faults: see `check`.
        seed: see `check`.
        max_wait_s: see `check`.

    Returns:
        The findings.

    Raises:
        UsageError: as for `check`. Also if the target does not answer with jobs, or a step is not valid.
    """
    collector = Collector([target], seed)
    catalogue = to_catalogue(contracts, live)
    one = select_speech_target(catalogue, target, live)
    prices = resolve_prices(catalogue, prices)
    journals = CaseJournals(None, [one.contract])
    with _open_service(
        [one],
        emulated,
        live,
        prices=prices,
        faults=faults,
        seed=seed,
        listener=ProgressListener(),
        journals=journals,
    ) as settings:
        settings = replace(settings, max_wait_s=max_wait_s)
        stop: StopReason | None = None
        try:
            run_coroutine(conformance.check_job_steps(one, steps, settings, collector))
        except KeyboardInterrupt:
            collector.stopped_by, stop = "interrupted", "interrupted"
        except TransportError as error:
            if not collector.exchange_count:
                raise
            collector.stopped_by, stop = str(error), "unreachable"
        return _build_report(collector, stop or ("budget" if collector.stopped_by else None), journals=journals)


def _reject_ineffective_arguments(
    *, emulated: bool, live: bool, sending_options: Mapping[str, object], recordings: Sequence[PathLike]
) -> None:
    """Reject arguments that would have no effect.

    Args:
        emulated: whether requests are sent to the emulator.
        live: whether requests are sent to the live service.
        sending_options: arguments that have an effect only if requests are sent, by name.
        recordings: folders that are read only if nothing is sent.

    Raises:
        UsageError: as described above.
    """
    if emulated and live:
        raise UsageError("check either the emulator or the live service, not both")
    if recordings and (emulated or live):
        raise UsageError("recordings are checked only if nothing is sent: leave out emulated and live")
    for name, value in sending_options.items():
        if value and not (emulated or live):
            raise UsageError(f"{name} has no effect if nothing is sent: pass emulated=True or live=LiveOptions()")


def _determine_provenance(live_options: LiveOptions | None) -> Provenance:
    return Provenance.EMULATED if live_options is None else Provenance.LIVE


@contextmanager
def _report_on_full_disk(
    collector: Collector, build_report: Callable[[], CheckReport], on_report: Callable[[CheckReport], None] | None
) -> Iterator[None]:
    """Report what was judged so far if what is paid for cannot be saved; the error is raised afterwards."""
    try:
        yield
    except StorageError as error:
        collector.stopped_by = str(error)
        if on_report is not None:
            on_report(build_report())
        raise


def _build_report(
    collector: Collector,
    stop_reason: StopReason | None,
    rules: Mapping[str, Rule] = RULE_BY_ID,
    journals: CaseJournals | None = None,
) -> CheckReport:
    applied = () if rules.keys() == RULE_BY_ID.keys() else tuple(rules)
    return msgspec.structs.replace(
        collector.build_report(),
        stop_reason=stop_reason,
        rules=applied,
        spent_before_usd=journals.spent_before_usd if journals is not None else 0.0,
        ambiguous_requests=journals.ambiguous_requests if journals is not None else (),
    )


def _choose_journal_folder(targets: Sequence[BaseTarget], live_options: LiveOptions | None) -> Path | None:
    """Return the folder of the journals of a live check; `None` if nothing is paid, or the caller has its own ledger.

    The folder depends on the targets and their URLs only, so that spending is not forgotten if another option or the
    contract changes.
    """
    if live_options is None or live_options.ledger is not None:
        return None
    key = [sorted(target.id for target in targets), sorted(live_options.base_urls.items())]
    return cache_folder() / "checks" / hashlib.sha256(msgspec.json.encode(key)).hexdigest()[:16]


def _check_offline(
    contracts: Sequence[Contract],
    rules: Mapping[str, Rule],
    collector: Collector,
    recordings: Sequence[Path],
    *,
    stale_recordings_fail: bool,
) -> None:
    """Judge the documented examples and the recordings in `recordings`, or else the own and the bundled ones."""
    check_documented_examples(contracts, rules, collector)
    if recordings:
        files = [path for folder in recordings for path in find_recordings(folder)]
    else:
        known = [contract.id for contract in contracts]
        files = find_own_and_bundled_recordings(find_bundled_folder("fixtures"), known)
    judged = check_recordings(files, contracts, rules, collector, stale_recordings_fail=stale_recordings_fail)
    providers = " or ".join(contract.id for contract in contracts)
    for folder in recordings:
        if not any(path.is_relative_to(folder) for path in judged):
            collector.add_not_judged(str(folder), f"it has no recording (*.har) of {providers}")


def _plan_cases(
    targets: Sequence[BaseTarget],
    *,
    emulated: bool,
    max_calls: int | None,
    every_valid_request: bool,
    include_large_uploads: bool,
    include_webhooks: bool,
    whole_providers: Collection[str],
    case_ids: Collection[str],
) -> CasePlan:
    """Plan every case for the emulator; for a live service, every valid request only if the caller asks for it.

    Cases whose ids are in `case_ids` are chosen from all that can be planned.
    """
    plan = plan_cases(
        targets,
        is_emulated=emulated,
        include_all_billable=emulated or every_valid_request or max_calls is not None or bool(case_ids),
        max_calls=max_calls,
        include_webhooks=emulated or include_webhooks,
        include_large_uploads=emulated or include_large_uploads or bool(case_ids),
        whole_providers=whole_providers,
    )
    return select_cases(plan, case_ids) if case_ids else plan


@contextmanager
def _open_service(
    targets: Sequence[BaseTarget],
    emulated: bool | RunningEmulator,
    live_options: LiveOptions | None,
    *,
    prices: Mapping[str, float] | None,
    faults: Sequence[str],
    seed: int,
    listener: ProgressListener,
    plan: PricedPlan | None = None,
    journals: CaseJournals | None = None,
    requested_names: Sequence[str] | None = None,
    public_url: str | None = None,
) -> Iterator[CheckSettings]:
    """Yield the settings for sending to a running emulator, a new one, or the live service.

    `requested_names` are the checked providers and targets; with `None`, no cases are planned that could be repeated.
    """
    if faults and emulated is not True:
        raise UsageError("faults are injected into an emulator that the check starts: pass emulated=True")
    if live_options is not None:
        settings = build_live_settings(
            collect_contracts(targets),
            live_options,
            prices=prices or {},
            seed=seed,
            listener=listener,
            plan=plan,
            journals=journals,
            can_limit_calls=True,
        )
        yield replace(
            settings,
            reproduction=_build_live_reproduction(targets, requested_names, live_options, prices or {}, public_url),
        )
        return
    if not emulated:
        raise UsageError("choose where to send requests: emulated=True, or live=LiveOptions()")
    with _open_emulator(targets, emulated, faults, seed) as emulator:
        if plan is not None:
            listener.notice(describe_plan(plan))
        yield build_emulator_check_settings(emulator, targets, seed=seed, requested_names=requested_names)


def _build_live_reproduction(
    targets: Sequence[BaseTarget],
    requested_names: Sequence[str] | None,
    live_options: LiveOptions,
    prices: Mapping[str, float],
    public_url: str | None,
) -> Reproduction:
    if requested_names is None:
        return Reproduction()
    return Reproduction(
        build_live_check_arguments(
            requested_names,
            collect_contracts(targets),
            base_urls=live_options.base_urls,
            account_plans=live_options.account_plans,
            prices=prices,
            public_url=public_url,
            allow_insecure_http=live_options.allow_insecure_http,
        )
    )


def _open_emulator(
    targets: Sequence[BaseTarget], emulated: bool | RunningEmulator, faults: Sequence[str], seed: int
) -> AbstractContextManager[RunningEmulator]:
    if isinstance(emulated, RunningEmulator):
        return nullcontext(emulated)
    return running_emulator(collect_contracts(targets), build_emulator_settings(seed=seed, faults=faults))


def _open_receiver(public_url: str | None, port: int) -> AbstractContextManager[Receiver | None]:
    """Return a receiver of callbacks; without the URL of a tunnel, a context whose value is `None`."""
    return nullcontext() if public_url is None else running_receiver(port=port, public_url=public_url)
