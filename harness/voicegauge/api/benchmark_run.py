"""Benchmarks targets: plans the requests, sends them, and saves, scores and summarizes the run."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from voicegauge.api.event_loop import run_coroutine
from voicegauge.api.options import LiveOptions, PathLike
from voicegauge.api.plan_sending import (
    announce_key_hosts,
    announce_rate_limits,
    announce_replaced_prices,
    delete_leftover_resources,
)
from voicegauge.api.progress import ProgressListener, report_phase
from voicegauge.api.target_selection import (
    ContractsOrFolders,
    adapt_to_own_servers,
    collect_contracts,
    resolve_prices,
    select_targets,
    to_catalogue,
    to_names,
)
from voicegauge.bench import BenchPlanResult, BenchResult, summarize_bench_plan
from voicegauge.bench.analysis import DEFAULT_TEXT_LENGTH_CHARACTERS, summarize_targets
from voicegauge.bench.planning import (
    BenchPlan,
    BenchPlanSettings,
    Suite,
    load_suite,
    plan_benchmark_requests,
    read_voice_sample,
    validate_requests_can_be_built,
)
from voicegauge.bench.running import (
    JournalState,
    ProviderAccess,
    RunConfig,
    RunOutcome,
    RunToContinue,
    StopSignal,
    begin_run,
    build_emulated_access,
    build_live_access,
    count_samples_without_encoding,
    find_run_to_continue,
    find_runs_of_other_plans,
    load_run,
    measure_audio,
    run_plan,
    save_run,
)
from voicegauge.bench.scoring import choose_scoring_asr, score_run
from voicegauge.contract import BaseTarget, Catalogue
from voicegauge.emulator import EmulatorSettings, running_emulator
from voicegauge.errors import BudgetError, UsageError
from voicegauge.model import Provenance, Run, Sample, ScoreSet, StopReason, VoiceSample, describe_unresolved
from voicegauge.report import write_report
from voicegauge.speech.asr import SpokenText

EMULATED_ACCOUNT_CREDITS = 1e9
"""Balance of emulated accounts, larger than what any benchmark spends.

