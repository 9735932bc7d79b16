"""Reads the channels of an AsyncAPI document as operations.

The opening handshake of a WebSocket is a GET request (RFC 6455, section 4.1), so that what is known about operations
holds for channels too: servers, keys, parameters, sources and disputes.

https://www.asyncapi.com/docs/reference/specification/v2.6.0 and v3.0.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from voicegauge.contract._asyncapi_document import build_server_url, get_mapping
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import ASYNCAPI_KEY, Parameter
from voicegauge.contract.extension.provider import LimitsSpec
from voicegauge.contract.extension.sockets import ClientAction, ServerEventKind, SocketSpec, has_placeholder
from voicegauge.contract.operation import Operation
from voicegauge.contract.record_reader import convert_record
from voicegauge.contract.schemas import Schemas
from voicegauge.contract.socket_messages import PLACEHOLDER_NAMES, MessageSchema, SocketChannel, iterate_leaves
from voicegauge.contract.socket_viewpoint import OPPOSITE_ACTIONS, get_usual_client_action
from voicegauge.formats.located_yaml import Document, escape_pointer_token
from voicegauge.formats.locations import MISSING, read_pointer


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
        channel, pointer = contract.schemas.resolve_reference(node, pointer)
        if "x-socket" in channel:
            path = str(channel.get("address", name)) if is_version_3 else name
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
    client_key = spec.client_operation or get_usual_client_action(is_version_3=is_version_3)
    server_key = OPPOSITE_ACTIONS[client_key]
    socket = SocketChannel(
        spec,
        contract.schemas,
        pointer,
        read_messages(contract.schemas, channel, pointer, client_key, is_version_3=is_version_3),
        read_messages(contract.schemas, channel, pointer, server_key, is_version_3=is_version_3),
    )
    _check_message_names(document, socket)
    _check_templates(document, socket)
    _check_turns(document, socket)
    operation = _find_operation(contract, client_key, pointer) if is_version_3 else channel.get(client_key)
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


def _check_message_names(document: Document, socket: SocketChannel) -> None:
    pointer = f"{socket.pointer}/x-socket"
    named = [
        *(
            (f"client_messages/{key}", one.message, socket.client_schemas)
            for key, one in socket.spec.client_messages.items()
        ),
        *(
            (f"server_messages/{index}", one.message, socket.server_schemas)
            for index, one in enumerate(socket.spec.server_messages)
        ),
    ]
    for part, name, schemas in named:
        if name not in schemas:
            known = ", ".join(schemas) or "none"
            raise document.build_error(f"{pointer}/{part}/message", f"{name!r} is not a message here; known: {known}")


def _check_templates(document: Document, socket: SocketChannel) -> None:
    """Reject placeholders that do not exist, a text that is never sent, and pointers that are none."""
    spec = socket.spec
    templates = [
        *((f"client_messages/{key}", one.value, one.recognized_by) for key, one in spec.client_messages.items()),
        *((f"server_messages/{i}", one.value, one.recognized_by) for i, one in enumerate(spec.server_messages)),
    ]
    for part, value, recognized_by in templates:
        pointer = f"{socket.pointer}/x-socket/{part}"
        for _, leaf in iterate_leaves(value):
            if isinstance(leaf, str) and re.fullmatch(r"\{\w+\}", leaf) and leaf[1:-1] not in PLACEHOLDER_NAMES:
                known = ", ".join(f"{{{name}}}" for name in PLACEHOLDER_NAMES)
                raise document.build_error(f"{pointer}/value", f"{leaf} is not a placeholder; known: {known}")
        for one in recognized_by:
            if not one.startswith("/"):
                at = f"{pointer}/recognized_by"
                raise document.build_error(at, f"{one!r} must be a JSON pointer, such as /{one}")
    for action, message in spec.client_messages.items():
        if message.value is None and action != "audio":
            at = f"{socket.pointer}/x-socket/client_messages/{action}"
            raise document.build_error(at, "needs its value: only a message with audio can be binary")
    text = spec.client_messages.get("text")
    if text is not None and "{text}" not in (leaf for _, leaf in iterate_leaves(text.value)):
        at = f"{socket.pointer}/x-socket/client_messages/text/value"
        raise document.build_error(at, 'has no "{text}", so that no text would be sent')


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


def _check_transcripts(document: Document, socket: SocketChannel) -> None:
    """Reject a channel that transcribes and whose texts no message has."""
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
    nodes = [(base, message)] if listed is None else [(f"{base}/oneOf/{i}", one) for i, one in enumerate(listed)]
    found = [_read_message(schemas, node, at, "") for at, node in nodes]
    return {one.name: one for one in found}


def _read_messages_of_version_3(
    schemas: Schemas, channel: dict[str, Any], pointer: str, operation_key: str
) -> dict[str, MessageSchema]:
    """Return the messages of the operations with the action `send` or `receive` of a channel by name.

    Channels with the same address are one: some documents have one for each side.
    """
    found: dict[str, MessageSchema] = {}
    address = channel.get("address")
    for name, operation in get_mapping(schemas.document.data[ASYNCAPI_KEY], "operations").items():
        at = f"/{ASYNCAPI_KEY}/operations/{escape_pointer_token(name)}"
        node, at = schemas.resolve_reference(operation, at)
        own_channel, own_pointer = schemas.resolve_reference(get_mapping(node, "channel"))
        is_same = own_pointer == pointer or (address is not None and own_channel.get("address") == address)
        if node.get("action") != operation_key or not is_same:
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


def _read_message(schemas: Schemas, node: dict[str, Any], pointer: str, name: str) -> MessageSchema:
    """Return one message. Its name is that in the channel or the components, else its `name` or `messageId`."""
    if not name and isinstance(node.get("$ref"), str):
        name = node["$ref"].rpartition("/")[2].replace("~1", "/").replace("~0", "~")
    message, pointer = schemas.resolve_reference(node, pointer)
    name = name or str(message.get("name") or message.get("messageId") or "message")
    payload = message.get("payload")
    if not isinstance(payload, dict):
        return MessageSchema(name, None, pointer, _is_binary_type(message.get("contentType")))
    schema_pointer = f"{pointer}/payload"
    if "schemaFormat" in payload and "schema" in payload:
        payload, schema_pointer = payload["schema"], f"{schema_pointer}/schema"
    schema = schemas.resolve_reference(payload)[0]
    is_binary = schema.get("format") == "binary" or _is_binary_type(message.get("contentType"))
    return MessageSchema(name, None if is_binary else schema_pointer, pointer, is_binary)


def _is_binary_type(content_type: Any) -> bool:
    return isinstance(content_type, str) and content_type.startswith(("audio/", "application/octet-stream"))


def _read_parameters(schemas: Schemas, channel: dict[str, Any], pointer: str, path: str) -> Iterator[Parameter]:
    """Yield the parameters of the path, and those of the query and the headers, which are bindings of WebSockets."""
    for name, node in get_mapping(channel, "parameters").items():
        if f"{{{name}}}" not in path:  # such as AssemblyAI's, which are neither in the path nor in the handshake
            continue
        data, at = schemas.resolve_reference(node, f"{pointer}/parameters/{escape_pointer_token(name)}")
        data = data if "schema" in data else {"schema": {"type": "string"}, **data}
        yield Parameter(schemas, at, data, name, "path", True)
    bindings = read_pointer(channel, ["bindings", "ws"])
    for key, place in (("query", "query"), ("headers", "header")):
        part = bindings.get(key) if isinstance(bindings, dict) else None
        if not isinstance(part, dict):
            continue
        schema, at = schemas.resolve_reference(part, f"{pointer}/bindings/ws/{key}")
        required = schema.get("required", [])
        for name, node in get_mapping(schema, "properties").items():
            place_pointer = f"{at}/properties/{escape_pointer_token(name)}"
            data = {"schema": node}
            yield Parameter(schemas, place_pointer, data, name, place, name in required)  # type: ignore[arg-type]


def _find_server_name(contract: Contract, root: dict[str, Any], channel: dict[str, Any]) -> str:
    """Return the name of the server of a channel: the first that it names, else the first of the document."""
    servers = get_mapping(root, "servers")
    listed = channel.get("servers")
    name = next(iter(servers), "")
    if isinstance(listed, list) and listed:
        first = listed[0]
        name = first["$ref"].rpartition("/")[2] if isinstance(first, dict) else str(first)
    url = build_server_url(servers.get(name, {})) if name in servers else None
    names = (one.name for one in contract.servers.values() if url is None or one.url == url)
    return next(names, next(iter(contract.servers)))


def _find_operation(contract: Contract, action: str, channel_pointer: str) -> Any:
    """Return the first operation of version 3 with an action on a channel; `None` if there is none."""
    for operation in get_mapping(contract.document.data[ASYNCAPI_KEY], "operations").values():
        referenced = get_mapping(operation, "channel")
        is_here = contract.schemas.resolve_reference(referenced)[1] == channel_pointer
        if operation.get("action") == action and is_here:
            return operation
    return None


def _read_security(contract: Contract, root: dict[str, Any], operation: Any) -> Iterator[dict[str, list[str]]]:
    """Yield the alternatives to send the key: those of the operation, else those of the first server."""
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
