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
TEXT, BINARY, CONTINUATION, PING = 1, 2, 0, 9
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


def socket_responses() -> Iterator[HostileResponse]:
    """Yield the floods, and a slow one."""
    for name, (target, chunks) in FLOODS.items():
        yield HostileResponse(f"WebSocket: {name}", target, "", chunks, framing="frames")
    ping = endless(build_frame(PING, b""))
    yield HostileResponse("WebSocket: a ping every 50 ms", AUDIO_TARGET, "", ping, framing="frames", pause_s=DRIP_S)
