"""Locations of values in a request, a response or an event, as contracts write them.

- `body`: the whole body
- `body#/output/url/0`: a JSON pointer (RFC 6901) into a JSON body, or a form field
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
from typing import Any, Literal, Protocol, TypeVar, cast, final

from voicegauge.formats.located_yaml import escape, unescape
from voicegauge.model import Headers, header

LocationKind = Literal["body", "query", "path", "header"]
MISSING: Any = object()
"""Marks the absence of a value, since `None` is a value that JSON can carry."""
MAX_INDEX = 9_999
"""The largest list index that is written. A larger one is a typing error, and would fill the memory with `None`."""
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_BAD_ESCAPE = re.compile("~(?![01])")
_Parsed = TypeVar("_Parsed")


class RequestValues(Protocol):
    """The decoded values of a request, as `Location.read_request` reads them."""

    @property
    def path(self) -> Mapping[str, Any]:
        """Path parameters by name."""

    @property
    def query(self) -> Mapping[str, Any]:
        """Query parameters by name."""

    @property
    def headers(self) -> Mapping[str, Any]:
        """Headers by name, in any case."""

    @property
    def body(self) -> Any:
        """A JSON value, or a mapping of form fields."""


class _WrittenForm:
    """Base of the locations: compared, hashed and printed as they are written in a contract."""

    __slots__ = ("_text",)
    _text: str

    def __str__(self) -> str:
        """The location as a contract writes it."""
        return self._text

    def __repr__(self) -> str:
        """The class and the location as a contract writes it."""
        return f"{type(self).__name__}({self._text!r})"

    def __eq__(self, other: object) -> bool:
        """Whether both are the same kind of location, written in the same way."""
        return isinstance(other, _WrittenForm) and type(other) is type(self) and other._text == self._text

    def __hash__(self) -> int:
        """The hash of the written form."""
        return hash(self._text)


@final
class Location(_WrittenForm):
    """Where a value is in a request or a response. Make one with `parse_location`."""

    __slots__ = ("kind", "name", "tokens")
    kind: LocationKind
    """The part of the message."""
    name: str
    """The parameter's or header's name; empty for a body."""
    tokens: tuple[str, ...]
    """Keys and list indices into a body, outermost first."""

    def __init__(self, kind: LocationKind, name: str = "", tokens: Sequence[str] = ()) -> None:
        """Make a location of the `name` of a parameter or header, or of the keys that lead into a body."""
        self.kind, self.name, self.tokens = kind, name, tuple(tokens)
        pointer = "".join(f"/{escape(token)}" for token in tokens)
        self._text = f"{kind}.{name}" if kind != "body" else f"body#{pointer}" if pointer else "body"

    @property
    def field_name(self) -> str:
        """The outermost field of the body, or the parameter or header: the name by which errors call it."""
        return self.tokens[0] if self.tokens else self.name

    @property
    def in_body(self) -> bool:
        """Whether the value is in the body."""
        return self.kind == "body"

    @property
    def pointer(self) -> str:
        """The JSON pointer into the body; empty for all of it."""
        return self._text.removeprefix("body").removeprefix("#") if self.kind == "body" else ""

    def child(self, *tokens: str) -> Location:
        """The location of a value inside this value of a body."""
        return Location("body", tokens=(*self.tokens, *tokens))

    def read_body(self, body: Any) -> Any:
        """The value in a parsed body; `MISSING` where there is none, or where the location is not in a body."""
        return read_pointer(body, self.tokens) if self.kind == "body" else MISSING

    def read_request(self, request: RequestValues) -> Any:
        """The value in a request; `MISSING` where there is none."""
        if self.kind == "body":
            return read_pointer(request.body, self.tokens)
        if self.kind == "header":
            return _read_header(request.headers, self.name)
        values = request.path if self.kind == "path" else request.query
        return values.get(self.name, MISSING)

    def read_response(self, body: Any, headers: Headers) -> Any:
        """The value in a response; `MISSING` where there is none.

        Args:
            body: the parsed body, or `MISSING`.
            headers: the response's headers.
        """
        if self.kind == "header":
            value = header(headers, self.name)
            return MISSING if value is None else value
        return self.read_body(body)

    def write_body(self, body: Any, value: Any) -> Any:
        """Return `body` with `value` at this location; mappings and lists in between are created.

        `body` is changed in place where it is a mapping or a list.

        Raises:
            ValueError: the location is not in a body, or leads through a text or a number.
        """
        if self.kind != "body":
            raise ValueError(f"{self} is not in the body")
        return write_pointer(body, self.tokens, value)


@final
class EventLocation(_WrittenForm):
    """Where a value is in a server-sent event. Make one with `parse_event_location`."""

    __slots__ = ("kind", "tokens")
    kind: Literal["event", "data"]
    tokens: tuple[str, ...]
    """Keys and list indices into the data, outermost first."""

    def __init__(self, kind: Literal["event", "data"], tokens: Sequence[str] = ()) -> None:
        """Make a location of the event type ("event"), or of the keys that lead into the data."""
        self.kind, self.tokens = kind, tuple(tokens)
        pointer = "".join(f"/{escape(token)}" for token in tokens)
        self._text = f"{kind}#{pointer}" if pointer else kind

    @property
    def in_data(self) -> bool:
        """Whether the value is in the event's data."""
        return self.kind == "data"

    def read(self, event_type: str | None, data: bytes, value: Any) -> Any:
        """The value in one event; `MISSING` where there is none.

        Args:
            event_type: the event field of the message.
            data: the data as it was received, as UTF-8.
            value: the data as JSON; `MISSING` where it is not JSON.
        """
        if self.kind == "event":
            return MISSING if event_type is None else event_type
        return read_pointer(value, self.tokens) if self.tokens else data.decode()


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
        """The class and the values."""
        return f"LocationValues({self._values!r})"

    def __hash__(self) -> int:
        """A hash over the locations: the values may be lists or mappings."""
        return hash(tuple(self._values))


