"""From the options of `voicegauge bench` to a saved, scored and printed run."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from voicegauge.bench import BenchResult, summarize_plan
from voicegauge.bench.analysis import summarize
from voicegauge.bench.planning import (
    BenchPlan,
    BenchPlanSettings,
    load_suite,
    make_plan,
    read_voice_sample,
    validate_requests,
)
from voicegauge.bench.running import (
    JournalState,
    RunConfig,
    RunOutcome,
    StopSignal,
    create_run_folder,
    emulated_access,
    find_unfinished_run,
    live_access,
    load_run,
    make_manifest,
    measure_audio,
    read_journal,
    run_plan,
    save_run,
)
from voicegauge.bench.scoring import choose_scoring_asr, score_run
from voicegauge.cli import EXIT_INTERRUPTED
from voicegauge.cli.bench_tables import print_plan, print_summaries
from voicegauge.cli.console import console, write_json
from voicegauge.cli.money import echo_pace
from voicegauge.cli.options import check_base_urls, check_prices
from voicegauge.cli.progress import progress
from voicegauge.contract import BaseTarget, Catalogue, Contract, load_catalogue
from voicegauge.emulator import EmulatorSettings, running_emulator
from voicegauge.errors import BudgetError, NothingMeasuredError, UsageError
from voicegauge.model import Provenance, Run, Sample, ScoreSet, VoiceSample
from voicegauge.speech.asr import SpokenText

EMULATED_CREDITS = 1e9
"""An account that no benchmark empties."""
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class BenchOptions:
    """The command's options, as they were read."""

    targets: tuple[str, ...]
    contracts: tuple[Path, ...]
    suite_name: str
    languages: tuple[str, ...]
    categories: tuple[str, ...]
    limit: int | None
    sessions: int
    repetitions: int
    warmup: int
    concurrency: int
    live: bool
    base_url: dict[str, str]
    plans: tuple[str, ...]
    max_cost: float
    prices: dict[str, float]
    voice_sample: str | None
    faults: tuple[str, ...]
    asr: str
    text_length: int
    out: Path
    no_report: bool
    dry_run: bool
    seed: int
    json_to: str | None

    @property
    def provenance(self) -> Provenance:
        """Of all that the run will receive."""
        return Provenance.RECORDED if self.live else Provenance.EMULATED


def bench(options: BenchOptions) -> int:
    """Plan, price, carry out, measure, score, save, print; the exit status.

    Raises:
        VoicegaugeError: as its class says; what was bought is saved first.
    """
    _check(options)
    targets, plan, voice = _plan(options)
    if options.dry_run:
        _show_plan(options, plan)
        return 0
    if options.live:
        plan.check_budget(options.max_cost)
        live_access(_contracts(targets), options.base_url, options.plans)
    unheard = _check_asr(options, plan)
    found = find_unfinished_run(options.out, plan.sha256) if options.live else None
    stop = StopSignal()
    with _order(options, plan, targets, voice) as order:
        folder = found or _begin(options, order)
        outcome = _carry_out(order, folder, read_journal(folder) if found else None, stop)
    run = _save(folder, outcome, order)
    if stop.requested and stop.error is None:
        _say(_how_to_go_on(options, folder, outcome, plan))
        return EXIT_INTERRUPTED
    _finish(options, folder, run, stop, unheard)
    return 0


def _check(options: BenchOptions) -> None:
    if options.base_url and not options.live:
        raise UsageError("--base-url goes with --live: without it the emulator answers")
    if options.plans and not options.live:
        raise UsageError("--plan goes with --live: the emulator keeps to no rate in a benchmark")
    if options.faults and options.live:
        raise UsageError("--fault is for the emulator: leave out --live")


