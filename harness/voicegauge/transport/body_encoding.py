"""Encodes request bodies, and decodes response bodies within limits."""

from __future__ import annotations

import io
import itertools
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlencode

from voicegauge.errors import MissingExtraError, OversizeError, UsageError
from voicegauge.model.exchange import BodyPadding, UploadedFile

# Removes content encodings (RFC 9110, section 8.4) within a size limit that stops decompression bombs.


MAX_CONTENT_CODINGS = 2
"""Maximum number of encodings of one body. Servers compress a body once; a proxy may do so a second time."""
MAX_GZIP_MEMBERS = 100
"""Maximum number of concatenated gzip members (RFC 1952, section 2.2). Real bodies have one."""
_DECOMPRESSED_PIECE_BYTES = 2**16
"""Number of bytes that are decompressed at a time, so that the output never exceeds the limit by much."""
_GZIP_OR_ZLIB_WINDOW_BITS, _RAW_DEFLATE_WINDOW_BITS = 47, -15
"""zlib window bits: 47 detects gzip and zlib headers. "deflate" means zlib (RFC 9110, section 8.4.1.2), but some
servers send raw deflate without that header: -15."""


def decode_body(
    body: bytes,
    content_encoding: str,
    *,
    max_bytes: int,
    origin_name: str,
    additional_codings: Collection[str] = (),
) -> bytes:
    """Return `body` without its content encodings.

    A body that cannot be decoded is returned unchanged, because that is a defect of the provider, which the checks
    report. So is one with another encoding than those below, or with more than `MAX_CONTENT_CODINGS` encodings.

    Args:
        body: the body as it was received.
        content_encoding: value of the header `Content-Encoding`.
        max_bytes: maximum size of the decoded body.
        origin_name: name of the host or file that the body comes from, for error messages.
        additional_codings: encodings to decode in addition to gzip and deflate: `ADDITIONAL_CODINGS` or none.

    Raises:
        OversizeError: the decoded body exceeds `max_bytes` bytes.
        MissingExtraError: the encoding is one of `additional_codings`, and the library for it is not installed.
    """
    codings = [coding.strip().lower() for coding in content_encoding.split(",") if coding.strip()]
    if len(codings) > MAX_CONTENT_CODINGS:
        return body
    decoded = body
    for coding in reversed(codings):  # listed in the order in which they were applied (RFC 9110, section 8.4)
        if coding == "identity":
            continue
        if coding not in {"gzip", "x-gzip", "deflate", *additional_codings}:
            return body
        try:
            decoded = _DECODER_BY_CONTENT_CODING.get(coding, _inflate)(decoded, max_bytes, origin_name)
        except (zlib.error, _UndecodableBodyError):
            return body  # as it was received, and not half decoded: callers compare it with what they passed
    return decoded


class _UndecodableBodyError(Exception):
    """Raised if a body does not have the content encoding that its header names."""


def _decode_brotli(body: bytes, max_bytes: int, origin_name: str) -> bytes:
    if find_spec("brotli") is None:
        raise MissingExtraError("Decompression of br", "compression")
    import brotli

    decompressor, output, compressed = brotli.Decompressor(), io.BytesIO(), body
    try:
        while not decompressor.is_finished():
            piece = decompressor.process(compressed, output_buffer_limit=_DECOMPRESSED_PIECE_BYTES)
            if not piece and decompressor.can_accept_more_data():
                raise _UndecodableBodyError  # it ends early
            compressed = b""  # the decompressor has kept it
            _append_piece_within_limit(output, piece, max_bytes, origin_name)
    except brotli.error as error:
        raise _UndecodableBodyError from error
    return output.getvalue()


def _decode_zstd(body: bytes, max_bytes: int, origin_name: str) -> bytes:
    if find_spec("zstandard") is None:
        raise MissingExtraError("Decompression of zstd", "compression")
    import zstandard

    output = io.BytesIO()
    try:
        with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
            while piece := reader.read(_DECOMPRESSED_PIECE_BYTES):
                _append_piece_within_limit(output, piece, max_bytes, origin_name)
    except zstandard.ZstdError as error:
        raise _UndecodableBodyError from error
    return output.getvalue()


_DECODER_BY_CONTENT_CODING: Mapping[str, Callable[[bytes, int, str], bytes]] = {
    "br": _decode_brotli,
    "zstd": _decode_zstd,
}
ADDITIONAL_CODINGS = tuple(_DECODER_BY_CONTENT_CODING)
"""Content encodings that no request of voicegauge accepts, but that other clients accept. Decoding them needs the extra
`compression`."""


