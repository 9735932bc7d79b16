"""Removes content encodings (RFC 9110, section 8.4) within a size limit that stops decompression bombs."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator

from voicegauge.errors import OversizeError

MAX_CONTENT_CODINGS = 2
"""Maximum number of encodings of one body. Servers compress a body once; a proxy may do so a second time."""
MAX_GZIP_MEMBERS = 100
"""Maximum number of concatenated gzip members (RFC 1952, section 2.2). Real bodies have one."""
_DECOMPRESSED_PIECE_BYTES = 2**16
"""Number of bytes that are decompressed at a time, so that the output never exceeds the limit by much."""
_ANY_HEADER, _RAW = 47, -15
"""zlib window bits: 47 detects gzip and zlib headers. "deflate" means zlib (RFC 9110, section 8.4.1.2), but some
servers send raw deflate without that header: -15."""


def decode_body(body: bytes, content_encoding: str, *, max_bytes: int, host: str) -> bytes:
    """Return `body` without its content encoding.

    A body that cannot be decoded, or has another encoding than gzip and deflate, is returned unchanged, because it is
    a defect of the provider, which the checks report.

    Raises:
        OversizeError: the decoded body exceeds `max_bytes` bytes.
    """
    codings = [coding.strip().lower() for coding in content_encoding.split(",") if coding.strip()]
    if len(codings) > MAX_CONTENT_CODINGS:
        return body
    decoded = body
    for coding in reversed(codings):
        if coding == "identity":
            continue
        if coding not in ("gzip", "x-gzip", "deflate"):
            return body
        try:
            decoded = _inflate(decoded, max_bytes, host)
        except zlib.error:
            return body
    return decoded


def _inflate(body: bytes, max_bytes: int, host: str) -> bytes:
    try:
        return _inflate_members(body, _ANY_HEADER, max_bytes, host)
    except zlib.error:
        return _inflate_members(body, _RAW, max_bytes, host)


def _inflate_members(body: bytes, window_bits: int, max_bytes: int, host: str) -> bytes:
    """Decompress all members and return their concatenated contents."""
    out, end, members = io.BytesIO(), 0, 0
    while end < len(body):
        members += 1
        if members > MAX_GZIP_MEMBERS:
            raise zlib.error("has too many members")
        for piece, read_up_to in _inflate_member(body, end, window_bits):
            if out.tell() + len(piece) > max_bytes:
                raise OversizeError(f"{host}: the response decompresses to more than {max_bytes} bytes")
            out.write(piece)
            end = read_up_to
    return out.getvalue()


def _inflate_member(body: bytes, start: int, window_bits: int) -> Iterator[tuple[bytes, int]]:
    """Yield pieces of the member at `start`, each with the offset in `body` up to which it was decompressed."""
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
