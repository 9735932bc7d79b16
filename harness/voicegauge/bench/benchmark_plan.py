"""Plans which requests a benchmark sends, in which order and at what price, before anything is sent.

The plan's totals are the JSON that `voicegauge bench --dry-run` writes.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from voicegauge.bench.suites import Suite, SuiteText
from voicegauge.client.daily_spending import remove_provider_version
from voicegauge.contract.contract import AudioInputTarget, BaseTarget, SocketTarget, Target, TranscriptionSocketTarget
from voicegauge.contract.price_computation import (
    PriceQuote,
    describe_price,
    list_all_claims,
    quote_turn_price,
)
from voicegauge.errors import BudgetError, DataError, UsageError
from voicegauge.hosts import is_loopback
from voicegauge.model.base import (
    Provenance,
    Record,
    VoiceSample,
    convert_budget_to_micro_usd,
    convert_to_micro_usd,
    sum_usd,
)
from voicegauge.model.price import BudgetForecast, PriceClaim, PricePart, format_price_usd
from voicegauge.model.run import MeasuredSuite, MeasuredTarget, RunKind, TargetPrice
from voicegauge.outputs.result_summary import SummaryTable, TabularResult
from voicegauge.printable_text import format_count, format_names


class BenchPlanSettings(Record, frozen=True, kw_only=True):
    """Sessions, repetitions, warm-up and seed of a benchmark."""

    sessions: int = 1
    """Number of passes over the suite, each on new connections; the speed of services varies between sessions."""
    repetitions: int = 1
    """Number of requests per text, target and session."""
    warmup: int = 1
    """Number of warm-up requests per target at the start of each session; no result counts them."""
    seed: int = 0
    """Seed of the order of texts and targets."""
    interrupts: bool = False
    """Whether each turn over a WebSocket follows one with the same text that is interrupted at its first audio."""


class PlannedSample(Record, frozen=True, kw_only=True):
    """One request to be sent and measured."""

    target: str
    """Id of the target."""
    text: SuiteText
    session_number: int
    """Number of the session, counted from 1."""
    repetition_number: int
    """Number of the repetition, counted from 1; 0 or negative for warm-up."""
    price: PriceQuote
    """Price of the request, computed from the text; for audio input, an estimate until the duration is known."""

    @property
    def id(self) -> str:
        """The id of the sample: "<target>/<session>/<repetition>/<text id>"."""
        return f"{self.target}/{self.session_number}/{self.repetition_number}/{self.text.id}"

    @property
    def is_warmup(self) -> bool:
        """Whether the sample is sent to warm up, and left out of every result."""
        return self.repetition_number < 1


SampleRound = tuple[PlannedSample, ...]
"""The requests for one text: one for each target that supports the text's language, in the order of sending."""


class PlannedTargetCost(Record, frozen=True, kw_only=True):
    """Expected requests and cost of one target."""

    target: str
    """Id of the target."""
    request_count: int
    """Number of requests, with those for warm-up."""
    character_count: int
    """Number of characters of the texts of all requests."""
    usd: float | None
    """Expected cost in US dollars; `None` if neither the user nor a document that binds the provider states a price."""
    credits: float | None
    """Expected cost in the provider's own credits; `None` if no price in credits is known."""
    price_text: str
    """The documented price as text, such as "$0.015 / request"."""
    reserved_usd: float | None
    """Highest cost in US dollars by any document that states a price, which the budget must cover; `None` if none
    does."""


