"""Hostile JSON bodies and event streams."""

from __future__ import annotations

import base64
import gzip
import struct
import zlib
from collections.abc import Callable, Iterator

from hostile_input.server import HostileResponse, endless

JOB_TARGET = "ttsai/kokoro"
"""A target whose submit is answered in JSON."""
STREAM_TARGET = "ttsai/kokoro-stream"
JSON = "application/json"
SSE = "text/event-stream"
SIZE = 60 * 2**20
"""Just below the limit of a response body, 64 MiB."""
JSON_SIZE = 31 * 2**20
"""Just below the limit of a JSON body, 32 MiB."""
WIDE_SIZE = 4 * 2**20 - 100
"""Just below the limit of texts with characters outside of ASCII in a JSON body."""
EMOJI = b"\xf0\x9f\x98\x80"
"""One character, with which a text takes four bytes per character in memory."""
SUBMITTED = '{"uuid": "77b71db532874ce98e84a69a2d740d4c", "status": "queued"}'
COMPLETED = '{"uuid": "77b71db532874ce98e84a69a2d740d4c", "status": "completed", "result_url": "{url}/a.mp3"}'
DRIP_S = 0.05
"""Wait after each byte or event of a slow response."""
_BROTLI_LISTS = base64.b64decode("z///f/glt1i64rQgwPb+n+P//z/8EgBxWACge//P//9/+CUA4rAAQPf+PwcAgPFLdJUihwUAe+9/AQ==")
"""60 MiB of empty lists. The standard library has no encoder."""