def _plan(options: BenchOptions) -> tuple[dict[str, BaseTarget], BenchPlan, VoiceSample | None]:
    catalogue, chosen = _load_targets(options)
    check_prices(catalogue, options.prices)
    suite = load_suite(options.suite_name).select(
        languages=options.languages, categories=options.categories, limit=options.limit
    )
    voice = read_voice_sample(options.voice_sample) if options.voice_sample else None
    plan = make_plan(
        suite,
        chosen,
        BenchPlanSettings(
            sessions=options.sessions,
            repetitions=options.repetitions,
            warmup=options.warmup,
            seed=options.seed,
        ),
        provenance=options.provenance,
        prices=options.prices,
        base_urls=options.base_url,
        voice_sample=voice,
    )
    for target_id in plan.left_out:
        _say(f"left out: {target_id} speaks no language of the suite {suite.id}")
    targets = {target.id: target for target in chosen if target.id not in plan.left_out}
    validate_requests(plan, targets, voice)
    return targets, plan, voice


def _load_targets(options: BenchOptions) -> tuple[Catalogue, list[BaseTarget]]:
    """The catalogue and what is measured: what takes audio in only where it is named, targets for speech otherwise.

    Raises:
        UnknownNameError: a name is no provider and no target.
        UsageError: `--base-url` goes with one provider.
    """
    catalogue = load_catalogue(options.contracts)
    intakes = [catalogue.intakes[name] for name in options.targets if name in catalogue.intakes]
    speaking = [name for name in options.targets if name not in catalogue.intakes]
    chosen: list[BaseTarget] = [*(catalogue.select(speaking) if speaking or not intakes else []), *intakes]
    if options.base_url:
        check_base_urls(options.base_url, _contracts({target.id: target for target in chosen}))
    return catalogue, chosen


def _contracts(targets: dict[str, BaseTarget]) -> list[Contract]:
    return list({target.contract.id: target.contract for target in targets.values()}.values())


def _check_asr(options: BenchOptions, plan: BenchPlan) -> str | None:
    """Why nothing will be transcribed; `None` where something will. An unusable engine is refused here."""
    if plan.kind == "transcription":
        return None  # the targets hear for themselves
    spoken = {SpokenText(one.text.language, one.text.text) for row in plan.rounds for one in row}
    choice = choose_scoring_asr(options.asr, options.provenance, spoken)
    return None if choice.asr else choice.reason


def _show_plan(options: BenchOptions, plan: BenchPlan) -> None:
    if options.json_to:
        write_json(summarize_plan(plan), options.json_to)
    if options.json_to != "-":
        print_plan(plan)


@contextlib.contextmanager
def _order(
    options: BenchOptions, plan: BenchPlan, targets: dict[str, BaseTarget], voice: VoiceSample | None
) -> Iterator[RunConfig]:
    """The order, with an emulator running as long as it is needed."""
    contracts = _contracts(targets)
    with contextlib.ExitStack() as stack:
        if options.live:
            access = live_access(contracts, options.base_url, options.plans)
            money = f"${plan.usd:.4f} of at most ${options.max_cost:g}"
            _say(f"LIVE: {plan.requests} requests to {', '.join(access)}, {money}")
            echo_pace({provider: one.rate_limiter for provider, one in access.items()})
        else:
            settings = EmulatorSettings(
                seed=options.seed, faults=options.faults, credits=EMULATED_CREDITS, rate_limits=False
            )
            access = emulated_access(contracts, stack.enter_context(running_emulator(contracts, settings)))
        yield RunConfig(
            plan=plan,
            targets=targets,
            access=access,
            concurrency=options.concurrency,
            max_cost_usd=options.max_cost if options.live else None,
            prices=options.prices,
            voice_sample=voice,
        )


def _begin(options: BenchOptions, order: RunConfig) -> Path:
    created = datetime.now(UTC)
    kind = "live" if options.live else "emulated"
    folder = create_run_folder(options.out, f"{created:%Y%m%d-%H%M%S}-{order.plan.suite.id}-{kind}")
    manifest = make_manifest(order, folder.name, created, base_urls=options.base_url)
    save_run(folder, Run(manifest=manifest, samples=()))
    return folder


def _carry_out(order: RunConfig, folder: Path, past: JournalState | None, stop: StopSignal) -> RunOutcome:
    if past is not None:
        _say(f"going on with {folder}: {len(past.finished)} samples are there, {len(past.pending_jobs)} jobs under way")
    done = len(past.finished) if past else 0
    with progress("asking", order.plan.requests, done) as bar:
        return asyncio.run(_interruptible(order, folder, past, stop, lambda _: bar.advance()))


