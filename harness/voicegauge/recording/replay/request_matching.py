"""What a request asks for, as values that can be compared: never bytes, boundaries or the order of keys."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from voicegauge.contract import Contract, Operation
from voicegauge.formats import UnreadableBodyError, is_form, is_json, read_form, read_json
from voicegauge.model import DOWNLOAD, Record, Request, UploadedFile
from voicegauge.recording.bodies import bare_media_type
from voicegauge.recording.redaction import BAD_KEY, MASK, relative_path

_OWN_HEADERS = "x-voicegauge-"
_SHOWN = 60
"""Characters of a value in a difference."""


class RequestSignature(Record, frozen=True, kw_only=True):
    """A request by what it asks for."""

    provider: str
    operation: str
    """The contract's operation id; `DOWNLOAD` for a URL that no operation describes."""
    content: dict[str, str]
    """Every value by its place: "path id", "query page", "body /text", "file voice", "key"."""

    def matches(self, recorded: RequestSignature) -> bool:
        """Whether this is the recorded request; what was masked there may be anything here."""
        if (self.provider, self.operation) != (recorded.provider, recorded.operation):
            return False
        return self.content.keys() == recorded.content.keys() and not self.differences(recorded)

    def differences(self, recorded: RequestSignature) -> list[str]:
        """Each difference in words."""
        told = []
        if self.operation != recorded.operation:
            told.append(f"operation: recorded {recorded.operation}, sent {self.operation}")
        for place in {**recorded.content, **self.content}:
            was, now = recorded.content.get(place), self.content.get(place)
            if was is None or now is None or not _same(was, now):
                told.append(f"{place}: {_say('recorded', was)}, {_say('sent', now)}")
        return told


def _same(recorded: str, sent: str) -> bool:
    if MASK not in recorded:
        return recorded == sent
    pattern = ".*".join(re.escape(part) for part in recorded.split(MASK))
    return re.fullmatch(pattern, sent, re.DOTALL) is not None


def _say(word: str, value: str | None) -> str:
    if value is None:
        return f"not {word}"
    return f"{word} {value if len(value) <= _SHOWN else value[: _SHOWN - 3] + '...'}"


def request_signature(
    contract: Contract, request: Request, operation: Operation | None, path: str | None = None
) -> RequestSignature:
    """What `request` asks for.

    Args:
        contract: of its provider.
        request: its URL may lie on any base.
        operation: which it is of, where that is known.
        path: below the base URL, where the base is not one of the contract's servers.
    """
    path = path or relative_path(contract, request.url)
    if operation is None:
        parts = urlsplit(request.url)
        where = path if path is not None else f"{parts.netloc}{parts.path}"
        content = {"method": request.method.upper(), "url": where, **dict(_query(contract, request, key_too=True))}
        return RequestSignature(provider=contract.id, operation=DOWNLOAD, content=content)
    content = {f"path {name}": value for name, value in _path_parameters(operation, request.url, path).items()}
    content |= _query(contract, request)
    content |= _headers(operation, request)
    content["key"] = _key(contract, request)
    content |= _body(request)
    return RequestSignature(provider=contract.id, operation=operation.id, content=content)


def _path_parameters(operation: Operation, url: str, path: str | None) -> dict[str, str]:
    """Read from the end of the path, whatever base URL it was sent to."""
    segments = (path or urlsplit(url).path).split("/")
    for start in range(1, len(segments)):
        found = operation.match("/" + "/".join(segments[start:]))
        if found is not None:
            return {name: unquote(value) for name, value in found.items()}
    return {}


def _query(contract: Contract, request: Request, *, key_too: bool = False) -> Iterator[tuple[str, str]]:
    keys = set() if key_too else {name for place, name in _key_places(contract) if place == "query"}
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(urlsplit(request.url).query, keep_blank_values=True):
        if name not in keys:
            found.setdefault(name, []).append(value)
    for name, values in found.items():
        yield f"query {name}", ", ".join(values)


def _headers(operation: Operation, request: Request) -> Iterator[tuple[str, str]]:
    """The documented ones, and what voicegauge tells its emulator; a client's own habits do not count."""
    documented = {p.name.lower() for p in operation.parameters if p.place == "header"} - {"authorization"}
    documented -= {name.lower() for place, name in _key_places(operation.contract) if place == "header"}
    for name, value in request.headers:
        if name.lower() in documented or name.lower().startswith(_OWN_HEADERS):
            yield f"header {name.lower()}", value


def _key_places(contract: Contract) -> Iterator[tuple[str, str]]:
    for scheme in contract.security_schemes.values():
        if scheme.get("type") == "apiKey":
            yield str(scheme.get("in")), str(scheme.get("name"))
        else:
            yield "header", "Authorization"


def _key(contract: Contract, request: Request) -> str:
    """Whether a key is sent at all, or one that is meant to be refused: never which."""
    query = dict(parse_qsl(urlsplit(request.url).query))
    places = _key_places(contract)
    values = [query.get(name) if place == "query" else request.header(name) for place, name in places]
    sent = [value for value in values if value]
    if not sent:
        return "none"
    return "bad" if any(BAD_KEY in value for value in sent) else "sent"


def _body(request: Request) -> Iterator[tuple[str, str]]:
    if not request.body:
        return
    content_type = request.header("content-type") or ""
    media_type = bare_media_type(content_type)
    yield "media type", media_type
    try:
        if is_json(media_type):
            yield from _leaves(read_json(request.body), "body ")
            return
        if is_form(media_type):
            form = read_form(content_type, request.body)
            yield from ((f"field {name}", value) for name, value in form.fields.items())
            yield from ((f"file {name}", _file(value)) for name, value in form.files.items())
            return
    except UnreadableBodyError:
        pass
    yield "body", f"{len(request.body)} bytes, SHA-256 {hashlib.sha256(request.body).hexdigest()}"


def _file(value: UploadedFile) -> str:
    return f"{value.filename}, SHA-256 {hashlib.sha256(value.data).hexdigest()}"


def _leaves(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every value that holds no other, by its JSON pointer."""
    items: Mapping[Any, Any] = value if isinstance(value, dict) else {}
    if isinstance(value, list):
        items = dict(enumerate(value))
    if not items:
        whole = isinstance(value, float) and value.is_integer()
        yield place, json.dumps(int(value) if whole else value, ensure_ascii=False)
    for key, item in items.items():
        yield from _leaves(item, f"{place}/{key}")
