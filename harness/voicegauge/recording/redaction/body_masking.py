"""Masks texts inside request and response bodies, which may be JSON, forms or plain text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from voicegauge.formats import UnreadableBodyError, is_form, is_json, is_utf8, read_form, read_json
from voicegauge.model import UploadedFile
from voicegauge.transport import encode_body

TextMasker = Callable[[str, str], str]
"""A function that takes a text and its location in a body, and returns the masked text. The location of a field is a
path such as "/auth/tokens/*". For a plain-text body, or a key of a JSON object, the location is empty."""

_MIN_TEXT_PIECE_BYTES = 2**20
_MAX_TEXT_PIECE_BYTES = 4 * 2**20


def get_bare_media_type(content_type: str) -> str:
    """Return the media type in a Content-Type value, in lower case and without parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_multipart_fields(content_type: str, body: bytes) -> dict[str, str | UploadedFile] | None:
    """Return the fields and files of a multipart body in their order; `None` if `body` is not a valid one."""
    if get_bare_media_type(content_type) != "multipart/form-data":
        return None
    try:
        form = read_form(content_type, body)
    except UnreadableBodyError:
        return None
    fields: dict[str, str | UploadedFile] = {**form.fields, **form.files}
    # `read_form` returns texts and files separately, so the position of each name restores the original order.
    return dict(sorted(fields.items(), key=lambda item: body.find(f'name="{item[0]}"'.encode())))


def mask_body(content_type: str, body: bytes, mask_text: TextMasker) -> tuple[str, bytes]:
    """Pass every text in `body` through `mask_text`; if no text changes, the bytes are returned unchanged.

    Returns:
        The content type (with a new boundary if a multipart body changed) and the body.
    """
    media_type = get_bare_media_type(content_type)
    try:
        if is_json(media_type) and body:
            value = read_json(body)
            masked = _mask_json(value, "", mask_text)
            return content_type, body if masked == value else _encode_json(masked)
        if is_form(media_type) and body:
            return _mask_form(content_type, body, mask_text)
    except (UnreadableBodyError, UnicodeDecodeError):
        pass  # the body is not what its media type declares, so it is masked as plain text
    return content_type, _mask_plain_text(body, mask_text)


def _mask_plain_text(body: bytes, mask_text: TextMasker) -> bytes:
    if not is_utf8(body):
        return body
    parts, copied = [], 0
    for start, end in _find_text_pieces(body):
        text = body[start:end].decode()
        masked = mask_text(text, "")
        if masked != text:  # only then are the unchanged bytes before it copied
            parts += [body[copied:start], masked.encode()]
            copied = end
    return b"".join([*parts, body[copied:]]) if parts else body


def _find_text_pieces(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each piece of a text in UTF-8.

    A large text is decoded piece by piece, because a `str` may take four times its size. Pieces end at line ends.
    A line that is longer than the maximum size of a piece is divided between two characters.
    """
    start = 0
    while start < len(body):
        end = min(start + _MAX_TEXT_PIECE_BYTES, len(body))
        line_end = body.find(b"\n", start + _MIN_TEXT_PIECE_BYTES, end) + 1
        while end < len(body) and body[end] & 0xC0 == 0x80:  # a byte that continues a character
            end -= 1
        yield start, line_end or end
        start = line_end or end


def _encode_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _mask_json(value: Any, location: str, mask_text: TextMasker) -> Any:
    if isinstance(value, str):
        return mask_text(value, location)
    if isinstance(value, list):
        return [_mask_json(item, f"{location}/*", mask_text) for item in value]
    if isinstance(value, dict):
        return {mask_text(key, ""): _mask_json(item, f"{location}/{key}", mask_text) for key, item in value.items()}
    return value


def _mask_form(content_type: str, body: bytes, mask_text: TextMasker) -> tuple[str, bytes]:
    if get_bare_media_type(content_type) == "application/x-www-form-urlencoded":
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
        masked_pairs = [(name, mask_text(value, f"/{name}")) for name, value in pairs]
        return content_type, body if masked_pairs == pairs else urlencode(masked_pairs).encode()
    fields = read_multipart_fields(content_type, body)
    if fields is None:
        raise UnreadableBodyError("is not a valid multipart body")
    masked = {name: _mask_form_part(name, value, mask_text) for name, value in fields.items()}
    return (content_type, body) if masked == fields else encode_body("multipart/form-data", masked)


def _mask_form_part(name: str, value: str | UploadedFile, mask_text: TextMasker) -> str | UploadedFile:
    if isinstance(value, str):
        return mask_text(value, f"/{name}")
    filename = mask_text(value.filename, f"/{name}, file name")
    try:
        data = mask_text(value.data.decode(), f"/{name}, file").encode()
    except UnicodeDecodeError:
        data = value.data
    return msgspec.structs.replace(value, filename=filename, data=data)