def _read_header(headers: Mapping[str, Any], name: str) -> Any:
    wanted = name.lower()
    if wanted in headers:
        return headers[wanted]
    return next((value for key, value in headers.items() if key.lower() == wanted), MISSING)


def _pointer_tokens(pointer: str) -> tuple[str, ...] | None:
    """The keys of a JSON pointer; `None` where it is not valid."""
    if not pointer.startswith("/") or _BAD_ESCAPE.search(pointer):
        return None
    return tuple(unescape(token) for token in pointer.split("/")[1:])


@functools.lru_cache(maxsize=4096)
def parse_location(text: str) -> Location:
    """Parse a location in a request or a response.

    Raises:
        ValueError: `text` is none of the forms above.
    """
    if text == "body":
        return Location("body")
    if text.startswith("body#"):
        tokens = _pointer_tokens(text.removeprefix("body#"))
        if tokens is not None:
            return Location("body", tokens=tokens)
    kind, _, name = text.partition(".")
    if kind in ("query", "path", "header") and name:
        return Location(cast("LocationKind", kind), name)
    raise ValueError(
        f"{text!r} is not a valid location: write body, body#/pointer, query.NAME, path.NAME or header.NAME"
    )


@functools.lru_cache(maxsize=256)
def parse_event_location(text: str) -> EventLocation:
    """Parse a location in a server-sent event.

    Raises:
        ValueError: `text` is none of the forms above.
    """
    if text in ("event", "data"):
        return EventLocation(cast('Literal["event", "data"]', text))
    tokens = _pointer_tokens(text.removeprefix("data#")) if text.startswith("data#") else None
    if tokens is None:
        raise ValueError(f"{text!r} is not a valid location in an event: write event, data or data#/pointer")
    return EventLocation("data", tokens)


def decode_location(kind: type[_Parsed], value: Any) -> _Parsed:
    """Make a `Location`, `EventLocation` or `LocationValues` of plain data: a `dec_hook` for msgspec.

    Raises:
        ValueError: `value` is not a text, or not a valid location.
        NotImplementedError: `kind` is none of these.
    """
    parsed: Any
    if kind is LocationValues:
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, got {type(value).__name__}")
        parsed = LocationValues({parse_location(text): item for text, item in value.items()})
        return cast("_Parsed", parsed)
    if kind is not Location and kind is not EventLocation:
        raise NotImplementedError(f"{kind} is not a location")
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004
            f"expected a location such as body#/text, got {type(value).__name__}"
        )
    parsed = parse_location(value) if kind is Location else parse_event_location(value)
    return cast("_Parsed", parsed)


def encode_location(value: Any) -> Any:
    """Make plain data of a `Location`, `EventLocation` or `LocationValues`: an `enc_hook` for msgspec.

    Raises:
        NotImplementedError: `value` is none of these.
    """
    if isinstance(value, Location | EventLocation):
        return str(value)
    if isinstance(value, LocationValues):
        return {str(location): item for location, item in value.items()}
    raise NotImplementedError(f"{type(value)} is not a location")


def read_pointer(value: Any, tokens: Sequence[str]) -> Any:
    """Return the value that `tokens` lead to, or `MISSING`."""
    for token in tokens:
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
            value = value[int(token)]
        else:
            return MISSING
    return value


def write_pointer(root: Any, tokens: Sequence[str], new: Any) -> Any:
    """Return `root` with `new` at `tokens`; mappings and lists in between are created.

    `root` is changed in place where it is a mapping or a list.

    Raises:
        ValueError: `tokens` lead through a text or a number, or a list is given a key that is not an index.
    """
    if not tokens:
        return new
    token, rest = tokens[0], tokens[1:]
    if root is None:
        root = [] if _INDEX.fullmatch(token) else {}
    if isinstance(root, list):
        index = int(token) if _INDEX.fullmatch(token) else None
        if index is None or index > MAX_INDEX:
            raise ValueError(f"{token!r} is not a list index: it must be a number up to {MAX_INDEX}")
        root.extend(None for _ in range(index + 1 - len(root)))
        root[index] = write_pointer(root[index], rest, new)
    elif isinstance(root, dict):
        root[token] = write_pointer(root.get(token), rest, new)
    else:
        raise ValueError(f"{token!r} leads through a value that is not a mapping or a list")  # noqa: TRY004
    return root
