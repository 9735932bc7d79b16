"""Receives callbacks at URLs that nobody can guess."""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from voicegauge.emulator.server import (
    BodyMemory,
    ClientLimits,
    ServerOptions,
    are_headers_too_large,
    receive_whole_body,
    running_app,
)
from voicegauge.errors import TimedOutError, UsageError
from voicegauge.formats.bodies import UnreadableBodyError, read_json
from voicegauge.model.exchange import ReceivedCallback, Request

# Stores callbacks by the URL at which they arrived, within limits of memory.


MAX_STORED_CALLBACKS = 10_000
"""Maximum number of callbacks that are stored, to all URLs together."""
MAX_STORED_CALLBACK_BYTES = 64 * 1024 * 1024
"""Maximum memory of all callbacks together, as `estimate_callback_bytes` estimates it."""
MAX_CALLBACKS_PER_URL = 1000
"""Maximum number of callbacks to the URL of one request. A job of an hour that reports every five seconds sends 720."""
MAX_BYTES_PER_URL = 4 * 1024 * 1024
"""Maximum memory, in bytes, of the callbacks to the URL of one request, so that one sender cannot use up the memory
for all others."""
_TOKEN_SIZE_BYTES = 16
_CALLBACK_OVERHEAD_BYTES = 1024
"""Memory, in bytes, that a stored callback takes in addition to its URL, headers and body; rounded up."""
_HEADER_OVERHEAD_BYTES = 200
"""Memory, in bytes, that a header takes in addition to its name and value; rounded up."""


@dataclass
class _CallbackInbox:
    """The callbacks that arrived at one URL, and the limits of their number and memory."""

    max_callbacks: int
    max_bytes: int
    callbacks: list[ReceivedCallback] = field(default_factory=list)
    size_bytes: int = 0
    """Memory of `callbacks`, as `estimate_callback_bytes` estimates it."""

    def has_room_for(self, size_bytes: int) -> bool:
        return len(self.callbacks) < self.max_callbacks and self.size_bytes + size_bytes <= self.max_bytes

    def add_callback(self, callback: ReceivedCallback, size_bytes: int) -> None:
        self.callbacks.append(callback)
        self.size_bytes += size_bytes


class CallbackStore:
    """Creates the secret tokens in the URLs of a receiver, and stores all callbacks that arrive at these URLs."""

    def __init__(self) -> None:
        """Create a store that has no tokens and no callbacks."""
        self._all = _CallbackInbox(MAX_STORED_CALLBACKS, MAX_STORED_CALLBACK_BYTES)
        self._inboxes: dict[str, _CallbackInbox] = {}

    @property
    def callbacks(self) -> list[ReceivedCallback]:
        """All callbacks, in the order in which they arrived."""
        return self._all.callbacks

    def create_token(self, *, for_many_requests: bool) -> str:
        """Return a new token.

        Args:
            for_many_requests: whether the URL with the token receives the callbacks of many requests. If so, only the
                limits of the whole store apply; otherwise the limits per URL apply too.
        """
        token = secrets.token_urlsafe(_TOKEN_SIZE_BYTES)
        max_callbacks, max_bytes = (
            (MAX_STORED_CALLBACKS, MAX_STORED_CALLBACK_BYTES)
            if for_many_requests
            else (MAX_CALLBACKS_PER_URL, MAX_BYTES_PER_URL)
        )
        self._inboxes[token] = _CallbackInbox(max_callbacks, max_bytes)
        return token

    def find_token(self, path: str) -> str | None:
        """Return the known token that is a segment of `path`; `None` if there is none."""
        return next((segment for segment in path.split("/") if segment in self._inboxes), None)

    def list_callbacks(self, token: str) -> list[ReceivedCallback]:
        """Return the callbacks to the URL with `token`, a token of this store, in the order of their arrival."""
        return list(self._inboxes[token].callbacks)

    def add_callback(self, token: str, callback: ReceivedCallback) -> bool:
        """Store a callback, and return whether there was room for it."""
        size_bytes = estimate_callback_bytes(callback)
        inbox = self._inboxes[token]
        if not inbox.has_room_for(size_bytes) or not self._all.has_room_for(size_bytes):
            return False
        inbox.add_callback(callback, size_bytes)
        self._all.add_callback(callback, size_bytes)
        return True


