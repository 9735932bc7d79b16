"""Compares the WebSockets of two documents or of two recordings.

Of documents: channels, the messages of both sides with their schemas, parameters, and `x-socket`. Of recordings: which
messages the service sends, their fields, their order, and how connections are closed.

AsyncAPI 2.6 and 3.0 use different words for the same facts. A document that is only converted from one version to the
other has no changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

from voicegauge.contract.asyncapi import OPPOSITE_ACTIONS, find_client_action, get_usual_client_action
from voicegauge.contract.document_parts import ASYNCAPI_KEY
from voicegauge.contract.extension.sockets import ClientAction, ServerEventKind
from voicegauge.contract.socket_messages import read_message
from voicegauge.drift._api_part import ApiPart
from voicegauge.drift._document_node import DocumentNode, is_same_json
from voicegauge.drift._extension_comparison import compare_channel_extensions
from voicegauge.drift._field_comparison import compare_field_presence, compare_field_types, compare_field_values
from voicegauge.drift._recorded_traffic import (
    ConversationPair,
    MessageGroupKey,
    PairedResponses,
    RecordedExchange,
    flatten_bodies,
)
from voicegauge.drift._schema_comparison import compare_schemas
from voicegauge.drift.drift_report import DriftChange, FilePosition, build_change
from voicegauge.formats.located_yaml import unescape_pointer_token
from voicegauge.formats.locations import MISSING
from voicegauge.model.exchange import SOCKET_SIDES, SocketSide

_SCHEMA_ROLE_BY_SIDE: dict[SocketSide, str] = {"client": "request-body", "server": "response-body"}
"""The role of the schemas of messages, by the side that sends the messages."""
_BINARY_MEDIA_TYPE_PREFIXES = ("audio/", "application/octet-stream")
"""Starts of the media types of binary messages."""


class _Channel(NamedTuple):
    """A channel of one document."""

    name: str
    """The id in `x-socket`, or the path."""
    node: DocumentNode
    messages: dict[SocketSide, dict[str, DocumentNode]]
    """The messages of each side, by name."""


def compare_channels(api_part: ApiPart, old_root: DocumentNode, new_root: DocumentNode) -> Iterator[DriftChange]:
    """Yield every change of the channels of two documents, in which AsyncAPI documents are embedded."""
    old_channels, new_channels = _list_channels_of_both_documents(old_root, new_root)
    for path in dict.fromkeys((*old_channels, *new_channels)):
        before, after = old_channels.get(path), new_channels.get(path)
        if before is not None and after is not None:
            part = replace(api_part, operation_name=before.name)
            yield from compare_channel_extensions(part, before.node, after.node, (old_root, new_root))
            yield from _compare_channel(part, before, after)
        elif before is not None:
            part = replace(api_part, operation_name=before.name)
            yield part.build_change("socket-channel-removed", before.node, None)
        elif after is not None:
            part = replace(api_part, operation_name=after.name)
            yield part.build_change("socket-channel-added", None, after.node)


def _compare_channel(api_part: ApiPart, old_channel: _Channel, new_channel: _Channel) -> Iterator[DriftChange]:
    for side in SOCKET_SIDES:
        old_messages, new_messages = (
            old_channel.messages[side],
            _rename_equal_messages(api_part, side, old_channel, new_channel),
        )
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
            for one in (old_channel, new_channel)
        )
        if old_schema.exists or new_schema.exists:
            part = replace(api_part.create_nested_part(f"handshake {place}"), is_sent_as_text=True)
            yield from compare_schemas(part, "request-parameter", old_schema, new_schema)


def _rename_equal_messages(
    api_part: ApiPart, side: SocketSide, old_channel: _Channel, new_channel: _Channel
) -> dict[str, DocumentNode]:
    """Return the newer messages by name.

    A message that differs from an older message only in its name is returned under the older name, because names of
    messages are never sent.
    """
    old_messages, new_messages = old_channel.messages[side], dict(new_channel.messages[side])
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
    if _is_binary_message(old_message) != _is_binary_message(new_message):
        yield api_part.build_change(
            "socket-message-encoding-changed",
            old_message,
            new_message,
            old=_describe_encoding(old_message),
            new=_describe_encoding(new_message),
        )
    elif not _is_binary_message(old_message):
        old_schema, new_schema = _find_payload(old_message), _find_payload(new_message)
        yield from compare_schemas(api_part, _SCHEMA_ROLE_BY_SIDE[side], old_schema, new_schema)


class _ListedChannel(NamedTuple):
    """A channel of one document, before it is known which of its messages are the client's."""

    name: str
    node: DocumentNode
    messages: dict[str, dict[str, DocumentNode]]
    """The messages of each action ("publish" and "subscribe", or "send" and "receive"), by name. Channels with the same
    address are merged."""
    client_action: str | None
    """The action with the client's messages, as `x-socket` states it; `None` if it does not."""


