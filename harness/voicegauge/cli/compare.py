"""`voicegauge compare`: tell regressions from noise between runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from voicegauge.api.local_requests import CompareRequest, CompareTargetsRequest
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
from voicegauge.errors import EXIT_FINDINGS, EXIT_OK, UsageError
from voicegauge.options import Trust, argument, option, request
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from voicegauge.bench.comparison_result import MetricComparison, RunComparison


_COLOR_BY_VERDICT = {"regression": "red", "improvement": "green", "no evidence": "default", "underpowered": "dim"}


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
def command(options: CompareOptions, targets_request: CompareTargetsRequest, request: CompareRequest) -> int:
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
    fails, failed_writes = _has_failing_verdict(result, options.fail_on), FailedWriteCollector()
    options.write_summaries(summarize(result, fails=fails), failed_writes)
    failed_writes.raise_collected_errors()
    return EXIT_FINDINGS if fails else EXIT_OK


def _print_planned_precision(folders: Sequence[Path], slowdown: float, request: CompareRequest) -> None:
    """Print the smallest slowdown that planned comparisons find, and which of the plans find the wanted one."""
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
        cells = [_format_slowdown(plan.detectable_slowdown, slowdown) for plan in row]
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


def _format_slowdown(detectable: float | None, wanted: float) -> str:
    if detectable is None:
        return "none"
    return f"{detectable:.1%}{' *' if detectable <= wanted else ''}"


def _has_failing_verdict(result: RunComparison, fail_on: str) -> bool:
    if fail_on == "never":
        return False
    verdicts = {"regression"} if fail_on == "regression" else {"regression", "underpowered"}
    return any(metric.verdict in verdicts for metric in result.metrics)


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

    table = create_table(
        "target",
        "metric",
        "baseline",
        "run",
        "change",
        "interval",
        "verdict",
        "detectable",
        "",
        right_aligned_columns=("baseline", "run", "detectable"),
    )
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
