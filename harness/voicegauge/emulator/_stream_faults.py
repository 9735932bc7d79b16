"""Faults of event streams."""

from __future__ import annotations

from dataclasses import replace

from voicegauge.contract.contract import Operation, Target
from voicegauge.emulator._fault import Fault
from voicegauge.emulator._response import StreamPiece

_STALL_TO_MAX_GAP_RATIO = 1.2
"""Ratio of an injected stall to the longest documented gap. The stall is noticeable but does not slow tests down."""
_UNKNOWN_EVENT_TYPE = "heartbeat-v2"


def _find_audio_piece_indices(operation: Operation, pieces: list[StreamPiece]) -> list[int]:
    spec = operation.stream
    return [i for i, piece in enumerate(pieces) if spec is not None and piece.event_type == spec.audio.event_type]


def drop_audio_event(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """Drop the second-to-last audio event, so that the numbers of the audio events have a gap."""
    at = _find_audio_piece_indices(operation, pieces)[-2:-1]
    return [piece for i, piece in enumerate(pieces) if i not in at]


def move_first_event_last(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """Move the first event to the end."""
    return [*pieces[1:], pieces[0]] if operation.stream is not None else pieces


def truncate_stream(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """End the stream after half of its audio events, without a final event."""
    at = _find_audio_piece_indices(operation, pieces)
    return pieces[: at[len(at) // 2] + 1] if at else pieces


def stall_stream(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """Delay the last audio event beyond the longest documented gap."""
    spec, at = operation.stream, _find_audio_piece_indices(operation, pieces)
    if spec is None or spec.max_gap_s is None or not at:
        return pieces
    late = replace(pieces[at[-1]], stall_s=spec.max_gap_s * _STALL_TO_MAX_GAP_RATIO)
    return [*pieces[: at[-1]], late, *pieces[at[-1] + 1 :]]


def add_unknown_event(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """Insert an event of an undocumented type."""
    return (
        [pieces[0], StreamPiece(0.0, _UNKNOWN_EVENT_TYPE, {}), *pieces[1:]] if operation.stream is not None else pieces
    )


def wrap_event_data(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """Wrap the data of every event whose data has a documented schema in an object, as its only member, "data"."""
    spec = operation.stream
    described = (
        [name for name, event in spec.events.items() if event.data_schema is not None] if spec is not None else []
    )
    return [
        replace(piece, event_data={"data": piece.event_data}) if piece.event_type in described else piece
        for piece in pieces
    ]


def corrupt_audio(operation: Operation, pieces: list[StreamPiece]) -> list[StreamPiece]:
    """Make the audio of every event undecodable."""
    at = _find_audio_piece_indices(operation, pieces)
    return [replace(piece, is_audio_corrupt=True) if i in at else piece for i, piece in enumerate(pieces)]


def streams_events(target: Target) -> bool:
    """Whether the target responds with a stream of events."""
    return target.stream is not None


def has_event_before_audio(target: Target) -> bool:
    """Whether an event precedes the audio."""
    spec = target.stream
    return spec is not None and next(iter(spec.events)) != spec.audio.event_type


def has_numbered_events(target: Target) -> bool:
    """Whether audio events are numbered."""
    spec = target.stream
    return spec is not None and spec.audio.sequence_number_location is not None


def documents_max_event_gap(target: Target) -> bool:
    """Whether the contract documents the maximum gap between two events."""
    spec = target.stream
    return spec is not None and spec.max_gap_s is not None


def has_event_data_schema(target: Target) -> bool:
    """Whether the contract documents a schema for the data of at least one event."""
    spec = target.stream
    return spec is not None and any(event.data_schema is not None for event in spec.events.values())


STREAM_FAULTS = (
    Fault(
        id="stream-event-missing",
        description="One audio event is missing from a stream.",
        change_stream_pieces=drop_audio_event,
        applies_to=has_numbered_events,
    ),
    Fault(
        id="stream-reordered",
        description="The first event of a stream is sent last.",
        change_stream_pieces=move_first_event_last,
        applies_to=has_event_before_audio,
    ),
    Fault(
        id="stream-truncated",
        description="A stream ends in the middle, without its final event.",
        change_stream_pieces=truncate_stream,
        applies_to=streams_events,
    ),
    Fault(
        id="stream-stalled",
        description="A gap in a stream is longer than documented.",
        change_stream_pieces=stall_stream,
        applies_to=documents_max_event_gap,
    ),
    Fault(
        id="stream-unknown-event",
        description="A stream contains an undocumented event.",
        change_stream_pieces=add_unknown_event,
        applies_to=streams_events,
    ),
    Fault(
        id="stream-wrong-data",
        description="The data of stream events does not have the documented shape.",
        change_stream_pieces=wrap_event_data,
        applies_to=has_event_data_schema,
    ),
    Fault(
        id="stream-unreadable-audio",
        description="The audio in stream events cannot be decoded.",
        change_stream_pieces=corrupt_audio,
        applies_to=streams_events,
    ),
)
