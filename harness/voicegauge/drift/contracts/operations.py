"""Compares the paths, operations, servers, callbacks and webhooks of two documents."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import NamedTuple

from voicegauge.drift.contracts.api_part import ApiPart
from voicegauge.drift.contracts.document_node import DocumentNode, is_same_json
from voicegauge.drift.contracts.extension_comparison import compare_operation_extensions
from voicegauge.drift.contracts.parameters import PathAndOperation, compare_parameters
from voicegauge.drift.contracts.requests_and_responses import compare_request_bodies, compare_responses
from voicegauge.drift.contracts.security import compare_security
from voicegauge.drift.report import DriftChange
from voicegauge.formats import Document

HTTP_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class DocumentOperation(NamedTuple):
    """An operation of an OpenAPI document, with the path item from which it inherits parameters and servers."""

    path: str
    method: str
    path_item: DocumentNode
    node: DocumentNode

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
    return any(name in (*HTTP_METHODS, "$ref") for item in path_items if isinstance(item, dict) for name in item)


def select_operations(document: Document, operation_keys: Collection[OperationKey]) -> Document:
    """Return the document without webhooks, and without operations whose key is not in `operation_keys`."""
    paths = {
        path: {
            name: node
            for name, node in path_item.items()
            if name not in HTTP_METHODS or build_operation_key(path, name) in operation_keys
        }
        for path, path_item in document.data.get("paths", {}).items()
        if isinstance(path_item, dict)
    }
    kept = {path: item for path, item in paths.items() if any(name in HTTP_METHODS or name == "$ref" for name in item)}
    return document.replace_data({**document.data, "paths": kept, "webhooks": {}})


def compare_operations(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    """Yield every change of paths, operations and webhooks between the whole documents `old_node` and `new_node`."""
    old_operations, new_operations = (
        _list_operations_by_key(old_node.get_child("paths")),
        _list_operations_by_key(new_node.get_child("paths")),
    )
    new_paths = {path for path, _ in new_operations}
    for key, operation in old_operations.items():
        nested = replace(api_part, operation_name=operation.name)
        if key in new_operations:
            yield from _compare_operation(nested, operation, new_operations[key], (old_node, new_node))
        else:
            subject = "api" if key[0] in new_paths else "api-path"
            suffix = "with-deprecation" if _is_deprecated(operation.node) else "without-deprecation"
            yield nested.build_change(f"{subject}-removed-{suffix}", operation.node, None)
    for key, operation in new_operations.items():
        if key not in old_operations:
            nested = replace(api_part, operation_name=operation.name)
            yield nested.build_change("endpoint-added", None, operation.node)
    yield from _compare_webhooks(api_part, old_node, new_node)


def _list_operations_by_key(paths: DocumentNode) -> dict[OperationKey, DocumentOperation]:
    operations: dict[OperationKey, DocumentOperation] = {}
    for path, path_item in paths.iterate_children():
        path_item = path_item.resolve_references()
        if path.startswith("x-"):
            continue
        for method in HTTP_METHODS:
            node = path_item.get_child(method)
            if isinstance(node.value, dict):
                operations[build_operation_key(path, method)] = DocumentOperation(path, method, path_item, node)
    return operations


def _compare_operation(
    api_part: ApiPart,
    old_operation: DocumentOperation,
    new_operation: DocumentOperation,
    old_and_new_root: tuple[DocumentNode, DocumentNode],
) -> Iterator[DriftChange]:
    yield from _compare_deprecation(api_part, old_operation.node, new_operation.node)
    yield from _compare_operation_ids(
        api_part, old_operation.node.get_child("operationId"), new_operation.node.get_child("operationId")
    )
    yield from _compare_tags(api_part, old_operation.node, new_operation.node)
    yield from _compare_own_servers(api_part, old_operation, new_operation, old_and_new_root)
    yield from compare_security(api_part, (old_operation.node, new_operation.node), old_and_new_root)
    yield from compare_parameters(api_part, old_operation.path_and_operation, new_operation.path_and_operation)
    yield from compare_request_bodies(api_part, old_operation.node, new_operation.node)
    yield from compare_responses(api_part, old_operation.node, new_operation.node)
    yield from compare_operation_extensions(api_part, old_operation.node, new_operation.node, old_and_new_root)
    yield from _compare_provider_requests(
        api_part,
        "callback",
        _list_callback_requests(old_operation.node),
        _list_callback_requests(new_operation.node),
    )


def _is_deprecated(operation: DocumentNode) -> bool:
    return operation.get_value("deprecated") is True


def _compare_deprecation(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    if _is_deprecated(new_node) and not _is_deprecated(old_node):
        rule = "endpoint-deprecated-with-sunset" if new_node.get_value("x-sunset") else "endpoint-deprecated"
        yield api_part.build_change(rule, old_node.get_child("deprecated"), new_node.get_child("deprecated"))
    elif _is_deprecated(old_node) and not _is_deprecated(new_node):
        yield api_part.build_change(
            "endpoint-reactivated", old_node.get_child("deprecated"), new_node.get_child("deprecated")
        )


def _compare_operation_ids(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    if not old_node.exists and new_node.exists:
        yield api_part.build_change("api-operation-id-added", old_node, new_node, new=new_node.value)
    elif old_node.exists and not (new_node.exists and is_same_json(old_node.value, new_node.value)):
        values = {"old": old_node.value, **({"new": new_node.value} if new_node.exists else {})}
        yield api_part.build_change("api-operation-id-removed", old_node, new_node, **values)


def _compare_tags(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    old_tags, new_tags = (
        [tag for _, tag in node.get_child("tags").iterate_children()] for node in (old_node, new_node)
    )
    for tag in old_tags:
        if tag.value not in [other.value for other in new_tags]:
            yield api_part.build_change("api-tag-removed", tag, None, old=tag.value)
    for tag in new_tags:
        if tag.value not in [other.value for other in old_tags]:
            yield api_part.build_change("api-tag-added", None, tag, new=tag.value)


def _compare_own_servers(
    api_part: ApiPart,
    old_operation: DocumentOperation,
    new_operation: DocumentOperation,
    old_and_new_root: tuple[DocumentNode, DocumentNode],
) -> Iterator[DriftChange]:
    """Yield a change for each server that only one of two operations has.

    An operation without servers of its own has those of the document. Nothing is yielded if neither operation has
    servers of its own, because the servers of the document are compared only once.
    """
    old_servers, new_servers = _find_own_servers(old_operation), _find_own_servers(new_operation)
    if old_servers is not None or new_servers is not None:
        yield from compare_servers(
            api_part,
            old_servers or old_and_new_root[0].get_child("servers"),
            new_servers or old_and_new_root[1].get_child("servers"),
        )


def _find_own_servers(operation: DocumentOperation) -> DocumentNode | None:
    for node in (operation.node, operation.path_item):
        if node.get_value("servers"):
            return node.get_child("servers")
    return None


def compare_servers(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    """Yield a change for each server URL that only one of the two nodes lists."""
    old_servers, new_servers = _map_servers_by_url(old_node), _map_servers_by_url(new_node)
    for url, node in old_servers.items():
        if url not in new_servers:
            yield api_part.build_change("server-removed", node, None, old=url)
    for url, node in new_servers.items():
        if url not in old_servers:
            yield api_part.build_change("server-added", None, node, new=url)


def _map_servers_by_url(servers: DocumentNode) -> dict[str, DocumentNode]:
    """Return the servers by URL, in which variables are replaced with their default values."""
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
    for method in HTTP_METHODS:
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
    for key in dict.fromkeys((*old_operations, *new_operations)):
        nested = replace(api_part.create_nested_part(f"{request_kind} {key.partition(' ')[2]} "), is_callback=True)
        if key not in new_operations:
            yield nested.build_change(f"{request_kind}-removed", old_operations[key].node, None)
        elif key not in old_operations:
            yield nested.build_change(f"{request_kind}-added", None, new_operations[key].node)
        else:
            yield from compare_parameters(
                nested, old_operations[key].path_and_operation, new_operations[key].path_and_operation
            )
            yield from compare_request_bodies(nested, old_operations[key].node, new_operations[key].node)
            yield from compare_responses(nested, old_operations[key].node, new_operations[key].node)
