"""Faults of streams of events."""

from __future__ import annotations

from dataclasses import replace

from voicegauge.contract import Operation, Target
from voicegauge.emulator.responses import Beat

_STALL = 1.2
"""Times the longest pause that is allowed."""
_UNKNOWN = "heartbeat-v2"


def _audio_at(operation: Operation, beats: list[Beat]) -> list[int]:
    spec = operation.stream
    return [i for i, beat in enumerate(beats) if spec is not None and beat.kind == spec.audio.event]


def event_missing(operation: Operation, beats: list[Beat]) -> list[Beat]:
    """The last but one event with audio is gone."""
    at = _audio_at(operation, beats)[-2:-1]
    return [beat for i, beat in enumerate(beats) if i not in at]


def reordered(operation: Operation, beats: list[Beat]) -> list[Beat]:
    """The first event comes last."""
    return [*beats[1:], beats[0]] if operation.stream is not None else beats


def truncated(operation: Operation, beats: list[Beat]) -> list[Beat]:
    """The answer ends, without its end, in the middle of the audio."""
    at = _audio_at(operation, beats)
    return beats[: at[len(at) // 2] + 1] if at else beats


def stalled(operation: Operation, beats: list[Beat]) -> list[Beat]:
    """The last event with audio comes later than it may."""
    spec, at = operation.stream, _audio_at(operation, beats)
    if spec is None or spec.max_gap_s is None or not at:
        return beats
    late = replace(beats[at[-1]], late_s=spec.max_gap_s * _STALL)
    return [*beats[: at[-1]], late, *beats[at[-1] + 1 :]]


def unknown_event(operation: Operation, beats: list[Beat]) -> list[Beat]:
    """An event comes that no document names."""
    return [beats[0], Beat(0.0, _UNKNOWN, {}), *beats[1:]] if operation.stream is not None else beats


def wrong_data(operation: Operation, beats: list[Beat]) -> list[Beat]:
    """The data of every event is wrapped once more."""
    spec = operation.stream
    described = [name for name, event in spec.events.items() if event.schema is not None] if spec is not None else []
    return [replace(beat, value={"data": beat.value}) if beat.kind in described else beat for beat in beats]


def unreadable_audio(operation: Operation, beats: list[Beat]) -> list[Beat]:
    """What stands for audio is in no encoding."""
    at = _audio_at(operation, beats)
    return [replace(beat, spoiled=True) if i in at else beat for i, beat in enumerate(beats)]


def streams(target: Target) -> bool:
    """Whether the target answers with events."""
    return target.operation.stream is not None


def has_order(target: Target) -> bool:
    """Whether something comes before the audio."""
    spec = target.operation.stream
    return spec is not None and next(iter(spec.events)) != spec.audio.event


def numbers(target: Target) -> bool:
    """Whether the events with audio are numbered."""
    spec = target.operation.stream
    return spec is not None and spec.audio.index is not None


def bounds_gaps(target: Target) -> bool:
    """Whether a longest pause is stated."""
    spec = target.operation.stream
    return spec is not None and spec.max_gap_s is not None


def describes_data(target: Target) -> bool:
    """Whether some event has data with required fields."""
    spec = target.operation.stream
    return spec is not None and any(event.schema is not None for event in spec.events.values())
