"""Runs made up for tests, with times and errors drawn from known distributions."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable

from voicegauge.bench.target_samples import ErrorCount, MeasuredTime
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Failure
from voicegauge.model.price import Claimant, PlanClaim, PriceClaim, PricePart
from voicegauge.model.run import (
    RUN_SCHEMA_VERSION,
    Manifest,
    MeasuredSuite,
    MeasuredTarget,
    Run,
    ScoreSet,
    TargetPrice,
)
from voicegauge.model.sample import AudioFacts, Cost, Interval, Latency, Sample, Score

TARGET = "acme/voice-1"
SUITE = MeasuredSuite(id="made", version=1, sha256="5" * 64, text_count=8)


_PART_UNITS: dict[str, tuple[str, float]] = {
    "request": ("request", 1.0),
    "character": ("character", 1.0),
    "minute": ("audio_second", 60.0),
}


def price_claim(
    unit: str,
    usd: float | None = None,
    credits: float | None = None,
    *,
    claimant: Claimant = "price_page",
    plans: tuple[PlanClaim, ...] = (),
    date: str = "2026-11-20",
) -> PriceClaim:
    """A claim about the price per request, character or minute of audio, in dollars or in credits."""
    part_unit, size = _PART_UNITS[unit]
    typical, highest = {"request": (0.0, 0.0), "character": (1.0, 1.0)}.get(unit, (1 / 15, 2 / 15))
    part = PricePart(
        unit=part_unit,  # type: ignore[arg-type]  # one of three words
        usd_per_unit=None if usd is None else usd / size,
        credits_per_unit=None if credits is None else credits / size,
        units_per_request=float(unit == "request"),
        max_units_per_request=float(unit == "request"),
        units_per_character=typical,
        max_units_per_character=highest,
    )
    return PriceClaim(claimant=claimant, parts=(part,), plans=plans, title="Pricing page", date=date)


def price_per(
    unit: str, usd: float | None = None, credits: float | None = None, *, plans: tuple[PlanClaim, ...] = ()
) -> TargetPrice:
    """A price per request, character or minute of audio, in dollars or in credits."""
    claims = () if usd is None and credits is None else (price_claim(unit, usd, credits, plans=plans),)
    return TargetPrice(description="made up", claims=claims)


def build_measured_target(
    name: str = TARGET, *, usd: float | None = 0.01, price: TargetPrice | None = None
) -> MeasuredTarget:
    return MeasuredTarget(
        id=name, title=name, contract_version="1", contract_sha256="c" * 64, price=price or price_per("request", usd)
    )


def build_manifest(**changes: object) -> Manifest:
    words: dict[str, object] = {
        "schema_version": RUN_SCHEMA_VERSION,
        "run_id": "made",
        "created_at": "2026-11-21T00:00:00Z",
        "is_finished": True,
        "voicegauge_version": "0",
        "provenance": Provenance.EMULATED,
        "suite": SUITE,
        "targets": (build_measured_target(),),
        "sessions": 1,
        "repetitions": 1,
        "warmup_request_count": 0,
        "concurrency": 1,
        "seed": 0,
    }
    return Manifest(**{**words, **changes})  # type: ignore[arg-type]  # every word of Manifest is there


def build_sample(
    text: int | str = 1,
    *,
    target: str = TARGET,
    session: int = 1,
    repetition: int = 1,
    total_latency_ms: float | None = 500.0,
    done: tuple[float, float] | None = None,
    audio_s: float | None = 2.0,
    failure: Failure | None = None,
    cost: Cost | None = None,
    language: str = "en",
    category: str = "plain",
    words: str = "one two three four five six seven eight nine ten",
) -> Sample:
    latency = Latency(
        submit_latency_ms=100.0,
        ttfa_ms=total_latency_ms,
        total_latency_ms=total_latency_ms,
        completion_ms=Interval(low_ms=done[0], high_ms=done[1]) if done else None,
    )
    return Sample(
        id=f"{target}/{session}/{repetition}/{text}",
        target=target,
        text_id=str(text),
        text=words,
        language=language,
        category=category,
        session=session,
        repetition=repetition,
        is_warmup=repetition < 1,
        started_at="2026-11-21T00:00:00Z",
        submit_count=1,
        poll_count=0,
        latency=None if failure else latency,
        audio=None
        if failure
        else AudioFacts(
            sha256=hashlib.sha256(f"{target}/{session}/{repetition}/{text}".encode()).hexdigest(),
            file_path="audio/a.wav",
            size_bytes=1,
            media_type=None,
            container="wav",
            audio_duration_s=audio_s,
        ),
        cost=cost or Cost(price_usd=0.01),
        failure=failure,
    )


FAILED = Failure(kind="server_error", message="500", http_status=500)


def build_score(of: Sample, errors: int, units: int = 10, *, unit: str = "word") -> Score:
    return Score(
        sample_id=of.id,
        audio_content="missing" if of.failure else "speech",
        unit=unit,  # type: ignore[arg-type]  # one of two words
        reference="",
        hypothesis="",
        transcript="",
        reference_unit_count=units,
        hits=max(units - errors, 0),
        substitutions=0,
        deletions=min(errors, units),
        insertions=max(errors - units, 0),
    )


def build_score_set(samples: tuple[Sample, ...], errors: Callable[[Sample], int], *, asr: str = "made") -> ScoreSet:
    scores = tuple(build_score(s, 10 if s.failure else errors(s)) for s in samples)
    return ScoreSet(asr=asr, asr_reason="made up", normalizer="made/1", scores=scores)


def build_run(samples: tuple[Sample, ...], *, score_sets: tuple[ScoreSet, ...] = (), **changes: object) -> Run:
    return Run(manifest=build_manifest(**changes), samples=samples, score_sets=score_sets)


def draw_times(
    seed: int,
    *,
    texts: int = 20,
    sessions: int = 3,
    repetitions: int = 1,
    slower: float = 1.0,
    variation: float = 0.10,
) -> list[MeasuredTime]:
    """Lognormal times with one in twenty three times as long, varying from session to session.

    Texts keep their length from run to run; everything else is redrawn for each `seed`.
    """
    lengths, draw = random.Random("lengths"), random.Random(seed)
    base = [400 * math.exp(lengths.gauss(0, 0.4)) for _ in range(texts)]
    made = []
    for session in range(1, sessions + 1):
        pace = slower * math.exp(draw.gauss(0, variation))
        for _ in range(repetitions):
            for text in range(texts):
                tail = 3.0 if draw.random() < 0.05 else 1.0
                made.append(MeasuredTime(str(text), session, base[text] * pace * tail * math.exp(draw.gauss(0, 0.25))))
    return made


def draw_errors(seed: int, texts: int, rate: float) -> list[ErrorCount]:
    """Errors of texts of ten words, each word misheard with the probability `rate`."""
    draw = random.Random(f"errors {seed}")
    return [ErrorCount(str(text), sum(draw.random() < rate for _ in range(10)), 10) for text in range(texts)]


def draw_run(
    seed: int,
    *,
    texts: int = 20,
    sessions: int = 3,
    repetitions: int = 1,
    slower: float = 1.0,
    variation: float = 0.10,
    wer: float = 0.10,
) -> Run:
    """A run of `heavy_tailed_times` in which each word is misheard with the probability `wer`."""
    times = draw_times(
        seed, texts=texts, sessions=sessions, repetitions=repetitions, slower=slower, variation=variation
    )
    samples = tuple(
        build_sample(
            timed.text_id,
            session=timed.session_number,
            repetition=1 + index % (repetitions * texts) // texts,
            total_latency_ms=timed.time_ms,
        )
        for index, timed in enumerate(times)
    )
    draw = random.Random(f"errors {seed}")
    scores = build_score_set(samples, lambda _: sum(draw.random() < wer for _ in range(10)))
    return build_run(samples, score_sets=(scores,), sessions=sessions, repetitions=repetitions, run_id=f"drawn-{seed}")
