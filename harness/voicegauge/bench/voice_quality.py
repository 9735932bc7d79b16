"""Measures how the voices of a run sound, beside their words: predicted ratings, and similarity to the voice sample.

Predicted ratings are those that listeners would give. The voice sample is the one that targets were to clone.
"""

from __future__ import annotations

import base64
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from voicegauge.bench._transcription_workers import AudioClip, TranscriptCacheKey, list_delivered_clips
from voicegauge.bench.estimates import Estimate, estimate_mean
from voicegauge.bench.target_samples import LeftOutClips, VoiceSamples, select_voice_samples
from voicegauge.errors import DataError
from voicegauge.files import read_file
from voicegauge.model.base import Count, Number, Provenance, Record
from voicegauge.model.run import OtherSpeaker, QualitySet, Run, VoiceSet
from voicegauge.model.sample import MeasuredVoice, QualityPrediction, Sample
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
    """Number of clips that do not count."""


def predict_run_quality(
    run_folder: Path, run: Run, *, report_progress: Callable[[int, int], None] | None = None
) -> QualitySet:
    """Return the predicted ratings of the samples of a run.

    Args:
        run_folder: folder of the run, with its audio.
        run: the run. Warm-up samples and failed ones are left out, as is audio that cannot be decoded.
        report_progress: called after each different clip, with their number so far and the number of all of them.

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
    """Return the mean ratings of the voice of one target; `None` if none was predicted."""
    if quality is None:
        return None
    text_ids = {sample.id: sample.text_id for sample in voice.samples}
    predictions_with_text = [(text_ids[one.sample_id], one) for one in quality.predictions if one.sample_id in text_ids]
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
"""Smallest number of clips of another speaker; of as many as the run has, if it has fewer."""
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
    """Upper end of the same interval."""
    clip_count: Count
    """Number of different clips of the target with enough speech."""
    text_count: Count
    """Number of texts of these clips. The clips of a text count as one value, their mean: they are not
    independent of each other, and may be one recording in several files."""
    left_out: LeftOutClips = LeftOutClips()
    """Number of further clips, which do not count."""
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
        report_progress: called after each different clip, with their number so far and the number of all of them.

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
    """Return whether a target speaks with the voice of the voice sample; `None` if it clones none."""
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
