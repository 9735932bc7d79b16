"""Sends the requests of a benchmark, and continues an interrupted live run."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import voicegauge.api.notebook_display  # noqa: F401 - notebooks show results as their summaries
from voicegauge.api.benchmark_planning import (
    PlannedBenchmark,
    configure_load,
)
from voicegauge.api.command_deadline import CommandDeadline
from voicegauge.api.event_loop import ignore_interrupts, run_coroutine
from voicegauge.api.live_service import (
    announce_rate_limits,
    open_daily_budgets,
)
from voicegauge.api.options import ProgressListener, report_phase
from voicegauge.api.target_selection import collect_contracts
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
from voicegauge.bench.run_store import JournalState
from voicegauge.bench.runner import run_plan
from voicegauge.bench.timing_error import (
    TimingProbes,
    measure_timing_error,
    reduce_event_loop_delays,
    run_loopback_server,
)
from voicegauge.emulator.process import EmulatorSettings, running_emulator
from voicegauge.errors import TransportError
from voicegauge.model.ramp import RampResult, format_load
from voicegauge.model.run import TimingError
from voicegauge.model.sample import Sample

EMULATOR_API_KEY = "emulated"
"""The text that is sent to the emulator in place of an API key."""
EMULATED_ACCOUNT_CREDITS = 1e9
"""Balance of emulated accounts, larger than what any benchmark spends.

If an account ran out of credits, its requests would fail for a reason that has nothing to do with the target.
"""


@contextmanager
def open_run_config(planned_benchmark: PlannedBenchmark, cluster: ClusterSettings | None = None) -> Iterator[RunConfig]:
    """Yield the configuration of a run on the live services, or on an emulator that runs as long as the context.

    If the workers of a `cluster` send the requests, this machine needs neither keys nor an emulator.
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
    """Return the configuration of a run, without a budget."""
    request = planned_benchmark.request
    config = RunConfig(
        planned_benchmark.plan,
        planned_benchmark.targets,
        access_by_provider,
        concurrency=request.concurrency,
        user_price_usd_by_target=planned_benchmark.prices,
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

    For a ramp, these are the values at its highest load.
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

    When `deadline` has passed, the requests in flight are dropped too.
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
