"""A stream of events as its contract reads it: what kind each one is, its data, and the audio in it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, NamedTuple

from voicegauge.contract.extension import EventAudio, StreamSpec
from voicegauge.formats import (
    MISSING,
    EventLocation,
    Message,
    MessageParser,
    UnreadableBodyError,
    read_json,
)


class StreamEvent(NamedTuple):
    """One event of a stream."""

    kind: str | None
    """As its contract names it, known or not; `None` where it tells none."""
    field: str
    """Its event field; "message" where it has none."""
    text: str
    """Its data as it came."""
    value: Any
    """Its data as JSON; `MISSING` where it is none."""
    end: int
    """Bytes of the body up to its end."""

    def read(self, location: EventLocation | None) -> Any:
        """The value at a location of the event; `MISSING` where there is none."""
        return MISSING if location is None else location.read(self.field, self.text, self.value)


class EventStreamParser:
    """Reads a stream as it comes, in pieces cut anywhere."""

    def __init__(self, spec: StreamSpec) -> None:
        """Nothing has come yet."""
        self._spec, self._parser = spec, MessageParser()
        self.events: list[StreamEvent] = []
        self.ending: StreamEvent | None = None
        """The first event that ends the stream, well or badly."""
        self.marked = False
        """Whether the end marker has come."""
        self.error: str | None = None
        """Why nothing more could be read."""
        self._end: str | None = None

    def feed(self, piece: bytes) -> None:
        """Read on; after an error nothing is read any more."""
        if self.error is not None:
            return
        try:
            for message in self._parser.feed(piece):
                self._take(message)
        except UnreadableBodyError as error:
            self.error = str(error)

    def _take(self, message: Message) -> None:
        if self._spec.end_marker is not None and message.data == self._spec.end_marker:
            self.marked = True
            return
        try:
            value = read_json(message.data.encode())
        except UnreadableBodyError:
            value = MISSING
        event = StreamEvent(None, message.event, message.data, value, message.end)
        kind = event.read(self._spec.event_type)
        event = event._replace(kind=kind if isinstance(kind, str) else None)
        self.events.append(event)
        known = self._spec.events.get(event.kind or "")
        if self.ending is None and known is not None and known.end is not None:
            self.ending, self._end = event, known.end

    @property
    def failed(self) -> bool:
        """Whether the stream has ended in failure."""
        return self._end == "failure"

    @property
    def ended(self) -> bool:
        """Whether all has come that a whole stream has; a failure needs no marker."""
        return self._end is not None and (self._spec.end_marker is None or self.marked or self.failed)

    @property
    def unfinished(self) -> bool:
        """Whether an event has begun and not ended."""
        return self._parser.unfinished

    def audio(self) -> Iterator[tuple[StreamEvent, bytes]]:
        """Each event that carries audio, with its bytes.

        Raises:
            UnreadableBodyError: what stands there is no audio in the encoding of the contract.
        """
        for event in self.events:
            if event.kind == self._spec.audio.event:
                yield event, decode_event_audio(event, self._spec.audio)


def parse_event_stream(spec: StreamSpec, body: bytes) -> EventStreamParser:
    """A stream that has come whole."""
    reader = EventStreamParser(spec)
    reader.feed(body)
    return reader


def decode_event_audio(event: StreamEvent, place: EventAudio) -> bytes:
    """The audio in one event.

    Raises:
        UnreadableBodyError: there is none, or it is not in its encoding.
    """
    text = event.read(place.at)
    if not isinstance(text, str):
        raise UnreadableBodyError(f"has no text at {place.at}")
    try:
        if place.encoding == "hex":
            return bytes.fromhex(text)
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableBodyError(f"has no {place.encoding} at {place.at}: {error}") from error
