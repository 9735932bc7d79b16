"""Compares what two documents offer: paths and operations, servers, callbacks and webhooks, and WebSockets.

AsyncAPI 2.6 and 3.0 use different words for the same facts. A document that is only converted from one version to the
other has no changes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import NamedTuple

from voicegauge.contract.asyncapi import OPPOSITE_ACTIONS, get_usual_client_action, guess_client_action
from voicegauge.contract.document_parts import ASYNCAPI_KEY, OPENAPI_METHODS
from voicegauge.drift._api_part import ApiPart
from voicegauge.drift._document_node import DocumentNode, NodePair, encode_canonical_json, is_same_json, pair_by_key
from voicegauge.drift._extension_comparison import compare_channel_extensions, compare_operation_extensions
from voicegauge.drift._message_comparison import (
    PathAndOperation,
    compare_parameters,
    compare_request_bodies,
    compare_responses,
    compare_security,
)
from voicegauge.drift._schema_comparison import compare_schemas
from voicegauge.drift.drift_report import DriftChange
from voicegauge.formats.located_yaml import Document, unescape_pointer_token
from voicegauge.model.exchange import SOCKET_SIDES, SocketSide

# Compares the paths, operations, servers, callbacks and webhooks of two documents.


class DocumentOperation(NamedTuple):
    """An operation of an OpenAPI document, with the path item from which it inherits parameters and servers."""

    path: str
    method: str
    path_item: DocumentNode
    """The node of the path item."""
    node: DocumentNode
    """The node of the operation."""

    @property
    def name(self) -> str:
        """The `operationId`, or the method and the path if the operation has no `operationId`."""
        operation_id = self.node.get_value("operationId")
        return operation_id if isinstance(operation_id, str) else f"{self.method.upper()} {self.path}"

    @property
    def path_and_operation(self) -> PathAndOperation:
        """The path, the path item and the operation, which together define the parameters of the operation."""
        return self.path, self.path_item, self.node


OperationKey = tuple[str, str]
"""What identifies an operation in both documents: its path, in which the names of parameters are left out, and its
method."""


def build_operation_key(path: str, method: str) -> OperationKey:
    """Return the key that identifies an operation: its method, and its path without the names of parameters.

    Names of path parameters are left out because they do not change the URLs of an operation.
    """
    return re.sub(r"\{[^}]*\}", "{}", path), method


def has_operations(document: Document) -> bool:
    """Whether a document describes an operation, or refers to a path item elsewhere."""
    path_items = (document.data.get("paths") or {}).values()
    return any(name in (*OPENAPI_METHODS, "$ref") for item in path_items if isinstance(item, dict) for name in item)


def select_operations(document: Document, operation_keys: Collection[OperationKey]) -> Document:
    """Return the document without webhooks, and without operations whose key is not in `operation_keys`."""
    paths = {
        path: {
            name: node
            for name, node in path_item.items()
            if name not in OPENAPI_METHODS or build_operation_key(path, name) in operation_keys
        }
        for path, path_item in document.data.get("paths", {}).items()
        if isinstance(path_item, dict)
    }
    kept = {
        path: item for path, item in paths.items() if any(name in OPENAPI_METHODS or name == "$ref" for name in item)
    }
    return document.replace_data({**document.data, "paths": kept, "webhooks": {}})


def compare_operations(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    """Yield every change of paths, operations and webhooks between the whole documents `old_node` and `new_node`."""
    old_operations = _list_operations_by_key(old_node.get_child("paths"))
    new_operations = _list_operations_by_key(new_node.get_child("paths"))
    new_paths = {path for path, _ in new_operations}
    for key, before, after in pair_by_key(old_operations, new_operations):
        if before is None:
            added = new_operations[key]
            nested = replace(api_part, operation_name=added.name)
            yield nested.build_change("endpoint-added", None, added.node)
            continue
        nested = replace(api_part, operation_name=before.name)
        if after is not None:
            yield from _compare_operation(nested, before, after, (old_node, new_node))
        else:
            subject = "api" if key[0] in new_paths else "api-path"
            suffix = "with-deprecation" if _is_deprecated(before.node) else "without-deprecation"
            yield nested.build_change(f"{subject}-removed-{suffix}", before.node, None)
    yield from _compare_webhooks(api_part, old_node, new_node)


def _list_operations_by_key(paths: DocumentNode) -> dict[OperationKey, DocumentOperation]:
    operations: dict[OperationKey, DocumentOperation] = {}
    for path, path_item in paths.iterate_children():
        path_item = path_item.resolve_references()
        if path.startswith("x-"):
            continue
        for method in OPENAPI_METHODS:
            node = path_item.get_child(method)
            if isinstance(node.value, dict):
                operations[build_operation_key(path, method)] = DocumentOperation(path, method, path_item, node)
    return operations


def _compare_operation(
    api_part: ApiPart,
    old_operation: DocumentOperation,
    new_operation: DocumentOperation,
    old_and_new_root: NodePair,
) -> Iterator[DriftChange]:
    nodes = old_operation.node, new_operation.node
    yield from _compare_deprecation(api_part, *nodes)
    yield from _compare_operation_ids(api_part, *(node.get_child("operationId") for node in nodes))
    old_tags, new_tags = (
        {encode_canonical_json(tag.value): tag for _, tag in node.get_child("tags").iterate_children()}
        for node in nodes
    )
    for _, old_tag, new_tag in pair_by_key(old_tags, new_tags):
        if old_tag is None or new_tag is None:
            tag = old_tag or new_tag
            yield api_part.build_presence_change("api-tag", old_tag, new_tag, tag and tag.value)
    yield from _compare_own_servers(api_part, old_operation, new_operation, old_and_new_root)
    yield from compare_security(api_part, nodes, old_and_new_root)
    yield from compare_parameters(api_part, old_operation.path_and_operation, new_operation.path_and_operation)
    yield from compare_request_bodies(api_part, *nodes)
    yield from compare_responses(api_part, *nodes)
    yield from compare_operation_extensions(api_part, *nodes, old_and_new_root)
    yield from _compare_provider_requests(api_part, "callback", *map(_list_callback_requests, nodes))


def _is_deprecated(operation: DocumentNode) -> bool:
    return operation.get_value("deprecated") is True


def _compare_deprecation(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    if _is_deprecated(old_node) == _is_deprecated(new_node):
        return
    rule = "endpoint-deprecated-with-sunset" if new_node.get_value("x-sunset") else "endpoint-deprecated"
    rule = rule if _is_deprecated(new_node) else "endpoint-reactivated"
    yield api_part.build_change(rule, old_node.get_child("deprecated"), new_node.get_child("deprecated"))


def _compare_operation_ids(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    if not old_node.exists and new_node.exists:
        yield api_part.build_change("api-operation-id-added", old_node, new_node, new=new_node.value)
    elif old_node.exists and not (new_node.exists and is_same_json(old_node.value, new_node.value)):
        values = {"old": old_node.value, **({"new": new_node.value} if new_node.exists else {})}
        yield api_part.build_change("api-operation-id-removed", old_node, new_node, **values)


def _compare_own_servers(
    api_part: ApiPart,
    old_operation: DocumentOperation,
    new_operation: DocumentOperation,
    old_and_new_root: NodePair,
) -> Iterator[DriftChange]:
    """Yield a change for each server that only one of two operations has.

    An operation without servers of its own has those of the document. Nothing is yielded if neither operation has
    servers of its own, because the servers of the document are compared only once.
    """
    old_servers, new_servers = (
        _find_servers_stated_by_operation(old_operation),
        _find_servers_stated_by_operation(new_operation),
    )
    if old_servers is not None or new_servers is not None:
        yield from compare_servers(
            api_part,
            old_servers or old_and_new_root[0].get_child("servers"),
            new_servers or old_and_new_root[1].get_child("servers"),
        )


def _find_servers_stated_by_operation(operation: DocumentOperation) -> DocumentNode | None:
    for node in (operation.node, operation.path_item):
        if node.get_value("servers"):
            return node.get_child("servers")
    return None


def compare_servers(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    """Yield a change for each server URL that only one of the two nodes lists."""
    for url, before, after in pair_by_key(_map_servers_by_url(old_node), _map_servers_by_url(new_node)):
        if before is None or after is None:
            yield api_part.build_presence_change("server", before, after, url)


def _map_servers_by_url(servers: DocumentNode) -> dict[str, DocumentNode]:
    """Return the servers by URL, in which variables are replaced with their default values."""
    # Clients see URLs: a variable whose default was moved into the URL has changed nothing.
    found = {}
    for _, server in servers.iterate_children():
        url = str(server.get_value("url", "/"))
        for name, variable in server.get_child("variables").iterate_children():
            url = url.replace(f"{{{name}}}", str(variable.get_value("default", "")))
        found[url.rstrip("/")] = server
    return found


def _list_callback_requests(operation: DocumentNode) -> dict[str, DocumentOperation]:
    """Return the requests of callbacks by method and URL. Names of callbacks are ignored, because they are not sent."""
    callbacks = [callback.resolve_references() for _, callback in operation.get_child("callbacks").iterate_children()]
    path_items = [path_item for callback in callbacks for path_item in callback.iterate_children()]
    return {
        key: request for url, path_item in path_items for key, request in _iterate_provider_requests(url, path_item)
    }


def _iterate_provider_requests(request_name: str, path_item: DocumentNode) -> Iterator[tuple[str, DocumentOperation]]:
    path_item = path_item.resolve_references()
    for method in OPENAPI_METHODS:
        node = path_item.get_child(method)
        if isinstance(node.value, dict) and not request_name.startswith("x-"):
            yield f"{method} {request_name}", DocumentOperation(request_name, method, path_item, node)


def _compare_webhooks(api_part: ApiPart, old_root: DocumentNode, new_root: DocumentNode) -> Iterator[DriftChange]:
    old_requests, new_requests = (
        {
            key: request
            for name, path_item in root.get_child("webhooks").iterate_children()
            for key, request in _iterate_provider_requests(name, path_item)
        }
        for root in (old_root, new_root)
    )
    yield from _compare_provider_requests(api_part, "webhook", old_requests, new_requests)


def _compare_provider_requests(
    api_part: ApiPart,
    request_kind: str,
    old_operations: dict[str, DocumentOperation],
    new_operations: dict[str, DocumentOperation],
) -> Iterator[DriftChange]:
    """Yield every change of the requests that the provider sends to the client.

    Args:
        api_part: the operation that has the callbacks; for webhooks, the whole document.
        request_kind: "callback" or "webhook".
        old_operations: the older requests, by the method and the URL of a callback or the name of a webhook.
        new_operations: the newer requests, by the method and the URL of a callback or the name of a webhook.
    """
    for key, before, after in pair_by_key(old_operations, new_operations):
        nested = replace(api_part.create_nested_part(f"{request_kind} {key.partition(' ')[2]} "), is_callback=True)
        if before is None or after is None:
            yield nested.build_presence_change(request_kind, before and before.node, after and after.node)
        else:
            yield from compare_parameters(nested, before.path_and_operation, after.path_and_operation)
            yield from compare_request_bodies(nested, before.node, after.node)
            yield from compare_responses(nested, before.node, after.node)


# Compares the WebSockets of two documents: channels, the messages of both sides, parameters, and `x-socket`.


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
    for _, before, after in pair_by_key(*_list_channels_of_both_documents(old_root, new_root)):
        named = before or after
        part = replace(api_part, operation_name=named and named.name)
        if before is not None and after is not None:
            yield from compare_channel_extensions(part, before.node, after.node, (old_root, new_root))
            yield from _compare_channel(part, before, after)
        else:
            yield part.build_presence_change("socket-channel", before and before.node, after and after.node)


def _compare_channel(api_part: ApiPart, old_channel: _Channel, new_channel: _Channel) -> Iterator[DriftChange]:
    for side in SOCKET_SIDES:
        new_messages = _rename_equal_messages(api_part, side, old_channel, new_channel)
        for name, old_message, new_message in pair_by_key(old_channel.messages[side], new_messages):
            part = api_part.create_nested_part(f"{side} message {name}")
            if old_message is None or new_message is None:
                yield part.build_presence_change(f"socket-{side}-message", old_message, new_message)
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
    # Messages without a schema are all equal, so that nothing would show which of them was renamed.
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
        old, new = ("binary" if _is_binary_message(message) else "JSON" for message in (old_message, new_message))
        yield api_part.build_change("socket-message-encoding-changed", old_message, new_message, old=old, new=new)
    elif not _is_binary_message(old_message):
        old_schema, new_schema = _find_payload(old_message), _find_payload(new_message)
        yield from compare_schemas(api_part, _SCHEMA_ROLE_BY_SIDE[side], old_schema, new_schema)


class _ChannelWithActions(NamedTuple):
    """A channel of one document, before it is known which of its messages are the client's."""

    name: str
    node: DocumentNode
    messages: dict[str, dict[str, DocumentNode]]
    """The messages of each action ("publish" and "subscribe", or "send" and "receive"), by name. Channels with the same
    address are merged."""
    client_action: str | None
    """The action with the client's messages, as `x-socket` states it; `None` if it does not."""

    def merge(self, other: _ChannelWithActions) -> _ChannelWithActions:
        """Return this channel with the messages of another one that has the same address."""
        messages = {action: {**own, **other.messages[action]} for action, own in self.messages.items()}
        return self._replace(messages=messages, client_action=self.client_action or other.client_action)


