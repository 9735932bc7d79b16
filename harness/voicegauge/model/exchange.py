"""One HTTP exchange with its timing, the messages of a WebSocket that it opened, and callbacks."""

from __future__ import annotations

import functools
import itertools
import mmap
from collections.abc import Iterator
from typing import Literal

import msgspec

from voicegauge.model.base import Count, NonNegativeNumber, Number, Record

SocketSide = Literal["client", "server"]
SOCKET_SIDES: tuple[SocketSide, ...] = ("client", "server")

ABNORMAL_CLOSE_CODE = 1006
"""Close code that stands for a connection that ended without a close frame (RFC 6455, section 7.4.1)."""
PROTOCOL_ERROR_CLOSE_CODE = 1002
"""Close code of a side that ends the connection because the other sends bytes that are not a WebSocket frame."""
NO_STATUS_CLOSE_CODE = 1005
"""Close code that stands for a close frame without a code (RFC 6455, section 7.4.1)."""
SOCKET_ABORT_EXTENSION_KEY = "voicegauge.socket-abort"
"""Key in the extensions of an ASGI scope. Its value is a function that ends the WebSocket without a close frame."""


class SocketMessage(Record, frozen=True, kw_only=True, gc=False):
    """One message of a WebSocket, which may have arrived in more than one frame."""

    sender: SocketSide
    at_ms: float
    """Time in milliseconds after the connection was opened: when the message was handed to the operating system, or
    when its last byte was read."""
    data: bytes
    is_binary: bool = False


class SocketClose(Record, frozen=True, kw_only=True):
    """How the connection of a WebSocket ended."""

    closed_by: SocketSide
    """The side whose close frame came first, or which ended the connection without one."""
    at_ms: float
    """Time in milliseconds after the connection was opened."""
    code: int
    """Code of the close frame; `ABNORMAL_CLOSE_CODE` if there was none, `NO_STATUS_CLOSE_CODE` if it had no code."""
    reason: str = ""

    def describe(self) -> str:
        """Return how the service ended the connection, with code and reason, or made this side end it."""
        no_reason = "" if self.code == NO_STATUS_CLOSE_CODE else " without a reason"
        reason = f" ({self.reason})" if self.reason else no_reason
        if self.closed_by == "client" and self.code == PROTOCOL_ERROR_CLOSE_CODE:
            return f"the service sends a frame that breaks RFC 6455{reason if self.reason else ''}"
        if self.code == ABNORMAL_CLOSE_CODE:
            return "the service ends the connection without a close frame"
        return f"the service ends the connection with code {self.code}{reason}"


class SocketMessageLog(Record, frozen=True, kw_only=True):
    """The messages after the handshake of a WebSocket, and how the connection was closed."""

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


# Records of one HTTP request and its response, with the times measured on the connection.


DOWNLOAD_OPERATION = "(download)"
"""Operation id of exchanges that download audio from a URL which no document describes."""
MAX_PADDING_PIECE_BYTES = 2**18
"""Maximum number of zeros, of a padded request body, that are created and sent at a time."""
FileContent = bytes | mmap.mmap
Headers = tuple[tuple[str, str], ...]


def find_header(headers: Headers, name: str) -> str | None:
    """The first value of the header `name`, ignoring case; `None` if the header is absent."""
    wanted, length = name.lower(), len(name)
    for key, value in headers:
        # Rules look up dozens of headers per exchange; comparing lengths first avoids most calls of `lower`.
        if len(key) == length and key.lower() == wanted:
            return value
    return None


@functools.lru_cache(maxsize=256)
def _remove_media_type_parameters(content_type: str) -> str:
    # Every rule about bodies asks for it, and a run has a dozen content types.
    return content_type.partition(";")[0].strip().lower()


class BodyPadding(Record, frozen=True, kw_only=True):
    """Zeros inside of a request body that are created while it is sent, so that a large upload takes no memory."""

    offset: int
    """Number of bytes of `Request.body` before the zeros."""
    size_bytes: int
    """Number of zeros."""


class Request(Record, frozen=True, kw_only=True):
    """An HTTP request as it is sent."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""
    """The body, without its padding."""
    padding: BodyPadding | None = None
    """The padding of a large upload, which `sent_body` includes; `None` for a body that is sent as it is."""

    @property
    def sent_body_bytes(self) -> int:
        """Size of the body as it is sent, with its padding."""
        return len(self.body) + (self.padding.size_bytes if self.padding is not None else 0)

    @property
    def sent_body(self) -> bytes:
        """The whole body as it is sent, which may take a hundred megabytes."""
        return b"".join(self.iterate_sent_pieces()) if self.padding is not None else self.body

    def iterate_sent_pieces(self) -> Iterator[bytes]:
        """Yield the body as it is sent, in pieces: no zeros longer than `MAX_PADDING_PIECE_BYTES` exist at one time."""
        if self.padding is None:
            yield self.body
            return
        yield self.body[: self.padding.offset]
        whole_pieces, rest_bytes = divmod(self.padding.size_bytes, MAX_PADDING_PIECE_BYTES)
        yield from itertools.repeat(bytes(MAX_PADDING_PIECE_BYTES), whole_pieces)
        yield bytes(rest_bytes)
        yield self.body[self.padding.offset :]

    def find_header(self, name: str) -> str | None:
        """The first value of the header `name`, ignoring case; `None` if the header is absent."""
        return find_header(self.headers, name)

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty if the request has none."""
        return _remove_media_type_parameters(self.find_header("content-type") or "")


