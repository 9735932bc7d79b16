"""Summarizes the speech of one target: recognition errors, how much its deliveries differ, and defects of its sound.

- Error rates of samples by category and language, and what the accepted readings of written text change about them.
- How much deliveries of one text differ: in duration, pace, pitch, level and words. A benchmark with several
  repetitions or sessions requests each text several times. A voice that is hardly steady needs more samples in every
  other measure, and a text that sounds right once may not do so the next time. Nothing is measured again: all numbers
  come from the saved samples and their transcripts. Clips that are known to be wrong do not count, as in every measure
  of a voice: the same noise or the same half of a text each time is not steady speech, and one wrong clip among right
  ones is a wrong clip, which is counted as such.
- Loudness, bandwidth and defects of the audio, which say nothing about its words.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal, NamedTuple, TypeVar

import msgspec

from voicegauge.bench.estimates import (
    Estimate,
    estimate_mean,
    estimate_median,
    estimate_ratio_of_sums,
)
from voicegauge.bench.resampling import (
    SampledValues,
)
from voicegauge.bench.target_samples import (
    ScoredSamples,
)
from voicegauge.model.base import Count, Number, Record
from voicegauge.model.sample import AudioFacts, Sample, Score
from voicegauge.printable_text import format_count
from voicegauge.speech.transcripts import count_errors


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


# Measures how much deliveries of one text by one target differ.


DeliveryMeasure = Literal["duration", "pace", "pitch", "level", "words"]
"""What is compared between two deliveries of one text."""
DELIVERY_MEASURES: tuple[DeliveryMeasure, ...] = ("duration", "pace", "pitch", "level", "words")
MAX_COMPARED_TRANSCRIPTS_PER_TEXT = 12
"""Largest number of transcripts of one text that are compared pairwise; the number of pairs grows with its square."""

MeanDifferencesWithTextIds = list[tuple[str, float]]
"""For each text with at least two deliveries, its id and the mean difference of two of them."""


class SteadinessSummary(Record, frozen=True, kw_only=True):
    """How much two deliveries of one text by one target differ: means over all pairs of deliveries, then over texts."""

    text_count: Count
    """Number of texts that were delivered at least twice, by clips that are not known to be wrong."""
    delivery_count: Count
    """Number of deliveries of these texts."""
    identical_text_count: Count
    """Number of these texts whose deliveries are all the same file: the service repeats itself, or keeps what it
    made."""
    wrong_count: Count = 0
    """Number of further deliveries, of all texts, whose clips are known to be wrong and therefore do not count."""
    duration: Estimate | None
    """Difference of the durations of the audio, relative (0.02 is 2%)."""
    pace: Estimate | None
    """Difference of the paces, relative: of the times from the first to the last sound without the longest pause."""
    pitch: Estimate | None
    """Difference of the median pitches, relative."""
    level_db: Estimate | None
    """Difference of the integrated loudness, in LU, which are decibels."""
    words: Estimate | None
    """Share of the words (or characters) in which the transcripts differ; `None` if the run has no transcripts."""
    least_steady_text_id: str | None = None
    """The text whose durations differ most; `None` if none differ."""
    least_steady_duration: Number | None = None
    """Mean difference of two durations of that text, relative."""


class _DeliveriesOfText(NamedTuple):
    """The deliveries of one text."""

    audio: list[AudioFacts]
    """Facts about the audio of each delivery."""
    scores: list[Score]
    """The scored transcripts of the deliveries that have one."""


def summarize_steadiness(
    samples: Sequence[Sample], scored_samples: ScoredSamples, wrong_ids: Collection[str] = ()
) -> SteadinessSummary | None:
    """Return how much deliveries of one text differ; `None` if no text was delivered twice.

    Args:
        samples: samples of one target, without warm-up. Failed ones do not count.
        scored_samples: the same samples with their transcripts; empty without any.
        wrong_ids: ids of samples whose audio is known to be wrong, which do not count either.
    """
    if all(len(one.audio) < 2 for one in _group_deliveries(samples, ()).values()):
        return None
    by_text = _group_deliveries(samples, scored_samples, wrong_ids)
    delivered = {text: one for text, one in by_text.items() if len(one.audio) > 1}
    differences = measure_differences(samples, scored_samples, wrong_ids)
    estimates = {measure: estimate_mean(differences[measure]) for measure in DELIVERY_MEASURES}
    text_id, widest = max(differences["duration"], key=lambda one: one[1], default=(None, 0.0))
    return SteadinessSummary(
        text_count=len(delivered),
        delivery_count=sum(len(one.audio) for one in delivered.values()),
        identical_text_count=sum(len({facts.sha256 for facts in one.audio}) == 1 for one in delivered.values()),
        wrong_count=sum(one.id in wrong_ids for one in samples),
        duration=estimates["duration"],
        pace=estimates["pace"],
        pitch=estimates["pitch"],
        level_db=estimates["level"],
        words=estimates["words"],
        least_steady_text_id=text_id if widest > 0 else None,
        least_steady_duration=widest if widest > 0 else None,
    )


def measure_differences(
    samples: Iterable[Sample], scored_samples: ScoredSamples, wrong_ids: Collection[str] = ()
) -> dict[DeliveryMeasure, MeanDifferencesWithTextIds]:
    """Return how much two deliveries of each text differ on average, by measure.

    Args:
        samples: samples of one target, without warm-up. Failed ones do not count.
        scored_samples: the same samples with their transcripts; empty without any.
        wrong_ids: ids of samples whose audio is known to be wrong, which do not count either.
    """
    by_text = _group_deliveries(samples, scored_samples, wrong_ids)

    def measure_mean_differences(
        select_value: Callable[[AudioFacts], float | None], *, is_relative: bool = True
    ) -> MeanDifferencesWithTextIds:
        found = []
        for text_id, one in by_text.items():
            values = [value for facts in one.audio if (value := select_value(facts)) is not None]
            if len(values) > 1 and not (is_relative and min(values) <= 0):
                # Of logarithms, so that the difference is the same from either of two deliveries to the other one.
                mean = _compute_mean_difference([math.log(value) for value in values] if is_relative else values)
                found.append((text_id, math.expm1(mean) if is_relative else mean))
        return found

    return {
        "duration": measure_mean_differences(lambda facts: facts.audio_duration_s),
        "pace": measure_mean_differences(lambda facts: facts.spoken_s),
        "pitch": measure_mean_differences(lambda facts: facts.pitch_hz),
        "level": measure_mean_differences(lambda facts: facts.loudness_lufs, is_relative=False),
        "words": [
            (text_id, _compare_transcripts(one.scores)) for text_id, one in by_text.items() if len(one.scores) > 1
        ],
    }


def describe_steadiness(summary: SteadinessSummary) -> str:
    """Return in one line how much deliveries of one text by one target differ."""
    wrong = f" without {format_count(summary.wrong_count, 'wrong clip')}" if summary.wrong_count else ""
    counted = f"{format_count(summary.text_count, 'text')}, {summary.delivery_count} deliveries{wrong}"
    if not summary.text_count:
        return f"no text has two deliveries that are not wrong ({format_count(summary.wrong_count, 'wrong clip')})"
    if summary.identical_text_count == summary.text_count:
        return f"all deliveries of a text are the same file ({counted})"
    parts = [
        f"{estimate.value:.1%} {where}"
        for estimate, where in (
            (summary.duration, "in duration"),
            (summary.pace, "in pace"),
            (summary.pitch, "in pitch"),
        )
        if estimate is not None
    ]
    parts += [f"{summary.level_db.value:.1f} dB in level"] if summary.level_db is not None else []
    parts += [f"{summary.words.value:.1%} of the words"] if summary.words is not None else []
    if not parts:
        return f"deliveries of one text were not measured ({counted})"
    same = f"; always the same file for {summary.identical_text_count}" if summary.identical_text_count else ""
    widest = (
        f"; most: {summary.least_steady_text_id}, by {summary.least_steady_duration:.1%} in duration"
        if summary.least_steady_text_id is not None and summary.least_steady_duration is not None
        else ""
    )
    return f"two deliveries of one text differ on average by {', '.join(parts)} ({counted}{same}{widest})"


def _group_deliveries(
    samples: Iterable[Sample], scored_samples: ScoredSamples, wrong_ids: Collection[str] = ()
) -> dict[str, _DeliveriesOfText]:
    by_text: dict[str, _DeliveriesOfText] = defaultdict(lambda: _DeliveriesOfText([], []))
    for sample in samples:
        if sample.failure is None and sample.audio is not None and sample.id not in wrong_ids:
            by_text[sample.text_id].audio.append(sample.audio)
    for sample, score in scored_samples:
        if sample.failure is None and sample.id not in wrong_ids and score.audio_content == "speech":
            by_text[sample.text_id].scores.append(score)
    return by_text


def _compute_mean_difference(values: Sequence[float]) -> float:
    """Return the mean absolute difference of two of the values, over all pairs (Gini's mean difference)."""
    count = len(values)
    weighted = sum((2 * rank - count + 1) * value for rank, value in enumerate(sorted(values)))
    return max(2 * weighted / (count * (count - 1)), 0.0)  # rounding may leave -1e-17


def _compare_transcripts(scores: Sequence[Score]) -> float:
    """Return the mean share of the words (or characters) in which two transcripts differ."""
    shares = []
    for one, other in itertools.combinations(scores[:MAX_COMPARED_TRANSCRIPTS_PER_TEXT], 2):
        counts = count_errors(one.hypothesis, other.hypothesis, one.unit)
        length = counts.hits + counts.substitutions + max(counts.deletions, counts.insertions)
        errors = counts.substitutions + counts.deletions + counts.insertions
        shares.append(min(errors / length, 1.0) if length else 0.0)
    return sum(shares) / len(shares)


# Summarizes the sound.


class AudioQualitySummary(Record, frozen=True, kw_only=True):
    """Measures of the audio of one target that say nothing about its words."""

    sample_count: int
    """Number of samples with measured audio."""
    loudness_lufs: Estimate | None
    """Median integrated loudness (ITU-R BS.1770-5) of a sample."""
    noise_floor_dbfs: Estimate | None
    """Median level that a tenth of the frames of a sample do not exceed; `None` if all are digitally silent."""
    bandwidth_hz: Estimate | None
    """Median frequency above which the spectrum of a sample ends abruptly."""
    max_clipped_share: float
    """Largest share of clipped samples in any clip, from 0 to 1."""
    max_dc_offset: float
    """Largest absolute mean of the samples of any clip, relative to full scale."""
    upsampled_count: int
    """Number of samples of the benchmark whose audio was made at a lower sample rate than it states."""
    clicking_count: int
    """Number of samples of the benchmark whose audio has a click."""
    sample_rates_hz: tuple[int, ...]
    """The sample rates of the audio, in ascending order."""
    channel_counts: tuple[int, ...]
    """The numbers of channels of the audio, in ascending order."""


def _summarize_audio_quality(samples: Sequence[Sample]) -> AudioQualitySummary | None:
    measured = [
        (sample.text_id, sample.audio)
        for sample in samples
        if sample.failure is None and sample.audio is not None and sample.audio.click_count is not None
    ]
    if not measured:
        return None

    def estimate_median_fact(select_fact: Callable[[AudioFacts], float | None]) -> Estimate | None:
        return estimate_median([(text, value) for text, one in measured if (value := select_fact(one)) is not None])

    facts = [one for _, one in measured]
    return AudioQualitySummary(
        sample_count=len(facts),
        loudness_lufs=estimate_median_fact(lambda one: one.loudness_lufs),
        noise_floor_dbfs=estimate_median_fact(lambda one: one.noise_floor_dbfs),
        bandwidth_hz=estimate_median_fact(lambda one: one.bandwidth_hz),
        max_clipped_share=max(one.clipped_share or 0.0 for one in facts),
        max_dc_offset=max(abs(one.dc_offset or 0.0) for one in facts),
        upsampled_count=sum(bool(one.is_upsampled) for one in facts),
        clicking_count=sum(bool(one.click_count) for one in facts),
        sample_rates_hz=tuple(sorted({one.sample_rate_hz for one in facts if one.sample_rate_hz})),
        channel_counts=tuple(sorted({one.channels for one in facts if one.channels})),
    )
