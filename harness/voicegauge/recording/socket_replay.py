"""Replays a recorded WebSocket: each message of the service after those of the client that preceded it.

The client must send what was recorded. The names of contexts, numbers that an answer repeats, and keys may differ,
because clients make new ones each time; the messages of the service then have the new names.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from voicegauge.contract.operation import Operation
from voicegauge.contract.socket_messages import SocketChannel, iterate_leaves, read_message
from voicegauge.formats.json_text import quote_json
from voicegauge.formats.locations import MISSING, read_pointer, write_value_at_pointer
from voicegauge.model.exchange import (
    ABNORMAL_CLOSE_CODE,
    NO_STATUS_CLOSE_CODE,
    Exchange,
    SocketClose,
    SocketMessage,
    SocketMessageLog,
)
from voicegauge.recording.credentials import MASK
from voicegauge.transport.clock import Clock

UNMATCHED_CLOSE_CODE = 1008
"""Code of the close frame after a message that was not recorded."""
_MAX_CLOSE_REASON_BYTES = 120
"""Close frames have at most 125 bytes (RFC 6455, section 5.5), two of which are the code."""
_VARIABLE_PLACEHOLDERS = ("{context}", "{nonce}")
"""Placeholders of values that each client chooses itself, so that they may differ from the recorded ones."""
_NORMAL_CLOSE_CODE = 1000
_MAX_QUOTED_CHARACTERS = 80

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass
class _MessageWithAnswers:
    """A recorded message of the client, and the messages that the service sent before the client's next message."""

    client_message: SocketMessage | None
    """The client's message; `None` for the messages that the service sent first."""
    answers: list[SocketMessage] = field(default_factory=list)

    @property
    def at_ms(self) -> float:
        return self.client_message.at_ms if self.client_message is not None else 0.0


class SocketScript:
    """The recorded messages of a connection, and how many of them the client has sent already."""

    def __init__(self, channel: SocketChannel, message_log: SocketMessageLog) -> None:
        """Create a script from recorded messages, at its start: before the first message of the client."""
        self._channel = channel
        self.close = message_log.close
        """How the recorded connection ended; `None` if that was not observed."""
        self._steps = [_MessageWithAnswers(None)]
        for message in message_log.messages:
            if message.sender == "server":
                self._steps[-1].answers.append(message)
            elif not self._is_keep_alive(message.data, is_binary=message.is_binary):
                self._steps.append(_MessageWithAnswers(message))
        self._next = 0
        self._new_values: dict[str, Any] = {}
        """What the client sends in place of a recorded context or number, by the JSON text of the recorded one."""
        spec = channel.spec
        self._client_locations = _find_variable_locations(one.value for one in spec.client_messages.values())
        self._server_locations = _find_variable_locations(one.value for one in spec.server_messages)

    @property
    def is_over(self) -> bool:
        """Whether the client has sent every recorded message."""
        return self._next == len(self._steps)

    def begin(self) -> list[tuple[float, SocketMessage]]:
        """Return the messages that the service sends before the client's first, each with its delay in milliseconds."""
        return self._take_recorded_answers()

    def take_message(self, data: bytes, *, is_binary: bool) -> list[tuple[float, SocketMessage]] | str:
        """Take a message of the client.

        Returns:
            The messages that the service sends before the client's next message, each with its delay in milliseconds
            after the taken message; or, if another message was recorded, a description of the difference.
        """
        if self._is_keep_alive(data, is_binary=is_binary):
            return []
        if self.is_over:
            return f"{self._describe(data, is_binary)} follows the last recorded message of the client"
        recorded = self._steps[self._next].client_message
        assert recorded is not None, "the first step was taken before"
        difference = self._find_difference(recorded, data, is_binary=is_binary)
        if difference is not None:
            return f"message {self._next} of the client differs from the recorded one: {difference}"
        return self._take_recorded_answers()

    def _take_recorded_answers(self) -> list[tuple[float, SocketMessage]]:
        """Return the answers to the current message with their delays in milliseconds, and go on to the next."""
        step = self._steps[self._next]
        self._next += 1
        return [(max(one.at_ms - step.at_ms, 0.0), self._rename_contexts_and_numbers(one)) for one in step.answers]

    def _is_keep_alive(self, data: bytes, *, is_binary: bool) -> bool:
        return not is_binary and self._channel.read_client_message(data).actions == {"keep-alive"}

    def _find_difference(self, recorded: SocketMessage, data: bytes, *, is_binary: bool) -> str | None:
        if recorded.data == data and recorded.is_binary == is_binary:
            return None
        before, now = read_message(recorded.data), read_message(data)
        if recorded.is_binary or is_binary or before is MISSING or now is MISSING:
            is_masked = recorded.data == MASK.encode()
            return None if is_masked else f"sent {self._describe(data, is_binary)}"
        old, new = dict(iterate_leaves(before)), dict(iterate_leaves(now))
        for tokens in {**old, **new}:
            value, sent = old.get(tokens, MISSING), new.get(tokens, MISSING)
            if tokens in self._client_locations and value is not MISSING and sent is not MISSING:
                self._new_values[json.dumps(value)] = sent
            elif value != sent and not (isinstance(value, str) and MASK in value and sent is not MISSING):
                name = "/" + "/".join(tokens)
                return f"{name} is {_quote(sent)}, recorded was {_quote(value)}"
        return None

    def _rename_contexts_and_numbers(self, message: SocketMessage) -> SocketMessage:
        """Return a message of the service with the contexts and numbers of this client."""
        content = MISSING if message.is_binary else read_message(message.data)
        if not isinstance(content, dict):
            return message
        is_changed = False
        for tokens in self._server_locations:
            value = read_pointer(content, tokens)
            new_value = MISSING if value is MISSING else self._new_values.get(json.dumps(value), MISSING)
            if new_value is not MISSING and new_value != value:
                write_value_at_pointer(content, tokens, new_value)
                is_changed = True
        if not is_changed:
            return message
        data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        return SocketMessage(sender="server", at_ms=message.at_ms, data=data)

    def _describe(self, data: bytes, is_binary: bool) -> str:
        if is_binary:
            return f"a binary message of {len(data)} bytes"
        return data[:_MAX_QUOTED_CHARACTERS].decode(errors="replace")


