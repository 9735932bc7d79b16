"""Stores callbacks by the URL at which they arrived, within limits of memory."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from voicegauge.model import ReceivedCallback

MAX_STORED_CALLBACKS = 10_000
MAX_TOTAL_BYTES = 64 * 1024 * 1024
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

    def has_room_for(self, size_bytes: int) -> bool:
        return len(self.callbacks) < self.max_callbacks and self.size_bytes + size_bytes <= self.max_bytes

    def add_callback(self, callback: ReceivedCallback, size_bytes: int) -> None:
        self.callbacks.append(callback)
        self.size_bytes += size_bytes


class CallbackStore:
    """Creates the secret tokens in the URLs of a receiver, and stores all callbacks that arrive at these URLs."""

    def __init__(self) -> None:
        """Create a store that has no tokens and no callbacks."""
        self._all = _CallbackInbox(MAX_STORED_CALLBACKS, MAX_TOTAL_BYTES)
        self._inboxes: dict[str, _CallbackInbox] = {}

    @property
    def callbacks(self) -> list[ReceivedCallback]:
        """All callbacks, in the order in which they arrived."""
        return self._all.callbacks

    def create_token(self, *, for_many_requests: bool) -> str:
        """Return a new token.

        Args:
            for_many_requests: whether the URL with the token gets the callbacks of many requests. Then only the limits
                of the whole store apply. Otherwise the limits per URL apply too.
        """
        token = secrets.token_urlsafe(_TOKEN_SIZE_BYTES)
        max_callbacks, max_bytes = (
            (MAX_STORED_CALLBACKS, MAX_TOTAL_BYTES) if for_many_requests else (MAX_CALLBACKS_PER_URL, MAX_BYTES_PER_URL)
        )
        self._inboxes[token] = _CallbackInbox(max_callbacks, max_bytes)
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
    """Return the memory in bytes that a callback takes, headers included; rather too large than too small."""
    request = callback.request
    headers = sum(_HEADER_OVERHEAD_BYTES + len(name) + len(value) for name, value in request.headers)
    return _CALLBACK_OVERHEAD_BYTES + len(request.url) + headers + len(request.body)
