"""Passes every text and number in a body through a masker: in JSON, forms, event streams and plain text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from voicegauge.errors import DataError
from voicegauge.formats.bodies import (
    MAX_JSON_BYTES,
    FieldText,
    UnreadableBodyError,
    count_json_nodes,
    is_form,
    is_json,
    is_utf8,
    read_form,
    read_json,
)
from voicegauge.formats.located_yaml import escape_pointer_token, split_json_pointer
from voicegauge.formats.message_streams import EVENT_STREAM_MEDIA_TYPE
from voicegauge.model.exchange import UploadedFile
from voicegauge.transport.body_encoding import encode_body

_MIN_TEXT_PIECE_BYTES = 2**20
_MAX_TEXT_PIECE_BYTES = 4 * 2**20
_MAX_WIDE_BODY_BYTES = 8 * 2**20
"""Maximum size of JSON in UTF-16 or UTF-32 that is masked part by part."""
MAX_STREAM_PARTS = 500_000
"""Maximum number of lines, and of JSON values in them, in an event stream or in lines of JSON. They are masked one by
one, which takes three seconds for this number. A stream of an hour of speech has about a hundred thousand."""
_STREAM_FIELD_NAMES = (b"data", b"event", b"id", b"retry", b"")
"""Names of the fields of an event stream; a comment has none."""
_LINE_PATTERN = re.compile(rb"[^\r\n]+")


class BodyMasker:
    """Receives every part of a body, and returns the replacement of the part. This base class changes nothing.

    Locations are JSON pointers with "*" for each item of a list, such as "/auth/tokens/*".
    """

    def mask_value(self, text: str, location: str) -> str:  # noqa: ARG002
        """Return the text that replaces a text in JSON or in a form."""
        return text

    def mask_number(self, number: float, location: str) -> float:  # noqa: ARG002
        """Return the number that replaces a number in JSON."""
        return number

    def mask_name(self, name: str) -> str:
        """Return the name that replaces the name of a JSON field."""
        return name

    def mask_file(self, data: bytes, location: str) -> bytes:  # noqa: ARG002
        """Return the content that replaces that of an uploaded file that is not text."""
        return data

    def mask_text(self, text: str) -> str:
        """Return the text that replaces a text without structure, or a part of it."""
        return text

    def mask_whole_body(self, media_type: str, body: bytes, *, is_binary: bool) -> bytes | None:  # noqa: ARG002
        """Return the replacement of a whole body without structure; `None` to mask its texts one by one."""
        return None


class BodyReader(BodyMasker):
    """Passes every text of a body to a function, with its location."""

    def __init__(self, read_text: Callable[[str, str], None]) -> None:
        self._read_text = read_text

    def mask_value(self, text: str, location: str) -> str:
        """Pass a text to the function."""
        self._read_text(text, location)
        return text

    def mask_name(self, name: str) -> str:
        """Pass the name of a field to the function."""
        return self.mask_value(name, "")

    def mask_text(self, text: str) -> str:
        """Pass a text without structure to the function."""
        return self.mask_value(text, "")


def split_location(location: str) -> list[str]:
    """Return the names and indices in a location."""
    return split_json_pointer(location)


def get_bare_media_type(content_type: str) -> str:
    """Return the media type in a Content-Type value, in lower case and without parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_multipart_fields(content_type: str, body: bytes) -> dict[str, FieldText | UploadedFile] | None:
    """Return the fields and files of a multipart body in their order; `None` if `body` is not valid multipart."""
    if get_bare_media_type(content_type) != "multipart/form-data":
        return None
    try:
        form = read_form(content_type, body)
    except UnreadableBodyError:
        return None
    fields: dict[str, FieldText | UploadedFile] = {**form.fields, **form.files}
    # `read_form` returns texts and files separately, so the position of each name restores the original order.
    return dict(sorted(fields.items(), key=lambda item: body.find(f'name="{item[0]}"'.encode())))


def mask_body(content_type: str, body: bytes, masker: BodyMasker) -> tuple[str, bytes]:
    """Pass every part of `body` through `masker`; if nothing changes, the bytes are returned unchanged.

    Returns:
        The content type (with a new boundary if a multipart body changed) and the body.

    Raises:
        DataError: a stream has more than `MAX_STREAM_PARTS` lines or values, or a line above `MAX_JSON_BYTES`.
    """
    media_type = get_bare_media_type(content_type)
    if not body:
        return content_type, body
    try:
        if is_form(media_type):
            return _mask_form(content_type, body, masker)
    except (UnreadableBodyError, UnicodeDecodeError):
        pass  # the body is not what its media type declares, so it is masked as text
    if media_type == EVENT_STREAM_MEDIA_TYPE and is_utf8(body):
        return content_type, _mask_lines(body, lambda line: _mask_stream_line(line, masker))
    if is_json(media_type) or body.lstrip()[:1] in (b"{", b"[") or b"\0" in body[:4]:
        masked = _mask_json_body(body, masker)
        if masked is not None:
            return content_type, masked
    whole = masker.mask_whole_body(media_type, body, is_binary=not is_utf8(body))
    return content_type, _mask_plain_text(body, masker) if whole is None else whole


def _mask_json_body(body: bytes, masker: BodyMasker) -> bytes | None:
    """Mask a JSON value, or lines of JSON; return `None` if the body is neither."""
    masked = _mask_json_text(body, masker)
    if masked is not None:
        return masked
    if is_utf8(body) and b"\0" not in body[:4]:
        first, _, rest = body.partition(b"\n")
        if not rest.strip() or _read_json_text(first) is None:
            return None
        return _mask_lines(body, lambda line: _mask_stream_data(line, masker))
    return _mask_wide_json(body, masker) if len(body) <= _MAX_WIDE_BODY_BYTES else None


