"""What a document says of a stream of events must hold together: `x-stream`."""

from __future__ import annotations

from voicegauge.contract.contract import Contract, Operation
from voicegauge.contract.extension import StreamSpec
from voicegauge.contract.schema import allows_location
from voicegauge.formats import MEDIA_TYPE, EventLocation, escape


def check_streams(contract: Contract) -> None:
    """Refuse what does not hold together.

    Raises:
        ContractError: names the line of the first part that leads nowhere.
    """
    for operation in contract.operations.values():
        answer = operation.speech.response if operation.speech else None
        streamed = answer is not None and answer.audio is not None and answer.audio.delivered == "stream"
        if operation.stream is not None:
            _check_stream(operation, operation.stream, streamed=streamed)
        elif streamed:
            at = f"{operation.pointer}/x-speech/response/audio"
            raise contract.document.error(at, "audio delivered as stream needs an x-stream on its operation")


def _check_stream(operation: Operation, spec: StreamSpec, *, streamed: bool) -> None:
    document, at = operation.contract.document, f"{operation.pointer}/x-stream"
    if not streamed:
        raise document.error(at, "an operation with x-stream answers with audio delivered as stream")
    if not any(MEDIA_TYPE in spec.media for status, spec in operation.responses.items() if status.startswith("2")):
        raise document.error(at, f"no success of {operation.id} is documented as {MEDIA_TYPE}")
    _check_order(operation, spec)
    if spec.audio.event not in spec.events:
        raise document.error(f"{at}/audio/event", f"{spec.audio.event!r} is no event of this stream")
    if spec.event_type.in_data:
        for name in spec.events:
            _check_place(operation, spec, name, f"{at}/event_type", spec.event_type)
    _check_place(operation, spec, spec.audio.event, f"{at}/audio/at", spec.audio.at)
    if spec.audio.index is not None:
        _check_place(operation, spec, spec.audio.event, f"{at}/audio/index", spec.audio.index)
    failures = [name for name, event in spec.events.items() if event.end == "failure"]
    if spec.reason is not None:
        for name in failures:
            _check_place(operation, spec, name, f"{at}/reason", spec.reason)


def _check_order(operation: Operation, spec: StreamSpec) -> None:
    document, at = operation.contract.document, f"{operation.pointer}/x-stream/events"
    if not any(event.end == "success" for event in spec.events.values()):
        raise document.error(at, "no event ends the stream in success")
    for name, event in spec.events.items():
        if bool(event.next) == bool(event.end):
            raise document.error(f"{at}/{escape(name)}", f"event {name!r} must have either next or end")
        for following in event.next:
            if following not in spec.events:
                raise document.error(f"{at}/{escape(name)}/next", f"{following!r} is no event of this stream")
    reached = [next(iter(spec.events)), *(name for name, event in spec.events.items() if event.end == "failure")]
    for name in reached:  # grows while it is walked
        reached += [following for following in spec.events[name].next if following not in reached]
    for name in spec.events:
        if name not in reached:
            raise document.error(f"{at}/{escape(name)}", f"no way leads from {reached[0]!r} to {name!r}")


def _check_place(operation: Operation, spec: StreamSpec, name: str, at: str, location: EventLocation) -> None:
    """The data of the event `name` must leave room for `place`."""
    document = operation.contract.document
    schema = spec.events[name].schema
    if location.tokens and schema is None:
        raise document.error(at, f"{str(location)!r} leads into the data of {name!r}, which has no schema")
    if location.tokens and not allows_location(operation.contract.schemas, schema, location.tokens):
        raise document.error(at, f"{str(location)!r} is not in the schema of the event {name!r}")