class BenchPlan(Record, frozen=True, kw_only=True):
    """Every request of a benchmark, in order, with the expected cost."""

    suite: MeasuredSuite
    settings: BenchPlanSettings
    targets: tuple[MeasuredTarget, ...]
    rounds: tuple[SampleRound, ...]
    """The requests in the order of sending, text by text."""
    target_costs: tuple[PlannedTargetCost, ...]
    """Expected cost of each target that supports a language of the suite."""
    run_kind: RunKind
    unsupported_target_ids: tuple[str, ...]
    """Ids of the targets that support no language of the suite."""
    provenance: Provenance
    sha256: str
    """SHA-256 over everything that determines which requests are sent."""

    @property
    def request_count(self) -> int:
        """Number of requests, including warm-up and excluding retries."""
        return sum(len(planned) for planned in self.rounds)

    @property
    def cost_usd(self) -> float:
        """Total of the known prices of the requests, in dollars; unknown prices count as 0."""
        return sum_usd(target.usd or 0.0 for target in self.target_costs)

    @property
    def reserved_usd(self) -> float:
        """Highest total cost in dollars by any document, which a budget must cover; unknown prices count as 0."""
        return sum_usd(target.reserved_usd or 0.0 for target in self.target_costs)

    def sum_reserved_usd_by_provider(self) -> dict[str, float]:
        """Return the highest total cost in dollars by any document, by provider id; see `remove_provider_version`."""
        totals: dict[str, float] = {}
        for cost in self.target_costs:
            provider = remove_provider_version(cost.target.partition("/")[0])
            totals[provider] = sum_usd((totals.get(provider, 0.0), cost.reserved_usd or 0.0))
        return totals

    def check_budget(self, max_cost_usd: float, max_cost_usd_by_provider: Mapping[str, float] = {}) -> None:
        """Reject a plan that costs more than the budget, before anything is sent.

        Args:
            max_cost_usd: the budget of all providers together, in dollars.
            max_cost_usd_by_provider: budgets of single providers, by provider id.

        Raises:
            UsageError: a price is unknown.
            BudgetError: the plan costs more than the budget, or a provider's part of the plan costs more than the
                provider's budget.
        """
        unknown = [target for target in self.target_costs if target.reserved_usd is None]
        if unknown:
            name = unknown[0].target
            rate = (
                f", or that of a credit with --credit-rate {name.partition('/')[0]}=USD" if unknown[0].credits else ""
            )
            own = f" (--price {name.partition('/')[0]}=0 for a server of your own)"
            raise UsageError(
                f"no document states the price of {name} in dollars: set it with --price {name}=USD{rate}{own}"
            )
        # Compared in whole millionths of a dollar, because a sum of prices may exceed by rounding what it equals.
        exceeded = [
            f"requests to {provider} cost up to {format_price_usd(reserved_usd, is_exact=True)}, "
            f"more than --max-cost {provider}={limit_usd:g}"
            for provider, reserved_usd in self.sum_reserved_usd_by_provider().items()
            if reserved_usd > (limit_usd := max_cost_usd_by_provider.get(provider, math.inf))
            and convert_to_micro_usd(reserved_usd) > convert_budget_to_micro_usd(limit_usd)
        ]
        if exceeded:
            raise BudgetError(
                f"{'; '.join(exceeded)}: raise {'it' if len(exceeded) == 1 else 'them'}, "
                "or plan fewer requests with --limit"
            )
        # The total comes last: without an explicit one, it is the sum of the providers' budgets, which nobody stated.
        if convert_to_micro_usd(self.reserved_usd) > convert_budget_to_micro_usd(max_cost_usd):
            at_most = "" if self.reserved_usd == self.cost_usd else "up to "
            raise BudgetError(
                f"{self.request_count} requests cost {at_most}{format_price_usd(self.reserved_usd, is_exact=True)}, "
                f"more than --max-cost {max_cost_usd:g}: raise it, or plan fewer requests with --limit"
            )


_MAX_NAMES_IN_ERROR = 10
"""Maximum number of languages of a target, and of targets, that an error message names."""
MAX_PLANNED_REQUESTS = 1_000_000
"""Maximum number of requests of a benchmark: ten times those of the largest runs that are tested."""


def plan_benchmark_requests(
    suite: Suite,
    targets: Sequence[BaseTarget],
    settings: BenchPlanSettings,
    *,
    provenance: Provenance,
    user_price_usd_by_target: Mapping[str, float] = {},
    base_urls: Mapping[str, str] = {},
    voice_sample: VoiceSample | None = None,
    requested_languages: Collection[str] = (),
) -> BenchPlan:
    """Plan and price a benchmark in which all targets take turns, text by text.

    Args:
        suite: the texts; each is sent to the targets that support its language.
        targets: the targets to measure.
        settings: sessions, repetitions, warm-up and seed.
        provenance: `emulated` or `live`.
        user_price_usd_by_target: the user's own prices in dollars per request, by target id. They replace the prices
            of the contracts.
        base_urls: base URLs set by the user.
        voice_sample: the user's own voice sample, sent to cloning targets; `None` for the bundled one.
        requested_languages: the languages that the user asks for, which are also sent to targets without documented
            languages.

    Raises:
        DataError: no target supports a language of the suite.
        UsageError: the targets do different things, or do something for which no error rate can be computed; or there
            are more than `MAX_PLANNED_REQUESTS`.
    """
    kind = determine_run_kind(targets)
    get_own_price = user_price_usd_by_target.get
    texts_by_target = {
        target: [text for text in suite.texts if supports_language(target, text.language, requested_languages)]
        for target in targets
    }
    able = [target for target, texts in texts_by_target.items() if texts]
    if not able:
        raise DataError(_explain_unsupported_languages(suite, targets))
    text_count = sum(map(len, texts_by_target.values()))
    _check_request_count(text_count, len(able), settings)
    prices_by_text = {
        target.id: _quote_prices(target, texts_by_target[target], settings, get_own_price(target.id)) for target in able
    }
    sessions = (_plan_session(session, prices_by_text, settings) for session in range(1, settings.sessions + 1))
    rounds = tuple(itertools.chain.from_iterable(sessions))
    return BenchPlan(
        suite=suite.measured_suite,
        run_kind=kind,
        settings=settings,
        targets=tuple(build_measured_target(target, get_own_price(target.id)) for target in able),
        rounds=rounds,
        target_costs=tuple(_build_planned_target_cost(target, rounds, get_own_price(target.id)) for target in able),
        unsupported_target_ids=tuple(target.id for target in targets if target not in able),
        provenance=provenance,
        sha256=_compute_plan_sha256(
            suite, able, settings, rounds, provenance=provenance, base_urls=base_urls, voice_sample=voice_sample
        ),
    )


