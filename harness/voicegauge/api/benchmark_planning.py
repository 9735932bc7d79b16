"""Plans and prices the requests of a benchmark, with its load and the baseline that its targets are compared with.

The baseline is measured in the same run, in turn with the targets. If the network or a service becomes slower during
the run, both are affected alike, so that their comparison remains valid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from voicegauge.api.calls import run_coroutine
from voicegauge.api.live_service import announce_replaced_prices
from voicegauge.api.options import LiveOptions
from voicegauge.api.progress import ProgressListener, choose_progress_listener
from voicegauge.api.requests import BenchRequest
from voicegauge.api.target_selection import (
    adapt_to_self_hosted_servers,
    announce_key_hosts,
    collect_contracts,
    resolve_prices,
    select_targets,
    to_catalogue,
    to_name_tuple,
)
from voicegauge.bench.benchmark_plan import (
    BenchPlan,
    BenchPlanSettings,
    get_supported_languages,
    plan_benchmark_requests,
)
from voicegauge.bench.places import find_places
from voicegauge.bench.ramp import parse_goal
from voicegauge.bench.request_building import (
    find_targets_needing_voice_sample_url,
    read_voice_sample,
    validate_requests_can_be_built,
)
from voicegauge.bench.run_config import (
    ArrivalRate,
    ClusterSettings,
    RampSettings,
    RunConfig,
    StopRule,
    open_benchmark_transport,
)
from voicegauge.bench.scoring import choose_scoring_asr
from voicegauge.bench.suites import Suite, list_suite_names, load_own_texts, load_suite
from voicegauge.client.connection import create_rate_limiter, find_account_plan_limits
from voicegauge.contract.contract import BaseTarget, Contract, SocketTarget, Target
from voicegauge.contract.loading import Catalogue, load_contract
from voicegauge.emulator.fault_injection import explain_ineffective_faults, validate_fault_names
from voicegauge.emulator.process import EmulatorSettings
from voicegauge.errors import UsageError
from voicegauge.model.base import Provenance, TextPacing, VoiceSample
from voicegauge.printable_text import format_count, format_names
from voicegauge.speech.asr_engines import SpokenText
from voicegauge.speech.containers import require_av
from voicegauge.speech.sound_quality import require_quality_models
from voicegauge.speech.voice_encoder import load_voice_encoder
from voicegauge.transport.network import require_http2

# The baseline of a benchmark: another target, another base URL, or another version of the contract.


def list_target_names(request: BenchRequest) -> tuple[str, ...]:
    """Return the names of the targets to measure, the baseline target first; it need not be among the named ones.

    Raises:
        UsageError: the baseline is a whole provider, or no other target is named.
    """
    names, baseline = to_name_tuple(request.targets), request.baseline_target
    if baseline is None:
        return names
    if "/" not in baseline:
        raise UsageError(f"--against {baseline}: name one target, such as {baseline}/NAME")
    if not set(names) - {baseline}:
        raise UsageError(f"--against {baseline}: name the targets to compare with it, too")
    return baseline, *(name for name in names if name != baseline)


@dataclass(frozen=True)
class TargetVariant:
    """A second version of the only target of a benchmark: on another server, or as another contract describes it."""

    target: BaseTarget
    """The target of the variant, whose provider id says which version it is."""
    live_options: LiveOptions | None
    """Permission to send to the live service of the variant; `None` if the variant is emulated."""
    shares_account: bool
    """Whether the variant has the same servers as the target that it is compared with, so that both use up the rate
    limits of one account."""


def find_target_variant(
    catalogue: Catalogue, target_names: Sequence[str], request: BenchRequest
) -> TargetVariant | None:
    """Return the variant with which the benchmark's only target is compared; `None` if none is requested.

    The variant is the same target on another server (`request.baseline_url`), or as another contract file describes it
    (`request.baseline_contract`).

    Raises:
        ContractError: the contract is not usable.
        UsageError: there are several targets, or the other contract does not have the target.
    """
    live_options = request.live
    if request.baseline_url is None and request.baseline_contract is None:
        return None
    chosen = select_targets(catalogue, target_names, live_options)
    if len(chosen) != 1:
        flag = "--against-url" if request.baseline_url is not None else "--against-contract"
        raise UsageError(f"{flag} takes one target, not {len(chosen)}: name one")
    (target,) = chosen
    contract = target.contract
    if request.baseline_url is not None:
        # With an id of its own, so that the samples, prices and limits of the two are kept apart.
        renamed = contract.rename_provider(f"{contract.id}@{urlsplit(request.baseline_url).netloc}")
        other_urls = {"": request.baseline_url}
        other_live = dataclasses.replace(live_options, base_urls=other_urls) if live_options is not None else None
        return TargetVariant(_find_target_of_same_name(renamed, target), other_live, shares_account=False)
    other = load_contract(Path(str(request.baseline_contract)))
    if other.id != contract.id:
        raise UsageError(
            f"--against-contract: {request.baseline_contract} is the contract of {other.id}, not of {contract.id}"
        )
    # A contract under work often keeps its version.
    version = other.version if other.version != contract.version else other.document.sha256[:7]
    renamed = other.select_account_plans(live_options.account_plans if live_options is not None else ())
    renamed = renamed.rename_provider(f"{contract.id}@{version}")
    return TargetVariant(_find_target_of_same_name(renamed, target), live_options, shares_account=True)


def _find_target_of_same_name(contract: Contract, target: BaseTarget) -> BaseTarget:
    """Return the target of `contract` that has the same name as `target`."""
    targets = {one.name: one for one in contract.iterate_targets()}
    if target.name not in targets:
        known = ", ".join(targets)
        raise UsageError(f"--against-contract: the other contract has no target {target.name!r}; it has {known}")
    return targets[target.name]


# Options that say how much load a benchmark puts on its targets.


MAX_RAMP_CONCURRENCY = 64.0
"""The highest concurrency that a ramp tries. With more requests in flight, times could not be measured precisely."""
MAX_RAMP_RATE = 2000.0
"""The highest rate that a ramp tries, in requests per second: more than one process can send."""
MAX_TARGETS_NAMED_IN_ERROR = 3
"""Number of targets that the error about a ramp of several targets names."""
MAX_RAMP_REQUESTS = 20_000
"""Maximum number of requests that a ramp sends, which is enough for its search."""


def validate_load(request: BenchRequest) -> None:
    """Reject options of the load that contradict each other, and options whose package or file cannot be used.

    Contradictions that the declarations of the options state are rejected elsewhere.

    Raises:
        UsageError: options contradict each other, the goal cannot be read, or the voice encoder is not installed.
        DataError: the file of the voice encoder cannot be read.
        MissingExtraError: HTTP/2 or the prediction of quality is requested and not installed.
    """
    if request.arrivals != "constant" and request.rate is None and request.ramp != "rate":
        raise UsageError("--arrivals is for requests at a rate: add --rate or --ramp rate")
    parse_goal(request.goal)
    if request.http2:
        require_http2()
    if request.predicts_quality:
        require_quality_models()
    if request.voice_encoder is not None:
        # Loaded already now: a file that cannot be read would otherwise be noticed after the speech was paid for.
        load_voice_encoder(request.voice_encoder)


def build_plan_settings(request: BenchRequest, text_count: int) -> BenchPlanSettings:
    """Return the settings of the plan. If there is a ramp, they repeat the texts as often as its search may need.

    Raises:
        UsageError: a ramp cannot have several sessions.
    """
    settings = BenchPlanSettings(
        sessions=request.sessions,
        repetitions=request.repetitions,
        warmup=request.warmup,
        seed=request.seed,
        interrupts=request.interrupts,
    )
    if request.ramp is None:
        return settings
    if request.sessions > 1:
        raise UsageError("--ramp takes one session: leave out --sessions")
    # Rounded up: a search that runs out of texts would end without a result.
    return msgspec.structs.replace(settings, repetitions=-(-MAX_RAMP_REQUESTS // max(text_count, 1)))


def configure_load(request: BenchRequest, config: RunConfig) -> RunConfig:
    """Return a copy of the configuration of a run with the load, pacing of texts and stop rule of the request."""
    if request.stop_when_decided:
        baseline_target = next(iter(config.targets))
        rule = StopRule(config.plan.rounds, baseline_target, equivalence_margin=request.equivalence_margin)
        config = dataclasses.replace(config, stop_rule=rule)
    if request.text_pieces_per_s is not None:
        pacing = TextPacing(pieces_per_s=request.text_pieces_per_s, burst=request.text_burst, seed=request.seed)
        config = dataclasses.replace(config, text_pacing=pacing)
    if request.flushes_text:
        config = dataclasses.replace(config, flushes_text=True)
    if request.http2:
        config = dataclasses.replace(
            config, uses_http2=True, open_transport=partial(open_benchmark_transport, uses_http2=True)
        )
    if request.ramp is not None:
        max_load = find_max_ramp_load(config, request.ramp)
        settings = RampSettings(request.ramp, parse_goal(request.goal), max_load, request.arrivals)
        return dataclasses.replace(config, ramp_settings=settings)
    if request.rate is None:
        return config
    return dataclasses.replace(config, arrival_rate=ArrivalRate(request.rate, request.arrivals))


def find_max_ramp_load(config: RunConfig, load_type: Literal["concurrency", "rate"]) -> float:
    """Return the highest concurrency or rate that a ramp tries; the account plan may allow less than the maximum."""
    (access,) = config.access_by_provider.values()
    if load_type == "concurrency":
        return min(float(access.max_concurrency or MAX_RAMP_CONCURRENCY), MAX_RAMP_CONCURRENCY)
    limiter = access.rate_limiter
    return min(limiter.requests_per_minute / 60 if limiter is not None else MAX_RAMP_RATE, MAX_RAMP_RATE)


def _check_request_rate(request: BenchRequest, targets: Collection[BaseTarget]) -> None:
    """Reject a rate that is higher than the user's account plan with a provider allows.

    Raises:
        UsageError: the rate is too high.
        UnknownNameError: no provider has an account plan that the request names.
    """
    if request.rate is None or request.live is None:
        return
    contract_by_id = {target.contract.id: target.contract for target in targets}
    plans = find_account_plan_limits(contract_by_id.values(), request.live.account_plans)
    for provider, plan_limits in plans.items():
        limiter = create_rate_limiter(plan_limits, request.live.find_base_urls(contract_by_id[provider]))
        count = sum(target.contract.id == provider for target in targets)
        if limiter is not None and request.rate * 60 * count > limiter.requests_per_minute:
            raise UsageError(
                f"--rate {request.rate:g} for {format_count(count, 'target')} of {provider} is more than the "
                f"{limiter.requests_per_minute} requests per minute of the account's plan: use at most "
                f"--rate {limiter.requests_per_minute / 60 / count:.3g}, or name your plan with --plan"
            )


# Plans and prices the requests of a benchmark.


@dataclass(frozen=True)
class PlannedBenchmark:
    """A benchmark plan with everything that is needed to run it."""

    request: BenchRequest
    """The request; its prices are by id of the target."""
    plan: BenchPlan
    """The requests in their order, with their prices."""
    targets: Mapping[str, BaseTarget]
    """The targets that are measured, by id."""
    voice_sample: VoiceSample | None
    """The sample for targets that clone a voice; `None` if the request names none."""
    target_variant: TargetVariant | None = None
    """The other version of the only target, which the run measures for comparison; `None` if there is none."""

    @property
    def live_options(self) -> LiveOptions | None:
        """Permission to send to live services; `None` if the emulator is measured."""
        return self.request.live

    @property
    def listener(self) -> ProgressListener:
        """Receives progress and notices."""
        return choose_progress_listener(self.request.progress)

    @property
    def baseline_target(self) -> str | None:
        """Id of the target that the others are compared with; `None` if none was given."""
        return self.request.baseline_target if self.target_variant is None else self.target_variant.target.id

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
            f"{contract.id}/{server}".rstrip("/"): contract.describe_base_url(server, url)
            for contract, options in self.list_contracts_with_live_options()
            for server, url in options.find_base_urls(contract).items()
        }


def choose_texts_and_plan_requests(request: BenchRequest, *, ask_servers_for_names: bool) -> PlannedBenchmark:
    """Choose texts and targets, and plan their requests; nothing that costs money is sent.

    Args:
        request: what to measure.
        ask_servers_for_names: whether to ask servers that users run themselves for their models and voices.

    Raises:
        UsageError: as described at `plan_benchmark`.
        DataError: a file cannot be read.
    """
    validate_load(request)
    suite = choose_texts(request)
    listener = choose_progress_listener(request.progress)
    names = list_target_names(request)
    catalogue = to_catalogue(request.contracts, request.live)
    variant = find_target_variant(catalogue, to_name_tuple(names), request)
    if variant is not None and variant.live_options is not None:
        announce_key_hosts([variant.target.contract], variant.live_options, listener)
    catalogue = adapt_to_self_hosted_servers(
        catalogue,
        names,
        request.live,
        ask_servers_for_names=ask_servers_for_names,
        listener=listener,
        max_wait_s=request.max_wait_s,
    )
    planned = plan_requests(dataclasses.replace(request, targets=names), catalogue, suite)
    validate_load_and_faults(planned)
    return planned


def choose_texts(request: BenchRequest) -> Suite:
    """Load the texts of a benchmark and select those that are used.

    If the request names exactly one language, own texts without a language are in that one, otherwise in English.

    Raises:
        UsageError: no text has the language or the category.
        DataError: a file cannot be read.
    """
    languages = request.languages
    if request.texts is None:
        loaded = load_suite(request.suite)
    else:
        loaded = load_own_texts(Path(request.texts), default_language=languages[0] if len(languages) == 1 else "en")
    return loaded.select_texts(languages=languages, categories=request.categories, max_texts=request.max_texts)


def plan_requests(request: BenchRequest, catalogue: Catalogue, suite: Suite) -> PlannedBenchmark:
    """Select the targets and plan their requests; nothing is sent.

    Args:
        request: what to measure; its targets include the baseline target.
        catalogue: the known contracts.
        suite: the texts to use.

    Raises:
        UsageError: as in `plan_benchmark`.
    """
    live, listener = request.live, choose_progress_listener(request.progress)
    chosen = select_targets(catalogue, request.targets, live)
    prices = resolve_prices(catalogue, request.prices)
    base_urls = dict(live.base_urls) if live is not None else {}
    variant = find_target_variant(catalogue, to_name_tuple(request.targets), request)
    if variant is not None:
        (target,) = chosen
        # The user can name the target only; its price holds for the variant too.
        prices = {variant.target.id: prices[target.id], **prices} if target.id in prices else prices
        chosen = [variant.target, target]
        if variant.live_options is not None and not variant.shares_account:
            base_urls |= {"against": variant.live_options.base_urls[""]}
    voice = read_voice_sample(str(request.voice_sample)) if request.voice_sample is not None else None
    plan = plan_benchmark_requests(
        suite,
        chosen,
        build_plan_settings(request, len(suite.texts)),
        provenance=Provenance.EMULATED if live is None else Provenance.LIVE,
        user_price_usd_by_target=prices,
        base_urls=base_urls,
        voice_sample=voice,
        requested_languages=_find_requested_languages(request, suite),
    )
    announce_languages(plan, chosen, listener)
    _announce_options_without_effect(request, chosen, listener)
    targets = {target.id: target for target in chosen if target.id not in plan.unsupported_target_ids}
    validate_requests_can_be_built(plan, targets, voice)
    if voice is not None and not any(isinstance(one, Target) and one.clones_voice for one in targets.values()):
        listener.notice("the voice sample is not used: none of the targets requires one")
    if voice is not None and voice.data is not None:
        for target_id in find_targets_needing_voice_sample_url(
            one for one in targets.values() if isinstance(one, Target)
        ):
            listener.notice(
                f"{target_id} takes a voice sample as a URL, not as a file: the one of its contract is used"
            )
    planned = PlannedBenchmark(dataclasses.replace(request, prices=prices), plan, targets, voice, variant)
    if live is not None:
        require_av()  # it measures when streamed audio can be played
        announce_replaced_prices(targets.values(), prices, listener)
    return planned


def _find_requested_languages(request: BenchRequest, suite: Suite) -> Collection[str]:
    """Return the languages that the user asks for by name or with own texts; a bundled suite asks for none."""
    is_bundled = request.texts is None and request.suite in list_suite_names()
    return request.languages if is_bundled else {text.language for text in suite.texts}


def _announce_options_without_effect(
    request: BenchRequest, targets: Sequence[BaseTarget], listener: ProgressListener
) -> None:
    """Tell the listener for which targets options about pieces of text, interruptions or flushes have no effect."""
    options: tuple[tuple[bool, str, Callable[[SocketTarget], bool]], ...] = (
        (
            request.interrupts,
            "not interrupted, because no message of a WebSocket cancels a turn",
            lambda target: target.can_be_interrupted,
        ),
        (
            request.flushes_text,
            "not flushed, because no message of a WebSocket flushes a text",
            lambda target: "flush" in target.spec.client_messages,
        ),
        (
            request.text_pieces_per_s is not None,
            "text sent whole, because no WebSocket accepts it in pieces",
            lambda target: target.spec.turn.accepts_pieces,
        ),
    )
    for is_given, consequence, has_effect in options:
        others = [one.id for one in targets if not (isinstance(one, SocketTarget) and has_effect(one))]
        if is_given and others:
            listener.notice(f"{consequence}: {', '.join(others)}")


def announce_languages(plan: BenchPlan, targets: Sequence[BaseTarget], listener: ProgressListener) -> None:
    """Tell the listener which targets are left out because of their languages, and which get undocumented languages."""
    for target in targets:
        documented = bool(target.target_spec.supported_languages)
        if target.id in plan.unsupported_target_ids:
            if documented:
                listener.notice(f"left out: {target.id} does not speak a language of the suite {plan.suite.id}")
            else:
                listener.notice(
                    f"left out: languages of {target.id} are not documented; --language measures it in those you name"
                )
            continue
        planned = dict.fromkeys(one.text.language for row in plan.rounds for one in row if one.target == target.id)
        undocumented = [language for language in planned if language not in get_supported_languages(target)]
        if undocumented:
            listener.notice(f"languages of {target.id} are not documented; measured in {', '.join(undocumented)}")


def validate_load_and_faults(planned_benchmark: PlannedBenchmark) -> None:
    """Reject a load that the targets or the account's plan do not allow, and faults that are not known.

    A notice names each fault that has no effect on the targets.

    Raises:
        UsageError: a ramp has several targets, a comparison has only one target, or the rate is too high.
        UnknownNameError: a fault, or a plan of an account, is not known.
    """
    request, targets = planned_benchmark.request, planned_benchmark.targets.values()
    if request.ramp is not None and len(targets) > 1:
        named = format_names([target.id for target in targets], MAX_TARGETS_NAMED_IN_ERROR)
        raise UsageError(f"--ramp takes one target, not {len(targets)} ({named}): name one")
    if request.stop_when_decided and len(targets) < 2:
        raise UsageError("--stop-when-decided compares targets: name two or more")
    _check_request_rate(request, targets)
    validate_fault_names(request.faults, collect_contracts(targets))
    for line in explain_ineffective_faults(request.faults, list(targets)):
        planned_benchmark.listener.notice(line)


def find_reason_not_to_transcribe(planned_benchmark: PlannedBenchmark) -> str | None:
    """Return why the audio will not be transcribed; `None` if it will be, or if the targets are recognizers themselves.

    Raises:
        UsageError: the requested ASR engine cannot be used; raised here, before anything is paid for.
        MissingExtraError: the package of the engine is not installed.
    """
    if planned_benchmark.plan.run_kind == "transcription":
        return None  # the targets are the recognizers
    spoken = {SpokenText(one.text.language, one.text.text) for row in planned_benchmark.plan.rounds for one in row}
    choice = choose_scoring_asr(planned_benchmark.request.asr, planned_benchmark.plan.provenance, spoken)
    return None if choice.asr else choice.reason


def connect_to_places(
    planned_benchmark: PlannedBenchmark, emulator_settings: EmulatorSettings
) -> ClusterSettings | None:
    """Return the cluster that measures a benchmark, with its places; `None` if this machine measures it.

    A notice lists the places.

    Raises:
        MissingExtraError: Dask is not installed.
        UnreachableError: no scheduler responds, or it has no worker.
        UsageError: the cluster cannot be used, or has more places than there may be requests in flight.
    """
    request, listener = planned_benchmark.request, planned_benchmark.listener
    if request.dask_scheduler is None:
        return None
    places = run_coroutine(find_places(request.dask_scheduler))
    live = planned_benchmark.live_options
    listener.notice(f"measured from {format_count(len(places), 'place')}: {', '.join(places)}")
    if live is not None:
        listener.notice("LIVE: the workers send the keys of their own environments to these hosts, not this machine's")
    if request.warmup and request.warmup < len(places):
        listener.notice(
            f"{format_count(request.warmup, 'warm-up request')} for {len(places)} places: --warmup {len(places)} gives "
            "each place one"
        )
    return ClusterSettings(
        address=request.dask_scheduler,
        places=places,
        allowed_keys=tuple(live.allowed_keys) if live is not None else (),
        allows_insecure_http=live is not None and live.allow_insecure_http,
        emulator_settings=emulator_settings if live is None else None,
        on_notice=listener.notice,
    )
