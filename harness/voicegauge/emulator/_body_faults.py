"""Faults of response bodies and of event streams."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.targets import Target
from voicegauge.emulator._fault import Fault, FaultCondition
from voicegauge.emulator._response import EmulatedResponse, StreamPiece
from voicegauge.emulator._response_bodies import build_default_body
from voicegauge.formats.locations import read_pointer

_MemberChanger = Callable[[Any, str], object]
"""Function that changes one member of an object so that the object becomes invalid."""


def _change_type(parent_object: Any, member_name: str) -> None:
    """Replace a string by a number, and any other value by an object."""
    value = parent_object[member_name]
    parent_object[member_name] = 12345 if isinstance(value, str) else {"value": value}


def _invalidate_response_body(response: EmulatedResponse, change_member: _MemberChanger) -> None:
    if response.kind == "error" or response.documented_media_type is None or not response.is_body_text_or_json:
        return
    response.body = invalidate_body(
        response.documented_media_type, response.body, change_member, _find_essential_field_paths(response)
    )


def invalidate_body(
    media_spec: MediaType, body: Any, change_member: _MemberChanger, essential_field_paths: frozenset[tuple[str, ...]]
) -> Any:
    """Return `body` with one field changed: the first one for which the result of `change_member` violates the schema.

    Fields at the paths `essential_field_paths` are tried last, so that clients can still follow the job if possible.
    If the schema allows every change, `body` is returned unchanged.
    """
    fields = sorted(_list_field_paths(body, ()), key=lambda path: path in essential_field_paths)
    for path in fields:
        candidate = copy.deepcopy(body)
        change_member(read_pointer(candidate, list(path[:-1])), path[-1])
        if next(media_spec.iterate_violations(candidate), None) is not None:
            return candidate
    return body


def _list_field_paths(value: Any, parent_path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*parent_path, key)
            yield from _list_field_paths(item, (*parent_path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:1]):
            yield from _list_field_paths(item, (*parent_path, str(index)))


def _find_essential_field_paths(response: EmulatedResponse) -> frozenset[tuple[str, ...]]:
    """Return the paths of the fields that clients need in order to follow a job."""
    target = response.target
    spec = target.job_operation.job if target is not None and target.job_operation is not None else None
    if spec is None:
        return frozenset()
    locations = [
        spec.job_id_location,
        spec.state_location,
        spec.submit_response.job_id_location,
        spec.submit_response.state_location,
        spec.submit_response.polling_url_location,
    ]
    locations += [spec.audio.location] if spec.audio is not None else []
    return frozenset(location.pointer_tokens for location in locations if location is not None and location.is_in_body)


def _create_field_fault(fault_id: str, description: str, change_member: _MemberChanger) -> Fault:
    """Return a fault of one field. It applies to a target if a documented response can be made invalid in this way."""

    def change_response(response: EmulatedResponse) -> None:
        _invalidate_response_body(response, change_member)

    def can_invalidate_response(target: Target) -> bool:
        operations = [target.operation, *([target.job_operation] if target.job_operation else [])]
        for operation in operations:
            for media in operation.success_response.media_types.values():
                body = build_default_body(media).initial_body
                response = EmulatedResponse(
                    "other", 200, copy.deepcopy(body), media.name, documented_media_type=media, operation=operation
                )
                change_response(response)
                if response.body != body:
                    return True
        return False

    condition = FaultCondition("a documented response has such a field", can_invalidate_response)
    return Fault(id=fault_id, description=description, change_response=change_response, applies_to=condition)


def replace_error_body_by_list(response: EmulatedResponse) -> None:
    """Replace an error body by a list."""
    if response.kind == "error":
        response.body, response.media_type = ["something went wrong"], response.media_type or "application/json"


def _has_error_body_schema(target: Target) -> bool:
    return any(
        media.schema_pointer is not None
        for status, spec in target.operation.responses.items()
        if not status.startswith("2")
        for media in spec.media_types.values()
    )


def remove_body(response: EmulatedResponse) -> None:
    """Send no body."""
    if response.kind != "error":
        response.replacement_body_bytes = b""


def change_content_type(response: EmulatedResponse) -> None:
    """Declare the body as plain text."""
    if response.kind != "error":
        response.media_type = "text/plain"


BODY_FAULTS = (
    _create_field_fault("wrong-type", "A response field has the wrong JSON type.", _change_type),
    _create_field_fault(
        "missing-field", "A required response field is missing.", lambda parent, name: parent.pop(name)
    ),
    _create_field_fault(
        "renamed-field",
        "A required response field has a wrong name.",
        lambda parent, name: parent.update({f"{name}_": parent.pop(name)}),
    ),
    _create_field_fault(
        "null-field",
        "A response field that must not be null is null.",
        lambda parent, name: parent.update({name: None}),
    ),
    Fault(
        id="wrong-error-shape",
        description="Error bodies do not have the documented shape.",
        change_response=replace_error_body_by_list,
        applies_to=FaultCondition("the body of at least one documented error has a schema", _has_error_body_schema),
    ),
    Fault(id="empty-body", description="Successful responses have no body.", change_response=remove_body),
    Fault(
        id="wrong-content-type",
        description="Successful responses declare a wrong media type.",
        change_response=change_content_type,
    ),
)
"""All injectable faults of response bodies."""


_STALL_TO_MAX_GAP_RATIO = 1.2
"""Ratio of an injected stall to the longest documented gap. The stall is noticeable but does not slow tests down."""
_UNKNOWN_EVENT_TYPE = "heartbeat-v2"
"""Type of an event that no contract documents."""


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
    """Wrap the data of each event with a documented schema in an object with the data as its only member, "data"."""
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


def _create_stream_condition(
    description: str, is_met_by: Callable[[StreamSpec], bool] = lambda _: True
) -> FaultCondition[Target]:
    """Return the condition that a target responds with a stream of events of which `is_met_by` is true."""

    def is_met_by_stream(target: Target) -> bool:
        return target.stream is not None and is_met_by(target.stream)

    return FaultCondition(description, is_met_by_stream)


_STREAMS_EVENTS = _create_stream_condition("the target responds with a stream of events")

STREAM_FAULTS = (
    Fault(
        id="stream-event-missing",
        description="One audio event is missing from a stream.",
        change_stream_pieces=drop_audio_event,
        applies_to=_create_stream_condition(
            "audio events are numbered", lambda stream: stream.audio.sequence_number_location is not None
        ),
    ),
    Fault(
        id="stream-reordered",
        description="The first event of a stream is sent last.",
        change_stream_pieces=move_first_event_last,
        applies_to=_create_stream_condition(
            "an event precedes the audio", lambda stream: next(iter(stream.events)) != stream.audio.event_type
        ),
    ),
    Fault(
        id="stream-truncated",
        description="A stream ends in the middle, without its final event.",
        change_stream_pieces=truncate_stream,
        applies_to=_STREAMS_EVENTS,
    ),
    Fault(
        id="stream-stalled",
        description="A gap in a stream is longer than documented.",
        change_stream_pieces=stall_stream,
        applies_to=_create_stream_condition(
            "the contract documents the maximum gap between two events", lambda stream: stream.max_gap_s is not None
        ),
    ),
    Fault(
        id="stream-unknown-event",
        description="A stream contains an undocumented event.",
        change_stream_pieces=add_unknown_event,
        applies_to=_STREAMS_EVENTS,
    ),
    Fault(
        id="stream-wrong-data",
        description="The data of stream events does not have the documented shape.",
        change_stream_pieces=wrap_event_data,
        applies_to=_create_stream_condition(
            "the contract documents a schema for the data of at least one event",
            lambda stream: any(event.data_schema is not None for event in stream.events.values()),
        ),
    ),
    Fault(
        id="stream-unreadable-audio",
        description="The audio in stream events cannot be decoded.",
        change_stream_pieces=corrupt_audio,
        applies_to=_STREAMS_EVENTS,
    ),
)
"""All injectable faults of event streams."""