def _fill(start: bytes, unit: bytes, end: bytes, size: int = SIZE) -> bytes:
    return start + unit * ((size - len(start) - len(end)) // len(unit)) + end


def _many_keys() -> bytes:
    return b"{" + b",".join(b'"%d":0' % number for number in range(SIZE // 12)) + b"}"


def _many_keys_of_other_services() -> bytes:
    """Different texts like keys, in fields that no contract documents: each may be repeated elsewhere."""
    return b'{"session":[' + b",".join(b'"k%0145d7q"' % number for number in range(JSON_SIZE // 152)) + b"]}"


BODIES: dict[str, Callable[[], bytes]] = {
    "different texts like keys, 31 MiB": _many_keys_of_other_services,
    "empty lists": lambda: _fill(b"[", b"[],", b"[]]"),
    "empty objects": lambda: _fill(b"[", b"{},", b"{}]"),
    "lists in lists": lambda: _fill(b"[", b"[[[[[[0]]]]]],", b"0]"),
    "small objects": lambda: _fill(b"[", b'{"a":{"b":{"c":0}}},', b"0]"),
    "numbers": lambda: _fill(b"[", b"1.5,", b"0]"),
    "deep lists": lambda: b"[" * SIZE,
    "deep objects": lambda: b'{"a":' * (SIZE // 5),
    "many keys": _many_keys,
    "long number": lambda: b"[" + b"9" * SIZE + b"]",
    "long fraction": lambda: b"[0." + b"9" * SIZE + b"]",
    "long text": lambda: _fill(b'["', b"a", b'"]'),
    "long text with an emoji": lambda: _fill(b'["', b"a", EMOJI + b'"]'),
    "long text, 31 MiB": lambda: _fill(b'["', b"a", b'"]', JSON_SIZE),
    "long text with an emoji, 31 MiB": lambda: _fill(b'["', b"a", EMOJI + b'"]', JSON_SIZE),
    "long text with an escape, 31 MiB": lambda: _fill(b'["', b"a", b'\\ud83d\\ude00"]', JSON_SIZE),
    "4 MiB of emoji, 27 MiB of text": lambda: (
        _fill(b'["', EMOJI, b'",', WIDE_SIZE) + _fill(b'"', b"a", b'"]', JSON_SIZE - WIDE_SIZE)
    ),
    "a million short texts, 31 MiB": lambda: _fill(b"[", b'"' + 60 * b"a" + b'",', b"0]", JSON_SIZE),
    "escapes": lambda: _fill(b'["', b"\\u00e9", b'"]'),
    "escaped surrogate pairs": lambda: _fill(b'["', b"\\ud83d\\ude00", b'"]'),
    "punctuation in a text": lambda: _fill(b'["', b",:[{", b'"]'),
    "quotation marks": lambda: _fill(b'["', b'\\"', b'"]'),
    "spaces": lambda: _fill(b"[", b" ", b"]"),
    "not UTF-8": lambda: _fill(b'["', b"\xff", b'"]'),
}

STREAMS: dict[str, Callable[[], bytes]] = {
    "small events": lambda: _fill(b"", b"data:1\n\n", b""),
    "events of lists": lambda: _fill(b"", b"data:[" + b"[]," * 5000 + b"0]\n\n", b""),
    "one long event": lambda: _fill(b'data: {"audio": "', b"AAAA", b'"}\n\n', 15 * 2**20),
    "long events": lambda: 4 * _fill(b'data: {"audio": "', b"AAAA", b'"}\n\n', 15 * 2**20),
    "long events with an emoji": lambda: 4 * _fill(b'data: {"a": "', b"A", EMOJI + b'"}\n\n', 15 * 2**20),
    "long events, 30 MiB": lambda: 2 * _fill(b'data: {"audio": "', b"AAAA", b'"}\n\n', 15 * 2**20),
    "events with emoji, 30 MiB": lambda: 10 * _fill(b'data: {"a": "', EMOJI, b'"}\n\n', 3 * 2**20),
    "lines with emoji": lambda: _fill(b"", b": " + 250 * EMOJI + b"\n", b"\n"),
    "an event without an end": lambda: _fill(b"data: ", b"a", b""),
    "an event of empty lines": lambda: _fill(b"", b"data\n", b"\n\n"),
    "line ends": lambda: b"\n" * SIZE,
}


HEADERS: dict[str, Callable[[], bytes]] = {
    "one of 60 MiB": lambda: b"X-Long: " + b"a" * SIZE + b"\r\n",
    "a million": lambda: b"".join(b"X-%d: a\r\n" % number for number in range(1_000_000)),
    "90 KiB": lambda: b"Retry-After: " + b"9" * (90 * 2**10) + b"\r\n",
    "60 MiB without an end": lambda: b"X-Open: " + b"a" * SIZE,
}


def _deflate(body: bytes, window: int) -> bytes:
    compressor = zlib.compressobj(9, wbits=window)
    return compressor.compress(body) + compressor.flush()


def _zstd_run(byte: bytes) -> bytes:
    """Return a zstd frame (RFC 8878) of `SIZE` equal bytes, in blocks of run-length encoding."""
    block = 128 * 2**10
    count = SIZE // block
    blocks = (struct.pack("<I", block << 3 | 1 << 1 | (i == count - 1))[:3] + byte for i in range(count))
    return struct.pack("<IBB", 0xFD2FB528, 0x00, 0x38) + b"".join(blocks)


def json_responses() -> Iterator[HostileResponse]:
    """Yield JSON bodies, compressed by gzip and in other encodings."""
    for name, body in BODIES.items():
        yield _response(f"JSON: {name}", JOB_TARGET, JSON, body, gzip.compress, "gzip")
    lists = BODIES["empty lists"]
    yield _response("JSON: zlib", JOB_TARGET, JSON, lists, lambda body: _deflate(body, 15), "deflate")
    yield _response("JSON: raw deflate", JOB_TARGET, JSON, lists, lambda body: _deflate(body, -15), "deflate")
    yield _response(
        "JSON: gzip twice", JOB_TARGET, JSON, lists, lambda body: gzip.compress(gzip.compress(body)), "gzip, gzip"
    )
    yield _response("JSON: above the limit", JOB_TARGET, JSON, lambda: b"[" * (80 * 2**20), gzip.compress, "gzip")
    yield _response("JSON: gzip members", JOB_TARGET, JSON, lambda: b"", lambda _: gzip.compress(b"") * 100_000, "gzip")
    yield _response("JSON: brotli", JOB_TARGET, JSON, lambda: _BROTLI_LISTS, bytes, "br")
    yield _response("JSON: zstd", JOB_TARGET, JSON, lambda: _zstd_run(b"["), bytes, "zstd")
    yield HostileResponse("JSON: endless lists", JOB_TARGET, JSON, endless(b"[]," * 10_000), framing="chunked")
    yield _drip("JSON: one byte at a time")
    yield _drip("JSON: one byte of a status at a time", SUBMITTED)
    yield _drip("JSON: one byte of a file at a time", SUBMITTED, COMPLETED)


def header_responses() -> Iterator[HostileResponse]:
    """Yield responses with hostile headers."""
    for name, headers in HEADERS.items():
        yield HostileResponse(f"headers: {name}", JOB_TARGET, JSON, lambda: [b"{}"], headers=headers)


def stream_responses() -> Iterator[HostileResponse]:
    """Yield event streams."""
    for name, body in STREAMS.items():
        yield HostileResponse(f"stream: {name}", STREAM_TARGET, SSE, _once(body))
        if name == "events of lists":
            yield _response(f"stream: {name}, compressed", STREAM_TARGET, SSE, body, gzip.compress, "gzip")
    yield HostileResponse("stream: endless", STREAM_TARGET, SSE, endless(b"data: 1\n\n"), framing="chunked")
    yield HostileResponse(
        "stream: one event at a time", STREAM_TARGET, SSE, endless(b"data: 1\n\n"), framing="chunked", pause_s=DRIP_S
    )


def _drip(name: str, *first_bodies: str) -> HostileResponse:
    return HostileResponse(
        name, JOB_TARGET, JSON, endless(b" "), framing="chunked", pause_s=DRIP_S, first_bodies=first_bodies
    )


def _response(
    name: str,
    target: str,
    media_type: str,
    body: Callable[[], bytes],
    compress: Callable[[bytes], bytes],
    encoding: str,
) -> HostileResponse:
    return HostileResponse(name, target, media_type, lambda: [compress(body())], encoding)


def _once(body: Callable[[], bytes]) -> Callable[[], list[bytes]]:
    return lambda: [body()]