def _append_piece_within_limit(output: io.BytesIO, piece: bytes, max_bytes: int, origin_name: str) -> None:
    if output.tell() + len(piece) > max_bytes:
        raise OversizeError(f"{origin_name}: the response decompresses to more than {max_bytes} bytes")
    output.write(piece)


def _inflate(body: bytes, max_bytes: int, origin_name: str) -> bytes:
    try:
        return _decompress_gzip_members(body, _GZIP_OR_ZLIB_WINDOW_BITS, max_bytes, origin_name)
    except zlib.error:
        return _decompress_gzip_members(body, _RAW_DEFLATE_WINDOW_BITS, max_bytes, origin_name)


def _decompress_gzip_members(body: bytes, window_bits: int, max_bytes: int, origin_name: str) -> bytes:
    """Decompress all gzip members of `body`, and return their concatenated contents."""
    output, end, members = io.BytesIO(), 0, 0
    while end < len(body):
        members += 1
        if members > MAX_GZIP_MEMBERS:
            raise zlib.error("has too many members")
        for piece, read_up_to in _decompress_gzip_member(body, end, window_bits):
            _append_piece_within_limit(output, piece, max_bytes, origin_name)
            end = read_up_to
    return output.getvalue()


def _decompress_gzip_member(body: bytes, start: int, window_bits: int) -> Iterator[tuple[bytes, int]]:
    """Decompress the gzip member that starts at offset `start` of `body`, piece by piece.

    Yields:
        A decompressed piece, and the offset in `body` up to which it has been decompressed.
    """
    inflater, end = zlib.decompressobj(window_bits), start
    while not inflater.eof:
        compressed = inflater.unconsumed_tail
        if not compressed:
            compressed = body[end : end + _DECOMPRESSED_PIECE_BYTES]
            end += len(compressed)
        piece = inflater.decompress(compressed, _DECOMPRESSED_PIECE_BYTES)
        if not piece and not compressed:
            raise zlib.error("ends early")
        yield piece, end - len(inflater.unused_data)


# Encodes request bodies: JSON, URL-encoded and multipart forms, text, files.


def encode_body(media_type: str, body: Any) -> tuple[str, bytes]:
    """Encode `body` and return the Content-Type to send with the bytes.

    Args:
        media_type: "application/json", "multipart/form-data" (a boundary is added if there is none),
            "application/x-www-form-urlencoded" or any other media type.
        body: a JSON value; for forms a dict of fields, which in multipart forms may be `UploadedFile` values (their
            padding is not encoded); text for any other media type. Bytes are sent unchanged. In forms, a list is sent
            as a field for each of its items, which is the default of OpenAPI, and an empty list not at all.

    Raises:
        UsageError: `body` cannot be encoded as `media_type`.
    """
    if isinstance(body, bytes):
        return media_type, body
    base = media_type.partition(";")[0].strip().lower()
    if base == "application/json" or base.endswith("+json"):
        return media_type, _encode_json(body)
    if base == "multipart/form-data":
        return _encode_multipart(media_type, _require_form_fields(media_type, body))
    if base == "application/x-www-form-urlencoded":
        return media_type, _encode_urlencoded(_require_form_fields(media_type, body))
    if isinstance(body, str):
        return media_type, _encode_utf8(body)
    if isinstance(body, UploadedFile):
        return body.media_type, body.data
    raise UsageError(f"cannot encode {type(body).__name__} as {media_type}")


def find_file_padding(content_type: str, body: Any) -> BodyPadding | None:
    """Return where padding must be inserted into the encoded body, and its size; `None` if no file is padded.

    Padding is zeros that make a file large. They are not part of the encoded body, but are created while it is sent.

    Args:
        content_type: the Content-Type that `encode_body` returned for `body`.
        body: the fields of a form, at most one of which is a padded file.
    """
    fields = body if isinstance(body, dict) else {}
    names = list(fields)
    for index, name in enumerate(names):
        if isinstance(fields[name], UploadedFile) and fields[name].padding_bytes:
            _, up_to_file = _encode_multipart(content_type, {known: fields[known] for known in names[: index + 1]})
            # The padding belongs to the file, so it comes before the line break and the delimiter that end its part.
            end = _encode_multipart(content_type, {})[1]
            return BodyPadding(offset=len(up_to_file) - len(b"\r\n") - len(end), size_bytes=fields[name].padding_bytes)
    return None


def _encode_utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the text cannot be encoded as UTF-8: {error.reason}") from error


