"""Defines what a client sends and reads, finds it in recordings and contracts, and adjusts the levels of changes."""

from __future__ import annotations

import functools
import re
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec

from voicegauge.contract.document_parts import OPENAPI_METHODS, RECORD_TYPE_BY_OPERATION_KEY, RECORD_TYPE_BY_ROOT_KEY
from voicegauge.drift.drift_report import DriftChange, DriftLevel
from voicegauge.formats.bodies import UnreadableBodyError, is_form, is_json, read_form, read_json
from voicegauge.formats.located_yaml import Document, split_json_pointer
from voicegauge.formats.locations import EVERY_ITEM, Location, LocationValues, is_request_location, parse_location
from voicegauge.model.exchange import Request
from voicegauge.recording.foreign_recordings import read_requests

# Defines what a client uses of an API: the operations that it calls, and the values that it sends and reads.


class SentValues(NamedTuple):
    """The values that a client sends in one request, or that a declaration lists."""

    locations: frozenset[Location]
    """Locations of the values in a request."""
    source: str
    """Where the values are stated: "uses.yaml:5", or "client.har, request 3"."""

    def find_overlapping_location(self, location: Location) -> Location | None:
        """Return the location of a sent value that is at, around or inside `location`; `None` if there is none."""
        return next(iter(_iterate_overlapping_locations(self.locations, location)), None)


@dataclass
class OperationUse:
    """What the client sends to one operation, and what it reads of the operation's responses."""

    sent_values: list[SentValues] = field(default_factory=list)
    """One item for each recorded request and for each declaration: the values that it sends or lists."""
    are_sent_values_complete: bool = True
    """Whether `sent_values` lists everything that the client sends."""
    source_by_read_location: dict[Location, str] | None = None
    """Where a file declares that the client reads a value, by the location of the value. `None` if it is not known what
    the client reads."""

    @property
    def are_sent_values_known(self) -> bool:
        """Whether it is known what the client sends."""
        return bool(self.sent_values) and self.are_sent_values_complete

    def find_read_location(self, location: Location) -> tuple[Location, str] | None:
        """Return the location of a value that the client reads, and where it is declared; `None` if there is none.

        The location of the value is `location` itself, or a location around or inside it.
        """
        declared = self.source_by_read_location or {}
        found = next(iter(_iterate_overlapping_locations(declared, location)), None)
        return None if found is None else (found, declared[found])

    def add_read_locations(self, locations: Iterable[Location], source: str) -> None:
        """Add the locations of values that the client reads; `source` says where a file declares them."""
        known = self.source_by_read_location
        self.source_by_read_location = {**dict.fromkeys(locations, source), **(known or {})}


@dataclass
class ClientUses:
    """What one client uses of an API. It is taken to use nothing else, unless a file was unreadable."""

    operation_use_by_name: dict[str, OperationUse] = field(default_factory=dict)
    """What the client uses of each operation, by `operationId`, or by method and path ("GET /voices") if the operation
    has no `operationId`."""
    unreadable_file_messages: list[str] = field(default_factory=list)
    """One line, with the reason, for each file of a folder that could not be read as a recording. If there are such
    files, the client may use more than is listed here."""

    def find_or_add_operation_use(self, operation_name: str) -> OperationUse:
        """Return what the client uses of an operation. An operation that is not listed yet is added without uses."""
        return self.operation_use_by_name.setdefault(operation_name, OperationUse())


def _iterate_overlapping_locations(used_locations: Iterable[Location], location: Location) -> Iterator[Location]:
    for other in used_locations:
        if other.message_part != location.message_part:
            continue
        if location.is_in_body or location.message_part == "query":
            # An object in the query is sent as several parameters: filter[name]=a
            is_same_parameter = other.name == location.name or other.name.startswith(f"{location.name}[")
            if is_same_parameter and _is_one_pointer_inside_other(other.pointer_tokens, location.pointer_tokens):
                yield other
        elif other.name.lower() == location.name.lower():
            yield other


