"""An exchange with the operation that it calls and the values of its request and response.

Client, checks and benchmarks read the same responses; `parse_exchange` gives all of them the same parsed values.
"""

from __future__ import annotations

import binascii
import functools
import itertools
import json
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension.jobs import EventAudio, StreamSpec
from voicegauge.contract.extension.pricing import UsageSpec
from voicegauge.contract.extension.speech import TranscriptionResponse
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import SchemaViolation, parse_field_value
from voicegauge.formats.bodies import (
    MAX_JSON_NODES,
    BodyLimitError,
    Cue,
    Form,
    UnreadableBodyError,
    count_json_nodes,
    decode_base64,
    is_form,
    is_json,
    is_plain_text,
    is_text,
    read_form,
    read_json,
    read_subtitles,
)
from voicegauge.formats.locations import EVERY_ITEM, MISSING, EventLocation, Location, read_values_at_pointer
from voicegauge.formats.message_streams import EVENT_STREAM_MEDIA_TYPE, JsonLinesParser, SseParser, StreamMessage
from voicegauge.model.exchange import Exchange, Request


class StreamEvent(NamedTuple):
    """One event of a streamed response."""

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
        """Return the value at a location of the event; `MISSING` if there is no value, or if `location` is `None`."""
        return MISSING if location is None else location.read_event(self.sse_event_name, self.data, self.json_value)

    @property
    def text(self) -> str:
        """`data` as a `str`, decoded as UTF-8."""
        return self.data.decode()


class EventStreamParser:
    """Parses a stream incrementally. The stream may be split into chunks anywhere."""

    def __init__(self, stream_spec: StreamSpec) -> None:
        """Parse events as `stream_spec` documents them."""
        self._spec = stream_spec
        self._parser = SseParser() if stream_spec.framing == "sse" else JsonLinesParser()
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

    def _add_messages(self, read_messages: Callable[[], list[StreamMessage]]) -> None:
        # Where the next message begins is not known after an error.
        if self.error is not None:
            return
        try:
            for message in read_messages():
                self._add_message(message)
        except UnreadableBodyError as error:
            self.error = str(error)

    def _add_message(self, message: StreamMessage) -> None:
        if self._spec.end_marker is not None and message.data == self._spec.end_marker.encode():
            self.has_end_marker = True
            return
        # Counted before parsing: parsed values take far more memory than their text.
        self._nodes += count_json_nodes(message.data, MAX_JSON_NODES)
        if self._nodes > MAX_JSON_NODES:  # of all events together, since all are kept
            raise UnreadableBodyError(f"has more than {MAX_JSON_NODES:,} JSON values in its events")
        try:
            value = read_json(message.data)
        except UnreadableBodyError:
            value = MISSING
        # Its type may be at a location in its data, so that it is read from the event itself.
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


ParsedT = TypeVar("ParsedT")
JsonOrError = tuple[Any, UnreadableBodyError | None]
"""A JSON value and `None`, or `MISSING` and the reason why there is no value."""
MAX_PLAUSIBLE_AMOUNT = 1e9
"""Largest charge or usage that is read from a response, in dollars, credits, tokens or seconds. A larger number is not
plausible."""

MAX_SCHEMA_VIOLATIONS = 1_000
"""Maximum number of schema violations that are listed for one request body, because each item of a long list can have
one."""


class UnreadableCharge(NamedTuple):
    """A charge that a response states, but that cannot be believed."""

    amount: float | None
    """The number that is stated, which may be negative, infinite or NaN; `None` if it is not a number."""
    value_type: str
    """The type of the stated value in words, such as "a list" or "a number"; never a text of the response."""

    def describe(self, unit: str) -> str:
        """Return the predicate of a sentence, such as "states a charge of 1e+12 credits, which cannot be believed"."""
        if self.amount is None:
            return f"states a charge that is {self.value_type} and not a number"
        return f"states a charge of {self.amount:.10g} {unit}, which cannot be believed"


def parse_exchange(exchange: Exchange) -> ParsedExchange:
    """Return the parsed form of `exchange`. What is parsed is stored with the exchange, and shared by all callers."""
    return ParsedExchange(exchange)


