"""VCR cassettes: vcrpy's (versions 0 and 1, YAML and JSON), Ruby VCR's (1.x to 6.x) and betamax's.

Their formats differ in few words, so one reader takes all of them:

    vcrpy 1       {version: 1, interactions: [{request: {method, uri, body, headers}, response: {status: {code},
                  headers, body: {string}}}]}; written with httpx before version 6: {status_code, content, headers}
    vcrpy 0       a list; the request has protocol, host, port and path, its headers are pairs, the response's are lines
    VCR 2 to 6    {http_interactions: [{..., recorded_at}]}; a body is {encoding, string | base64_string}
    VCR 1         a list of structs; the method is a symbol, a body is text
    betamax       as VCR 2, in JSON
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voicegauge.model import Headers
from voicegauge.recording.importing.interaction import (
    InteractionFile,
    NotImportedError,
    ParsedInteraction,
    UnparsedInteraction,
    as_mapping,
    as_status,
    as_text,
    from_base64,
    to_bytes,
    to_time,
)

_MAX_LISTS = 4
"""Of headers, one in the other: the arguments of a frozenset are two. What aliases nest has no end."""
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def parse_vcr_cassette(data: Any) -> InteractionFile | None:
    """The interactions of a cassette; `None` where `data` is none."""
    if isinstance(data, dict) and isinstance(data.get("http_interactions"), list):
        return InteractionFile("a cassette of VCR", _entries(data["http_interactions"]))
    if isinstance(data, dict) and isinstance(data.get("interactions"), list):
        return InteractionFile("a cassette of vcrpy", _entries(data["interactions"]))
    if isinstance(data, list) and data and all(isinstance(item, dict) and "request" in item for item in data):
        return InteractionFile("a cassette of an old VCR", _entries(data))
    return None


def _entries(items: list[Any]) -> Iterator[UnparsedInteraction]:
    for item in items:
        request = item.get("request") if isinstance(item, dict) else None
        request = request if isinstance(request, dict) else {}
        yield UnparsedInteraction(
            str(request.get("method", "?")).lstrip(":").upper(), _shown_url(request), _reader(item)
        )


def _reader(item: Any) -> Any:
    return lambda: _interaction(as_mapping(item, "request and response"))


def _shown_url(request: Mapping[str, Any]) -> str:
    try:
        return _url(request)
    except NotImportedError:
        return "?"


def _interaction(item: Mapping[str, Any]) -> ParsedInteraction:
    request, response = as_mapping(item.get("request"), "request"), as_mapping(item.get("response"), "response")
    status = response.get("status", response.get("status_code"))
    if isinstance(status, dict):
        status = status.get("code")
    if "ignored" in item:
        raise NotImportedError("is marked as ignored")
    return ParsedInteraction(
        method=as_text(request.get("method"), "method").lstrip(":").upper(),
        url=_url(request),
        request_headers=_headers(request.get("headers")),
        request_body=_body(request.get("body"), "request body"),
        status=as_status(status),
        response_headers=_headers(response.get("headers")),
        response_body=_body(response.get("body", response.get("content")), "response body"),
        recorded_at=to_time(item.get("recorded_at")),
    )


def _url(request: Mapping[str, Any]) -> str:
    if "host" not in request or "uri" in request:
        return as_text(request.get("uri"), "URL")
    scheme = as_text(request.get("protocol"), "protocol")
    port = str(request.get("port") or "")
    place = "" if port == _DEFAULT_PORTS.get(scheme) or not port else f":{port}"
    return f"{scheme}://{as_text(request['host'], 'host')}{place}{as_text(request.get('path', '/'), 'path')}"


def _headers(value: Any) -> Headers:
    if value is None:
        return ()
    if isinstance(value, dict):
        return tuple((name, text) for name, item in value.items() for text in _header_values(item))
    if not isinstance(value, list):
        raise NotImportedError("its headers are no mapping")
    return tuple(_old_headers(value))


def _header_values(value: Any) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        if item is not None:
            yield str(item) if isinstance(item, int | float) else as_text(item, "header value")


def _old_headers(value: list[Any], depth: int = 1) -> Iterator[tuple[str, str]]:
    """The headers of vcrpy 0: lines ("Content-Type: text/plain"), or pairs in the list that made a frozenset."""
    for item in value:
        if isinstance(item, str | bytes):
            name, _, text = as_text(item, "header").strip().partition(":")
            yield name, text.strip()
        elif isinstance(item, list) and len(item) == 2 and not isinstance(item[0], list):
            yield as_text(item[0], "header name"), next(_header_values(item[1]), "")
        elif isinstance(item, list) and depth < _MAX_LISTS:
            yield from _old_headers(item, depth + 1)
        else:
            raise NotImportedError("its headers can not be read")


def _body(value: Any, what: str) -> bytes:
    if isinstance(value, dict):
        return _described_body(value, what)
    if isinstance(value, str):
        return to_bytes(value)
    if value is None or isinstance(value, bytes):
        return value or b""
    raise NotImportedError(f"its {what} is neither text nor bytes")


def _described_body(value: dict[str, Any], what: str) -> bytes:
    if "base64_string" in value:
        return from_base64(value["base64_string"], what)
    if isinstance(value.get("state"), list):  # a pickled io.BytesIO: its bytes, the position, its attributes
        return _body(next(iter(value["state"]), None), what)
    if "str" in value:  # Ruby: a text with attributes of its own
        return _body(value["str"], what)
    if "string" not in value:
        raise NotImportedError(f"its {what} has neither string nor base64_string")
    inner, encoding = value["string"], value.get("encoding")
    if isinstance(inner, str) and isinstance(encoding, str) and encoding != "ASCII-8BIT":
        return to_bytes(inner, encoding)
    return _body(inner, what)
