"""What will be sent, in which order, and what it will cost: settled before anything is sent."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from voicegauge.bench.analysis import TEXT_LENGTH
from voicegauge.bench.planning.suite import Suite, SuiteText
from voicegauge.contract import (
    AudioInputTarget,
    BaseTarget,
    Target,
    UnitPrice,
    describe_price,
    price_sources,
    quote,
    rates,
)
from voicegauge.errors import BudgetError, DataError, UsageError
from voicegauge.model import Provenance, Record, RunKind, SuiteRef, TargetRef, VoiceSample


class BenchPlanSettings(Record, frozen=True, kw_only=True):
    """How a suite is turned into requests."""

    sessions: int = 1
    """Passes over the suite on connections of their own: the unit that drifts between runs."""
    repetitions: int = 1
    """How often a session speaks each text."""
    warmup: int = 1
    """Requests a target at the start of a session that are left out of every result."""
    seed: int = 0
    """Of the order of texts and of targets."""


class PlannedSample(Record, frozen=True, kw_only=True):
    """One utterance to ask for."""

    target: str
    text: SuiteText
    session: int
    """Counted from 1."""
    repetition: int
    """Counted from 1; of the warm-up 0 and below."""

    @property
    def id(self) -> str:
        """The id of the sample that comes of it."""
        return f"{self.target}/{self.session}/{self.repetition}/{self.text.id}"

    @property
    def warmup(self) -> bool:
        """Whether it is left out of every result."""
        return self.repetition < 1


Round = tuple[PlannedSample, ...]
"""One text by every target that speaks its language: sent side by side."""


class TargetQuote(Record, frozen=True, kw_only=True):
    """What the plan asks of one target."""

    target: str
    requests: int
    characters: int
    usd: float | None
    """`None` where no document says and the user named no price."""
    credits: float | None
    price: str
    disputed: bool


class BenchPlan(Record, frozen=True, kw_only=True):
    """Everything that will be sent, in order."""

    suite: SuiteRef
    settings: BenchPlanSettings
    targets: tuple[TargetRef, ...]
    rounds: tuple[Round, ...]
    quoted: tuple[TargetQuote, ...]
    kind: RunKind
    left_out: tuple[str, ...]
    """Targets that speak no language of the suite."""
    provenance: Provenance
    sha256: str
    """Over everything that decides what is sent."""

    @property
    def requests(self) -> int:
        """How many utterances are asked for, warm-up included."""
        return sum(len(planned) for planned in self.rounds)

    @property
    def usd(self) -> float:
        """The price of all requests whose price is known."""
        return sum(line.usd or 0.0 for line in self.quoted)

    def check_budget(self, max_cost_usd: float) -> None:
        """Refuse a plan that cannot be paid for, before anything is sent.

        Raises:
            UsageError: a price is not known.
            BudgetError: the plan costs more than `max_cost_usd`.
        """
        unknown = [line.target for line in self.quoted if line.usd is None]
        if unknown:
            raise UsageError(f"no document says what {unknown[0]} costs: name it with --price {unknown[0]}=USD")
        if self.usd > max_cost_usd:
            raise BudgetError(
                f"{self.requests} requests cost ${self.usd:.4f}, more than --max-cost {max_cost_usd:g}: "
                "raise it, or ask for less with --limit"
            )


def make_plan(
    suite: Suite,
    targets: Sequence[BaseTarget],
    settings: BenchPlanSettings,
    *,
    provenance: Provenance,
    prices: Mapping[str, float] = {},
    base_urls: Mapping[str, str] = {},
    voice_sample: VoiceSample | None = None,
) -> BenchPlan:
    """Interleave `targets` sentence by sentence, and price it.

    Args:
        suite: the texts; each is spoken by the targets that speak its language.
        targets: to measure.
        settings: sessions, repetitions, warm-up, seed.
        provenance: `emulated` or `recorded`.
        prices: dollars a request by target id; win over the contracts'.
        base_urls: where the user points elsewhere.
        voice_sample: the recording that cloning targets are given.

    Raises:
        DataError: no target speaks a language of the suite.
        UsageError: the targets do different things, or what they do keeps no words.
    """
    kind = run_kind_of(targets)
    able = [t for t in targets if any(supports_language(t, text.language) for text in suite.texts)]
    if not able:
        raise DataError(f"no target speaks a language of the suite {suite.id}: choose another suite or --language")
    spoken = {t.id: [text for text in suite.texts if supports_language(t, text.language)] for t in able}
    rounds = tuple(
        planned for session in range(1, settings.sessions + 1) for planned in _session(session, spoken, settings)
    )
    return BenchPlan(
        suite=suite.ref,
        kind=kind,
        settings=settings,
        targets=tuple(make_target_ref(target, prices.get(target.id)) for target in able),
        rounds=rounds,
        quoted=tuple(_quoted(target, rounds, prices.get(target.id)) for target in able),
        left_out=tuple(target.id for target in targets if target not in able),
        provenance=provenance,
        sha256=_digest(
            suite=suite,
            targets=able,
            settings=settings,
            provenance=provenance,
            base_urls=base_urls,
            voice_sample=voice_sample,
            rounds=rounds,
        ),
    )


def run_kind_of(targets: Sequence[BaseTarget]) -> RunKind:
    """What all of `targets` do.

    Raises:
        UsageError: they do different things, whose numbers do not compare, or no words are left to count.
    """
    kinds: dict[RunKind, str] = {}
    for target in targets:
        if not isinstance(target, AudioInputTarget):
            kinds.setdefault("speech", target.id)
            continue
        use = target.conversion
        if use is not None and (use.answer.audio is None or use.does == "translate"):
            raise UsageError(f"{target.id} leaves no speech in the same words: there is no error rate to measure")
        kinds.setdefault("conversion" if use else "transcription", target.id)
    if len(kinds) > 1:
        names = " and ".join(f"{name} ({kind})" for kind, name in kinds.items())
        raise UsageError(f"{names} do not compare: give each kind a run of its own")
    return next(iter(kinds), "speech")


def supports_language(target: BaseTarget, language: str) -> bool:
    """Whether `target` speaks `language`. One whose document names none is taken to speak its default, or English."""
    spec = target.spec
    if isinstance(target, AudioInputTarget):
        return language in (spec.languages or ("en",))
    return language in (spec.languages or (spec.language or "en",))


def _session(session: int, spoken: Mapping[str, Sequence[SuiteText]], settings: BenchPlanSettings) -> Sequence[Round]:
    # A generator of its own for each session, so that more sessions leave the earlier ones as they were.
    order = random.Random(f"{settings.seed}/{session}")  # noqa: S311 - an order to repeat, not a secret
    rounds = [_warmup_round(session, index, spoken) for index in range(settings.warmup)]
    every = {text.id: text for texts in spoken.values() for text in texts}
    for repetition in range(1, settings.repetitions + 1):
        for text in order.sample(list(every.values()), len(every)):
            speakers = [target_id for target_id, texts in spoken.items() if text in texts]
            rounds.append(
                tuple(
                    PlannedSample(target=target_id, text=text, session=session, repetition=repetition)
                    for target_id in order.sample(speakers, len(speakers))
                )
            )
    return rounds


def _warmup_round(session: int, index: int, spoken: Mapping[str, Sequence[SuiteText]]) -> Round:
    return tuple(
        PlannedSample(
            target=target_id,
            text=texts[index % len(texts)],
            session=session,
            repetition=-(index // len(texts)),
        )
        for target_id, texts in spoken.items()
    )


def _quoted(target: BaseTarget, rounds: Sequence[Round], usd: float | None) -> TargetQuote:
    texts = [planned.text.text for row in rounds for planned in row if planned.target == target.id]
    quotes = [quote(target, len(text), usd=usd) for text in texts]
    dollars = [q.usd for q in quotes if q.usd is not None]
    in_credits = [q.credits for q in quotes if q.credits is not None]
    return TargetQuote(
        target=target.id,
        requests=len(texts),
        characters=sum(len(text) for text in texts),
        usd=sum(dollars) if len(dollars) == len(texts) else None,
        credits=sum(in_credits) if in_credits else None,
        price=describe_price(target) if usd is None else f"${usd:g} / request (--price)",
        disputed=any(q.disputed for q in quotes),
    )


def make_target_ref(target: BaseTarget, usd: float | None = None) -> TargetRef:
    """`target` as a run's manifest keeps it; `usd` is a price for one request that the user named."""
    dollars, in_credits = rates(target, TEXT_LENGTH)
    if usd is not None:
        dollars = UnitPrice(usd, "request")
    return TargetRef(
        id=target.id,
        title=target.spec.title,
        contract_version=target.contract.version,
        contract_sha256=target.contract.document.sha256,
        price=describe_price(target) if usd is None else f"${usd:g} / request (--price)",
        usd_per_request=_per("request", dollars),
        usd_per_character=_per("character", dollars),
        usd_per_minute=_per("minute", dollars),
        credits_per_request=_per("request", in_credits),
        credits_per_minute=_per("minute", in_credits),
        credits_per_character=_per("character", in_credits),
        price_disputed=quote(target, TEXT_LENGTH, usd=usd).disputed,
        price_sources=price_sources(target) if usd is None else (),
        max_characters=_max_characters(target),
        languages=target.spec.languages,
    )