class _ListedDocument(NamedTuple):
    """The channels of one document by path, in which the names of parameters are left out."""

    channels: dict[str, _ListedChannel]
    usual_client_action: str
    client_action: str | None
    """The action with the client's messages in channels without `x-socket`; `None` if nothing shows it."""

    def find_client_action(self, path: str) -> str:
        """Return the AsyncAPI action of a channel, such as "publish", that has the messages which clients send."""
        return self.channels[path].client_action or self.client_action or self.usual_client_action


def _list_channels_of_both_documents(
    old_root: DocumentNode, new_root: DocumentNode
) -> tuple[dict[str, _Channel], dict[str, _Channel]]:
    """Return the channels of both documents by path, each message on its side.

    If a document does not show which side sends which messages, the sides are chosen that agree best with the other
    document.
    """
    old, new = _list_channels(old_root), _list_channels(new_root)
    old = _choose_client_action(old, new) if old.client_action is None and new.client_action is not None else old
    return _assign_messages_to_sides(old), _assign_messages_to_sides(
        _choose_client_action(new, old) if new.client_action is None else new
    )


def _list_channels(root: DocumentNode) -> _ListedDocument:
    document = root.get_child(ASYNCAPI_KEY)
    is_version_3 = str(document.get_value("asyncapi", "")).startswith("3.")
    usual = get_usual_client_action(is_version_3=is_version_3)
    found: dict[str, _ListedChannel] = {}
    for name, node in document.get_child("channels").iterate_children():
        channel = node.resolve_references()
        path = str(channel.get_value("address", name)) if is_version_3 else name
        described = channel.get_value("x-socket")
        spec = described if isinstance(described, dict) else {}
        list_messages = _list_messages_of_version_3 if is_version_3 else _list_messages_of_version_2
        key = re.sub(r"\{[^}]*\}", "{}", path)
        earlier = found.get(key)
        messages = {
            action: (earlier.messages[action] if earlier is not None else {})
            | _give_unique_names(list_messages(document, channel, action))
            for action in (usual, OPPOSITE_ACTIONS[usual])
        }
        own_action = spec.get("client_operation") or (usual if spec else None)
        if earlier is not None:
            found[key] = earlier._replace(messages=messages, client_action=earlier.client_action or own_action)
        else:
            found[key] = _ListedChannel(str(spec.get("id") or path), channel, messages, own_action)
    stated = next((one.client_action for one in found.values() if one.client_action is not None), None)
    return _ListedDocument(found, usual, stated or _find_client_action(document, found, is_version_3=is_version_3))


