"""Parses bodies of requests and responses: JSON, URL-encoded forms and multipart."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from voicegauge.model import UploadedFile

MAX_JSON_DEPTH = 64
"""No speech API nests this deep; a malicious response must not exhaust the stack of code that walks its JSON."""
MAX_PARTS = 1000
"""Of a multipart body or a form: far more than any API has fields."""


class UnreadableBodyError(ValueError):
    """Raised when a body does not have the format of its media type."""


class Form(NamedTuple):
    """The text fields and files of a form, by name."""

    fields: dict[str, str]
    files: dict[str, UploadedFile]


def _reject_constant(constant: str) -> Any:
    raise UnreadableBodyError(f"has {constant}, which is not valid JSON")


_JSON = json.JSONDecoder(parse_constant=_reject_constant)
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(body: bytes) -> Any:
    """Parse a JSON body.

    Raises:
        UnreadableBodyError: the body is not valid JSON, not UTF-8, nested deeper than `MAX_JSON_DEPTH`, or has NaN,
            Infinity or an unpaired surrogate, which cannot be encoded as UTF-8 again (RFC 8259, section 8.2).
    """
    try:
        value = _JSON.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, UnreadableBodyError):
            raise
        raise UnreadableBodyError(f"is not valid JSON: {error}") from error
    # Walking the value is slow; a body with fewer opening brackets cannot be too deep.
    if body.count(b"{") + body.count(b"[") >= MAX_JSON_DEPTH and _measure_depth(value) > MAX_JSON_DEPTH:
        raise UnreadableBodyError(f"is nested deeper than {MAX_JSON_DEPTH}")
    if _SURROGATE_ESCAPE.search(body) and not _is_utf8_encodable(value):
        raise UnreadableBodyError("has an unpaired surrogate")
    return value


def _is_utf8_encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _measure_depth(value: Any) -> int:
    deepest, stack = 0, [(value, 1)]
    while stack:
        item, depth = stack.pop()
        deepest = max(deepest, depth)
        if depth > MAX_JSON_DEPTH:
            break
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        stack.extend((child, depth + 1) for child in children)
    return deepest


def is_json(media_type: str) -> bool:
    """Return whether a media type is JSON."""
    return media_type == "application/json" or media_type.endswith("+json")


def is_form(media_type: str) -> bool:
    """Return whether a media type is a form."""
    return media_type in ("multipart/form-data", "application/x-www-form-urlencoded")


def read_form(content_type: str, body: bytes) -> Form:
    """Parse a form. Of fields with the same name the last one counts.

    Raises:
        UnreadableBodyError: the body is not a valid form of this content type.
    """
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_PARTS)
        except ValueError as error:
            raise UnreadableBodyError(f"is not a valid form: {error}") from error
        return Form(dict(pairs), {})
    return _read_multipart(content_type, body)


def _read_multipart(content_type: str, body: bytes) -> Form:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import parse_options_header

    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise UnreadableBodyError("is multipart, but its Content-Type has no boundary")
    form = Form({}, {})
    try:
        _feed_parts(boundary, body, form)
    except (FormParserError, UnicodeDecodeError) as error:
        raise UnreadableBodyError(f"is not a valid multipart body: {error}") from error
    return form


def _feed_parts(boundary: bytes, body: bytes, form: Form) -> None:
    from python_multipart.multipart import MultipartParser, parse_options_header

    headers: dict[str, bytes] = {}
    name, value, data = bytearray(), bytearray(), bytearray()
    parts = 0

    def end_header() -> None:
        headers[name.decode().lower()] = bytes(value)
        name.clear()
        value.clear()

    def end_part() -> None:
        nonlocal parts
        parts += 1
        if parts > MAX_PARTS:
            raise UnreadableBodyError(f"has more than {MAX_PARTS} parts")
        _, options = parse_options_header(headers.get("content-disposition", b""))
        field = options.get(b"name", b"").decode()
        if b"filename" in options:
            media_type = headers.get("content-type", b"application/octet-stream").decode()
            form.files[field] = UploadedFile(
                filename=options[b"filename"].decode(), media_type=media_type, data=bytes(data)
            )
        else:
            form.fields[field] = data.decode()
        headers.clear()
        data.clear()

    parser = MultipartParser(
        boundary,
        callbacks={
            "on_header_field": lambda chunk, start, end: name.extend(chunk[start:end]),
            "on_header_value": lambda chunk, start, end: value.extend(chunk[start:end]),
            "on_header_end": end_header,
            # A slice of bytes would copy a part of many megabytes once more.
            "on_part_data": lambda chunk, start, end: data.extend(memoryview(chunk)[start:end]),
            "on_part_end": end_part,
        },
    )
    parser.write(body)
    parser.finalize()
