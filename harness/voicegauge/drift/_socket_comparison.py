"""Compares the WebSockets of two documents: channels, the messages of both sides with their schemas, and parameters.

AsyncAPI 2.6 and 3.0 describe the same with other words, so that a document may move from one to the other without a
change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from voicegauge.contract.document_parts import ASYNCAPI_KEY
from voicegauge.drift._api_part import ApiPart
from voicegauge.drift._document_node import DocumentNode, is_same_json
from voicegauge.drift._schema_comparison import compare_schemas
from voicegauge.drift.report import DriftChange
from voicegauge.model.socket_messages import SOCKET_SIDES, SocketSide

_OPPOSITE_ACTIONS = {"publish": "subscribe", "subscribe": "publish", "send": "receive", "receive": "send"}
_SCHEMA_ROLES: dict[SocketSide, str] = {"client": "request-body", "server": "response-body"}
_BINARY_MEDIA_TYPES = ("audio/", "application/octet-stream")


class _Channel(NamedTuple):
    """A channel of one document."""

    name: str
    """The id in `x-socket`, or the path."""
    node: DocumentNode
    messages: dict[SocketSide, dict[str, DocumentNode]]
    """The messages of each side, by name."""


def compare_channels(api_part: ApiPart, old_root: DocumentNode, new_root: DocumentNode) -> Iterator[DriftChange]:
    """Yield every change of the channels of two documents, in which AsyncAPI documents are embedded."""
    old_channels, new_channels = _list_channels(old_root), _list_channels(new_root)
    for path in dict.fromkeys((*old_channels, *new_channels)):
        before, after = old_channels.get(path), new_channels.get(path)
        if before is not None and after is not None:
            yield from _compare_channel(replace(api_part, operation_name=before.name), before, after)
        elif before is not None:
            part = replace(api_part, operation_name=before.name)
            yield part.build_change("socket-channel-removed", before.node, None)
        elif after is not None:
            part = replace(api_part, operation_name=after.name)
            yield part.build_change("socket-channel-added", None, after.node)


def _compare_channel(api_part: ApiPart, before: _Channel, after: _Channel) -> Iterator[DriftChange]:
    for side in SOCKET_SIDES:
        old_messages, new_messages = before.messages[side], _rename_equal_messages(api_part, side, before, after)
        for name in dict.fromkeys((*old_messages, *new_messages)):
            part = api_part.create_nested_part(f"{side} message {name}")
            old_message, new_message = old_messages.get(name), new_messages.get(name)
            if new_message is None:
                yield part.build_change(f"socket-{side}-message-removed", old_message, None)
            elif old_message is None:
                yield part.build_change(f"socket-{side}-message-added", None, new_message)
            else:
                yield from _compare_message(part, side, old_message, new_message)
    for place in ("query", "headers"):
        old_schema, new_schema = (
            one.node.get_child("bindings").get_child("ws").get_child(place).resolve_references()
            for one in (before, after)
        )
        if old_schema.exists or new_schema.exists:
            part = replace(api_part.create_nested_part(f"handshake {place}"), is_sent_as_text=True)
            yield from compare_schemas(part, "request-parameter", old_schema, new_schema)


def _rename_equal_messages(
    api_part: ApiPart, side: SocketSide, before: _Channel, after: _Channel
) -> dict[str, DocumentNode]:
    """Return the newer messages by name.

    A message that differs from an older one only in its name gets the older name, because names of messages are never
    sent.
    """
    old_messages, new_messages = before.messages[side], dict(after.messages[side])
    added = [name for name in new_messages if name not in old_messages]
    for old_name, old_message in old_messages.items():
        if old_name in new_messages or not _find_payload(old_message).exists:
            continue
        for name in added:
            if name in new_messages and not any(_compare_message(api_part, side, old_message, new_messages[name])):
                new_messages[old_name] = new_messages.pop(name)
                break
    return new_messages


def _compare_message(
    api_part: ApiPart, side: SocketSide, old_message: DocumentNode, new_message: DocumentNode
) -> Iterator[DriftChange]:
    if _is_binary(old_message) != _is_binary(new_message):
        yield api_part.build_change(
            "socket-message-encoding-changed",
            old_message,
            new_message,
            old=_describe_encoding(old_message),
            new=_describe_encoding(new_message),
        )
    elif not _is_binary(old_message):
        old_schema, new_schema = _find_payload(old_message), _find_payload(new_message)
        yield from compare_schemas(api_part, _SCHEMA_ROLES[side], old_schema, new_schema)


def _list_channels(root: DocumentNode) -> dict[str, _Channel]:
    """Return the channels by path, in which the names of parameters are left out."""
    document = root.get_child(ASYNCAPI_KEY)
    is_version_3 = str(document.get_value("asyncapi", "")).startswith("3.")
    found: dict[str, _Channel] = {}
    for name, node in document.get_child("channels").iterate_children():
        channel = node.resolve_references()
        path = str(channel.get_value("address", name)) if is_version_3 else name
        described = channel.get_value("x-socket")
        spec = described if isinstance(described, dict) else {}
        client_action = spec.get("client_operation") or ("receive" if is_version_3 else "publish")
        actions: dict[SocketSide, str] = {
            "client": client_action,
            "server": _OPPOSITE_ACTIONS.get(client_action, client_action),
        }
        list_messages = _list_messages_of_version_3 if is_version_3 else _list_messages_of_version_2
        messages = {
            side: _give_unique_names(list_messages(document, channel, action)) for side, action in actions.items()
        }
        key = re.sub(r"\{[^}]*\}", "{}", path)
        found[key] = _Channel(str(spec.get("id") or path), channel, messages)
    return found


def _give_unique_names(messages: Iterator[tuple[str, DocumentNode]]) -> dict[str, DocumentNode]:
    """Return messages by name; messages without a name of their own are numbered."""
    found: dict[str, DocumentNode] = {}
    for name, node in messages:
        number, unique = 2, name
        while unique in found:
            unique, number = f"{name} {number}", number + 1
        found[unique] = node
    return found


def _list_messages_of_version_2(
    _document: DocumentNode, channel: DocumentNode, action: str
) -> Iterator[tuple[str, DocumentNode]]:
    message = channel.get_child(action).get_child("message")
    if not message.exists:
        return
    listed = [node for _, node in message.get_child("oneOf").iterate_children()]
    for node in listed or [message]:
        yield _find_name(node, ""), node.resolve_references()


def _list_messages_of_version_3(
    document: DocumentNode, channel: DocumentNode, action: str
) -> Iterator[tuple[str, DocumentNode]]:
    for _, node in document.get_child("operations").iterate_children():
        operation = node.resolve_references()
        if operation.get_value("action") != action:
            continue
        named = operation.get_child("channel").resolve_references()
        if named.pointer != channel.pointer and not is_same_json(named.value, channel.value):
            continue
        listed = [("", one) for _, one in operation.get_child("messages").iterate_children()]
        for name, message in listed or channel.get_child("messages").iterate_children():
            yield _find_name(message, name), message.resolve_references()


def _find_name(node: DocumentNode, key: str) -> str:
    """Return the name of a message: its key in the channel or the components, or else its `name` or `messageId`."""
    reference = node.get_value("$ref")
    if not key and isinstance(reference, str):
        key = reference.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
    message = node.resolve_references()
    return key or str(message.get_value("name") or message.get_value("messageId") or "message")


def _find_payload(message: DocumentNode) -> DocumentNode:
    payload = message.get_child("payload")
    has_format = isinstance(payload.value, dict) and {"schemaFormat", "schema"} <= payload.value.keys()
    return payload.get_child("schema") if has_format else payload


def _is_binary(message: DocumentNode) -> bool:
    content_type = message.get_value("contentType")
    if isinstance(content_type, str) and content_type.startswith(_BINARY_MEDIA_TYPES):
        return True
    return bool(_find_payload(message).resolve_references().get_value("format") == "binary")


def _describe_encoding(message: DocumentNode) -> str:
    return "binary" if _is_binary(message) else "JSON"
