"""Request bodies as bytes: JSON, forms, multipart, text."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import httpx

from voicegauge.errors import UsageError
from voicegauge.model import UploadedFile


def encode_body(media_type: str, body: Any) -> tuple[str, bytes]:
    """`body` as `media_type` wants it, with the Content-Type to send.

    Args:
        media_type: "application/json", "multipart/form-data" (with its boundary, or one is chosen),
            "application/x-www-form-urlencoded" or any other.
        body: a JSON value; for a form a dict of fields, whose values may be `UploadedFile`
            in multipart; text or bytes for any other media type. Bytes go as they are.

    Raises:
        UsageError: `body` cannot be written as `media_type`.
    """
    if isinstance(body, bytes):
        return media_type, body
    base = media_type.partition(";")[0].strip().lower()
    if base == "application/json" or base.endswith("+json"):
        return media_type, _json(body)
    if base == "multipart/form-data":
        return _multipart(media_type, _fields(media_type, body))
    if base == "application/x-www-form-urlencoded":
        return media_type, _urlencoded(_fields(media_type, body))
    if isinstance(body, str):
        return media_type, _utf8(body)
    if isinstance(body, UploadedFile):
        return body.media_type, body.data
    raise UsageError(f"cannot write {type(body).__name__} as {media_type}")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the text cannot be written as UTF-8: {error.reason}") from error


def _json(value: Any) -> bytes:
    try:
        return _utf8(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the request cannot be written as JSON: {error}") from error


def _fields(media_type: str, body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise UsageError(f"{media_type} carries named fields, not {type(body).__name__}")
    return body


def _field_text(value: Any) -> str:
    """A form field: text as it is; numbers, truth values, lists and mappings as JSON writes them."""
    return value if isinstance(value, str) else _json(value).decode()


def _urlencoded(fields: dict[str, Any]) -> bytes:
    files = [name for name, value in fields.items() if isinstance(value, UploadedFile)]
    if files:
        raise UsageError(f"a file ({files[0]}) can only go by multipart/form-data")
    return urlencode([(name, _utf8(_field_text(value))) for name, value in fields.items()]).encode()


def _multipart(content_type: str, fields: dict[str, Any]) -> tuple[str, bytes]:
    parts: list[tuple[str, Any]] = []
    contents: list[bytes] = []
    for name, value in fields.items():
        if isinstance(value, UploadedFile):
            contents.append(value.data)
            parts.append((name, (value.filename, value.data, value.media_type)))
        else:
            contents.append(_utf8(_field_text(value)))
            parts.append((name, (None, contents[-1])))
    if ";" not in content_type:
        content_type += f"; boundary={_boundary(contents)}"
    if not parts:
        return content_type, f"--{content_type.partition('boundary=')[2]}--\r\n".encode()
    request = httpx.Request("POST", "http://form", files=parts, headers={"Content-Type": content_type})
    return content_type, request.read()


def _boundary(contents: Sequence[bytes]) -> str:
    """The first numbered boundary that none of `contents` holds: equal fields make equal bytes."""
    numbered = (f"voicegauge-{number}" for number in itertools.count())
    return next(name for name in numbered if not any(name.encode() in content for content in contents))