class _DocumentChannels(NamedTuple):
    """The channels of one document by path, in which the names of parameters are left out."""

    channels: dict[str, _ChannelWithActions]
    usual_client_action: str
    """The action with the client's messages according to the specification of AsyncAPI."""
    client_action: str | None
    """The action with the client's messages in channels without `x-socket`; `None` if nothing shows it."""

    def guess_client_action(self, path: str) -> str:
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


def _list_channels(root: DocumentNode) -> _DocumentChannels:
    document = root.get_child(ASYNCAPI_KEY)
    is_asyncapi_3 = str(document.get_value("asyncapi", "")).startswith("3.")
    usual = get_usual_client_action(is_version_3=is_asyncapi_3)
    found: dict[str, _ChannelWithActions] = {}
    for name, node in document.get_child("channels").iterate_children():
        channel = node.resolve_references()
        path = str(channel.get_value("address", name)) if is_asyncapi_3 else name
        described = channel.get_value("x-socket")
        spec = described if isinstance(described, dict) else {}
        list_messages = _iterate_messages_of_asyncapi_3 if is_asyncapi_3 else _iterate_messages_of_asyncapi_2
        key = re.sub(r"\{[^}]*\}", "{}", path)
        messages = {
            action: _give_unique_names_to_messages(list_messages(document, channel, action))
            for action in (usual, OPPOSITE_ACTIONS[usual])
        }
        listed = _ChannelWithActions(
            str(spec.get("id") or path), channel, messages, spec.get("client_operation") or (usual if spec else None)
        )
        found[key] = found[key].merge(listed) if key in found else listed
    stated = next((one.client_action for one in found.values() if one.client_action is not None), None)
    return _DocumentChannels(
        found, usual, stated or _guess_client_action_from_words(document, found, is_asyncapi_3=is_asyncapi_3)
    )


