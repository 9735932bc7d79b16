"""Measures latency, cost and intelligibility of targets in one call."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from voicegauge.api.benchmark_run.baseline import BaselineOptions
from voicegauge.api.benchmark_run.finishing import (
    finish_benchmark,
)
from voicegauge.api.benchmark_run.planning import (
    PlanningOptions,
    TextSelection,
    choose_texts_and_plan_requests,
    find_reason_not_to_transcribe,
)
from voicegauge.api.benchmark_run.request_load_options import LoadOptions
from voicegauge.api.benchmark_run.sending import (
    add_measured_timing_error,
    announce_cost,
    choose_run_to_continue,
    open_live_access,
    open_run_config,
    send_requests,
)
from voicegauge.api.options import LiveOptions, PathLike
from voicegauge.api.plan_sending import delete_leftover_resources
from voicegauge.api.progress import ProgressListener
from voicegauge.api.target_selection import ContractsOrFolders, collect_contracts
from voicegauge.bench import BenchResult
from voicegauge.bench.analysis import DEFAULT_TEXT_LENGTH
from voicegauge.bench.load import DEFAULT_GOAL
from voicegauge.bench.planning import BenchPlanSettings
from voicegauge.bench.running import StopSignal, begin_run, check_region
from voicegauge.bench.stopping import DEFAULT_EQUIVALENCE_MARGIN
from voicegauge.errors import UsageError


def benchmark(
    targets: str | Sequence[str] = (),
    *,
    live: LiveOptions | None = None,
    contracts: ContractsOrFolders = (),
    suite: str = "smoke",
    texts: PathLike | None = None,
    languages: Sequence[str] = (),
    categories: Sequence[str] = (),
    max_texts: int | None = None,
    sessions: int = 1,
    repetitions: int = 1,
    warmup: int = 1,
    concurrency: int = 16,
    rate: float | None = None,
    arrivals: Literal["constant", "poisson"] = "constant",
    ramp: Literal["concurrency", "rate"] | None = None,
    goal: str = DEFAULT_GOAL,
    http2: bool = False,
    stop_when_decided: bool = False,
    equivalence_margin: float = DEFAULT_EQUIVALENCE_MARGIN,
    prices: Mapping[str, float] | None = None,
    voice_sample: PathLike | None = None,
    faults: Sequence[str] = (),
    baseline_target: str | None = None,
    baseline_url: str | None = None,
    baseline_contract: PathLike | None = None,
    region: str | None = None,
    asr: str = "auto",
    text_length: int = DEFAULT_TEXT_LENGTH,
    out: PathLike = "reports",
    write_html_report: bool = True,
    seed: int = 0,
    retry_ambiguous_requests: bool = False,
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
    >>> result.provenance.value, result.targets[0].failure_count
    ('emulated', 0)

    Args:
        targets: providers ("acme") or targets ("acme/voice-1"); by default all targets that synthesize speech.
            Operations that take audio, such as transcription, are measured only if they are named.
        live: permission and budget to send to the providers' own services.
        contracts: loaded contracts, or folders of your own.
        suite: id of a bundled suite of texts, or a YAML file.
        texts: file with your own texts, which replace the suite: one per line (`.txt`), a table (`.csv`) or one JSON
            object per line (`.jsonl`), with `text` and optionally `id`, `language` and `category`. Without a language
            they are in that of `languages` if it has one, else in English.
        languages: languages of the texts to use; by default all languages of the suite.
        categories: categories of the texts to use; by default all categories of the suite.
        max_texts: number of texts to use of each language, from the start of the suite; by default all.
        sessions: number of passes over the suite, each with new connections.
        repetitions: number of requests for each text per session.
        warmup: number of unmeasured requests per target at the start of a session.
        concurrency: number of requests in flight, of all targets together; slow targets have more of them than fast
            ones.
        rate: requests per second to each target, however many are in flight; replaces `concurrency`.
        arrivals: whether the requests of a rate have equal intervals or arrive as a Poisson process.
        ramp: search the highest concurrency or rate at which one target meets `goal`, within the budget and the limits
            of the account's plan. The texts are repeated as often as that takes.
        goal: conditions separated by commas, such as "success>=0.99,ttfa:p95<=500ms,rtf:p95<=1".
        http2: whether to use HTTP/2 with servers that support it.
        stop_when_decided: end sampling as soon as every target is known to be faster or slower than the first one, or
            as fast within `equivalence_margin`, by its total latency. The confidence interval behind this decision
            stays valid although it is computed again and again, with a probability of 1% of any wrong decision
            (`voicegauge.bench.stopping`).
        equivalence_margin: relative difference of total latency that does not matter to `stop_when_decided`.
        prices: dollars per request by provider, target or operation; needed if the price is undocumented or disputed.
        voice_sample: audio file or URL for targets that clone a voice; by default a bundled recording.
        faults: ids of faults to inject into the emulator.
        baseline_target: target that the others are compared with; it is measured in the same run, first in each round.
        baseline_url: base URL of another server of the only target, which is measured in the same run. The key is sent
            to it too.
        baseline_contract: another version of the contract of the only target, which is measured in the same run.
        region: name of the place that you measure from; `read_history` shows regions side by side.
        asr: ASR engine; see `score` for the values.
        text_length: number of characters of the text for which prices per million characters are stated.
        out: folder in which the run's folder is created.
        write_html_report: whether to write the HTML report into the run's folder.
        seed: seed of the order of texts and targets, and of the emulator.
        retry_ambiguous_requests: whether to continue the last live run with the same arguments and pay again for the
            requests that it sent without receiving a result. Otherwise such requests are listed in
            `ambiguous_requests` and never repeated.
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
    if retry_ambiguous_requests and live is None:
        raise UsageError("--retry-ambiguous is for live runs: add --live")
    check_region(region)
    if live is not None and live.ledger is not None:
        raise UsageError("a benchmark keeps an account of its own, which survives crashes: leave out ledger")
    load = LoadOptions(rate, arrivals, ramp, goal, http2, stop_when_decided, equivalence_margin)
    planned = choose_texts_and_plan_requests(
        PlanningOptions(
            targets=targets,
            live_options=live,
            contracts=contracts,
            text_selection=TextSelection(suite, texts, languages, categories, max_texts),
            plan_settings=BenchPlanSettings(sessions=sessions, repetitions=repetitions, warmup=warmup, seed=seed),
            load_options=load,
            prices=prices or {},
            voice_sample=voice_sample,
            faults=faults,
            baseline_options=BaselineOptions(baseline_target, baseline_url, baseline_contract),
            listener=progress or ProgressListener(),
        ),
        ask_servers_for_names=True,
        max_wait_s=max_wait_s,
    )
    if live is not None:
        planned.plan.check_budget(live.max_cost_usd if ramp is None else math.inf)  # a ramp stops when it is spent
        open_live_access(planned)
        delete_leftover_resources(collect_contracts(planned.targets.values()), live, planned.listener)
    unscored_reason = find_reason_not_to_transcribe(asr, planned)
    found = choose_run_to_continue(Path(out), planned, retry_ambiguous_requests=retry_ambiguous_requests)
    stop = StopSignal()
    announce_cost(planned, found, retry_ambiguous_requests=retry_ambiguous_requests, is_ramp=ramp is not None)
    with open_run_config(planned, faults, concurrency) as config:
        config = dataclasses.replace(
            config, retry_ambiguous=retry_ambiguous_requests, max_wait_s=max_wait_s, region=region
        )
        config = add_measured_timing_error(load.configure_run(config), planned.listener)
        folder = begin_run(Path(out), config, found, base_urls=planned.find_base_urls_by_server())
        outcome = send_requests(config, folder, found.journal_state if found else None, stop, planned.listener)
    return finish_benchmark(
        planned,
        config,
        folder,
        outcome,
        stop,
        asr_spec=asr,
        unscored_reason=unscored_reason,
        text_length=text_length,
        write_html_report=write_html_report,
        on_result=on_result,
    )