If an account ran out of credits, its requests would fail for a reason that has nothing to do with the target.
"""
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class _PlannedBenchmark:
    """A benchmark plan with everything that is needed to carry it out."""

    plan: BenchPlan
    targets: Mapping[str, BaseTarget]
    voice_sample: VoiceSample | None
    prices: Mapping[str, float]
    live_options: LiveOptions | None
    listener: ProgressListener

    @property
    def provenance(self) -> Provenance:
        """The provenance of the responses that the run will receive."""
        return self.plan.provenance


def benchmark(
    targets: str | Sequence[str] = (),
    *,
    live: LiveOptions | None = None,
    contracts: ContractsOrFolders = (),
    suite: str = "smoke",
    languages: Sequence[str] = (),
    categories: Sequence[str] = (),
    max_texts: int | None = None,
    sessions: int = 1,
    repetitions: int = 1,
    warmup: int = 1,
    concurrency: int = 16,
    prices: Mapping[str, float] | None = None,
    voice_sample: PathLike | None = None,
    faults: Sequence[str] = (),
    asr: str = "auto",
    text_length: int = DEFAULT_TEXT_LENGTH_CHARACTERS,
    out: PathLike = "reports",
    html: bool = True,
    seed: int = 0,
    retry_ambiguous: bool = False,
    max_wait_s: float | None = None,
    on_result: Callable[[BenchResult], None] | None = None,
    progress: ProgressListener | None = None,
) -> BenchResult:
    """Measure latency, cost and intelligibility of targets.

    Every text of the suite is requested from every target in turn, from the emulator unless `live` is given. The run
    is saved with its audio, transcribed and summarized. A live run writes its submits to a journal, so that the same
    call can resume an interrupted run without paying twice. After the first Ctrl-C, the requests in flight are
    finished; a second Ctrl-C stops at once.

    >>> result = voicegauge.benchmark("pixelapi/voice-design", max_texts=1, warmup=0, asr="none", out=folder)
    >>> result.provenance.value, result.targets[0].failures
    ('emulated', 0)

    Args:
        targets: providers ("acme") or targets ("acme/voice-1"); by default all targets that synthesize speech.
            Operations that take audio, such as transcription, are measured only if they are named.
        live: permission and budget to send to the providers' own services.
        contracts: loaded contracts, or folders of your own.
        suite: id of a bundled suite of texts, or a YAML file.
        languages: languages of the texts to use; by default all languages of the suite.
        categories: categories of the texts to use; by default all categories of the suite.
        max_texts: number of texts to use of each language, from the start of the suite; by default all.
        sessions: number of passes over the suite, each with new connections.
        repetitions: number of requests for each text per session.
        warmup: number of unmeasured requests per target at the start of a session.
        concurrency: maximum number of requests in flight; there is never more than one per target.
        prices: dollars per request by provider, target or operation; needed if the price is undocumented or disputed.
        voice_sample: audio file or URL for targets that clone a voice; by default a bundled recording.
        faults: ids of faults to inject into the emulator.
        asr: ASR engine; see `score` for the values.
        text_length: number of characters of the text for which prices per million characters are stated.
        out: folder in which the run's folder is created.
        html: whether to write the HTML report into the run's folder.
        seed: seed of the order of texts and targets, and of the emulator.
        retry_ambiguous: whether to continue the last live run with the same arguments and pay again for the requests
            that it sent without receiving a result. Otherwise such requests are listed in `ambiguous_requests` and
            never repeated.
        max_wait_s: maximum time of one delivery in seconds; by default as long as the contract documents. A job that
            takes longer stays open, and the same call polls it again.
        on_result: called with the result before a complete run is marked as finished. Until it returns, the same call
            continues the run and sends nothing again, even if the process is killed.
        progress: receives progress and notices.

    Returns:
        A summary of every target. `stop_reason` tells whether the benchmark was ended early by Ctrl-C, by the budget,
        or because the status of jobs could not be fetched; the same call continues it. After Ctrl-C, the samples are
        saved, but nothing is scored and no HTML report is written.

    Raises:
        UsageError: arguments contradict each other, or a name is not known.
        DataError: an interrupted live run of the same plan cannot be continued.
        MissingKeyError: the key of a live provider is not set.
        BudgetError: the plan costs more than the budget; nothing was sent.
        TransportError: no provider could be reached.
        NothingMeasuredError: in the first round of requests, no service could be reached.
    """
    if live is not None and faults:
        raise UsageError("--fault is for the emulator: leave out --live")
    if retry_ambiguous and live is None:
        raise UsageError("--retry-ambiguous is for live runs: add --live")
    if live is not None and live.ledger is not None:
        raise UsageError("a benchmark keeps an account of its own, which survives crashes: leave out ledger")
    planned = _plan_requests(
        catalogue=adapt_to_own_servers(
            to_catalogue(contracts, live), targets, live, ask=True, listener=progress or ProgressListener()
        ),
        target_names=to_names(targets),
        live_options=live,
        suite=load_suite(suite).select_texts(languages=languages, categories=categories, max_texts=max_texts),
        settings=BenchPlanSettings(sessions=sessions, repetitions=repetitions, warmup=warmup, seed=seed),
        prices=prices or {},
        voice_sample=voice_sample,
        listener=progress or ProgressListener(),
    )
    if live is not None:
        planned.plan.check_budget(live.max_cost_usd)
        build_live_access(collect_contracts(planned.targets.values()), live.base_urls, live.account_plans)
        delete_leftover_resources(collect_contracts(planned.targets.values()), live, planned.listener)
    unscored_reason = _find_reason_not_to_transcribe(asr, planned)
    found = _find_run_to_continue(Path(out), planned, retry_ambiguous=retry_ambiguous)
    stop = StopSignal()
    _announce_cost(planned, found, retry_ambiguous=retry_ambiguous)
    with _open_services(planned, faults, concurrency) as config:
        config = dataclasses.replace(config, retry_ambiguous=retry_ambiguous, max_wait_s=max_wait_s)
        folder = begin_run(Path(out), config, found, base_urls=live.base_urls if live is not None else {})
        outcome = _send_requests(config, folder, found.journal_state if found else None, stop, planned.listener)
    # A live run is marked as finished last: until then the same command continues it.
    run = _save_finished_or_partial_run(
        folder, outcome, config, planned.listener, is_finished=outcome.is_complete and live is None
    )
    if stop.requested and stop.error is None:
        progress_made = f"interrupted after {len(outcome.samples)} of {planned.plan.requests} samples"
        result = _build_result(folder, run, text_length, stop_message=progress_made, stop_reason="interrupted")
        if on_result is not None:
            on_result(result)
        return result
    _raise_stop_error(run, stop, planned.listener)
    scores = _score_saved_run(folder, run, asr, planned)
    if scores is not None:
        run = msgspec.structs.replace(run, score_sets=(*run.score_sets, scores))
    elif unscored_reason:
        planned.listener.notice(f"no error rates: {unscored_reason}")
    save_run(folder, run)
    run = msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, finished=outcome.is_complete))
    page = write_report([(folder, run)], folder / REPORT_FILE, characters=text_length) if html else None
    stopped, stop_reason = _describe_stop(outcome, stop)
    result = _build_result(
        folder, run, text_length, scores=scores, report_file=page, stop_message=stopped, stop_reason=stop_reason
    )
    if on_result is not None:
        on_result(result)
    save_run(folder, run)
    return result


def plan_benchmark(
    targets: str | Sequence[str] = (),
    *,
    live: LiveOptions | None = None,
    contracts: ContractsOrFolders = (),
    suite: str = "smoke",
    languages: Sequence[str] = (),
    categories: Sequence[str] = (),
    max_texts: int | None = None,
    sessions: int = 1,
    repetitions: int = 1,
    warmup: int = 1,
    prices: Mapping[str, float] | None = None,
    voice_sample: PathLike | None = None,
    seed: int = 0,
    progress: ProgressListener | None = None,
) -> BenchPlanResult:
    """Plan and price what `benchmark` would send with the same arguments; nothing is sent.

    >>> plan = voicegauge.plan_benchmark("pixelapi/voice-design", max_texts=2, warmup=0)
    >>> plan.requests
    2

    Args:
        targets: see `benchmark`.
        live: plan for the live services; the budget in this argument is ignored.
        contracts: see `benchmark`.
        suite: see `benchmark`.
        languages: see `benchmark`.
        categories: see `benchmark`.
        max_texts: see `benchmark`.
        sessions: see `benchmark`.
        repetitions: see `benchmark`.
        warmup: see `benchmark`.
        prices: see `benchmark`.
        voice_sample: see `benchmark`.
        seed: see `benchmark`.
        progress: receives notices, such as where keys would be sent.

    Returns:
        The number of requests and characters and the cost, for each target.

    Raises:
        UsageError: a name is not known, a target needs something that is missing, or a key would be sent unencrypted
            to another machine.
    """
    planned = _plan_requests(
        catalogue=adapt_to_own_servers(
            to_catalogue(contracts, live), targets, live, ask=False, listener=progress or ProgressListener()
        ),
        target_names=to_names(targets),
        live_options=live,
        suite=load_suite(suite).select_texts(languages=languages, categories=categories, max_texts=max_texts),
        settings=BenchPlanSettings(sessions=sessions, repetitions=repetitions, warmup=warmup, seed=seed),
        prices=prices or {},
        voice_sample=voice_sample,
        listener=progress or ProgressListener(),
    )
    return summarize_bench_plan(planned.plan)


def _plan_requests(
    *,
    catalogue: Catalogue,
    target_names: Sequence[str],
    live_options: LiveOptions | None,
    suite: Suite,
    settings: BenchPlanSettings,
    prices: Mapping[str, float],
    voice_sample: PathLike | None,
    listener: ProgressListener,
) -> _PlannedBenchmark:
    chosen = select_targets(catalogue, target_names, live_options)
    prices = resolve_prices(catalogue, prices)
    voice = read_voice_sample(str(voice_sample)) if voice_sample is not None else None
    plan = plan_benchmark_requests(
        suite,
        chosen,
        settings,
        provenance=Provenance.EMULATED if live_options is None else Provenance.LIVE,
        prices=prices,
        base_urls={} if live_options is None else live_options.base_urls,
        voice_sample=voice,
    )
    for target_id in plan.unsupported_target_ids:
        listener.notice(f"left out: {target_id} does not speak a language of the suite {suite.id}")
    targets = {target.id: target for target in chosen if target.id not in plan.unsupported_target_ids}
    validate_requests_can_be_built(plan, targets, voice)
    if live_options is not None:
        announce_key_hosts(collect_contracts(targets.values()), live_options, listener)
        announce_replaced_prices(collect_contracts(targets.values()), prices, listener)
    return _PlannedBenchmark(plan, targets, voice, prices, live_options, listener)


def _find_reason_not_to_transcribe(asr_spec: str, planned_benchmark: _PlannedBenchmark) -> str | None:
    """Return why nothing will be transcribed, or `None` if the run will be transcribed.

    An engine that cannot be used is rejected here, before anything is paid for.
    """
    if planned_benchmark.plan.kind == "transcription":
        return None  # the targets are the recognizers
    spoken = {SpokenText(one.text.language, one.text.text) for row in planned_benchmark.plan.rounds for one in row}
    choice = choose_scoring_asr(asr_spec, planned_benchmark.provenance, spoken)
    return None if choice.asr else choice.reason


@contextmanager
def _open_services(
    planned_benchmark: _PlannedBenchmark, faults: Sequence[str], concurrency: int
) -> Iterator[RunConfig]:
    """Yield the configuration of a run on the live services, or on an emulator that runs as long as the context."""
    contracts = collect_contracts(planned_benchmark.targets.values())
    if planned_benchmark.live_options is None:
        settings = EmulatorSettings(
            seed=planned_benchmark.plan.settings.seed,
            faults=tuple(faults),
            credits=EMULATED_ACCOUNT_CREDITS,
            rate_limits=False,
        )
        with running_emulator(contracts, settings) as emulator:
            access = build_emulated_access(contracts, emulator)
            yield _build_run_config(planned_benchmark, access, concurrency, None)
        return
    live_options = planned_benchmark.live_options
    access = build_live_access(contracts, live_options.base_urls, live_options.account_plans)
    announce_rate_limits({provider: one.rate_limiter for provider, one in access.items()}, planned_benchmark.listener)
    yield _build_run_config(planned_benchmark, access, concurrency, live_options.max_cost_usd)


def _build_run_config(
    planned_benchmark: _PlannedBenchmark,
    access: Mapping[str, ProviderAccess],
    concurrency: int,
    max_cost_usd: float | None,
) -> RunConfig:
    """Return the configuration of a run; `max_cost_usd` is `None` for an emulator, which costs nothing."""
    return RunConfig(
        planned_benchmark.plan,
        planned_benchmark.targets,
        access,
        concurrency,
        max_cost_usd,
        planned_benchmark.prices,
        planned_benchmark.voice_sample,
    )


def _announce_cost(
    planned_benchmark: _PlannedBenchmark, run_to_continue: RunToContinue | None, *, retry_ambiguous: bool
) -> None:
    """Tell the listener how many live requests will be sent, for how much, and what an interrupted run has spent."""
    if planned_benchmark.live_options is None:
        return
    plan, limit = planned_benchmark.plan, f"of at most ${planned_benchmark.live_options.max_cost_usd:g}"
    providers = ", ".join(contract.id for contract in collect_contracts(planned_benchmark.targets.values()))
    if run_to_continue is None or run_to_continue.journal_state.is_empty:
        planned_benchmark.listener.notice(f"LIVE: {plan.requests} requests to {providers}, ${plan.usd:.4f} {limit}")
        return
    unpaid = run_to_continue.journal_state.find_unpaid_samples(plan, retry_ambiguous=retry_ambiguous)
    left_usd = sum(one.price.usd or 0.0 for one in unpaid)
    planned_benchmark.listener.notice(
        f"LIVE: {len(unpaid)} of {plan.requests} requests to {providers} are left, ${left_usd:.4f}; "
        f"${run_to_continue.journal_state.spent_usd:.4f} are spent already, {limit}"
    )


def _find_run_to_continue(
    runs_folder: Path, planned_benchmark: _PlannedBenchmark, *, retry_ambiguous: bool
) -> RunToContinue | None:
    """Return the interrupted live run to continue; `None` if a new run begins.

    Raises:
        DataError: a run was interrupted after something was paid for, but it cannot be continued.
        UsageError: `retry_ambiguous` is true, but no run has ambiguous requests.
    """
    if planned_benchmark.live_options is None:
        return None
    found = find_run_to_continue(runs_folder, planned_benchmark.plan, retry_ambiguous=retry_ambiguous)
    if found is None and retry_ambiguous:
        raise UsageError(
            f"no run in {runs_folder} with these options has an ambiguous request: leave out --retry-ambiguous"
        )
    for folder in () if found else find_runs_of_other_plans(runs_folder, planned_benchmark.plan):
        planned_benchmark.listener.notice(
            f"{folder} is an interrupted run with other options or contracts: it is not continued"
        )
    return found


def _send_requests(
    config: RunConfig,
    run_folder: Path,
    journal_state: JournalState | None,
    stop_signal: StopSignal,
    listener: ProgressListener,
) -> RunOutcome:
    done = 0
    if journal_state is not None and not journal_state.is_empty:
        done = len(journal_state.finished_samples)
        listener.notice(f"resuming {run_folder}: {done} samples are finished, {len(journal_state.open_jobs)} jobs open")
    with report_phase(listener, "sending requests", config.plan.requests, done) as sending:
        return run_coroutine(
            _run_until_interrupted(
                config, run_folder, journal_state, stop_signal, lambda _: sending.advance(), listener
            )
        )


async def _run_until_interrupted(
    config: RunConfig,
    run_folder: Path,
    journal_state: JournalState | None,
    stop_signal: StopSignal,
    on_sample: Callable[[Sample], None],
    listener: ProgressListener,
) -> RunOutcome:
    """Carry out the run. After the first Ctrl-C no new request is sent; the second one drops those in flight."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def on_interrupt() -> None:
        if stop_signal.requested:
            task.cancel()
        else:
            stop_signal.request_stop()
            listener.notice("stopping when the requests in flight are finished; Ctrl-C again to stop at once")

    handles_signals = threading.current_thread() is threading.main_thread()
    if handles_signals:
        loop.add_signal_handler(signal.SIGINT, on_interrupt)
    try:
        return await run_plan(
            config, run_folder, earlier_journal_state=journal_state, stop_signal=stop_signal, on_sample=on_sample
        )
    finally:
        if handles_signals:
            loop.remove_signal_handler(signal.SIGINT)


