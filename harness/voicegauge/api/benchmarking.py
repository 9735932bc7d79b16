"""Benchmarks targets: sends the planned requests, and saves, scores and summarizes the run."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import msgspec

import voicegauge.api.progress  # noqa: F401 - notebooks show results as their summaries
from voicegauge.api.benchmark_planning import (
    PlannedBenchmark,
    choose_texts_and_plan_requests,
    connect_to_places,
    find_reason_not_to_transcribe,
)
from voicegauge.api.benchmark_sending import (
    announce_cost,
    build_emulator_settings,
    choose_run_to_continue,
    find_timing_error,
    open_live_access,
    open_run_config,
    open_timing_probes,
    require_budget,
    require_daily_budgets,
    send_requests,
)
from voicegauge.api.calls import CommandDeadline, create_keyword_function, restore_interrupt_handler
from voicegauge.api.check_setup import build_live_check_arguments
from voicegauge.api.live_service import (
    delete_leftover_resources,
)
from voicegauge.api.progress import ProgressListener, report_phase, report_phase_until
from voicegauge.api.requests import BenchRequest
from voicegauge.api.saved_runs import judge_clips, list_judging_methods
from voicegauge.api.target_selection import collect_contracts
from voicegauge.bench.audio_measurement import (
    count_samples_with_unknown_encoding,
    describe_unexpected_formats,
    is_clip_silent,
    measure_audio,
)
from voicegauge.bench.benchmark_plan import BenchPlan
from voicegauge.bench.run_config import (
    RunConfig,
    RunOutcome,
    StopSignal,
)
from voicegauge.bench.run_start import (
    begin_run,
    check_region,
    lock_plan,
)
from voicegauge.bench.run_store import load_run, save_run
from voicegauge.bench.scoring import score_run
from voicegauge.bench.target_samples import summarize_places
from voicegauge.bench.target_summaries import BenchResult, summarize_targets
from voicegauge.conformance.check_settings import build_contract_options
from voicegauge.contract.contract import BaseTarget
from voicegauge.errors import BudgetError, TimeLimitError, UsageError
from voicegauge.model.base import Provenance, StopReason
from voicegauge.model.exchange import describe_unresolved_requests
from voicegauge.model.run import Run, ScoreSet
from voicegauge.options import build_arguments
from voicegauge.printable_text import format_count
from voicegauge.report.html_page import write_report

# Saves, scores and summarizes a run whose requests were sent.


REPORT_FILE_NAME = "report.html"
"""Name of the HTML report in the folder of a run."""


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
        outcome: the samples, and what was paid for them.
        stop_signal: has the reason if sending stopped early.
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
        planned_benchmark,
        is_finished=outcome.is_complete and planned_benchmark.live_options is None,
    )
    if stop_signal.requested and stop_signal.error is None:
        return _finish_interrupted_benchmark(planned_benchmark, config, run_folder, run, stop_signal)
    _raise_error_that_stopped_run(run, stop_signal, planned_benchmark.listener)
    with _name_run_if_interrupted(run_folder, planned_benchmark):
        run, scores = _judge_and_transcribe(run_folder, run, planned_benchmark, unscored_reason, deadline)
    # Before the report and the function of the caller: if one of them fails, what was transcribed is not lost.
    save_run(run_folder, run)
    run = msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, is_finished=outcome.is_complete))
    page = (
        write_report([(run_folder, run)], run_folder / REPORT_FILE_NAME, text_length=request.text_length)
        if request.write_html_report
        else None
    )
    stopped, stop_reason = _find_stop_message_and_reason(outcome, stop_signal)
    # Everything was measured: only the transcription is missing.
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
        baseline_target=planned_benchmark.baseline_target,
    )
    if request.on_result is not None:
        request.on_result(result)
    save_run(run_folder, run)
    return result


@contextmanager
def _name_run_if_interrupted(run_folder: Path, planned_benchmark: PlannedBenchmark) -> Iterator[None]:
    """On Ctrl-C, tell the listener the folder of the run, and the command that judges and transcribes its audio."""
    try:
        yield
    except KeyboardInterrupt:
        without = " without --new-run" if planned_benchmark.request.new_run else ""
        is_live = planned_benchmark.live_options is not None
        again = f"the same command{without} does" if is_live else f"`voicegauge score {run_folder}` does"
        planned_benchmark.listener.notice(
            f"the run is saved in {run_folder}; its audio is not judged and transcribed to the end: {again}"
        )
        raise


def _finish_interrupted_benchmark(
    planned_benchmark: PlannedBenchmark, config: RunConfig, run_folder: Path, run: Run, stop_signal: StopSignal
) -> BenchResult:
    """Return the result of a run that Ctrl-C or the time limit stopped. Nothing of it is scored."""
    request = planned_benchmark.request
    count = format_count(len(run.samples), "sample")
    if config.ramp_settings is None:
        count = f"{len(run.samples)} of {format_count(planned_benchmark.plan.request_count, 'sample')}"
    cause = "stopped by --max-time" if stop_signal.is_time_over else "interrupted"
    result = _build_result(
        run_folder,
        run,
        planned_benchmark.plan,
        request.text_length,
        stop_message=f"{cause} after {count}",
        stop_reason="time" if stop_signal.is_time_over else "interrupted",
    )
    if request.on_result is not None:
        request.on_result(result)
    return result


def _build_check_command(planned_benchmark: PlannedBenchmark, target: BaseTarget) -> str:
    """Return the command that checks a target of the benchmark at the same service."""
    contract, request = target.contract, planned_benchmark.request
    name = f"{contract.id.partition('@')[0]}/{target.name}"  # what follows names another version of the contract
    live_options = {one.id: options for one, options in planned_benchmark.list_contracts_with_live_options()}
    if contract.id not in live_options:
        faults = build_arguments(request, names=("faults",))
        return shlex.join(["voicegauge", "check", name, "--emulated", *faults, *build_contract_options([contract])])
    live = live_options[contract.id]
    live = dataclasses.replace(live, base_urls=live.find_base_urls(contract))
    prices = {one: usd for one, usd in request.prices.items() if one == target.id}
    return shlex.join(["voicegauge", "check", *build_live_check_arguments([name], live, prices, [contract])])


def _save_finished_or_partial_run(
    run_folder: Path,
    outcome: RunOutcome,
    config: RunConfig,
    planned_benchmark: PlannedBenchmark,
    *,
    is_finished: bool,
) -> Run:
    listener = planned_benchmark.listener
    with report_phase(listener, "measuring audio", len(outcome.samples)) as measuring:
        samples = measure_audio(run_folder, outcome.samples, config.targets, measuring.advance)
    for target, count in count_samples_with_unknown_encoding(samples).items():
        listener.notice(f"{target}: no duration of {count} clips: raw samples whose encoding no document states")
    for target, clips in describe_unexpected_formats(samples, config.targets).items():
        command = _build_check_command(planned_benchmark, config.targets[target])
        listener.notice(f"{target}: {clips} as requested or documented: `{command}` says more")
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
    """Return one line that says why the run is incomplete, and the kind of event that stopped it.

    Both are `None` for a complete run. A run that Ctrl-C stopped is not passed to this function.
    """
    if stop_signal.error is not None:
        return str(stop_signal.error), "budget"
    if outcome.open_jobs:
        first, count = outcome.open_jobs[0], len(outcome.open_jobs)
        jobs = "1 job is still open" if count == 1 else f"{count} jobs are still open"
        return f"{jobs} and will be polled again by the same command: {first.sample_id}: {first.reason}", "unreachable"
    return None, None


def _judge_and_transcribe(
    run_folder: Path,
    run: Run,
    planned_benchmark: PlannedBenchmark,
    unscored_reason: str | None,
    deadline: CommandDeadline,
) -> tuple[Run, ScoreSet | None]:
    """Return the run with everything that is found out about its audio, and its scores; what took too long is left out.

    A notice names what is left out, and the command that does it. The scores are `None` if nothing was transcribed;
    `unscored_reason` says why nothing is to be transcribed, and is `None` if the run is to be transcribed.
    """
    request, listener = planned_benchmark.request, planned_benchmark.listener
    for judging_method in list_judging_methods(
        listens=request.listens, predicts_quality=request.predicts_quality, voice_encoder=request.voice_encoder
    ):
        try:
            run = judge_clips(run_folder, run, judging_method, listener, deadline)
        except TimeLimitError as error:
            command = f"voicegauge score {run_folder}{judging_method.score_options}"
            listener.notice(f"{judging_method.phase_name} was not finished: {error}; `{command}` does it")
    if unscored_reason is not None:
        listener.notice(f"no error rates: {unscored_reason}")
        return run, None
    scores = None
    try:
        with report_phase_until(deadline, listener, "transcribing") as report_progress:
            scores = score_run(run_folder, run, request.asr, report_progress=report_progress)
    except TimeLimitError as error:
        listener.notice(f"no error rates: {error}; `voicegauge score {run_folder}` transcribes the run")
    if scores is not None:
        run = msgspec.structs.replace(run, score_sets=(*run.score_sets, scores))
    return run, scores


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
    baseline_target: str | None = None,
) -> BenchResult:
    measured = [one for one in run.samples if not one.is_warmup]
    sends_whole_plan = run.manifest.ramp_load_type is None and run.manifest.early_stop is None
    planned = [one for row in plan.rounds for one in row if not one.is_warmup]
    planned_count = len(planned if sends_whole_plan else measured)
    silent = {one.id for one in measured if one.failure is None and is_clip_silent(one)}
    verdicts = run.listening.verdicts if run.listening is not None else ()
    # A silent clip is wrong, whatever listening says of its words.
    wrong = silent | {one.sample_id for one in verdicts if one.outcome == "wrong"}
    doubtful = {one.sample_id for one in verdicts if one.outcome == "doubtful"} - wrong
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
        baseline_target=baseline_target,
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
        doubtful_sample_count=len(doubtful),
        listening_method=run.listening.method if run.listening is not None else None,
    )


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
    with deadline.interrupt_preparation_when_time_is_over():
        planned = choose_texts_and_plan_requests(request, ask_servers_for_names=True)
        cluster = connect_to_places(planned, build_emulator_settings(planned))
        if live is not None:
            require_budget(planned, live)
        if live is not None and cluster is None:
            # Its result is not needed yet: a key that is not set is reported before anything is waited for.
            open_live_access(planned)
            contracts = collect_contracts(planned.targets.values())
            delete_leftover_resources(contracts, live, planned.listener, request.max_wait_s)
    # Before anything is paid for: an engine that cannot be used is an error.
    unscored_reason = find_reason_not_to_transcribe(planned)
    # The lock keeps a second command from continuing the same run, and paying for its requests again.
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
                else max(
                    (one.timing_error for one in outcome.workers if one.timing_error is not None),
                    key=lambda error: error.p99_error_ms,
                    default=None,
                )
            )
            outcome = dataclasses.replace(outcome, timing_error=error)
        return finish_benchmark(
            planned, config, folder, outcome, stop, unscored_reason=unscored_reason, deadline=deadline
        )


benchmark = create_keyword_function(BenchRequest, run_benchmark, name="benchmark")
