"""Embeds an AsyncAPI document (2.6 or 3.0) in a contract, and reads its channels as operations.

AsyncAPI 2.6 calls what clients send `publish`, and 3.0 `receive`, because its operations are those of the server. Many
official documents are written from the other point of view: of 3.0 documents that of the client, of generated 2.6
documents that of the server.

The AsyncAPI document is in the folder of the OpenAPI document. It is embedded with its line numbers, so that
references, sources, disputes and errors work in both.

The opening handshake of a WebSocket is a GET request (RFC 6455, section 4.1), so that what is known about operations
holds for channels too: servers, keys, parameters, sources and disputes.

https://www.asyncapi.com/docs/reference/specification/v2.6.0 and v3.0.0.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from voicegauge.contract._overlays import apply_overlay, find_extended_file, is_overlay
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import (
    ASYNCAPI_KEY,
    Parameter,
    convert_record,
    fill_server_variables,
    walk_objects,
)
from voicegauge.contract.extension.provider import LimitsSpec
from voicegauge.contract.extension.sockets import (
    ClientAction,
    ClientMessage,
    ServerEventKind,
    ServerMessage,
    SocketSpec,
    has_placeholder,
)
from voicegauge.contract.operation import Operation
from voicegauge.contract.schemas import Schemas
from voicegauge.contract.socket_messages import PLACEHOLDER_NAMES, MessageSchema, SocketChannel, iterate_leaves
from voicegauge.errors import UnknownNameError
from voicegauge.formats.located_yaml import (
    Document,
    escape_pointer_token,
    get_mapping,
    read_document,
    unescape_pointer_token,
)
from voicegauge.formats.locations import MISSING, read_pointer

OPPOSITE_ACTIONS = {"publish": "subscribe", "subscribe": "publish", "send": "receive", "receive": "send"}
"""For each action of a channel, the action that the other side of the channel has."""
_CLIENT_WORD_PATTERN = re.compile(r"(?<![a-z])client(?![a-z])")
_SERVER_WORD_PATTERN = re.compile(r"(?<![a-z])server(?![a-z])")
_ERROR_OR_WARNING_NAME_PATTERN = re.compile(r"(?<![a-z])(error|warning)s?$")
"""End of the name of a message that only a server sends."""


def get_usual_client_action(*, is_version_3: bool) -> str:
    """Return the action of the client's messages according to the specification."""
    return "receive" if is_version_3 else "publish"


def guess_client_action(
    descriptions_by_action: Mapping[str, Iterable[str]], names_by_action: Mapping[str, Iterable[str]]
) -> str | None:
    """Return the action whose messages clients send, as far as the words of a document show it.

    The word "client" or "server" is evidence for the side that it names; a message that is called an error or a warning
    is evidence for the server.

    Args:
        descriptions_by_action: summaries and ids of operations, and titles and summaries of messages, by action.
        names_by_action: names of messages by action.

    Returns:
        The action; `None` if there is no evidence, or as much for each side.
    """
    votes = dict.fromkeys(descriptions_by_action, 0) | dict.fromkeys(names_by_action, 0)
    for action in votes:
        names = [_separate_words(name) for name in names_by_action.get(action, ())]
        texts = [*names, *map(_separate_words, descriptions_by_action.get(action, ()))]
        for_client = sum(bool(_CLIENT_WORD_PATTERN.search(text)) for text in texts)
        for_server = sum(bool(_SERVER_WORD_PATTERN.search(text)) for text in texts)
        for_server += sum(bool(_ERROR_OR_WARNING_NAME_PATTERN.search(name)) for name in names)
        # What speaks for one side of this action speaks for the other side of the opposite action.
        votes[action] += for_client - for_server
        if OPPOSITE_ACTIONS[action] in votes:
            votes[OPPOSITE_ACTIONS[action]] -= for_client - for_server
    best = max(votes, key=lambda action: votes[action], default=None)
    return best if best is not None and votes[best] > 0 else None


