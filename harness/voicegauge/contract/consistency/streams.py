"""Checks `x-stream`: the order of events and the locations in them."""

from __future__ import annotations

from voicegauge.contract.consistency.state_graph import check_graph
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
        _check_spec(operation, operation.stream, is_streamed=is_streamed)
    elif is_streamed:
        pointer = f"{operation.pointer}/x-speech"
        reason = "audio delivered as stream needs an x-stream on its operation"
        raise operation.contract.document.error(pointer, reason)


def _check_spec(operation: Operation, spec: StreamSpec, *, is_streamed: bool) -> None:
    document, pointer = operation.contract.document, f"{operation.pointer}/x-stream"
    if not is_streamed:
        raise document.error(pointer, "x-stream needs audio delivered as stream in x-speech.response")
    if not any(
        EVENT_STREAM_MEDIA_TYPE in response.media
        for status, response in operation.responses.items()
        if status.startswith("2")
    ):
        raise document.error(pointer, f"no 2xx response of {operation.id} is documented as {EVENT_STREAM_MEDIA_TYPE}")
    failures = [name for name, event in spec.events.items() if event.end == "failure"]
    # A stream begins with the first event that is listed, or with an event that ends it in failure.
    starts = [next(iter(spec.events)), *failures]
    check_graph(document, f"{pointer}/events", spec.events, node_type="event", starts=starts)
    if spec.audio.event not in spec.events:
        raise document.error(f"{pointer}/audio/event", f"{spec.audio.event!r} is not an event of this stream")
    if spec.event_type.is_in_data:
        for name in spec.events:
            _check_location(operation, spec, name, f"{pointer}/event_type", spec.event_type)
    _check_location(operation, spec, spec.audio.event, f"{pointer}/audio/at", spec.audio.at)
    if spec.audio.index is not None:
        _check_location(operation, spec, spec.audio.event, f"{pointer}/audio/index", spec.audio.index)
    if spec.reason is not None:
        for name in failures:
            _check_location(operation, spec, name, f"{pointer}/reason", spec.reason)


def _check_location(operation: Operation, spec: StreamSpec, event: str, pointer: str, location: EventLocation) -> None:
    """Check that the schema of the event's data allows the location."""
    if not location.tokens:
        return
    schema = spec.events[event].schema
    if schema is None:
        reason = f"{str(location)!r} leads into the data of {event!r}, which has no schema"
        raise operation.contract.document.error(pointer, reason)
    if not allows_location(operation.schemas, schema, location.tokens):
        reason = f"{str(location)!r} is not in the schema of the event {event!r}"
        raise operation.contract.document.error(pointer, reason)
