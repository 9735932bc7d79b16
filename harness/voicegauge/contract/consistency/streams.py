"""Checks `x-stream`: the order of events and the locations in them."""

from __future__ import annotations

from voicegauge.contract.consistency.state_graph import check_state_graph
from voicegauge.contract.contract import Operation
from voicegauge.contract.extension import StreamSpec
from voicegauge.contract.schema_values import allows_location
from voicegauge.formats import EVENT_STREAM_MEDIA_TYPE, EventLocation


def check_stream(operation: Operation) -> None:
    """Check that an operation has a consistent `x-stream` if it delivers audio as a stream, and none otherwise.

    Raises:
        ContractError: `x-stream` is missing, not expected, or not consistent.
    """
    is_streamed = any(audio.delivered == "stream" for audio in operation.audio_variants)
    if operation.stream is not None:
        _check_stream_spec(operation, operation.stream, is_streamed=is_streamed)
    elif is_streamed:
        pointer = f"{operation.pointer}/x-speech"
        reason = "audio delivered as stream needs an x-stream on its operation"
        raise operation.contract.document.error(pointer, reason)


def _check_stream_spec(operation: Operation, stream_spec: StreamSpec, *, is_streamed: bool) -> None:
    document, pointer = operation.contract.document, f"{operation.pointer}/x-stream"
    if not is_streamed:
        raise document.error(pointer, "x-stream needs audio delivered as stream in x-speech.response")
    if not any(
        EVENT_STREAM_MEDIA_TYPE in response.media_types
        for status, response in operation.responses.items()
        if status.startswith("2")
    ):
        raise document.error(pointer, f"no 2xx response of {operation.id} is documented as {EVENT_STREAM_MEDIA_TYPE}")
    failures = [name for name, event in stream_spec.events.items() if event.end == "failure"]
    # A stream begins with the first event that is listed, or with an event that ends it in failure.
    starts = [next(iter(stream_spec.events)), *failures]
    check_state_graph(document, f"{pointer}/events", stream_spec.events, node_type="event", start_nodes=starts)
    if stream_spec.audio.event not in stream_spec.events:
        raise document.error(f"{pointer}/audio/event", f"{stream_spec.audio.event!r} is not an event of this stream")
    if stream_spec.event_type.is_in_data:
        for name in stream_spec.events:
            _check_event_location(operation, stream_spec, name, f"{pointer}/event_type", stream_spec.event_type)
    _check_event_location(operation, stream_spec, stream_spec.audio.event, f"{pointer}/audio/at", stream_spec.audio.at)
    if stream_spec.audio.index is not None:
        _check_event_location(
            operation, stream_spec, stream_spec.audio.event, f"{pointer}/audio/index", stream_spec.audio.index
        )
    if stream_spec.reason is not None:
        for name in failures:
            _check_event_location(operation, stream_spec, name, f"{pointer}/reason", stream_spec.reason)


def _check_event_location(
    operation: Operation, stream_spec: StreamSpec, event_name: str, pointer: str, location: EventLocation
) -> None:
    """Check that the schema of the event's data allows the location."""
    if not location.tokens:
        return
    schema = stream_spec.events[event_name].schema
    if schema is None:
        reason = f"{str(location)!r} leads into the data of {event_name!r}, which has no schema"
        raise operation.contract.document.error(pointer, reason)
    if not allows_location(operation.schemas, schema, location.tokens):
        reason = f"{str(location)!r} is not in the schema of the event {event_name!r}"
        raise operation.contract.document.error(pointer, reason)