def _per(unit: str, rate: UnitPrice | None) -> float | None:
    return rate.amount if rate is not None and rate.unit == unit else None


def _max_characters(target: BaseTarget) -> int | None:
    """The shortest of the documented limits: the plan of a new account, and the advice for the target."""
    if not isinstance(target, Target):
        return None
    plans = {**target.contract.limits.plans, **target.operation.limits.plans}
    first = next(iter(plans.values()), None)
    known = [limit for limit in (first and first.text_characters, target.spec.text_characters) if limit]
    return min(known, default=None)


def _digest(
    *,
    suite: Suite,
    targets: Sequence[BaseTarget],
    settings: BenchPlanSettings,
    provenance: Provenance,
    base_urls: Mapping[str, str],
    voice_sample: VoiceSample | None,
    rounds: Sequence[Round],
) -> str:
    decides: dict[str, Any] = {
        "suite": suite.sha256,
        "targets": [(target.id, target.contract.document.sha256) for target in targets],
        "settings": settings,
        "provenance": provenance,
        "base_urls": dict(sorted(base_urls.items())),
        "voice_sample": voice_sample and hashlib.sha256(msgspec.json.encode(voice_sample)).hexdigest(),
        "requests": [[planned.id for planned in row] for row in rounds],
    }
    return hashlib.sha256(msgspec.json.encode(decides, order="deterministic")).hexdigest()
