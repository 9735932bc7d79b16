"""Floods of WebSocket frames: pings, fragments, frames without end, and messages."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Iterator

from hostile_input.server import HostileResponse, endless

AUDIO_TARGET = "deepgram/aura-2-socket"
"""A target whose audio is in binary messages."""
JSON_TARGET = "cartesia/sonic-3.5-socket"
"""A target whose audio is in JSON messages, which name their context."""
TRANSCRIPTION_TARGET = "deepgram/nova-3-listen"
"""A target that transcribes a streamed recording."""
TEXT, BINARY, CONTINUATION, CLOSE, PING = 1, 2, 0, 8, 9
COMPRESSED = 0x40
"""The first reserved bit, which means a compressed message (RFC 7692) although nobody agreed to it."""
MESSAGE_SIZE = 4 * 2**20 - 100
"""Just below the limit of a message."""
DRIP_S = 0.05
"""Wait after each frame of a slow flood."""


def build_frame(kind: int, payload: bytes, *, is_last: bool = True, announced_size: int | None = None) -> bytes:
    """Return one frame; it may announce more bytes than it has."""
    size = len(payload) if announced_size is None else announced_size
    if size < 126:
        length = bytes([size])
    elif size < 2**16:
        length = b"\x7e" + struct.pack(">H", size)
    else:
        length = b"\x7f" + struct.pack(">Q", size)
    return bytes([0x80 * is_last | kind]) + length + payload


def _begin(start: bytes, repeated: bytes) -> Callable[[], Iterable[bytes]]:
    """Return a function that returns `start`, then `repeated` forever."""
    return lambda: itertools.chain([start], itertools.repeat(repeated))


def _number_messages() -> Iterator[bytes]:
    """Yield JSON messages of a new context each, forever."""
    for number in itertools.count():
        yield b"".join(
            build_frame(TEXT, b'{"type":"chunk","context_id":"c%d-%d","data":"AAAA","done":false}' % (number, index))
            for index in range(1000)
        )


def _fill_message(start: bytes, unit: bytes, end: bytes) -> bytes:
    return build_frame(TEXT, start + unit * ((MESSAGE_SIZE - len(start) - len(end)) // len(unit)) + end)


FLOODS: dict[str, tuple[str, Callable[[], Iterable[bytes]]]] = {
    "pings": (AUDIO_TARGET, endless(build_frame(PING, 125 * b"x") * 500)),
    "empty fragments": (
        AUDIO_TARGET,
        _begin(build_frame(TEXT, b"", is_last=False), build_frame(CONTINUATION, b"", is_last=False) * 5000),
    ),
    "fragments of a byte": (
        AUDIO_TARGET,
        _begin(build_frame(TEXT, b"", is_last=False), build_frame(CONTINUATION, b"a", is_last=False) * 5000),
    ),
    "fragments of 60 KB": (
        AUDIO_TARGET,
        _begin(build_frame(BINARY, b"", is_last=False), build_frame(CONTINUATION, 60_000 * b"a", is_last=False)),
    ),
    "a frame of a terabyte": (
        AUDIO_TARGET,
        _begin(build_frame(BINARY, b"", announced_size=2**40), 2**16 * b"a"),
    ),
    "a frame of 63 MiB": (
        AUDIO_TARGET,
        _begin(build_frame(BINARY, b"", announced_size=63 * 2**20), 2**16 * b"a"),
    ),
    "empty messages": (AUDIO_TARGET, endless(build_frame(BINARY, b"") * 5000)),
    "messages of two bytes of audio": (AUDIO_TARGET, endless(build_frame(BINARY, b"ab") * 5000)),
    "messages of audio": (AUDIO_TARGET, endless(build_frame(BINARY, 60_000 * b"a"))),
    "messages of metadata": (AUDIO_TARGET, endless(build_frame(TEXT, b'{"type":"Metadata","request_id":"r"}') * 1000)),
    "messages of unknown contexts": (JSON_TARGET, _number_messages),
    "messages of empty lists": (JSON_TARGET, endless(_fill_message(b"[", b"[],", b"[]]"))),
    "messages of deep lists": (JSON_TARGET, endless(build_frame(TEXT, b"[" * MESSAGE_SIZE))),
    "messages of long texts": (JSON_TARGET, endless(_fill_message(b'{"type":"', b"a", b'"}'))),
    "messages of other texts than JSON": (JSON_TARGET, endless(build_frame(TEXT, b"not JSON") * 1000)),
}


def _build_result(words: bytes, *, is_final: bool = True, start: bytes = b"0") -> bytes:
    """Return a message with a transcript; `start` is its time in seconds, as JSON."""
    parts = (b'"transcript":"', words, b'","confidence":1,"words":[{"word":"a","start":', start, b',"end":', start)
    alternative = b"".join(parts) + b',"confidence":1}]'
    flags = b"true" if is_final else b"false"
    return build_frame(
        TEXT,
        b'{"type":"Results","channel_index":[0,1],"duration":1,"start":'
        + start
        + b',"is_final":'
        + flags
        + b',"speech_final":'
        + flags
        + b',"channel":{"alternatives":[{'
        + alternative
        + b"}]}}",
    )


def _number_words() -> Iterator[bytes]:
    """Yield final transcripts of a new word each, forever."""
    for number in itertools.count():
        yield b"".join(_build_result(b"word%d-%d" % (number, index), start=b"%d" % number) for index in range(500))


def _repeat_bytes(frame: bytes) -> Callable[[], Iterable[bytes]]:
    """Return a function that returns the bytes of a frame one by one, again and again."""
    return lambda: itertools.cycle(frame[index : index + 1] for index in range(len(frame)))


TRANSCRIPTION_FLOODS: dict[str, Callable[[], Iterable[bytes]]] = {
    "transcripts of new words": _number_words,
    "the same unfinished transcript": endless(_build_result(b"a", is_final=False) * 1000),
    "transcripts of 4 MB": endless(_build_result(b"a " * (MESSAGE_SIZE // 2 - 500))),
    "unfinished transcripts of 1 MB": endless(_build_result(b"ab " * 350_000, is_final=False)),
    "times beyond all numbers": endless(_build_result(b"a", start=b"1e999") * 500),
    "negative times": endless(_build_result(b"a", start=b"-1e300") * 500),
    "transcripts in fragments of a byte": _begin(
        build_frame(TEXT, b"{", is_last=False), build_frame(CONTINUATION, b" ", is_last=False) * 5000
    ),
    "compressed frames": endless(build_frame(TEXT | COMPRESSED, b"\xcaH\xcd\xc9\xc9\x07\x00")),
    "a frame of an unknown kind": endless(build_frame(11, b"x")),
    "a close without a code": endless(build_frame(CLOSE, b"\x03")),
    "a close with an impossible code": endless(build_frame(CLOSE, b"\xff\xff" + b"x" * 100)),
    "a close whose reason is not text": endless(build_frame(CLOSE, b"\x03\xe8\xff\xfe")),
    "text that is not UTF-8": endless(build_frame(TEXT, b"\xff\xfe\xfd")),
}
SLOW_TRANSCRIPTION_FLOODS: dict[str, Callable[[], Iterable[bytes]]] = {
    "one byte of a transcript at a time": _repeat_bytes(_build_result(b"hello")),
    "an unfinished transcript every 50 ms": endless(_build_result(b"hello", is_final=False)),
}


def socket_responses() -> Iterator[HostileResponse]:
    """Yield the floods, and slow ones."""
    for name, chunks in TRANSCRIPTION_FLOODS.items():
        yield HostileResponse(f"streamed recording: {name}", TRANSCRIPTION_TARGET, "", chunks, framing="frames")
    for name, chunks in SLOW_TRANSCRIPTION_FLOODS.items():
        title = f"streamed recording: {name}"
        yield HostileResponse(title, TRANSCRIPTION_TARGET, "", chunks, framing="frames", pause_s=DRIP_S)
    for name, (target, chunks) in FLOODS.items():
        yield HostileResponse(f"WebSocket: {name}", target, "", chunks, framing="frames")
    ping = endless(build_frame(PING, b""))
    yield HostileResponse("WebSocket: a ping every 50 ms", AUDIO_TARGET, "", ping, framing="frames", pause_s=DRIP_S)