def _save_finished_or_partial_run(
    run_folder: Path, outcome: RunOutcome, config: RunConfig, listener: ProgressListener, *, is_finished: bool
) -> Run:
    with report_phase(listener, "measuring audio", len(outcome.samples)) as measuring:
        samples = measure_audio(run_folder, outcome.samples, config.targets, measuring.advance)
    for target, count in count_samples_without_encoding(samples).items():
        listener.notice(f"{target}: no duration of {count} clips: raw samples whose encoding no document states")
    manifest = msgspec.structs.replace(load_run(run_folder).manifest, finished=is_finished, spent_usd=outcome.spent_usd)
    if outcome.is_emulated:
        # A live run against the emulator's URL: the numbers are the emulator's all the same.
        manifest = msgspec.structs.replace(manifest, provenance=Provenance.EMULATED)
    run = Run(
        manifest=manifest, samples=samples, ambiguous_requests=outcome.ambiguous_requests, open_jobs=outcome.open_jobs
    )
    save_run(run_folder, run)
    return run


def _raise_stop_error(run: Run, stop_signal: StopSignal, listener: ProgressListener) -> None:
    """Raise the error that stopped the run, if any.

    A spent budget is not raised if something was measured before.
    """
    if stop_signal.error is None:
        return
    if not isinstance(stop_signal.error, BudgetError) or not any(sample.is_measured for sample in run.samples):
        for line in describe_unresolved(run.ambiguous_requests, run.open_jobs):
            listener.notice(line)
        raise stop_signal.error


