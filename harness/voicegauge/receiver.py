"""Webhook receiver: a small server that accepts the callbacks of providers.

Checks, `voicegauge listen` and tests use the receiver. It responds to every accepted callback with an empty 200.
Because its URL may be public, the receiver never reveals what it has received, and limits size and number of bodies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from voicegauge.errors import TimedOutError, UsageError
from voicegauge.model import ReceivedCallback, Request

MAX_BODY_BYTES = 1024 * 1024
"""Maximum size of one callback's body. Callbacks usually have a few hundred bytes."""
MAX_CALLBACKS = 10_000
MAX_TOTAL_BYTES = 64 * 1024 * 1024
"""Maximum size of all bodies together, so that nobody who learns the URL can exhaust the memory."""
READ_TIMEOUT_S = 10.0
"""Maximum time that a body may take to arrive, so that a slow sender cannot occupy a connection forever."""
POLL_INTERVAL_S = 0.01
DEFAULT_TIMEOUT_S = 10.0

_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Receiver:
    """An ASGI application that stores callbacks, and lets callers wait for them."""

    def __init__(self, on_callback: Callable[[ReceivedCallback], None] | None = None) -> None:
        """Create a receiver without callbacks.

        Args:
            on_callback: called with each callback, in the server's thread.
        """
        self.root = ""
        """Base URL under which providers reach the receiver: the receiver's own address, or the URL of a tunnel."""
        self.received: list[ReceivedCallback] = []
        """All callbacks, in the order in which they arrived."""
        self._on_callback = on_callback or (lambda _received: None)
        self._returned: set[int] = set()
        """Indices of the callbacks that `next_callback` has returned."""
        self._total_bytes = 0

    @property
    def url(self) -> str:
        """A new, unguessable webhook URL for one request."""
        return f"{self.root}/{secrets.token_urlsafe(12)}"

    def callbacks_to(self, url: str) -> list[ReceivedCallback]:
        """The callbacks that were sent to `url`."""
        token = url.rpartition("/")[2]
        return [callback for callback in self.received if callback.token == token]

    async def next_callback(
        self, request_id: str | None = None, *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> ReceivedCallback:
        """Wait for the next callback that this method has not returned yet.

        Args:
            request_id: the id that the callback's body must contain; `None` accepts any callback.
            timeout_s: the longest time to wait, in seconds.

        Raises:
            TimedOutError: no such callback arrived in time.
        """
        for _ in range(1 + math.ceil(timeout_s / POLL_INTERVAL_S)):
            for index, callback in enumerate(self.received):
                if index not in self._returned and (request_id is None or _contains_id(callback, request_id)):
                    self._returned.add(index)
                    return callback
            await asyncio.sleep(POLL_INTERVAL_S)
        about = "" if request_id is None else f" about {request_id!r}"
        raise TimedOutError(f"no webhook{about} within {timeout_s:g} s", sent=False)

    async def wait_until(
        self, url: str, is_enough: Callable[[list[ReceivedCallback]], bool], *, timeout_s: float
    ) -> list[ReceivedCallback]:
        """Wait until `is_enough` is true for the callbacks to `url`, or until the timeout.

        Return the callbacks to `url` in both cases.
        """
        for _ in range(1 + math.ceil(timeout_s / POLL_INTERVAL_S)):
            if is_enough(self.callbacks_to(url)):
                break
            # The server runs in another event loop, whose events cannot be awaited in this one.
            await asyncio.sleep(POLL_INTERVAL_S)
        return self.callbacks_to(url)

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Handle one HTTP request."""
        if scope["type"] != "http":
            return
        if scope["method"] != "POST":
            await _respond(send, 405, ((b"allow", b"POST"),))
            return
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                body = await _read_body(receive)
        except TimeoutError:
            await _respond(send, 408)
            return
        except ConnectionError:
            return
        if body is None:
            await _respond(send, 413)
        elif len(self.received) >= MAX_CALLBACKS or self._total_bytes + len(body) > MAX_TOTAL_BYTES:
            await _respond(send, 503)
        else:
            self._total_bytes += len(body)
            callback = self._to_callback(scope, body)
            self.received.append(callback)
            self._on_callback(callback)
            await _respond(send, 200)

    def _to_callback(self, scope: MutableMapping[str, Any], body: bytes) -> ReceivedCallback:
        path = str(scope["path"])
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        return ReceivedCallback(
            at=time.time(),
            at_ms=time.perf_counter() * 1000,
            token=path.strip("/").rpartition("/")[2],
            request=Request(method="POST", url=self.root + path, headers=headers, body=body),
        )


def _contains_id(callback: ReceivedCallback, request_id: str) -> bool:
    """Whether any value in the JSON body equals `request_id`."""
    try:
        pending = [json.loads(callback.request.body)]
    except (ValueError, RecursionError):
        return False
    while pending:
        value = pending.pop()
        if value == request_id:
            return True
        pending += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return False


async def _read_body(receive: _Receive) -> bytes | None:
    """The request body; `None` if it is larger than `MAX_BODY_BYTES`.

    Raises:
        ConnectionError: the sender disconnected.
    """
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            return None
    return body


async def _respond(send: _Send, status: int, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    sized = (*headers, (b"content-length", b"0"))
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": b""})


@contextlib.contextmanager
def running_receiver(
    *, port: int = 0, public_url: str | None = None, on_callback: Callable[[ReceivedCallback], None] | None = None
) -> Iterator[Receiver]:
    """Run a receiver on a local port, in a thread, until the context ends.

    Args:
        port: port to listen on; 0 chooses a free one.
        public_url: URL of a tunnel to this receiver, for providers that cannot reach this machine otherwise.
        on_callback: called with each callback, in the server's thread.

    Raises:
        UsageError: the port is not available, or `public_url` is not an https URL.
    """
    # Imported here, because most users of this module do not start a server.
    from voicegauge.emulator.server import running_app

    if public_url is not None and not public_url.startswith("https://"):
        raise UsageError(f"--public-url {public_url!r} must begin with https://: it is a tunnel's URL")
    receiver = Receiver(on_callback)
    with running_app(receiver, port=port) as root:
        receiver.root = (public_url or root).rstrip("/")
        yield receiver
