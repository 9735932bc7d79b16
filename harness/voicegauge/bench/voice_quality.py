"""Measures how the voices of a run sound, beside their words: ratings, similarity to the voice sample, and steadiness.

- Predicted ratings are those that listeners would give.
- The voice sample is the one that targets were to clone.
- Steadiness is how little deliveries of one text differ: in duration, pace, pitch, level and words. A benchmark with
  several repetitions or sessions requests each text several times. A voice that is hardly steady needs more samples in
  every other measure, and a text that sounds right once may not do so the next time. Nothing is measured again: all
  numbers come from the saved samples and their transcripts. Clips that are known to be wrong do not count, as in every
  measure of a voice: the same noise or the same half of a text each time is not steady speech, and one wrong clip among
  right ones is a wrong clip, which is counted as such.
"""

from __future__ import annotations

import base64
import itertools
import math
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from voicegauge.bench._transcription_workers import AudioClip, TranscriptCacheKey, list_delivered_clips
from voicegauge.bench.estimates import Estimate, estimate_mean
from voicegauge.bench.target_samples import LeftOutClips, ScoredSamples, VoiceSamples, select_voice_samples
from voicegauge.errors import DataError
from voicegauge.files import read_file
from voicegauge.model.base import Count, Number, Provenance, Record
from voicegauge.model.run import OtherSpeaker, QualitySet, Run, VoiceSet
from voicegauge.model.sample import AudioFacts, MeasuredVoice, QualityPrediction, Sample, Score
from voicegauge.printable_text import format_count
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.decoding import DecodedAudio, Samples, UndecodableAudioError, decode
from voicegauge.speech.espeak import has_synthesizer, synthesize
from voicegauge.speech.sound_quality import (
    PredictedQuality,
    get_quality_method,
    predict_quality,
    require_quality_models,
)
from voicegauge.speech.transcripts import split_into_units
from voicegauge.speech.voice_encoder import (
    FloatArray,
    VoiceEncoder,
    VoiceScale,
    VoiceVerdict,
    build_voice_scale,
    encode_voice_sample,
    judge_similarities,
)


class QualitySummary(Record, frozen=True, kw_only=True):
    """Mean predicted ratings of the voice of one target, from 1 (bad) to 5 (excellent).

    They are `None` if no clip counts.
    """

    method: str
    """Method with its version and the start of the hash of its models. Ratings by other methods are not comparable."""
    speech: Estimate | None
    """Rating of the speech itself (SIG of ITU-T P.835)."""
    background: Estimate | None
    """Rating of the background (BAK of P.835)."""
    overall: Estimate | None
    """Overall rating (OVRL of P.835)."""
    p808: Estimate | None
    """Overall rating by the model of ITU-T P.808."""
    left_out: LeftOutClips = LeftOutClips()
    """How many clips do not count, by reason."""


def predict_run_quality(
    run_folder: Path, run: Run, *, report_progress: Callable[[int, int], None] | None = None
) -> QualitySet:
    """Return the predicted ratings of the samples of a run.

    Args:
        run_folder: folder of the run, with its audio.
        run: the run. Warm-up samples and failed ones are left out, as is audio that cannot be decoded.
        report_progress: called after each different clip, with their number so far and the number of all of them;
            `None` for no reports.

    Raises:
        MissingExtraError: the extra "quality" is not installed.
        DataError: an audio file of the run is missing or was changed.
    """
    require_quality_models()
    ratings = _measure_clips(
        run_folder,
        run,
        lambda audio: predict_quality(audio.samples, audio.sample_rate_hz) if len(audio.samples) else None,
        report_progress,
    )
    return QualitySet(
        method=get_quality_method(),
        predictions=tuple(QualityPrediction(sample_id=sample.id, **rated._asdict()) for sample, rated in ratings),
    )


MeasureT = TypeVar("MeasureT")


def _measure_clips(
    run_folder: Path,
    run: Run,
    measure: Callable[[DecodedAudio], MeasureT | None],
    report_progress: Callable[[int, int], None] | None,
) -> list[tuple[Sample, MeasureT]]:
    """Return what `measure` returns for the audio of each counted sample; each different clip is measured once.

    Samples without audio that can be decoded are left out, and those for which it returns `None`.
    """
    clips = list_delivered_clips(run_folder, run)
    unique = {clip.cache_key: clip for _, clip in clips}

    def measure_clip(clip: AudioClip) -> MeasureT | None:
        decoded = EncodedAudio.from_facts(clip.read(), clip.audio_facts).decoded_audio
        return None if decoded is None else measure(decoded)

    found: dict[TranscriptCacheKey, MeasureT | None] = {}
    # Threads are enough to use all processors: neither the models nor products of matrices hold Python's lock.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for key, measured in zip(unique, pool.map(measure_clip, unique.values()), strict=True):
                found[key] = measured
                if report_progress is not None:
                    report_progress(len(found), len(unique))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [(sample, one) for sample, clip in clips if (one := found[clip.cache_key]) is not None]


