"""Benchmarks targets: sends the planned requests, and saves, scores and summarizes the run."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import msgspec

import voicegauge.api._notebook_display  # noqa: F401 - notebooks show results as their summaries
from voicegauge.api.benchmark_budgets import (
    announce_cost,
    choose_run_to_continue,
    require_budget,
    require_daily_budgets,
)
from voicegauge.api.benchmark_planning import (
    PlannedBenchmark,
    build_cluster_config,
    choose_texts_and_plan_requests,
    configure_load,
    connect_to_places,
    find_largest_timing_error,
    find_reason_not_to_transcribe,
)
from voicegauge.api.command_deadline import CommandDeadline
from voicegauge.api.event_loop import ignore_interrupts, restore_interrupt_handler, run_coroutine
from voicegauge.api.options import ProgressListener, report_phase
from voicegauge.api.plan_sending import (
    announce_rate_limits,
    delete_leftover_resources,
    open_daily_budgets,
)
from voicegauge.api.requests import BenchRequest
from voicegauge.api.target_selection import collect_contracts
from voicegauge.bench.audio_measurement import (
    count_samples_with_unknown_encoding,
    describe_unexpected_formats,
    is_clip_silent,
    measure_audio,
    predict_run_quality,
)
from voicegauge.bench.benchmark_plan import BenchPlan
from voicegauge.bench.benchmark_result import BenchResult
from voicegauge.bench.listening import listen_to_run
from voicegauge.bench.part_summaries import summarize_places
from voicegauge.bench.run_config import (
    ClusterSettings,
    ProviderAccess,
    RunConfig,
    RunOutcome,
    StopSignal,
    build_emulated_access,
    build_live_access,
)
from voicegauge.bench.run_start import (
    begin_run,
    check_region,
    lock_plan,
)
from voicegauge.bench.run_store import JournalState, load_run, save_run
from voicegauge.bench.runner import run_plan
from voicegauge.bench.scoring import score_run
from voicegauge.bench.target_summaries import summarize_targets
from voicegauge.bench.timing_error import (
    TimingProbes,
    measure_timing_error,
    reduce_event_loop_delays,
    run_loopback_server,
)
from voicegauge.bench.voice_similarity import compare_run_voices
from voicegauge.emulator.process import running_emulator
from voicegauge.emulator.settings import EmulatorSettings
from voicegauge.errors import BudgetError, TimeLimitError, TransportError, UsageError
from voicegauge.model.base import Provenance, StopReason
from voicegauge.model.job import describe_unresolved_requests
from voicegauge.model.run import RampResult, Run, ScoreSet, TimingError, format_load
from voicegauge.model.sample import Sample
from voicegauge.options import function_of
from voicegauge.report.html_page import write_report
from voicegauge.speech.voice_encoder import load_voice_encoder

# Saves, scores and summarizes a run whose requests were sent.


REPORT_FILE_NAME = "report.html"


def finish_benchmark(
    planned_benchmark: PlannedBenchmark,
    config: RunConfig,
    run_folder: Path,
    outcome: RunOutcome,
    stop_signal: StopSignal,
    *,
    unscored_reason: str | None,
    deadline: CommandDeadline,
) -> BenchResult:
    """Save, score and summarize what was measured.

    Args:
        planned_benchmark: the request and its plan.
        config: how the requests were sent.
        run_folder: the folder of the run.
        outcome: the samples.
        stop_signal: why sending stopped early, if it did.
        unscored_reason: why nothing is transcribed; `None` if the run is transcribed.
        deadline: the time after which nothing more is transcribed.

    Raises:
        BudgetError: the budget was spent before anything was measured.
        TransportError: no provider could be reached.
    """
    request = planned_benchmark.request
    # A live run is marked as finished last: until then the same command continues it.
    run = _save_finished_or_partial_run(
        run_folder,
        outcome,
        config,
        planned_benchmark.listener,
        is_finished=outcome.is_complete and planned_benchmark.live_options is None,
    )
    if stop_signal.requested and stop_signal.error is None:
        return _finish_interrupted_benchmark(planned_benchmark, config, run_folder, run, stop_signal)
    _raise_error_that_stopped_run(run, stop_signal, planned_benchmark.listener)
    with _name_run_if_interrupted(run_folder, planned_benchmark):
        run = _listen_to_saved_run(run_folder, run, planned_benchmark, deadline)
        run = _predict_quality_of_saved_run(run_folder, run, planned_benchmark, deadline)
        run = _compare_voices_of_saved_run(run_folder, run, planned_benchmark, deadline)
        scores = _score_saved_run(run_folder, run, request.asr, planned_benchmark, deadline)
    if scores is not None:
        run = msgspec.structs.replace(run, score_sets=(*run.score_sets, scores))
    elif unscored_reason:
        planned_benchmark.listener.notice(f"no error rates: {unscored_reason}")
    save_run(run_folder, run)
    run = msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, is_finished=outcome.is_complete))
    page = (
        write_report([(run_folder, run)], run_folder / REPORT_FILE_NAME, text_length=request.text_length)
        if request.write_html_report
        else None
    )
    stopped, stop_reason = _find_stop_message_and_reason(outcome, stop_signal)
    if stopped is None and scores is None and unscored_reason is None and not deadline.remaining_s:
        stopped, stop_reason = "stopped by --max-time before the audio was transcribed", "time"
    result = _build_result(
        run_folder,
        run,
        planned_benchmark.plan,
        request.text_length,
        scores=scores,
        report_file=page,
        stop_message=stopped,
        stop_reason=stop_reason,
    )
    result = msgspec.structs.replace(result, baseline_target=planned_benchmark.baseline_target)
    if request.on_result is not None:
        request.on_result(result)
    save_run(run_folder, run)
    return result


@contextmanager
def _name_run_if_interrupted(run_folder: Path, planned_benchmark: PlannedBenchmark) -> Iterator[None]:
    """On Ctrl-C, tell where the run is, and what judges and transcribes its audio."""
    try:
        yield
    except KeyboardInterrupt:
        again = "the same command does" if planned_benchmark.live_options else f"`voicegauge score {run_folder}` does"
        planned_benchmark.listener.notice(
            f"the run is saved in {run_folder}; its audio is not judged and transcribed to the end: {again}"
        )
        raise


def _finish_interrupted_benchmark(
    planned_benchmark: PlannedBenchmark, config: RunConfig, run_folder: Path, run: Run, stop_signal: StopSignal
) -> BenchResult:
    """Return the result of a run that Ctrl-C or the time limit stopped. Nothing of it is scored."""
    request = planned_benchmark.request
    of_planned = f" of {planned_benchmark.plan.request_count}" if config.ramp_settings is None else ""
    cause = "stopped by --max-time" if stop_signal.is_time_over else "interrupted"
    result = _build_result(
        run_folder,
        run,
        planned_benchmark.plan,
        request.text_length,
        stop_message=f"{cause} after {len(run.samples)}{of_planned} samples",
        stop_reason="time" if stop_signal.is_time_over else "interrupted",
    )
    if request.on_result is not None:
        request.on_result(result)
    return result


def _save_finished_or_partial_run(
    run_folder: Path, outcome: RunOutcome, config: RunConfig, listener: ProgressListener, *, is_finished: bool
) -> Run:
    with report_phase(listener, "measuring audio", len(outcome.samples)) as measuring:
        samples = measure_audio(run_folder, outcome.samples, config.targets, measuring.advance)
    for target, count in count_samples_with_unknown_encoding(samples).items():
        listener.notice(f"{target}: no duration of {count} clips: raw samples whose encoding no document states")
    for target, clips in describe_unexpected_formats(samples, config.targets).items():
        listener.notice(f"{target}: {clips} as requested or documented: voicegauge check {target} says more")
    manifest = load_run(run_folder).manifest
    workers = {one.name: one for one in (*manifest.workers, *outcome.workers)}  # those of an interrupted run too
    manifest = msgspec.structs.replace(
        manifest,
        is_finished=is_finished,
        workers=tuple(workers[name] for name in sorted(workers)),
        spent_usd=outcome.spent_usd,
        early_stop=outcome.early_stop,
        timing_error=outcome.timing_error,
    )
    if outcome.is_emulated:
        # A live run against the emulator's URL: the numbers are the emulator's all the same.
        manifest = msgspec.structs.replace(manifest, provenance=Provenance.EMULATED)
    run = Run(
        manifest=manifest,
        samples=samples,
        ambiguous_requests=outcome.ambiguous_requests,
        open_jobs=outcome.open_jobs,
        ramp=outcome.ramp,
    )
    save_run(run_folder, run)
    return run


def _raise_error_that_stopped_run(run: Run, stop_signal: StopSignal, listener: ProgressListener) -> None:
    """Raise the error that stopped the run, if any.

    A spent budget is not raised if something was measured before.
    """
    if stop_signal.error is None:
        return
    if not isinstance(stop_signal.error, BudgetError) or not any(sample.is_counted for sample in run.samples):
        for line in describe_unresolved_requests(
            run.ambiguous_requests, run.open_jobs, is_emulated=run.manifest.provenance is Provenance.EMULATED
        ):
            listener.notice(line)
        raise stop_signal.error


def _find_stop_message_and_reason(outcome: RunOutcome, stop_signal: StopSignal) -> tuple[str | None, StopReason | None]:
    """Return a message of one line that says why the run is incomplete, and the kind of event that stopped it.

    Both are `None` for a complete run. A run that Ctrl-C stopped is not passed to this function.
    """
    if stop_signal.error is not None:
        return str(stop_signal.error), "budget"
    if outcome.open_jobs:
        first, count = outcome.open_jobs[0], len(outcome.open_jobs)
        jobs = "1 job is still open" if count == 1 else f"{count} jobs are still open"
        return f"{jobs} and will be polled again by the same command: {first.sample_id}: {first.reason}", "unreachable"
    return None, None


def _score_saved_run(
    run_folder: Path, run: Run, asr_spec: str, planned_benchmark: PlannedBenchmark, deadline: CommandDeadline
) -> ScoreSet | None:
    try:
        with report_phase(planned_benchmark.listener, "transcribing") as transcribing:

            def report_progress(done_count: int, total_count: int) -> None:
                transcribing.update(done_count, total_count)
                deadline.require_time()

            return score_run(run_folder, run, asr_spec, report_progress=report_progress)
    except TimeLimitError as error:
        planned_benchmark.listener.notice(
            f"no error rates: {error}; `voicegauge score {run_folder}` transcribes the run"
        )
        return None


def _listen_to_saved_run(
    run_folder: Path, run: Run, planned_benchmark: PlannedBenchmark, deadline: CommandDeadline
) -> Run:
    """Judge what the audio of a run says, save the verdicts in the run, and return the run with them.

    The run is returned unchanged if listening was not requested, or if the time limit of the command is over.
    """
    if not planned_benchmark.request.listens:
        return run
    try:
        with report_phase(planned_benchmark.listener, "listening") as phase:

            def report_progress(done_count: int, total_count: int) -> None:
                phase.update(done_count, total_count)
                deadline.require_time()

            listening = listen_to_run(run_folder, run, report_progress=report_progress)
    except TimeLimitError as error:
        planned_benchmark.listener.notice(f"the audio is not judged: {error}; `voicegauge score {run_folder}` does it")
        return run
    found = msgspec.structs.replace(run, listening=listening)
    save_run(run_folder, found)
    return found


def _predict_quality_of_saved_run(
    run_folder: Path, run: Run, planned_benchmark: PlannedBenchmark, deadline: CommandDeadline
) -> Run:
    """Return the run with predicted ratings, if they are requested, and save it."""
    if not planned_benchmark.request.predicts_quality:
        return run
    try:
        with report_phase(planned_benchmark.listener, "predicting quality") as predicting:

            def report_progress(done_count: int, total_count: int) -> None:
                predicting.update(done_count, total_count)
                deadline.require_time()

            quality = predict_run_quality(run_folder, run, report_progress=report_progress)
    except TimeLimitError as error:
        planned_benchmark.listener.notice(
            f"no ratings are predicted: {error}; `voicegauge score {run_folder} --quality` does it"
        )
        return run
    rated = msgspec.structs.replace(run, predicted_quality=quality)
    save_run(run_folder, rated)
    return rated


def _compare_voices_of_saved_run(
    run_folder: Path, run: Run, planned_benchmark: PlannedBenchmark, deadline: CommandDeadline
) -> Run:
    """Return the run with its voices, if they are to be compared, and save it."""
    encoder_name = planned_benchmark.request.voice_encoder
    if encoder_name is None:
        return run
    try:
        with report_phase(planned_benchmark.listener, "comparing voices") as comparing:

            def report_progress(done_count: int, total_count: int) -> None:
                comparing.update(done_count, total_count)
                deadline.require_time()

            encoder = load_voice_encoder(encoder_name)
            voices = compare_run_voices(run_folder, run, encoder, report_progress=report_progress)
    except TimeLimitError as error:
        planned_benchmark.listener.notice(
            f"voices are not compared: {error}; `voicegauge score {run_folder} --similarity {encoder_name}` does it"
        )
        return run
    compared = msgspec.structs.replace(run, voices=voices)
    save_run(run_folder, compared)
    return compared


def _build_result(
    run_folder: Path,
    run: Run,
    plan: BenchPlan,
    text_length: int,
    *,
    scores: ScoreSet | None = None,
    report_file: Path | None = None,
    stop_message: str | None = None,
    stop_reason: StopReason | None = None,
) -> BenchResult:
    measured = [one for one in run.samples if not one.is_warmup]
    sends_whole_plan = run.manifest.ramp_load_type is None and run.manifest.early_stop is None
    planned = [one for row in plan.rounds for one in row if not one.is_warmup]
    planned_count = len(planned if sends_whole_plan else measured)
    silent = {one.id for one in measured if one.failure is None and is_clip_silent(one)}
    verdicts = run.listening.verdicts if run.listening is not None else ()
    wrong = silent | {one.sample_id for one in verdicts if one.outcome == "wrong"}
    return BenchResult(
        provenance=run.manifest.provenance,
        rehearsal_label=run.manifest.rehearsal_label,
        folder=str(run_folder),
        report_file=str(report_file) if report_file else None,
        manifest=run.manifest,
        asr=scores.asr if scores else None,
        asr_reason=scores.asr_reason if scores else None,
        normalizer=scores.normalizer if scores else None,
        stop_message=stop_message,
        stop_reason=stop_reason,
        ambiguous_requests=run.ambiguous_requests,
        open_jobs=run.open_jobs,
        ramp=run.ramp,
        load=run.describe_load(),
        targets=summarize_targets(run, scores, text_length=text_length)
        if any(one.is_counted for one in run.samples)
        else (),
        places=summarize_places(run),
        planned_sample_count=planned_count,
        measured_sample_count=sum(one.failure is None and one.id not in wrong for one in measured),
        missing_sample_count=planned_count - sum(one.is_counted for one in measured),
        silent_sample_count=len(silent),
        wrong_sample_count=len(wrong),
        listening_method=run.listening.method if run.listening is not None else None,
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

    If the workers of a `cluster` send the requests, this machine needs neither keys nor an emulator.
    """
    contracts = collect_contracts(planned_benchmark.targets.values())
    if cluster is not None and planned_benchmark.live_options is None:
        yield build_cluster_config(planned_benchmark, cluster, None)
        return
    if planned_benchmark.live_options is None:
        settings = build_emulator_settings(planned_benchmark)
        other = planned_benchmark.target_variant
        usual = [contract for contract in contracts if other is None or contract is not other.target.contract]
        with ExitStack() as emulators:
            access = build_emulated_access(usual, emulators.enter_context(running_emulator(usual, settings)))
            if other is not None:  # it has an emulator of its own, because both documents name the same provider
                emulator = emulators.enter_context(running_emulator([other.target.contract], settings))
                url = emulator.base_url(emulator.providers[0])
                access[other.target.contract.id] = ProviderAccess({"": url}, EMULATOR_API_KEY)
            config = _build_run_config(planned_benchmark, access, None)
            yield dataclasses.replace(config, fault_ids=settings.faults)
        return
    live_options = planned_benchmark.live_options
    config = (
        build_cluster_config(planned_benchmark, cluster, live_options.total_budget_usd)
        if cluster is not None
        else _build_run_config(planned_benchmark, open_live_access(planned_benchmark), live_options.total_budget_usd)
    )
    limiters = {provider: one.rate_limiter for provider, one in config.access_by_provider.items()}
    announce_rate_limits(limiters, planned_benchmark.listener)
    yield dataclasses.replace(
        config,
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
    max_cost_usd: float | None,
) -> RunConfig:
    """Return the configuration of a run; `max_cost_usd` is `None` for an emulator, which costs nothing."""
    request = planned_benchmark.request
    config = RunConfig(
        planned_benchmark.plan,
        planned_benchmark.targets,
        access_by_provider,
        request.concurrency,
        max_cost_usd,
        planned_benchmark.prices,
        planned_benchmark.voice_sample,
        retry_ambiguous=request.retry_ambiguous_requests,
        max_wait_s=request.max_wait_s,
        region=request.region,
    )
    return configure_load(request, config)