def estimate_callback_bytes(callback: ReceivedCallback) -> int:
    """Return an upper estimate of the memory, in bytes, that a callback takes, headers included."""
    request = callback.request
    headers = sum(_HEADER_OVERHEAD_BYTES + len(name) + len(value) for name, value in request.headers)
    return _CALLBACK_OVERHEAD_BYTES + len(request.url) + headers + len(request.body)


# The receiver as an ASGI application, which accepts callbacks and lets callers wait for them.


MAX_CALLBACK_BODY_BYTES = 1024 * 1024
"""Maximum size of one callback's body. Callbacks usually have a few hundred bytes."""
CALLBACK_CHECK_INTERVAL_S = 0.01
"""Seconds between two looks for new callbacks while a caller waits for one."""
DEFAULT_CALLBACK_TIMEOUT_S = 10.0
"""Seconds for which `wait_for_next_callback` waits by default."""

_AsgiReceive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_AsgiSend = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Receiver:
    """An ASGI application that stores callbacks. Requests to URLs that it did not create get 404 and are not read."""

    def __init__(self, on_callback: Callable[[ReceivedCallback], None] | None = None) -> None:
        """Create a receiver that has no URLs and no callbacks yet.

        Args:
            on_callback: called with each callback, in the server's thread, unless it is `None`.
        """
        self.base_url = ""
        """URL under which providers reach the receiver: the receiver's own address, or the URL of a tunnel. Callbacks
        are accepted only at the longer URLs that `create_url` returns."""
        self._store = CallbackStore()
        self._body_memory = BodyMemory()
        self._on_callback = on_callback or (lambda _callback: None)
        self._returned_indices: set[int] = set()
        """Indices above `_first_pending` of the callbacks that `wait_for_next_callback` has returned."""
        self._first_pending = 0
        """Index of the first callback that `wait_for_next_callback` has not returned."""

    @property
    def callbacks(self) -> list[ReceivedCallback]:
        """All callbacks, in the order in which they arrived."""
        return self._store.callbacks

    def create_url(self, *, for_many_requests: bool = False) -> str:
        """Return a new webhook URL that nobody can guess. Callbacks to any path below it are accepted too.

        Args:
            for_many_requests: whether the URL receives the callbacks of many requests. A URL for one request accepts
                fewer callbacks.
        """
        return f"{self.base_url}/{self._store.create_token(for_many_requests=for_many_requests)}"

    def list_callbacks_to(self, url: str) -> list[ReceivedCallback]:
        """Return the callbacks to `url` in the order of their arrival; none if `create_url` did not return `url`."""
        token = self._store.find_token(urlsplit(url).path)
        return [] if token is None else self._store.list_callbacks(token)

    async def wait_for_next_callback(
        self, request_id: str | None = None, *, timeout_s: float = DEFAULT_CALLBACK_TIMEOUT_S
    ) -> ReceivedCallback:
        """Wait for the next callback that this method has not returned yet, and return it.

        Args:
            request_id: the id that the callback's body must contain; `None` accepts any callback.
            timeout_s: the longest time to wait, in seconds.

        Raises:
            TimedOutError: no such callback arrived in time.
        """
        examined = self._first_pending
        for _ in range(1 + math.ceil(timeout_s / CALLBACK_CHECK_INTERVAL_S)):
            count = len(self.callbacks)
            for index in range(examined, count):
                callback = self.callbacks[index]
                if index not in self._returned_indices and (
                    request_id is None or _body_contains_id(callback, request_id)
                ):
                    self._returned_indices.add(index)
                    while self._first_pending in self._returned_indices:
                        self._returned_indices.remove(self._first_pending)
                        self._first_pending += 1
                    return callback
            examined = count
            await asyncio.sleep(CALLBACK_CHECK_INTERVAL_S)
        about = "" if request_id is None else f" about {request_id!r}"
        raise TimedOutError(f"no webhook{about} within {timeout_s:g} s", request_was_sent=False)

    async def wait_for_callbacks(
        self, url: str, is_last_callback: Callable[[ReceivedCallback], bool], *, timeout_s: float
    ) -> list[ReceivedCallback]:
        """Wait until the last callback to `url` has arrived, or until the timeout; return all callbacks to it so far.

        A callback is the last one if `is_last_callback` returns true for it; that function is called at most once with
        each callback. The timeout raises no error: the result then lacks the last callback, and may be empty.
        """
        examined = 0
        for _ in range(1 + math.ceil(timeout_s / CALLBACK_CHECK_INTERVAL_S)):
            callbacks = self.list_callbacks_to(url)
            if any(is_last_callback(callback) for callback in callbacks[examined:]):
                break
            examined = len(callbacks)
            # The server runs in another event loop, whose events cannot be awaited in this one.
            await asyncio.sleep(CALLBACK_CHECK_INTERVAL_S)
        return self.list_callbacks_to(url)

    async def __call__(self, scope: MutableMapping[str, Any], receive: _AsgiReceive, send: _AsgiSend) -> None:
        """Answer one HTTP request: store a callback; reject any other request, and a callback that exceeds a limit."""
        if scope["type"] != "http":
            return
        token = self._store.find_token(scope["path"])
        if token is None:
            await _send_empty_response(send, 404)
        elif scope["method"] != "POST":
            await _send_empty_response(send, 405, (b"allow", b"POST"))
        elif are_headers_too_large(scope):
            await _send_empty_response(send, 431)
        else:
            await self._accept_callback(token, scope, receive, send)

    async def _accept_callback(
        self, token: str, scope: MutableMapping[str, Any], receive: _AsgiReceive, send: _AsgiSend
    ) -> None:
        with self._body_memory.open_share() as share:
            try:
                body = await receive_whole_body(scope, receive, MAX_CALLBACK_BODY_BYTES, share)
            except ConnectionError:
                return
        if body is None:
            await _send_empty_response(send, 413)
            return
        callback = self._build_callback(token, scope, body)
        if not self._store.add_callback(token, callback):
            await _send_empty_response(send, 503)
            return
        self._on_callback(callback)
        await _send_empty_response(send, 200)

    def _build_callback(self, token: str, scope: MutableMapping[str, Any], body: bytes) -> ReceivedCallback:
        _, _, rest = str(scope["path"]).partition(f"/{token}")
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        return ReceivedCallback(
            received_at=time.time(),
            received_at_ms=time.perf_counter() * 1000,
            request=Request(method="POST", url=f"{self.base_url}/{token}{rest}", headers=headers, body=body),
        )


