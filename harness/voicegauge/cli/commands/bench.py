"""`voicegauge bench`: measure latency, cost and intelligibility."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from voicegauge.cli.console import create_console, show_result
from voicegauge.cli.options import (
    FiniteRange,
    add_account_plan_option,
    add_asr_option,
    add_base_url_option,
    add_baseline_options,
    add_contracts_option,
    add_credit_rate_option,
    add_insecure_http_option,
    add_json_option,
    add_max_cost_option,
    add_max_wait_option,
    add_price_option,
    add_seed_option,
    add_server_name_options,
    build_live_options,
    require_flags,
)
from voicegauge.errors import EXIT_INTERRUPTED, BudgetError, NothingMeasuredError, UsageError
from voicegauge.model import Provenance

if TYPE_CHECKING:
    from voicegauge.bench import BenchResult


DEFAULT_GOAL = "success>=0.99"
DEFAULT_EQUIVALENCE_MARGIN = 0.10


def _check_region(_ctx: click.Context, _param: click.Parameter, region: str | None) -> str | None:
    if region is not None:
        from voicegauge.bench.running import check_region

        check_region(region)
    return region


@click.command("bench")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@add_contracts_option
@click.option("--suite", default="smoke", show_default=True, help="A bundled suite of texts, or a YAML file.")
@click.option(
    "--texts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Your own texts instead of a suite: one per line (.txt), .csv or .jsonl.",
)
@click.option("--language", "languages", multiple=True, help="Only texts in this language. May be repeated.")
@click.option(
    "--category", "categories", multiple=True, help="Only texts of this category of the suite. May be repeated."
)
@click.option(
    "--limit", "max_texts", type=click.IntRange(min=1), metavar="N", help="Only the first N texts of each language."
)
@click.option(
    "--sessions", type=click.IntRange(min=1), default=1, show_default=True, help="Passes, each with new connections."
)
@click.option(
    "--repetitions",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Requests for each text per session.",
)
@click.option(
    "--warmup", type=click.IntRange(min=0), default=1, show_default=True, help="Unmeasured requests per target."
)
@click.option("--concurrency", type=click.IntRange(1, 64), default=16, show_default=True, help="Requests in flight.")
@click.option(
    "--rate",
    type=FiniteRange(min=0, min_open=True),
    metavar="N",
    help="Requests per second to each target, however many are in flight; instead of --concurrency.",
)
@click.option(
    "--arrivals",
    type=click.Choice(["constant", "poisson"]),
    default="constant",
    show_default=True,
    help="Intervals between the requests of --rate: equal, or those of a Poisson process.",
)
@click.option(
    "--ramp",
    type=click.Choice(["concurrency", "rate"]),
    help="Search the highest concurrency or rate at which one target meets --goal.",
)
@click.option(
    "--goal",
    default=DEFAULT_GOAL,
    show_default=True,
    metavar="CONDITIONS",
    help="For --ramp, such as success>=0.99,ttfa:p95<=500ms,rtf:p95<=1.",
)
@click.option(
    "--stop-when-decided",
    is_flag=True,
    help="Stop when every target is known to be faster or slower than the first one, or as fast within --margin.",
)
@click.option(
    "--margin",
    "equivalence_margin",
    type=FiniteRange(min=0, min_open=True),
    default=DEFAULT_EQUIVALENCE_MARGIN,
    show_default=True,
    metavar="SHARE",
    help="For --stop-when-decided: relative difference of total latency that does not matter.",
)
@click.option("--http2", is_flag=True, help="Use HTTP/2 with servers that support it.")
@click.option(
    "--live/--emulated", default=False, help="Measure the live services, which costs money; by default the emulator."
)
@add_base_url_option
@add_insecure_http_option
@add_server_name_options
@add_account_plan_option
@add_credit_rate_option
@add_max_cost_option
@add_max_wait_option
@add_price_option
@click.option(
    "--voice-sample",
    metavar="FILE",
    help="Audio file (or its URL) for targets that clone a voice. Default: a bundled recording.",
)
@click.option("--fault", "faults", multiple=True, metavar="FAULT", help="Inject a fault into the emulator.")
@click.option(
    "--region",
    envvar="VOICEGAUGE_REGION",
    show_envvar=True,
    metavar="NAME",
    callback=_check_region,
    help="Name of the place that you measure from, such as eu-central.",
)
@add_baseline_options
@add_asr_option
@click.option(
    "--text-length",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="Text length for which prices per million characters are stated.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Folder in which the run's folder is created.",
)
@click.option("--no-report", is_flag=True, help="Do not write the HTML report.")
@click.option(
    "--retry-ambiguous",
    "retry_ambiguous_requests",
    is_flag=True,
    help="Pay again for requests of the last such run that were sent without a result.",
)
@click.option("--dry-run", is_flag=True, help="Print the priced plan and send nothing.")
@add_seed_option
@add_json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    targets: tuple[str, ...],
    contracts: tuple[Path, ...],
    suite: str,
    texts: Path | None,
    languages: tuple[str, ...],
    categories: tuple[str, ...],
    max_texts: int | None,
    sessions: int,
    repetitions: int,
    warmup: int,
    concurrency: int,
    rate: float | None,
    arrivals: Literal["constant", "poisson"],
    ramp: Literal["concurrency", "rate"] | None,
    goal: str,
    stop_when_decided: bool,
    equivalence_margin: float,
    http2: bool,
    live: bool,
    base_urls: dict[str, str],
    allow_insecure_http: bool,
    models: tuple[str, ...],
    voices: tuple[str, ...],
    account_plans: tuple[str, ...],
    credit_prices_usd: dict[str, float],
    max_cost_usd: float,
    max_wait_s: float | None,
    prices: dict[str, float],
    voice_sample: str | None,
    faults: tuple[str, ...],
    baseline_target: str | None,
    baseline_url: str | None,
    baseline_contract: Path | None,
    region: str | None,
    asr: str,
    text_length: int,
    out: Path,
    no_report: bool,
    retry_ambiguous_requests: bool,
    dry_run: bool,
    seed: int,
    json_path: str | None,
) -> None:
    """Measure latency, cost and intelligibility.

    Each text of the suite, or of --texts, is requested from every TARGET in turn (by default from
    all targets). Requests go to the emulator unless --live is given. After Ctrl-C, the requests in flight are
    finished and saved; the same command resumes an interrupted live run. Requests that were
    sent without receiving a result count as spent. They are listed, and never repeated silently.
    """
    live_only = (
        "base_urls",
        "allow_insecure_http",
        "account_plans",
        "credit_prices_usd",
        "models",
        "voices",
        "retry_ambiguous_requests",
        "baseline_url",
    )
    require_flags(ctx, live_only, "live")
    if faults and live:
        raise UsageError("--fault is for the emulator: leave out --live")
    _reject_unused_options(ctx)
    if arrivals == "poisson" and rate is None and ramp != "rate":  # from a file of settings, also with --dry-run
        raise UsageError("--arrivals is for requests at a rate: add --rate or --ramp rate")
    from voicegauge import api
    from voicegauge.cli.bench_tables import print_plan
    from voicegauge.cli.live_view import BenchProgress
    from voicegauge.cli.progress import TerminalProgress

    permission = build_live_options(
        live=live,
        max_cost_usd=max_cost_usd,
        base_urls=base_urls,
        account_plans=account_plans,
        credit_prices_usd=credit_prices_usd,
        allow_insecure_http=allow_insecure_http,
        models=models,
        voices=voices,
    )
    catalogue = api.load_contracts(contracts)
    if dry_run:
        plan = api.plan_benchmark(
            targets,
            live=permission,
            contracts=catalogue,
            suite=suite,
            texts=texts,
            languages=languages,
            categories=categories,
            max_texts=max_texts,
            sessions=sessions,
            repetitions=repetitions,
            warmup=warmup,
            rate=rate,
            ramp=ramp,
            goal=goal,
            http2=http2,
            stop_when_decided=stop_when_decided,
            equivalence_margin=equivalence_margin,
            prices=prices,
            voice_sample=voice_sample,
            faults=faults,
            baseline_target=baseline_target,
            baseline_url=baseline_url,
            baseline_contract=baseline_contract,
            seed=seed,
            progress=TerminalProgress(),
        )
        show_result(plan, json_path, lambda: print_plan(plan))
        return
    result = api.benchmark(
        targets,
        live=permission,
        contracts=catalogue,
        suite=suite,
        texts=texts,
        languages=languages,
        categories=categories,
        max_texts=max_texts,
        sessions=sessions,
        repetitions=repetitions,
        warmup=warmup,
        concurrency=concurrency,
        rate=rate,
        arrivals=arrivals,
        ramp=ramp,
        goal=goal,
        http2=http2,
        stop_when_decided=stop_when_decided,
        equivalence_margin=equivalence_margin,
        prices=prices,
        voice_sample=voice_sample,
        faults=faults,
        baseline_target=baseline_target,
        baseline_url=baseline_url,
        baseline_contract=baseline_contract,
        region=region,
        asr=asr,
        text_length=text_length,
        out=out,
        write_html_report=not no_report,
        seed=seed,
        retry_ambiguous_requests=retry_ambiguous_requests,
        max_wait_s=max_wait_s,
        # Before the run is marked as finished, so that a process that is killed earlier leaves it to the same command.
        on_result=lambda result: _show_result(result, json_path, is_live=live),
        progress=BenchProgress(is_live=live),
    )
    if result.stop_reason == "interrupted":
        ctx.exit(EXIT_INTERRUPTED)
    _raise_error_of_failed_run(result)


def _reject_unused_options(ctx: click.Context) -> None:
    """Reject options on the command line that have no effect together with the others, even with their default value.

    Raises:
        UsageError: an option has no effect.
    """
    values = ctx.params
    is_ramp, has_rate = values["ramp"] is not None, values["rate"] is not None
    reason_by_option = {
        "concurrency": "--ramp chooses the load itself: leave out --concurrency"
        if is_ramp
        else "--rate sends however many requests are in flight: leave out --concurrency" * has_rate,
        "goal": "" if is_ramp else "--goal is for --ramp: add --ramp concurrency or --ramp rate",
        "arrivals": ""
        if has_rate or values["ramp"] == "rate"
        else "--arrivals is for requests at a rate: add --rate or --ramp rate",
        "equivalence_margin": "" if values["stop_when_decided"] else "--margin is for --stop-when-decided: add it",
        "suite": "--texts replaces the texts of --suite: leave one of them out" * (values["texts"] is not None),
    }
    for option, reason in reason_by_option.items():
        if reason and ctx.get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(reason)


def _show_result(result: BenchResult, json_path: str | None, *, is_live: bool) -> None:
    if result.stop_reason != "interrupted":
        show_result(result, json_path, lambda: _print_result(result))
        return
    errors = create_console(to_stderr=True)
    for line in (*_describe_unresolved_requests(result), _describe_resumption(result, is_live=is_live)):
        errors.print(line, soft_wrap=True, markup=False)


def _describe_unresolved_requests(result: BenchResult) -> list[str]:
    """Return lines about requests and jobs without a result, with what the user can do about them.

    After Ctrl-C, open jobs are not listed.
    """
    from voicegauge.model import describe_unresolved_requests

    open_jobs = () if result.stop_reason == "interrupted" else result.open_jobs
    is_emulated = result.provenance is Provenance.EMULATED
    return describe_unresolved_requests(result.ambiguous_requests, open_jobs, is_emulated=is_emulated)


def _describe_resumption(result: BenchResult, *, is_live: bool) -> str:
    saved = f"stopped: {result.stop_message}; they are saved in {result.folder}"
    if is_live:
        return f"{saved}; the same command resumes the run"
    if not any(target.sample_count for target in result.targets):
        return f"{saved}; only warm-up samples were measured, so there is nothing to score"
    return f"{saved}; score them with: voicegauge score {result.folder}"


def _print_result(result: BenchResult) -> None:
    from voicegauge.api import load_run
    from voicegauge.cli.bench_tables import print_ramp, print_summaries

    run = load_run(result.folder)
    scores = run.score_sets[-1] if result.asr and run.score_sets else None
    print_summaries(result.targets, scores, result.manifest, run.describe_ramp_numbers())
    out = create_console()
    if result.ramp is not None:
        print_ramp(result.ramp)
    for line in _describe_unresolved_requests(result):
        out.print(line, soft_wrap=True, markup=False)
    out.print(f"run:    {result.folder}", soft_wrap=True)
    if result.baseline_target:
        out.print(
            f"compare: voicegauge compare {result.folder} --against {result.baseline_target}",
            soft_wrap=True,
            markup=False,
        )
    if result.report_file:
        out.print(f"report: {result.report_file}", soft_wrap=True)


MAX_DISTURBED_SHARE = 0.2
"""Share of disturbed samples above which a run is rejected. A sample is disturbed if this machine was too busy to
measure its times precisely."""
MIN_SAMPLES_FOR_DISTURBED_SHARE = 20
"""Number of samples from which `MAX_DISTURBED_SHARE` applies, because one disturbed sample of a few means little."""


def _reject_disturbed_run(result: BenchResult) -> None:
    """Reject a live run if this machine was too busy to measure times precisely.

    Raises:
        NothingMeasuredError: too many samples are disturbed.
    """
    disturbed = sum(target.disturbed_sample_count for target in result.targets)
    samples = sum(target.sample_count for target in result.targets)
    is_judged = result.provenance is Provenance.LIVE and samples >= MIN_SAMPLES_FOR_DISTURBED_SHARE
    if is_judged and disturbed > MAX_DISTURBED_SHARE * samples:
        raise NothingMeasuredError(
            f"the times are not valid: this machine was too busy during {disturbed} of {samples} samples "
            "(is_disturbed): measure again on an idle machine, or with a lower --concurrency"
        )


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
        from voicegauge.api import load_run

        samples = load_run(result.folder).samples
        reasons = [sample.failure.message for sample in samples if sample.failure and sample.is_counted]
        if reasons:
            raise NothingMeasuredError(f"every request failed, the first one with: {reasons[0]}")
        lost = "every request was sent without receiving a result"
        if result.provenance is not Provenance.EMULATED:
            lost += ": --retry-ambiguous pays for them again"
        raise NothingMeasuredError(lost if samples else "no request was sent")