def _guess_client_action_from_words(
    document: DocumentNode, channels: dict[str, _ChannelWithActions], *, is_asyncapi_3: bool
) -> str | None:
    """Return the action of the client's messages if the words of a document show it, else `None`."""
    names: dict[str, list[str]] = {}
    descriptions: dict[str, list[str]] = {}
    for channel in channels.values():
        for action, messages in channel.messages.items():
            for name, message in messages.items():
                names.setdefault(action, []).append(name)
                descriptions.setdefault(action, []).extend(_list_texts_under_keys(message, "title", "summary"))
    operations = (
        [(str(one.get_value("action")), one) for _, one in document.get_child("operations").iterate_children()]
        if is_asyncapi_3
        else [(action, one.node.get_child(action)) for one in channels.values() for action in one.messages]
    )
    for action, operation in operations:
        if action in OPPOSITE_ACTIONS:
            descriptions.setdefault(action, []).extend(_list_texts_under_keys(operation, "summary", "operationId"))
    return guess_client_action(descriptions, names)


def _list_texts_under_keys(node: DocumentNode, *keys: str) -> list[str]:
    return [text for key in keys if isinstance(text := node.get_value(key), str)]


def _choose_client_action(
    undecided_document: _DocumentChannels, other_document: _DocumentChannels
) -> _DocumentChannels:
    """Return `undecided_document` with the client action whose message names agree best with `other_document`."""

    def count_common_names(action: str) -> int:
        count = 0
        for path, channel in undecided_document.channels.items():
            if path in other_document.channels:
                there, other_action = other_document.channels[path].messages, other_document.guess_client_action(path)
                count += len(channel.messages[action].keys() & there[other_action].keys())
                opposite = channel.messages[OPPOSITE_ACTIONS[action]]
                count += len(opposite.keys() & there[OPPOSITE_ACTIONS[other_action]].keys())
        return count

    # If both actions agree as well, `max` returns the first: the one that the specification means.
    usual = undecided_document.usual_client_action
    return undecided_document._replace(client_action=max((usual, OPPOSITE_ACTIONS[usual]), key=count_common_names))


