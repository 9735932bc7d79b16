"""Checks providers and targets: their documents and recordings, or the responses to planned requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from voicegauge.api.conformance_check.offline import check_offline
from voicegauge.api.conformance_check.planning import are_requests_free_of_charge, plan_cases_to_send
from voicegauge.api.conformance_check.reports import build_report
from voicegauge.api.conformance_check.sending import SendingOptions, send_and_report
from voicegauge.api.conformance_check.services import announce_ineffective_faults, start_emulator
from voicegauge.api.options import LiveOptions, PathLike
from voicegauge.api.progress import ProgressListener
from voicegauge.api.target_selection import (
    ContractsOrFolders,
    adapt_to_own_servers,
    collect_contracts,
    find_wholly_named_providers,
    resolve_prices,
    select_targets,
    to_catalogue,
    to_name_tuple,
)
from voicegauge.checks import select_rules
from voicegauge.conformance import CasePatterns, CheckReport, ResultCollector
from voicegauge.emulator import RunningEmulator
from voicegauge.errors import UsageError
from voicegauge.model import Severity

DEFAULT_EMULATOR_CONCURRENCY = 4
"""Default number of cases in flight at the emulator. The emulator responds to one case while the response to another
is judged."""
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
    every_valid_request: bool = False,
    large_uploads: bool = False,
    fuzz_request_count: int = 0,
    failures_folder: PathLike | None = None,
    faults: Sequence[str] = (),
    case_ids: Sequence[str] | CasePatterns = (),
    prices: Mapping[str, float] | None = None,
    public_url: str | None = None,
    listen_port: int = DEFAULT_LISTEN_PORT,
    seed: int = 0,
    concurrency: int | None = None,
    max_wait_s: float | None = None,
    retry_ambiguous_requests: bool = False,
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
            running emulator with `clock="per-poll"`, `enforce_rate_limits=False` and enough `account_credits`, so that
            no limit is reached by chance.
        live: permission and budget to send to the providers' own services.
        contracts: loaded contracts, or folders of your own.
        select: ids of the rules to apply; all by default.
        ignore: ids of rules not to apply.
        severities: severities that replace those of the rules, by rule id.
        recordings: HAR files, or folders of them, to check if nothing is sent, instead of the bundled ones and those
            that `record` wrote to the folder "fixtures" of the working directory.
        stale_recordings_fail: whether a recording older than its provider's age limit is an error instead of a
            warning.
        max_calls: maximum number of billable requests; the most informative ones are sent first.
        every_valid_request: whether to send every valid request of the plan to a live service. By default one delivery
            per target is sent, and every valid request if none costs anything.
        large_uploads: whether to upload tens of megabytes to a live service; the emulator always gets such uploads.
        fuzz_request_count: number of random requests per operation, in addition to the plan.
        failures_folder: folder in which failing random requests are saved, so that the next check tries them first; by
            default they are not saved.
        faults: ids of faults to inject into the emulator.
        case_ids: ids of the only cases to send, of all that can be planned, or patterns of them; by default the whole
            plan is sent.
        prices: dollars per request by provider, target or operation; needed if the price is undocumented or disputed.
        public_url: https URL of a tunnel to `listen_port`; needed to check webhooks of live services.
        listen_port: local port that receives callbacks.
        seed: seed of everything random.
        concurrency: number of cases in flight; results are the same, in the order of the plan. By default 4 at the
            emulator, and 1 with `faults`, which may depend on the order of requests, and at a live service, where they
            are never more than the plan of the account allows. With `max_calls` one case is sent at a time.
        max_wait_s: maximum time of one delivery or request in seconds; by default as long as the contract documents.
        retry_ambiguous_requests: whether to send cases again whose request a killed live check of these targets may
            have paid for. By default they are listed and not sent.
        on_report: called with the report before the check counts as ended. Until it returns, what a live check has
            spent counts towards the budget of the next check of these targets, even if the process is killed.
        progress: receives progress and notices.

    Returns:
        The findings, the result of every case and what was spent. `stop_reason` tells whether the check ended early
        because of Ctrl-C, the budget, or a service that became unreachable. Resources that the check created in the
        account were deleted; `resources.remaining_resources` lists those that could not be.

    Raises:
        UsageError: arguments contradict each other, or a name is not known.
        MissingKeyError: the key of a live provider is not set.
        BudgetError: the plan costs more than the budget; nothing was sent.
        DataError: another process checks the same live targets.
        StorageError: what is paid for could not be saved, so nothing more was sent. `on_report` was called with what
            was judged so far.
        TransportError: not a single response was received.
    """
    if retry_ambiguous_requests and live is None:
        raise UsageError("--retry-ambiguous is for live checks: add --live")
    _reject_ineffective_arguments(
        emulated=bool(emulated),
        live=live is not None,
        sending_options={
            "max_calls": max_calls,
            "every_valid_request": every_valid_request,
            "fuzz_request_count": fuzz_request_count,
            "faults": faults,
            "public_url": public_url,
            "case_ids": case_ids,
            "concurrency": concurrency,
        },
        recordings=recordings,
    )
    listener = progress or ProgressListener()
    catalogue = adapt_to_own_servers(
        to_catalogue(contracts, live),
        targets,
        live,
        ask_servers_for_names=True,
        listener=listener,
        max_wait_s=max_wait_s,
    )
    chosen = select_targets(catalogue, targets, live)
    announce_ineffective_faults(chosen, faults, listener)
    prices = resolve_prices(catalogue, prices)
    rules = select_rules(tuple(select), tuple(ignore), severities)
    collector = ResultCollector([target.id for target in chosen], seed)
    if not emulated and live is None:
        paths = [Path(path) for path in recordings]
        check_offline(collect_contracts(chosen), rules, collector, paths, stale_recordings_fail=stale_recordings_fail)
        return build_report(collector, None, rules)
    with start_emulator(chosen, emulated, faults, seed) as get_emulator:  # it starts while the cases are planned
        plan = plan_cases_to_send(
            chosen,
            emulated=bool(emulated),
            max_calls=max_calls,
            every_valid_request=every_valid_request or are_requests_free_of_charge(chosen, prices),
            include_large_uploads=large_uploads,
            include_webhooks=public_url is not None,
            fully_checked_providers=find_wholly_named_providers(catalogue, targets),
            case_ids=case_ids,
        )
        sending = SendingOptions(
            get_emulator=get_emulator,
            live_options=live,
            prices=prices,
            seed=seed,
            concurrency=_choose_concurrency(concurrency, emulated=emulated, faults=faults),
            fuzz_request_count=fuzz_request_count,
            failures_folder=Path(failures_folder) if failures_folder is not None else None,
            requested_names=None if isinstance(case_ids, CasePatterns) else to_name_tuple(targets),
            public_url=public_url,
            listen_port=listen_port,
            max_wait_s=max_wait_s,
            retry_ambiguous_requests=retry_ambiguous_requests,
            on_report=on_report,
        )
        return send_and_report(chosen, plan, rules, sending, collector, listener)


def _choose_concurrency(concurrency: int | None, *, emulated: bool | RunningEmulator, faults: Sequence[str]) -> int:
    """Return the number of cases in flight.

    Raises:
        UsageError: it is not a positive number.
    """
    if concurrency is not None:
        if concurrency < 1:
            raise UsageError(f"concurrency is {concurrency}: choose 1 or more")
        return concurrency
    injected = emulated.settings.faults if isinstance(emulated, RunningEmulator) else faults
    return DEFAULT_EMULATOR_CONCURRENCY if emulated and not injected else 1


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
