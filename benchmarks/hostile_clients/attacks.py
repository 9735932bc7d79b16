"""Attacks of clients, as bytes that they send."""

from __future__ import annotations

import asyncio
import functools
import io
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import soundfile

CONNECTIONS = 20
"""Connections that send at the same time."""
MEBIBYTE = 2**20


class Attack(NamedTuple):
    """Many requests of one kind."""

    name: str
    listener: str
    """The attacked listener: "receiver", "emulator" or "proxy"."""
    count: int
    """Number of requests, or of connections that stay open."""
    request: Callable[[str, int], Iterable[bytes]]
    """Function that returns the parts of a request to a path, given its number."""
    stays_open: bool = False
    """Whether the connections stay open until the end, without waiting for responses."""


def _head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def _post(path: str, body: bytes = b"", *headers: str) -> Iterable[bytes]:
    yield _head("POST", path, f"Content-Length: {len(body)}", *headers)
    yield body


def _unfinished_body(path: str) -> Iterable[bytes]:
    yield _head("POST", path, "Content-Length: 1000000")
    yield b"{"


def _endless_headers(path: str) -> Iterable[bytes]:
    """Two hundred thousand lines in each request: four million in all."""
    yield _head("POST", path)[:-2]
    for _ in range(200):
        yield b"X-A: b\r\n" * 1_000


def _endless_trailers(path: str) -> Iterable[bytes]:
    yield _head("POST", path, "Transfer-Encoding: chunked")
    yield b"2\r\n{}\r\n0\r\n"
    for _ in range(200):
        yield b"X-A: b\r\n" * 1_000


def _foreign(path: str, number: int) -> Iterable[bytes]:
    """A request of a web page of another machine, or to a name that leads to this one (DNS rebinding)."""
    if number % 2:
        return _post(path, b"{}", "Origin: https://evil.test")
    return [f"POST {path} HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 2\r\n\r\n{{}}".encode()]


def _endless_body(method: str, path: str, mebibytes: int) -> Iterable[bytes]:
    yield _head(method, path, "Content-Type: application/json", "Transfer-Encoding: chunked")
    for _ in range(mebibytes):
        yield b"100000\r\n" + bytes(MEBIBYTE) + b"\r\n"
    yield b"0\r\n\r\n"


_ZEROS = (bytes(MEBIBYTE),)
_UPLOAD_START = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nsensevoice\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
)


