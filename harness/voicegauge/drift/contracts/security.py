"""Ways into an operation, and the schemes that they name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from voicegauge.drift.contracts.document_node import DocumentNode, canonical_json, is_same_json
from voicegauge.drift.contracts.scope import ComparisonScope
from voicegauge.drift.report import DriftChange

_PLACE = ("in", "name", "scheme")
"""The keys of a scheme that say how a key is sent."""
NodePair = tuple[DocumentNode, DocumentNode]


class _SecurityRequirement(NamedTuple):
    """One alternative: every scheme of it is needed."""

    part: DocumentNode
    scopes: dict[bytes, list[str]]
    """By scheme."""


def compare_security(scope: ComparisonScope, operations: NodePair, roots: NodePair) -> Iterator[DriftChange]:
    """Ways into an operation that came or went; those of the whole document where it has none of its own."""
    own = [operation.child("security").exists for operation in operations]
    stem = "api-security" if any(own) else "api-global-security"
    holders = [
        (operation if has else root).child("security")
        for operation, root, has in zip(operations, roots, own, strict=True)
    ]
    was, now = (_ways(holder, root, roots) for holder, root in zip(holders, roots, strict=True))
    open_before, open_after = (not ways or frozenset() in ways for ways in (was, now))
    inside = scope.inside("security")
    if open_before != open_after:
        rule = "security-became-optional" if open_after else "security-became-required"
        yield inside.change(rule, holders[0], holders[1])
    elif not open_after and not was.keys() & now.keys():
        yield inside.change("security-ways-in-replaced", holders[0], holders[1])
    for key in dict.fromkeys((*was, *now)):
        if key and key not in now:
            yield inside.change(f"{stem}-removed", was[key].part, None)
        elif key and key not in was:
            yield inside.change(f"{stem}-added", None, now[key].part)
        elif key:
            yield from _scopes(inside, stem, was[key], now[key])


def _scopes(
    scope: ComparisonScope, stem: str, old: _SecurityRequirement, new: _SecurityRequirement
) -> Iterator[DriftChange]:
    for scheme, before in old.scopes.items():
        after = new.scopes[scheme]
        for name in dict.fromkeys((*before, *after)):
            if (name in before) != (name in after):
                action = "removed" if name in before else "added"
                yield scope.change(f"{stem}-scope-{action}", old.part, new.part, **{_side(action): name})


def _side(action: str) -> str:
    return "old" if action == "removed" else "new"


def _ways(security: DocumentNode, root: DocumentNode, roots: NodePair) -> dict[frozenset[bytes], _SecurityRequirement]:
    found = {}
    for _, alternative in security.children():
        scopes = {
            _identity(name, root, roots): [str(scope.value) for _, scope in listed.children()]
            for name, listed in alternative.children()
        }
        found[frozenset(scopes)] = _SecurityRequirement(alternative, scopes)
    return found


def _identity(name: str, root: DocumentNode, roots: NodePair) -> bytes:
    """A scheme by its name where both documents have it, else by what it says: a mere new name is no change."""
    schemes = [_schemes(other) for other in roots]
    if all(name in found for found in schemes):
        return name.encode()
    scheme = _schemes(root).get(name)
    return _content(scheme) if scheme is not None else name.encode()


def _schemes(root: DocumentNode) -> dict[str, DocumentNode]:
    found = root.child("components").child("securitySchemes").children()
    return {name: part.resolve() for name, part in found}


def _content(scheme: DocumentNode) -> bytes:
    said = scheme.value if isinstance(scheme.value, dict) else {}
    return canonical_json({key: value for key, value in said.items() if key != "description" and key[:2] != "x-"})


def compare_security_schemes(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    """Security schemes that came, went or changed; one that only has another name is left out."""
    was, now = _schemes(old), _schemes(new)
    known = [{_content(part) for part in found.values()} for found in (was, now)]
    for name in dict.fromkeys((*was, *now)):
        inside = scope.inside(f"security scheme {name}")
        if name not in now:
            if _content(was[name]) not in known[1]:
                yield inside.change("api-security-component-removed", was[name], None)
        elif name not in was:
            if _content(now[name]) not in known[0]:
                yield inside.change("api-security-component-added", None, now[name])
        else:
            yield from _compare_scheme(inside, was[name], now[name])


def _compare_scheme(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    if old.get("type") != new.get("type"):
        values = {"old": old.get("type"), "new": new.get("type")}
        yield scope.change("api-security-component-type-changed", old.child("type"), new.child("type"), **values)
    before, after = ({key: _folded(key, part) for key in _PLACE} for part in (old, new))
    if before != after:
        yield scope.change("api-security-component-place-changed", old, new, old=_said(before), new=_said(after))
    flows = [dict(part.child("flows").children()) for part in (old, new)]
    for name, flow in flows[0].items():
        if name in flows[1]:
            yield from _compare_flow(scope, flow, flows[1][name])


def _folded(key: str, part: DocumentNode) -> str:
    """Names of schemes and of headers come in any letters."""
    value = str(part.get(key, ""))
    return value.lower() if key == "scheme" or part.get("in") == "header" else value


def _said(place: dict[str, str]) -> str:
    return " ".join(value for value in place.values() if value)


def _compare_flow(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    for key, name in (("authorizationUrl", "oauth-url"), ("tokenUrl", "oauth-token-url")):
        before, after = old.child(key), new.child(key)
        if before.exists and after.exists and not is_same_json(before.value, after.value):
            rule = f"api-security-component-{name}-changed"
            yield scope.change(rule, before, after, old=before.value, new=after.value)
    was, now = (dict(part.child("scopes").children()) for part in (old, new))
    for name in dict.fromkeys((*was, *now)):
        if (name in was) != (name in now):
            action = "removed" if name in was else "added"
            rule = f"api-security-component-oauth-scope-{action}"
            yield scope.change(rule, old.child("scopes"), new.child("scopes"), **{_side(action): name})
