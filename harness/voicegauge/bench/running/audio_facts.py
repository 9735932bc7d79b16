"""What was received, measured: after the last request, so that decoding disturbs no timing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from voicegauge.bench.running.playback import first_audio_ms, with_playback
from voicegauge.contract import BaseTarget
from voicegauge.contract.extension import ResponseAudio
from voicegauge.errors import DataError
from voicegauge.model import AudioFacts, Sample
from voicegauge.speech.audio import EncodedAudio, PlaybackTimeline, RawAudioFormat


def measure_audio(
    folder: Path,
    samples: Iterable[Sample],
    targets: Mapping[str, BaseTarget],
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
    known: dict[AudioFacts, _Measured] = {}
    measured = []
    for sample in samples:
        if sample.audio is not None and sample.audio not in known:
            known[sample.audio] = _facts(folder, sample.audio, targets.get(sample.target))
        measured.append(_with(sample, known[sample.audio]) if sample.audio is not None else sample)
        on_sample()
    return tuple(measured)


class _Measured(NamedTuple):
    facts: AudioFacts
    timeline: PlaybackTimeline | None
    """Of audio that can be decoded."""


def _facts(folder: Path, kept: AudioFacts, target: BaseTarget | None) -> _Measured:
    path = folder / kept.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    audio = EncodedAudio(data, media_type=kept.media_type, raw_format=_declared(target))
    return _Measured(audio.facts(kept.file), audio.playback_timeline)


def _with(sample: Sample, found: _Measured) -> Sample:
    latency, streaming, lead_s = sample.latency, sample.streaming, found.facts.leading_silence_s
    if latency is not None and latency.ttfa_ms is not None and lead_s is not None:
        first_ms, heard_ms = latency.ttfa_ms, latency.ttfa_ms + lead_s * 1000
        if streaming is not None and found.timeline is not None:
            first_ms = first_audio_ms(streaming, found.timeline)
            streaming, heard_ms = with_playback(streaming, found.timeline, lead_s)
        latency = msgspec.structs.replace(latency, ttfa_ms=first_ms, ttfs_ms=heard_ms)
    return msgspec.structs.replace(sample, audio=found.facts, latency=latency, streaming=streaming)


def _declared(target: BaseTarget | None) -> RawAudioFormat | None:
    place = _audio_place(target)
    if place is None or place.format is None or place.sample_rate_hz is None:
        return None
    return RawAudioFormat(format=place.format, sample_rate_hz=place.sample_rate_hz, channels=place.channels)


def _audio_place(target: BaseTarget | None) -> ResponseAudio | None:
    if target is None:
        return None
    if target.answer.audio is not None:
        return target.answer.audio
    operation = target.job_operation
    return operation.job.audio if operation and operation.job else None
