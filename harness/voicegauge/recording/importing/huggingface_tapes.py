"""Reads tapes of huggingface.js: {hash: {url, init: {method, headers, body}, response: {status, headers, body}}}.

A response body is text or a data URL. In tapes of 2023, which contain no headers, it may also be base64. Newer tapes
omit request bodies and audio.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from voicegauge.model import Headers, find_header
from voicegauge.recording.importing.parsed_interaction import (
    InteractionFile,
    NotImportedError,
    ParsedInteraction,
    UnparsedInteraction,
    encode_text,
    parse_base64,
    parse_status_code,
    require_mapping,
    require_text,
)


def parse_huggingface_tapes(file_content: Any) -> InteractionFile | None:
    """Return the interactions of a file of tapes, or of a single tape; `None` if the parsed file is neither."""
    if not isinstance(file_content, dict) or not file_content:
        return None
    tapes = [file_content] if _is_tape(file_content) else list(file_content.values())
    return (
        InteractionFile("tapes of huggingface.js", _iterate_interactions(tapes)) if all(map(_is_tape, tapes)) else None
    )


def _is_tape(value: Any) -> bool:
    return isinstance(value, dict) and "url" in value and isinstance(value.get("response"), dict)


def _iterate_interactions(tapes: list[dict[str, Any]]) -> Iterator[UnparsedInteraction]:
    for tape in tapes:
        init = tape.get("init")
        method = str(init.get("method") or "GET") if isinstance(init, dict) else "GET"
        yield UnparsedInteraction(method.upper(), str(tape["url"]), functools.partial(_parse_interaction, tape))


def _parse_interaction(tape: dict[str, Any]) -> ParsedInteraction:
    init, response = require_mapping(tape.get("init") or {}, "init"), tape["response"]
    method = require_text(init.get("method") or "GET", "method").upper()
    body = init.get("body")
    notes: tuple[str, ...] = ()
    if body is None and method in ("POST", "PUT", "PATCH"):
        notes = ("the request body is not in the file",)
    return ParsedInteraction(
        method=method,
        url=require_text(tape["url"], "URL"),
        request_headers=_parse_headers(init.get("headers")),
        request_body=encode_text(body) if isinstance(body, str) else b"",
        status=parse_status_code(response.get("status")),
        response_headers=_parse_headers(response.get("headers")),
        response_body=_decode_response_body(response),
        notes=notes,
    )


def _parse_headers(header_mapping: Any) -> Headers:
    pairs = (
        [*header_mapping.items()]
        if isinstance(header_mapping, dict)
        else header_mapping
        if isinstance(header_mapping, list)
        else []
    )
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise NotImportedError("its headers are not pairs")
    return tuple((require_text(name, "header name"), require_text(text, "header value")) for name, text in pairs)


def _decode_response_body(response: Mapping[str, Any]) -> bytes:
    body = response.get("body")
    headers = _parse_headers(response.get("headers"))
    if body in (None, ""):
        # Tapes omit bodies that are not text, so an empty body is only trusted if the status or the headers confirm it.
        length = find_header(headers, "content-length")
        if response.get("status") in (204, 304) or length == "0":
            return b""
        raise NotImportedError("its response body is not in the file")
    text = require_text(body, "response body")
    if text.startswith("data:"):
        head, comma, rest = text.partition(",")
        return parse_base64(rest, "response body") if comma and head.endswith(";base64") else encode_text(rest)
    return encode_text(text) if headers else _decode_if_base64(text)


def _decode_if_base64(text: str) -> bytes:
    # JSON is excluded first. Other text is rarely valid base64 by chance, unless it is short.
    try:
        json.loads(text)
    except ValueError:
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            pass
    return encode_text(text)
