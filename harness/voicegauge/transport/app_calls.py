"""Calls an ASGI application in this process without a socket: ten times as fast, and without timing."""

from __future__ import annotations

import asyncio
import functools
import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from voicegauge.errors import OversizeError, UnreachableError
from voicegauge.model.exchange import Request

StatusHeadersAndBody = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body of a response."""


async def call_app(app: Any, request: Request, max_bytes: int) -> StatusHeadersAndBody:
    """Return the response of `app` to `request`.

    Args:
        app: an ASGI 3 application; exceptions of the application propagate.
        request: the request, with a valid URL.
        max_bytes: maximum size of the response body in bytes.

    Raises:
        UnreachableError: the application returns before its response is complete, or a header cannot be encoded.
        OversizeError: the response body exceeds `max_bytes`.
    """
    url = _build_url_scope_fields(request.url)
    response = _ResponseCollector(url.host, max_bytes)
    pieces = request.iterate_sent_pieces()
    next_piece: bytes | None = next(pieces)

    async def receive() -> dict[str, Any]:
        nonlocal next_piece
        if next_piece is not None:
            piece, next_piece = next_piece, next(pieces, None)
            return {"type": "http.request", "body": piece, "more_body": next_piece is not None}
        await response.complete.wait()  # a second receive() waits for the client to disconnect
        return {"type": "http.disconnect"}

    await app(_build_scope(request, url), receive, response.send)
    if response.status is None or not response.complete.is_set():
        raise UnreachableError(f"{url.host}: the response is incomplete", request_was_sent=True)
    return response.status, response.headers, response.body.getvalue()


class _ResponseCollector:
    """Collects the ASGI messages of one response."""

    def __init__(self, host: str, max_bytes: int) -> None:
        self._host, self._max_bytes = host, max_bytes
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = io.BytesIO()
        self.complete = asyncio.Event()

    async def send(self, message: Any) -> None:
        """Receive one ASGI message from the application."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            chunk = message.get("body", b"")
            if self.body.tell() + len(chunk) > self._max_bytes:
                raise OversizeError(f"{self._host}: the response is larger than {self._max_bytes} bytes")
            self.body.write(chunk)
            if not message.get("more_body", False):
                self.complete.set()


@functools.lru_cache(maxsize=256)
def _encode_header(header: tuple[str, str]) -> tuple[bytes, bytes]:
    """Return a header as ASGI applications read it. Most headers of a run are equal, so they are encoded once."""
    return header[0].lower().encode("latin-1"), header[1].encode("latin-1")


class _UrlScopeFields(NamedTuple):
    """The fields of an ASGI scope that depend on the URL alone."""

    host: str
    host_header: bytes
    scope: Mapping[str, Any]


@functools.lru_cache(maxsize=256)
def _build_url_scope_fields(url: str) -> _UrlScopeFields:
    """Parse a URL. The result is cached, because the requests of a run share a small number of URLs."""
    parsed = httpx.URL(url)
    scope = {
        "scheme": parsed.scheme,
        "path": parsed.path,
        "raw_path": parsed.raw_path.partition(b"?")[0],
        "query_string": parsed.query,
        "server": (parsed.host, parsed.port),
    }
    return _UrlScopeFields(parsed.host, parsed.netloc, scope)


def _build_scope(request: Request, url_scope_fields: _UrlScopeFields) -> dict[str, Any]:
    try:
        headers = list(map(_encode_header, request.headers))
    except UnicodeEncodeError as error:
        raise UnreachableError(
            f"the request cannot be sent: a header: {error.reason}", request_was_sent=False
        ) from error
    if not any(name == b"host" for name, _ in headers):
        headers.insert(0, (b"host", url_scope_fields.host_header))
    if request.body:
        headers.append((b"content-length", b"%d" % request.sent_body_bytes))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 0),
        **url_scope_fields.scope,
    }
