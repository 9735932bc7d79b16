"""Records of one WebSocket connection: its handshake, its messages with their times, and how it was closed."""

from __future__ import annotations

from voicegauge.model.base import NonNegativeNumber, Record
from voicegauge.model.exchange import Exchange, Headers, Request, Response
from voicegauge.model.socket_messages import SocketClose, SocketMessage, SocketMessages


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
    opened_at: float | None = None
    """Unix time, in seconds, at which the connection was opened; `None` if it is not known."""
    is_truncated: bool = False
    """Whether voicegauge ended the connection because the service sent more than it accepts."""

    @property
    def is_open(self) -> bool:
        """Whether the service accepted the connection."""
        return self.status == 101


def build_socket_exchange(traffic: SocketTraffic) -> Exchange:
    """Return a connection as the exchange of its handshake, with the messages that followed."""
    return Exchange(
        provider=traffic.provider,
        operation=traffic.operation,
        request=traffic.request,
        response=Response(status=traffic.status, headers=traffic.response_headers),
        socket=SocketMessages(
            messages=traffic.messages,
            close=traffic.close,
            opened_at=traffic.opened_at,
            handshake_ms=traffic.handshake_ms,
            is_truncated=traffic.is_truncated,
        ),
    )


def build_socket_traffic(exchange: Exchange) -> SocketTraffic:
    """Return the exchange of a handshake, which has the messages that followed, as a connection."""
    socket = exchange.socket or SocketMessages()
    return SocketTraffic(
        provider=exchange.provider,
        operation=exchange.operation,
        request=exchange.request,
        status=exchange.response.status,
        response_headers=exchange.response.headers,
        handshake_ms=socket.handshake_ms,
        messages=socket.messages,
        close=socket.close,
        opened_at=socket.opened_at,
        is_truncated=socket.is_truncated,
    )
