"""Paths and operations of two documents, and what an operation says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from voicegauge.drift.contracts.document_node import DocumentNode, is_same_json
from voicegauge.drift.contracts.extension_keys import compare_operation_extensions
from voicegauge.drift.contracts.parameters import compare_parameters
from voicegauge.drift.contracts.requests_and_responses import compare_request_bodies, compare_responses
from voicegauge.drift.contracts.scope import ComparisonScope
from voicegauge.drift.contracts.security import compare_security
from voicegauge.drift.report import DriftChange

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class DocumentOperation(NamedTuple):
    """An operation with what it inherits from."""

    path: str
    method: str
    item: DocumentNode
    """Its path item."""
    part: DocumentNode

    @property
    def name(self) -> str:
        """Its operationId, else method and path."""
        stated = self.part.get("operationId")
        return stated if isinstance(stated, str) else f"{self.method.upper()} {self.path}"


_Key = tuple[str, str]


def compare_operations(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    """Every change of paths, operations and webhooks; `old` and `new` are whole documents."""
    was, now = _operations(old.child("paths")), _operations(new.child("paths"))
    templates = {path for path, _ in now}
    for key, operation in was.items():
        inside = replace(scope, operation=operation.name)
        if key in now:
            yield from _compare(inside, operation, now[key], (old, new))
        else:
            what = "api" if key[0] in templates else "api-path"
            how = "with" if operation.part.get("deprecated") is True else "without"
            yield inside.change(f"{what}-removed-{how}-deprecation", operation.part, None)
    for key, operation in now.items():
        if key not in was:
            inside = replace(scope, operation=operation.name)
            yield inside.change("endpoint-added", None, operation.part)
    yield from _compare_webhooks(scope, old, new)


def _operations(paths: DocumentNode) -> dict[_Key, DocumentOperation]:
    """By path, whose parameters may have any name, and method."""
    found: dict[_Key, DocumentOperation] = {}
    for path, item in paths.children():
        item = item.resolve()
        if path.startswith("x-"):
            continue
        for method in METHODS:
            part = item.child(method)
            if isinstance(part.value, dict):
                found[re.sub(r"\{[^}]*\}", "{}", path), method] = DocumentOperation(path, method, item, part)
    return found


def _compare(
    scope: ComparisonScope, old: DocumentOperation, new: DocumentOperation, roots: tuple[DocumentNode, DocumentNode]
) -> Iterator[DriftChange]:
    yield from _about_itself(scope, old.part, new.part)
    yield from _servers(scope, old, new, roots)
    yield from compare_security(scope, (old.part, new.part), roots)
    yield from compare_parameters(scope, (old.path, old.item, old.part), (new.path, new.item, new.part))
    yield from compare_request_bodies(scope, old.part, new.part)
    yield from compare_responses(scope, old.part, new.part)
    yield from compare_operation_extensions(scope, old.part, new.part, roots)
    yield from _compare_calls(scope, "callback", _callbacks(old.part), _callbacks(new.part))


def _about_itself(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    was, now = (part.get("deprecated") is True for part in (old, new))
    if now and not was:
        rule = "endpoint-deprecated-with-sunset" if new.get("x-sunset") else "endpoint-deprecated"
        yield scope.change(rule, old.child("deprecated"), new.child("deprecated"))
    elif was and not now:
        yield scope.change("endpoint-reactivated", old.child("deprecated"), new.child("deprecated"))
    before, after = old.child("operationId"), new.child("operationId")
    if not before.exists and after.exists:
        yield scope.change("api-operation-id-added", before, after, new=after.value)
    elif before.exists and not (after.exists and is_same_json(before.value, after.value)):
        values = {"old": before.value, **({"new": after.value} if after.exists else {})}
        yield scope.change("api-operation-id-removed", before, after, **values)
    tags = [[tag for _, tag in part.child("tags").children()] for part in (old, new)]
    for tag in tags[0]:
        if tag.value not in [other.value for other in tags[1]]:
            yield scope.change("api-tag-removed", tag, None, old=tag.value)
    for tag in tags[1]:
        if tag.value not in [other.value for other in tags[0]]:
            yield scope.change("api-tag-added", None, tag, new=tag.value)


def _servers(
    scope: ComparisonScope, old: DocumentOperation, new: DocumentOperation, roots: tuple[DocumentNode, DocumentNode]
) -> Iterator[DriftChange]:
    """Servers of an operation of its own; those of the document are compared once."""
    own = [_own_servers(operation) for operation in (old, new)]
    if any(part is not None for part in own):
        yield from compare_servers(scope, own[0] or roots[0].child("servers"), own[1] or roots[1].child("servers"))


def _own_servers(operation: DocumentOperation) -> DocumentNode | None:
    for part in (operation.part, operation.item):
        if part.get("servers"):
            return part.child("servers")
    return None


def compare_servers(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    """Servers that came or went, by URL."""
    was, now = _urls(old), _urls(new)
    for url, part in was.items():
        if url not in now:
            yield scope.change("server-removed", part, None, old=url)
    for url, part in now.items():
        if url not in was:
            yield scope.change("server-added", None, part, new=url)


def _urls(servers: DocumentNode) -> dict[str, DocumentNode]:
    found = {}
    for _, server in servers.children():
        url = str(server.get("url", "/"))
        for name, variable in server.child("variables").children():
            url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
        found[url.rstrip("/")] = server
    return found


def _callbacks(operation: DocumentNode) -> dict[str, DocumentOperation]:
    """By the URL that is called and the method; a callback's name is of no consequence."""
    callbacks = [callback.resolve() for _, callback in operation.child("callbacks").children()]
    items = [found for callback in callbacks for found in callback.children()]
    return {key: called for expression, item in items for key, called in _calls(expression, item)}


def _calls(name: str, item: DocumentNode) -> Iterator[tuple[str, DocumentOperation]]:
    item = item.resolve()
    for method in METHODS:
        part = item.child(method)
        if isinstance(part.value, dict) and not name.startswith("x-"):
            yield f"{method} {name}", DocumentOperation(name, method, item, part)


def _compare_webhooks(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    both = [
        {key: called for name, item in root.child("webhooks").children() for key, called in _calls(name, item)}
        for root in (old, new)
    ]
    yield from _compare_calls(scope, "webhook", both[0], both[1])


def _compare_calls(
    scope: ComparisonScope, what: str, old: dict[str, DocumentOperation], new: dict[str, DocumentOperation]
) -> Iterator[DriftChange]:
    """Calls that the provider makes: their requests are read, and their answers sent, by the client."""
    for key in dict.fromkeys((*old, *new)):
        inside = replace(scope.inside(f"{what} {key.partition(' ')[2]} "), callback=True)
        if key not in new:
            yield inside.change(f"{what}-removed", old[key].part, None)
        elif key not in old:
            yield inside.change(f"{what}-added", None, new[key].part)
        else:
            was, now = old[key], new[key]
            yield from compare_parameters(inside, (was.path, was.item, was.part), (now.path, now.item, now.part))
            yield from compare_request_bodies(inside, was.part, now.part)
            yield from compare_responses(inside, was.part, now.part)
