"""One WebSocket connection, with the times of its messages.

Built on picows, which hands over a frame in the callback of the socket: the time of arrival is taken before anything
else runs. `benchmarks/socket_latency` compares it with another library. Compression is not offered, because it delays
audio and would count as the service's time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import picows
from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport

from voicegauge.errors import HandshakeError, TimedOutError, TransportError, UnreachableError
from voicegauge.hosts import to_socket_url
from voicegauge.model.exchange import (
    ABNORMAL_CLOSE_CODE,
    NO_STATUS_CLOSE_CODE,
    Headers,
    Request,
    SocketClose,
    SocketMessage,
    SocketSide,
    SocketTraffic,
)
from voicegauge.transport.timing import add_certificate_hint

CONNECT_TIMEOUT_S = 15.0
"""Longest time for the connection and the handshake, in seconds."""
CLOSE_TIMEOUT_S = 2.0
"""Maximum time, in seconds, to wait for the service's answer to a close frame."""
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Largest message that is accepted. Audio comes in messages of a few kilobytes."""
MAX_CONNECTION_BYTES = 64 * 1024 * 1024
"""Maximum number of bytes that are accepted on one connection: 20 minutes of samples at 48 kHz, as base64."""
MAX_CONNECTION_FRAMES = 100_000
"""Maximum number of frames that are accepted on one connection, including pings and empty fragments: each ping is
answered, and the answers stay in memory if the service does not read them."""
OVERSIZED_TRAFFIC_MESSAGE = (
    f"the service sent more than voicegauge accepts: {MAX_MESSAGE_BYTES // 2**20} MiB a message, "
    f"{MAX_CONNECTION_BYTES // 2**20} MiB and {MAX_CONNECTION_FRAMES:,} frames a connection"
)
"""Why a connection was ended on which the service sent too much, in one line."""
_OMITTED_HEADER_NAMES = frozenset(("host", "connection", "upgrade", "content-length", "accept-encoding"))
"""Headers that the handshake sets itself, or that have no meaning in it."""


class ConnectionLimits(NamedTuple):
    """Limits of what a service may send on one connection."""

    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_connection_bytes: int | None = MAX_CONNECTION_BYTES
    """Maximum number of bytes of all messages; `None` for no limit, if the messages are not kept."""
    max_frames: int | None = MAX_CONNECTION_FRAMES
    """Maximum number of frames; `None` for no limit."""


DEFAULT_CONNECTION_LIMITS = ConnectionLimits()

MessageListener = Callable[[SocketMessage], None]
"""A function that is called with each message of the service."""


_SILENT_LOGGER = logging.getLogger("voicegauge.websocket")
"""A logger that writes nothing: mistakes of a service are reported as findings, not logged."""
_SILENT_LOGGER.propagate = False
_SILENT_LOGGER.setLevel(logging.CRITICAL + 1)


class _PicowsListener(WSListener):
    """Forwards the callbacks of picows (connected, frame received, disconnected) to the connection."""

    def __init__(self, connection: WebSocketConnection) -> None:
        super().__init__()
        self._connection = connection

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._connection.note_connected(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002 - the interface of picows
        self._connection.receive_frame(frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        self._connection.note_connection_end()

    def pause_writing(self) -> None:
        self._connection.note_writability(is_writable=False)

    def resume_writing(self) -> None:
        self._connection.note_writability(is_writable=True)


class WebSocketConnection:
    """One WebSocket connection to a service, which `connect` opens and `close` ends."""

    def __init__(
        self,
        listener: MessageListener | None = None,
        *,
        limits: ConnectionLimits = DEFAULT_CONNECTION_LIMITS,
        keeps_messages: bool = True,
    ) -> None:
        """Prepare a connection.

        Args:
            listener: is called with each message of the service, in the callback of the socket; `None` calls nothing.
            limits: limits of what the service may send.
            keeps_messages: whether the messages are kept for `build_traffic`.
        """
        self._limits, self._keeps_messages = limits, keeps_messages
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_reading_paused = False
        self.rejection_body = b""
        """The body of the response to a rejected handshake."""
        self.upgrade_violation: str | None = None
        """Why an answer with status 101 does not open a WebSocket; `None` if it does, or if the answer was another."""
        self._listener = listener
        self._transport: WSTransport | None = None
        self._opened_ns = 0  # of `time.perf_counter_ns`, against which the times of messages are measured
        self._opened_at: float | None = None  # Unix time
        self._messages: list[SocketMessage] = []
        self._fragments: list[bytes] = []
        """The frames so far of the message that is arriving."""
        self._fragments_are_binary = False
        self._fragment_bytes = self._received_bytes = self._received_frames = 0
        self._close: SocketClose | None = None
        self.is_truncated = False
        """Whether the connection was ended because the service sent more than is accepted."""
        self.status = 0
        """The status of the response to the handshake; 0 before there is one."""
        self.response_headers: Headers = ()
        """The headers of the response to the handshake."""
        self.handshake_ms: float | None = None
        """Time for connecting and the handshake together, in milliseconds; `None` before the response."""
        self.ended = asyncio.Event()
        """Set when the connection has ended, or when the service has sent a close frame."""

    @property
    def opened_ms(self) -> float:
        """When the connection was opened, in milliseconds of `time.perf_counter`."""
        return self._opened_ns / 1e6

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the connection was opened."""
        return (time.perf_counter_ns() - self._opened_ns) / 1e6

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        if self._transport is None or self._close is not None or self._transport.is_disconnected:
            return False
        # After an error, asyncio still reports each message that is sent before the event loop notes the end.
        return not self._transport.underlying_transport.is_closing()

    async def connect(
        self, request: Request, *, ssl_context: ssl.SSLContext | None = None, max_wait_s: float | None = None
    ) -> None:
        """Open the connection with the handshake `request`, whose URL has http or https.

        `status` has the status of the response, which may be another one than 101.

        Args:
            request: the handshake.
            ssl_context: the TLS context, for https; `None` for http.
            max_wait_s: limit in seconds; `None`, or a longer one, leaves `CONNECT_TIMEOUT_S`.

        Raises:
            TransportError: there was no response.
        """
        limit_s = CONNECT_TIMEOUT_S if max_wait_s is None else min(max_wait_s, CONNECT_TIMEOUT_S)
        _ignore_errors_of_rejected_handshakes()
        headers = [(name, value) for name, value in request.headers if name.lower() not in _OMITTED_HEADER_NAMES]
        host = urlsplit(request.url).netloc
        started_ns = time.perf_counter_ns()
        self._opened_ns = started_ns
        try:
            async with asyncio.timeout(limit_s):
                await picows.ws_connect(
                    lambda: _PicowsListener(self),
                    to_socket_url(request.url),
                    ssl_context=ssl_context,
                    extra_headers=headers,
                    max_redirects=0,  # the key must not reach another host
                    max_frame_size=MAX_CONNECTION_BYTES,  # a message above the smaller limit is counted here, not there
                    enable_auto_pong=False,  # picows does not hand over the pings that it answers: they are counted
                    websocket_handshake_timeout=limit_s,
                    logger_name=_SILENT_LOGGER,
                    use_aiofastnet=False,
                )
        except picows.WSInvalidStatusError as error:
            if error.response is None:
                raise HandshakeError(f"{host}: the handshake has no response", request_was_sent=False) from error
            self.status = int(error.response.status)
            self.rejection_body = bytes(error.raw_body or b"")
            self.response_headers = tuple((str(name), str(value)) for name, value in error.response.headers.items())
        except TimeoutError as error:
            message = f"{host}: no WebSocket handshake within {limit_s:g} s"
            raise TimedOutError(message, request_was_sent=False) from error
        except WSError as error:
            if isinstance(error, picows.WSInvalidHeaderError) and error.response is not None:
                self.upgrade_violation = _describe_invalid_header(error.name, error.value)
            reason = self.upgrade_violation or _describe_connection_error(error)
            message = f"{host}: the answer to the WebSocket handshake is not valid: {reason}"
            raise HandshakeError(message, request_was_sent=False) from error
        except OSError as error:
            message = f"{host}: cannot connect: {_describe_connection_error(error)}"
            raise UnreachableError(message, request_was_sent=False) from error
        if not self.status:  # picows raises no error then
            message = f"{host}: the connection was closed before the WebSocket handshake was answered"
            raise HandshakeError(message, request_was_sent=False)
        self.handshake_ms = (time.perf_counter_ns() - started_ns) / 1e6

    def note_connected(self, transport: WSTransport) -> None:
        """Note that the handshake has succeeded."""
        self._opened_ns = time.perf_counter_ns()
        self._opened_at = time.time()
        self._transport, self.status = transport, 101
        self.response_headers = tuple((str(name), str(value)) for name, value in transport.response.headers.items())

    def receive_frame(self, frame: WSFrame) -> None:
        """Note or answer a received frame. The time of its arrival is noted before anything else."""
        at_ms = (time.perf_counter_ns() - self._opened_ns) / 1e6
        frame_type = frame.msg_type
        self._received_frames += 1
        if self._limits.max_frames is not None and self._received_frames > self._limits.max_frames:
            self.end_because_too_much_received()
            return
        if frame_type == WSMsgType.CLOSE:
            self._note_close("server", at_ms, int(_read_close_code(frame)), frame.get_close_message())
            assert self._transport is not None
            if not self._transport.is_close_frame_sent:
                self._transport.send_close(frame.get_close_code())
            self._transport.disconnect()
            return
        if frame_type == WSMsgType.PING and self.is_open and self._transport is not None:
            self._transport.send_pong(frame.get_payload_as_bytes())
        if frame_type in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._add_data_frame(frame, frame_type, at_ms)

    def _add_data_frame(self, frame: WSFrame, frame_type: WSMsgType, at_ms: float) -> None:
        """Add a frame to the message that is arriving, and pass the message on when it is complete."""
        data = frame.get_payload_as_bytes()
        self._received_bytes += len(data)
        if frame_type != WSMsgType.CONTINUATION:
            self._fragments, self._fragments_are_binary = [], frame_type == WSMsgType.BINARY
            self._fragment_bytes = 0
        self._fragments.append(data)
        self._fragment_bytes += len(data)
        most_bytes = self._limits.max_connection_bytes
        is_too_much = most_bytes is not None and self._received_bytes > most_bytes
        if self._fragment_bytes > self._limits.max_message_bytes or is_too_much:
            self.end_because_too_much_received()
            return
        if frame.fin:
            joined = data if len(self._fragments) == 1 else b"".join(self._fragments)
            message = SocketMessage(sender="server", at_ms=at_ms, data=joined, is_binary=self._fragments_are_binary)
            self._fragments = []
            if self._keeps_messages:
                self._messages.append(message)
            if self._listener is not None:
                self._listener(message)

    def end_because_too_much_received(self) -> None:
        """End the connection at once, without waiting for the service, because it sent more than is accepted."""
        self.is_truncated = True
        self._note_close("client", self.elapsed_ms, 1009, b"")  # message too big (RFC 6455, section 7.4.1)
        assert self._transport is not None
        self._transport.disconnect(graceful=False)

    def _note_close(self, closing_side: SocketSide, at_ms: float, code: int, reason: bytes | None) -> None:
        if self._close is None:
            text = (reason or b"").decode(errors="replace")
            self._close = SocketClose(closed_by=closing_side, at_ms=at_ms, code=code, reason=text)
        self.ended.set()

    def note_connection_end(self) -> None:
        """Note that the connection has ended: by the service, or by picows because of an invalid frame."""
        if self._transport is None or self._close is not None:
            return
        sent = self._transport.close_handshake.sent if self._transport.close_handshake is not None else None
        if sent is not None:
            code: Any = sent.code  # a plain number at run time
            self.is_truncated = code == WSCloseCode.MESSAGE_TOO_BIG
            self._note_close("client", self.elapsed_ms, int(code), (sent.reason or "").encode())
            return
        self._note_close("server", self.elapsed_ms, ABNORMAL_CLOSE_CODE, b"")

    def send(self, data: str | bytes) -> SocketMessage:
        """Send one message, and return it with its time.

        Raises:
            TransportError: the connection has ended.
        """
        if not self.is_open or self._transport is None:
            raise TransportError("the connection has ended", request_was_sent=False)
        is_binary = isinstance(data, bytes)
        encoded = data if isinstance(data, bytes) else data.encode()
        message = SocketMessage(sender="client", at_ms=self.elapsed_ms, data=encoded, is_binary=is_binary)
        if self._keeps_messages:
            self._messages.append(message)
        self._transport.send(WSMsgType.BINARY if is_binary else WSMsgType.TEXT, encoded)
        return message

    def pause_reading(self) -> None:
        """Read nothing more from the service until `resume_reading`, so that no more arrives than can be passed on."""
        if not self._is_reading_paused and self.is_open and self._transport is not None:
            self._is_reading_paused = True
            self._transport.underlying_transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again after `pause_reading`."""
        if self._is_reading_paused and self._transport is not None:
            self._is_reading_paused = False
            self._transport.underlying_transport.resume_reading()

    def note_writability(self, *, is_writable: bool) -> None:
        """Note whether the service accepts sent bytes, or whether they wait in this process."""
        if is_writable:
            self._writable.set()
        else:
            self._writable.clear()

    async def wait_until_writable(self) -> None:
        """Wait until the service has accepted most of the sent bytes, or the connection has ended."""
        while self.is_open and not self._writable.is_set():
            waiting = [asyncio.ensure_future(one.wait()) for one in (self._writable, self.ended)]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, and wait until the connection has ended; end it if the service does not answer.

        Args:
            code: code of the frame; `NO_STATUS_CLOSE_CODE` for a frame without a code.
            reason: text of the frame.
        """
        if self._transport is None:
            return
        self.resume_reading()  # or the service's close frame would never be read
        if self.is_open:
            self._note_close("client", self.elapsed_ms, code, reason.encode())
            if code == NO_STATUS_CLOSE_CODE:
                self._transport.send_close(WSCloseCode.NO_INFO)
            else:
                self._transport.send_close(code, reason.encode() or None)  # type: ignore[arg-type]  # any code
        with contextlib.suppress(TimeoutError, WSError, OSError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._transport.wait_disconnected()
        self._transport.disconnect(graceful=False)

    def build_traffic(self, provider: str, operation: str, request: Request) -> SocketTraffic:
        """Return the record of the connection so far. `request` is the handshake, without what must not be recorded."""
        return SocketTraffic(
            provider=provider,
            operation=operation,
            request=request,
            status=self.status,
            response_headers=self.response_headers,
            handshake_ms=self.handshake_ms,
            messages=tuple(self._messages),
            close=self._close,
            opened_at=self._opened_at,
            is_truncated=self.is_truncated,
        )


def _ignore_errors_of_rejected_handshakes() -> None:
    """Suppress the event loop's report that picows cannot read the body of a rejected handshake as frames.

    The report is useless, because the status of the handshake was raised already.
    """
    loop = asyncio.get_running_loop()
    former = loop.get_exception_handler()
    if getattr(former, "ignores_errors_of_picows", False):
        return

    def handle_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), WSError):
            return
        if former is not None:
            former(loop, context)
        else:
            loop.default_exception_handler(context)

    handle_loop_error.ignores_errors_of_picows = True  # type: ignore[attr-defined]
    loop.set_exception_handler(handle_loop_error)


def _read_close_code(frame: WSFrame) -> int:
    code: Any = frame.get_close_code()
    value = int(getattr(code, "value", code))  # a member of an enumeration, or the number of a code that is in none
    return value or NO_STATUS_CLOSE_CODE


def _describe_invalid_header(name: str, value: str | None) -> str:
    """Return what is wrong with a header of an answer with status 101, in the words of RFC 6455, section 4.1.

    `value` is the value of the header; `None` if the answer does not have it.
    """
    sent = f"is {value[:100]!r}" if value is not None else "is missing"
    expected = {
        "sec-websocket-accept": "the digest of the client's Sec-WebSocket-Key",
        "upgrade": "'websocket'",
        "connection": "'Upgrade'",
    }
    return f"{name} {sent} instead of {expected.get(name.lower(), 'what the client offered')}"


def _describe_connection_error(error: BaseException) -> str:
    return add_certificate_hint(" ".join(str(error).split())[:200]) or type(error).__name__
