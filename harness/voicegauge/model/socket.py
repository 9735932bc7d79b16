"""Records of one WebSocket connection: its handshake, its messages with their times, and how it was closed."""

from __future__ import annotations

from typing import Literal

from voicegauge.model.base import NonNegativeNumber, Record
from voicegauge.model.exchange import Headers, Request

SocketSide = Literal["client", "server"]

ABNORMAL_CLOSE_CODE = 1006
"""Code for a connection that ended without a close frame (RFC 6455, section 7.4.1)."""
NO_STATUS_CLOSE_CODE = 1005
"""Code for a close frame without a code."""


class SocketMessage(Record, frozen=True, kw_only=True):
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


class Interruption(Record, frozen=True, kw_only=True):
    """How a service reacted when its speech was interrupted, as a voice agent does when its user speaks.

    Times are in milliseconds after the cancellation, or after the client left the context if the document
    has no message to cancel.
    """

    last_audio_ms: NonNegativeNumber | None
    """When the last audio of the interrupted turn arrived; `None` if none arrived any more."""
    late_audio_s: NonNegativeNumber | None
    """Duration of the audio that arrived after the cancellation, in seconds of speech; `None` if it is compressed.
    Without contexts, audio after a confirmation belongs to the next turn."""
    next_audio_ms: NonNegativeNumber | None
    """When the next turn began to speak, whose text was sent as soon as the document allows; `None` if it did not."""


class SocketTraffic(Record, frozen=True, kw_only=True):
    """One WebSocket connection."""

    provider: str
    operation: str
    """Id of the channel."""
    request: Request
    """The opening handshake, with its URL as http or https."""
    status: int
    """Status of the response to the handshake; 101 if the connection was opened."""
    response_headers: Headers = ()
    handshake_ms: float | None = None
    """Time from the start of the connection attempt to the response to the handshake; `None` if it was not timed."""
    messages: tuple[SocketMessage, ...] = ()
    """The messages of both sides in the order of their times."""
    close: SocketClose | None = None
    """How the connection ended; `None` if that was not observed."""
    is_truncated: bool = False
    """Whether voicegauge ended the connection because the service sent more than it accepts."""

    @property
    def is_open(self) -> bool:
        """Whether the service accepted the connection."""
        return self.status == 101
