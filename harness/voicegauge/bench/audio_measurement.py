"""Measures the audio of a run after its last request, and predicts how listeners would rate it.

A sample whose audio cannot be used counts as failed, like a sample without audio.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

from voicegauge.bench._latency import add_playback_measurements, find_first_audio_ms
from voicegauge.bench._transcription_workers import AudioClip
from voicegauge.bench.estimates import Estimate, estimate_mean
from voicegauge.bench.target_samples import LeftOutClips, VoiceSamples
from voicegauge.contract.contract import BaseTarget, Target
from voicegauge.contract.extension.speech import AudioFormat, ResponseAudio, SpeechField
from voicegauge.errors import DataError
from voicegauge.files import read_file, require_files_in_folder
from voicegauge.model.base import Record
from voicegauge.model.exchange import Failure
from voicegauge.model.run import QualitySet, Run
from voicegauge.model.sample import AudioFacts, QualityPrediction, Sample
from voicegauge.printable_text import format_count
from voicegauge.rules.call import find_documented_default
from voicegauge.speech.audio_measurement import FRAME_DURATION_S, EncodedAudio, PlaybackTimeline
from voicegauge.speech.containers import find_container_of_media_type, sniff_container
from voicegauge.speech.decoding import RawAudioFormat
from voicegauge.speech.encoding import find_container_of_format
from voicegauge.speech.sound_quality import (
    PredictedQuality,
    get_quality_method,
    measure_voice,
    predict_quality,
    require_quality_models,
)
from voicegauge.speech.speech_signal import measure_quality


def measure_audio(
    run_folder: Path,
    samples: Iterable[Sample],
    targets: Mapping[str, BaseTarget],
    on_sample: Callable[[], None] = lambda: None,
) -> tuple[Sample, ...]:
    """Return the samples with the measurements of their audio and the time to first audible speech.

    A sample becomes a failure if its audio cannot be decoded, or is longer than the decoder accepts. The work is
    distributed over all processors.

    Args:
        run_folder: folder of the run.
        samples: the samples as the journal lists them.
        targets: the targets by id; the contract of a target declares the encoding of raw audio.
        on_sample: called after each sample.

    Raises:
        DataError: an audio file of the run is missing.
    """
    measured = []
    # Threads are enough to use all processors: the decoders do not hold Python's lock.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        by_file: dict[AudioFacts, Future[_MeasuredAudio]] = {}
        samples = tuple(samples)
        for sample in samples:
            if sample.audio is not None and sample.audio not in by_file:
                by_file[sample.audio] = pool.submit(_measure_file, run_folder, sample.audio, targets.get(sample.target))
        try:
            for sample in samples:
                audio = by_file[sample.audio].result() if sample.audio is not None else None
                measured.append(sample if audio is None else _add_measurements(sample, audio))
                on_sample()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return tuple(measured)


_MAX_INSPECTED_BYTES = 1024
"""Number of bytes at the start of a body that are inspected to distinguish text from raw audio."""


class _MeasuredAudio(NamedTuple):
    """What was measured of the audio of one sample."""

    facts: AudioFacts
    timeline: PlaybackTimeline | None
    """When each part of the audio can be played; `None` for audio that could not be decoded."""
    failure: Failure | None
    """Why the audio cannot be used; `None` if it can be used."""


def _measure_file(run_folder: Path, saved_audio: AudioFacts, target: BaseTarget | None) -> _MeasuredAudio:
    path = run_folder / saved_audio.file_path
    require_files_in_folder([path], run_folder)
    try:
        data = read_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    audio = EncodedAudio(data, media_type=saved_audio.media_type, raw_format=_find_documented_raw_format(target))
    facts, decoded = audio.measure_facts(saved_audio.file_path), audio.decoded_audio
    if decoded is not None:
        quality = measure_quality(decoded.samples, decoded.sample_rate_hz, decoded.codec)
        voice = measure_voice(decoded.samples, decoded.sample_rate_hz)
        facts = msgspec.structs.replace(facts, **quality._asdict(), **voice._asdict())
    return _MeasuredAudio(facts, audio.playback_timeline, _find_audio_failure(audio))


def _find_audio_failure(audio: EncodedAudio) -> Failure | None:
    if audio.decode_error is None or _has_unknown_encoding(audio.media_type, audio.data):
        return None
    declared = f" (declared as {audio.media_type})" if audio.media_type else ""
    return Failure(kind="audio", message=f"the audio cannot be decoded: {audio.decode_error}{declared}")


def _has_unknown_encoding(media_type: str | None, data: bytes) -> bool:
    """Whether `data` is raw audio whose encoding no document states.

    Such audio cannot be decoded, which does not count as a failure of the sample.
    """
    head = data[:_MAX_INSPECTED_BYTES]
    is_text = head.isascii() and b"\0" not in head  # an error page; samples use all byte values, and silence is zeros
    return find_container_of_media_type(media_type) == "pcm" and sniff_container(data) is None and not is_text


def count_samples_with_unknown_encoding(samples: Iterable[Sample]) -> dict[str, int]:
    """Return, by target, the number of samples whose audio was not decoded because its encoding is not known."""
    return dict(
        Counter(one.target for one in samples if one.audio and not one.failure and one.audio.audio_duration_s is None)
    )


def is_clip_silent(sample: Sample) -> bool:
    """Whether the audio of a sample was decoded and contains nothing audible."""
    facts = sample.audio
    if facts is None or facts.audio_duration_s is None or facts.leading_silence_s is None:
        return False
    # The leading silence of a clip without an audible frame is the whole clip, up to the length of a frame.
    return facts.leading_silence_s >= facts.audio_duration_s - FRAME_DURATION_S


def describe_unexpected_formats(samples: Iterable[Sample], targets: Mapping[str, BaseTarget]) -> dict[str, str]:
    """Return, by target id, a text that says how many clips have another container than the documented format."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for sample in samples:
        target, facts = targets.get(sample.target), sample.audio
        documented = _find_default_audio_format(target) if isinstance(target, Target) else None
        expected = find_container_of_format(documented.codec) if documented is not None else None
        if facts is not None and facts.container and expected is not None and facts.container != expected:
            counts[sample.target, expected, facts.container] += 1
    clips: dict[str, list[str]] = {}
    for (name, expected, container), count in counts.items():
        clips.setdefault(name, []).append(f"{count} {'clip' if count == 1 else 'clips'} of {container}, not {expected}")
    return {name: ", ".join(texts) for name, texts in clips.items()}


