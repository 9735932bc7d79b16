"""Tells which values of exchanges are credentials, and which ones a contract documents, so that others can be masked.

A contract documents the parameters, headers and schemas of an operation, and every location that an `x-` key names: the
state of a job, charges in a response, the events of a stream. A schema that merely allows other fields documents none
of them, while a schema for other fields (`additionalProperties`) documents all of them.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_plus, urlsplit

import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import MediaType, ResponseSpec
from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.parsed_exchange import decode_audio_text
from voicegauge.contract.schemas import Schemas
from voicegauge.contract.socket_messages import iterate_leaves
from voicegauge.formats.bodies import is_form, is_json
from voicegauge.formats.located_yaml import escape_pointer_token, split_json_pointer, unescape_pointer_token
from voicegauge.formats.locations import EVERY_ITEM, EventLocation, Location
from voicegauge.model.exchange import Exchange, Headers, Request, Response, SocketSide
from voicegauge.recording.masking import (
    INVALID_API_KEY,
    MASK,
    BodyReader,
    is_credential_name,
    mask_body,
    may_name_credential,
)
from voicegauge.recording.recorded_exchanges import find_relative_path

_BRANCH_KEYWORDS = ("allOf", "anyOf", "oneOf")
"""Keywords whose value is a list of schemas that may apply to the same value."""
_CONDITIONAL_KEYWORDS = ("if", "then", "else")
"""Keywords whose value is one schema that may apply to the same value."""
_MAX_BRANCHES = 1_000
"""Maximum number of schemas that are read for one value."""


class DocumentedNode:
    """A value in JSON or in a form: whether it is documented, and which values inside it are."""

    def __init__(
        self,
        schemas: Schemas,
        branches: Sequence[Any] = (),
        locations: Sequence[Sequence[str]] = (),
        *,
        is_documented: bool = False,
    ) -> None:
        """Create the node.

        Args:
            schemas: resolves references.
            branches: the schemas of the value; any of them may document a field.
            locations: pointer tokens of values below this one that are documented, too.
            is_documented: whether the value itself is documented, if it is a text or a number.
        """
        self.is_documented = is_documented or bool(branches) or any(not tokens for tokens in locations)
        self._schemas, self._locations = schemas, [tuple(tokens) for tokens in locations if tokens]
        self._branches = list(_iterate_applied_schemas(schemas, branches))
        self._children: dict[str, DocumentedNode] = {}
        self._nodes: dict[str, DocumentedNode] = {"": self}

    def find_node(self, location: str) -> DocumentedNode:
        """Return the node at a JSON pointer, in which "*" stands for each item of a list."""
        found = self._nodes.get(location)
        if found is None:
            parent, _, token = location.rpartition("/")
            found = self.find_node(parent).find_child(unescape_pointer_token(token))
            self._nodes[location] = found
        return found

    def find_child(self, token: str) -> DocumentedNode:
        """Return the node of a field, or, for the token "*", of every item of a list."""
        if token not in self._children:
            self._children[token] = self._build_child(token)
        return self._children[token]

    def _build_child(self, token: str) -> DocumentedNode:
        tails = [tokens[1:] for tokens in self._locations if tokens[0] == token or tokens[0] == EVERY_ITEM]
        if token == EVERY_ITEM:
            tails += [tokens[1:] for tokens in self._locations if tokens[0].isdecimal()]
        branches = [schema for branch in self._branches for schema in _list_child_schemas(branch, token)]
        # An item of a documented list is documented, even if no schema describes it: it is the value of the field.
        is_item = token == EVERY_ITEM and self.is_documented
        return DocumentedNode(self._schemas, branches, tails, is_documented=is_item)


def _iterate_applied_schemas(schemas: Schemas, branches: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield all schemas that apply, or may apply, to one value."""
    waiting, seen = list(branches), set[int]()
    while waiting and len(seen) < _MAX_BRANCHES:
        schema, _ = schemas.resolve_reference(waiting.pop())
        # By identity: schemas may refer to themselves, and comparing large ones would take longer than reading them.
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield schema
        for key in _BRANCH_KEYWORDS:
            waiting += schema.get(key, ())
        waiting += [schema[key] for key in _CONDITIONAL_KEYWORDS if key in schema]


def _list_child_schemas(schema: Mapping[str, Any], token: str) -> Iterator[Any]:
    if token == EVERY_ITEM:
        yield from schema.get("prefixItems", ())
        if schema.get("items"):
            yield schema["items"]
    properties = schema.get("properties", {})
    if token in properties:
        yield properties[token]
    else:
        others = schema.get("additionalProperties")
        if isinstance(others, dict) and others:
            yield others
        yield from schema.get("patternProperties", {}).values()


