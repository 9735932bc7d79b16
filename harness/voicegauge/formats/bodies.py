"""Bodies as data: JSON, forms and multipart, whichever side they are read on."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from voicegauge.model import UploadedFile

MAX_JSON_DEPTH = 64
"""Deeper JSON than any speech API sends; a hostile answer must not exhaust the stack."""
MAX_PARTS = 1000
"""Parts of a multipart body."""


class UnreadableBodyError(ValueError):
    """A body that is not what its media type says."""


class Form(NamedTuple):
    """A form: its text fields and its files."""

    fields: dict[str, str]
    files: dict[str, UploadedFile]


def _refuse_constant(constant: str) -> Any:
    raise UnreadableBodyError(f"{constant} is no JSON value")


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(body: bytes) -> Any:
    """The JSON value of `body`.

    Raises:
        UnreadableBodyError: no JSON, not UTF-8, nested too deep, with NaN or Infinity, or with half of a surrogate
            pair, which is no text that can be written again (RFC 8259, section 8.2).
    """
    try:
        value = _JSON.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, UnreadableBodyError):
            raise
        raise UnreadableBodyError(f"is no JSON: {error}") from error
    # Nothing is nested deeper than it has brackets that open.
    if body.count(b"{") + body.count(b"[") >= MAX_JSON_DEPTH and _depth(value) > MAX_JSON_DEPTH:
        raise UnreadableBodyError(f"is nested deeper than {MAX_JSON_DEPTH}")
    if _SURROGATE.search(body) and not _is_writable(value):
        raise UnreadableBodyError("holds half of a surrogate pair")
    return value


def _is_writable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(value: Any) -> int:
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
    """Whether a media type means JSON."""
    return media_type == "application/json" or media_type.endswith("+json")


def is_form(media_type: str) -> bool:
    """Whether a media type means form fields."""
    return media_type in ("multipart/form-data", "application/x-www-form-urlencoded")


def read_form(content_type: str, body: bytes) -> Form:
    """The fields and files of a form; of a repeated name the last one counts.

    Raises:
        UnreadableBodyError: the body is not what `content_type` says.
    """
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_PARTS)
        except ValueError as error:
            raise UnreadableBodyError(f"is no form: {error}") from error
        return Form(dict(pairs), {})
    return _read_multipart(content_type, body)


def _read_multipart(content_type: str, body: bytes) -> Form:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import parse_options_header

    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise UnreadableBodyError("is a multipart body whose Content-Type names no boundary")
    form = Form({}, {})
    try:
        _feed_parts(boundary, body, form)
    except (FormParserError, UnicodeDecodeError) as error:
        raise UnreadableBodyError(f"is no multipart body: {error}") from error
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
            "on_part_data": lambda chunk, start, end: data.extend(memoryview(chunk)[start:end]),  # of any size
            "on_part_end": end_part,
        },
    )
    parser.write(body)
    parser.finalize()
