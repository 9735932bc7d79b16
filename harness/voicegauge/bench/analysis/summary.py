"""What a run says of each target: latency, intelligibility and cost, with intervals.

Warm-up samples are left out. Failures are counted: a failed sample has no times,
so every time says how many samples it was computed from, and its words count as
deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

import msgspec

from voicegauge.bench.analysis.cost import TEXT_LENGTH, TargetCost, sample_audio_s, target_cost
from voicegauge.bench.analysis.statistics import Estimate, IntervalEstimate, mean, median, quantile, ratio_of_sums
from voicegauge.errors import DataError
from voicegauge.model import (
    Interval,
    Latency,
    Provenance,
    Record,
    Run,
    Sample,
    Score,
    ScoreSet,
    TargetRef,
)


class ErrorRate(Record, frozen=True, kw_only=True):
    """Word (or character) error rate of a set of samples; missing audio counts as all words deleted."""

    unit: Literal["word", "character"]
    corpus: Estimate
    """All errors over all reference units: the WER that papers state. Its `n` counts samples."""
    mean: Estimate
    """Mean of the samples' own rates."""
    median: Estimate
    """Median of the samples' own rates."""
    units: int
    """Reference words (or characters)."""
    substitutions: int
    deletions: int
    insertions: int
    texts: int
    """Different texts: what the intervals are drawn from."""
    heard: dict[str, int]
    """Samples by what was heard: speech, silence, missing, undecodable."""


class CategoryErrorRate(Record, frozen=True, kw_only=True):
    """The error rate of one category in one language."""

    language: str
    category: str
    rate: ErrorRate


class LanguageErrorRate(Record, frozen=True, kw_only=True):
    """The error rate of one language, all categories together."""

    language: str
    rate: ErrorRate


class StreamSummary(Record, frozen=True, kw_only=True):
    """How the audio of a target that streams comes; medians unless the name says otherwise.

    Times are milliseconds from the start of the submit; `None` where no sample has one.
    """

    first_event_ms: Estimate | None
    """Until the first event, for a stream of events."""
    speech_ms: Estimate | None
    """Until the first audible speech had come."""
    gap_p50_ms: Estimate | None
    """The median pause between two pieces of audio."""
    gap_max_ms: Estimate | None
    """The longest pause of a sample."""
    underruns: Estimate | None
    """Mean number of times that a player would have run out of audio."""
    stalled_ms: Estimate | None
    """Mean time that it would have waited."""


class TargetSummary(Record, frozen=True, kw_only=True):
    """One row of the comparison: medians with 95% intervals unless the name says otherwise.

    Times are milliseconds from the start of the (last) submit; `None` where no sample has one.
    """

    target: str
    title: str
    provenance: Provenance
    samples: int
    """Asked for, without warm-up; failures included."""
    failures: int
    failure_kinds: dict[str, int]
    """Failures by kind, the most frequent first."""
    attempts: float | None
    """Mean submits a sample, retries included; 1 where nothing was retried."""
    submit_latency_ms: Estimate | None
    """Until the submit's answer was complete."""
    queue_ms: IntervalEstimate | None
    """Waiting before work began, for a job."""
    processing_ms: IntervalEstimate | None
    """Being worked on, for a job."""
    completion_ms: IntervalEstimate | None
    """Until the job was done: bounds that the polling leaves."""
    download_ms: Estimate | None
    ttfb_ms: Estimate | None
    """Until the first byte of the answer that carries the audio."""
    ttfa_ms: Estimate | None
    """Until the first byte of audio."""
    ttfs_ms: Estimate | None
    """Until the first audible speech."""
    total_latency_ms: Estimate | None
    """Time to file: until the last byte of audio, polling included."""
    total_latency_p95_ms: Estimate | None
    streaming: StreamSummary | None
    """`None` where no audio came as a stream."""
    audio_s: Estimate | None
    """Length of the audio."""
    rtf: Estimate | None
    """Real-time factor: time to file over the audio's length; below 1 is faster than speech."""
    characters_per_s: Estimate | None
    """Characters of text a second of time to file."""
    wer: ErrorRate | None
    """Of the languages counted in words; `None` where nothing was scored."""
    cer: ErrorRate | None
    """Of the languages counted in characters."""
    categories: tuple[CategoryErrorRate, ...]
    languages: tuple[LanguageErrorRate, ...]
    cost: TargetCost
    pareto: bool
    """No other target of the run is both faster (`total_latency_ms`) and more intelligible (`wer`, else `cer`)."""


