"""`voicegauge compare`: tell regressions from noise between runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import (
    MIN_WIDE_TERMINAL_WIDTH,
    build_emulated_label,
    create_console,
    create_table,
    print_table,
    show_result,
)
from voicegauge.cli.options import FiniteRange, add_change_threshold_options, add_json_option, add_seed_option
from voicegauge.errors import EXIT_FINDINGS, UsageError
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text

    from voicegauge.bench.analysis import MetricComparison, RunComparison

_COLOR_BY_VERDICT = {"regression": "red", "improvement": "green", "no evidence": "default", "underpowered": "dim"}
MAX_RELATIVE_CHANGE_SHOWN = 10
"""Relative changes above this are printed as ">+1000%", because the exact factor would add no information."""


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="BASELINE... RUN", type=click.Path(path_type=Path))
@click.option(
    "--against",
    "baseline_target",
    metavar="TARGET",
    help="Compare the other targets of one RUN with TARGET, paired by text and session.",
)
@add_change_threshold_options(
    alpha_help="Probability that any metric of any target is falsely called a regression.",
    ignored_slowdowns_text="slowdowns",
    ignored_error_rates_text="differences of error rates",
)
@click.option(
    "--drift",
    "assumed_speed_drift",
    type=FiniteRange(min=0),
    default=0.10,
    show_default=True,
    help="Relative spread of times between runs, assumed unless the baseline has five runs.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["regression", "underpowered", "never"]),
    default="regression",
    show_default=True,
    help="Exit with status 1 for a regression, also if a large change cannot be ruled out, or never.",
)
@click.option("--all", "show_all", is_flag=True, help="Print every verdict, not only regressions and improvements.")
@add_seed_option
@add_json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    runs: tuple[Path, ...],
    baseline_target: str | None,
    alpha: float,
    min_slowdown: float,
    min_error_rate_change: float,
    assumed_speed_drift: float,
    fail_on: str,
    show_all: bool,
    seed: int,
    json_path: str | None,
) -> None:
    """Tell regressions from noise between runs, or between the targets of one run.

    The arguments are folders of saved runs: one or several of the baseline, and the new one.
    A metric has a regression if it became worse by enough to matter and by more than chance
    explains, with a correction for the number of metrics. Runs that differ in suite,
    provenance, ASR engine or normalizer are rejected, and so is a run that is given twice.

    With --against, the targets of a single run are compared. They were measured in turn, so
    that much smaller differences are found than between runs of different days.
    """
    from voicegauge import api

    result: RunComparison
    if baseline_target is not None:
        if len(runs) > 1:
            raise UsageError("--against compares the targets of one run: name one folder")
        result = api.compare_targets(
            runs[0],
            baseline_target,
            alpha=alpha,
            min_slowdown=min_slowdown,
            min_error_rate_change=min_error_rate_change,
            seed=seed,
        )
    elif len(runs) == 1:
        raise UsageError("name a baseline and a run, or the targets to compare with --against TARGET")
    else:
        result = api.compare(
            runs[:-1],
            runs[-1],
            alpha=alpha,
            min_slowdown=min_slowdown,
            min_error_rate_change=min_error_rate_change,
            assumed_speed_drift=assumed_speed_drift,
            seed=seed,
        )
    show_result(result, json_path, lambda: _print_comparison(result, show_all=show_all))
    if _has_failing_verdict(result, fail_on):
        ctx.exit(EXIT_FINDINGS)


def _has_failing_verdict(result: RunComparison, fail_on: str) -> bool:
    if fail_on == "never":
        return False
    verdicts = {"regression"} if fail_on == "regression" else {"regression", "underpowered"}
    return any(metric.verdict in verdicts for metric in result.metrics)


def _print_comparison(result: RunComparison, *, show_all: bool) -> None:
    out = create_console()
    if result.provenance == "emulated":
        out.print(build_emulated_label("the runs measured the emulator, not a provider"))
    for line in _describe_condition_differences(result):
        out.print(line, markup=False)
    from voicegauge.bench.analysis import PAIRED_CHANGE_NOTE

    shown = [metric for metric in result.metrics if show_all or metric.verdict in ("regression", "improvement")]
    if shown:
        print_table(
            out,
            _build_wide_metric_table(shown)
            if out.width >= MIN_WIDE_TERMINAL_WIDTH
            else _build_narrow_metric_table(shown),
        )
        if any(metric.unit == "ms" for metric in shown):
            out.print(PAIRED_CHANGE_NOTE)
    counts = {verdict: sum(metric.verdict == verdict for metric in result.metrics) for verdict in _COLOR_BY_VERDICT}
    out.print(
        ", ".join(_format_verdict_count(verdict, count) for verdict, count in counts.items())
        + f" (alpha {result.settings.alpha:g})"
    )
    if overlap := result.describe_text_overlap():
        out.print(overlap)
    if counts["underpowered"]:
        out.print(f"underpowered: a large change cannot be ruled out; {_suggest_how_to_gain_precision(result)}")
    for line in _describe_missing_results(result):
        out.print(line)


def _describe_missing_results(result: RunComparison) -> list[str]:
    """Return a line for each target or error rate that only one of the compared runs has."""
    delivery = "transcript" if result.run_kind == "transcription" else "audio"
    return [
        *(
            f"no {delivery} in the baseline, so no error rate: {target}"
            for target in result.targets_without_audio_in_baseline
        ),
        *(f"no {delivery} in the run, so no error rate: {target}" for target in result.targets_without_audio_in_run),
        *(f"not in the run: {target}" for target in result.targets_only_in_baseline),
        *(f"not in the baseline: {target}" for target in result.targets_only_in_run),
    ]


def _describe_condition_differences(result: RunComparison) -> list[str]:
    """Return a line for each difference of conditions, such as the region, that can explain changes between runs."""
    unfinished = dict.fromkeys(run.run_id for run in (*result.baseline, result.run) if not run.is_finished)
    return [
        *(f"not complete, so the samples so far are compared: {run_id}" for run_id in unfinished),
        *_describe_faults(result),
        *_describe_regions(result),
        *_describe_http_versions(result),
    ]


def _describe_regions(result: RunComparison) -> list[str]:
    """Return a warning with the region of each run if they differ; empty if they do not."""
    runs = {run.run_id: run.region for run in (*result.baseline, result.run)}
    if len(set(runs.values())) == 1:
        return []
    regions = (f"  {run_id}: {region or 'not named'}" for run_id, region in runs.items())
    return ["measured from different regions, which alone can change times:", *regions]


def _describe_http_versions(result: RunComparison) -> list[str]:
    """Return a warning with the HTTP version of each run if they differ; empty if they do not."""
    runs = {run.run_id: run.uses_http2 for run in (*result.baseline, result.run)}
    if len(set(runs.values())) == 1:
        return []
    versions = (f"  {run_id}: {'HTTP/2' if http2 else 'HTTP/1.1'}" for run_id, http2 in runs.items())
    return ["measured with different versions of HTTP, which alone can change times:", *versions]


def _describe_faults(result: RunComparison) -> list[str]:
    """Return which faults were injected into each run; empty if there were none."""
    runs = {run.run_id: run.fault_ids for run in (*result.baseline, result.run)}
    if not any(runs.values()):
        return []
    return [f"injected faults: {', '.join(faults) or 'none'}: {run_id}" for run_id, faults in runs.items()]


def _build_wide_metric_table(metrics: Sequence[MetricComparison]) -> Table:
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
            _format_value(metric, metric.baseline_value),
            _format_value(metric, metric.run_value),
            _format_change(metric, metric.change),
            _format_interval(metric),
            _format_verdict(metric),
            _format_change(metric, metric.detectable_change),
            metric.note,
        )
    return table


def _build_narrow_metric_table(metrics: Sequence[MetricComparison]) -> Table:
    """Return a table with up to two values in each cell, without the detectable change and notes."""
    table = create_table(
        "target, metric", "baseline, run", "change, interval", "verdict", right_aligned_columns=("baseline, run",)
    )
    for metric in metrics:
        table.add_row(
            f"{metric.target}\n  {metric.metric}",
            f"{_format_value(metric, metric.baseline_value)}\n{_format_value(metric, metric.run_value)}",
            f"{_format_change(metric, metric.change)}\n{_format_interval(metric)}",
            _format_verdict(metric),
        )
    return table


def _format_interval(metric: MetricComparison) -> str:
    if metric.interval_low is None or metric.interval_high is None:
        return ""
    low, high = (_format_change(metric, end) for end in (metric.interval_low, metric.interval_high))
    return f"{low.removesuffix(' points')} to {high}"


def _format_verdict_count(verdict: str, count: int) -> str:
    has_plural = verdict in ("regression", "improvement")
    return format_count(count, verdict) if has_plural else f"{count} {verdict}"


def _format_verdict(metric: MetricComparison) -> Text:
    from rich.text import Text

    return Text(metric.verdict, style=_COLOR_BY_VERDICT[metric.verdict])


def _suggest_how_to_gain_precision(result: RunComparison) -> str:
    if any(metric.baseline_target != metric.target for metric in result.metrics):
        return "use more texts, --repetitions and --sessions"
    return (
        "use more texts, name five or more runs of different days as BASELINE..., "
        "or measure both in one run and compare with --against"
    )


def _format_value(metric: MetricComparison, value: float) -> str:
    if metric.unit == "rate":
        return f"{value:.1%}"
    return {"ms": f"{value:.0f} ms", "usd": f"${value:.4f}", "credits": f"{value:g} credits"}[metric.unit]


def _format_change(metric: MetricComparison, change: float | None) -> str:
    if change is None:
        return ""
    if metric.unit == "rate":
        return f"{100 * change:+.1f} points"
    return ">+1000%" if change > MAX_RELATIVE_CHANGE_SHOWN else f"{change:+.1%}"
