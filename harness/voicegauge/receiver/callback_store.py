"""Stores callbacks by the URL at which they arrived, within limits of memory."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from voicegauge.model import ReceivedCallback

MAX_CALLBACKS = 10_000
MAX_TOTAL_BYTES = 64 * 1024 * 1024
"""Maximum memory of all callbacks together, as `estimate_callback_bytes` estimates it."""
MAX_CALLBACKS_PER_URL = 1000
"""Maximum number of callbacks to the URL of one request. A job of an hour that reports every five seconds sends 720."""
MAX_BYTES_PER_URL = 4 * 1024 * 1024
"""Maximum memory, in bytes, of the callbacks to the URL of one request, so that no sender can use up the memory of
others."""
_TOKEN_BYTES = 16
_CALLBACK_OVERHEAD_BYTES = 1024
"""Memory, in bytes, that a stored callback takes in addition to its URL, headers and body; rounded up."""
_HEADER_OVERHEAD_BYTES = 200
"""Memory, in bytes, that a header takes in addition to its name and value; rounded up."""


@dataclass
class _Inbox:
    """The callbacks to one URL."""

    max_callbacks: int
    max_bytes: int
    callbacks: list[ReceivedCallback] = field(default_factory=list)
    size_bytes: int = 0

    def has_room_for(self, size_bytes: int) -> bool:
        return len(self.callbacks) < self.max_callbacks and self.size_bytes + size_bytes <= self.max_bytes

    def add_callback(self, callback: ReceivedCallback, size_bytes: int) -> None:
        self.callbacks.append(callback)
        self.size_bytes += size_bytes


class CallbackStore:
    """All callbacks of one receiver. Tokens, which are parts of URLs, are created here and cannot be guessed."""

    def __init__(self) -> None:
        """Start without tokens and callbacks."""
        self._all = _Inbox(MAX_CALLBACKS, MAX_TOTAL_BYTES)
        self._inboxes: dict[str, _Inbox] = {}

    @property
    def callbacks(self) -> list[ReceivedCallback]:
        """All callbacks, in the order in which they arrived."""
        return self._all.callbacks

    def create_token(self, *, is_shared: bool) -> str:
        """Return a new token.

        Args:
            is_shared: whether the URL with the token is for callbacks about many requests. They are limited only by the
                limits of the whole store.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        max_callbacks, max_bytes = (
            (MAX_CALLBACKS, MAX_TOTAL_BYTES) if is_shared else (MAX_CALLBACKS_PER_URL, MAX_BYTES_PER_URL)
        )
        self._inboxes[token] = _Inbox(max_callbacks, max_bytes)
        return token

    def find_token(self, path: str) -> str | None:
        """Return the known token that is a segment of `path`; `None` if there is none."""
        return next((segment for segment in path.split("/") if segment in self._inboxes), None)

    def list_callbacks(self, token: str) -> list[ReceivedCallback]:
        """Return the callbacks to the URL with `token`, in the order in which they arrived."""
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
    """Return an upper estimate of the memory that a callback takes, headers included."""
    request = callback.request
    headers = sum(_HEADER_OVERHEAD_BYTES + len(name) + len(value) for name, value in request.headers)
    return _CALLBACK_OVERHEAD_BYTES + len(request.url) + headers + len(request.body)
