"""Defines `x-stream` on an operation: a response of server-sent events, or of lines of JSON, with audio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from msgspec import field

from voicegauge.contract.extension.response_audio import EventTimestamps
from voicegauge.contract.extension.sources import PositiveFloat, SourceReference
from voicegauge.formats import EVENT_STREAM_MEDIA_TYPE, JSON_LINES_MEDIA_TYPE, MISSING, EventLocation
from voicegauge.model import Record


class EventSpec(Record, frozen=True, kw_only=True):
    """One event type."""

    successor_names: tuple[str, ...] = field(default=(), name="next")
    """Event types that may follow directly."""
    terminal_outcome: Literal["success", "failure"] | None = field(default=None, name="end")
    """Whether this event ends the stream in success or in failure; `None` if the stream goes on."""
    data_schema: dict[str, Any] | None = field(default=None, name="schema")
    """JSON Schema of the data, usually a `$ref`; `None` if the data is not JSON."""
    identifying_location: EventLocation | None = field(default=None, name="has")
    """Location of a value that only events of this type have, for streams whose events do not name their type."""


class EventAudio(Record, frozen=True, kw_only=True):
    """Where events have audio. The joined chunks are the audio that `x-speech.response.audio` describes."""

    event_type: str = field(name="event")
    """The event type with audio."""
    location: EventLocation = field(name="at")
    """Location of the audio in the event: "data" for the whole data, or "data#/pointer"."""
    encoding: Literal["base64", "hex"] = "base64"
    sequence_number_location: EventLocation | None = field(default=None, name="index")
    """Location of the sequence number of an audio event."""
    timestamps: tuple[EventTimestamps, ...] = ()
    """When the characters or words are spoken."""


class StreamSpec(Record, frozen=True, kw_only=True):
    """`x-stream` on an operation."""

    framing: Literal["sse", "json-lines"] = "sse"
    """How events are separated: server-sent events, or one JSON value per line."""
    media_type: str | None = None
    """Content-Type of the response; by default text/event-stream, or application/x-ndjson for lines of JSON."""
    event_type_location: EventLocation = field(default_factory=lambda: EventLocation("event"), name="event_type")
    """Location of the event type: "event" for the event field, or "data#/pointer"."""
    events: dict[str, EventSpec]
    """The event types by name, in chronological order. A stream begins with the first one, or with an event that ends
    the stream in failure."""
    audio: EventAudio
    ends_with_response: bool = False
    """Whether the end of the response ends the stream in success, without a final event."""
    end_marker: str | None = None
    """Data of a final message that is not an event, such as "[DONE]"."""
    failure_reason_location: EventLocation | None = field(default=None, name="reason")
    """Location of the reason in an event that ends the stream in failure."""
    max_gap_s: PositiveFloat | None = None
    """The documented maximum gap between two events, in seconds."""
    source: SourceReference | None = None

    @property
    def response_media_type(self) -> str:
        """The Content-Type of streamed responses."""
        return self.media_type or (EVENT_STREAM_MEDIA_TYPE if self.framing == "sse" else JSON_LINES_MEDIA_TYPE)

    def find_event_type(self, read_value: Callable[[EventLocation], Any]) -> str | None:
        """Return the type of an event; `None` if nothing in the event tells it.

        Args:
            read_value: reads the value at a location of the event; returns `MISSING` if there is no value.
        """
        if any(event.identifying_location is not None for event in self.events.values()):
            marked = (
                (name, event.identifying_location)
                for name, event in self.events.items()
                if event.identifying_location is not None
            )
            return next((name for name, at in marked if read_value(at) not in (MISSING, None)), None)
        if self.framing == "json-lines" and not self.event_type_location.is_in_data:
            return next(iter(self.events))
        value = read_value(self.event_type_location)
        return value if isinstance(value, str) else None
