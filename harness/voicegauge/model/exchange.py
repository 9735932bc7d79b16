"""HTTP exchanges with their timing, messages of WebSockets and callbacks, and the deliveries that consist of them."""

from __future__ import annotations

import functools
import itertools
import mmap
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Literal

import msgspec

from voicegauge.model.base import Count, NonNegativeNumber, Number, Record
from voicegauge.model.price import format_price_usd
from voicegauge.printable_text import format_count, format_names

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
"""The bytes of an uploaded file: in memory, or mapped from the disk if the file is large."""
Headers = tuple[tuple[str, str], ...]
"""Names and values in the order in which they are sent; a name may occur more than once."""


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


class _HeaderLookup:
    """Base class of requests and responses, which finds their headers by name."""

    __slots__ = ()
    headers: Headers

    def find_header(self, name: str) -> str | None:
        """The first value of the header `name`, ignoring case; `None` if the header is absent."""
        return find_header(self.headers, name)

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty if the message has none."""
        return _remove_media_type_parameters(self.find_header("content-type") or "")


class BodyPadding(Record, frozen=True, kw_only=True):
    """Zeros inside of a request body that are created while it is sent, so that a large upload takes no memory."""

    offset: int
    """Number of bytes of `Request.body` before the zeros."""
    size_bytes: int
    """Number of zeros."""


class Request(_HeaderLookup, Record, frozen=True, kw_only=True):
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


class Response(_HeaderLookup, Record, frozen=True, kw_only=True):
    """An HTTP response as it was received, except that any content encoding of `body` has been decoded."""

    status: int
    headers: Headers = ()
    body: bytes = b""


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
    """One request and its response."""

    provider: str
    operation: str
    """The contract's id of the operation."""
    request: Request
    response: Response
    timing: Timing | None = None
    """The times; `None` if the exchange was not timed, as in a documented example or an imported cassette."""
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
    milliseconds after the moment at which the client stopped using the context of the turn.
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
        """Return when a voice agent answers, in milliseconds after the end of the speech; `None` if it never does.

        A time before that end is negative. The agent does not answer if another text arrives while it waits.

        Args:
            wait_ms: how long the agent waits after a reported end of the turn, in milliseconds.
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


# Records of whether requests are charged, and of requests that may have been charged without a saved result.


class BillingStatus(StrEnum):
    """What is known about whether the provider charges for a request."""

    NOT_SENT = "not_sent"
    """The request was not sent, so it cannot be charged."""
    REJECTED = "rejected"
    """The provider did not perform the request, or it documents that requests with this outcome are free."""
    AMBIGUOUS = "ambiguous"
    """The request was sent, but the provider failed or its response was lost. The provider may have performed the
    request and charged for it."""
    ACCEPTED = "accepted"

    @property
    def may_be_charged(self) -> bool:
        """Whether the provider charges, or may have charged, for the request, so that its price counts as spent."""
        return self in (BillingStatus.AMBIGUOUS, BillingStatus.ACCEPTED)


class AmbiguousRequest(Record, frozen=True, kw_only=True):
    """A request whose price counts as spent although its result is unknown or was not saved."""

    sample_or_case_id: str
    """Id of the sample or test case that the request was sent for."""
    sent_at: str
    """Time at which the request was sent: UTC, in ISO 8601 format."""
    counted_usd: NonNegativeNumber | None
    """The amount in US dollars that counts as spent: the reported charge, or else the price. `None` if neither is
    known, which happens only with an emulator."""
    reason: str
    """One line that explains why the result is unknown or was not saved."""
    was_sent_again: bool = False
    """Whether the request was sent again later because the user asked for it with `--retry-ambiguous`."""


class OpenJob(Record, frozen=True, kw_only=True):
    """A job that was paid for and may still succeed; the same command polls it again."""

    sample_id: str
    """Id of the sample that the job was submitted for."""
    job_id: str
    """The provider's id of the job."""
    sent_at: str
    """Time at which the request was sent: UTC, in ISO 8601 format."""
    counted_usd: NonNegativeNumber | None
    """The amount in US dollars that counts as spent: the reported charge, or else the price. `None` if neither is
    known, which happens only with an emulator."""
    reason: str
    """One line that explains why voicegauge stopped polling before the job ended."""


def describe_ambiguous_requests(ambiguous_requests: Sequence[AmbiguousRequest]) -> list[str]:
    """Return one line for each request that may have been charged without a result."""
    return [
        f"may have been charged, without a result: {one.sample_or_case_id}"
        f"{_format_price(one.counted_usd)}: {one.reason}"
        f"{' (bought again)' if one.was_sent_again else ''}"
        for one in ambiguous_requests
    ]


MAX_REQUESTS_SHOWN = 3
"""Maximum number of requests to the emulator without a saved result that are named."""
MAX_REASONS_SHOWN = 2
"""Maximum number of reasons why the emulator's results are missing that are given."""


