"""Measures how much deliveries of one text by one target differ: in duration, pace, pitch, level and words.

A benchmark with several repetitions or sessions requests each text several times. A voice that is hardly steady needs
more samples in every other measure, and a text that sounds right once may not do so the next time. Nothing is measured
again: all numbers come from the saved samples and their transcripts. Clips that are known to be wrong do not count, as
in every measure of a voice: the same noise or the same half of a text each time is not steady speech, and one wrong
clip among right ones is a wrong clip, which is counted as such.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal, NamedTuple

from voicegauge.bench.estimates import Estimate, estimate_mean
from voicegauge.bench.target_samples import ScoredSamples
from voicegauge.model.base import Count, Number, Record
from voicegauge.model.sample import AudioFacts, Sample, Score
from voicegauge.printable_text import format_count
from voicegauge.speech.transcripts import count_errors

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


class _Deliveries(NamedTuple):
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

    def measure(
        select_value: Callable[[AudioFacts], float | None], *, is_relative: bool = True
    ) -> MeanDifferencesWithTextIds:
        found = []
        for text_id, one in by_text.items():
            values = [value for facts in one.audio if (value := select_value(facts)) is not None]
            if len(values) > 1 and not (is_relative and min(values) <= 0):
                mean = _compute_mean_difference([math.log(value) for value in values] if is_relative else values)
                found.append((text_id, math.expm1(mean) if is_relative else mean))
        return found

    return {
        "duration": measure(lambda facts: facts.audio_duration_s),
        "pace": measure(lambda facts: facts.spoken_s),
        "pitch": measure(lambda facts: facts.pitch_hz),
        "level": measure(lambda facts: facts.loudness_lufs, is_relative=False),
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
) -> dict[str, _Deliveries]:
    by_text: dict[str, _Deliveries] = defaultdict(lambda: _Deliveries([], []))
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
