"""Locations of values in requests and responses, and JSON pointers.

A contract writes a location as follows:

- `body`: the whole body
- `body#/output/url/0`: a JSON pointer (RFC 6901) into a JSON body, or a form field
- `body#/words/*/start`: every item of a list, where a contract asks for a list of values
- `query.NAME`: a query parameter
- `path.NAME`: a path parameter
- `header.NAME`: a header

In a server-sent event:

- `event`: the event type
- `data`: the event's data
- `data#/audio`: a JSON pointer into the event's data
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, TypeVar, cast, final

import msgspec

from voicegauge.formats.located_yaml import describe_type, format_json_pointer, split_json_pointer
from voicegauge.model.exchange import Headers, find_header

MessagePart = Literal["body", "query", "path", "header"]
MISSING: Any = object()
"""Marks the absence of a value, because `None` is the JSON value `null`."""
EVERY_ITEM = "*"
"""The token that stands for every item of a list."""
MAX_LIST_INDEX = 9_999
"""The largest list index at which a value is written. A larger index is a typing error and would fill the memory with
`None`."""
_LIST_INDEX_PATTERN = re.compile(r"0|[1-9][0-9]{0,8}")
"""Matches an index as RFC 6901 writes it, without leading zeros. Nine digits at most: Python may refuse to convert
thousands."""
_INVALID_POINTER_ESCAPE_PATTERN = re.compile("~(?![01])")
"""Matches a "~" that is not the beginning of "~0" or "~1", the only escapes of a JSON pointer."""
_LocationT = TypeVar("_LocationT")


class RequestValues(Protocol):
    """The decoded values of a request, as `Location.read_request` reads them."""

    @property
    def path_parameters(self) -> Mapping[str, Any]:
        """Path parameters by name."""

    @property
    def query_parameters(self) -> Mapping[str, Any]:
        """Query parameters by name."""

    @property
    def headers(self) -> Mapping[str, Any]:
        """Headers by name, in any case."""

    @property
    def body(self) -> Any:
        """The body: a JSON value, or a mapping of form fields."""


class _LocationBase:
    """Base class of the places of values in messages; two are equal if their class and text ("body#/id") are."""

    __slots__ = ("_text",)
    _text: str

    def __str__(self) -> str:
        """The location as a contract writes it."""
        return self._text

    def __repr__(self) -> str:
        """The class and the location as a contract writes it."""
        return f"{type(self).__name__}({self._text!r})"

    def __eq__(self, other: object) -> bool:
        """Whether `other` is the same kind of location and is written in the same way."""
        return isinstance(other, _LocationBase) and type(other) is type(self) and other._text == self._text

    def __hash__(self) -> int:
        """The hash of the written form."""
        return hash(self._text)


@final
class Location(_LocationBase):
    """Where a value is in a request or a response. Make a location with `parse_location`."""

    __slots__ = ("message_part", "name", "pointer_tokens")
    message_part: MessagePart
    """The part of the request or response that contains the value."""
    name: str
    """The parameter's or header's name; empty for a body."""
    pointer_tokens: tuple[str, ...]
    """Keys and list indices into a body, outermost first."""

    def __init__(self, message_part: MessagePart, name: str = "", pointer_tokens: Sequence[str] = ()) -> None:
        """Make a location from the `name` of a parameter or header, or from the keys and indices of a body value."""
        self.message_part, self.name, self.pointer_tokens = message_part, name, tuple(pointer_tokens)
        # Written once: locations are keys of mappings, so that they are hashed and compared for every exchange.
        pointer = format_json_pointer(pointer_tokens)
        self._text = f"{message_part}.{name}" if message_part != "body" else f"body#{pointer}" if pointer else "body"

    @property
    def field_name(self) -> str:
        """Name of the outermost body field, or of the parameter or header. Error messages use this name."""
        return self.pointer_tokens[0] if self.pointer_tokens else self.name

    @property
    def is_in_body(self) -> bool:
        """Whether the value is in the body."""
        return self.message_part == "body"

    @property
    def json_pointer(self) -> str:
        """The JSON pointer into the body; empty for the whole body."""
        return self._text.removeprefix("body").removeprefix("#") if self.message_part == "body" else ""

    def get_inner_location(self, *pointer_tokens: str) -> Location:
        """Return the location of a value inside the value at this location of a body."""
        return Location("body", pointer_tokens=(*self.pointer_tokens, *pointer_tokens))

    def read_body(self, body: Any) -> Any:
        """Return the value in a parsed body; `MISSING` if there is no value, or if the location is not in a body."""
        return read_pointer(body, self.pointer_tokens) if self.message_part == "body" else MISSING

    def read_request(self, request: RequestValues) -> Any:
        """Return the value in a request; `MISSING` if there is no value."""
        if self.message_part == "body":
            return read_pointer(request.body, self.pointer_tokens)
        if self.message_part == "header":
            return _read_header(request.headers, self.name)
        values = request.path_parameters if self.message_part == "path" else request.query_parameters
        return values.get(self.name, MISSING)

    def read_response(self, body: Any, headers: Headers) -> Any:
        """Return the value in a response; `MISSING` if there is no value.

        Args:
            body: the parsed body; `MISSING` if it could not be parsed.
            headers: the response's headers.
        """
        if self.message_part == "header":
            value = find_header(headers, self.name)
            return MISSING if value is None else value
        return self.read_body(body)

    def write_body(self, body: Any, value: Any) -> Any:
        """Return `body` with `value` at this location. Mappings and lists on the way to the location are created.

        If `body` is a mapping or a list, it is changed in place.

        Raises:
            ValueError: the location is not in a body, or is inside a text or a number.
        """
        if self.message_part != "body":
            raise ValueError(f"{self} is not in the body")
        return write_value_at_pointer(body, self.pointer_tokens, value)


@final
class EventLocation(_LocationBase):
    """Where a value is in a server-sent event. Make a location with `parse_event_location`."""

    __slots__ = ("event_part", "pointer_tokens")
    event_part: Literal["event", "data"]
    """Whether the value is the type of the event, or is in its data."""
    pointer_tokens: tuple[str, ...]
    """Keys and list indices into the data, outermost first."""

    def __init__(self, event_part: Literal["event", "data"], pointer_tokens: Sequence[str] = ()) -> None:
        """Make a location of the event type, or of a value in the event's data.

        Args:
            event_part: "event" for the event type, "data" for a value in the data.
            pointer_tokens: keys and list indices into the data; empty for the whole data.
        """
        self.event_part, self.pointer_tokens = event_part, tuple(pointer_tokens)
        pointer = format_json_pointer(pointer_tokens)
        self._text = f"{event_part}#{pointer}" if pointer else event_part

    @property
    def is_in_data(self) -> bool:
        """Whether the value is in the event's data."""
        return self.event_part == "data"

    def read_event(self, event_type: str | None, data_bytes: bytes, json_value: Any) -> Any:
        """Return the value in one event; `MISSING` if there is no value.

        Args:
            event_type: the event field of the message; `None` if it has none.
            data_bytes: the data as it was received, as UTF-8.
            json_value: the data as JSON; `MISSING` if the data is not JSON.
        """
        if self.event_part == "event":
            return MISSING if event_type is None else event_type
        return read_pointer(json_value, self.pointer_tokens) if self.pointer_tokens else data_bytes.decode()


