"""Removes content encodings (RFC 9110, section 8.4) within a size limit that stops decompression bombs."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.util import find_spec

from voicegauge.errors import MissingExtraError, OversizeError

MAX_CONTENT_CODINGS = 2
"""Maximum number of encodings of one body. Servers compress a body once; a proxy may do so a second time."""
MAX_GZIP_MEMBERS = 100
"""Maximum number of concatenated gzip members (RFC 1952, section 2.2). Real bodies have one."""
_DECOMPRESSED_PIECE_BYTES = 2**16
"""Number of bytes that are decompressed at a time, so that the output never exceeds the limit by much."""
_ANY_HEADER, _RAW = 47, -15
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
    """Return `body` without its content encoding.

    A body that cannot be decoded, or has another encoding than gzip and deflate, is returned unchanged, because it is
    a defect of the provider, which the checks report.

    Args:
        body: the body.
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
    for coding in reversed(codings):
        if coding == "identity":
            continue
        if coding not in {"gzip", "x-gzip", "deflate", *additional_codings}:
            return body
        try:
            decoded = _DECODER_BY_CODING.get(coding, _inflate)(decoded, max_bytes, origin_name)
        except (zlib.error, _UndecodableError):
            return body
    return decoded


class _UndecodableError(Exception):
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
                raise _UndecodableError  # it ends early
            compressed = b""  # the decompressor has kept it
            _append_piece_within_limit(output, piece, max_bytes, origin_name)
    except brotli.error as error:
        raise _UndecodableError from error
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
        raise _UndecodableError from error
    return output.getvalue()


_DECODER_BY_CODING: Mapping[str, Callable[[bytes, int, str], bytes]] = {"br": _decode_brotli, "zstd": _decode_zstd}
ADDITIONAL_CODINGS = tuple(_DECODER_BY_CODING)
"""Content encodings that no request of voicegauge accepts, but that other clients accept. Decoding them needs the extra
`compression`."""


def _append_piece_within_limit(output: io.BytesIO, piece: bytes, max_bytes: int, origin_name: str) -> None:
    if output.tell() + len(piece) > max_bytes:
        raise OversizeError(f"{origin_name}: the response decompresses to more than {max_bytes} bytes")
    output.write(piece)


def _inflate(body: bytes, max_bytes: int, origin_name: str) -> bytes:
    try:
        return _decompress_gzip_members(body, _ANY_HEADER, max_bytes, origin_name)
    except zlib.error:
        return _decompress_gzip_members(body, _RAW, max_bytes, origin_name)


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