def summarize_predicted_quality(voice: VoiceSamples, quality: QualitySet | None) -> QualitySummary | None:
    """Return the mean ratings of the voice of one target; `None` if none was predicted, or if `quality` is `None`."""
    if quality is None:
        return None
    text_ids = {sample.id: sample.text_id for sample in voice.samples}
    predictions_with_text = [(text_ids[one.sample_id], one) for one in quality.predictions if one.sample_id in text_ids]
    # The models are regressions, which may leave the scale, and the mean is estimated from values above 0.
    speech, background, overall, p808 = (
        estimate_mean([(text_id, max(getattr(one, name), 0.0)) for text_id, one in predictions_with_text])
        for name in PredictedQuality._fields
    )
    if not predictions_with_text and not voice.left_out:
        return None
    return QualitySummary(
        method=quality.method,
        speech=speech,
        background=background,
        overall=overall,
        p808=p808,
        left_out=voice.left_out,
    )


def describe_predicted_quality(summary: QualitySummary) -> str:
    """Return the mean predicted ratings of one target in one line."""
    if summary.p808 is None:
        return f"no clip has a predicted rating{summary.left_out.describe()} ({summary.method})"
    ratings = ", ".join(
        f"{name} {estimate.value:.2f}"
        for name, estimate in (
            ("speech", summary.speech),
            ("background", summary.background),
            ("overall", summary.overall),
            ("P.808", summary.p808),
        )
        if estimate is not None
    )
    clips = f"{format_count(summary.p808.sample_count, 'clip')}{summary.left_out.describe()}"
    return f"predicted mean rating of {clips} from 1 to 5: {ratings} ({summary.method})"


ESPEAK_SPEAKERS = ("f4", "m2", "m6", "klatt", "Andy", "linda", "rob", "belinda", "Denis", "boris", "zac", "UniRobot")
"""Variants of espeak-ng that speak the texts of a run as other speakers."""
TEXTS_PER_OTHER_SPEAKER = 3
"""Number of texts of the run that each other speaker speaks."""
MIN_CLIPS_OF_OTHER_SPEAKER = 3
"""Smallest number of clips of another speaker whose voice is used; fewer are enough if the run has fewer clips."""
_ESPEAK_SAMPLE_RATE_HZ, _ESPEAK_WORDS_PER_MINUTE, _ESPEAK_PITCH = 16_000, 165, 50
"""Sample rate, speaking rate and pitch of the speakers of espeak-ng."""


class VoiceSummary(Record, frozen=True, kw_only=True):
    """Whether the samples of one target have the voice of the voice sample."""

    method: str
    """The encoder of voices. Similarities by other encoders are not comparable."""
    verdict: VoiceVerdict
    """Whether the voice is that of the sample, another one, or cannot be separated from either."""
    similarity: Number | None
    """Mean similarity: 0 for other speakers of the same texts, 1 for the sample itself; `None` without a scale."""
    similarity_low: Number | None
    """Lower end of the 95% interval of the mean, by text; `None` if there are too few texts."""
    similarity_high: Number | None
    """Upper end of the same interval; `None` if there are too few texts."""
    clip_count: Count
    """Number of different clips of the target with enough speech."""
    text_count: Count
    """Number of texts of these clips. The clips of a text count as one value, their mean: they are not
    independent of each other, and may be one recording in several files."""
    left_out: LeftOutClips = LeftOutClips()
    """How many further clips do not count, by reason."""
    other_speaker_count: Count
    """Number of other speakers, who define the similarity 0."""
    explanation: str = ""
    """Why the voice is not separable; empty for another verdict."""


def compare_run_voices(
    run_folder: Path, run: Run, encoder: VoiceEncoder, *, report_progress: Callable[[int, int], None] | None = None
) -> VoiceSet:
    """Return the voices of the samples of a run, and their similarity to its voice sample.

    Args:
        run_folder: folder of the run, with its audio.
        run: the run. Warm-up samples and failed ones are left out, as is audio with too little speech.
        encoder: computes the vectors of voices.
        report_progress: called after each different clip, with their number so far and the number of all of them;
            `None` for no reports.

    Raises:
        DataError: an audio file of the run is missing or was changed.
    """
    vectors = _measure_clips(
        run_folder, run, lambda audio: encoder.encode(audio.samples, audio.sample_rate_hz), report_progress
    )
    scale = _measure_similarity_scale(run_folder, run, vectors, encoder)
    note = scale if isinstance(scale, str) else scale.explain_why_unusable() or ""
    usable = None if isinstance(scale, str) or note else scale
    cloning = {target.id for target in run.manifest.targets if target.clones_voice}
    return VoiceSet(
        method=encoder.method,
        voices=tuple(_build_measured_voice(sample, vector, usable, cloning) for sample, vector in vectors),
        sample_cosines=() if isinstance(scale, str) else scale.ceiling,
        other_speakers=()
        if isinstance(scale, str)
        else tuple(OtherSpeaker(name=name, cosine=cosine) for name, cosine in scale.floor_by_speaker.items()),
        note=note,
    )