def _is_one_pointer_inside_other(first_pointer_tokens: tuple[str, ...], second_pointer_tokens: tuple[str, ...]) -> bool:
    """Whether two pointers are equal or one is inside the other. The token `EVERY_ITEM` is equal to every token."""
    # The further tokens of the longer pointer lead to a value inside the value of the shorter one.
    common_tokens = zip(first_pointer_tokens, second_pointer_tokens, strict=False)
    return all(one == other or EVERY_ITEM in (one, other) for one, other in common_tokens)


# Lowers or raises the level of each change, depending on what one client sends and reads.


_OPTIONAL_MEDIA_TYPE_REGEX = r"(?: \([^)]*\))?"
"""Matches a media type in parentheses, which may be missing."""
_BODY_LOCATION_PATTERN = re.compile(
    rf"(?:(?P<request>request)|(?:[1-5][0-9X]{{2}}|DEFAULT)) body{_OPTIONAL_MEDIA_TYPE_REGEX}(?P<pointer>(?:/.*)?)"
)
"""Matches the location of a change in a body, such as "request body/text" or "200 body/url"."""
_PARAMETER_OR_HEADER_PATTERN = re.compile(
    r"(?:(?P<status>[1-5][0-9X]{2}|DEFAULT) )?(?P<kind>query|header) (?P<name>[^/]+)(?P<pointer>(?:/.*)?)"
)
"""Matches the location of a change of a query parameter or a header, such as "200 header Retry-After"."""
_REQUIRED_VALUE_RULE_PATTERN = re.compile(
    r"new-required-.*|.*-became-required(-with-default)?|request-parameter-default-value-.*|request-body-added-required"
)
"""Matches the ids of rules about values that the newer document requires in requests, such as a new required field. A
change under such a rule affects clients that do not send the value. Any other change affects clients that send or read
the changed value."""
_REMOVAL_RULE_PATTERN = re.compile(r"response-.*-property-removed|(required|optional)-response-header-removed")
"""Matches the ids of rules about values that responses no longer have."""


class _ChangedPart(NamedTuple):
    """The body, parameter, header or field that a change is about."""

    is_in_request: bool
    location: Location
    """Where the part is in the message."""


class _EffectOnClient(NamedTuple):
    """Whether a change affects the client, and the reason as a phrase: "the client does not read it"."""

    affects_client: bool
    reason: str


def adjust_levels_for_client(changes: Iterable[DriftChange], client_uses: ClientUses) -> Iterator[DriftChange]:
    """Yield each change with the level that it has for one client.

    A change of something that the client does not use becomes compatible. A change that removes a value which the
    client reads becomes breaking. A change keeps its level if it is not known whether the client uses the changed part.
    """
    for change in changes:
        effect = _find_effect_on_client(change, client_uses)
        if effect is None or change.level is DriftLevel.COMPATIBLE:
            yield change
        else:
            level = change.level if effect.affects_client else DriftLevel.COMPATIBLE
            # Clients in general may do without an optional value, one that reads it does not.
            if effect.affects_client and _REMOVAL_RULE_PATTERN.fullmatch(change.rule):
                level = DriftLevel.BREAKING
            yield msgspec.structs.replace(
                change, level=level, client_use=effect.reason, message=f"{change.message} ({effect.reason})"
            )


def _find_effect_on_client(change: DriftChange, client_uses: ClientUses) -> _EffectOnClient | None:
    """Return the effect of a change on one client; `None` if it is not known, or if the change affects every client."""
    if change.operation is None:
        return None
    operation_use = client_uses.operation_use_by_name.get(change.operation)
    if operation_use is None:
        return _EffectOnClient(affects_client=False, reason="the client does not call this operation")
    part = _parse_changed_part(change.location)
    if part is None:
        return None
    if not part.is_in_request:
        is_known = operation_use.source_by_read_location is not None
        return _find_effect_on_reader(operation_use, part.location) if is_known else None
    if _REQUIRED_VALUE_RULE_PATTERN.fullmatch(change.rule):
        return (
            _find_effect_of_required_value(operation_use, part.location)
            if operation_use.are_sent_values_known
            else None
        )
    effect = _find_effect_on_sender(operation_use, part.location)
    return effect if effect.affects_client or operation_use.are_sent_values_known else None