@dataclasses.dataclass(frozen=True)
class DocumentedBody:
    """The documentation of one body."""

    node: DocumentedNode
    """The body as a value, with the documented values in it."""
    is_media_type_documented: bool
    """Whether the operation documents a body of this media type, which may be text or audio."""
    stream: StreamSpec | None = None
    """The documented events, if the body is a stream of them."""

    @property
    def is_unstructured_text_documented(self) -> bool:
        """Whether a body that is neither JSON nor a form is documented. Of a stream, its events are instead."""
        return self.is_media_type_documented and self.stream is None

    def is_stream_text_documented(self, text: str) -> bool:
        """Whether the contract documents an event with this text, which is not JSON: a marker, or audio."""
        assert self.stream is not None, "the body is a stream of events"
        audio = self.stream.audio
        if not audio.location.is_in_data or audio.location.pointer_tokens:
            return text == self.stream.end_marker
        try:
            decode_audio_text(text, audio.encoding)
        except ValueError:
            return text == self.stream.end_marker
        return True


@dataclasses.dataclass(frozen=True)
class DocumentedMessages:
    """The documentation of the messages that one side of a WebSocket sends."""

    body: DocumentedBody
    """The documentation of text messages, which are JSON."""
    audio_locations: frozenset[str] = frozenset()
    """JSON pointers to audio in base64."""
    key_locations: frozenset[str] = frozenset()
    """JSON pointers to API keys."""
    has_binary_messages: bool = False
    """Whether binary messages are documented, which are audio."""


class DocumentedValues:
    """Finds the documentation of requests, responses and WebSocket messages in a contract."""

    def __init__(self, contract: Contract) -> None:
        """Collect the locations that the contract names."""
        self._contract = contract
        found = _list_locations_in_contract(contract)
        plain = [one for one in found if isinstance(one, Location)]
        self.header_names = frozenset(one.name.lower() for one in plain if one.message_part == "header")
        """Headers that an `x-` key names, such as what a response says about charges."""
        self._query_names = frozenset(one.name for one in plain if one.message_part == "query")
        self._pointers = tuple(one.pointer_tokens for one in plain if one.pointer_tokens)
        self._event_pointers = tuple(
            one.pointer_tokens for one in found if isinstance(one, EventLocation) and one.pointer_tokens
        )
        self._bodies: dict[tuple[str | None, int | None, str], DocumentedBody] = {}
        self._messages: dict[tuple[str | None, SocketSide], DocumentedMessages] = {}

    def find_operation(self, method: str, url: str) -> Operation | None:
        """Return the operation that a request addresses; `None` if the URL is on no server of the contract."""
        path = find_relative_path(self._contract, url)
        match = self._contract.match_operation(method, path) if path is not None else None
        return match[0] if match is not None else None

    def find_messages(self, operation: Operation | None, sender: SocketSide) -> DocumentedMessages:
        """Return the documentation of the messages that one side of a WebSocket sends.

        Args:
            operation: the channel; `None` for a WebSocket that the contract does not have.
            sender: the side that sends the messages.
        """
        key = (operation.id if operation is not None else None, sender)
        if key not in self._messages:
            self._messages[key] = self._build_messages(operation, sender)
        return self._messages[key]

    def _build_messages(self, operation: Operation | None, sender: SocketSide) -> DocumentedMessages:
        channel = operation.socket if operation is not None else None
        if channel is None:
            node = DocumentedNode(self._contract.schemas)
            return DocumentedMessages(DocumentedBody(node, is_media_type_documented=False))
        messages = channel.client_schemas if sender == "client" else channel.server_schemas
        branches = [{"$ref": f"#{quote(one.schema_pointer)}"} for one in messages.values() if one.schema_pointer]
        templates = (
            [one.value for one in channel.spec.client_messages.values() if one.value is not None]
            if sender == "client"
            else [one.value for one in channel.spec.server_messages if one.value is not None]
        )
        leaves = [leaf for template in templates for leaf in iterate_leaves(template)]
        constants = [one.pointer_tokens for one in _iterate_locations([channel.spec]) if isinstance(one, Location)]
        pointers = [tokens for tokens, _ in leaves] + ([one for one in constants if one] if sender == "client" else [])
        return DocumentedMessages(
            DocumentedBody(
                DocumentedNode(self._contract.schemas, branches, pointers),
                is_media_type_documented=False,
            ),
            audio_locations=frozenset(_format_json_pointer(tokens) for tokens, leaf in leaves if leaf == "{audio}"),
            key_locations=frozenset(_format_json_pointer(tokens) for tokens, leaf in leaves if leaf == "{key}"),
            has_binary_messages=any(one.is_binary for one in messages.values()),
        )

    def is_query_documented(self, operation: Operation | None, name: str) -> bool:
        """Whether an operation has a query parameter of this name; false if the operation is `None`."""
        if operation is None:
            return False
        if operation.socket is not None and name in _list_socket_query_names(operation):
            return True
        return name in self._query_names or any(
            one.message_part == "query" and one.name.removesuffix("[]") == name.partition("[")[0]
            for one in operation.parameters
        )

    def find_body(self, operation: Operation | None, status: int | None, media_type: str) -> DocumentedBody:
        """Return the documentation of a body.

        Args:
            operation: the operation; `None` for a request that the contract does not have, such as a download.
            status: status of the response; `None` for the body of a request.
            media_type: media type of the body, without parameters.
        """
        key = (operation.id if operation is not None else None, status, media_type)
        if key not in self._bodies:
            self._bodies[key] = self._build_body(operation, status, media_type)
        return self._bodies[key]

    def _build_body(self, operation: Operation | None, status: int | None, media_type: str) -> DocumentedBody:
        schemas = self._contract.schemas
        if operation is None:
            return DocumentedBody(DocumentedNode(schemas), is_media_type_documented=False)
        if status is None:
            media = [*operation.request_media.values()]
        else:
            media = [
                one
                for response in _list_documented_responses(operation, status)
                for one in response.media_types.values()
            ]
        documented = [one for one in media if one.name == media_type]
        wildcards = (f"{media_type.partition('/')[0]}/*", "*/*")
        is_documented = bool(documented) or any(one.name in wildcards for one in media)
        if not documented:  # clients send JSON and forms of the same fields, and services name types of JSON freely
            documented = [one for one in media if is_json(one.name) or is_form(one.name)]
        branches = [one.schema for one in documented]
        pointers = [*self._pointers, *(pointer for one in documented for pointer in _list_example_pointers(one))]
        stream = operation.stream if operation.stream and media_type == operation.stream.response_media_type else None
        if stream is not None:
            branches = [one.data_schema for one in stream.events.values() if one.data_schema is not None]
            pointers += self._event_pointers
        node = DocumentedNode(schemas, branches, pointers)
        return DocumentedBody(node, is_media_type_documented=is_documented, stream=stream)


