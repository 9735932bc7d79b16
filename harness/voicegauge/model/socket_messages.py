"""Records of the messages of a WebSocket, with their times, and of how the connection was closed."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import Record

SocketSide = Literal["client", "server"]
SOCKET_SIDES: tuple[SocketSide, ...] = ("client", "server")

ABNORMAL_CLOSE_CODE = 1006
"""Code for a connection that ended without a close frame (RFC 6455, section 7.4.1)."""
NO_STATUS_CLOSE_CODE = 1005
"""Code for a close frame without a code."""
SOCKET_ABORT_EXTENSION_KEY = "voicegauge.socket-abort"
"""Key in the extensions of an ASGI scope, of a function that ends the connection without a close frame."""


class SocketMessage(Record, frozen=True, kw_only=True, gc=False):
    """One message, which may have arrived in more than one frame."""

    sender: SocketSide
    at_ms: float
    """Time in milliseconds after the connection was opened: when the message was handed to the operating system, or
    when its last byte was read."""
    data: bytes
    is_binary: bool = False


class SocketClose(Record, frozen=True, kw_only=True):
    """How a connection ended."""

    closed_by: SocketSide
    """The side whose close frame came first, or which ended the connection without one."""
    at_ms: float
    """Time in milliseconds after the connection was opened."""
    code: int
    """Code of the close frame; `ABNORMAL_CLOSE_CODE` if there was none, `NO_STATUS_CLOSE_CODE` if it had no code."""
    reason: str = ""


class SocketMessages(Record, frozen=True, kw_only=True):
    """What followed the handshake of a WebSocket: its messages, and how it was closed."""

    messages: tuple[SocketMessage, ...] = ()
    """The messages of both sides in the order of their times."""
    close: SocketClose | None = None
    """How the connection ended; `None` if that was not observed."""
    opened_at: float | None = None
    """Unix time, in seconds, at which the connection was opened; `None` if it is not known."""
    handshake_ms: float | None = None
    """Time from the start of the connection attempt to the response to the handshake; `None` if it was not timed."""
    is_truncated: bool = False
    """Whether voicegauge ended the connection because the service sent more than it accepts."""

    @property
    def size_bytes(self) -> int:
        """Size of all messages together, in bytes."""
        return sum(len(message.data) for message in self.messages)