async def _interruptible(
    order: RunConfig, folder: Path, past: JournalState | None, stop: StopSignal, on_sample: Callable[[Sample], None]
) -> RunOutcome:
    """The first Ctrl-C stops new requests, the second one drops what is under way."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def interrupted() -> None:
        if stop.requested:
            task.cancel()
        else:
            stop.request()
            _say("stopping when what is under way has come in; Ctrl-C again to stop at once")

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        return await run_plan(order, folder, resumed=past, stop=stop, on_sample=on_sample)
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _save(folder: Path, outcome: RunOutcome, order: RunConfig) -> Run:
    with progress("measuring audio", len(outcome.samples)) as bar:
        samples = measure_audio(folder, outcome.samples, order.targets, bar.advance)
    manifest = msgspec.structs.replace(
        load_run(folder).manifest, finished=outcome.is_complete, spent_usd=outcome.spent_usd
    )
    if outcome.is_emulated:
        manifest = msgspec.structs.replace(manifest, provenance=Provenance.EMULATED)
    run = Run(manifest=manifest, samples=samples)
    save_run(folder, run)
    return run


def _how_to_go_on(options: BenchOptions, folder: Path, outcome: RunOutcome, plan: BenchPlan) -> str:
    kept = f"stopped: {len(outcome.samples)} of {plan.requests} samples are kept in {folder}"
    if options.live:
        return f"{kept}; the same command goes on with the rest"
    return f"{kept}; score them with: voicegauge score {folder}"


def _finish(options: BenchOptions, folder: Path, run: Run, stop: StopSignal, unheard: str | None) -> None:
    """Score, report and print what there is; then raise why it is not all.

    Raises:
        VoicegaugeError: the run was stopped by an error, or nothing was measured.
    """
    if stop.error is not None and not isinstance(stop.error, BudgetError):
        raise stop.error
    measured = [sample for sample in run.samples if not sample.warmup]
    if not measured and stop.error is not None:
        raise stop.error
    scores = _score(options, folder, run)
    if scores is not None:
        run = msgspec.structs.replace(run, score_sets=(*run.score_sets, scores))
        save_run(folder, run)
    report = None if options.no_report else _report(folder, run, options.text_length)
    _print(options, folder, run, scores, report, stop)
    if unheard and scores is None:
        _say(f"no error rates: {unheard}")
    if stop.error is not None:
        raise stop.error
    if all(sample.failure for sample in measured):
        first = next((s.failure.message for s in measured if s.failure), "no text was spoken")
        raise NothingMeasuredError(f"every request failed, the first one with: {first}")


def _score(options: BenchOptions, folder: Path, run: Run) -> ScoreSet | None:
    try:
        with progress("transcribing") as bar:
            return score_run(folder, run, options.asr, progress=bar.at)
    except KeyboardInterrupt:
        _say(f"the run is kept: `voicegauge score {folder}` goes on with what is not transcribed yet")
        raise


def _report(folder: Path, run: Run, characters: int) -> Path:
    from voicegauge.report import write_report

    return write_report([(folder, run)], folder / REPORT_FILE, characters=characters)


def _print(
    options: BenchOptions, folder: Path, run: Run, scores: ScoreSet | None, report: Path | None, stop: StopSignal
) -> None:
    summaries = summarize(run, scores, characters=options.text_length)
    if options.json_to:
        result = BenchResult(
            provenance=run.manifest.provenance,
            folder=str(folder),
            report=str(report) if report else None,
            manifest=run.manifest,
            asr=scores.asr if scores else None,
            asr_reason=scores.asr_reason if scores else None,
            normalizer=scores.normalizer if scores else None,
            stopped=str(stop.error) if stop.error else None,
            targets=summaries,
        )
        write_json(result, options.json_to)
    if options.json_to != "-":
        print_summaries(summaries, scores, run.manifest.provenance)
        out = console()
        out.print(f"run:    {folder}", soft_wrap=True)
        if report:
            out.print(f"report: {report}", soft_wrap=True)


def _say(line: str) -> None:
    console(stderr=True).print(line, soft_wrap=True)