def _parse_changed_part(location: str) -> _ChangedPart | None:
    """Parse the location of a change, such as "request body/text" or "200 header Retry-After".

    Return `None` if it is not the location of a body, a query parameter or a header.
    """
    found = _BODY_LOCATION_PATTERN.fullmatch(location)
    if found:
        pointer_tokens = split_json_pointer(found["pointer"])
        return _ChangedPart(bool(found["request"]), Location("body", pointer_tokens=pointer_tokens))
    found = _PARAMETER_OR_HEADER_PATTERN.fullmatch(location)
    if found is None:
        return None
    return _ChangedPart(not found["status"], Location("query" if found["kind"] == "query" else "header", found["name"]))


def _find_effect_on_reader(operation_use: OperationUse, location: Location) -> _EffectOnClient:
    found = operation_use.find_read_location(location)
    if found is None:
        return _EffectOnClient(affects_client=False, reason="the client does not read it")
    return _EffectOnClient(affects_client=True, reason=f"the client reads {found[0]}: {found[1]}")


def _find_effect_on_sender(operation_use: OperationUse, location: Location) -> _EffectOnClient:
    for request in operation_use.sent_values:
        found = request.find_overlapping_location(location)
        if found is not None:
            return _EffectOnClient(affects_client=True, reason=f"the client sends {found}: {request.source}")
    return _EffectOnClient(affects_client=False, reason="the client does not send it")


def _find_effect_of_required_value(operation_use: OperationUse, location: Location) -> _EffectOnClient:
    """Return how a client is affected by a value that requests must contain according to the newer document.

    The client is affected if one of its requests has the object that contains the value, but not the value itself.
    """
    around = Location("body", pointer_tokens=location.pointer_tokens[:-1]) if location.pointer_tokens else None
    reason = "the client does not send what contains it"
    for request in operation_use.sent_values:
        if around is not None and request.find_overlapping_location(around) is None:
            continue
        found = request.find_overlapping_location(location)
        if found is None:
            return _EffectOnClient(affects_client=True, reason=f"the client does not send it: {request.source}")
        reason = f"the client sends {found}: {request.source}"
    return _EffectOnClient(affects_client=False, reason=reason)


# Finds what a client sends in recordings of its requests.


MAX_BODY_DEPTH = 50
"""Number of nested levels of a JSON body in which each value has a location of its own. A deeper value counts as part
of its parent."""


class OperationPattern(NamedTuple):
    """An operation of an OpenAPI document, with a pattern that matches the URLs of its requests."""

    name: str
    """The `operationId`, or method and path if the operation has no `operationId`."""
    method: str
    path: str
    url_pattern: re.Pattern[str]

    @property
    def method_and_path(self) -> str:
        """The method and the path: "GET /voices"."""
        return f"{self.method.upper()} {self.path}"


class OperationMatcher:
    """Finds the operations of a document by URL and by name."""

    def __init__(self, document: Document) -> None:
        """List the operations of `document`."""
        self.document = document
        self.operation_patterns = sorted(
            _iterate_operation_patterns(document.data), key=lambda operation_pattern: operation_pattern.path.count("{")
        )
        """The operations, those with the fewest parameters in the path first."""

    def find_by_request(self, request: Request) -> str | None:
        """Return the name of the operation that a request calls; `None` if the document has no such operation."""
        url = request.url.partition("?")[0].partition("#")[0]
        # "/voices/default" comes before "/voices/{id}", whose pattern matches it too.
        for operation_pattern in self.operation_patterns:
            if operation_pattern.method == request.method.lower() and operation_pattern.url_pattern.fullmatch(url):
                return operation_pattern.name
        return None

    def find_by_name(self, name: str) -> OperationPattern | None:
        """Return the operation whose `operationId`, or whose method and path, is `name`; `None` if there is none."""
        for operation_pattern in self.operation_patterns:
            if name in (operation_pattern.name, operation_pattern.method_and_path):
                return operation_pattern
        return None


