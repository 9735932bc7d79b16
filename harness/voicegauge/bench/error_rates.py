"""Error rates of samples by category and language, and what the accepted readings of written text change about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

import msgspec

from voicegauge.bench.estimates import Estimate, estimate_mean, estimate_median, estimate_ratio_of_sums
from voicegauge.bench.resampling import SampledValues
from voicegauge.bench.target_samples import ScoredSamples
from voicegauge.model.base import Record
from voicegauge.model.sample import Sample, Score
from voicegauge.printable_text import format_count


class ErrorRate(Record, frozen=True, kw_only=True):
    """Word or character error rate of a set of samples.

    If the audio of a sample is missing, all words or characters of its text count as deleted.
    """

    unit: Literal["word", "character"]
    corpus_rate: Estimate
    """Number of all errors divided by number of all reference units, as usually published."""
    delivered_rate: Estimate | None
    """`corpus_rate` over the samples that delivered audio, so that it does not count failures; `None` if none did."""
    mean: Estimate
    """Mean of the error rates of single samples."""
    median: Estimate
    """Median of the error rates of single samples."""
    reference_units: int
    """Number of units (words or characters) in the references."""
    substitutions: int
    """Number of units that were recognized as another one, in the alignment with the fewest errors."""
    deletions: int
    """Number of units of the references that were not recognized, including all of a failed sample."""
    insertions: int
    """Number of recognized units that the references do not have."""
    text_count: int
    """Number of different texts; the intervals are computed by leaving out one text at a time."""
    sample_count_by_audio_content: dict[str, int]
    """Number of samples by audio content: speech, noise, silence, missing, undecodable."""


class CategoryErrorRate(Record, frozen=True, kw_only=True):
    """Error rate of one category of texts in one language."""

    language: str
    category: str
    error_rate: ErrorRate


class LanguageErrorRate(Record, frozen=True, kw_only=True):
    """Error rate of one language, over all categories."""

    language: str
    error_rate: ErrorRate


MAX_LISTED_WRONG_ENTITIES = 20
"""Largest number of wrong entities that a summary lists."""


class WrongEntity(Record, frozen=True, kw_only=True):
    """An entity of a text of which no accepted reading was recognized."""

    sample_id: str
    text_id: str
    kind: str
    written: str
    """The entity as the text has it."""
    recognized: str
    """What the transcript has in its place, in words; empty for nothing."""


class ReadingSummary(Record, frozen=True, kw_only=True):
    """Error rates and right entities of one target if every accepted reading of a text counts as right.

    They are reported in addition to the error rates by Whisper's normalizer.
    """

    normalizers: tuple[str, ...]
    """Names and versions of the accepted readings."""
    wer: ErrorRate | None
    """Word error rate by accepted readings; `None` if no sample is counted in words."""
    cer: ErrorRate | None
    """Character error rate by accepted readings; `None` if no sample is counted in characters."""
    entity_count: int
    """Number of entities in the texts of the samples: numbers, money, dates, times, phone numbers, codes and others."""
    right_entity_count: int
    """Number of entities of which an accepted reading was recognized."""
    entity_count_by_kind: dict[str, int]
    """Number of entities by kind, most frequent first."""
    right_entity_count_by_kind: dict[str, int]
    """Number of right entities by kind."""
    sentence_count: int
    """Number of samples whose text has entities."""
    right_sentence_count: int
    """Number of samples of which every entity is right."""
    wrong_entities: tuple[WrongEntity, ...]
    """The first `MAX_LISTED_WRONG_ENTITIES` wrong entities of samples that delivered speech."""


def list_reading_normalizers(summaries: Iterable[ReadingSummary | None]) -> str:
    """Return the names and versions of the accepted readings, as text; empty if no text has entities."""
    names = [name for one in summaries if one is not None and one.entity_count for name in one.normalizers]
    return ", ".join(dict.fromkeys(names))


def describe_readings(summary: ReadingSummary, asr: str) -> str:
    """Return how many entities of the texts an ASR engine has recognized in an accepted reading."""
    return (
        f"{summary.right_entity_count} of {summary.entity_count} numbers, dates and names recognized in an accepted "
        f"reading, all of them in {summary.right_sentence_count:,} of {format_count(summary.sentence_count, 'clip')} "
        f"({asr}; {', '.join(summary.normalizers)})"
    )


def compute_error_rate(scored_samples: ScoredSamples) -> ErrorRate | None:
    """Compute the error rate of samples that are counted in the same unit; `None` if there are no samples."""
    corpus = estimate_ratio_of_sums(
        ((s.text_id, score.errors, score.reference_unit_count) for s, score in scored_samples)
    )
    rates = SampledValues([(s.text_id, score.error_rate) for s, score in scored_samples])
    median_rate, mean_rate = estimate_median(rates), estimate_mean(rates)
    if not (corpus and median_rate and mean_rate):
        return None
    return ErrorRate(
        unit=scored_samples[0][1].unit,
        corpus_rate=corpus,
        delivered_rate=estimate_ratio_of_sums(
            (s.text_id, score.errors, score.reference_unit_count) for s, score in scored_samples if s.failure is None
        ),
        mean=mean_rate,
        median=median_rate,
        reference_units=sum(score.reference_unit_count for _, score in scored_samples),
        substitutions=sum(score.substitutions for _, score in scored_samples),
        deletions=sum(score.deletions for _, score in scored_samples),
        insertions=sum(score.insertions for _, score in scored_samples),
        text_count=len({sample.text_id for sample, _ in scored_samples}),
        sample_count_by_audio_content=dict(Counter(score.audio_content for _, score in scored_samples)),
    )


def summarize_readings(scored_samples: ScoredSamples) -> ReadingSummary | None:
    """Return errors and entities by accepted readings; `None` if no sample was scored by them."""
    samples_with_readings = [
        (sample, score, score.readings) for sample, score in scored_samples if score.readings is not None
    ]
    if not samples_with_readings:
        return None
    as_scores = [
        (
            sample,
            msgspec.structs.replace(
                score,
                reference_unit_count=readings.reference_unit_count,
                hits=readings.hits,
                substitutions=readings.substitutions,
                deletions=readings.deletions,
                insertions=readings.insertions,
            ),
        )
        for sample, score, readings in samples_with_readings
    ]
    entities = [entity for _, _, readings in samples_with_readings for entity in readings.entities]
    counts = Counter(entity.kind for entity in entities)
    right = Counter(entity.kind for entity in entities if entity.is_right)
    with_entities = [readings for _, _, readings in samples_with_readings if readings.entities]
    wer, cer = (
        compute_error_rate([pair for pair in as_scores if pair[1].unit == unit]) for unit in ("word", "character")
    )
    return ReadingSummary(
        normalizers=tuple(sorted({readings.normalizer for _, _, readings in samples_with_readings})),
        wer=wer,
        cer=cer,
        entity_count=len(entities),
        right_entity_count=right.total(),
        entity_count_by_kind=dict(counts.most_common()),
        right_entity_count_by_kind={kind: right[kind] for kind, _ in counts.most_common()},
        sentence_count=len(with_entities),
        right_sentence_count=sum(not readings.wrong_entities for readings in with_entities),
        wrong_entities=_list_wrong_entities(scored_samples),
    )


def _list_wrong_entities(scored_samples: ScoredSamples) -> tuple[WrongEntity, ...]:
    return tuple(
        WrongEntity(
            sample_id=sample.id, text_id=sample.text_id, kind=one.kind, written=one.written, recognized=one.recognized
        )
        for sample, score in scored_samples
        if score.readings is not None and score.audio_content == "speech"
        for one in score.readings.wrong_entities
    )[:MAX_LISTED_WRONG_ENTITIES]


def compute_error_rates_by_category(scored_samples: ScoredSamples) -> tuple[CategoryErrorRate, ...]:
    """Return the error rate of each category of texts in each language."""
    groups = _group_scored_samples(scored_samples, lambda sample: (sample.language, sample.category))
    return tuple(
        CategoryErrorRate(language=language, category=category, error_rate=rate)
        for (language, category), group in groups.items()
        if (rate := compute_error_rate(group))
    )


def compute_error_rates_by_language(
    scored_samples: ScoredSamples, wer: ErrorRate | None, cer: ErrorRate | None
) -> tuple[LanguageErrorRate, ...]:
    """Return the error rate of each language.

    Args:
        scored_samples: the samples with their scores.
        wer: the word error rate of all samples; `None` if there is none.
        cer: their character error rate; `None` if there is none.
    """
    groups = _group_scored_samples(scored_samples, lambda sample: sample.language)
    # All samples of a single language were counted in one unit, so its rate is known already.
    known = (wer or cer) if len(groups) == 1 and not (wer and cer) else None
    return tuple(
        LanguageErrorRate(language=language, error_rate=rate)
        for language, group in groups.items()
        if (rate := known or compute_error_rate(group))
    )


GroupKeyT = TypeVar("GroupKeyT")


def _group_scored_samples(
    scored_samples: ScoredSamples, get_group_key: Callable[[Sample], GroupKeyT]
) -> dict[GroupKeyT, list[tuple[Sample, Score]]]:
    groups: dict[GroupKeyT, list[tuple[Sample, Score]]] = {}
    for sample, score in scored_samples:
        groups.setdefault(get_group_key(sample), []).append((sample, score))
    return groups