def _mask_wide_json(body: bytes, masker: BodyMasker) -> bytes | None:
    """Mask JSON in UTF-16 or UTF-32, which is invalid but which many clients read; return `None` for other bodies."""
    encoding = json.detect_encoding(body)
    try:
        text = body.decode(encoding).encode()
    except UnicodeError:
        return None
    masked = _mask_json_text(text, masker)
    return None if masked is None else body if masked == text else masked.decode().encode(encoding)


def _read_json_text(text: bytes) -> tuple[Any] | None:
    """Return the JSON value of a text, in a tuple; `None` if the text is not JSON."""
    try:
        return (read_json(text),)
    except UnreadableBodyError:
        return None


def _mask_json_text(text: bytes, masker: BodyMasker) -> bytes | None:
    found = _read_json_text(text)
    if found is None:
        return None
    masked = _mask_json(found[0], "", masker)
    return text if masked == found[0] else _encode_json(masked)


def _mask_lines(body: bytes, mask_line: Callable[[bytes], bytes]) -> bytes:
    """Mask each line without its end. Bytes that do not change are kept as they are."""
    line_count = body.count(b"\n") + body.count(b"\r")
    if line_count > MAX_STREAM_PARTS or count_json_nodes(body, MAX_STREAM_PARTS) > MAX_STREAM_PARTS:
        raise DataError(f"the recording is not written: a stream has more than {MAX_STREAM_PARTS:,} lines or values")
    parts, copied = [], 0
    for found in _LINE_PATTERN.finditer(body):
        if found.end() - found.start() > MAX_JSON_BYTES:
            size = f"{MAX_JSON_BYTES // 2**20} MiB"
            raise DataError(f"the recording is not written: a line of a stream is larger than {size}")
        line = found[0]
        masked = mask_line(line)
        if masked != line:  # only then are the unchanged bytes before it copied
            parts += [body[copied : found.start()], masked]
            copied = found.end()
    return b"".join([*parts, body[copied:]]) if parts else body


def _mask_stream_line(line: bytes, masker: BodyMasker) -> bytes:
    """Mask one line of an event stream: a field with its value, or a comment."""
    name, colon, value = line.partition(b":")
    if name not in _STREAM_FIELD_NAMES:  # clients ignore the line
        return masker.mask_text(line.decode()).encode()
    space = b" " if value.startswith(b" ") else b""
    value = value.removeprefix(b" ")
    if name == b"event" or (name == b"retry" and value.isdigit()):
        return name + colon + space + masker.mask_name(value.decode()).encode()
    return name + colon + space + _mask_stream_data(value, masker)


def _mask_stream_data(data: bytes, masker: BodyMasker) -> bytes:
    if not data:
        return data
    masked = _mask_json_text(data, masker)
    return masker.mask_text(data.decode()).encode() if masked is None else masked


def _mask_plain_text(body: bytes, masker: BodyMasker) -> bytes:
    if not is_utf8(body):
        return body
    parts, copied = [], 0
    for start, end in _find_text_pieces(body):
        text = body[start:end].decode()
        masked = masker.mask_text(text)
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


def _mask_json(value: Any, location: str, masker: BodyMasker) -> Any:
    if isinstance(value, str):
        return masker.mask_value(value, location)
    if isinstance(value, list):
        return [_mask_json(item, f"{location}/*", masker) for item in value]
    if isinstance(value, dict):
        return {
            masker.mask_name(name): _mask_json(item, f"{location}/{escape_pointer_token(name)}", masker)
            for name, item in value.items()
        }
    if isinstance(value, int | float) and not isinstance(value, bool):
        return masker.mask_number(value, location)
    return value


def _mask_form(content_type: str, body: bytes, masker: BodyMasker) -> tuple[str, bytes]:
    if get_bare_media_type(content_type) == "application/x-www-form-urlencoded":
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
        masked_pairs = [
            (masker.mask_name(name), masker.mask_value(value, f"/{escape_pointer_token(name)}"))
            for name, value in pairs
        ]
        return content_type, body if masked_pairs == pairs else urlencode(masked_pairs).encode()
    fields = read_multipart_fields(content_type, body)
    if fields is None:
        raise UnreadableBodyError("is not a valid multipart body")
    masked = {masker.mask_name(name): _mask_form_part(name, value, masker) for name, value in fields.items()}
    return (content_type, body) if masked == fields else encode_body("multipart/form-data", masked)


def _mask_form_part(name: str, value: FieldText | UploadedFile, masker: BodyMasker) -> FieldText | UploadedFile:
    location = f"/{escape_pointer_token(name)}"
    if isinstance(value, str):
        return masker.mask_value(value, location)
    if isinstance(value, list):
        return [masker.mask_value(text, location) for text in value]
    filename = masker.mask_value(value.filename, location)
    try:
        data = masker.mask_value(value.data.decode(), location).encode()
    except UnicodeDecodeError:
        data = masker.mask_file(value.data, location)
    return msgspec.structs.replace(value, filename=filename, data=data)


def flatten_json(value: Any, location: str = "") -> Iterator[tuple[str, str]]:
    """Yield the location and the JSON text of every scalar and every empty container in `value`.

    A location is `location` with the JSON pointer below `value`. 1.0 has the text of 1, the same number.
    """
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not items or not value:
        is_whole = isinstance(value, float) and value.is_integer()
        yield location, json.dumps(int(value) if is_whole else value, ensure_ascii=False)
        return
    for key, item in items:
        yield from flatten_json(item, f"{location}/{key}")