def _add_measurements(sample: Sample, measured_audio: _MeasuredAudio) -> Sample:
    latency, streaming, silence_s = sample.latency, sample.streaming, measured_audio.facts.leading_silence_s
    if latency is not None and latency.ttfa_ms is not None and silence_s is not None:
        ttfa_ms, ttfs_ms = latency.ttfa_ms, latency.ttfa_ms + silence_s * 1000
        if streaming is not None and measured_audio.timeline is not None:
            ttfa_ms = find_first_audio_ms(streaming, measured_audio.timeline)
            streaming, ttfs_ms = add_playback_measurements(streaming, measured_audio.timeline, silence_s)
        latency = msgspec.structs.replace(latency, ttfa_ms=ttfa_ms, ttfs_ms=ttfs_ms)
    return msgspec.structs.replace(
        sample,
        audio=measured_audio.facts,
        latency=latency,
        streaming=streaming,
        failure=sample.failure or measured_audio.failure,
    )


def _find_documented_raw_format(target: BaseTarget | None) -> RawAudioFormat | None:
    """Return the encoding that the contract declares for audio without a header; `None` if it declares none."""
    if isinstance(target, Target):
        documented = _find_default_audio_format(target)
        if documented is not None and documented.sample_rate_hz is not None:
            return RawAudioFormat(
                format=documented.codec, sample_rate_hz=documented.sample_rate_hz, channels=documented.channels
            )
    spec = _find_response_audio(target)
    if spec is None or spec.format is None or spec.sample_rate_hz is None:
        return None
    return RawAudioFormat(format=spec.format, sample_rate_hz=spec.sample_rate_hz, channels=spec.channels)


def _find_default_audio_format(target: Target) -> AudioFormat | None:
    """Return what the contract states about the audio format that is received if a request names no format.

    It is the format that the contract sets for the target, otherwise the default of the operation; `None` if neither is
    documented.
    """
    mapping = target.speech.request_fields.get("format")
    if mapping is None:
        return None
    value = mapping.provider_values.get(target.target_spec.default_format or "", target.target_spec.default_format)
    if value is None:
        value = find_documented_default(target.operation, mapping.location, target.target_spec.request_media_type)
    audio_format = target.find_audio_format(value)
    if audio_format is None:
        return None
    return audio_format.replace_requested(
        container=_find_constant_or_default(target, "container"),
        sample_rate=_find_constant_or_default(target, "sample_rate"),
        bit_rate=_find_constant_or_default(target, "bit_rate"),
    )


def _find_constant_or_default(target: Target, field: SpeechField) -> object:
    """Return the value that benchmark requests send in a field, or its documented default, or `None`."""
    mapping = target.speech.request_fields.get(field)
    if mapping is None:
        return None
    default = find_documented_default(target.operation, mapping.location, target.target_spec.request_media_type)
    return target.target_spec.request_constants.get(mapping.location, default)


def _find_response_audio(target: BaseTarget | None) -> ResponseAudio | None:
    if isinstance(target, Target):
        return target.response_audio
    return target.response.audio if target is not None else None


MAX_NAMED_CLIPS = 3
"""Largest number of clips without their measured audio that a sentence names."""


def describe_damaged_audio(run_folder: Path, samples: Iterable[Sample]) -> str:
    """Return how many audio files of a run are missing or have changed since they were measured, and of which samples.

    The result is empty if all files are those that were measured.
    """
    sample_by_file = {sample.audio.file_path: sample for sample in samples if sample.audio is not None}
    damaged = []
    for path, sample in sample_by_file.items():
        try:
            AudioClip.of_sample(run_folder, sample).read()
        except DataError:
            damaged.append(f"{path} of {sample.id} ({'changed' if (run_folder / path).is_file() else 'missing'})")
    if not damaged:
        return ""
    more = f" and {len(damaged) - MAX_NAMED_CLIPS:,} more" if len(damaged) > MAX_NAMED_CLIPS else ""
    files = f"{len(damaged):,} of {format_count(len(sample_by_file), 'audio file')}"
    return f"{files} missing or changed since the measurement: {', '.join(damaged[:MAX_NAMED_CLIPS])}{more}"


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
    samples = [one for one in run.samples if one.is_counted and one.failure is None and one.audio is not None]
    clips = {clip.cache_key: clip for sample in samples if (clip := AudioClip.of_sample(run_folder, sample))}
    found = {}
    # Threads are enough to use all processors: the models do not hold Python's lock.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for key, rated in zip(clips, pool.map(_predict_clip_quality, clips.values()), strict=True):
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


def _predict_clip_quality(clip: AudioClip) -> PredictedQuality | None:
    decoded = EncodedAudio.from_facts(clip.read(), clip.audio_facts).decoded_audio
    if decoded is None or not len(decoded.samples):
        return None
    return predict_quality(decoded.samples, decoded.sample_rate_hz)


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
