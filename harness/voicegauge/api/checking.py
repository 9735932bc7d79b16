"""Checks providers, targets, single requests and published profiles, with or without sending requests.

What is sent goes through `send_planned_cases` to `conformance/service_check.py`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from voicegauge.api.calls import (
    CommandDeadline,
    create_keyword_function,
    ignore_interrupts,
    restore_interrupt_handler,
    run_coroutine,
)
from voicegauge.api.check_setup import (
    build_check_report,
    build_service_settings,
    choose_journal_folder,
    finish_check,
    fit_requested_plan,
    open_check_settings,
    plan_requested_cases,
    start_emulator,
)
from voicegauge.api.live_service import open_journals
from voicegauge.api.options import LiveOptions
from voicegauge.api.progress import ProgressListener, choose_progress_listener, report_phase
from voicegauge.api.requests import BaseCheckRequest, CheckRequest, ProfileRequest
from voicegauge.api.target_selection import (
    adapt_to_self_hosted_servers,
    announce_key_hosts,
    collect_contracts,
    resolve_prices,
    select_speech_target,
    select_targets,
    to_catalogue,
    to_name_tuple,
)
from voicegauge.cases.case_order import find_excluded_operations
from voicegauge.cases.plan import CasePatterns, CasePlan
from voicegauge.cases.valid_requests import build_modified_request, build_request_case
from voicegauge.conformance import service_check
from voicegauge.conformance.case_journal import CaseJournals
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import CheckInterruption, CheckSettings, end_on_interrupt
from voicegauge.conformance.offline_subjects import check_documented_examples
from voicegauge.conformance.recording_judging import check_recordings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.contract import BaseTarget, Contract, Target
from voicegauge.contract.document_assembly import describe_todo_marks
from voicegauge.contract.loading import Catalogue, is_bundled, load_catalogue, replace_key_variable
from voicegauge.errors import ContractError, TimeLimitError, TransportError, UsageError
from voicegauge.files import find_bundled_folder, get_cache_folder
from voicegauge.options import keyword, request
from voicegauge.profiles.judging import ProfileReport, judge_profile, load_profile, load_profile_contract
from voicegauge.recording.har_files import find_provider_recordings, find_recordings
from voicegauge.rules.registry import Rule, select_rules

# Checks documents and recordings without sending anything.


def check_offline(
    contracts: Sequence[Contract],
    rules: Mapping[str, Rule],
    collector: ResultCollector,
    recordings: Sequence[Path],
    *,
    stale_recordings_fail: bool,
    named_targets: Collection[BaseTarget] = (),
) -> None:
    """Judge the documented examples and the recordings in `recordings`.

    Of `named_targets`, those that no exchange in `recordings` addresses are noted as not judged.

    If `recordings` is empty, the user's recordings in the working directory and the bundled ones are judged. A bundled
    recording is skipped if the user's own contract replaces the bundled contract of its provider.
    """
    check_documented_examples(contracts, rules, collector)
    if recordings:
        files = [path for file_or_folder in recordings for path in find_recordings(file_or_folder)]
    else:
        bundled_folder = find_bundled_folder("fixtures")
        files = [
            path
            for contract in contracts
            for path in find_provider_recordings(
                contract.id, bundled_folder if is_bundled(contract.document.path) else None
            )
        ]
    judged = check_recordings(files, contracts, rules, collector, stale_recordings_fail=stale_recordings_fail)
    providers = " or ".join(contract.id for contract in contracts)
    for file_or_folder in recordings:
        if not any(path.is_relative_to(file_or_folder) for path in judged):
            collector.add_unjudged_item(str(file_or_folder), f"it has no recording (*.har) of {providers}")
    for target in named_targets if recordings else ():
        if target.id not in collector.recorded_targets:
            collector.add_unjudged_item(target.id, "no recorded request addresses it")
    if not recordings and not collector.exchange_count:
        collector.add_unjudged_item(
            providers, "its document has no examples, and it has no recordings; send requests with --emulated or --live"
        )


# Checks providers and targets: their documents and recordings, or the responses to planned requests.


def run_check(request: CheckRequest) -> CheckReport:
    """Check whether an API behaves as its contract says.

    By default nothing is sent: the examples in the documents and the recordings are checked. With `emulated` or
    `live`, planned requests are sent and the responses are checked.

    >>> report = voicegauge.check("pixelapi")
    >>> report.count_findings("error")
    0

    Returns:
        The findings, the result of every case and what was spent. `stop_reason` tells whether the check ended early
        because of Ctrl-C, the budget, the time limit, or a service that became unreachable. Resources that the check
        created in the account were deleted; `resources.remaining_resources` lists those that could not be.

    Raises:
        UsageError: arguments contradict each other, or a name is not known.
        MissingKeyError: the key of a live provider is not set.
        BudgetError: the plan costs more than the budget; nothing was sent.
        DataError: another process checks the same live targets.
        StorageError: what is paid for could not be saved, so nothing more was sent. `on_report` was called with what
            was judged so far.
        TransportError: not a single response was received. If a request was sent, `on_report` was called.
        NothingMeasuredError: the time limit was over before anything was sent.
    """
    deadline = CommandDeadline(request.max_time_s)
    listener = choose_progress_listener(request.progress)
    with deadline.interrupt_preparation_when_time_is_over():
        catalogue = adapt_to_self_hosted_servers(
            to_catalogue(request.contracts, request.live),
            request.targets,
            request.live,
            ask_servers_for_names=True,
            listener=listener,
            max_wait_s=min(filter(None, (request.max_wait_s, request.max_time_s)), default=None),
        )
    targets = select_targets(catalogue, request.targets, request.live, with_sockets=True)
    request = replace(request, prices=resolve_prices(catalogue, request.prices))
    rules = select_rules(tuple(request.select), tuple(request.ignore), request.severities)
    collector = ResultCollector([target.id for target in targets], request.seed)
    collector.todo_notice = describe_todo_marks(one.document.path for one in collect_contracts(targets))
    if not request.emulated and request.live is None:
        _check_offline_until(deadline, request, targets, rules, collector)
        return build_check_report(collector, rules)
    # The emulator starts while the cases are planned.
    with restore_interrupt_handler(), start_emulator(request, targets) as get_emulator:
        with deadline.interrupt_preparation_when_time_is_over():
            plan = plan_requested_cases(request, targets, request.prices, catalogue)
        # What a live check spends is in a journal until `on_report` has returned.
        with open_journals(
            choose_journal_folder(targets, request.live),
            collect_contracts(targets),
            retry_ambiguous_requests=request.retry_ambiguous_requests,
            begins_new_run=request.new_run,
        ) as journals:
            with deadline.interrupt_preparation_when_time_is_over():
                plan = fit_requested_plan(request, targets, plan, rules, journals)
            with open_check_settings(
                request, targets, plan, rules, get_emulator, collector=collector, journals=journals
            ) as settings:
                send_planned_cases(targets, plan, settings, collector, listener, deadline)
            return finish_check(collector, rules, journals, request.on_report)


def send_planned_cases(
    targets: Sequence[BaseTarget],
    plan: CasePlan,
    settings: CheckSettings,
    collector: ResultCollector,
    listener: ProgressListener,
    deadline: CommandDeadline | None = None,
) -> None:
    """Send the plan, and collect the findings and why sending ended early, if it did.

    Sending ends at the `deadline` (`None` for no time limit) and after Ctrl-C: then the responses in flight that cost
    money are waited for, see `end_on_interrupt`.

    Raises:
        TransportError: not a single response was received.
    """
    if settings.fuzz_request_count:
        # Hypothesis caches tables that are slow to compute; by default in the working directory.
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(get_cache_folder() / "hypothesis"))
    with note_early_end(collector):
        with report_phase(listener, "sending requests", len(plan.cases)) as sending:
            limits = _end_check_on_interrupt_or_time_limit(
                deadline or CommandDeadline(None), settings.interruption, listener
            )
            run_coroutine(check_service(targets, plan, settings, collector, sending.advance, limits))
        if settings.interruption.is_requested:  # and what was in flight is complete
            raise KeyboardInterrupt
    if settings.ledger is not None and collector.stop_message is None:  # also if nothing was left to be sent after it
        overcharge = settings.ledger.first_overcharge_message
        if overcharge is not None:
            collector.end_early("budget", overcharge)


@contextmanager
def note_early_end(collector: ResultCollector) -> Iterator[None]:
    """Note in `collector` if Ctrl-C, the time limit or a service that does not respond ends this context.

    An error that is noted is not raised again, so that the report can be built.

    Raises:
        TransportError: not a single response was received.
    """
    try:
        yield
    except KeyboardInterrupt:
        ignore_interrupts()
        collector.end_early("interrupted", "interrupted")
    except TimeLimitError as error:
        collector.end_early("time", str(error))
    except TransportError as error:
        # Without a single response there is nothing to report: the URL or the network is wrong.
        if not collector.exchange_count:
            raise
        collector.end_early("unreachable", str(error))


@contextmanager
def _end_check_on_interrupt_or_time_limit(
    deadline: CommandDeadline, interruption: CheckInterruption, listener: ProgressListener
) -> Iterator[None]:
    """End the check in this context after Ctrl-C and when the time is over."""
    with end_on_interrupt(interruption, listener.notice), deadline.cancel_task_when_time_is_over():
        yield


def _check_offline_until(
    deadline: CommandDeadline,
    request: CheckRequest,
    targets: Sequence[BaseTarget],
    rules: Mapping[str, Rule],
    collector: ResultCollector,
) -> None:
    """Judge documents and recordings until the deadline or Ctrl-C."""
    recordings, stale_recordings_fail = [Path(path) for path in request.recordings], request.stale_recordings_fail
    named = {name for name in to_name_tuple(request.targets) if "/" in name}
    with restore_interrupt_handler(), note_early_end(collector), deadline.interrupt_when_time_is_over():
        check_offline(
            collect_contracts(targets),
            rules,
            collector,
            recordings,
            stale_recordings_fail=stale_recordings_fail,
            named_targets=[target for target in targets if target.id in named],
        )


check = create_keyword_function(CheckRequest, run_check, name="check")


# Judges a server by a published profile.


_EMULATOR_SERVER_NAME = "emulator"
"""Name of the judged server in the report if it is the emulator; otherwise the report has its base URL."""


def run_profile_check(request: ProfileRequest) -> ProfileReport:
    """Judge a server by the requirements of a published profile.

    >>> report = voicegauge.check_profile("openai-transcription@2026-11", emulated=True)
    >>> report.verdict
    'passed'

    Returns:
        The verdict of every requirement, the score, and the report of the check that was made for it.

    Raises:
        UsageError: the profile or a capability is not known, no base URL is given, or the base URL belongs to a
            service that charges for requests.
        TransportError: not a single response was received.
    """
    profile = load_profile(request.profile)
    contract = load_profile_contract(profile)
    live = request.live
    if request.emulated == (live is not None):
        raise UsageError(
            f"name the server to judge by {request.profile} with --live --base-url, "
            "or judge the emulator with --emulated"
        )
    if live is not None:
        live = _prepare_live_options(live, contract)
    if request.key_env is not None:
        try:
            contract = replace_key_variable(contract, request.key_env)
        except ContractError:
            raise UsageError("--key-env: write the name of an environment variable, such as MY_API_KEY") from None
        if live is not None and not os.environ.get(request.key_env):
            raise UsageError(
                f"--key-env: {request.key_env} is not set: set it, or leave out --key-env if no key is required"
            )

    def judge_report(report: CheckReport) -> ProfileReport:
        server = _EMULATOR_SERVER_NAME if live is None else live.base_urls[""]
        return judge_profile(profile, report, server=server, claimed_capabilities=request.capabilities)

    # An empty report is judged first, because this rejects wrong names before anything is sent.
    judge_report(CheckReport(voicegauge_version="", created_at="", is_finished=True, seed=request.seed, targets=()))
    on_report = request.on_report
    report = run_check(
        CheckRequest(
            targets=contract.id,
            emulated=request.emulated,
            live=live,
            contracts=Catalogue([contract]),
            case_ids=CasePatterns(patterns=profile.case_patterns),
            faults=request.faults,
            seed=request.seed,
            max_wait_s=request.max_wait_s,
            max_time_s=request.max_time_s,
            on_report=None if on_report is None else lambda one: on_report(judge_report(one)),
            progress=request.progress,
        )
    )
    return judge_report(report)


check_profile = create_keyword_function(ProfileRequest, run_profile_check, name="check_profile")


def _prepare_live_options(live: LiveOptions, contract: Contract) -> LiveOptions:
    """Return `live` without a budget, for a server that charges nothing.

    Raises:
        UsageError: no server is named, or it is known to charge for requests.
    """
    if "" not in live.base_urls:
        raise UsageError(f"name the server with --base-url, such as --base-url {contract.servers['server'].url}")
    host = urlsplit(live.base_urls[""]).hostname
    for other in load_catalogue():
        if other.provider.self_hosted is None and host in {
            urlsplit(one.url).hostname for one in other.servers.values()
        }:
            raise UsageError(
                f"{host} charges for requests, and a profile has no prices: use voicegauge check {other.id}"
            )
    return replace(live, max_cost_usd=0.0)


# Checks one given request, or a given sequence of steps with jobs, such as submits and polls.


@request
class SingleCheckRequest(BaseCheckRequest):
    """A request to send, and the outcome that is expected from the service."""

    target: str = keyword(help="Id of the target.", kw_only=False)
    body_changes: Mapping[str, object] | None = keyword(
        default=None, help="Fields of the body that differ from a minimal valid request.", kw_only=False
    )
    omitted_fields: Sequence[str] = keyword(default=(), help="Fields to leave out of the body.")
    expected_outcome: Literal["accepted", "rejected"] = keyword(
        default="accepted", help="Whether the service should accept the request."
    )


@request
class JobStepsRequest(BaseCheckRequest):
    """Steps to carry out with several jobs of one account."""

    target: str = keyword(help="Id of a target that answers with jobs.", kw_only=False)
    steps: Sequence[str] = keyword(
        help='Each is "submit", or one of the following with the number N of a job, counted from 1: "poll N", "late N" '
        '(poll a long time later), "expired N", "cancel N", and "unknown N" (poll an id that does not exist and looks '
        "like that of job N).",
        kw_only=False,
    )


def run_single_check(request: SingleCheckRequest) -> CheckReport:
    """Send one request and check the response.

    >>> report = voicegauge.check_request("pixelapi/voice-design", {"text": "Hello."}, emulated=True)
    >>> report.findings
    ()

    Returns:
        The report, with the findings.

    Raises:
        UsageError: as for `check`. Also if no minimal valid request can be built.
    """
    target, request = _select_speech_target(request)
    changes = request.body_changes or {}
    case = build_request_case(
        target,
        build_modified_request(target, changes, request.omitted_fields),
        request.expected_outcome,
        f"{target.id} {dict(changes)!r:.60}",
    )
    plan = CasePlan(cases=(case,), excluded_operations=tuple(find_excluded_operations([target], ())))
    collector, journals = ResultCollector([target.id], request.seed), CaseJournals(None, [target.contract])
    with restore_interrupt_handler(), start_emulator(request, [target]) as get_emulator:
        settings = build_service_settings(request, [target], get_emulator, journals)
        send_planned_cases([target], plan, settings, collector, ProgressListener(), CommandDeadline(request.max_time_s))
        return build_check_report(collector, journals=journals)


check_request = create_keyword_function(SingleCheckRequest, run_single_check, name="check_request")


def run_job_steps(request: JobStepsRequest) -> CheckReport:
    """Carry out steps with several jobs of one account and check every response.

    >>> report = voicegauge.check_job_steps("pixazo/chatterbox", ["submit", "poll 1"], emulated=True)
    >>> report.findings
    ()

    Returns:
        The report, with the findings.

    Raises:
        UsageError: as for `check`. Also if the target does not answer with jobs, or a step is not valid.
    """
    target, request = _select_speech_target(request)
    collector, journals = ResultCollector([target.id], request.seed), CaseJournals(None, [target.contract])
    with restore_interrupt_handler(), start_emulator(request, [target]) as get_emulator:
        settings = build_service_settings(request, [target], get_emulator, journals)
        with note_early_end(collector):
            limits = CommandDeadline(request.max_time_s).cancel_task_when_time_is_over()
            run_coroutine(service_check.check_job_steps(target, request.steps, settings, collector, limits))
        return build_check_report(collector, journals=journals)


check_job_steps = create_keyword_function(JobStepsRequest, run_job_steps, name="check_job_steps")


TargetRequestT = TypeVar("TargetRequestT", SingleCheckRequest, JobStepsRequest)


def _select_speech_target(request: TargetRequestT) -> tuple[Target, TargetRequestT]:
    """Return the target of a request, and the request with prices by target id; tell the listener who gets keys."""
    catalogue = to_catalogue(request.contracts, request.live)
    target = select_speech_target(catalogue, request.target, request.live)
    if request.live is not None:
        announce_key_hosts([target.contract], request.live, choose_progress_listener(request.progress))
    return target, replace(request, prices=resolve_prices(catalogue, request.prices))
