"""Summarizes what the samples of one target say: recognition errors, accepted readings, and turns over WebSockets.

- Error rates of samples by category and language, and what the accepted readings of written text change about them.
- Turns over WebSockets: handshakes, flushes and interruptions of speech, and transcripts of streamed recordings.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

import msgspec

from voicegauge.bench.estimates import Estimate, estimate_mean, estimate_median, estimate_ratio_of_sums
from voicegauge.bench.resampling import SampledValues
from voicegauge.bench.target_samples import ScoredSamples, select_values_by_text
from voicegauge.model.base import Count, Number, Record
from voicegauge.model.exchange import WEBSOCKET_VERSION, Interruption, TranscriptTiming
from voicegauge.model.sample import RequestPhases, Sample, Score
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
    """What the entity is, such as "date" or "money"."""
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
    """Return the names and versions of the accepted readings, as text; empty if no summary has entities."""
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
        wrong_entities=tuple(
            WrongEntity(
                sample_id=one.id,
                text_id=one.text_id,
                kind=wrong.kind,
                written=wrong.written,
                recognized=wrong.recognized,
            )
            for one, score, readings in samples_with_readings
            if score.audio_content == "speech"
            for wrong in readings.wrong_entities
        )[:MAX_LISTED_WRONG_ENTITIES],
    )


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


# Summarizes turns over WebSockets.


class InterruptionSummary(Record, frozen=True, kw_only=True):
    """How a target reacted when its turns were interrupted at their first audio."""

    interruption_count: Count
    """Number of interruptions."""
    last_audio_ms: Estimate | None
    """Median time from the cancellation to the last audio of the interrupted turn; a turn without audio after it counts
    as 0."""
    last_audio_max_ms: Number
    """Longest time from the cancellation to the last audio of the interrupted turn."""
    late_audio_s: Estimate | None
    """Median duration of the audio that arrived after the cancellation, in seconds of speech; `None` if it is
    compressed, so that its duration is not known."""
    next_audio_ms: Estimate | None
    """Median time from the cancellation until the next turn began to speak."""
    next_audio_max_ms: Number | None
    """Longest time from the cancellation until the next turn began to speak; `None` if no next turn spoke."""
    silent_count: Count
    """Number of interruptions after which the next turn did not speak."""


class AnswerPoint(Record, frozen=True, kw_only=True):
    """What happens to the turns of a target if an agent waits for some time after each reported end of a turn."""

    wait_ms: Number
    """How long the agent waits. It does not answer if another text arrives during the wait."""
    delay_p50_ms: Number | None
    """Median time from the end of speech to the answer, negative if it comes before. A turn without an answer counts as
    later than all others; `None` if the median is such a turn."""
    cut_early_share: Number
    """Share of all turns in which the agent answers while the speaker still speaks."""
    unanswered_share: Number
    """Share of all turns that are never answered, because their end was not reported."""


ANSWER_WAITS_MS = (0.0, 100.0, 200.0, 300.0, 500.0, 800.0, 1200.0)
"""The waits for which `TranscriptTimingSummary.curve` has points."""


class TranscriptTimingSummary(Record, frozen=True, kw_only=True):
    """How a target transcribes recordings that are streamed to it at the pace of speech. No recording is left out."""

    recording_count: Count
    """Number of recordings."""
    first_text_ms: Estimate | None
    """Median time from the start of speech to the first text."""
    final_delay_ms: Estimate | None
    """Median time from the end of speech to the first reported end of the turn, over recordings with such an end. It is
    negative if the end was reported while the speaker still spoke."""
    cut_early_count: Count
    """Number of recordings whose turn was reported to have ended while the speaker still spoke."""
    never_ended_count: Count
    """Number of recordings whose turn was never reported to have ended."""
    flip_share: Number | None
    """Share of the words of interim transcripts that the next transcript changed; `None` without interim ones."""
    curve: tuple[AnswerPoint, ...]
    """Delay against turns cut early, for agents that wait for different times."""


class SocketSummary(Record, frozen=True, kw_only=True):
    """Measurements of one target that exist only for samples over WebSockets. Times are in milliseconds."""

    handshake_ms: Estimate | None
    """Median duration of opening a connection, also for a warm-up; it counts in no other time."""
    text_ms: Estimate | None
    """Median time from the first to the last piece of the text; 0 for a text that is sent whole."""
    ttfa_after_flush_ms: Estimate | None
    """Median time from the flush to the first audio; `None` if no flush was sent. It is negative if audio begins
    before."""
    interruptions: InterruptionSummary | None
    """How the target reacted to interruptions; `None` if no turn was interrupted."""
    transcript_timing: TranscriptTimingSummary | None = None
    """How the target transcribed streamed recordings; `None` if no recording was streamed."""


def summarize_sockets(samples: Sequence[Sample], warmups: Sequence[Sample]) -> SocketSummary | None:
    """Return the summary of the samples of one target; `None` if it does not speak over WebSockets.

    Args:
        samples: the counted samples.
        warmups: the warm-up samples, which usually open the connections of the others.
    """
    spoken = _select_socket_samples(samples)
    # A connection serves many turns, and the warm-up is often the one that opens it.
    connected = [*_select_socket_samples(warmups), *spoken]
    interruptions = [(one.text_id, one.interruption) for one in samples if one.interruption is not None]
    if not spoken and not interruptions:
        return None
    return SocketSummary(
        handshake_ms=estimate_median(
            [(one.text_id, phases.connect_ms) for one, phases in connected if phases.connect_ms is not None]
        ),
        text_ms=estimate_median([(one.text_id, phases.send_ms) for one, phases in spoken]),
        ttfa_after_flush_ms=estimate_median(
            select_values_by_text(samples, lambda one: compute_ttfa_after_ms(one, lambda phases: phases.flush_ms))
        ),
        interruptions=_summarize_interruptions(interruptions),
        transcript_timing=summarize_transcript_timing(
            [(one.text_id, one.transcript_timing) for one in samples if one.transcript_timing is not None]
        ),
    )


def summarize_transcript_timing(timings: Sequence[tuple[str, TranscriptTiming]]) -> TranscriptTimingSummary | None:
    """Return how a target transcribed recordings, each given with the id of its text; `None` without any."""
    if not timings:
        return None
    transcribed = [one for _, one in timings]
    partial_words = sum(one.partial_word_count for one in transcribed)
    return TranscriptTimingSummary(
        recording_count=len(transcribed),
        first_text_ms=estimate_median(
            [(text, one.first_text_ms) for text, one in timings if one.first_text_ms is not None]
        ),
        final_delay_ms=estimate_median(
            [(text, one.final_delay_ms) for text, one in timings if one.final_delay_ms is not None]
        ),
        cut_early_count=sum(one.is_cut_early for one in transcribed),
        never_ended_count=sum(not one.turn_ends_ms for one in transcribed),
        flip_share=sum(one.flip_count for one in transcribed) / partial_words if partial_words else None,
        curve=tuple(build_answer_point(transcribed, wait_ms) for wait_ms in ANSWER_WAITS_MS),
    )


def build_answer_point(timings: Sequence[TranscriptTiming], wait_ms: float) -> AnswerPoint:
    """Return what happens to turns if an agent waits for `wait_ms` milliseconds after each reported end."""
    answers = [one.find_answer_ms(wait_ms) for one in timings]
    # A turn without an answer is later than any other, so that it moves the median as it should.
    middle = statistics.median(math.inf if one is None else one for one in answers)
    return AnswerPoint(
        wait_ms=wait_ms,
        delay_p50_ms=None if math.isinf(middle) else middle,
        cut_early_share=sum(one is not None and one < 0 for one in answers) / len(answers),
        unanswered_share=sum(one is None for one in answers) / len(answers),
    )


def _select_socket_samples(samples: Iterable[Sample]) -> list[tuple[Sample, RequestPhases]]:
    """Return the samples that were measured over a WebSocket, with the phases of their submits."""
    found = ((sample, sample.request_phases) for sample in samples)
    return [(one, phases) for one, phases in found if phases is not None and phases.http_version == WEBSOCKET_VERSION]


def compute_ttfa_after_ms(sample: Sample, select_moment_ms: Callable[[RequestPhases], float | None]) -> float | None:
    """Return the time in ms from a moment of a request over a WebSocket to its first audio.

    `None` if either time is missing, or the request was not sent over a WebSocket.
    """
    latency, phases = sample.latency, sample.request_phases
    if latency is None or latency.ttfa_ms is None or phases is None or phases.http_version != WEBSOCKET_VERSION:
        return None
    moment_ms = select_moment_ms(phases)
    return None if moment_ms is None else latency.ttfa_ms - moment_ms


def _summarize_interruptions(interruptions: Sequence[tuple[str, Interruption]]) -> InterruptionSummary | None:
    if not interruptions:
        return None
    last = [(text, one.last_audio_ms or 0.0) for text, one in interruptions]
    late = [(text, one.late_audio_s) for text, one in interruptions if one.late_audio_s is not None]
    following = [(text, one.next_audio_ms) for text, one in interruptions if one.next_audio_ms is not None]
    return InterruptionSummary(
        interruption_count=len(interruptions),
        last_audio_ms=estimate_median(last),
        last_audio_max_ms=max(value for _, value in last),
        late_audio_s=estimate_median(late),
        next_audio_ms=estimate_median(following),
        next_audio_max_ms=max((value for _, value in following), default=None),
        silent_count=len(interruptions) - len(following),
    )


def describe_sockets(summary: SocketSummary) -> list[str]:
    """Return how a target reacted to interruptions, and when it ended the turns of streamed recordings, if it did."""
    found = [_describe_interruptions(summary.interruptions)] if summary.interruptions is not None else []
    found += [_describe_transcript_timing(summary.transcript_timing)] if summary.transcript_timing is not None else []
    return found


def _describe_interruptions(summary: InterruptionSummary) -> str:
    """Return how a target reacted to interruptions, as medians with the worst in brackets."""
    last, late, following = (
        None if one is None else one.value
        for one in (summary.last_audio_ms, summary.late_audio_s, summary.next_audio_ms)
    )
    text = f"{format_count(summary.interruption_count, 'interruption')}: last audio {last or 0:.0f} ms"
    text += f" ({summary.last_audio_max_ms:.0f}) after the cancellation"
    if late is not None:
        text += f", {late:.2f} s of speech too late"
    if following is not None:
        text += f", next turn speaks after {following:.0f} ms ({summary.next_audio_max_ms or 0:.0f})"
    return text + (f", {format_count(summary.silent_count, 'time')} not" if summary.silent_count else "")


def _describe_transcript_timing(summary: TranscriptTimingSummary) -> str:
    """Return in words how long after the speech a target ended turns, and how many it cut early or never ended.

    For each silence that an agent may wait for before it answers, the median delay of its answers and the share of
    turns that it cuts early follow.
    """
    delay = "never" if summary.final_delay_ms is None else f"{summary.final_delay_ms.value:.0f} ms after the speech"
    text = f"{format_count(summary.recording_count, 'streamed recording')}: the turn ends {delay}"
    text += f", {summary.cut_early_count} cut early, {summary.never_ended_count} never ended"
    if summary.flip_share is not None:
        text += f", {summary.flip_share:.1%} of words taken back"
    points = [
        f"{one.wait_ms:.0f} ms: {'never' if one.delay_p50_ms is None else f'{one.delay_p50_ms:.0f} ms'}, "
        f"{one.cut_early_share:.0%} cut"
        for one in summary.curve
    ]
    return f"{text}; answers of an agent that waits for {'; '.join(points)}"