def _find_client_action(
    document: DocumentNode, channels: dict[str, _ListedChannel], *, is_version_3: bool
) -> str | None:
    """Return the action of the client's messages if the words of a document show it, else `None`."""
    names: dict[str, list[str]] = {}
    descriptions: dict[str, list[str]] = {}
    for channel in channels.values():
        for action, messages in channel.messages.items():
            for name, message in messages.items():
                names.setdefault(action, []).append(name)
                descriptions.setdefault(action, []).extend(_list_texts(message, "title", "summary"))
    operations = (
        [(str(one.get_value("action")), one) for _, one in document.get_child("operations").iterate_children()]
        if is_version_3
        else [(action, one.node.get_child(action)) for one in channels.values() for action in one.messages]
    )
    for action, operation in operations:
        if action in OPPOSITE_ACTIONS:
            descriptions.setdefault(action, []).extend(_list_texts(operation, "summary", "operationId"))
    return find_client_action(descriptions, names)


def _list_texts(node: DocumentNode, *keys: str) -> list[str]:
    return [text for key in keys if isinstance(text := node.get_value(key), str)]


def _choose_client_action(undecided_document: _ListedDocument, other_document: _ListedDocument) -> _ListedDocument:
    """Return `undecided_document` with the client action whose message names agree best with `other_document`."""

    def count_common_names(action: str) -> int:
        count = 0
        for path, channel in undecided_document.channels.items():
            if path in other_document.channels:
                there, other_action = other_document.channels[path].messages, other_document.find_client_action(path)
                count += len(channel.messages[action].keys() & there[other_action].keys())
                opposite = channel.messages[OPPOSITE_ACTIONS[action]]
                count += len(opposite.keys() & there[OPPOSITE_ACTIONS[other_action]].keys())
        return count

    usual = undecided_document.usual_client_action
    return undecided_document._replace(client_action=max((usual, OPPOSITE_ACTIONS[usual]), key=count_common_names))


def _assign_messages_to_sides(listed_document: _ListedDocument) -> dict[str, _Channel]:
    found = {}
    for path, channel in listed_document.channels.items():
        client_action = listed_document.find_client_action(path)
        messages: dict[SocketSide, dict[str, DocumentNode]] = {
            "client": channel.messages[client_action],
            "server": channel.messages[OPPOSITE_ACTIONS[client_action]],
        }
        found[path] = _Channel(channel.name, channel.node, messages)
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
        yield _find_message_name(node, ""), node.resolve_references()


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
            yield _find_message_name(message, name), message.resolve_references()


def _find_message_name(node: DocumentNode, key: str) -> str:
    """Return the name of a message: its key in the channel or the components, or else its `name` or `messageId`."""
    reference = node.get_value("$ref")
    if not key and isinstance(reference, str):
        key = unescape_pointer_token(reference.rpartition("/")[2])
    message = node.resolve_references()
    return key or str(message.get_value("name") or message.get_value("messageId") or "message")


def _find_payload(message: DocumentNode) -> DocumentNode:
    payload = message.get_child("payload")
    has_format = isinstance(payload.value, dict) and {"schemaFormat", "schema"} <= payload.value.keys()
    return payload.get_child("schema") if has_format else payload


def _is_binary_message(message: DocumentNode) -> bool:
    content_type = message.get_value("contentType")
    if isinstance(content_type, str) and content_type.startswith(_BINARY_MEDIA_TYPE_PREFIXES):
        return True
    return bool(_find_payload(message).resolve_references().get_value("format") == "binary")


def _describe_encoding(message: DocumentNode) -> str:
    return "binary" if _is_binary_message(message) else "JSON"


# Compares the messages of recorded connections with those of older ones.


_UNDOCUMENTED_MESSAGE_NAME = "(undocumented)"
_ACTION_BY_ANSWER: Mapping[ServerEventKind, ClientAction] = {"flush-end": "flush", "cancel-end": "cancel"}
"""What a client must have asked for, by the event that answers it."""


