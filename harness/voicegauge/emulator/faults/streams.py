"""Faults of streams of events."""

from __future__ import annotations

from dataclasses import replace

from voicegauge.contract import Operation, Target
from voicegauge.emulator.responses import StreamPiece

_STALL = 1.2
"""Times the longest pause that is allowed."""
_UNKNOWN = "heartbeat-v2"


def _audio_at(operation: Operation, pieces: list[StreamPiece]) -> list[int]:
    spec = operation.stream
    return [i for i, piece in enumerate(pieces) if spec is not None and piece.kind == spec.audio.event]


def event_missing(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """The last but one event with audio is gone."""
    at = _audio_at(operation, pieces)[-2:-1]
    return [piece for i, piece in enumerate(pieces) if i not in at]


def reordered(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """The first event comes last."""
    return [*pieces[1:], pieces[0]] if operation.stream is not None else pieces


def truncated(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """The answer ends, without its end, in the middle of the audio."""
    at = _audio_at(operation, pieces)
    return pieces[: at[len(at) // 2] + 1] if at else pieces


def stalled(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """The last event with audio comes later than it may."""
    spec, at = operation.stream, _audio_at(operation, pieces)
    if spec is None or spec.max_gap_s is None or not at:
        return pieces
    late = replace(pieces[at[-1]], late_s=spec.max_gap_s * _STALL)
    return [*pieces[: at[-1]], late, *pieces[at[-1] + 1 :]]


def unknown_event(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """An event comes that no document names."""
    return [pieces[0], StreamPiece(0.0, _UNKNOWN, {}), *pieces[1:]] if operation.stream is not None else pieces


def wrong_data(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """The data of every event is wrapped once more."""
    spec = operation.stream
    described = [name for name, event in spec.events.items() if event.schema is not None] if spec is not None else []
    return [replace(piece, value={"data": piece.value}) if piece.kind in described else piece for piece in pieces]


def unreadable_audio(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """What stands for audio is in no encoding."""
    at = _audio_at(operation, pieces)
    return [replace(piece, corrupt=True) if i in at else piece for i, piece in enumerate(pieces)]


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
