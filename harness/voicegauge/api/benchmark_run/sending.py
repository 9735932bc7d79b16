"""Sends the requests of a benchmark, and continues an interrupted live run."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from voicegauge.api.benchmark_run.planning import PlannedBenchmark
from voicegauge.api.event_loop import run_coroutine
from voicegauge.api.plan_sending import announce_rate_limits
from voicegauge.api.progress import ProgressListener, report_phase
from voicegauge.api.target_selection import collect_contracts
from voicegauge.bench.calibration import measure_timing_error
from voicegauge.bench.running import (
    JournalState,
    ProviderAccess,
    RunConfig,
    RunOutcome,
    RunToContinue,
    StopSignal,
    build_emulated_access,
    build_live_access,
    find_run_to_continue,
    find_runs_of_other_plans,
    reduce_event_loop_delays,
    run_plan,
)
from voicegauge.emulator import EmulatorSettings, running_emulator
from voicegauge.errors import TransportError, UsageError
from voicegauge.model import Sample, format_load
from voicegauge.printable_text import format_count

EMULATOR_API_KEY = "emulated"
"""The text that is sent to the emulator in place of an API key."""
EMULATED_ACCOUNT_CREDITS = 1e9
"""Balance of emulated accounts, larger than what any benchmark spends.

If an account ran out of credits, its requests would fail for a reason that has nothing to do with the target.
"""


@contextmanager
def open_run_config(
    planned_benchmark: PlannedBenchmark, faults: Sequence[str], concurrency: int
) -> Iterator[RunConfig]:
    """Yield the configuration of a run on the live services, or on an emulator that runs as long as the context."""
    contracts = collect_contracts(planned_benchmark.targets.values())
    if planned_benchmark.live_options is None:
        settings = EmulatorSettings(
            seed=planned_benchmark.plan.settings.seed,
            faults=tuple(faults),
            credits=EMULATED_ACCOUNT_CREDITS,
            enforces_rate_limits=False,
        )
        other = planned_benchmark.target_variant
        usual = [contract for contract in contracts if other is None or contract is not other.target.contract]
        with ExitStack() as emulators:
            access = build_emulated_access(usual, emulators.enter_context(running_emulator(usual, settings)))
            if other is not None:  # it has an emulator of its own, because both documents name the same provider
                emulator = emulators.enter_context(running_emulator([other.target.contract], settings))
                url = emulator.base_url(emulator.providers[0])
                access[other.target.contract.id] = ProviderAccess({"": url}, EMULATOR_API_KEY)
            config = _build_run_config(planned_benchmark, access, concurrency, None)
            yield dataclasses.replace(config, fault_ids=settings.faults)
        return
    live_options = planned_benchmark.live_options
    access = open_live_access(planned_benchmark)
    announce_rate_limits({provider: one.rate_limiter for provider, one in access.items()}, planned_benchmark.listener)
    yield _build_run_config(planned_benchmark, access, concurrency, live_options.max_cost_usd)


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
    access = build_live_access(usual, live.base_urls, live.account_plans)
    if other is None or other.live_options is None:
        return access
    access |= build_live_access(others, other.live_options.base_urls, live.account_plans)
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
    concurrency: int,
    max_cost_usd: float | None,
) -> RunConfig:
    """Return the configuration of a run; `max_cost_usd` is `None` for an emulator, which costs nothing."""
    return RunConfig(
        planned_benchmark.plan,
        planned_benchmark.targets,
        access_by_provider,
        concurrency,
        max_cost_usd,
        planned_benchmark.prices,
        planned_benchmark.voice_sample,
    )


def announce_cost(
    planned_benchmark: PlannedBenchmark,
    run_to_continue: RunToContinue | None,
    *,
    retry_ambiguous_requests: bool,
    is_ramp: bool = False,
) -> None:
    """Tell the listener how many live requests will be sent, for how much, and what an interrupted run has spent."""
    if planned_benchmark.live_options is None:
        return
    plan, limit = planned_benchmark.plan, f"of at most ${planned_benchmark.live_options.max_cost_usd:g}"
    providers = ", ".join(contract.id for contract in collect_contracts(planned_benchmark.targets.values()))
    if run_to_continue is None or run_to_continue.journal_state.is_empty:
        sent = f"{format_count(plan.request_count, 'request')} to {providers}, ${plan.cost_usd:.4f}"
        if is_ramp:
            sent = f"as many requests to {providers} as the ramp needs, {plan.request_count} at the most, at a price"
        planned_benchmark.listener.notice(f"LIVE: {sent} {limit}")
        return
    unpaid = run_to_continue.journal_state.find_unpaid_samples(plan, retry_ambiguous=retry_ambiguous_requests)
    remaining_usd = sum(one.price.price_usd or 0.0 for one in unpaid)
    planned_benchmark.listener.notice(
        f"LIVE: {len(unpaid)} of {plan.request_count} requests to {providers} are left, ${remaining_usd:.4f}; "
        f"${run_to_continue.journal_state.spent_usd:.4f} are spent already, {limit}"
    )


def choose_run_to_continue(
    runs_folder: Path, planned_benchmark: PlannedBenchmark, *, retry_ambiguous_requests: bool
) -> RunToContinue | None:
    """Return the interrupted live run to continue; `None` if a new run begins.

    Raises:
        DataError: a run was interrupted after something was paid for, but it cannot be continued.
        UsageError: `retry_ambiguous_requests` is true, but no run has ambiguous requests.
    """
    if planned_benchmark.live_options is None:
        return None
    found = find_run_to_continue(runs_folder, planned_benchmark.plan, retry_ambiguous=retry_ambiguous_requests)
    if found is None and retry_ambiguous_requests:
        raise UsageError(
            f"no run in {runs_folder} with these options has an ambiguous request: leave out --retry-ambiguous"
        )
    for folder in () if found else find_runs_of_other_plans(runs_folder, planned_benchmark.plan):
        planned_benchmark.listener.notice(
            f"{folder} is an interrupted run with other options or contracts: it is not continued"
        )
    return found


def add_measured_timing_error(config: RunConfig, listener: ProgressListener) -> RunConfig:
    """Return `config` with the measurement error of times, determined by sending requests to a server on this machine.

    These requests have the concurrency of the run. For a ramp of the concurrency, it is the highest that the ramp may
    try.
    """
    try:
        with reduce_event_loop_delays():
            error = run_coroutine(measure_timing_error(_find_max_concurrency(config), config.open_transport))
    except (OSError, TransportError) as reason:
        listener.notice(f"the error of times is not known: {reason}")
        return config
    return dataclasses.replace(config, timing_error=error)


def _find_max_concurrency(config: RunConfig) -> int:
    is_ramped = config.ramp_settings is not None and config.ramp_settings.load_type == "concurrency"
    return int(config.ramp_settings.max_load) if config.ramp_settings is not None and is_ramped else config.concurrency


def send_requests(
    config: RunConfig,
    run_folder: Path,
    journal_state: JournalState | None,
    stop_signal: StopSignal,
    listener: ProgressListener,
) -> RunOutcome:
    """Send the planned requests and return the samples.

    Args:
        config: the plan, and how to send it.
        run_folder: the folder of the run, which gets journal and audio.
        journal_state: what an interrupted run has sent; `None` for a new run.
        stop_signal: ends the run early.
        listener: receives progress and notices.
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
            _run_until_interrupted(config, run_folder, journal_state, stop_signal, on_sample, listener)
        )


async def _run_until_interrupted(
    config: RunConfig,
    run_folder: Path,
    journal_state: JournalState | None,
    stop_signal: StopSignal,
    on_sample: Callable[[Sample], None],
    listener: ProgressListener,
) -> RunOutcome:
    """Carry out the run. After the first Ctrl-C no new request is sent; the second one drops those in flight."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def on_interrupt() -> None:
        if stop_signal.requested:
            task.cancel()
        else:
            stop_signal.request_stop()
            listener.notice("stopping when the requests in flight are finished; Ctrl-C again to stop at once")

    def on_ramp_step(step_number: int, load: float) -> None:
        assert config.ramp_settings is not None, "only a ramp has steps"
        listener.ramp_step_started(step_number, format_load(config.ramp_settings.load_type, load))

    handles_signals = threading.current_thread() is threading.main_thread()
    if handles_signals:
        loop.add_signal_handler(signal.SIGINT, on_interrupt)
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
        if handles_signals:
            loop.remove_signal_handler(signal.SIGINT)