@dataclass(frozen=True, eq=False)
class _RecordedMessage(RecordedExchange):
    """A message that the service sent over a recorded WebSocket; `json_body` is the message."""

    name: str = ""
    message_index: int = 0

    def find_body_position(self, field_path: str) -> FilePosition:
        """Return the position in the HAR file of a value in the message."""
        return self.find_position(f"/_webSocketMessages/{self.message_index}/data#{field_path}")

    @property
    def message_position(self) -> FilePosition:
        """The position of the message in the HAR file."""
        return self.find_position(f"/_webSocketMessages/{self.message_index}")


class _ConnectionPair(NamedTuple):
    """An older recorded connection and the newer one that matches it, each with the messages of the service."""

    id: str
    """Number of the pair among all pairs of conversations, as text."""
    old_connection: RecordedExchange
    new_connection: RecordedExchange
    old_messages: list[_RecordedMessage]
    new_messages: list[_RecordedMessage]

    @property
    def is_comparable(self) -> bool:
        """Whether the messages show a change of the service; silence does if the clients asked for the same."""
        if self.old_messages and self.new_messages:
            return True
        has_same_status = self.old_connection.status == self.new_connection.status
        return has_same_status and _list_client_actions([self.old_connection]) == _list_client_actions(
            [self.new_connection]
        )


