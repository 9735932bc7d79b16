"""Reads VCR cassettes of vcrpy (versions 0 and 1, YAML and JSON), Ruby VCR (1.x to 6.x) and betamax.

The formats differ only in some keys, so one parser reads all of them:

    vcrpy 1       {version: 1, interactions: [{request: {method, uri, body, headers}, response: {status: {code},
                  headers, body: {string}}}]}; written with httpx before version 6: {status_code, content, headers}
    vcrpy 0       a list; requests have protocol, host, port and path; request headers are pairs, response headers lines
    VCR 2 to 6    {http_interactions: [{..., recorded_at}]}; a body is {encoding, string | base64_string}
    VCR 1         a list of structs; the method is a symbol, a body is text
    betamax       as VCR 2, in JSON
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from voicegauge.model import Headers
from voicegauge.recording.importing.parsed_interaction import (
    InteractionFile,
    NotImportedError,
    ParsedInteraction,
    UnparsedInteraction,
    encode_text,
    parse_base64,
    parse_status_code,
    parse_time,
    require_mapping,
    require_text,
)

_MAX_LIST_DEPTH = 4
"""Maximum depth of nested header lists. A pickled frozenset has two levels, but YAML aliases can nest without end."""
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def parse_vcr_cassette(file_content: Any) -> InteractionFile | None:
    """Return the interactions of a VCR cassette; `None` if `file_content`, the parsed file, is not a VCR cassette."""
    if isinstance(file_content, dict) and isinstance(file_content.get("http_interactions"), list):
        return InteractionFile("a cassette of VCR", _iterate_interactions(file_content["http_interactions"]))
    if isinstance(file_content, dict) and isinstance(file_content.get("interactions"), list):
        return InteractionFile("a cassette of vcrpy", _iterate_interactions(file_content["interactions"]))
    if (
        isinstance(file_content, list)
        and file_content
        and all(isinstance(item, dict) and "request" in item for item in file_content)
    ):
        return InteractionFile("a cassette of an old VCR", _iterate_interactions(file_content))
    return None


def _iterate_interactions(raw_interactions: list[Any]) -> Iterator[UnparsedInteraction]:
    for item in raw_interactions:
        request = item.get("request") if isinstance(item, dict) else None
        request = request if isinstance(request, dict) else {}
        method = str(request.get("method", "?")).lstrip(":").upper()  # a Ruby symbol begins with a colon
        yield UnparsedInteraction(method, _describe_url(request), functools.partial(_parse_interaction, item))


def _describe_url(request: Mapping[str, Any]) -> str:
    try:
        return _build_url(request)
    except NotImportedError:
        return "?"


def _parse_interaction(interaction: Any) -> ParsedInteraction:
    item = require_mapping(interaction, "request and response")
    request, response = (
        require_mapping(item.get("request"), "request"),
        require_mapping(item.get("response"), "response"),
    )
    status = response.get("status", response.get("status_code"))
    if isinstance(status, dict):
        status = status.get("code")
    if "ignored" in item:
        raise NotImportedError("is marked as ignored")
    return ParsedInteraction(
        method=require_text(request.get("method"), "method").lstrip(":").upper(),
        url=_build_url(request),
        request_headers=_parse_headers(request.get("headers")),
        request_body=_decode_body(request.get("body"), "request body"),
        status=parse_status_code(status),
        response_headers=_parse_headers(response.get("headers")),
        response_body=_decode_body(response.get("body", response.get("content")), "response body"),
        recorded_at=parse_time(item.get("recorded_at")),
    )


def _build_url(request: Mapping[str, Any]) -> str:
    if "host" not in request or "uri" in request:
        return require_text(request.get("uri"), "URL")
    scheme = require_text(request.get("protocol"), "protocol")
    port = str(request.get("port") or "")
    port_suffix = "" if port == _DEFAULT_PORTS.get(scheme) or not port else f":{port}"
    host, path = require_text(request["host"], "host"), require_text(request.get("path", "/"), "path")
    return f"{scheme}://{host}{port_suffix}{path}"


def _parse_headers(headers_value: Any) -> Headers:
    if headers_value is None:
        return ()
    if isinstance(headers_value, dict):
        return tuple((name, text) for name, item in headers_value.items() for text in _parse_header_values(item))
    if not isinstance(headers_value, list):
        raise NotImportedError("its headers are not a mapping")
    return tuple(_parse_vcrpy_0_headers(headers_value))


def _parse_header_values(header_value: Any) -> Iterator[str]:
    for item in header_value if isinstance(header_value, list) else [header_value]:
        if item is not None:
            yield str(item) if isinstance(item, int | float) else require_text(item, "header value")


def _parse_vcrpy_0_headers(headers_value: list[Any], depth: int = 1) -> Iterator[tuple[str, str]]:
    """Yield headers of vcrpy 0: from lines ("Content-Type: text/plain"), or from pairs in a pickled frozenset."""
    for item in headers_value:
        if isinstance(item, str | bytes):
            name, _, text = require_text(item, "header").strip().partition(":")
            yield name, text.strip()
        elif isinstance(item, list) and len(item) == 2 and not isinstance(item[0], list):
            yield require_text(item[0], "header name"), next(_parse_header_values(item[1]), "")
        elif isinstance(item, list) and depth < _MAX_LIST_DEPTH:
            yield from _parse_vcrpy_0_headers(item, depth + 1)
        else:
            raise NotImportedError("its headers cannot be read")


def _decode_body(body_value: Any, body_name: str) -> bytes:
    if isinstance(body_value, dict):
        return _decode_body_mapping(body_value, body_name)
    if isinstance(body_value, str):
        return encode_text(body_value)
    if body_value is None or isinstance(body_value, bytes):
        return body_value or b""
    raise NotImportedError(f"its {body_name} is neither text nor bytes")


def _decode_body_mapping(body_mapping: dict[str, Any], body_name: str) -> bytes:
    if "base64_string" in body_mapping:
        return parse_base64(body_mapping["base64_string"], body_name)
    if isinstance(body_mapping.get("state"), list):  # a pickled io.BytesIO: (bytes, position, attributes)
        return _decode_body(next(iter(body_mapping["state"]), None), body_name)
    if "str" in body_mapping:  # a Ruby string with instance variables
        return _decode_body(body_mapping["str"], body_name)
    if "string" not in body_mapping:
        raise NotImportedError(f"its {body_name} has neither string nor base64_string")
    inner, encoding = body_mapping["string"], body_mapping.get("encoding")
    # ASCII-8BIT is Ruby's name for bytes of unknown encoding.
    if isinstance(inner, str) and isinstance(encoding, str) and encoding != "ASCII-8BIT":
        return encode_text(inner, encoding)
    return _decode_body(inner, body_name)
