"""The events of streamed responses."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from voicegauge.contract.extension.jobs import EventAudio, StreamSpec
from voicegauge.formats.bodies import MAX_JSON_NODES, UnreadableBodyError, count_json_nodes, decode_base64, read_json
from voicegauge.formats.json_text import JsonLinesParser
from voicegauge.formats.locations import MISSING, EventLocation
from voicegauge.formats.sse import Message, MessageParser


class StreamEvent(NamedTuple):
    """One event of a stream."""

    event_type: str | None
    """The event type, even if it is not documented; `None` if the event has no type at the documented location."""
    sse_event_name: str
    """The value of the `event` field of the server-sent event; "message" if it has no such field."""
    data: bytes
    """The data as it was received, in UTF-8."""
    json_value: Any
    """The data as JSON; `MISSING` if it is not valid JSON."""
    end_offset: int
    """Number of bytes of the body up to the end of the event."""

    def read_value(self, location: EventLocation | None) -> Any:
        """Return the value at a location of the event; `MISSING` if there is no value."""
        return MISSING if location is None else location.read(self.sse_event_name, self.data, self.json_value)

    @property
    def text(self) -> str:
        """The data as text."""
        return self.data.decode()


class EventStreamParser:
    """Parses a stream incrementally. The stream may be split into chunks anywhere."""

    def __init__(self, stream_spec: StreamSpec) -> None:
        """Parse events as `stream_spec` documents them."""
        self._spec = stream_spec
        self._parser = MessageParser() if stream_spec.framing == "sse" else JsonLinesParser()
        self._is_finished = False
        self.events: list[StreamEvent] = []
        self.ending: StreamEvent | None = None
        """The first event that ends the stream, in success or failure."""
        self.has_end_marker = False
        """Whether the end marker was received."""
        self.error: str | None = None
        """Why parsing stopped because of an error; `None` if there was no error."""
        self._outcome: str | None = None
        self._nodes = 0
        self._decoded_events = 0
        """Number of events whose audio was decoded without an error."""

    def feed_chunk(self, chunk: bytes) -> None:
        """Parse the next chunk of the body. After an error, chunks are ignored."""
        self._add_messages(lambda: self._parser.feed(chunk))

    def finish(self) -> None:
        """Note that the response has ended."""
        self._is_finished = True
        self._add_messages(self._parser.finish)

    def _add_messages(self, read_messages: Callable[[], list[Message]]) -> None:
        if self.error is not None:
            return
        try:
            for message in read_messages():
                self._add_message(message)
        except UnreadableBodyError as error:
            self.error = str(error)

    def _add_message(self, message: Message) -> None:
        if self._spec.end_marker is not None and message.data == self._spec.end_marker.encode():
            self.has_end_marker = True
            return
        self._nodes += count_json_nodes(message.data, MAX_JSON_NODES)
        if self._nodes > MAX_JSON_NODES:  # of all events together, since all are kept
            raise UnreadableBodyError(f"has more than {MAX_JSON_NODES:,} JSON values in its events")
        try:
            value = read_json(message.data)
        except UnreadableBodyError:
            value = MISSING
        event = StreamEvent(None, message.event_type, message.data, value, message.end_offset)
        event = event._replace(event_type=self._spec.find_event_type(event.read_value))
        self.events.append(event)
        documented = self._spec.events.get(event.event_type or "")
        if self.ending is None and documented is not None and documented.terminal_outcome is not None:
            self.ending, self._outcome = event, documented.terminal_outcome

    @property
    def has_failed(self) -> bool:
        """Whether an event has ended the stream in failure."""
        return self._outcome == "failure"

    @property
    def is_complete(self) -> bool:
        """Whether the stream was received up to its documented end.

        That is the event that ends it in failure; or the event that ends it in success, followed by the end marker if
        one is documented; or the end of the response, if `x-stream` says that this ends the stream.
        """
        if self._spec.ends_with_response and not self.has_failed:
            return self._is_finished and bool(self.events) and not self.has_partial_event
        return self._outcome is not None and (self._spec.end_marker is None or self.has_end_marker or self.has_failed)

    @property
    def has_partial_event(self) -> bool:
        """Whether the last event is incomplete."""
        return self._parser.has_partial_message

    def iterate_audio_events(self) -> Iterator[tuple[StreamEvent, bytes]]:
        """Yield each event that has audio, with the decoded bytes.

        Raises:
            UnreadableBodyError: the audio is missing, or is not in the documented encoding.
        """
        for event in self.events:
            if event.event_type == self._spec.audio.event_type:
                yield event, _decode_event_audio(event, self._spec.audio)
        self._decoded_events = len(self.events)

    def iterate_audio_errors(self) -> Iterator[tuple[StreamEvent, UnreadableBodyError]]:
        """Yield each audio event whose audio is missing or not in the documented encoding, with the reason."""
        if self._decoded_events == len(self.events):
            return  # decoding takes as long as all other reading of the stream, so it is not done again
        for event in self.events:
            if event.event_type == self._spec.audio.event_type:
                try:
                    _decode_event_audio(event, self._spec.audio)
                except UnreadableBodyError as error:
                    yield event, error


def parse_event_stream(stream_spec: StreamSpec, body: bytes) -> EventStreamParser:
    """Return a parser that has read the whole stream `body`."""
    parser = EventStreamParser(stream_spec)
    parser.feed_chunk(body)
    parser.finish()
    return parser


def decode_audio_text(text: str, encoding: Literal["base64", "hex"]) -> bytes:
    """Return the audio that a text of an event encodes.

    Raises:
        ValueError: the text is not in this encoding.
    """
    return bytes.fromhex(text) if encoding == "hex" else decode_base64(text)


def _decode_event_audio(event: StreamEvent, audio_spec: EventAudio) -> bytes:
    """Return the audio in one event.

    Raises:
        UnreadableBodyError: the audio is missing, or is not in the documented encoding.
    """
    text = event.read_value(audio_spec.location)
    if not isinstance(text, str):
        raise UnreadableBodyError(f"has no text at {audio_spec.location}")
    try:
        return decode_audio_text(text, audio_spec.encoding)
    except (binascii.Error, ValueError) as error:
        raise UnreadableBodyError(f"has no valid {audio_spec.encoding} at {audio_spec.location}: {error}") from error
