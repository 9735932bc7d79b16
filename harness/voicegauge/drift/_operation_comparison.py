"""Compares the paths, operations, servers, callbacks, webhooks and authentication methods of two documents."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import NamedTuple

from voicegauge.contract.document_parts import OPENAPI_METHODS
from voicegauge.drift._api_part import ApiPart
from voicegauge.drift._document_node import DocumentNode, encode_canonical_json, is_same_json
from voicegauge.drift._extension_comparison import compare_operation_extensions
from voicegauge.drift._message_comparison import (
    PathAndOperation,
    compare_parameters,
    compare_request_bodies,
    compare_responses,
)
from voicegauge.drift.drift_report import DriftChange
from voicegauge.formats.located_yaml import Document

# Compares the authentication methods of operations and the security schemes that they refer to.


_CREDENTIAL_KEYWORDS = ("in", "name", "scheme")
"""The keys of a security scheme that define how the credential is sent."""
NodePair = tuple[DocumentNode, DocumentNode]
"""Two nodes: one of the older and one of the newer document."""


class _SecurityRequirement(NamedTuple):
    """One alternative listed in `security`. A request must use all security schemes of the alternative."""

    node: DocumentNode
    scopes_by_scheme: dict[bytes, list[str]]
    """The required OAuth scopes by security scheme."""


_SecurityAlternatives = dict[frozenset[bytes], _SecurityRequirement]
"""The alternatives that a `security` list offers, by the set of security schemes that each requires. The empty set
stands for requests without authentication."""


def compare_security(
    api_part: ApiPart, old_and_new_operation: NodePair, old_and_new_root: NodePair
) -> Iterator[DriftChange]:
    """Yield the changes of the authentication methods of an operation. The document's `security` is the default."""
    has_own = [operation.get_child("security").exists for operation in old_and_new_operation]
    prefix = "api-security" if any(has_own) else "api-global-security"
    nodes = [
        (operation if own else root).get_child("security")
        for operation, root, own in zip(old_and_new_operation, old_and_new_root, has_own, strict=True)
    ]
    old, new = (
        _read_requirements(node, root, old_and_new_root) for node, root in zip(nodes, old_and_new_root, strict=True)
    )
    nested = api_part.create_nested_part("security")
    if _allows_requests_without_key(old) != _allows_requests_without_key(new):
        rule = "security-became-optional" if _allows_requests_without_key(new) else "security-became-required"
        yield nested.build_change(rule, nodes[0], nodes[1])
    elif not _allows_requests_without_key(new) and not old.keys() & new.keys():
        yield nested.build_change("security-methods-replaced", nodes[0], nodes[1])
    yield from _compare_security_requirements(nested, prefix, old, new)


def _allows_requests_without_key(requirements: _SecurityAlternatives) -> bool:
    return not requirements or frozenset() in requirements


def _compare_security_requirements(
    api_part: ApiPart,
    rule_id_prefix: str,
    old_requirements: _SecurityAlternatives,
    new_requirements: _SecurityAlternatives,
) -> Iterator[DriftChange]:
    for key in dict.fromkeys((*old_requirements, *new_requirements)):
        if key and key not in new_requirements:
            yield api_part.build_change(f"{rule_id_prefix}-removed", old_requirements[key].node, None)
        elif key and key not in old_requirements:
            yield api_part.build_change(f"{rule_id_prefix}-added", None, new_requirements[key].node)
        elif key:
            yield from _compare_oauth_scopes(api_part, rule_id_prefix, old_requirements[key], new_requirements[key])


def _compare_oauth_scopes(
    api_part: ApiPart,
    rule_id_prefix: str,
    old_requirement: _SecurityRequirement,
    new_requirement: _SecurityRequirement,
) -> Iterator[DriftChange]:
    for scheme, before in old_requirement.scopes_by_scheme.items():
        after = new_requirement.scopes_by_scheme[scheme]
        for name in dict.fromkeys((*before, *after)):
            if name not in after:
                yield api_part.build_change(
                    f"{rule_id_prefix}-scope-removed", old_requirement.node, new_requirement.node, old=name
                )
            elif name not in before:
                yield api_part.build_change(
                    f"{rule_id_prefix}-scope-added", old_requirement.node, new_requirement.node, new=name
                )


def _read_requirements(security: DocumentNode, root: DocumentNode, old_and_new_root: NodePair) -> _SecurityAlternatives:
    """Return the alternatives of a `security` list; `root` is the document that has the list."""
    requirements = {}
    for _, alternative in security.iterate_children():
        scopes = {
            _identify_security_scheme(name, root, old_and_new_root): [
                str(scope.value) for _, scope in scope_list.iterate_children()
            ]
            for name, scope_list in alternative.iterate_children()
        }
        requirements[frozenset(scopes)] = _SecurityRequirement(alternative, scopes)
    return requirements


