"""`voicegauge bench`: measure latency, cost and intelligibility."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from voicegauge.cli.options import (
    asr_option,
    base_url_option,
    contracts_option,
    json_option,
    max_cost_option,
    plan_option,
    price_option,
    seed_option,
)


@click.command("bench")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@contracts_option
@click.option("--suite", "suite_name", default="smoke", show_default=True, help="A bundled suite, or a YAML file.")
@click.option(
    "--language", "languages", multiple=True, help="Only the suite's texts in this language. May be repeated."
)
@click.option("--category", "categories", multiple=True, help="Only this category of the suite. May be repeated.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N texts of each language.")
@click.option("--sessions", type=click.IntRange(min=1), default=1, show_default=True, help="Passes on new connections.")
@click.option(
    "--repetitions", type=click.IntRange(min=1), default=1, show_default=True, help="Of a text, each session."
)
@click.option(
    "--warmup", type=click.IntRange(min=0), default=1, show_default=True, help="Unmeasured requests a target."
)
@click.option("--concurrency", type=click.IntRange(1, 64), default=16, show_default=True, help="Requests in flight.")
@click.option("--live/--emulated", default=False, help="Ask the live services, and pay; the emulator by default.")
@base_url_option
@plan_option
@max_cost_option
@price_option
@click.option("--voice-sample", metavar="FILE", help="A recording (or its URL) for targets that clone a voice.")
@click.option("--fault", "faults", multiple=True, metavar="FAULT", help="Plant a fault in the emulator.")
@asr_option
@click.option("--text-length", type=click.IntRange(min=1), default=500, show_default=True, help="For $/1M characters.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("reports"), show_default=True, help="Runs go here."
)
@click.option("--no-report", is_flag=True, help="Write no HTML page.")
@click.option("--dry-run", is_flag=True, help="Print the priced plan and send nothing.")
@seed_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Measure latency, cost and intelligibility.

    Each text of the suite is spoken by every TARGET in turn (all of them by default). The
    emulator answers unless --live is given. Ctrl-C sees through what is under way and keeps
    it; a live run that was stopped or killed goes on when the same command is given again.
    """
    from voicegauge.cli.benching import BenchOptions, bench

    status = bench(BenchOptions(**options))
    if status:
        ctx.exit(status)
