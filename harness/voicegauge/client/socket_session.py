"""Talks to a target over one WebSocket connection: speaks texts in turns, or streams a recording to transcribe."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ClassVar, Generic, NamedTuple, Self, TypeVar

from voicegauge.client.client import Client
from voicegauge.client.connection import USE_CLIENT_KEY, ApiKeyOrSentinel, ApiKeySentinel
from voicegauge.client.keys import replace_key
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import BaseSocketTarget, SocketTarget, TranscriptionSocketTarget
from voicegauge.contract.extension.sockets import ClientAction, SocketFormat
from voicegauge.contract.socket_turns import SocketTurn, TranscribedConversation, TranscriptReader, TurnReader
from voicegauge.errors import TransportError
from voicegauge.model.base import TextPacing
from voicegauge.model.exchange import PROTOCOL_ERROR_CLOSE_CODE, Request, SocketMessage, SocketTraffic
from voicegauge.printable_text import format_count
from voicegauge.transport.http import create_ssl_context
from voicegauge.transport.websocket import WebSocketConnection

TargetT = TypeVar("TargetT", bound=BaseSocketTarget)
ReaderT = TypeVar("ReaderT", TurnReader, TranscriptReader)
"""The type of the object that says what the messages of a connection mean: that they speak, or that they transcribe."""
ServiceWorkCheck = Callable[[], Awaitable[bool]]
"""A function that returns whether a service says that it is still working on what it has received."""
MAX_SERVICE_WORK_WAIT_S = 60.0
"""Longest time, in seconds, for which a deadline is extended because the service is still working."""
SERVICE_WORK_CHECK_INTERVAL_S = 0.2
"""Seconds between two questions whether the service is still working."""
READY_OR_END_MESSAGE_TIMEOUT_S = 5.0
"""Longest time in seconds for the message that a connection is ready, where one is documented, and for its end."""
_MAX_QUOTED_REJECTION_CHARACTERS = 400
"""Maximum number of characters of the body of a rejected handshake that are quoted."""
MAX_MESSAGES_SEARCHED_FOR_CAUSE = 100
"""Largest number of messages that are read again to say why a turn has no end: other turns are timed meanwhile."""


class SocketLink(ABC, Generic[TargetT, ReaderT]):
    """One connection to a target. The reader that a subclass creates says what its messages mean."""

    default_timeout_s: ClassVar[float]
    """Time, in seconds, that a service has for a turn, or to report its end, unless the caller sets another."""

    def __init__(
        self,
        client: Client,
        target: TargetT,
        *,
        audio_format: SocketFormat | None = None,
        key: ApiKeyOrSentinel = USE_CLIENT_KEY,
        timeout_s: float | None = None,
        is_service_working: ServiceWorkCheck | None = None,
    ) -> None:
        """Prepare a connection.

        Args:
            client: builds the handshake with base URL and key.
            target: the target that the connection is opened to.
            audio_format: format to ask for; `None` for the target's first.
            key: replaces the client's key; `None` sends none.
            timeout_s: time in seconds that the service has for a turn, or to report its end; `None` for
                `default_timeout_s`.
            is_service_working: extends deadlines as long as it is true, so that a busy machine is not taken for a
                service that says nothing more; `None` for a service that cannot be asked.
        """
        self._client, self.target = client, target
        self.timeout_s = self.default_timeout_s if timeout_s is None else timeout_s
        self._reader: ReaderT = self._create_reader(target)
        self._is_service_working = is_service_working
        self._constants = target.collect_constants(audio_format)
        self._key = key
        self.connection = WebSocketConnection(self._read_message_and_wake_tasks)
        self._awaited_conditions: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        """Conditions that tasks wait for, each with the future that wakes its task."""
        self._request = self._build_handshake()
        self._message_numbers = itertools.count(1)
        """Numbers for messages that contain one, which its answer repeats."""

    @staticmethod
    @abstractmethod
    def _create_reader(target: TargetT) -> ReaderT:
        """Return what reads the messages of a connection to `target`."""

    def _read_message(self, message: SocketMessage) -> None:
        """Add a sent or a received message to the turns or transcripts of this session."""
        self._reader.add_message(message)

    def _build_handshake(self) -> Request:
        parts: dict[str, dict[str, object]] = {"path": {}, "query": {}, "header": {}}
        for location, value in self._constants.items():
            if not location.is_in_body:
                parts[location.message_part][location.name] = value
        request = RequestParts(
            path_parameters=parts["path"],
            query_parameters=parts["query"],
            headers={name: str(value) for name, value in parts["header"].items()},
        )
        return self._client.build_request(self.target.operation, request, key=self._key)

    @property
    def _message_key(self) -> str | None:
        """The key for a message that contains one; `None` to send none."""
        if self._key is ApiKeySentinel.USE_CLIENT_KEY:
            return self._client.key
        return None if self._key is None else replace_key(self._client.key, self._key)

    def build_traffic(self) -> SocketTraffic:
        """Return the record of the connection so far."""
        return self.connection.build_traffic(self._client.contract.id, self.target.operation.id, self._request)

    def quote_rejection(self) -> str:
        """Return the beginning of the body of an answer that rejects the handshake, in one line, without secrets."""
        text = self._client.mask_secrets(self.connection.rejection_body.decode(errors="replace"))
        return " ".join(text.split())[:_MAX_QUOTED_REJECTION_CHARACTERS]

    def describe_end_by_service(self) -> str | None:
        """Return how the service ended the connection; `None` if it did not, or only answered a close of the client."""
        close = self.build_traffic().close
        if close is None or (close.closed_by == "client" and close.code != PROTOCOL_ERROR_CLOSE_CODE):
            return None
        return self._client.mask_secrets(close.describe())

    def describe_unknown_messages(self, since_ms: float) -> str:
        """Return a phrase in brackets: how many messages of the service the document does not describe; empty for none.

        Args:
            since_ms: when to begin, in milliseconds after the connection was opened.
        """
        received = [one for one in self.build_traffic().messages if one.sender == "server" and one.at_ms >= since_ms]
        examined = received[:MAX_MESSAGES_SEARCHED_FOR_CAUSE]
        channel = self.target.socket
        unknown = sum(not channel.read_server_message(one.data, is_binary=one.is_binary) for one in examined)
        if not unknown:
            return ""
        first = "the first " if len(received) > len(examined) else ""
        return f" ({unknown} of {first}{format_count(len(examined), 'received message')} not described by the document)"

    async def open(self) -> Self:
        """Open the connection, send what has to be sent first, and return the session.

        `build_traffic().status` has the status of the response, also if the service rejects the handshake.

        Raises:
            TransportError: there was no response.
        """
        await self._client.wait_for_rate_limit(self.target.operation)
        context = None
        if self._request.url.startswith("https:"):
            context = create_ssl_context(http2=False)
        try:
            await self.connection.connect(self._request, ssl_context=context, max_wait_s=self._client.max_wait_s)
        except TransportError as error:
            error.args = (self._client.mask_secrets(str(error)),)
            raise error from None
        if self.connection.is_open:
            self._send_action_message("session", None)
            if self.target.spec.has_event("session"):
                await self._wait_while_service_works(
                    lambda: bool(self._reader.conversation.session_events), self._ready_or_end_message_timeout_s
                )
        return self

    async def close(self) -> None:
        """End the connection, with the message that the contract documents for that, if there is one."""
        if self.connection.is_open and self._send_action_message("close", None):
            await self._wait_while_service_works(
                lambda: not self.connection.is_open, self._ready_or_end_message_timeout_s
            )
        await self.connection.close()

    async def wait_for_close(self, timeout_s: float) -> bool:
        """Wait until the service closes the connection; return whether it did in time."""
        return await self._wait_while_service_works(lambda: not self.connection.is_open, timeout_s)

    @property
    def _ready_or_end_message_timeout_s(self) -> float:
        """How long to wait, in seconds, for the message that a connection is ready, and for its documented end."""
        limit_s = self._client.max_wait_s
        return READY_OR_END_MESSAGE_TIMEOUT_S if limit_s is None else min(READY_OR_END_MESSAGE_TIMEOUT_S, limit_s)

    def send(self, data: str | bytes) -> None:
        """Send a message that is not built from the contract, such as a wrong one."""
        self.connection.send(data)

    def _send_action_message(
        self, action: ClientAction, context: str | None, text: str | None = None, audio: bytes | None = None
    ) -> bool:
        """Send the message for an action; return whether the contract has one.

        Args:
            action: what the client asks for.
            context: the context that the message names; `None` if it names none.
            text: the text to speak; `None` for an action without one.
            audio: the audio to transcribe; `None` for an action without audio.
        """
        data = self.target.socket.build_client_message(
            action,
            text=text,
            context=context,
            settings={location: value for location, value in self._constants.items() if location.is_in_body},
            key=self._message_key,
            nonce=next(self._message_numbers),
            audio=audio,
        )
        if data is None:
            return False
        self._read_message(self.connection.send(data))
        return True

    def _read_message_and_wake_tasks(self, message: SocketMessage) -> None:
        """Read a message of the service, and wake the tasks whose condition has become true."""
        self._read_message(message)
        for condition, future in self._awaited_conditions:
            if not future.done() and condition():
                future.set_result(None)

    async def _wait_while_service_works(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait at most `timeout_s` seconds until messages make a condition true; return whether it is true at the end.

        A service that can be asked and is still busy then is waited for, at most `MAX_SERVICE_WORK_WAIT_S` longer.
        """
        if await self._wait_for_condition(condition, timeout_s) or self._is_service_working is None:
            return condition()
        given_up_s, idle_count = time.monotonic() + MAX_SERVICE_WORK_WAIT_S, 0
        # Twice without work, because a message may have been on its way to the service.
        while idle_count < 2 and self.connection.is_open and time.monotonic() < given_up_s:
            idle_count = 0 if await self._is_service_working() else idle_count + 1
            if await self._wait_for_condition(condition, SERVICE_WORK_CHECK_INTERVAL_S):
                break
        return condition()

    async def _wait_for_condition(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until a condition holds, or the connection or the time ends; return whether the condition holds.

        The condition is tested in the callback of the socket: with hundreds of connections, waking a task for each
        message would delay the messages of the other connections.
        """
        if condition() or not self.connection.is_open:
            return condition()
        waiting = (condition, asyncio.get_running_loop().create_future())
        ended = asyncio.ensure_future(self.connection.ended.wait())
        self._awaited_conditions.append(waiting)
        try:
            await asyncio.wait([waiting[1], ended], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._awaited_conditions.remove(waiting)
            waiting[1].cancel()
            ended.cancel()
        return condition()


DEFAULT_TURN_TIMEOUT_S = 30.0
"""Time in seconds without an end of a turn after which the client gives up."""


class SocketSession(SocketLink[SocketTarget, TurnReader]):
    """One connection to a target, on which texts are spoken.

    A session is used by one task at a time, except that other tasks may wait for turns.
    """

    default_timeout_s = DEFAULT_TURN_TIMEOUT_S

    @staticmethod
    def _create_reader(target: SocketTarget) -> TurnReader:
        return TurnReader(target.socket)

    @property
    def turns(self) -> list[SocketTurn]:
        """The turns of the connection so far, in the order in which they began."""
        return self._reader.conversation.turns

    # The steps of a turn.

    def begin_turn(self) -> str | None:
        """Begin a turn, and return its context; `None` if messages do not name one."""
        context = str(uuid.uuid4()) if self.target.spec.has_contexts else None
        self._send_action_message("start", context)
        return context

    async def send_text(self, context: str | None, text: str, pacing: TextPacing | None = None) -> None:
        """Send a text, whole or in pieces at their times.

        Args:
            context: the result of `begin_turn`; `None` if messages do not name a context.
            text: the text.
            pacing: how the text is cut into pieces; `None` sends it whole.

        Raises:
            TransportError: the connection has ended.
        """
        if pacing is None or not self.target.spec.turn.accepts_pieces:
            self._send_action_message("text", context, text)
            return
        started_s = time.perf_counter()
        for due_s, piece in pacing.split_text(text):
            wait_s = due_s - (time.perf_counter() - started_s)
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self._send_action_message("text", context, piece)

    def flush(self, context: str | None) -> None:
        """Ask for the speech of what was sent so far; nothing is sent if the contract has no such message.

        `context` is the result of `begin_turn`; `None` if messages do not name a context.
        """
        self._send_action_message("flush", context)

    def end_turn(self, context: str | None) -> None:
        """Send the message that no more text of a turn follows, after a flush where the contract requires one.

        `context` is the result of `begin_turn` for the turn; `None` if messages do not name a context.
        """
        turn = self.target.spec.turn
        if turn.flushes_before_end:
            self._send_action_message("flush", context)
        self._send_action_message("flush" if turn.ends_with == "flush-end" else "end", context)

    def cancel(self, context: str | None) -> None:
        """Interrupt a turn, as the contract documents it; nothing is sent if it documents no such message.

        `context` is the result of `begin_turn` for the turn; `None` if messages do not name a context.
        """
        self._send_action_message("cancel", context)

    def find_turn(self, context: str | None) -> SocketTurn:
        """Return the latest turn of a context; for `None`, the latest turn of the connection.

        Raises:
            TransportError: nothing of the turn was sent.
        """
        for turn in reversed(self.turns):
            if context is None or turn.context == context:
                return turn
        raise TransportError("nothing was sent for the turn", request_was_sent=False)

    async def wait_for_first_audio(self, turn: SocketTurn) -> bool:
        """Wait for the first audio of a turn, or for its failure; return whether either came in time."""
        return await self._wait_while_service_works(
            lambda: turn.first_audio_ms is not None or self._has_failed(turn), self.timeout_s
        )

    async def wait_for_end(self, turn: SocketTurn) -> bool:
        """Wait until a turn is complete or has failed; return whether it is so when the wait ends."""
        return await self._wait_while_service_works(
            lambda: turn.finished_ms is not None or self._has_failed(turn), self.timeout_s
        )

    async def speak(self, text: str, pacing: TextPacing | None = None, *, flushes: bool = False) -> SocketTurn:
        """Speak one text in one turn, and wait for its end.

        Args:
            text: the text.
            pacing: how the text is cut into pieces; `None` sends it whole.
            flushes: whether to flush the text before the turn ends, if the contract has such a message.

        Raises:
            TransportError: the connection has ended.
        """
        context, turn_spec = self.begin_turn(), self.target.spec.turn
        await self.send_text(context, text, pacing)
        # In the other cases, the end of the turn flushes the text already.
        if flushes and not turn_spec.flushes_before_end and turn_spec.ends_with != "flush-end":
            self.flush(context)
        self.end_turn(context)
        turn = self.find_turn(context)
        await self.wait_for_end(turn)
        return turn

    def _has_failed(self, turn: SocketTurn) -> bool:
        """Whether a turn has an error, or the connection is closed."""
        return bool(turn.errors) or not self.connection.is_open


@asynccontextmanager
async def open_session(session: SocketSession) -> AsyncIterator[SocketSession]:
    """Open a session, and close it when the context ends.

    Raises:
        TransportError: there was no response to the handshake.
    """
    await session.open()
    try:
        yield session
    finally:
        await session.close()


SENT_AUDIO_MESSAGE_S = 0.02
"""Duration of the audio in one message, in seconds, as telephony and browsers send it."""
DEFAULT_TURN_END_TIMEOUT_S = 10.0
"""Time in seconds that the service has to report the end of the last turn after the end of the audio."""


class StreamedAudio(NamedTuple):
    """A recording, encoded in the audio format that the target expects."""

    data: bytes
    """The encoded samples."""
    bytes_per_second: int
    """Size of one second of samples."""
    sample_width_bytes: int
    """Size of one sample: a message has whole samples."""


class StreamTimes(NamedTuple):
    """When the frames of a stream were sent, in milliseconds after the connection was opened."""

    frame_duration_s: float
    """Duration of a frame in seconds."""
    started_ms: float
    """Time at which the first frame was due."""
    sent_ms: list[float]
    """The time at which each frame was sent."""

    def compute_spoken_time_ms(self, audio_time_s: float) -> float:
        """Return the time, in milliseconds, at which the sample at `audio_time_s` seconds was spoken.

        It is computed from the time at which its frame was sent, as if each frame were sent as soon as it is recorded.
        If this machine sends a frame late, the delay therefore counts as a delay of the speaker, not of the service.
        """
        if not self.sent_ms:
            return self.started_ms + audio_time_s * 1000
        # The end of a frame belongs to it. Without the small number, rounding would put some ends into the next frame.
        index = min(max(math.ceil(audio_time_s / self.frame_duration_s - 1e-9) - 1, 0), len(self.sent_ms) - 1)
        return self.sent_ms[index] - ((index + 1) * self.frame_duration_s - audio_time_s) * 1000


class TranscriptionSession(SocketLink[TranscriptionSocketTarget, TranscriptReader]):
    """One connection to a target, on which audio is transcribed."""

    default_timeout_s = DEFAULT_TURN_END_TIMEOUT_S

    @staticmethod
    def _create_reader(target: TranscriptionSocketTarget) -> TranscriptReader:
        return TranscriptReader(target.socket)

    def _read_message(self, message: SocketMessage) -> None:
        super()._read_message(message)
        if self.transcribed.has_too_much_text and self.connection.is_open:
            self.connection.end_because_too_much_received()

    @property
    def transcribed(self) -> TranscribedConversation:
        """What the service has transcribed so far."""
        return self._reader.conversation

    async def stream(
        self, audio: StreamedAudio, *, should_stop: Callable[[], bool] = lambda: False, is_paced: bool = True
    ) -> StreamTimes:
        """Send audio in frames, each at the time at which a microphone would have recorded it.

        Args:
            audio: the audio, with the silence that follows its speech.
            should_stop: returns whether the rest of the audio need not be sent, such as the silence after the end of
                the turn.
            is_paced: whether frames are sent at their times; otherwise all are sent at once, and latencies cannot be
                measured.

        Returns:
            The time at which each frame was sent.

        Raises:
            TransportError: the connection has ended.
        """
        size = round(SENT_AUDIO_MESSAGE_S * audio.bytes_per_second)
        size -= size % audio.sample_width_bytes
        times = StreamTimes(size / audio.bytes_per_second, self.connection.elapsed_ms, [])
        started_s = time.perf_counter()
        for start in range(0, len(audio.data), size):
            frame = audio.data[start : start + size]
            if should_stop():
                break
            wait_s = (start + len(frame)) / audio.bytes_per_second - (time.perf_counter() - started_s)
            if not is_paced:
                await asyncio.sleep(0)  # lets texts arrive meanwhile
            elif wait_s > 0:
                await asyncio.sleep(wait_s)
            times.sent_ms.append(self.connection.elapsed_ms)
            self._send_action_message("audio", None, audio=frame)
        return times

    def flush(self) -> bool:
        """Ask for the end of the turn of what was sent so far; return whether the contract has such a message."""
        return self._send_action_message("flush", None)

    async def wait_for_turn_end(self, turn_count: int) -> bool:
        """Wait until the ends of `turn_count` turns were reported; return whether the wait ended in time.

        An error that the service reports, and the end of the connection, end the wait too.
        """

        def has_ended() -> bool:
            ended = self.transcribed.ended_turn_count >= turn_count
            return ended or bool(self.transcribed.errors) or not self.connection.is_open

        return await self._wait_while_service_works(has_ended, self.timeout_s)
