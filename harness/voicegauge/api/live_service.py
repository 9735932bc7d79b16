"""Opens live services for a command: keys, rate limits, budgets, and journals of what is paid for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from voicegauge.api.calls import run_coroutine
from voicegauge.api.options import LiveOptions
from voicegauge.api.progress import ProgressListener
from voicegauge.api.target_selection import check_key_hosts, collect_contracts, describe_replaced_prices
from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import CasePlan
from voicegauge.client.connection import RateLimiter, create_rate_limiter, find_account_plan_limits, read_permitted_key
from voicegauge.client.daily_spending import DailyBudget
from voicegauge.client.keys import ClientKey
from voicegauge.client.ledger import Ledger
from voicegauge.conformance import service_check
from voicegauge.conformance.case_journal import CaseJournals
from voicegauge.conformance.check_settings import CheckSettings
from voicegauge.conformance.judgement_keeper import JudgingBasis, find_earlier_judgement
from voicegauge.conformance.plan_prices import (
    PlannedResource,
    PricedPlan,
    count_affordable_requests,
    forecast_budgets,
    list_payments,
    require_prices,
)
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.errors import (
    BudgetError,
    StorageError,
    TransportError,
    UsageError,
    VoicegaugeError,
)
from voicegauge.files import get_state_folder
from voicegauge.model.base import Provenance, convert_to_micro_usd, sum_usd
from voicegauge.model.exchange import describe_ambiguous_requests
from voicegauge.model.price import MAX_COST_FLAG, MAX_COST_PER_DAY_FLAG, RemainingBudget, format_price_usd
from voicegauge.printable_text import format_count

RESOURCE_JOURNAL_FOLDER_NAME = "resources"
"""Name of the folder, in the state folder, with the journals of created resources."""


def require_audio_decoders(contracts: Iterable[Contract]) -> None:
    """Check, before anything is paid for, that the audio formats in the contracts can be decoded on this machine.

    Raises:
        MissingExtraError: a contract documents a format or a bit rate that needs PyAV, which is not installed.
    """
    from voicegauge.speech.containers import require_av

    if any(_needs_pyav(text) for contract in contracts for text in _iterate_strings(contract.document.data)):
        require_av()


def _needs_pyav(text: str) -> bool:
    """Whether a text in a contract names a format that only PyAV decodes, or states a bit rate."""
    from voicegauge.speech.containers import find_container_of_media_type
    from voicegauge.speech.decoding import FFMPEG_CONTAINERS
    from voicegauge.speech.encoding import find_container_of_format

    containers = (find_container_of_media_type(text), find_container_of_format(text))
    return text == "bitrate_kbps" or not FFMPEG_CONTAINERS.isdisjoint(containers)


def _iterate_strings(document_part: Any) -> Iterator[str]:
    """Yield every text in a part of a parsed document, at any depth; keys of objects are texts too."""
    if isinstance(document_part, str):
        yield document_part
    elif isinstance(document_part, dict):
        yield from map(str, document_part)
        for item in document_part.values():
            yield from _iterate_strings(item)
    elif isinstance(document_part, list):
        for item in document_part:
            yield from _iterate_strings(item)


def build_live_settings(
    targets: Sequence[BaseTarget],
    live_options: LiveOptions,
    *,
    prices: Mapping[str, float],
    seed: int,
    listener: ProgressListener,
    journals: CaseJournals,
    plan: PricedPlan | None = None,
    suggests_fewer_calls: bool = False,
    is_resumed: bool = False,
) -> CheckSettings:
    """Return the settings for sending to live services: keys from the environment, a budget, rate limits.

    Args:
        targets: the targets of the command.
        live_options: budget, base URLs and account plans.
        prices: the caller's own prices in dollars per request, by target id.
        seed: seed of everything random.
        listener: receives notices about the cost of the plan and the rate limits that are honored.
        journals: record what is paid for. What earlier commands have spent according to them counts towards the budget.
        plan: the requests that will be sent; their cost must fit into the budget. `None` if they are not known.
        suggests_fewer_calls: whether the error about a plan over budget suggests a smaller `max_calls`.
        is_resumed: whether the plan is the rest of one that was begun. It may cost more than is left, because requests
            that were lost count as spent; what does not fit into the budget is left out then.

    Raises:
        MissingExtraError: see `require_audio_decoders`.
        MissingKeyError: the key of a provider is not set.
        UnknownNameError: no document names one of the account plans.
        UsageError: no document states what a target costs, or a key would be sent unencrypted to another machine.
        BudgetError: the plan costs more than the budget.
    """
    contracts = collect_contracts(targets)
    require_audio_decoders(contracts)
    check_key_hosts(contracts, live_options)
    announce_replaced_prices(targets, prices, listener)
    plans = find_account_plan_limits(contracts, live_options.account_plans)
    keys = _read_client_keys(contracts, live_options)
    daily_budgets = open_daily_budgets(contracts, live_options, listener)
    spent_usd_by_provider = journals.spent_by_earlier_runs_usd_by_provider
    if plan is not None:
        require_prices(plan)
        announce_plan(plan, live_options, listener)
        if not is_resumed:
            budgets = list_remaining_budgets(live_options, daily_budgets, spent_usd_by_provider)
            require_budgets(plan, budgets, suggests_fewer_calls=suggests_fewer_calls)
    base_urls = {contract.id: live_options.find_base_urls(contract) for contract in contracts}
    rate_limiters = {provider: create_rate_limiter(one, base_urls[provider]) for provider, one in plans.items()}
    announce_rate_limits(rate_limiters, listener)
    ledger = live_options.ledger or Ledger(live_options.total_budget_usd, spent_usd=journals.spent_by_earlier_runs_usd)
    journals.note_overcharges(ledger, prices)
    return CheckSettings(
        provenance=Provenance.LIVE,
        base_urls_by_provider=base_urls,
        api_key_by_provider=keys,
        ledger=ledger,
        daily_budget_by_provider=daily_budgets,
        # Calls that share a ledger share its one limit.
        max_cost_usd_by_provider=live_options.budget_usd_by_provider if live_options.ledger is None else {},
        spent_usd_by_provider=spent_usd_by_provider,
        price_usd_by_name=prices,
        rate_limiter_by_provider=rate_limiters,
        # The plan of an account says nothing about a server at another URL.
        max_concurrency_by_provider={
            provider: one.max_concurrent_requests for provider, one in plans.items() if not base_urls[provider]
        },
        seed=seed,
        case_journal_by_provider=journals.journal_by_provider,
        resource_journals_folder=get_state_folder() / RESOURCE_JOURNAL_FOLDER_NAME,
        on_deletion_message=listener.notice,
    )


SPENDING_FOLDER_NAME = "spending"
"""Name of the folder, in the state folder, with what was spent at each provider on each day."""


def open_daily_budgets(
    contracts: Iterable[Contract], live_options: LiveOptions, listener: ProgressListener
) -> dict[str, DailyBudget]:
    """Return the budget of today (UTC) for each provider by its id. All commands on this machine spend from it."""
    folder, limit_usd = get_state_folder() / SPENDING_FOLDER_NAME, live_options.max_cost_per_day_usd
    return {
        contract.id: DailyBudget(
            folder,
            contract.id,
            limit_usd,
            on_storage_error=lambda error: listener.notice(
                f"what is spent today is not counted for --max-cost-per-day: {error}"
            ),
        )
        for contract in contracts
    }


def list_remaining_budgets(
    live_options: LiveOptions, daily_budgets: Mapping[str, DailyBudget], spent_usd_by_provider: Mapping[str, float]
) -> list[RemainingBudget]:
    """Return what is left of each budget that limits a plan.

    A ledger that several calls share is not among them, because the other calls spend from it too. Such a ledger
    rejects each single request that exceeds the rest of the budget.

    Args:
        live_options: options with the budgets of all providers together and of single ones.
        daily_budgets: what was spent today, by provider id.
        spent_usd_by_provider: dollars that earlier commands for the same targets spent; see `CaseJournals`.

    Raises:
        StorageError: there is a limit for a day, and the state folder cannot be written.
    """
    budgets = []
    if live_options.ledger is None:
        total_usd = sum_usd(spent_usd_by_provider.values())
        limits: list[tuple[str | None, float]] = [(None, live_options.total_budget_usd)]
        limits += live_options.budget_usd_by_provider.items()
        budgets += [
            RemainingBudget(
                flag=MAX_COST_FLAG,
                provider=provider,
                limit_usd=limit_usd,
                spent_usd=total_usd if provider is None else spent_usd_by_provider.get(provider, 0.0),
            )
            for provider, limit_usd in limits
        ]
    if live_options.max_cost_per_day_usd is not None:
        budgets += [
            RemainingBudget(
                flag=MAX_COST_PER_DAY_FLAG,
                provider=provider,
                limit_usd=live_options.max_cost_per_day_usd,
                spent_usd=one.spent_today_usd,
            )
            for provider, one in daily_budgets.items()
        ]
    return budgets


def open_journals(
    folder: Path | None,
    contracts: Iterable[Contract],
    *,
    retry_ambiguous_requests: bool,
    skip_cases_without_verdict: bool = False,
    begins_new_run: bool = False,
    is_read_only: bool = False,
) -> CaseJournals:
    """Open the journals in which a check or a recording notes what it pays for; see `CaseJournals` for the arguments.

    With the folder `None`, the journals are kept in memory only.

    Raises:
        UsageError: `retry_ambiguous_requests` is true, but no earlier command has left an ambiguous request.
        DataError: another process uses a journal, or it is damaged.
    """
    journals = CaseJournals(
        folder,
        contracts,
        retry_ambiguous_requests=retry_ambiguous_requests,
        skip_cases_without_verdict=skip_cases_without_verdict,
        begins_new_run=begins_new_run,
        is_read_only=is_read_only,
    )
    if retry_ambiguous_requests and not journals.earlier_ambiguous_case_ids:
        # The error must not leave the journals locked for the next call of this process.
        journals.close()
        raise UsageError("no earlier command for these targets left an ambiguous request: leave out --retry-ambiguous")
    return journals


def announce_earlier_spending(journals: CaseJournals, prices: Mapping[str, float], listener: ProgressListener) -> None:
    """Tell the listener about payments of earlier commands that ended early, lost requests or were overcharged."""
    if journals.spent_by_earlier_runs_usd:
        usd = format_price_usd(journals.spent_by_earlier_runs_usd)
        listener.notice(f"an earlier command has spent {usd}, which counts towards the budget")
    overcharge = journals.find_overcharge_message(prices)
    if overcharge is not None:
        listener.notice(f"{overcharge}; --new-run sends more to it nevertheless")
    for line in describe_ambiguous_requests(journals.ambiguous_requests):
        listener.notice(line)


@contextmanager
def announce_ambiguous_requests_on_error(journals: CaseJournals, listener: ProgressListener) -> Iterator[None]:
    """If an error ends the context, tell the listener which paid requests have no result.

    After such an error there is no report that could list them.
    """
    try:
        yield
    except (StorageError, TransportError):
        for line in describe_ambiguous_requests(journals.ambiguous_requests):
            listener.notice(line)
        raise


def remove_cases_sent_earlier(
    plan: CasePlan, journals: CaseJournals, basis_by_provider: Mapping[str, JudgingBasis] = {}
) -> CasePlan:
    """Return the plan without the cases that are not sent again because of an earlier command.

    Args:
        plan: the cases that were planned.
        journals: the journals, which say what an earlier command may have paid for.
        basis_by_provider: what judgements depend on, by provider id; empty if cases are recorded.
    """

    def is_known(case: ConformanceCase) -> bool:
        journal, basis = journals.journal_by_provider[case.provider], basis_by_provider.get(case.provider)
        if journal.find_skip_reason(case) is not None:
            return True
        return basis is not None and find_earlier_judgement(journal, case, basis) is not None

    return msgspec.structs.replace(plan, cases=tuple(case for case in plan.cases if not is_known(case)))


def announce_plan(plan: PricedPlan, live_options: LiveOptions, listener: ProgressListener) -> None:
    """Tell the listener how many requests will be sent, for how much, and which resources they create."""
    # If nothing can cost money, a limit would suggest that something does.
    may_cost = plan.price_usd or ((plan.worst_case_usd or plan.ids_without_price) and live_options.total_budget_usd)
    limit = f"; at most {describe_budget(live_options)}" if may_cost else ""
    listener.notice(f"{describe_plan(plan)}{limit}")
    for line in describe_resources(plan):
        listener.notice(line)


def require_budgets(plan: PricedPlan, budgets: Sequence[RemainingBudget], *, suggests_fewer_calls: bool) -> None:
    """Reject a plan that costs more than is left of a budget.

    Args:
        plan: the planned requests with their prices.
        budgets: what is left of each budget.
        suggests_fewer_calls: whether the error suggests a smaller `max_calls`.

    Raises:
        BudgetError: the plan costs more than what is left of a budget.
    """
    price_usd_by_provider = plan.sum_price_usd_by_provider()
    for budget in budgets:
        price_usd = plan.price_usd if budget.provider is None else price_usd_by_provider.get(budget.provider, 0.0)
        if convert_to_micro_usd(price_usd) <= budget.left_micro_usd:
            continue
        count = count_affordable_requests(plan, budgets) if suggests_fewer_calls else 0
        fewer_calls = f", or --max-calls {count}" if count else ""
        fits = f"; {budget.describe_sufficient_budget(price_usd)}{fewer_calls} fits"
        cheapest_usd = min(
            (
                case.price_usd
                for case in plan.cases
                if case.kind == "delivery"
                and case.price_usd is not None
                and budget.applies_to(case.id.partition("/")[0])
            ),
            default=0.0,
        )
        if plan.is_short and convert_to_micro_usd(cheapest_usd) > budget.left_micro_usd:  # with more, it is cut to fit
            fits = f"{fits}, and {budget.describe_sufficient_budget(cheapest_usd)} fits the cheapest delivery"
        of_provider = "" if budget.provider is None else f" at {budget.provider}"
        usd = format_price_usd(price_usd, is_exact=True)
        raise BudgetError(f"the plan costs about {usd}{of_provider}, more than {budget.describe()}{fits}")


def add_budget_forecast(
    plan: PricedPlan, budgets: Sequence[RemainingBudget], *, suggests_fewer_calls: bool, is_resumed: bool = False
) -> PricedPlan:
    """Return `plan` with a forecast of which requests will be sent within `budgets`.

    See `build_live_settings` for the other arguments.
    """
    refusal: VoicegaugeError | None = None
    try:
        require_prices(plan)
        if not is_resumed:
            require_budgets(plan, budgets, suggests_fewer_calls=suggests_fewer_calls)
    except (UsageError, BudgetError) as error:
        refusal = error
    return msgspec.structs.replace(plan, budget_forecast=forecast_budgets(list_payments(plan), budgets, refusal))


def describe_budget(live_options: LiveOptions) -> str:
    """Return the budget as text, such as "$3.00 (acme $1.00, other $2.00)"."""
    parts = ", ".join(
        f"{provider} {format_price_usd(usd, is_exact=True)}"
        for provider, usd in live_options.budget_usd_by_provider.items()
    )
    return format_price_usd(live_options.total_budget_usd, is_exact=True) + (f" ({parts})" if parts else "")


def describe_plan(plan: PricedPlan) -> str:
    """Describe the number of requests of a plan and their price in one line."""
    emulated = plan.provenance is Provenance.EMULATED
    total = plan.spending.total
    requests = f"{'emulated' if emulated else 'live'}: {format_count(total.request_count, 'request')}"
    if not emulated and plan.largest_request_count > total.request_count:
        requests += f" (up to {plan.largest_request_count} with a connection for each turn)"
    if not plan.price_usd and not plan.ids_without_price and not emulated:
        at_no_price = sum(case.is_billable for case in plan.cases)
        return (
            f"{requests}, {at_no_price} to be accepted; none costs anything" if at_no_price else f"{requests}, all free"
        )
    requests = f"{requests}, {total.billable_request_count} billable"
    free = " (nothing is charged)" if emulated else ""
    worst = ""
    if not emulated and plan.worst_case_usd > plan.price_usd:
        worst = f", {format_price_usd(plan.worst_case_usd)} if the service accepts what it should reject"
    return f"{requests}, {_format_price_of_plan(plan)}{free}{worst}"


def describe_resources(plan: PricedPlan) -> Iterator[str]:
    """Yield a line about what the plan creates in the account and deletes, and one about what stays there."""
    if plan.created_resources and plan.provenance is Provenance.LIVE:
        yield f"creates in the account, and deletes: {_format_planned_resources(plan.created_resources)}"
    if plan.undeletable_resources:
        named = _format_planned_resources(plan.undeletable_resources)
        yield f"stays in the account, because no document says how to delete it: {named}"


def _format_planned_resources(resources: Sequence[PlannedResource]) -> str:
    return ", ".join(
        f"{one.resource_type} ({one.operation}, {one.request_count} request{'s' if one.request_count > 1 else ''})"
        for one in resources
    )


def _format_price_of_plan(plan: PricedPlan) -> str:
    """Describe the price of a plan. Unknown prices are mentioned instead of being counted as zero."""
    known = f"up to {format_price_usd(plan.price_usd)} if all succeed"
    if not plan.ids_without_price:
        return known
    names = f"price in dollars not documented for {', '.join(plan.ids_without_price)}"
    return f"{known}, plus {names}" if plan.price_usd else names


def _read_client_keys(contracts: Sequence[Contract], live_options: LiveOptions) -> dict[str, ClientKey | None]:
    return {
        one.id: read_permitted_key(one, live_options.find_base_urls(one), live_options.allowed_keys)
        for one in contracts
    }


def announce_replaced_prices(
    targets: Iterable[BaseTarget], prices: Mapping[str, float], listener: ProgressListener
) -> None:
    """Tell the listener which documented prices are replaced, because the provider may still charge these.

    `prices` are those of the caller, in dollars per request, by target or operation.
    """
    for name, documented in describe_replaced_prices(targets, prices).items():
        usd = format_price_usd(prices[name], is_exact=True)
        listener.notice(f"--price: {usd} / request replaces the documented {documented} of {name}")


def delete_leftover_resources(
    contracts: Sequence[Contract],
    live_options: LiveOptions,
    listener: ProgressListener,
    max_wait_s: float | None,
) -> None:
    """Delete the resources that killed checks left at live services, and tell the listener about them.

    A deletion that costs money is left to a check, which has a budget for it.

    Args:
        contracts: contracts of the providers.
        live_options: base URLs and keys.
        listener: receives a notice about each resource.
        max_wait_s: maximum time of each request in seconds; `None` for the default.

    Raises:
        MissingKeyError: the key of a provider is not set.
    """
    settings = CheckSettings(
        provenance=Provenance.LIVE,
        base_urls_by_provider={contract.id: live_options.find_base_urls(contract) for contract in contracts},
        api_key_by_provider=_read_client_keys(contracts, live_options),
        ledger=Ledger(0.0),
        max_wait_s=max_wait_s,
        resource_journals_folder=get_state_folder() / RESOURCE_JOURNAL_FOLDER_NAME,
        on_deletion_message=listener.notice,
    )
    run_coroutine(service_check.delete_leftover_resources(contracts, settings))


def announce_rate_limits(rate_limiters: Mapping[str, RateLimiter | None], listener: ProgressListener) -> None:
    """Tell the listener which rate limits are honored, because a live run may have to wait for them."""
    for provider, rate_limiter in rate_limiters.items():
        if rate_limiter is not None:
            limit = f"at most {rate_limiter.requests_per_minute} requests per minute, not counting polls"
            listener.notice(f"{provider}: {limit}; name your account's plan (--plan) if it allows more")
