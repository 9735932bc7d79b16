"""One exchange with each of its bodies parsed at most once.

Client, checks and benchmarks read the same responses. `parse_exchange` gives all of them the same object.
"""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from voicegauge.contract.event_streams import EventStreamParser, parse_event_stream
from voicegauge.contract.extension import StreamSpec
from voicegauge.formats import (
    MISSING,
    Form,
    Location,
    UnreadableBodyError,
    is_form,
    read_form,
    read_json,
)
from voicegauge.model import Exchange, Request

MAX_NUMBER = 1e9
"""Dollars or credits. A larger number in a response is not a plausible charge."""


def parse_exchange(exchange: Exchange) -> ParsedExchange:
    """Return the parsed form of `exchange`; the same object each time."""
    # `Exchange` is a frozen record with a `__dict__`: what is stored there is neither compared nor serialized, and
    # is freed together with the exchange.
    cache: dict[str, Any] = exchange.__dict__
    parsed: ParsedExchange | None = cache.get("parsed")
    if parsed is None:
        parsed = cache["parsed"] = ParsedExchange(exchange)
    return parsed


class ParsedExchange:
    """Lazily parsed bodies, query and stream events of one exchange. Parsing never raises: peers are not trusted."""

    def __init__(self, exchange: Exchange) -> None:
        """Store the exchange; use `parse_exchange` to share the result."""
        self.exchange = exchange
        self._stream: tuple[StreamSpec, EventStreamParser] | None = None

    @property
    def response_json(self) -> Any:
        """The response body as JSON, whatever its Content-Type; `MISSING` if it is not JSON."""
        return self._response_json[0]

    @property
    def response_json_error(self) -> str | None:
        """The reason why the response body is not JSON."""
        return self._response_json[1]

    @property
    def request_json(self) -> Any:
        """The request body as JSON, whatever its Content-Type; `MISSING` if it is not JSON."""
        return self._request_json[0]

    @property
    def request_json_error(self) -> str | None:
        """The reason why the request body is not JSON."""
        return self._request_json[1]

    @functools.cached_property
    def _response_json(self) -> tuple[Any, str | None]:
        return _parse_json(self.exchange.response.body)

    @functools.cached_property
    def _request_json(self) -> tuple[Any, str | None]:
        return _parse_json(self.exchange.request.body)

    @functools.cached_property
    def request_form(self) -> Form | None:
        """The form in the request body; `None` if the body is not a readable form."""
        request = self.exchange.request
        if not request.body or not is_form(request_media_type(request)):
            return None
        try:
            return read_form(request.header("content-type") or "", request.body)
        except UnreadableBodyError:
            return None

    @functools.cached_property
    def query(self) -> dict[str, str]:
        """The query parameters of the request; the last value of a repeated one."""
        return dict(parse_qsl(urlsplit(self.exchange.request.url).query, keep_blank_values=True))

    def stream(self, spec: StreamSpec) -> EventStreamParser:
        """Return the events of the response body, read by `spec`."""
        if self._stream is None or self._stream[0] is not spec:
            self._stream = spec, parse_event_stream(spec, self.exchange.response.body)
        return self._stream[1]

    def set_stream(self, spec: StreamSpec, reader: EventStreamParser) -> None:
        """Keep `reader`, which has read the whole body while it arrived."""
        self._stream = spec, reader

    def read_response(self, location: Location | None) -> Any:
        """Return the value at a location of the response, or `MISSING`."""
        if location is None:
            return MISSING
        return location.read_response(self.response_json, self.exchange.response.headers)

    def read_text(self, location: Location | None) -> str | None:
        """Return the non-empty text, or the whole number as text, at a location of the response."""
        value = self.read_response(location)
        if isinstance(value, str):
            return value or None
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else None

    def read_number(self, location: Location | None) -> float | None:
        """Return the number from 0 to `MAX_NUMBER` at a location of the response; headers carry it as text."""
        value = self.read_response(location)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return number if 0 <= number <= MAX_NUMBER else None


def request_media_type(request: Request) -> str:
    """Return the content type of a request without its parameters, in lower case."""
    return (request.header("content-type") or "").split(";")[0].strip().lower()


def _parse_json(body: bytes) -> tuple[Any, str | None]:
    try:
        return read_json(body), None
    except UnreadableBodyError as error:
        return MISSING, str(error)