class Response(Record, frozen=True, kw_only=True):
    """An HTTP response as it was received, except that any content encoding of `body` has been decoded."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def find_header(self, name: str) -> str | None:
        """The first value of the header `name`, ignoring case; `None` if the header is absent."""
        return find_header(self.headers, name)

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty if the response has none."""
        return _remove_media_type_parameters(self.find_header("content-type") or "")


class UploadedFile(Record, frozen=True, kw_only=True):
    """A file in a multipart body."""

    filename: str
    media_type: str
    data: bytes
    padding_bytes: int = 0
    """Number of zeros that are sent after `data`."""

    @property
    def content(self) -> FileContent:
        """The bytes of the file, without its padding."""
        return self.data


class MappedFile(UploadedFile, frozen=True, kw_only=True):
    """A large file of a received multipart body, which is read from disk when needed; `data` is empty."""

    memory_map: mmap.mmap
    """The file on disk, mapped into memory."""

    @property
    def content(self) -> FileContent:
        """The bytes of the file, which take no memory as long as they are not read."""
        return self.memory_map


WEBSOCKET_VERSION = "WebSocket"
"""`http_version` of a turn over a WebSocket."""


class Timing(Record, frozen=True, kw_only=True):
    """How long each phase of one exchange took, in milliseconds, measured with a monotonic clock."""

    started_at: float
    """Unix time, in seconds, at which the call began."""
    started_ms: float
    """Time at which the call began on the monotonic clock, in milliseconds, to order the exchanges of one run."""
    connection_wait_ms: float
    """Time spent waiting for a free connection of the pool."""
    dns_ms: float | None = None
    """Duration of the name lookup; `None` if an open connection was reused, and for a URL with an IP address."""
    connect_ms: float | None
    """Duration of the TCP connect; `None` if an open connection was reused."""
    tls_ms: float | None
    """Duration of the TLS handshake; `None` if an open connection was reused, and with plain HTTP."""
    delay_before_send_ms: float = 0.0
    """Time from the call to the first byte of the request: the wait for a connection, and opening it."""
    send_ms: float
    """Time spent writing the request."""
    flush_ms: float | None = None
    """Time from the call until the client of a WebSocket sent a flush, which asks for the speech of the text sent so
    far; `None` if it sent no flush."""
    ttfb_ms: float
    """Time from sending the last byte of the request to receiving the first byte of the response, both as seen by the
    operating system."""
    receive_ms: float
    """Time from the response's first byte to its last byte."""
    total_ms: float
    """Time from the call to the response's last byte, including the wait for a connection."""
    chunk_arrivals: tuple[tuple[float, int], ...] = ()
    """For each piece of the body, its arrival time in milliseconds after the call and its number of bytes."""
    http_version: str = ""
    """The version that the connection used, such as "HTTP/1.1"; empty if it is not known."""

    @property
    def is_new_connection(self) -> bool:
        """Whether a connection was opened for the request."""
        return self.connect_ms is not None


class Exchange(Record, frozen=True, kw_only=True, dict=True):  # the parsed bodies are cached in its `__dict__`
    """One request and its response.

    `operation` is the contract's operation id. `timing` is `None` if the exchange was not timed, as in a documented
    example or an imported cassette.
    """

    provider: str
    operation: str
    request: Request
    response: Response
    timing: Timing | None = None
    conversation_id: str | None = None
    """Id that the exchanges of one conversation share: the submit, the polls and the download of one job. `None` if the
    exchange belongs to no conversation, or if its conversation is not known."""
    socket: SocketMessageLog | None = None
    """The messages after the request if it is the handshake of a WebSocket, even a rejected one; `None` for any other
    request."""


class BodyExcerpt(Record, frozen=True, kw_only=True):
    """The beginning of a body as a report quotes it, without secrets."""

    text: str
    """The beginning as text; empty if the body is binary or may contain a secret."""
    size_bytes: Count
    """Size of the whole body in bytes."""
    omission_reason: str = ""
    """Why `text` is not the whole body; empty if it is."""


class ExchangeExcerpt(Record, frozen=True, kw_only=True):
    """One request and its response as a report quotes them: without secrets, and of bounded size."""

    method: str
    url: str
    request_headers: Headers
    request_body: BodyExcerpt
    status: Count
    """HTTP status of the response."""
    response_headers: Headers
    response_body: BodyExcerpt