def describe_unresolved_requests(
    ambiguous_requests: Sequence[AmbiguousRequest], open_jobs: Sequence[OpenJob] = (), *, is_emulated: bool = False
) -> list[str]:
    """Return one line for each request that was paid for without a result, and lines that say what to do about them."""
    if is_emulated:  # the emulator charges nothing, so nothing can be paid for again
        ids = [one.sample_or_case_id for one in ambiguous_requests]
        reasons = format_names(sorted({one.reason for one in ambiguous_requests}), MAX_REASONS_SHOWN, separator="; ")
        counted = f"{format_count(len(ids), 'request')}: " if len(ids) > 1 else ""
        named = f"{counted}{format_names(ids, MAX_REQUESTS_SHOWN)}: {reasons}"
        return [
            *([f"sent to the emulator, without a saved result: {named}"] if ids else []),
            *(f"still open at the emulator: {one.sample_id}, job {one.job_id}: {one.reason}" for one in open_jobs),
        ]
    lines = describe_ambiguous_requests(ambiguous_requests)
    count = sum(not one.was_sent_again for one in ambiguous_requests)
    if count:
        lines.append(f"the same command with --retry-ambiguous pays for {'it' if count == 1 else 'them'} again")
    lines += [
        f"still open: {one.sample_id}, job {one.job_id}{_format_price(one.counted_usd)}: {one.reason}"
        for one in open_jobs
    ]
    if open_jobs:
        lines.append(f"the same command polls {'it' if len(open_jobs) == 1 else 'them'} again")
    return lines


def _format_price(price_usd: float | None) -> str:
    return "" if price_usd is None else f", {format_price_usd(price_usd)}"


# Records of deliveries: the job states observed while polling, and the resulting audio, transcript or failure.


FailureKind = Literal[
    "rejected",
    "failed",
    "server_error",
    "rate_limited",
    "no_credit",
    "timeout",
    "network",
    "protocol",
    "audio",
    "interrupted",
]
"""Kinds of failure: `failed` if the job ended in failure, `protocol` if a response could not be understood, `audio` if
the received audio cannot be used, `interrupted` if voicegauge or its worker was stopped before the result was saved."""


class StateObservation(Record, frozen=True, kw_only=True):
    """A job state that a response reported, with the times of the request and the response."""

    state: str
    response_began_ms: float
    """Time at which the response began to arrive, in milliseconds after the first submit request was sent."""
    requested_ms: float
    """Time at which the request was sent, in milliseconds after the first submit request was sent."""
    exchange_index: int
    """Index of the exchange with this response in `Delivery.exchanges`."""


class Job(Record, frozen=True, kw_only=True):
    """A job with its observed states. If the submit response reports a state, that is the first one."""

    id: str | None
    """The id that the service gave the job; `None` if the response to the submit has no usable one."""
    status_operation: str
    """Id of the operation that reports the status of the job."""
    observations: tuple[StateObservation, ...]


class Failure(Record, frozen=True, kw_only=True):
    """Why a delivery failed."""

    kind: FailureKind
    message: str
    http_status: Count | None = None
    """The HTTP status that caused the failure; `None` if the failure has another cause."""


class Delivery(Record, frozen=True, kw_only=True):
    """The result of one speech request or one audio input request, with all exchanges.

    Exactly one of `audio`, `transcript` and `failure` is set.
    """

    target: str
    """Id of the target."""
    exchanges: tuple[Exchange, ...]
    submit_count: int
    """Number of submit requests that were sent, including retries."""
    job: Job | None = None
    audio: bytes | None = None
    transcript: str | None = None
    """The transcript, if the request asked for a transcription."""
    media_type: str | None = None
    """The media type that the provider declares for the audio; `None` if it declares none."""
    audio_exchange_index: int | None = None
    """Index in `exchanges` of the exchange with the audio or the transcript; `None` if there is none."""
    submit_exchange_index: int | None = None
    """Index in `exchanges` of the last submit request; `None` if there is none."""
    first_submit_sent_ms: float | None = None
    """Time at which the first submit request was sent, on the clock of `Timing.started_ms`; `None` if this delivery
    sent none."""
    charged_usd: float | None = None
    """The reported charge in US dollars; `None` if it is not known."""
    charged_credits: float | None = None
    """The reported charge in the provider's credits; `None` if it is not known."""
    unreadable_charge: str | None = None
    """What is wrong with an implausible charge in a response; `None` if there is none."""
    billing_status: BillingStatus = BillingStatus.ACCEPTED
    """What is known about whether the provider charges for the request."""
    has_open_job: bool = False
    """Whether the job may still succeed because its status or its result could not be fetched."""
    interruption: Interruption | None = None
    """How the service reacted to the interruption of the previous turn; `None` if the previous turn was not
    interrupted."""
    transcript_timing: TranscriptTiming | None = None
    """When the service reported texts and the end of the turn; `None` if no recording was streamed to it."""
    failure: Failure | None = None