def _iterate_operation_patterns(document: dict[str, Any]) -> Iterator[OperationPattern]:
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        for method in OPENAPI_METHODS:
            operation = item.get(method) if isinstance(item, dict) else None
            if not isinstance(operation, dict):
                continue
            operation_id = operation.get("operationId")
            name = operation_id if isinstance(operation_id, str) else f"{method.upper()} {path}"
            servers = operation.get("servers") or item.get("servers") or document.get("servers") or [{"url": "/"}]
            bases = "|".join(_build_server_pattern(server) for server in servers if isinstance(server, dict))
            pattern = re.compile(f"(?:{bases}){_build_url_pattern(path)}/?")
            yield OperationPattern(name, method, path, pattern)


def _build_server_pattern(server: dict[str, Any]) -> str:
    """Return a pattern for the URL of a server. A server URL without a host matches any host."""
    url = str(server.get("url", "/")).rstrip("/")
    return _build_url_pattern(url) if "//" in url else "[a-z]+://[^/]+" + _build_url_pattern(url)


def _build_url_pattern(url_template: str) -> str:
    parts = re.split(r"\{[^}]*\}", url_template)
    return "[^/]+".join(re.escape(part) for part in parts)


def add_recorded_uses(client_uses: ClientUses, path: Path, matcher: OperationMatcher) -> int:
    """Add what the client sends in a recording to `client_uses`. Return the number of recorded requests to the API.

    Raises:
        DataError: the recording cannot be read.
    """
    count = 0
    for recorded in read_requests(path):
        operation = matcher.find_by_request(recorded.request)
        if operation is None:
            continue
        count += 1
        use = client_uses.find_or_add_operation_use(operation)
        # A request that was cut, or cannot be read, may have sent anything.
        locations = _list_sent_locations(recorded.request) if recorded.is_complete else None
        if locations is None:
            use.are_sent_values_complete = False
        else:
            use.sent_values.append(SentValues(locations, f"{path}, request {recorded.request_number}"))
    return count


def _list_sent_locations(request: Request) -> frozenset[Location] | None:
    """Return the locations of all values in a request; `None` if its body cannot be read."""
    found = {Location("query", name) for name, _ in parse_qsl(urlsplit(request.url).query, keep_blank_values=True)}
    found |= {Location("header", name.lower()) for name, _ in request.headers}
    if not request.body:
        return frozenset(found)
    try:
        if is_json(request.media_type):
            found |= {
                Location("body", pointer_tokens=pointer_tokens)
                for pointer_tokens in _iterate_leaf_paths(read_json(request.body), ())
            }
        elif is_form(request.media_type):
            form = read_form(request.find_header("content-type") or "", request.body)
            found |= {Location("body", pointer_tokens=[name]) for name in (*form.fields, *form.files)}
        else:
            found.add(Location("body"))
    except UnreadableBodyError:
        return None
    return frozenset(found)


