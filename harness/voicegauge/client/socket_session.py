"""Speaks texts over one WebSocket connection: text in, audio out, several turns one after the other or at once."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voicegauge.client.client import Client
from voicegauge.client.connection import USE_CLIENT_KEY, ApiKeyOrSentinel
from voicegauge.client.socket_link import SocketLink
from voicegauge.contract.extension.sockets import SocketFormat
from voicegauge.contract.socket_turns import SocketTurn, TurnReader
from voicegauge.contract.targets import SocketTarget
from voicegauge.errors import TransportError
from voicegauge.model.socket_messages import SocketMessage
from voicegauge.model.text_pieces import TextPacing

DEFAULT_TURN_TIMEOUT_S = 30.0
"""Time in seconds without an end of a turn after which the client gives up."""


class SocketSession(SocketLink[SocketTarget]):
    """One connection to a target, on which texts are spoken.

    A session is used by one task at a time, except that other tasks may wait for turns.
    """

    def __init__(
        self,
        client: Client,
        target: SocketTarget,
        *,
        audio_format: SocketFormat | None = None,
        key: ApiKeyOrSentinel = USE_CLIENT_KEY,
        timeout_s: float = DEFAULT_TURN_TIMEOUT_S,
    ) -> None:
        """Prepare a session.

        Args:
            client: builds the handshake with base URL and key.
            target: the target that speaks.
            audio_format: format to ask for; by default the target's first.
            key: replaces the client's key; `None` sends none.
            timeout_s: value of `timeout_s`.
        """
        self._reader = TurnReader(target.socket)
        super().__init__(client, target, audio_format=audio_format, key=key, timeout_s=timeout_s)

    def _read_message(self, message: SocketMessage) -> None:
        self._reader.add_message(message)

    @property
    def _is_ready(self) -> bool:
        return bool(self._reader.conversation.session_events)

    @property
    def turns(self) -> list[SocketTurn]:
        """The turns so far."""
        return self._reader.conversation.turns

    # The steps of a turn.

    def begin_turn(self) -> str | None:
        """Begin a turn, and return its context; `None` if messages do not name one."""
        context = str(uuid.uuid4()) if self.target.spec.has_contexts else None
        self._send("start", context)
        return context

    async def send_text(self, context: str | None, text: str, pacing: TextPacing | None = None) -> None:
        """Send a text, whole or in pieces at their times.

        Raises:
            TransportError: the connection has ended.
        """
        if pacing is None or not self.target.spec.turn.accepts_pieces:
            self._send("text", context, text)
            return
        started_s = time.perf_counter()
        for due_s, piece in pacing.split_text(text):
            wait_s = due_s - (time.perf_counter() - started_s)
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self._send("text", context, piece)

    def flush(self, context: str | None) -> None:
        """Ask for the speech of what was sent so far; nothing is sent if the contract has no such message."""
        self._send("flush", context)

    def end_turn(self, context: str | None) -> None:
        """Say that no more text follows."""
        turn = self.target.spec.turn
        if turn.flushes_before_end:
            self._send("flush", context)
        self._send("flush" if turn.ends_with == "flush-end" else "end", context)

    def cancel(self, context: str | None) -> None:
        """Interrupt a turn, as the contract documents it; nothing is sent if it documents no such message."""
        self._send("cancel", context)

    def find_turn(self, context: str | None) -> SocketTurn:
        """Return the latest turn of a context; without contexts, the latest turn.

        Raises:
            TransportError: nothing of the turn was sent.
        """
        for turn in reversed(self.turns):
            if context is None or turn.context == context:
                return turn
        raise TransportError("nothing was sent for the turn", request_was_sent=False)

    async def wait_for_first_audio(self, turn: SocketTurn) -> bool:
        """Wait for the first audio of a turn; return whether it arrived in time."""
        return await self._wait(lambda: turn.first_audio_ms is not None or self._has_failed(turn), self.timeout_s)

    async def wait_for_flush(self, turn: SocketTurn, flush_count: int = 1) -> bool:
        """Wait until the service has reported a number of flushes; return whether it did in time."""
        return await self._wait(
            lambda: turn.count_flush_ends() >= flush_count or self._has_failed(turn), self.timeout_s
        )

    async def wait_for_end(self, turn: SocketTurn, timeout_s: float | None = None) -> bool:
        """Wait until a turn is complete; return whether it was in time."""
        return await self._wait(
            lambda: turn.finished_ms is not None or self._has_failed(turn),
            self.timeout_s if timeout_s is None else timeout_s,
        )

    async def wait_for_close(self, timeout_s: float) -> bool:
        """Wait until the service closes the connection; return whether it did in time."""
        return await self._wait(lambda: not self.connection.is_open, timeout_s)

    async def speak(self, text: str, pacing: TextPacing | None = None, *, flushes: bool = False) -> SocketTurn:
        """Speak one text in one turn, and wait for its end.

        Args:
            text: the text.
            pacing: how it is cut into pieces; by default it is sent whole.
            flushes: whether to flush it before its end, if the contract has such a message.

        Raises:
            TransportError: the connection has ended.
        """
        context, turn_spec = self.begin_turn(), self.target.spec.turn
        await self.send_text(context, text, pacing)
        if flushes and not turn_spec.flushes_before_end and turn_spec.ends_with != "flush-end":
            self.flush(context)
        self.end_turn(context)
        turn = self.find_turn(context)
        await self.wait_for_end(turn)
        return turn

    def _has_failed(self, turn: SocketTurn) -> bool:
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
