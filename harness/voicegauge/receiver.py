"""A small server that takes webhooks in: one for a check, for `voicegauge listen` and for tests of one's own.

It answers everything with an empty 200 and shows nothing of what it got; it takes bodies up to a limit.
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
from voicegauge.model import ReceivedWebhook, Request

MAX_BODY_BYTES = 1024 * 1024
"""A status answer has a few hundred bytes."""
MAX_KEPT = 10_000
MAX_KEPT_BYTES = 64 * 1024 * 1024
"""Of all bodies: whoever learns the URL must not fill the memory."""
READ_LIMIT_S = 10.0
"""For a body to arrive: a trickle must not hold a connection for ever."""
LOOK_S = 0.01
WAIT_S = 10.0

_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Receiver:
    """Keeps what was sent to it, and lets tests wait for it."""

    def __init__(self, on_callback: Callable[[ReceivedWebhook], None] | None = None) -> None:
        """`on_callback` is called with each webhook, in the server's thread."""
        self.root = ""
        """Where others reach it: its own address, or that of a tunnel to it."""
        self.received: list[ReceivedWebhook] = []
        """All of them, in the order they came."""
        self._tell = on_callback or (lambda _received: None)
        self._given: set[int] = set()
        self._kept_bytes = 0

    @property
    def url(self) -> str:
        """A URL that nobody can guess, for one request."""
        return f"{self.root}/{secrets.token_urlsafe(12)}"

    def sent_to(self, url: str) -> list[ReceivedWebhook]:
        """What was sent to `url`."""
        token = url.rpartition("/")[2]
        return [one for one in self.received if one.token == token]

    async def next_callback(self, request_id: str | None = None, *, timeout_s: float = WAIT_S) -> ReceivedWebhook:
        """The next webhook that was not given out yet; with `request_id` the next whose body names it.

        Raises:
            TimedOutError: none came in time.
        """
        for _ in range(1 + math.ceil(timeout_s / LOOK_S)):
            for index, one in enumerate(self.received):
                if index not in self._given and (request_id is None or _names(one, request_id)):
                    self._given.add(index)
                    return one
            await asyncio.sleep(LOOK_S)
        about = "" if request_id is None else f" about {request_id!r}"
        raise TimedOutError(f"no webhook{about} within {timeout_s:g} s", sent=False)

    async def wait_until(
        self, url: str, enough: Callable[[list[ReceivedWebhook]], bool], *, timeout_s: float
    ) -> list[ReceivedWebhook]:
        """What was sent to `url`, as soon as it is `enough` or the time is over."""
        for _ in range(1 + math.ceil(timeout_s / LOOK_S)):
            if enough(self.sent_to(url)):
                break
            await asyncio.sleep(LOOK_S)  # the server has a loop of its own, so no event of this one tells
        return self.sent_to(url)

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Take in one request."""
        if scope["type"] != "http":
            return
        if scope["method"] != "POST":
            await _answer(send, 405, ((b"allow", b"POST"),))
            return
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                body = await _read(receive)
        except TimeoutError:
            await _answer(send, 408)
            return
        except ConnectionError:
            return
        if body is None:
            await _answer(send, 413)
        elif len(self.received) >= MAX_KEPT or self._kept_bytes + len(body) > MAX_KEPT_BYTES:
            await _answer(send, 503)
        else:
            self._kept_bytes += len(body)
            received = self._received(scope, body)
            self.received.append(received)
            self._tell(received)
            await _answer(send, 200)

    def _received(self, scope: MutableMapping[str, Any], body: bytes) -> ReceivedWebhook:
        path = str(scope["path"])
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        return ReceivedWebhook(
            at=time.time(),
            at_ms=time.perf_counter() * 1000,
            token=path.strip("/").rpartition("/")[2],
            request=Request(method="POST", url=self.root + path, headers=headers, body=body),
        )


def _names(received: ReceivedWebhook, wanted: str) -> bool:
    """Whether a text in the body is `wanted`."""
    try:
        left = [json.loads(received.request.body)]
    except (ValueError, RecursionError):
        return False
    while left:
        value = left.pop()
        if value == wanted:
            return True
        left += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return False


async def _read(receive: _Receive) -> bytes | None:
    """The body; `None` where it is too large.

    Raises:
        ConnectionError: the sender has left.
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


async def _answer(send: _Send, status: int, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    sized = (*headers, (b"content-length", b"0"))
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": b""})


@contextlib.contextmanager
def running_receiver(
    *, port: int = 0, public_url: str | None = None, on_callback: Callable[[ReceivedWebhook], None] | None = None
) -> Iterator[Receiver]:
    """A receiver on a port of this machine, in a thread, until the context ends.

    Args:
        port: 0 takes a free one.
        public_url: where a tunnel leads here from, for providers that must reach it.
        on_callback: called with each webhook, in the server's thread.

    Raises:
        UsageError: the port cannot be had, or `public_url` is none.
    """
    from voicegauge.emulator.server import running_app

    if public_url is not None and not public_url.startswith("https://"):
        raise UsageError(f"--public-url {public_url!r} must begin with https://: it is a tunnel's URL")
    receiver = Receiver(on_callback)
    with running_app(receiver, port=port) as root:
        receiver.root = (public_url or root).rstrip("/")
        yield receiver
