"""Saves, scores and summarizes a run whose requests were sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from voicegauge.api.benchmark_run.planning import PlannedBenchmark
from voicegauge.api.progress import ProgressListener, report_phase
from voicegauge.bench import BenchResult
from voicegauge.bench.analysis import summarize_targets
from voicegauge.bench.running import (
    RunConfig,
    RunOutcome,
    StopSignal,
    count_samples_with_unknown_encoding,
    describe_unexpected_formats,
    load_run,
    measure_audio,
    save_run,
)
from voicegauge.bench.scoring import score_run
from voicegauge.errors import BudgetError
from voicegauge.model import Provenance, Run, ScoreSet, StopReason, describe_unresolved_requests
from voicegauge.report import write_report

REPORT_FILE_NAME = "report.html"


def finish_benchmark(
    planned_benchmark: PlannedBenchmark,
    config: RunConfig,
    run_folder: Path,
    outcome: RunOutcome,
    stop_signal: StopSignal,
    *,
    asr_spec: str,
    unscored_reason: str | None,
    text_length: int,
    write_html_report: bool,
    on_result: Callable[[BenchResult], None] | None,
) -> BenchResult:
    """Save, score and summarize what was measured.

    Args:
        planned_benchmark: the plan.
        config: how the requests were sent.
        run_folder: the folder of the run.
        outcome: the samples.
        stop_signal: why sending stopped early, if it did.
        asr_spec: the ASR engine, as in `benchmark`.
        unscored_reason: why nothing is transcribed; `None` if the run is transcribed.
        text_length: as in `benchmark`.
        write_html_report: as in `benchmark`.
        on_result: as in `benchmark`.

    Raises:
        BudgetError: the budget was spent before anything was measured.
        TransportError: no provider could be reached.
    """
    # A live run is marked as finished last: until then the same command continues it.
    run = _save_finished_or_partial_run(
        run_folder,
        outcome,
        config,
        planned_benchmark.listener,
        is_finished=outcome.is_complete and planned_benchmark.live_options is None,
    )
    if stop_signal.requested and stop_signal.error is None:
        of_planned = f" of {planned_benchmark.plan.request_count}" if config.ramp_settings is None else ""
        progress_made = f"interrupted after {len(outcome.samples)}{of_planned} samples"
        result = _build_result(run_folder, run, text_length, stop_message=progress_made, stop_reason="interrupted")
        if on_result is not None:
            on_result(result)
        return result
    _raise_error_that_stopped_run(run, stop_signal, planned_benchmark.listener)
    scores = _score_saved_run(run_folder, run, asr_spec, planned_benchmark)
    if scores is not None:
        run = msgspec.structs.replace(run, score_sets=(*run.score_sets, scores))
    elif unscored_reason:
        planned_benchmark.listener.notice(f"no error rates: {unscored_reason}")
    save_run(run_folder, run)
    run = msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, is_finished=outcome.is_complete))
    page = (
        write_report([(run_folder, run)], run_folder / REPORT_FILE_NAME, text_length=text_length)
        if write_html_report
        else None
    )
    stopped, stop_reason = _find_stop_message_and_reason(outcome, stop_signal)
    result = _build_result(
        run_folder, run, text_length, scores=scores, report_file=page, stop_message=stopped, stop_reason=stop_reason
    )
    result = msgspec.structs.replace(result, baseline_target=planned_benchmark.baseline_target)
    if on_result is not None:
        on_result(result)
    save_run(run_folder, run)
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
    manifest = msgspec.structs.replace(
        load_run(run_folder).manifest,
        is_finished=is_finished,
        spent_usd=outcome.spent_usd,
        early_stop=outcome.early_stop,
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


def _score_saved_run(run_folder: Path, run: Run, asr_spec: str, planned_benchmark: PlannedBenchmark) -> ScoreSet | None:
    try:
        with report_phase(planned_benchmark.listener, "transcribing") as transcribing:
            return score_run(run_folder, run, asr_spec, report_progress=transcribing.update)
    except KeyboardInterrupt:
        again = (
            f"`voicegauge score {run_folder}` transcribes the rest"
            if planned_benchmark.live_options is None
            else "the same command does"
        )
        planned_benchmark.listener.notice(f"the run is saved, and not scored yet: {again}")
        raise


def _build_result(
    run_folder: Path,
    run: Run,
    text_length: int,
    *,
    scores: ScoreSet | None = None,
    report_file: Path | None = None,
    stop_message: str | None = None,
    stop_reason: StopReason | None = None,
) -> BenchResult:
    return BenchResult(
        provenance=run.manifest.provenance,
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
    )
