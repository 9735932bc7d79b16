"""Decides which run a benchmark continues and what it may spend, and sends its requests."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import math
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

import voicegauge.api.progress  # noqa: F401 - notebooks show results as their summaries
from voicegauge.api.benchmark_planning import (
    PlannedBenchmark,
    choose_texts_and_plan_requests,
    configure_load,
)
from voicegauge.api.calls import CommandDeadline, create_keyword_function, ignore_interrupts, run_coroutine
from voicegauge.api.live_service import (
    announce_rate_limits,
    describe_budget,
    list_remaining_budgets,
    open_daily_budgets,
)
from voicegauge.api.options import LiveOptions
from voicegauge.api.progress import ProgressListener, report_phase
from voicegauge.api.requests import BenchRequest
from voicegauge.api.target_selection import collect_contracts
from voicegauge.bench.benchmark_plan import BenchPlanResult, summarize_bench_plan
from voicegauge.bench.run_config import (
    ClusterSettings,
    ProviderAccess,
    RunConfig,
    RunOutcome,
    StopSignal,
    build_access_without_keys,
    build_emulated_access,
    build_live_access,
)
from voicegauge.bench.run_start import (
    RunToContinue,
    find_run_to_continue,
    find_run_with_ambiguous_requests,
    find_runs_of_other_plans,
)
from voicegauge.bench.run_store import JournalState
from voicegauge.bench.runner import run_plan
from voicegauge.bench.timing_error import (
    TimingProbes,
    measure_timing_error,
    reduce_event_loop_delays,
    run_loopback_server,
)
from voicegauge.client.daily_spending import remove_provider_version
from voicegauge.client.keys import find_missing_key_variables
from voicegauge.conformance.plan_prices import PlannedPayment, forecast_budgets
from voicegauge.emulator.process import EmulatorSettings, running_emulator
from voicegauge.errors import BudgetError, DataError, TransportError, UsageError, VoicegaugeError
from voicegauge.model.base import convert_to_micro_usd, sum_usd
from voicegauge.model.price import MAX_COST_PER_DAY_FLAG, BudgetForecast, RemainingBudget, format_price_usd
from voicegauge.model.ramp import RampResult, format_load
from voicegauge.model.run import TimingError
from voicegauge.model.sample import Sample
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


plan_benchmark = create_keyword_function(BenchRequest, run_plan_benchmark, name="plan_benchmark")


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
    """Return what is left of each budget of the plan, less what `run_to_continue` has spent (`None` for a new run)."""
    contracts = collect_contracts(planned_benchmark.targets.values())
    spent_usd: dict[str, float] = {}
    if run_to_continue is not None:
        for name in {remove_provider_version(contract.id) for contract in contracts}:
            belongs_to_provider = functools.partial(_is_sample_paid_from_budget, name)
            state = run_to_continue.journal_state
            spent_usd[name] = state.sum_spent_usd_except_last_requests((), belongs_to_provider)
    return list_remaining_budgets(live, open_daily_budgets(contracts, live, planned_benchmark.listener), spent_usd)


def _is_sample_paid_from_budget(budget_name: str, sample_id: str) -> bool:
    """Whether the sample `sample_id` is paid from the budget `budget_name`: the id of a provider without a version."""
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

    Ramps and continued runs are not rejected: they stop when that budget is spent. `run_to_continue` is `None` for a
    new run.

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
    """Tell the listener how many live requests will be sent, for how much, and what an interrupted run has spent.

    `run_to_continue` is that interrupted run; `None` for a new run.
    """
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


# Sends the requests of a benchmark, and continues an interrupted live run.


EMULATOR_API_KEY = "emulated"
"""The text that is sent to the emulator in place of an API key."""
EMULATED_ACCOUNT_CREDITS = 1e9
"""Balance of emulated accounts, larger than what any benchmark spends.