_JSON_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
"""Writes JSON without spaces and without escaping letters. It rejects NaN and infinity, which JSON does not have (RFC
8259, section 6), so that no service receives a body that it cannot parse."""


def _encode_json(value: Any) -> bytes:
    try:
        return _encode_utf8(_JSON_ENCODER.encode(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the request cannot be encoded as JSON: {error}") from error


def _require_form_fields(media_type: str, body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise UsageError(f"{media_type} carries named fields, not {type(body).__name__}")
    return body


def join_form_field_lists(fields: Mapping[str, Any], separator_by_list_field: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a form in which some lists are joined to one text. Empty lists and lists of files are kept.

    Args:
        fields: the fields, as `encode_body` takes them.
        separator_by_list_field: the separator of the items, by the name of each field whose list is joined.
    """
    joined = dict(fields)
    for name in fields.keys() & separator_by_list_field.keys():
        values = list_field_values(fields[name]) if isinstance(fields[name], list) else []
        texts = [value for value in values if isinstance(value, str)]
        if texts and len(texts) == len(values):
            joined[name] = separator_by_list_field[name].join(texts)
    return joined


def list_field_values(value: Any) -> list[str | UploadedFile]:
    """Return what is sent for a form field: each item of a list, texts and files unchanged, other values as JSON.

    Sources: OpenAPI 3.1.1, section 4.8.15.1.1, and appendix C: `explode` of a form field is true by default.
    """
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, str | UploadedFile) else _encode_json(item).decode() for item in items]


def _list_form_parts(fields: dict[str, Any]) -> list[tuple[str, str | UploadedFile]]:
    return [(name, item) for name, value in fields.items() for item in list_field_values(value)]


def _encode_urlencoded(fields: dict[str, Any]) -> bytes:
    pairs = []
    for name, value in _list_form_parts(fields):
        if isinstance(value, UploadedFile):
            raise UsageError(f"a file ({name}) can only be sent as multipart/form-data")
        pairs.append((name, _encode_utf8(value)))
    return urlencode(pairs).encode()


_ESCAPE_BY_CHARACTER_OF_MULTIPART_NAMES = str.maketrans(
    {'"': "%22", "\\": "\\\\"}
    | {character: f"%{ord(character):02X}" for character in map(chr, range(0x20)) if character != "\x1b"}
)
"""Escape sequences, by code point, of characters in the names of fields and files. They are those of the HTML standard,
except that a backslash is doubled and an escape character is sent as it is. httpx does the same. Recordings are matched
by the bytes of requests."""


def _encode_multipart(content_type: str, fields: dict[str, Any]) -> tuple[str, bytes]:
    parts = [
        (
            _build_multipart_part_headers(name, value),
            value.data if isinstance(value, UploadedFile) else _encode_utf8(value),
        )
        for name, value in _list_form_parts(fields)
    ]
    boundary = _read_multipart_boundary(content_type)
    if boundary is None:
        boundary = _choose_multipart_boundary([content for _, content in parts])
        content_type += f"; boundary={boundary}"
    delimiter = f"--{boundary}".encode()
    pieces = [piece for header, content in parts for piece in (delimiter, header, content, b"\r\n")]
    return content_type, b"".join((*pieces, delimiter, b"--\r\n"))


def _read_multipart_boundary(content_type: str) -> str | None:
    options = (option.strip() for option in content_type.split(";")[1:])
    found = next((option for option in options if option.lower().startswith("boundary=")), None)
    return None if found is None else found.partition("=")[2].strip('"')


def _build_multipart_part_headers(field_name: str, field_value: str | UploadedFile) -> bytes:
    """Return the headers of one part of a multipart form, with the empty line after them."""
    header = (
        f'\r\nContent-Disposition: form-data; name="{field_name.translate(_ESCAPE_BY_CHARACTER_OF_MULTIPART_NAMES)}"'
    )
    if isinstance(field_value, UploadedFile):
        if field_value.filename:
            header += f'; filename="{field_value.filename.translate(_ESCAPE_BY_CHARACTER_OF_MULTIPART_NAMES)}"'
        header += f"\r\nContent-Type: {field_value.media_type}"
    return _encode_utf8(f"{header}\r\n\r\n")


def _choose_multipart_boundary(contents: Sequence[bytes]) -> str:
    """Return the first numbered boundary that does not occur in `contents`.

    Boundaries are numbered and not random, so that equal fields give equal bytes. Recordings are matched by these
    bytes.
    """
    numbered = (f"voicegauge-{number}" for number in itertools.count())
    return next(name for name in numbered if not any(name.encode() in content for content in contents))