class RequestBody:
    """A parsed request body, and the documented media type by which it was parsed."""

    def __init__(self, media_type: MediaType | None, value: Any) -> None:
        """Store the documented media type (`None` if the request has another one) and the parsed value."""
        self.media_type = media_type
        """The documented media type; `None` if the request has another one."""
        self.value = value
        """The JSON value; form fields are converted to the types of their schema. `MISSING` if there is no body or it
        cannot be read. An uploaded file is a text with one character per byte, so that `minLength` and `maxLength`
        count bytes."""

    @functools.cached_property
    def _is_valid(self) -> bool:
        """Whether the body fits its documented schema; true without a body or a schema."""
        return self.media_type is None or self.value is MISSING or self.media_type.is_valid(self.value)

    @functools.cached_property
    def violations(self) -> tuple[SchemaViolation, ...]:
        """The violations of the documented schema, at most `MAX_SCHEMA_VIOLATIONS`."""
        if self.media_type is None or self._is_valid:
            return ()
        return tuple(itertools.islice(self.media_type.iterate_violations(self.value), MAX_SCHEMA_VIOLATIONS))

    def find_violated_keywords(self) -> frozenset[str]:
        """Return JSON pointers to the violated keywords, of the first `MAX_SCHEMA_VIOLATIONS` violations."""
        if self.media_type is None or self._is_valid:
            return frozenset()
        return frozenset(itertools.islice(self.media_type.iterate_violated_keywords(self.value), MAX_SCHEMA_VIOLATIONS))


