"""`voicegauge bench`: measure latency, cost and intelligibility."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from voicegauge.api.calls import CommandDeadline
from voicegauge.api.requests import BenchRequest
from voicegauge.cli import create_command_of_requests
from voicegauge.cli._console import create_console, show_result
from voicegauge.cli._options import FailedWriteCollector, SummaryOutputs
from voicegauge.errors import (
    EXIT_INTERRUPTED,
    EXIT_NOTHING_MEASURED,
    BudgetError,
    NothingMeasuredError,
    PartlyMeasuredError,
)
from voicegauge.model.base import Provenance
from voicegauge.options import Trust, option, request
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from voicegauge.bench.target_summaries import BenchResult


DEFAULT_MIN_MEASURED_SHARE = 0.9
"""Share of the planned samples of a live benchmark that must be measured."""


@request
class BenchOutputs(SummaryOutputs):
    """What `voicegauge bench` prints and writes, and when it fails."""

    dry_run: bool = option(
        default=False, help="Print the priced plan and send nothing.", found_file=Trust.ANY_VALUE, hides_live_run=True
    )
    fail_under: float | None = option(
        default=None,
        help="Fail with exit status 5 if less than this share of the planned samples was measured. Audio that is "
        "silent or otherwise known to be wrong counts as not measured.",
        default_text=f"{DEFAULT_MIN_MEASURED_SHARE:g} with --live; at the emulator 0, but no sample may be lost or not "
        "sent; with --ramp 0",
        metavar="SHARE",
        minimum=0,
        maximum=1,
        found_file=Trust.ANY_VALUE,
        hides_live_run=True,
    )


@create_command_of_requests("bench", BenchRequest, BenchOutputs)
def command(request: BenchRequest, outputs: BenchOutputs) -> int | None:
    """Measure latency, cost and intelligibility.

    Each text of the suite, or of --texts, is requested from every TARGET in turn (by default from
    all targets). Requests go to the emulator unless --live is given. After Ctrl-C, the requests in flight are
    finished and saved; the same command resumes an interrupted live run. Requests that were
    sent without receiving a result count as spent. They are listed, and never repeated silently.
    """
    with CommandDeadline(None).interrupt_preparation_when_time_is_over():  # importing takes long enough for Ctrl-C
        from voicegauge.api.benchmark_sending import run_plan_benchmark
        from voicegauge.api.benchmarking import run_benchmark
        from voicegauge.cli._bench_tables import print_plan
        from voicegauge.cli._console import raise_error_of_refused_plan
        from voicegauge.cli._progress import BenchProgress, TerminalProgress

    outputs.reject_conflicting_outputs()
    is_live = request.live is not None
    if outputs.dry_run:
        with CommandDeadline(request.max_time_s).interrupt_preparation_when_time_is_over():
            plan = run_plan_benchmark(dataclasses.replace(request, progress=TerminalProgress()))
        show_result(plan, outputs.json_path, lambda: print_plan(plan))
        raise_error_of_refused_plan(plan.budget_forecast)
        return None
    resumption = f"the same command{' without --new-run' if request.new_run else ''} resumes the run"
    result = run_benchmark(
        dataclasses.replace(
            request,
            # Before the run is marked as finished: a process that is killed earlier leaves it to the same command.
            on_result=lambda result: _show_result(result, outputs, resumption if is_live else ""),
            progress=BenchProgress(is_live=is_live),
        )
    )
    if result.stop_reason == "interrupted":
        return EXIT_INTERRUPTED
    if result.stop_reason == "time":
        error = PartlyMeasuredError if result.measured_sample_count else NothingMeasuredError
        can_resume = is_live and not result.manifest.is_finished
        raise error(
            f"{result.stop_message}; the run is saved in {result.folder}{f'; {resumption}' if can_resume else ''}"
        )
    _raise_error_of_failed_run(result)
    is_ramp = request.ramp is not None  # which goes on until requests fail
    default_share = DEFAULT_MIN_MEASURED_SHARE if is_live and not is_ramp else 0.0
    _reject_partly_measured_run(result, default_share if outputs.fail_under is None else outputs.fail_under)
    if outputs.fail_under is None and not is_ramp and not is_live:
        _reject_run_with_missing_samples(result)
    if result.ramp is not None and not result.ramp.is_conclusive:
        return EXIT_NOTHING_MEASURED
    return None


def _show_result(result: BenchResult, outputs: BenchOutputs, resumption: str) -> None:
    if result.stop_reason != "interrupted":
        from voicegauge.report.result_summaries import summarize

        show_result(result, outputs.json_path, lambda: _print_result(result))
        failed_writes = FailedWriteCollector()
        outputs.write_summaries(summarize(result), failed_writes)
        failed_writes.raise_collected_errors()
        return
    errors = create_console(to_stderr=True)
    for line in (*_describe_unresolved_requests(result), _describe_resumption(result, resumption)):
        errors.print(line)


def _describe_unresolved_requests(result: BenchResult) -> list[str]:
    """Return lines about requests and jobs without a result, with what the user can do about them.

    After Ctrl-C, open jobs are not listed.
    """
    from voicegauge.model.exchange import describe_unresolved_requests

    open_jobs = () if result.stop_reason in ("interrupted", "time") else result.open_jobs
    is_emulated = result.provenance is Provenance.EMULATED
    return describe_unresolved_requests(result.ambiguous_requests, open_jobs, is_emulated=is_emulated)


def _describe_resumption(result: BenchResult, resumption: str) -> str:
    """Return what is saved and how to go on; `resumption` says how to resume the run, empty for an emulated one."""
    saved = f"stopped: {result.stop_message}; they are saved in {result.folder}"
    if resumption:
        return f"{saved}; {resumption}"
    if not any(target.sample_count for target in result.targets):
        return f"{saved}; only warm-up samples were measured, so there is nothing to score"
    return f"{saved}; score them with: voicegauge score {result.folder}"


def _print_result(result: BenchResult) -> None:
    from voicegauge.api.saved_runs import load_run
    from voicegauge.cli._bench_tables import print_places, print_ramp, print_summaries

    run = load_run(result.folder)
    scores = run.score_sets[-1] if result.asr and run.score_sets else None
    print_summaries(result.targets, scores, result.manifest, run.describe_counted_ramp_samples())
    out = create_console()
    if result.ramp is not None:
        print_ramp(result.ramp)
    if result.places:
        print_places(result.places, result.manifest)
    for line in _describe_unresolved_requests(result):
        out.print(line)
    out.print(f"run:    {result.folder}")
    if result.baseline_target:
        out.print(f"compare: voicegauge compare {result.folder} --against {result.baseline_target}")
    if result.report_file:
        out.print(f"report: {result.report_file}")


MAX_SHARE_OF_DISTURBED_SAMPLES = 0.2
"""Share of disturbed samples above which a run is rejected. A sample is disturbed if this machine was too busy to
measure its times precisely."""
MIN_SAMPLES_TO_JUDGE_DISTURBANCE = 20
"""Number of samples from which `MAX_SHARE_OF_DISTURBED_SAMPLES` applies: one disturbed sample of a few means little."""


def _reject_disturbed_run(result: BenchResult) -> None:
    """Reject a live run if this machine was too busy to measure times precisely.

    A busy machine reads responses late, which changes no time where the operating system notes when they arrive. So
    the error of times decides if it was measured at the same moments.

    Raises:
        NothingMeasuredError: too many samples are disturbed.
    """
    disturbed = (
        _count_samples_disturbed_beyond_goal(result)
        if result.ramp is not None
        else sum(target.disturbed_sample_count for target in result.targets)
    )
    samples = sum(target.sample_count for target in result.targets)
    is_judged = result.provenance is Provenance.LIVE and samples >= MIN_SAMPLES_TO_JUDGE_DISTURBANCE
    if is_judged and disturbed > MAX_SHARE_OF_DISTURBED_SAMPLES * samples and not _had_small_timing_error(result):
        raise NothingMeasuredError(
            f"the times are not valid: this machine was too busy during {disturbed} of {samples} samples "
            "(is_disturbed): measure again on an idle machine, or with a lower --concurrency"
        )


def _had_small_timing_error(result: BenchResult) -> bool:
    """Whether the error of times was measured during the run, and was small although this machine was busy."""
    from voicegauge.api.saved_runs import load_run
    from voicegauge.bench import MAX_LAG_OF_UNDISTURBED_SAMPLE_MS

    error = load_run(result.folder).manifest.timing_error
    is_known = error is not None and error.is_measured_during_run and result.ramp is None
    return is_known and error is not None and error.p99_error_ms <= MAX_LAG_OF_UNDISTURBED_SAMPLE_MS


MAX_LAG_SHARE_OF_GOAL = 0.1
"""Largest lag of the event loop at which a sample of a ramp is counted, as a share of the shortest time that the goal
allows. Above it, the sample does not show whether the goal was met."""


def _count_samples_disturbed_beyond_goal(result: BenchResult) -> int:
    """Return how many samples of the best step of a ramp were disturbed by more than its goal tolerates."""
    from voicegauge.api.saved_runs import load_run
    from voicegauge.bench.ramp import parse_goal

    assert result.ramp is not None
    conditions = parse_goal(result.ramp.goal).conditions
    limits_ms = [one.limit for one in conditions if one.metric in {"ttfb", "ttfa", "total"}]
    if not limits_ms and all(one.metric == "success" for one in conditions):
        return 0
    max_lag_ms = MAX_LAG_SHARE_OF_GOAL * min(limits_ms, default=0.0)
    samples = load_run(result.folder).select_counted_samples()
    return sum(sample.is_disturbed and (sample.max_own_lag_ms or 0.0) >= max_lag_ms for sample in samples)


def _raise_error_of_failed_run(result: BenchResult) -> None:
    """Raise the error, if any, that makes the command fail although its results were printed.

    Raises:
        BudgetError: the budget stopped the run.
        NothingMeasuredError: every request failed, jobs are still open, or the times are not valid.
    """
    if result.stop_message is not None:
        raise (BudgetError if result.stop_reason == "budget" else NothingMeasuredError)(result.stop_message)
    _reject_disturbed_run(result)
    if all(target.failure_count == target.sample_count for target in result.targets):
        from voicegauge.api.saved_runs import load_run

        samples = load_run(result.folder).samples
        reasons = [sample.failure.message for sample in samples if sample.failure and sample.is_counted]
        if reasons:
            raise NothingMeasuredError(f"every request failed, the first one with: {reasons[0]}")
        lost = "every request was sent without receiving a result"
        if result.provenance is not Provenance.EMULATED:
            lost += ": --retry-ambiguous pays for them again, --new-run for a new run"
        raise NothingMeasuredError(lost if samples else "no request was sent")


def _reject_partly_measured_run(result: BenchResult, min_share: float) -> None:
    """Reject a run of which too little was measured, or whose audio is wrong.

    Raises:
        NothingMeasuredError: all audio is silent, or otherwise known to be wrong, or none of it is known to be right.
        PartlyMeasuredError: less than `min_share` of the planned samples was measured.
    """
    silent, measured, planned = result.silent_sample_count, result.measured_sample_count, result.planned_sample_count
    if silent == result.wrong_sample_count and silent and not measured:
        raise NothingMeasuredError(
            f"the audio of all {format_count(silent, 'sample')} is silent" if silent > 1 else "the audio is silent"
        )
    if result.wrong_sample_count and not measured:
        count = result.wrong_sample_count
        raise NothingMeasuredError(f"the audio of all {count} samples is wrong" if count > 1 else "the audio is wrong")
    if result.doubtful_sample_count and measured == result.doubtful_sample_count:
        raise NothingMeasuredError(_describe_wholly_doubtful_audio(result))
    if result.measured_share < min_share:
        wrong = result.wrong_sample_count
        also_wrong = f", {wrong} of the others are {'silent' if wrong == silent else 'wrong'}" if wrong else ""
        missing = f", {result.missing_sample_count} lost or not sent" if result.missing_sample_count else ""
        raise PartlyMeasuredError(
            f"only {measured} of {format_count(planned, 'sample')} were measured{also_wrong}{missing}: less than "
            f"--fail-under {min_share:g}"
        )


def _describe_wholly_doubtful_audio(result: BenchResult) -> str:
    """Return why nothing is known of audio that is all doubtful, except for what is wrong."""
    doubtful, wrong = result.doubtful_sample_count, result.wrong_sample_count
    if doubtful == 1 and not wrong:
        return "it is doubtful whether the audio says its text: listen to it in the report"
    others = f", that of {wrong} more is wrong" if wrong else ""
    return (
        f"it is doubtful whether the audio of {format_count(doubtful, 'sample')} says its text{others}, and none is "
        "known to be right: listen to it in the report"
    )


def _reject_run_with_missing_samples(result: BenchResult) -> None:
    """Reject an emulated run with samples of which nothing is known: no service is the cause, and another run is free.

    Raises:
        PartlyMeasuredError: samples were lost or not sent.
    """
    if result.missing_sample_count:
        raise PartlyMeasuredError(
            f"only {result.measured_sample_count} of {format_count(result.planned_sample_count, 'sample')} were "
            f"measured, {result.missing_sample_count} lost or not sent: --fail-under SHARE says which share is enough"
        )
