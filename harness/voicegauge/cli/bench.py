"""`voicegauge bench` and `compare`: measure latency, cost and intelligibility, and tell regressions from noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from voicegauge.api.calls import CommandDeadline
from voicegauge.api.local_requests import CompareRequest, CompareTargetsRequest
from voicegauge.api.requests import BenchRequest
from voicegauge.cli import create_command_of_requests
from voicegauge.cli._console import (
    MIN_WIDE_TERMINAL_WIDTH,
    build_rehearsal_label,
    create_console,
    create_table,
    print_table,
    show_result,
)
from voicegauge.cli._options import FailedWriteCollector, SummaryOutputs
from voicegauge.errors import (
    EXIT_FINDINGS,
    EXIT_INTERRUPTED,
    EXIT_NOTHING_MEASURED,
    EXIT_OK,
    BudgetError,
    NothingMeasuredError,
    PartlyMeasuredError,
    UsageError,
)
from voicegauge.model.base import Provenance
from voicegauge.options import Trust, argument, option, request
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from voicegauge.bench.comparison_result import MetricComparison, RunComparison
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
def bench_command(request: BenchRequest, outputs: BenchOutputs) -> int | None:
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
            on_result=lambda result: _show_bench_result(result, outputs, resumption if is_live else ""),
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
    if outputs.fail_under is None and not is_ramp and not is_live and result.missing_sample_count:
        # Nothing is known of these samples, no service is the cause, and another run is free.
        raise PartlyMeasuredError(
            f"only {result.measured_sample_count} of {format_count(result.planned_sample_count, 'sample')} were "
            f"measured, {result.missing_sample_count} lost or not sent: --fail-under SHARE says which share is enough"
        )
    if result.ramp is not None and not result.ramp.is_conclusive:
        return EXIT_NOTHING_MEASURED
    return None


def _show_bench_result(result: BenchResult, outputs: BenchOutputs, resumption: str) -> None:
    if result.stop_reason != "interrupted":
        from voicegauge.report.result_summaries import summarize

        show_result(result, outputs.json_path, lambda: _print_bench_result(result))
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


def _print_bench_result(result: BenchResult) -> None:
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


# `voicegauge compare`: tell regressions from noise between runs, or between the targets of one run.


_COLOR_BY_VERDICT = {"regression": "red", "improvement": "green", "no evidence": "default", "underpowered": "dim"}
"""Colors of the verdicts about metrics."""
_FAILING_VERDICTS_BY_OPTION: Mapping[str, Sequence[str]] = {
    "regression": ("regression",),
    "underpowered": ("regression", "underpowered"),
    "never": (),
}
"""The verdicts with which `compare` exits with status 1, by the value of `--fail-on`."""


@request
class CompareOptions(SummaryOutputs):
    """Which runs `voicegauge compare` compares, what it prints, and when it fails."""

    runs: Sequence[Path] = argument(kw_only=False, help="Folders of saved runs.", metavar="BASELINE... RUN")
    fail_on: Literal["regression", "underpowered", "never"] = option(
        default="regression",
        help="Exit with status 1 for a regression (with --against: if a target is worse than TARGET in any metric), "
        "also if a large change cannot be ruled out, or never.",
        found_file=Trust.ANY_VALUE,
    )
    slowdown_to_find: float | None = option(
        default=None,
        flag="--power",
        help="Compare nothing: print how many nights, targets and texts find a slowdown of this size (0.2 is 20%) in "
        "80% of cases, with the spreads that the baseline shows: all runs but the last.",
        metavar="SLOWDOWN",
        minimum=0,
        excludes_bounds=True,
        excludes=("json_path", "annotate_github", "markdown_file", "slack_file", "prometheus_file", "show_all"),
        found_file=Trust.ANY_VALUE,
    )
    show_all: bool = option(
        default=False,
        flag="--all",
        help="Print every verdict, not only regressions and improvements.",
        found_file=Trust.ANY_VALUE,
    )


@create_command_of_requests("compare", CompareOptions, CompareTargetsRequest, CompareRequest, has_time_limit=True)
def compare_command(options: CompareOptions, targets_request: CompareTargetsRequest, request: CompareRequest) -> int:
    """Tell regressions from noise between runs, or between the targets of one run.

    The arguments are folders of saved runs: one or several of the baseline, and the new one.
    A metric has a regression if it became worse by enough to matter and by more than chance
    explains, with a correction for the number of metrics. Runs that differ in suite,
    provenance, ASR engine or normalizer are rejected, and so is a run that is given twice.

    With --against, the targets of a single run are compared. They were measured in turn, so
    that much smaller differences are found than between runs of different days. They are
    called slower, more expensive or worse than the other target: nothing has regressed.
    """
    from voicegauge.api.saved_runs import run_compare, run_compare_targets
    from voicegauge.report.result_summaries import summarize

    options.reject_conflicting_outputs()
    if options.slowdown_to_find is not None:
        _print_planned_precision(options.runs, options.slowdown_to_find, request)
        return EXIT_OK
    *earlier_runs, run = options.runs
    if targets_request.baseline_target:
        if earlier_runs:
            raise UsageError("--against compares the targets of one run: name one folder")
        result = run_compare_targets(dataclasses.replace(targets_request, run=run))
    elif not earlier_runs:
        raise UsageError("name a baseline and a run, or the targets to compare with --against TARGET")
    else:
        result = run_compare(dataclasses.replace(request, baseline=earlier_runs, run=run))
    show_result(result, options.json_path, lambda: _print_comparison(result, show_all=options.show_all))
    failing_verdicts = _FAILING_VERDICTS_BY_OPTION[options.fail_on]
    fails, failed_writes = any(one.verdict in failing_verdicts for one in result.metrics), FailedWriteCollector()
    options.write_summaries(summarize(result, fails=fails), failed_writes)
    failed_writes.raise_collected_errors()
    return EXIT_FINDINGS if fails else EXIT_OK


def _print_planned_precision(folders: Sequence[Path], slowdown: float, request: CompareRequest) -> None:
    """Print which slowdowns comparisons of several sizes find, by the spread of runs; mark those up to `slowdown`."""
    from voicegauge.api.saved_runs import build_compare_settings, load_run_to_compare
    from voicegauge.bench.comparison import NIGHT_COUNT_NOTE, PLANNED_TEXT_COUNTS, measure_spreads, plan_comparisons

    runs = [load_run_to_compare(folder, request.place) for folder in folders]
    *baseline, compared = runs
    # A single run shows at least the spread of its requests.
    spreads = (
        measure_spreads(baseline, request.assumed_speed_variation, compared_run=compared)
        if baseline
        else measure_spreads(runs, request.assumed_speed_variation)
    )
    settings = build_compare_settings(request, request.assumed_speed_variation, request.seed)
    plans = plan_comparisons(spreads, settings)
    out = create_console()
    columns = [f"{count} texts" for count in PLANNED_TEXT_COUNTS]
    table = create_table("targets", "nights", *columns, right_aligned_columns=("targets", "nights", *columns))
    for start in range(0, len(plans), len(PLANNED_TEXT_COUNTS)):
        row = plans[start : start + len(PLANNED_TEXT_COUNTS)]
        found = [plan.detectable_slowdown for plan in row]
        cells = ["none" if one is None else f"{one:.1%}{' *' if one <= slowdown else ''}" for one in found]
        table.add_row(str(row[0].target_count), str(row[0].night_count), *cells)
    print_table(out, table)
    out.print(
        f"smallest slowdown of the total latency of one target that is found in 80% of cases, alpha {settings.alpha:g} "
        f"(*: at most {slowdown:.0%}); a run is compared with runs of so many other nights, one request for each text"
    )
    out.print(NIGHT_COUNT_NOTE)
    if baseline:
        out.print(
            f"spreads of {format_count(len(baseline), 'run')}, without the last one, {compared.manifest.run_id}: it is "
            "the run that is compared, and may have changed"
        )
    named = {
        "request": ("requests", spreads.request),
        "night": ("nights", spreads.night),
        "night beside others": ("nights, beside the other targets", spreads.night_beside_others),
    }
    for key, (what, value) in named.items():
        source = "measured" if key in spreads.measured_names else "assumed"
        out.print(f"spread of {what}: {value:.1%}, {source}")
    out.print("two targets of one run share their minutes: --against finds smaller differences")


def _print_comparison(result: RunComparison, *, show_all: bool) -> None:
    out = create_console()
    if result.rehearsal_label:
        measured = "the emulator" if result.provenance == "emulated" else "a server on this machine"
        out.print(build_rehearsal_label(result.rehearsal_label, f"the runs measured {measured}, not a provider"))
    for line in _describe_condition_differences(result):
        out.print(line)
    from voicegauge.bench.comparison_result import PAIRED_CHANGE_NOTE

    shown = list(result.metrics) if show_all else result.list_shown_metrics()
    if shown:
        print_table(
            out,
            _build_wide_metric_table(shown)
            if out.width >= MIN_WIDE_TERMINAL_WIDTH
            else _build_narrow_metric_table(shown),
        )
        if any(metric.unit == "ms" for metric in shown):
            out.print(PAIRED_CHANGE_NOTE)
    limited = "share of false changes" if result.settings.error_control == "discoveries" else "alpha"
    label = f"{result.rehearsal_label}: " if result.rehearsal_label else ""
    out.print(f"{label}{result.describe_verdict_counts()} ({limited} {result.settings.alpha:g})")
    out.print(_describe_interval_levels(result.metrics))
    for line in _explain_missing_verdicts(result):
        out.print(line)
    if hidden := len(result.metrics) - len(shown):
        out.print(f"{format_count(hidden, 'more verdict')}: --all prints each")
    for line in _describe_missing_results(result):
        out.print(line)


def _explain_missing_verdicts(result: RunComparison) -> list[str]:
    """Return why metrics could not be judged, and what would help."""
    lines = [*filter(None, (result.describe_text_overlap(),)), *result.describe_unproven_worsenings()]
    if too_few := result.describe_too_few_texts():
        return [*lines, too_few]
    if any(metric.verdict == "underpowered" for metric in result.metrics):
        lines.append(
            "underpowered: cannot be judged, because a large change cannot be ruled out; "
            f"{_suggest_how_to_gain_precision(result)}"
        )
    return lines


def _describe_interval_levels(metrics: Sequence[MetricComparison]) -> str:
    """Return the confidence levels of the intervals in one line."""
    levels = sorted({one.interval_level for one in metrics if one.interval_level is not None})
    if not levels:
        return "no intervals: too few data"
    low, high = (f"{100 * level:.4g}%" for level in (levels[0], levels[-1]))
    return f"level of the intervals: {low if low == high else f'{low} to {high}'}, corrected for the number of metrics"


def _describe_missing_results(result: RunComparison) -> list[str]:
    """Return a line for each target or error rate that only one run has, and for what is not compared."""
    delivery = "transcript" if result.run_kind == "transcription" else "audio"
    return [
        *(
            f"no {delivery} in the baseline, so no error rate: {target}"
            for target in result.targets_without_audio_in_baseline
        ),
        *(f"no {delivery} in the run, so no error rate: {target}" for target in result.targets_without_audio_in_run),
        *(f"not in the run: {target}" for target in result.targets_only_in_baseline),
        *(f"not in the baseline: {target}" for target in result.targets_only_in_run),
        *([f"error rates by {result.asr}: {result.known_words}"] if result.known_words is not None else []),
        *result.notes,
    ]


def _describe_condition_differences(result: RunComparison) -> list[str]:
    """Return a line for each difference of conditions, such as the region, that can explain changes between runs."""
    runs = {run.run_id: run for run in (*result.baseline, result.run)}
    unfinished = [run_id for run_id, run in runs.items() if not run.is_finished]
    has_faults = any(run.fault_ids for run in runs.values())
    has_equal_places = len({run.places for run in runs.values()}) == 1
    return [
        *result.list_warnings_about_wrong_audio(),
        *(f"not complete, so the samples so far are compared: {run_id}" for run_id in unfinished),
        *(
            f"injected faults: {', '.join(run.fault_ids) or 'none'}: {run_id}"
            for run_id, run in runs.items()
            if has_faults
        ),
        *_describe_condition_if_different(
            "from different regions", {name: run.region or "not named" for name, run in runs.items()}
        ),
        *_describe_condition_if_different(
            "from different places", {name: ", ".join(run.places) or "not named" for name, run in runs.items()}
        ),
        *filter(None, (result.describe_texts_from_other_places() if has_equal_places else None,)),
        *_describe_condition_if_different(
            "with different versions of HTTP",
            {name: "HTTP/2" if run.uses_http2 else "HTTP/1.1" for name, run in runs.items()},
        ),
        *filter(None, (result.describe_base_urls(),)),
    ]


def _describe_condition_if_different(how: str, condition_by_run: Mapping[str, str]) -> list[str]:
    """Return a warning with a condition of each run if the runs differ in it; empty if they do not."""
    if len(set(condition_by_run.values())) == 1:
        return []
    conditions = (f"  {run_id}: {condition}" for run_id, condition in condition_by_run.items())
    return [f"measured {how}, which alone can change times:", *conditions]


def _build_wide_metric_table(metrics: Sequence[MetricComparison]) -> Table:
    from voicegauge.report.text_format import format_change, format_change_interval, format_value

    headings = ("target", "metric", "baseline", "run", "change", "interval", "verdict", "detectable", "")
    table = create_table(*headings, right_aligned_columns=("baseline", "run", "detectable"))
    for metric in metrics:
        table.add_row(
            metric.target,
            metric.metric,
            format_value(metric.unit, metric.baseline_value),
            format_value(metric.unit, metric.run_value),
            format_change(metric.unit, metric.change),
            format_change_interval(metric),
            _format_verdict(metric),
            "" if metric.detectable_change is None else format_change(metric.unit, metric.detectable_change),
            metric.note,
        )
    return table


def _build_narrow_metric_table(metrics: Sequence[MetricComparison]) -> Table:
    """Return a table with up to two values in each cell, without the detectable change and notes."""
    from voicegauge.report.text_format import format_change, format_change_interval, format_value

    table = create_table(
        "target, metric", "baseline, run", "change, interval", "verdict", right_aligned_columns=("baseline, run",)
    )
    for metric in metrics:
        table.add_row(
            f"{metric.target}\n  {metric.metric}",
            "\n".join(format_value(metric.unit, one) for one in (metric.baseline_value, metric.run_value)),
            f"{format_change(metric.unit, metric.change)}\n{format_change_interval(metric)}",
            _format_verdict(metric),
        )
    return table


def _format_verdict(metric: MetricComparison) -> Text:
    from rich.text import Text

    return Text(metric.describe_verdict(), style=_COLOR_BY_VERDICT[metric.verdict])


def _suggest_how_to_gain_precision(result: RunComparison) -> str:
    if any(metric.baseline_target != metric.target for metric in result.metrics):
        return "use more texts, --repetitions and --sessions"
    if any(one.interval_low is not None and one.detectable_change is None for one in result.unproven_worsenings):
        return "single requests differ too much: use more texts, --repetitions and --sessions on both sides"
    if not result.has_measured_variation:
        return (
            f"more texts help little, because times are assumed to vary by {result.settings.assumed_variation:.0%} "
            "between runs: name five or more runs of different days as BASELINE..., or measure both in one run and "
            "compare with --against"
        )
    return (
        "--power 0.2 says how many nights and texts would help; or measure both in one run and compare them with "
        "--against"
    )