# Each finding that quotes a response needs them, and each sample of a benchmark, while this reads the whole contract.
@functools.lru_cache(maxsize=64)
def _list_locations_in_contract(contract: Contract) -> frozenset[Location | EventLocation]:
    """Return every location that the `x-` keys of a contract name."""
    found = set(_iterate_locations([contract.provider, contract.limits]))
    for operation in contract.operations.values():
        found |= set(_iterate_locations([getattr(operation, one.name) for one in dataclasses.fields(operation)]))
    return frozenset(found)


def _list_socket_query_names(operation: Operation) -> set[str]:
    """Return the query parameters that the constants of a channel's targets name."""
    assert operation.socket is not None
    found = (one for one in _iterate_locations([operation.socket.spec]) if isinstance(one, Location))
    return {one.name for one in found if one.message_part == "query"}


def _format_json_pointer(tokens: Sequence[str]) -> str:
    return "".join(f"/{escape_pointer_token(token)}" for token in tokens)


def _list_documented_responses(operation: Operation, status: int) -> list[ResponseSpec]:
    """Return the documented responses for a status; for an undocumented error status, all documented errors."""
    found = operation.find_response(status)
    if found is not None or status < HTTPStatus.BAD_REQUEST:
        return [found] if found is not None else []
    return [one for name, one in operation.responses.items() if name[0] in "45d"]  # "404", "5XX", "default"


def _list_example_pointers(media_type: MediaType) -> set[tuple[str, ...]]:
    """Return the locations of the values in the examples of a body, which count as documented."""
    found = set[tuple[str, ...]]()
    waiting: list[tuple[tuple[str, ...], Any]] = [((), one.value) for one in media_type.examples]
    while waiting:
        tokens, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*tokens, str(name)), item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [((*tokens, EVERY_ITEM), item) for item in value]
        elif tokens:
            found.add(tokens)
    return found


