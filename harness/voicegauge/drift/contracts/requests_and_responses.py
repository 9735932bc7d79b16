"""Bodies, media types, headers and links of two operations."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from voicegauge.drift.contracts.document_node import DocumentNode, is_same_json
from voicegauge.drift.contracts.schemas import compare_schemas
from voicegauge.drift.contracts.scope import ComparisonScope
from voicegauge.drift.report import DriftChange


def compare_request_bodies(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    """Every change of what an operation, or a callback, is sent."""
    before, after = old.child("requestBody").resolve(), new.child("requestBody").resolve()
    inside = scope.inside("body" if scope.callback else "request body")
    required = [part.get("required") is True for part in (before, after)]
    if before.exists and after.exists:
        if required[0] != required[1]:
            stem = "callback-payload" if scope.callback else "request-body"
            rule = f"{stem}-became-{'required' if required[1] else 'optional'}"
            yield inside.change(rule, before.child("required"), after.child("required"))
        stem = "callback" if scope.callback else "request-body"
        yield from _compare_media(inside, stem, before, after)
    elif after.exists:
        need = "required" if required[1] else "optional"
        yield inside.change("callback-payload-added" if scope.callback else f"request-body-added-{need}", None, after)
    elif before.exists:
        yield inside.change("callback-payload-removed" if scope.callback else "request-body-removed", before, None)


def compare_responses(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    """Every change of the answers of an operation, or of those that a callback is to be given."""
    was, now = _responses(old), _responses(new)
    for status in dict.fromkeys((*was, *now)):
        inside = scope.inside(status)
        if status in was and status in now:
            if not scope.callback:
                yield from _compare_answers(inside, was[status], now[status])
            continue
        action = "added" if status in now else "removed"
        kind = "success" if status.startswith("2") else "non-success"
        rule = f"callback-response-status-{action}" if scope.callback else f"response-{kind}-status-{action}"
        yield inside.change(rule, was.get(status), now.get(status))


def _responses(operation: DocumentNode) -> dict[str, DocumentNode]:
    found = operation.child("responses").children()
    return {status.upper(): part.resolve() for status, part in found if not status.startswith("x-")}


def _compare_answers(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    yield from _compare_media(scope.inside(" body"), "response", old, new)
    yield from _compare_headers(scope, old, new)
    yield from _compare_links(scope, old, new)


def _compare_media(scope: ComparisonScope, stem: str, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    """Media types that came, went or changed their name, and the schemas of the others."""
    was, now = _media(old), _media(new)
    if stem == "response":
        yield from _renamed(scope, was, now)
    body = stem if stem.endswith("-body") else f"{stem}-body"
    several = len(was) > 1 or len(now) > 1
    for name in dict.fromkeys((*was, *now)):
        inside = scope.inside(f" ({name})") if several else scope
        if name not in now:
            yield inside.change(f"{stem}-media-type-removed", was[name], None, old=name)
        elif name not in was:
            yield inside.change(f"{stem}-media-type-added", None, now[name], new=name)
        else:
            before, after = was[name].child("schema"), now[name].child("schema")
            if before.exists == after.exists or scope.callback:
                yield from compare_schemas(inside, body, before, after)
            else:
                action = "added" if after.exists else "removed"
                yield inside.change(f"{body}-media-type-schema-{action}", before, after)


def _media(part: DocumentNode) -> dict[str, DocumentNode]:
    """By name, in small letters and without spaces."""
    return {"".join(name.lower().split()): media for name, media in part.child("content").children()}


def _renamed(
    scope: ComparisonScope, old: dict[str, DocumentNode], new: dict[str, DocumentNode]
) -> Iterator[DriftChange]:
    """A media type that only has other parameters, or stands for more or fewer; then both bear the newer name."""
    gone, come = ([name for name in names if name not in other] for names, other in ((old, new), (new, old)))
    for before in gone:
        for after in [name for name in come if name not in old]:
            verdict = _contained(before.partition(";")[0], after.partition(";")[0])
            if verdict:
                rule = f"response-media-type-name-{verdict}"
                yield scope.change(rule, old[before], new[after], old=before, new=after)
                old[after] = old.pop(before)
                break


def _contained(old: str, new: str) -> str:
    if old == new:
        return "changed"
    if fnmatch.fnmatchcase(old, new):
        return "generalized"
    return "specialized" if fnmatch.fnmatchcase(new, old) else ""


def _compare_headers(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    was, now = _headers(old), _headers(new)
    for name in dict.fromkeys((*was, *now)):
        inside = scope.inside(f" header {name}")
        before, after = was.get(name), now.get(name)
        required = [part is not None and part.get("required") is True for part in (before, after)]
        if before is None:
            yield inside.change("response-header-added", None, after)
        elif after is None:
            need = "required" if required[0] else "optional"
            yield inside.change(f"{need}-response-header-removed", before, None)
        else:
            if required[0] != required[1]:
                action = "became-required" if required[1] else "became-optional"
                yield inside.change(f"response-header-{action}", before, after)
            yield from compare_schemas(inside, "response-header", before.child("schema"), after.child("schema"))


def _headers(response: DocumentNode) -> dict[str, DocumentNode]:
    found = response.child("headers").children()
    return {name.lower(): part.resolve() for name, part in found if name.lower() != "content-type"}


def _compare_links(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    was, now = (dict(part.child("links").children()) for part in (old, new))
    for name in dict.fromkeys((*was, *now)):
        inside = scope.inside(f" link {name}")
        if name not in now:
            yield inside.change("response-link-removed", was[name], None)
        elif name not in was:
            yield inside.change("response-link-added", None, now[name])
        elif not is_same_json(_leads(was[name]), _leads(now[name])):
            yield inside.change("response-link-changed", was[name], now[name])


def _leads(link: DocumentNode) -> dict[str, object]:
    link = link.resolve()
    return {key: link.get(key) for key in ("operationId", "operationRef", "parameters", "requestBody")}