If an account ran out of credits, its requests would fail for a reason that has nothing to do with the target.
"""


@contextmanager
def open_run_config(planned_benchmark: PlannedBenchmark, cluster: ClusterSettings | None = None) -> Iterator[RunConfig]:
    """Yield the configuration of a run on the live services, or on an emulator that runs as long as the context.

    If the workers of a `cluster` send the requests, this machine needs neither keys nor an emulator. Without a cluster
    (`None`), this machine sends them.
    """
    contracts, live_options = collect_contracts(planned_benchmark.targets.values()), planned_benchmark.live_options
    if live_options is None and cluster is not None:  # each worker starts an emulator of its own
        yield _build_run_config(planned_benchmark, {contract.id: ProviderAccess() for contract in contracts}, cluster)
        return
    if live_options is None:
        settings = build_emulator_settings(planned_benchmark)
        other = planned_benchmark.target_variant
        usual = [contract for contract in contracts if other is None or contract is not other.target.contract]
        with ExitStack() as emulators:
            access = build_emulated_access(usual, emulators.enter_context(running_emulator(usual, settings)))
            if other is not None:  # it has an emulator of its own, because both documents name the same provider
                emulator = emulators.enter_context(running_emulator([other.target.contract], settings))
                url = emulator.base_url(emulator.providers[0])
                access[other.target.contract.id] = ProviderAccess({"": url}, EMULATOR_API_KEY)
            yield _build_run_config(planned_benchmark, access)
        return
    access = (
        open_live_access(planned_benchmark)
        if cluster is None
        else build_access_without_keys(contracts, live_options.find_base_urls, live_options.account_plans)
    )
    announce_rate_limits({provider: one.rate_limiter for provider, one in access.items()}, planned_benchmark.listener)
    yield dataclasses.replace(
        _build_run_config(planned_benchmark, access, cluster),
        max_cost_usd=live_options.total_budget_usd,
        daily_budget_by_provider=open_daily_budgets(contracts, live_options, planned_benchmark.listener),
        max_cost_usd_by_provider=live_options.budget_usd_by_provider,
    )


def build_emulator_settings(planned_benchmark: PlannedBenchmark) -> EmulatorSettings:
    """Return the settings of the emulator that a benchmark measures."""
    return EmulatorSettings(
        seed=planned_benchmark.plan.settings.seed,
        faults=tuple(planned_benchmark.request.faults),
        credits=EMULATED_ACCOUNT_CREDITS,
        # A limit of the emulated account would slow down the run, and says nothing about a service.
        enforces_rate_limits=False,
    )


def open_live_access(planned_benchmark: PlannedBenchmark) -> dict[str, ProviderAccess]:
    """Return the access to the live services by provider id, with keys from the environment.

    If a target is measured by two versions of its contract, both share the rate limits of one account.

    Raises:
        MissingKeyError: an API key is not set.
    """
    live, other = planned_benchmark.live_options, planned_benchmark.target_variant
    assert live is not None, "a live run has live options"
    contracts = collect_contracts(planned_benchmark.targets.values())
    others = [other.target.contract] if other is not None else []
    usual = [contract for contract in contracts if contract not in others]
    access = build_live_access(usual, live.find_base_urls, live.account_plans, live.allowed_keys)
    if other is None or other.live_options is None:
        return access
    access |= build_live_access(others, other.live_options.find_base_urls, live.account_plans, live.allowed_keys)
    if not other.shares_account:
        return access
    # Both variants are requested with the key of one account: they wait in one queue for its requests per minute, and
    # each may have half of the requests in flight.
    limiter = next(iter(access.values())).rate_limiter
    return {
        provider: dataclasses.replace(
            one, rate_limiter=limiter, max_concurrency=one.max_concurrency and max(one.max_concurrency // 2, 1)
        )
        for provider, one in access.items()
    }


def _build_run_config(
    planned_benchmark: PlannedBenchmark,
    access_by_provider: Mapping[str, ProviderAccess],
    cluster: ClusterSettings | None = None,
) -> RunConfig:
    """Return the configuration of a run, without a budget.

    Args:
        planned_benchmark: the plan, and the request that it was made for.
        access_by_provider: base URLs and keys by provider id.
        cluster: the workers that send the requests; `None` if this machine sends them.
    """
    request = planned_benchmark.request
    config = RunConfig(
        planned_benchmark.plan,
        planned_benchmark.targets,
        access_by_provider,
        concurrency=request.concurrency,
        user_price_usd_by_target=planned_benchmark.request.prices,
        voice_sample=planned_benchmark.voice_sample,
        retry_ambiguous=request.retry_ambiguous_requests,
        max_wait_s=request.max_wait_s,
        cluster=cluster,
        region=request.region,
        fault_ids=tuple(request.faults),
    )
    return configure_load(request, config)


@contextmanager
def open_timing_probes(listener: ProgressListener) -> Iterator[TimingProbes | None]:
    """Yield the probes that measure the error of times during a run; `None` if their server cannot be started."""
    with ExitStack() as servers:
        try:
            url = servers.enter_context(run_loopback_server())
        except OSError as reason:
            listener.notice(f"the error of times is not measured during the run: {reason}")
            yield None
        else:
            yield TimingProbes(url)


def find_timing_error(
    config: RunConfig, ramp: RampResult | None, stop_signal: StopSignal, listener: ProgressListener
) -> TimingError | None:
    """Return the error of times of a run that has ended; `None` if it is not known.

    If the run was too short to measure it, requests are sent to a server on this machine under the load of the run. A
    run that was stopped does not wait for that.
    """
    concurrency, requests_per_s = _find_requests_in_flight_and_rate(config, ramp)
    probes = config.timing_probes
    measured = probes.summarize(concurrency, requests_per_s) if probes is not None else None
    if measured is not None or stop_signal.requested:
        return measured
    try:
        with reduce_event_loop_delays():
            return run_coroutine(
                measure_timing_error(concurrency, config.open_transport, requests_per_s=requests_per_s)
            )
    except (OSError, TransportError) as reason:
        listener.notice(f"the error of times is not known: {reason}")
        return None


def _find_requests_in_flight_and_rate(config: RunConfig, ramp: RampResult | None) -> tuple[int, float | None]:
    """Return how many requests were in flight, and the rate of all targets together; `None` without a fixed rate.

    For a ramp, these are the values at its highest load. `ramp` is `None` for a run without a ramp.
    """
    highest = max((step.load for step in ramp.steps), default=None) if ramp is not None else None
    if config.ramp_settings is not None and highest is not None:
        return (
            (int(highest), None) if config.ramp_settings.load_type == "concurrency" else (config.concurrency, highest)
        )
    rate = config.arrival_rate
    return config.concurrency, None if rate is None else rate.requests_per_s * len(config.targets)


def send_requests(
    config: RunConfig,
    run_folder: Path,
    journal_state: JournalState | None,
    stop_signal: StopSignal,
    listener: ProgressListener,
    deadline: CommandDeadline,
) -> RunOutcome:
    """Send the planned requests and return the samples.

    Args:
        config: the plan, and how to send it.
        run_folder: the folder of the run, to which journal and audio are written.
        journal_state: what an interrupted run has sent; `None` for a new run.
        stop_signal: ends the run early.
        listener: receives progress and notices.
        deadline: when it has passed, the requests in flight are dropped.
    """
    done = 0
    if journal_state is not None and not journal_state.is_empty:
        done = len(journal_state.finished_samples)
        listener.notice(f"resuming {run_folder}: {done} samples are finished, {len(journal_state.open_jobs)} jobs open")
    planned = Counter(sample.target for row in config.plan.rounds for sample in row)
    # A ramp sends as many of them as its search needs.
    listener.samples_planned(planned if config.ramp_settings is None else dict.fromkeys(planned, 0))
    for sample in journal_state.finished_samples.values() if journal_state is not None else ():
        listener.sample_finished(sample)
    request_count = config.plan.request_count if config.ramp_settings is None else None
    with report_phase(listener, "sending requests", request_count, done) as sending:

        def on_sample(sample: Sample) -> None:
            listener.sample_finished(sample)
            sending.advance()

        return run_coroutine(
            _run_with_interrupt_handling(
                config, run_folder, journal_state, stop_signal, on_sample, listener, deadline=deadline
            )
        )


async def _run_with_interrupt_handling(
    config: RunConfig,
    run_folder: Path,
    journal_state: JournalState | None,
    stop_signal: StopSignal,
    on_sample: Callable[[Sample], None],
    listener: ProgressListener,
    *,
    deadline: CommandDeadline,
) -> RunOutcome:
    """Carry out the run. After the first Ctrl-C no new request is sent; the second one drops those in flight.

    When `deadline` has passed, the requests in flight are dropped too. `journal_state` is what an interrupted run has
    sent; `None` for a new run.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def on_interrupt() -> None:
        if stop_signal.requested:
            task.cancel()
        else:
            stop_signal.request_stop()
            listener.notice("stopping when the requests in flight are finished; Ctrl-C again to stop at once")

    def on_time_over() -> None:
        stop_signal.is_time_over = True
        stop_signal.request_stop()
        task.cancel()

    def on_ramp_step(step_number: int, load: float) -> None:
        assert config.ramp_settings is not None, "only a ramp has steps"
        listener.ramp_step_started(step_number, format_load(config.ramp_settings.load_type, load))

    handles_signals = threading.current_thread() is threading.main_thread()
    if handles_signals:
        loop.add_signal_handler(signal.SIGINT, on_interrupt)
    timer = loop.call_later(deadline.remaining_s, on_time_over) if math.isfinite(deadline.remaining_s) else None
    try:
        return await run_plan(
            config,
            run_folder,
            earlier_journal_state=journal_state,
            stop_signal=stop_signal,
            on_sample=on_sample,
            on_ramp_step=on_ramp_step,
        )
    finally:
        if timer is not None:
            timer.cancel()
        if handles_signals:
            loop.remove_signal_handler(signal.SIGINT)
            if stop_signal.requested and stop_signal.error is None and not stop_signal.is_time_over:
                ignore_interrupts()
