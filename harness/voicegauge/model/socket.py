"""Records of one WebSocket connection: its handshake, its messages with their times, and how it was closed."""

from __future__ import annotations

from voicegauge.model.base import Count, NonNegativeNumber, Number, Record
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


TRAILING_SILENCE_S = 4.0
"""Duration of silence that is streamed after a recording at most, in seconds: a microphone goes on, and a service needs
it to notice the end. It stops when the service has reported the end of the turn."""


class TranscriptTiming(Record, frozen=True, kw_only=True, gc=False):
    """When a service reported texts and the end of a turn, while a recording was streamed to it as it would be spoken.

    Times are in milliseconds after the end of its speech, and negative before it: nothing is cut off at zero.
    """

    turn_ends_ms: tuple[Number, ...]
    """When the service reported that the speaker's turn has ended, each time that it had a text; empty if it never did.
    A negative time means that the speaker was cut off."""
    new_texts_ms: tuple[Number, ...]
    """When a text arrived that differs from the one before."""
    first_text_ms: Number | None
    """Time from the start of speech to the first text; `None` if there was none."""
    flip_count: Count
    """Number of words that were taken back: words of a text that the text after it does not have in that order."""
    partial_word_count: Count
    """Number of words in texts that another text followed, any of which could have been taken back."""

    @property
    def final_delay_ms(self) -> float | None:
        """Time until the first report that the turn has ended; `None` if there was none."""
        return self.turn_ends_ms[0] if self.turn_ends_ms else None

    @property
    def is_cut_early(self) -> bool:
        """Whether the turn was reported to have ended while its speaker still spoke."""
        return bool(self.turn_ends_ms) and self.turn_ends_ms[0] < 0

    def find_answer_ms(self, wait_ms: float) -> float | None:
        """Return when an agent would answer that waits for some time after a reported end; `None` if never.

        It does not answer if another text arrives while it waits.

        Args:
            wait_ms: for how long it waits, in milliseconds.
        """
        for end_ms in self.turn_ends_ms:
            if not any(end_ms < at_ms <= end_ms + wait_ms for at_ms in self.new_texts_ms):
                return end_ms + wait_ms
        return None


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