def _build_measured_voice(
    sample: Sample, vector: FloatArray, scale: VoiceScale | None, cloning_target_ids: set[str]
) -> MeasuredVoice:
    is_placed = scale is not None and sample.target in cloning_target_ids
    return MeasuredVoice(
        sample_id=sample.id,
        # 16 bits take half of the space of 32 in run.json, and change a cosine by less than 0.001.
        vector=base64.b64encode(vector.astype("<f2").tobytes()).decode(),
        similarity=scale.compute_similarity(float(scale.reference @ vector))
        if scale is not None and is_placed
        else None,
    )


def read_voice_vector(voice: MeasuredVoice) -> FloatArray:
    """Return the vector of a saved voice, of shape (embedding,).

    Raises:
        DataError: the vector is damaged.
    """
    try:
        vector = np.frombuffer(base64.b64decode(voice.vector, validate=True), "<f2").astype(np.float32)
    except ValueError as error:
        raise DataError(f"the voice of sample {voice.sample_id} is damaged: score the run again") from error
    if not len(vector) or not np.isfinite(vector).all():
        raise DataError(f"the voice of sample {voice.sample_id} is damaged: score the run again")
    return vector


def _measure_similarity_scale(
    run_folder: Path, run: Run, vectors: Sequence[tuple[Sample, FloatArray]], encoder: VoiceEncoder
) -> VoiceScale | str:
    """Return the scale of similarities to the voice sample of a run, or why there is none."""
    if not any(target.clones_voice for target in run.manifest.targets):
        return "no target of the run clones a voice"
    if run.manifest.voice_sample_path is None:
        return "the run has no file of the voice sample: its target fetched a URL, or an older version saved the run"
    encoded = _encode_sample_of_run(run_folder, run.manifest.voice_sample_path, encoder)
    if encoded is None:
        return "the voice sample has too little speech"
    speakers = defaultdict[str, list[FloatArray]](list)
    for name, vector in _iterate_other_speakers(run, vectors, encoder):
        speakers[name].append(vector)
    usable_speakers = {
        name: clips for name, clips in speakers.items() if len(clips) >= min(MIN_CLIPS_OF_OTHER_SPEAKER, len(vectors))
    }
    return build_voice_scale(*encoded, usable_speakers)


def _encode_sample_of_run(
    run_folder: Path, relative_path: str, encoder: VoiceEncoder
) -> tuple[FloatArray, tuple[float, ...]] | None:
    path = (run_folder / relative_path).resolve()
    if not path.is_relative_to(run_folder.resolve()):
        raise DataError(f"{run_folder}: the run names a voice sample outside its folder: {relative_path}")
    try:
        decoded = decode(read_file(path))
    except OSError as error:
        raise DataError(f"{path}: the voice sample of the run cannot be read: {error.strerror}") from error
    except UndecodableAudioError as error:
        raise DataError(f"{path}: the voice sample of the run cannot be decoded: {error}") from error
    return encode_voice_sample(encoder, decoded.samples, decoded.sample_rate_hz)


def _iterate_other_speakers(
    run: Run, vectors: Sequence[tuple[Sample, FloatArray]], encoder: VoiceEncoder
) -> Iterator[tuple[str, FloatArray]]:
    """Yield names and voice vectors of speakers other than the one of the voice sample, who speak texts of the run.

    They are the live targets that clone no voice, and voices of espeak-ng. The emulator's other targets all speak in
    one voice, which is nearly that of the bundled sample, so they are no other speakers.
    """
    if run.manifest.provenance is Provenance.LIVE and not run.manifest.is_rehearsal:
        cloning = {target.id for target in run.manifest.targets if target.clones_voice}
        speaking = {one.id for one in select_voice_samples((sample for sample, _ in vectors), run.listening).samples}
        yield from (
            (sample.target, vector)
            for sample, vector in vectors
            if sample.target not in cloning and sample.id in speaking
        )
    if not has_synthesizer():
        return
    texts = {sample.text: sample.language for sample, _ in vectors}
    for text, language in list(texts.items())[:TEXTS_PER_OTHER_SPEAKER]:
        for variant in ESPEAK_SPEAKERS:
            samples = _synthesize_in_espeak_variant(text, language, variant)
            vector = None if samples is None else encoder.encode(samples, _ESPEAK_SAMPLE_RATE_HZ)
            if vector is not None:
                yield f"espeak-ng {variant}", vector


