"""Compares the authentication methods of operations and the security schemes that they refer to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from voicegauge.drift.contracts.document_node import DocumentNode, canonical_json, is_same_json
from voicegauge.drift.contracts.scope import ComparisonScope
from voicegauge.drift.report import DriftChange

_CREDENTIAL_KEYS = ("in", "name", "scheme")
"""The keys of a security scheme that define how the credential is sent."""
NodePair = tuple[DocumentNode, DocumentNode]
"""Two nodes: one of the older and one of the newer document."""


class _SecurityRequirement(NamedTuple):
    """One alternative listed in `security`. A request must use all security schemes of the alternative."""

    node: DocumentNode
    scopes: dict[bytes, list[str]]
    """The required OAuth scopes by security scheme."""


_Requirements = dict[frozenset[bytes], _SecurityRequirement]
"""The alternatives by their security schemes. An empty set of schemes allows requests without authentication."""


def compare_security(scope: ComparisonScope, operations: NodePair, roots: NodePair) -> Iterator[DriftChange]:
    """Yield the changes of the authentication methods of an operation. The document's `security` is the default."""
    has_own = [operation.child("security").exists for operation in operations]
    prefix = "api-security" if any(has_own) else "api-global-security"
    nodes = [
        (operation if own else root).child("security")
        for operation, root, own in zip(operations, roots, has_own, strict=True)
    ]
    old, new = (_requirements(node, root, roots) for node, root in zip(nodes, roots, strict=True))
    nested = scope.nested("security")
    if _is_open(old) != _is_open(new):
        rule = "security-became-optional" if _is_open(new) else "security-became-required"
        yield nested.change(rule, nodes[0], nodes[1])
    elif not _is_open(new) and not old.keys() & new.keys():
        yield nested.change("security-methods-replaced", nodes[0], nodes[1])
    yield from _compare_requirements(nested, prefix, old, new)


def _is_open(requirements: _Requirements) -> bool:
    return not requirements or frozenset() in requirements


def _compare_requirements(
    scope: ComparisonScope, prefix: str, old: _Requirements, new: _Requirements
) -> Iterator[DriftChange]:
    for key in dict.fromkeys((*old, *new)):
        if key and key not in new:
            yield scope.change(f"{prefix}-removed", old[key].node, None)
        elif key and key not in old:
            yield scope.change(f"{prefix}-added", None, new[key].node)
        elif key:
            yield from _compare_scopes(scope, prefix, old[key], new[key])


def _compare_scopes(
    scope: ComparisonScope, prefix: str, old: _SecurityRequirement, new: _SecurityRequirement
) -> Iterator[DriftChange]:
    for scheme, before in old.scopes.items():
        after = new.scopes[scheme]
        for name in dict.fromkeys((*before, *after)):
            if name not in after:
                yield scope.change(f"{prefix}-scope-removed", old.node, new.node, old=name)
            elif name not in before:
                yield scope.change(f"{prefix}-scope-added", old.node, new.node, new=name)


def _requirements(security: DocumentNode, root: DocumentNode, roots: NodePair) -> _Requirements:
    requirements = {}
    for _, alternative in security.children():
        scopes = {
            _scheme_identity(name, root, roots): [str(scope.value) for _, scope in scope_list.children()]
            for name, scope_list in alternative.children()
        }
        requirements[frozenset(scopes)] = _SecurityRequirement(alternative, scopes)
    return requirements


def _scheme_identity(name: str, root: DocumentNode, roots: NodePair) -> bytes:
    """Identify a security scheme by its name if both documents have that name, otherwise by its content.

    Therefore, a scheme that was only renamed is not reported as a change.
    """
    if all(name in _schemes(document) for document in roots):
        return name.encode()
    scheme = _schemes(root).get(name)
    return _scheme_content(scheme) if scheme is not None else name.encode()


def _schemes(root: DocumentNode) -> dict[str, DocumentNode]:
    children = root.child("components").child("securitySchemes").children()
    return {name: node.resolve() for name, node in children}


def _scheme_content(scheme: DocumentNode) -> bytes:
    content = scheme.value if isinstance(scheme.value, dict) else {}
    return canonical_json({key: value for key, value in content.items() if key != "description" and key[:2] != "x-"})


def compare_security_schemes(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    """Yield the changes of security schemes, except for those that were only renamed."""
    old_schemes, new_schemes = _schemes(old), _schemes(new)
    old_contents, new_contents = (
        {_scheme_content(node) for node in schemes.values()} for schemes in (old_schemes, new_schemes)
    )
    for name in dict.fromkeys((*old_schemes, *new_schemes)):
        nested = scope.nested(f"security scheme {name}")
        if name not in new_schemes:
            if _scheme_content(old_schemes[name]) not in new_contents:
                yield nested.change("api-security-component-removed", old_schemes[name], None)
        elif name not in old_schemes:
            if _scheme_content(new_schemes[name]) not in old_contents:
                yield nested.change("api-security-component-added", None, new_schemes[name])
        else:
            yield from _compare_scheme(nested, old_schemes[name], new_schemes[name])


def _compare_scheme(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    if old.get("type") != new.get("type"):
        values = {"old": old.get("type"), "new": new.get("type")}
        yield scope.change("api-security-component-type-changed", old.child("type"), new.child("type"), **values)
    before, after = ({key: _credential_value(key, node) for key in _CREDENTIAL_KEYS} for node in (old, new))
    if before != after:
        values = {"old": _describe_credential(before), "new": _describe_credential(after)}
        yield scope.change("api-security-component-location-changed", old, new, **values)
    old_flows, new_flows = (dict(node.child("flows").children()) for node in (old, new))
    for name, flow in old_flows.items():
        if name in new_flows:
            yield from _compare_flow(scope, flow, new_flows[name])


def _credential_value(key: str, scheme: DocumentNode) -> str:
    """Return a value of the security scheme. HTTP schemes and header names are lower-cased, as case has no meaning."""
    value = str(scheme.get(key, ""))
    return value.lower() if key == "scheme" or scheme.get("in") == "header" else value


def _describe_credential(values: dict[str, str]) -> str:
    return " ".join(value for value in values.values() if value)


def _compare_flow(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    for key, name in (("authorizationUrl", "oauth-url"), ("tokenUrl", "oauth-token-url")):
        before, after = old.child(key), new.child(key)
        if before.exists and after.exists and not is_same_json(before.value, after.value):
            rule = f"api-security-component-{name}-changed"
            yield scope.change(rule, before, after, old=before.value, new=after.value)
    old_scopes, new_scopes = old.child("scopes"), new.child("scopes")
    before_names, after_names = (dict(node.children()) for node in (old_scopes, new_scopes))
    for name in dict.fromkeys((*before_names, *after_names)):
        if name not in after_names:
            yield scope.change("api-security-component-oauth-scope-removed", old_scopes, new_scopes, old=name)
        elif name not in before_names:
            yield scope.change("api-security-component-oauth-scope-added", old_scopes, new_scopes, new=name)
