"""Defines `x-stream` on an operation: a response of server-sent events with audio."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import field

from voicegauge.contract.extension.sources import PositiveFloat, SourceReference
from voicegauge.formats import EventLocation
from voicegauge.model import Record


class EventSpec(Record, frozen=True, kw_only=True):
    """One event type."""

    next: tuple[str, ...] = ()
    """Event types that may follow directly."""
    end: Literal["success", "failure"] | None = None
    schema: dict[str, Any] | None = None
    """JSON Schema of the data, usually a `$ref`; `None` if the data is not JSON."""


class EventAudio(Record, frozen=True, kw_only=True):
    """Where events have audio. The joined chunks are the audio that `x-speech.response.audio` describes."""

    event: str
    """The event type with audio."""
    at: EventLocation
    """Location of the audio in the event: "data" for the whole data, or "data#/pointer"."""
    encoding: Literal["base64", "hex"] = "base64"
    index: EventLocation | None = None
    """Location of the sequence number of an audio event."""


class StreamSpec(Record, frozen=True, kw_only=True):
    """`x-stream` on an operation."""

    event_type: EventLocation = field(default_factory=lambda: EventLocation("event"))
    """Location of the event type: "event" for the event field, or "data#/pointer"."""
    events: dict[str, EventSpec]
    """The event types by name, in chronological order. A stream begins with the first one, or with an event that ends
    the stream in failure."""
    audio: EventAudio
    end_marker: str | None = None
    """Data of a final message that is not an event, such as "[DONE]"."""
    reason: EventLocation | None = None
    """Location of the reason in an event that ends the stream in failure."""
    max_gap_s: PositiveFloat | None = None
    """The documented maximum gap between two events, in seconds."""
    source: SourceReference | None = None