def _describe_stop(outcome: RunOutcome, stop_signal: StopSignal) -> tuple[str | None, StopReason | None]:
    """Return why a run that Ctrl-C did not stop is incomplete: one line, and the kind of event.

    Both are `None` for a complete run.
    """
    if stop_signal.error is not None:
        return str(stop_signal.error), "budget"
    if outcome.open_jobs:
        first, count = outcome.open_jobs[0], len(outcome.open_jobs)
        jobs = "1 job is still open" if count == 1 else f"{count} jobs are still open"
        return f"{jobs} and will be polled again by the same command: {first.sample_id}: {first.reason}", "unreachable"
    return None, None


def _score_saved_run(
    run_folder: Path, run: Run, asr_spec: str, planned_benchmark: _PlannedBenchmark
) -> ScoreSet | None:
    try:
        with report_phase(planned_benchmark.listener, "transcribing") as transcribing:
            return score_run(run_folder, run, asr_spec, progress=transcribing.update)
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
        report=str(report_file) if report_file else None,
        manifest=run.manifest,
        asr=scores.asr if scores else None,
        asr_reason=scores.asr_reason if scores else None,
        normalizer=scores.normalizer if scores else None,
        stopped=stop_message,
        stop_reason=stop_reason,
        ambiguous_requests=run.ambiguous_requests,
        open_jobs=run.open_jobs,
        targets=summarize_targets(run, scores, text_length_characters=text_length)
        if any(one.is_measured for one in run.samples)
        else (),
    )