@functools.cache
def _silence(container: str) -> bytes:
    """Return a file of half an hour, nearly as long as the emulator decodes."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(1799 * 24_000, np.int16), 24_000, format=container)
    return file.getvalue()


def _upload(*parts: bytes) -> Iterable[bytes]:
    path = "/ttsai/v1/stt/"
    content_type = "Content-Type: multipart/form-data; boundary=x"
    yield _head("POST", path, content_type, "Transfer-Encoding: chunked", "Authorization: Bearer some-key")
    yield b"%x\r\n%b\r\n" % (len(_UPLOAD_START), _UPLOAD_START)
    for part in parts:
        yield b"%x\r\n%b\r\n" % (len(part), part)
    yield b"9\r\n\r\n--x--\r\n\r\n0\r\n\r\n"


def _speech_with_many_values() -> Iterable[bytes]:
    body = b'{"text": "Hello", "model": "kokoro", "more": [' + b"[]," * 400_000 + b"[]]}"
    return _post("/ttsai/v1/tts/", body, "Content-Type: application/json", "Authorization: Bearer some-key")


def _many_headers(count: int) -> list[str]:
    return [f"X-{'y' * 130}-{number}: z" for number in range(count)]


ATTACKS = (
    Attack("other paths", "receiver", 5_000, lambda _path, number: _post(f"/{number}", bytes(1000))),
    Attack("other paths with a large body", "receiver", 50, lambda _path, _number: _endless_body("POST", "/guess", 50)),
    Attack("one URL: small webhooks", "receiver", 3_000, lambda path, _number: _post(path, b"{}")),
    Attack("one URL: 15 KiB of headers", "receiver", 3_000, lambda path, _number: _post(path, b"", *_many_headers(95))),
    Attack(
        "one URL: 300 KiB of headers", "receiver", 500, lambda path, _number: _post(path, b"", *_many_headers(2000))
    ),
    Attack("one URL: bodies of 1 MiB", "receiver", 200, lambda path, _number: _post(path, bytes(MEBIBYTE))),
    Attack("one URL: deep JSON", "receiver", 200, lambda path, _number: _post(path, b"[" * MEBIBYTE)),
    Attack("one URL: endless bodies", "receiver", 20, lambda path, _number: _endless_body("POST", path, 100)),
    Attack("silent connections", "receiver", 800, lambda _path, _number: [], stays_open=True),
    Attack("unfinished headers", "receiver", 800, lambda path, _number: [_head("POST", path)[:-2]], stays_open=True),
    Attack(
        "control route: 1 GiB", "emulator", 2, lambda _path, _number: _endless_body("PUT", "/_emulator/faults", 1024)
    ),
    Attack(
        "control route: deep JSON",
        "emulator",
        50,
        lambda _path, _number: _post("/_emulator/clock", b"[" * (MEBIBYTE - 1)),
    ),
    Attack("operation: endless JSON", "emulator", 10, lambda path, _number: _endless_body("POST", path, 100)),
    Attack(
        "operation: 16 MiB of lists",
        "emulator",
        5,
        lambda path, _number: _post(path, b"[" + b"[]," * (5 * MEBIBYTE) + b"[]]", "Content-Type: application/json"),
    ),
    Attack("operation: JSON with many values", "emulator", 100, lambda _path, _number: _speech_with_many_values()),
    Attack("upload: 1 GiB", "emulator", 20, lambda _path, _number: _upload(*_ZEROS * 1024)),
    Attack("upload: 100 MiB", "emulator", 40, lambda _path, number: _upload(*_ZEROS * 99, bytes(1 + number))),
    Attack(
        "upload: FLAC of 30 minutes", "emulator", 40, lambda _path, number: _upload(_silence("FLAC"), bytes(1 + number))
    ),
    Attack(
        "upload: WAV of 30 minutes", "emulator", 20, lambda _path, number: _upload(_silence("WAV"), bytes(1 + number))
    ),
    Attack(
        "operation: 15 KiB of headers", "emulator", 3_000, lambda path, _number: _post(path, b"", *_many_headers(95))
    ),
    Attack(
        "operation: new keys",
        "emulator",
        3_000,
        lambda path, number: _post(path, b"", f"Authorization: Bearer key-number-{number}"),
    ),
    Attack("silent connections", "emulator", 900, lambda _path, _number: [], stays_open=True),
    Attack("silent connections", "proxy", 600, lambda _path, _number: [], stays_open=True),
    Attack("unfinished headers", "proxy", 600, lambda path, _number: [_head("POST", path)[:-2]], stays_open=True),
    Attack("unfinished bodies", "proxy", 600, lambda path, _number: _unfinished_body(path), stays_open=True),
    Attack("endless headers", "proxy", 20, lambda path, _number: _endless_headers(path)),
    Attack("endless trailers", "proxy", 20, lambda path, _number: _endless_trailers(path)),
    Attack("15 KiB of headers", "proxy", 1_000, lambda path, _number: _post(path, b"{}", *_many_headers(90))),
    Attack("endless bodies", "proxy", 10, lambda path, _number: _endless_body("POST", path, 100)),
    Attack("bodies of 30 MiB", "proxy", 40, lambda path, _number: _post(path, bytes(30 * MEBIBYTE))),
    Attack("new keys", "proxy", 500, lambda path, number: _post(path, b"{}", f"Authorization: Bearer number-{number}")),
    Attack("pages and hosts of others", "proxy", 1_000, _foreign),
)


@asynccontextmanager
async def under_attack(attack: Attack, url: str) -> AsyncIterator[None]:
    """Send all requests of `attack` to `url`. Connections that stay open are closed when the context ends."""
    parts = urlsplit(url)
    numbers = iter(range(attack.count))
    open_connections: list[asyncio.StreamWriter] = []

    async def send_requests() -> None:
        for number in numbers:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            with suppress(ConnectionError):  # the listener may close the connection at any time
                for part in attack.request(parts.path, number):
                    writer.write(part)
                    await writer.drain()
                if not attack.stays_open:
                    await reader.read(1000)
            if attack.stays_open:
                open_connections.append(writer)
            else:
                writer.close()

    await asyncio.gather(*(send_requests() for _ in range(CONNECTIONS)))
    try:
        yield
    finally:
        for writer in open_connections:
            writer.close()
