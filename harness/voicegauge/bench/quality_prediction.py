"""Predicts how listeners would rate the audio of a run, and summarizes it for each target."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from voicegauge.bench._transcription_workers import AudioClip
from voicegauge.bench.estimates import Estimate, estimate_mean
from voicegauge.model.base import Record
from voicegauge.model.run import QualitySet, Run
from voicegauge.model.sample import QualityPrediction, Sample
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.predicted_quality import (
    PredictedQuality,
    get_quality_method,
    predict_quality,
    require_quality_models,
)


class QualitySummary(Record, frozen=True, kw_only=True):
    """Mean predicted ratings of the samples of one target, from 1 (bad) to 5 (excellent)."""

    method: str
    """The method with its version and the start of the hash of its models. Ratings of others are not comparable."""
    speech: Estimate
    """Rating of the speech itself (SIG of ITU-T P.835)."""
    background: Estimate
    """Rating of the background (BAK of P.835)."""
    overall: Estimate
    """Overall rating (OVRL of P.835)."""
    p808: Estimate
    """Overall rating by the model of ITU-T P.808."""


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
    samples = [one for one in run.samples if one.is_counted and one.failure is None and one.audio is not None]
    clips = {clip.cache_key: clip for sample in samples if (clip := AudioClip.of_sample(run_folder, sample))}
    found = {}
    # Threads are enough to use all processors: the models do not hold Python's lock.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for key, rated in zip(clips, pool.map(_predict, clips.values()), strict=True):
                found[key] = rated
                if report_progress is not None:
                    report_progress(len(found), len(clips))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return QualitySet(
        method=get_quality_method(),
        predictions=tuple(
            QualityPrediction(sample_id=sample.id, **rated._asdict())
            for sample in samples
            if (rated := found[AudioClip.of_sample(run_folder, sample).cache_key]) is not None
        ),
    )


def _predict(clip: AudioClip) -> PredictedQuality | None:
    decoded = EncodedAudio.from_facts(clip.read(), clip.audio_facts).decoded_audio
    if decoded is None or not len(decoded.samples):
        return None
    return predict_quality(decoded.samples, decoded.sample_rate_hz)


def summarize_predicted_quality(samples: Iterable[Sample], quality: QualitySet | None) -> QualitySummary | None:
    """Return the mean ratings of samples of one target; `None` if none was predicted."""
    if quality is None:
        return None
    text_ids = {sample.id: sample.text_id for sample in samples}
    known = [(text_ids[one.sample_id], one) for one in quality.predictions if one.sample_id in text_ids]
    speech, background, overall, p808 = (
        estimate_mean([(text_id, max(getattr(one, name), 0.0)) for text_id, one in known])
        for name in PredictedQuality._fields
    )
    if not (speech and background and overall and p808):
        return None
    return QualitySummary(method=quality.method, speech=speech, background=background, overall=overall, p808=p808)


def describe_predicted_quality(summary: QualitySummary) -> str:
    """Return the mean predicted ratings of one target in one line."""
    ratings = ", ".join(
        f"{name} {estimate.value:.2f}"
        for name, estimate in (
            ("speech", summary.speech),
            ("background", summary.background),
            ("overall", summary.overall),
            ("P.808", summary.p808),
        )
    )
    return f"predicted mean rating of {summary.p808.sample_count} clips from 1 to 5: {ratings} ({summary.method})"