def _find_variable_locations(templates: Iterable[Any]) -> frozenset[tuple[str, ...]]:
    return frozenset(
        tokens for template in templates for tokens, leaf in iterate_leaves(template) if leaf in _VARIABLE_PLACEHOLDERS
    )


def _quote(value: Any) -> str:
    return "missing" if value is MISSING else quote_json(value, _MAX_QUOTED_CHARACTERS)


class ReplayedSocket:
    """One connection of a client, to which a recorded one is replayed."""

    def __init__(
        self,
        operation: Operation,
        exchange: Exchange,
        receive: Receive,
        send: Send,
        *,
        pause_factor: float,
        clock: Clock,
    ) -> None:
        """Prepare to replay `exchange`, which has messages, over the ASGI functions `receive` and `send`."""
        assert operation.socket is not None, "only channels have messages"
        assert exchange.socket is not None, "the exchange is a handshake"
        self._script = SocketScript(operation.socket, exchange.socket)
        self._last_ms = max((message.at_ms for message in exchange.socket.messages), default=0.0)
        self._receive, self._send = receive, send
        self._pause_factor, self._clock = pause_factor, clock
        self._waiting: asyncio.Queue[tuple[float, SocketMessage | SocketClose]] = asyncio.Queue()

    async def run(self, abort: Callable[[], None]) -> str | None:
        """Replay the connection, which was accepted.

        Args:
            abort: ends the connection without a close frame, as a recorded one may have ended.

        Returns:
            A description of the first message of the client that was not recorded, after which the connection is
            closed; `None` if all messages were recorded.
        """
        sending = asyncio.create_task(self._send_waiting(abort))
        try:
            self._schedule(self._script.begin())
            while (event := await self._receive())["type"] == "websocket.receive":
                text = event.get("text")
                is_binary = text is None
                data = event["bytes"] if text is None else text.encode()
                answers = self._script.take_message(data, is_binary=is_binary)
                if isinstance(answers, str):
                    sending.cancel()
                    reason = answers.encode()[:_MAX_CLOSE_REASON_BYTES].decode(errors="ignore")
                    await self._send({"type": "websocket.close", "code": UNMATCHED_CLOSE_CODE, "reason": reason})
                    return answers
                self._schedule(answers)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return None

    def _schedule(self, answers: list[tuple[float, SocketMessage]]) -> None:
        """Queue messages with the times at which they are due, and the close of the service after the last one."""
        now_s = self._clock.monotonic()
        for delay_ms, message in answers:
            self._waiting.put_nowait((now_s + delay_ms * self._pause_factor / 1000, message))
        close = self._script.close
        if self._script.is_over and close is not None and close.closed_by == "server":
            self._waiting.put_nowait((now_s + max(close.at_ms - self._last_ms, 0.0) * self._pause_factor / 1000, close))

    async def _send_waiting(self, abort: Callable[[], None]) -> None:
        """Send the queued messages when they are due, until the connection is closed."""
        while True:
            due_s, item = await self._waiting.get()
            wait_s = due_s - self._clock.monotonic()
            if wait_s > 0:
                await self._clock.sleep(wait_s)
            if isinstance(item, SocketMessage):
                part = {"bytes": item.data} if item.is_binary else {"text": item.data.decode(errors="replace")}
                await self._send({"type": "websocket.send", **part})
            elif item.code < _NORMAL_CLOSE_CODE or item.code == ABNORMAL_CLOSE_CODE:
                abort()
                return
            else:
                code = _NORMAL_CLOSE_CODE if item.code == NO_STATUS_CLOSE_CODE else item.code
                await self._send({"type": "websocket.close", "code": code, "reason": item.reason})
                return