@contextmanager
def open_timing_probes(listener: ProgressListener) -> Iterator[TimingProbes | None]:
    """Yield what measures the error of times during a run; `None` if there is no server to measure it with."""
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
    concurrency, requests_per_s = _find_load(config, ramp)
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


def _find_load(config: RunConfig, ramp: RampResult | None) -> tuple[int, float | None]:
    """Return how many requests were in flight, and the rate of all targets together; `None` without a fixed rate.

    For a ramp it is its highest load.
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
        run_folder: the folder of the run, which gets journal and audio.
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

    When `deadline` has passed, they are dropped too.
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


# Measures latency, cost and intelligibility of targets in one call.


def run_benchmark(request: BenchRequest) -> BenchResult:
    """Measure latency, cost and intelligibility of targets.

    Every text of the suite is requested from every target in turn, from the emulator unless `live` is given. The run
    is saved with its audio, transcribed and summarized. A live run writes its submits to a journal, so that the same
    call can resume an interrupted run without paying twice. After the first Ctrl-C, the requests in flight are
    finished; a second Ctrl-C stops at once.

    >>> result = voicegauge.benchmark("pixelapi/voice-design", max_texts=1, warmup=0, asr="none", out=folder)
    >>> result.provenance.value, result.targets[0].failure_count
    ('emulated', 0)

    Returns:
        A summary of every target. `stop_reason` tells whether the benchmark was ended early by Ctrl-C, by the budget,
        or because the status of jobs could not be fetched; the same call continues it. After Ctrl-C, the samples are
        saved, but nothing is scored and no HTML report is written.

    Raises:
        UsageError: arguments contradict each other, or a name is not known.
        DataError: an interrupted live run of the same plan cannot be continued.
        MissingKeyError: the key of a live provider is not set.
        BudgetError: the plan costs more than the budget; nothing was sent.
        TransportError: no provider could be reached.
        NothingMeasuredError: in the first round of requests, no service could be reached.
    """
    live = request.live
    if live is not None and live.ledger is not None:
        raise UsageError("a benchmark keeps an account of its own, which survives crashes: leave out ledger")
    check_region(request.region)
    deadline = CommandDeadline(request.max_time_s)
    with deadline.interrupt_preparation():
        planned = choose_texts_and_plan_requests(request, ask_servers_for_names=True)
        cluster = connect_to_places(planned, build_emulator_settings(planned))
        if live is not None:
            require_budget(planned, live)
        if live is not None and cluster is None:
            open_live_access(planned)
            delete_leftover_resources(collect_contracts(planned.targets.values()), live, planned.listener)
    unscored_reason = find_reason_not_to_transcribe(planned)
    with restore_interrupt_handler(), nullcontext() if live is None else lock_plan(Path(request.out), planned.plan):
        found = choose_run_to_continue(planned)
        stop = StopSignal()
        require_daily_budgets(planned, found)
        announce_cost(planned, found)
        probing = open_timing_probes(planned.listener) if cluster is None else nullcontext()
        with open_run_config(planned, cluster) as config, probing as probes:
            config = dataclasses.replace(config, timing_probes=probes)
            folder = begin_run(Path(request.out), config, found, base_urls=planned.find_base_urls_by_server())
            state = found.journal_state if found else None
            outcome = send_requests(config, folder, state, stop, planned.listener, deadline)
            error = (
                find_timing_error(config, outcome.ramp, stop, planned.listener)
                if cluster is None
                else find_largest_timing_error(outcome.workers)
            )
            outcome = dataclasses.replace(outcome, timing_error=error)
        return finish_benchmark(
            planned, config, folder, outcome, stop, unscored_reason=unscored_reason, deadline=deadline
        )


benchmark = function_of(BenchRequest, run_benchmark, name="benchmark")