def _assign_messages_to_sides(document_channels: _DocumentChannels) -> dict[str, _Channel]:
    found = {}
    for path, channel in document_channels.channels.items():
        client_action = document_channels.guess_client_action(path)
        messages: dict[SocketSide, dict[str, DocumentNode]] = {
            "client": channel.messages[client_action],
            "server": channel.messages[OPPOSITE_ACTIONS[client_action]],
        }
        found[path] = _Channel(channel.name, channel.node, messages)
    return found


def _give_unique_names_to_messages(messages: Iterator[tuple[str, DocumentNode]]) -> dict[str, DocumentNode]:
    """Return messages by name; messages without a name of their own are numbered."""
    found: dict[str, DocumentNode] = {}
    for name, node in messages:
        number, unique = 2, name
        while unique in found:
            unique, number = f"{name} {number}", number + 1
        found[unique] = node
    return found


def _iterate_messages_of_asyncapi_2(
    _document: DocumentNode, channel: DocumentNode, action: str
) -> Iterator[tuple[str, DocumentNode]]:
    message = channel.get_child(action).get_child("message")
    if not message.exists:
        return
    listed = [node for _, node in message.get_child("oneOf").iterate_children()]
    for node in listed or [message]:
        yield _find_message_name(node, ""), node.resolve_references()


def _iterate_messages_of_asyncapi_3(
    document: DocumentNode, channel: DocumentNode, action: str
) -> Iterator[tuple[str, DocumentNode]]:
    for _, node in document.get_child("operations").iterate_children():
        operation = node.resolve_references()
        if operation.get_value("action") != action:
            continue
        named = operation.get_child("channel").resolve_references()
        # A document that was written by a tool may have a copy of the channel in place of a reference.
        if named.pointer != channel.pointer and not is_same_json(named.value, channel.value):
            continue
        # An operation that lists none may have all messages of its channel (AsyncAPI 3.0).
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
    # AsyncAPI 3.0 puts a schema that names its format into an object.
    has_format = isinstance(payload.value, dict) and {"schemaFormat", "schema"} <= payload.value.keys()
    return payload.get_child("schema") if has_format else payload


def _is_binary_message(message: DocumentNode) -> bool:
    content_type = message.get_value("contentType")
    if isinstance(content_type, str) and content_type.startswith(_BINARY_MEDIA_TYPE_PREFIXES):
        return True
    return bool(_find_payload(message).resolve_references().get_value("format") == "binary")