def summarize(
    run: Run, score_set: ScoreSet | None = None, *, characters: int = TEXT_LENGTH, seed: int = 0
) -> tuple[TargetSummary, ...]:
    """One summary a target, in the manifest's order.

    Args:
        run: whose samples count; those of the warm-up do not.
        score_set: one of the run's score sets; without it the summaries have no error rates.
        characters: text length at which the price for a million characters is stated.
        seed: of the intervals.

    Raises:
        DataError: the score set lacks a sample of the run.
    """
    made = []
    for target in run.manifest.targets:
        samples = [s for s in run.samples if s.target == target.id and not s.warmup]
        scored = scored_samples(samples, score_set) if score_set else []
        made.append(_summarize_target(target, samples, scored, run.manifest.provenance, characters, seed))
    best = pareto(
        [
            (s.total_latency_ms.value, rate.corpus.value) if s.total_latency_ms and (rate := s.wer or s.cer) else None
            for s in made
        ]
    )
    return tuple(msgspec.structs.replace(s, pareto=on) for s, on in zip(made, best, strict=True))


def pareto(points: Sequence[tuple[float, float] | None]) -> list[bool]:
    """Which points no other one beats: none is as good in both numbers and better in one; less is better."""

    def beaten(point: tuple[float, float]) -> bool:
        return any(p is not None and p != point and p[0] <= point[0] and p[1] <= point[1] for p in points)

    return [point is not None and not beaten(point) for point in points]


Scored = Sequence[tuple[Sample, Score]]


def scored_samples(samples: Sequence[Sample], score_set: ScoreSet) -> Scored:
    """Each sample with its score; those in a language that the speech recognizer does not know are left out.

    Raises:
        DataError: the score set lacks one of the others.
    """
    scores = {score.sample_id: score for score in score_set.scores}
    samples = [sample for sample in samples if sample.language not in score_set.left_out]
    lacking = [sample.id for sample in samples if sample.id not in scores]
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise DataError(f"no score for the sample {lacking[0]}{more}: score the run again with `voicegauge score`")
    return [(sample, scores[sample.id]) for sample in samples]


def _summarize_target(
    target: TargetRef,
    samples: Sequence[Sample],
    scored: Scored,
    provenance: Provenance,
    characters: int,
    seed: int,
) -> TargetSummary:
    kinds = Counter(s.failure.kind for s in samples if s.failure)

    def middle(value: Callable[[Sample], float | None]) -> Estimate | None:
        return median(_values(samples, value), seed=seed)

    def time(value: Callable[[Latency], float | None]) -> Estimate | None:
        return middle(lambda sample: _time(sample, value))

    def bounds(value: Callable[[Latency], Interval | None]) -> IntervalEstimate | None:
        low = time(lambda latency: i.low_ms if (i := value(latency)) else None)
        high = time(lambda latency: i.high_ms if (i := value(latency)) else None)
        return IntervalEstimate(low=low, high=high) if low and high else None

    return TargetSummary(
        target=target.id,
        title=target.title,
        provenance=provenance,
        samples=len(samples),
        failures=sum(kinds.values()),
        failure_kinds=dict(kinds.most_common()),
        attempts=sum(s.attempts for s in samples) / len(samples) if samples else None,
        submit_latency_ms=time(lambda latency: latency.submit_latency_ms),
        queue_ms=bounds(lambda latency: latency.queue_ms),
        processing_ms=bounds(lambda latency: latency.processing_ms),
        completion_ms=bounds(lambda latency: latency.completion_ms),
        download_ms=time(lambda latency: latency.download_ms),
        ttfb_ms=time(lambda latency: latency.ttfb_ms),
        ttfa_ms=time(lambda latency: latency.ttfa_ms),
        ttfs_ms=time(lambda latency: latency.ttfs_ms),
        total_latency_ms=time(lambda latency: latency.total_latency_ms),
        total_latency_p95_ms=quantile(_values(samples, total_latency_ms), 0.95, seed=seed),
        streaming=_streaming(samples, seed),
        audio_s=middle(sample_audio_s),
        rtf=middle(real_time_factor),
        characters_per_s=middle(_characters_per_s),
        wer=error_rate([pair for pair in scored if pair[1].unit == "word"], seed=seed),
        cer=error_rate([pair for pair in scored if pair[1].unit == "character"], seed=seed),
        categories=_categories(scored, seed),
        languages=_languages(scored, seed),
        cost=target_cost(target, samples, characters),
        pareto=False,
    )


