"""Plans and prices the requests of a check, opens the emulator or the live service, and builds the report."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from voicegauge.api.calls import create_keyword_function
from voicegauge.api.live_service import (
    add_budget_forecast,
    announce_ambiguous_requests_on_error,
    announce_earlier_spending,
    announce_replaced_prices,
    build_live_settings,
    describe_plan,
    list_remaining_budgets,
    open_daily_budgets,
    open_journals,
    remove_cases_sent_earlier,
)
from voicegauge.api.options import LiveOptions
from voicegauge.api.progress import ProgressListener, choose_progress_listener
from voicegauge.api.requests import BaseCheckRequest, CheckRequest
from voicegauge.api.target_selection import (
    adapt_to_self_hosted_servers,
    collect_contracts,
    find_shortest_prices,
    find_wholly_named_providers,
    resolve_prices,
    select_targets,
    to_catalogue,
    to_name_tuple,
)
from voicegauge.cases.plan import CasePatterns, CasePlan, plan_cases, select_cases
from voicegauge.client.keys import read_client_key
from voicegauge.conformance.case_journal import CaseJournals
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import (
    CheckSettings,
    Reproduction,
    build_contract_options,
    build_emulator_check_settings,
    build_emulator_settings,
)
from voicegauge.conformance.judgement_keeper import JudgingBasis
from voicegauge.conformance.plan_prices import (
    PricedPlan,
    fit_plan_to_budgets,
    forecast_request_limit,
    price_plan,
)
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.spending import PricedItem, build_price_name, compute_price_usd
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.contract.loading import Catalogue
from voicegauge.contract.price_computation import is_billable, quote_price
from voicegauge.emulator.process import RunningEmulator, starting_emulator
from voicegauge.errors import MissingKeyError, StorageError, TransportError, UsageError
from voicegauge.files import check_writable, get_state_folder
from voicegauge.hosts import to_socket_url
from voicegauge.model.base import Provenance
from voicegauge.model.price import RemainingBudget
from voicegauge.options import build_arguments
from voicegauge.printable_text import format_count
from voicegauge.rules.registry import RULE_BY_ID, Rule, select_rules

if TYPE_CHECKING:
    from voicegauge.callback_receiver import Receiver


def run_plan_check(request: CheckRequest) -> PricedPlan:
    """Plan and price what `check` would send with the same arguments; nothing is sent.

    >>> plan = voicegauge.plan_check("pixelapi", live=voicegauge.LiveOptions(), max_calls=5)
    >>> plan.spending.total.billable_request_count
    5

    Returns:
        Every case that would be sent, in the order of sending, with its price; and, for a live service, what becomes of
        the plan within the budgets, of which earlier commands may have spent a part (`budget_forecast`).

    Raises:
        UsageError: a name is not known, neither `emulated` nor `live` is given, or a key would be sent unencrypted to
            another machine.
    """
    rules = select_rules(tuple(request.select), tuple(request.ignore), request.severities)
    if not request.emulated and request.live is None:
        raise UsageError("plan a check of either the emulator or the live service")
    listener = choose_progress_listener(request.progress)
    catalogue = adapt_to_self_hosted_servers(
        to_catalogue(request.contracts, request.live),
        request.targets,
        request.live,
        # Nothing is sent, not even a question for names.
        ask_servers_for_names=False,
        listener=listener,
    )
    chosen = select_targets(catalogue, request.targets, request.live, with_sockets=True)
    _require_injectable_faults(request, chosen)
    prices = resolve_prices(catalogue, request.prices)
    if request.live is not None:
        announce_replaced_prices(chosen, prices, listener)
    request = replace(request, prices=prices)
    plan = plan_requested_cases(request, chosen, prices, catalogue)
    if request.live is None:
        return price_plan(plan, chosen, prices, provenance=Provenance.EMULATED)
    with open_journals(
        choose_journal_folder(chosen, request.live),
        collect_contracts(chosen),
        retry_ambiguous_requests=request.retry_ambiguous_requests,
        begins_new_run=request.new_run,
        is_read_only=True,
    ) as journals:
        announce_earlier_spending(journals, request.prices, listener)
        plan = fit_requested_plan(request, chosen, plan, rules, journals)
        rest, earlier_judged_case_count = _remove_cases_sent_earlier(request, chosen, plan, rules, journals)
        priced = price_plan(rest, chosen, prices, provenance=Provenance.LIVE)
        return add_budget_forecast(
            priced,
            _list_remaining_budgets(request.live, chosen, journals, listener),
            suggests_fewer_calls=True,
            is_resumed=_may_send_rest_beyond_budget(request, earlier_judged_case_count),
        )


plan_check = create_keyword_function(CheckRequest, run_plan_check, name="plan_check")


def plan_requested_cases(
    request: CheckRequest, targets: Sequence[BaseTarget], prices: Mapping[str, float], catalogue: Catalogue
) -> CasePlan:
    """Return the cases to send. Of the valid requests, a live service by default gets only one delivery per target.

    If the request has ids or patterns of cases, only those are returned, chosen from all that can be planned.
    """
    case_ids, emulated = request.case_ids, bool(request.emulated)
    are_chosen = isinstance(case_ids, CasePatterns) or bool(case_ids)
    is_own_server = all(target.contract.provider.self_hosted is not None for target in targets)
    sends_every_valid_request = request.every_valid_request or all(  # as those to a server of the user's own are
        quote_price(target, 1, user_usd_per_request=prices.get(target.id)).reserved_usd == 0 for target in targets
    )
    plan = plan_cases(
        targets,
        is_emulated=emulated,
        include_all_billable_cases=emulated or sends_every_valid_request or request.max_calls is not None or are_chosen,
        max_billable_requests=request.max_calls,
        include_webhooks=emulated or request.public_url is not None,
        include_large_uploads=emulated or request.large_uploads or are_chosen,
        include_all_creations=emulated or request.every_valid_request or are_chosen or is_own_server,
        fully_checked_providers=find_wholly_named_providers(catalogue, request.targets),
        ids_without_price=() if emulated else _find_names_of_unpriced_targets_and_jobs(targets, prices),
        keyed_provider_ids=() if emulated else _list_self_hosted_providers_with_key(targets),
    )
    if isinstance(case_ids, CasePatterns):
        return case_ids.select_cases(plan)
    return select_cases(plan, case_ids) if case_ids else plan


def fit_requested_plan(
    request: CheckRequest,
    targets: Sequence[BaseTarget],
    plan: CasePlan,
    rules: Mapping[str, Rule],
    journals: CaseJournals,
) -> CasePlan:
    """Cut a live plan to what is left of every budget, if the request limits the number of billable requests too.

    A user who sets both limits gets the most informative requests that fit both. What an earlier command has paid for
    and judged costs nothing. Other plans are returned as they are: they are refused if they cost too much.

    Args:
        request: the request; its prices are by name.
        targets: the targets of the plan.
        plan: the cases that were planned.
        rules: the rules that are applied.
        journals: what earlier commands have spent and judged.
    """
    live = request.live
    if live is None or live.ledger is not None or request.max_calls is None or request.case_ids:
        return plan
    rest = {case.id for case in _split_cases_sent_earlier(request, targets, plan, rules, journals)[0].cases}
    fitting = fit_plan_to_budgets(
        plan,
        price_plan(plan, targets, request.prices, provenance=Provenance.LIVE),
        _list_remaining_budgets(live, targets, journals, ProgressListener()),
        {case.id for case in plan.cases} - rest,
    )
    if request.retry_ambiguous_requests:
        lost = {case.id for case in plan.cases} & journals.earlier_ambiguous_case_ids
        if lost and lost.isdisjoint(case.id for case in fitting.cases):
            return plan  # which is refused: it would send none of the requests that the user wants to pay for again
    if fitting.over_budget_case_count:
        count = format_count(fitting.over_budget_case_count, "case")
        choose_progress_listener(request.progress).notice(
            f"left out of the plan for lack of budget: {count}, so that the check is judged in part (exit status 5)"
        )
    return fitting


def _may_send_rest_beyond_budget(request: CheckRequest, earlier_judged_case_count: int) -> bool:
    """Whether the rest of an earlier check is sent although it may cost more than what is left of the budget.

    The requests that do not fit into the budget are then left out. A plan that pays again for lost requests is refused
    instead, so that either all of its requests are sent or none.
    """
    return earlier_judged_case_count > 0 and not request.retry_ambiguous_requests


def _list_remaining_budgets(
    live: LiveOptions, targets: Sequence[BaseTarget], journals: CaseJournals, listener: ProgressListener
) -> list[RemainingBudget]:
    daily_budgets = open_daily_budgets(collect_contracts(targets), live, listener)
    return list_remaining_budgets(live, daily_budgets, journals.spent_by_earlier_runs_usd_by_provider)


def _list_self_hosted_providers_with_key(targets: Sequence[BaseTarget]) -> list[str]:
    """Return the ids of self-hosted providers whose key is optional and set in the environment."""
    providers = {target.contract.id: target.contract.provider for target in targets}
    return [
        name
        for name, provider in providers.items()
        if provider.is_key_optional
        and provider.self_hosted is not None
        and os.environ.get(provider.key_variable, "").strip()
    ]


def _find_names_of_unpriced_targets_and_jobs(targets: Sequence[BaseTarget], prices: Mapping[str, float]) -> list[str]:
    """Return the ids of targets and jobs without a known price; none if no target has a known price.

    Without a priced target, nothing would be checked.

    Targets that take audio, and operations that start a job without audio, are included, because the check of a whole
    provider includes them.
    """
    contracts = collect_contracts(targets)
    candidates: list[PricedItem] = [
        *targets,
        *(target for contract in contracts for target in contract.audio_input_targets.values()),
        *(one for contract in contracts for one in contract.operations.values() if one.submit and is_billable(one)),
    ]
    unpriced = {build_price_name(item): None for item in candidates if compute_price_usd(item, prices, 1) is None}
    return list(unpriced) if any(target.id not in unpriced for target in targets) else []


# Builds the report of a check, even if the check ended early.


def finish_check(
    collector: ResultCollector,
    rules: Mapping[str, Rule],
    journals: CaseJournals,
    on_report: Callable[[CheckReport], None] | None,
) -> CheckReport:
    """Build the report, pass it to `on_report` unless that is `None`, and return it.

    The journals of what the check has spent are deleted only after `on_report` returns, so that the spending is not
    forgotten if the process is killed before. Requests whose result was lost stay in the journals: the same command
    sends them again only if the user demands it. The journals of a check that ended early, or with a charge above the
    price, are kept, so that the same command can resume the check.
    """
    report = build_check_report(collector, rules, journals)
    if on_report is not None:
        on_report(report)
    journals.end(report.stop_reason)
    return report


@contextmanager
def report_before_error(
    collector: ResultCollector,
    build_check_report: Callable[[], CheckReport],
    on_report: Callable[[CheckReport], None] | None,
) -> Iterator[None]:
    """Pass the report so far to `on_report`, if not `None`, when an error in the context ends a check; raise it again.

    These errors are a `StorageError`, and a `TransportError` after which nothing was received although a request was
    sent, which may have been charged.
    """
    try:
        yield
    except (StorageError, TransportError) as error:
        if isinstance(error, TransportError) and not (error.request_was_sent or collector.was_request_sent):
            raise
        collector.end_early("unreachable" if isinstance(error, TransportError) else None, str(error))
        if on_report is not None:
            on_report(build_check_report())
        raise


def build_check_report(
    collector: ResultCollector,
    rules: Mapping[str, Rule] = RULE_BY_ID,
    journals: CaseJournals | None = None,
) -> CheckReport:
    """Return the report, with the applied rules and what earlier commands spent (nothing if `journals` is `None`)."""
    applied = () if rules.keys() == RULE_BY_ID.keys() else tuple(rules)
    return msgspec.structs.replace(
        collector.build_report(),
        rules=applied,
        spent_by_earlier_runs_usd=journals.spent_by_earlier_runs_usd if journals is not None else 0.0,
        ambiguous_requests=journals.ambiguous_requests if journals is not None else (),
    )


# Opens the service that a check sends to: the emulator or the live service, and a receiver of its callbacks.


EmulatorGetter = Callable[[], RunningEmulator]
"""A function that waits until the emulator runs, and returns it."""


@contextmanager
def start_emulator(request: BaseCheckRequest, targets: Sequence[BaseTarget]) -> Iterator[EmulatorGetter | None]:
    """Start an emulator of `targets` in the background if the request asks for one. It needs about a second to start.

    Yields:
        A function that returns the emulator; `None` if requests are sent to the live service.

    Raises:
        UsageError: there are faults, but no emulator is started, or a fault is not known.
        MissingExtraError: the emulator is not installed.
    """
    emulated = request.emulated
    _require_injectable_faults(request, targets)
    if isinstance(emulated, RunningEmulator):
        yield lambda: emulated
    elif emulated:
        settings = build_emulator_settings(seed=request.seed, faults=request.faults)
        with starting_emulator(collect_contracts(targets), settings) as wait_for_emulator:
            yield wait_for_emulator
    else:
        yield None


def _require_injectable_faults(request: BaseCheckRequest, targets: Sequence[BaseTarget]) -> None:
    """Reject faults that cannot be injected into the emulator of `targets` that a check starts.

    A notice names each fault that has no effect on the targets.

    Raises:
        UsageError: no emulator is started.
        UnknownNameError: a name contains an unknown fault, provider, target or operation.
    """
    if not request.faults:
        return
    if request.emulated is not True:
        raise UsageError("faults are injected into an emulator that the check starts: pass emulated=True")
    from voicegauge.emulator.fault_injection import explain_ineffective_faults, validate_fault_names

    validate_fault_names(request.faults, collect_contracts(targets))
    listener = choose_progress_listener(request.progress)
    for line in explain_ineffective_faults(request.faults, targets, is_check=True):
        listener.notice(line)


def build_service_settings(
    request: BaseCheckRequest,
    targets: Sequence[BaseTarget],
    get_emulator: EmulatorGetter | None,
    journals: CaseJournals,
    plan: PricedPlan | None = None,
    *,
    is_resumed: bool = False,
) -> CheckSettings:
    """Return the settings for sending to an emulator or the live service.

    `get_emulator` is `None` if the request does not ask for an emulator. `plan` is what will be sent, `None` if that is
    not known: then nothing is announced. See `build_live_settings` for it and for `is_resumed`.

    Raises:
        UsageError: the request names neither the emulator nor a live service.
        VoicegaugeError: as for `build_live_settings`.
    """
    listener = choose_progress_listener(request.progress)
    if request.live is not None:
        settings = build_live_settings(
            targets,
            request.live,
            prices=request.prices,
            seed=request.seed,
            listener=listener,
            plan=plan,
            journals=journals,
            suggests_fewer_calls=True,
            is_resumed=is_resumed,
        )
        reproduction = _build_live_reproduction(request, request.live, collect_contracts(targets))
        settings = replace(settings, reproduction=reproduction)
    elif get_emulator is None:
        raise UsageError("choose where to send requests: emulated=True, or live=LiveOptions()")
    else:
        emulator = get_emulator()
        if plan is not None:
            listener.notice(describe_plan(plan))
        settings = build_emulator_check_settings(
            emulator, targets, seed=request.seed, ids_of_repeat_command=_list_target_names_to_repeat_plan(request)
        )
    return replace(settings, max_wait_s=request.max_wait_s)


def choose_journal_folder(targets: Sequence[BaseTarget], live_options: LiveOptions | None) -> Path | None:
    """Return the folder of the journals of a live check; `None` if nothing is paid, or the caller has its own ledger.

    The folder depends on the targets and their URLs only, so that spending is not forgotten if another option or the
    contract changes.
    """
    if live_options is None or live_options.ledger is not None:
        return None
    key = [sorted(target.id for target in targets), sorted(live_options.base_urls.items())]
    return get_state_folder() / "checks" / hashlib.sha256(msgspec.json.encode(key)).hexdigest()[:16]


LIVE_OPTIONS_IN_REPRODUCTION_COMMANDS = (
    "base_urls",
    "allowed_keys",
    "allow_insecure_http",
    "own_server_models",
    "own_server_voices",
    "account_plans",
    "credit_prices_usd",
)
"""Fields of `LiveOptions` that the command of a finding repeats; the budget is left to the user."""


def _list_target_names_to_repeat_plan(request: BaseCheckRequest) -> tuple[str, ...] | None:
    """Return the names with which `voicegauge check` plans the same cases; `None` if no command plans them.

    Cases that were chosen by patterns cannot be named by options.
    """
    if not isinstance(request, CheckRequest) or isinstance(request.case_ids, CasePatterns):
        return None
    return to_name_tuple(request.targets)


def _build_live_reproduction(
    request: BaseCheckRequest, live: LiveOptions, contracts: Iterable[Contract]
) -> Reproduction:
    names = _list_target_names_to_repeat_plan(request)
    if names is None:
        return Reproduction()
    arguments = build_live_check_arguments(names, live, request.prices, contracts)
    return Reproduction((*arguments, *build_arguments(request, names=("public_url",))))


def build_live_check_arguments(
    provider_and_target_ids: Iterable[str],
    live: LiveOptions,
    prices: Mapping[str, float],
    contracts: Iterable[Contract],
) -> tuple[str, ...]:
    """Return the arguments of `voicegauge check` that check the same targets at the same live service.

    Args:
        provider_and_target_ids: the checked providers and targets; empty for all.
        live: permission to send to the service; the command leaves its budget to the user.
        prices: dollars per request by target or operation, as the user gave them.
        contracts: the contracts of the targets.
    """
    contracts = tuple(contracts)
    if all(contract.is_socket_server(name) for contract in contracts for name in contract.servers):
        live = replace(live, base_urls={name: to_socket_url(url) for name, url in live.base_urls.items()})
    shortest_prices = CheckRequest(prices=find_shortest_prices(contracts, prices))
    return (
        *provider_and_target_ids,
        "--live",
        *build_arguments(live, names=LIVE_OPTIONS_IN_REPRODUCTION_COMMANDS),
        *build_arguments(shortest_prices, names=("prices",)),
        *build_contract_options(contracts),
    )


def open_callback_receiver(public_url: str | None, port: int) -> AbstractContextManager[Receiver | None]:
    """Return a context manager that yields a receiver of callbacks, or `None` without a `public_url` of a tunnel."""
    if public_url is None:
        return nullcontext()
    from voicegauge.callback_receiver import run_receiver  # checks without webhooks need no server

    return run_receiver(port=port, public_url=public_url)


# Sends the plan of a check to a service or the emulator, and reports the result.


@contextmanager
def open_check_settings(
    request: CheckRequest,
    targets: Sequence[BaseTarget],
    plan: CasePlan,
    rules: Mapping[str, Rule],
    get_emulator: EmulatorGetter | None,
    *,
    collector: ResultCollector,
    journals: CaseJournals,
) -> Iterator[CheckSettings]:
    """Yield the settings with which a plan is sent; if the block raises an error, announce what was lost by it.

    `get_emulator` is `None` if the plan is sent to a live service.
    """
    listener = choose_progress_listener(request.progress)
    failures_folder = Path(request.failures_folder) if request.failures_folder is not None else None
    announce_earlier_spending(journals, request.prices, listener)
    if failures_folder is not None:
        # Before anything is paid for. No file of failures has this name: only the folder is tried.
        check_writable(failures_folder / "...")
    provenance = Provenance.EMULATED if request.live is None else Provenance.LIVE
    rest, earlier_judged_case_count = _remove_cases_sent_earlier(request, targets, plan, rules, journals)
    cost = price_plan(rest, targets, request.prices, provenance=provenance)
    settings = build_service_settings(
        request,
        targets,
        get_emulator,
        journals,
        cost,
        is_resumed=_may_send_rest_beyond_budget(request, earlier_judged_case_count),
    )
    with (
        open_callback_receiver(request.public_url, request.listen_port) as receiver,
        # A report lists what was lost, too.
        announce_ambiguous_requests_on_error(journals, listener) if request.on_report is None else nullcontext(),
        report_before_error(collector, lambda: build_check_report(collector, rules, journals), request.on_report),
    ):
        yield replace(
            settings,
            rules=rules,
            fuzz_request_count=request.fuzz_request_count,
            fuzz_failures_folder=failures_folder,
            concurrency=_choose_concurrency(request),
            callback_receiver=receiver,
        )


def _remove_cases_sent_earlier(
    request: CheckRequest,
    targets: Sequence[BaseTarget],
    plan: CasePlan,
    rules: Mapping[str, Rule],
    journals: CaseJournals,
) -> tuple[CasePlan, int]:
    """Return the cases that are sent, and the number of those that an earlier check has judged; tell the listener.

    The cases that are sent are those that the limit of billable requests allows if every response is as expected.
    """
    rest, earlier_judged_case_count = _split_cases_sent_earlier(request, targets, plan, rules, journals)
    if earlier_judged_case_count and request.progress is not None:
        request.progress.notice(
            f"resuming an earlier check: {earlier_judged_case_count} of {len(plan.cases)} cases are judged already, "
            "and not sent again; --new-run sends them again"
        )
    if request.live is not None:
        rest = forecast_request_limit(plan, rest, journals.journal_by_provider)
    return rest, earlier_judged_case_count


def _split_cases_sent_earlier(
    request: CheckRequest,
    targets: Sequence[BaseTarget],
    plan: CasePlan,
    rules: Mapping[str, Rule],
    journals: CaseJournals,
) -> tuple[CasePlan, int]:
    """Return the cases that are sent, and the number of those that an earlier check has judged.

    Without the key of the account, as in a dry run, nothing counts as judged.
    """
    if request.live is None or not any(one.is_on_disk for one in journals.journal_by_provider.values()):
        return plan, 0
    lost = remove_cases_sent_earlier(plan, journals)
    try:
        bases = {
            contract.id: JudgingBasis(contract, rules, read_client_key(contract))
            for contract in collect_contracts(targets)
        }
    except MissingKeyError:
        return lost, 0
    rest = remove_cases_sent_earlier(plan, journals, bases)
    return rest, len(lost.cases) - len(rest.cases)


DEFAULT_EMULATOR_CONCURRENCY = 4
"""Default number of cases in flight at the emulator. The emulator responds to one case while the response to another
is judged."""


def _choose_concurrency(request: CheckRequest) -> int:
    """Return the number of cases in flight: one with faults, whose effects may depend on the order of requests."""
    if request.concurrency is not None:
        return request.concurrency
    emulated = request.emulated
    faults = emulated.settings.faults if isinstance(emulated, RunningEmulator) else request.faults
    return DEFAULT_EMULATOR_CONCURRENCY if emulated and not faults else 1
