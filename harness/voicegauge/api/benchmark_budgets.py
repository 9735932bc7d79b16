"""Decides what a live benchmark may still spend: which run it continues, and what is left of every budget."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import msgspec

from voicegauge.api.benchmark_planning import PlannedBenchmark, choose_texts_and_plan_requests
from voicegauge.api.live_service import describe_budget, list_remaining_budgets, open_daily_budgets
from voicegauge.api.options import LiveOptions
from voicegauge.api.requests import BenchRequest
from voicegauge.api.target_selection import collect_contracts
from voicegauge.bench.benchmark_plan import BenchPlanResult, summarize_bench_plan
from voicegauge.bench.run_start import (
    RunToContinue,
    find_run_to_continue,
    find_run_with_ambiguous_requests,
    find_runs_of_other_plans,
)
from voicegauge.client.daily_spending import remove_provider_version
from voicegauge.client.keys import find_missing_key_variables
from voicegauge.conformance.plan_budgets import PlannedPayment, forecast_budgets
from voicegauge.errors import BudgetError, DataError, UsageError, VoicegaugeError
from voicegauge.model.base import convert_to_micro_usd, sum_usd
from voicegauge.model.price import MAX_COST_PER_DAY_FLAG, BudgetForecast, RemainingBudget, format_price_usd
from voicegauge.options import function_of
from voicegauge.printable_text import format_count

# Plans a benchmark without sending it (`--dry-run`).


def run_plan_benchmark(request: BenchRequest) -> BenchPlanResult:
    """Plan and price what `benchmark` would send with the same arguments; nothing is sent.

    >>> plan = voicegauge.plan_benchmark("pixelapi/voice-design", max_texts=2, warmup=0)
    >>> plan.request_count
    2

    With `ramp` or `stop_when_decided`, the plan is the most that may be sent.

    Returns:
        For each target, the number of requests and characters, and the cost; the variables of keys that are not set;
        and for live services, which part of the plan the budgets allow, after what earlier commands have spent.

    Raises:
        UsageError: arguments contradict each other, a name is not known, a target needs something that is missing, or a
            key would be sent unencrypted to another machine.
    """
    planned_benchmark = choose_texts_and_plan_requests(request, ask_servers_for_names=False)
    if request.ramp is not None:
        planned_benchmark.listener.notice("a ramp ends when its search does: this is the most that it may send")
    contracts = [contract for contract, _ in planned_benchmark.list_contracts_with_live_options()]
    # Workers have keys of their own.
    missing = {} if request.dask_scheduler else {one.id: find_missing_key_variables(one) for one in contracts}
    summary = summarize_bench_plan(
        planned_benchmark.plan, {provider: variables for provider, variables in missing.items() if variables}
    )
    if planned_benchmark.live_options is None:
        return summary
    return msgspec.structs.replace(
        summary, budget_forecast=_forecast_budgets(planned_benchmark, planned_benchmark.live_options)
    )


plan_benchmark = function_of(BenchRequest, run_plan_benchmark, name="plan_benchmark")


def _forecast_budgets(planned_benchmark: PlannedBenchmark, live: LiveOptions) -> BudgetForecast:
    """Return which part of a plan the remaining budgets allow; or, if the plan would be refused, the reason."""
    refusal: VoicegaugeError | None = None
    run_to_continue: RunToContinue | None = None
    try:
        require_budget(planned_benchmark, live)
        run_to_continue = choose_run_to_continue(planned_benchmark)
        require_daily_budgets(planned_benchmark, run_to_continue)
    except (UsageError, BudgetError) as error:
        refusal = error
    if run_to_continue is not None:
        announce_cost(planned_benchmark, run_to_continue)
    is_ramp = planned_benchmark.request.ramp is not None  # which stops when a budget is spent
    payments = [] if is_ramp else _list_planned_payments(planned_benchmark, run_to_continue)
    return forecast_budgets(
        payments, _list_remaining_budgets_of_benchmark(planned_benchmark, live, run_to_continue), refusal
    )


def _list_planned_payments(
    planned_benchmark: PlannedBenchmark, run_to_continue: RunToContinue | None
) -> list[PlannedPayment]:
    if run_to_continue is None:
        samples = [one for row in planned_benchmark.plan.rounds for one in row]
    else:
        samples = run_to_continue.journal_state.find_unpaid_samples(
            planned_benchmark.plan, retry_ambiguous=planned_benchmark.request.retry_ambiguous_requests
        )
    return [PlannedPayment(one.id, one.price.price_usd or 0.0, one.price.reserved_usd or 0.0) for one in samples]


def _list_remaining_budgets_of_benchmark(
    planned_benchmark: PlannedBenchmark, live: LiveOptions, run_to_continue: RunToContinue | None
) -> list[RemainingBudget]:
    """Return what is left of each budget of the plan. If `run_to_continue` is given, its spending is subtracted."""
    contracts = collect_contracts(planned_benchmark.targets.values())
    spent_usd: dict[str, float] = {}
    if run_to_continue is not None:
        for name in {remove_provider_version(contract.id) for contract in contracts}:
            belongs_to_provider = functools.partial(_is_sample_paid_from_budget, name)
            state = run_to_continue.journal_state
            spent_usd[name] = state.sum_spent_usd_except_last_requests((), belongs_to_provider)
    return list_remaining_budgets(live, open_daily_budgets(contracts, live, planned_benchmark.listener), spent_usd)


def _is_sample_paid_from_budget(budget_name: str, sample_id: str) -> bool:
    """Whether a sample is paid from the budget `budget_name`."""
    return remove_provider_version(sample_id.partition("/")[0]) == budget_name


# Rejects a plan that costs more than is left, and finds the run that a command continues.


def require_budget(planned_benchmark: PlannedBenchmark, live: LiveOptions) -> None:
    """Reject a plan whose price is not known, or that costs more than the budget.

    A ramp may cost more: it stops when the budget is spent.

    Raises:
        UsageError: a price is not known.
        BudgetError: the plan costs more than the budget. If the command would continue an interrupted run, the error
            message says so.
    """
    is_limited = planned_benchmark.request.ramp is None
    try:
        planned_benchmark.plan.check_budget(
            live.total_budget_usd if is_limited else math.inf, live.budget_usd_by_provider if is_limited else {}
        )
    except BudgetError as error:
        raise BudgetError(f"{error}{_describe_interrupted_run(planned_benchmark)}") from error


def _describe_interrupted_run(planned_benchmark: PlannedBenchmark) -> str:
    """Return the addition to an error about an exceeded budget; empty if there is nothing to continue.

    It names the interrupted run that the same command continues with a higher budget, and what that run has spent.
    """
    request = planned_benchmark.request
    if request.new_run:
        return ""
    try:
        found = find_run_to_continue(Path(request.out), planned_benchmark.plan)
    except DataError:
        return ""
    if found is None or found.journal_state.is_empty:
        return ""
    spent_usd = format_price_usd(found.journal_state.spent_usd)
    spent = f"{spent_usd} of it are spent already by the interrupted run {found.run_folder}"
    return f"; {spent}, which the same command continues with a higher budget"


def require_daily_budgets(planned_benchmark: PlannedBenchmark, run_to_continue: RunToContinue | None) -> None:
    """Reject a new run that may cost more than what is left of today's budget of one of its providers.

    Ramps and continued runs are not rejected: they stop when that budget is spent.

    Raises:
        BudgetError: the run may cost more than what is left.
        StorageError: there is a limit, and the state folder cannot be written.
    """
    live, request = planned_benchmark.live_options, planned_benchmark.request
    if live is None or request.ramp is not None or run_to_continue is not None:
        return
    cost_by_provider: dict[str, float] = {}
    for cost in planned_benchmark.plan.target_costs:
        provider = cost.target.partition("/")[0]
        cost_by_provider[provider] = sum_usd((cost_by_provider.get(provider, 0.0), cost.reserved_usd or 0.0))
    for budget in _list_remaining_budgets_of_benchmark(planned_benchmark, live, None):
        cost_usd = cost_by_provider.get(budget.provider or "", 0.0)
        if budget.flag == MAX_COST_PER_DAY_FLAG and convert_to_micro_usd(cost_usd) > budget.left_micro_usd:
            raise BudgetError(
                f"the requests to {budget.provider} cost up to {format_price_usd(cost_usd, is_exact=True)}, "
                f"more than {budget.describe()}: wait until tomorrow (UTC), raise it, or plan fewer requests with "
                "--limit"
            )


def choose_run_to_continue(planned_benchmark: PlannedBenchmark) -> RunToContinue | None:
    """Return the interrupted live run to continue; `None` if a new run begins.

    Raises:
        DataError: a run was interrupted after something was paid for, but it cannot be continued.
        UsageError: `retry_ambiguous_requests` is true, but no run has ambiguous requests; or the last run of the plan
            left ambiguous requests, and neither `retry_ambiguous_requests` nor `new_run` says what to do.
    """
    runs_folder = Path(planned_benchmark.request.out)
    retry_ambiguous_requests = planned_benchmark.request.retry_ambiguous_requests
    if planned_benchmark.live_options is None or planned_benchmark.request.new_run:
        return None
    found = find_run_to_continue(runs_folder, planned_benchmark.plan, retry_ambiguous=retry_ambiguous_requests)
    if found is None and retry_ambiguous_requests:
        raise UsageError(
            f"no run in {runs_folder} with these options has an ambiguous request: leave out --retry-ambiguous"
        )
    finished_run = find_run_with_ambiguous_requests(runs_folder, planned_benchmark.plan) if found is None else None
    if finished_run is not None:
        count = finished_run.ambiguous_request_count
        raise UsageError(
            f"the last run of this benchmark, {finished_run.run_folder}, sent {format_count(count, 'request')} without "
            f"receiving a result, which may have been charged ({format_price_usd(finished_run.ambiguous_usd)} of the "
            f"{format_price_usd(finished_run.spent_usd)} that it has spent): --retry-ambiguous pays for "
            f"{'it' if count == 1 else 'them'} again, --new-run pays for a new run"
        )
    for folder in () if found else find_runs_of_other_plans(runs_folder, planned_benchmark.plan):
        planned_benchmark.listener.notice(
            f"{folder} is an interrupted run with other options or contracts: it is not continued"
        )
    return found


def announce_cost(planned_benchmark: PlannedBenchmark, run_to_continue: RunToContinue | None) -> None:
    """Tell the listener how many live requests will be sent, for how much, and what an interrupted run has spent."""
    if planned_benchmark.live_options is None:
        return
    plan, limit = planned_benchmark.plan, f"of at most {describe_budget(planned_benchmark.live_options)}"
    providers = ", ".join(contract.id for contract in collect_contracts(planned_benchmark.targets.values()))
    if run_to_continue is None or run_to_continue.journal_state.is_empty:
        sent = f"{format_count(plan.request_count, 'request')} to {providers}, {format_price_usd(plan.cost_usd)}"
        if planned_benchmark.request.ramp is not None:
            sent = f"as many requests to {providers} as the ramp needs, {plan.request_count:,} at the most, "
            sent += "at a price" if plan.cost_usd else "at no charge"
        elif not plan.cost_usd:
            sent = f"{format_count(plan.request_count, 'request')} to {providers} at no charge"
        planned_benchmark.listener.notice(f"LIVE: {sent} {limit}" if plan.cost_usd else f"LIVE: {sent}")
        return
    unpaid = run_to_continue.journal_state.find_unpaid_samples(
        plan, retry_ambiguous=planned_benchmark.request.retry_ambiguous_requests
    )
    remaining_usd = sum(one.price.price_usd or 0.0 for one in unpaid)
    spent = format_price_usd(run_to_continue.journal_state.spent_usd)
    planned_benchmark.listener.notice(
        f"LIVE: {len(unpaid)} of {plan.request_count} requests to {providers} are left, "
        f"{format_price_usd(remaining_usd)}; {spent} are spent already, {limit}"
    )