class ParsedExchange:
    """The bodies, query and stream events of one exchange, parsed when they are first used.

    Parsing never raises an error, because services and clients may send anything.
    """

    __slots__ = ("_values", "exchange")

    def __init__(self, exchange: Exchange) -> None:
        """Prepare to parse `exchange`; nothing is parsed yet."""
        self.exchange = exchange
        # `Exchange` is a frozen record with a `__dict__`: what is stored there is neither compared nor serialized. The
        # values do not refer back to the exchange: a cycle would keep every body until the next garbage collection.
        self._values: dict[str, Any] = exchange.__dict__

    @property
    def response_json(self) -> Any:
        """The response body as JSON, whatever its Content-Type; `MISSING` if it is not JSON."""
        return self._response_json_or_error[0]

    @property
    def response_json_error(self) -> str | None:
        """The reason why the response body cannot be read as JSON; `None` if it can."""
        return _format_error(self._response_json_or_error[1])

    @property
    def exceeded_json_limit(self) -> str | None:
        """The limit of voicegauge that the response body exceeds; `None` if none. A body above a limit is not read."""
        error = self._response_json_or_error[1]
        return str(error) if isinstance(error, BodyLimitError) else None

    @property
    def request_json(self) -> Any:
        """The request body as JSON, whatever its Content-Type; `MISSING` if it is not JSON."""
        return self._request_json_or_error[0]

    @property
    def request_json_error(self) -> str | None:
        """The reason why the request body is not JSON; `None` if it is JSON."""
        return _format_error(self._request_json_or_error[1])

    @property
    def _response_json_or_error(self) -> JsonOrError:
        return self._parse_once("response_json", lambda: _parse_json(self.exchange.response.body))

    @property
    def _request_json_or_error(self) -> JsonOrError:
        return self._parse_once("request_json", lambda: _parse_json(self.exchange.request.body))

    @property
    def request_form(self) -> Form | None:
        """The form in the request body; `None` if the body is not a readable form."""
        return self._parse_once("request_form", lambda: _parse_form(self.exchange.request))

    def read_request_body(self, operation: Operation) -> RequestBody:
        """Return the request body, read by the documentation of `operation`."""
        stored: tuple[Operation, RequestBody] | None = self._values.get("request_body")
        # By identity: another contract, or the same one with other prices, may read the same exchange.
        if stored is None or stored[0] is not operation:
            media_type = self.exchange.request.media_type
            media = operation.find_request_media(media_type)
            stored = self._values["request_body"] = (
                operation,
                RequestBody(media, self._read_body_value(media_type, media)),
            )
        return stored[1]

    def _read_body_value(self, media_type_name: str, media_type: MediaType | None) -> Any:
        if not self.exchange.request.body:
            return MISSING
        if is_json(media_type_name):
            return self.request_json
        if is_text(media_type_name):
            return self.exchange.request.body.decode(errors="replace")
        return MISSING if self.request_form is None else _build_form_value(self.request_form, media_type)

    @property
    def query_parameters(self) -> dict[str, str]:
        """The query parameters of the request. If a parameter is repeated, its last value counts."""
        url = self.exchange.request.url
        return self._parse_once("query", lambda: dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)))

    def _parse_once(self, cache_key: str, parse: Callable[[], ParsedT]) -> ParsedT:
        """Return the cached value of `cache_key`, which `parse` computes if there is none."""
        if cache_key not in self._values:
            self._values[cache_key] = parse()
        value: ParsedT = self._values[cache_key]
        return value

    def read_stream(self, stream_spec: StreamSpec) -> EventStreamParser:
        """Return a parser that has read the events of the response body as `stream_spec` documents them."""
        stored: tuple[StreamSpec, EventStreamParser] | None = self._values.get("stream")
        if stored is None or stored[0] is not stream_spec:
            stored = self._values["stream"] = stream_spec, parse_event_stream(stream_spec, self.exchange.response.body)
        return stored[1]

    def store_stream(self, stream_spec: StreamSpec, event_stream_parser: EventStreamParser) -> None:
        """Store `event_stream_parser`, which has read the whole body while it arrived."""
        self._values["stream"] = stream_spec, event_stream_parser

    def read_response_value(self, location: Location | None) -> Any:
        """Return the value at a location of the response; `MISSING` if there is none, or if `location` is `None`."""
        if location is None:
            return MISSING
        if location.is_in_body and not location.pointer_tokens and is_plain_text(self.exchange.response.media_type):
            return self.exchange.response.body.decode(errors="replace")
        body = self.response_json if location.is_in_body else MISSING  # audio is not parsed to read a header
        return location.read_response(body, self.exchange.response.headers)

    def read_response_text(self, location: Location | None) -> str | None:
        """Return the non-empty text at a location of the response; `None` if there is none.

        A whole number is returned as text. There is no text if `location` is `None`.
        """
        value = self.read_response_value(location)
        if isinstance(value, str):
            return value or None
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else None

    def read_response_number(self, location: Location | None) -> float | None:
        """Return the number from 0 to `MAX_PLAUSIBLE_AMOUNT` at a location of the response; `None` if there is none.

        A text that is a number, as in a header, is converted. There is no number if `location` is `None`.
        """
        return _parse_plausible_amount(self.read_response_value(location))

    def read_charge(self, location: Location | None) -> float | UnreadableCharge | None:
        """Return the charge that a response states; `None` if it states none, or null, or if `location` is `None`.

        A number above `MAX_PLAUSIBLE_AMOUNT`, a negative one, NaN and every other value is an `UnreadableCharge`, also
        if the body is not JSON for the reason that it contains such a number.
        """
        value = self.read_response_value(location)
        if value is MISSING and location is not None and location.is_in_body:
            value = self._read_value_beside_invalid_numbers(location)
        if value is MISSING or value is None:
            return None
        amount = _parse_plausible_amount(value)
        return _build_unreadable_charge(value) if amount is None else amount

    def _read_value_beside_invalid_numbers(self, location: Location) -> Any:
        """Return the value at a location of a body with NaN, Infinity or a number that is too large for JSON."""
        response = self.exchange.response
        if (
            self.response_json is not MISSING
            or self.exceeded_json_limit is not None
            or not is_json(response.media_type)
        ):
            return MISSING
        try:
            body = json.loads(response.body, parse_int=float)  # an `int` may have too many digits
        except (ValueError, RecursionError):
            return MISSING
        return location.read_response(body, response.headers)

    def read_usage(self, usage: UsageSpec, stream_spec: StreamSpec | None) -> float | None:
        """Return the tokens or seconds that the response, or the last event of a stream, reports; else `None`.

        Args:
            usage: where the number is reported.
            stream_spec: the events that the operation documents; `None` if its responses are not streams.
        """
        media_type = self.exchange.response.media_type
        if usage.reported_usage_location is not None and (
            not usage.reported_usage_location.is_in_body or is_json(media_type)
        ):
            return self.read_response_number(usage.reported_usage_location)
        if usage.event_usage_location is None or stream_spec is None or media_type != EVENT_STREAM_MEDIA_TYPE:
            return None
        ending = self.read_stream(stream_spec).ending
        return None if ending is None else _parse_plausible_amount(ending.read_value(usage.event_usage_location))