# Record of a callback that a provider sent to the webhook receiver.


class ReceivedCallback(Record, frozen=True, kw_only=True):
    """One POST request to the receiver's webhook URL."""

    received_at: float
    """Unix time, in seconds, at which the request had been received completely."""
    received_at_ms: float
    """Time at which the request had been received, in milliseconds on the monotonic clock of `Timing.started_ms`."""
    request: Request
    """The request, with the public URL. Each request to a provider should name a webhook URL of its own, so that
    callbacks can be matched to requests."""


class Interruption(Record, frozen=True, kw_only=True):
    """How a service reacted when its speech was interrupted, as a voice agent does when its user speaks.

    Times are in milliseconds after the message that cancels the turn. If the document has no such message, they are in
    milliseconds after the moment at which the client stopped to use the context of the turn.
    """

    last_audio_ms: NonNegativeNumber | None
    """When the last audio of the interrupted turn arrived; `None` if none arrived any more."""
    late_audio_s: NonNegativeNumber | None
    """Duration of the audio that arrived after the cancellation, in seconds of speech; `None` if it is compressed. If
    turns have no contexts, audio after the service's confirmation of the cancellation belongs to the next turn."""
    next_audio_ms: NonNegativeNumber | None
    """When the first audio of the next turn arrived; `None` if none arrived. The text of that turn was sent as soon as
    the document allows."""


TRAILING_SILENCE_S = 4.0
"""Maximum duration, in seconds, of the silence that is streamed after a recording, as a microphone would: a service
needs silence to notice the end of the turn. The silence stops when the service has reported that end."""


class TranscriptTiming(Record, frozen=True, kw_only=True, gc=False):
    """When a service reported texts and the end of a turn, while a recording was streamed to it as it would be spoken.

    Times are in milliseconds after the end of the speech in the recording; earlier times are negative.
    """

    turn_ends_ms: tuple[Number, ...]
    """The times at which the service reported, with a text, that the speaker's turn has ended; empty if it never did. A
    negative time means that the speaker was cut off."""
    new_texts_ms: tuple[Number, ...]
    """The times at which a text arrived that differs from the previous text."""
    first_text_ms: Number | None
    """Time from the start of speech to the first text; `None` if there was none."""
    flip_count: Count
    """Number of words that were taken back: words of a text that the next text does not have in the same order."""
    partial_word_count: Count
    """Number of words in all texts except the last text. These words could have been taken back."""

    @property
    def final_delay_ms(self) -> float | None:
        """Time until the first report that the turn has ended; `None` if there was none."""
        return self.turn_ends_ms[0] if self.turn_ends_ms else None

    @property
    def is_cut_early(self) -> bool:
        """Whether the turn was reported to have ended while its speaker still spoke."""
        return bool(self.turn_ends_ms) and self.turn_ends_ms[0] < 0

    def find_answer_ms(self, wait_ms: float) -> float | None:
        """Return when a voice agent that waits `wait_ms` after a reported end answers; `None` if it never does.

        The agent does not answer if another text arrives while it waits.

        Args:
            wait_ms: how long the agent waits, in milliseconds.
        """
        for end_ms in self.turn_ends_ms:
            if not any(end_ms < at_ms <= end_ms + wait_ms for at_ms in self.new_texts_ms):
                return end_ms + wait_ms
        return None


class SocketTraffic(SocketMessageLog, frozen=True, kw_only=True):
    """One WebSocket connection: its handshake, its messages, and how it ended."""

    provider: str
    operation: str
    """Id of the channel."""
    request: Request
    """The opening handshake, with its URL as http or https."""
    status: int
    """Status of the response to the handshake; 101 if the connection was opened."""
    response_headers: Headers = ()

    @property
    def is_open(self) -> bool:
        """Whether the service accepted the connection."""
        return self.status == 101


def build_socket_exchange(traffic: SocketTraffic) -> Exchange:
    """Convert a WebSocket connection to an exchange: that of its handshake, with the messages that followed."""
    return Exchange(
        provider=traffic.provider,
        operation=traffic.operation,
        request=traffic.request,
        response=Response(status=traffic.status, headers=traffic.response_headers),
        socket=SocketMessageLog(**{name: getattr(traffic, name) for name in SocketMessageLog.__struct_fields__}),
    )


def build_socket_traffic(exchange: Exchange) -> SocketTraffic:
    """Convert the exchange of a handshake, with the messages that followed, to a WebSocket connection."""
    return SocketTraffic(
        **msgspec.structs.asdict(exchange.socket or SocketMessageLog()),
        provider=exchange.provider,
        operation=exchange.operation,
        request=exchange.request,
        status=exchange.response.status,
        response_headers=exchange.response.headers,
    )
