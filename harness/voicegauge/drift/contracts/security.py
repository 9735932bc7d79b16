"""Compares the authentication methods of operations and the security schemes that they refer to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from voicegauge.drift.contracts.api_part import ApiPart
from voicegauge.drift.contracts.document_node import DocumentNode, encode_canonical_json
from voicegauge.drift.report import DriftChange

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
    yield from _compare_requirements(nested, prefix, old, new)


def _allows_requests_without_key(requirements: _SecurityAlternatives) -> bool:
    return not requirements or frozenset() in requirements


def _compare_requirements(
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