def _parse_plausible_amount(value: Any) -> float | None:
    """Return a number, or the number in a text, from 0 to `MAX_PLAUSIBLE_AMOUNT`; `None` for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= MAX_PLAUSIBLE_AMOUNT else None


def _build_unreadable_charge(value: Any) -> UnreadableCharge:
    """Return what a response states as its charge, for a value that `_parse_plausible_amount` does not accept."""
    if isinstance(value, bool):
        return UnreadableCharge(None, "true" if value else "false")
    if isinstance(value, dict | list):
        return UnreadableCharge(None, "an object" if isinstance(value, dict) else "a list")
    try:
        return UnreadableCharge(float(value), "a number")
    except OverflowError:
        return UnreadableCharge(math.inf if value > 0 else -math.inf, "a number")
    except (TypeError, ValueError):
        return UnreadableCharge(None, "a text")


def _parse_form(request: Request) -> Form | None:
    if not request.body or not is_form(request.media_type):
        return None
    try:
        return read_form(request.find_header("content-type") or "", request.body)
    except UnreadableBodyError:
        return None


def _build_form_value(form: Form, media_type: MediaType | None) -> dict[str, Any]:
    value: dict[str, Any] = dict(form.fields)
    if media_type is not None and isinstance(media_type.schema, dict):
        properties = media_type.schema.get("properties", {})
        for name, text in form.fields.items():
            separator = media_type.separator_by_list_field.get(name)
            value[name] = parse_field_value(media_type.schemas, properties.get(name, {}), text, separator)
    value.update({name: upload.data.decode("latin-1") for name, upload in form.files.items()})
    return value


def _parse_json(body: bytes) -> JsonOrError:
    try:
        return read_json(body), None
    except UnreadableBodyError as error:
        # The error is stored with the exchange. Its traceback would keep the frames, with what was parsed so far.
        return MISSING, error.with_traceback(None)


def _format_error(error: UnreadableBodyError | None) -> str | None:
    return None if error is None else str(error)


# Reads transcripts from responses, as a contract describes them.


TRANSCRIPT_PART_SEPARATOR = " "
"""What separates the texts of several places, when they are joined to one transcript."""


def read_transcript(exchange: ParsedExchange, response: TranscriptionResponse) -> str | None:
    """Return the transcript in a response: of subtitles, the text of all cues; `None` if the response has none.

    Raises:
        UnreadableSubtitlesError: the subtitles do not have the documented format.
    """
    cues = read_cues(exchange, response)
    if cues is not None:
        return TRANSCRIPT_PART_SEPARATOR.join(cue.text for cue in cues if cue.text)
    location = response.text_location
    if EVERY_ITEM in location.pointer_tokens:
        texts = [
            text
            for text in read_values_at_pointer(exchange.response_json, location.pointer_tokens)
            if isinstance(text, str)
        ]
        return TRANSCRIPT_PART_SEPARATOR.join(text.strip() for text in texts) if texts else None
    text = exchange.read_response_value(location)
    return text if isinstance(text, str) else None


def read_cues(exchange: ParsedExchange, response: TranscriptionResponse) -> list[Cue] | None:
    """Return the cues of a response that is documented as subtitles; `None` for any other response.

    Raises:
        UnreadableSubtitlesError: the subtitles do not have the documented format.
    """
    text = exchange.read_response_value(response.text_location)
    if response.subtitle_format is None or not isinstance(text, str):
        return None
    return read_subtitles(text, response.subtitle_format)