def _body_contains_id(callback: ReceivedCallback, request_id: str) -> bool:
    """Whether any value in the JSON body of `callback` equals `request_id`; false if the body is not JSON."""
    try:
        pending = [read_json(callback.request.body)]
    except UnreadableBodyError:
        return False
    while pending:
        value = pending.pop()
        if value == request_id:
            return True
        pending += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return False


async def _send_empty_response(send: _AsgiSend, status: int, *headers: tuple[bytes, bytes]) -> None:
    """Send a response without a body, and close the connection unless the status is 200.

    The connection is closed because the body of the request may not have been read.
    """
    closing = () if status == 200 else ((b"connection", b"close"),)
    sized = (*headers, *closing, (b"content-length", b"0"))
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": b""})


# Runs a receiver on a local port.


@contextlib.contextmanager
def run_receiver(
    *,
    port: int = 0,
    public_url: str | None = None,
    on_callback: Callable[[ReceivedCallback], None] | None = None,
    client_limits: ClientLimits | None = None,
) -> Iterator[Receiver]:
    """Run a receiver on a local port, in a thread, until the context ends; yield the receiver.

    Args:
        port: port to listen on; 0 chooses a free one.
        public_url: URL of a tunnel to this receiver, for providers that cannot reach this machine otherwise; `None`
            if there is no tunnel.
        on_callback: called with each callback, in the server's thread, unless it is `None`.
        client_limits: limits for slow senders and many connections; by default (`None`) 10 s for headers, for a pause
            and for a body, and 64 connections.

    Raises:
        UsageError: the port is not available, or `public_url` is not an https URL.
    """
    if public_url is not None and not public_url.startswith("https://"):
        raise UsageError(f"--public-url {public_url!r} must begin with https://: it is a tunnel's URL")
    # Callbacks are small and few. Behind a tunnel, all connections come from the tunnel's own program on this machine.
    limits = client_limits or ClientLimits(
        headers_timeout_s=10.0, body_pause_timeout_s=10.0, body_timeout_s=10.0, max_connections=64
    )
    receiver = Receiver(on_callback)
    with running_app(receiver, port=port, options=ServerOptions(client_limits=limits)) as local_url:
        receiver.base_url = (public_url or local_url).rstrip("/")
        yield receiver