def _streaming(samples: Sequence[Sample], seed: int) -> StreamSummary | None:
    if all(sample.streaming is None for sample in samples):
        return None

    def values(name: str) -> list[tuple[str, float]]:
        return _values(samples, lambda sample: getattr(sample.streaming, name) if sample.streaming else None)

    return StreamSummary(
        first_event_ms=median(values("first_event_ms"), seed=seed),
        speech_ms=median(values("speech_ms"), seed=seed),
        gap_p50_ms=median(values("gap_p50_ms"), seed=seed),
        gap_max_ms=median(values("gap_max_ms"), seed=seed),
        underruns=mean(values("underruns"), seed=seed),
        stalled_ms=mean(values("stalled_ms"), seed=seed),
    )


def _values(samples: Iterable[Sample], value: Callable[[Sample], float | None]) -> list[tuple[str, float]]:
    return [(sample.text_id, found) for sample in samples if (found := value(sample)) is not None]


def _time(sample: Sample, value: Callable[[Latency], float | None]) -> float | None:
    if sample.failure is not None or sample.latency is None:
        return None
    return value(sample.latency)


def total_latency_ms(sample: Sample) -> float | None:
    """The time to file of a sample that succeeded."""
    return _time(sample, lambda latency: latency.total_latency_ms)


def real_time_factor(sample: Sample) -> float | None:
    """Time to file over the length of the audio."""
    took, length = total_latency_ms(sample), sample_audio_s(sample)
    return took / 1000 / length if took is not None and length else None


def _characters_per_s(sample: Sample) -> float | None:
    took = total_latency_ms(sample)
    return len(sample.text) * 1000 / took if took else None


def error_rate(scored: Scored, *, seed: int = 0) -> ErrorRate | None:
    """The error rate of samples counted in one unit; `None` without samples."""
    corpus = ratio_of_sums(((s.text_id, score.errors, score.units) for s, score in scored), seed=seed)
    rates = [(s.text_id, score.error_rate) for s, score in scored]
    middle, average = median(rates, seed=seed), mean(rates, seed=seed)
    if not (corpus and middle and average):
        return None
    return ErrorRate(
        unit=scored[0][1].unit,
        corpus=corpus,
        mean=average,
        median=middle,
        units=sum(score.units for _, score in scored),
        substitutions=sum(score.substitutions for _, score in scored),
        deletions=sum(score.deletions for _, score in scored),
        insertions=sum(score.insertions for _, score in scored),
        texts=len({sample.text_id for sample, _ in scored}),
        heard=dict(Counter(score.heard for _, score in scored)),
    )


def _categories(scored: Scored, seed: int) -> tuple[CategoryErrorRate, ...]:
    groups = _grouped(scored, lambda sample: (sample.language, sample.category))
    return tuple(
        CategoryErrorRate(language=language, category=category, rate=rate)
        for (language, category), group in groups.items()
        if (rate := error_rate(group, seed=seed))
    )


def _languages(scored: Scored, seed: int) -> tuple[LanguageErrorRate, ...]:
    return tuple(
        LanguageErrorRate(language=language, rate=rate)
        for language, group in _grouped(scored, lambda sample: sample.language).items()
        if (rate := error_rate(group, seed=seed))
    )


K = TypeVar("K")


def _grouped(scored: Scored, key: Callable[[Sample], K]) -> dict[K, list[tuple[Sample, Score]]]:
    groups: dict[K, list[tuple[Sample, Score]]] = {}
    for sample, score in scored:
        groups.setdefault(key(sample), []).append((sample, score))
    return groups
