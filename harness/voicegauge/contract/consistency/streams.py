"""Checks `x-stream`: the order of events and the locations in them."""

from __future__ import annotations

from voicegauge.contract.consistency.locations import check_list_location
from voicegauge.contract.consistency.state_graph import check_state_graph
from voicegauge.contract.contract import Operation
from voicegauge.contract.extension import StreamSpec
from voicegauge.contract.schemas import allows_location
from voicegauge.formats import EventLocation, escape_pointer_token


def check_stream(operation: Operation) -> None:
    """Check that an operation has a consistent `x-stream` if it delivers audio as a stream, and none otherwise.

    Raises:
        ContractError: `x-stream` is missing, not expected, or not consistent.
    """
    is_streamed = any(audio.delivery_method == "stream" for audio in operation.response_audio_variants)
    if operation.stream is not None:
        _check_stream_spec(operation, operation.stream, is_streamed=is_streamed)
    elif is_streamed:
        pointer = f"{operation.pointer}/x-speech"
        reason = "audio delivered as stream needs an x-stream on its operation"
        raise operation.contract.document.build_error(pointer, reason)


def _check_stream_spec(operation: Operation, stream_spec: StreamSpec, *, is_streamed: bool) -> None:
    document, pointer = operation.contract.document, f"{operation.pointer}/x-stream"
    if not is_streamed:
        raise document.build_error(pointer, "x-stream needs audio delivered as stream in x-speech.response")
    media_type = stream_spec.response_media_type
    if not any(
        media_type in response.media_types for status, response in operation.responses.items() if status.startswith("2")
    ):
        raise document.build_error(pointer, f"no 2xx response of {operation.id} is documented as {media_type}")
    _check_event_types(operation, stream_spec, pointer)
    failures = [name for name, event in stream_spec.events.items() if event.terminal_outcome == "failure"]
    # A stream begins with the first event that is listed, or with an event that ends it in failure.
    if not stream_spec.events:
        raise document.build_error(f"{pointer}/events", "x-stream needs at least one event")
    starts = [next(iter(stream_spec.events)), *failures]
    check_state_graph(
        document,
        f"{pointer}/events",
        stream_spec.events,
        node_type="event",
        start_nodes=starts,
        needs_end=not stream_spec.ends_with_response,
    )
    if stream_spec.audio.event_type not in stream_spec.events:
        raise document.build_error(
            f"{pointer}/audio/event", f"{stream_spec.audio.event_type!r} is not an event of this stream"
        )
    if stream_spec.event_type_location.is_in_data:
        for name in stream_spec.events:
            _check_event_location(
                operation, stream_spec, name, f"{pointer}/event_type", stream_spec.event_type_location
            )
    _check_event_location(
        operation, stream_spec, stream_spec.audio.event_type, f"{pointer}/audio/at", stream_spec.audio.location
    )
    if stream_spec.audio.sequence_number_location is not None:
        _check_event_location(
            operation,
            stream_spec,
            stream_spec.audio.event_type,
            f"{pointer}/audio/index",
            stream_spec.audio.sequence_number_location,
        )
    _check_timestamps(operation, stream_spec, f"{pointer}/audio/timestamps")
    if stream_spec.failure_reason_location is not None:
        for name in failures:
            _check_event_location(
                operation, stream_spec, name, f"{pointer}/reason", stream_spec.failure_reason_location
            )


def _check_timestamps(operation: Operation, stream_spec: StreamSpec, pointer: str) -> None:
    for index, timestamps in enumerate(stream_spec.audio.timestamps):
        for key in ("texts", "starts", "ends"):
            location, at = timestamps.get_by_key(key), f"{pointer}/{index}/{key}"
            if location is not None:
                check_list_location(operation, at, location)
                _check_event_location(operation, stream_spec, stream_spec.audio.event_type, at, location)


def _check_event_types(operation: Operation, stream_spec: StreamSpec, pointer: str) -> None:
    """Check that the type of every event can be determined, and that a stream has one way to end in success."""
    document = operation.contract.document
    marked = [name for name, event in stream_spec.events.items() if event.identifying_location is not None]
    unmarked = [name for name in stream_spec.events if name not in marked]
    if marked and unmarked:
        reason = f"{unmarked[0]!r} needs has, because {marked[0]!r} is known by the value that it has"
        raise document.build_error(f"{pointer}/events/{escape_pointer_token(unmarked[0])}", reason)
    is_typed = marked or stream_spec.event_type_location.is_in_data or stream_spec.framing == "sse"
    if not is_typed and len(stream_spec.events) > 1:
        raise document.build_error(
            pointer, "lines of JSON have no event field: set event_type to a location in data, or has"
        )
    for name in marked:
        at = f"{pointer}/events/{escape_pointer_token(name)}/has"
        location = stream_spec.events[name].identifying_location
        assert location is not None
        _check_event_location(operation, stream_spec, name, at, location)
    if stream_spec.ends_with_response and any(
        event.terminal_outcome == "success" for event in stream_spec.events.values()
    ):
        raise document.build_error(f"{pointer}/ends_with_response", "an event ends the stream in success already")


def _check_event_location(
    operation: Operation, stream_spec: StreamSpec, event_name: str, pointer: str, location: EventLocation
) -> None:
    """Check that the schema of the event's data allows the location."""
    if not location.pointer_tokens:
        return
    schema = stream_spec.events[event_name].data_schema
    if schema is None:
        reason = f"{str(location)!r} leads into the data of {event_name!r}, which has no schema"
        raise operation.contract.document.build_error(pointer, reason)
    if not allows_location(operation.schemas, schema, location.pointer_tokens):
        reason = f"{str(location)!r} is not in the schema of the event {event_name!r}"
        raise operation.contract.document.build_error(pointer, reason)