def _explain_unsupported_languages(suite: Suite, targets: Sequence[BaseTarget]) -> str:
    """Return why no target gets a text: the languages of the suite and of the targets, and how to make them match."""
    wanted = list(dict.fromkeys(text.language for text in suite.texts))
    spoken = [
        f"{target.id}: {format_names(target.target_spec.supported_languages, _MAX_NAMES_IN_ERROR) or 'not documented'}"
        for target in targets
    ]
    return (
        f"no target supports a language of the suite {suite.id} ({format_names(wanted, _MAX_NAMES_IN_ERROR)}), but "
        f"{format_names(spoken, _MAX_NAMES_IN_ERROR, separator='; ')}: choose another suite or --language. If "
        "these name the same language, list yours in supported_languages and map it with provider_values: {en: en-GB}"
    )


def _check_request_count(text_count: int, target_count: int, settings: BenchPlanSettings) -> None:
    count = (text_count * settings.repetitions + target_count * settings.warmup) * settings.sessions
    if count > MAX_PLANNED_REQUESTS:
        raise UsageError(
            f"the benchmark has {count:,} requests, and may have {MAX_PLANNED_REQUESTS:,}: choose fewer --sessions or "
            "--repetitions"
        )


def _quote_prices(
    target: BaseTarget, texts: Iterable[SuiteText], settings: BenchPlanSettings, user_usd_per_request: float | None
) -> dict[SuiteText, PriceQuote]:
    """Return the price of one request for each text; the user's own price per request unless that is `None`."""
    return {
        text: quote_turn_price(
            target,
            target.count_charged_characters(text.text) if isinstance(target, Target | SocketTarget) else len(text.text),
            user_usd_per_request=user_usd_per_request,
            interrupts=settings.interrupts,
        )
        for text in texts
    }


def determine_run_kind(targets: Sequence[BaseTarget]) -> RunKind:
    """Return the kind of run that measures `targets`; "speech" if there are no targets.

    Raises:
        UsageError: the targets do different things, whose numbers are not comparable, or a target
            does not return speech in the words of the text, so that there are no errors to count.
    """
    kinds: dict[RunKind, str] = {}
    for target in targets:
        if isinstance(target, TranscriptionSocketTarget):
            kinds.setdefault("transcription", target.id)
            continue
        if not isinstance(target, AudioInputTarget):
            kinds.setdefault("speech", target.id)
            continue
        use = target.conversion
        if use is not None and (use.response.audio is None or use.purpose == "translate"):
            raise UsageError(f"{target.id} returns no speech in the same words: there is no error rate to measure")
        kinds.setdefault("conversion" if use else "transcription", target.id)
    if len(kinds) > 1:
        names = " and ".join(f"{name} ({kind})" for kind, name in kinds.items())
        raise UsageError(f"{names} are not comparable: benchmark each kind in a run of its own")
    return next(iter(kinds), "speech")


def supports_language(target: BaseTarget, language: str, requested_languages: Collection[str] = ()) -> bool:
    """Whether `target` supports `language`, or may support it and the user asks for it.

    A target without a documented list of languages is assumed to support only its default language, and the
    requested ones. If it has no default language either, it is assumed to support only English, and the requested ones.
    """
    return language in get_supported_languages(target) or (
        not target.target_spec.supported_languages and language in requested_languages
    )