def _synthesize_in_espeak_variant(text: str, language: str, variant: str) -> Samples | None:
    """Return a text in a voice of espeak-ng; `None` if it lacks the language, or if the text is too long."""
    try:
        return synthesize(
            text,
            language=language,
            voice_variant=variant,
            words_per_minute=_ESPEAK_WORDS_PER_MINUTE,
            pitch=_ESPEAK_PITCH,
            sample_rate_hz=_ESPEAK_SAMPLE_RATE_HZ,
            seed=0,
        )
    except ValueError:
        return None


def summarize_voices(voice: VoiceSamples, voices: VoiceSet | None, *, clones_voice: bool) -> VoiceSummary | None:
    """Return whether a target speaks with the voice of the voice sample; `None` if it clones none.

    It is also `None` if the voices of the run were not compared (`voices` is `None`).
    """
    if voices is None or not clones_voice:
        return None
    text_ids = {sample.id: sample.text_id for sample in voice.samples}
    own_voices = [one for one in voices.voices if one.sample_id in text_ids]
    similarities_by_text = defaultdict[str, list[float]](list)
    for one in own_voices:
        if one.similarity is not None:
            similarities_by_text[text_ids[one.sample_id]].append(one.similarity)
    means = [float(np.mean(similarities)) for similarities in similarities_by_text.values()]
    comparison = judge_similarities(means, voices.note or None)
    return VoiceSummary(
        method=voices.method,
        verdict=comparison.verdict,
        similarity=comparison.similarity,
        similarity_low=comparison.low,
        similarity_high=comparison.high,
        clip_count=len(own_voices),
        text_count=len({text_ids[one.sample_id] for one in own_voices}),
        left_out=voice.left_out,
        other_speaker_count=len(voices.other_speakers),
        explanation=comparison.explanation,
    )


def describe_voice(summary: VoiceSummary) -> str:
    """Return in one line whether a target speaks with the voice of the voice sample."""
    verdict = {
        "same voice": "the voice of the sample",
        "another voice": "not the voice of the sample",
        "not separable": "not known whether it is the voice of the sample",
    }[summary.verdict]
    reason = f": {summary.explanation}" if summary.explanation else ""
    if summary.similarity is None:
        return f"{verdict}{reason}{summary.left_out.describe()} ({summary.method})"
    of_texts = "" if summary.clip_count == summary.text_count else f" of {format_count(summary.text_count, 'text')}"
    clips = f"{format_count(summary.clip_count, 'clip')}{of_texts}{summary.left_out.describe()}"
    interval = (
        ""
        if summary.similarity_low is None or summary.similarity_high is None
        else f" [{summary.similarity_low:.2f}, {summary.similarity_high:.2f}]"
    )
    return (
        f"{verdict}{reason}; similarity {summary.similarity:.2f}{interval} of {clips}, where "
        f"{summary.other_speaker_count} other speakers are at 0 and the sample itself is at 1 ({summary.method})"
    )


# Measures how much deliveries of one text by one target differ.


DeliveryMeasure = Literal["duration", "pace", "pitch", "level", "words"]
"""What is compared between two deliveries of one text."""
DELIVERY_MEASURES: tuple[DeliveryMeasure, ...] = ("duration", "pace", "pitch", "level", "words")
"""All measures, in the order in which they are described."""
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
    """Number of these texts whose deliveries are all the same file: the service caches its audio, or always generates
    the same."""
    wrong_count: Count = 0
    """Number of further deliveries, of all texts, whose clips are known to be wrong and therefore do not count."""
    duration: Estimate | None
    """Difference of the durations of the audio, relative (0.02 is 2%)."""
    pace: Estimate | None
    """Difference of the paces, relative. They are compared by the time from the first to the last sound, without the
    longest pause."""
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
    # With wrong clips: if the repeated ones are all wrong, the summary says so instead of being left out.
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
    """Return the mean share of the words (or characters) in which two transcripts differ.

    Neither transcript is the right one, so the longer of the two counts as the whole.
    """
    from rapidfuzz.distance import Levenshtein

    # jiwer counts the same errors (it is built on RapidFuzz), but normalizes and aligns both texts of each pair again.
    transcripts = [split_into_units(one.hypothesis, one.unit) for one in scores[:MAX_COMPARED_TRANSCRIPTS_PER_TEXT]]
    shares = [Levenshtein.normalized_distance(one, other) for one, other in itertools.combinations(transcripts, 2)]
    return sum(shares) / len(shares)