def _iterate_locations(value: Any) -> Iterator[Location | EventLocation]:
    """Yield every location in records of the `x-` keys."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Location | EventLocation):
            yield one
        elif isinstance(one, msgspec.Struct):
            waiting += [getattr(one, name) for name in one.__struct_fields__]
        elif isinstance(one, Mapping):
            waiting += [*one, *one.values()]
        elif isinstance(one, tuple | list):
            waiting += one


@functools.lru_cache(maxsize=64)
def list_documented_headers(contract: Contract) -> frozenset[str]:
    """Return the names of the headers that a contract documents for requests and responses, in lower case."""
    names = {*contract.provider.request_headers, *contract.limits.rate_limit_header_names.values()}
    for operation in contract.operations.values():
        names |= {parameter.name for parameter in operation.parameters if parameter.message_part == "header"}
        for response in operation.responses.values():
            names |= set(response.headers)
    return frozenset(name.lower() for name in names)


# Finds the values of an exchange that are credentials by their name or use.


MIN_SECRET_CHARACTERS = 8
"""Minimum length of a value in the position of a key that counts as a secret. Shorter values, such as "none" or "xxx",
are placeholders."""
_AUTHORIZATION_HEADERS = frozenset({"authorization", "proxy-authorization"})
_COOKIE_HEADERS = frozenset({"cookie", "set-cookie"})
_SUBPROTOCOL_HEADER = "sec-websocket-protocol"
"""Header in which browsers send a key for a WebSocket, since they cannot set another one."""
_MIN_SUBPROTOCOL_KEY_CHARACTERS = 16
"""Smallest number of characters of a subprotocol that may be a key. Names of subprotocols are shorter words."""
_COOKIE_ATTRIBUTES = frozenset({"path", "domain", "expires", "max-age", "samesite", "priority"})
"""Names in Set-Cookie that are about the cookie (RFC 6265): their values need not be hidden."""


def find_used_credentials(contract: Contract, exchange: Exchange, *, in_request_only: bool = False) -> list[str]:
    """Return the values of the headers, cookies, query parameters and body fields that are for credentials.

    Args:
        contract: contract of the provider, whose security schemes name the headers and parameters of its keys.
        exchange: an exchange that is not redacted yet.
        in_request_only: whether to leave out the response, in which services often send new cookies and sessions.
    """
    names = {str(scheme.get("name")).lower() for scheme in contract.security_schemes.values() if scheme.get("name")}
    request, response = exchange.request, exchange.response
    messages: tuple[Request | Response, ...] = (request,) if in_request_only else (request, response)
    found = [value for message in messages for value in find_credentials_in_headers(message.headers, names)]
    query = urlsplit(request.url).query
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name.lower() in names or is_credential_name(name, allow_short_names=True) or may_name_credential(name):
            found.append(value)
    for message in messages:
        found += _find_credentials_in_body(message.find_header("content-type") or "", message.body, names)
    found += _find_credentials_in_messages(contract, exchange, names)
    return list(dict.fromkeys(filter(is_secret, found)))


def _find_credentials_in_messages(contract: Contract, exchange: Exchange, credential_names: set[str]) -> Iterator[str]:
    """Yield the keys in the messages of a client: at documented locations, and in fields with the name of a key."""
    if exchange.socket is None:
        return
    operation = contract.socket_operations.get(exchange.operation)
    for message in exchange.socket.messages:
        if message.sender == "server" or message.is_binary:
            continue
        if operation is not None and operation.socket is not None:
            key = operation.socket.read_client_message(message.data).key
            yield from [key] if key is not None else []
        yield from _find_credentials_in_body("application/json", message.data, credential_names)


def find_credentials_in_headers(headers: Headers, credential_names: set[str]) -> Iterator[str]:
    """Yield the credentials in the values of headers.

    Args:
        headers: the headers of a request or a response.
        credential_names: names of headers that have keys, in lower case.
    """
    for header_name, value in headers:
        name = header_name.lower()
        if name in _COOKIE_HEADERS:
            for part in value.split(";"):
                cookie, _, content = part.strip().partition("=")
                if cookie.lower() not in _COOKIE_ATTRIBUTES:
                    yield content
                    # Percent-encoded in the cookie, but often plain where it is repeated.
                    yield unquote_plus(content)
        elif name == _SUBPROTOCOL_HEADER:
            # A browser cannot set headers of a handshake, so that some services take the key as a subprotocol.
            parts = (part.strip() for part in value.split(","))
            yield from (part for part in parts if len(part) >= _MIN_SUBPROTOCOL_KEY_CHARACTERS)
        elif name in _AUTHORIZATION_HEADERS or name in credential_names or may_name_credential(name):
            scheme, _, token = value.strip().rpartition(" ")
            yield token
            if scheme.lower() == "basic":
                yield from _read_basic_credentials(token)


def _read_basic_credentials(encoded_credentials: str) -> Iterator[str]:
    """Yield the password of the Basic scheme (RFC 7617), and the user name, in which some services expect the key."""
    try:
        user, _, password = base64.b64decode(encoded_credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return
    yield password
    yield user


def _find_credentials_in_body(content_type: str, body: bytes, credential_names: set[str]) -> list[str]:
    found: list[str] = []

    def collect_secret(value: str, location: str) -> None:
        if any(may_name_credential(name) or name.lower() in credential_names for name in split_json_pointer(location)):
            found.append(value)

    mask_body(content_type, body, BodyReader(collect_secret))
    return found


def is_secret(text: str) -> bool:
    """Whether a value in the position of a credential may be a secret: it is neither short nor masked.

    A word of the mask itself, such as "REDACTED", is what other tools write instead of a key.
    """
    is_masked = MASK in text or text.lower() in MASK
    return len(text) >= MIN_SECRET_CHARACTERS and not is_masked and text != INVALID_API_KEY