def compare_recorded_messages(conversation_pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """Yield every change of the messages that a service sends over WebSockets, and of how it closes them."""
    by_channel: dict[str, list[_ConnectionPair]] = {}
    for number, pair in enumerate(conversation_pairs):
        before, after = pair.old_conversation[0], pair.new_conversation[0]
        if before.channel is None or after.channel is None:
            continue
        yield from _compare_close(before, after)
        connections = _ConnectionPair(str(number), before, after, _list_messages(before), _list_messages(after))
        if connections.is_comparable:
            by_channel.setdefault(before.channel.id, []).append(connections)
    for channel_id, pairs in by_channel.items():
        yield from _compare_message_names(channel_id, pairs)
        yield from _compare_message_order(channel_id, pairs)
        yield from _compare_message_fields(channel_id, pairs)


def _list_messages(recorded_exchange: RecordedExchange) -> list[_RecordedMessage]:
    channel, log = recorded_exchange.channel, recorded_exchange.exchange.socket
    assert channel is not None, "only connections to channels are compared"
    assert channel.socket is not None, "a channel has messages"
    found = []
    for index, message in enumerate(log.messages if log is not None else ()):
        if message.sender != "server":
            continue
        name = channel.socket.find_server_message_name(message.data, is_binary=message.is_binary)
        found.append(
            _RecordedMessage(
                contract=recorded_exchange.contract,
                file=recorded_exchange.file,
                entry_index=recorded_exchange.entry_index,
                exchange=recorded_exchange.exchange,
                operation=recorded_exchange.operation,
                json_body=MISSING if message.is_binary else read_message(message.data),
                name=name or _UNDOCUMENTED_MESSAGE_NAME,
                message_index=index,
            )
        )
    return found


def _compare_close(before: RecordedExchange, after: RecordedExchange) -> Iterator[DriftChange]:
    """Yield a change if the newer connection was closed with another code, where both closes were observed."""
    old, new = (one.exchange.socket.close if one.exchange.socket is not None else None for one in (before, after))
    if old is not None and new is not None and old.code != new.code:
        yield build_change(
            "recorded-close-changed",
            location="close",
            operation_id=after.operation_id,
            old_position=before.find_position("/_webSocket"),
            new_position=after.find_position("/_webSocket"),
            message_values={"old": old.code, "new": new.code},
        )


def _compare_message_names(channel_id: str, pairs: Sequence[_ConnectionPair]) -> Iterator[DriftChange]:
    """Yield a change for each message that only the older or only the newer connections have.

    The answer to a flush or a cancellation is left out if only the clients on one side asked for it.
    """
    old = {message.name: message for pair in reversed(pairs) for message in reversed(pair.old_messages)}
    new = {message.name: message for pair in reversed(pairs) for message in reversed(pair.new_messages)}
    old_actions = _list_client_actions(pair.old_connection for pair in pairs)
    new_actions = _list_client_actions(pair.new_connection for pair in pairs)
    for name in sorted(old.keys() ^ new.keys()):
        before, after = old.get(name), new.get(name)
        wanted = _find_answered_actions(before or after)
        if wanted and not (wanted & old_actions and wanted & new_actions):
            continue
        yield build_change(
            "recorded-message-new" if before is None else "recorded-message-gone",
            location=f"server message {name}",
            operation_id=channel_id,
            old_position=before.message_position if before is not None else None,
            new_position=after.message_position if after is not None else None,
        )


def _list_client_actions(connections: Iterable[RecordedExchange]) -> set[ClientAction]:
    """Return what the clients of connections asked for."""
    found: set[ClientAction] = set()
    for one in connections:
        log, channel = one.exchange.socket, one.channel
        if log is None or channel is None or channel.socket is None:
            continue
        for message in log.messages:
            if message.sender == "client":
                found |= channel.socket.read_client_message(message.data, is_binary=message.is_binary).actions
    return found


def _find_answered_actions(message: _RecordedMessage | None) -> set[ClientAction]:
    """Return the actions of a client that a message answers; an empty set if it is sent without being asked for."""
    if message is None or message.channel is None or message.channel.socket is None:
        return set()
    events = [one.event for one in message.channel.socket.spec.server_messages if one.message == message.name]
    answered = {_ACTION_BY_ANSWER.get(event) for event in events}
    return set() if None in answered else {action for action in answered if action is not None}


def _compare_message_order(channel_id: str, pairs: Sequence[_ConnectionPair]) -> Iterator[DriftChange]:
    """Yield a change for two messages of which the other one comes first now, in every connection that has both."""
    old, new = (
        _collect_message_orders(pair.old_messages for pair in pairs),
        _collect_message_orders(pair.new_messages for pair in pairs),
    )
    for (first, second), example in old.items():
        reverse = (second, first)
        if first in (second, _UNDOCUMENTED_MESSAGE_NAME) or reverse in old or (first, second) in new:
            continue
        if reverse in new:
            yield build_change(
                "recorded-message-order-changed",
                location=f"server message {second}",
                operation_id=channel_id,
                old_position=example.message_position,
                new_position=new[reverse].message_position,
                message_values={"old": f"{first}, {second}", "new": f"{second}, {first}"},
            )


def _collect_message_orders(connections: Iterable[list[_RecordedMessage]]) -> dict[tuple[str, str], _RecordedMessage]:
    """Return pairs of messages of which the first one begins before the second one, with an example of the second."""
    orders: dict[tuple[str, str], _RecordedMessage] = {}
    for messages in connections:
        firsts = {message.name: message for message in reversed(messages)}
        in_order = sorted(firsts.values(), key=lambda message: message.message_index)
        for before, after in combinations(in_order, 2):
            orders.setdefault((before.name, after.name), after)
    return orders


def _compare_message_fields(channel_id: str, pairs: Sequence[_ConnectionPair]) -> Iterator[DriftChange]:
    """Yield every change of the fields of messages that both recordings have: their presence, types and values."""
    names = dict.fromkeys(message.name for pair in pairs for message in pair.old_messages)
    for name in names:
        group_key = MessageGroupKey(channel_id, name)
        sides = [
            (
                [one for one in pair.old_messages if one.name == name],
                [one for one in pair.new_messages if one.name == name],
            )
            for pair in pairs
        ]
        responses = [
            PairedResponses(pair.id, tuple(old), tuple(new))
            for pair, (old, new) in zip(pairs, sides, strict=True)
            if old and new
        ]
        body_pairs = flatten_bodies(responses)
        if not body_pairs:
            continue
        yield from compare_field_presence(group_key, body_pairs)
        yield from compare_field_types(group_key, body_pairs)
        yield from compare_field_values(
            group_key, body_pairs, paths_to_skip=(), find_documented_values=lambda _: frozenset()
        )
