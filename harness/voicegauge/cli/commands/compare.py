"""`voicegauge compare`: tell regressions from noise between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import build_emulated_label, create_console, create_table, show_record
from voicegauge.cli.options import FiniteRange, add_json_option, add_seed_option
from voicegauge.errors import EXIT_FINDINGS

if TYPE_CHECKING:
    from voicegauge.bench.analysis import MetricComparison, RunComparison

_COLOR_BY_VERDICT = {"regression": "red", "improvement": "green", "no evidence": "default", "underpowered": "dim"}
MAX_CHANGE_SHOWN = 10
"""Relative changes above this are printed as ">+1000%", because the exact factor would add no information."""


@click.command("compare")
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--alpha",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Probability of a false alarm, for each metric of each target.",
)
@click.option(
    "--min-slowdown",
    type=FiniteRange(min=0),
    default=0.10,
    show_default=True,
    help="Ignore slowdowns smaller than this fraction, even if statistically significant.",
)
@click.option(
    "--min-wer",
    type=FiniteRange(min=0),
    default=0.02,
    show_default=True,
    help="Ignore differences of error rates smaller than this; 0.02 is two percentage points.",
)
@click.option(
    "--session-drift",
    type=FiniteRange(min=0),
    default=0.10,
    show_default=True,
    help="Relative spread of times between sessions, assumed unless the runs have several sessions.",
)
@click.option("--all", "show_all", is_flag=True, help="Print every verdict, not only regressions and improvements.")
@add_seed_option
@add_json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    baseline: Path,
    run: Path,
    alpha: float,
    min_slowdown: float,
    min_wer: float,
    session_drift: float,
    show_all: bool,
    seed: int,
    json_path: str | None,
) -> None:
    """Tell regressions from noise between two runs.

    BASELINE and RUN are folders of saved runs. A metric has a regression if it became worse
    by enough to matter and the confidence interval of the change excludes zero. If there is
    a regression, the exit status is 1. Runs that differ in suite, provenance, ASR engine or
    normalizer are rejected.
    """
    from voicegauge import api

    result = api.compare(
        baseline,
        run,
        alpha=alpha,
        min_slowdown=min_slowdown,
        min_wer=min_wer,
        session_drift=session_drift,
        seed=seed,
    )
    show_record(result, json_path, lambda: _print_comparison(result, show_all=show_all))
    if result.regressions:
        ctx.exit(EXIT_FINDINGS)


def _print_comparison(result: RunComparison, *, show_all: bool) -> None:
    from rich.text import Text

    out = create_console()
    if result.provenance == "emulated":
        out.print(build_emulated_label("both runs measured the emulator, not a provider"))
    rows = create_table(
        "target", "metric", "baseline", "run", "change", "interval", "verdict", "", right_aligned=("baseline", "run")
    )
    shown = [metric for metric in result.metrics if show_all or metric.verdict in ("regression", "improvement")]
    for metric in shown:
        rows.add_row(
            metric.target,
            metric.metric,
            _format_value(metric, metric.baseline),
            _format_value(metric, metric.run),
            _format_change(metric, metric.change),
            ""
            if metric.low is None
            else f"{_format_change(metric, metric.low)} to {_format_change(metric, metric.high)}",
            Text(metric.verdict, style=_COLOR_BY_VERDICT[metric.verdict]),
            metric.note,
        )
    if shown:
        out.print(rows)
    counts = {verdict: sum(metric.verdict == verdict for metric in result.metrics) for verdict in _COLOR_BY_VERDICT}
    out.print(
        ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + f" (alpha {result.settings.alpha:g})"
    )
    if counts["underpowered"]:
        out.print("underpowered: a relevant change cannot be ruled out; use more --sessions and texts")
    delivery = "transcript" if result.kind == "transcription" else "audio"
    for run, targets in (("baseline", result.no_audio_in_baseline), ("run", result.no_audio_in_run)):
        for target in targets:
            out.print(f"no {delivery} in the {run}, so no error rate: {target}")
    for target in result.only_in_baseline:
        out.print(f"not in the run: {target}")
    for target in result.only_in_run:
        out.print(f"not in the baseline: {target}")


def _format_value(metric: MetricComparison, value: float) -> str:
    if metric.unit == "rate":
        return f"{value:.1%}"
    return {"ms": f"{value:.0f} ms", "usd": f"${value:.4f}", "credits": f"{value:g} credits"}[metric.unit]


def _format_change(metric: MetricComparison, change: float | None) -> str:
    if change is None:
        return ""
    if metric.unit == "rate":
        return f"{100 * change:+.1f} points"
    return ">+1000%" if change > MAX_CHANGE_SHOWN else f"{change:+.1%}"
