"""Content encodings, undone within a limit: a small body must not become a huge one."""

from __future__ import annotations

import zlib

from voicegauge.errors import OversizeError

MAX_CODINGS = 2
"""No server has reason to compress a body more than once; two are borne."""
MAX_MEMBERS = 100
"""Of gzip, one after the other: each costs a copy of all that follows it."""
_ANY_HEADER, _RAW = 47, -15
"""zlib window bits: gzip or zlib by its header, and deflate without one, as some servers send it."""


def decode_body(body: bytes, content_encoding: str, *, limit: int, host: str) -> bytes:
    """`body` without its content encoding.

    A body that is not what `content_encoding` says, or in an encoding other than gzip
    and deflate (none is asked for), is returned as it came: it is the checks that judge it.

    Raises:
        OversizeError: more than `limit` bytes would come out.
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
    """Inflate; gzip allows several members one after the other; their contents are joined."""
    out, members = bytearray(), 0
    while body:
        members += 1
        if members > MAX_MEMBERS:
            raise zlib.error("has too many members")
        inflater = zlib.decompressobj(window)
        out += inflater.decompress(body, limit - len(out) + 1)
        if len(out) > limit:
            raise OversizeError(f"{host}: the answer decompresses to more than {limit} bytes")
        if not inflater.eof:
            raise zlib.error("ends early")
        body = inflater.unused_data
    return bytes(out)
