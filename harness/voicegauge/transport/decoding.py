"""Removing content encodings (RFC 9110, section 8.4) within a size limit, against decompression bombs."""

from __future__ import annotations

import zlib

from voicegauge.errors import OversizeError

MAX_CODINGS = 2
"""Servers compress a body once; a proxy may do so a second time."""
MAX_MEMBERS = 100
"""Limit for concatenated gzip members (RFC 1952, section 2.2): each costs a copy of the rest of the body."""
_ANY_HEADER, _RAW = 47, -15
"""zlib window bits: 47 detects gzip and zlib headers. "deflate" means zlib (RFC 9110, section 8.4.1.2), but some
servers send raw deflate without that header: -15."""


def decode_body(body: bytes, content_encoding: str, *, limit: int, host: str) -> bytes:
    """Return `body` without its content encoding.

    A body that cannot be decoded, or has another encoding than gzip and deflate, is returned unchanged: it is a
    defect of the provider, which the checks report.

    Raises:
        OversizeError: the decoded body exceeds `limit` bytes.
    """
    codings = [coding.strip().lower() for coding in content_encoding.split(",") if coding.strip()]
    if len(codings) > MAX_CODINGS:
        return body
    decoded = body
    for coding in reversed(codings):
        if coding == "identity":
            continue
        if coding not in ("gzip", "x-gzip", "deflate"):
            return body
        try:
            decoded = _inflate(decoded, limit, host)
        except zlib.error:
            return body
    return decoded


def _inflate(body: bytes, limit: int, host: str) -> bytes:
    try:
        return _inflate_members(body, _ANY_HEADER, limit, host)
    except zlib.error:
        return _inflate_members(body, _RAW, limit, host)


def _inflate_members(body: bytes, window: int, limit: int, host: str) -> bytes:
    """Decompress all members and return their concatenated contents."""
    out, members = bytearray(), 0
    while body:
        members += 1
        if members > MAX_MEMBERS:
            raise zlib.error("has too many members")
        inflater = zlib.decompressobj(window)
        out += inflater.decompress(body, limit - len(out) + 1)
        if len(out) > limit:
            raise OversizeError(f"{host}: the response decompresses to more than {limit} bytes")
        if not inflater.eof:
            raise zlib.error("ends early")
        body = inflater.unused_data
    return bytes(out)