def _identify_security_scheme(scheme_name: str, root: DocumentNode, old_and_new_root: NodePair) -> bytes:
    """Return the name of a security scheme if both documents have that name, otherwise its content.

    Therefore, a scheme that was only renamed is not reported as a change.
    """
    if all(scheme_name in _list_security_schemes(document) for document in old_and_new_root):
        return scheme_name.encode()
    scheme = _list_security_schemes(root).get(scheme_name)
    return _encode_security_scheme(scheme) if scheme is not None else scheme_name.encode()


def _list_security_schemes(root: DocumentNode) -> dict[str, DocumentNode]:
    children = root.get_child("components").get_child("securitySchemes").iterate_children()
    return {name: node.resolve_references() for name, node in children}


def _encode_security_scheme(scheme: DocumentNode) -> bytes:
    content = scheme.value if isinstance(scheme.value, dict) else {}
    return encode_canonical_json(
        {key: value for key, value in content.items() if key != "description" and key[:2] != "x-"}
    )


def compare_security_schemes(
    api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode
) -> Iterator[DriftChange]:
    """Yield the changes of security schemes, except for those that were only renamed."""
    old_schemes, new_schemes = _list_security_schemes(old_node), _list_security_schemes(new_node)
    old_contents, new_contents = (
        {_encode_security_scheme(node) for node in schemes.values()} for schemes in (old_schemes, new_schemes)
    )
    for name in dict.fromkeys((*old_schemes, *new_schemes)):
        nested = api_part.create_nested_part(f"security scheme {name}")
        if name not in new_schemes:
            if _encode_security_scheme(old_schemes[name]) not in new_contents:
                yield nested.build_change("api-security-component-removed", old_schemes[name], None)
        elif name not in old_schemes:
            if _encode_security_scheme(new_schemes[name]) not in old_contents:
                yield nested.build_change("api-security-component-added", None, new_schemes[name])
        else:
            yield from _compare_security_scheme(nested, old_schemes[name], new_schemes[name])


def _compare_security_scheme(
    api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode
) -> Iterator[DriftChange]:
    if old_node.get_value("type") != new_node.get_value("type"):
        values = {"old": old_node.get_value("type"), "new": new_node.get_value("type")}
        yield api_part.build_change(
            "api-security-component-type-changed", old_node.get_child("type"), new_node.get_child("type"), **values
        )
    before, after = (
        {key: _get_credential_value(key, node) for key in _CREDENTIAL_KEYWORDS} for node in (old_node, new_node)
    )
    if before != after:
        values = {"old": _describe_credential(before), "new": _describe_credential(after)}
        yield api_part.build_change("api-security-component-location-changed", old_node, new_node, **values)
    old_flows, new_flows = (dict(node.get_child("flows").iterate_children()) for node in (old_node, new_node))
    for name, flow in old_flows.items():
        if name in new_flows:
            yield from _compare_oauth_flow(api_part, flow, new_flows[name])


def _get_credential_value(keyword: str, scheme: DocumentNode) -> str:
    """Return a value of the security scheme. HTTP schemes and header names are lower-cased, as case has no meaning."""
    value = str(scheme.get_value(keyword, ""))
    return value.lower() if keyword == "scheme" or scheme.get_value("in") == "header" else value


def _describe_credential(value_by_keyword: dict[str, str]) -> str:
    return " ".join(value for value in value_by_keyword.values() if value)


def _compare_oauth_flow(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    for key, name in (("authorizationUrl", "oauth-url"), ("tokenUrl", "oauth-token-url")):
        before, after = old_node.get_child(key), new_node.get_child(key)
        values = {"old": old_node.get_value(key), "new": new_node.get_value(key)}
        if values["old"] != values["new"]:
            yield api_part.build_change(f"api-security-component-{name}-changed", before, after, **values)
    old_scopes, new_scopes = old_node.get_child("scopes"), new_node.get_child("scopes")
    before_names, after_names = (dict(node.iterate_children()) for node in (old_scopes, new_scopes))
    for name in dict.fromkeys((*before_names, *after_names)):
        if name not in after_names:
            yield api_part.build_change("api-security-component-oauth-scope-removed", old_scopes, new_scopes, old=name)
        elif name not in before_names:
            yield api_part.build_change("api-security-component-oauth-scope-added", old_scopes, new_scopes, new=name)


# Compares the paths, operations, servers, callbacks and webhooks of two documents.


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
        for method in OPENAPI_METHODS:
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
