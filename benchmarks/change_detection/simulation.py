"""Simulates benchmark runs of services with known latency, error rate and failure rate.

The logarithm of a latency is the sum of a part of the text (standard deviation 0.43: long texts take longer), a part of
the session (variation), and a part of the request (0.25); together 0.5. 2% of the requests take four times as long.
Words are misrecognized independently, at a rate that differs between texts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Failure
from voicegauge.model.price import PriceClaim, PricePart
from voicegauge.model.run import (
    RUN_SCHEMA_VERSION,
    Manifest,
    MeasuredSuite,
    MeasuredTarget,
    Run,
    ScoreSet,
    TargetPrice,
)
from voicegauge.model.sample import AudioFacts, Cost, Latency, Sample, Score

TEXT_SPREAD = 0.43
REQUEST_SPREAD = 0.25
OUTLIER_SHARE = 0.02
OUTLIER_FACTOR = 4.0
WORDS_PER_TEXT = 12
FAILURE = Failure(kind="server_error", message="500", http_status=500)
AUDIO = AudioFacts(
    sha256="a" * 64, file_path="audio/a.wav", size_bytes=1, media_type=None, container="wav", audio_duration_s=2.0
)
PRICE = TargetPrice(
    description="simulated",
    claims=(
        PriceClaim(
            claimant="price_page",
            parts=(PricePart(unit="request", usd_per_unit=0.01, units_per_request=1, max_units_per_request=1),),
        ),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Service:
    """The truth about one simulated service."""

    slowdown: float = 0.0
    """Relative slowdown: 0.2 makes every latency 20% longer."""
    error_rate: float = 0.05
    failure_rate: float = 0.01
    request_spread_factor: float = 1.0
    """How much more its latencies vary from request to request than `REQUEST_SPREAD`."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """How many requests a simulated run sends."""

    texts: int
    sessions: int
    repetitions: int = 1
    variation: float = 0.10
    """Standard deviation of the logarithm of a session's speed."""
    is_variation_shared: bool = False
    """Whether all services of a run are faster and slower together."""
    own_variation: float = 0.0
    """Standard deviation of the part of a service's variation that it does not share, if `variation` is shared."""


def simulate_run(services: dict[str, Service], design: Design, rng: np.random.Generator, *, night: int = 0) -> Run:
    """Return a run of one target for each service; every run has the same texts."""
    text_parts = np.random.default_rng(1).normal(0.0, TEXT_SPREAD, design.texts)
    text_error_factors = np.random.default_rng(2).gamma(2.0, 0.5, design.texts)
    shared_variation = rng.normal(0.0, design.variation, design.sessions)
    samples: list[Sample] = []
    scores: list[Score] = []
    for target, service in services.items():
        own = rng.normal(0.0, design.own_variation if design.is_variation_shared else design.variation, design.sessions)
        variation = shared_variation + own if design.is_variation_shared else own
        shape = (design.sessions, design.repetitions, design.texts)
        logs = (
            variation[:, None, None]
            + text_parts
            + rng.normal(0.0, REQUEST_SPREAD * service.request_spread_factor, shape)
        )
        outliers = np.where(rng.random(shape) < OUTLIER_SHARE, OUTLIER_FACTOR, 1.0)
        latencies_ms = 400.0 * np.exp(logs) * outliers * (1 + service.slowdown)
        errors = rng.binomial(WORDS_PER_TEXT, np.minimum(service.error_rate * text_error_factors, 1.0), shape)
        failed = rng.random(shape) < service.failure_rate
        for session, repetition, text in np.ndindex(shape):
            at = session, repetition, text
            sample = _build_sample(target, at, float(latencies_ms[at]), bool(failed[at]))
            samples.append(sample)
            scores.append(build_score(sample, int(errors[at]), units=WORDS_PER_TEXT))
    manifest = build_manifest(
        services,
        texts=design.texts,
        sessions=design.sessions,
        repetitions=design.repetitions,
        concurrency=1,
        night=night,
    )
    score_set = ScoreSet(asr="simulated", asr_reason="simulated", normalizer="simulated/1", scores=tuple(scores))
    return Run(manifest=manifest, samples=tuple(samples), score_sets=(score_set,))


def _build_sample(target: str, at: tuple[int, ...], latency_ms: float, has_failed: bool) -> Sample:
    session, repetition, text = at
    return Sample(
        id=f"{target}/{session + 1}/{repetition + 1}/{text}",
        target=target,
        text_id=str(text),
        text="",
        language="en",
        category="plain",
        session=session + 1,
        repetition=repetition + 1,
        is_warmup=False,
        started_at="2026-11-01T00:00:00Z",
        submit_count=1,
        poll_count=0,
        latency=None
        if has_failed
        else Latency(submit_latency_ms=latency_ms * 0.2, ttfa_ms=latency_ms * 0.4, total_latency_ms=latency_ms),
        audio=None if has_failed else AUDIO,
        cost=Cost(price_usd=0.01),
        failure=FAILURE if has_failed else None,
    )


def build_score(sample: Sample, errors: int, *, units: int) -> Score:
    """Return a score of `units` words, `errors` of which are substituted; all are deleted if the request failed."""
    deletions = units if sample.failure else 0
    substitutions = 0 if sample.failure else errors
    return Score(
        sample_id=sample.id,
        audio_content="missing" if sample.failure else "speech",
        unit="word",
        reference="",
        hypothesis="",
        transcript="",
        reference_unit_count=units,
        hits=units - deletions - substitutions,
        substitutions=substitutions,
        deletions=deletions,
        insertions=0,
    )


def build_manifest(
    targets: Iterable[str], *, texts: int, sessions: int, repetitions: int, concurrency: int, night: int
) -> Manifest:
    """Return the manifest of a finished, emulated run."""
    return Manifest(
        schema_version=RUN_SCHEMA_VERSION,
        run_id=f"night-{night}",
        created_at=f"2026-11-{night + 1:02}T00:00:00Z",
        is_finished=True,
        voicegauge_version="0",
        provenance=Provenance.EMULATED,
        suite=MeasuredSuite(id="simulated", version=1, sha256="5" * 64, text_count=texts),
        targets=tuple(
            MeasuredTarget(id=target, title=target, contract_version="1", contract_sha256="c" * 64, price=PRICE)
            for target in targets
        ),
        sessions=sessions,
        repetitions=repetitions,
        warmup_request_count=0,
        concurrency=concurrency,
        seed=0,
    )
