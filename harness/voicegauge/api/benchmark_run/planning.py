"""Plans and prices the requests of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from voicegauge.api.benchmark_run.baseline import BaselineOptions, TargetVariant, find_target_variant
from voicegauge.api.benchmark_run.request_load_options import LoadOptions
from voicegauge.api.options import LiveOptions, PathLike
from voicegauge.api.plan_sending import announce_key_hosts, announce_replaced_prices
from voicegauge.api.progress import ProgressListener
from voicegauge.api.target_selection import (
    ContractsOrFolders,
    adapt_to_own_servers,
    collect_contracts,
    resolve_prices,
    select_targets,
    to_catalogue,
    to_name_tuple,
)
from voicegauge.bench import BenchPlanResult, summarize_bench_plan
from voicegauge.bench.load import DEFAULT_GOAL
from voicegauge.bench.planning import (
    BenchPlan,
    BenchPlanSettings,
    Suite,
    find_targets_needing_voice_sample_url,
    load_own_texts,
    load_suite,
    needs_voice_sample,
    plan_benchmark_requests,
    read_voice_sample,
    validate_requests_can_be_built,
)
from voicegauge.bench.scoring import choose_scoring_asr
from voicegauge.bench.stopping import DEFAULT_EQUIVALENCE_MARGIN
from voicegauge.client import find_missing_key_variables
from voicegauge.contract import BaseTarget, Catalogue, Contract, Target
from voicegauge.emulator import validate_fault_names
from voicegauge.errors import UsageError
from voicegauge.model import Provenance, VoiceSample
from voicegauge.speech.asr import SpokenText
from voicegauge.speech.audio import require_av


@dataclass(frozen=True)
class PlannedBenchmark:
    """A benchmark plan with everything that is needed to run it."""

    plan: BenchPlan
    targets: Mapping[str, BaseTarget]
    voice_sample: VoiceSample | None
    prices: Mapping[str, float]
    live_options: LiveOptions | None
    listener: ProgressListener
    target_variant: TargetVariant | None = None
    """The other version of the only target, which the run measures for comparison; `None` if there is none."""
    baseline_target: str | None = None
    """Id of the target that the others are compared with; `None` if none was given."""

    def list_contracts_with_live_options(self) -> list[tuple[Contract, LiveOptions]]:
        """Return each contract with the options for sending to its live service; empty if the emulator is measured."""
        if self.live_options is None:
            return []
        other = self.target_variant
        others = {} if other is None else {other.target.contract.id: other.live_options or self.live_options}
        contracts = collect_contracts(self.targets.values())
        return [(contract, others.get(contract.id, self.live_options)) for contract in contracts]

    def find_base_urls_by_server(self) -> dict[str, str]:
        """Return the base URLs that the user set, by "<provider>" or "<provider>/<server>"."""
        return {
            f"{contract.id}/{server}".rstrip("/"): url
            for contract, options in self.list_contracts_with_live_options()
            for server, url in options.base_urls.items()
        }

    @property
    def provenance(self) -> Provenance:
        """The provenance of the responses that the run will receive."""
        return self.plan.provenance


def plan_benchmark(
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
    rate: float | None = None,
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
    seed: int = 0,
    progress: ProgressListener | None = None,
) -> BenchPlanResult:
    """Plan and price what `benchmark` would send with the same arguments; nothing is sent.

    >>> plan = voicegauge.plan_benchmark("pixelapi/voice-design", max_texts=2, warmup=0)
    >>> plan.request_count
    2

    Args:
        targets: see `benchmark`.
        live: plan for the live services; the budget in this argument is ignored.
        contracts: see `benchmark`.
        suite: see `benchmark`.
        texts: see `benchmark`.
        languages: see `benchmark`.
        categories: see `benchmark`.
        max_texts: see `benchmark`.
        sessions: see `benchmark`.
        repetitions: see `benchmark`.
        warmup: see `benchmark`.
        rate: see `benchmark`.
        ramp: see `benchmark`; the plan of a ramp is the most that it may send.
        goal: see `benchmark`.
        http2: see `benchmark`.
        stop_when_decided: see `benchmark`; the plan is the most that it may send.
        equivalence_margin: see `benchmark`.
        prices: see `benchmark`.
        voice_sample: see `benchmark`.
        faults: see `benchmark`; they are only looked up.
        baseline_target: see `benchmark`.
        baseline_url: see `benchmark`.
        baseline_contract: see `benchmark`.
        seed: see `benchmark`.
        progress: receives notices, such as where keys would be sent.

    Returns:
        The number of requests and characters and the cost, for each target, and the keys that are not set.

    Raises:
        UsageError: arguments contradict each other, a name is not known, a target needs something that is missing, or a
            key would be sent unencrypted to another machine.
    """
    load = LoadOptions(
        rate=rate,
        ramp=ramp,
        goal=goal,
        http2=http2,
        stop_when_decided=stop_when_decided,
        equivalence_margin=equivalence_margin,
    )
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
        ask_servers_for_names=False,
    )
    if ramp is not None:
        planned.listener.notice("a ramp ends when its search does: this is the most that it may send")
    missing = {
        contract.id: find_missing_key_variables(contract) for contract, _ in planned.list_contracts_with_live_options()
    }
    return summarize_bench_plan(
        planned.plan, {provider: variables for provider, variables in missing.items() if variables}
    )


class TextSelection(NamedTuple):
    """The arguments of `benchmark` that choose the texts."""

    suite: str
    texts: PathLike | None
    languages: Sequence[str]
    categories: Sequence[str]
    max_texts: int | None


class PlanningOptions(NamedTuple):
    """The arguments of `benchmark` that decide what is sent."""

    targets: str | Sequence[str]
    live_options: LiveOptions | None
    contracts: ContractsOrFolders
    text_selection: TextSelection
    plan_settings: BenchPlanSettings
    load_options: LoadOptions
    prices: Mapping[str, float]
    voice_sample: PathLike | None
    faults: Sequence[str]
    baseline_options: BaselineOptions
    listener: ProgressListener


def choose_texts_and_plan_requests(
    options: PlanningOptions, *, ask_servers_for_names: bool, max_wait_s: float | None = None
) -> PlannedBenchmark:
    """Choose texts and targets, and plan their requests; nothing that costs money is sent.

    Args:
        options: the arguments of `benchmark`.
        ask_servers_for_names: whether to ask servers that users run themselves for their models and voices.
        max_wait_s: maximum time of each request for these names, in seconds.

    Raises:
        UsageError: as described at `plan_benchmark`.
        DataError: a file cannot be read.
    """
    live, load, baseline = options.live_options, options.load_options, options.baseline_options
    load.validate()
    suite, texts, languages, categories, max_texts = options.text_selection
    chosen_texts = choose_texts(suite, texts, languages=languages, categories=categories, max_texts=max_texts)
    baseline.validate(live)
    names = baseline.list_target_names(to_name_tuple(options.targets))
    catalogue = adapt_to_own_servers(
        to_catalogue(options.contracts, live),
        names,
        live,
        ask_servers_for_names=ask_servers_for_names,
        listener=options.listener,
        max_wait_s=max_wait_s,
    )
    planned = plan_requests(
        catalogue=catalogue,
        target_names=names,
        live_options=live,
        suite=chosen_texts,
        settings=load.adapt_plan_settings_to_ramp(options.plan_settings, len(chosen_texts.texts)),
        prices=options.prices,
        voice_sample=options.voice_sample,
        listener=options.listener,
        target_variant=find_target_variant(catalogue, names, baseline, live),
        baseline_target=baseline.target_id,
    )
    validate_load_and_faults(planned, load, options.faults)
    return planned


def choose_texts(
    suite: str,
    texts: PathLike | None,
    *,
    languages: Sequence[str],
    categories: Sequence[str],
    max_texts: int | None,
) -> Suite:
    """Load the texts of a benchmark and select those that are used.

    Args:
        suite: id of a bundled suite, or a YAML file.
        texts: a file with the user's own texts, which replace those of `suite`.
        languages: as in `benchmark`. If there is one, it is also the language of own texts that name none.
        categories: as in `benchmark`.
        max_texts: as in `benchmark`.

    Raises:
        UsageError: no text has that language or category.
        DataError: a file cannot be read.
    """
    if texts is None:
        loaded = load_suite(suite)
    else:
        loaded = load_own_texts(Path(texts), default_language=languages[0] if len(languages) == 1 else "en")
    return loaded.select_texts(languages=languages, categories=categories, max_texts=max_texts)


def plan_requests(
    *,
    catalogue: Catalogue,
    target_names: Sequence[str],
    live_options: LiveOptions | None,
    suite: Suite,
    settings: BenchPlanSettings,
    prices: Mapping[str, float],
    voice_sample: PathLike | None,
    listener: ProgressListener,
    target_variant: TargetVariant | None = None,
    baseline_target: str | None = None,
) -> PlannedBenchmark:
    """Select the targets and plan their requests; nothing is sent.

    Args:
        catalogue: the known contracts.
        target_names: as in `benchmark`.
        live_options: `None` for the emulator.
        suite: the texts to use.
        settings: how often and in what order they are used.
        prices: as in `benchmark`.
        voice_sample: as in `benchmark`.
        listener: receives notices.
        target_variant: another version of the only target.
        baseline_target: the target that the user named as the baseline.

    Raises:
        UsageError: as in `plan_benchmark`.
    """
    chosen = select_targets(catalogue, target_names, live_options)
    prices = resolve_prices(catalogue, prices)
    base_urls = dict(live_options.base_urls) if live_options is not None else {}
    if target_variant is not None:
        (target,) = chosen
        prices = {target_variant.target.id: prices[target.id], **prices} if target.id in prices else prices
        chosen = [target_variant.target, target]
        if target_variant.live_options is not None and not target_variant.shares_account:
            base_urls |= {"against": target_variant.live_options.base_urls[""]}
    voice = read_voice_sample(str(voice_sample)) if voice_sample is not None else None
    plan = plan_benchmark_requests(
        suite,
        chosen,
        settings,
        provenance=Provenance.EMULATED if live_options is None else Provenance.LIVE,
        user_price_usd_by_target=prices,
        base_urls=base_urls,
        voice_sample=voice,
    )
    for target_id in plan.unsupported_target_ids:
        listener.notice(f"left out: {target_id} does not speak a language of the suite {suite.id}")
    targets = {target.id: target for target in chosen if target.id not in plan.unsupported_target_ids}
    validate_requests_can_be_built(plan, targets, voice)
    if voice is not None and not any(isinstance(one, Target) and needs_voice_sample(one) for one in targets.values()):
        listener.notice("the voice sample is not used: none of the targets requires one")
    if voice is not None and voice.data is not None:
        for target_id in find_targets_needing_voice_sample_url(
            one for one in targets.values() if isinstance(one, Target)
        ):
            listener.notice(
                f"{target_id} takes a voice sample as a URL, not as a file: the one of its contract is used"
            )
    if target_variant is not None:
        baseline_target = target_variant.target.id
    planned = PlannedBenchmark(plan, targets, voice, prices, live_options, listener, target_variant, baseline_target)
    if live_options is not None:
        require_av()  # it measures when streamed audio can be played
        for contract, options in planned.list_contracts_with_live_options():
            announce_key_hosts([contract], options, listener)
        announce_replaced_prices(collect_contracts(targets.values()), prices, listener)
    return planned


def validate_load_and_faults(
    planned_benchmark: PlannedBenchmark, load_options: LoadOptions, faults: Sequence[str]
) -> None:
    """Reject a load that the targets or the account's plan do not allow, and faults that cannot be injected.

    Raises:
        UsageError: there are several targets to ramp, the rate is too high, or faults would be injected live.
        UnknownNameError: a fault, or a plan of an account, is not known.
    """
    targets = planned_benchmark.targets.values()
    load_options.check_target_count(len(targets))
    load_options.check_rate(targets, planned_benchmark.live_options)
    if faults and planned_benchmark.live_options is not None:
        raise UsageError("--fault is for the emulator: leave out --live")
    validate_fault_names(faults, collect_contracts(targets))


def find_reason_not_to_transcribe(asr_spec: str, planned_benchmark: PlannedBenchmark) -> str | None:
    """Return why nothing will be transcribed, or `None` if the run will be transcribed.

    An engine that cannot be used is rejected here, before anything is paid for.
    """
    if planned_benchmark.plan.run_kind == "transcription":
        return None  # the targets are the recognizers
    spoken = {SpokenText(one.text.language, one.text.text) for row in planned_benchmark.plan.rounds for one in row}
    choice = choose_scoring_asr(asr_spec, planned_benchmark.provenance, spoken)
    return None if choice.asr else choice.reason
