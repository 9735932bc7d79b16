"""What was received, measured: after the last request, so that decoding disturbs no timing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from voicegauge.contract import Target
from voicegauge.contract.extension import AudioPlace
from voicegauge.errors import DataError
from voicegauge.model import Sample
from voicegauge.speech.audio import RawAudio, facts


def measure_audio(
    folder: Path,
    samples: Iterable[Sample],
    targets: Mapping[str, Target],
    on_sample: Callable[[], None] = lambda: None,
) -> tuple[Sample, ...]:
    """The samples with what can be measured on their audio, and the time to the first audible speech.

    Args:
        folder: of the run.
        samples: as they were journaled.
        targets: by id; say what raw audio is.
        on_sample: called after each.

    Raises:
        DataError: a file of the run is missing.
    """
    measured = []
    for sample in samples:
        measured.append(_measured(folder, sample, targets.get(sample.target)))
        on_sample()
    return tuple(measured)


def _measured(folder: Path, sample: Sample, target: Target | None) -> Sample:
    if sample.audio is None or sample.audio.container is not None:
        return sample
    path = folder / sample.audio.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    found, _ = facts(data, file=sample.audio.file, media_type=sample.audio.media_type, declared=_declared(target))
    latency = sample.latency
    if latency is not None and latency.ttfa_ms is not None and found.leading_silence_s is not None:
        latency = msgspec.structs.replace(latency, ttfs_ms=latency.ttfa_ms + found.leading_silence_s * 1000)
    return msgspec.structs.replace(sample, audio=found, latency=latency)


def _declared(target: Target | None) -> RawAudio | None:
    place = _audio_place(target)
    if place is None or place.format is None or place.sample_rate_hz is None:
        return None
    return RawAudio(format=place.format, sample_rate_hz=place.sample_rate_hz, channels=place.channels)


def _audio_place(target: Target | None) -> AudioPlace | None:
    if target is None:
        return None
    if target.answer.audio is not None:
        return target.answer.audio
    operation = target.job_operation
    return operation.job.audio if operation and operation.job else None
