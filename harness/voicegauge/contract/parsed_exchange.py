"""An exchange with the operation that it calls and the values of its request and response.

Client, checks and benchmarks read the same responses; `parse_exchange` gives all of them the same parsed values.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.event_streams import EventStreamParser, parse_event_stream
from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.extension.pricing import UsageSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import SchemaViolation, parse_field_value
from voicegauge.formats.bodies import (
    BodyLimitError,
    Form,
    UnreadableBodyError,
    is_form,
    is_json,
    is_plain_text,
    is_text,
    read_form,
    read_json,
)
from voicegauge.formats.locations import MISSING, Location
from voicegauge.formats.sse import EVENT_STREAM_MEDIA_TYPE
from voicegauge.model.exchange import Exchange, Request

ParsedT = TypeVar("ParsedT")
JsonOrError = tuple[Any, UnreadableBodyError | None]
"""A JSON value and `None`, or `MISSING` and the reason why there is no value."""
MAX_PLAUSIBLE_CHARGE = 1e9
"""Largest charge that is read from a response, in dollars or credits. A larger number is not a plausible charge."""

MAX_SCHEMA_VIOLATIONS = 1_000
"""Maximum number of schema violations that are listed for one request body, because each item of a long list can have
one."""


class UnreadableCharge(NamedTuple):
    """A charge that a response states, but that cannot be believed."""

    amount: float | None
    """The number that is stated, which may be negative, infinite or NaN; `None` if it is not a number."""
    kind: str
    """What is stated instead of a number, such as "a list"; never text of the response."""

    def describe(self, unit: str) -> str:
        """Return what the receipt does, such as "states a charge of 1e+12 credits, which cannot be believed"."""
        if self.amount is None:
            return f"states a charge that is {self.kind} and not a number"
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

    @functools.cached_property
    def violated_keywords(self) -> frozenset[str]:
        """JSON pointers to the violated keywords of the schema, of the first `MAX_SCHEMA_VIOLATIONS` violations."""
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
        """The limit of voicegauge that the response body exceeds, so that it is not read; `None` if it exceeds none."""
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
        return self._get_or_parse("response_json", lambda: _parse_json(self.exchange.response.body))

    @property
    def _request_json_or_error(self) -> JsonOrError:
        return self._get_or_parse("request_json", lambda: _parse_json(self.exchange.request.body))

    @property
    def request_form(self) -> Form | None:
        """The form in the request body; `None` if the body is not a readable form."""
        return self._get_or_parse("request_form", lambda: _parse_form(self.exchange.request))

    def read_request_body(self, operation: Operation) -> RequestBody:
        """Return the request body, read by the documentation of `operation`."""
        stored: tuple[Operation, RequestBody] | None = self._values.get("request_body")
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
        return self._get_or_parse("query", lambda: dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)))

    def _get_or_parse(self, cache_key: str, parse: Callable[[], ParsedT]) -> ParsedT:
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
        """Return the value at a location of the response; `MISSING` if there is no value."""
        if location is None:
            return MISSING
        if location.is_in_body and not location.pointer_tokens and is_plain_text(self.exchange.response.media_type):
            return self.exchange.response.body.decode(errors="replace")
        body = self.response_json if location.is_in_body else MISSING  # audio is not parsed to read a header
        return location.read_response(body, self.exchange.response.headers)

    def read_response_text(self, location: Location | None) -> str | None:
        """Return the non-empty text at a location of the response; `None` if there is none.

        A whole number is returned as text.
        """
        value = self.read_response_value(location)
        if isinstance(value, str):
            return value or None
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else None

    def read_response_number(self, location: Location | None) -> float | None:
        """Return the number from 0 to `MAX_PLAUSIBLE_CHARGE` at a location of the response; `None` if there is none.

        A number in a header is converted from text.
        """
        return _parse_amount(self.read_response_value(location))

    def read_charge(self, location: Location | None) -> float | UnreadableCharge | None:
        """Return the charge that a response states; `None` if it states none, or null.

        A number above `MAX_PLAUSIBLE_CHARGE`, a negative one, NaN and every other value is an `UnreadableCharge`, also
        if the body is not JSON for the reason that it contains such a number.
        """
        value = self.read_response_value(location)
        if value is MISSING and location is not None and location.is_in_body:
            value = self._read_value_beside_invalid_numbers(location)
        if value is MISSING or value is None:
            return None
        amount = _parse_amount(value)
        return _describe_unreadable_charge(value) if amount is None else amount

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
        return None if ending is None else _parse_amount(ending.read_value(usage.event_usage_location))


def _parse_amount(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= MAX_PLAUSIBLE_CHARGE else None


def _describe_unreadable_charge(value: Any) -> UnreadableCharge:
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
            value[name] = parse_field_value(media_type.schemas, properties.get(name, {}), text)
    value.update({name: upload.data.decode("latin-1") for name, upload in form.files.items()})
    return value


def _parse_json(body: bytes) -> JsonOrError:
    try:
        return read_json(body), None
    except UnreadableBodyError as error:
        return MISSING, error.with_traceback(None)


def _format_error(error: UnreadableBodyError | None) -> str | None:
    return None if error is None else str(error)