def _separate_words(text: str) -> str:
    """Return a text in lower case, with spaces between the words of a name such as "AgentV1Error"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).lower()


_SUPPORTED_VERSION_PREFIXES = ("2.", "3.0.")
_ASYNCAPI_FILE_NAMES = tuple(
    f"{name}.{suffix}" for name in ("asyncapi-overlay", "asyncapi") for suffix in ("yaml", "yml", "json")
)
"""Names of the AsyncAPI document beside an OpenAPI document; an earlier name takes precedence."""
_OPENAPI_INFO_KEYS = frozenset(("title", "summary", "description", "termsOfService", "contact", "license", "version"))
"""Keys of `info` that mean the same in OpenAPI, and are copied."""
_HTTP_SCHEME_BY_PROTOCOL = {"ws": "http", "wss": "https", "http": "http", "https": "https"}
"""The scheme with which the URL of a server is stored in the contract, by its protocol or scheme."""

# Finds the file, and embeds it in the document of a contract.


def find_asyncapi_file(openapi_path: Path) -> Path | None:
    """Return the AsyncAPI document, or its overlay, beside `<provider>/openapi.yaml`; `None` if there is none."""
    if openapi_path.stem not in ("openapi", "overlay"):
        return None
    found = (openapi_path.with_name(name) for name in _ASYNCAPI_FILE_NAMES)
    return next((path for path in found if path.is_file()), None)


def read_asyncapi_document(path: Path) -> Document:
    """Return an AsyncAPI document; of an overlay, the document that it extends, with the overlay applied.

    Raises:
        ContractError: a file cannot be read, the document is not AsyncAPI 2 or 3.0, or the overlay does not fit it.
    """
    document = read_document(path)
    if is_overlay(document):
        document = apply_overlay(document, read_document(find_extended_file(document)))
    version = document.data.get("asyncapi")
    if not isinstance(version, str) or not version.startswith(_SUPPORTED_VERSION_PREFIXES):
        raise document.build_error("/asyncapi", f"must be an AsyncAPI document of version 2 or 3.0, not {version!r}")
    return document


def embed_asyncapi(document: Document, asyncapi: Document) -> Document:
    """Return the document of a contract with an AsyncAPI document embedded under the key `x-asyncapi`.

    The servers of the AsyncAPI document are added to the servers, as http or https, its security schemes to those of
    the contract, and the sources of its `x-provider` to the sources.

    Raises:
        ContractError: a server or a security scheme of the AsyncAPI document cannot be used, or a scheme has the name
            of another one of the contract.
    """
    # A shallow copy: every part that is changed below is replaced, so that the caller keeps the document as it was
    # read.
    data = copy.copy(document.data)
    embedded = _rewrite_references(copy.deepcopy(asyncapi.data))
    own_provider = embedded.pop("x-provider", {})
    data[ASYNCAPI_KEY] = embedded
    provider = data.get("x-provider", {})
    if isinstance(provider, dict) and isinstance(own_provider, dict):
        sources = {**get_mapping(provider, "sources"), **get_mapping(own_provider, "sources")}
        # The OpenAPI document says who the provider is, where both say it; facts of both have their sources.
        data["x-provider"] = {**own_provider, **provider, "sources": sources}
    data["servers"] = _add_servers(asyncapi, list(data.get("servers", [])))
    components = dict(get_mapping(data, "components"))
    own_schemes, schemes = _convert_security_schemes(asyncapi), get_mapping(components, "securitySchemes")
    for name in own_schemes.keys() & schemes.keys():
        if any(own_schemes[name].get(key) != schemes[name].get(key) for key in ("type", "in", "name", "scheme")):
            pointer = f"/components/securitySchemes/{escape_pointer_token(name)}"
            raise asyncapi.build_error(pointer, f"differs from the security scheme {name!r} of the OpenAPI document")
    components["securitySchemes"] = {**own_schemes, **schemes}
    data["components"] = components
    digest = hashlib.sha256(f"{document.sha256} {asyncapi.sha256}".encode()).hexdigest()
    parts = {"": (document, ""), f"/{ASYNCAPI_KEY}": (asyncapi, "")}
    return Document(document.path, data, {}, digest, parts)


def build_standalone_document(asyncapi: Document) -> Document:
    """Return the document of a provider that has no OpenAPI document, because it has WebSockets only.

    Raises:
        ContractError: as for `embed_asyncapi`. Also if the document has no `x-provider`.
    """
    if "x-provider" not in asyncapi.data:
        raise asyncapi.build_error("", "needs x-provider: id, title, key_variable and sources")
    document = embed_asyncapi(build_document_without_operations(asyncapi), asyncapi)
    parts = {"": (asyncapi, ""), f"/{ASYNCAPI_KEY}": (asyncapi, ""), "/x-provider": (asyncapi, "/x-provider")}
    return Document(asyncapi.path, document.data, {}, asyncapi.sha256, parts)


def build_document_without_operations(asyncapi: Document) -> Document:
    """Return an OpenAPI document without operations, with the title and version of an AsyncAPI document."""
    own_info = get_mapping(asyncapi.data, "info")
    # AsyncAPI 3.0 has more keys there, such as `tags` and `externalDocs`.
    info = {key: value for key, value in own_info.items() if key in _OPENAPI_INFO_KEYS or key.startswith("x-")}
    skeleton = {"openapi": "3.1.0", "info": {"title": "", "version": "0", **info}, "paths": {}}
    return Document(asyncapi.path, skeleton, {"": 1}, asyncapi.sha256)


def embed_asyncapi_without_merging(document: Document, asyncapi: Document) -> Document:
    """Return an OpenAPI document in which `asyncapi` is embedded under the key `x-asyncapi`.

    Nothing else is changed.
    """
    data = {**document.data, ASYNCAPI_KEY: _rewrite_references(copy.deepcopy(asyncapi.data))}
    digest = hashlib.sha256(f"{document.sha256} {asyncapi.sha256}".encode()).hexdigest()
    return Document(document.path, data, {}, digest, {"": (document, ""), f"/{ASYNCAPI_KEY}": (asyncapi, "")})


def resolve_object(schemas: Schemas, node: Any, pointer: str = "") -> tuple[dict[str, Any], str]:
    """Return the object that `node` is or refers to, and the pointer to the place where it is defined.

    Raises:
        ContractError: it is not an object, or a reference leads nowhere.
    """
    value, place = schemas.resolve_reference(node, pointer)
    if not isinstance(value, dict):
        raise schemas.document.build_error(place, "must be an object")
    return value, place


def _rewrite_references(document_part: Any) -> Any:
    """Change the references in an AsyncAPI document, in place, so that they lead into its embedded copy; return it."""
    for _, node in walk_objects(document_part):
        if isinstance(node.get("$ref"), str) and node["$ref"].startswith("#/"):
            node["$ref"] = f"#/{ASYNCAPI_KEY}{_escape_slashes(document_part, node['$ref'])[1:]}"
        if isinstance(node.get("nullable"), bool):  # a key of OpenAPI 3.0, which generated documents have nevertheless
            is_nullable = node.pop("nullable")
            if is_nullable and isinstance(node.get("type"), str):
                node["type"] = [node["type"], "null"]
    return document_part


def _escape_slashes(root: Any, reference: str) -> str:
    """Return a reference with escaped slashes in its names if it leads to a value only then; else unchanged.

    Generated documents, such as Deepgram's, write a name like "speak/v1.Flush" as it is.
    """
    tokens = unquote(reference).split("/")[1:]
    if read_pointer(root, [unescape_pointer_token(token) for token in tokens]) is not MISSING:
        return reference
    names, node = list[str](), root
    while tokens:
        joined = ("/".join(tokens[:count]) for count in range(1, len(tokens) + 1))
        name = next((one for one in joined if isinstance(node, dict) and one in node), None)
        if name is None:
            return reference
        names.append(name)
        node, tokens = node[name], tokens[name.count("/") + 1 :]
    return "#/" + "/".join(map(escape_pointer_token, names))


def _build_server_url(server: Mapping[str, Any]) -> str | None:
    """Return the URL of a server of an AsyncAPI document with http or https; `None` if it is not a WebSocket server.

    Version 2 has `url`, which may lack the scheme; version 3 has `host` and `pathname`.
    """
    protocol = str(server.get("protocol", "wss")).lower()
    scheme = _HTTP_SCHEME_BY_PROTOCOL.get(protocol)
    if scheme is None:
        return None
    url = str(server.get("url") or f"{server.get('host', '')}{server.get('pathname', '')}")
    url = fill_server_variables(url, server.get("variables"))
    if "://" in url:
        own, _, rest = url.partition("://")
        return f"{_HTTP_SCHEME_BY_PROTOCOL.get(own.lower(), scheme)}://{rest}".rstrip("/")
    return f"{scheme}://{url}".rstrip("/")


def _add_servers(asyncapi: Document, servers: list[Any]) -> list[Any]:
    known = {str(server.get("url", "")).rstrip("/") for server in servers if isinstance(server, dict)}
    for name, server in get_mapping(asyncapi.data, "servers").items():
        url = _build_server_url(server) if isinstance(server, dict) else None
        if url is None:
            reason = "needs a URL or host, and the protocol ws or wss"
            raise asyncapi.build_error(f"/servers/{escape_pointer_token(name)}", reason)
        if url not in known:
            known.add(url)
            servers.append({"url": url, "x-name": str(server.get("x-name", name))})
    return servers


def _convert_security_schemes(asyncapi: Document) -> dict[str, Any]:
    """Return the security schemes of an AsyncAPI document as security schemes of OpenAPI, which has fewer types."""
    converted = {}
    for name, scheme in get_mapping(get_mapping(asyncapi.data, "components"), "securitySchemes").items():
        if not isinstance(scheme, dict):
            pointer = f"/components/securitySchemes/{escape_pointer_token(name)}"
            raise asyncapi.build_error(pointer, "must be an object")
        kept = dict(scheme)
        if kept.get("type") == "httpApiKey":
            kept["type"] = "apiKey"
        elif kept.get("type") == "httpBearer":
            kept = {**kept, "type": "http", "scheme": "bearer"}
        converted[name] = kept
    return converted


def read_socket_operations(contract: Contract) -> Iterator[Operation]:
    """Yield the channels of the embedded AsyncAPI document that have `x-socket`, as operations.

    Raises:
        ContractError: a channel does not fit the grammar, or names a message that the document does not have.
    """
    root = contract.document.data.get(ASYNCAPI_KEY)
    if not isinstance(root, dict):
        return
    is_version_3 = str(root.get("asyncapi", "")).startswith("3.")
    for name, node in get_mapping(root, "channels").items():
        pointer = f"/{ASYNCAPI_KEY}/channels/{escape_pointer_token(name)}"
        channel, pointer = resolve_object(contract.schemas, node, pointer)
        if "x-socket" in channel:
            path = channel.get("address") if is_version_3 else name
            if not isinstance(path, str):
                raise contract.document.build_error(pointer, "needs its address, the path of the WebSocket")
            yield _read_channel(contract, root, channel, pointer, path, is_version_3=is_version_3)


def _read_channel(
    contract: Contract, root: dict[str, Any], channel: dict[str, Any], pointer: str, path: str, *, is_version_3: bool
) -> Operation:
    document = contract.document
    spec = convert_record(document, channel["x-socket"], f"{pointer}/x-socket", SocketSpec)
    if ("text" in spec.client_messages) == spec.transcribes:
        reason = "needs a message with the text to speak (text), or one with the audio to transcribe (audio), not both"
        raise document.build_error(f"{pointer}/x-socket/client_messages", reason)
    for action, message in spec.client_messages.items():
        if (message.effect is None) == (action == "cancel"):
            reason = "cancel needs its effect" if action == "cancel" else "effect belongs to cancel only"
            raise document.build_error(f"{pointer}/x-socket/client_messages/{action}", reason)
    for index, locations in enumerate(spec.handshake_alternatives):
        wrong = next((str(one) for one in locations if one.message_part not in ("query", "header")), None)
        if wrong is not None or len(locations) < 2:
            reason = "needs two or more locations in the query or the headers" + (f", not {wrong!r}" if wrong else "")
            raise document.build_error(f"{pointer}/x-socket/handshake_alternatives/{index}", reason)
    client_key = spec.client_operation or get_usual_client_action(is_version_3=is_version_3)
    server_key = OPPOSITE_ACTIONS[client_key]
    socket = SocketChannel(
        spec,
        contract.schemas,
        pointer,
        read_messages(contract.schemas, channel, pointer, client_key, is_version_3=is_version_3),
        read_messages(contract.schemas, channel, pointer, server_key, is_version_3=is_version_3),
    )
    _check_messages(document, socket)
    _check_turns(document, socket)
    _check_targets_that_state_prices(contract, socket)
    operation = _find_operation_of_channel(contract, client_key, pointer) if is_version_3 else channel.get(client_key)
    return Operation(
        schemas=contract.schemas,
        pointer=pointer,
        part_data=channel,
        contract=contract,
        id=spec.id,
        method="GET",
        path=path,
        parameters=tuple(_read_parameters(contract.schemas, channel, pointer, path)),
        server=contract.servers[_find_server_name(contract, root, channel)],
        security=tuple(_read_security(contract, root, operation)),
        speech=None,
        job=None,
        pricing=None,
        limits=convert_record(document, channel.get("x-limits", {}), f"{pointer}/x-limits", LimitsSpec),
        socket=socket,
    )


def _check_messages(document: Document, socket: SocketChannel) -> None:
    """Reject messages that the document lacks, and templates that say something else than they seem to."""
    pointer, client_messages = f"{socket.pointer}/x-socket", socket.spec.client_messages
    for key, client_message in client_messages.items():
        at = f"{pointer}/client_messages/{key}"
        _check_described_message(document, at, client_message, socket.client_schemas)
        if client_message.value is None and key != "audio":
            raise document.build_error(at, "needs its value: only a message with audio can be binary")
    for index, server_message in enumerate(socket.spec.server_messages):
        _check_described_message(document, f"{pointer}/server_messages/{index}", server_message, socket.server_schemas)
    text = client_messages.get("text")
    if text is not None and "{text}" not in (leaf for _, leaf in iterate_leaves(text.value)):
        reason = 'has no "{text}", so that no text would be sent'
        raise document.build_error(f"{pointer}/client_messages/text/value", reason)


def _check_described_message(
    document: Document, pointer: str, message: ClientMessage | ServerMessage, schemas: Mapping[str, MessageSchema]
) -> None:
    """Check that the document has a message, and that placeholders and pointers of its template are well formed."""
    if message.message not in schemas:
        reason = UnknownNameError("message", message.message, schemas, where="of this side of the channel")
        raise document.build_error(f"{pointer}/message", str(reason))
    for _, leaf in iterate_leaves(message.value):
        if isinstance(leaf, str) and re.fullmatch(r"\{\w+\}", leaf) and leaf[1:-1] not in PLACEHOLDER_NAMES:
            known = [f"{{{name}}}" for name in PLACEHOLDER_NAMES]
            raise document.build_error(f"{pointer}/value", str(UnknownNameError("placeholder", leaf, known)))
    for one in message.recognized_by:
        if not one.startswith("/"):
            raise document.build_error(f"{pointer}/recognized_by", f"{one!r} must be a JSON pointer, such as /{one}")


def _check_turns(document: Document, socket: SocketChannel) -> None:
    """Check that the channel documents the messages with which a client ends turns and a service reports their end."""
    spec, pointer = socket.spec, f"{socket.pointer}/x-socket"
    if spec.transcribes:
        _check_transcripts(document, socket)
        return
    ends_with = spec.turn.ends_with
    if ends_with != "close" and not spec.has_event(ends_with):
        raise document.build_error(
            f"{pointer}/server_messages", f"turns end with {ends_with!r} (turn.ends_with), which no message reports"
        )
    action: ClientAction = "flush" if ends_with == "flush-end" else "end"
    if "text" in spec.client_messages and action not in spec.client_messages and spec.turn.accepts_pieces:
        reason = f"has no {action!r}, with which a client ends a turn whose text comes in pieces (turn.accepts_pieces)"
        raise document.build_error(f"{pointer}/client_messages", reason)


def _check_targets_that_state_prices(contract: Contract, socket: SocketChannel) -> None:
    """Check the prices that the targets of a channel state.

    A target must not state both a price of its own and, in `price_of`, the target over HTTP whose price it has; the
    target that `price_of` names must exist.
    """
    known = {**contract.audio_input_targets, **contract.targets}
    for name, target in socket.spec.targets.items():
        at = f"{socket.pointer}/x-socket/targets/{escape_pointer_token(name)}/price_of"
        if target.price_of is not None and target.pricing is not None:
            raise contract.document.build_error(at, "stands beside pricing: a target has one of them")
        if target.price_of is not None and target.price_of not in known:
            raise contract.document.build_error(
                at, str(UnknownNameError("target", target.price_of, known, where="over HTTP"))
            )


def _check_transcripts(document: Document, socket: SocketChannel) -> None:
    """Reject a channel that transcribes if no message has the transcribed text."""
    spec, pointer = socket.spec, f"{socket.pointer}/x-socket/server_messages"
    kind: ServerEventKind = "final" if spec.transcript.turn_text == "finals" else "turn-end"
    for needed in ("turn-end", kind):
        if not spec.has_event(needed):
            raise document.build_error(pointer, f"has no {needed!r}, which ends a turn or has its text")
    if not any(one.event == kind and has_placeholder(one.value, "{transcript}") for one in spec.server_messages):
        raise document.build_error(pointer, f'has no "{{transcript}}" in {kind!r}, which has the text of a turn')


def read_messages(
    schemas: Schemas, channel: dict[str, Any], pointer: str, action: str, *, is_version_3: bool
) -> dict[str, MessageSchema]:
    """Return the messages of an action of a channel by name: of `publish` or `subscribe`, or of `send` or `receive`."""
    read = _read_messages_of_version_3 if is_version_3 else _read_messages_of_version_2
    return read(schemas, channel, pointer, action)


def _read_messages_of_version_2(
    schemas: Schemas, channel: dict[str, Any], pointer: str, operation_key: str
) -> dict[str, MessageSchema]:
    """Return the messages of `publish` or `subscribe` of a channel by name."""
    message = read_pointer(channel, [operation_key, "message"])
    if message is MISSING or not isinstance(message, dict):
        return {}
    base = f"{pointer}/{operation_key}/message"
    listed = message.get("oneOf")
    if not isinstance(listed, list | None):
        raise schemas.document.build_error(f"{base}/oneOf", "must be a list")
    nodes = [(base, message)] if listed is None else [(f"{base}/oneOf/{i}", one) for i, one in enumerate(listed)]
    found = [_read_message(schemas, node, at, "") for at, node in nodes]
    return {one.name: one for one in found}


def _read_messages_of_version_3(
    schemas: Schemas, channel: dict[str, Any], pointer: str, action: str
) -> dict[str, MessageSchema]:
    """Return the messages of the operations with the action `send` or `receive` of a channel by name.

    Channels with the same address count as one, because some documents have a channel for each side.
    """
    found: dict[str, MessageSchema] = {}
    address = channel.get("address")
    for name, operation in get_mapping(schemas.document.data[ASYNCAPI_KEY], "operations").items():
        at = f"/{ASYNCAPI_KEY}/operations/{escape_pointer_token(name)}"
        node, at = resolve_object(schemas, operation, at)
        own_channel, own_pointer = resolve_object(schemas, get_mapping(node, "channel"))
        if node.get("action") not in OPPOSITE_ACTIONS:
            reason = f"needs its action, send or receive, not {node.get('action')!r}"
            raise schemas.document.build_error(f"{at}/action" if "action" in node else at, reason)
        is_same = own_pointer == pointer or (address is not None and own_channel.get("address") == address)
        if node.get("action") != action or not is_same:
            continue
        listed = node.get("messages")
        if isinstance(listed, list):
            nodes = [(f"{at}/messages/{i}", one, "") for i, one in enumerate(listed)]
        else:
            messages = get_mapping(own_channel, "messages")
            nodes = [(f"{own_pointer}/messages/{escape_pointer_token(key)}", one, key) for key, one in messages.items()]
        for place, one, key in nodes:
            message = _read_message(schemas, one, place, key)
            found[message.name] = message
    return found


def _read_message(schemas: Schemas, node: Any, pointer: str, name: str) -> MessageSchema:
    """Return one message. Its name is that in the channel or the components, else its `name` or `messageId`."""
    if not name and isinstance(node, dict) and isinstance(node.get("$ref"), str):
        name = unescape_pointer_token(node["$ref"].rpartition("/")[2])
    message, pointer = resolve_object(schemas, node, pointer)
    name = name or str(message.get("name") or message.get("messageId") or "message")
    payload = message.get("payload")
    if not isinstance(payload, dict):
        return MessageSchema(name, None, pointer, _is_binary_type(message.get("contentType")))
    schema_pointer = f"{pointer}/payload"
    # AsyncAPI 3.0 may wrap a schema with the name of its language (multi-format schema object).
    if "schemaFormat" in payload and "schema" in payload:
        payload, schema_pointer = payload["schema"], f"{schema_pointer}/schema"
    schema = schemas.resolve_reference(payload)[0]
    is_binary = (isinstance(schema, dict) and schema.get("format") == "binary") or _is_binary_type(
        message.get("contentType")
    )
    return MessageSchema(name, None if is_binary else schema_pointer, pointer, is_binary)


def _is_binary_type(content_type: Any) -> bool:
    return isinstance(content_type, str) and content_type.startswith(("audio/", "application/octet-stream"))


def _read_parameters(schemas: Schemas, channel: dict[str, Any], pointer: str, path: str) -> Iterator[Parameter]:
    """Yield the parameters of the path, and those of the query and the headers, which are bindings of WebSockets."""
    for name, node in get_mapping(channel, "parameters").items():
        if f"{{{name}}}" not in path:  # such as AssemblyAI's, which are neither in the path nor in the handshake
            continue
        data, at = resolve_object(schemas, node, f"{pointer}/parameters/{escape_pointer_token(name)}")
        data = data if "schema" in data else {"schema": {"type": "string"}, **data}
        yield Parameter(schemas, at, data, name, "path", True)
    bindings = get_mapping(get_mapping(channel, "bindings"), "ws")
    for key, place in (("query", "query"), ("headers", "header")):
        part = get_mapping(bindings, key)
        schema, at = resolve_object(schemas, part, f"{pointer}/bindings/ws/{key}")
        required = schema.get("required")
        required_names = required if isinstance(required, list) else []
        for name, node in get_mapping(schema, "properties").items():
            place_pointer = f"{at}/properties/{escape_pointer_token(name)}"
            data = {"schema": node}
            yield Parameter(schemas, place_pointer, data, name, place, name in required_names)  # type: ignore[arg-type]


def _find_server_name(contract: Contract, root: dict[str, Any], channel: dict[str, Any]) -> str:
    """Return the name of the server of a channel: the first that it names, else the first of the document."""
    servers = get_mapping(root, "servers")
    listed = channel.get("servers")
    name = next(iter(servers), "")
    if isinstance(listed, list) and listed:
        first = listed[0]
        name = str(first.get("$ref", "")).rpartition("/")[2] if isinstance(first, dict) else str(first)
    url = _build_server_url(servers[name]) if name in servers else None
    names = (one.name for one in contract.servers.values() if url is None or one.url == url)
    return next(names, next(iter(contract.servers)))


def _find_operation_of_channel(contract: Contract, action: str, channel_pointer: str) -> Any:
    """Return the first operation of version 3 with an action on a channel; `None` if there is none."""
    for operation in get_mapping(contract.document.data[ASYNCAPI_KEY], "operations").values():
        referenced = get_mapping(operation, "channel")
        is_here = contract.schemas.resolve_reference(referenced)[1] == channel_pointer
        if isinstance(operation, dict) and operation.get("action") == action and is_here:
            return operation
    return None


def _read_security(contract: Contract, root: dict[str, Any], operation: Any) -> Iterator[dict[str, list[str]]]:
    """Yield the alternative security requirements: those of the operation, otherwise those of the first server."""
    nodes: Any = operation.get("security") if isinstance(operation, dict) else None
    if nodes is None:
        server: Any = next(iter(get_mapping(root, "servers").values()), {})
        nodes = server.get("security") if isinstance(server, dict) else None
    if nodes is None:
        nodes = contract.document.data.get("security", [])
    for node in nodes if isinstance(nodes, list) else []:
        if isinstance(node, dict) and isinstance(node.get("$ref"), str):  # 3.0 refers to a scheme
            yield {node["$ref"].rpartition("/")[2]: []}
        elif isinstance(node, dict):
            yield node