_IS_REQUEST_LOCATION_KEY = "is_in_request"
"""Key in the annotation of a field that marks its location as one in a request."""
RequestLocation = Annotated[Location, msgspec.Meta(extra={_IS_REQUEST_LOCATION_KEY: True})]
"""Type of a record field whose value is a location in a request. In the grammar of contracts, a field of type
`Location` is a location in a response."""


def is_request_location(type_hint: Any) -> bool:
    """Whether a type is `RequestLocation`."""
    marks = getattr(type_hint, "__metadata__", ())
    return any(
        isinstance(mark, msgspec.Meta) and bool((mark.extra or {}).get(_IS_REQUEST_LOCATION_KEY)) for mark in marks
    )


@final
class LocationValues(Mapping[Location, Any]):
    """Values by location, in the order in which a contract lists them."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[Location, Any] = {}) -> None:
        """Copy `values`."""
        self._values = dict(values)

    def __getitem__(self, location: Location) -> Any:
        """The value for `location`."""
        return self._values[location]

    def __iter__(self) -> Iterator[Location]:
        """The locations, in order."""
        return iter(self._values)

    def __len__(self) -> int:
        """The number of locations."""
        return len(self._values)

    def __repr__(self) -> str:
        """The class name and the values, for error messages."""
        return f"LocationValues({self._values!r})"

    def __hash__(self) -> int:
        """A hash of the locations only, because the values may be lists or mappings, which have no hash."""
        return hash(tuple(self._values))


def _read_header(headers: Mapping[str, Any], name: str) -> Any:
    # Headers that were parsed have lower-case names already; those that a caller builds may not.
    wanted = name.lower()
    if wanted in headers:
        return headers[wanted]
    return next((value for key, value in headers.items() if key.lower() == wanted), MISSING)


def _parse_json_pointer(json_pointer: str) -> tuple[str, ...] | None:
    """Return the keys of a JSON pointer; `None` if the pointer is not valid."""
    if not json_pointer.startswith("/") or _INVALID_POINTER_ESCAPE_PATTERN.search(json_pointer):
        return None
    return tuple(split_json_pointer(json_pointer))


@functools.lru_cache(maxsize=4096)
def parse_location(text: str) -> Location:
    """Parse a location in a request or a response.

    Raises:
        ValueError: `text` has none of the forms that the module documents.
    """
    if text == "body":
        return Location("body")
    if text.startswith("body#"):
        pointer_tokens = _parse_json_pointer(text.removeprefix("body#"))
        if pointer_tokens is not None:
            return Location("body", pointer_tokens=pointer_tokens)
    kind, _, name = text.partition(".")
    if kind in ("query", "path", "header") and name:
        return Location(cast("MessagePart", kind), name)
    raise ValueError(
        f"{text!r} is not a valid location: write body, body#/pointer, query.NAME, path.NAME or header.NAME"
    )


@functools.lru_cache(maxsize=256)
def parse_event_location(text: str) -> EventLocation:
    """Parse a location in a server-sent event.

    Raises:
        ValueError: `text` has none of the forms that the module documents.
    """
    if text in ("event", "data"):
        return EventLocation(cast('Literal["event", "data"]', text))
    pointer_tokens = _parse_json_pointer(text.removeprefix("data#")) if text.startswith("data#") else None
    if pointer_tokens is None:
        raise ValueError(f"{text!r} is not a valid location in an event: write event, data or data#/pointer")
    return EventLocation("data", pointer_tokens)


def decode_location(location_class: type[_LocationT], value: Any) -> _LocationT:
    """Make a `Location`, `EventLocation` or `LocationValues` from plain data. This is a `dec_hook` for msgspec.

    Raises:
        ValueError: `value` is not a text, or not a valid location.
        NotImplementedError: `location_class` is none of these three classes.
    """
    parsed: Any
    if location_class is LocationValues:
        if not isinstance(value, dict):
            raise ValueError(f"must be a mapping, not {describe_type(value)}")
        parsed = LocationValues({parse_location(text): item for text, item in value.items()})
        return cast("_LocationT", parsed)
    if location_class is not Location and location_class is not EventLocation:
        raise NotImplementedError(f"{location_class} is not a location")  # how a msgspec hook declines a type
    if not isinstance(value, str):
        raise ValueError(f"must be a location such as body#/text, not {describe_type(value)}")  # noqa: TRY004
    parsed = parse_location(value) if location_class is Location else parse_event_location(value)
    return cast("_LocationT", parsed)


def encode_location(value: Any) -> Any:
    """Make plain data from a `Location`, `EventLocation` or `LocationValues`. This is an `enc_hook` for msgspec.

    Raises:
        NotImplementedError: `value` is an instance of none of these three classes.
    """
    if isinstance(value, Location | EventLocation):
        return str(value)
    if isinstance(value, LocationValues):
        return {str(location): item for location, item in value.items()}
    raise NotImplementedError(f"{type(value)} is not a location")  # how a msgspec hook declines a type


def read_pointer(root: Any, pointer_tokens: Sequence[str]) -> Any:
    """Return the value at the keys and indices `pointer_tokens` inside `root`; `MISSING` if there is no such value."""
    for token in pointer_tokens:
        if isinstance(root, dict) and token in root:
            root = root[token]
        elif isinstance(root, list) and _LIST_INDEX_PATTERN.fullmatch(token) and int(token) < len(root):
            root = root[int(token)]
        else:
            return MISSING
    return root


def read_json_pointer(root: Any, json_pointer: str) -> Any:
    """Return the value at a JSON pointer (RFC 6901) inside `root`; `MISSING` if there is no such value."""
    return read_pointer(root, split_json_pointer(json_pointer))


def read_values_at_pointer(root: Any, pointer_tokens: Sequence[str]) -> list[Any]:
    """Return the values at `pointer_tokens`, in which `EVERY_ITEM` stands for each item of a list.

    An item without such a value adds nothing. There are no values if a list is missing.
    """
    if EVERY_ITEM not in pointer_tokens:
        value = read_pointer(root, pointer_tokens)
        return [] if value is MISSING else [value]
    index = list(pointer_tokens).index(EVERY_ITEM)
    items = read_pointer(root, pointer_tokens[:index])
    if not isinstance(items, list):
        return []
    return [value for item in items for value in read_values_at_pointer(item, pointer_tokens[index + 1 :])]


def write_value_at_pointer(root: Any, pointer_tokens: Sequence[str], new_value: Any) -> Any:
    """Write `new_value` at the keys and indices `pointer_tokens` inside `root`, and return the changed `root`.

    Mappings and lists on the way are created. If `root` is a mapping or a list, it is changed in place.

    Raises:
        ValueError: `pointer_tokens` lead inside a text or a number, or a token for a list is not an index.
    """
    if not pointer_tokens:
        return new_value
    token, rest = pointer_tokens[0], pointer_tokens[1:]
    if root is None:
        root = [] if _LIST_INDEX_PATTERN.fullmatch(token) else {}
    if isinstance(root, list):
        index = int(token) if _LIST_INDEX_PATTERN.fullmatch(token) else None
        if index is None or index > MAX_LIST_INDEX:
            raise ValueError(f"{token!r} is not a list index: it must be a number up to {MAX_LIST_INDEX}")
        root.extend(None for _ in range(index + 1 - len(root)))
        root[index] = write_value_at_pointer(root[index], rest, new_value)
    elif isinstance(root, dict):
        root[token] = write_value_at_pointer(root.get(token), rest, new_value)
    else:
        raise ValueError(f"{token!r} leads through a value that is not a mapping or a list")  # noqa: TRY004
    return root
