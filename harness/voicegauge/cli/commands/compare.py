"""`voicegauge compare`: tell regressions from noise between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import console, emulated, table, write_json
from voicegauge.cli.options import FiniteRange, json_option, seed_option
from voicegauge.errors import EXIT_FINDINGS

if TYPE_CHECKING:
    from voicegauge.bench.analysis import MetricComparison, RunComparison

_COLOURS = {"regression": "red", "improvement": "green", "no evidence": "default", "underpowered": "dim"}


@click.command("compare")
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--alpha",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Chance of a false alarm, for each metric of each target.",
)
@click.option(
    "--min-slowdown",
    type=FiniteRange(min=0),
    default=0.10,
    show_default=True,
    help="A smaller part by which times grow is no regression, however sure.",
)
@click.option(
    "--min-wer",
    type=FiniteRange(min=0),
    default=0.02,
    show_default=True,
    help="The same for error rates, as a difference: 0.02 is two points.",
)
@click.option(
    "--session-drift",
    type=FiniteRange(min=0),
    default=0.10,
    show_default=True,
    help="Spread of times from session to session, assumed until sessions show it.",
)
@click.option("--all", "show_all", is_flag=True, help="Print every verdict, not only those that say something.")
@seed_option
@json_option
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
    json_to: str | None,
) -> None:
    """Tell regressions from noise between two runs.

    BASELINE and RUN are folders of saved runs. A metric has regressed where the change
    is large enough to matter and the interval excludes no change; the exit status is 1
    then. Runs of another suite, provenance, ASR or normalizer are refused.
    """
    from voicegauge.bench.analysis import ChangeThreshold, CompareSettings, compare_runs
    from voicegauge.bench.running import load_run

    settings = CompareSettings(
        alpha=alpha,
        session_drift=session_drift,
        latency=ChangeThreshold(min_change=min_slowdown, detectable_change=max(0.30, 3 * min_slowdown)),
        error_rate=ChangeThreshold(min_change=min_wer, detectable_change=max(0.05, 2.5 * min_wer)),
        seed=seed,
    )
    result = compare_runs(load_run(baseline), load_run(run), settings)
    if json_to:
        write_json(result, json_to)
    if json_to != "-":
        _print(result, show_all=show_all)
    if result.regressions:
        ctx.exit(EXIT_FINDINGS)


def _print(result: RunComparison, *, show_all: bool) -> None:
    from rich.text import Text

    out = console()
    if result.provenance == "emulated":
        out.print(emulated("both runs are the emulator's; they say nothing of a provider"))
    rows = table("target", "metric", "baseline", "run", "change", "interval", "verdict", "", right=("baseline", "run"))
    shown = [v for v in result.metrics if show_all or v.verdict in ("regression", "improvement")]
    for verdict in shown:
        rows.add_row(
            verdict.target,
            verdict.metric,
            _value(verdict, verdict.baseline),
            _value(verdict, verdict.run),
            _change(verdict, verdict.change),
            "" if verdict.low is None else f"{_change(verdict, verdict.low)} to {_change(verdict, verdict.high)}",
            Text(verdict.verdict, style=_COLOURS[verdict.verdict]),
            verdict.note,
        )
    if shown:
        out.print(rows)
    counts = {verdict: sum(v.verdict == verdict for v in result.metrics) for verdict in _COLOURS}
    out.print(
        ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + f" (alpha {result.settings.alpha:g})"
    )
    if counts["underpowered"]:
        out.print("underpowered: a change that matters cannot be excluded; more --sessions and texts can")
    for target in result.only_in_baseline:
        out.print(f"not in the run: {target}")
    for target in result.only_in_run:
        out.print(f"not in the baseline: {target}")


def _value(verdict: MetricComparison, value: float) -> str:
    if verdict.unit == "rate":
        return f"{value:.1%}"
    return {"ms": f"{value:.0f} ms", "usd": f"${value:.4f}", "credits": f"{value:g} credits"}[verdict.unit]


def _change(verdict: MetricComparison, change: float | None) -> str:
    if change is None:
        return ""
    if verdict.unit == "rate":
        return f"{100 * change:+.1f} points"
    return ">+1000%" if change > 10 else f"{change:+.1%}"
