"""`x-stream` on an operation: an answer of server-sent events that carry audio."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import field

from voicegauge.contract.extension.sources import Positive, SourceReference
from voicegauge.formats import EventLocation
from voicegauge.model import Record


class EventSpec(Record, frozen=True, kw_only=True):
    """A kind of event."""

    next: tuple[str, ...] = ()
    """Kinds that may follow at once."""
    end: Literal["success", "failure"] | None = None
    schema: dict[str, Any] | None = None
    """The JSON Schema of its data, as a rule a `$ref`; `None` where its data is no JSON."""


class EventAudio(Record, frozen=True, kw_only=True):
    """Where the audio is. The pieces of all events, joined, are what `x-speech.response.audio` says."""

    event: str
    """The kind of event that carries it."""
    at: EventLocation
    """"data" (all of it) or "data#/pointer"."""
    encoding: Literal["base64", "hex"] = "base64"
    index: EventLocation | None = None
    """The place that numbers the events with audio, one by one."""


class StreamSpec(Record, frozen=True, kw_only=True):
    """`x-stream` on an operation."""

    event_type: EventLocation = field(default_factory=lambda: EventLocation("event"))
    """Where an event tells its kind: "event", the field of that name, or "data#/pointer"."""
    events: dict[str, EventSpec]
    """In the order of a stream's life: it begins with the first one, or with one that ends it in failure."""
    audio: EventAudio
    end_marker: str | None = None
    """The data of a last message that is no event, such as "[DONE]"."""
    reason: EventLocation | None = None
    """The place that says why, in an event that ends the stream in failure."""
    max_gap_s: Positive | None = None
    """The longest pause within a stream, in seconds, that the document allows."""
    source: SourceReference | None = None