def _iterate_leaf_paths(value: Any, pointer_tokens: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and value and len(pointer_tokens) < MAX_BODY_DEPTH:
        for key, item in value.items():
            yield from _iterate_leaf_paths(item, (*pointer_tokens, key))
    elif isinstance(value, list) and value and len(pointer_tokens) < MAX_BODY_DEPTH:
        for item in value:
            yield from _iterate_leaf_paths(item, (*pointer_tokens, EVERY_ITEM))
    else:
        yield pointer_tokens


# Finds the `x-` keys of contracts, and the keys below them, whose values are locations in requests.


ANY_KEY = "*"
"""Stands for any key in the path of a key."""


def _iterate_key_paths(
    type_hint: Any, key_path: tuple[str, ...], parent_types: tuple[type[Any], ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Yield the path of each key of the contract grammar whose value is a location in a request.

    A path is a tuple of keys that begins with an `x-` key. `ANY_KEY` in a path stands for any key, and a final key
    `location` is left out.

    Args:
        type_hint: the type of the value at `key_path`.
        key_path: the keys that lead to the value.
        parent_types: the records around the value, because a record may contain itself.
    """
    if type_hint is LocationValues or is_request_location(type_hint):
        # a bare location is short for a mapping with `location`
        yield key_path[:-1] if key_path[-1] == "location" else key_path
        return
    if isinstance(type_hint, type) and issubclass(type_hint, msgspec.Struct):
        if type_hint not in parent_types:
            for key, inner in _get_type_hints(type_hint).items():
                yield from _iterate_key_paths(inner, (*key_path, key), (*parent_types, type_hint))
        return
    arguments = typing.get_args(type_hint)
    if typing.get_origin(type_hint) is dict:
        yield from _iterate_key_paths(arguments[1], (*key_path, ANY_KEY), parent_types)
    else:  # items of a list are at the key of the list
        for argument in arguments:
            yield from _iterate_key_paths(argument, key_path, parent_types)


@functools.cache
def _get_type_hints(record_type: type[Any]) -> dict[str, Any]:
    """Return the type of each field of a record."""
    return typing.get_type_hints(record_type, include_extras=True)


# Finds what voicegauge itself sends and reads, from the locations that the `x-` keys of a contract name.


_REQUEST_KEY_PATHS = frozenset(
    path
    for key, record_type in {**RECORD_TYPE_BY_OPERATION_KEY, **RECORD_TYPE_BY_ROOT_KEY}.items()
    for path in _iterate_key_paths(record_type, (key,))
)
"""Paths of the keys, starting with an `x-` key, under which a contract names locations in requests. Locations under any
other key are in responses."""


class _StatedLocation(NamedTuple):
    """A location that an `x-` key of a contract names, such as `body#/text`."""

    location: Location
    is_in_request: bool
    """Whether the location is in a request. Otherwise it is in a response."""


def add_voicegauge_uses(client_uses: ClientUses, matcher: OperationMatcher) -> None:
    """Add what voicegauge sends to and reads from each operation that has an `x-` key.

    Every location that an `x-` key names is added to all of these operations, because an `x-` key of one operation may
    name locations of another. The requests are marked as incomplete, because voicegauge also sends values that no `x-`
    key names, such as required ones.
    """
    document = matcher.document
    stated = set(_iterate_stated_locations(document.data, ()))
    sent = frozenset(one.location for one in stated if one.is_in_request)
    read = {one.location for one in stated if not one.is_in_request}
    source = f"the x- keys of {document.path}"
    for operation_pattern in matcher.operation_patterns:
        operation: Any = document.data["paths"][operation_pattern.path][operation_pattern.method]
        if any(key.startswith("x-") for key in operation):
            use = client_uses.find_or_add_operation_use(operation_pattern.name)
            use.add_read_locations(read, source)
            use.sent_values.append(SentValues(sent, source))
            use.are_sent_values_complete = False


def _iterate_stated_locations(value: Any, key_path: tuple[str, ...]) -> Iterator[_StatedLocation]:
    """Yield the locations that the `x-` keys in a value of a document name.

    Args:
        value: a value of the document, or the whole document.
        key_path: the keys that lead to `value`, starting with an `x-` key; empty if `value` is not below an `x-` key.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            inner_keys = (*key_path, key) if key_path or key.startswith("x-") else ()
            if key_path:
                yield from _iterate_stated_locations(key, inner_keys)  # constants have their locations as keys
            if key_path or not key.startswith(("example", "schema")):
                yield from _iterate_stated_locations(item, inner_keys)
    elif isinstance(value, list):
        for item in value:
            yield from _iterate_stated_locations(item, key_path)
    elif key_path and isinstance(value, str) and value.startswith(("body#", "header.", "query.")):
        try:
            yield _StatedLocation(parse_location(value), _is_request_key_path(key_path))
        except ValueError:
            return  # a text that only begins like a location


def _is_request_key_path(key_path: tuple[str, ...]) -> bool:
    return any(
        len(pattern) <= len(key_path)
        and all(one in (ANY_KEY, key) for one, key in zip(pattern, key_path, strict=False))  # what follows is below
        for pattern in _REQUEST_KEY_PATHS
    )