def get_supported_languages(target: BaseTarget) -> tuple[str, ...]:
    """Return the documented languages of a target, or the one that it is assumed to support.

    A language of a speech target that the provider calls by another tag, such as "en-GB" for "en", has both tags.
    """
    spec = target.target_spec
    if isinstance(target, AudioInputTarget | TranscriptionSocketTarget):
        return spec.supported_languages or ("en",)
    supported = spec.supported_languages or (spec.default_language or "en",)
    mapping = target.speech.request_fields.get("language") if isinstance(target, Target) else None
    own_tags = [mapping.provider_values.get(language) for language in supported] if mapping is not None else []
    return (*supported, *(tag for tag in own_tags if isinstance(tag, str)))


def _plan_session(
    session_number: int,
    price_by_target_and_text: Mapping[str, Mapping[SuiteText, PriceQuote]],
    settings: BenchPlanSettings,
) -> Sequence[SampleRound]:
    """Plan the rounds of one session.

    Args:
        session_number: number of the session, counted from 1.
        price_by_target_and_text: price of each text that is sent to a target, by target id.
        settings: repetitions, warm-up and seed.
    """
    # Each session has its own generator, so that adding sessions does not reorder the earlier ones.
    order = random.Random(f"{settings.seed}/{session_number}")  # noqa: S311 - a reproducible order, not a secret
    rounds: list[SampleRound] = [
        tuple(
            PlannedSample(
                target=target_id,
                # After the last text of a target comes its first one, with a number of its own, so that ids differ.
                text=list(by_text)[index % len(by_text)],
                session_number=session_number,
                repetition_number=-(index // len(by_text)),
                price=list(by_text.values())[index % len(by_text)],
            )
            for target_id, by_text in price_by_target_and_text.items()
        )
        for index in range(settings.warmup)
    ]
    # A dict instead of a set: the order of a set of records differs from process to process, and with it the plan.
    texts = list(dict.fromkeys(text for by_text in price_by_target_and_text.values() for text in by_text))
    for repetition in range(1, settings.repetitions + 1):
        # At random, and so the targets of each round: no target always follows the same one, or the same text.
        for text in order.sample(texts, len(texts)):
            able = [target_id for target_id, by_text in price_by_target_and_text.items() if text in by_text]
            rounds.append(
                tuple(
                    PlannedSample(
                        target=target_id,
                        text=text,
                        session_number=session_number,
                        repetition_number=repetition,
                        price=price_by_target_and_text[target_id][text],
                    )
                    for target_id in order.sample(able, len(able))
                )
            )
    return rounds


def _build_planned_target_cost(
    target: BaseTarget, rounds: Sequence[SampleRound], user_usd_per_request: float | None
) -> PlannedTargetCost:
    planned = [one for row in rounds for one in row if one.target == target.id]
    dollars = [one.price.price_usd for one in planned if one.price.price_usd is not None]
    credits = [one.price.price_credits for one in planned if one.price.price_credits is not None]
    reserved = [one.price.reserved_usd for one in planned if one.price.reserved_usd is not None]
    return PlannedTargetCost(
        target=target.id,
        request_count=len(planned),
        character_count=sum(len(one.text.text) for one in planned),
        usd=sum_usd(dollars) if len(dollars) == len(planned) else None,
        credits=sum(credits) if credits else None,
        price_text=_describe_target_price(target, user_usd_per_request),
        reserved_usd=sum_usd(reserved) if len(reserved) == len(planned) else None,
    )


def build_measured_target(target: BaseTarget, user_usd_per_request: float | None = None) -> MeasuredTarget:
    """Return the record of `target` for a run's manifest.

    Args:
        target: the target to describe.
        user_usd_per_request: the user's own price per request, which replaces the contract's unless it is `None`.
    """
    # Users run the server themselves if the contract says so, or if its own server is on this machine.
    host = urlsplit(target.operation.server.url).hostname or ""
    is_self_hosted = target.contract.provider.self_hosted is not None or is_loopback(host)
    return MeasuredTarget(
        id=target.id,
        title=target.target_spec.title,
        contract_version=target.contract.version,
        contract_sha256=target.contract.document.sha256,
        price=TargetPrice(
            description=_describe_target_price(target, user_usd_per_request),
            claims=_list_price_claims(target, user_usd_per_request),
        ),
        max_characters=_find_max_characters(target),
        languages=target.target_spec.supported_languages,
        clones_voice=isinstance(target, Target) and target.clones_voice,
        is_self_hosted=is_self_hosted,
    )


def _describe_target_price(target: BaseTarget, user_usd_per_request: float | None) -> str:
    return (
        describe_price(target)
        if user_usd_per_request is None
        else f"{format_price_usd(user_usd_per_request, is_exact=True)} / request (--price)"
    )


def _list_price_claims(target: BaseTarget, user_usd_per_request: float | None) -> tuple[PriceClaim, ...]:
    """Return what documents state about the price; the user's own price unless it is `None`, which nobody disputes."""
    if user_usd_per_request is None:
        return tuple(one.claim for one in list_all_claims(target))
    part = PricePart(unit="request", usd_per_unit=user_usd_per_request, units_per_request=1, max_units_per_request=1)
    own = PriceClaim(claimant="provider_text", parts=(part,))
    # The user states a price in dollars, which says nothing about the credits that the provider takes.
    in_credits = (
        replace(one.claim, parts=tuple(replace(one_part, usd_per_unit=None) for one_part in one.claim.parts))
        for one in list_all_claims(target)
        if one.claim.compute_credits(1) is not None
    )
    return (own, *in_credits)


def _find_max_characters(target: BaseTarget) -> int | None:
    """Return the largest number of characters of a text that the account's plan allows; `None` without a limit.

    If the plan is not named, that of new accounts is used, which is the first one in the contract.
    """
    if not isinstance(target, Target):
        return None
    plan_names = target.contract.account_plans.intersection(target.operation.limits.plan_limits)
    return target.find_text_limit(plan_names or list(target.operation.limits.plan_limits)[:1])


def _compute_plan_sha256(
    suite: Suite,
    targets: Sequence[BaseTarget],
    settings: BenchPlanSettings,
    rounds: Sequence[SampleRound],
    *,
    provenance: Provenance,
    base_urls: Mapping[str, str],
    voice_sample: VoiceSample | None,
) -> str:
    # Prices are left out: they do not change what is sent.
    inputs: dict[str, Any] = {
        "suite": suite.sha256,
        "targets": [(target.id, target.contract.document.sha256) for target in targets],
        "settings": settings,
        "provenance": provenance,
        "base_urls": dict(sorted(base_urls.items())),
        "voice_sample": voice_sample and hashlib.sha256(msgspec.json.encode(voice_sample)).hexdigest(),
        "requests": [[planned.id for planned in row] for row in rounds],
    }
    return hashlib.sha256(msgspec.json.encode(inputs, order="deterministic")).hexdigest()


# Defines the JSON of a dry run.


class BenchPlanResult(TabularResult, frozen=True, kw_only=True):
    """Requests and expected cost of a benchmark (`--dry-run`)."""

    schema: str = "voicegauge/bench-plan/2"
    provenance: Provenance
    suite: MeasuredSuite
    settings: BenchPlanSettings
    request_count: int
    cost_usd: float
    """Total cost in dollars over the targets with a known price."""
    reserved_usd: float
    """Highest total cost in dollars by any document, which `--max-cost` must cover."""
    targets: tuple[PlannedTargetCost, ...]
    unsupported_target_ids: tuple[str, ...]
    """Ids of the targets that support no language of the suite."""
    missing_key_variables: dict[str, tuple[str, ...]] = {}
    """Names of environment variables for API keys that are not set, by provider id. Nothing is sent without them."""
    budget_forecast: BudgetForecast | None = None
    """Which samples of the plan the remaining budgets pay for; `None` for a plan that is sent to the emulator."""

    def build_table(self) -> SummaryTable:
        """Return a table of what the plan costs, with a row for each target."""
        return SummaryTable(
            title=f"{format_count(self.request_count, 'request')}, {format_price_usd(self.cost_usd)} expected, "
            f"at most {format_price_usd(self.reserved_usd)}",
            headings=("target", "requests", "characters", "price", "documented"),
            rows=tuple(
                (
                    one.target,
                    str(one.request_count),
                    f"{one.character_count:,}",
                    "not known" if one.usd is None else format_price_usd(one.usd),
                    one.price_text,
                )
                for one in self.targets
            ),
        )


def summarize_bench_plan(
    plan: BenchPlan, missing_key_variables: Mapping[str, tuple[str, ...]] | None = None
) -> BenchPlanResult:
    """Return the totals of `plan`, without the individual requests.

    Args:
        plan: the plan whose requests are summed up.
        missing_key_variables: environment variables of keys that are not set, by provider id; `None` for none.
    """
    return BenchPlanResult(
        provenance=plan.provenance,
        suite=plan.suite,
        settings=plan.settings,
        request_count=plan.request_count,
        cost_usd=plan.cost_usd,
        reserved_usd=plan.reserved_usd,
        targets=plan.target_costs,
        unsupported_target_ids=plan.unsupported_target_ids,
        missing_key_variables=dict(missing_key_variables or {}),
    )
