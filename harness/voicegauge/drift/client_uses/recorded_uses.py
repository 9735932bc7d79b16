"""Finds what a client sends in recordings of its requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from voicegauge.drift.client_uses.client_uses import ClientUses, SentValues
from voicegauge.formats import (
    EVERY_ITEM,
    Document,
    Location,
    UnreadableBodyError,
    is_form,
    is_json,
    read_form,
    read_json,
)
from voicegauge.model import Request
from voicegauge.recording.importing import read_requests

_HTTP_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
MAX_BODY_DEPTH = 50
"""Number of nested levels of a JSON body in which each value has a location of its own. A deeper value counts as part
of its parent."""


class OperationPattern(NamedTuple):
    """An operation of an OpenAPI document, with a pattern that matches the URLs of its requests."""

    name: str
    """The `operationId`, or method and path if the operation has no `operationId`."""
    method: str
    path: str
    url_pattern: re.Pattern[str]

    @property
    def method_and_path(self) -> str:
        """The method and the path: "GET /voices"."""
        return f"{self.method.upper()} {self.path}"


class OperationMatcher:
    """Finds the operations of a document by URL and by name."""

    def __init__(self, document: Document) -> None:
        """List the operations of `document`."""
        self.document = document
        self.operation_patterns = sorted(
            _iterate_operation_patterns(document.data), key=lambda operation_pattern: operation_pattern.path.count("{")
        )
        """The operations, those with the fewest parameters in the path first."""

    def find_by_request(self, request: Request) -> str | None:
        """Return the name of the operation that a request calls; `None` if the document has no such operation."""
        url = request.url.partition("?")[0].partition("#")[0]
        for operation_pattern in self.operation_patterns:
            if operation_pattern.method == request.method.lower() and operation_pattern.url_pattern.fullmatch(url):
                return operation_pattern.name
        return None

    def find_by_name(self, name: str) -> OperationPattern | None:
        """Return the operation whose `operationId`, or whose method and path, is `name`; `None` if there is none."""
        for operation_pattern in self.operation_patterns:
            if name in (operation_pattern.name, operation_pattern.method_and_path):
                return operation_pattern
        return None


def _iterate_operation_patterns(document: dict[str, Any]) -> Iterator[OperationPattern]:
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        for method in _HTTP_METHODS:
            operation = item.get(method) if isinstance(item, dict) else None
            if not isinstance(operation, dict):
                continue
            operation_id = operation.get("operationId")
            name = operation_id if isinstance(operation_id, str) else f"{method.upper()} {path}"
            servers = operation.get("servers") or item.get("servers") or document.get("servers") or [{"url": "/"}]
            bases = "|".join(_build_server_pattern(server) for server in servers if isinstance(server, dict))
            pattern = re.compile(f"(?:{bases}){_build_url_pattern(path)}/?")
            yield OperationPattern(name, method, path, pattern)


def _build_server_pattern(server: dict[str, Any]) -> str:
    """Return a pattern for the URL of a server. A server URL without a host matches any host."""
    url = str(server.get("url", "/")).rstrip("/")
    return _build_url_pattern(url) if "//" in url else "[a-z]+://[^/]+" + _build_url_pattern(url)


def _build_url_pattern(url_template: str) -> str:
    parts = re.split(r"\{[^}]*\}", url_template)
    return "[^/]+".join(re.escape(part) for part in parts)


def add_recorded_uses(client_uses: ClientUses, path: Path, matcher: OperationMatcher) -> int:
    """Add what the client sends in a recording to `client_uses`. Return the number of recorded requests to the API.

    Raises:
        DataError: the recording cannot be read.
    """
    count = 0
    for recorded in read_requests(path):
        operation = matcher.find_by_request(recorded.request)
        if operation is None:
            continue
        count += 1
        use = client_uses.find_or_add_operation_use(operation)
        locations = _list_sent_locations(recorded.request) if recorded.is_complete else None
        if locations is None:
            use.are_sent_values_complete = False
        else:
            use.sent_values.append(SentValues(locations, f"{path}, request {recorded.request_number}"))
    return count


def _list_sent_locations(request: Request) -> frozenset[Location] | None:
    """Return the locations of all values in a request; `None` if its body cannot be read."""
    found = {Location("query", name) for name, _ in parse_qsl(urlsplit(request.url).query, keep_blank_values=True)}
    found |= {Location("header", name.lower()) for name, _ in request.headers}
    if not request.body:
        return frozenset(found)
    try:
        if is_json(request.media_type):
            found |= {
                Location("body", pointer_tokens=pointer_tokens)
                for pointer_tokens in _iterate_leaf_paths(read_json(request.body), ())
            }
        elif is_form(request.media_type):
            form = read_form(request.find_header("content-type") or "", request.body)
            found |= {Location("body", pointer_tokens=[name]) for name in (*form.fields, *form.files)}
        else:
            found.add(Location("body"))
    except UnreadableBodyError:
        return None
    return frozenset(found)


def _iterate_leaf_paths(value: Any, pointer_tokens: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and value and len(pointer_tokens) < MAX_BODY_DEPTH:
        for key, item in value.items():
            yield from _iterate_leaf_paths(item, (*pointer_tokens, key))
    elif isinstance(value, list) and value and len(pointer_tokens) < MAX_BODY_DEPTH:
        for item in value:
            yield from _iterate_leaf_paths(item, (*pointer_tokens, EVERY_ITEM))
    else:
        yield pointer_tokens
