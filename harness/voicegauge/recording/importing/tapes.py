"""Tapes as huggingface.js writes them: {hash: {url, init: {method, headers, body}, response: {status, headers, body}}}.

A body of the response is text, a data URL, or, in tapes of 2023 without headers, base64. Bodies of
requests are left out of newer tapes, and so is audio.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

from voicegauge.model import Headers, header
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
)


def parse_huggingface_tapes(data: Any) -> InteractionFile | None:
    """The interactions of a file of tapes, or of one tape; `None` where `data` is none."""
    if not isinstance(data, dict) or not data:
        return None
    items = [data] if _is_tape(data) else list(data.values())
    return InteractionFile("tapes of huggingface.js", _entries(items)) if all(map(_is_tape, items)) else None


def _is_tape(value: Any) -> bool:
    return isinstance(value, dict) and "url" in value and isinstance(value.get("response"), dict)


def _entries(items: list[dict[str, Any]]) -> Iterator[UnparsedInteraction]:
    for item in items:
        init = item.get("init")
        method = str(init.get("method") or "GET") if isinstance(init, dict) else "GET"
        yield UnparsedInteraction(method.upper(), str(item["url"]), _reader(item))


def _reader(item: dict[str, Any]) -> Any:
    return lambda: _interaction(item)


def _interaction(tape: dict[str, Any]) -> ParsedInteraction:
    init, response = as_mapping(tape.get("init") or {}, "init"), tape["response"]
    method = as_text(init.get("method") or "GET", "method").upper()
    body = init.get("body")
    notes: tuple[str, ...] = ()
    if body is None and method in ("POST", "PUT", "PATCH"):
        notes = ("the request's body is not in the file",)
    return ParsedInteraction(
        method=method,
        url=as_text(tape["url"], "URL"),
        request_headers=_headers(init.get("headers")),
        request_body=to_bytes(body) if isinstance(body, str) else b"",
        status=as_status(response.get("status")),
        response_headers=_headers(response.get("headers")),
        response_body=_response_body(response),
        notes=notes,
    )


def _headers(value: Any) -> Headers:
    pairs = [*value.items()] if isinstance(value, dict) else value if isinstance(value, list) else []
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise NotImportedError("its headers are no pairs")
    return tuple((as_text(name, "header name"), as_text(text, "header value")) for name, text in pairs)


def _response_body(response: Mapping[str, Any]) -> bytes:
    body = response.get("body")
    headers = _headers(response.get("headers"))
    if body in (None, ""):
        length = header(headers, "content-length")
        if response.get("status") in (204, 304) or length == "0":
            return b""
        raise NotImportedError("its answer's body is not in the file")
    text = as_text(body, "response body")
    if text.startswith("data:"):
        head, comma, rest = text.partition(",")
        return from_base64(rest, "response body") if comma and head.endswith(";base64") else to_bytes(rest)
    return to_bytes(text) if headers else _maybe_base64(text)


def _maybe_base64(text: str) -> bytes:
    try:
        json.loads(text)
    except ValueError:
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            pass
    return to_bytes(text)
