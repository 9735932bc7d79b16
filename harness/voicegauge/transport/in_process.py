"""One exchange with an ASGI application in this process: no socket, no timing, a tenth of the cost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from voicegauge.errors import OversizeError, UnreachableError

if TYPE_CHECKING:
    import httpx

    from voicegauge.model import Request

Received = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body, as the application gave them."""


async def call_app(app: Any, request: Request, url: httpx.URL, limit: int) -> Received:
    """The answer of `app` to `request`.

    Args:
        app: an ASGI 3 application; what it raises is raised here.
        request: sent whole.
        url: of the request, parsed.
        limit: bytes that a body may have.

    Raises:
        UnreachableError: it ends before its answer does, or a header cannot be sent.
        OversizeError: the answer is larger than `limit`.
    """
    answer = _Answer(url.host, limit)
    asked = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        await answer.complete.wait()  # whoever asks again wants to know whether the client has left
        return {"type": "http.disconnect"}

    await app(_scope(request, url), receive, answer.take)
    if answer.status is None or not answer.complete.is_set():
        raise UnreachableError(f"{url.host}: the answer broke off", sent=True)
    return answer.status, answer.headers, b"".join(answer.pieces)


class _Answer:
    """What the application has sent so far."""

    def __init__(self, host: str, limit: int) -> None:
        self._host, self._limit = host, limit
        self._size = 0
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.complete = asyncio.Event()

    async def take(self, message: Any) -> None:
        """Take one message of the application."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            piece = message.get("body", b"")
            self._size += len(piece)
            if self._size > self._limit:
                raise OversizeError(f"{self._host}: the answer is larger than {self._limit} bytes")
            self.pieces.append(piece)
            if not message.get("more_body", False):
                self.complete.set()


def _scope(request: Request, url: httpx.URL) -> dict[str, Any]:
    try:
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    except UnicodeEncodeError as error:
        raise UnreachableError(f"the request cannot be sent: a header: {error.reason}", sent=False) from error
    if not any(name == b"host" for name, _ in headers):
        headers.insert(0, (b"host", url.netloc))
    if request.body:
        headers.append((b"content-length", b"%d" % len(request.body)))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": headers,
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 0),
    }
